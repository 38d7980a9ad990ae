"""`mlc backfill`: many days, in runs of a month, with an estimate before and resumed after.

What must not come in: how a backfill is cut, recorded and run.
"""

from __future__ import annotations

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mlc_pipeline.commands.shared import ConnectionName, chosen_days, err, open_connection, out
from mlc_pipeline.connection.model import Connection

if TYPE_CHECKING:
    from mlc_pipeline.backfill import Backfill, Chunk, Estimate, Step
    from mlc_pipeline.cycle import Summary

_INTERRUPTED = 130
_NOBODY_TO_ASK = 2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog="Examples: `mlc backfill acme --from 2025-01-01 --to 2025-12-31` · "
        "`mlc backfill acme --from 2026-03-01 --to 2026-03-31 --per-partition --yes` · "
        "`mlc backfill acme --from 2025-01-01 --to 2025-12-31 --estimate`"
    )(backfill)


def backfill(
    connection: ConnectionName,
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
    per_partition: Annotated[
        bool, typer.Option("--per-partition", help="A run for each day, not for each month.")
    ] = False,
    whole: Annotated[bool, typer.Option("--whole", help="One run for all days.")] = False,
    only_estimate: Annotated[
        bool, typer.Option("--estimate", help="Say what it takes and stop.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Although it was done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Start without asking.")] = False,
) -> None:
    """Bring many past days into Cin7: month by month, behind live cycles, resumed after a stop.

    Ctrl-C stops it cleanly; the same command goes on with what is left. Exit code 0: done;
    3: something is held; 1: something failed; 2: not started, because --yes is missing where
    nobody can be asked; 130: stopped.
    """
    from mlc_pipeline import database
    from mlc_pipeline.backfill import BackfillBook, chunks_of, estimate

    settings, folder = open_connection(connection)
    days = chosen_days(settings, first, last)
    if whole and per_partition:
        raise typer.BadParameter("--whole and --per-partition exclude each other")
    step: Step = "whole" if whole else "day" if per_partition else "month"
    book = BackfillBook(database.engine())
    known = book.find(connection, *days, step)
    if known is not None and known.finished_at is not None and not again:
        out.print(
            f"{connection}: {days[0]} to {days[1]} was done on "
            f"{known.finished_at:%Y-%m-%d %H:%M}; --again looks at it once more."
        )
        raise typer.Exit(0)
    resumed = known if known is not None and known.finished_at is None else None
    left = [(c.first, c.last) for c in resumed.left] if resumed else chunks_of(*days, step)
    with err.status("counting what is to be written"):
        _print_estimate(settings, estimate(settings, left), resumed)
    if only_estimate:
        raise typer.Exit(0)
    if not yes and not sys.stdin.isatty():
        err.print("Not started: there is nobody to ask; --yes starts it without asking.")
        raise typer.Exit(_NOBODY_TO_ASK)
    if not yes and not typer.confirm("Start?", default=True):
        out.print("Not started.")
        raise typer.Exit(0)
    raise typer.Exit(_run(settings, folder, resumed or book.begin(connection, *days, step)))


def _print_estimate(settings: Connection, made: Estimate, resumed: Backfill | None) -> None:
    counts = made.counts
    if resumed is not None:
        done = len(resumed.chunks) - len(resumed.left)
        out.print(f"Goes on: {done} of {len(resumed.chunks)} runs are done.", highlight=False)
    out.print(
        f"{settings.name}: about {counts.documents:,} documents are not in Cin7 yet "
        f"({counts.suppliers:,} suppliers, {counts.orders:,} orders, {counts.receipts:,} "
        f"receipts, {counts.on_orders:,} invoices on orders, {counts.alone:,} without, "
        f"{counts.credits:,} credits).\n"
        f"That takes {made.runs:,} runs and about {made.calls:,} calls: "
        f"{made.minutes:,} minutes at {settings.cin7.calls_per_minute} calls a minute, more "
        "while live cycles run, since those go first.",
        highlight=False,
    )


def _run(settings: Connection, folder: Path, started: Backfill) -> int:
    from mlc_pipeline.backfill import run_backfill
    from mlc_pipeline.cycle import ALL_DONE, SOMETHING_FAILED, SOMETHING_HELD

    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns, console=err, transient=True) as bars:
            total = bars.add_task("runs", total=len(started.left))
            now = bars.add_task("starting", total=None)

            def progress(step: str, done: int, every: int) -> None:
                bars.update(now, description=step, completed=done, total=every or None)

            def told(chunk: Chunk, summary: Summary) -> None:
                bars.advance(total)
                bars.console.print(_line(chunk.first, chunk.last, summary), highlight=False)

            ended = run_backfill(settings, folder, started, told=told, progress=progress)
    except KeyboardInterrupt:
        out.print("Stopped. The same command goes on with what is left.")
        return _INTERRUPTED
    if ended.left:
        out.print(
            f"{len(ended.left)} of {len(ended.chunks)} runs are not done; see them in the "
            "Dagster UI, then give the same command again: it takes only those.",
            highlight=False,
        )
        return SOMETHING_FAILED
    is_held = any(chunk.exit_code == SOMETHING_HELD for chunk in ended.chunks)
    out.print(
        f"Done: {len(ended.chunks)} runs."
        + (" Some documents are held for a person: mlc status." if is_held else ""),
        highlight=False,
    )
    return SOMETHING_HELD if is_held else ALL_DONE


def _line(first: date, last: date, summary: Summary) -> str:
    days = str(first) if first == last else f"{first} to {last}"
    read = sum(kind.read for kind in summary.kinds.values())
    line = (
        f"{days}: {read:,} documents, {summary.cin7_writes:,} writes, {summary.seconds:.0f} s"
    )
    problems = "; ".join(summary.problems[:2])
    return line + (f" [red]{escape(problems)}[/red]" if problems else "")
