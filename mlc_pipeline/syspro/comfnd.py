"""Reads a company's tables through the e.net business object COMFND, where OData is not.

Document and answer: the recorded COMFND exchange of the public syspro-ruby client and
SYSPRO's sample. Table and column names are SQL names, case-sensitive; there is no offset
and no description of a table, so pages go by key and columns are taken from a first row.

What must not come in: which rows are wanted and why, staging.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Final
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, tostring

from mlc_pipeline.syspro.enet import EnetClient
from mlc_pipeline.syspro.entities import Column, Entity
from mlc_pipeline.syspro.errors import MetadataMismatch, SysproRefused
from mlc_pipeline.syspro.paging import Fetch, Link, Page, Paging
from mlc_pipeline.syspro.reader import (
    DateRange,
    Keys,
    KeyValue,
    RejectedRow,
    Row,
    Where,
    is_wanted,
)
from mlc_pipeline.syspro.rows import RawRow, RowReader
from mlc_pipeline.syspro.session import Session

_Comparison = tuple[str, str, str]
_AnyOf = Sequence[Sequence[_Comparison]]
"""Column, condition, value; all of an inner list must hold, for any of the lists."""

_DECLARATION: Final = '<?xml version="1.0" encoding="Windows-1252"?>'
# Windows' HTTP service refuses a request line above 16 KB by default.
_LONGEST_DOCUMENT: Final = 12_000


class ComfndReader:
    """Reads one company; a `Reader`. Not for several threads at once.

    It asks less of the service than `ODataReader`: `Missing` reads the whole table, because
    how COMFND compares with a null date is not published.

    Args:
        client: the e.net service.
        session: an open session.
        page_size: rows per request.
    """

    rejected: list[RejectedRow]

    def __init__(self, client: EnetClient, session: Session, page_size: int = 1000) -> None:
        self.rejected = []
        self._client = client
        self._session = session
        self._paging = Paging(page_size)
        self._columns: dict[str, frozenset[str]] = {}

    @property
    def calls(self) -> int:
        """How many requests the service got."""
        return self._client.calls

    def check(self, entities: Iterable[Entity]) -> list[str]:
        """Return the names of the optional entities that the company does not have.

        The columns of an empty table cannot be checked; SYSPRO names them when it is read.

        Raises:
            MetadataMismatch: every required table and column that is missing.
            SysproError: SYSPRO could not be asked.
        """
        absent: list[str] = []
        problems: list[str] = []
        for entity in entities:
            try:
                problems += self._missing_columns(entity)
            except SysproRefused as error:
                if entity.optional:
                    absent.append(entity.name)
                else:
                    problems.append(
                        f"{entity.name}: SYSPRO does not give {entity.entity_set} "
                        f"({error.problem}): set syspro.entities.{entity.name}.entity_set in "
                        "connection.yaml"
                    )
        if problems:
            raise MetadataMismatch(problems)
        return absent

    def read(self, entity: Entity, where: Where) -> Iterator[list[Row]]:
        """Yield the rows in pages of at most `page_size`, in key order, each row once.

        Rows that cannot be read go to `rejected`, and reading goes on.

        Raises:
            MetadataMismatch: the company does not have the entity as described.
            SysproError: SYSPRO could not be asked.
        """
        if self.check([entity]):
            raise MetadataMismatch([f"{entity.name}: found no table {entity.entity_set}"])
        rows = RowReader(entity, self._present(entity))
        for raws in self._raw_pages(rows, where):
            page = [row for row in rows.read(raws, self.rejected) if is_wanted(row, where)]
            if page:
                yield page

    def _missing_columns(self, entity: Entity) -> list[str]:
        present = self._present(entity)
        needed = {*entity.key, entity.date_column}
        return [
            f"{entity.name}: found no column {column.source} in {entity.entity_set}: set "
            f"syspro.entities.{entity.name}.columns.{column.name} in connection.yaml"
            for column in entity.columns
            if column.source not in present
            and not (column.optional and column.name not in needed)
        ]

    def _present(self, entity: Entity) -> frozenset[str]:
        """Return the columns of a table, as its first row shows them; all when it has none."""
        known = self._columns.get(entity.entity_set)
        if known is None:
            rows = self._ask(entity, _document(entity.entity_set, 1))
            if not rows:
                return frozenset(column.source for column in entity.columns)
            known = self._columns[entity.entity_set] = frozenset(rows[0])
        return known

    def _raw_pages(self, rows: RowReader, where: Where) -> Iterator[list[RawRow]]:
        if isinstance(where, Keys):
            yield from self._pages_by_key(rows, where)
            return
        any_of: _AnyOf = [[]]
        if isinstance(where, DateRange):
            source = rows.entity.column(where.column).source
            after_last = where.last + timedelta(days=1)
            any_of = [[(source, "GE", _text(where.first)), (source, "LT", _text(after_last))]]
        yield from self._paging.pages(rows, self._fetch(rows, any_of))

    def _pages_by_key(self, rows: RowReader, keys: Keys) -> Iterator[list[RawRow]]:
        sources = [rows.entity.column(name).source for name in keys.columns]
        waiting = deque(
            [(source, "EQ", _text(part)) for source, part in zip(sources, value, strict=True)]
            for value in keys.distinct()
        )
        while waiting:
            chunk = [waiting.popleft()]
            while (
                waiting
                and len(chunk) < self._paging.at_once
                and self._fits(rows, [*chunk, waiting[0]])
            ):
                chunk.append(waiting.popleft())
            yield from self._paging.pages_of_any(
                rows,
                chunk,
                lambda part: self._fetch(rows, part),
                whole=keys.whole(rows.entity),
            )

    def _fits(self, rows: RowReader, any_of: _AnyOf) -> bool:
        return len(quote(self._query(rows, any_of), safe="")) <= _LONGEST_DOCUMENT

    def _fetch(self, rows: RowReader, any_of: _AnyOf) -> Fetch:
        def fetch(last: RawRow | None, _: Link | None) -> Page:
            where = any_of if last is None else _and_after(any_of, rows.key, last)
            if len(any_of) > 1 and not self._fits(rows, where):
                raise SysproRefused("the condition is too long for one request")
            return Page(self._ask(rows.entity, self._query(rows, where)))

        return fetch

    def _query(self, rows: RowReader, any_of: _AnyOf) -> str:
        return _document(
            rows.entity.entity_set,
            self._paging.page_size,
            rows.sources,
            any_of,
            [column.source for column in rows.key],
        )

    def _ask(self, entity: Entity, document: str) -> list[RawRow]:
        root = self._session.call(
            lambda token: self._client.query(token, "COMFND", document, entity=entity.name)
        )
        return [{cell.tag: cell.text or "" for cell in row} for row in root.iter("Row")]


def _text(value: KeyValue) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)


def _and_after(any_of: _AnyOf, key: Sequence[Column], last: RawRow) -> _AnyOf:
    """Return the condition for the rows that also come after a row, in key order.

    Brackets inside brackets are not shown in any sample, so each list is complete in itself.
    """
    equal = [(column.source, "EQ", _value(last, column)) for column in key]
    later = [
        [*equal[:n], (column.source, "GT", _value(last, column))]
        for n, column in enumerate(key)
    ]
    return [[*all_of, *step] for all_of in any_of for step in later]


def _value(row: RawRow, column: Column) -> str:
    text = str(row[column.source])
    return text if column.kind in ("key", "text") else text.strip()


def _document(
    table: str,
    most: int,
    columns: Sequence[str] = (),
    any_of: _AnyOf = (),
    order: Sequence[str] = (),
) -> str:
    """Return a COMFND query; no columns means all."""
    root = Element(
        "Query",
        {
            "xmlns:xsd": "http://www.w3.org/2001/XMLSchema-instance",
            "xsd:noNamespaceSchemaLocation": "COMFND.XSD",
        },
    )
    SubElement(root, "TableName").text = table
    SubElement(root, "ReturnRows").text = str(most)
    SubElement(root, "AllColumns").text = "N" if columns else "Y"
    _list(root, "Columns", columns)
    _where(root, any_of)
    _list(root, "OrderBy", order)
    return _DECLARATION + tostring(root, encoding="unicode")


def _list(root: Element, name: str, columns: Sequence[str]) -> None:
    if columns:
        parent = SubElement(root, name)
        for column in columns:
            SubElement(parent, "Column").text = column


def _where(root: Element, any_of: _AnyOf) -> None:
    if not any(any_of):
        return
    where = SubElement(root, "Where")
    for all_of in any_of:
        for n, (column, condition, value) in enumerate(all_of):
            expression = SubElement(where, "Expression")
            if len(where) > 1:
                SubElement(expression, "AndOr").text = "And" if n else "Or"
            if n == 0:
                SubElement(expression, "OpenBracket").text = "("
            SubElement(expression, "Column").text = column
            SubElement(expression, "Condition").text = condition
            SubElement(expression, "Value").text = value
            if n == len(all_of) - 1:
                SubElement(expression, "CloseBracket").text = ")"
