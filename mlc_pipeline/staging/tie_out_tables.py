"""Tables of month-end: what each tied-out day came to, what was closed, what was read back.

What must not come in: queries, rules.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from mlc_pipeline.staging.tables import MONEY, metadata

_TIME = sa.DateTime(timezone=True)

tied_days = sa.Table(
    "days",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("partition", sa.Date, primary_key=True),
    sa.Column("documents", sa.Integer, nullable=False, comment="of the day, in Cin7"),
    sa.Column("syspro", MONEY, nullable=False),
    sa.Column("cin7", MONEY, nullable=False),
    sa.Column("rounding", MONEY, nullable=False),
    sa.Column("differences", sa.Integer, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("compared_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="tie_out",
    comment="One row a day that was read, planned, pushed and compared: the last time.",
)

closings = sa.Table(
    "closings",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("partition", sa.Date, primary_key=True),
    sa.Column("closed_at", _TIME, primary_key=True),
    sa.Column("period", sa.Text, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False, comment="invoices and postings of the day"),
    sa.Column("amount", MONEY, nullable=False, comment="sum of the day's postings"),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column(
        "documents",
        JSONB,
        nullable=False,
        comment="each document of the day: [its own hash, its postings' sum]",
    ),
    sa.Column("reopened_at", _TIME, nullable=True, comment="empty while the closing stands"),
    schema="tie_out",
    comment="The days of closed periods, each with the fingerprint of its staged rows.",
)
sa.Index(
    "uq_closings_standing",
    closings.c.connection,
    closings.c.partition,
    unique=True,
    postgresql_where=sa.text("reopened_at IS NULL"),
)

seen_purchases = sa.Table(
    "seen_purchases",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("cin7_id", sa.Text, primary_key=True),
    sa.Column("last_updated", sa.Text, nullable=False, comment="LastUpdatedDate, as Cin7's"),
    sa.Column("seen_at", _TIME, nullable=False, server_default=sa.func.now()),
    schema="tie_out",
    comment="Purchases found as we wrote them: read again only when touched.",
)
