"""A small Cin7 account, and a client that holds every exchange against the contract.

What must not come in: tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from mlc_pipeline.sandbox.cin7.running import RunningCin7, running_cin7
from mlc_pipeline.sandbox.cin7.wire import ZERO_GUID, decode, encode
from mlc_pipeline_tests.contract.openapi import validate_request, validate_response

STANDARD, EXEMPT = "20% (VAT on Expenses)", "No VAT"
LOCAL, FOREIGN = "Acme Bearings", "Boston Belts"

ACCOUNT: dict[str, Any] = {
    "me": {"Company": "Sandbox plc", "Currency": "GBP"},
    "accounts": [
        {
            "Code": "800",
            "Name": "Accounts Payable",
            "Type": "CURRLIAB",
            "Class": "LIABILITY",
            "SystemAccount": "Accounts payable",
        },
        {"Code": "801", "Name": "Other creditors", "Type": "CURRLIAB", "Class": "LIABILITY"},
        {"Code": "820", "Name": "VAT", "Type": "CURRLIAB", "Class": "LIABILITY"},
        {"Code": "630", "Name": "Inventory", "Type": "CURRENT", "Class": "ASSET"},
        {"Code": "310", "Name": "Cost of goods sold", "Type": "EXPENSE"},
        {"Code": "400", "Name": "Advertising", "Type": "EXPENSE"},
        {"Code": "404", "Name": "Bank fees", "Type": "EXPENSE", "Status": "ARCHIVED"},
    ],
    "tax_rules": [
        {"Name": STANDARD, "Account": "820", "TaxPercent": 20},
        {"Name": EXEMPT, "Account": "820"},
        {"Name": "17.5% (old)", "Account": "820", "IsActive": False},
        {"Name": "20% (VAT on Income)", "Account": "820", "IsTaxForPurchase": False},
    ],
    "payment_terms": [
        {"Name": "30 days", "Duration": 30},
        {"Name": "Cash", "IsActive": False},
    ],
    "locations": [
        {"Name": "Main Warehouse", "IsDefault": True},
        {"Name": "Old Shed", "IsDeprecated": True},
    ],
    "attribute_sets": [{"Name": "Suppliers", "Attribute1Name": "Source"}],
    "products": [
        {"SKU": "BOLT-8", "Name": "Bolt M8", "InventoryAccount": "630"},
        {"SKU": "NUT-8", "Name": "Nut M8", "InventoryAccount": "630"},
    ],
    "suppliers": [
        {
            "Name": name,
            "Currency": currency,
            "PaymentTerm": "30 days",
            "AccountPayable": "800",
            "TaxRule": STANDARD,
        }
        for name, currency in ((LOCAL, "GBP"), (FOREIGN, "USD"))
    ],
    "rates": {"USD": "0.8"},
}


class Api:
    """Calls the stand-in; validates each sent body and each 200 answer, both ways exact."""

    def __init__(self, server: RunningCin7, key: int = 0) -> None:
        self.server = server
        self._headers = server.headers(key)

    def send(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        """Any call, unchecked."""
        return self.server.client.request(
            method,
            f"{self.server.base_url}/{path}",
            headers=self._headers,
            params=query,
            content=None if body is None else encode(body),
        )

    def ok(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """A call that must succeed; the decoded answer."""
        validate_request(method, path, body)
        answer = self.send(method, path, body, **query)
        assert answer.status_code == 200, answer.text
        decoded = decode(answer.content)
        validate_response(method, path, 200, decoded)
        return decoded

    def get(self, path: str, **query: Any) -> Any:
        """A GET that must succeed."""
        return self.ok("GET", path, **query)

    def post(self, path: str, body: Any) -> Any:
        """A POST that must succeed."""
        return self.ok("POST", path, body)

    def refused(self, method: str, path: str, body: Any = None, **query: Any) -> str:
        """A call that must be refused with 400 and an error list; its texts."""
        answer = self.send(method, path, body, **query)
        assert answer.status_code == 400, answer.text
        errors = decode(answer.content)
        validate_response(method, path, 400, errors)
        return "\n".join(error["Exception"] for error in errors)

    # ------------------------------------------------------- documents, in usual steps

    def supplier(self, name: str = LOCAL) -> Any:
        """The supplier of that name."""
        return self.get("supplier", Name=name)["SupplierList"][0]

    def purchase(self, supplier: str = LOCAL, **header: Any) -> Any:
        """A new purchase header."""
        body = {
            "SupplierID": self.supplier(supplier)["ID"],
            "Approach": "INVOICE",
            "Location": "Main Warehouse",
            "PurchaseType": "Advanced",
            **header,
        }
        return self.post("advanced-purchase", body)

    def ordered(
        self, *lines: Any, charges: tuple[Any, ...] = (), supplier: str = LOCAL, **header: Any
    ) -> Any:
        """A purchase with an authorised order; the purchase read back."""
        id_ = self.purchase(supplier, **header)["ID"]
        self.post("purchase/order", order(id_, *lines, charges=charges))
        return self.get("advanced-purchase", ID=id_)

    def serviced(self, *charges: Any, supplier: str = LOCAL, **header: Any) -> Any:
        """A service purchase with an authorised order of these charges."""
        return self.ordered(
            charges=charges or (charge(),), supplier=supplier, IsServiceOnly=True, **header
        )

    def invoiced(self, purchase: Any, *lines: Any, **more: Any) -> Any:
        """The first invoice of the purchase, written and read back."""
        body = invoice(purchase, *lines, **more)
        answer = self.post("advanced-purchase/invoice", body)
        return next(i for i in answer["Invoices"] if i["TaskID"] == body["TaskID"])


def line(
    sku: str = "BOLT-8", quantity: str = "2", price: str = "10.00", **more: Any
) -> dict[str, Any]:
    """An order line, its Total right."""
    amount = Decimal(quantity) * Decimal(price)
    return {
        "SKU": sku,
        "Quantity": Decimal(quantity),
        "Price": Decimal(price),
        "Tax": Decimal(0),
        "TaxRule": STANDARD,
        "Total": amount.quantize(Decimal("0.01")),
        **more,
    }


def invoice_line(sku: str = "BOLT-8", *given: str, **more: Any) -> dict[str, Any]:
    """An invoice line, its Total right."""
    return {**line(sku, *given), "Name": sku, "Account": "630", **more}


def charge(price: str = "100.00", **more: Any) -> dict[str, Any]:
    """An order charge of quantity 1."""
    return {
        "Description": "Consulting",
        "Quantity": 1,
        "Price": Decimal(price),
        "Tax": Decimal(0),
        "TaxRule": STANDARD,
        "Total": Decimal(price),
        **more,
    }


def invoice_charge(price: str = "100.00", **more: Any) -> dict[str, Any]:
    """An invoice charge of quantity 1."""
    return {**charge(price), "Account": "400", **more}


def order(
    purchase_id: str, *lines: Any, charges: tuple[Any, ...] = (), **more: Any
) -> dict[str, Any]:
    """An order body, AUTHORISED."""
    return {
        "TaskID": purchase_id,
        "Status": "AUTHORISED",
        "Lines": list(lines),
        "AdditionalCharges": list(charges),
        **more,
    }


def invoice(
    purchase: Any, *lines: Any, charges: tuple[Any, ...] = (), **more: Any
) -> dict[str, Any]:
    """The body of the purchase's first invoice, AUTHORISED."""
    return {
        "PurchaseID": purchase["ID"],
        "TaskID": purchase["Invoice"][0]["TaskID"],
        "CombineAdditionalCharges": False,
        "InvoiceDate": "2026-03-02T00:00:00",
        "InvoiceDueDate": "2026-04-01T00:00:00",
        "InvoiceNumber": "SUP-1",
        "Status": "AUTHORISED",
        "Lines": list(lines),
        "AdditionalCharges": list(charges),
        **more,
    }


