"""Everything that speaks Cin7 Core: client, request bodies, rate budget, errors.

What must not come in: SYSPRO, Dagster, business rules of the sync.
"""
