"""`/advanced-purchase` and `/purchaseList`: headers of purchases, and finding them.

Creating a purchase takes two calls: the header here, the lines at `/purchase/order`.
What must not come in: lines, invoices, stock.
"""

from __future__ import annotations

from decimal import Decimal

from mlc_pipeline.sandbox.cin7 import purchases
from mlc_pipeline.sandbox.cin7.bodies import ATTRIBUTES, PURCHASE_POST, PURCHASE_PUT
from mlc_pipeline.sandbox.cin7.lines import combined
from mlc_pipeline.sandbox.cin7.purchase import (
    ADVANCED,
    SERVICE,
    SIMPLE,
    empty_credit_note,
    empty_order,
    open_group,
    posted_invoices,
    received_stock,
)
from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.review import Review
from mlc_pipeline.sandbox.cin7.routes.route import PAGING, Route, moment, paged
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document, new_guid, today

_ADDRESS_LINES = ("Line1", "Line2", "City", "State", "Postcode", "Country")
_PLAIN = (
    "Contact",
    "Phone",
    "BlindReceipt",
    "Approach",
    "TaxRule",
    "TaxCalculation",
    "Terms",
    "RequiredBy",
    "Location",
    "Note",
    "CurrencyRate",
)
"""Header fields that are stored as they are sent."""
_CLEARABLE = ("Contact", "Phone", "RequiredBy", "Note")
"""Those that a blank empties; a blank elsewhere leaves the default."""


def get_purchase(sandbox: Sandbox, call: Call) -> Document:
    """A whole purchase."""
    purchase = purchases.find_purchase(sandbox, call.query["ID"])
    if not call.flag("CombineAdditionalCharges"):
        return purchase
    return {
        **purchase,
        "Order": combined(purchase["Order"]),
        "Invoice": [combined(invoice) for invoice in purchase["Invoice"]],
        "CreditNote": [combined(note) for note in purchase["CreditNote"]],
    }


def create_purchase(sandbox: Sandbox, call: Call) -> Document:
    """A new header without lines, in status DRAFT."""
    body = call.body
    review = Review(sandbox)
    supplier = _check_header(review, body)
    service = bool(body.get("IsServiceOnly"))
    if service and body["Approach"] != "INVOICE":
        # The reference says "always Invoice First", not what happens otherwise.
        review.wrong("Approach is invalid: service purchases are always INVOICE")
    review.close()
    if supplier is None:  # without one the review has just refused
        raise RefusedError("Supplier was not found")
    kind = SERVICE if service else ADVANCED if _is_advanced(body) else SIMPLE
    purchase = _empty_purchase(sandbox, supplier, kind)
    _write_header(purchase, body)
    purchases.keep(sandbox, purchase)
    return purchase


def change_purchase(sandbox: Sandbox, call: Call) -> Document:
    """Change the header fields that are sent, while nothing is invoiced or received."""
    body = call.body
    purchase = purchases.find_purchase(sandbox, body["ID"])
    review = Review(sandbox)
    supplier = _check_header(review, body)
    if purchase["Order"]["Status"] == "VOIDED":
        review.wrong("Purchase is VOIDED and can't be changed")
    if posted_invoices(purchase) or received_stock(purchase):
        review.wrong("Purchase can't be changed: it is invoiced or received already")
    if body.get("IsServiceOnly", purchase["IsServiceOnly"]) != purchase["IsServiceOnly"]:
        review.wrong("IsServiceOnly can't be changed")
    if purchase["IsServiceOnly"] and body.get("Approach", "INVOICE") != "INVOICE":
        review.wrong("Approach is invalid: service purchases are always INVOICE")
    review.close()
    if supplier is not None and supplier["ID"] != purchase["SupplierID"]:
        purchase |= _supplier_fields(supplier)
    _write_header(purchase, body)
    purchases.keep(sandbox, purchase)
    return purchase


def delete_purchase(sandbox: Sandbox, call: Call) -> Document:
    """Void for good (`Void=true`), or undo an authorised order to DRAFT."""
    purchase = purchases.find_purchase(sandbox, call.query["ID"])
    if purchase["Order"]["Status"] == "VOIDED":
        raise RefusedError("Purchase is VOIDED already; voiding is final")
    if posted_invoices(purchase):
        raise RefusedError("Purchase has an authorised invoice: void or undo the invoice first")
    if call.flag("Void"):
        _void(purchase)
    elif received_stock(purchase):
        raise RefusedError("Purchase has authorised stock received: it can't be undone")
    elif purchase["Order"]["Status"] == "AUTHORISED":
        purchase["Order"]["Status"] = "DRAFT"
    purchases.keep(sandbox, purchase)
    return purchase


def _void(purchase: Document) -> None:
    purchase["Order"]["Status"] = "VOIDED"
    for block in ("StockReceived", "PutAway", "Invoice"):
        for part in purchase[block]:
            if part["Status"] != "NOT AVAILABLE":
                part["Status"] = "VOIDED"


