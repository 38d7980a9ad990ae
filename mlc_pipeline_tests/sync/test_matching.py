"""The match at the border: what is outside tolerance is held with its numbers."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.sync.invoices import InvoiceParts, plan_invoice
from mlc_pipeline.sync.orders import NON_STOCKED, OrderParts, plan_order
from mlc_pipeline.sync.plan import Known, PlanContext, Planned
from mlc_pipeline.sync.rows import InvoiceRow, MatchRow, OrderRow
from mlc_pipeline.sync.vocabulary import Kind, Verdict
from mlc_pipeline_tests.sync.examples import (
    DAY,
    ORDER,
    SUPPLIER,
    context,
    d,
    invoice,
    match,
    order_line,
    posting,
    ready_supplier,
    receipt,
    references,
)

KEY = f"{SUPPLIER}|INV-1"
STRICT: dict[str, Any] = {"quantity_percent": d(0), "price_percent": d(5)}


def plan(
    row: InvoiceRow,
    looked_at: PlanContext | None = None,
    *,
    amount: Decimal | None = None,
    currency_of: dict[str, str | None] | None = None,
    **parts: Any,
) -> Planned:
    order = Planned(Kind.PURCHASE_ORDER, ORDER, Verdict.CREATE, d(0))
    return plan_invoice(
        InvoiceParts(row, [posting(row.value if amount is None else amount)], **parts),
        looked_at or context(match=STRICT),
        suppliers=ready_supplier(),
        orders={ORDER: order},
        terms_of={SUPPLIER: "60"},
        currency_of=currency_of,
    )


def matched(*matches: MatchRow, others: tuple[MatchRow, ...] = (), **line: Any) -> Any:
    """Return the parts of an invoice on one order line that one receipt of 10 filled."""
    row = order_line(**line)
    return {
        "matches": list(matches),
        "other_matches": list(others),
        "receipts": [receipt()],
        "order_receipts": [receipt()],
        "order_lines": {(ORDER, row.line): row},
    }


def test_what_agrees_goes() -> None:
    assert plan(invoice("25"), **matched(match())).verdict is Verdict.CREATE


def test_more_than_was_received_is_held_with_the_numbers() -> None:
    parts = matched(match(matched_quantity=d(12), matched_value=d(30)))
    planned = plan(invoice("30"), **parts)
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "quantity_variance")
    assert planned.reason == (
        f"order {ORDER} line 1 (A100): ordered 10, received 10, invoiced 12: 2 too many "
        "(20.0 %); tolerance 0 %"
    )


def test_what_other_invoices_took_of_the_receipt_counts() -> None:
    other = match(invoice="INV-0", matched_quantity=d(6), matched_value=d(15))
    own = match(matched_quantity=d(6), matched_value=d(15))
    planned = plan(invoice("15"), **matched(own, others=(other,)))
    assert planned.reason_code == "quantity_variance"
    assert "invoiced 12, also by INV-0: 2 too many" in str(planned.reason)
    assert plan(invoice("15"), **matched(own)).verdict is Verdict.CREATE


def test_one_invoice_over_several_receipts_of_a_line_is_added_up() -> None:
    parts = {
        "matches": [
            match("G1", 1, matched_quantity=d(4), matched_value=d(10)),
            match("G2", 2, matched_quantity=d(6), matched_value=d(15)),
        ],
        "receipts": [receipt("G1", 1, quantity=d(4)), receipt("G2", 2, quantity=d(6))],
        "order_lines": {(ORDER, d(1)): order_line()},
    }
    assert plan(invoice("25"), **parts).verdict is Verdict.CREATE
    parts["matches"][1] = match("G2", 2, matched_quantity=d(7), matched_value=d("17.50"))
    planned = plan(invoice("27.50"), **parts)
    assert "received 10, invoiced 11: 1 too many (10.0 %)" in str(planned.reason)


@pytest.mark.parametrize(
    ("value", "said"), [("30", "+5.00 (20.0 %)"), ("20", "-5.00 (20.0 %)")]
)
def test_another_price_than_the_orders_is_held_apart_from_the_quantity(
    value: str, said: str
) -> None:
    planned = plan(invoice(value), **matched(match(matched_value=d(value))))
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "price_variance")
    assert "10 at the order's price make 25.00" in str(planned.reason)
    assert said in str(planned.reason)


def test_both_variances_are_told() -> None:
    parts = matched(match(matched_quantity=d(12), matched_value=d(60)))
    planned = plan(invoice("60"), **parts)
    assert planned.reason_code == "quantity_variance"
    assert "make 30.00, invoiced 60.00" in str(planned.reason)


@pytest.mark.parametrize(
    ("limits", "value", "is_held"),
    [
        ({"price_percent": d(20)}, "30", False),
        ({"price_percent": d("19.9")}, "30", True),
        ({"price_absolute": d(5)}, "30", False),
        ({"price_absolute": d("4.99")}, "30", True),
        ({"price_percent": d(50), "price_absolute": d(4)}, "30", True),
        ({"price_percent": d(0)}, "25.01", False),  # a cent is rounding
        ({"price_percent": None}, "99", False),
    ],
)
def test_each_limit_that_is_given_holds(
    limits: dict[str, Any], value: str, is_held: bool
) -> None:
    looked_at = context(match={"price_percent": None, **limits})
    planned = plan(invoice(value), looked_at, **matched(match(matched_value=d(value))))
    assert (planned.verdict is Verdict.HELD) == is_held


def test_the_orders_discount_is_part_of_its_price() -> None:
    parts = matched(match(matched_value=d("22.50")), discount1=d(10))
    assert plan(invoice("22.50"), **parts).verdict is Verdict.CREATE
    assert plan(invoice("25"), **matched(match(), discount1=d(10))).reason_code == (
        "price_variance"
    )


def test_lines_that_are_not_stocked_are_matched_too() -> None:
    parts = matched(match(matched_value=d(30)), line_type=NON_STOCKED)
    assert plan(invoice("30"), **parts).reason_code == "price_variance"


def test_a_rate_that_moved_since_the_order_is_no_price_variance() -> None:
    # Ordered at 2.00 local (4.00 foreign at 0.5), invoiced when the rate was 0.6.
    row = invoice("40", currency="€", exchange_rate=d("0.6"))
    parts = matched(match(matched_value=d(24)), price=d(2), foreign_price=d(4))
    planned = plan(row, amount=d(24), **parts)
    assert planned.verdict is Verdict.CREATE, planned.reason
    dear = matched(match(matched_value=d(30)), price=d(2), foreign_price=d(4))
    planned = plan(invoice("50", currency="€", exchange_rate=d("0.6")), amount=d(30), **dear)
    assert planned.reason_code == "price_variance"


def test_a_document_that_is_in_cin7_is_not_matched_again() -> None:
    parts = matched(match(matched_value=d(30)))
    written = plan(invoice("30"), context(), **parts).content
    assert written is not None
    known = {(Kind.INVOICE, KEY): Known("done", written.digest(), written.to_json())}
    planned = plan(invoice("30"), context(known, match=STRICT), **parts)
    assert planned.verdict is Verdict.UNCHANGED


@settings(max_examples=60)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 20))
def test_quantity_is_held_exactly_when_more_is_invoiced_than_received(
    taken: list[int], received: int
) -> None:
    total = sum(taken)
    own = match(matched_quantity=d(taken[0]), matched_value=d("2.5") * taken[0])
    others = tuple(
        match(invoice=f"INV-0{n}", entry=1, matched_quantity=d(q))
        for n, q in enumerate(taken[1:])
    )
    rows = [receipt(quantity=d(received))]
    parts = matched(own, others=others, order_quantity=d(99), price=d("2.50"))
    parts |= {"receipts": rows, "order_receipts": rows}
    planned = plan(invoice(own.matched_value), **parts)
    assert (planned.reason_code == "quantity_variance") == (total > received)


# --- credits, currencies, locked periods -----------------------------------------------


def credit(value: str, number: str = "CN-1", **changes: Any) -> InvoiceRow:
    return invoice(value, **{"invoice": number, "reference": "INV-0", **changes})


def plan_credit(
    row: InvoiceRow, *others: InvoiceRow, looked_at: PlanContext | None = None
) -> Planned:
    entry = posting(row.value, invoice=row.invoice)
    parts = InvoiceParts(
        row,
        [entry],
        credited=f"{SUPPLIER}|INV-0",
        credited_value=d(100),
        other_credits=others,
    )
    return plan_invoice(
        parts, looked_at or context(), suppliers=ready_supplier(), orders={}, terms_of={}
    )


def test_a_credit_as_large_as_its_invoice_goes_and_a_larger_one_is_held() -> None:
    assert plan_credit(credit("-100")).verdict is Verdict.CREATE
    planned = plan_credit(credit("-100.01"))
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "credit_too_large")
    assert planned.reason == "credit CN-1 over 100.01: more than invoice INV-0 over 100.00"


def test_credits_of_one_invoice_are_added_up_in_their_order() -> None:
    first, second = credit("-60"), credit("-60", "CN-2")
    assert plan_credit(first, second).verdict is Verdict.CREATE
    planned = plan_credit(second, first)
    assert planned.reason_code == "credit_too_large"
    assert "credits before it (CN-1) over 60.00" in str(planned.reason)


def test_a_credit_that_is_in_cin7_comes_first_whatever_its_date() -> None:
    late = credit("-60", "CN-9", invoice_date=DAY + timedelta(days=9))
    known = {(Kind.CREDIT_NOTE, f"{SUPPLIER}|CN-9"): Known("done")}
    assert plan_credit(credit("-60"), late).verdict is Verdict.CREATE
    planned = plan_credit(credit("-60"), late, looked_at=context(known))
    assert planned.reason_code == "credit_too_large"


def test_a_document_in_another_currency_than_its_supplier_is_held() -> None:
    row = invoice("30", currency="€", exchange_rate=d("0.5"))
    planned = plan(row, context(), amount=d(15), currency_of={SUPPLIER: "USD"})
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "currency_differs")
    assert "in EUR" in str(planned.reason)
    assert "in USD in Cin7" in str(planned.reason)
    same = plan(row, context(), amount=d(15), currency_of={SUPPLIER: "EUR"})
    assert same.verdict is Verdict.CREATE


def test_an_order_in_another_currency_than_its_supplier_is_held() -> None:
    parts = OrderParts(OrderRow(ORDER, SUPPLIER, order_date=DAY, partition=DAY), [order_line()])
    held = plan_order(parts, context(), frozenset(), {SUPPLIER: "EUR"})
    assert held.reason_code == "currency_differs"
    assert plan_order(parts, context(), frozenset(), {SUPPLIER: "GBP"}).reason_code is None


LOCK = date(2026, 4, 1)


def locked(known: Any = None, lock: date = LOCK, **policies: Any) -> PlanContext:
    return context(known, books=references(lock_date=lock), **policies)


def test_a_locked_period_holds_by_default() -> None:
    planned = plan(invoice("30"), locked())
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "locked_period")


def test_by_policy_it_is_dated_on_the_first_open_day_and_keeps_its_date() -> None:
    planned = plan(invoice("30"), locked(locked_period="redate"))
    content = planned.content
    assert planned.verdict is Verdict.CREATE
    assert planned.home == DAY
    assert (content.invoice_date, content.original_date) == (LOCK, DAY)
    assert f"of {DAY}; dated {LOCK} here" in content.header.note
    assert content.total == 30


def test_a_document_without_a_note_keeps_its_date_in_a_charge_of_nothing() -> None:
    planned = plan(invoice("25"), locked(locked_period="redate"), **matched(match()))
    content = planned.content
    assert content.header is None
    kept = content.charges[-1]
    assert (kept.total, kept.tax) == (0, 0)
    assert kept.description.startswith(f"SYSPRO date {DAY}; dated {LOCK}")
    assert content.total == 25
    note = plan_credit(credit("-60"), looked_at=locked(locked_period="redate")).content
    assert (note.credit_date, note.original_date, note.total) == (LOCK, DAY, 60)
    assert note.charges[-1].description.startswith(f"SYSPRO date {DAY}")


def test_what_was_written_stays_as_it_was_dated_however_the_lock_moves() -> None:
    for policy in ("hold", "redate"):
        for first_lock in (date(2026, 1, 1), LOCK):
            content = plan(
                invoice("30"), locked(lock=first_lock, locked_period="redate")
            ).content
            known = {(Kind.INVOICE, KEY): Known("done", content.digest(), content.to_json())}
            again = locked(known, lock=date(2026, 9, 1), locked_period=policy)
            assert plan(invoice("30"), again).verdict is Verdict.UNCHANGED
