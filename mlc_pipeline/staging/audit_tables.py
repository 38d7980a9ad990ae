"""The tables of the proof: the audit trail, what stands held, what was found in Cin7.

`ledger.audit_events` is append-only: a trigger refuses to change, delete or truncate it, and
the owner's rights to do so are revoked (migration 0002). Each event holds the hash of the
one before it; `ledger.audit_heads` is where a connection's chain ends.

What must not come in: queries, rules.
"""

from __future__ import annotations

import sqlalchemy as sa

from mlc_pipeline.staging.tables import MONEY, metadata

_TIME = sa.DateTime(timezone=True)

audit_events = sa.Table(
    "audit_events",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column(
        "seq",
        sa.BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="place in the connection's chain, from 1",
    ),
    sa.Column("at", _TIME, nullable=False),
    sa.Column("partition", sa.Date, nullable=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=True, comment="the person; null: a run"),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("source_key", sa.Text, nullable=False),
    sa.Column("target_id", sa.Text, nullable=True),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=True, comment="the call, for events about one"),
    sa.Column("reason", sa.Text, nullable=True),
    sa.Column("request_digest", sa.Text, nullable=True),
    sa.Column("answer_digest", sa.Text, nullable=True),
    sa.Column("before_digest", sa.Text, nullable=True, comment="of the ledger's record"),
    sa.Column("after_digest", sa.Text, nullable=True, comment="of the ledger's record"),
    sa.Column("previous_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    schema="ledger",
    comment="What the product did and decided, append-only, chained by hash.",
)
sa.Index(
    "ix_audit_events_document",
    audit_events.c.connection,
    audit_events.c.kind,
    audit_events.c.source_key,
    audit_events.c.seq,
)
sa.Index("ix_audit_events_source_key", audit_events.c.source_key)

audit_heads = sa.Table(
    "audit_heads",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    schema="ledger",
    comment="Where each chain ends; the row that two writers of a chain queue for.",
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("source_key", sa.Text, primary_key=True),
    sa.Column("partition", sa.Date, nullable=False, comment="the day that counts it"),
    sa.Column("outcome", sa.Text, nullable=False, comment="held, waiting or failed"),
    sa.Column("reason_code", sa.Text, nullable=True),
    sa.Column("reason", sa.Text, nullable=True),
    sa.Column("supplier", sa.Text, nullable=True),
    sa.Column("amount", MONEY, nullable=False),
    sa.Column("currency", sa.Text, nullable=True),
    sa.Column("since", _TIME, nullable=False, comment="held for this reason since"),
    sa.Column("seen_at", _TIME, nullable=False, comment="last judged"),
    sa.Column("run_id", sa.Text, nullable=False),
    schema="ledger",
    comment="What stands held, waiting or failed now; what was released is gone from it.",
)
sa.Index("ix_holds_reason", holds.c.connection, holds.c.reason_code)
sa.Index("ix_holds_source_key", holds.c.source_key)

purchases_seen = sa.Table(
    "purchases_seen",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("purchase_id", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False, comment="Cin7's LastUpdatedDate, as sent"),
    sa.Column("number", sa.Text, nullable=True),
    sa.Column("status", sa.Text, nullable=True),
    sa.Column("marker", sa.Text, nullable=True, comment="null: it carries none of ours"),
    sa.Column("seen_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="ledger",
    comment="Purchases whose details were read to compare them; read again when they change.",
)

findings = sa.Table(
    "findings",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("finding", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("source_key", sa.Text, primary_key=True),
    sa.Column("cin7_id", sa.Text, nullable=True),
    sa.Column("cin7_number", sa.Text, nullable=True),
    sa.Column("home", sa.Date, nullable=True),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("since", _TIME, nullable=False, comment="first found"),
    sa.Column("seen_at", _TIME, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    schema="ledger",
    comment="Where ledger and Cin7 disagree, as the last comparison found it.",
)
sa.Index("ix_findings_source_key", findings.c.source_key)
