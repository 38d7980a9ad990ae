"""`mlc plan` and `mlc apply`: look at what would be written, then write exactly that.

What must not come in: how a plan is made, compared and pushed.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mlc_pipeline.commands.shared import (
    ConnectionName,
    chosen_days,
    err,
    open_connection,
    out,
    print_summary,
    progress_bars,
)

REFUSED = 4
"""Exit code: the world changed since the plan was made; nothing was written."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog="Examples: `mlc plan acme` · "
        "`mlc plan acme --from 2026-10-01 --to 2026-10-31 --out october.json`"
    )(plan)
    app.command(epilog="Example: `mlc apply october.json`")(apply)


def plan(
    connection: ConnectionName,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day; else the look-back."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="Last day; else today."),
    ] = None,
    file: Annotated[Path | None, typer.Option("--out", help="File for `mlc apply`.")] = None,
) -> None:
    """Show what a cycle would write: nothing is written, to neither system.

    Exit code 0: planned; 3: something is held; 1: it could not be planned.
    """
    from mlc_pipeline.console import plan_tables
    from mlc_pipeline.preview import make_plan, save_plan

    settings, folder = open_connection(connection)
    days = chosen_days(settings, first, last)
    with progress_bars(shown=True) as progress:
        made = make_plan(settings, folder, *days, progress=progress)
    if made.problems:
        for problem in made.problems:
            err.print(problem, markup=False, highlight=False)
        raise typer.Exit(1)
    for table in plan_tables(made.preview):
        out.print(table)
    for red in made.red:
        out.print("[red]red[/red]", end=" ")
        out.print(red, markup=False, highlight=False, soft_wrap=True)
    out.print(
        f"{made.calls:,} calls, about {made.minutes:,} minutes. Nothing was written.",
        highlight=False,
    )
    if file is not None:
        save_plan(made, file)
        out.print(f"Write it with: mlc apply {file}", highlight=False)
    raise typer.Exit(3 if any(row.verdict == "held" for row in made.preview.rows) else 0)


def apply(
    file: Annotated[Path, typer.Argument(help="File that `mlc plan --out` wrote.")],
) -> None:
    """Write exactly a plan, or refuse because the world changed since.

    It is planned again and compared before anything is written. Exit codes as `mlc sync`;
    4: refused, because the world changed; nothing was written.
    """
    from mlc_pipeline.preview import apply_plan, read_plan_file

    saved = read_plan_file(file)
    settings, folder = open_connection(saved.connection)
    with progress_bars(shown=True) as progress:
        applied = apply_plan(settings, folder, saved, progress=progress)
    if applied.problems:
        err.print("It could not be planned again: nothing was written.", style="red")
        for problem in applied.problems:
            err.print(problem, markup=False, highlight=False)
        raise typer.Exit(1)
    if applied.summary is None:
        err.print("Refused: nothing was written.", style="red")
        for line in applied.changes[:20]:
            err.print(line, markup=False, highlight=False)
        err.print("Make a new plan: mlc plan", markup=False, highlight=False)
        raise typer.Exit(REFUSED)
    print_summary(applied.summary)
    raise typer.Exit(applied.summary.exit_code)
