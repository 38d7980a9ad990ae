"""The Dagster UI as people see it, in a real browser."""
