"""Tables of the daily operation: what was seen and found, alerts, backfills.

They stand in the schema `control` and share the metadata of `tables`.

What must not come in: queries, rules.
"""

from __future__ import annotations

import sqlalchemy as sa

from mlc_pipeline.staging.tables import metadata

_TIME = sa.DateTime(timezone=True)

fingerprints = sa.Table(
    "fingerprints",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("entity", sa.Text, primary_key=True),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("amount", sa.Numeric(18, 4), nullable=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("pushed_at", _TIME, nullable=False, server_default=sa.func.clock_timestamp()),
    schema="control",
    comment="What a day was pushed from last: count, sum and hash of its rows.",
)

read_days = sa.Table(
    "read_days",
    metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("entity", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("read_at", _TIME, nullable=False, comment="when the last reading began"),
    schema="control",
    comment="When SYSPRO was last read for a day; a day without rows has one too.",
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("what", sa.Text, nullable=False, comment="entities, counts and sums that differ"),
    sa.Column("found", sa.Text, nullable=False, comment="hash of what SYSPRO has now"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("noticed_at", _TIME, nullable=False, server_default=sa.func.clock_timestamp()),
    schema="control",
    comment="Days on which SYSPRO was found to differ from what was pushed last.",
)
sa.Index("ix_changes_connection", changes.c.connection, changes.c.id)
sa.Index("ix_changes_day", changes.c.connection, changes.c.day)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, comment="open or recovered"),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("remedy", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=True, comment="the run that showed it last"),
    sa.Column("first_day", sa.Date, nullable=True),
    sa.Column("last_day", sa.Date, nullable=True),
    sa.Column("times", sa.Integer, nullable=False, server_default="1"),
    sa.Column("opened_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("last_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("recovered_at", _TIME, nullable=True),
    schema="control",
    comment="One row a cause, from its first sight until it is over.",
)
sa.Index(
    "uq_alerts_open",
    alerts.c.connection,
    alerts.c.cause,
    unique=True,
    postgresql_where=sa.text("state = 'open'"),
)

alert_messages = sa.Table(
    "alert_messages",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("alert_id", sa.BigInteger, nullable=False),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False, comment="webhook or email"),
    sa.Column("what", sa.Text, nullable=False, comment="raised or recovered"),
    sa.Column("state", sa.Text, nullable=False, comment="pending, delivered or given_up"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("problem", sa.Text, nullable=True),
    sa.Column("delivered_at", _TIME, nullable=True),
    sa.UniqueConstraint("alert_id", "channel", "what", name="uq_alert_messages_once"),
    schema="control",
    comment="What was to be told of an alert, by which channel, and whether it was.",
)
sa.Index("ix_alert_messages_pending", alert_messages.c.connection, alert_messages.c.state)

backfills = sa.Table(
    "backfills",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("first", sa.Date, nullable=False),
    sa.Column("last", sa.Date, nullable=False),
    sa.Column("step", sa.Text, nullable=False, comment="month, day or whole: days a run"),
    sa.Column("started_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("finished_at", _TIME, nullable=True),
    schema="control",
    comment="Backfills of the command line; one without an end is resumed.",
)
sa.Index("ix_backfills_connection", backfills.c.connection)

backfill_chunks = sa.Table(
    "backfill_chunks",
    metadata,
    sa.Column("backfill_id", sa.BigInteger, primary_key=True),
    sa.Column("first", sa.Date, primary_key=True),
    sa.Column("last", sa.Date, nullable=False),
    sa.Column("run_id", sa.Text, nullable=True),
    sa.Column("exit_code", sa.Integer, nullable=True, comment="0 done, 3 held, 1 failed"),
    sa.Column("documents", sa.Integer, nullable=True),
    sa.Column("cin7_calls", sa.Integer, nullable=True),
    sa.Column("seconds", sa.Numeric(12, 3), nullable=True),
    sa.Column("finished_at", _TIME, nullable=True),
    schema="control",
    comment="The days of one run of a backfill, and what came of it.",
)
