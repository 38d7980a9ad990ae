"""Every table of the product, in one SQLAlchemy MetaData.

The asset `[connection, stage, entity]` writes the table `stage.entity`; rows of all
connections share it and carry the connection, the partition and the run that wrote them.
The schemas: `syspro` and `cin7` hold rows as extracted, `mapping` the validated tables,
`plan` the wanted writes, `push` their outcomes, `tie_out` the comparison, `ledger` what we
ever wrote outside, `control` secrets and budgets.

What must not come in: queries, rules.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from mlc_pipeline.syspro.entities import ENTITIES, SCALES, Entity

SCHEMAS = ("syspro", "cin7", "mapping", "plan", "push", "tie_out", "ledger", "control")

metadata = sa.MetaData()

MONEY = sa.Numeric(18, 4)
"""Amounts we compute: 4 decimals, because Cin7 totals a line to at most 4."""

_TIME = sa.DateTime(timezone=True)


def _stamped(*key: sa.Column[Any]) -> list[sa.Column[Any]]:
    """Columns that every staged row carries, before its own."""
    return [
        sa.Column("connection", sa.Text, primary_key=True),
        *key,
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("extracted_at", _TIME, nullable=False, server_default=sa.func.now()),
    ]


def _sql_type(kind: str) -> sa.types.TypeEngine[Any]:
    if kind in SCALES:
        return sa.Numeric(*SCALES[kind])
    return sa.Date() if kind == "date" else sa.Text()


def _syspro_table(entity: Entity) -> sa.Table:
    """Return the staged table of a logical entity; `partition` is its home partition."""
    columns = [
        sa.Column(
            column.name,
            _sql_type(column.kind),
            primary_key=column.name in entity.key,
            nullable=column.name not in entity.key,
        )
        for column in entity.columns
    ]
    return sa.Table(
        entity.name,
        metadata,
        *_stamped(),
        sa.Column("partition", sa.Date, nullable=True),
        *columns,
        schema="syspro",
    )


SYSPRO: dict[str, sa.Table] = {name: _syspro_table(entity) for name, entity in ENTITIES.items()}
"""Staged SYSPRO tables by logical entity name."""

for _table in SYSPRO.values():
    if "post_date" in _table.c or "invoice_date" in _table.c or "order_date" in _table.c:
        sa.Index(f"ix_{_table.name}_partition", _table.c.connection, _table.c.partition)
sa.Index(
    "ix_postings_invoice",
    SYSPRO["postings"].c.connection,
    SYSPRO["postings"].c.supplier,
    SYSPRO["postings"].c.invoice,
)
sa.Index(
    "ix_receipts_order", SYSPRO["receipts"].c.connection, SYSPRO["receipts"].c.purchase_order
)
sa.Index(
    "ix_receipt_matches_invoice",
    SYSPRO["receipt_matches"].c.connection,
    SYSPRO["receipt_matches"].c.supplier,
    SYSPRO["receipt_matches"].c.invoice,
)

rejected_rows = sa.Table(
    "rejected_rows",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("entity", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("partition", sa.Date, nullable=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("row", JSONB, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("extracted_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="syspro",
    comment="Rows that could not be staged, whole, with the reason; held, never dropped.",
)

counterparts = sa.Table(
    "counterparts",
    metadata,
    *_stamped(),
    sa.Column("partition", sa.Date, primary_key=True),
    sa.Column("entity", sa.Text, primary_key=True),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("found", sa.Integer, nullable=False),
    schema="syspro",
    comment="Rows read by key because a document of the partition needs them.",
)


def _reference(name: str, key: str, *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        *_stamped(sa.Column(key, sa.Text, primary_key=True)),
        *columns,
        sa.Column("raw", JSONB, nullable=False),
        schema="cin7",
    )


CIN7: dict[str, sa.Table] = {
    "accounts": _reference(
        "accounts",
        "code",
        sa.Column("name", sa.Text),
        sa.Column("account_type", sa.Text),
        sa.Column("account_class", sa.Text),
        sa.Column("status", sa.Text),
        sa.Column("system_account", sa.Text),
    ),
    "suppliers": _reference(
        "suppliers",
        "id",
        sa.Column("name", sa.Text),
        sa.Column("normalised_name", sa.Text, index=True),
        sa.Column("currency", sa.Text),
        sa.Column("tax_number", sa.Text),
        sa.Column("status", sa.Text),
        sa.Column("marker", sa.Text),
    ),
    "products": _reference(
        "products",
        "id",
        sa.Column("sku", sa.Text, index=True),
        sa.Column("name", sa.Text),
        sa.Column("product_type", sa.Text),
        sa.Column("status", sa.Text),
    ),
    "tax_rules": _reference(
        "tax_rules",
        "name",
        sa.Column("account", sa.Text),
        sa.Column("active", sa.Boolean),
        sa.Column("percent", sa.Numeric(9, 4)),
        sa.Column("for_purchase", sa.Boolean),
    ),
    "payment_terms": _reference(
        "payment_terms", "name", sa.Column("active", sa.Boolean), sa.Column("days", sa.Integer)
    ),
    "locations": _reference("locations", "name", sa.Column("deprecated", sa.Boolean)),
    "settings": _reference(
        "settings",
        "company",
        sa.Column("currency", sa.Text),
        sa.Column("lock_date", sa.Date),
        sa.Column("tax_calculation_method", sa.Text),
    ),
}
"""Cin7 reference books by name."""


def _mapping(name: str, key: str, *columns: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        *_stamped(sa.Column("match", sa.Text, primary_key=True, server_default="exact")),
        sa.Column(key, sa.Text, primary_key=True),
        sa.Column("valid_from", sa.Date, primary_key=True, server_default="0001-01-01"),
        *[sa.Column(column, sa.Text, nullable=False) for column in columns],
        sa.Column("valid_to", sa.Date, nullable=False, server_default="9999-12-31"),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        schema="mapping",
    )


MAPPING: dict[str, sa.Table] = {
    "gl_accounts": _mapping("gl_accounts", "syspro_code", "cin7_account", "role"),
    "cost_centres": _mapping("cost_centres", "syspro_cost_centre", "cin7_value"),
    "tax_codes": _mapping("tax_codes", "syspro_tax_code", "cin7_tax_rule"),
    "payment_terms": _mapping("payment_terms", "syspro_terms_code", "cin7_payment_term"),
    "currencies": _mapping("currencies", "syspro_currency", "iso_code"),
    "warehouses": _mapping("warehouses", "syspro_warehouse", "cin7_location"),
}
"""Validated mapping tables by name."""

_DOCUMENT_KINDS = ("suppliers", "syspro_suppliers", "purchases", "invoices")


def _plan(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("partition", sa.Date, primary_key=True),
        sa.Column("source_key", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("home", sa.Date, nullable=True, comment="the document's own date"),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=True),
        sa.Column("reason_code", sa.Text, nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
        sa.Column("supplier", sa.Text, nullable=True),
        sa.Column("amount", MONEY, nullable=False),
        sa.Column("currency", sa.Text, nullable=True),
        sa.Column("content", JSONB, nullable=True, comment="the wanted document"),
        sa.Column("content_hash", sa.Text, nullable=True),
        sa.Column("difference", JSONB, nullable=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("planned_at", _TIME, nullable=False, server_default=sa.func.now()),
        schema="plan",
    )


PLAN: dict[str, sa.Table] = {kind: _plan(kind) for kind in _DOCUMENT_KINDS}
"""The wanted writes, one row a document and partition."""


def _push(name: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("partition", sa.Date, primary_key=True),
        sa.Column("source_key", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason_code", sa.Text, nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
        sa.Column("supplier", sa.Text, nullable=True),
        sa.Column("amount", MONEY, nullable=False),
        sa.Column("currency", sa.Text, nullable=True),
        sa.Column("cin7_id", sa.Text, nullable=True),
        sa.Column("cin7_number", sa.Text, nullable=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("pushed_at", _TIME, nullable=False, server_default=sa.func.now()),
        schema="push",
    )


PUSH: dict[str, sa.Table] = {kind: _push(kind) for kind in _DOCUMENT_KINDS}
"""What became of each planned document."""

tie_out = sa.Table(
    "ap",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("partition", sa.Date, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("cost_centre", sa.Text, primary_key=True),
    sa.Column("supplier", sa.Text, primary_key=True, comment="SYSPRO's code"),
    sa.Column(
        "syspro", MONEY, nullable=False, comment="postings of documents that are in Cin7"
    ),
    sa.Column(
        "cin7", MONEY, nullable=False, comment="the same documents as Cin7 answered them"
    ),
    sa.Column("rounding", MONEY, nullable=False, comment="cents of converting currencies"),
    sa.Column("documents", sa.Integer, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("compared_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="tie_out",
)

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("source_key", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("cin7_id", sa.Text, nullable=True, comment="supplier id or purchase id"),
    sa.Column("task_id", sa.Text, nullable=True, comment="the invoice's or receipt's task"),
    sa.Column("cin7_number", sa.Text, nullable=True),
    sa.Column("content_hash", sa.Text, nullable=True, comment="of the last completed write"),
    sa.Column("content", JSONB, nullable=True, comment="the document as last written"),
    sa.Column("answered", JSONB, nullable=True, comment="amounts per account as Cin7 answered"),
    sa.Column("home", sa.Date, nullable=True),
    sa.Column("amount", MONEY, nullable=False),
    sa.Column("currency", sa.Text, nullable=True),
    sa.Column("reason", sa.Text, nullable=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="ledger",
)
sa.Index("ix_documents_cin7_id", documents.c.connection, documents.c.cin7_id)
sa.Index(
    "uq_documents_supplier_link",
    documents.c.connection,
    documents.c.cin7_id,
    unique=True,
    postgresql_where=sa.text("kind = 'supplier' AND cin7_id IS NOT NULL"),
)
sa.Index(
    "uq_documents_order_link",
    documents.c.connection,
    documents.c.cin7_id,
    unique=True,
    postgresql_where=sa.text("kind = 'purchase_order' AND cin7_id IS NOT NULL"),
)

writes = sa.Table(
    "writes",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("source_key", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("request_hash", sa.Text, nullable=False),
    sa.Column("target_id", sa.Text, nullable=True),
    sa.Column("reason", sa.Text, nullable=True),
    sa.Column("partition", sa.Date, nullable=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("intended_at", _TIME, nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("finished_at", _TIME, nullable=True),
    sa.Column(
        "state_since",
        _TIME,
        nullable=False,
        server_default=sa.func.clock_timestamp(),
        comment="when it came to its state",
    ),
    schema="ledger",
    comment="One row per intended call that writes outside, with what is known of it.",
)
sa.Index("ix_writes_document", writes.c.connection, writes.c.kind, writes.c.source_key)
sa.Index(
    "uq_writes_open",
    writes.c.connection,
    writes.c.kind,
    writes.c.source_key,
    unique=True,
    postgresql_where=sa.text("state IN ('intended', 'uncertain', 'differs', 'quarantined')"),
)
sa.Index(
    "ix_documents_target",
    documents.c.task_id,
    postgresql_where=sa.text("task_id IS NOT NULL"),
)
sa.Index("ix_documents_number", documents.c.cin7_number)
sa.Index("ix_documents_source_key", documents.c.source_key)
sa.Index("ix_documents_cin7", documents.c.cin7_id)
sa.Index("ix_writes_source_key", writes.c.source_key)
sa.Index("ix_postings_journal", SYSPRO["postings"].c.journal)
sa.Index("ix_postings_invoice_number", SYSPRO["postings"].c.invoice)
sa.Index("ix_invoices_number", SYSPRO["invoices"].c.invoice)
sa.Index("ix_invoices_journal", SYSPRO["invoices"].c.journal)
sa.Index("ix_receipts_grn", SYSPRO["receipts"].c.grn)
for _tables in (PLAN, PUSH):
    for _table in _tables.values():
        sa.Index(f"ix_{_table.schema}_{_table.name}_source_key", _table.c.source_key)

secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("nonce", sa.LargeBinary, nullable=False),
    sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="control",
)

call_budgets = sa.Table(
    "call_budgets",
    metadata,
    sa.Column("budget", sa.Text, primary_key=True),
    sa.Column("next_call_at", _TIME, nullable=True),
    sa.Column("blocked_until", _TIME, nullable=True),
    sa.Column("calls", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("throttled", sa.BigInteger, nullable=False, server_default="0"),
    schema="control",
)

cycle_steps = sa.Table(
    "cycle_steps",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("rows", sa.Integer, nullable=False, server_default="0"),
    sa.Column("syspro_calls", sa.Integer, nullable=False, server_default="0"),
    sa.Column("cin7_calls", sa.Integer, nullable=False, server_default="0"),
    sa.Column("cin7_writes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("waited_seconds", sa.Numeric(12, 3), nullable=False, server_default="0"),
    sa.Column("seconds", sa.Numeric(12, 3), nullable=False, server_default="0"),
    sa.Column("finished_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="control",
    comment="What each step of a cycle cost.",
)
