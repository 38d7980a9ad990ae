"""Pages by key: every row once and in order, whatever a server does without saying so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.syspro.errors import MetadataMismatch, SysproUnavailable
from mlc_pipeline.syspro.paging import Link, Page, Paging
from mlc_pipeline.syspro.rows import RawRow, RowReader
from mlc_pipeline_tests.syspro.services import PLACE_TYPES, PLACES, place

READER = RowReader(PLACES, PLACE_TYPES)


@dataclass
class Server:
    """Serves rows in key order.

    Attributes:
        cap: most rows it gives, without saying so or with a link.
        links: whether it says so.
        forgets: numbers of the requests at which it no longer knows a link.
    """

    rows: Sequence[RawRow]
    top: int
    cap: int = 10_000
    links: bool = False
    forgets: frozenset[int] = frozenset()
    asked: list[RawRow | None] = field(default_factory=list)
    largest: int = 0

    def __call__(self, last: RawRow | None, link: Link | None) -> Page:
        self.asked.append(last)
        followed = link is not None and len(self.asked) not in self.forgets
        if followed:
            assert link is not None
            start, left = map(int, link.url.split("/"))
        else:
            key = READER.key_of(last) if last is not None else None
            later = [
                i for i, row in enumerate(self.rows) if not key or READER.key_of(row) > key
            ]
            start, left = (later or [len(self.rows)])[0], self.top
        page = list(self.rows[start : start + min(left, self.cap)])
        self.largest = max(self.largest, len(page))
        rest = min(left, len(self.rows) - start) - len(page)
        linked = self.links and rest > 0
        return Page(
            page,
            Link(f"{start + len(page)}/{left - len(page)}", "me") if linked else None,
            followed=followed,
            more=linked,
        )


def sorted_rows(keys: list[tuple[str, int]]) -> list[dict[str, Any]]:
    return [place(area, line, Name=f"{n}") for n, (area, line) in enumerate(sorted(keys))]


KEYS = st.lists(
    st.tuples(st.sampled_from(["", "A", "B'", "B+", "C d", "é"]), st.integers(0, 9)),
    unique=True,
    max_size=30,
)


@settings(deadline=None)
@given(KEYS, st.integers(1, 12), st.integers(1, 12), st.booleans(), st.sets(st.integers(1, 20)))
def test_every_row_comes_exactly_once_and_in_order(
    keys: list[tuple[str, int]], page_size: int, cap: int, links: bool, forgets: set[int]
) -> None:
    rows = sorted_rows(keys)
    paging = Paging(page_size)

    for _ in range(2):  # the second read knows how large a page can be
        server = Server(rows, paging.page_size, cap, links, frozenset(forgets))
        pages = list(paging.pages(READER, server))

        assert [row for page in pages for row in page] == rows
        assert all(len(page) <= page_size for page in pages)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 5)), max_size=25),
    st.integers(2, 12),
    st.booleans(),
)
def test_rows_of_one_key_come_together_or_reading_stops_loudly(
    keys: list[tuple[str, int]], page_size: int, links: bool
) -> None:
    rows = sorted_rows(keys)
    server = Server(rows, page_size, cap=max(2, page_size // 2), links=links)

    try:
        pages = list(Paging(page_size).pages(READER, server))
    except MetadataMismatch:
        assert max(keys.count(key) for key in keys) >= 2
        return

    assert [row for page in pages for row in page] == rows
    for page, following in pairwise(pages):
        if page and following:
            assert READER.key_of(page[-1]) != READER.key_of(following[0])


def test_rows_after_a_given_one_are_read() -> None:
    rows = sorted_rows([("A", n) for n in range(9)])

    pages = Paging(2).pages(READER, Server(rows, 2), after=rows[4])

    assert [row for page in pages for row in page] == rows[5:]


def test_nothing_read_is_one_request() -> None:
    server = Server([], 10)

    assert list(Paging(10).pages(READER, server)) == [[]]
    assert server.asked == [None]


def test_a_short_page_is_looked_behind_only_until_a_larger_one_was_seen() -> None:
    paging, rows = Paging(10), sorted_rows([("A", n) for n in range(9)])
    first, second, third = Server(rows[:5], 10), Server(rows[:4], 10), Server(rows[:6], 10)

    for server in (first, second, third):
        assert sum(map(len, paging.pages(READER, server))) == len(server.rows)

    assert [len(first.asked), len(second.asked), len(third.asked)] == [2, 1, 2]


def test_as_many_rows_as_there_can_be_are_not_looked_behind() -> None:
    server = Server(sorted_rows([("A", 1), ("A", 2)]), 10)

    assert sum(map(len, Paging(10).pages(READER, server, most=2))) == 2
    assert len(server.asked) == 1


def test_a_link_is_followed_to_the_end_without_another_request() -> None:
    server = Server(sorted_rows([("A", n) for n in range(9)]), 100, cap=4, links=True)

    assert sum(map(len, Paging(100).pages(READER, server))) == 9
    assert len(server.asked) == 3


def test_a_page_of_one_key_cannot_be_gone_on_from() -> None:
    rows = [place("A", 1, Name=str(n)) for n in range(7)]

    with pytest.raises(MetadataMismatch, match=r"3 rows has the key area=A, line=1"):
        list(Paging(3).pages(READER, Server(rows, 3)))


def test_linked_pages_of_one_key_stop_before_they_fill_the_memory() -> None:
    rows = [place("A", 1, Name=str(n)) for n in range(700)]
    server = Server(rows, 5, cap=2, links=True)

    with pytest.raises(MetadataMismatch, match=r"syspro\.entities\.places\.key"):
        list(Paging(5).pages(READER, server))
    assert len(server.asked) <= 4


def test_a_server_that_ignores_the_key_filter_is_found_out() -> None:
    rows = sorted_rows([("A", n) for n in range(9)])

    with pytest.raises(SysproUnavailable, match="same page again"):
        list(Paging(3).pages(READER, lambda *_: Page(rows[:3])))


def test_a_server_that_links_to_the_same_page_is_found_out() -> None:
    link = Link("same", "me")
    rows = iter(sorted_rows([("A", n) for n in range(9)]))

    def fetch(last: RawRow | None, followed: Link | None) -> Page:
        return Page([next(rows)], link, followed=followed is not None, more=True)

    with pytest.raises(SysproUnavailable, match="same page again"):
        list(Paging(3).pages(READER, fetch))


def test_an_empty_page_with_an_unusable_link_is_found_out() -> None:
    with pytest.raises(SysproUnavailable, match="same page again"):
        list(Paging(3).pages(READER, lambda *_: Page([], more=True)))


def test_memory_holds_no_more_than_a_page() -> None:
    held = 0

    def fetch(last: RawRow | None, _: Link | None) -> Page:
        nonlocal held
        start = int(Decimal(str(last["Line"]))) + 1 if last else 0
        held = max(held, start - handed)
        return Page([place("A", n) for n in range(start, min(start + 50, 1000))])

    handed = 0
    for page in Paging(50).pages(READER, fetch):
        handed += len(page)

    assert handed == 1000
    assert held <= 1


def test_a_link_shows_neither_address_nor_token() -> None:
    assert repr(Link("https://erp.example/x?$skiptoken=1", "UserId=T")) == "Link()"
