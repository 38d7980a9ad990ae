"""What a run looks at: the documents dated or moved in its days, as staged rows.

A document belongs to one day, its home; it is *considered* by the run of another day too
when something of it moved there (a posting, a receipt, a match). These queries are the one
place that says which.

What must not come in: verdicts, HTTP, Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

import sqlalchemy as sa

from mlc_pipeline.staging.keys import among
from mlc_pipeline.staging.tables import SYSPRO, rejected_rows
from mlc_pipeline.staging.waiting import invoices_waiting_for
from mlc_pipeline.sync.journals import is_distribution
from mlc_pipeline.sync.rows import (
    InvoiceRow,
    MatchRow,
    OrderLineRow,
    OrderRow,
    PostingRow,
    ReceiptRow,
    SupplierRow,
)

Row = TypeVar("Row")
_CHUNK = 5000


@dataclass(frozen=True)
class Window:
    """The days of a run, both included, of one connection."""

    connection: str
    first: date
    last: date

    def covers(self, day: date | None) -> bool:
        """Tell whether a day is in the window."""
        return day is not None and self.first <= day <= self.last

    def clamp(self, days: Iterable[date | None]) -> date:
        """Return the first of some days that is in the window, else its last day."""
        return min((d for d in days if d is not None and self.covers(d)), default=self.last)


def _t(entity: str) -> sa.Table:
    return SYSPRO[entity]


def _in(window: Window, entity: str) -> sa.ColumnElement[bool]:
    table = _t(entity)
    return sa.and_(
        table.c.connection == window.connection,
        table.c.partition.between(window.first, window.last),
    )


def _here(window: Window, entity: str) -> sa.ColumnElement[bool]:
    """Rows dated in the window, and those without a date: every run looks at them."""
    table = _t(entity)
    undated = sa.and_(table.c.connection == window.connection, table.c.partition.is_(None))
    return sa.or_(_in(window, entity), undated)


def invoices_dated(window: Window) -> sa.Select[tuple[str, str, date]]:
    """Select (supplier, invoice, day) of invoices dated in the window."""
    table = _t("invoices")
    return sa.select(table.c.supplier, table.c.invoice, table.c.partition).where(
        _in(window, "invoices")
    )


def invoices_moved(window: Window) -> sa.Select[tuple[str, str, date]]:
    """Select (supplier, invoice, day) of invoices posted or matched in the window."""
    postings, matches = _t("postings"), _t("receipt_matches")
    of_postings = sa.select(
        postings.c.supplier, postings.c.invoice, postings.c.partition
    ).where(_in(window, "postings"))
    of_matches = sa.select(matches.c.supplier, matches.c.invoice, matches.c.partition).where(
        _in(window, "receipt_matches")
    )
    both = of_postings.union(of_matches).subquery()
    return sa.select(both.c.supplier, both.c.invoice, both.c.partition)


def orders_dated(window: Window) -> sa.Select[tuple[str, date]]:
    """Select (purchase_order, day) of orders dated in the window."""
    table = _t("purchase_orders")
    return sa.select(table.c.purchase_order, table.c.partition).where(
        _in(window, "purchase_orders")
    )


def considered_invoices(
    connection: sa.Connection, window: Window
) -> dict[tuple[str, str], date]:
    """Return the invoices that the window looks at, each with the day that counts it.

    That is its own date when that is in the window, else the first day it moved on, or
    on which what it waits for is dated.
    """
    found: dict[tuple[str, str], date] = {}
    waiting = invoices_waiting_for(window.connection, window.first, window.last)
    for query in (waiting, invoices_moved(window)):
        for supplier, invoice, day in connection.execute(query):
            key = (supplier, invoice)
            found[key] = min(day, found.get(key, day))
    for supplier, invoice, day in connection.execute(invoices_dated(window)):
        found[(supplier, invoice)] = day
    return found


def matches_of(
    connection: sa.Connection, window: Window, invoices: Iterable[tuple[str, str]]
) -> list[MatchRow]:
    """Return the receipt matches of invoices."""
    return rows_by(
        connection,
        window.connection,
        MatchRow,
        "receipt_matches",
        ("supplier", "invoice"),
        invoices,
    )


def considered_orders(
    connection: sa.Connection, window: Window, matches: Iterable[MatchRow]
) -> dict[str, date]:
    """Return the orders that the window looks at, each with the day that counts it.

    Orders dated in it, orders received in it or on no day, and orders of the receipts that
    the considered invoices are matched to.
    """
    found: dict[str, date] = {}
    for receipt in receipts_here(connection, window):
        if receipt.purchase_order:
            day = receipt.partition or window.last
            found[receipt.purchase_order] = min(day, found.get(receipt.purchase_order, day))
    for receipt in receipts_matched(connection, window, matches):
        if receipt.purchase_order:
            found.setdefault(receipt.purchase_order, window.clamp([receipt.partition]))
    for order, day in connection.execute(orders_dated(window)):
        found[order] = day
    return found


def receipts_here(connection: sa.Connection, window: Window) -> list[ReceiptRow]:
    """Return the receipt lines dated in the window or not at all."""
    query = sa.select(_t("receipts")).where(_here(window, "receipts"))
    return [_row(ReceiptRow, r) for r in connection.execute(query)]


def receipts_matched(
    connection: sa.Connection, window: Window, matches: Iterable[MatchRow]
) -> list[ReceiptRow]:
    """Return the receipt lines that matches name."""
    keys = {(m.supplier, m.grn) for m in matches}
    return rows_by(
        connection, window.connection, ReceiptRow, "receipts", ("supplier", "grn"), keys
    )


def undated(
    connection: sa.Connection, window: Window, entity: str, row: type[Row]
) -> list[Row]:
    """Return the rows of an entity that have no date."""
    table = _t(entity)
    query = sa.select(table).where(
        table.c.connection == window.connection, table.c.partition.is_(None)
    )
    return [_row(row, found) for found in connection.execute(query)]


def rows_by(
    connection: sa.Connection,
    name: str,
    row: type[Row],
    entity: str,
    columns: tuple[str, ...],
    keys: Iterable[tuple[Any, ...]],
) -> list[Row]:
    """Return staged rows of a connection whose columns have one of the given values."""
    table = _t(entity)
    wanted = sorted(set(keys))
    target = [table.c[column] for column in columns]
    found: list[Row] = []
    for start in range(0, len(wanted), _CHUNK):
        query = sa.select(table).where(
            table.c.connection == name, among(target, wanted[start : start + _CHUNK])
        )
        found += [_row(row, r) for r in connection.execute(query)]
    return found


def suppliers(connection: sa.Connection, name: str) -> dict[str, SupplierRow]:
    """Return every supplier of a connection by code, with its address."""
    master, address = _t("suppliers"), _t("supplier_addresses")
    joined = master.outerjoin(
        address,
        sa.and_(
            address.c.connection == master.c.connection,
            address.c.supplier == master.c.supplier,
        ),
    )
    wanted = [f.name for f in fields(SupplierRow)]
    columns = [master.c[n] if n in master.c else address.c[n] for n in wanted]
    query = sa.select(*columns).select_from(joined).where(master.c.connection == name)
    return {r.supplier: _row(SupplierRow, r) for r in connection.execute(query)}


def gl_names(connection: sa.Connection, name: str) -> dict[str, str]:
    """Return the description of each GL code that SYSPRO shows."""
    table = _t("gl_accounts")
    query = sa.select(table.c.gl_code, table.c.description).where(
        table.c.connection == name, table.c.description.is_not(None)
    )
    return {r.gl_code: r.description for r in connection.execute(query)}


def postings_in(connection: sa.Connection, window: Window) -> list[PostingRow]:
    """Return the postings dated in the window."""
    query = sa.select(_t("postings")).where(_in(window, "postings"))
    return [_row(PostingRow, r) for r in connection.execute(query)]


def lost_postings(connection: sa.Connection, window: Window) -> list[PostingRow]:
    """Return the postings without a date that no staged invoice brings along."""
    lost = undated(connection, window, "postings", PostingRow)
    pair = ("supplier", "invoice")
    keys = {(p.supplier, p.invoice) for p in lost}
    found = rows_by(connection, window.connection, InvoiceRow, "invoices", pair, keys)
    there = {(row.supplier, row.invoice) for row in found}
    return [p for p in lost if not is_distribution(p) or (p.supplier, p.invoice) not in there]


def rejected(
    connection: sa.Connection, window: Window, entities: Iterable[str]
) -> list[Mapping[str, Any]]:
    """Return the rows of entities that could not be staged, of the window or without a day."""
    table = rejected_rows
    query = sa.select(table.c.entity, table.c.key, table.c.partition, table.c.reason).where(
        table.c.connection == window.connection,
        table.c.entity.in_(list(entities)),
        sa.or_(
            table.c.partition.between(window.first, window.last), table.c.partition.is_(None)
        ),
    )
    return [dict(r._mapping) for r in connection.execute(query)]


def grouped(rows: Iterable[Row], *columns: str) -> dict[Any, list[Row]]:
    """Group rows by columns; a single column groups by its bare value."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        values = tuple(getattr(row, column) for column in columns)
        groups.setdefault(values if len(values) > 1 else values[0], []).append(row)
    return groups


def order_parts(
    connection: sa.Connection, window: Window, keys: Iterable[str]
) -> tuple[dict[str, OrderRow], dict[str, list[OrderLineRow]], dict[str, list[ReceiptRow]]]:
    """Return headers, lines and receipts of orders by order number."""
    wanted = [(key,) for key in keys]
    column = ("purchase_order",)
    name = window.connection
    headers = rows_by(connection, name, OrderRow, "purchase_orders", column, wanted)
    lines = rows_by(connection, name, OrderLineRow, "purchase_order_lines", column, wanted)
    receipts = rows_by(connection, name, ReceiptRow, "receipts", column, wanted)
    return (
        {h.purchase_order: h for h in headers},
        grouped(lines, "purchase_order"),
        grouped(receipts, "purchase_order"),
    )


def _row(kind: type[Row], found: Any) -> Row:
    """Build a row dataclass; a number that SYSPRO left null takes the field's default."""
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        value = getattr(found, field.name)
        if value is None and isinstance(field.default, Decimal):
            continue
        values[field.name] = value
    return kind(**values)