def list_purchases(sandbox: Sandbox, call: Call) -> Document:
    """The purchase list, order number ascending: the newest stands on the last page.

    Search looks in five columns and in no other; a filter takes one value.
    """
    since, until = moment(call, "UpdatedSince"), moment(call, "UpdatedUntil")
    required_by = moment(call, "RequiredBy")
    search = call.query.get("Search", "").casefold()
    filters = {f: call.query[f].casefold() for f in _STATUS_FILTERS if call.query.get(f)}
    rows = [
        row
        for row, text in purchases.rows(sandbox)
        if search in text
        and (since is None or row["LastUpdatedDate"] > since)
        and (until is None or row["LastUpdatedDate"] < until)
        and (required_by is None or (row["RequiredBy"] or "9999") <= required_by)
        and all(row[f].casefold() == wanted for f, wanted in filters.items())
    ]
    return paged(call, "PurchaseList", rows)


def _is_advanced(body: Document) -> bool:
    return bool(body.get("PurchaseType") == "Advanced")


def _check_header(review: Review, body: Document) -> Document | None:
    """Look every reference of the header up; returns the supplier."""
    if not (body.get("SupplierID") or body.get("Supplier")):
        review.wrong("Required attribute SupplierID or Supplier is not provided.")
        supplier = None
    else:
        supplier = review.supplier(body.get("SupplierID"), body.get("Supplier"))
    review.location(body["Location"])
    if body.get("TaxRule"):
        review.tax_rule(body["TaxRule"])
    if body.get("Terms"):
        review.payment_term(body["Terms"])
    rate = body.get("CurrencyRate")
    if rate is not None and rate <= 0:
        review.wrong(f"CurrencyRate is invalid: {rate}, more than 0 is expected")
    return supplier


def _empty_purchase(sandbox: Sandbox, supplier: Document, kind: str) -> Document:
    id_ = new_guid()
    base = sandbox.me["Currency"]
    rates = sandbox.store.get("rates", "rates") or {}
    currency = supplier["Currency"]
    rate = Decimal(1) if currency == base else Decimal(rates.get(currency, 1))
    purchase = {
        "ID": id_,
        **_supplier_fields(supplier),
        "InventoryAccount": None,
        "BlindReceipt": False,
        "Approach": "INVOICE",
        "BillingAddress": _address({}),
        "ShippingAddress": {**_address({}), "ShipToOther": False},
        "BaseCurrency": base,
        "TaxRule": supplier["TaxRule"],
        "TaxCalculation": "Exclusive",
        "Terms": supplier["PaymentTerm"],
        "RequiredBy": None,
        "Location": "",
        "Note": "",
        "OrderNumber": purchases.next_order_number(sandbox),
        "OrderDate": today(),
        "Type": kind,
        "IsServiceOnly": kind == SERVICE,
        "RelatedDropShipSaleTask": None,
        "CurrencyRate": rate,
        "Order": empty_order(id_),
        "StockReceived": [],
        "PutAway": [],
        "Invoice": [],
        # A simple purchase has its one credit note task from the start.
        "CreditNote": [empty_credit_note(id_)] if kind == SIMPLE else [],
        "ManualJournals": [],
        "AdditionalAttributes": dict.fromkeys(ATTRIBUTES, ""),
        "Attachments": [],
        "InventoryMovements": [],
    }
    # All tasks of a simple purchase carry its own ID; the others' groups have their own.
    open_group(purchase, id_ if kind == SIMPLE else new_guid(), "NOT AVAILABLE")
    return purchase


def _supplier_fields(supplier: Document) -> Document:
    contact: Document = next((c for c in supplier["Contacts"] if c.get("Default")), {})
    return {
        "SupplierID": supplier["ID"],
        "Supplier": supplier["Name"],
        "Contact": contact.get("Name", ""),
        "Phone": contact.get("Phone", ""),
        "SupplierCurrency": supplier["Currency"],
    }


def _write_header(purchase: Document, body: Document) -> None:
    for name in _PLAIN:
        blank = body.get(name) in (None, "")
        if not blank or (name in _CLEARABLE and name in body):
            purchase[name] = body[name]
    for name in ("BillingAddress", "ShippingAddress"):
        if body.get(name):
            sent = {k: v for k, v in body[name].items() if v is not None}
            purchase[name] = {**purchase[name], **sent, **_address(sent)}
    if body.get("AdditionalAttributes"):
        purchase["AdditionalAttributes"] |= body["AdditionalAttributes"]


def _address(sent: Document) -> Document:
    lines = {name: sent.get(name) for name in _ADDRESS_LINES}
    first = (lines["Line1"], lines["Line2"])
    second = (lines["City"], lines["State"], lines["Postcode"], lines["Country"])
    return {
        "DisplayAddressLine1": " ".join(filter(None, first)),
        "DisplayAddressLine2": " ".join(filter(None, second)),
        **lines,
    }


_STATUS_FILTERS = (
    "Status",
    "OrderStatus",
    "StockReceivedStatus",  # the documented name, RestockReceivedStatus, does nothing
    "InvoiceStatus",
    "CreditNoteStatus",
    "UnstockStatus",
)

ROUTES: dict[str, dict[str, Route]] = {
    "advanced-purchase": {
        "GET": Route(get_purchase, ("ID", "CombineAdditionalCharges"), ("ID",)),
        "POST": Route(create_purchase, shape=PURCHASE_POST),
        "PUT": Route(change_purchase, shape=PURCHASE_PUT),
        "DELETE": Route(delete_purchase, ("ID", "Void"), ("ID",)),
    },
    "purchaselist": {
        "GET": Route(
            list_purchases,
            (
                *PAGING,
                "Search",
                "UpdatedSince",
                "UpdatedUntil",
                "RequiredBy",
                *_STATUS_FILTERS,
            ),
        ),
    },
}
