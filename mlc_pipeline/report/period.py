"""Writes the report of a period: one HTML page that needs nothing else, and CSV beside it.

What must not come in: comparing, reading either system.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import jinja2

from mlc_pipeline.report import view
from mlc_pipeline.report.cells import cell
from mlc_pipeline.report.place import PAGE
from mlc_pipeline.sync.close import Closing
from mlc_pipeline.sync.money import ZERO

_STEPS = (*view.COLUMNS, view.TO_LOOK_AT)


def write_report(closing: Closing, folder: Path, link: view.Link) -> Path:
    """Write the report of a period and return its page.

    Args:
        closing: what is known of the period.
        folder: where page and CSV files go; made if absent, earlier ones are replaced.
        link: returns the link to a purchase in Cin7 by its id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    items = view.items(closing, link)
    tables = view.tables(closing)
    for name, table in zip(("accounts", "cost_centres", "suppliers"), tables, strict=True):
        _write_csv(folder / f"{name}.csv", *_table_csv(table))
    _write_csv(folder / "lines.csv", *_lines_csv(closing))
    _write_csv(folder / "differences.csv", *_differences_csv(closing))
    _write_csv(folder / "not_in_cin7.csv", *_stopped_csv(closing))
    _write_csv(folder / "days.csv", *_days_csv(closing))
    _write_csv(folder / "changed_since_closing.csv", *_changed_csv(closing))
    page = folder / PAGE
    page.write_text(_page(closing, items, tables), encoding="utf-8")
    return page


def _page(closing: Closing, items: Sequence[view.Item], tables: list[view.Table]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mlc_pipeline.report"),
        autoescape=True,  # names come from suppliers, who may write anything
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["money"] = _money
    environment.filters["step"] = lambda amount: _money(amount) if amount else "·"
    ages = view.ageing(closing)
    tie_out = closing.tie_out
    blocking = [item for item in items if item.meaning.blocks]
    return environment.get_template("period.html.j2").render(
        closing=closing,
        tie_out=tie_out,
        made_of=view.steps(closing),
        syspro=sum(tie_out.syspro.values(), ZERO),
        cin7=sum(tie_out.cin7.values(), ZERO),
        ledger=sum(tie_out.ledger.values(), ZERO),
        blocking=blocking,
        harmless=[item for item in items if not item.meaning.blocks],
        shown=view.SHOWN,
        tables=tables,
        ages=ages,
        ageing_bars=view.ageing_chart(ages),
        step_bars=view.steps_chart(closing),
        days=view.days(closing),
        day_bars=view.days_chart(closing),
        day_kinds=view.DAY_KINDS,
        stopped_sum=sum((s.amount for s in closing.stopped), ZERO),
    )


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"


# --- CSV --------------------------------------------------------------------------------------

Csv = tuple[Sequence[str], Iterable[Sequence[Any]]]


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([cell(value) for value in row] for row in rows)


def _figures(row: view.Row) -> list[Decimal]:
    return [row.syspro, *(row.steps[name] for name in _STEPS), row.cin7]


def _table_csv(table: view.Table) -> Csv:
    rows = [[row.code, row.name, *_figures(row)] for row in table.rows]
    return ("code", "name", "SYSPRO", *_STEPS, "Cin7"), rows


def _lines_csv(closing: Closing) -> Csv:
    header = ("account", "cost centre", "supplier", "supplier name", "SYSPRO", *_STEPS, "Cin7")
    rows = [
        [*bucket, closing.suppliers.get(bucket.supplier, ""), *_figures(row)]
        for bucket, row in view.lines(closing)
    ]
    return header, rows


def _differences_csv(closing: Closing) -> Csv:
    header = ("cause", "closes", "document", "supplier name", "day", "account", "cost centre")
    rows = [
        [
            d.cause,
            "no" if d.blocks else "yes",
            d.document,
            closing.suppliers.get(d.bucket.supplier, d.bucket.supplier),
            d.day,
            d.bucket.account,
            d.bucket.cost_centre,
            d.amount,
            d.detail,
            d.cin7_number,
            d.cin7_id,
        ]
        for d in closing.tie_out.differences
    ]
    return (*header, "amount", "found", "Cin7 number", "Cin7 id"), rows


def _stopped_csv(closing: Closing) -> Csv:
    header = ("document", "supplier name", "outcome", "reason", "found", "date", "amount")
    rows = [
        [
            s.document,
            closing.suppliers.get(s.supplier, s.supplier),
            s.outcome,
            s.reason_code,
            s.reason,
            s.home,
            s.amount,
            s.age(closing.period.last),
        ]
        for s in closing.stopped
    ]
    return (*header, "days old"), rows


def _days_csv(closing: Closing) -> Csv:
    rows = [
        [day, *(figures[kind] for kind in (*view.DAY_KINDS, "cin7"))]
        for day, figures in view.days(closing)
    ]
    return ("day", *(f"SYSPRO {kind}" for kind in view.DAY_KINDS), "Cin7"), rows


def _changed_csv(closing: Closing) -> Csv:
    rows = [
        [c.day, c.document, c.what, c.before, c.after, c.closed_at] for c in closing.changed
    ]
    return ("day", "document", "what", "before", "after", "closed at"), rows
