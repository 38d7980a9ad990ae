"""The schedules of a connection: the cycle, the watch of the past, the catching up.

What must not come in: what a cycle does, what a watch finds.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from mlc_pipeline.assets.common import Site, runtime_of
from mlc_pipeline.automation import days
from mlc_pipeline.automation.processes import runs_under_way
from mlc_pipeline.automation.requests import TRIGGER, is_backfill, range_tags
from mlc_pipeline.automation.sensors import late_requests, resolved_requests


def _status(site: Site) -> dg.DefaultScheduleStatus:
    is_on = site.connection.schedule.enabled
    return dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED


def _options(site: Site, name: str, cron: str, job: Any) -> dict[str, Any]:
    return {
        "name": f"{site.name}_{name}",
        "job": job,
        "cron_schedule": cron,
        "execution_timezone": site.connection.time_zone,
        "default_status": _status(site),
        "tags": {"connection": site.name},
    }


def _today(context: dg.ScheduleEvaluationContext, site: Site) -> date:
    zone = ZoneInfo(site.connection.time_zone)
    return context.scheduled_execution_time.astimezone(zone).date()


def first_day(site: Site, today: date, due: date) -> date:
    """Return where a cycle begins: the look-back before the first day that is due.

    After days without a cycle the next one covers what each of them would have.
    """
    look_back = timedelta(days=site.connection.schedule.look_back_days)
    return max(min(due, today) - look_back, site.connection.start_date)


def cycle_schedule(site: Site, job: Any) -> dg.ScheduleDefinition:
    """Return the schedule that starts the connection's cycles.

    Every cycle reads the last days again: that is how late postings and changes get in.
    What is unchanged costs no write. A backfill under way does not keep a cycle waiting.
    """
    connection = site.connection

    @dg.schedule(
        **_options(site, "cycle", connection.schedule.cron, job),
        description=f"Today and the {connection.schedule.look_back_days} days before it.",
    )
    def cycle(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = _today(context, site)
        if today < connection.start_date:
            return dg.SkipReason(f"the connection starts on {connection.start_date}")
        under_way = runs_under_way(context.instance, connection.name)
        if any(run.job_name == job.name and not is_backfill(run) for run in under_way):
            return dg.SkipReason(
                "a cycle of this connection is under way; the next one is soon"
            )
        found = days.states(context.instance, site, today)
        due = days.due_since(found, today, filling=any(map(is_backfill, under_way)))
        moment = context.scheduled_execution_time.astimezone(ZoneInfo(connection.time_zone))
        return dg.RunRequest(
            run_key=f"cycle:{connection.name}:{moment.isoformat()}",
            tags={
                "connection": connection.name,
                TRIGGER: "cycle",
                **range_tags(first_day(site, today, due), today),
            },
        )

    return cycle


def watch_schedule(site: Site, job: Any) -> dg.ScheduleDefinition:
    """Return the schedule that looks for days that changed since they were pushed."""
    watch = site.connection.watch

    @dg.schedule(
        **_options(site, "watch", watch.cron, job),
        description=f"Looks for changes in the {watch.days} days before the look-back.",
    )
    def look(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = _today(context, site)
        if today < site.connection.start_date:
            return dg.SkipReason(f"the connection starts on {site.connection.start_date}")
        return dg.RunRequest(
            run_key=f"watch:{site.name}:{context.scheduled_execution_time.isoformat()}",
            run_config={"ops": {f"{site.name}_look": {"config": {"today": str(today)}}}},
            tags={"connection": site.name, TRIGGER: "watch"},
        )

    return look


def catch_up_schedule(site: Site, job: Any) -> dg.ScheduleDefinition:
    """Return the schedule that runs the days that the sensors should have asked for.

    With the sensors on it finds nothing; with one of them off nothing is lost.
    """

    @dg.schedule(
        **_options(site, "catch_up", site.connection.watch.catch_up_cron, job),
        required_resource_keys={"runtime"},
        description="Days that changed or can be written now, if no sensor asked for them.",
    )
    def catch_up(
        context: dg.ScheduleEvaluationContext,
    ) -> list[dg.RunRequest] | dg.SkipReason:
        runtime = runtime_of(context)
        # All of them: a schedule has no cursor to go on from tomorrow.
        resolved, _ = resolved_requests(site, runtime)
        asked = [*late_requests(site, runtime, 0)[0], *resolved]
        return asked or dg.SkipReason("nothing is left to do")

    return catch_up
