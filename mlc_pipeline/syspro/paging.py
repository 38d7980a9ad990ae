"""Reads a result page by page by its key, so that no row is lost and none comes twice.

The next page starts after the last key handed out, which holds while rows come and go;
counting rows to skip would not. What a server may do without saying so is allowed for: a
cap on rows below the page size, links that stop at `$top`, a key that is not unique.

What must not come in: HTTP, what a row means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from mlc_pipeline.syspro.errors import MetadataMismatch, SysproRefused, SysproUnavailable
from mlc_pipeline.syspro.rows import RawRow, RowReader


@dataclass(frozen=True)
class Link:
    """Where a server said that its result goes on.

    Attributes:
        url: the address, without the session token.
        owner: what the request proved itself with; the link is of no use to another.
    """

    url: str = field(repr=False)
    owner: str = field(repr=False)


@dataclass(frozen=True)
class Page:
    """One answer.

    Attributes:
        rows: its rows, in key order.
        link: where it goes on; None when the server did not say, or said nothing usable.
        followed: whether it is what a link led to, else the answer to a request of our own.
        more: whether the server said that there are more rows.
    """

    rows: list[RawRow]
    link: Link | None = None
    followed: bool = False
    more: bool = False


C = TypeVar("C")

Fetch = Callable[[RawRow | None, Link | None], Page]
"""Fetches the page after a row (None: the first), by the link when it can still be used."""


_NO_BOUND_KNOWN = 10_000


class Paging:
    """Pages through results; one for all reads of a reader.

    Attributes:
        page_size: rows that each request asks for; at least 2, because a page of one row
            could not show that another row has the same key.
        at_once: conditions that a service is known to take in one request.
    """

    def __init__(self, page_size: int) -> None:
        self.page_size = max(page_size, 2)
        self.at_once = _NO_BOUND_KNOWN
        self._largest: dict[str, int] = {}

    def pages(
        self,
        reader: RowReader,
        fetch: Fetch,
        *,
        after: RawRow | None = None,
        most: int | None = None,
    ) -> Iterator[list[RawRow]]:
        """Yield every row once, in key order; rows of one key come in the same list.

        Rows up to `after` are left out; `most` is how many rows there can be at all, when
        that is known.

        Raises:
            MetadataMismatch: the key is not unique enough to go on.
            SysproUnavailable: the server repeats itself.
        """
        handed = after
        link: Link | None = None
        first: tuple[object, ...] | None = None
        carried: list[RawRow] = []
        arrived = 0
        while True:
            page = fetch(handed, link)
            rows = [*carried, *page.rows] if page.followed else page.rows
            arrived = len(page.rows) + (arrived if page.followed else 0)
            if rows and first is None:
                first = reader.key_of(rows[0])
            elif handed is not None and not page.followed:
                _must_advance(reader, rows, first)
            if not self._goes_on(reader, page, arrived, most):
                yield rows
                return
            if page.followed and page.link == link:
                raise _repeats(reader)
            link = page.link
            rows, carried = self._split(reader, rows, linked=link is not None)
            if rows:
                yield rows
                handed = rows[-1]

    def pages_of_any(
        self,
        reader: RowReader,
        conditions: Sequence[C],
        fetch: Callable[[Sequence[C]], Fetch],
        *,
        whole: bool,
        after: RawRow | None = None,
    ) -> Iterator[list[RawRow]]:
        """Yield the rows that meet any of the conditions; `whole`: one row each at most.

        A service may bound the size of a condition (ASP.NET OData: 100 nodes, about 17
        comparisons). How far is not published, so what is refused is halved, and reading
        goes on from the last key.

        Raises:
            SysproRefused: a single condition was refused.
        """
        most = len(conditions) if whole else None
        try:
            for raws in self.pages(reader, fetch(conditions), after=after, most=most):
                yield raws
                after = raws[-1] if raws else after
        except SysproRefused:
            half = len(conditions) // 2
            if not half:
                raise
            self.at_once = min(half, self.at_once)
        else:
            return
        for part in (conditions[:half], conditions[half:]):
            yield from self.pages_of_any(reader, part, fetch, whole=whole, after=after)

    def _goes_on(self, reader: RowReader, page: Page, arrived: int, most: int | None) -> bool:
        name = reader.entity.entity_set
        largest = self._largest.get(name, 0)
        self._largest[name] = max(largest, len(page.rows))
        if page.more:
            return True
        if arrived >= self.page_size:
            # The rows asked for have come: a server that gives links ends them here too
            # (OData: $top counts across all pages).
            return True
        if page.followed or (most is not None and arrived >= most):
            return False
        # A short page without a word is the end, unless the server caps pages silently. A
        # cap shows in the largest page ever seen: what is smaller was not cut off.
        return 0 < arrived >= largest

    def _split(
        self, reader: RowReader, rows: list[RawRow], *, linked: bool
    ) -> tuple[list[RawRow], list[RawRow]]:
        """Part the rows of the last key, of which the next page may bring more.

        They are carried over to a linked page; a request of our own fetches them again.
        """
        if not rows:
            if linked:
                return [], []
            raise _repeats(reader)
        last = reader.key_of(rows[-1])
        if None in last:
            # No condition on the key would bring it again: going on from it must fail.
            return rows, []
        cut = len(rows)
        while cut and reader.key_of(rows[cut - 1]) == last:
            cut -= 1
        if cut or (linked and len(rows) <= self.page_size):
            return rows[:cut], rows[cut:]
        if len(rows) > 1:
            raise MetadataMismatch([_not_a_key(reader, rows)])
        return rows, []


def _must_advance(
    reader: RowReader, rows: list[RawRow], first: tuple[object, ...] | None
) -> None:
    if rows and reader.key_of(rows[0]) == first:
        raise _repeats(reader)


def _repeats(reader: RowReader) -> SysproUnavailable:
    return SysproUnavailable(
        f"{reader.entity.name}: the server gives the same page again, as if it did not apply "
        "the filter on the key",
        transient=False,
    )


def _not_a_key(reader: RowReader, rows: list[RawRow]) -> str:
    name = reader.entity.name
    return (
        f"{name}: a whole page of {len(rows)} rows has the key {reader.key_text(rows[0])}: "
        f"name columns that tell rows apart under syspro.entities.{name}.key"
    )
