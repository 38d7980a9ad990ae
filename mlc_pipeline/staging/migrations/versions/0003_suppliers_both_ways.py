"""Suppliers both ways: agreed values, conflicts, proposals, decisions, writes to SYSPRO."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _text(name: str, comment: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=True, comment=comment)


def _needed(
    name: str, comment: str | None = None, server_default: str | None = None
) -> sa.Column[str]:
    return sa.Column(
        name, sa.Text(), nullable=False, comment=comment, server_default=server_default
    )


def _time(name: str, default: str = "now()") -> sa.Column[datetime]:
    zoned = sa.DateTime(timezone=True)
    return sa.Column(name, zoned, nullable=False, server_default=sa.text(default))


def upgrade() -> None:
    """Apply the change."""
    _documents_to_syspro()
    op.create_table(
        "supplier_bases",
        _needed("connection"),
        _needed("supplier", comment="SYSPRO code as stored"),
        sa.Column(
            "base",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="last agreed value by attribute",
        ),
        _text("syspro_hash", comment="of SYSPRO's values, if settled"),
        _text("cin7_hash", comment="of Cin7's values, if settled"),
        _needed("stand_in", server_default="", comment="contact name"),
        _needed("run_id"),
        _time("agreed_at"),
        sa.PrimaryKeyConstraint("connection", "supplier"),
        schema="ledger",
        comment="The base of the three-way merge, one row a link.",
    )
    op.create_table(
        "supplier_conflicts",
        _needed("connection"),
        _needed("supplier"),
        _needed("attribute"),
        _text("base", comment="null: there was none"),
        _needed("syspro"),
        _needed("cin7"),
        _needed("run_id"),
        _time("found_at"),
        sa.PrimaryKeyConstraint("connection", "supplier", "attribute"),
        schema="ledger",
        comment="Attributes that changed on both sides, held for a person.",
    )
    op.create_table(
        "supplier_proposals",
        _needed("connection"),
        _needed("supplier"),
        _needed("cin7_id"),
        _needed("syspro_name"),
        _needed("cin7_name"),
        sa.Column("score", sa.Integer(), nullable=False),
        _needed("reasons"),
        sa.Column("open_orders", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unpaid_invoices", sa.Integer(), server_default="0", nullable=False),
        _needed("run_id"),
        _time("proposed_at"),
        sa.PrimaryKeyConstraint("connection", "supplier", "cin7_id"),
        schema="ledger",
        comment="Matches that nothing proves; a person decides.",
    )
    _decisions()
    op.create_table(
        "supplier_reads",
        _needed("connection"),
        sa.Column(
            "read_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="begin of the last reading of Cin7",
        ),
        sa.Column(
            "swept_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="begin of the last whole reading",
        ),
        sa.PrimaryKeyConstraint("connection"),
        schema="control",
        comment="How far Cin7's suppliers were read.",
    )


def _decisions() -> None:
    op.create_table(
        "supplier_decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        _needed("connection"),
        _needed("action", comment="link, unlink, ignore, heed, resolve, settled"),
        *[
            _text(name)
            for name in ("supplier", "cin7_id", "attribute", "base", "syspro", "cin7", "value")
        ],
        _needed("note", server_default=""),
        _needed("decided_by"),
        _time("decided_at", "clock_timestamp()"),
        sa.PrimaryKeyConstraint("id"),
        schema="ledger",
        comment="What people decided about suppliers; rows are only ever added.",
    )
    op.create_index(
        "ix_supplier_decisions_supplier",
        "supplier_decisions",
        ["connection", "supplier"],
        schema="ledger",
    )


def _documents_to_syspro() -> None:
    op.create_table(
        "syspro_suppliers",
        _needed("connection"),
        sa.Column("partition", sa.Date(), nullable=False),
        _needed("source_key"),
        _needed("kind"),
        sa.Column("home", sa.Date(), nullable=True, comment="the document's own date"),
        _needed("verdict"),
        *[_text(name) for name in ("stage", "reason_code", "reason", "supplier")],
        sa.Column("amount", sa.Numeric(18, 4), nullable=False),
        _text("currency"),
        sa.Column(
            "content",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="the wanted document",
        ),
        _text("content_hash"),
        sa.Column("difference", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        _needed("run_id"),
        _time("planned_at"),
        sa.PrimaryKeyConstraint("connection", "partition", "source_key"),
        schema="plan",
    )
    op.create_table(
        "syspro_suppliers",
        _needed("connection"),
        sa.Column("partition", sa.Date(), nullable=False),
        _needed("source_key"),
        _needed("kind"),
        _needed("outcome"),
        *[_text(name) for name in ("reason_code", "reason", "supplier")],
        sa.Column("amount", sa.Numeric(18, 4), nullable=False),
        *[_text(name) for name in ("currency", "cin7_id", "cin7_number")],
        _needed("run_id"),
        _time("pushed_at"),
        sa.PrimaryKeyConstraint("connection", "partition", "source_key"),
        schema="push",
    )
    for schema in ("plan", "push"):
        op.create_index(
            f"ix_{schema}_syspro_suppliers_source_key",
            "syspro_suppliers",
            ["source_key"],
            schema=schema,
        )


def downgrade() -> None:
    """Undo the change."""
    for schema, table in (
        ("control", "supplier_reads"),
        ("ledger", "supplier_decisions"),
        ("ledger", "supplier_proposals"),
        ("ledger", "supplier_conflicts"),
        ("ledger", "supplier_bases"),
        ("push", "syspro_suppliers"),
        ("plan", "syspro_suppliers"),
    ):
        op.drop_table(table, schema=schema)
