"""How a run is asked for: its days, what asked for it, how it is named.

What must not come in: when a run is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from mlc_pipeline.assets.reference import BACKFILL
from mlc_pipeline.connection.model import Connection

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
TRIGGER = "mlc/trigger"
"""Run tag: what asked for the run, such as cycle, late, retry, suppliers, backfill."""

Clock = Callable[[], datetime]
"""Tells the time, with a zone."""


def now() -> datetime:
    """Return the time of this machine, in UTC."""
    return datetime.now(UTC)


def range_tags(first: object, last: object) -> dict[str, str]:
    """Return the run tags that make one run cover a range of partitions."""
    return {RANGE_START: str(first), RANGE_END: str(last)}


def days_of(run: dg.DagsterRun) -> tuple[date, date] | None:
    """Return the first and last partition of a run; None when it has none."""
    one = run.tags.get("dagster/partition")
    first, last = run.tags.get(RANGE_START, one), run.tags.get(RANGE_END, one)
    if first is None or last is None:
        return None
    return date.fromisoformat(first), date.fromisoformat(last)


def is_backfill(run: dg.DagsterRun) -> bool:
    """Tell whether a run is part of a backfill, of the UI or of the command line."""
    return BACKFILL in run.tags or "dagster/backfill" in run.tags


def ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """Return the days as ranges without gaps, both ends included."""
    found: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def request(
    connection: Connection, trigger: str, version: object, first: date, last: date
) -> dg.RunRequest:
    """Ask for one run over some days.

    Args:
        connection: whose run.
        trigger: what asks.
        version: what is new about these days. A run key is remembered for ever, so it holds
            the version of the change: the same days may be asked for again for another.
        first: first day.
        last: last day, included.
    """
    return dg.RunRequest(
        run_key=f"{trigger}:{connection.name}:{first}:{last}:{version}",
        tags={
            "connection": connection.name,
            TRIGGER: trigger,
            **range_tags(first, last),
        },
    )
