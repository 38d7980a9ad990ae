"""Everything that speaks SYSPRO: e.net session, OData reader, entities.

What must not come in: Cin7, Dagster, the database, business rules of the sync.
"""
