"""An answer is compared with what was sent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_pipeline.cin7.differences import Difference, differences

_SENT = {
    "SupplierID": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",
    "Note": "SYSPRO:DEMO:PO:000123\nurgent",
    "RequiredBy": "2026-09-15T00:00:00",
    "IsServiceOnly": False,
    "AdditionalAttributes": {"AdditionalAttribute1": "SYSPRO:DEMO:PO:000123"},
    "Lines": [
        {"SKU": "A-1", "Quantity": Decimal(2), "Price": Decimal("1.5000"), "Comment": ""},
        {"SKU": "B-2", "Quantity": Decimal("0.5"), "Price": Decimal(8), "Comment": "x"},
    ],
}


def _answered(**changes: Any) -> dict[str, Any]:
    answered = {
        "ID": "11111111-2222-4333-8444-555555555555",
        "SupplierID": "AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE",
        "Note": " SYSPRO:DEMO:PO:000123\r\nurgent ",
        "RequiredBy": "2026-09-15T00:00:00Z",
        "IsServiceOnly": False,
        "AdditionalAttributes": {"AdditionalAttribute1": "SYSPRO:DEMO:PO:000123", "B": None},
        "Lines": [
            {"SKU": "A-1", "Quantity": Decimal("2.0000"), "Price": Decimal("1.5"), "Total": 3},
            {"SKU": "B-2", "Quantity": Decimal("0.5000"), "Price": 8, "Comment": "x"},
        ],
    }
    return answered | changes


def test_the_same_values_in_another_form_do_not_differ() -> None:
    assert differences(_SENT, _answered()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Note": None}, Difference("Note", _SENT["Note"], None)),
        (
            {"RequiredBy": "2026-09-14T23:00:00Z"},
            Difference("RequiredBy", "2026-09-15T00:00:00", "2026-09-14T23:00:00Z"),
        ),
        ({"IsServiceOnly": True}, Difference("IsServiceOnly", False, True)),
        (
            {"AdditionalAttributes": {}},
            Difference(
                "AdditionalAttributes.AdditionalAttribute1", "SYSPRO:DEMO:PO:000123", None
            ),
        ),
        (
            {"AdditionalAttributes": None},
            Difference("AdditionalAttributes", _SENT["AdditionalAttributes"], None),
        ),
        ({"Lines": []}, Difference("Lines", "2 entries", "0 entries")),
    ],
)
def test_a_field_that_cin7_did_not_take_is_named(
    changes: dict[str, Any], expected: Difference
) -> None:
    assert differences(_SENT, _answered(**changes)) == [expected]


def test_lines_are_compared_in_order() -> None:
    lines = list(reversed(_answered()["Lines"]))
    found = differences(_SENT, _answered(Lines=lines))
    assert [each.path for each in found] == [
        *("Lines[0].SKU", "Lines[0].Quantity", "Lines[0].Price", "Lines[0].Comment"),
        *("Lines[1].SKU", "Lines[1].Quantity", "Lines[1].Price", "Lines[1].Comment"),
    ]


@given(
    st.decimals(min_value=-1000, max_value=1000, places=4),
    st.decimals(min_value=-1000, max_value=1000, places=4),
)
def test_numbers_differ_exactly_when_their_values_differ(sent: Decimal, found: Decimal) -> None:
    for answered in (found, str(found)):
        assert bool(differences({"Price": sent}, {"Price": answered})) == (sent != found)


@pytest.mark.parametrize("found", ["n/a", "sNaN", "NaN", None, True, [1], {"a": 1}])
def test_what_is_no_number_differs_from_a_number(found: Any) -> None:
    assert differences({"Price": Decimal(1)}, {"Price": found}) == [
        Difference("Price", Decimal(1), found)
    ]


def test_an_instruction_that_is_not_repeated_is_no_difference() -> None:
    sent = {"CombineAdditionalCharges": False, "PurchaseType": "Advanced", "Status": "DRAFT"}
    assert differences(sent, {"Status": "DRAFT"}) == []
    found = differences(sent, {"Status": "DRAFT", "CombineAdditionalCharges": True})
    assert found == [Difference("CombineAdditionalCharges", False, True)]


@pytest.mark.parametrize("blank", ["", "  ", [], {}, None])
def test_a_blank_that_was_sent_equals_an_absent_value(blank: Any) -> None:
    assert differences({"Unstock": blank}, {}) == []


def test_a_difference_reads_as_a_sentence() -> None:
    assert str(Difference("Lines[0].Price", Decimal(1), None)) == (
        "Lines[0].Price: sent 1, found None"
    )
