"""`mlc close`: is a period ready to close, and the report that says so.

What must not come in: the comparison, the report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mlc_pipeline.commands.shared import ConnectionName, err, open_connection, out

if TYPE_CHECKING:  # pandas takes a while to load, and the other commands do without
    from mlc_pipeline.sync.close import Closing
    from mlc_pipeline.sync.period import Period


def close(
    connection: ConnectionName,
    period: Annotated[
        str, typer.Argument(help="A month (2026-10), a year (2026), or 2026-10-01..2026-10-15.")
    ],
    full: Annotated[
        bool, typer.Option("--full", help="Read every purchase of the period back from Cin7.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="If it is ready, record that the period is closed."),
    ] = False,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="End the closing of the period, and do no more.")
    ] = False,
) -> None:
    """Tie out a period and say whether it is ready to close; writes a report.

    Reads Cin7, and SYSPRO as last staged; writes to neither. Exit code 0: ready; 3: not
    ready, with reasons; 1: it failed.
    """
    from mlc_pipeline.sync.period import Period

    settings, folder = open_connection(connection)
    try:
        days = Period.parse(period)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if reopen:
        _reopen(connection, days)
        return
    from mlc_pipeline.closing import FAILED, close_period

    with err.status("reading Cin7") as status:
        try:
            closed = close_period(
                settings,
                folder,
                days,
                full=full,
                record=record,
                progress=lambda done, all_: status.update(f"reading purchase {done} of {all_}"),
            )
        except LookupError as error:  # it was never synchronised
            err.print(str(error), markup=False, highlight=False)
            raise typer.Exit(FAILED) from error
    closing = closed.closing
    out.print(_steps(closing))
    word = "[green]ready to close[/green]" if closing.is_ready else "[red]not ready[/red]"
    out.print(f"{closing.period.name} is {word}.", highlight=False)
    for reason in closing.reasons:
        out.print(f"[red]•[/red] {escape(reason)}", highlight=False)
    if closed.is_recorded:
        out.print("It is recorded as closed.")
    out.print(f"Report: {closed.page}", highlight=False, soft_wrap=True, markup=False)
    raise typer.Exit(closed.exit_code)


def _steps(closing: Closing) -> Table:
    tie_out = closing.tie_out
    table = Table(
        title=f"{closing.connection}: {closing.period.first} to {closing.period.last}",
        caption=f"{closing.calls:,} Cin7 calls, {len(closing.read):,} purchases read whole",
    )
    for heading in ("step", "documents"):
        table.add_column(heading)
    table.add_column(closing.currency, justify="right")
    table.add_row("SYSPRO", "", f"{sum(tie_out.syspro.values()):,.2f}")
    for cause, amount in tie_out.by_cause().items():
        documents = {d.document for d in tie_out.differences if d.cause is cause}
        table.add_row(cause.replace("_", " "), f"{len(documents):,}", f"{amount:,.2f}")
    table.add_row("Cin7", f"{tie_out.documents:,}", f"{sum(tie_out.cin7.values()):,.2f}")
    return table


def _reopen(connection: str, days: Period) -> None:
    from mlc_pipeline.database import engine
    from mlc_pipeline.sync.closings import reopen as end

    count = end(engine(), connection, days.first, days.last)
    out.print(f"{connection}: {count} day(s) of {days.name} are open again.", highlight=False)
