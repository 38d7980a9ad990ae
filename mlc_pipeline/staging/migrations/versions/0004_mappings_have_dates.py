"""Rows of the mapping tables are valid from a day to a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEYS = {
    "gl_accounts": "syspro_code",
    "cost_centres": "syspro_cost_centre",
    "tax_codes": "syspro_tax_code",
    "payment_terms": "syspro_terms_code",
    "currencies": "syspro_currency",
    "warehouses": "syspro_warehouse",
}


def upgrade() -> None:
    """Apply the change; rows without dates are valid always."""
    for table, key in _KEYS.items():
        for column, open_end in (("valid_from", "0001-01-01"), ("valid_to", "9999-12-31")):
            op.add_column(
                table,
                sa.Column(column, sa.Date(), server_default=open_end, nullable=False),
                schema="mapping",
            )
        _replace_key(table, ["connection", "match", key, "valid_from"])


def downgrade() -> None:
    """Undo the change; of rows with one code the latest stays. The files have them all."""
    for table, key in _KEYS.items():
        op.execute(
            f"DELETE FROM mapping.{table} a USING mapping.{table} b "  # noqa: S608
            f"WHERE a.connection = b.connection AND a.match = b.match AND a.{key} = b.{key} "
            "AND a.valid_from < b.valid_from"
        )
        _replace_key(table, ["connection", "match", key])
        op.drop_column(table, "valid_to", schema="mapping")
        op.drop_column(table, "valid_from", schema="mapping")


def _replace_key(table: str, columns: list[str]) -> None:
    op.drop_constraint(f"{table}_pkey", table, schema="mapping", type_="primary")
    op.create_primary_key(f"{table}_pkey", table, columns, schema="mapping")
