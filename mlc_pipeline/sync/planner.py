"""Planning a window: staged rows in, plan rows out.

Everything here is a query, a call of a pure planner, and a write of the plan table; one
function per plan asset.

What must not come in: HTTP, Dagster, rules of a single document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.load import Stamp, replace_days
from mlc_pipeline.staging.tables import CIN7, PLAN
from mlc_pipeline.sync import staged
from mlc_pipeline.sync.invoices import (
    InvoiceParts,
    invoice_key,
    is_distribution,
    plan_invoice,
    plan_stray_postings,
    plan_vanished,
)
from mlc_pipeline.sync.ledger import Ledger
from mlc_pipeline.sync.money import cin7_rate
from mlc_pipeline.sync.orders import (
    OrderParts,
    plan_order,
    plan_receipts,
    plan_stray_receipts,
    receipt_key,
)
from mlc_pipeline.sync.plan import Known, PlanContext, Planned
from mlc_pipeline.sync.rows import InvoiceRow, MatchRow, OrderRow, PostingRow
from mlc_pipeline.sync.staged import Window, grouped
from mlc_pipeline.sync.suppliers import (
    Cin7Supplier,
    SupplierIndex,
    plan_suppliers,
    shared_names,
)
from mlc_pipeline.sync.vocabulary import READY, REASONS, Kind, Verdict

ORDER_ENTITIES = ("purchase_orders", "purchase_order_lines", "receipts")
INVOICE_ENTITIES = ("invoices", "postings", "receipt_matches")


@dataclass
class Plan:
    """A plan of a window: each document with the day that counts it."""

    rows: list[tuple[date, Planned]] = field(default_factory=list)

    def add(self, day: date, planned: Planned) -> None:
        """Add a document."""
        self.rows.append((day, planned))


def _known(ledger: Ledger, wanted: Mapping[Kind, Iterable[str]]) -> dict[Any, Known]:
    found: dict[Any, Known] = {}
    for kind, keys in wanted.items():
        found |= ledger.known(kind, keys)
    return found


def write_plan(
    engine: sa.Engine, table: sa.Table, stamp: Stamp, window: Window, plan: Plan
) -> None:
    """Replace the window's rows of a plan table."""
    rows = [
        {
            "partition": day,
            "source_key": p.source_key,
            "kind": p.kind,
            "home": p.home,
            "verdict": p.verdict,
            "stage": p.stage,
            "reason_code": p.reason_code,
            "reason": p.reason,
            "supplier": p.supplier,
            "amount": p.amount,
            "currency": p.currency,
            "content": p.content.to_json() if p.content else None,
            "content_hash": p.content.digest() if p.content else None,
            "difference": list(p.difference) or None,
        }
        for day, p in plan.rows
    ]
    replace_days(engine, table, stamp, window.first, window.last, rows)


def plan_supplier_window(
    engine: sa.Engine, stamp: Stamp, window: Window, context: PlanContext, ledger: Ledger
) -> Plan:
    """Plan the suppliers that the window's documents need, or all, by policy."""
    plan = suppliers_of(engine, window, context, ledger)
    write_plan(engine, PLAN["suppliers"], stamp, window, plan)
    return plan


def suppliers_of(
    engine: sa.Engine, window: Window, context: PlanContext, ledger: Ledger
) -> Plan:
    """Return the plan of a window's suppliers without writing it."""
    with engine.connect() as connection:
        master = staged.suppliers(connection, window.connection)
        days = needed_suppliers(connection, window)
        index = _supplier_index(connection, window.connection, ledger)
    if context.connection.policies.supplier_scope == "all":
        days = dict.fromkeys(master, window.last) | days
    rows = [master[code] for code in sorted(days) if code in master]
    context = _with_known(context, _known(ledger, {Kind.SUPPLIER: days}))
    plan = Plan()
    for planned in plan_suppliers(rows, context, index, shared_names(master.values())):
        plan.add(days[planned.source_key], planned)
    return plan


