"""Arithmetic of documents: nothing is ever gained or lost by splitting, pricing, rounding."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_pipeline.cin7.requests import line_total
from mlc_pipeline.sync.lines import (
    ProductQuantity,
    charge,
    fitted,
    percent_of,
    product_line,
    rounding_charge,
)
from mlc_pipeline.sync.money import (
    allocate,
    cin7_rate,
    discounted,
    rounded,
    to_base,
    unit_price,
)
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline_tests.sync.examples import EXEMPT, VAT, d

cents = st.decimals(min_value=-(10**9), max_value=10**9, places=2)
positive = st.decimals(min_value="0.01", max_value=10**7, places=2)
quantities = st.decimals(min_value=1, max_value=10**7, places=4)


# --- allocate ---


@given(cents, st.lists(cents, min_size=1, max_size=60))
def test_the_parts_of_an_allocation_add_up_to_the_cent(
    total: Decimal, weights: list[Decimal]
) -> None:
    parts = allocate(total, weights)
    assert sum(parts) == total
    assert len(parts) == len(weights)
    assert all(part == rounded(part) for part in parts)


@given(cents, st.lists(st.one_of(positive, st.just(d(0))), min_size=1, max_size=40))
def test_under_weights_of_one_sign_every_part_has_the_sign_of_the_total(
    total: Decimal, weights: list[Decimal]
) -> None:
    assert all(part * total >= 0 for part in allocate(total, weights))
    assert all(part * total >= 0 for part in allocate(total, [-w for w in weights]))


@given(cents, st.lists(positive, min_size=1, max_size=40))
def test_a_part_is_less_than_a_cent_from_its_share_under_weights_of_one_sign(
    total: Decimal, weights: list[Decimal]
) -> None:
    base = sum(weights)
    for part, weight in zip(allocate(total, weights), weights, strict=True):
        assert abs(part - total * weight / base) < d("0.01001")


@given(cents, st.lists(positive, min_size=1, max_size=20), st.data())
def test_a_part_without_weight_gets_nothing_beside_parts_that_have_some(
    total: Decimal, weights: list[Decimal], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(weights)))
    parts = allocate(total, [*weights[:place], d(0), *weights[place:]])
    assert parts[place] == 0


@given(st.lists(cents, min_size=1, max_size=40))
def test_a_total_over_its_own_parts_gives_the_parts_back(weights: list[Decimal]) -> None:
    total = sum(weights, d(0))
    if total:
        assert allocate(total, weights) == weights


@pytest.mark.parametrize("weights", [["0", "0", "0"], ["5", "-5", "0"]])
def test_without_a_usable_weight_everything_goes_to_the_first_part(weights: list[str]) -> None:
    assert allocate(d("9.99"), [d(w) for w in weights]) == [d("9.99"), 0, 0]


def test_no_weights_give_no_parts() -> None:
    assert allocate(d(5), []) == []


def test_left_over_cents_go_to_the_largest_remainders() -> None:
    assert allocate(d("100"), [d(1), d(1), d(1)]) == [d("33.34"), d("33.33"), d("33.33")]
    assert allocate(d("0.05"), [d(1), d(2)]) == [d("0.02"), d("0.03")]
    assert allocate(d("-0.05"), [d(1), d(2)]) == [d("-0.02"), d("-0.03")]


def test_mixed_signs_are_split_in_proportion() -> None:
    assert allocate(d("50"), [d("150"), d("-50")]) == [d("75"), d("-25")]


# --- prices ---


@given(cents, quantities, st.sampled_from([2, 4]))
def test_a_product_line_and_its_residual_make_up_the_value(
    value: Decimal, quantity: Decimal, decimals: int
) -> None:
    item = ProductQuantity("A100", "A", quantity, value)
    line, residual = product_line(item, tax_rule=VAT, tax=d(0), decimals=decimals)
    assert line.total + residual == value
    assert line.total == line_total(line.quantity, line.price, None, decimals)
    # Half of the last decimal of the price, a piece, and the rounding of the total.
    assert abs(residual) <= quantity * d("0.00005") + d("0.005")


@given(cents, quantities)
def test_a_unit_price_has_four_decimals_and_is_the_nearest(
    value: Decimal, quantity: Decimal
) -> None:
    price = unit_price(value, quantity)
    assert price == rounded(price, 4)
    assert abs(price * quantity - value) <= quantity * d("0.0000500001")


@pytest.mark.parametrize(
    ("value", "quantity", "price", "total", "residual"),
    [
        ("25.00", "10", "2.5000", "25.00", "0"),
        ("10.00", "3", "3.3333", "10.00", "0"),
        ("100.00", "3000", "0.0333", "99.90", "0.10"),
        ("-10.00", "3", "-3.3333", "-10.00", "0"),
    ],
)
def test_what_a_price_cannot_say_is_left_over(
    value: str, quantity: str, price: str, total: str, residual: str
) -> None:
    item = ProductQuantity("A100", "A", d(quantity), d(value))
    line, left = product_line(item, tax_rule=VAT, tax=d(0), decimals=2)
    assert (line.price, line.total, left) == (d(price), d(total), d(residual))


def test_four_decimals_of_a_total_leave_a_residual_of_four_decimals() -> None:
    item = ProductQuantity("A100", "A", d(3), d("10.00"))
    line, left = product_line(item, tax_rule=VAT, tax=d(0), decimals=4)
    assert (line.total, left) == (d("9.9999"), d("0.0001"))


@pytest.mark.parametrize("quantity", ["0", "0.9999", "-1", "1.00001"])
def test_a_quantity_that_cin7_does_not_take_is_held(quantity: str) -> None:
    item = ProductQuantity("A100", "A", d(quantity), d(5))
    with pytest.raises(Hold, match=f"quantity_not_accepted.*A100.*{quantity}"):
        product_line(item, tax_rule=VAT, tax=d(0), decimals=2)


def test_a_line_of_several_says_which_they_were() -> None:
    item = ProductQuantity("A100", "A", d(2), d(5), sources=["1", "4"])
    assert product_line(item, tax_rule=VAT, tax=d(0), decimals=2)[0].comment == "lines 1, 4"
    item.sources.pop()
    assert product_line(item, tax_rule=VAT, tax=d(0), decimals=2)[0].comment is None


def test_a_residual_becomes_an_exempt_charge_and_nothing_becomes_none() -> None:
    (made,) = rounding_charge(d("-0.03"), tax_rule=EXEMPT)
    assert (made.total, made.tax, made.tax_rule) == (d("-0.03"), 0, EXEMPT)
    assert list(rounding_charge(d("0.00"), tax_rule=EXEMPT)) == []


# --- rates, discounts, texts ---


@pytest.mark.parametrize(
    ("amount", "rate", "mul_div", "local"),
    [
        ("100.00", "0.85", "M", "85.00"),
        ("100.00", "1.25", "D", "80.00"),
        ("0.03", "0.5", "M", "0.02"),
        ("-0.03", "0.5", "M", "-0.02"),
        ("100.00", "0", "M", "100.00"),
        ("100.00", "1.1", None, "110.00"),
    ],
)
def test_an_amount_is_converted_the_way_mul_div_says(
    amount: str, rate: str, mul_div: str | None, local: str
) -> None:
    assert to_base(d(amount), d(rate), mul_div) == d(local)


@pytest.mark.parametrize(
    ("rate", "mul_div", "expected"),
    [
        ("0.85", "M", "0.85000"),
        ("1.25", "D", "0.80000"),
        ("3", "D", "0.33333"),
        ("0", "M", "1"),
    ],
)
def test_cin7s_rate_is_local_units_a_foreign_unit(
    rate: str, mul_div: str, expected: str
) -> None:
    assert cin7_rate(d(rate), mul_div) == d(expected)


@given(positive, st.decimals(min_value="0.01", max_value=100, places=5))
def test_both_directions_of_a_rate_mean_the_same_money(amount: Decimal, rate: Decimal) -> None:
    multiplied = to_base(amount, cin7_rate(rate, "M"), "M")
    assert multiplied == to_base(amount, rate, "M")
    divided = amount * cin7_rate(rate, "D")
    assert abs(divided - to_base(amount, rate, "D")) <= amount * d("0.000005") + d("0.005")


def test_chain_discounts_apply_one_after_the_other() -> None:
    assert discounted(d(100), (d(10), d(10), d(0))) == d(81)


@given(st.text(max_size=40), st.integers(1, 20))
def test_a_text_is_cut_visibly_and_only_when_it_must_be(text: str, limit: int) -> None:
    cut = fitted(text, limit)
    assert len(cut) <= limit
    assert cut == text if len(text) <= limit else cut.endswith("…")


def test_a_percentage_is_rounded_half_away_from_zero() -> None:
    assert percent_of(d("0.03"), d(50)) == d("0.02")
    assert percent_of(d("-0.03"), d(50)) == d("-0.02")


def test_a_charge_is_one_piece_of_its_amount() -> None:
    made = charge("x" * 300, d("-7.25"), tax_rule=VAT, account="400", cost_centre="Sales")
    assert (made.quantity, made.price, made.total) == (1, d("-7.25"), d("-7.25"))
    assert len(made.description) == 256
