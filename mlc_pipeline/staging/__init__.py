"""Our tables: definitions, migrations, loading.

What must not come in: business rules, HTTP, Dagster.
"""
