"""A small SYSPRO for these tests: e.net and OData behind one `httpx.MockTransport`.

It keeps its own state and reads the wire by itself, so that what the clients send is judged
by something they did not write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

import defusedxml.ElementTree as SafeXml
import httpx

from mlc_pipeline.syspro.enet import EnetClient
from mlc_pipeline.syspro.entities import Column, Entity
from mlc_pipeline.syspro.errors import OperatorBusy
from mlc_pipeline.syspro.odata import BasicAuth, ODataReader, SessionAuth
from mlc_pipeline.syspro.session import Credentials, Session, StoredSession

ENET_URL = "https://erp.example/SYSPROWCFService/Rest"
ODATA_URL = "https://erp.example/SYSPRO8Odata/SYSPROOData"
LOST = "ERROR: Unable to read the SYSPRO base directory registry string BaseDir8"

OPERATOR_PASSWORD = "geheim+&word"
COMPANY_PASSWORD = "c0mpany pass"
Test = Callable[[dict[str, Any]], bool]

CREDENTIALS = Credentials("MLCSYNC", OPERATOR_PASSWORD, "DEMO", COMPANY_PASSWORD)

PLACES = Entity(
    "places",
    "Place",
    ("area", "line"),
    (
        Column("area", "Area", "key"),
        Column("line", "Line", "integer"),
        Column("name", "Name", "text"),
        Column("opened", "OpenDate", "date"),
        Column("amount", "Amount", "value"),
        Column("price", "Price", "price"),
        Column("note", "Note", "text", optional=True),
    ),
    date_column="opened",
)
PLACE_TYPES = {
    "Area": "Edm.String",
    "Line": "Edm.Decimal",
    "Name": "Edm.String",
    "OpenDate": "Edm.DateTimeOffset",
    "Amount": "Edm.Decimal",
    "Price": "Edm.Decimal",
}


def place(area: str, line: int, **values: Any) -> dict[str, Any]:
    return {
        "Area": area,
        "Line": Decimal(line),
        "Name": "",
        "OpenDate": None,
        "Amount": Decimal("0.00"),
        "Price": Decimal("0.00000"),
        **values,
    }


@dataclass
class FakeSyspro:
    """Answers requests; its fields are the state, and what a test turns.

    `failures` are consumed by the requests whose raw URL contains the text: an exception is
    raised, a response is given instead of the answer.
    """

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    types: dict[str, dict[str, str]] = field(default_factory=lambda: {"Place": PLACE_TYPES})
    cap: int = 5000
    links: bool = False
    link_host: str = "https://erp.example"
    most_comparisons: int = 1000
    failures: list[tuple[str, BaseException | httpx.Response]] = field(default_factory=list)
    needs_token: bool = True
    lost_status: int = 200
    tokens: set[str] = field(default_factory=set)
    logons: int = 0
    logoffs: list[str] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    expire_before: set[int] = field(default_factory=set)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    def urls(self, part: str = "") -> list[str]:
        """The raw addresses that were asked for."""
        found = [f"{r.url.host}{r.url.raw_path.decode()}" for r in self.requests]
        return [url for url in found if part in url]

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if len(self.requests) in self.expire_before:
            self.tokens.clear()
        raw = request.url.raw_path.decode()
        for index, (part, failure) in enumerate(self.failures):
            if part in raw:
                del self.failures[index]
                if isinstance(failure, BaseException):
                    raise failure
                return failure
        path, _, query = raw.partition("?")
        options = {unquote(k): unquote(v) for k, v in _pairs(query)}
        if path.startswith("/SYSPRO8Odata"):
            return self._odata(unquote(path.rpartition("/")[2]), options, request)
        return self._enet(path.rpartition("/")[2].casefold(), options)

    def _enet(self, route: str, options: dict[str, str]) -> httpx.Response:
        if route == "logon":
            self.logons += 1
            # One session per operator: a logon ends the one before.
            self.tokens = {f"{self.logons:032X}00"}
            return _text(*self.tokens)
        if route == "logoff":
            self.logoffs.append(options["UserId"])
            if options["UserId"] not in self.tokens:
                return _text(LOST)
            self.tokens.remove(options["UserId"])
            return _text("0")
        if route == "query":
            if options["UserId"] not in self.tokens:
                return _text(LOST)
            assert options["BusinessObject"] == "COMFND"
            return self._comfnd(SafeXml.fromstring(options["XmlIn"]))
        raise AssertionError(f"unexpected route {route}")

    def _comfnd(self, query: Element) -> httpx.Response:
        """Answer as recorded exchanges do: padded numbers, Windows-1252, no nulls."""
        table = query.findtext("TableName", "")
        if table not in self.tables:
            return _text(f"ERROR: Table '{table}' not found")
        rows = list(filter(expressions(query), self.tables[table]))
        if order := [column.text for column in query.findall("OrderBy/Column")]:
            rows.sort(key=lambda row: [row[column] for column in order])
        rows = rows[: min(int(query.findtext("ReturnRows", "")), self.cap)]
        asked = [column.text for column in query.findall("Columns/Column")]
        cells = [
            "".join(f"<{c}>{_cell(row[c])}</{c}>" for c in asked or row if c is not None)
            for row in rows
        ]
        body = "".join(f"<Row>\n{cell}\n</Row>\n" for cell in cells)
        return _text(
            f'<?xml version="1.0" encoding="Windows-1252"?>\n<{table} Language=\'05\'>'
            f"<HeaderDetails><TableName>{table}</TableName></HeaderDetails>\n{body}"
            f"<RowsReturned>{len(rows):8}</RowsReturned></{table}>\n "
        )

    def _odata(
        self, name: str, options: dict[str, str], request: httpx.Request
    ) -> httpx.Response:
        if self.needs_token and options.get("UserId") not in self.tokens:
            return httpx.Response(self.lost_status, text=LOST)
        if name == "$metadata":
            return httpx.Response(200, text=csdl(self.types))
        if name not in self.types:
            return _error(404, f"no entity set {name}")
        if options.get("$filter", "").count(" eq ") > self.most_comparisons:
            return _error(400, "The node count limit of '100' has been exceeded.")
        return self._rows(name, options, request)

    def _rows(
        self, name: str, options: dict[str, str], request: httpx.Request
    ) -> httpx.Response:
        matches = matcher(options["$filter"]) if "$filter" in options else lambda _: True
        order = options["$orderby"].split(",")
        rows = sorted(
            filter(matches, self.tables.get(name, [])),
            key=lambda row: [row[column] for column in order],
        )
        rows = rows[int(options.get("$skip", 0)) :]
        top = int(options["$top"])
        page = rows[: min(top, self.cap)]
        select = options["$select"].split(",")
        document: dict[str, Any] = {
            "value": [{k: row[k] for k in select if k in row} for row in page]
        }
        if self.links and len(page) < min(len(rows), top):
            # As ASP.NET OData does: every option again, what is left of $top, a $skip.
            raw = request.url.raw_path.decode()
            raw = re.sub(r"&\$(top|skip)=\d+", "", raw)
            skip = int(options.get("$skip", 0)) + len(page)
            document["@odata.nextLink"] = (
                f"{self.link_host}{raw}&$top={top - len(page)}&$skip={skip}"
            )
        return httpx.Response(200, content=exact_json(document))


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    if "+" in query:
        raise AssertionError("a space must travel as %20")
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        yield name, value


def _text(text: str) -> httpx.Response:
    return httpx.Response(
        200,
        content=text.encode("cp1252"),
        headers={"content-type": "application/octet-stream"},
    )


def _cell(value: object) -> str:
    if value is None:
        return "0000-00-00"
    return f"{value:15f}" if isinstance(value, Decimal) else escape(str(value))


def expressions(query: Element) -> Test:
    """Read the Where of a COMFND query: AND binds tighter than OR, brackets as given."""
    words = []
    for n, expression in enumerate(query.findall("Where/Expression")):
        if n:
            words.append(expression.findtext("AndOr", "").lower())
        literal = expression.findtext("Value", "")
        if PLACE_TYPES[expression.findtext("Column", "")] == "Edm.String":
            literal = "'" + literal.replace("'", "''") + "'"
        words.append(
            f"{expression.findtext('OpenBracket', '')}{expression.findtext('Column')} "
            f"{expression.findtext('Condition', '').lower()} {literal}"
            f"{expression.findtext('CloseBracket', '')}"
        )
    return matcher(" ".join(words)) if words else lambda _: True


def _error(status: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": "", "message": message}})


def exact_json(document: object) -> bytes:
    """JSON with Decimals as exact numbers."""
    numbers: list[str] = []

    def number(value: object) -> str:
        assert isinstance(value, Decimal)
        numbers.append(f"{value:f}")
        return f"\0{len(numbers) - 1}\0"

    text = json.dumps(document, default=number)
    return re.sub(r'"\\u0000(\d+)\\u0000"', lambda m: numbers[int(m[1])], text).encode()


def csdl(types: dict[str, dict[str, str]]) -> str:
    entity_types = "".join(
        f'<EntityType Name="{name}">'
        + "".join(f'<Property Name="{c}" Type="{t}"/>' for c, t in columns.items())
        + "</EntityType>"
        for name, columns in types.items()
    )
    sets = "".join(f'<EntitySet Name="{n}" EntityType="Syspro.Model.{n}"/>' for n in types)
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
        '<edmx:DataServices><Schema Namespace="Syspro.Model" '
        f'xmlns="http://docs.oasis-open.org/odata/ns/edm">{entity_types}'
        f'<EntityContainer Name="C">{sets}</EntityContainer>'
        "</Schema></edmx:DataServices></edmx:Edmx>"
    )


_TOKEN = re.compile(
    r"\s*(?:(?P<bracket>[()])|'(?P<text>(?:[^']|'')*)'"
    r"|(?P<instant>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))|(?P<date>\d{4}-\d\d-\d\d)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>\w+))"
)


def matcher(text: str) -> Test:
    """Read a `$filter`: comparisons, `and`, `or`, parentheses."""
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None, f"cannot read {text[position:]!r}"
        kind = match.lastgroup or ""
        tokens.append((kind, match[kind]))
        position = match.end()

    def either() -> Test:
        tests = [both()]
        while tokens and tokens[0] == ("word", "or"):
            tokens.pop(0)
            tests.append(both())
        return lambda row: any(test(row) for test in tests)

    def both() -> Test:
        tests = [one()]
        while tokens and tokens[0] == ("word", "and"):
            tokens.pop(0)
            tests.append(one())
        return lambda row: all(test(row) for test in tests)

    def one() -> Test:
        if tokens[0] == ("bracket", "("):
            tokens.pop(0)
            test = either()
            assert tokens.pop(0) == ("bracket", ")")
            return test
        (_, column), (_, operator), (kind, literal) = (tokens.pop(0) for _ in range(3))
        return _comparison(column, operator, kind, literal)

    test = either()
    assert not tokens, f"left over: {tokens}"
    return test


def _comparison(column: str, operator: str, kind: str, literal: str) -> Test:
    if (kind, literal) == ("word", "null"):
        assert operator == "eq"
        return lambda row: row[column] is None
    read, wanted = {
        "text": (str, literal.replace("''", "'")),
        "number": (Decimal, literal),
        "instant": (datetime.fromisoformat, literal),
        "date": (lambda text: date.fromisoformat(text[:10]), literal),
    }[kind]
    right = wanted if kind == "text" else read(wanted)

    def test(row: dict[str, Any]) -> bool:
        if row[column] is None:
            return False
        left = read(row[column])
        return {
            "eq": left == right,
            "gt": left > right,
            "ge": left >= right,
            "lt": left < right,
            "le": left <= right,
        }[operator]

    return test


@dataclass
class MemoryStore:
    """A `SessionStore` in memory; `log` is what happened, in order."""

    stored: StoredSession | None = None
    log: list[str] = field(default_factory=list)
    mutex: Lock = field(default_factory=Lock)
    save_fails: bool = False

    def load(self) -> StoredSession | None:
        return self.stored

    def save(self, session: StoredSession) -> None:
        assert self.mutex.locked()
        if self.save_fails:
            raise OSError("disk full")
        self.log.append("save")
        self.stored = session

    def clear(self) -> None:
        assert self.mutex.locked()
        self.log.append("clear")
        self.stored = None

    @contextmanager
    def lock(self, wait_seconds: float) -> Iterator[None]:
        if not self.mutex.acquire(timeout=wait_seconds):
            raise OperatorBusy("the operator MLCSYNC is held by another cycle")
        try:
            yield
        finally:
            self.mutex.release()


def enet_client(syspro: FakeSyspro) -> EnetClient:
    return EnetClient(ENET_URL, transport=syspro.transport, backoff_seconds=0)


def session_of(syspro: FakeSyspro, store: MemoryStore | None = None) -> Session:
    return Session(enet_client(syspro), CREDENTIALS, store or MemoryStore(), wait_seconds=0.01)


def odata_reader(syspro: FakeSyspro, page_size: int = 5000) -> ODataReader:
    """A reader with a session that is open."""
    session = session_of(syspro)
    session.open("cycle")
    return ODataReader(
        ODATA_URL,
        "DEMO",
        SessionAuth(session),
        page_size,
        transport=syspro.transport,
        backoff_seconds=0,
    )


def basic_reader(syspro: FakeSyspro) -> ODataReader:
    syspro.needs_token = False
    return ODataReader(
        ODATA_URL,
        "DEMO",
        BasicAuth("mlc@example", "odata-secret"),
        transport=syspro.transport,
        backoff_seconds=0,
    )


def parameters(request: httpx.Request) -> dict[str, str]:
    return dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