def needed_suppliers(connection: sa.Connection, window: Window) -> dict[str, date]:
    """Return the suppliers that the window's documents name, each with the first day."""
    invoices = staged.considered_invoices(connection, window)
    matches = staged.matches_of(connection, window, invoices)
    orders = staged.considered_orders(connection, window, matches)
    headers, _, _ = staged.order_parts(connection, window, orders)
    used = [(supplier, day) for (supplier, _), day in invoices.items()]
    used += [(headers[o].supplier, day) for o, day in orders.items() if o in headers]
    days: dict[str, date] = {}
    for supplier, day in used:
        days[supplier] = min(day, days.get(supplier, day))
    return days


def _supplier_index(connection: sa.Connection, name: str, ledger: Ledger) -> SupplierIndex:
    table = CIN7["suppliers"]
    query = sa.select(
        table.c.id, table.c.name, table.c.currency, table.c.tax_number, table.c.marker
    ).where(table.c.connection == name)
    found = [Cin7Supplier(**row._mapping) for row in connection.execute(query)]
    return SupplierIndex(found, ledger.supplier_links())


def _with_known(context: PlanContext, known: Mapping[Any, Known]) -> PlanContext:
    return replace(context, known=known)


Newer = Mapping[tuple[Kind, str], Planned]
"""Planned documents by kind and source key."""


def read_plan(
    connection: sa.Connection,
    name: str,
    keys: Iterable[str],
    kind: Kind,
    table: sa.Table,
    newer: Newer | None = None,
) -> dict[str, Planned]:
    """Return the latest planned document of each key, without its content.

    Those of `newer` count before what the table has.
    """
    wanted, found = sorted(set(keys)), {}
    for start in range(0, len(wanted), 5000):
        query = (
            sa.select(table)
            .where(
                table.c.connection == name,
                table.c.kind == kind,
                table.c.source_key.in_(wanted[start : start + 5000]),
            )
            .order_by(table.c.planned_at)
        )
        for row in connection.execute(query):
            found[row.source_key] = Planned(
                kind,
                row.source_key,
                Verdict(row.verdict),
                row.amount,
                reason_code=row.reason_code,
                reason=row.reason,
            )
    for key in wanted:
        if newer and (kind, key) in newer:
            found[key] = newer[kind, key]
    return found


def plan_purchase_window(
    engine: sa.Engine, stamp: Stamp, window: Window, context: PlanContext, ledger: Ledger
) -> Plan:
    """Plan the purchase orders and receipts that the window looks at."""
    plan = purchases_of(engine, window, context, ledger)
    write_plan(engine, PLAN["purchases"], stamp, window, plan)
    return plan


def purchases_of(
    engine: sa.Engine,
    window: Window,
    context: PlanContext,
    ledger: Ledger,
    newer: Newer | None = None,
) -> Plan:
    """Return the plan of a window's orders and receipts without writing it.

    Args:
        engine: our database.
        window: the days.
        context: settings, mappings, references.
        ledger: what was written before.
        newer: planned documents that count before those of the plan tables.
    """
    with engine.connect() as connection:
        invoices = staged.considered_invoices(connection, window)
        matches = staged.matches_of(connection, window, invoices)
        orders = staged.considered_orders(connection, window, matches)
        headers, lines, receipts = staged.order_parts(connection, window, orders)
        here = staged.receipts_here(connection, window)
        lost = staged.undated(connection, window, "purchase_orders", OrderRow)
        _, lost_lines, _ = staged.order_parts(
            connection, window, [row.purchase_order for row in lost]
        )
        rejected = staged.rejected(connection, window, ORDER_ENTITIES)
        invoiced = _invoiced_orders(connection, window, matches, context, invoices)
        codes = [h.supplier for h in headers.values()]
        suppliers = _planned_suppliers(connection, window, codes, newer)
        currencies = _currencies(connection, window, ledger, suppliers, context)
    held = frozenset(
        code
        for code in codes
        if code not in suppliers or suppliers[code].verdict is Verdict.HELD
    )
    keys = [f"{r.purchase_order}|{r.grn}" for group in receipts.values() for r in group]
    known = _known(ledger, {Kind.PURCHASE_ORDER: orders, Kind.RECEIPT: keys})
    context = _with_known(context, known)
    matched = {(m.supplier, m.grn) for m in matches}
    broken = _orders_with_unreadable_lines(rejected)
    undated = {receipt_key(r.purchase_order or "", r.grn) for r in here if not r.partition}
    plan = Plan()
    for stray in plan_stray_receipts("", (r for r in here if not r.purchase_order), context):
        plan.add(window.clamp([stray.home]), stray)
    for key, day in sorted(orders.items()):
        if key not in headers:
            for stray in plan_stray_receipts(key, receipts.get(key, ()), context):
                plan.add(window.clamp([stray.home]), stray)
            continue
        parts = OrderParts(
            headers[key],
            lines.get(key, ()),
            receipts.get(key, ()),
            is_invoiced=key in invoiced,
            is_broken=key in broken,
        )
        order = plan_order(parts, context, held, currencies)
        plan.add(day, order)
        for receipt in plan_receipts(parts, order, context):
            is_here = window.covers(receipt.home) or receipt.source_key in undated
            if is_here or _is_matched(receipt, matched):
                plan.add(window.clamp([receipt.home]), receipt)
    for row in (row for row in lost if row.purchase_order not in orders):
        parts = OrderParts(row, lost_lines.get(row.purchase_order, ()))
        plan.add(window.last, plan_order(parts, context, held))
    _add_rejected(plan, window, rejected, Kind.PURCHASE_ORDER)
    _add_vanished(plan, window, ledger, [Kind.PURCHASE_ORDER, Kind.RECEIPT])
    return plan


