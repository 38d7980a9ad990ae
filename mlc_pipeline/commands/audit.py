"""`mlc audit`: prove that the trail is whole, and read it.

What must not come in: how a chain is proven.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from mlc_pipeline.commands.shared import err, out
from mlc_pipeline.database import engine
from mlc_pipeline.sync import audit

audit_app = typer.Typer(
    help="The append-only trail of what was written and decided.", no_args_is_help=True
)

_PROBLEMS_SHOWN = 50


@audit_app.command(
    "verify",
    epilog="Examples: `mlc audit verify` · `mlc audit verify acme` · "
    "`mlc audit verify acme --head 1204:9c1e…` with an end noted earlier",
)
def verify(
    connection: Annotated[
        str | None, typer.Argument(help="One connection; else every one with events.")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(help="An end of the chain as it was noted earlier, place:hash."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Read the whole trail and name every event that was altered, moved, lost or cut off.

    Exit code 0: the trail is whole; 1: it is not, or there is none.
    """
    if head is not None and connection is None:
        raise typer.BadParameter("--head needs the connection whose chain it is")
    # One snapshot: a run that goes on writing does not look like a change.
    reading = engine().execution_options(isolation_level="REPEATABLE READ")
    with reading.connect() as database:
        names = [connection] if connection else audit.chains(database)
        proofs = [audit.prove(database, name, head) for name in names]
    if as_json:
        sys.stdout.write(json.dumps([_proof_json(p) for p in proofs], indent=2) + "\n")
    else:
        _print_proofs(proofs)
    is_whole = proofs and all(p.events and not p.problems for p in proofs)
    raise typer.Exit(0 if is_whole else 1)


def _proof_json(proof: audit.Proof) -> dict[str, Any]:
    return {
        "connection": proof.connection,
        "events": proof.events,
        "head": proof.head,
        "problems": proof.problems,
    }


def _print_proofs(proofs: list[audit.Proof]) -> None:
    if not proofs:
        out.print("There is no trail yet: nothing was written.")
    for proof in proofs:
        if not proof.events and not proof.problems:
            out.print(f"{proof.connection}: there is no trail yet; nothing was written.")
            continue
        for problem in proof.problems[:_PROBLEMS_SHOWN]:
            text = f"{proof.connection}: {problem}"
            err.print(text, markup=False, highlight=False, soft_wrap=True)
        more = len(proof.problems) - _PROBLEMS_SHOWN
        if more > 0:
            err.print(f"{proof.connection}: and {more} more", highlight=False)
        said = "is NOT whole" if proof.problems else "is whole"
        out.print(
            f"{proof.connection}: the trail of {proof.events:,} events {said}. "
            f"Its end, to be noted elsewhere:\n{proof.head}",
            highlight=False,
            soft_wrap=True,
        )


@audit_app.command(
    "show",
    epilog="Examples: `mlc audit show acme` · `mlc audit show acme --action held --limit 20` · "
    "`mlc audit show acme --document '000000000100100|INV-12513'`",
)
def show(
    connection: Annotated[str | None, typer.Argument(help="One connection; else all.")] = None,
    document: Annotated[
        str | None, typer.Option(help="Source key: order, order|GRN, supplier|invoice.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="supplier, purchase_order, …")] = None,
    action: Annotated[audit.Action | None, typer.Option(help="What the event tells.")] = None,
    run: Annotated[str | None, typer.Option(help="Id of a run.")] = None,
    actor: Annotated[str | None, typer.Option(help="A person, for their decisions.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="From this day, UTC.")
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option("--partition", formats=["%Y-%m-%d"], help="Of this business day."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The last so many.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Show the last events of the trail, oldest first, with their digests as JSON."""
    filters = audit.Filters(
        connection=connection,
        kind=kind,
        source_key=document,
        action=action.value if action else None,
        run_id=run,
        since=since.replace(tzinfo=UTC) if since else None,
        partition=day.date() if day else None,
        actor=actor,
    )
    with engine().connect() as database:
        events = audit.read(database, filters, limit)
    if as_json:
        rows = [{k: v if v is None else str(v) for k, v in e._mapping.items()} for e in events]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    if not events:
        out.print("No event passes these filters.")
        return
    out.print(event_table(events))


def event_table(events: list[Any]) -> Table:
    """Return events as a table, one a row."""
    table = Table(title="Audit trail")
    for heading in ("event", "at (UTC)", "what", "of", "in Cin7", "why", "by"):
        table.add_column(heading, overflow="fold")
    for event in events:
        what = f"{event.action} {event.step}" if event.step else event.action
        table.add_row(
            f"{event.connection} {event.seq}",
            f"{event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            what,
            escape(f"{event.kind} {event.source_key}"),
            event.target_id or "",
            escape(event.reason or ""),
            escape(event.actor or f"run {event.run_id[:8]}"),
        )
    return table
