"""What the two supplier masters agreed upon, where they differ, and what people decided.

A supplier's link itself stands in `ledger.documents` (kind `supplier`): its source key is
the SYSPRO code, its `cin7_id` the Cin7 supplier.

What must not come in: queries, rules.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from mlc_pipeline.staging.tables import metadata

_TIME = sa.DateTime(timezone=True)

supplier_bases = sa.Table(
    "supplier_bases",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("supplier", sa.Text, primary_key=True, comment="SYSPRO code as stored"),
    sa.Column("base", JSONB, nullable=False, comment="last agreed value by attribute"),
    sa.Column("syspro_hash", sa.Text, nullable=True, comment="of SYSPRO's values, if settled"),
    sa.Column("cin7_hash", sa.Text, nullable=True, comment="of Cin7's values, if settled"),
    sa.Column("stand_in", sa.Text, nullable=False, server_default="", comment="contact name"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("agreed_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="ledger",
    comment="The base of the three-way merge, one row a link.",
)

supplier_conflicts = sa.Table(
    "supplier_conflicts",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("supplier", sa.Text, primary_key=True),
    sa.Column("attribute", sa.Text, primary_key=True),
    sa.Column("base", sa.Text, nullable=True, comment="null: there was none"),
    sa.Column("syspro", sa.Text, nullable=False),
    sa.Column("cin7", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("found_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="ledger",
    comment="Attributes that changed on both sides, held for a person.",
)

supplier_proposals = sa.Table(
    "supplier_proposals",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("supplier", sa.Text, primary_key=True),
    sa.Column("cin7_id", sa.Text, primary_key=True),
    sa.Column("syspro_name", sa.Text, nullable=False),
    sa.Column("cin7_name", sa.Text, nullable=False),
    sa.Column("score", sa.Integer, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),
    sa.Column("open_orders", sa.Integer, nullable=False, server_default="0"),
    sa.Column("unpaid_invoices", sa.Integer, nullable=False, server_default="0"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("proposed_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="ledger",
    comment="Matches that nothing proves; a person decides.",
)

supplier_decisions = sa.Table(
    "supplier_decisions",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column(
        "action",
        sa.Text,
        nullable=False,
        comment="link, unlink, ignore, heed, resolve, settled",
    ),
    sa.Column("supplier", sa.Text, nullable=True),
    sa.Column("cin7_id", sa.Text, nullable=True),
    sa.Column("attribute", sa.Text, nullable=True),
    sa.Column("base", sa.Text, nullable=True),
    sa.Column("syspro", sa.Text, nullable=True),
    sa.Column("cin7", sa.Text, nullable=True),
    sa.Column("value", sa.Text, nullable=True),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("decided_at", _TIME, nullable=False, server_default=sa.func.clock_timestamp()),
    schema="ledger",
    comment="What people decided about suppliers; rows are only ever added.",
)
sa.Index(
    "ix_supplier_decisions_supplier",
    supplier_decisions.c.connection,
    supplier_decisions.c.supplier,
)

supplier_reads = sa.Table(
    "supplier_reads",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("read_at", _TIME, nullable=False, comment="begin of the last reading of Cin7"),
    sa.Column("swept_at", _TIME, nullable=False, comment="begin of the last whole reading"),
    schema="control",
    comment="How far Cin7's suppliers were read.",
)
