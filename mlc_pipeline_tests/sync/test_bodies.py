"""Request bodies: the wanted document in Cin7's words, held against its API description."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mlc_pipeline.cin7.decimals import dumps, loads
from mlc_pipeline.sync import bodies
from mlc_pipeline.sync.content import SupplierContact
from mlc_pipeline_tests.contract.openapi import validate_request
from mlc_pipeline_tests.sync import desk as documents
from mlc_pipeline_tests.sync.examples import DAY, d

ID = "11111111-1111-4111-8111-111111111111"
TASK = "22222222-2222-4222-8222-222222222222"


def sent(method: str, path: str, body: bodies.Body) -> dict[str, Any]:
    wire: dict[str, Any] = loads(dumps(body.to_wire()))
    validate_request(method, path, wire)
    return wire


def test_a_supplier_is_created_active_with_its_marker() -> None:
    content = documents.supplier(
        tax_number="GB1", contact=SupplierContact(name="Desk", phone="1")
    ).content
    wire = sent("POST", "/supplier", bodies.supplier_post(content))
    assert (wire["Name"], wire["Status"]) == ("Heathcotes Ltd", "Active")
    assert wire["AdditionalAttribute1"] == content.marker
    assert (wire["Addresses"][0]["Line1"], wire["Addresses"][0]["Type"]) == (
        "1 High St",
        "Business",
    )
    assert wire["Contacts"] == [{"Name": "Desk", "Phone": "1", "Default": True}]


def test_a_supplier_is_updated_in_place_and_not_revived() -> None:
    content = documents.supplier(contact=SupplierContact(name="Desk")).content
    current = {"Status": "Deprecated", "Addresses": [{"ID": TASK}], "Contacts": []}
    wire = sent("PUT", "/supplier", bodies.supplier_put(ID, content, current))
    assert (wire["ID"], wire["Status"]) == (ID, "Deprecated")
    assert wire["Addresses"][0]["ID"] == TASK
    assert "ID" not in wire["Contacts"][0]


def test_a_purchase_is_advanced_unless_it_is_a_service() -> None:
    order = documents.order(currency_rate=d("0.85000"), required_by=DAY).content
    wire = sent("POST", "/advanced-purchase", bodies.purchase_post(order.header, ID))
    assert (wire["PurchaseType"], wire["Approach"]) == ("Advanced", "STOCK")
    assert (wire["CurrencyRate"], wire["RequiredBy"]) == (d("0.85000"), f"{DAY}T00:00:00")
    assert wire["TaxCalculation"] == "Exclusive"
    own = documents.own_invoice(attributes={"2": "Sales"}).content.header
    wire = sent("POST", "/advanced-purchase", bodies.purchase_post(own, ID))
    assert (wire["IsServiceOnly"], wire["Approach"]) == (True, "INVOICE")
    assert wire["AdditionalAttributes"]["AdditionalAttribute2"] == "Sales"
    wire = sent("PUT", "/advanced-purchase", bodies.purchase_put(TASK, own, ID))
    assert (wire["ID"], wire["SupplierID"]) == (TASK, ID)


def test_a_date_that_was_taken_away_is_cleared_on_an_update_alone() -> None:
    header = documents.order(required_by="").content.header
    wire = sent("PUT", "/advanced-purchase", bodies.purchase_put(TASK, header, ID))
    assert wire["RequiredBy"] is None
    assert "RequiredBy" not in sent(
        "POST", "/advanced-purchase", bodies.purchase_post(header, ID)
    )
    never = documents.order().content.header
    put = bodies.purchase_put(TASK, never, ID)
    assert "RequiredBy" not in sent("PUT", "/advanced-purchase", put)


@pytest.mark.parametrize(("authorise", "status"), [(True, "AUTHORISED"), (False, "DRAFT")])
def test_documents_are_authorised_or_left_as_drafts(authorise: bool, status: str) -> None:
    order = documents.order().content
    wire = sent("POST", "/purchase/order", bodies.order_of(order, ID, authorise=authorise))
    assert (wire["Status"], wire["TaskID"], wire["Memo"]) == (status, ID, "")
    invoice = documents.own_invoice().content
    body = bodies.invoice_post(invoice, ID, TASK, authorise=authorise)
    assert sent("POST", "/advanced-purchase/invoice", body)["Status"] == status
    credit = bodies.credit_note_post(documents.credit_note().content, ID, authorise=authorise)
    assert sent("POST", "/advanced-purchase/creditnote", credit)["Status"] == status


def test_an_invoice_names_account_and_cost_centre_of_each_line() -> None:
    invoice = documents.own_invoice().content
    body = bodies.invoice_post(invoice, ID, TASK, authorise=True)
    wire = sent("POST", "/advanced-purchase/invoice", body)
    (charge,) = wire["AdditionalCharges"]
    assert (charge["Account"], charge["Reference"], charge["Total"]) == ("400", "Sales", 80)
    assert (wire["InvoiceNumber"], wire["TaskID"]) == ("INV-7", TASK)
    assert wire["InvoiceDueDate"] == f"{DAY + timedelta(days=30)}T00:00:00"


def test_a_receipt_is_always_authorised() -> None:
    body = bodies.stock_post(documents.receipt().content, ID, TASK)
    wire = sent("POST", "/advanced-purchase/stock", body)
    assert (wire["Status"], wire["PurchaseID"], wire["TaskID"]) == ("AUTHORISED", ID, TASK)
    assert wire["Lines"] == [{"SKU": "A100", "Date": f"{DAY}T00:00:00", "Quantity": 4}]


def test_a_credit_note_names_the_number_of_its_invoice_alone() -> None:
    credit = documents.credit_note("2026|07/INV").content
    body = bodies.credit_note_post(credit, ID, authorise=True)
    wire = sent("POST", "/advanced-purchase/creditnote", body)
    assert wire["CreditNoteInvoiceNumber"] == "2026|07/INV"
    assert (wire["Lines"], wire["Unstock"]) == ([], [])


def test_a_product_is_a_stock_item_in_its_own_unit() -> None:
    wire = sent("POST", "/product", bodies.product_post("A100", "B" * 300, "EA"))
    assert (wire["SKU"], wire["UOM"], len(wire["Name"])) == ("A100", "EA", 256)


def test_what_cin7_answered_is_summed_by_account_cost_centre_and_tax_rule() -> None:
    answer = {
        "Status": "authorised",
        "Lines": [{"Account": "400", "Comment": "Sales", "Total": 5, "Tax": 1, "TaxRule": "V"}],
        "AdditionalCharges": [
            {"Account": "400", "Reference": "Sales", "Total": d("0.5"), "TaxRule": "V"},
            {"Account": "400", "Reference": "", "Total": d("2"), "Tax": 0, "TaxRule": "N"},
        ],
    }
    assert bodies.answered_amounts(answer) == {
        "status": "AUTHORISED",
        "amounts": {"400|Sales": "5.5", "400|": "2"},
        "tax": {"V": "1"},
    }
    assert bodies.answered_amounts({**answer, "CurrencyRate": d("1.1")})["rate"] == "1.1"
    assert bodies.answered_amounts(answer, sign=-1)["amounts"] == {
        "400|Sales": "-5.5",
        "400|": "-2",
    }
