"""What the commands share: where they print, and how they open a connection.

What must not come in: commands.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mlc_pipeline.connection.errors import ConnectionFileError
from mlc_pipeline.connection.files import connections_directory, load_connection
from mlc_pipeline.connection.model import Connection

# Piped into a file or a pager there is no width to ask for; the table wants this one.
out = Console(width=None if sys.stdout.isatty() else 150)
err = Console(stderr=True)

ConnectionName = Annotated[str, typer.Argument(help="Name of the connection's folder.")]


def open_connection(name: str) -> tuple[Connection, Path]:
    """Return a connection and its folder, or end the command with what is wrong with it."""
    folder = connections_directory() / name
    if not folder.is_dir():
        # Printed plainly: a framed message would cut a long path in the middle.
        err.print(
            f"There is no connection {name!r}: {folder} is not a folder. Make it, or set "
            "MLC_CONNECTIONS_DIR to where the connections are.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(2)
    try:
        return load_connection(folder), folder
    except ConnectionFileError as error:
        err.print(str(error), markup=False, highlight=False)
        raise typer.Exit(1) from error


def chosen_days(
    settings: Connection, first: datetime | None, last: datetime | None
) -> tuple[date, date]:
    """Return the days that were asked for, what was left out from the look-back.

    Raises:
        typer.BadParameter: before the start date, after today, or the wrong way round.
    """
    from mlc_pipeline.backfill import BackfillError, check_days
    from mlc_pipeline.cycle import default_window

    start, today = default_window(settings)
    days = (first.date() if first else start, last.date() if last else today)
    try:
        check_days(settings, *days, today)
    except BackfillError as error:
        raise typer.BadParameter(str(error)) from None
    return days


@contextmanager
def progress_bars(*, shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback that shows the step under way, and a bar where it counts."""
    if not shown:
        yield lambda _step, _done, _all: None
        return
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bars:
        task = bars.add_task("starting", total=None)

        def progress(step: str, done: int, total: int) -> None:
            bars.update(task, description=step, completed=done, total=total or None)

        yield progress


def print_summary(summary: object) -> None:
    """Print what came of a cycle."""
    from mlc_pipeline.console import held_table, summary_table, verdict

    out.print(summary_table(summary))  # type: ignore[arg-type]
    held = held_table(summary)  # type: ignore[arg-type]
    if held is not None:
        out.print(held)
    for line in verdict(summary):  # type: ignore[arg-type]
        out.print(line, highlight=False)
