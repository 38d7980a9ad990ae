"""Month-end: the supplier in the tie-out, tied-out days, closings, purchases seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_MONEY = sa.Numeric(precision=18, scale=4)
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the change."""
    _add_supplier()
    op.create_table(
        "days",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("partition", sa.Date(), nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False, comment="of the day, in Cin7"),
        sa.Column("syspro", _MONEY, nullable=False),
        sa.Column("cin7", _MONEY, nullable=False),
        sa.Column("rounding", _MONEY, nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("compared_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("connection", "partition"),
        schema="tie_out",
        comment="One row a day that was read, planned, pushed and compared: the last time.",
    )
    op.create_table(
        "closings",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("partition", sa.Date(), nullable=False),
        sa.Column("closed_at", _TIME, nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column(
            "rows", sa.Integer(), nullable=False, comment="invoices and postings of the day"
        ),
        sa.Column("amount", _MONEY, nullable=False, comment="sum of the day's postings"),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column(
            "documents",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="each document of the day: [its own hash, its postings' sum]",
        ),
        sa.Column(
            "reopened_at", _TIME, nullable=True, comment="empty while the closing stands"
        ),
        sa.PrimaryKeyConstraint("connection", "partition", "closed_at"),
        schema="tie_out",
        comment="The days of closed periods, each with the fingerprint of its staged rows.",
    )
    op.create_index(
        "uq_closings_standing",
        "closings",
        ["connection", "partition"],
        unique=True,
        schema="tie_out",
        postgresql_where=sa.text("reopened_at IS NULL"),
    )
    op.create_table(
        "seen_purchases",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("cin7_id", sa.Text(), nullable=False),
        sa.Column(
            "last_updated", sa.Text(), nullable=False, comment="LastUpdatedDate, as Cin7's"
        ),
        sa.Column("seen_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("connection", "cin7_id"),
        schema="tie_out",
        comment="Purchases found as we wrote them: read again only when touched.",
    )


def _add_supplier() -> None:
    """Give the tie-out its supplier: the rows of before know none, a replay names them."""
    supplier = sa.Column(
        "supplier", sa.Text(), nullable=False, server_default="", comment="SYSPRO's code"
    )
    op.add_column("ap", supplier, schema="tie_out")
    op.alter_column("ap", "supplier", server_default=None, schema="tie_out")
    op.drop_constraint("ap_pkey", "ap", schema="tie_out", type_="primary")
    key = ["connection", "partition", "account", "cost_centre", "supplier"]
    op.create_primary_key("ap_pkey", "ap", key, schema="tie_out")


def downgrade() -> None:
    """Refuse: the record of what was closed would be lost."""
    raise RuntimeError("0005 holds the closings; there is no way back that keeps them")
