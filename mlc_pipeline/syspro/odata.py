"""Reads a company's tables through SYSPRO OData: pages by key, exact values, no zones.

Facts: SYSPRO help and its published limits (OData 4.0, read-only, at most 5,000 rows a
request, `{service}/{company}/{table}`). What is not published is read from `$metadata`
(Edm types) or taken either way (`@odata.nextLink`). OData's own rules: OASIS OData 4.0.

What must not come in: which rows are wanted and why, staging.
"""

from __future__ import annotations

import base64
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import httpx

from mlc_pipeline.syspro import metadata
from mlc_pipeline.syspro.entities import Column, Entity
from mlc_pipeline.syspro.errors import (
    Call,
    LogonRefused,
    MetadataMismatch,
    SessionLost,
    SysproError,
    SysproRefused,
    SysproUnavailable,
)
from mlc_pipeline.syspro.paging import Fetch, Link, Page, Paging
from mlc_pipeline.syspro.reader import (
    DateRange,
    Everything,
    Keys,
    KeyValue,
    Missing,
    RejectedRow,
    Row,
    Where,
    is_wanted,
)
from mlc_pipeline.syspro.rows import RawRow, RowReader
from mlc_pipeline.syspro.session import Session
from mlc_pipeline.syspro.wire import (
    ATTEMPTS,
    BACKOFF_SECONDS,
    Answer,
    Wire,
    plain_text,
    refusal,
    shown,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_ROWS: Final = 5000
"""Rows that SYSPRO OData gives at most for one request."""

# IIS refuses a query string above 2,048 characters by default.
_LONGEST_QUERY: Final = 2000
_LONGEST_FILTER: Final = 1790
_ROOM_FOR_TOKEN: Final = 120
# SYSPRO's own OData service knows basic authentication only (SYSPRO help).
_SESSION_TOKEN: Final = "the session token; if this persists, set syspro.odata_auth to basic"  # noqa: S105
_TOKEN_PARAMETER: Final = "UserId"  # noqa: S105 - its name, not a token


@dataclass(frozen=True)
class Credential:
    """What one request proves itself with.

    Attributes:
        query: query parameter to append; may be empty.
        headers: HTTP headers.
        secrets: texts that no message may show.
        refused: the error that HTTP 401 means.
        name: what it is, for messages.
    """

    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    refused: type[SysproError] = LogonRefused
    name: str = "user and password (syspro.odata_auth: basic)"


class Auth(Protocol):
    """How a reader proves itself to OData."""

    def call(self, request: Callable[[Credential], T]) -> T:
        """Return `request(credential)`, once more when a session had to be renewed."""


@dataclass(frozen=True)
class SessionAuth:
    """The session token as `UserId` query parameter; a lost session is renewed once."""

    session: Session

    def call(self, request: Callable[[Credential], T]) -> T:
        """Return what the request returns, with a new session when the first was lost."""

        def with_token(token: str) -> T:
            query = f"{_TOKEN_PARAMETER}={quote(token, safe='')}"
            return request(Credential(query, {}, (token,), SessionLost, _SESSION_TOKEN))

        return self.session.call(with_token)


@dataclass(frozen=True)
class BasicAuth:
    """User name and password of an OData operator, in a header."""

    user: str
    password: str = field(repr=False)

    def call(self, request: Callable[[Credential], T]) -> T:
        """Return what the request returns."""
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        header = {"Authorization": f"Basic {pair}"}
        return request(Credential(headers=header, secrets=(self.password, pair)))


@dataclass(frozen=True)
class _Source:
    """An entity as this service has it.

    Attributes:
        rows: reads its rows.
        types: Edm type by physical column.
    """

    rows: RowReader
    types: Mapping[str, str]

    @property
    def entity(self) -> Entity:
        return self.rows.entity

    def literal(self, column: Column, value: object) -> str:
        """Return a value as an OData literal of the column's Edm type."""
        edm = self.types[column.source]
        if edm == metadata.TEXT:
            return "'" + str(value).replace("'", "''") + "'"
        if edm == metadata.INSTANT and isinstance(value, date):
            return f"{value.isoformat()}T00:00:00Z"
        return f"{value:f}" if isinstance(value, Decimal) else str(value)


class ODataReader:
    """Reads one company; a `Reader` and a context manager. Not for several threads at once.

    Args:
        odata_url: address of the service; company and entity set are appended.
        company: SYSPRO company id.
        auth: `SessionAuth` or `BasicAuth`.
        page_size: rows per request, 1 to 5,000.
        timeout_seconds: for each wait for bytes; a quarter for each step of the way there.
        transport: what carries the requests; None for the network.
        attempts: how often a page is asked for at most.
        backoff_seconds: upper bound of the first wait between two tries.

    Raises:
        ValueError: a page size outside these bounds.
    """

    rejected: list[RejectedRow]

    def __init__(
        self,
        odata_url: str,
        company: str,
        auth: Auth,
        page_size: int = MOST_ROWS,
        timeout_seconds: float = 60,
        transport: httpx.BaseTransport | None = None,
        *,
        attempts: int = ATTEMPTS,
        backoff_seconds: float = BACKOFF_SECONDS,
    ) -> None:
        if not 1 <= page_size <= MOST_ROWS:
            raise ValueError(f"page_size: found {page_size}, expected 1 to {MOST_ROWS}")
        self.rejected = []
        self._url = f"{odata_url.rstrip('/')}/{quote(company, safe='')}"
        self._auth = auth
        self._paging = Paging(page_size)
        self._wire = Wire(
            timeout_seconds, transport, attempts=attempts, backoff_seconds=backoff_seconds
        )
        self._entity_sets: metadata.EntitySets | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    @property
    def calls(self) -> int:
        """How many requests were sent."""
        return self._wire.calls

    def check(self, entities: Iterable[Entity]) -> list[str]:
        """Return the names of the optional entities that the company does not have.

        Raises:
            MetadataMismatch: every required entity and column that is missing or of a type
                that cannot hold it exactly.
            SysproError: `$metadata` could not be read.
        """
        return metadata.absent_optional(self._metadata(), entities)

    def read(self, entity: Entity, where: Where) -> Iterator[list[Row]]:
        """Yield the rows in pages of at most `page_size`, in key order, each row once.

        Rows that cannot be read go to `rejected`, and reading goes on. A page that fails is
        asked for again; when that does not help, the error comes after the pages before it.

        Raises:
            MetadataMismatch: the company does not have the entity as described.
            BadRow: a row without a key ends a page, so the next cannot be asked for.
            SysproError: SYSPRO could not be asked.
        """
        source = self._source(entity)
        for raws in self._raw_pages(source, where):
            rows = [
                row for row in source.rows.read(raws, self.rejected) if is_wanted(row, where)
            ]
            if rows:
                yield rows

    def _metadata(self) -> metadata.EntitySets:
        if self._entity_sets is None:
            call = Call("OData", "/$metadata")

            def parsed(credential: Credential) -> metadata.EntitySets:
                answer = self._get(f"{self._url}/$metadata", call, credential)
                try:
                    return metadata.parse(answer.body)
                except ValueError as error:
                    raise SysproUnavailable(f"answers {error}, expected CSDL", call) from None

            self._entity_sets = self._ask(parsed)
        return self._entity_sets

    def _source(self, entity: Entity) -> _Source:
        sets = self._metadata()
        if metadata.absent_optional(sets, [entity]):
            raise MetadataMismatch([f"{entity.name}: found no entity set {entity.entity_set}"])
        types = sets[entity.entity_set]
        return _Source(RowReader(entity, types), types)

    def _raw_pages(self, source: _Source, where: Where) -> Iterator[list[RawRow]]:
        if isinstance(where, Keys):
            yield from self._pages_by_key(source, where)
        else:
            fetch = self._fetch(source, _condition(source, where))
            yield from self._paging.pages(source.rows, fetch)

    def _pages_by_key(self, source: _Source, keys: Keys) -> Iterator[list[RawRow]]:
        columns = [source.entity.column(name) for name in keys.columns]
        whole = keys.whole(source.entity)
        waiting = deque(keys.distinct())
        while waiting:
            conditions = self._fitting(source, columns, waiting)
            for _ in conditions:
                waiting.popleft()
            yield from self._paging.pages_of_any(
                source.rows,
                conditions,
                lambda part: self._fetch(source, " or ".join(part)),
                whole=whole,
            )

    def _fitting(
        self, source: _Source, columns: Sequence[Column], values: Iterable[tuple[KeyValue, ...]]
    ) -> list[str]:
        """Return the conditions for as many of the keys as one request can carry."""
        room = self._room_for_keys(source)
        conditions: list[str] = []
        for value in values:
            parts = [
                f"{column.source} eq {source.literal(column, part)}"
                for column, part in zip(columns, value, strict=True)
            ]
            condition = parts[0] if len(parts) == 1 else f"({' and '.join(parts)})"
            room -= len(_encoded(f" or {condition}"))
            if conditions and (room < 0 or len(conditions) == self._paging.at_once):
                break
            conditions.append(condition)
        return conditions

    def _room_for_keys(self, source: _Source) -> int:
        """Return the characters left when the filter also has to name the last key."""
        sample: RawRow = {column.source: "9" * 20 for column in source.rows.key}
        last_key = len(_encoded(_both("()", _after(source, sample))))
        others = len(self._query(source, "")) + _ROOM_FOR_TOKEN
        return min(_LONGEST_FILTER, _LONGEST_QUERY - others) - last_key

    def _fetch(self, source: _Source, condition: str) -> Fetch:
        def fetch(last: RawRow | None, link: Link | None) -> Page:
            where = _both(condition, _after(source, last) if last is not None else "")
            return self._ask(lambda credential: self._page(source, where, link, credential))

        return fetch

    def _page(
        self, source: _Source, where: str, link: Link | None, credential: Credential
    ) -> Page:
        # After a lost session a link may be worth nothing: go on from the last key instead.
        if link is not None and link.owner == credential.query:
            url = link.url
        else:
            link = None
            url = (
                f"{self._url}/{quote(source.entity.entity_set, safe='')}"
                f"?{self._query(source, where)}"
            )
        call = Call("OData", f"/{source.entity.entity_set}", entity=source.entity.name)
        answer = self._get(url, call, credential)
        rows, next_url = _json(answer, call)
        return Page(
            rows,
            self._link(url, next_url, credential),
            followed=link is not None,
            more=next_url is not None,
        )

    def _query(self, source: _Source, where: str) -> str:
        options = {
            "$filter": where,
            "$select": ",".join(source.rows.sources),
            "$orderby": ",".join(column.source for column in source.rows.key),
            "$top": str(self._paging.page_size),
        }
        return "&".join(f"{name}={_encoded(text)}" for name, text in options.items() if text)

    def _link(self, url: str, next_url: object, credential: Credential) -> Link | None:
        """Return a link on our own host, without a token; None for any other.

        Behind a proxy a service may name a host of its own; no request goes there, and
        reading goes on by key.
        """
        if next_url is None:
            return None
        try:
            target = urlsplit(urljoin(url, str(next_url)))
            own = urlsplit(url)
            same = (target.scheme, target.netloc) == (own.scheme, own.netloc)
        except ValueError:
            same = False
        if not same:
            logger.warning("SYSPRO OData: @odata.nextLink leads to another host; not followed")
            return None
        parts = [
            part
            for part in target.query.split("&")
            if part.partition("=")[0].casefold() != _TOKEN_PARAMETER.casefold()
        ]
        plain = target._replace(query="&".join(parts), fragment="")
        return Link(urlunsplit(plain), credential.query)

    def _ask(self, request: Callable[[Credential], T]) -> T:
        return self._auth.call(
            lambda credential: self._wire.repeated(lambda: request(credential))
        )

    def _get(self, url: str, call: Call, credential: Credential) -> Answer:
        if credential.query:
            url += ("&" if urlsplit(url).query else "?") + credential.query
        answer = self._wire.get(url, call, credential.headers)
        if answer.status == httpx.codes.UNAUTHORIZED:
            raise credential.refused(f"answers HTTP 401 to {credential.name}", call)
        if answer.status == httpx.codes.FORBIDDEN:
            raise LogonRefused("answers HTTP 403", call)
        if answer.status >= httpx.codes.BAD_REQUEST:
            raise _refused(answer, call, credential)
        if error := refusal(plain_text(answer.body[:2000]), call, credential.secrets):
            raise error
        return answer


def _refused(answer: Answer, call: Call, credential: Credential) -> SysproError:
    """Return the error for HTTP 4xx: OData's own message when it is one."""
    try:
        message = json.loads(answer.body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        text = f"answers HTTP {answer.status}"
        return SysproUnavailable(text, call, transient=False)
    return SysproRefused(
        f"HTTP {answer.status}: {shown(str(message), credential.secrets)}", call
    )


def _json(answer: Answer, call: Call) -> tuple[list[RawRow], object]:
    """Return the rows of an answer and its `@odata.nextLink`, None when it has none."""
    try:
        document = json.loads(
            answer.body, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        raise SysproUnavailable("answers with something that is not JSON", call) from None
    rows = document.get("value") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SysproUnavailable("answers with JSON that holds no list of rows", call)
    return rows, document.get("@odata.nextLink")


def _no_number(name: str) -> Decimal:
    raise ValueError(f"{name} is no JSON number")


def _encoded(text: str) -> str:
    return quote(text, safe="(),':")


def _both(one: str, other: str) -> str:
    return f"({one}) and ({other})" if one and other else one or other


def _condition(source: _Source, where: Everything | DateRange | Missing) -> str:
    if isinstance(where, Everything):
        return ""
    column = source.entity.column(where.column)
    if isinstance(where, Missing):
        return f"{column.source} eq null"
    end = source.literal(column, where.last + timedelta(days=1))
    begin = source.literal(column, where.first)
    if source.types[column.source] == metadata.INSTANT:
        # A service may hold its dates in the server's zone (ASP.NET OData does by default):
        # midnight then lies up to 14 hours before, or 12 after, the same day in UTC. Rows
        # of the day before that come along are left out by `is_wanted`.
        begin = f"{(where.first - timedelta(days=1)).isoformat()}T10:00:00Z"
    return f"{column.source} ge {begin} and {column.source} lt {end}"


def _after(source: _Source, last: RawRow) -> str:
    """Return the condition for the keys that come after that of a row."""
    text = ""
    for column in reversed(source.rows.key):
        value = last.get(column.source)
        if value is None:
            raise source.rows.bad(last, column, value, "a value, because it is part of the key")
        literal = source.literal(column, value)
        greater = f"{column.source} gt {literal}"
        same = f"{column.source} eq {literal}"
        text = f"({greater}) or ({same} and {_grouped(text)})" if text else greater
    return text


def _grouped(text: str) -> str:
    return f"({text})" if " or " in text else text
