"""One sync cycle in the foreground, and what came of it.

What must not come in: printing, arguments; they are the command line's.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import sqlalchemy as sa
from dagster._core.execution.plan.objects import StepFailureData

from mlc_pipeline import database
from mlc_pipeline.assets.runtime import Progress, runtime_resource
from mlc_pipeline.automation.failures import INTERRUPTED
from mlc_pipeline.automation.processes import PROCESS_TAG, end_dead_runs, this_process
from mlc_pipeline.automation.requests import RANGE_END, RANGE_START, TRIGGER, range_tags
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.definitions import build_definitions, job_name
from mlc_pipeline.instance import dagster_home, foreground_instance
from mlc_pipeline.staging.tables import PUSH, cycle_steps, tie_out
from mlc_pipeline.sync.vocabulary import Outcome

PLANNING = ("syspro", "cin7", "mapping", "plan")
"""The stages up to the plan: they write nothing outside."""
WRITING = ("push", "ledger", "tie_out")
"""The stages that write a plan, and compare."""

ALL_DONE, SOMETHING_FAILED, SOMETHING_HELD = 0, 1, 3
"""Exit codes of a cycle."""


@dataclass
class KindSummary:
    """What a cycle did with one kind of document; money per currency, as the document's."""

    outcomes: dict[str, int] = field(default_factory=dict)
    money: dict[str, Decimal] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """How many documents were looked at."""
        return sum(self.outcomes.values())


@dataclass
class Summary:
    """What came of a cycle."""

    connection: str
    run_id: str
    first: date
    last: date
    succeeded: bool
    seconds: float = 0.0
    kinds: dict[str, KindSummary] = field(default_factory=dict)
    stopped: list[dict[str, Any]] = field(default_factory=list)
    syspro_calls: int = 0
    cin7_calls: int = 0
    cin7_writes: int = 0
    waited_seconds: float = 0.0
    posted: Decimal = Decimal(0)
    in_cin7: Decimal = Decimal(0)
    accounts: int = 0
    different: int = 0
    problems: list[str] = field(default_factory=list)

    def count(self, *outcomes: Outcome) -> int:
        """Return how many documents of all kinds had one of the outcomes."""
        return sum(k.outcomes.get(o, 0) for k in self.kinds.values() for o in outcomes)

    @property
    def exit_code(self) -> int:
        """0 all done or unchanged, 3 something held, 1 something failed."""
        if not self.succeeded or self.count(Outcome.FAILED) or self.different:
            return SOMETHING_FAILED
        return SOMETHING_HELD if self.count(Outcome.HELD) else ALL_DONE

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON values; amounts as text."""
        return {
            "connection": self.connection,
            "run_id": self.run_id,
            "first": str(self.first),
            "last": str(self.last),
            "succeeded": self.succeeded,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 1),
            "kinds": {
                name: {
                    "read": kind.read,
                    **{o.value: kind.outcomes.get(o, 0) for o in Outcome},
                    "money": {currency: str(m) for currency, m in kind.money.items()},
                }
                for name, kind in self.kinds.items()
            },
            "syspro_calls": self.syspro_calls,
            "cin7_calls": self.cin7_calls,
            "cin7_writes": self.cin7_writes,
            "waited_seconds": round(self.waited_seconds, 1),
            "tie_out": {
                "accounts": self.accounts,
                "syspro": str(self.posted),
                "cin7": str(self.in_cin7),
                "different_lines": self.different,
            },
            "stopped": [{k: str(v) for k, v in row.items()} for row in self.stopped],
            "problems": self.problems,
        }


def default_window(connection: Connection, now: datetime | None = None) -> tuple[date, date]:
    """Return today and the look-back window, as the schedule takes them."""
    today = (now or datetime.now(ZoneInfo(connection.time_zone))).date()
    first = today - timedelta(days=connection.schedule.look_back_days)
    return max(first, connection.start_date), max(today, connection.start_date)


def run_cycle(
    connection: Connection,
    folder: Path,
    first: date,
    last: date,
    *,
    progress: Progress | None = None,
    environ: Mapping[str, str] = os.environ,
    stages: Collection[str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Summary:
    """Run one cycle over some days in this process, and return what came of it.

    The run is recorded in Dagster's storage like any other and can be seen in the UI.

    Args:
        connection: whose cycle.
        folder: the connection's folder.
        first: first day.
        last: last day, included.
        progress: told of each step.
        environ: the environment.
        stages: the stages to run, such as `PLANNING`; None for all.
        tags: run tags to add.

    Raises:
        KeyboardInterrupt: it was stopped; the session is logged off, the run is red, and the
            next run over its days finishes what it began.
    """
    overrides = {"runtime": runtime_resource(environ, progress)}
    definitions = build_definitions([(connection, folder)], overrides)
    job = definitions.resolve_job_def(job_name(connection.name))
    started = datetime.now(ZoneInfo("UTC"))
    with foreground_instance(environ) as instance:
        end_dead_runs(instance, connection.name)
        result = job.execute_in_process(
            instance=instance,
            tags={
                "connection": connection.name,
                PROCESS_TAG: this_process(),
                TRIGGER: "command",
                **range_tags(first, last),
                **(tags or {}),
            },
            asset_selection=None
            if stages is None
            else [k for k in job.asset_layer.executable_asset_keys if k.path[1] in stages],
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
        problems = list(_problems(result))
    if _was_interrupted(result):
        raise KeyboardInterrupt
    summary = Summary(connection.name, result.run_id, first, last, result.success)
    summary.seconds = (datetime.now(ZoneInfo("UTC")) - started).total_seconds()
    summary.problems = problems
    with database.engine(environ).connect() as reading:
        _read_outcomes(reading, summary)
        _read_costs(reading, summary)
        _read_tie_out(reading, summary)
    return summary


def failed_days(
    connection: str, since: date, environ: Mapping[str, str] = os.environ
) -> set[date]:
    """Return the days of the runs of a connection that failed since a day."""
    days: set[date] = set()
    after = datetime(since.year, since.month, since.day, tzinfo=ZoneInfo("UTC"))
    failed = dg.RunsFilter(
        tags={"connection": connection},
        statuses=[dg.DagsterRunStatus.FAILURE],
        created_after=after,
    )
    with dg.DagsterInstance.from_config(str(dagster_home(environ))) as instance:
        for run in instance.get_runs(failed):
            day = run.tags.get("dagster/partition")
            first, last = run.tags.get(RANGE_START, day), run.tags.get(RANGE_END, day)
            if first and last:
                start, end = date.fromisoformat(first), date.fromisoformat(last)
                days |= {start + timedelta(days=n) for n in range((end - start).days + 1)}
    return days


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Tell whether a person stopped the run: Dagster takes it for a failure like any other."""
    errors = (
        event.step_failure_data.error for event in result.all_events if event.is_step_failure
    )
    return any(error is not None and error.cls_name in INTERRUPTED for error in errors)


