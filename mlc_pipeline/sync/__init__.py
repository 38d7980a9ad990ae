"""The heart: supplier matching, plan, ledger, apply, tie-out.

What must not come in: Dagster and HTTP. Of `cin7` only the request bodies and the errors
are used here, never the client.
"""
