"""How a document of ours stands in Cin7 now: its part of the purchase, and where it differs.

Statuses that a person may rightly move on (a draft authorised, an invoice paid) are no
difference. A difference that a person accepted is none while it stays as it was accepted.

What must not come in: calls, SQL, what to do about a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlc_pipeline.cin7.differences import differences
from mlc_pipeline.sync import bodies, content
from mlc_pipeline.sync.ledger import Document
from mlc_pipeline.sync.protocol import digest_of
from mlc_pipeline.sync.target import Answer
from mlc_pipeline.sync.vocabulary import Kind

CONTENTS: Mapping[Kind, type[Any]] = {
    Kind.SUPPLIER: content.SupplierContent,
    Kind.PURCHASE_ORDER: content.OrderContent,
    Kind.RECEIPT: content.ReceiptContent,
    Kind.INVOICE: content.InvoiceContent,
    Kind.CREDIT_NOTE: content.CreditContent,
}
"""The model of each kind's content."""

BLOCKS: Mapping[Kind, str] = {
    Kind.RECEIPT: "StockReceived",
    Kind.INVOICE: "Invoice",
    Kind.CREDIT_NOTE: "CreditNote",
}
"""The list of a purchase that holds the documents of a kind."""

_NOT_COMPARED = frozenset({"ID", "TaskID", "PurchaseID", "Status"})
_FINAL = frozenset({"AUTHORISED", "PAID"})


def is_void(purchase: Answer) -> bool:
    """Tell whether a purchase was voided."""
    return "VOID" in str(purchase.get("Status", "")).upper()


def status_of(part: Answer) -> str:
    """Return the status of an order, receipt, invoice or credit note, upper case."""
    return str(part.get("Status") or "").strip().upper()


def part_of(kind: Kind, document: Document, purchase: Answer) -> Answer | None:
    """Return the part of a purchase that is a document; None when it is not there.

    A document that was only begun has no part of its own yet: the purchase is its part.
    """
    if kind is Kind.PURCHASE_ORDER or document.task_id is None:
        return purchase.get("Order") or {}
    if kind is Kind.INVOICE and document.state in ("header_made", "order_made"):
        return purchase.get("Order") or {}
    blocks = purchase.get(BLOCKS[kind]) or []
    return next((b for b in blocks if b.get("TaskID") == document.task_id), None)


def written_blocks(kind: Kind, purchase: Answer) -> list[Answer]:
    """Return the documents of a kind on a purchase that say something and are not void."""
    return [
        block
        for block in purchase.get(BLOCKS[kind]) or []
        if (block.get("Lines") or block.get("AdditionalCharges"))
        and status_of(block) != "VOIDED"
    ]


def body_of(kind: Kind, wanted: Any, purchase_id: str, task_id: str) -> bodies.Body:
    """Return the body that writes a content; its status is of no account."""
    if kind is Kind.PURCHASE_ORDER:
        return bodies.order_of(wanted, purchase_id, authorise=True)
    if kind is Kind.RECEIPT:
        return bodies.stock_post(wanted, purchase_id, task_id)
    if kind is Kind.INVOICE:
        return bodies.invoice_post(wanted, purchase_id, task_id, authorise=True)
    return bodies.credit_note_post(wanted, purchase_id, authorise=True)


def content_differences(kind: Kind, wanted: Any, part: Answer) -> list[str]:
    """Return where a part of a purchase differs from a wanted content, status aside."""
    body = body_of(kind, wanted, bodies.NEW_TASK, bodies.NEW_TASK)
    sent = {k: v for k, v in body.to_wire().items() if k not in _NOT_COMPARED}
    return [str(d) for d in differences(sent, part)]


def supplier_differences(wanted: Any, supplier: Answer) -> list[str]:
    """Return where a supplier in Cin7 differs from a wanted content."""
    body = bodies.supplier_put(str(supplier.get("ID")), wanted, supplier)
    sent = {k: v for k, v in body.to_wire().items() if k not in _NOT_COMPARED}
    return [str(d) for d in differences(sent, supplier)]


def standing_differences(kind: Kind, document: Document, part: Answer) -> list[str]:
    """Return where a part of a purchase differs from what the ledger says of it.

    A document whose version is not known is not compared: the next push looks at it.
    """
    if document.state != "done" or document.content_hash is None:
        return []
    answered = document.answered or {}
    if answered.get("accepted") == digest_of(part):
        return []
    found = []
    wanted = CONTENTS[kind].model_validate(document.content)
    if status_of(part) in _FINAL or answered.get("status") not in _FINAL:
        found += content_differences(kind, wanted, part)
    else:
        found.append(f"Status: left {answered.get('status')}, found {status_of(part)}")
    return found


def answered_of(kind: Kind, part: Answer) -> dict[str, Any]:
    """Return what the ledger keeps of Cin7's answer, from the document as it stands."""
    if kind in (Kind.PURCHASE_ORDER, Kind.RECEIPT):
        return {"status": status_of(part)}
    return bodies.answered_amounts(part, sign=-1 if kind is Kind.CREDIT_NOTE else 1)
