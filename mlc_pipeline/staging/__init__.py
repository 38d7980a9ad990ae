"""Our tables: definitions, migrations, loading.

Importing the room declares every table, so that the one MetaData is always whole.

What must not come in: business rules, HTTP, Dagster.
"""

from mlc_pipeline.staging import (
    audit_tables,
    operations,
    supplier_tables,
    tables,
    tie_out_tables,
)

__all__ = ["audit_tables", "operations", "supplier_tables", "tables", "tie_out_tables"]
