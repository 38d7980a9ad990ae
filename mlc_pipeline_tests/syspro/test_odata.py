"""The OData reader over the wire: what it sends, what it reads, how it goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.syspro.entities import ENTITIES, PURCHASE_ORDER_LINES, RECEIPTS, SUPPLIERS
from mlc_pipeline.syspro.errors import (
    BadRow,
    LogonRefused,
    MetadataMismatch,
    SessionLost,
    SysproError,
    SysproRefused,
    SysproUnavailable,
)
from mlc_pipeline.syspro.metadata import suitable_types
from mlc_pipeline.syspro.odata import BasicAuth, ODataReader, SessionAuth
from mlc_pipeline.syspro.reader import DateRange, Everything, Keys, Missing, Row, Where
from mlc_pipeline_tests.syspro.services import (
    LOST,
    ODATA_URL,
    PLACE_TYPES,
    PLACES,
    FakeSyspro,
    MemoryStore,
    basic_reader,
    exact_json,
    odata_reader,
    place,
    session_of,
)

FIRST, SECOND = f"{1:032X}00", f"{2:032X}00"
EVERYTHING = Everything()


def places(count: int, area: str = "A") -> list[dict[str, Any]]:
    return [place(area, n) for n in range(count)]


def with_places(rows: list[dict[str, Any]], **state: Any) -> FakeSyspro:
    return FakeSyspro(tables={"Place": rows}, **state)


def read(reader: ODataReader, where: Where = EVERYTHING) -> list[Row]:
    return [row for page in reader.read(PLACES, where) for row in page]


def keys(rows: Iterable[Row]) -> list[tuple[Any, Any]]:
    return [(row["area"], row["line"]) for row in rows]


def filters(syspro: FakeSyspro) -> list[str]:
    found = [unquote(url.partition("$filter=")[2].partition("&")[0]) for url in syspro.urls()]
    return [text for text in found if text]


# What is sent


def test_the_wire_shows_blanks_as_percent_20_and_only_the_columns_needed() -> None:
    syspro = with_places([])

    read(odata_reader(syspro), Missing("opened"))

    assert syspro.urls("/Place") == [
        "erp.example/SYSPRO8Odata/SYSPROOData/DEMO/Place"
        "?$filter=OpenDate%20eq%20null&$select=Area,Line,Name,OpenDate,Amount,Price"
        f"&$orderby=Area,Line&$top=5000&UserId={FIRST}"
    ]


def test_company_and_entity_set_are_path_segments() -> None:
    entity = replace(PLACES, entity_set="Place+")
    syspro = FakeSyspro(types={"Place+": PLACE_TYPES}, needs_token=False)
    reader = ODataReader(
        ODATA_URL + "/", "A/B", BasicAuth("u", "p"), transport=syspro.transport
    )

    list(reader.read(entity, EVERYTHING))

    assert "/SYSPROOData/A%2FB/Place%2B?" in syspro.urls()[1]


@pytest.mark.parametrize(
    ("edm", "condition"),
    [
        ("Edm.Date", "OpenDate ge 2026-01-31 and OpenDate lt 2026-03-01"),
        (
            "Edm.DateTimeOffset",
            "OpenDate ge 2026-01-30T10:00:00Z and OpenDate lt 2026-03-01T00:00:00Z",
        ),
    ],
)
def test_a_date_range_is_written_as_its_edm_type_asks(edm: str, condition: str) -> None:
    syspro = with_places([], types={"Place": PLACE_TYPES | {"OpenDate": edm}})

    read(odata_reader(syspro), DateRange("opened", date(2026, 1, 31), date(2026, 2, 28)))

    assert filters(syspro) == [condition]


def test_quotes_unicode_and_plus_in_a_key_travel_whole() -> None:
    areas = ["O'Neil & Söhne", "A+B", "50% #1?", "€/é", "a b"]
    syspro = with_places([place(area, 1) for area in areas] + places(1))
    reader = odata_reader(syspro, page_size=2)

    by_key = read(reader, Keys(("area",), [(area,) for area in areas]))
    every = read(reader)

    assert sorted(row["area"] for row in by_key) == sorted(areas)
    assert [row["area"] for row in every] == sorted([*areas, "A"])
    assert not any("+" in url for url in syspro.urls())
    assert any("'O''Neil%20%26%20S%C3%B6hne'" in url for url in syspro.urls())


# What is read


def test_every_kind_of_value_is_exact() -> None:
    syspro = with_places(
        [
            place(
                "0007 ",
                3,
                Name=" x ",
                OpenDate="2026-01-31T00:00:00+14:00",
                Amount=Decimal("0.1"),
                Price=Decimal("1250.50000"),
            )
        ]
    )

    [row] = read(odata_reader(syspro))

    assert row == {
        "area": "0007",
        "line": Decimal(3),
        "name": "x",
        "opened": date(2026, 1, 31),
        "amount": Decimal("0.1"),
        "price": Decimal("1250.5"),
        "note": None,
    }
    assert str(row["price"]) == "1250.50000"


@settings(deadline=None)
@given(st.decimals(min_value=-(10**9), max_value=10**9, places=5))
def test_a_price_of_five_decimals_survives(price: Decimal) -> None:
    syspro = with_places([place("A", 1, Price=price)])

    [row] = read(basic_reader(syspro))

    assert str(row["price"]) == f"{price:f}"


def test_rows_that_cannot_be_read_are_set_aside_and_the_others_read() -> None:
    rows = places(6)
    rows[1]["Amount"] = Decimal("0.125")
    rows[4]["OpenDate"] = "soon"
    reader = odata_reader(with_places(rows), page_size=2)

    assert [row["line"] for row in read(reader)] == [0, 2, 3, 5]
    assert [row.key for row in reader.rejected] == ["area=A, line=1", "area=A, line=4"]


def test_a_key_that_comes_twice_is_judged_even_across_pages() -> None:
    rows = [*places(3), place("A", 2, Name="other"), *places(9)[4:6], *places(9)[5:8]]
    reader = odata_reader(with_places(rows), page_size=3)

    assert [row["line"] for row in read(reader)] == [0, 1, 4, 5, 6, 7]
    assert [row.key for row in reader.rejected] == ["area=A, line=2"] * 2


@pytest.mark.parametrize("offset_hours", [-12, -5, 0, 1, 10, 14])
def test_a_day_is_read_whole_and_alone_in_whatever_zone_the_server_lives(
    offset_hours: int,
) -> None:
    sign, hours = ("-" if offset_hours < 0 else "+"), abs(offset_hours)
    first = date(2026, 3, 25)
    days = [first + timedelta(days=n) for n in range(9)]
    rows = [
        place("A", n, OpenDate=f"{day}T00:00:00{sign}{hours:02}:00")
        for n, day in enumerate(days)
    ]
    reader = odata_reader(with_places(rows))

    for day in days:
        assert [row["opened"] for row in read(reader, DateRange("opened", day, day))] == [day]
    found = read(reader, DateRange("opened", days[2], days[5]))
    assert [row["opened"] for row in found] == days[2:6]


def test_rows_without_a_date_are_found() -> None:
    syspro = with_places([place("A", 1, OpenDate="2026-01-31T00:00:00Z"), place("A", 2)])

    assert keys(read(odata_reader(syspro), Missing("opened"))) == [("A", 2)]


# Paging


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "A", "B'", "B+", "C d", "é"]), st.integers(0, 9)),
        unique=True,
        max_size=25,
    ),
    st.integers(1, 9),
    st.integers(1, 9),
    st.booleans(),
)
def test_every_row_comes_exactly_once_in_key_order(
    wanted: list[tuple[str, int]], page_size: int, cap: int, links: bool
) -> None:
    syspro = with_places([place(*key) for key in wanted], cap=cap, links=links)

    pages = list(odata_reader(syspro, page_size).read(PLACES, EVERYTHING))

    assert [key for page in pages for key in keys(page)] == sorted(wanted)
    assert all(0 < len(page) <= page_size for page in pages)


def test_the_next_page_starts_after_the_last_composite_key() -> None:
    syspro = with_places([*places(3, "A"), *places(2, "B")])

    read(odata_reader(syspro, page_size=3))

    assert filters(syspro)[0] == "(Area gt 'A') or (Area eq 'A' and Line gt 1)"


def test_a_key_of_three_columns_is_nested() -> None:
    entity = replace(PLACES, key=("area", "line", "name"))
    rows = [place(area, line, Name=name) for area in "AB" for line in (1, 2) for name in "xyz"]
    syspro = with_places(rows)

    found = list(odata_reader(syspro, page_size=4).read(entity, EVERYTHING))

    assert [(r["area"], r["line"], r["name"]) for page in found for r in page] == [
        (r["Area"], r["Line"], r["Name"]) for r in rows
    ]
    assert filters(syspro)[0] == (
        "(Area gt 'A') or (Area eq 'A' and ((Line gt 1) or (Line eq 1 and Name gt 'z')))"
    )


def test_the_condition_of_the_page_joins_that_of_the_read() -> None:
    rows = [place("A", n, OpenDate="2026-01-31T00:00:00Z") for n in range(3)]
    syspro = with_places(rows, types={"Place": PLACE_TYPES | {"OpenDate": "Edm.Date"}})
    day = date(2026, 1, 31)

    read(odata_reader(syspro, page_size=2), DateRange("opened", day, day))

    assert filters(syspro)[1] == (
        "(OpenDate ge 2026-01-31 and OpenDate lt 2026-02-01) and "
        "((Area gt 'A') or (Area eq 'A' and Line gt 0))"
    )


def test_a_date_in_the_key_goes_back_as_it_came() -> None:
    entity = replace(PLACES, key=("opened", "area"))
    rows = [place("A", n, OpenDate=f"2026-06-0{n}T00:00:00+01:00") for n in range(1, 5)]
    syspro = with_places(rows)

    found = list(odata_reader(syspro, page_size=2).read(entity, EVERYTHING))

    assert [row["line"] for page in found for row in page] == [1, 2, 3, 4]
    assert "OpenDate gt 2026-06-01T00:00:00+01:00" in filters(syspro)[0]


def test_a_link_is_followed_with_the_token_of_now() -> None:
    syspro = with_places(places(7), cap=3, links=True)

    assert len(read(odata_reader(syspro))) == 7

    asked = syspro.urls("/Place")
    assert len(asked) == 3
    assert all(url.count("UserId=") == 1 and f"UserId={FIRST}" in url for url in asked)
    assert "$skip=6" in asked[2]


@pytest.mark.parametrize(
    "host",
    [
        "https://evil.example",
        "http://erp.example",
        "https://erp.example:444",
        "https://erp.example@evil.example",
        "//evil.example",
        "https://[",
    ],
)
def test_a_link_to_another_host_is_not_followed_and_reading_goes_on_by_key(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    syspro = with_places(places(7), cap=3, links=True, link_host=host)

    assert [row["line"] for row in read(odata_reader(syspro))] == list(range(7))

    assert {request.url.host for request in syspro.requests} == {"erp.example"}
    assert {request.url.scheme for request in syspro.requests} == {"https"}
    assert "leads to another host; not followed" in caplog.text
    assert FIRST not in caplog.text


def test_a_relative_link_is_followed() -> None:
    syspro = with_places(places(7), cap=3, links=True, link_host="")

    assert len(read(odata_reader(syspro))) == 7
    assert len(syspro.urls("$skip=")) == 2


def test_a_silent_cap_below_the_page_size_loses_nothing() -> None:
    assert len(read(odata_reader(with_places(places(20), cap=7)))) == 20


def test_pages_are_asked_for_only_as_they_are_taken() -> None:
    syspro = with_places(places(50))
    pages = odata_reader(syspro, page_size=10).read(PLACES, EVERYTHING)

    assert len(next(pages)) == 9
    assert len(syspro.urls("/Place")) == 1
    assert len(next(pages)) == 9
    assert len(syspro.urls("/Place")) == 2


@pytest.mark.parametrize("nameless", [1, 2])
def test_a_row_without_a_key_at_the_end_of_a_page_stops_loudly(nameless: int) -> None:
    rows = [*places(3 - nameless), *[place("A", 9) | {"Area": None}] * nameless]
    page = httpx.Response(200, content=exact_json({"value": rows}))
    reader = odata_reader(FakeSyspro(failures=[("/Place", page)]), page_size=3)

    with pytest.raises(BadRow, match=r"column area: found None, expected a value"):
        read(reader)

    assert len(reader.rejected) == 1


@pytest.mark.parametrize("size", [0, 5001])
def test_a_page_size_the_service_would_refuse_is_refused_at_once(size: int) -> None:
    with pytest.raises(ValueError, match=f"page_size: found {size}, expected 1 to 5000"):
        odata_reader(FakeSyspro(), size)


# Keys


def test_rows_are_read_by_key_in_requests_that_fit_an_address() -> None:
    rows = [place(f"{n:015}", 1) for n in range(300)]
    syspro = with_places(rows)
    wanted = [(f"{n:015}", 1) for n in range(0, 300, 2)]

    found = read(odata_reader(syspro), Keys(("area", "line"), wanted))

    assert keys(found) == wanted
    asked = syspro.urls("/Place")
    assert 2 <= len(asked) <= 10
    assert max(len(url.partition("?")[2]) for url in asked) < 2000
    assert max(len(url.partition("$filter=")[2].partition("&")[0]) for url in asked) < 1800


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=lambda entity: entity.name)
def test_no_entity_needs_a_longer_address_than_servers_take(entity: Any) -> None:
    types = {column.source: suitable_types(column)[0] for column in entity.columns}
    numbers = {"Edm.Decimal"}
    rows = [
        {
            source: Decimal(n) if edm in numbers else None if "Date" in edm else f"{n:020}"
            for source, edm in types.items()
        }
        for n in range(60)
    ]
    syspro = FakeSyspro(types={entity.entity_set: types}, tables={entity.entity_set: rows})
    column = entity.column(entity.key[-1])
    values = [(row[column.source],) for row in rows]

    found = odata_reader(syspro, page_size=3).read(entity, Keys((column.name,), values))

    assert sum(map(len, found)) == 60
    asked = [url.partition("?")[2] for url in syspro.urls(f"/{entity.entity_set}?")]
    assert max(map(len, asked)) < 2000


def test_a_filter_that_is_too_large_for_the_service_is_halved_once_and_for_all() -> None:
    rows = [place(f"{n:05}", line) for n in range(90) for line in range(3)]
    syspro = with_places(rows, most_comparisons=17)
    reader = odata_reader(syspro, page_size=20)
    orders = Keys(("area",), [(f"{n:05}",) for n in range(90)])

    assert len(read(reader, orders)) == 270
    syspro.requests.clear()
    assert sorted(keys(read(reader, orders))) == [(r["Area"], r["Line"]) for r in rows]


def test_a_filter_refused_in_the_middle_goes_on_from_the_last_key() -> None:
    rows = [place(f"{n:05}", line) for n in range(17) for line in range(4)]
    syspro = with_places(rows, most_comparisons=17)

    found = read(
        odata_reader(syspro, page_size=10), Keys(("area",), [(f"{n:05}",) for n in range(17)])
    )

    assert sorted(keys(found)) == [(r["Area"], r["Line"]) for r in rows]


def test_a_refusal_that_is_not_about_size_surfaces() -> None:
    syspro = with_places(places(1), most_comparisons=0)

    with pytest.raises(SysproRefused, match="HTTP 400: The node count limit"):
        read(odata_reader(syspro), Keys(("line",), [(1,), (2,), (3,)]))


def test_whole_keys_are_read_with_one_request_and_each_once() -> None:
    syspro = with_places(places(5))
    wanted = Keys(("area", "line"), [("A", 1), ("A ", 1), ("A", Decimal(2))])

    assert keys(read(odata_reader(syspro), wanted)) == [("A", 1), ("A", 2)]
    assert len(syspro.urls("/Place")) == 1


def test_no_keys_are_no_request() -> None:
    syspro = with_places(places(5))

    assert read(odata_reader(syspro), Keys(("area",), [])) == []
    assert syspro.urls("/Place") == []


def test_a_key_of_another_length_and_a_range_backwards_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found 1 value\(s\) for the columns area, line"):
        Keys(("area", "line"), [("A",)])
    with pytest.raises(ValueError, match="found 2026-02-01 after 2026-01-01"):
        DateRange("opened", date(2026, 2, 1), date(2026, 1, 1))


# Failures


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut off"),
        httpx.Response(500),
        httpx.Response(503),
        httpx.Response(429),
        httpx.Response(200, text="<!doctype html>maintenance"),
        httpx.Response(200, text='{"value": [{"Area": "A"'),
        httpx.Response(200, text='{"value": [{"Amount": NaN}]}'),
        httpx.Response(200, text='{"value": {}}'),
        httpx.Response(200, text="[]"),
        httpx.Response(200, content=b"\xff\xfe\x00"),
    ],
)
@pytest.mark.parametrize("links", [False, True])
def test_a_page_that_fails_is_asked_again_and_nothing_is_lost_or_doubled(
    failure: Exception | httpx.Response, links: bool
) -> None:
    syspro = with_places(places(20), cap=6, links=links)
    pages = odata_reader(syspro).read(PLACES, EVERYTHING)
    found = next(pages)
    syspro.failures = [("/Place", failure)] * 2

    for page in pages:
        found += page

    assert [row["line"] for row in found] == list(range(20))
    assert syspro.failures == []


def test_a_page_that_keeps_failing_is_an_error_after_the_good_pages() -> None:
    syspro = with_places(places(20))
    pages = odata_reader(syspro, page_size=5).read(PLACES, EVERYTHING)

    assert len(next(pages)) == 4
    syspro.failures = [("/Place", httpx.Response(502))] * 99
    with pytest.raises(
        SysproUnavailable, match=r"/Place \(places\): answers HTTP 502 \(after 5"
    ):
        next(pages)


@pytest.mark.parametrize("lost_status", [200, 401])
@pytest.mark.parametrize("links", [False, True])
@pytest.mark.parametrize("at", range(2, 7))
def test_a_session_lost_in_the_middle_is_renewed_and_no_row_lost_or_doubled(
    at: int, links: bool, lost_status: int
) -> None:
    syspro = with_places(
        places(20), cap=6, links=links, lost_status=lost_status, expire_before={at}
    )

    found = read(odata_reader(syspro))

    assert [row["line"] for row in found] == list(range(20))
    assert syspro.logons == 2
    used = [url.rpartition("UserId=")[2] for url in syspro.urls("/Place")]
    assert used == sorted(used)
    assert used.count(SECOND) >= 1


def test_a_lost_session_makes_links_worthless() -> None:
    syspro = with_places(places(9), cap=3, links=True, expire_before={4})

    assert len(read(odata_reader(syspro))) == 9

    after_renewal = next(url for url in syspro.urls("/Place") if SECOND in url)
    assert "$skip" not in after_renewal
    assert "Line%20gt%201" in after_renewal


def test_a_session_lost_twice_in_a_row_surfaces() -> None:
    syspro = with_places(places(3))
    reader = odata_reader(syspro)
    read(reader)
    lost = httpx.Response(200, text=LOST)
    syspro.failures = [("/Place", lost), ("/Place", lost)]

    with pytest.raises(SessionLost, match=r"OData /Place \(places\): ERROR"):
        read(reader)

    assert syspro.logons == 2


def test_a_service_that_knows_no_session_token_is_named() -> None:
    syspro = FakeSyspro(failures=[("metadata", httpx.Response(401))] * 2)

    with pytest.raises(
        SessionLost, match=r"HTTP 401 to the session token; .*odata_auth to bas"
    ):
        odata_reader(syspro).check([PLACES])


def test_wrong_credentials_of_basic_authentication_are_not_tried_again() -> None:
    syspro = FakeSyspro(failures=[("metadata", httpx.Response(401, text="odata-secret"))])

    with pytest.raises(LogonRefused, match="HTTP 401") as caught:
        read(basic_reader(syspro))

    assert len(syspro.requests) == 1
    assert "odata-secret" not in str(caught.value)


def test_basic_authentication_is_a_header_and_never_a_parameter() -> None:
    syspro = with_places(places(3))

    read(basic_reader(syspro))

    assert {request.headers["authorization"] for request in syspro.requests} == {
        "Basic bWxjQGV4YW1wbGU6b2RhdGEtc2VjcmV0"
    }
    assert not syspro.urls("UserId")


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (httpx.Response(403), LogonRefused, "HTTP 403"),
        (httpx.Response(404, text=f"no {FIRST}"), SysproUnavailable, "HTTP 404"),
        (httpx.Response(400, json={"error": "x"}), SysproUnavailable, "HTTP 400"),
        (
            httpx.Response(400, json={"error": {"message": f"bad {FIRST} token"}}),
            SysproRefused,
            r"HTTP 400: bad \*\*\* token",
        ),
        (httpx.Response(200, text="ERROR: Key not found"), SysproRefused, "Key not found"),
        (httpx.Response(302, headers={"location": "/x"}), SysproUnavailable, "redirect"),
    ],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(
    answer: httpx.Response, kind: type[SysproError], text: str
) -> None:
    syspro = with_places(places(3))
    reader = odata_reader(syspro)
    reader.check([PLACES])
    syspro.failures = [("/Place", answer)]

    with pytest.raises(kind, match=text) as caught:
        read(reader)

    assert len(syspro.urls("/Place")) == 1
    assert FIRST not in f"{caught.value} {caught.value!r}"


# Metadata


def test_metadata_is_read_once_and_checked_before_any_row() -> None:
    syspro = with_places(places(3))
    reader = odata_reader(syspro)
    missing = replace(PLACES, name="others", entity_set="Other")

    assert reader.check([PLACES, replace(missing, optional=True)]) == ["others"]
    with pytest.raises(MetadataMismatch, match="others: found no entity set Other"):
        reader.check([PLACES, missing])
    with pytest.raises(MetadataMismatch, match="others: found no entity set Other"):
        list(reader.read(missing, EVERYTHING))
    with pytest.raises(MetadataMismatch, match="others: found no entity set Other"):
        list(reader.read(replace(missing, optional=True), EVERYTHING))
    read(reader)

    assert len(syspro.urls("$metadata")) == 1
    assert len(syspro.urls("/Other")) == 0


def test_metadata_that_is_none_is_asked_for_again_and_then_said() -> None:
    syspro = FakeSyspro(failures=[("$metadata", httpx.Response(200, text="{}"))] * 5)

    with pytest.raises(SysproUnavailable, match="answers not XML, expected CSDL"):
        odata_reader(syspro).check([PLACES])

    assert len(syspro.urls("$metadata")) == 5


def test_an_optional_column_that_is_there_is_read() -> None:
    types = {"Place": PLACE_TYPES | {"Note": "Edm.String"}}
    syspro = with_places([place("A", 1, Note="x")], types=types)

    assert read(odata_reader(syspro))[0]["note"] == "x"


# Secrets


def test_no_token_or_password_reaches_a_log_or_a_representation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    syspro = with_places(places(9), cap=4, links=True, expire_before={4})
    syspro.failures = [("/Place", httpx.Response(500))]
    session = session_of(syspro, MemoryStore())
    session.open("cycle")
    auth, basic = SessionAuth(session), BasicAuth("mlc@example", "odata-secret")

    with ODataReader(
        ODATA_URL, "DEMO", auth, transport=syspro.transport, backoff_seconds=0
    ) as reader:
        read(reader)
    session.close()

    assert "/Place?…" in caplog.text
    for text in (caplog.text, repr(auth), repr(basic), repr(reader)):
        for secret in (FIRST, SECOND, "odata-secret", "geheim", "UserId"):
            assert secret not in text
    assert "mlc@example" in repr(basic)


def test_the_entities_of_the_product_can_be_read() -> None:
    wanted = (SUPPLIERS, PURCHASE_ORDER_LINES, RECEIPTS)
    types = {
        entity.entity_set: {c.source: suitable_types(c)[-1] for c in entity.columns}
        for entity in wanted
    }
    assert odata_reader(FakeSyspro(types=types)).check(wanted) == []
