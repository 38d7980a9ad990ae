"""`mlc suppliers`: what waits for a person in the supplier masters, and the decisions.

What must not come in: rules; they live in `sync`.
"""

from __future__ import annotations

import csv
import getpass
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from mlc_pipeline.commands.shared import ConnectionName, err, open_connection, out

if TYPE_CHECKING:
    from mlc_pipeline.sync.supplier_decisions import SupplierDecisions

app = typer.Typer(
    help="The supplier masters of both systems: links, proposals, conflicts, decisions.",
    no_args_is_help=True,
)

Supplier = Annotated[str, typer.Argument(help="SYSPRO's code, as stored or as shown.")]
Cin7Id = Annotated[str, typer.Argument(help="Id of the Cin7 supplier.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def _desk(connection: str) -> SupplierDecisions:
    from mlc_pipeline.connection.mappings import read_supplier_links
    from mlc_pipeline.database import engine
    from mlc_pipeline.sync.supplier_decisions import SupplierDecisions

    settings, folder = open_connection(connection)
    links = read_supplier_links(folder)
    return SupplierDecisions(engine(), settings, getpass.getuser(), links)


def _refused(error: Exception) -> typer.Exit:
    err.print(str(error), markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)


@app.command(
    "list",
    epilog="Examples: `mlc suppliers list acme` · `mlc suppliers list acme --json` · `mlc "
    "suppliers list acme --out proposals.csv`",
)
def list_(
    connection: ConnectionName,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(help="Rows of each table at most.")] = 50,
    file: Annotated[
        Path | None, typer.Option("--out", help="CSV to write the proposed matches to.")
    ] = None,
) -> None:
    """Show the links, and the matches that wait for a decision with score and reasons.

    With --out, the matches are written to a CSV for review; nothing is applied: fill in the
    decision and copy the rows into supplier_links.csv, the first four columns as they are.
    """
    from mlc_pipeline.assets.suppliers import link_rows
    from mlc_pipeline.database import engine

    desk = _desk(connection)
    with engine().connect() as reading:
        links = link_rows(reading, connection)
    proposals = desk.open().proposals
    if file is not None:
        _write(file, proposals)
    if as_json:
        found = {"links": links, "proposals": proposals}
        sys.stdout.write(json.dumps(found, default=str, indent=2) + "\n")
        return
    table = Table("SYSPRO", "name", "Cin7", "state", "conflicts", "id in Cin7")
    table.title = f"{connection}: {len(links)} links"
    for row in links[:limit]:
        table.add_row(*[escape("" if v is None else str(v)) for v in row.values()])
    out.print(table)
    table = Table("score", "SYSPRO", "Cin7", "why", "open orders", "unpaid invoices")
    table.title = f"{connection}: {len(proposals)} proposed matches"
    for p in proposals[:limit]:
        table.add_row(
            f"{p['score']} %",
            escape(f"{p['supplier']} {p['syspro_name']}"),
            escape(f"{p['cin7_name']} {p['cin7_id']}"),
            escape(p["reasons"]),
            str(p["open_orders"]),
            str(p["unpaid_invoices"]),
        )
    out.print(table)
    if file is not None:
        out.print(f"{len(proposals)} row(s) for review in {file}; nothing is applied.")


_HANGS = ("score", "reasons", "syspro_name", "cin7_name", "open_orders", "unpaid_invoices")


def _write(path: Path, proposals: list[dict[str, Any]]) -> None:
    """Write proposals for review, without a decision: that is a person's."""
    from mlc_pipeline.connection.mappings import COLUMNS

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS["supplier_links"], *_HANGS))
        for p in proposals:
            writer.writerow((p["supplier"], p["cin7_id"], "", "", *(p[n] for n in _HANGS)))


@app.command(
    epilog="Example: `mlc suppliers link acme 0000123 5d1f1f0a-0000-4000-8000-000000000001`"
)
def link(connection: ConnectionName, supplier: Supplier, cin7_id: Cin7Id) -> None:
    """Say that two suppliers are one; the next run merges them."""
    from mlc_pipeline.sync.supplier_decisions import NotDecided

    try:
        code = _desk(connection).link(supplier, cin7_id)
    except NotDecided as error:
        raise _refused(error) from error
    out.print(f"{connection}: {code} is linked to {cin7_id}.", highlight=False)


