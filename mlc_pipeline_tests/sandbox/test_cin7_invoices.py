"""Invoices, receipts and credit notes in the stand-in, and the gates between them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mlc_pipeline.sandbox.cin7.wire import ZERO_GUID
from mlc_pipeline_tests.sandbox.cin7_account import (
    Api,
    charge,
    credit_note,
    fixtures,
    invoice,
    invoice_charge,
    invoice_line,
    line,
    stock,
    stock_line,
)

server, api = fixtures()

NOWHERE = "11111111-1111-4111-8111-111111111111"


def test_an_invoice_needs_an_authorised_order(api: Api) -> None:
    text = api.refused(
        "POST", "advanced-purchase/invoice", invoice(api.purchase(), invoice_line())
    )
    assert text == "Order status is NOT AVAILABLE: expected is AUTHORISED"


def test_stock_first_wants_the_goods_before_the_invoice(api: Api) -> None:
    purchase = api.ordered(line(), Approach="STOCK")
    body = invoice(purchase, invoice_line())
    assert "'Stock First'" in api.refused("POST", "advanced-purchase/invoice", body)
    task = purchase["Invoice"][0]["TaskID"]
    received = stock(purchase, stock_line(), TaskID=task)
    api.post("advanced-purchase/stock", received)
    assert api.invoiced(purchase, invoice_line())["Status"] == "AUTHORISED"


def test_invoice_first_wants_the_invoice_before_the_goods(api: Api) -> None:
    purchase = api.ordered(line())
    body = stock(purchase, stock_line())
    text = api.refused("POST", "advanced-purchase/stock", body)
    assert text == (
        "'Invoice First' approach option set. Please authorise Invoice before StockReceived"
    )


def test_a_draft_invoice_is_overwritten_and_an_authorised_one_is_not(api: Api) -> None:
    purchase = api.serviced()
    api.invoiced(purchase, Status="DRAFT", charges=(invoice_charge("90.00"),))
    made = api.invoiced(purchase, charges=(invoice_charge("100.00", Reference="CC 7"),))
    assert (made["Status"], made["Total"], made["InvoiceNumber"]) == (
        "AUTHORISED",
        100,
        "SUP-1",
    )
    assert made["AdditionalCharges"][0]["Reference"] == "CC 7"
    again = invoice(purchase, charges=(invoice_charge("1.00"),))
    text = api.refused("POST", "advanced-purchase/invoice", again)
    assert text == "Invoice status is AUTHORISED: expected is DRAFT or NOT AVAILABLE"


def test_an_invoice_number_is_kept_as_sent_even_when_repeated(api: Api) -> None:
    number = "00 SUP/1-é"
    for _ in range(2):
        made = api.invoiced(api.serviced(), InvoiceNumber=number, charges=(invoice_charge(),))
        assert made["InvoiceNumber"] == number


def test_a_missing_invoice_number_is_made_from_the_order(api: Api) -> None:
    purchase = api.serviced(charge("200.00"))
    body = invoice(purchase, charges=(invoice_charge(),))
    del body["InvoiceNumber"]
    api.post("advanced-purchase/invoice", body)
    answer = api.post("advanced-purchase/invoice", {**body, "TaskID": ZERO_GUID})
    numbers = [made["InvoiceNumber"] for made in answer["Invoices"]]
    assert numbers == ["INV-00001", "INV-00001/2"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"TaskID": NOWHERE}, f"Invoice task with ID {NOWHERE} was not found"),
        ({"PurchaseID": NOWHERE}, f"Purchase with ID {NOWHERE} was not found"),
        ({"InvoiceDate": None}, "Required attribute InvoiceDate is not provided."),
        ({"InvoiceDate": "02/03/2026"}, "an ISO 8601 date is expected"),
        ({"CombineAdditionalCharges": None}, "Required attribute CombineAdditionalCharges"),
        ({"InvoiceNumber": "n" * 257}, "the maximum is 256"),
        ({"Status": "PAID"}, "expected is one of DRAFT, AUTHORISED"),
        ({"AdditionalCharges": []}, "Invoice without lines can't be authorised"),
        (
            {"AdditionalCharges": [invoice_charge(Account="404")]},
            "Account: active account with code 404 was not found",
        ),
        ({"AdditionalCharges": [charge()]}, "'Account' is required for 'AdditionalCharges'"),
    ],
)
def test_an_invoice_is_refused(api: Api, change: dict[str, Any], told: str) -> None:
    body = {**invoice(api.serviced(), charges=(invoice_charge(),)), **change}
    assert told in api.refused("POST", "advanced-purchase/invoice", body)
    assert api.get("transactions")["Total"] == 0


def test_the_total_of_an_invoice_charge_may_be_left_out(api: Api) -> None:
    sent = invoice_charge("12.34")
    del sent["Total"]
    assert api.invoiced(api.serviced(), charges=(sent,))["Total"] == Decimal("12.34")


def test_the_zero_guid_opens_a_new_group(api: Api) -> None:
    purchase = api.serviced(charge("300.00"))
    first = purchase["Invoice"][0]["TaskID"]
    second = invoice(purchase, TaskID=ZERO_GUID, charges=(invoice_charge(),))
    answer = api.post("advanced-purchase/invoice", second)
    assert [made["Status"] for made in answer["Invoices"]] == ["NOT AVAILABLE", "AUTHORISED"]
    assert answer["Invoices"][1]["TaskID"] not in (first, ZERO_GUID)
    assert answer["Invoices"][1]["InvoicingAndReceivingNumber"] == 2


def test_the_zero_guid_is_refused_where_there_is_one_invoice_only(api: Api) -> None:
    purchase = api.ordered(line(), PurchaseType="Simple")
    body = invoice(purchase, invoice_line(), TaskID=ZERO_GUID)
    assert "has one invoice" in api.refused("POST", "advanced-purchase/invoice", body)
    api.server.control("settings", {"zero_guid_invoice": False})
    service = invoice(api.serviced(), TaskID=ZERO_GUID, charges=(invoice_charge(),))
    assert "TaskID is invalid" in api.refused("POST", "advanced-purchase/invoice", service)


def test_a_simple_purchase_is_invoiced_by_its_own_id(api: Api) -> None:
    purchase = api.ordered(line(), PurchaseType="Simple")
    made = api.invoiced(purchase, invoice_line())
    assert made["TaskID"] == purchase["ID"]


def test_a_voided_invoice_stays_without_lines(api: Api) -> None:
    purchase = api.serviced()
    made = api.invoiced(purchase, charges=(invoice_charge(),))
    answer = api.ok("DELETE", "advanced-purchase/invoice", TaskID=made["TaskID"], Void="true")
    voided = answer["Invoices"][0]
    assert (voided["Status"], voided["InvoiceNumber"]) == ("VOIDED", "SUP-1")
    assert (voided["AdditionalCharges"], voided["Total"]) == ([], 0)
    body = invoice(purchase, charges=(invoice_charge(),))
    assert "VOIDED" in api.refused("POST", "advanced-purchase/invoice", body)


def test_an_undone_invoice_is_a_draft_again(api: Api) -> None:
    purchase = api.serviced()
    made = api.invoiced(purchase, charges=(invoice_charge(),))
    answer = api.ok("DELETE", "advanced-purchase/invoice", TaskID=made["TaskID"])
    assert answer["Invoices"][0]["Status"] == "DRAFT"
    assert answer["Invoices"][0]["Total"] == 100
    assert api.invoiced(purchase, charges=(invoice_charge("80.00"),))["Total"] == 80


def test_an_invoice_of_a_simple_purchase_is_not_deleted(api: Api) -> None:
    made = api.invoiced(api.ordered(line(), PurchaseType="Simple"), invoice_line())
    text = api.refused("DELETE", "advanced-purchase/invoice", TaskID=made["TaskID"])
    assert text == "DELETE is not available for Simple Purchases"


def test_nothing_is_dated_before_the_lock_date(api: Api) -> None:
    purchase = api.serviced()
    made = api.invoiced(purchase, charges=(invoice_charge(),))
    api.server.control("settings", {"lock_date": "2026-03-31"})
    told = "is before the lock date 2026-03-31: the period is locked"
    body = invoice(api.serviced(), charges=(invoice_charge(),))
    assert told in api.refused("POST", "advanced-purchase/invoice", body)
    note = credit_note(purchase, invoice_charge())
    assert told in api.refused("POST", "advanced-purchase/creditnote", note)
    void = {"TaskID": made["TaskID"], "Void": "true"}
    assert told in api.refused("DELETE", "advanced-purchase/invoice", **void)
    received = stock(api.ordered(line(), Approach="STOCK"), stock_line())
    assert told in api.refused("POST", "advanced-purchase/stock", received)
    on_the_day = {**body, "InvoiceDate": "2026-03-31"}
    assert api.post("advanced-purchase/invoice", on_the_day)["Invoices"]


# ---------------------------------------------------------------------------------- stock


def test_stock_adds_lines_until_it_is_authorised(api: Api) -> None:
    purchase = api.ordered(line(), line("NUT-8"), Approach="STOCK")
    task = purchase["Invoice"][0]["TaskID"]
    draft = {"TaskID": task, "Status": "DRAFT"}
    api.post("advanced-purchase/stock", stock(purchase, stock_line(), **draft))
    api.post("advanced-purchase/stock", stock(purchase, stock_line("NUT-8"), **draft))
    again = stock(purchase, stock_line(), **draft)
    assert api.refused("POST", "advanced-purchase/stock", again) == (
        "Cannot add duplicate value in stock received lines. (Product:BOLT-8, Location:)"
    )
    answer = api.post("advanced-purchase/stock", stock(purchase, TaskID=task))
    part = answer["StockReceiving"][0]
    assert part["Status"] == "AUTHORISED"
    assert [(received["SKU"], received["Received"]) for received in part["Lines"]] == [
        ("BOLT-8", True),
        ("NUT-8", True),
    ]
    late = stock(purchase, stock_line("NUT-8", BatchSN="B2"), TaskID=task)
    text = api.refused("POST", "advanced-purchase/stock", late)
    assert text == "Stock received status is AUTHORISED: expected is DRAFT or NOT AVAILABLE"


def test_the_same_goods_in_one_payload_are_summed(api: Api) -> None:
    purchase = api.ordered(line(quantity="5"), Approach="STOCK")
    lines = [stock_line(quantity=2), stock_line(quantity=3), stock_line(BatchSN="B2")]
    answer = api.post("advanced-purchase/stock", stock(purchase, *lines))
    quantities = [received["Quantity"] for received in answer["StockReceiving"][-1]["Lines"]]
    assert quantities == [5, 2]


@pytest.mark.parametrize("task", [{}, {"TaskID": ZERO_GUID}])
def test_stock_without_a_task_opens_a_group_with_an_empty_draft_invoice(
    api: Api, task: dict[str, str]
) -> None:
    purchase = api.ordered(line())
    api.invoiced(purchase, invoice_line())
    api.post("advanced-purchase/stock", stock(purchase, stock_line(), **task))
    after = api.get("advanced-purchase", ID=purchase["ID"])
    assert [made["Status"] for made in after["Invoice"]] == ["AUTHORISED", "DRAFT"]
    assert after["Invoice"][1]["Lines"] == []
    assert after["Invoice"][1]["TaskID"] == after["StockReceived"][1]["TaskID"]
    assert after["StockReceived"][0]["Status"] == "NOT AVAILABLE"


def test_stock_converts_a_simple_purchase(api: Api) -> None:
    purchase = api.ordered(line(), PurchaseType="Simple", Approach="STOCK")
    body = stock(purchase, stock_line(), TaskID=purchase["ID"])
    api.post("advanced-purchase/stock", body)
    after = api.get("advanced-purchase", ID=purchase["ID"])
    assert after["Type"] == "Advanced Purchase"
    assert after["StockReceived"][0]["TaskID"] == purchase["ID"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"Date": None}, "'Date' is required for 'Lines' line"),
        ({"Quantity": 0}, "the minimal value is 1"),
        ({"SKU": "NONE"}, "Product with SKU NONE was not found"),
    ],
)
def test_a_received_line_is_refused(api: Api, change: dict[str, Any], told: str) -> None:
    purchase = api.ordered(line(), Approach="STOCK")
    body = stock(purchase, {**stock_line(), **change})
    assert told in api.refused("POST", "advanced-purchase/stock", body)


def test_a_service_purchase_takes_no_stock(api: Api) -> None:
    body = stock(api.serviced(), stock_line())
    text = api.refused("POST", "advanced-purchase/stock", body)
    assert text == "This endpoint is not available for Service Purchases"


def test_stock_needs_lines_and_a_known_task(api: Api) -> None:
    purchase = api.ordered(line(), Approach="STOCK")
    empty = stock(purchase)
    assert "without lines" in api.refused("POST", "advanced-purchase/stock", empty)
    unknown = stock(purchase, stock_line(), TaskID=NOWHERE)
    assert "was not found" in api.refused("POST", "advanced-purchase/stock", unknown)


# --------------------------------------------------------------------------- credit notes


def test_a_credit_note_needs_an_authorised_invoice_of_the_same_purchase(api: Api) -> None:
    purchase, other = api.serviced(), api.serviced()
    api.invoiced(other, charges=(invoice_charge(),))
    api.invoiced(purchase, Status="DRAFT", charges=(invoice_charge(),))
    body = credit_note(purchase, invoice_charge())
    assert "CreditNoteInvoiceNumber SUP-1 is not an invoice of this purchase" in api.refused(
        "POST", "advanced-purchase/creditnote", body
    )


def test_credit_notes_are_added_drafted_and_voided(api: Api) -> None:
    purchase = api.serviced()
    made = api.invoiced(purchase, charges=(invoice_charge(),))
    draft = credit_note(purchase, invoice_charge("10.00"), Status="DRAFT")
    first = api.post("advanced-purchase/creditnote", draft)["CreditNotes"][0]
    body = {**draft, "TaskID": first["TaskID"], "Status": "AUTHORISED"}
    assert len(api.post("advanced-purchase/creditnote", body)["CreditNotes"]) == 1
    second = credit_note(purchase, invoice_charge("5.00"), CreditNoteNumber="CR-2")
    assert len(api.post("advanced-purchase/creditnote", second)["CreditNotes"]) == 2
    assert "AUTHORISED" in api.refused("POST", "advanced-purchase/creditnote", body)
    void = {"TaskID": made["TaskID"], "Void": "true"}
    assert "credited by CR-1" in api.refused("DELETE", "advanced-purchase/invoice", **void)
    answer = api.ok("DELETE", "advanced-purchase/creditnote", TaskID=first["TaskID"])
    assert [note["Status"] for note in answer["CreditNotes"]] == ["VOIDED", "AUTHORISED"]
    assert answer["CreditNotes"][0]["AdditionalCharges"] == []


def test_a_simple_purchase_has_one_credit_note(api: Api) -> None:
    purchase = api.ordered(line(), PurchaseType="Simple")
    api.invoiced(purchase, invoice_line())
    body = credit_note(purchase, Lines=[invoice_line("BOLT-8", "1")])
    answer = api.post("advanced-purchase/creditnote", body)
    assert [note["TaskID"] for note in answer["CreditNotes"]] == [purchase["ID"]]
    assert "AUTHORISED" in api.refused("POST", "advanced-purchase/creditnote", body)


def test_goods_go_back_by_the_card_they_came_in_on(api: Api) -> None:
    purchase = api.ordered(line(), Approach="STOCK")
    task = purchase["Invoice"][0]["TaskID"]
    received = stock(purchase, stock_line(), TaskID=task)
    answer = api.post("advanced-purchase/stock", received)
    card = answer["StockReceiving"][0]["Lines"][0]["CardID"]
    api.invoiced(purchase, invoice_line())
    returned = [{"CardID": card, "Quantity": 1}]
    body = credit_note(purchase, invoice_charge("10.00"), Unstock=returned)
    note = api.post("advanced-purchase/creditnote", body)["CreditNotes"][0]
    assert (note["Unstock"][0]["SKU"], note["Unstock"][0]["Quantity"]) == ("BOLT-8", 1)
    assert api.get("purchaseList")["PurchaseList"][0]["UnstockStatus"] == "AUTHORISED"
    stray = credit_note(
        purchase, invoice_charge(), Unstock=[{"CardID": NOWHERE, "Quantity": 1}]
    )
    assert "was not received" in api.refused("POST", "advanced-purchase/creditnote", stray)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"CreditNoteNumber": ""}, "Required attribute CreditNoteNumber is not provided."),
        ({"CreditNoteInvoiceNumber": "n" * 51}, "the maximum is 50"),
        ({"Unstock": None}, "Required attribute Unstock is not provided."),
        ({"TaskID": NOWHERE}, f"Credit note task with ID {NOWHERE} was not found"),
        ({"AdditionalCharges": []}, "Credit note without lines can't be authorised"),
    ],
)
def test_a_credit_note_is_refused(api: Api, change: dict[str, Any], told: str) -> None:
    purchase = api.serviced()
    api.invoiced(purchase, charges=(invoice_charge(),))
    body = {**credit_note(purchase, invoice_charge()), **change}
    assert told in api.refused("POST", "advanced-purchase/creditnote", body)
