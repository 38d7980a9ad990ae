"""Conservation: what is staged of some days has a verdict, and what has one an outcome.

The staged rows are the measure, not the plan: a document that the plan overlooked, or an
amount that it misread, shows here by count and by money.

What must not come in: HTTP, Dagster, verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.tables import PLAN, PUSH
from mlc_pipeline.sync import staged
from mlc_pipeline.sync.invoices import invoice_key
from mlc_pipeline.sync.journals import is_distribution
from mlc_pipeline.sync.money import ZERO
from mlc_pipeline.sync.orders import receipt_key
from mlc_pipeline.sync.planner import INVOICE_ENTITIES, ORDER_ENTITIES
from mlc_pipeline.sync.rows import InvoiceRow, OrderRow
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.vocabulary import Kind


@dataclass(frozen=True)
class Balance:
    """One kind of record in one currency: [count, money] as staged, planned and pushed.

    `staged` is None where the staged rows have no such figure of their own; money is zero
    where only the count is known before the plan.
    """

    what: str
    currency: str
    staged: tuple[int, Decimal] | None
    planned: tuple[int, Decimal]
    pushed: tuple[int, Decimal]

    @property
    def is_even(self) -> bool:
        """Whether nothing was lost or changed on the way."""
        return self.planned == self.pushed and self.staged in (None, self.planned)


@dataclass(frozen=True)
class _Row:
    key: str
    kind: str
    currency: str
    amount: Decimal


def conserve(connection: sa.Connection, window: Window, kind: str, local: str) -> list[Balance]:
    """Hold the staged rows of a window against its plan and its push.

    Args:
        connection: our database.
        window: the days.
        kind: suppliers, syspro_suppliers, purchases or invoices.
        local: ISO code of SYSPRO's local currency.
    """
    planned = _rows(connection, window, PLAN[kind], local)
    pushed = _rows(connection, window, PUSH[kind], local)
    made: Mapping[str, Any] = {
        "suppliers": _suppliers,
        "purchases": _purchases,
        "invoices": _invoices,
    }
    # What SYSPRO gets is wanted by no staged record alone: plan and push must agree.
    found = made[kind](connection, window, local, planned, pushed) if kind in made else []
    return [*found, *_in_all(planned, pushed)]


def _rows(connection: sa.Connection, window: Window, table: sa.Table, local: str) -> list[_Row]:
    query = sa.select(table.c.source_key, table.c.kind, table.c.currency, table.c.amount).where(
        table.c.connection == window.connection,
        table.c.partition.between(window.first, window.last),
    )
    return [
        _Row(r.source_key, r.kind, r.currency or local, r.amount)
        for r in connection.execute(query)
    ]


def _total(rows: Iterable[_Row]) -> tuple[int, Decimal]:
    found = list(rows)
    return len(found), sum((row.amount for row in found), ZERO)


def _in_all(planned: list[_Row], pushed: list[_Row]) -> list[Balance]:
    """Compare plan and push by currency: records that are not staged any more count too."""
    return [
        Balance(
            "all records",
            currency,
            None,
            _total(r for r in planned if r.currency == currency),
            _total(r for r in pushed if r.currency == currency),
        )
        for currency in sorted({r.currency for r in (*planned, *pushed)})
    ]


def _counted(
    what: str, keys: set[str], planned: Iterable[_Row], pushed: Iterable[_Row]
) -> Balance:
    """Compare by count alone: each staged key once in the plan, once in the push."""
    return Balance(
        what,
        "",
        (len(keys), ZERO),
        (sum(row.key in keys for row in planned), ZERO),
        (sum(row.key in keys for row in pushed), ZERO),
    )


def _rejected(
    connection: sa.Connection,
    window: Window,
    entities: Iterable[str],
    planned: Iterable[_Row],
    pushed: Iterable[_Row],
) -> list[Balance]:
    found = staged.rejected(connection, window, entities)
    keys = {f"{row['entity']}: {row['key']}" for row in found}
    return [_counted("unreadable rows", keys, planned, pushed)] if keys else []


def _suppliers(
    connection: sa.Connection,
    window: Window,
    _local: str,
    planned: list[_Row],
    pushed: list[_Row],
) -> list[Balance]:
    invoices = staged.considered_invoices(connection, window)
    matches = staged.matches_of(connection, window, invoices)
    orders = staged.considered_orders(connection, window, matches)
    headers, _, _ = staged.order_parts(connection, window, orders)
    used = {supplier for supplier, _ in invoices} | {h.supplier for h in headers.values()}
    known = used & staged.suppliers(connection, window.connection).keys()
    return [_counted("suppliers in use", known, planned, pushed)]


def _purchases(
    connection: sa.Connection,
    window: Window,
    _local: str,
    planned: list[_Row],
    pushed: list[_Row],
) -> list[Balance]:
    invoices = staged.considered_invoices(connection, window)
    matches = staged.matches_of(connection, window, invoices)
    considered = staged.considered_orders(connection, window, matches)
    headers, _, _ = staged.order_parts(connection, window, considered)
    lost = staged.undated(connection, window, "purchase_orders", OrderRow)
    orders = headers.keys() | {row.purchase_order for row in lost}
    here = staged.receipts_here(connection, window)
    receipts = {receipt_key(r.purchase_order or "", r.grn) for r in here}
    of_orders = [
        [r for r in rows if r.kind == Kind.PURCHASE_ORDER] for rows in (planned, pushed)
    ]
    of_receipts = [[r for r in rows if r.kind == Kind.RECEIPT] for rows in (planned, pushed)]
    return [
        _counted("purchase orders", set(orders), *of_orders),
        _counted("receipts of these days", receipts, *of_receipts),
        *_rejected(connection, window, ORDER_ENTITIES, planned, pushed),
    ]


def _invoices(
    connection: sa.Connection,
    window: Window,
    local: str,
    planned: list[_Row],
    pushed: list[_Row],
) -> list[Balance]:
    pair = ("supplier", "invoice")
    days = staged.considered_invoices(connection, window)
    rows = staged.rows_by(connection, window.connection, InvoiceRow, "invoices", pair, days)
    lost = staged.undated(connection, window, "invoices", InvoiceRow)
    rows += [row for row in lost if (row.supplier, row.invoice) not in days]
    documents = [
        _Row(invoice_key(r.supplier, r.invoice), "", r.currency or local, r.value) for r in rows
    ]
    keys = {row.key for row in documents}
    of_documents = [
        [r for r in side if r.key in keys and r.kind != Kind.POSTING]
        for side in (planned, pushed)
    ]
    found = [
        Balance(
            "invoices and credits",
            currency,
            _total(r for r in documents if r.currency == currency),
            _total(r for r in of_documents[0] if r.currency == currency),
            _total(r for r in of_documents[1] if r.currency == currency),
        )
        for currency in sorted({r.currency for r in (*documents, *of_documents[0])})
    ]
    return [
        *found,
        *_strays(connection, window, local, keys, planned, pushed),
        *_rejected(connection, window, INVOICE_ENTITIES, planned, pushed),
    ]


def _strays(
    connection: sa.Connection,
    window: Window,
    local: str,
    documents: set[str],
    planned: list[_Row],
    pushed: list[_Row],
) -> list[Balance]:
    """Compare the postings that are no part of a staged document.

    What is posted to a document that vanished is shown with the document.
    """
    shown = {r.key for r in planned if r.kind != Kind.POSTING}
    sums: dict[str, Decimal] = {}
    lost = staged.lost_postings(connection, window)
    for posting in (*staged.postings_in(connection, window), *lost):
        key = invoice_key(posting.supplier, posting.invoice)
        if not is_distribution(posting):
            key = posting.key
        elif key in documents or key in shown:
            continue
        sums[key] = sums.get(key, ZERO) + posting.amount
    sides = [[r for r in side if r.kind == Kind.POSTING] for side in (planned, pushed)]
    if not sums and not any(sides):
        return []
    measure = (len(sums), sum(sums.values(), ZERO))
    return [Balance("stray postings", local, measure, _total(sides[0]), _total(sides[1]))]
