"""Order lines and charges in the stand-in: what they may hold and what they add up to."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlc_pipeline_tests.sandbox.cin7_account import (
    STANDARD,
    Api,
    charge,
    fixtures,
    line,
    order,
)

server, api = fixtures()


def test_lines_are_stored_with_the_product_resolved(api: Api) -> None:
    id_ = api.purchase()["ID"]
    sent = line(Name="whatever", Comment="CC 100", Tax=Decimal("4.00"))
    made = api.post("purchase/order", order(id_, sent, charges=(charge("7.5"),), Memo="m"))
    product = api.get("product", Sku="BOLT-8")["Products"][0]
    stored = made["Lines"][0]
    assert (stored["ProductID"], stored["Name"]) == (product["ID"], "Bolt M8")
    assert stored["Comment"] == "CC 100"
    assert (made["TotalBeforeTax"], made["Tax"], made["Total"]) == (
        Decimal("27.5"),
        4,
        Decimal("31.5"),
    )


def test_the_product_id_wins_over_the_sku(api: Api) -> None:
    nut = api.get("product", Sku="NUT-8")["Products"][0]
    id_ = api.purchase()["ID"]
    made = api.post("purchase/order", order(id_, line("BOLT-8", ProductID=nut["ID"])))
    assert made["Lines"][0]["SKU"] == "NUT-8"


def test_a_post_overwrites_a_draft_and_not_an_authorised_order(api: Api) -> None:
    id_ = api.purchase()["ID"]
    api.post("purchase/order", order(id_, line(), Status="DRAFT"))
    api.post("purchase/order", order(id_, line("NUT-8")))
    order_now = api.get("purchase/order", TaskID=id_)
    assert [stored["SKU"] for stored in order_now["Lines"]] == ["NUT-8"]
    text = api.refused("POST", "purchase/order", order(id_, line()))
    assert text == "Order status is AUTHORISED: expected is DRAFT or NOT AVAILABLE"
    assert api.get("purchase/order", TaskID=id_) == order_now


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"SKU": "NONE"}, "Product with SKU NONE was not found"),
        ({"SKU": None}, "'ProductID' or 'SKU' is required for 'Lines' line"),
        ({"Quantity": Decimal("0.5")}, "Quantity is invalid: the minimal value is 1"),
        ({"Quantity": None}, "'Quantity' is required for 'Lines' line"),
        ({"Price": Decimal("1.00001")}, "Price is invalid: at most 4 decimal places"),
        ({"Tax": Decimal("0.12345")}, "Tax is invalid: at most 4 decimal places"),
        ({"Tax": None}, "'Tax' is required for 'Lines' line"),
        ({"Discount": Decimal("1.005")}, "Discount is invalid: at most 2 decimal places"),
        ({"Discount": 101}, "the maximal value is 100"),
        ({"TaxRule": "17.5% (old)"}, "with name 17.5% (old) was not found"),
        ({"TaxRule": ""}, "'TaxRule' is required for 'Lines' line"),
        ({"Total": Decimal("20.01")}, "attribute 'Total' doesn't match"),
        ({"Total": Decimal("24.00"), "Tax": Decimal("4.00")}, "Expected value is: 20.00"),
        ({"Comment": "c" * 257}, "the maximum is 256"),
    ],
)
def test_a_line_is_refused(api: Api, change: dict[str, Any], told: str) -> None:
    id_ = api.purchase()["ID"]
    body = order(id_, {**line(), **change})
    assert told in api.refused("POST", "purchase/order", body)
    assert api.get("purchase/order", TaskID=id_)["Status"] == "NOT AVAILABLE"


def test_the_same_product_twice_is_refused(api: Api) -> None:
    id_ = api.purchase()["ID"]
    text = api.refused("POST", "purchase/order", order(id_, line(), line(), line("NUT-8")))
    assert text == "Product with SKU BOLT-8 is given more than once in 'Lines'"


def test_an_order_without_lines_is_not_authorised(api: Api) -> None:
    id_ = api.purchase()["ID"]
    assert "without lines" in api.refused("POST", "purchase/order", order(id_))
    assert api.post("purchase/order", order(id_, Status="DRAFT"))["Total"] == 0


def test_a_charge_may_have_a_negative_price(api: Api) -> None:
    id_ = api.purchase()["ID"]
    made = api.post("purchase/order", order(id_, line(), charges=(charge("-5.00"),)))
    assert made["Total"] == 15


def test_lines_of_a_service_purchase_become_charges(api: Api) -> None:
    id_ = api.purchase(IsServiceOnly=True)["ID"]
    named = {**line(Name="Audit", Comment="CC 7"), "SKU": None}
    answer = api.send("POST", "purchase/order", order(id_, named, line("NUT-8")))
    assert answer.status_code == 200
    made = api.get("purchase/order", TaskID=id_)
    assert made["Lines"] == []
    assert [(c["Description"], c["Reference"]) for c in made["AdditionalCharges"]] == [
        ("Audit", "CC 7"),
        ("Nut M8", ""),
    ]


def test_totals_include_the_tax_when_the_purchase_says_so(api: Api) -> None:
    id_ = api.purchase(TaxCalculation="Inclusive")["ID"]
    sent = line(price="12.00", Tax=Decimal("4.00"))
    made = api.post("purchase/order", order(id_, sent))
    assert (made["TotalBeforeTax"], made["Tax"], made["Total"]) == (20, 4, 24)


def _number(places: int, low: str, high: str) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    quantity=_number(4, "1", "9999"),
    price=_number(4, "-9999", "9999"),
    discount=_number(2, "0", "100"),
    decimals=st.integers(0, 4),
)
def test_only_the_exact_rounded_total_is_accepted(
    api: Api, quantity: Decimal, price: Decimal, discount: Decimal, decimals: int
) -> None:
    api.server.control("settings", {"line_total_decimals": decimals})
    step = Decimal(1).scaleb(-decimals)
    right = (quantity * price * (100 - discount) / 100).quantize(step, ROUND_HALF_UP)
    id_ = api.purchase()["ID"]
    sent = charge(Quantity=quantity, Price=price, Discount=discount, TaxRule=STANDARD)
    wrong = api.refused(
        "POST", "purchase/order", order(id_, charges=({**sent, "Total": right + step},))
    )
    assert f"Expected value is: {right}" in wrong
    made = api.post("purchase/order", order(id_, charges=({**sent, "Total": right},)))
    assert made["AdditionalCharges"][0]["Total"] == right
