"""The audit trail, what stands held, what was found in Cin7, and indexes to look up by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_MONEY = sa.Numeric(precision=18, scale=4)

_OPEN_BEFORE = "state IN ('intended', 'uncertain')"
_OPEN = "state IN ('intended', 'uncertain', 'differs', 'quarantined')"
_DOCUMENT = ("connection", "kind", "source_key")

_APPEND_ONLY = """
CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger.audit_events is append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'What was done stays told; a correction is another event.';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.audit_events
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON ledger.audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON ledger.audit_events FROM PUBLIC, CURRENT_USER;
"""

_INDEXES = (
    ("ix_audit_events_document", "audit_events", [*_DOCUMENT, "seq"], "ledger"),
    ("ix_audit_events_source_key", "audit_events", ["source_key"], "ledger"),
    ("ix_holds_reason", "holds", ["connection", "reason_code"], "ledger"),
    ("ix_holds_source_key", "holds", ["source_key"], "ledger"),
    ("ix_findings_source_key", "findings", ["source_key"], "ledger"),
    ("ix_documents_number", "documents", ["cin7_number"], "ledger"),
    ("ix_documents_source_key", "documents", ["source_key"], "ledger"),
    ("ix_documents_cin7", "documents", ["cin7_id"], "ledger"),
    ("ix_writes_source_key", "writes", ["source_key"], "ledger"),
    ("ix_postings_journal", "postings", ["journal"], "syspro"),
    ("ix_postings_invoice_number", "postings", ["invoice"], "syspro"),
    ("ix_invoices_number", "invoices", ["invoice"], "syspro"),
    ("ix_invoices_journal", "invoices", ["journal"], "syspro"),
    ("ix_receipts_grn", "receipts", ["grn"], "syspro"),
    *(
        (f"ix_{schema}_{kind}_source_key", kind, ["source_key"], schema)
        for schema in ("plan", "push")
        for kind in ("suppliers", "purchases", "invoices")
    ),
)


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "audit_events",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column(
            "seq",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="place in the connection's chain, from 1",
        ),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("partition", sa.Date(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True, comment="the person; null: a run"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("target_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True, comment="the call, for events about one"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("request_digest", sa.Text(), nullable=True),
        sa.Column("answer_digest", sa.Text(), nullable=True),
        sa.Column("before_digest", sa.Text(), nullable=True, comment="of the ledger's record"),
        sa.Column("after_digest", sa.Text(), nullable=True, comment="of the ledger's record"),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "seq"),
        schema="ledger",
        comment="What the product did and decided, append-only, chained by hash.",
    )
    op.create_table(
        "audit_heads",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("connection"),
        schema="ledger",
        comment="Where each chain ends; the row that two writers of a chain queue for.",
    )
    _create_holds()
    _create_comparison()
    op.add_column(
        "writes",
        sa.Column(
            "state_since",
            _TIME,
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when it came to its state",
        ),
        schema="ledger",
    )
    op.execute("UPDATE ledger.writes SET state_since = coalesce(finished_at, intended_at)")
    op.drop_index("uq_writes_open", table_name="writes", schema="ledger")
    op.create_index(
        "uq_writes_open",
        "writes",
        list(_DOCUMENT),
        unique=True,
        schema="ledger",
        postgresql_where=sa.text(_OPEN),
    )
    op.create_table_comment(
        "writes",
        "One row per intended call that writes outside, with what is known of it.",
        existing_comment="One row per intended call that writes outside: the audit trail.",
        schema="ledger",
    )
    op.create_index(
        "ix_documents_target",
        "documents",
        ["task_id"],
        schema="ledger",
        postgresql_where=sa.text("task_id IS NOT NULL"),
    )
    for name, table, columns, schema in _INDEXES:
        op.create_index(name, table, columns, schema=schema)
    op.execute(_APPEND_ONLY)


def _create_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("partition", sa.Date(), nullable=False, comment="the day that counts it"),
        sa.Column("outcome", sa.Text(), nullable=False, comment="held, waiting or failed"),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("supplier", sa.Text(), nullable=True),
        sa.Column("amount", _MONEY, nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("since", _TIME, nullable=False, comment="held for this reason since"),
        sa.Column("seen_at", _TIME, nullable=False, comment="last judged"),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(*_DOCUMENT),
        schema="ledger",
        comment="What stands held, waiting or failed now; what was released is gone from it.",
    )


def _create_comparison() -> None:
    op.create_table(
        "purchases_seen",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("purchase_id", sa.Text(), nullable=False),
        sa.Column(
            "version", sa.Text(), nullable=False, comment="Cin7's LastUpdatedDate, as sent"
        ),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("marker", sa.Text(), nullable=True, comment="null: it carries none of ours"),
        sa.Column("seen_at", _TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("connection", "purchase_id"),
        schema="ledger",
        comment="Purchases whose details were read to compare them; read again when they "
        "change.",
    )
    op.create_table(
        "findings",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("finding", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("cin7_id", sa.Text(), nullable=True),
        sa.Column("cin7_number", sa.Text(), nullable=True),
        sa.Column("home", sa.Date(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("since", _TIME, nullable=False, comment="first found"),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "finding", "kind", "source_key"),
        schema="ledger",
        comment="Where ledger and Cin7 disagree, as the last comparison found it.",
    )


def downgrade() -> None:
    """Refuse: the trail of what was done is not thrown away."""
    raise RuntimeError(
        f"there is no way back below 0002 (open writes were {_OPEN_BEFORE}): it would drop "
        "the audit trail; restore the database from its backup if you mean it"
    )
