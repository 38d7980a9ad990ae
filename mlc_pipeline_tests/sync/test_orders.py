"""Purchase orders and receipts: stage, value of a line, the wanted documents, the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_pipeline.cin7.decimals import dumps, loads
from mlc_pipeline.sync.bodies import order_of, purchase_post, stock_post
from mlc_pipeline.sync.content import OrderContent, ReceiptContent
from mlc_pipeline.sync.orders import (
    COMMENT,
    FREIGHT,
    MISCELLANEOUS,
    NON_STOCKED,
    OrderParts,
    approach_of,
    line_value,
    order_content,
    plan_order,
    plan_receipts,
    stage_of,
)
from mlc_pipeline.sync.plan import Hold, Known, PlanContext, Planned
from mlc_pipeline.sync.rows import OrderLineRow, OrderRow, ReceiptRow
from mlc_pipeline.sync.vocabulary import Kind, Stage, Verdict
from mlc_pipeline_tests.contract.openapi import validate_request
from mlc_pipeline_tests.sync.examples import (
    DAY,
    EXEMPT,
    ORDER,
    SUPPLIER,
    VAT,
    at_home,
    context,
    d,
    order_line,
    receipt,
    references,
)

ID = "11111111-1111-4111-8111-111111111111"
NOBODY: frozenset[str] = frozenset()


def order(**changes: Any) -> OrderRow:
    values: dict[str, Any] = {"purchase_order": ORDER, "supplier": SUPPLIER, "order_date": DAY}
    return OrderRow(**at_home({**values, **changes}, "order_date"))


def parts(
    *lines: OrderLineRow, receipts: tuple[ReceiptRow, ...] = (), **changes: Any
) -> OrderParts:
    is_invoiced = bool(changes.pop("is_invoiced", False))
    return OrderParts(order(**changes), lines or (order_line(),), receipts, is_invoiced)


def content_of(given_parts: OrderParts, looked_at: PlanContext | None = None) -> OrderContent:
    return order_content(given_parts, looked_at or context(), stage_of(given_parts), None)


def planned_as(given_parts: OrderParts, known: Known | None = None, **policies: Any) -> Planned:
    entry = {} if known is None else {(Kind.PURCHASE_ORDER, ORDER): known}
    return plan_order(given_parts, context(entry, **policies), NOBODY)


def written(content: OrderContent, **changes: Any) -> Known:
    values: dict[str, Any] = {
        "state": "done",
        "content_hash": content.digest(),
        "content": content.to_json(),
        "status": "AUTHORISED",
        "cin7_id": ID,
    }
    return Known(**{**values, **changes})


# --- stage and approach ---


@pytest.mark.parametrize(
    ("received", "receipts", "is_invoiced", "stage", "approach"),
    [
        ("0", 0, False, Stage.ORDER, "STOCK"),
        ("0", 0, True, Stage.INVOICE, "INVOICE"),
        ("1", 0, False, Stage.RECEIVE, "STOCK"),
        ("0", 1, False, Stage.RECEIVE, "STOCK"),
        ("1", 1, True, Stage.RECEIVE, "STOCK"),
    ],
)
def test_the_stage_follows_receipts_then_invoices(
    received: str, receipts: int, is_invoiced: bool, stage: Stage, approach: str
) -> None:
    given_parts = parts(
        order_line(received_quantity=d(received)),
        receipts=(receipt(),) * receipts,
        is_invoiced=is_invoiced,
    )
    assert stage_of(given_parts) is stage
    assert approach_of(stage, "STOCK") == approach
    assert planned_as(given_parts).stage == stage
    assert content_of(given_parts).header.approach == approach


def test_the_approach_of_an_order_alone_is_the_connections_choice() -> None:
    assert approach_of(Stage.ORDER, "INVOICE") == "INVOICE"
    assert approach_of(Stage.RECEIVE, "INVOICE") == "STOCK"
    assert approach_of(Stage.INVOICE, "STOCK") == "INVOICE"


# --- the value of a line ---


@pytest.mark.parametrize(
    ("changes", "local", "foreign"),
    [
        ({}, "25.00", "30.00"),
        ({"line_type": NON_STOCKED}, "25.00", "30.00"),
        ({"line_type": COMMENT}, "0", "0"),
        ({"line_type": FREIGHT}, "7.50", "9.00"),
        ({"line_type": MISCELLANEOUS}, "7.50", "9.00"),
        ({"price_factor": d(12)}, "300.00", "360.00"),
        ({"price_factor": d(4), "price_factor_mul_div": "D"}, "6.25", "7.50"),
        ({"price_factor": d(0)}, "25.00", "30.00"),
        ({"discount1": d(10)}, "22.50", "27.00"),
        ({"discount1": d(10), "discount2": d(10), "discount3": d(50)}, "10.13", "12.15"),
        ({"discount_flag": "V", "discount_value": d("1.25")}, "23.75", "28.75"),
        ({"discount_value": d("1.25")}, "23.75", "28.75"),
        ({"discount_value": d("1.25"), "discount1": d(10)}, "22.50", "27.00"),
        ({"order_quantity": d("0.333333")}, "0.83", "1.00"),
    ],
)
def test_the_value_of_a_line(changes: dict[str, Any], local: str, foreign: str) -> None:
    money = {"charge_value": d("7.50"), "charge_value_foreign": d("9.00")}
    line = order_line(foreign_price=d(3), **money, **changes)
    assert line_value(line, is_local=True) == d(local)
    assert line_value(line, is_local=False) == d(foreign)


# --- the wanted order ---


def test_equal_products_become_one_line_and_keep_the_total() -> None:
    content = content_of(
        parts(
            order_line(1, price=d("2.50")),
            order_line(2, stock_code="B200", order_quantity=d(1)),
            order_line(3, order_quantity=d(5), price=d("2.33333")),
        )
    )
    assert [line.sku for line in content.lines] == ["A100", "B200"]
    assert content.lines[0].quantity == 15
    assert content.lines[0].comment == "lines 1, 3"
    assert content.total == d("25.00") + d("2.50") + d("11.67")


_LINES = st.lists(
    st.builds(
        order_line,
        line_type=st.sampled_from(["1", "1", "1", FREIGHT, MISCELLANEOUS, NON_STOCKED, "6"]),
        stock_code=st.sampled_from(["A100", "B200", "C300"]),
        order_quantity=st.decimals(min_value=1, max_value=10**5, places=4),
        price=st.decimals(min_value=0, max_value=1000, places=5),
        foreign_price=st.decimals(min_value=0, max_value=1000, places=5),
        price_factor=st.sampled_from([d(1), d(12), d("0.3")]),
        price_factor_mul_div=st.sampled_from(["M", "D"]),
        discount1=st.sampled_from([d(0), d("2.5"), d(33)]),
        charge_value=st.decimals(min_value=-1000, max_value=1000, places=2),
        charge_value_foreign=st.decimals(min_value=-1000, max_value=1000, places=2),
        tax_code=st.sampled_from([None, "A", "B"]),
    ),
    min_size=1,
    max_size=20,
)


@given(_LINES, st.sampled_from([2, 4]), st.booleans())
def test_the_lines_and_charges_of_an_order_are_worth_its_lines(
    lines: list[OrderLineRow], decimals: int, is_local: bool
) -> None:
    rows = [OrderLineRow(**{**vars(r), "line": Decimal(n)}) for n, r in enumerate(lines, 1)]
    currency = None if is_local else "€"
    made = content_of(
        parts(*rows, currency=currency, exchange_rate=d("0.85")),
        context(cin7={"line_total_decimals": decimals}),
    )
    assert made.total == sum(line_value(r, is_local=is_local) for r in rows)
    skus = [line.sku for line in made.lines]
    assert len(set(skus)) == len(skus)
    _accepted("POST", "/purchase/order", order_of(made, ID, authorise=True).to_wire())
    _accepted("POST", "/advanced-purchase", purchase_post(made.header, ID).to_wire())


def _accepted(method: str, path: str, wire: Mapping[str, Any]) -> None:
    validate_request(method, path, loads(dumps(wire)))


def test_what_a_price_cannot_say_is_one_rounding_charge_without_tax() -> None:
    content = content_of(parts(order_line(order_quantity=d(3000), price=d("0.03333"))))
    (charge,) = content.charges
    assert (charge.description, charge.total) == ("Rounding", d("0.09"))
    assert (charge.tax, charge.tax_rule) == (0, EXEMPT)


def test_comments_become_the_memo_in_line_order() -> None:
    content = content_of(
        parts(
            order_line(3, line_type=COMMENT, comment="second"),
            order_line(2, line_type=COMMENT, comment="first"),
            order_line(1),
        )
    )
    assert content.memo == "first\nsecond"
    assert content_of(parts()).memo is None


def test_an_order_without_stocked_lines_is_a_service_purchase() -> None:
    content = content_of(parts(order_line(line_type=NON_STOCKED, description="Survey")))
    assert content.header.service_only
    assert content.header.approach == "INVOICE"
    assert [c.description for c in content.charges] == ["Survey"]
    assert not content_of(parts()).header.service_only


def test_tax_is_the_rules_percent_and_lines_without_a_code_are_exempt() -> None:
    content = content_of(
        parts(
            order_line(1, tax_code="B"),
            order_line(2, stock_code="B200"),
            order_line(3, line_type=FREIGHT, charge_value=d("10"), charge_tax_code="A"),
        )
    )
    assert [(i.tax_rule, i.tax) for i in content.lines] == [
        ("5% (VAT)", d("1.25")),
        (EXEMPT, d(0)),
    ]
    assert [(c.tax_rule, c.tax) for c in content.charges] == [(VAT, d("2.00"))]
    exempt = content_of(parts(order_line(tax_code="A"), tax_status="E"))
    assert (exempt.lines[0].tax_rule, exempt.lines[0].tax) == (EXEMPT, 0)


def test_a_foreign_order_carries_cin7s_rate_and_a_local_one_none() -> None:
    line = order_line(foreign_price=d(3))
    foreign = content_of(parts(line, currency="€", exchange_rate=d("1.25"), mul_div="D"))
    assert (foreign.header.currency, foreign.header.currency_rate) == ("EUR", d("0.80000"))
    assert foreign.total == d("30.00")
    for currency in (None, "GBP", "£"):
        header = content_of(parts(line, currency=currency)).header
        assert (header.currency, header.currency_rate) == ("GBP", None)


def test_an_order_whose_rate_five_decimals_cannot_say_is_held() -> None:
    line = order_line(foreign_price=d(30000))
    planned = planned_as(parts(line, currency="€", exchange_rate=d(31750), mul_div="D"))
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "rate_differs")
    assert planned.reason == (
        "300000.00 divided by 31750 are 9.45 in SYSPRO; at 0.00003, to five decimals, Cin7 "
        "would book 9.00; tolerance 0.01 %"
    )


@pytest.mark.parametrize("currency", [None, "GBP", "£"])
def test_the_amount_of_a_planned_order_is_the_total_of_what_is_written(
    currency: str | None,
) -> None:
    given_parts = parts(order_line(foreign_price=d(0)), currency=currency)
    planned = planned_as(given_parts)
    assert isinstance(planned.content, OrderContent)
    assert planned.amount == planned.content.total == d("25.00")


def test_a_product_that_cin7_does_not_have_holds_the_order_or_is_created() -> None:
    unknown = parts(order_line(1, stock_code="Z9", description="Zinc", uom="KG"), order_line(2))
    held = planned_as(unknown)
    assert (held.verdict, held.reason_code) == (Verdict.HELD, "missing_product")
    assert held.reason is not None
    assert "Z9" in held.reason
    created = planned_as(unknown, missing_product="create")
    assert isinstance(created.content, OrderContent)
    assert created.content.new_products == (("Z9", "Zinc", "KG"),)


@pytest.mark.parametrize("sku", ["", "X" * 51])
def test_a_stock_code_that_cannot_be_a_sku_holds_the_order(sku: str) -> None:
    planned = planned_as(parts(order_line(stock_code=sku)), missing_product="create")
    assert planned.reason_code == "missing_product"


def test_a_line_cancelled_to_nothing_is_left_out() -> None:
    content = content_of(parts(order_line(1, order_quantity=d(0)), order_line(2)))
    assert [line.quantity for line in content.lines] == [10]


# --- verdicts ---


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"order_date": None}, "undated"),
        ({"terms_code": "77"}, "terms_unmapped"),
        ({"currency": "ZZZ"}, "currency_unmapped"),
        ({"warehouse": "99"}, "location_unmapped"),
        ({"warehouse": "03"}, "location_unmapped"),
    ],
)
def test_an_order_that_cannot_be_mapped_is_held(changes: dict[str, Any], reason: str) -> None:
    planned = planned_as(parts(**changes))
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, reason)


@pytest.mark.parametrize("quantity", ["0.5", "1.00005"])
def test_an_order_of_a_quantity_that_cin7_does_not_take_is_held(quantity: str) -> None:
    planned = planned_as(parts(order_line(order_quantity=d(quantity))))
    assert planned.reason_code == "quantity_not_accepted"


def test_an_unknown_tax_code_holds_the_order() -> None:
    assert planned_as(parts(order_line(tax_code="Q"))).reason_code == "tax_unmapped"


def test_an_order_of_a_held_supplier_is_held() -> None:
    planned = plan_order(parts(), context(), frozenset({SUPPLIER}))
    assert planned.reason_code == "supplier_held"


def test_an_order_without_anything_to_send_is_excluded_as_empty() -> None:
    planned = planned_as(parts(order_line(line_type=COMMENT, comment="x")))
    assert (planned.verdict, planned.reason_code) == (Verdict.EXCLUDED, "empty")


@pytest.mark.parametrize("changes", [{"order_status": "*"}, {"cancelled": "Y"}])
def test_an_order_cancelled_before_it_was_sent_is_excluded(changes: dict[str, str]) -> None:
    planned = planned_as(parts(**changes))
    assert (planned.verdict, planned.reason_code) == (Verdict.EXCLUDED, "cancelled")
    # Of a creation that was refused or lost, the push finds out what came.
    begun = planned_as(parts(**changes), Known("started"))
    assert begun.verdict in (Verdict.EXCLUDED, Verdict.VOID)


def test_an_order_cancelled_after_it_was_sent_is_voided_once() -> None:
    cancelled, known = parts(cancelled="Y"), written(content_of(parts()))
    assert planned_as(cancelled, known).verdict is Verdict.VOID
    assert planned_as(cancelled, Known("header_made", cin7_id=ID)).verdict is Verdict.VOID
    voided = planned_as(cancelled, Known("voided", cin7_id=ID))
    assert (voided.verdict, voided.reason_code) == (Verdict.EXCLUDED, "voided")


def test_an_order_is_created_once_then_unchanged() -> None:
    assert planned_as(parts()).verdict is Verdict.CREATE
    assert planned_as(parts(), Known("header_made", cin7_id=ID)).verdict is Verdict.CREATE
    assert planned_as(parts(), written(content_of(parts()))).verdict is Verdict.UNCHANGED


def test_the_same_rows_in_another_order_are_the_same_document() -> None:
    lines = order_line(1), order_line(2, price=d("3.11111")), order_line(3, stock_code="B200")
    known = written(content_of(parts(*lines)))
    assert planned_as(parts(*reversed(lines)), known).verdict is Verdict.UNCHANGED


def test_a_stage_that_moved_on_is_an_update_whatever_the_policy() -> None:
    before = content_of(parts(), context(order_stage_approach="INVOICE"))
    received = parts(receipts=(receipt(),))
    planned = planned_as(received, written(before), order_stage_approach="INVOICE")
    assert planned.verdict is Verdict.UPDATE
    assert planned.difference == (
        {"field": "header.approach", "before": "INVOICE", "after": "STOCK"},
    )


def test_the_approach_stays_when_the_order_is_invoiced() -> None:
    before = content_of(parts(), context(order_stage_approach="STOCK"))
    assert planned_as(parts(is_invoiced=True), written(before)).verdict is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("policy", "status", "changes", "verdict"),
    [
        ("hold", "AUTHORISED", {"price": d(3)}, Verdict.HELD),
        ("hold", "DRAFT", {"price": d(3)}, Verdict.HELD),
        ("update", "AUTHORISED", {"price": d(3)}, Verdict.HELD),
        ("update", "DRAFT", {"price": d(3)}, Verdict.UPDATE),
    ],
)
def test_changed_lines_are_written_only_on_drafts_and_by_policy(
    policy: str, status: str, changes: dict[str, Any], verdict: Verdict
) -> None:
    known = written(content_of(parts()), status=status)
    planned = planned_as(parts(order_line(**changes)), known, on_change_after_posting=policy)
    assert planned.verdict is verdict
    if verdict is Verdict.HELD:
        assert planned.reason_code == "changed_after_posting"
        assert planned.reason is not None
        assert "2.5" in planned.reason
        assert "3" in planned.reason


@pytest.mark.parametrize(("policy", "verdict"), [("hold", "held"), ("update", "update")])
def test_a_changed_header_of_an_authorised_order_follows_the_policy(
    policy: str, verdict: str
) -> None:
    known = written(content_of(parts()))
    planned = planned_as(parts(terms_code="60"), known, on_change_after_posting=policy)
    assert planned.verdict == verdict


def test_a_due_date_that_is_gone_is_blank_once_and_for_all() -> None:
    known = written(content_of(parts(due_date=DAY)))
    planned = planned_as(parts(), known, on_change_after_posting="update")
    assert planned.verdict is Verdict.UPDATE
    assert isinstance(planned.content, OrderContent)
    assert planned.content.header.required_by == ""
    assert planned_as(parts(), written(planned.content)).verdict is Verdict.UNCHANGED
    assert content_of(parts()).header.required_by is None


# --- receipts ---


def receipts_of(
    *rows: ReceiptRow,
    lines: tuple[OrderLineRow, ...] = (),
    verdict: Verdict = Verdict.CREATE,
    known: Mapping[tuple[str, str], Known] | None = None,
    lock: date | None = None,
) -> list[Planned]:
    given_parts = parts(*lines, receipts=rows)
    planned = Planned(Kind.PURCHASE_ORDER, ORDER, verdict, d(0), reason="because")
    return plan_receipts(given_parts, planned, context(known, books=references(lock_date=lock)))


def receipt_content(planned: Planned) -> ReceiptContent:
    assert isinstance(planned.content, ReceiptContent)
    return planned.content


def test_each_grn_is_one_receipt_in_the_order_they_came() -> None:
    later = date(2026, 3, 9)
    planned = receipts_of(
        receipt("G2", 1, receipt_date=later, quantity=d(3), value=d("7.50")),
        receipt("G1", 2, quantity=d(4), value=d("10.00")),
        receipt("G1", 1, quantity=d(2), value=d("5.00")),
        receipt("G1", 3, stock_code="B200", line=d(2), value=d("1.00")),
        lines=(order_line(1), order_line(2, stock_code="B200")),
    )
    assert [p.source_key for p in planned] == [f"{ORDER}|G1", f"{ORDER}|G2"]
    assert [p.amount for p in planned] == [d("16.00"), d("7.50")]
    assert [p.home for p in planned] == [DAY, later]
    first, second = (receipt_content(p) for p in planned)
    assert [(i.sku, i.quantity) for i in first.lines] == [("A100", d(6)), ("B200", d(10))]
    assert (second.grn, second.received) == ("G2", later)
    _accepted("POST", "/advanced-purchase/stock", stock_post(first, ID, ID).to_wire())


def test_non_stocked_lines_of_a_receipt_are_left_out() -> None:
    lines = order_line(1), order_line(2, line_type=NON_STOCKED)
    (both,) = receipts_of(receipt(), receipt(entry=2, line=d(2)), lines=lines)
    assert [i.quantity for i in receipt_content(both).lines] == [10]
    (only,) = receipts_of(receipt(line=d(2)), lines=lines)
    assert (only.verdict, only.reason_code) == (Verdict.EXCLUDED, "not_stocked")


def test_a_receipt_is_never_sent_without_a_line_that_nobody_could_read() -> None:
    rows = receipt(), receipt(entry=2, line=d(2), stock_code="B200")
    (absent,) = receipts_of(*rows, lines=(order_line(1),))
    assert (absent.verdict, absent.reason_code) == (Verdict.HELD, "line_missing")
    assert absent.reason == f"GRN G1 is of line 2 of purchase order {ORDER}"
    broken = OrderParts(order(), (order_line(1),), rows, is_broken=True)
    planned_order = Planned(Kind.PURCHASE_ORDER, ORDER, Verdict.HELD, d(0))
    there = {(Kind.PURCHASE_ORDER, ORDER): Known("done")}
    (planned,) = plan_receipts(broken, planned_order, context(there))
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "unreadable_row")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"receipt_date": None}, "undated"),
        ({"quantity": d("0.5")}, "quantity_not_accepted"),
        ({"quantity": d("-10")}, "quantity_not_accepted"),
    ],
)
def test_a_receipt_that_cannot_be_sent_is_held(changes: dict[str, Any], reason: str) -> None:
    (planned,) = receipts_of(receipt(**changes))
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, reason)


def test_a_receipt_in_a_locked_period_is_held() -> None:
    (planned,) = receipts_of(receipt(), lock=date(2026, 3, 3))
    assert planned.reason_code == "locked_period"
    assert receipts_of(receipt(), lock=DAY)[0].verdict is Verdict.CREATE


@pytest.mark.parametrize("verdict", [Verdict.HELD, Verdict.EXCLUDED])
def test_a_receipt_of_a_held_order_is_held_unless_it_was_sent(verdict: Verdict) -> None:
    (planned,) = receipts_of(receipt(), verdict=verdict)
    assert (planned.reason_code, "because" in str(planned.reason)) == ("order_held", True)
    (clean,) = receipts_of(receipt())
    content = receipt_content(clean)
    sent = {(Kind.RECEIPT, f"{ORDER}|G1"): Known("done", content.digest(), content.to_json())}
    assert receipts_of(receipt(), verdict=verdict, known=sent)[0].verdict is Verdict.UNCHANGED


def test_a_receipt_changed_after_it_was_sent_is_held() -> None:
    content = receipt_content(receipts_of(receipt())[0])
    sent = {(Kind.RECEIPT, f"{ORDER}|G1"): Known("done", content.digest(), content.to_json())}
    (planned,) = receipts_of(receipt(quantity=d(11)), known=sent)
    assert planned.reason_code == "changed_after_posting"


def test_a_hold_names_its_reason_and_detail() -> None:
    hold = Hold("empty", "nothing there")
    assert (hold.reason.code, hold.reason.verdict) == ("empty", Verdict.EXCLUDED)
    assert str(hold) == "empty: nothing there"
    with pytest.raises(KeyError):
        Hold("no such reason", "")
