"""The small jobs beside the cycle: watch the past, log off a session that was left open.

A sensor must answer within a minute and may not wait for another system; what asks SYSPRO
is a run of its own, whose result a sensor reads.

What must not come in: when they run, what is done about what they find.
"""

from datetime import date, timedelta
from typing import Any

import dagster as dg

from mlc_pipeline.assets.common import Site, plain, runtime_of, stamp_of
from mlc_pipeline.staging.watch import Watch, note_changes
from mlc_pipeline.syspro.errors import OperatorBusy


def watch_window(site: Site, today: date) -> tuple[date, date]:
    """Return the days to watch: those before the look-back, which each cycle reads anyway."""
    last = today - timedelta(days=site.connection.schedule.look_back_days + 1)
    first = max(today - timedelta(days=site.connection.watch.days), site.connection.start_date)
    return first, last


def watch_job(site: Site) -> dg.JobDefinition:
    """Return the job that compares SYSPRO's past with what was pushed."""

    @dg.op(
        name=f"{site.name}_look",
        required_resource_keys={"runtime"},
        config_schema={"today": str},
    )
    @plain
    def look(context: dg.OpExecutionContext) -> None:
        runtime, stamp = runtime_of(context), stamp_of(context, site)
        first, last = watch_window(site, date.fromisoformat(context.op_config["today"]))
        # A watch that could not look is red: green would say that nothing has changed.
        extraction = runtime.extraction(site.connection, context.run.run_id)
        with runtime.step(site.connection, context.run.run_id, "watch") as cost:
            result = Watch(extraction, first, last).look()
            cost.rows = result.rows
        runtime.close_syspro(site.connection)
        noted = note_changes(runtime.engine, stamp, result)
        for day, what in sorted(result.days.items()):
            context.log.info("%s: %s", day, "; ".join(what))
        context.log.info(
            "%d rows of %s to %s, %d SYSPRO calls: %d days differ, %d of them are new",
            result.rows,
            first,
            last,
            cost.syspro_calls,
            len(result.days),
            noted,
        )

    @dg.job(
        name=f"{site.name}_watch",
        description="Looks for days that appeared, changed or vanished in SYSPRO since they "
        "were pushed. Asks SYSPRO alone, in a few calls.",
        tags={"connection": site.name},
    )
    def watch() -> None:
        look()

    return watch


def log_off_job(site: Site) -> dg.JobDefinition:
    """Return the job that logs off a SYSPRO session that a dead run left."""

    @dg.op(name=f"{site.name}_log_off_session", required_resource_keys={"runtime"})
    def log_off_session(context: dg.OpExecutionContext) -> None:
        try:
            was_there = runtime_of(context).discard_session(site.connection)
        except OperatorBusy:
            context.log.info("a run has taken the operator; it ends the session itself")
            return
        context.log.info("logged off" if was_there else "no session was left open")

    @dg.job(
        name=f"{site.name}_log_off",
        description="Logs off the SYSPRO session that a dead run left open.",
        tags={"connection": site.name},
    )
    def log_off() -> None:
        log_off_session()

    return log_off


def small_jobs(site: Site) -> dict[str, Any]:
    """Return the jobs by what they do: watch, log_off."""
    return {"watch": watch_job(site), "log_off": log_off_job(site)}
