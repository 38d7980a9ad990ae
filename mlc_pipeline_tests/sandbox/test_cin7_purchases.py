"""Purchase headers in the stand-in: creating, changing, voiding, listing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mlc_pipeline_tests.sandbox.cin7_account import (
    EXEMPT,
    FOREIGN,
    LOCAL,
    STANDARD,
    Api,
    charge,
    credit_note,
    fixtures,
    invoice,
    invoice_charge,
    invoice_line,
    line,
    order,
    stock,
    stock_line,
)

server, api = fixtures()

NOWHERE = "11111111-1111-4111-8111-111111111111"


def test_a_header_is_filled_from_account_and_supplier(api: Api) -> None:
    purchase = api.purchase(FOREIGN, Note="SYSPRO:DEMO:PO:000000000000001")
    assert purchase["OrderNumber"] == "PO-00001"
    assert purchase["Status"] == "DRAFT"
    assert purchase["Order"]["Status"] == "NOT AVAILABLE"
    assert (purchase["BaseCurrency"], purchase["SupplierCurrency"]) == ("GBP", "USD")
    assert purchase["CurrencyRate"] == Decimal("0.8")
    assert (purchase["TaxRule"], purchase["Terms"]) == (STANDARD, "30 days")
    assert api.get("advanced-purchase", ID=purchase["ID"]) == purchase


def test_the_rate_is_1_in_base_currency_and_as_sent_otherwise(api: Api) -> None:
    assert api.purchase(LOCAL)["CurrencyRate"] == 1
    sent = Decimal("0.79123")
    assert api.purchase(FOREIGN, CurrencyRate=sent)["CurrencyRate"] == sent


def test_every_task_of_a_simple_purchase_carries_its_id(api: Api) -> None:
    purchase = api.purchase(PurchaseType="Simple")
    assert purchase["Type"] == "Simple Purchase"
    blocks = ("StockReceived", "PutAway", "Invoice", "CreditNote", "ManualJournals")
    tasks = {purchase[block][0]["TaskID"] for block in blocks}
    assert tasks == {purchase["ID"]} == {purchase["Order"]["TaskID"]}


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"PurchaseType": "Advanced"}, "Advanced Purchase"),
        ({"PurchaseType": "Simple", "IsServiceOnly": True}, "Service Purchase"),
    ],
)
def test_tasks_of_other_purchases_have_an_id_of_their_own(
    api: Api, header: dict[str, Any], kind: str
) -> None:
    purchase = api.purchase(**header)
    task = purchase["Invoice"][0]["TaskID"]
    assert purchase["Type"] == kind
    assert purchase["StockReceived"][0]["TaskID"] == task != purchase["ID"]
    assert purchase["CreditNote"] == []


def test_approach_is_taken_in_any_case_and_answered_in_upper_case(api: Api) -> None:
    body = {
        "Supplier": LOCAL,
        "Approach": "Stock",
        "Location": "Main Warehouse",
    }
    answer = api.send("POST", "advanced-purchase", body)
    assert answer.json()["Approach"] == "STOCK"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"Approach": "RECEIVE"}, "expected is one of INVOICE, STOCK"),
        ({"Approach": None}, "Required attribute Approach is not provided."),
        ({"Approach": "STOCK", "IsServiceOnly": True}, "service purchases are always INVOICE"),
        ({"SupplierID": None}, "Required attribute SupplierID or Supplier is not provided."),
        ({"SupplierID": NOWHERE}, f"Supplier with ID {NOWHERE} was not found"),
        ({"Location": "main warehouse"}, "Location 'main warehouse' was not found in"),
        ({"Location": "Old Shed"}, "Location 'Old Shed' was not found in Locations"),
        ({"Terms": "Cash"}, "Active payment term with name Cash was not found"),
        ({"TaxRule": "None"}, "with name None was not found in Taxation Rules"),
        ({"Note": "n" * 1025}, "the maximum is 1024"),
        ({"CurrencyRate": 0}, "more than 0 is expected"),
        ({"CurrencyRate": Decimal("0.123456")}, "at most 5 decimal places"),
        ({"BillingAddress": {"Line1": "1 Quay"}}, "'Country' is required"),
    ],
)
def test_a_header_is_refused(api: Api, change: dict[str, Any], told: str) -> None:
    header = {
        "SupplierID": api.supplier()["ID"],
        "Approach": "INVOICE",
        "Location": "Main Warehouse",
        **change,
    }
    assert told in api.refused("POST", "advanced-purchase", header)
    assert api.get("purchaseList")["Total"] == 0


def test_an_unknown_location_is_a_404_within_a_400(api: Api) -> None:
    body = {"Supplier": LOCAL, "Approach": "INVOICE", "Location": "Nowhere"}
    answer = api.send("POST", "advanced-purchase", body)
    assert answer.status_code == 400
    assert answer.json()[0]["ErrorCode"] == 404


def test_a_deprecated_supplier_gets_no_purchase(api: Api) -> None:
    supplier = api.supplier()
    api.server.control("edit", {"supplier": supplier["ID"], "set": {"Status": "Deprecated"}})
    body = {
        "SupplierID": supplier["ID"],
        "Approach": "INVOICE",
        "Location": "Main Warehouse",
    }
    assert "is deprecated" in api.refused("POST", "advanced-purchase", body)


def test_an_unknown_purchase_is_refused(api: Api) -> None:
    assert "was not found" in api.refused("GET", "advanced-purchase", ID=NOWHERE)
    assert "Required parameter ID" in api.refused("GET", "advanced-purchase")


def test_attributes_and_addresses_are_kept(api: Api) -> None:
    address = {"Line1": "1 Quay", "City": "Hull", "Country": "United Kingdom"}
    purchase = api.purchase(
        AdditionalAttributes={"AdditionalAttribute1": "SYSPRO:DEMO:AP:0000042:I-9"},
        BillingAddress=address,
        ShippingAddress={**address, "ShipToOther": True, "Company": "Depot"},
    )
    attributes = purchase["AdditionalAttributes"]
    assert attributes["AdditionalAttribute1"] == "SYSPRO:DEMO:AP:0000042:I-9"
    assert attributes["AdditionalAttribute10"] == ""
    assert purchase["BillingAddress"]["DisplayAddressLine2"] == "Hull United Kingdom"
    assert purchase["ShippingAddress"]["Company"] == "Depot"


def test_a_put_changes_the_header_until_something_is_invoiced(api: Api) -> None:
    purchase = api.ordered(line())
    put = {
        "ID": purchase["ID"],
        "SupplierID": purchase["SupplierID"],
        "Location": "Main Warehouse",
        "Approach": "STOCK",
        "Note": "changed",
    }
    changed = api.ok("PUT", "advanced-purchase", put)
    assert (changed["Approach"], changed["Note"]) == ("STOCK", "changed")
    assert changed["Order"]["Lines"] == purchase["Order"]["Lines"]
    foreign = {**put, "SupplierID": api.supplier(FOREIGN)["ID"], "Note": ""}
    moved = api.ok("PUT", "advanced-purchase", foreign)
    assert (moved["Supplier"], moved["SupplierCurrency"], moved["Note"]) == (FOREIGN, "USD", "")
    api.post("advanced-purchase/stock", stock(purchase, stock_line()))
    assert "received already" in api.refused("PUT", "advanced-purchase", put)


# -------------------------------------------------------------------------------- voiding


def test_a_draft_is_voided_for_good(api: Api) -> None:
    id_ = api.purchase()["ID"]
    voided = api.ok("DELETE", "advanced-purchase", ID=id_, Void="true")
    assert voided["Status"] == "VOIDED"
    assert "final" in api.refused("DELETE", "advanced-purchase", ID=id_, Void="false")
    text = api.refused("POST", "purchase/order", order(id_, line()))
    assert text == "Order status is VOIDED: expected is DRAFT or NOT AVAILABLE"


def test_an_authorised_order_is_undone_to_draft_and_written_again(api: Api) -> None:
    purchase = api.ordered(line())
    undone = api.ok("DELETE", "advanced-purchase", ID=purchase["ID"])
    assert (undone["Status"], undone["Order"]["Status"]) == ("ORDERING", "DRAFT")
    again = api.post("purchase/order", order(purchase["ID"], line(quantity="3")))
    assert again["Total"] == 30


def test_a_purchase_with_an_authorised_invoice_is_not_voided(api: Api) -> None:
    purchase = api.serviced()
    made = api.invoiced(purchase, charges=(invoice_charge(),))
    text = api.refused("DELETE", "advanced-purchase", ID=purchase["ID"], Void="true")
    assert "void or undo the invoice first" in text
    api.ok("DELETE", "advanced-purchase/invoice", TaskID=made["TaskID"], Void="true")
    voided = api.ok("DELETE", "advanced-purchase", ID=purchase["ID"], Void="true")
    assert voided["Status"] == "VOIDED"


# ------------------------------------------------------------------------------- statuses


def _status(api: Api, purchase: Any) -> list[str]:
    found = api.get("advanced-purchase", ID=purchase["ID"])
    names = ("Status", "CombinedInvoiceStatus", "CombinedReceivingStatus")
    return [found[name] for name in names]


def test_statuses_follow_an_invoice_first_purchase(api: Api) -> None:
    purchase = api.purchase()
    assert _status(api, purchase) == ["DRAFT", "NOT AVAILABLE", "NOT AVAILABLE"]
    api.post("purchase/order", order(purchase["ID"], line(), Status="DRAFT"))
    assert _status(api, purchase) == ["ORDERING", "NOT AVAILABLE", "NOT AVAILABLE"]
    api.post("purchase/order", order(purchase["ID"], line()))
    assert _status(api, purchase) == ["ORDERED", "NOT INVOICED", "NOT RECEIVED"]
    made = api.invoiced(purchase, invoice_line())
    assert _status(api, purchase) == ["INVOICED", "INVOICED", "NOT RECEIVED"]
    received = stock(purchase, stock_line(), TaskID=made["TaskID"])
    api.post("advanced-purchase/stock", received)
    assert _status(api, purchase) == ["COMPLETED", "INVOICED", "FULLY RECEIVED"]
    credited = credit_note(purchase, invoice_charge("5.00"))
    api.post("advanced-purchase/creditnote", credited)
    assert _status(api, purchase) == [
        "RECEIVED / CREDITED",
        "INVOICED / CREDITED",
        "FULLY RECEIVED",
    ]


def test_statuses_follow_a_stock_first_purchase(api: Api) -> None:
    purchase = api.ordered(line(quantity="4"), Approach="STOCK")
    task = purchase["Invoice"][0]["TaskID"]
    draft = stock(purchase, stock_line(quantity=2), TaskID=task, Status="DRAFT")
    api.post("advanced-purchase/stock", draft)
    assert _status(api, purchase) == ["RECEIVING", "NOT INVOICED", "NOT RECEIVED"]
    api.post("advanced-purchase/stock", stock(purchase, TaskID=task))
    assert _status(api, purchase) == ["RECEIVING", "NOT INVOICED", "PARTIALLY RECEIVED"]
    api.post("advanced-purchase/stock", stock(purchase, stock_line(quantity=2)))
    assert _status(api, purchase) == ["RECEIVED", "NOT INVOICED", "FULLY RECEIVED"]
    api.invoiced(purchase, invoice_line())
    assert _status(api, purchase)[:2] == ["PARTIALLY INVOICED"] * 2


def test_a_service_purchase_ends_as_invoiced(api: Api) -> None:
    purchase = api.serviced()
    api.invoiced(purchase, charges=(invoice_charge(),))
    assert _status(api, purchase) == ["INVOICED", "INVOICED", "NOT AVAILABLE"]


# ---------------------------------------------------------------------------------- lists


def _numbers(answer: Any) -> list[str]:
    return [row["OrderNumber"] for row in answer["PurchaseList"]]


def test_the_list_is_oldest_first_in_pages(api: Api) -> None:
    for _ in range(5):
        api.purchase()
    assert _numbers(api.get("purchaseList", Limit=3)) == ["PO-00001", "PO-00002", "PO-00003"]
    last = api.get("purchaseList", Limit=3, Page=2)
    assert _numbers(last) == ["PO-00004", "PO-00005"]
    assert last["Total"] == 5


def test_search_looks_in_five_columns_and_not_in_the_note(api: Api) -> None:
    first = api.serviced(Note="SYSPRO:DEMO:PO:77")
    api.invoiced(first, InvoiceNumber="inv-SUP-77", charges=(invoice_charge(),))
    noted = credit_note(first, invoice_charge(), CreditNoteInvoiceNumber="inv-SUP-77")
    api.post("advanced-purchase/creditnote", noted)
    api.purchase(FOREIGN)
    searches = {
        "PO-00001": ["PO-00001"],
        "credited": ["PO-00001"],
        "draft": ["PO-00002"],
        "belt": ["PO-00002"],
        "up-77": ["PO-00001"],
        "cr-1": ["PO-00001"],
        "SYSPRO:DEMO:PO:77": [],
    }
    for text, numbers in searches.items():
        assert _numbers(api.get("purchaseList", Search=text)) == numbers, text


def test_a_row_names_the_first_invoice_alone(api: Api) -> None:
    purchase = api.serviced(charge("300.00"))
    api.invoiced(purchase, InvoiceNumber="A-1", charges=(invoice_charge("100.00"),))
    second = invoice(
        purchase,
        TaskID="00000000-0000-0000-0000-000000000000",
        InvoiceNumber="A-2",
        charges=(invoice_charge("50.00"),),
    )
    api.post("advanced-purchase/invoice", second)
    row = api.get("purchaseList")["PurchaseList"][0]
    assert (row["InvoiceNumber"], row["InvoiceAmount"]) == ("A-1", 150)
    assert api.get("purchaseList", Search="A-2")["Total"] == 0


def test_filters_take_one_value_and_hold_together(api: Api) -> None:
    api.purchase()
    ordered = api.ordered(line())
    api.invoiced(api.serviced(), charges=(invoice_charge(),))
    assert _numbers(api.get("purchaseList", Status="ORDERED")) == ["PO-00002"]
    assert _numbers(api.get("purchaseList", OrderStatus="authorised")) == [
        "PO-00002",
        "PO-00003",
    ]
    assert _numbers(api.get("purchaseList", InvoiceStatus="AUTHORISED")) == ["PO-00003"]
    assert api.get("purchaseList", Status="ORDERED,INVOICED")["Total"] == 0
    assert api.get("purchaseList", Status="DRAFT", OrderStatus="AUTHORISED")["Total"] == 0
    received = stock(api.ordered(line(), Approach="STOCK"), stock_line())
    api.post("advanced-purchase/stock", received)
    found = api.get("purchaseList", StockReceivedStatus="AUTHORISED")
    assert _numbers(found) == ["PO-00004"]
    assert ordered["OrderNumber"] == "PO-00002"


def test_the_documented_stock_filter_does_nothing(api: Api) -> None:
    api.purchase()
    assert api.get("purchaseList", RestockReceivedStatus="AUTHORISED")["Total"] == 1
    assert api.server.control("traffic")["requests"][-1]["ignored"] == ["RestockReceivedStatus"]


def test_updated_since_and_until_bound_the_last_change(api: Api) -> None:
    first = api.purchase()
    stamp = first["LastUpdatedDate"]
    assert api.get("purchaseList", UpdatedSince=stamp)["Total"] == 0
    assert api.get("purchaseList", UpdatedSince=stamp[:10])["Total"] == 1
    assert api.get("purchaseList", UpdatedUntil=stamp)["Total"] == 0
    assert api.get("purchaseList", UpdatedUntil="2999-01-01")["Total"] == 1
    assert "UpdatedSince is invalid" in api.refused("GET", "purchaseList", UpdatedSince="soon")


def test_charges_are_shown_among_the_lines_when_asked_for(api: Api) -> None:
    purchase = api.ordered(line(), charges=(charge(TaxRule=EXEMPT),))
    shown = api.get("advanced-purchase", ID=purchase["ID"], CombineAdditionalCharges="true")
    assert [entry["Name"] for entry in shown["Order"]["Lines"]] == ["Bolt M8", "Consulting"]
    assert shown["Order"]["AdditionalCharges"] == []
    alone = api.get("purchase/order", TaskID=purchase["ID"])
    assert [entry["Description"] for entry in alone["AdditionalCharges"]] == ["Consulting"]
