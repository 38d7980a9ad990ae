"""When SYSPRO was last read for a day: a month is closed on days that were over by then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "read_days",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column(
            "read_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when the last reading began",
        ),
        sa.PrimaryKeyConstraint("connection", "entity", "day"),
        schema="control",
        comment="When SYSPRO was last read for a day; a day without rows has one too.",
    )
    # Of the days before this table the moment they were compared is the best that is known.
    op.execute(
        "INSERT INTO control.read_days (connection, entity, day, run_id, read_at) "
        "SELECT connection, entity, partition, run_id, compared_at FROM tie_out.days "
        "CROSS JOIN (VALUES ('invoices'), ('postings')) AS read (entity)"
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("read_days", schema="control")
