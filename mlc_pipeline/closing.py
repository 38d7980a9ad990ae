"""Closes a period: opens both systems, examines, writes the report, records the closing.

What must not come in: the comparison, how the report looks, printing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from mlc_pipeline.assets.common import Site, plan_context
from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.instance import dagster_home
from mlc_pipeline.report.period import write_report
from mlc_pipeline.report.place import report_folder
from mlc_pipeline.sync.close import Closing, examine
from mlc_pipeline.sync.closings import record_closing
from mlc_pipeline.sync.period import Period

READY, FAILED, NOT_READY = 0, 1, 3
"""Exit codes of a close."""


@dataclass(frozen=True)
class Closed:
    """What came of a close: everything known, where its report is, whether it was recorded."""

    closing: Closing
    page: Path
    is_recorded: bool

    @property
    def exit_code(self) -> int:
        """0 ready, 3 not."""
        return READY if self.closing.is_ready else NOT_READY


def close_period(
    connection: Connection,
    folder: Path,
    period: Period,
    *,
    full: bool = False,
    record: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    environ: Mapping[str, str] = os.environ,
    now: datetime | None = None,
) -> Closed:
    """Examine a period, write its report, and record that it is closed when that is wanted.

    Args:
        connection: whose period.
        folder: the connection's folder.
        period: the days.
        full: read every purchase of the period from Cin7.
        record: record the closing, if the period is ready and not closed yet.
        progress: told of each purchase read.
        environ: the environment.
        now: the moment; today's in the connection's time zone.

    Raises:
        LookupError: the connection was never synchronised.
        Cin7Error: Cin7 could not be read.
    """
    site, runtime = Site(connection, folder), Runtime(environ)
    try:
        client = runtime.cin7(connection)
        closing = examine(
            runtime.engine,
            connection.name,
            period,
            plan_context(runtime, site),
            client,
            now=now or datetime.now(ZoneInfo(connection.time_zone)),
            full=full,
            progress=progress,
        )
        closing.calls = client.counter.calls
        is_recorded = record and closing.is_ready and closing.closed_at is None
        if is_recorded:
            closing.closed_at = record_closing(
                runtime.engine, connection.name, period.name, period.first, period.last
            )
    finally:
        runtime.close()
    place = report_folder(environ, connection.name, period.name)
    page = write_report(closing, place, connection.cin7.link)
    _observe(site, closing, page, environ)
    return Closed(closing, page, is_recorded)


def _observe(site: Site, closing: Closing, page: Path, environ: Mapping[str, str]) -> None:
    """Show the report beside the tie-out in the Dagster UI, on the period's last day."""
    observation = dg.AssetObservation(
        site.key("tie_out", "ap"),
        partition=str(closing.period.last),
        description=f"close of {closing.period.name}",
        metadata={
            "period": closing.period.name,
            "ready": closing.is_ready,
            "report": dg.MetadataValue.path(str(page)),
            "reasons": dg.MetadataValue.md(
                "\n".join(f"- {reason}" for reason in closing.reasons) or "ready to close"
            ),
        },
    )
    with dg.DagsterInstance.from_config(str(dagster_home(environ))) as instance:
        instance.report_runless_asset_event(observation)