@app.command(epilog="Example: `mlc suppliers unlink acme 0000123`")
def unlink(connection: ConnectionName, supplier: Supplier) -> None:
    """Undo a link; both suppliers stay, and are left alone until you link them anew."""
    from mlc_pipeline.sync.supplier_decisions import NotDecided

    try:
        code = _desk(connection).unlink(supplier)
    except NotDecided as error:
        raise _refused(error) from error
    out.print(
        f"{connection}: {code} has no link any more. Both suppliers are left alone: link them, "
        "or let them be made again with mlc suppliers ignore --undo.",
        highlight=False,
    )


@app.command(
    epilog="Examples: `mlc suppliers ignore acme --supplier 0000123` · `mlc suppliers ignore "
    "acme --supplier 0000123 --cin7 5d1f1f0a-0000-4000-8000-000000000001` · `mlc suppliers "
    "ignore acme --supplier 0000123 --undo`"
)
def ignore(
    connection: ConnectionName,
    supplier: Annotated[str | None, typer.Option(help="SYSPRO's code.")] = None,
    cin7: Annotated[str | None, typer.Option(help="Id of the Cin7 supplier.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Heed it again.")] = False,
    note: Annotated[str, typer.Option(help="Why, for those who come after.")] = "",
) -> None:
    """Leave a supplier alone; with both options: say that the two are not one."""
    from mlc_pipeline.sync.supplier_decisions import NotDecided

    try:
        _desk(connection).ignore(supplier, cin7, undo=undo, note=note)
    except NotDecided as error:
        raise _refused(error) from error
    named = " and ".join(part for part in (supplier, cin7) if part)
    state = "heeded again" if undo else "ignored"
    out.print(f"{connection}: {named}: {state}.", highlight=False)


@app.command(
    epilog="Examples: `mlc suppliers conflicts acme` · `mlc suppliers conflicts acme --json`"
)
def conflicts(connection: ConnectionName, as_json: AsJson = False) -> None:
    """Show the attributes that changed on both sides: what was agreed, and both values."""
    from mlc_pipeline.sync.supplier_planner import shown

    found = _desk(connection).open().conflicts
    if as_json:
        sys.stdout.write(json.dumps(found, default=str, indent=2) + "\n")
        return
    table = Table("supplier", "attribute", "agreed", "SYSPRO", "Cin7", "since")
    table.title = f"{connection}: {len(found)} conflicts"
    for c in found:
        values = [escape(shown(c[name])) for name in ("base", "syspro", "cin7")]
        table.add_row(
            escape(c["supplier"]), c["attribute"], *values, f"{c['found_at']:%Y-%m-%d %H:%M}"
        )
    out.print(table)


@app.command(
    epilog="Examples: `mlc suppliers resolve acme 0000123 phone --take syspro` · `mlc "
    "suppliers resolve acme 0000123 email --value accounts@acme.example`"
)
def resolve(
    connection: ConnectionName,
    supplier: Supplier,
    attribute: Annotated[str, typer.Argument(help="Attribute in conflict.")],
    take: Annotated[
        Literal["syspro", "cin7"] | None, typer.Option(help="Whose value both sides get.")
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(
            help="Another value; an address as street|street|city|state|country|code."
        ),
    ] = None,
) -> None:
    """Decide a conflict; the next run brings both sides to the value."""
    from mlc_pipeline.sync.supplier_decisions import NotDecided
    from mlc_pipeline.sync.supplier_planner import shown

    try:
        decided = _desk(connection).resolve(supplier, attribute, take, value)
    except NotDecided as error:
        raise _refused(error) from error
    out.print(
        f"{connection}: {supplier} {attribute} will be {escape(shown(decided))} on both sides "
        "after the next run.",
        highlight=False,
    )


@app.command(epilog="Example: `mlc suppliers history acme`")
def history(
    connection: ConnectionName,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(help="Decisions at most.")] = 50,
) -> None:
    """Show who decided what and when, the newest first."""
    found = _desk(connection).history(limit)
    if as_json:
        sys.stdout.write(json.dumps(found, default=str, indent=2) + "\n")
        return
    table = Table("when", "who", "what", "supplier", "Cin7", "attribute", "value", "note")
    for d in found:
        cells = ("decided_by", "action", "supplier", "cin7_id", "attribute", "value", "note")
        shown = [escape(str(d[name] or "")) for name in cells]
        table.add_row(f"{d['decided_at']:%Y-%m-%d %H:%M:%S}", *shown)
    out.print(table)
