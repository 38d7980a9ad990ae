"""Which invoices were stopped by something that a window now brings.

An invoice that came before its order, or a credit before its invoice, belongs to its own
day; the day of what it waits for must bring it too, or nothing would.

What must not come in: verdicts, HTTP, Dagster.
"""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa

from mlc_pipeline.staging.tables import PUSH, SYSPRO

_FOR_ORDER = ("order_missing", "order_held", "order_is_draft", "match_unclear")
_FOR_INVOICE = ("credited_invoice_missing", "unnamed_credit")


def invoices_waiting_for(
    name: str, first: date, last: date
) -> sa.CompoundSelect[tuple[str, str, date]]:
    """Select the invoices that were last seen waiting for a document dated in some days.

    Args:
        name: the connection.
        first: first day.
        last: last day, included.

    Returns:
        A query of (supplier, invoice, day of what it waits for).
    """
    invoices, orders = SYSPRO["invoices"], SYSPRO["purchase_orders"]
    matches, receipts = SYSPRO["receipt_matches"], SYSPRO["receipts"]
    ordered = sa.and_(orders.c.connection == name, orders.c.partition.between(first, last))
    by_receipt = (
        sa.select(matches.c.supplier, matches.c.invoice, orders.c.partition)
        .join(receipts, _same(matches, receipts, "connection", "supplier", "grn"))
        .join(orders, _same(receipts, orders, "connection", "purchase_order"))
        .where(ordered, _stopped(matches, name, _FOR_ORDER))
    )
    by_reference = (
        sa.select(invoices.c.supplier, invoices.c.invoice, orders.c.partition)
        .join(
            orders,
            sa.and_(
                _same(invoices, orders, "connection", "supplier"),
                invoices.c.reference == orders.c.purchase_order,
            ),
        )
        .where(ordered, _stopped(invoices, name, _FOR_ORDER))
    )
    named = invoices.alias("named")
    by_credit = (
        sa.select(invoices.c.supplier, invoices.c.invoice, named.c.partition)
        .join(
            named,
            sa.and_(
                _same(invoices, named, "connection", "supplier"),
                invoices.c.reference == named.c.invoice,
            ),
        )
        .where(
            named.c.connection == name,
            named.c.partition.between(first, last),
            _stopped(invoices, name, _FOR_INVOICE),
        )
    )
    return sa.union(by_receipt, by_reference, by_credit)


def _same(left: sa.FromClause, right: sa.FromClause, *columns: str) -> sa.ColumnElement[bool]:
    return sa.and_(*[left.c[column] == right.c[column] for column in columns])


def _stopped(
    table: sa.FromClause, name: str, reasons: tuple[str, ...]
) -> sa.ColumnElement[bool]:
    pushed = PUSH["invoices"]
    stopped = sa.select(pushed.c.source_key).where(
        pushed.c.connection == name, pushed.c.reason_code.in_(reasons)
    )
    return (table.c.supplier + "|" + table.c.invoice).in_(stopped)
