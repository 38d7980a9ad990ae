"""`/advanced-purchase/invoice`: supplier invoices, and what they post.

A DRAFT may be overwritten, an authorised invoice not. The invoice number is kept as sent;
without one the order's number makes it, with `/2` for a second group. Repeating a number is
allowed: nothing published says otherwise.
What must not come in: payments, credit notes.
"""

from __future__ import annotations

from mlc_pipeline.sandbox.cin7 import ledger, purchases
from mlc_pipeline.sandbox.cin7.bodies import INVOICE_POST
from mlc_pipeline.sandbox.cin7.lines import Content, combined, content_of, totals
from mlc_pipeline.sandbox.cin7.purchase import (
    SIMPLE,
    empty_invoice,
    is_inclusive,
    open_group,
    part_of,
    received_stock,
)
from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.review import Review
from mlc_pipeline.sandbox.cin7.routes.route import Route
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import ZERO_GUID, Document, new_guid


def get_invoices(sandbox: Sandbox, call: Call) -> Document:
    """The invoices of a purchase, one a group."""
    purchase = purchases.find_purchase(sandbox, call.query["PurchaseID"])
    return _answer(purchase, combine=bool(call.flag("CombineAdditionalCharges")))


def post_invoice(sandbox: Sandbox, call: Call) -> Document:
    """Write an invoice; authorising it posts it to the ledger."""
    body = call.body
    purchase = purchases.find_purchase(sandbox, body["PurchaseID"])
    _check_gates(purchase)
    invoice = _invoice_task(sandbox, purchase, body["TaskID"])
    review = Review(sandbox)
    review.open_period("InvoiceDate", body["InvoiceDate"])
    content = content_of(review, body, charges_only=purchase["IsServiceOnly"])
    if body["Status"] == "AUTHORISED" and not content:
        review.wrong("Invoice without lines can't be authorised")
    review.close()

    if invoice is None:
        invoice = open_group(purchase, new_guid(), "DRAFT")
    invoice |= {
        "CombineAdditionalCharges": body["CombineAdditionalCharges"],
        "InvoiceDate": body["InvoiceDate"],
        "InvoiceDueDate": body["InvoiceDueDate"],
        "InvoiceNumber": body.get("InvoiceNumber") or _own_number(purchase, invoice),
        "Status": body["Status"],
        "CurrencyRate": purchase["CurrencyRate"],
        **_content_fields(purchase, content),
    }
    ledger.post(sandbox, purchase, invoice)
    purchases.keep(sandbox, purchase)
    return _answer(purchase)


def delete_invoice(sandbox: Sandbox, call: Call) -> Document:
    """Void an invoice for good (`Void=true`), or undo an authorised one to DRAFT.

    That a paid or credited invoice is refused is ours; the reference is silent.
    """
    purchase, invoice = purchases.find_by_task(sandbox, call.query["TaskID"], "Invoice")
    _check_removal(sandbox, purchase, invoice)
    if call.flag("Void"):
        kept = {name: invoice[name] for name in _KEPT_WHEN_VOIDED}
        number = invoice["InvoicingAndReceivingNumber"]
        invoice |= {**empty_invoice(invoice["TaskID"], number, "VOIDED"), **kept}
    elif invoice["Status"] == "AUTHORISED":
        invoice["Status"] = "DRAFT"
    ledger.post(sandbox, purchase, invoice)
    purchases.keep(sandbox, purchase)
    return _answer(purchase)


def recalculate(purchase: Document, invoice: Document) -> None:
    """Make the totals of an invoice those of its lines."""
    content = Content(invoice["Lines"], invoice["AdditionalCharges"])
    invoice |= _content_fields(purchase, content)


_KEPT_WHEN_VOIDED = ("InvoiceNumber", "InvoiceDate", "InvoiceDueDate")


def _check_gates(purchase: Document) -> None:
    status = purchase["Order"]["Status"]
    if status != "AUTHORISED":
        raise RefusedError(f"Order status is {status}: expected is AUTHORISED")
    if purchase["Approach"] == "STOCK" and not received_stock(purchase):
        raise RefusedError(
            "'Stock First' approach option set. Please authorise StockReceived before Invoice"
        )


def _invoice_task(sandbox: Sandbox, purchase: Document, task_id: str) -> Document | None:
    """The invoice a TaskID means; None for a new one.

    That the all-zero TaskID makes a new invoice is documented for stock and credit notes
    only; a setting accepts it here, as the sole way to a second invoice without stock.
    """
    invoice = part_of(purchase, "Invoice", task_id)
    if invoice is None and task_id != ZERO_GUID:
        raise RefusedError(f"Invoice task with ID {task_id} was not found")
    if invoice is None and not sandbox.settings.zero_guid_invoice:
        raise RefusedError("TaskID is invalid: the ID of an invoice task is expected")
    if invoice is None and purchase["Type"] == SIMPLE:
        raise RefusedError("A Simple Purchase has one invoice: send the TaskID of that")
    if invoice is not None and invoice["Status"] not in ("DRAFT", "NOT AVAILABLE"):
        raise RefusedError(
            f"Invoice status is {invoice['Status']}: expected is DRAFT or NOT AVAILABLE"
        )
    return invoice


def _own_number(purchase: Document, invoice: Document) -> str:
    digits = purchase["OrderNumber"].removeprefix("PO-")
    group = invoice["InvoicingAndReceivingNumber"]
    return f"INV-{digits}/{group}" if group > 1 else f"INV-{digits}"


def _content_fields(purchase: Document, content: Content) -> Document:
    sums = totals(content, inclusive=is_inclusive(purchase))
    return {
        "Lines": content.lines,
        "AdditionalCharges": content.charges,
        **sums,
        "InvoiceTotalAmount": sums["Total"],
        "InvoiceTotalTaxAmount": sums["Tax"],
    }


def _check_removal(sandbox: Sandbox, purchase: Document, invoice: Document) -> None:
    if purchase["Type"] == SIMPLE:
        raise RefusedError("DELETE is not available for Simple Purchases")
    if invoice["Status"] in ("VOIDED", "PAID"):
        raise RefusedError(
            f"Invoice status is {invoice['Status']}: it can't be voided or undone"
        )
    credited = [
        note["CreditNoteNumber"]
        for note in purchase["CreditNote"]
        if note["Status"] == "AUTHORISED"
        and note["CreditNoteInvoiceNumber"] == invoice["InvoiceNumber"]
    ]
    if credited and invoice["Status"] == "AUTHORISED":
        raise RefusedError(f"Invoice is credited by {credited[0]}: void the credit note first")
    if invoice["InvoiceDate"]:
        review = Review(sandbox)
        review.open_period("InvoiceDate", invoice["InvoiceDate"])
        review.close()


def _answer(purchase: Document, *, combine: bool = False) -> Document:
    invoices = purchase["Invoice"]
    return {
        "PurchaseID": purchase["ID"],
        "Invoices": [combined(invoice) for invoice in invoices] if combine else invoices,
    }


ROUTES: dict[str, dict[str, Route]] = {
    "advanced-purchase/invoice": {
        "GET": Route(get_invoices, ("PurchaseID", "CombineAdditionalCharges"), ("PurchaseID",)),
        "POST": Route(post_invoice, shape=INVOICE_POST),
        "DELETE": Route(delete_invoice, ("TaskID", "Void"), ("TaskID",)),
    },
}
