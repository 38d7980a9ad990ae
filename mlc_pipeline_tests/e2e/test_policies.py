"""Each policy of a connection does what it says, in Cin7 as well as in the run's account."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from mlc_pipeline.sandbox.company.model import Company, Supplier
from mlc_pipeline.sync.vocabulary import Kind, Outcome
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY, ORDER, day, invoice, postings
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import counted, outcomes, reasons

pytestmark = pytest.mark.e2e

ORDER_MARKER = f"SYSPRO:DEMO:PO:{ORDER}"


def _policies(**policies: Any) -> dict[str, Any]:
    return {"policies": policies}


def _ordered_only() -> Company:
    """An order without receipt and invoice."""
    whole = companies.one_order()
    return replace(whole, receipts=(), invoices=(), gl_distributions=())


def test_orders_that_stay_drafts_keep_their_invoices_waiting_until_somebody_authorises(
    start: Start,
) -> None:
    pair = start(companies.six_documents(), **_policies(authorise_orders=False))
    first = pair.run(DAY)
    assert reasons(first) == {
        f"{ORDER}|{ORDER}/1": "order_is_draft",
        f"{KEY}|INV-PO": "order_is_draft",
    }
    assert first.exit_code == 0
    purchase = pair.purchase(ORDER_MARKER)
    assert purchase["Order"]["Status"] == "DRAFT"
    assert {number for _, number in pair.booked()} == {"INV-2", "CN-2"}

    edit = {"purchase": purchase["ID"], "set": {"Order.Status": "AUTHORISED"}}
    pair.cin7.control("edit", edit)
    second = pair.run(DAY)
    assert second.stopped == []
    assert outcomes(second, Kind.RECEIPT) == {"created": 1}
    assert {number for _, number in pair.booked()} == {"INV-PO", "INV-2", "CN-2"}
    pair.assert_clean()


def test_invoices_that_stay_drafts_book_nothing_and_can_be_changed(start: Start) -> None:
    pair = start(
        companies.six_documents(),
        **_policies(authorise_invoices=False, on_change_after_posting="update"),
    )
    first = pair.run(DAY)
    assert first.problems == []
    assert reasons(first) == {f"{KEY}|CN-2": "credited_invoice_missing"}
    assert pair.summary()["invoices"]["by_status"] == {"DRAFT": 2}
    assert pair.summary()["accounts"] == {}

    later = {"DueDate": day(60)}
    pair.put("ApInvoice", pair.row("ApInvoice", Invoice="INV-2") | later)
    second = pair.run(DAY)
    assert outcomes(second, Kind.INVOICE) == {"updated": 1, "unchanged": 1}
    assert pair.booked()[KEY, "INV-2"]["InvoiceDueDate"][:10] == str(day(60))
    assert pair.summary()["invoices"]["by_status"] == {"DRAFT": 2}


def _unknown_product() -> Company:
    whole = companies.one_order()
    return replace(whole, stock_items=(replace(companies.ITEM, in_cin7=False),))


def test_an_unknown_product_is_held_and_named(start: Start) -> None:
    pair = start(_unknown_product())
    summary = pair.run(DAY)
    assert summary.exit_code == 3
    assert set(reasons(summary).values()) == {"missing_product", "order_held"}
    (order,) = [row for row in summary.stopped if row["kind"] == "purchase_order"]
    assert "BOL-1" in order["reason"]
    assert pair.purchases() == []


def test_an_unknown_product_is_created_when_the_policy_says_so(start: Start) -> None:
    pair = start(_unknown_product(), **_policies(missing_product="create"))
    summary = pair.run(DAY)
    assert summary.exit_code == 0
    assert pair.writes()["product"] == 1
    (product,) = pair.get("product")["Products"]
    assert (product["SKU"], product["Name"]) == ("BOL-1", "Bolt M6 x 40")
    assert pair.purchases()[0]["Status"] == "COMPLETED"
    assert pair.run(DAY).cin7_writes == 0


def _unnamed_credit() -> Company:
    bill = invoice("INV-1", "150.00")
    credit = invoice("CN-1", "-50.00", document_no="5002")
    return companies.company(
        invoices=(bill, credit),
        gl_distributions=(
            *postings(bill, {"110.7010": "150.00"}),
            *postings(credit, {"110.7010": "-50.00"}),
        ),
    )


def test_an_unnamed_credit_is_held_until_it_names_its_invoice(start: Start) -> None:
    # A company without orders would be given the other policy.
    pair = start(_unnamed_credit(), **_policies(unnamed_credit="hold"))
    first = pair.run(DAY)
    assert reasons(first) == {f"{KEY}|CN-1": "unnamed_credit"}
    credit = pair.row("ApInvoice", Invoice="CN-1")
    pair.put("ApInvoice", credit | {"Reference": "INV-1"})
    second = pair.run(DAY)
    assert second.exit_code == 0
    assert outcomes(second, Kind.CREDIT_NOTE) == {"created": 1}
    assert pair.booked()[KEY, "CN-1"]["CreditNoteInvoiceNumber"] == "INV-1"
    assert pair.summary()["accounts"]["800"] == Decimal(-120)


def test_an_unnamed_credit_becomes_a_negative_charge_and_never_a_second_document(
    start: Start,
) -> None:
    pair = start(_unnamed_credit(), **_policies(unnamed_credit="negative_charge"))
    first = pair.run(DAY)
    assert first.exit_code == 0
    assert pair.booked()[KEY, "CN-1"]["Total"] == -60
    assert pair.summary()["accounts"]["800"] == Decimal(-120)

    credit = pair.row("ApInvoice", Invoice="CN-1")
    pair.put("ApInvoice", credit | {"Reference": "INV-1"})
    second = pair.run(DAY)
    assert second.cin7_writes == 0
    pair.assert_clean()
    assert pair.summary()["accounts"]["800"] == Decimal(-120)


def test_the_cost_centres_stand_in_an_attribute_of_the_header(start: Start) -> None:
    pair = start(companies.one_invoice(), **_policies(cost_centre="header_attribute"))
    summary = pair.run(DAY)
    (purchase,) = pair.purchases()
    assert purchase["AdditionalAttributes"]["AdditionalAttribute2"] == "110; 120"
    assert summary.exit_code == 0
    assert (summary.different, summary.posted) == (0, 180)


def test_without_cost_centres_nothing_but_the_account_is_told(start: Start) -> None:
    pair = start(companies.one_invoice(), **_policies(cost_centre="none"))
    summary = pair.run(DAY)
    (purchase,) = pair.purchases()
    charges = purchase["Invoice"][0]["AdditionalCharges"]
    assert [charge["Reference"] for charge in charges] == ["", ""]
    assert len({charge["Account"] for charge in charges}) == 2
    assert (summary.different, summary.exit_code) == (0, 0)


UNUSED = Supplier(supplier_id="100200", name="Ostrabeck Steel PLC", tax_code="S20")


@pytest.mark.parametrize(("scope", "count"), [("used", 1), ("all", 2)])
def test_suppliers_without_documents_come_only_when_all_are_wanted(
    start: Start, scope: str, count: int
) -> None:
    whole = companies.one_invoice()
    pair = start(
        replace(whole, suppliers=(*whole.suppliers, UNUSED)), **_policies(supplier_scope=scope)
    )
    summary = pair.run(DAY)
    assert summary.exit_code == 0
    assert len(pair.suppliers()) == count
    assert pair.run(DAY).cin7_writes == 0


@pytest.mark.parametrize("decimals", [2, 4])
def test_a_price_that_does_not_divide_keeps_the_cent(start: Start, decimals: int) -> None:
    whole = companies.one_order()
    (line,), (receipt,), (bill,) = whole.po_lines, whole.receipts, whole.invoices
    bill = replace(bill, net=Decimal("10.00"), tax=Decimal("2.00"))
    thirds = replace(
        whole,
        po_lines=(replace(line, qty_ordered=Decimal(3), unit_price=Decimal("3.33333")),),
        receipts=(replace(receipt, qty=Decimal(3), value=Decimal("10.00")),),
        invoices=(bill,),
        gl_distributions=postings(bill, {"000.1400": "10.00"}),
    )
    both = {"line_total_decimals": decimals}
    pair = start(thirds, cin7_stand_in=both, cin7=both)
    summary = pair.run(DAY)
    assert summary.stopped == []
    assert summary.exit_code == 0
    assert pair.booked()[KEY, "INV-PO"]["Total"] == 12
    assert pair.summary()["accounts"] == {"630": 10, "800": -12, "820": 2}
    (purchase,) = pair.purchases()
    assert purchase["Order"]["TotalBeforeTax"] == 10
    assert purchase["Order"]["Lines"][0]["Total"] == {2: 10, 4: Decimal("9.9999")}[decimals]


@pytest.mark.parametrize("policy", ["hold", "update"])
def test_a_change_after_posting_is_held_with_both_versions(start: Start, policy: str) -> None:
    pair = start(companies.one_invoice(), **_policies(on_change_after_posting=policy))
    pair.run(DAY)
    pair.put("ApInvoice", pair.row("ApInvoice") | {"DueDate": day(60)})
    summary = pair.run(DAY)
    (stopped,) = summary.stopped
    assert (stopped["outcome"], stopped["reason_code"]) == ("held", "changed_after_posting")
    assert str(day(14)) in stopped["reason"]
    assert str(day(60)) in stopped["reason"]
    assert summary.cin7_writes == 0
    assert pair.booked()[KEY, "INV-1"]["InvoiceDueDate"][:10] == str(day(14))


def test_an_order_is_written_for_its_stage_and_follows_it(start: Start) -> None:
    pair = start(_ordered_only(), **_policies(order_stage_approach="INVOICE"))
    pair.run(DAY)
    assert pair.purchase(ORDER_MARKER)["Approach"] == "INVOICE"

    received = start(companies.one_order(), name="received")
    pair.put("GrnDetails", *received.rows("GrnDetails"))
    summary = pair.run(DAY)
    assert summary.stopped == []
    assert pair.purchase(ORDER_MARKER)["Approach"] == "STOCK"
    assert outcomes(summary, Kind.RECEIPT) == {"created": 1}


def test_a_cancelled_order_is_voided_once(start: Start) -> None:
    pair = start(_ordered_only())
    pair.run(DAY)
    pair.forget_traffic()
    cancelled = pair.row("PorMasterHdr") | {"OrderStatus": "*", "CancelledFlag": "Y"}
    pair.put("PorMasterHdr", cancelled)
    pair.run(DAY)
    assert pair.writes() == {"void": 1}
    assert pair.purchases()[0]["Status"] == "VOIDED"
    last = pair.run(DAY)
    assert last.cin7_writes == 0
    assert counted(last, Outcome.EXCLUDED) == 1
