"""The same rows through e.net's COMFND, where a customer has no OData."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.syspro.comfnd import ComfndReader
from mlc_pipeline.syspro.errors import MetadataMismatch, SessionLost, SysproUnavailable
from mlc_pipeline.syspro.reader import DateRange, Everything, Keys, Missing, Reader, Row, Where
from mlc_pipeline_tests.syspro.services import (
    LOST,
    PLACES,
    FakeSyspro,
    enet_client,
    odata_reader,
    place,
    session_of,
)

EVERYTHING = Everything()


def comfnd_reader(syspro: FakeSyspro, page_size: int = 1000) -> ComfndReader:
    session = session_of(syspro)
    session.open("cycle")
    return ComfndReader(enet_client(syspro), session, page_size)


def with_places(rows: list[dict[str, Any]], **state: Any) -> FakeSyspro:
    return FakeSyspro(tables={"Place": rows}, **state)


def read(reader: Reader, where: Where = EVERYTHING) -> list[Row]:
    return [row for page in reader.read(PLACES, where) for row in page]


def keys(rows: list[Row]) -> list[tuple[Any, Any]]:
    return [(row["area"], row["line"]) for row in rows]


def documents(syspro: FakeSyspro) -> list[str]:
    queries = (dict(parse_qsl(r.url.query.decode())) for r in syspro.requests)
    return [query["XmlIn"] for query in queries if "XmlIn" in query]


ROWS = [
    place(" 00001", 1, Name="Müller & Söhne", OpenDate="2026-01-31", Amount=Decimal("0.1")),
    place("00001", 2, OpenDate="2026-02-01", Price=Decimal("1250.50000")),
    place("A'<+>", 1, OpenDate="2026-02-02"),
    place("B", 1),
]


@pytest.mark.parametrize(
    "where",
    [
        Everything(),
        DateRange("opened", date(2026, 1, 31), date(2026, 2, 1)),
        Missing("opened"),
        Keys(("area",), [(" 00001",), ("A'<+>",), ("C",)]),
        Keys(("area", "line"), [("00001", 2), ("B", 1), ("B", 2)]),
        Keys(("opened",), [(date(2026, 2, 2),)]),
        Keys(("line",), [(Decimal(2),)]),
    ],
)
def test_both_readers_give_the_same_rows(where: Where) -> None:
    dated = [
        row | {"OpenDate": d and f"{d}T00:00:00Z"} for row in ROWS for d in [row["OpenDate"]]
    ]

    by_comfnd = read(comfnd_reader(with_places(ROWS), page_size=2), where)
    by_odata = read(odata_reader(with_places(dated), page_size=2), where)

    assert by_comfnd == by_odata
    assert by_comfnd


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "A", "B'", "C d", "é"]), st.integers(0, 9)),
        unique=True,
        max_size=20,
    ),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_every_row_comes_exactly_once_in_key_order(
    wanted: list[tuple[str, int]], page_size: int, cap: int
) -> None:
    syspro = with_places([place(*key) for key in wanted], cap=cap)

    assert keys(read(comfnd_reader(syspro, page_size))) == sorted(wanted)


def test_the_document_is_that_of_the_recorded_exchange() -> None:
    syspro = with_places([place("A", n) for n in range(3)])

    read(comfnd_reader(syspro, page_size=2))

    _, first, second, _ = documents(syspro)
    assert first == (
        '<?xml version="1.0" encoding="Windows-1252"?>'
        '<Query xmlns:xsd="http://www.w3.org/2001/XMLSchema-instance" '
        'xsd:noNamespaceSchemaLocation="COMFND.XSD">'
        "<TableName>Place</TableName><ReturnRows>2</ReturnRows><AllColumns>N</AllColumns>"
        "<Columns><Column>Area</Column><Column>Line</Column><Column>Name</Column>"
        "<Column>OpenDate</Column><Column>Amount</Column><Column>Price</Column></Columns>"
        "<OrderBy><Column>Area</Column><Column>Line</Column></OrderBy></Query>"
    )
    assert (
        "<Where>"
        "<Expression><OpenBracket>(</OpenBracket><Column>Area</Column>"
        "<Condition>GT</Condition><Value>A</Value><CloseBracket>)</CloseBracket></Expression>"
        "<Expression><AndOr>Or</AndOr><OpenBracket>(</OpenBracket><Column>Area</Column>"
        "<Condition>EQ</Condition><Value>A</Value></Expression>"
        "<Expression><AndOr>And</AndOr><Column>Line</Column><Condition>GT</Condition>"
        "<Value>0</Value><CloseBracket>)</CloseBracket></Expression>"
        "</Where>"
    ) in second


@pytest.mark.parametrize("columns", [("area",), ("area", "line")])
def test_rows_by_key_are_read_in_requests_that_fit_an_address(columns: tuple[str, ...]) -> None:
    rows = [place(f"{n:015}", 1) for n in range(120)]
    syspro = with_places(rows)
    values = [(row["Area"], 1)[: len(columns)] for row in rows]

    assert len(read(comfnd_reader(syspro, page_size=5), Keys(columns, values))) == 120
    assert max(len(request.url.raw_path) for request in syspro.requests) < 13_000
    assert 2 < len(documents(syspro)) < 150


def test_a_session_lost_in_the_middle_is_renewed() -> None:
    syspro = with_places([place("A", n) for n in range(9)], expire_before={4})

    assert len(read(comfnd_reader(syspro, page_size=3))) == 9
    assert syspro.logons == 2


def test_a_session_lost_twice_in_a_row_surfaces() -> None:
    lost = httpx.Response(200, text=LOST)
    syspro = with_places(ROWS, failures=[("/Query", lost), ("/Query", lost)])

    with pytest.raises(SessionLost, match=r"/Query/Query COMFND \(places\)"):
        read(comfnd_reader(syspro))


def test_a_page_that_fails_is_asked_again() -> None:
    syspro = with_places(ROWS, failures=[("/Query", httpx.ReadTimeout("slow"))] * 2)
    reader = comfnd_reader(syspro)

    assert len(read(reader)) == 4
    syspro.failures = [("/Query", httpx.Response(500))] * 5
    with pytest.raises(SysproUnavailable, match=r"HTTP 500 \(after 5 attempts\)"):
        read(reader)


def test_rows_that_cannot_be_read_are_set_aside() -> None:
    reader = comfnd_reader(with_places([*ROWS, place("C", 1, Amount="1,250.50")]))

    assert len(read(reader)) == 4
    assert [row.key for row in reader.rejected] == ["area=C, line=1"]


def test_what_is_missing_is_listed_before_any_row_is_read() -> None:
    row = place("A", 1)
    del row["Amount"], row["OpenDate"]
    reader = comfnd_reader(with_places([row]))
    other = replace(PLACES, name="others", entity_set="Other")

    with pytest.raises(MetadataMismatch) as caught:
        reader.check([PLACES, other])

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "places",
        "places",
        "others",
    ]
    assert "no column OpenDate in Place: set syspro.entities.places.columns.opened" in str(
        caught.value
    )
    assert "Table 'Other' not found" in str(caught.value)
    with pytest.raises(MetadataMismatch):
        read(reader)


def test_an_optional_table_may_be_absent_and_an_empty_one_is_taken_as_described() -> None:
    reader = comfnd_reader(with_places([]))
    other = replace(PLACES, name="others", entity_set="Other", optional=True)

    assert reader.check([PLACES, other]) == ["others"]
    assert read(reader) == []
    with pytest.raises(MetadataMismatch, match="others: found no table Other"):
        list(reader.read(other, EVERYTHING))
