"""What the stand-in's general ledger says after invoices, credit notes and voids."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mlc_pipeline_tests.sandbox.cin7_account import (
    FOREIGN,
    LOCAL,
    Api,
    charge,
    credit_note,
    fixtures,
    invoice_charge,
    invoice_line,
    line,
)

server, api = fixtures()


def _entries(api: Api, **query: Any) -> list[tuple[str, str, Decimal]]:
    rows = api.get("transactions", **query)["Transactions"]
    return [
        (row["DebitAccountCode"], row["CreditAccountCode"], Decimal(row["Amount"]))
        for row in rows
    ]


def test_an_authorised_invoice_posts_each_line_and_each_tax(api: Api) -> None:
    purchase = api.ordered(line(), charges=(charge(),))
    made = api.invoiced(
        purchase,
        invoice_line(Tax=Decimal("4.00")),
        charges=(invoice_charge(Tax=Decimal("20.00")),),
    )
    assert _entries(api) == [
        ("630", "800", Decimal(20)),
        ("820", "800", Decimal(4)),
        ("400", "800", Decimal(100)),
        ("820", "800", Decimal(20)),
    ]
    row = api.get("transactions")["Transactions"][0]
    assert row["TaskID"] == made["TaskID"]
    assert row["EffectiveDate"] == "2026-03-02T00:00:00"
    assert (row["Reference"], row["Type"]) == ("SUP-1", "Purchase")
    assert row["Transaction"] == f"{LOCAL} - SUP-1"


def test_a_draft_posts_nothing(api: Api) -> None:
    api.invoiced(api.serviced(), Status="DRAFT", charges=(invoice_charge(),))
    assert _entries(api) == []


def test_money_is_posted_in_base_currency_rounded_to_cents(api: Api) -> None:
    purchase = api.serviced(supplier=FOREIGN, CurrencyRate=Decimal("0.78915"))
    api.invoiced(purchase, charges=(invoice_charge("10.01"), invoice_charge("-0.01")))
    # 10.01 x 0.78915 = 7.8993...; a hundredth of a dollar is a penny when rounded
    assert _entries(api) == [("400", "800", Decimal("7.90")), ("800", "400", Decimal("0.01"))]


def test_a_negative_amount_swaps_debit_and_credit(api: Api) -> None:
    purchase = api.serviced(charge("-50.00"))
    api.invoiced(purchase, charges=(invoice_charge("-50.00", Tax=Decimal("-10.00")),))
    assert _entries(api) == [("800", "400", Decimal(50)), ("800", "820", Decimal(10))]


def test_an_inclusive_purchase_posts_the_net_to_the_line(api: Api) -> None:
    purchase = api.serviced(charge("120.00"), TaxCalculation="Inclusive")
    api.invoiced(purchase, charges=(invoice_charge("120.00", Tax=Decimal("20.00")),))
    assert _entries(api) == [("400", "800", Decimal(100)), ("820", "800", Decimal(20))]


def test_a_credit_note_posts_the_other_way_round(api: Api) -> None:
    purchase = api.serviced()
    api.invoiced(purchase, charges=(invoice_charge(),))
    note = credit_note(purchase, invoice_charge("30.00", Tax=Decimal("6.00")))
    made = api.post("advanced-purchase/creditnote", note)["CreditNotes"][0]
    rows = api.get("transactions", FromDate="2026-03-02")["Transactions"]
    assert [(r["DebitAccountCode"], r["CreditAccountCode"], r["Amount"]) for r in rows] == [
        ("800", "400", 30),
        ("800", "820", 6),
    ]
    assert {row["TaskID"] for row in rows} == {made["TaskID"]}
    assert {row["Reference"] for row in rows} == {"SUP-1/CR-1"}


def test_voiding_takes_back_what_was_posted(api: Api) -> None:
    purchase = api.serviced()
    made = api.invoiced(purchase, charges=(invoice_charge(),))
    note = credit_note(purchase, invoice_charge("30.00"))
    credited = api.post("advanced-purchase/creditnote", note)["CreditNotes"][0]
    api.ok("DELETE", "advanced-purchase/creditnote", TaskID=credited["TaskID"])
    assert _entries(api) == [("400", "800", Decimal(100))]
    api.ok("DELETE", "advanced-purchase/invoice", TaskID=made["TaskID"], Void="true")
    assert _entries(api) == []


def test_a_simple_purchase_keeps_invoice_and_credit_note_apart(api: Api) -> None:
    purchase = api.ordered(line(), PurchaseType="Simple")
    api.invoiced(purchase, invoice_line())
    note = credit_note(purchase, invoice_charge("5.00"))
    api.post("advanced-purchase/creditnote", note)
    assert _entries(api) == [("630", "800", Decimal(20)), ("800", "400", Decimal(5))]


def test_both_bounds_of_the_dates_are_excluded(api: Api) -> None:
    purchase = api.serviced(charge("300.00"))
    api.invoiced(purchase, charges=(invoice_charge(),))
    assert _entries(api, FromDate="2026-03-02T00:00:00") == []
    assert _entries(api, ToDate="2026-03-02") == []
    assert len(_entries(api, FromDate="2026-03-01", ToDate="2026-03-03")) == 1
    assert "FromDate is invalid" in api.refused("GET", "transactions", FromDate="March")


def test_an_account_is_found_on_either_side(api: Api) -> None:
    api.invoiced(api.serviced(), charges=(invoice_charge(Tax=Decimal(20)),))
    assert len(_entries(api, Account="800")) == 2
    assert _entries(api, Account="820") == [("820", "800", Decimal(20))]
    assert _entries(api, Account="40") == []


def test_rows_stand_in_the_order_of_their_dates(api: Api) -> None:
    for day in ("2026-03-09", "2026-03-01", "2026-03-05"):
        api.invoiced(api.serviced(), InvoiceDate=day, charges=(invoice_charge(),))
    rows = api.get("transactions")["Transactions"]
    days = [row["EffectiveDate"][:10] for row in rows]
    assert days == ["2026-03-01", "2026-03-05", "2026-03-09"]
    assert api.get("transactions", Limit=2, Page=2)["Transactions"] == rows[2:]


def test_payments_are_a_bare_array_found_by_invoice_number(api: Api) -> None:
    purchase = api.serviced()
    made = api.invoiced(purchase, charges=(invoice_charge(),))
    assert api.get("advanced-purchase/payment", InvoiceNumber="SUP-1") == []
    payment = {
        "TaskID": made["TaskID"],
        "Amount": 60,
        "DatePaid": "2026-04-01",
        "Account": "090",
    }
    for invoice_status, payment_status in (("AUTHORISED", "PARTIALLY PAID"), ("PAID", "PAID")):
        api.server.control("edit", {"purchase": purchase["ID"], "pay": payment})
        row = api.get("purchaseList")["PurchaseList"][0]
        assert row["InvoiceStatus"] == invoice_status
        assert row["CombinedPaymentStatus"] == payment_status
    found = api.get("advanced-purchase/payment", InvoiceNumber="sup-1")
    assert [paid["Amount"] for paid in found] == [60, 60]
    assert api.get("advanced-purchase/payment", PurchaseID=purchase["ID"]) == found
    assert api.get("advanced-purchase/payment", OrderNumber="PO-00001") == found
    assert api.get("advanced-purchase/payment", InvoiceNumber="SUP") == []
    text = api.refused("DELETE", "advanced-purchase/invoice", TaskID=made["TaskID"])
    assert "PAID" in text


def test_a_journal_entered_by_hand_stands_in_the_ledger(api: Api) -> None:
    journal = {"debit": "500", "credit": "610", "amount": Decimal("10.25")}
    api.server.control("journal", {**journal, "date": "2026-03-02", "reference": "JE-1"})
    (row,) = api.get("transactions")["Transactions"]
    assert (row["Type"], row["DebitAccountCode"], row["CreditAccountCode"]) == (
        "Journal",
        "500",
        "610",
    )
    assert (row["Amount"], row["EffectiveDate"][:10]) == (Decimal("10.25"), "2026-03-02")
    with pytest.raises(ValueError, match="a journal needs amount, date"):
        api.server.control("journal", {"debit": "500", "credit": "610"})
