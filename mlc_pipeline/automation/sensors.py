"""The sensors of a connection: what changed late, what can be written now, what failed.

Each reads our own database or Dagster's, never another system, asks for exactly the days
concerned, and may be turned off: the cycle, or the daily catching up, brings the rest.

What must not come in: how a change is found, what a run does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from mlc_pipeline.assets.common import Site, plan_context, runtime_of
from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.automation import days
from mlc_pipeline.automation.failures import needs_a_person
from mlc_pipeline.automation.processes import runs_under_way
from mlc_pipeline.automation.requests import (
    TRIGGER,
    Clock,
    days_of,
    is_backfill,
    now,
    ranges,
    request,
)
from mlc_pipeline.staging.watch import open_changes
from mlc_pipeline.sync.resolved import held_days, is_resolved, state_of_references

MOST_HELD_DAYS = 40
"""Days that one tick plans again; the next tick goes on after them."""

RETRY_MINUTES = (5, 15, 45, 135, 405)
"""How long after each failure a day is tried again; after the last one it is left."""

_LEFT_AFTER = timedelta(minutes=2)
_FAILED_RUNS = 25


def _options(site: Site, name: str, job: Any, seconds: int) -> dict[str, Any]:
    is_on = site.connection.schedule.enabled
    status = dg.DefaultSensorStatus
    return {
        "name": f"{site.name}_{name}",
        "job": job,
        "minimum_interval_seconds": seconds,
        "default_status": status.RUNNING if is_on else status.STOPPED,
        "required_resource_keys": {"runtime"},
        "tags": {"connection": site.name},
    }


# --- late and changed ------------------------------------------------------------------


def late_requests(site: Site, runtime: Runtime, after: int) -> tuple[list[dg.RunRequest], int]:
    """Return requests for the days that the watch found changed, and the last change seen.

    A day that was pushed since it was noticed is not asked for: its change is in.
    """
    found = open_changes(runtime.engine, site.name, after)
    newest = {change.day: change.id for change in found}
    asked = []
    for first, last in ranges(newest):
        version = max(number for day, number in newest.items() if first <= day <= last)
        asked.append(request(site.connection, "late", version, first, last))
    return asked, max((change.id for change in found), default=after)


def _late_and_changed(site: Site, job: Any) -> dg.SensorDefinition:
    @dg.sensor(
        **_options(site, "late_and_changed", job, 60),
        description="Runs the days on which the watch found a document that appeared, "
        "changed or vanished.",
    )
    def late_and_changed(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        asked, seen = late_requests(site, runtime_of(context), int(context.cursor or 0))
        if not asked:
            reason = f"no changed day past number {seen}"
            return dg.SensorResult(skip_reason=reason, cursor=str(seen))
        return dg.SensorResult(run_requests=asked, cursor=str(seen))

    return late_and_changed


# --- held resolved ---------------------------------------------------------------------


def _state(site: Site, runtime: Runtime, planned: list[datetime]) -> str:
    """Return a text that changes when something changed that holds documents."""
    files = [
        f"{path.name}:{path.stat().st_mtime_ns}:{path.stat().st_size}"
        for path in sorted(site.folder.glob("*.csv"))
    ]
    references = state_of_references(runtime.engine, site.name)
    text = "\n".join([*files, references, *map(str, sorted(planned))])
    return hashlib.sha256(text.encode()).hexdigest()


def resolved_requests(
    site: Site, runtime: Runtime, cursor: str | None = None, *, most: int | None = None
) -> tuple[list[dg.RunRequest], str]:
    """Return requests for days with held documents that can be written now, and the cursor.

    At most `most` days are looked at, those after the cursor; None: all of them.
    """
    before = json.loads(cursor) if cursor else {}
    held = held_days(runtime.engine, site.name)
    state = _state(site, runtime, [each.planned_at for each in held])
    is_new = before.get("state") != state
    start = 0 if is_new else int(before.get("next", 0))
    part = held[start:][:most]
    versions: dict[date, datetime] = {}
    context = plan_context(runtime, site) if part else None
    for each in part:
        if context is not None and is_resolved(runtime.engine, each, context):
            versions[each.day] = max(each.planned_at, versions.get(each.day, each.planned_at))
    asked = []
    for first, last in ranges(versions):
        newest = max(at for day, at in versions.items() if first <= day <= last)
        version = f"{newest.isoformat()}"
        asked.append(request(site.connection, "resolved", version, first, last))
    reached = min(start + len(part), len(held)) if part else start
    return asked, json.dumps({"state": state, "next": reached})


def _held_resolved(site: Site, job: Any) -> dg.SensorDefinition:
    @dg.sensor(
        **_options(site, "held_resolved", job, 60),
        description="Runs the days whose held documents can be written now: a mapping, an "
        "account, a product or a supplier that was missing is there.",
    )
    def held_resolved(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        runtime = runtime_of(context)
        asked, cursor = resolved_requests(site, runtime, context.cursor, most=MOST_HELD_DAYS)
        if not asked:
            reason = "nothing that is held can be written yet"
            return dg.SensorResult(skip_reason=reason, cursor=cursor)
        return dg.SensorResult(run_requests=asked, cursor=cursor)

    return held_resolved


# --- retry failed ----------------------------------------------------------------------


def _failed_runs(instance: dg.DagsterInstance, site: Site) -> list[dg.RunRecord]:
    failed = dg.RunsFilter(
        tags={"connection": site.name}, statuses=[dg.DagsterRunStatus.FAILURE]
    )
    return list(instance.get_run_records(failed, limit=_FAILED_RUNS))


def _covers(run: dg.DagsterRun, day: date) -> bool:
    covered = days_of(run)
    return covered is not None and covered[0] <= day <= covered[1]


def _curable(instance: dg.DagsterInstance, site: Site, red: list[date]) -> dict[date, str]:
    """Return the red days that a retry may cure, each with the run that failed last.

    A backfill is resumed by whoever gave it.
    """
    runs = [record.dagster_run for record in _failed_runs(instance, site)]
    hopeless: dict[str, bool] = {}
    found: dict[date, str] = {}
    for day in red:
        run = next((run for run in runs if _covers(run, day)), None)
        if run is None or is_backfill(run):
            continue
        if run.run_id not in hopeless:
            hopeless[run.run_id] = needs_a_person(instance, run)
        if not hopeless[run.run_id]:
            found[day] = run.run_id
    return found


def retry_requests(
    instance: dg.DagsterInstance, site: Site, moment: datetime, cursor: str | None
) -> tuple[list[dg.RunRequest], str]:
    """Return requests for red days whose time has come, and the cursor.

    The cursor keeps, by day, how often it was tried again and when it is due next.
    """
    known: Mapping[str, Any] = json.loads(cursor) if cursor else {}
    today = moment.astimezone(ZoneInfo(site.connection.time_zone)).date()
    red = days.red(days.states(instance, site, today))
    kept: dict[str, dict[str, Any]] = {}
    due: dict[int, dict[date, str]] = {}
    for day, run_id in _curable(instance, site, red).items():
        tried = int(known.get(str(day), {}).get("tried", 0))
        at = known.get(str(day), {}).get("at")
        if at is None:
            at = (moment + timedelta(minutes=RETRY_MINUTES[0])).isoformat()
        elif tried < len(RETRY_MINUTES) and moment >= datetime.fromisoformat(at):
            due.setdefault(tried, {})[day] = run_id
            tried += 1
            wait = RETRY_MINUTES[min(tried, len(RETRY_MINUTES) - 1)]
            at = (moment + timedelta(minutes=wait)).isoformat()
        kept[str(day)] = {"tried": tried, "at": at}
    asked = []
    for tried, which in due.items():
        for first, last in ranges(which):
            version = f"{tried + 1}:{which[first]}"
            asked.append(request(site.connection, "retry", version, first, last))
    return asked, json.dumps(kept, sort_keys=True)


def _retry_failed(site: Site, job: Any, clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        **_options(site, "retry_failed", job, 60),
        description=f"Runs red days again after {', '.join(map(str, RETRY_MINUTES))} minutes, "
        "then leaves them to a person. What a retry cannot cure is not tried.",
    )
    def retry_failed(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        if runs_under_way(context.instance, site.name):
            return dg.SensorResult(
                skip_reason="a run is under way", cursor=context.cursor or "{}"
            )
        asked, cursor = retry_requests(context.instance, site, clock(), context.cursor)
        if not asked:
            waiting = len(json.loads(cursor))
            reason = f"{waiting} red days wait for their time" if waiting else "no day is red"
            return dg.SensorResult(skip_reason=reason, cursor=cursor)
        return dg.SensorResult(run_requests=asked, cursor=cursor)

    return retry_failed


# --- orphaned session ------------------------------------------------------------------


def _orphaned_session(site: Site, job: Any, clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        **_options(site, "orphaned_session", job, 120),
        description="Logs off the SYSPRO session that a dead run left open: it occupies a "
        "licence.",
    )
    def orphaned_session(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        since = runtime_of(context).session_left_since(site.connection)
        if since is None:
            return dg.SensorResult(skip_reason="no session is left open", cursor="")
        if clock() - since < _LEFT_AFTER:
            # A run may be between two of its steps.
            return dg.SensorResult(skip_reason="a session may be in use", cursor="")
        asked = dg.RunRequest(
            run_key=f"log_off:{site.name}:{since.isoformat()}",
            tags={"connection": site.name, TRIGGER: "log_off"},
        )
        return dg.SensorResult(run_requests=[asked], cursor=since.isoformat())

    return orphaned_session


def run_sensors(
    site: Site, jobs: Mapping[str, Any], clock: Clock = now
) -> list[dg.SensorDefinition]:
    """Return the sensors of a connection that ask for runs.

    Args:
        site: the connection.
        jobs: its jobs: sync and log_off.
        clock: tells the time.
    """
    return [
        _late_and_changed(site, jobs["sync"]),
        _held_resolved(site, jobs["sync"]),
        _retry_failed(site, jobs["sync"], clock),
        _orphaned_session(site, jobs["log_off"], clock),
    ]
