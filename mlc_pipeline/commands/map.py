"""`mlc map`: mapping files checked, proposed and tried out; nothing is applied.

What must not come in: comparisons, scores; they live in `sync`.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from mlc_pipeline.commands.shared import ConnectionName, err, open_connection, out
from mlc_pipeline.report.cells import cell

if TYPE_CHECKING:
    from mlc_pipeline.assets.runtime import Runtime
    from mlc_pipeline.connection.targets import Books
    from mlc_pipeline.sync.plan import PlanContext
    from mlc_pipeline.sync.proposals import Proposal, SysproAccount
    from mlc_pipeline.sync.simulation import Simulation

map_app = typer.Typer(
    help="Mapping files: check them, propose rows, try an edited set out. Nothing is applied.",
    no_args_is_help=True,
)

LiveOption = Annotated[
    bool,
    typer.Option("--live", help="Read both charts from the systems, not the last run's."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
_SHOWN = 40


@dataclass(frozen=True)
class _Desk:
    """What the commands look at: settings, mapping, both charts."""

    runtime: Runtime
    folder: Path
    context: PlanContext
    books: Books
    chart: list[Mapping[str, Any]]


def _desk(runtime: Runtime, name: str, *, live: bool) -> _Desk:
    from mlc_pipeline.assets.charts import live_books, live_chart
    from mlc_pipeline.assets.common import Site, plan_context
    from mlc_pipeline.sync.charts import syspro_chart
    from mlc_pipeline.sync.references import read_books

    settings, folder = open_connection(name)
    try:
        context = plan_context(runtime, Site(settings, folder))
    except LookupError as error:
        err.print(
            f"{error.args[0]}, or run a cycle: `mlc sync {name}`", markup=False, highlight=False
        )
        raise typer.Exit(1) from error
    if live:
        books, chart = live_books(runtime, settings), live_chart(runtime, settings)
    else:
        with runtime.engine.connect() as connection:
            books, chart = read_books(connection, name), syspro_chart(connection, name)
    return _Desk(runtime, folder, context, books, chart)


@map_app.command(epilog="Examples: `mlc map check acme` · `mlc map check acme --live --json`")
def check(
    connection: ConnectionName, live: LiveOption = False, as_json: JsonOption = False
) -> None:
    """Check every mapping row by itself, against Cin7, and against the staged postings.

    Exit code 0: all good, if with warnings; 1: something is to be corrected.
    """
    from mlc_pipeline.assets.charts import runtime
    from mlc_pipeline.connection.mappings import read_mappings
    from mlc_pipeline.sync.coverage import findings

    with runtime() as opened:
        desk = _desk(opened, connection, live=live)
        with opened.engine.connect() as database:
            found = findings(database, read_mappings(desk.folder), desk.context, desk.books)
    errors = [problem for problem in found if problem.severity == "error"]
    if as_json:
        rows = [
            {
                "severity": p.severity,
                "kind": p.kind,
                "file": p.file,
                "line": p.line or None,
                "column": p.column,
                "found": p.found,
                "expected": p.expected,
                "remedy": p.remedy,
            }
            for p in found
        ]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        for problem in found:
            style = "red" if problem.severity == "error" else "yellow"
            out.print(f"[{style}]{problem.severity}[/{style}] {escape(str(problem))}")
        warnings = len(found) - len(errors)
        out.print(f"{len(errors)} to correct, {warnings} worth a look.", highlight=False)
    raise typer.Exit(1 if errors else 0)


@map_app.command(
    epilog="Examples: `mlc map suggest acme` · `mlc map suggest acme --out proposals.csv` · "
    "`mlc map suggest acme --again`"
)
def suggest(
    connection: ConnectionName,
    file: Annotated[
        Path | None, typer.Option("--out", help="CSV to write; else in this folder.")
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Propose for mapped accounts too, and say how often that agrees with "
            "gl_accounts.csv.",
        ),
    ] = False,
    live: LiveOption = False,
) -> None:
    """Propose rows for unmapped GL codes, with score, reason and the money that hangs on each.

    Writes a CSV for review and applies nothing: copy the rows you agree with into
    gl_accounts.csv, the first seven columns as they are.
    """
    from mlc_pipeline.assets.charts import runtime
    from mlc_pipeline.sync.charts import syspro_accounts
    from mlc_pipeline.sync.proposals import accuracy, propose, unmapped

    with runtime() as opened:
        desk = _desk(opened, connection, live=live)
        with opened.engine.connect() as database:
            accounts: list[SysproAccount] = syspro_accounts(database, desk.context, desk.chart)
    mapping = desk.context.mappings.accounts
    classes = desk.context.connection.policies.purchase_account_classes
    wanted = accounts if again else unmapped(accounts, mapping)
    proposals = propose(wanted, desk.books, classes)
    target = file or Path(f"{connection}-proposals.csv")
    write_proposals(target, proposals)
    _show(connection, proposals, desk.context.connection.syspro.local_currency)
    if again:
        figures = accuracy(proposals, mapping)
        out.print(
            f"Against gl_accounts.csv ({figures.known} accounts): {figures.proposed} proposed, "
            f"{figures.right} of them the same; precision {figures.precision} %, "
            f"recall {figures.recall} %.",
            highlight=False,
        )
    out.print(f"{len(proposals)} row(s) for review in {target}; nothing is applied.")


COLUMNS = (
    "match",
    "syspro_code",
    "cin7_account",
    "role",
    "valid_from",
    "valid_to",
    "note",
    "score",
    "reason",
    "postings",
    "amount",
    "syspro_name",
    "cin7_name",
)
"""The columns of the proposals; the first seven are those of gl_accounts.csv."""


def write_proposals(path: Path, proposals: list[Proposal]) -> None:
    """Write proposals as CSV; a name that looks like a formula is made harmless."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for p in proposals:
            one = p.account
            row = (one.match, one.code, p.cin7_account, p.role, "", "", one.name)
            hangs = (one.postings, one.amount)
            whole = (*row, p.score, p.reason, *hangs, one.name, p.cin7_name)
            writer.writerow([cell(value) for value in whole])


