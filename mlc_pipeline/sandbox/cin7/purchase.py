"""A purchase as a document: its empty form, its groups of tasks, its statuses, its list row.

Statuses follow the table of the API reference; where it leaves two readings, PARTIALLY
INVOICED goes before RECEIVED, and COMPLETED needs everything invoiced and received.
How much is invoiced is measured in money before tax against the order, how much is
received in quantity.
What must not come in: requests, the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from mlc_pipeline.sandbox.cin7.wire import Document, timestamp

SIMPLE, ADVANCED, SERVICE = "Simple Purchase", "Advanced Purchase", "Service Purchase"
POSTED = ("AUTHORISED", "PAID")
_NO_TOTALS = {"TotalBeforeTax": Decimal(0), "Tax": Decimal(0), "Total": Decimal(0)}


def empty_order(task_id: str) -> Document:
    """The order block of a purchase just created."""
    return {
        "TaskID": task_id,
        "CombineAdditionalCharges": False,
        "Memo": "",
        "Status": "NOT AVAILABLE",
        "Lines": [],
        "AdditionalCharges": [],
        "Prepayments": [],
        **_NO_TOTALS,
    }


def empty_invoice(task_id: str, number: int, status: str = "NOT AVAILABLE") -> Document:
    """An invoice task without content."""
    return {
        "TaskID": task_id,
        "InvoicingAndReceivingNumber": number,
        "CombineAdditionalCharges": False,
        "InvoiceDate": None,
        "InvoiceDueDate": None,
        "InvoiceNumber": "",
        "Status": status,
        "CurrencyRate": None,
        "Lines": [],
        "AdditionalCharges": [],
        "Payments": [],
        **_NO_TOTALS,
        "InvoiceTotalAmount": Decimal(0),
        "InvoiceTotalTaxAmount": Decimal(0),
        "Paid": Decimal(0),
    }


def empty_credit_note(task_id: str) -> Document:
    """A credit note task without content."""
    return {
        "TaskID": task_id,
        "CombineAdditionalCharges": False,
        "CreditNoteInvoiceNumber": "",
        "CreditNoteNumber": "",
        "CreditNoteDate": None,
        "Status": "NOT AVAILABLE",
        "Lines": [],
        "AdditionalCharges": [],
        "Refunds": [],
        "Unstock": [],
        **_NO_TOTALS,
    }


def open_group(purchase: Document, task_id: str, invoice_status: str) -> Document:
    """Add an invoicing-and-receiving group; returns its invoice.

    Stock, put-away and invoice of a group share one TaskID. Groups of a simple purchase
    carry the number 0, as the reference's samples do.
    """
    number = 0 if purchase["Type"] == SIMPLE else len(purchase["Invoice"]) + 1
    for block in ("StockReceived", "PutAway", "ManualJournals"):
        purchase[block].append(
            {
                "TaskID": task_id,
                "InvoicingAndReceivingNumber": number,
                "Status": "NOT AVAILABLE",
                "Lines": [],
            }
        )
    invoice = empty_invoice(task_id, number, invoice_status)
    purchase["Invoice"].append(invoice)
    return invoice


def convert_to_advanced(purchase: Document) -> None:
    """One way: stock written through the advanced endpoint converts a simple purchase."""
    if purchase["Type"] != SIMPLE:
        return
    purchase["Type"] = ADVANCED
    for block in ("StockReceived", "PutAway", "ManualJournals", "Invoice"):
        for part in purchase[block]:
            part["InvoicingAndReceivingNumber"] = 1


def part_of(purchase: Document, block: str, task_id: str) -> Document | None:
    """The part of a block (`Invoice`, `StockReceived`, `CreditNote`) with that TaskID."""
    return next((part for part in purchase[block] if part["TaskID"] == task_id), None)


def posted_invoices(purchase: Document) -> list[Document]:
    """Its authorised and paid invoices."""
    return [invoice for invoice in purchase["Invoice"] if invoice["Status"] in POSTED]


def received_stock(purchase: Document) -> list[Document]:
    """Its authorised stock parts."""
    return [part for part in purchase["StockReceived"] if part["Status"] == "AUTHORISED"]


def is_inclusive(purchase: Document) -> bool:
    """Whether its line totals include tax."""
    return bool(purchase["TaxCalculation"] == "Inclusive")


# ------------------------------------------------------------------------------- statuses


def refresh(purchase: Document) -> None:
    """Bring the derived statuses and the time stamp up to date."""
    purchase["CombinedReceivingStatus"] = _receiving(purchase)
    purchase["CombinedInvoiceStatus"] = _invoicing(purchase)
    purchase["CombinedPaymentStatus"] = _payment(purchase)
    purchase["Status"] = _status(purchase)
    purchase["LastUpdatedDate"] = timestamp()


def _quantity(parts: Iterable[Document]) -> Decimal:
    return sum(
        (Decimal(line["Quantity"]) for part in parts for line in part["Lines"]), Decimal(0)
    )


def _money(parts: Iterable[Document], field: str) -> Decimal:
    return sum((Decimal(part[field]) for part in parts), Decimal(0))


def _receiving(purchase: Document) -> str:
    order = purchase["Order"]
    if order["Status"] == "VOIDED":
        return "VOIDED"
    if order["Status"] != "AUTHORISED" or purchase["IsServiceOnly"]:
        return "NOT AVAILABLE"
    received = received_stock(purchase)
    if not received:
        return "NOT RECEIVED"
    full = _quantity(received) >= _quantity([order])
    return "FULLY RECEIVED" if full else "PARTIALLY RECEIVED"


def _invoicing(purchase: Document) -> str:
    order = purchase["Order"]
    if order["Status"] != "AUTHORISED":
        return "NOT AVAILABLE"
    invoices = posted_invoices(purchase)
    if not invoices:
        return "NOT INVOICED"
    invoiced = _money(invoices, "TotalBeforeTax")
    full = abs(invoiced) >= abs(order["TotalBeforeTax"])
    status = "INVOICED" if full else "PARTIALLY INVOICED"
    return f"{status} / CREDITED" if _is_credited(purchase) else status


def _payment(purchase: Document) -> str:
    if purchase["Order"]["Status"] == "VOIDED":
        return "VOIDED"
    invoices = posted_invoices(purchase)
    if invoices and all(invoice["Status"] == "PAID" for invoice in invoices):
        return "PAID"
    return "PARTIALLY PAID" if _money(invoices, "Paid") else "UNPAID"


def _is_credited(purchase: Document) -> bool:
    return any(note["Status"] == "AUTHORISED" for note in purchase["CreditNote"])


def _status(purchase: Document) -> str:
    before_authorisation = {
        "VOIDED": "VOIDED",
        "NOT AVAILABLE": "DRAFT",
        "DRAFT": "ORDERING",
    }
    order = purchase["Order"]["Status"]
    if order in before_authorisation:
        return before_authorisation[order]
    received = {"FULLY RECEIVED": "RECEIVED", "PARTIALLY RECEIVED": "RECEIVING"}.get(
        purchase["CombinedReceivingStatus"]
    )
    if _is_credited(purchase):
        return f"{received} / CREDITED" if received else "CREDITED"
    return _uncredited_status(purchase, received)


def _uncredited_status(purchase: Document, received: str | None) -> str:
    invoiced: str = purchase["CombinedInvoiceStatus"]
    if invoiced == "PARTIALLY INVOICED":
        return invoiced
    if invoiced == "INVOICED":
        return "COMPLETED" if received == "RECEIVED" else "INVOICED"
    if received is None and any(s["Status"] == "DRAFT" for s in purchase["StockReceived"]):
        return "RECEIVING"
    return received or "ORDERED"


# ------------------------------------------------------------------------------- list row

_FURTHEST = ("PAID", "AUTHORISED", "DRAFT", "VOIDED", "NOT AVAILABLE")


def _furthest(parts: Iterable[Document]) -> str:
    """The status of the part that has come furthest."""
    statuses = {part["Status"] for part in parts}
    return next((status for status in _FURTHEST if status in statuses), "NOT AVAILABLE")


_AS_IN_HEADER = (
    "ID",
    "BlindReceipt",
    "OrderNumber",
    "Status",
    "OrderDate",
    "Supplier",
    "SupplierID",
    "RequiredBy",
    "BaseCurrency",
    "SupplierCurrency",
    "LastUpdatedDate",
    "Type",
    "CombinedInvoiceStatus",
    "CombinedPaymentStatus",
    "CombinedReceivingStatus",
    "IsServiceOnly",
)


def list_row(purchase: Document) -> Document:
    """The row of `/purchaseList`: of several invoices it names the first alone."""
    first = purchase["Invoice"][0]
    numbered = (note["CreditNoteNumber"] for note in purchase["CreditNote"])
    credited = any(part.get("Unstock") for part in purchase["CreditNote"])
    return {
        **{name: purchase[name] for name in _AS_IN_HEADER},
        "InvoiceDate": first["InvoiceDate"],
        "InvoiceNumber": first["InvoiceNumber"],
        "InvoiceDueDate": first["InvoiceDueDate"],
        "InvoiceAmount": _money(posted_invoices(purchase), "Total"),
        "PaidAmount": _money(purchase["Invoice"], "Paid"),
        "CreditNoteNumber": next(filter(None, numbered), ""),
        "OrderStatus": purchase["Order"]["Status"],
        "StockReceivedStatus": _furthest(purchase["StockReceived"]),
        "UnstockStatus": _furthest(purchase["CreditNote"]) if credited else "NOT AVAILABLE",
        "InvoiceStatus": _furthest(purchase["Invoice"]),
        "CreditNoteStatus": _furthest(purchase["CreditNote"]),
        "DropShipTaskID": None,
    }
