"""`mlc verify`: hold the ledger against Cin7, show what does not fit, repair on command.

What must not come in: how it is compared or repaired.
"""

from __future__ import annotations

import getpass
import json
import sys
import uuid
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from mlc_pipeline.commands.shared import ConnectionName, err, open_connection, out

if TYPE_CHECKING:  # Dagster and pandas take seconds to load, and most commands do without
    from mlc_pipeline.connection.model import Connection
    from mlc_pipeline.sync import repair as repairs
    from mlc_pipeline.sync.comparison import Comparison, Found

_SHOWN = 200
_NOT_LOOKED_FOR = (
    "Not looked for, because only some days were asked for: purchases that the ledger does not "
    "know, doubled ones, suppliers and products. Without days they are."
)


def verify(
    connection: ConnectionName,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="Documents dated from this day."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="Documents dated to this day."),
    ] = None,
    partition: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Documents dated on this day."),
    ] = None,
    repair: Annotated[
        Literal["adopt", "recreate"] | None,
        typer.Option(help="adopt: link what is unknown; recreate: plan what vanished anew."),
    ] = None,
    document: Annotated[
        list[str] | None,
        typer.Option(help="Repair only this source key; may be given again."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Hold the ledger against Cin7: what vanished there, what is unknown here, what differs.

    Reads Cin7's purchase list in pages of 1,000 and the details of suspects; writes nothing
    to Cin7, also when it repairs. Exit code 0: they agree; 1: they do not.
    """
    from mlc_pipeline.assets.runtime import Runtime
    from mlc_pipeline.staging.load import Stamp
    from mlc_pipeline.sync import repair as repairs
    from mlc_pipeline.sync.comparison import Finding, compare
    from mlc_pipeline.sync.ledger import Ledger

    settings, _folder = open_connection(connection)
    start, end = _days(first, last, partition)
    is_part = start is not None or end is not None
    _refuse_what_does_nothing(repair, document, is_part=is_part)
    runtime, run_id = Runtime(), f"verify {uuid.uuid4()}"
    client = runtime.cin7(settings)
    try:
        with err.status("reading Cin7"):
            result = compare(
                runtime.engine,
                Stamp(connection, run_id),
                client,
                settings.syspro.company,
                first=start,
                last=end,
            )
        done: list[repairs.Repaired] = []
        if repair:
            wanted = [f for f in result.found if not document or f.source_key in document]
            ledger = Ledger(runtime.engine, connection, run_id)
            if repair == "adopt":
                done = repairs.adopt(ledger, client, wanted, getpass.getuser())
            else:
                # What a person voided comes back only when it is named.
                voided = Finding.VOIDED if document else Finding.VANISHED
                gone = [f for f in wanted if f.finding in (Finding.VANISHED, voided)]
                done = repairs.recreate(ledger, client, gone, getpass.getuser())
    finally:
        runtime.close()
    if as_json:
        said = {**_json(result, done), "unknown_looked_for": not is_part}
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
    else:
        _print(settings, result, done)
        if is_part:
            out.print(_NOT_LOOKED_FOR, highlight=False)
    left = {id(f) for f in result.found} - {id(r.found) for r in done if r.is_done}
    raise typer.Exit(1 if left or result.left else 0)


def _days(
    first: datetime | None, last: datetime | None, partition: datetime | None
) -> tuple[date | None, date | None]:
    if partition and (first or last):
        raise typer.BadParameter("--partition is one day; leave out --from and --to")
    if first and last and first > last:
        raise typer.BadParameter(
            f"found {first:%Y-%m-%d} to {last:%Y-%m-%d}, expected the earlier day first"
        )
    days = (partition or first, partition or last)
    return days[0] and days[0].date(), days[1] and days[1].date()


def _refuse_what_does_nothing(
    repair: str | None, document: list[str] | None, *, is_part: bool
) -> None:
    if document and not repair:
        raise typer.BadParameter("--document says what to repair; add --repair")
    if repair == "adopt" and is_part:
        raise typer.BadParameter(
            "--repair adopt links unknown purchases, and those are looked for over all days "
            "only; leave out --from, --to and --partition"
        )


def _json(result: Comparison, done: list[repairs.Repaired]) -> dict[str, object]:
    return {
        "documents": result.documents,
        "purchases": result.purchases,
        "looked_at": result.looked_at,
        "found": [_as_json(f) for f in result.found],
        "repaired": [
            {"document": r.found.source_key, "done": r.is_done, "said": r.said} for r in done
        ],
    }


def _as_json(found: Found) -> dict[str, str | None]:
    return {
        "finding": found.finding.value,
        "kind": found.kind.value,
        "document": found.source_key,
        "detail": found.detail,
        "cin7_id": found.cin7_id,
        "cin7_number": found.cin7_number,
        "dated": str(found.home) if found.home else None,
    }


def _print(settings: Connection, result: Comparison, done: list[repairs.Repaired]) -> None:
    if result.found:
        out.print(_table(settings, result))
    more = len(result.found) - _SHOWN
    if more > 0:
        out.print(f"and {more:,} more; --json prints all of them", highlight=False)
    for one in done:
        mark = "done" if one.is_done else "not done"
        text = f"{one.found.source_key}: {mark}: {one.said}"
        out.print(text, markup=False, highlight=False, soft_wrap=True)
    days = sorted({r.found.home for r in done if r.is_done and r.found.home is not None})
    if days:
        out.print(
            f"Now replay their days: mlc replay {settings.name} --from {days[0]} "
            f"--to {days[-1]}",
            highlight=False,
        )
    said = f"{len(result.found):,} disagree" if result.found else "they agree"
    out.print(
        f"{settings.name}: {result.documents:,} documents of the ledger held against "
        f"{result.purchases:,} purchases in Cin7 ({result.looked_at:,} read whole): {said}.",
        highlight=False,
    )


def _table(settings: Connection, result: Comparison) -> Table:
    from mlc_pipeline.sync.comparison import MEANINGS

    table = Table(title=f"{settings.name}: ledger against Cin7", show_lines=True)
    for heading in ("", "document", "dated", "in Cin7", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for found in result.found[:_SHOWN]:
        table.add_row(
            found.finding,
            escape(f"{found.kind} {found.source_key}"),
            str(found.home or ""),
            escape(found.cin7_number or ""),
            escape(found.detail),
            escape(MEANINGS[found.finding][1]),
        )
    return table