def _show(connection: str, proposals: list[Proposal], currency: str) -> None:
    table = Table(
        "SYSPRO",
        "name",
        "Cin7",
        "name",
        "role",
        "score",
        "postings",
        currency,
        title=f"{connection}: proposals",
    )
    for p in proposals[:_SHOWN]:
        one = p.account
        table.add_row(
            escape(f"{one.match} {one.code}"),
            escape(one.name),
            escape(p.cin7_account or "-"),
            escape(p.cin7_name),
            p.role,
            str(p.score),
            str(one.postings),
            f"{one.amount:,.2f}",
        )
    if proposals:
        out.print(table)


@map_app.command(
    epilog="Examples: `mlc map simulate acme --from 2026-09-01 --to 2026-09-30 "
    "--with edited/acme` · `mlc map simulate acme --from 2026-09-01 --to 2026-09-30 "
    "--with edited/acme --json`"
)
def simulate(
    connection: ConnectionName,
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
    edited: Annotated[
        Path,
        typer.Option(
            "--with",
            help="Folder with the edited mapping files; a file that it lacks is as it is.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Show what a period would have looked like under edited mapping files.

    Money that moves between accounts, documents that would be held or freed. Reads the
    staged tables only; writes nothing, neither outside nor into the database.
    """
    from dataclasses import replace

    from mlc_pipeline.assets.charts import runtime
    from mlc_pipeline.sync.mapped import mapped_context
    from mlc_pipeline.sync.simulation import simulate as compare
    from mlc_pipeline.sync.staged import Window

    if not any(edited.glob("*.csv")):
        err.print(
            f"{edited} holds no mapping file; copy the connection's folder there and edit it.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(2)
    with runtime() as opened:
        desk = _desk(opened, connection, live=False)
        files, problems = _edited(desk.folder, edited)
        for problem in problems:
            err.print(f"[yellow]the row maps nothing:[/yellow] {escape(problem)}")
        window = Window(connection, first.date(), last.date())
        after = mapped_context(replace(desk.context, history=None), files)
        # Suppliers are no mapping: they are as the connection's own folder says.
        after = replace(after, supplier_links=desk.context.supplier_links)
        result = compare(opened.engine, window, desk.context, after)
    if as_json:
        sys.stdout.write(json.dumps(_as_json(result), indent=2) + "\n")
    else:
        _print_simulation(result, desk.context.connection.syspro.local_currency)


def _edited(folder: Path, edited: Path) -> tuple[Any, list[str]]:
    """Return the edited mapping: each table from the edited folder, else from its own."""
    from mlc_pipeline.connection.mappings import Mappings, read_mappings

    own, new = read_mappings(folder), read_mappings(edited)
    told = [p for p in new.problems if p.kind != "no_file"]
    return Mappings(own.tables | new.tables, (), edited), [str(p) for p in told]


def _as_json(result: Simulation) -> dict[str, Any]:
    def stopped(pairs: list[Any], side: int) -> list[dict[str, str]]:
        return [
            {
                "document": pair[side].source_key,
                "amount": f"{pair[side].amount:.2f}",
                "currency": pair[side].currency or "",
                "reason": pair[side].reason_code or "",
                "found": pair[side].reason or "",
            }
            for pair in pairs
        ]

    return {
        "documents": result.documents,
        "moves": [
            {
                "from_account": was[0],
                "from_cost_centre": was[1],
                "to_account": will[0],
                "to_cost_centre": will[1],
                "documents": len(move.documents),
                "postings": move.postings,
                "amount": f"{move.amount:.2f}",
            }
            for (was, will), move in sorted(result.moves.items())
        ],
        "accounts": {
            account: f"{change:.2f}" for account, change in result.by_account().items()
        },
        "newly_held": stopped(result.held, 1),
        "freed": stopped(result.freed, 0),
        "changed_otherwise": [
            {"document": p.source_key, "fields": fields} for p, fields in result.otherwise
        ],
        "still_stopped": result.still_stopped,
    }


def _print_simulation(result: Simulation, currency: str) -> None:
    if result.moves:
        table = Table("from", "to", "documents", "postings", currency, title="money that moves")
        by_amount = sorted(result.moves.items(), key=lambda item: -abs(item[1].amount))
        for (was, will), move in by_amount[:_SHOWN]:
            places = (" ".join(was).strip(), " ".join(will).strip())
            counts = (str(len(move.documents)), str(move.postings))
            table.add_row(*map(escape, places), *counts, f"{move.amount:,.2f}")
        out.print(table)
    for title, pairs, side in (
        ("newly held", result.held, 1),
        ("freed", result.freed, 0),
    ):
        if pairs:
            table = Table("document", "amount", "reason", "found", title=title)
            for pair in pairs[:_SHOWN]:
                p = pair[side]
                amount = f"{p.amount:,.2f} {p.currency or ''}"
                table.add_row(
                    escape(p.source_key), amount, p.reason_code, escape(p.reason or "")
                )
            out.print(table)
    for p, fields in result.otherwise[:_SHOWN]:
        text = f"{p.source_key} changes in {', '.join(fields[:5])}"
        out.print(text, markup=False, highlight=False)
    verdict = "changes nothing" if result.changes_nothing else "nothing is applied"
    out.print(
        f"{result.documents} documents: {len(result.held)} newly held, {len(result.freed)} "
        f"freed, {result.still_stopped} held or waiting either way; {verdict}.",
        highlight=False,
    )