def _orders_with_unreadable_lines(rejected: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the orders of which a line could not be read: they are not whole."""
    keys = [r["key"] for r in rejected if r["entity"] == "purchase_order_lines"]
    return {key.rpartition(", line=")[0].removeprefix("purchase_order=") for key in keys}


def _is_matched(receipt: Planned, matched: set[tuple[str, str]]) -> bool:
    return (receipt.supplier or "", receipt.source_key.partition("|")[2]) in matched


def _invoiced_orders(
    connection: sa.Connection,
    window: Window,
    matches: Iterable[MatchRow],
    context: PlanContext,
    invoices: Iterable[tuple[str, str]],
) -> set[str]:
    """Return the orders that the window's invoices belong to, by the policy's link."""
    if context.connection.policies.po_link == "invoice_reference":
        pair = ("supplier", "invoice")
        rows = staged.rows_by(
            connection, window.connection, InvoiceRow, "invoices", pair, invoices
        )
        return {row.reference for row in rows if row.reference}
    receipts = staged.receipts_matched(connection, window, matches)
    return {r.purchase_order for r in receipts if r.purchase_order}


def _planned_suppliers(
    connection: sa.Connection, window: Window, codes: Iterable[str], newer: Newer | None
) -> dict[str, Planned]:
    """Return the planned suppliers by code; one that is absent SYSPRO's master has not."""
    name, kind = window.connection, Kind.SUPPLIER
    return read_plan(connection, name, codes, kind, PLAN["suppliers"], newer)


def _currencies(
    connection: sa.Connection,
    window: Window,
    ledger: Ledger,
    suppliers: Mapping[str, Planned],
    context: PlanContext,
) -> dict[str, str | None]:
    """Return the currency of each supplier in Cin7, None where that is not known.

    One that this cycle makes or changes will have the currency of SYSPRO's master.
    """
    table = CIN7["suppliers"]
    query = sa.select(table.c.id, table.c.currency).where(
        table.c.connection == window.connection
    )
    links = ledger.supplier_links()
    there = {
        links[row.id]: row.currency for row in connection.execute(query) if row.id in links
    }
    master = staged.suppliers(connection, window.connection)
    found: dict[str, str | None] = {}
    for code, planned in suppliers.items():
        found[code] = there.get(code)
        if code in master and (planned.verdict in READY or code not in there):
            local = context.connection.syspro.local_currency
            own = master[code].currency
            is_local = own in (None, local)
            found[code] = local if is_local else context.mappings.currencies.lookup(own or "")
    return found


def _add_rejected(
    plan: Plan, window: Window, rejected: Iterable[Mapping[str, Any]], kind: Kind
) -> None:
    for row in rejected:
        plan.add(
            row["partition"] or window.last,
            Planned(
                kind,
                f"{row['entity']}: {row['key']}",
                Verdict.HELD,
                Decimal(0),
                home=row["partition"],
                reason_code=REASONS["unreadable_row"].code,
                reason=row["reason"],
            ),
        )


def _add_vanished(plan: Plan, window: Window, ledger: Ledger, kinds: list[Kind]) -> None:
    """Add the documents of the window that are in Cin7 and gone from SYSPRO."""
    # By key alone: a credit that found its invoice changes its kind, not itself.
    here = {p.source_key for _, p in plan.rows if p.kind is not Kind.POSTING}
    gone = [
        sent
        for sent in ledger.sent_between(kinds, window.first, window.last)
        if sent[1] not in here
    ]
    vanished = {sent[1] for sent in gone}
    # What is posted to an invoice that is gone is shown with the invoice.
    plan.rows = [
        (day, p)
        for day, p in plan.rows
        if p.kind is not Kind.POSTING or p.source_key not in vanished
    ]
    for planned in plan_vanished(gone):
        plan.add(window.clamp([planned.home]), planned)


def plan_invoice_window(
    engine: sa.Engine, stamp: Stamp, window: Window, context: PlanContext, ledger: Ledger
) -> Plan:
    """Plan the invoices, credits and stray postings that the window looks at."""
    plan = invoices_of(engine, window, context, ledger)
    write_plan(engine, PLAN["invoices"], stamp, window, plan)
    return plan


def invoices_of(
    engine: sa.Engine,
    window: Window,
    context: PlanContext,
    ledger: Ledger,
    newer: Newer | None = None,
) -> Plan:
    """Return the plan of a window's invoices without writing it; see `purchases_of`."""
    with engine.connect() as connection:
        material = _Material(connection, window, context, newer)
        currencies = _currencies(connection, window, ledger, material.suppliers, context)
        rejected = staged.rejected(connection, window, INVOICE_ENTITIES)
    credited = [c for p in material.parts if (c := p.credited) is not None]
    keys = [invoice_key(p.invoice.supplier, p.invoice.invoice) for p in material.parts]
    known = _known(
        ledger,
        {
            Kind.INVOICE: [*keys, *credited],
            Kind.CREDIT_NOTE: [*keys, *material.other_credit_keys()],
            Kind.PURCHASE_ORDER: material.orders,
        },
    )
    context = _with_known(context, known)
    plan = Plan()
    for parts in material.parts:
        planned = plan_invoice(
            parts,
            context,
            suppliers=material.suppliers,
            orders=material.orders,
            terms_of=material.terms,
            currency_of=currencies,
        )
        key = (parts.invoice.supplier, parts.invoice.invoice)
        plan.add(material.days.get(key, window.last), planned)
    for stray in plan_stray_postings(material.stray, context):
        plan.add(window.clamp([stray.home]), stray)
    _add_rejected(plan, window, rejected, Kind.INVOICE)
    _add_vanished(plan, window, ledger, [Kind.INVOICE, Kind.CREDIT_NOTE])
    return plan


class _Material:
    """Everything that planning a window's invoices looks at, read at once."""

    def __init__(
        self,
        connection: sa.Connection,
        window: Window,
        context: PlanContext,
        newer: Newer | None,
    ) -> None:
        name = window.connection
        self.days = staged.considered_invoices(connection, window)
        pair = ("supplier", "invoice")
        rows = staged.rows_by(connection, name, InvoiceRow, "invoices", pair, self.days)
        lost = staged.undated(connection, window, "invoices", InvoiceRow)
        rows += [row for row in lost if (row.supplier, row.invoice) not in self.days]
        keys = [(row.supplier, row.invoice) for row in rows]
        postings = staged.rows_by(connection, name, PostingRow, "postings", pair, self.days)
        matches = staged.matches_of(connection, window, keys)
        receipts = staged.receipts_matched(connection, window, matches)
        orders = {r.purchase_order for r in receipts if r.purchase_order}
        references = {row.reference for row in rows if row.reference}
        if context.connection.policies.po_link == "invoice_reference":
            orders |= references
        headers, lines, received = staged.order_parts(connection, window, orders)
        self._order_lines = {
            (line.purchase_order, line.line): line for ls in lines.values() for line in ls
        }
        self._received = received
        notes = {(r.supplier, r.grn) for rs in received.values() for r in rs}
        all_matches = staged.rows_by(
            connection, name, MatchRow, "receipt_matches", ("supplier", "grn"), notes
        )
        self._all_matches = grouped(all_matches, "supplier", "grn")
        self._postings = grouped(postings, *pair)
        self._matches = grouped(matches, *pair)
        self._receipts = grouped(receipts, "supplier", "grn")
        self._headers = headers
        self._credited, self._credits = self._credited_rows(connection, name, rows)
        self.parts = [self._parts_of(row) for row in sorted(rows, key=_invoice_order)]
        here = {(row.supplier, row.invoice) for row in rows}
        self.stray = [
            posting
            for posting in postings
            if window.covers(posting.partition)
            and (
                not is_distribution(posting) or (posting.supplier, posting.invoice) not in here
            )
        ]
        self.stray += staged.lost_postings(connection, window)
        codes = {row.supplier for row in rows}
        self.suppliers = _planned_suppliers(connection, window, codes, newer)
        self.orders = read_plan(
            connection, name, orders, Kind.PURCHASE_ORDER, PLAN["purchases"], newer
        )
        master = staged.suppliers(connection, name)
        self.terms = {code: row.terms_code for code, row in master.items()}

    @staticmethod
    def _credited_rows(
        connection: sa.Connection, name: str, rows: Iterable[InvoiceRow]
    ) -> tuple[dict[tuple[str, str], InvoiceRow], dict[tuple[str, str], list[InvoiceRow]]]:
        """Return the invoices that the credits name, and every credit that names them."""
        wanted = [(r.supplier, r.reference) for r in rows if r.value < 0 and r.reference]
        read = (connection, name, InvoiceRow, "invoices")
        named = staged.rows_by(*read, ("supplier", "invoice"), wanted)
        naming = staged.rows_by(*read, ("supplier", "reference"), wanted)
        negative = [r for r in naming if r.value < 0]
        return (
            {(r.supplier, r.invoice): r for r in named if r.value > 0},
            grouped(negative, "supplier", "reference"),
        )

    def other_credit_keys(self) -> list[str]:
        """Return the keys of every credit of the invoices that are credited here."""
        return [
            invoice_key(c.supplier, c.invoice)
            for key in self._credited
            for c in self._credits.get(key, [])
        ]

    def _is_order_of(self, row: InvoiceRow, reference: str) -> bool:
        header = self._headers.get(reference)
        return header is not None and header.supplier == row.supplier

    def _parts_of(self, row: InvoiceRow) -> InvoiceParts:
        key = (row.supplier, row.invoice)
        matches = self._matches.get(key, [])
        grns = sorted({(m.supplier, m.grn) for m in matches})
        reference = row.reference or ""
        credited = self._credited.get((row.supplier, reference))
        receipts = [r for grn in grns for r in self._receipts.get(grn, [])]
        orders = sorted({r.purchase_order for r in receipts if r.purchase_order})
        of_orders = [r for order in orders for r in self._received.get(order, [])]
        notes = sorted({(r.supplier, r.grn) for r in of_orders})
        return InvoiceParts(
            invoice=row,
            postings=[p for p in self._postings.get(key, []) if is_distribution(p)],
            matches=matches,
            receipts=receipts,
            order_lines=self._order_lines,
            order_headers=self._headers,
            referenced_order=reference if self._is_order_of(row, reference) else None,
            credited=invoice_key(row.supplier, reference) if credited else None,
            credited_value=credited.value if credited else None,
            credited_rate=cin7_rate(credited.exchange_rate, credited.mul_div)
            if credited
            else None,
            other_credits=[
                c
                for c in self._credits.get((row.supplier, reference), [])
                if c.invoice != row.invoice
            ],
            order_receipts=of_orders,
            other_matches=[
                m
                for note in notes
                for m in self._all_matches.get(note, [])
                if m.invoice != row.invoice
            ],
        )


def _invoice_order(row: InvoiceRow) -> tuple[bool, str, str, str]:
    """Sort credits after invoices, so that what a credit names is there before it."""
    return (row.value < 0, str(row.invoice_date), row.supplier, row.invoice)
