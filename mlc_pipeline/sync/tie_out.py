"""Tie-out: the postings of SYSPRO against what Cin7 answered and what its ledger says.

Compared per account, cost centre and supplier over the documents that are in Cin7; what is
not in Cin7 (held, waiting, excluded, failed) is shown beside it, so that the two add up to
what SYSPRO posted. Only when something differs is more read, to name document and cause.

What must not come in: HTTP, Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.load import Stamp, replace_days
from mlc_pipeline.staging.tables import PUSH, documents, tie_out
from mlc_pipeline.staging.tie_out_tables import tied_days
from mlc_pipeline.sync import staged
from mlc_pipeline.sync.booked import posted_amounts
from mlc_pipeline.sync.journals import is_distribution
from mlc_pipeline.sync.money import ZERO, rounded
from mlc_pipeline.sync.period import (
    Cin7Books,
    Difference,
    Entry,
    Period,
    suspects,
    tie_out_period,
)
from mlc_pipeline.sync.period_facts import load_facts, purchase_rates
from mlc_pipeline.sync.plan import PlanContext
from mlc_pipeline.sync.rates import rounding_of
from mlc_pipeline.sync.rows import InvoiceRow, PostingRow
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.vocabulary import Kind, Outcome

IN_CIN7 = (Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED, Outcome.ADOPTED)
"""Outcomes of documents that are in Cin7."""


_FOREIGN_CENTS = Decimal("0.05")
"""What converting one foreign document, line by line, may move on an account and centre."""

_READ_AT_MOST = 25
"""So many purchases are read to explain the differences of a run; the period's close reads
all of them."""

Key = tuple[date, str, str, str]
"""Day, account, cost centre, supplier."""

Transactions = Callable[[date, date], Iterable[Mapping[str, Any]]]
Purchase = Callable[[str], Mapping[str, Any] | None]


@dataclass
class TieOut:
    """The comparison of a window, in local currency.

    Attributes:
        lines: (day, account, cost centre, supplier) to [SYSPRO, Cin7, documents].
        ledger: account to the amount in Cin7's own ledger, of the same documents.
        rounding: differences that come from converting foreign invoices, per line.
        foreign: account to how many foreign documents are on it.
        not_in_cin7: (outcome, currency) to [documents, amount].
        documents: day to how many documents are in Cin7.
        explained: what the differences come from, document by document.
    """

    lines: dict[Key, list[Any]] = field(default_factory=dict)
    ledger: dict[str, Decimal] = field(default_factory=dict)
    rounding: dict[Key, Decimal] = field(default_factory=dict)
    foreign: dict[str, int] = field(default_factory=dict)
    not_in_cin7: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    documents: dict[date, int] = field(default_factory=dict)
    explained: list[Difference] = field(default_factory=list)

    def add(self, key: Key, side: int, amount: Decimal) -> None:
        """Add an amount to one side (0 SYSPRO, 1 Cin7)."""
        self.lines.setdefault(key, [ZERO, ZERO, 0])[side] += amount

    def by_account(self, side: int) -> dict[str, Decimal]:
        """Return the totals per account of one side."""
        totals: dict[str, Decimal] = {}
        for (_, account, _, _), values in self.lines.items():
            totals[account] = totals.get(account, ZERO) + values[side]
        return totals

    def by_day(self, first: date, last: date) -> dict[date, dict[str, Any]]:
        """Return the figures of each day: documents, syspro, cin7, rounding, differences."""
        days: dict[date, dict[str, Any]] = {
            first + timedelta(days=n): {
                "documents": self.documents.get(first + timedelta(days=n), 0),
                "syspro": ZERO,
                "cin7": ZERO,
                "rounding": ZERO,
                "differences": 0,
            }
            for n in range((last - first).days + 1)
        }
        for key, (syspro, cin7, _) in self.lines.items():
            day = days[key[0]]
            day["syspro"] += syspro
            day["cin7"] += cin7
            day["rounding"] += self.rounding.get(key, ZERO)
        for key, _, _ in self.differences():
            days[key[0]]["differences"] += 1
        return days

    def differences(self) -> list[tuple[Key, Decimal, Decimal]]:
        """Return the lines on which the two sides differ, rounding of currencies aside.

        Returns:
            Day, account, cost centre and supplier; SYSPRO's amount; Cin7's.
        """
        return [
            (key, syspro, cin7)
            for key, (syspro, cin7, _) in sorted(self.lines.items())
            if syspro + self.rounding.get(key, ZERO) != cin7
        ]

    def ledger_differences(self) -> list[tuple[str, Decimal, Decimal]]:
        """Return the accounts on which Cin7's documents and its ledger differ.

        Cin7's ledger converts a foreign document line by line; those cents do not count.
        """
        booked, found = self.by_account(1), []
        for account in sorted({*booked, *self.ledger}):
            documents, held = booked.get(account, ZERO), self.ledger.get(account, ZERO)
            if abs(documents - held) > _FOREIGN_CENTS * self.foreign.get(account, 0):
                found.append((account, documents, held))
        return found


def tie_out_window(
    engine: sa.Engine,
    stamp: Stamp,
    window: Window,
    context: PlanContext,
    transactions: Transactions,
    purchase: Purchase | None = None,
) -> TieOut:
    """Compare a window and write the tables `tie_out.ap` and `tie_out.days`.

    Args:
        engine: our database.
        stamp: connection and run.
        window: the days.
        context: mappings and references.
        transactions: reads Cin7's ledger from one day to another, both included.
        purchase: reads a whole purchase, None when Cin7 has it no more; it is asked only
            about documents that differ. Without it they are named by account alone.
    """
    with engine.connect() as connection:
        pushed = _pushed(connection, window)
        keys = [tuple(r.source_key.split("|", 1)) for r in pushed if r.outcome in IN_CIN7]
        pair = ("supplier", "invoice")
        name = window.connection
        rows = staged.rows_by(connection, name, InvoiceRow, "invoices", pair, keys)
        postings = staged.rows_by(connection, name, PostingRow, "postings", pair, keys)
        answered = _answered(connection, window)
    result = TieOut()
    invoices = {(r.supplier, r.invoice): r for r in rows}
    by_invoice = staged.grouped(postings, *pair)
    tasks: set[str] = set()
    for row in pushed:
        if row.outcome not in IN_CIN7:
            _count_absent(result, row)
            continue
        key = tuple(row.source_key.split("|", 1))
        document = answered.get(row.source_key)
        invoice = invoices.get(key)
        if document is None or invoice is None or document["status"] == "DRAFT":
            continue
        tasks.add(document["task_id"])
        one = TieOut()
        then = context.as_of(invoice.invoice_date)
        _add_syspro(one, row.partition, by_invoice.get(key, ()), then)
        result.documents[row.partition] = result.documents.get(row.partition, 0) + 1
        _add_cin7(one, row.partition, document, invoice.supplier, context)
        is_local = context.currency(invoice.currency) == context.references.base_currency
        _merge(result, one, None if is_local else context.connection.match.rate_percent)
    if tasks:
        # A document moved into the window is dated before it, or after; one of a locked
        # period is dated otherwise in Cin7.
        dates = [r.invoice_date for r in rows if r.invoice_date is not None]
        dates += [date.fromisoformat(d["dated"]) for d in answered.values() if d["dated"]]
        entries = list(transactions(min(dates), max(dates)))
        _add_ledger(result, tasks, entries)
        if purchase and (result.differences() or result.ledger_differences()):
            span = Period("days", min(dates), max(dates))
            shown = {row.source_key for row in pushed}
            result.explained = [
                difference
                for difference in _explain(engine, name, span, context, entries, purchase)
                if difference.document in shown
            ]
    _write(engine, stamp, window, result)
    return result


def _explain(
    engine: sa.Engine,
    name: str,
    span: Period,
    context: PlanContext,
    transactions: Iterable[Mapping[str, Any]],
    purchase: Purchase,
) -> list[Difference]:
    """Return what makes SYSPRO and Cin7 differ over some days, document by document."""
    entries = [Entry.read(row) for row in transactions]
    with engine.connect() as connection:
        facts = load_facts(connection, name, span, context, entries)
    books = Cin7Books(entries)
    for purchase_id in sorted(suspects(facts, books))[:_READ_AT_MOST]:
        books.purchases[purchase_id] = purchase(purchase_id)
    return tie_out_period(facts, books).blocking()


def _pushed(connection: sa.Connection, window: Window) -> list[Any]:
    table = PUSH["invoices"]
    query = sa.select(table).where(
        table.c.connection == window.connection,
        table.c.partition.between(window.first, window.last),
    )
    return list(connection.execute(query))


def _answered(connection: sa.Connection, window: Window) -> dict[str, dict[str, Any]]:
    table = PUSH["invoices"]
    query = sa.select(
        documents.c.source_key,
        documents.c.answered,
        documents.c.task_id,
        documents.c.content,
    ).where(
        documents.c.connection == window.connection,
        documents.c.kind.in_([Kind.INVOICE, Kind.CREDIT_NOTE]),
        documents.c.source_key.in_(
            sa.select(table.c.source_key).where(
                table.c.connection == window.connection,
                table.c.partition.between(window.first, window.last),
            )
        ),
    )
    rows = {r.source_key: r for r in connection.execute(query) if r.answered}
    rates = purchase_rates(connection, window.connection, rows)
    return {
        key: {
            "rate": rates[key],
            **row.answered,
            "task_id": row.task_id,
            "dated": _dated(row.content or {}),
        }
        for key, row in rows.items()
    }


def _dated(content: Mapping[str, Any]) -> str | None:
    return content.get("invoice_date") or content.get("credit_date")


def _count_absent(result: TieOut, row: Any) -> None:
    entry = result.not_in_cin7.setdefault((row.outcome, row.currency or ""), [0, ZERO])
    entry[0] += 1
    entry[1] += row.amount


def _add_syspro(
    result: TieOut, day: date, postings: Iterable[PostingRow], context: PlanContext
) -> None:
    distribution = [p for p in postings if is_distribution(p)]
    for bucket, amount in posted_amounts(distribution, context).items():
        result.add((day, *bucket), 0, amount)


def _add_cin7(
    result: TieOut,
    day: date,
    document: Mapping[str, Any],
    supplier: str,
    context: PlanContext,
) -> None:
    """Add what Cin7 books of a document: its own amounts at its own rate."""
    rate = Decimal(document["rate"])
    for key, amount in document["amounts"].items():
        account, _, centre = key.partition("|")
        result.add((day, account, centre, supplier), 1, rounded(Decimal(amount) * rate))
        result.lines[(day, account, centre, supplier)][2] += 1
    for rule, amount in document["tax"].items():
        account = context.references.tax_rules[rule].account
        result.add((day, account, "", supplier), 1, rounded(Decimal(amount) * rate))


def _add_ledger(
    result: TieOut, tasks: set[str], transactions: Iterable[Mapping[str, Any]]
) -> None:
    payable: dict[str, Decimal] = {}
    for row in transactions:
        if row.get("TaskID") not in tasks:
            continue
        amount = Decimal(row["Amount"])
        for account, sign in ((row["DebitAccountCode"], 1), (row["CreditAccountCode"], -1)):
            payable[account] = payable.get(account, ZERO) + sign * amount
    known = result.by_account(1)
    # The other side of every entry is accounts payable, which is no line of a document.
    result.ledger = {account: sum_ for account, sum_ in payable.items() if account in known}


def _merge(result: TieOut, one: TieOut, percent: Decimal | None) -> None:
    """Add one document, naming what converting it moves, if it is foreign.

    Cin7 keeps a foreign document in its own currency and converts each line at a rate of
    five decimals; SYSPRO's postings are local. What that moves, at most `percent`, is shown
    as rounding beside the two figures.

    Args:
        result: where to.
        one: the document.
        percent: the tolerance of a foreign document's rate; None for a local one.
    """
    for key, (syspro, cin7, count) in one.lines.items():
        line = result.lines.setdefault(key, [ZERO, ZERO, 0])
        line[0], line[1], line[2] = line[0] + syspro, line[1] + cin7, line[2] + count
        if percent is None:
            continue
        result.foreign[key[1]] = result.foreign.get(key[1], 0) + 1
        allowed = max(_FOREIGN_CENTS, rounding_of(syspro, percent))
        if cin7 != syspro and abs(cin7 - syspro) <= allowed:
            result.rounding[key] = result.rounding.get(key, ZERO) + cin7 - syspro


def _write(engine: sa.Engine, stamp: Stamp, window: Window, result: TieOut) -> None:
    rows = [
        {
            "partition": day,
            "account": account,
            "cost_centre": centre,
            "supplier": supplier,
            "syspro": syspro,
            "cin7": cin7,
            "rounding": result.rounding.get((day, account, centre, supplier), ZERO),
            "documents": count,
        }
        for (day, account, centre, supplier), (syspro, cin7, count) in result.lines.items()
    ]
    replace_days(engine, tie_out, stamp, window.first, window.last, rows)
    days = result.by_day(window.first, window.last)
    summary = [{"partition": day, **figures} for day, figures in days.items()]
    replace_days(engine, tied_days, stamp, window.first, window.last, summary)
