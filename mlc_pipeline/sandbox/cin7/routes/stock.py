"""`/advanced-purchase/stock`: what was received.

A POST adds lines, it never overwrites. Without a TaskID, or with the all-zero one, it opens
a new invoicing-and-receiving group with an empty draft invoice. On a simple purchase it
converts the purchase to advanced, silently and for good.
What must not come in: put-away, batches beyond their number.
"""

from __future__ import annotations

from mlc_pipeline.sandbox.cin7 import purchases
from mlc_pipeline.sandbox.cin7.bodies import STOCK_POST
from mlc_pipeline.sandbox.cin7.purchase import (
    convert_to_advanced,
    open_group,
    part_of,
    posted_invoices,
)
from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.review import Review
from mlc_pipeline.sandbox.cin7.routes.route import Route
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import ZERO_GUID, Document, new_guid

_SAME_GOODS = ("ProductID", "Location", "BatchSN", "ExpiryDate")


def get_stock(sandbox: Sandbox, call: Call) -> Document:
    """The stock parts of a purchase, one a group."""
    return _answer(purchases.find_purchase(sandbox, call.query["PurchaseID"]))


def post_stock(sandbox: Sandbox, call: Call) -> Document:
    """Add received lines to a group, and authorise it if asked to."""
    body = call.body
    purchase = purchases.find_purchase(sandbox, body["PurchaseID"])
    _check_gates(purchase)
    task_id = body.get("TaskID") or ZERO_GUID
    part = part_of(purchase, "StockReceived", task_id)
    if part is None and task_id != ZERO_GUID:
        raise RefusedError(f"Stock receiving task with ID {task_id} was not found")
    if part is not None and part["Status"] not in ("DRAFT", "NOT AVAILABLE"):
        raise RefusedError(
            f"Stock received status is {part['Status']}: expected is DRAFT or NOT AVAILABLE"
        )
    before = part["Lines"] if part is not None else []
    review = Review(sandbox)
    added = _new_lines(review, body["Lines"], before)
    if body["Status"] == "AUTHORISED" and not (before or added):
        review.wrong("Stock received without lines can't be authorised")
    review.close()

    convert_to_advanced(purchase)
    if part is None:
        task_id = new_guid()
        open_group(purchase, task_id, "DRAFT")
        part = purchase["StockReceived"][-1]
    part["Lines"] = [*before, *added]
    part["Status"] = body["Status"]
    for line in part["Lines"]:
        line["Received"] = body["Status"] == "AUTHORISED"
    purchases.keep(sandbox, purchase)
    return _answer(purchase)


def _check_gates(purchase: Document) -> None:
    if purchase["IsServiceOnly"]:
        raise RefusedError("This endpoint is not available for Service Purchases")
    status = purchase["Order"]["Status"]
    if status != "AUTHORISED":
        raise RefusedError(f"Order status is {status}: expected is AUTHORISED")
    if purchase["Approach"] == "INVOICE" and not posted_invoices(purchase):
        raise RefusedError(  # published
            "'Invoice First' approach option set. Please authorise Invoice before StockReceived"
        )


def _new_lines(review: Review, sent: list[Document], before: list[Document]) -> list[Document]:
    """The lines to add: the same goods sent twice are summed, goods already there refused."""
    present = {_goods(line) for line in before}
    added: dict[tuple[str | None, ...], Document] = {}
    for given in sent:
        review.open_period("Date", given["Date"])
        product = review.product(given.get("ProductID"), given.get("SKU"))
        if product is None:
            continue
        line = _stored_line(product, given)
        goods = _goods(line)
        if goods in present:
            review.wrong(  # published
                "Cannot add duplicate value in stock received lines. "
                f"(Product:{line['SKU']}, Location:{line['Location'] or ''})"
            )
        elif goods in added:
            added[goods]["Quantity"] += line["Quantity"]
        else:
            added[goods] = line
    return list(added.values())


def _goods(line: Document) -> tuple[str | None, ...]:
    return tuple(line[name] or None for name in _SAME_GOODS)


def _stored_line(product: Document, given: Document) -> Document:
    return {
        "Date": given["Date"],
        "Quantity": given["Quantity"],
        "ProductID": product["ID"],
        "SKU": product["SKU"],
        "Name": product["Name"],
        "Location": None,  # ignored here: the place is chosen at put-away
        "LocationID": None,
        "Received": False,
        "BatchSN": given.get("BatchSN") or "",
        "SupplierSKU": given.get("SupplierSKU") or "",
        "ExpiryDate": given.get("ExpiryDate"),
        "CardID": given.get("CardID") or new_guid(),
        "NonInventory": product["Type"] == "Non Inventory",
    }


def _answer(purchase: Document) -> Document:
    return {"PurchaseID": purchase["ID"], "StockReceiving": purchase["StockReceived"]}


ROUTES: dict[str, dict[str, Route]] = {
    "advanced-purchase/stock": {
        "GET": Route(get_stock, ("PurchaseID",), ("PurchaseID",)),
        "POST": Route(post_stock, shape=STOCK_POST),
    },
}
