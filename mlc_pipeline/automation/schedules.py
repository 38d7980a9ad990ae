"""The schedule of a connection: one cycle over today and the look-back window.

What must not come in: what a cycle does.
"""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from mlc_pipeline.automation.processes import runs_under_way
from mlc_pipeline.connection.model import Connection

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def range_tags(first: object, last: object) -> dict[str, str]:
    """Return the run tags that make one run cover a range of partitions."""
    return {RANGE_START: str(first), RANGE_END: str(last)}


def cycle_schedule(connection: Connection, job: Any) -> dg.ScheduleDefinition:
    """Return the schedule that starts the connection's cycles.

    Every cycle reads the last days again: that is how late postings and changes get in.
    What is unchanged costs no write.
    """

    @dg.schedule(
        name=f"{connection.name}_cycle",
        job=job,
        cron_schedule=connection.schedule.cron,
        execution_timezone=connection.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING
        if connection.schedule.enabled
        else dg.DefaultScheduleStatus.STOPPED,
        description=f"Today and the {connection.schedule.look_back_days} days before it.",
        tags={"connection": connection.name},
    )
    def cycle(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        moment = context.scheduled_execution_time.astimezone(ZoneInfo(connection.time_zone))
        today = moment.date()
        if today < connection.start_date:
            return dg.SkipReason(f"the connection starts on {connection.start_date}")
        if runs_under_way(context.instance, connection.name):
            return dg.SkipReason(
                "a cycle of this connection is under way; the next one is soon"
            )
        first = today - timedelta(days=connection.schedule.look_back_days)
        return dg.RunRequest(
            run_key=f"cycle:{connection.name}:{moment.isoformat()}",
            tags={
                "connection": connection.name,
                **range_tags(max(first, connection.start_date), today),
            },
        )

    return cycle
