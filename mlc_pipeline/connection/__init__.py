"""What a customer configures: the connection file, mapping tables, their validation.

What must not come in: network, database, Dagster.
"""
