"""Numbers cross the border digit for digit."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_pipeline.cin7.decimals import dumps, loads

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False)
)
_BODIES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


@given(_BODIES)
def test_what_is_written_reads_back_equal(body: object) -> None:
    assert loads(dumps(body)) == body


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_a_number_keeps_its_digits_and_has_no_exponent(number: Decimal) -> None:
    written = dumps({"Price": number}).decode()
    assert written == f'{{"Price":{number:f}}}'
    assert loads(written.encode())["Price"].as_tuple() == number.as_tuple()


def test_a_large_exponent_is_written_out() -> None:
    assert dumps([Decimal("1E+6"), Decimal("1E-7")]) == b"[1000000,0.0000001]"


def test_text_is_escaped_as_json_demands() -> None:
    body = {"Name": 'Müller "& Sons"\n\u2028'}
    assert json.loads(dumps(body)) == body


@pytest.mark.parametrize("value", [1.5, {"Price": 0.1}, [1.0], object()])
def test_a_float_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="expected Decimal"):
        dumps(value)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_a_number_is_neither_written_nor_read(value: str) -> None:
    with pytest.raises(ValueError):
        dumps(Decimal(value))
    with pytest.raises(ValueError, match="not JSON"):
        loads(value.encode())


def test_nesting_without_end_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        loads(b"[" * 200_000)
