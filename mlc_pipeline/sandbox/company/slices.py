"""A part of a ledger: the documents of some days, and what they refer to.

What must not come in: files, SYSPRO, Cin7.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from mlc_pipeline.sandbox.company.model import ZERO, Company, PoLine, PurchaseOrder, Receipt
from mlc_pipeline.sandbox.company.rules import UNBILLED, billed_by, received


def first_date(company: Company) -> date:
    """The earliest date of an order, a receipt or an invoice.

    Raises:
        ValueError: no document has a date.
    """
    dates = [each.order_date for each in company.purchase_orders if each.order_date]
    dates += [each.receipt_date for each in company.receipts]
    dates += [each.invoice_date for each in company.invoices]
    if not dates:
        raise ValueError(f"company {company.name}: found no dated document, expected one")
    return min(dates)


def slice_company(company: Company, first: date, last: date) -> Company:
    """Keep the documents dated `first` to `last`, both included, and what they refer to.

    The slice stands as on the evening of `last`: an order that is kept has its receipts up
    to that day, and is complete only if none came later. An invoice brings its order, the
    receipts it bills and the invoice it credits; an order without a date comes only so.
    Accounts, cost centres and stock items are kept whole.
    """
    documents = _documents(company, first, last)
    # Said before invoices go: the only one that is left would take every blank receipt.
    receipts = [
        replace(receipt, document_no=document or UNBILLED)
        for receipt, document in zip(company.receipts, billed_by(company), strict=True)
    ]
    orders = _orders(company, receipts, documents, first, last)
    there = [
        each
        for each in receipts
        if each.purchase_order in orders
        and (each.receipt_date <= last or each.document_no in documents)
    ]
    cut = replace(
        company,
        invoices=tuple(e for e in company.invoices if e.document_no in documents),
        gl_distributions=tuple(
            e for e in company.gl_distributions if e.document_no in documents
        ),
        purchase_orders=tuple(e for e in company.purchase_orders if e.purchase_order in orders),
        po_lines=tuple(e for e in company.po_lines if e.purchase_order in orders),
        receipts=tuple(there),
        payments=tuple(e for e in company.payments if first <= e.payment_date <= last),
    )
    used = {each.supplier_id for each in cut.invoices}
    used |= {each.supplier_id for each in cut.purchase_orders}
    used |= {each.supplier_id for each in cut.payments}
    cut = replace(cut, suppliers=tuple(e for e in company.suppliers if e.supplier_id in used))
    return _as_received(cut, company.receipts)


def _documents(company: Company, first: date, last: date) -> set[str]:
    """Documents dated in the days, and those they credit."""
    credited = {each.document_no: each.credit_of for each in company.invoices}
    kept = {e.document_no for e in company.invoices if first <= e.invoice_date <= last}
    wanted = kept
    while wanted:
        wanted = {credited[document] for document in wanted} - kept - {""}
        kept = kept | wanted
    return kept


def _orders(
    company: Company, receipts: Iterable[Receipt], documents: set[str], first: date, last: date
) -> set[str]:
    """Orders dated or received in the days, or billed by one of the documents."""
    dated = {
        each.purchase_order
        for each in company.purchase_orders
        if each.order_date is not None and first <= each.order_date <= last
    }
    moved = {
        each.purchase_order
        for each in receipts
        if first <= each.receipt_date <= last or each.document_no in documents
    }
    billed = {each.purchase_order for each in company.invoices if each.document_no in documents}
    return (dated | moved | billed) - {""}


def _as_received(cut: Company, whole: Iterable[Receipt]) -> Company:
    """Put lines and orders back to what the receipts that are left make of them."""
    before, after = received(whole), received(cut.receipts)
    shortened = {key for key, quantity in before.items() if after.get(key, ZERO) != quantity}
    open_orders = {order for order, _ in shortened}
    last: dict[tuple[str, int], date] = {}
    for each in cut.receipts:
        key = (each.purchase_order, each.line)
        last[key] = max(each.receipt_date, last.get(key, each.receipt_date))

    def line_as_received(line: PoLine) -> PoLine:
        key = (line.purchase_order, line.line)
        if key not in shortened:
            return line
        quantity = after.get(key, ZERO)
        return replace(line, complete=False, qty_received=quantity, last_receipt=last.get(key))

    def order_as_received(order: PurchaseOrder) -> PurchaseOrder:
        if order.purchase_order not in open_orders or order.status == "cancelled":
            return order
        return replace(order, complete=False, status="open")

    return replace(
        cut,
        po_lines=tuple(map(line_as_received, cut.po_lines)),
        purchase_orders=tuple(map(order_as_received, cut.purchase_orders)),
    )
