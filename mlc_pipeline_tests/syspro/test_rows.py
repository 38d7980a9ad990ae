"""Values as SYSPRO sends them become exact, typed values; the rest is set aside."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.syspro.entities import RECEIPTS, SCALES
from mlc_pipeline.syspro.reader import RejectedRow, Row
from mlc_pipeline.syspro.rows import RowReader
from mlc_pipeline_tests.syspro.services import PLACE_TYPES, PLACES, place

READER = RowReader(PLACES, PLACE_TYPES)


def read(*raws: dict[str, Any]) -> tuple[list[Row], list[RejectedRow]]:
    rejected: list[RejectedRow] = []
    return list(READER.read(raws, rejected)), rejected


def value(column: str, raw: object) -> object:
    """The value of one column of a row that is read."""
    sources = {column.name: column.source for column in PLACES.columns}
    rows, rejected = read(place("A", 1) | {sources[column]: raw})
    assert rejected == []
    return rows[0][column]


def refusal(column: str, raw: object) -> str:
    """Why a row with this value is set aside."""
    sources = {column.name: column.source for column in PLACES.columns}
    rows, [rejected] = read(place("A", 1) | {sources[column]: raw})
    assert rows == []
    return rejected.message


@pytest.mark.parametrize(
    ("raw", "text"),
    [("0042", "0042"), (" 42  ", " 42"), ("", ""), ("  ", ""), ("Ä'+", "Ä'+")],
)
def test_a_key_is_as_stored_but_for_trailing_blanks(raw: str, text: str) -> None:
    assert value("area", raw) == text


@pytest.mark.parametrize(
    ("raw", "text"), [(" a b ", "a b"), ("", None), ("   ", None), (None, None), ("\0\0", None)]
)
def test_text_is_stripped_and_blank_is_none(raw: object, text: str | None) -> None:
    assert value("name", raw) == text


def test_blank_text_in_a_key_stays_text() -> None:
    reader = RowReader(RECEIPTS, [column.source for column in RECEIPTS.columns])
    raw = {c.source: Decimal(0) if c.kind in SCALES else " " for c in RECEIPTS.columns}

    [row] = reader.read([raw], [])

    assert row["grn_source"] == ""
    assert row["delivery_note"] is None


@pytest.mark.parametrize(
    "raw",
    [
        "2026-01-31",
        "2026-01-31T00:00:00Z",
        "2026-01-31T00:00:00+14:00",
        "2026-01-31T00:00:00-12:00",
        "2026-01-31T00:00:00.0000000+02:00",
        "2026-01-31T00:00Z",
        "2026-01-31 00:00:00",
        " 2026-01-31 ",
    ],
)
def test_a_date_is_its_first_ten_characters_and_never_shifted(raw: str) -> None:
    assert value("opened", raw) == date(2026, 1, 31)


@pytest.mark.parametrize(
    "raw",
    [
        "2026-01-30T22:00:00Z",  # 31 January in a zone two hours east
        "2026-01-31T05:00:00Z",
        "2026-01-31T23:59:59.999+02:00",
        "2026-01-31T00:00:00.001",
        "2026-01-31 noon",
    ],
)
def test_a_date_that_was_shifted_off_midnight_sets_the_row_aside(raw: str) -> None:
    message = refusal("opened", raw)

    assert f"found {raw!r}, expected midnight, as SYSPRO keeps its dates" in message
    assert "answer in the zone of its database" in message


@pytest.mark.parametrize("raw", [None, "", "  ", "0000-00-00", "0000-00-00T00:00:00Z"])
def test_no_date_is_none(raw: object) -> None:
    assert value("opened", raw) is None


@pytest.mark.parametrize(
    "raw", ["2026-02-30", "31/01/2026", "20260131", "2026-01-310", "soon", Decimal(20260131)]
)
def test_what_is_no_date_sets_the_row_aside(raw: object) -> None:
    message = refusal("opened", raw)

    assert message.startswith("SYSPRO: places (area=A, line=1): column opened: found ")
    assert "expected a date such as 2026-01-31" in message


@pytest.mark.parametrize(
    ("column", "raw", "digits"),
    [
        ("amount", Decimal("0.1"), "0.1"),
        ("amount", Decimal("1250.50"), "1250.50"),
        ("amount", Decimal("-999999999999.99"), "-999999999999.99"),
        ("amount", Decimal("0E+20"), "0E+20"),
        ("price", Decimal("0.00001"), "0.00001"),
        ("price", Decimal("1234567890.12345"), "1234567890.12345"),
        ("price", Decimal("1.50000000"), "1.50000000"),
        ("price", "     1.000000", "1.000000"),
        ("line", Decimal("15"), "15"),
        ("line", Decimal("15.0"), "15.0"),
        ("line", "00015", "15"),
    ],
)
def test_a_number_is_exact(column: str, raw: object, digits: str) -> None:
    found = value(column, raw)

    assert isinstance(found, Decimal)
    assert str(found) == digits


def test_no_number_is_none() -> None:
    assert value("amount", None) is None


@pytest.mark.parametrize(
    ("column", "raw"),
    [
        ("amount", Decimal("0.001")),
        ("amount", Decimal("1E+12")),
        ("amount", Decimal("1E+999999")),
        ("amount", Decimal("1E-999999")),
        ("amount", Decimal("NaN")),
        ("amount", "1,250.50"),
        ("amount", ""),
        ("amount", True),
        ("price", Decimal("0.000001")),
        ("line", Decimal("1.5")),
    ],
)
def test_a_number_that_would_be_rounded_or_guessed_sets_the_row_aside(
    column: str, raw: object
) -> None:
    assert "expected a number of at most" in refusal(column, raw)


@settings(deadline=None)
@given(
    st.sampled_from([("amount", "value"), ("price", "price"), ("line", "integer")]),
    st.decimals(allow_nan=False, allow_infinity=False),
)
def test_a_number_is_read_exactly_when_its_column_can_hold_it(
    kind: tuple[str, str], number: Decimal
) -> None:
    column, scales = kind
    precision, scale = SCALES[scales]
    fits = abs(number) < 10 ** (precision - scale) and (
        number == 0 or (number.adjusted() > -100 and number * 10**scale % 1 == 0)
    )

    raw = place("A", 1) | {{c.name: c.source for c in PLACES.columns}[column]: number}
    rows, rejected = read(raw)

    assert bool(rows) is fits
    assert bool(rejected) is not fits
    assert not rows or rows[0][column] == number


@pytest.mark.parametrize(
    ("column", "raw", "expected"),
    [
        ("area", None, "part of the key"),
        ("line", None, "part of the key"),
        ("area", Decimal(7), "expected text"),
        ("area", "A\0B", "expected text"),
        ("name", Decimal(7), "expected text"),
        ("name", ["a"], "expected text"),
    ],
)
def test_a_value_of_the_wrong_kind_sets_the_row_aside(
    column: str, raw: object, expected: str
) -> None:
    assert expected in refusal(column, raw)


def test_a_column_that_is_not_sent_is_not_taken_for_empty() -> None:
    raw = place("A", 1)
    del raw["Amount"]

    _, [rejected] = read(raw)

    assert (
        "column amount: found None, expected the column: may the operator" in rejected.message
    )


def test_an_optional_column_the_customer_does_not_have_is_none() -> None:
    assert "Note" not in READER.sources
    [row], _ = read(place("A", 1))
    assert row["note"] is None


def test_a_row_set_aside_is_kept_whole_and_the_others_are_read() -> None:
    rows, [rejected] = read(
        place("A", 1), place("A", 2, Amount=Decimal("0.005"), Name="\0é"), place("A", 3)
    )

    assert [row["line"] for row in rows] == [1, 3]
    assert (rejected.entity, rejected.key) == ("places", "area=A, line=2")
    assert json.loads(rejected.raw) == {
        "Area": "A",
        "Line": "2",
        "Name": "\N{REPLACEMENT CHARACTER}é",
        "OpenDate": None,
        "Amount": "0.005",
        "Price": "0.00000",
    }


def test_identical_rows_are_one_row() -> None:
    rows, rejected = read(place("A", 1), place("A  ", 1) | {"Area": "A"}, place("A", 2))

    assert [row["line"] for row in rows] == [1, 2]
    assert rejected == []


def test_rows_of_one_key_that_differ_are_all_set_aside() -> None:
    rows, rejected = read(place("A", 1), place("A", 2), place("A ", 2, Name="x"), place("A", 3))

    assert [row["line"] for row in rows] == [1, 3]
    assert [row.key for row in rejected] == ["area=A, line=2", "area=A, line=2"]
    assert "2 rows have this key and differ in Area, Name" in rejected[0].message
    assert "syspro.entities.places.key in connection.yaml" in rejected[0].message


def test_a_long_value_is_shown_short() -> None:
    assert refusal("opened", "x" * 500).count("x") < 100
