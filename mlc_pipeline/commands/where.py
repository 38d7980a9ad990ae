"""`mlc where NUMBER`: the life of a document in both systems, by any of its numbers.

What must not come in: how it is found.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from mlc_pipeline.commands.shared import out
from mlc_pipeline.connection.files import connections_directory, load_connections
from mlc_pipeline.database import engine
from mlc_pipeline.sync.vocabulary import Kind
from mlc_pipeline.sync.where import Life, Subject, find, life

_LIVES = 3
_LISTED = 25
_SYSPRO = {
    "suppliers": ("supplier", "name", "currency", "terms_code"),
    "purchase_orders": ("purchase_order", "supplier", "order_date", "order_status", "currency"),
    "purchase_order_lines": ("line", "stock_code", "order_quantity", "price", "gl_code"),
    "receipts": ("grn", "purchase_order", "receipt_date", "stock_code", "quantity", "value"),
    "invoices": ("supplier", "invoice", "invoice_date", "due_date", "value", "currency"),
    "receipt_matches": ("grn", "matched_date", "matched_quantity", "matched_value"),
    "postings": ("journal", "post_date", "gl_code", "amount", "posting_type"),
}


def where(
    number: Annotated[
        str,
        typer.Argument(
            help="Supplier invoice, purchase order, GRN, SYSPRO journal, 'supplier invoice', "
            "Cin7 order number, Cin7 id or task id."
        ),
    ],
    connection: Annotated[
        str | None, typer.Option(help="Only of this connection; else of all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Tell where a document is: in SYSPRO, in the plan, in Cin7; why it waits; who can act.

    Reads our own tables alone. Exit code 0: found; 1: nothing has this number.
    """
    with engine().connect() as database:
        subjects = find(database, number, connection)
        lives = [life(database, subject) for subject in subjects[:_LIVES]]
    if as_json:
        found = [_as_json(one, _link(one)) for one in lives]
        more = [f"{s.connection} {s.kind} {s.source_key}" for s in subjects[_LIVES:]]
        sys.stdout.write(json.dumps({"found": found, "also": more}, indent=2) + "\n")
    elif not subjects:
        out.print(
            f"Nothing has the number {number!r}: it was not read from SYSPRO, and no document "
            "in Cin7 that the ledger knows has it. Is its day synchronised?",
            markup=False,
            highlight=False,
        )
    else:
        for one in lives:
            _print(one)
        _print_also(subjects[_LIVES:])
    raise typer.Exit(0 if subjects else 1)


def _print_also(subjects: list[Subject]) -> None:
    if not subjects:
        return
    out.print("The number also names:")
    for subject in subjects:
        text = f"  {subject.connection}: {subject.kind} {subject.source_key}"
        out.print(text, markup=False, highlight=False)


def _link(one: Life) -> str | None:
    """Return the link to a document in Cin7, as the connection's file has it."""
    cin7_id = (one.document or {}).get("cin7_id")
    if not cin7_id or one.subject.kind is Kind.SUPPLIER:
        return None
    for settings in load_connections(connections_directory()).connections:
        if settings.name == one.subject.connection:
            return settings.cin7.link(cin7_id)
    return None


def _print(one: Life) -> None:
    subject = one.subject
    kind = subject.kind.replace("_", " ")
    title = f"{subject.connection}: {kind} {subject.source_key}"
    out.print(f"\n[bold]{escape(title)}[/bold]", highlight=False)
    _say("stands", one.stands)
    if one.hold is not None:
        _say("found", one.hold["reason"])
        _say("what to do", one.remedy)
    _say("who can act", one.who)
    _say("in Cin7", _link(one))
    for finding in one.findings:
        _say("Cin7 now", f"{finding['finding']}: {finding['detail']}")
    for entity, columns in _SYSPRO.items():
        rows = [row for name, row in one.syspro if name == entity]
        _print_rows(f"SYSPRO {entity.replace('_', ' ')}", columns, rows)
    days = ("partition", "verdict", "reason_code", "reason", "amount", "currency")
    _print_rows("plan", days, one.plan)
    days = ("pushed_at", "partition", "outcome", "reason_code", "reason", "cin7_number")
    _print_rows("outcomes", days, one.outcomes)
    calls = ("intended_at", "step", "state", "reason", "target_id", "run_id")
    _print_rows("calls to Cin7", calls, one.attempts)
    told = ("at", "action", "step", "reason", "actor", "run_id")
    _print_rows("audit trail", told, one.events)
    _print_rows(
        "belongs together with", ("kind", "source_key", "state", "cin7_number"), one.related
    )


def _say(what: str, text: str | None) -> None:
    if text:
        out.print(f"  {what + ':':<13}{escape(text)}", highlight=False, soft_wrap=True)


def _print_rows(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows[-_LISTED:]:
        table.add_row(*[escape(_shown(column, row[column])) for column in columns])
    out.print(table)
    if len(rows) > _LISTED:
        out.print(f"(the last {_LISTED} of {len(rows)})", highlight=False)


def _shown(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column == "run_id":
        return str(value)[:8]
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return str(value)


def _as_json(one: Life, link: str | None) -> dict[str, Any]:
    return {
        "connection": one.subject.connection,
        "kind": one.subject.kind.value,
        "document": one.subject.source_key,
        "stands": one.stands,
        "who_can_act": one.who,
        "what_to_do": one.remedy,
        "link": link,
        "syspro": [{"table": table, **_texts(row)} for table, row in one.syspro],
        "plan": [_texts(row) for row in one.plan],
        "outcomes": [_texts(row) for row in one.outcomes],
        "ledger": _texts(one.document) if one.document else None,
        "hold": _texts(one.hold) if one.hold else None,
        "calls": [_texts(row) for row in one.attempts],
        "events": [_texts(row) for row in one.events],
        "findings": [_texts(row) for row in one.findings],
        "related": [_texts(row) for row in one.related],
    }


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as JSON values; amounts and times as text."""
    kept = (dict, list, type(None))
    return {k: v if isinstance(v, kept) else str(v) for k, v in row.items()}
