"""`/advanced-purchase/payment` and `/transactions`: reading payments and the ledger.

What must not come in: making payments; people do that in the UI.
"""

from __future__ import annotations

from collections.abc import Iterable

from mlc_pipeline.sandbox.cin7 import purchases
from mlc_pipeline.sandbox.cin7.ledger import rows_by_date
from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.routes.route import PAGING, Route, paged
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document, parse_moment

_BY_NUMBER = ("OrderNumber", "InvoiceNumber", "CreditNoteNumber")


def list_payments(sandbox: Sandbox, call: Call) -> list[Document]:
    """Payments of the purchases asked for: a bare array, not an envelope.

    By InvoiceNumber only that invoice's payments are meant.
    """
    number = call.query.get("InvoiceNumber", "").casefold()
    return [
        payment
        for purchase in _asked_for(sandbox, call)
        for invoice in purchase["Invoice"]
        if not number or (invoice["InvoiceNumber"] or "").casefold() == number
        for payment in invoice["Payments"]
    ]


def list_transactions(sandbox: Sandbox, call: Call) -> Document:
    """Ledger rows dated after FromDate and before ToDate, both excluded."""
    after, before = _bound(call, "FromDate"), _bound(call, "ToDate")
    account = call.query.get("Account")
    rows = [
        row
        for row in sandbox.derived("posting", rows_by_date)
        if (after is None or row["EffectiveDate"] > after)
        and (before is None or row["EffectiveDate"] < before)
        and (not account or account in (row["DebitAccountCode"], row["CreditAccountCode"]))
    ]
    return paged(call, "Transactions", rows)


def _asked_for(sandbox: Sandbox, call: Call) -> Iterable[Document]:
    if call.query.get("PurchaseID"):
        return [purchases.find_purchase(sandbox, call.query["PurchaseID"])]
    for name in _BY_NUMBER:
        if call.query.get(name):
            return sandbox.store.find("purchase", name, call.query[name])
    return sandbox.store.all("purchase")


def _bound(call: Call, name: str) -> str | None:
    """A date parameter, comparable with an effective date, which has no zone."""
    given = call.query.get(name)
    if not given:
        return None
    try:
        return parse_moment(given).replace(tzinfo=None).isoformat()
    except ValueError:
        raise RefusedError(
            f"{name} is invalid: {given}, expected is an ISO 8601 date"
        ) from None


ROUTES: dict[str, dict[str, Route]] = {
    "advanced-purchase/payment": {
        "GET": Route(list_payments, ("PurchaseID", *_BY_NUMBER)),
    },
    "transactions": {
        "GET": Route(list_transactions, (*PAGING, "FromDate", "ToDate", "Account")),
    },
}
