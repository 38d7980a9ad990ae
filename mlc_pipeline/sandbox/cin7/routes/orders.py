"""`/purchase/order`: the lines of a purchase order, for all kinds of purchase.

A POST overwrites the order, and only while it is DRAFT or NOT AVAILABLE.
What must not come in: invoices, stock.
"""

from __future__ import annotations

from mlc_pipeline.sandbox.cin7 import purchases
from mlc_pipeline.sandbox.cin7.bodies import ORDER_POST
from mlc_pipeline.sandbox.cin7.lines import combined, content_of, totals
from mlc_pipeline.sandbox.cin7.purchase import is_inclusive
from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.review import Review
from mlc_pipeline.sandbox.cin7.routes.route import Route
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document


def get_order(sandbox: Sandbox, call: Call) -> Document:
    """The order of a purchase; its TaskID is the ID of the purchase."""
    order: Document = purchases.find_purchase(sandbox, call.query["TaskID"])["Order"]
    return combined(order) if call.flag("CombineAdditionalCharges") else order


def post_order(sandbox: Sandbox, call: Call) -> Document:
    """Write the order's lines and charges, and authorise it if asked to."""
    body = call.body
    purchase = purchases.find_purchase(sandbox, body["TaskID"])
    status = purchase["Order"]["Status"]
    if status not in ("DRAFT", "NOT AVAILABLE"):
        raise RefusedError(f"Order status is {status}: expected is DRAFT or NOT AVAILABLE")
    review = Review(sandbox)
    content = content_of(review, body, charges_only=purchase["IsServiceOnly"])
    if body["Status"] == "AUTHORISED" and not content:
        review.wrong("Order without lines can't be authorised")
    review.close()
    purchase["Order"] |= {
        "CombineAdditionalCharges": body.get("CombineAdditionalCharges") or False,
        "Memo": body.get("Memo") or "",
        "Status": body["Status"],
        "Lines": content.lines,
        "AdditionalCharges": content.charges,
        **totals(content, inclusive=is_inclusive(purchase)),
    }
    purchases.keep(sandbox, purchase)
    order: Document = purchase["Order"]
    return order


ROUTES: dict[str, dict[str, Route]] = {
    "purchase/order": {
        "GET": Route(get_order, ("TaskID", "CombineAdditionalCharges"), ("TaskID",)),
        "POST": Route(post_order, shape=ORDER_POST),
    },
}