def _problems(result: dg.ExecuteInProcessResult) -> Iterable[str]:
    """Yield what failed, each cause once: of steps their root cause, of checks their text."""
    steps: dict[str, list[str]] = {}
    for event in result.all_events:
        if event.is_step_failure:
            steps.setdefault(_cause(event.step_failure_data), []).append(event.step_key or "")
    for text, keys in steps.items():
        others = f" and {len(keys) - 1} other steps" if len(keys) > 1 else ""
        yield f"{keys[0]}{others}: {text}"
    for evaluation in result.get_asset_check_evaluations():
        if not evaluation.passed:
            key = evaluation.asset_key.to_user_string()
            yield f"{key}, check {evaluation.check_name}: {evaluation.description}"


def _cause(failure: StepFailureData) -> str:
    """Return what was said of an expected failure, else the message of the root cause."""
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error else "failed"


_STOPPED = (Outcome.HELD, Outcome.WAITING, Outcome.FAILED)


def _read_outcomes(connection: sa.Connection, summary: Summary) -> None:
    for table in PUSH.values():
        ours = sa.and_(
            table.c.connection == summary.connection, table.c.run_id == summary.run_id
        )
        grouped = sa.select(
            table.c.kind,
            table.c.outcome,
            table.c.currency,
            sa.func.count().label("documents"),
            sa.func.sum(table.c.amount).label("amount"),
        ).where(ours)
        for row in connection.execute(
            grouped.group_by(table.c.kind, table.c.outcome, table.c.currency)
        ):
            kind = summary.kinds.setdefault(row.kind, KindSummary())
            kind.outcomes[row.outcome] = kind.outcomes.get(row.outcome, 0) + row.documents
            if row.amount:
                currency = row.currency or ""
                kind.money[currency] = kind.money.get(currency, Decimal(0)) + row.amount
        columns = (
            "kind",
            "source_key",
            "outcome",
            "amount",
            "currency",
            "reason_code",
            "reason",
        )
        stopped = sa.select(*[table.c[name] for name in columns]).where(
            ours, table.c.outcome.in_(_STOPPED)
        )
        summary.stopped += [dict(r._mapping) for r in connection.execute(stopped)]


def _read_costs(connection: sa.Connection, summary: Summary) -> None:
    total = sa.select(
        *[
            sa.func.coalesce(sa.func.sum(cycle_steps.c[name]), 0).label(name)
            for name in ("syspro_calls", "cin7_calls", "cin7_writes", "waited_seconds")
        ]
    ).where(cycle_steps.c.run_id == summary.run_id)
    row = connection.execute(total).one()
    summary.syspro_calls, summary.cin7_calls = int(row.syspro_calls), int(row.cin7_calls)
    summary.cin7_writes, summary.waited_seconds = (
        int(row.cin7_writes),
        float(row.waited_seconds),
    )


def _read_tie_out(connection: sa.Connection, summary: Summary) -> None:
    ours = sa.and_(
        tie_out.c.connection == summary.connection, tie_out.c.run_id == summary.run_id
    )
    differs = tie_out.c.syspro + tie_out.c.rounding != tie_out.c.cin7
    row = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(tie_out.c.syspro), 0).label("posted"),
            sa.func.coalesce(sa.func.sum(tie_out.c.cin7), 0).label("in_cin7"),
            sa.func.count(tie_out.c.account.distinct()).label("accounts"),
            sa.func.count().filter(differs).label("different"),
        ).where(ours)
    ).one()
    summary.posted, summary.in_cin7 = row.posted, row.in_cin7
    summary.accounts, summary.different = row.accounts, row.different
