"""One supplier and one invoice, looked at field by field and call by call."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mlc_pipeline.sync.vocabulary import Kind
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY, day
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import Pair, outcomes, read_csv

pytestmark = pytest.mark.e2e

MARKER = f"SYSPRO:DEMO:AP:{KEY}:INV-1"
BOOKS = (
    *("/me", "/product", "/ref/account", "/ref/location", "/ref/paymentterm", "/ref/tax"),
    "/supplier",
)
"""What is read once a cycle before anything is written."""


def _account(pair: Pair, section: str) -> str:
    (row,) = [r for r in read_csv(pair.folder, "gl_accounts") if r["syspro_code"] == section]
    return row["cin7_account"]


def test_an_invoice_arrives_once_with_everything_that_finance_needs(start: Start) -> None:
    pair = start(companies.one_invoice())
    summary = pair.run(DAY)
    assert summary.problems == []
    assert summary.exit_code == 0

    (purchase,) = pair.purchases()
    assert purchase["AdditionalAttributes"]["AdditionalAttribute1"] == MARKER
    assert purchase["Note"].splitlines()[0] == MARKER
    assert purchase["Approach"] == "INVOICE"
    assert purchase["IsServiceOnly"] is True
    assert purchase["Terms"] == "14 days"
    assert purchase["TaxRule"] == "20% (VAT on Expenses)"
    assert purchase["Order"]["Status"] == "AUTHORISED"

    (invoice,) = purchase["Invoice"]
    assert invoice["InvoiceNumber"] == "INV-1"
    assert invoice["Status"] == "AUTHORISED"
    assert invoice["InvoiceDate"][:10] == str(DAY)
    assert invoice["InvoiceDueDate"][:10] == str(day(14))
    assert invoice["Total"] == Decimal("180.00")
    assert {
        (c["Account"], c["Reference"], c["Total"]) for c in invoice["AdditionalCharges"]
    } == {
        (_account(pair, "7010"), "110", Decimal("100.25")),
        (_account(pair, "7310"), "120", Decimal("49.75")),
    }
    assert sum(c["Tax"] for c in invoice["AdditionalCharges"]) == Decimal("30.00")
    assert {c["TaxRule"] for c in invoice["AdditionalCharges"]} == {"20% (VAT on Expenses)"}
    assert pair.summary()["accounts"] == {
        _account(pair, "7010"): Decimal("100.25"),
        _account(pair, "7310"): Decimal("49.75"),
        "820": Decimal("30.00"),
        "800": Decimal("-180.00"),
    }


def test_its_supplier_arrives_with_terms_tax_contact_and_marker(start: Start) -> None:
    pair = start(companies.one_invoice())
    pair.run(DAY)
    (supplier,) = pair.suppliers()
    assert supplier["Name"] == "Quillmere Castings Ltd"
    assert supplier["AdditionalAttribute1"] == f"SYSPRO:DEMO:SUP:{KEY}"
    assert supplier["Currency"] == "GBP"
    assert supplier["PaymentTerm"] == "14 days"
    assert supplier["TaxRule"] == "20% (VAT on Expenses)"
    assert supplier["AccountPayable"] == "800"
    assert supplier["TaxNumber"] == "GB123456789"
    (address,) = supplier["Addresses"]
    assert (address["Line1"], address["Postcode"]) == ("7 Kiln Lane", "ZA1 2XY")
    assert address["Country"] == "United Kingdom"
    (contact,) = supplier["Contacts"]
    assert (contact["Phone"], contact["Email"]) == (
        "01632 960001",
        "accounts@quillmere.example",
    )


def test_it_costs_the_fewest_calls_then_none_then_one_for_one_change(start: Start) -> None:
    pair = start(companies.one_invoice())
    first = pair.run(DAY)
    assert pair.writes() == {"supplier": 1, "header": 1, "order": 1, "invoice": 1}
    # The purchase list and the suppliers once more, to hold the ledger against them.
    read_once = dict.fromkeys((*BOOKS, "/transactions", "/purchaselist"), 1)
    assert pair.reads() == {**read_once, "/supplier": 2}
    assert (first.cin7_writes, first.cin7_calls) == (4, 14)

    pair.forget_traffic()
    second = pair.run(DAY)
    assert pair.writes() == {}
    assert second.cin7_writes == 0
    assert outcomes(second, Kind.INVOICE) == outcomes(second, Kind.SUPPLIER) == {"unchanged": 1}
    for asset in ("cin7_suppliers", "purchases", "invoices"):
        said = pair.metadata("push", asset)["replay"]
        assert said == "0 creates, 0 updates: nothing had to be written"

    pair.forget_traffic()
    changed = pair.row("ApSupplier", Supplier=KEY) | {"Telephone": "01632 960099"}
    pair.put("ApSupplier", changed)
    third = pair.run(DAY)
    assert pair.writes() == {"changed supplier": 1}
    assert outcomes(third, Kind.SUPPLIER) == {"updated": 1}
    assert outcomes(third, Kind.INVOICE) == {"unchanged": 1}
    (supplier,) = pair.suppliers()
    assert [c["Phone"] for c in supplier["Contacts"]] == ["01632 960099"]
    assert len(supplier["Addresses"]) == 1


def test_both_sides_agree_to_the_cent_and_the_run_says_so(start: Start) -> None:
    pair = start(companies.one_invoice())
    summary = pair.run(DAY)
    assert summary.posted == summary.in_cin7 == Decimal("180.00")
    assert summary.different == 0
    assert summary.accounts == 3
    assert summary.kinds[Kind.INVOICE].money == {"GBP": Decimal("180.00")}
    said = pair.metadata("tie_out", "ap")
    assert said["differences"] == 0
    assert said["syspro"] == said["cin7"] == 180.0


def test_an_order_arrives_with_its_receipt_and_its_invoice_on_it(start: Start) -> None:
    pair = start(companies.one_order())
    summary = pair.run(DAY)
    assert summary.exit_code == 0
    assert pair.writes() == {"supplier": 1, "header": 1, "order": 1, "receipt": 1, "invoice": 1}
    (purchase,) = pair.purchases()
    assert purchase["AdditionalAttributes"]["AdditionalAttribute1"] == "SYSPRO:DEMO:PO:020001"
    assert purchase["Approach"] == "STOCK"
    assert purchase["RequiredBy"][:10] == str(day(10))
    (line,) = purchase["Order"]["Lines"]
    assert (line["SKU"], line["Quantity"], line["Price"]) == ("BOL-1", 10, 6)
    (invoice,) = purchase["Invoice"]
    (billed,) = invoice["Lines"]
    assert (billed["SKU"], billed["Quantity"], billed["Total"]) == ("BOL-1", 10, 60)
    assert billed["Account"] == "630"
    assert (invoice["Status"], invoice["Total"]) == ("AUTHORISED", Decimal("72.00"))
    (received,) = [g for g in purchase["StockReceived"] if g["Lines"]]
    assert received["Status"] == "AUTHORISED"
    assert received["TaskID"] == invoice["TaskID"]
    assert [(x["SKU"], x["Quantity"], x["Date"][:10]) for x in received["Lines"]] == [
        ("BOL-1", 10, str(DAY))
    ]
    assert purchase["Status"] == "COMPLETED"
