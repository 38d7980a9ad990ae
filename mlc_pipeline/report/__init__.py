"""Reports that are read outside Dagster: the close of a period as HTML and CSV.

What must not come in: comparing, SQL, HTTP, Dagster.
"""
