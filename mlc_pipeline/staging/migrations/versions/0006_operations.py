"""Tables of the daily operation: fingerprints, changes, alerts, backfills."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "alert_messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False, comment="webhook or email"),
        sa.Column("what", sa.Text(), nullable=False, comment="raised or recovered"),
        sa.Column("state", sa.Text(), nullable=False, comment="pending, delivered or given_up"),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "next_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("alert_id", "channel", "what", name="uq_alert_messages_once"),
        schema="control",
        comment="What was to be told of an alert, by which channel, and whether it was.",
    )
    op.create_index(
        "ix_alert_messages_pending",
        "alert_messages",
        ["connection", "state"],
        unique=False,
        schema="control",
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="open or recovered"),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True, comment="the run that showed it last"),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("times", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "last_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("recovered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="control",
        comment="One row a cause, from its first sight until it is over.",
    )
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["connection", "cause"],
        unique=True,
        schema="control",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "backfill_chunks",
        sa.Column("backfill_id", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True, comment="0 done, 3 held, 1 failed"),
        sa.Column("documents", sa.Integer(), nullable=True),
        sa.Column("cin7_calls", sa.Integer(), nullable=True),
        sa.Column("seconds", sa.Numeric(precision=12, scale=3), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("backfill_id", "first"),
        schema="control",
        comment="The days of one run of a backfill, and what came of it.",
    )
    op.create_table(
        "backfills",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("last", sa.Date(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False, comment="month, day or whole: days a run"),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="control",
        comment="Backfills of the command line; one without an end is resumed.",
    )
    op.create_index(
        "ix_backfills_connection", "backfills", ["connection"], unique=False, schema="control"
    )
    op.create_table(
        "changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column(
            "what", sa.Text(), nullable=False, comment="entities, counts and sums that differ"
        ),
        sa.Column("found", sa.Text(), nullable=False, comment="hash of what SYSPRO has now"),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column(
            "noticed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="control",
        comment="Days on which SYSPRO was found to differ from what was pushed last.",
    )
    op.create_index(
        "ix_changes_connection", "changes", ["connection", "id"], unique=False, schema="control"
    )
    op.create_index(
        "ix_changes_day", "changes", ["connection", "day"], unique=False, schema="control"
    )
    op.create_table(
        "fingerprints",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column(
            "pushed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("connection", "day", "entity"),
        schema="control",
        comment="What a day was pushed from last: count, sum and hash of its rows.",
    )


def downgrade() -> None:
    """Undo the change."""
    op.drop_table("fingerprints", schema="control")
    op.drop_index("ix_changes_day", table_name="changes", schema="control")
    op.drop_index("ix_changes_connection", table_name="changes", schema="control")
    op.drop_table("changes", schema="control")
    op.drop_index("ix_backfills_connection", table_name="backfills", schema="control")
    op.drop_table("backfills", schema="control")
    op.drop_table("backfill_chunks", schema="control")
    op.drop_index(
        "uq_alerts_open",
        table_name="alerts",
        schema="control",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_table("alerts", schema="control")
    op.drop_index("ix_alert_messages_pending", table_name="alert_messages", schema="control")
    op.drop_table("alert_messages", schema="control")