def credit_note(purchase: Any, *charges: Any, **more: Any) -> dict[str, Any]:
    """The body of a new credit note against invoice SUP-1, AUTHORISED."""
    return {
        "PurchaseID": purchase["ID"],
        "TaskID": ZERO_GUID,
        "CombineAdditionalCharges": False,
        "CreditNoteNumber": "CR-1",
        "CreditNoteInvoiceNumber": "SUP-1",
        "CreditNoteDate": "2026-03-20T00:00:00",
        "Status": "AUTHORISED",
        "Lines": [],
        "AdditionalCharges": list(charges),
        "Unstock": [],
        **more,
    }


def stock(purchase: Any, *lines: Any, **more: Any) -> dict[str, Any]:
    """A stock body, AUTHORISED, without a TaskID."""
    return {
        "PurchaseID": purchase["ID"],
        "Status": "AUTHORISED",
        "Lines": list(lines),
        **more,
    }


def stock_line(sku: str = "BOLT-8", quantity: int = 2, **more: Any) -> dict[str, Any]:
    """A received line."""
    return {"Date": "2026-03-05T00:00:00", "Quantity": quantity, "SKU": sku, **more}


Fixture = Callable[..., Any]


def fixtures() -> tuple[Fixture, Fixture]:
    """Two fixtures for a module: its server, and a client of it on an account made anew."""

    @pytest.fixture(scope="module")
    def server() -> Iterator[RunningCin7]:
        with running_cin7(ACCOUNT, record=True) as running:
            yield running

    @pytest.fixture
    def api(server: RunningCin7) -> Api:
        server.control("reset", {})
        return Api(server)

    return server, api
