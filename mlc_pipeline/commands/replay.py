"""`mlc replay` and `mlc accept`: run days again, and record a person's decision.

What must not come in: what a run does, how a document is compared.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import uuid
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlc_pipeline.commands.shared import ConnectionName, chosen_days, err, open_connection, out
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.database import engine
from mlc_pipeline.sync import certificate, holds
from mlc_pipeline.sync import where as lives
from mlc_pipeline.sync.vocabulary import REASONS

if TYPE_CHECKING:  # Dagster takes seconds to load, and most commands do without
    from mlc_pipeline.cycle import Summary

_APART = 3
"""Days between two days that are still run as one range: a run costs more than a day."""

_DIFFERENCES_SHOWN = 50


def replay(
    connection: ConnectionName,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day of a range."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="Last day of the range; else today."),
    ] = None,
    document: Annotated[
        list[str] | None,
        typer.Option(help="The days of a document, by any of its numbers; may be repeated."),
    ] = None,
    held: Annotated[
        str | None, typer.Option(help="The days of everything stopped for this reason.")
    ] = None,
    failed_since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The days of everything failed since."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Run days again and certify what that changed; without options: all that is stopped.

    It is always safe: on unchanged input nothing is written. Exit codes as `mlc sync`.
    """
    from mlc_pipeline.cycle import default_window

    settings, folder = open_connection(connection)
    if held is not None and held not in REASONS:
        raise typer.BadParameter(f"there is no reason {held!r}; see docs/reasons.md")
    if last is not None and first is None:
        raise typer.BadParameter("--to needs --from")
    days: set[date] = set()
    if first is not None:
        days |= set(_range(*chosen_days(settings, first, last)))
    days |= _days(settings, document or [], held, failed_since)
    if not (first or document or held or failed_since):
        with engine().connect() as database:
            days = set(holds.stopped_days(database, connection))
    # A document may be dated before the connection's first day, or after today.
    today = default_window(settings)[1]
    days = {day for day in days if settings.start_date <= day <= today}
    raise typer.Exit(_replay(settings, folder, sorted(days), as_json=as_json))


def _range(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def _days(
    settings: Connection, numbers: list[str], held: str | None, since: datetime | None
) -> set[date]:
    from mlc_pipeline.cycle import failed_days

    days: set[date] = set()
    with engine().connect() as database:
        for number in numbers:
            found = lives.find(database, number, settings.name)
            if not found:
                raise typer.BadParameter(
                    f"nothing of {settings.name} has the number {number!r}"
                )
            for subject in found:
                days |= lives.days_of(database, subject)
        if held is not None:
            days |= set(holds.stopped_days(database, settings.name, reason=held))
        if since is not None:
            stopped = holds.stopped_days(database, settings.name, failed_since=since.date())
            days |= set(stopped) | failed_days(settings.name, since.date())
    return days


def _ranges(days: list[date]) -> list[tuple[date, date]]:
    """Return days as ranges; those that lie close together are one."""
    ranges: list[tuple[date, date]] = []
    for day in days:
        if ranges and (day - ranges[-1][1]).days <= _APART:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges


def _replay(settings: Connection, folder: Path, days: list[date], *, as_json: bool) -> int:
    from mlc_pipeline.cycle import run_cycle

    summaries: list[Summary] = []
    for first, last in _ranges(days):
        with err.status(f"{settings.name}: {first} to {last}"):
            summaries.append(run_cycle(settings, folder, first, last, environ=os.environ))
    with engine().connect() as database:
        runs = [summary.run_id for summary in summaries]
        found = certificate.differences(database, settings.name, runs)
    code = max((s.exit_code for s in summaries), key=_gravity, default=0)
    if as_json:
        said = {
            "certificate": certificate.certificate(found),
            "differences": [str(difference) for difference in found],
            "runs": [summary.to_json() for summary in summaries],
            "exit_code": code,
        }
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
        return code
    _print(settings.name, summaries, found, code)
    return code


def _gravity(code: int) -> int:
    from mlc_pipeline.cycle import SOMETHING_FAILED, SOMETHING_HELD

    return {SOMETHING_FAILED: 2, SOMETHING_HELD: 1}.get(code, 0)


def _print(
    name: str, summaries: list[Summary], found: list[certificate.Difference], code: int
) -> None:
    from mlc_pipeline.console import held_table, summary_table
    from mlc_pipeline.cycle import SOMETHING_FAILED

    if not summaries:
        out.print(f"{name}: nothing of that stands; no day was run.", highlight=False)
        return
    for summary in summaries:
        out.print(summary_table(summary))
        if (held := held_table(summary)) is not None:
            out.print(held)
        for problem in summary.problems:
            out.print(f"[red]•[/red] {escape(problem)}")
    days = ", ".join(
        str(s.first) if s.first == s.last else f"{s.first} to {s.last}" for s in summaries
    )
    failed = "; something FAILED, see above" if code == SOMETHING_FAILED else ""
    out.print(
        f"Replay certificate, {name}, {days}: {certificate.certificate(found)}{failed}.",
        highlight=False,
        soft_wrap=True,
    )
    for difference in found[:_DIFFERENCES_SHOWN]:
        out.print(f"  {difference}", markup=False, highlight=False, soft_wrap=True)
    more = len(found) - _DIFFERENCES_SHOWN
    if more > 0:
        out.print(f"  and {more} more; --json names all", highlight=False)


def accept(
    connection: ConnectionName,
    document: Annotated[str, typer.Argument(help="Any of its numbers, as in `mlc where`.")],
    note: Annotated[str, typer.Option(help="Why, for the audit trail.")],
    differs: Annotated[
        bool, typer.Option("--differs", help="Record it although it is meant to differ.")
    ] = False,
) -> None:
    """Record that a document in Cin7 is right: it is read back and compared first.

    For a document that changed in SYSPRO after it was authorised and was corrected in Cin7
    by hand. Nothing is written to Cin7. Exit code 0: recorded; 1: it differs from what SYSPRO
    wants, or is not there.
    """
    from mlc_pipeline.assets.runtime import Runtime
    from mlc_pipeline.sync.accept import accept as record
    from mlc_pipeline.sync.ledger import Ledger

    settings, _folder = open_connection(connection)
    if not note.strip():
        raise typer.BadParameter("say why: --note is for whoever reads the trail")
    runtime = Runtime()
    with runtime.engine.connect() as database:
        found = [s for s in lives.find(database, document, connection) if s.kind != "posting"]
    if len(found) != 1:
        named = "; ".join(f"{s.kind} {s.source_key}" for s in found) or "no document"
        raise typer.BadParameter(f"{document!r} names {named}; expected exactly one")
    ledger = Ledger(runtime.engine, connection, f"accept {uuid.uuid4()}")
    try:
        result = record(
            runtime.engine,
            ledger,
            runtime.cin7(settings),
            found[0].kind,
            found[0].source_key,
            actor=getpass.getuser(),
            note=note.strip(),
            differs=differs,
        )
    finally:
        runtime.close()
    for text in result.differences:
        err.print(f"differs: {text}", markup=False, highlight=False, soft_wrap=True)
    if not result.is_recorded:
        err.print(
            "It was not recorded. Correct it in Cin7 and try again, or say with --differs that "
            "it is meant to be so.",
            highlight=False,
        )
        raise typer.Exit(1)
    out.print(
        f"{connection}: {result.kind} {result.source_key} is recorded as right in Cin7.",
        markup=False,
        highlight=False,
    )
