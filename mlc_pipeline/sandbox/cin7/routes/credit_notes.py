"""`/advanced-purchase/creditnote`: credit notes against an invoice of the same purchase.

The all-zero TaskID makes a new one. CreditNoteInvoiceNumber takes 50 characters, an
InvoiceNumber 256.
What must not come in: refunds.
"""

from __future__ import annotations

from decimal import Decimal

from mlc_pipeline.sandbox.cin7 import ledger, purchases
from mlc_pipeline.sandbox.cin7.bodies import CREDIT_NOTE_POST
from mlc_pipeline.sandbox.cin7.lines import Content, combined, content_of, totals
from mlc_pipeline.sandbox.cin7.purchase import (
    SIMPLE,
    empty_credit_note,
    is_inclusive,
    part_of,
    posted_invoices,
)
from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.review import Review
from mlc_pipeline.sandbox.cin7.routes.route import Route
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import ZERO_GUID, Document, new_guid


def get_credit_notes(sandbox: Sandbox, call: Call) -> Document:
    """The credit notes of a purchase."""
    purchase = purchases.find_purchase(sandbox, call.query["PurchaseID"])
    return _answer(purchase, combine=bool(call.flag("CombineAdditionalCharges")))


def post_credit_note(sandbox: Sandbox, call: Call) -> Document:
    """Write a credit note; authorising it posts it to the ledger, the other way round."""
    body = call.body
    purchase = purchases.find_purchase(sandbox, body["PurchaseID"])
    _check_gates(purchase, body["CreditNoteInvoiceNumber"])
    note = _credit_note_task(purchase, body["TaskID"])
    review = Review(sandbox)
    review.open_period("CreditNoteDate", body["CreditNoteDate"])
    content = content_of(review, body, charges_only=purchase["IsServiceOnly"])
    unstock = _unstocked(review, purchase, body)
    if body["Status"] == "AUTHORISED" and not content:
        review.wrong("Credit note without lines can't be authorised")
    review.close()

    if note is None:
        note = empty_credit_note(new_guid())
        purchase["CreditNote"].append(note)
    note |= {
        "CombineAdditionalCharges": body["CombineAdditionalCharges"],
        "CreditNoteNumber": body["CreditNoteNumber"],
        "CreditNoteInvoiceNumber": body["CreditNoteInvoiceNumber"],
        "CreditNoteDate": body["CreditNoteDate"],
        "Status": body["Status"],
        "Lines": content.lines,
        "AdditionalCharges": content.charges,
        "Unstock": unstock,
        **totals(content, inclusive=is_inclusive(purchase)),
    }
    ledger.post(sandbox, purchase, note)
    purchases.keep(sandbox, purchase)
    return _answer(purchase)


def delete_credit_note(sandbox: Sandbox, call: Call) -> Document:
    """Void a credit note for good."""
    purchase, note = purchases.find_by_task(sandbox, call.query["TaskID"], "CreditNote")
    if note["Status"] in ("VOIDED", "NOT AVAILABLE"):
        raise RefusedError(f"Credit note status is {note['Status']}: it can't be voided")
    review = Review(sandbox)
    review.open_period("CreditNoteDate", note["CreditNoteDate"])
    review.close()
    kept = {name: note[name] for name in _KEPT_WHEN_VOIDED}
    note |= {**empty_credit_note(note["TaskID"]), **kept, "Status": "VOIDED"}
    ledger.post(sandbox, purchase, note)
    purchases.keep(sandbox, purchase)
    return _answer(purchase)


def recalculate(purchase: Document, note: Document) -> None:
    """Make the totals of a credit note those of its lines."""
    content = Content(note["Lines"], note["AdditionalCharges"])
    note |= totals(content, inclusive=is_inclusive(purchase))


_KEPT_WHEN_VOIDED = ("CreditNoteNumber", "CreditNoteInvoiceNumber", "CreditNoteDate")


def _check_gates(purchase: Document, invoice_number: str) -> None:
    numbers = [invoice["InvoiceNumber"] for invoice in posted_invoices(purchase)]
    if invoice_number not in numbers:
        raise RefusedError(
            f"CreditNoteInvoiceNumber {invoice_number} is not an invoice of this purchase "
            "with status AUTHORISED or PAID"
        )


def _credit_note_task(purchase: Document, task_id: str) -> Document | None:
    """The credit note a TaskID means; None for a new one."""
    if task_id == ZERO_GUID and purchase["Type"] == SIMPLE:
        task_id = purchase["ID"]  # a simple purchase has one credit note, made with it
    note = part_of(purchase, "CreditNote", task_id)
    if note is None and task_id != ZERO_GUID:
        raise RefusedError(f"Credit note task with ID {task_id} was not found")
    if note is not None and note["Status"] not in ("DRAFT", "NOT AVAILABLE"):
        raise RefusedError(
            f"Credit note status is {note['Status']}: expected is DRAFT or NOT AVAILABLE"
        )
    return note


def _unstocked(review: Review, purchase: Document, body: Document) -> list[Document]:
    """Goods taken back out of stock: each names the card of a received line."""
    cards = {
        line["CardID"]: line for part in purchase["StockReceived"] for line in part["Lines"]
    }
    stored = []
    for given in body["Unstock"]:
        received = cards.get(given["CardID"])
        if received is None:
            review.wrong(f"Unstock: card {given['CardID']} was not received by this purchase")
        elif given["Quantity"] <= Decimal(0):
            review.wrong("'Quantity' should be more than zero for 'Unstock' line")
        else:
            as_received = ("ProductID", "SKU", "Name", "Location", "BatchSN", "ExpiryDate")
            stored.append(
                {
                    "CardID": given["CardID"],
                    "Date": given.get("Date") or body["CreditNoteDate"],
                    "Quantity": given["Quantity"],
                    **{name: received[name] for name in as_received},
                }
            )
    return stored


def _answer(purchase: Document, *, combine: bool = False) -> Document:
    notes = purchase["CreditNote"]
    return {
        "PurchaseID": purchase["ID"],
        "CreditNotes": [combined(note) for note in notes] if combine else notes,
    }


ROUTES: dict[str, dict[str, Route]] = {
    "advanced-purchase/creditnote": {
        "GET": Route(
            get_credit_notes, ("PurchaseID", "CombineAdditionalCharges"), ("PurchaseID",)
        ),
        "POST": Route(post_credit_note, shape=CREDIT_NOTE_POST),
        "DELETE": Route(delete_credit_note, ("TaskID",), ("TaskID",)),
    },
}
