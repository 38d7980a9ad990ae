"""From a row as SYSPRO sent it to a typed row; what cannot be read is set aside.

Values are never rounded, shifted or guessed: a number with more decimals than its column
has, or a date that is none, rejects its row.

What must not come in: HTTP, paging.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import groupby
from typing import Final

from mlc_pipeline.syspro.entities import SCALES, Column, Entity
from mlc_pipeline.syspro.errors import BadRow
from mlc_pipeline.syspro.reader import RejectedRow, Row

RawRow = Mapping[str, object]
"""A row by physical column names; numbers are Decimal or text, all else is text or None."""

Value = str | Decimal | date | None

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
# SYSPRO keeps dates at midnight, without a zone: an offset has no meaning, and another time
# than midnight is a midnight that somebody shifted, perhaps off its day.
_DATE: Final = re.compile(r"(\d{4}-\d\d-\d\d)([T ](?P<time>[\d:.]*).*)?")
_MIDNIGHT: Final = re.compile(r"00:00(:00(\.0+)?)?")
_NO_DATE: Final = "0000-00-00"
_MISSING: Final = object()


class RowReader:
    """Reads the rows of one entity as one customer has it.

    Args:
        entity: the logical entity.
        present: physical columns the customer has; an optional column that is not among
            them reads as None.
    """

    def __init__(self, entity: Entity, present: Collection[str]) -> None:
        self.entity = entity
        self._columns = [column for column in entity.columns if column.source in present]
        self._absent = [
            column.name for column in entity.columns if column.source not in present
        ]
        self._fields = [(column, _conversion(column, entity)) for column in self._columns]
        self._key = [entity.column(name) for name in entity.key]

    @property
    def sources(self) -> tuple[str, ...]:
        """Physical columns to ask for, each once."""
        return tuple(dict.fromkeys(column.source for column in self._columns))

    @property
    def key(self) -> tuple[Column, ...]:
        """The key columns, in key order."""
        return tuple(self._key)

    def key_of(self, raw: RawRow) -> tuple[object, ...]:
        """Return what tells rows apart; trailing blanks do not, as in SQL."""
        return tuple(_comparable(raw.get(column.source)) for column in self._key)

    def read(self, raws: Iterable[RawRow], rejected: list[RejectedRow]) -> Iterator[Row]:
        """Yield the rows of a page; those that cannot be read go to `rejected`.

        Rows of one key stand together. Identical ones are one row; rows that differ are all
        rejected, because none of them can be trusted.
        """
        for _, group in groupby(raws, self.key_of):
            same = list(group)
            if len(same) > 1 and self._differing(same):
                message = self._not_unique(self._differing(same), len(same))
                rejected.extend(self._rejection(raw, message) for raw in same)
                continue
            try:
                yield self._row(same[0])
            except BadRow as error:
                rejected.append(self._rejection(same[0], str(error)))

    def key_text(self, raw: RawRow) -> str:
        """Return the key for a message, such as `supplier=000012, invoice=A1`."""
        parts = ((column, _plain(raw.get(column.source))) for column in self._key)
        return ", ".join(
            f"{column.name}={text.strip() if column.kind in SCALES else text.rstrip(' ')}"
            for column, text in parts
        )

    def bad(self, raw: RawRow, column: Column, found: object, expected: str) -> BadRow:
        """Return the error for a value that cannot be read."""
        return BadRow(self.entity.name, self.key_text(raw), column.name, found, expected)

    def _row(self, raw: RawRow) -> Row:
        row: Row = dict.fromkeys(self._absent)
        for column, convert in self._fields:
            found = raw.get(column.source, _MISSING)
            if found is _MISSING:
                raise self.bad(raw, column, None, "the column: may the operator see it?")
            try:
                row[column.name] = convert(found)
            except ValueError as error:
                raise self.bad(raw, column, found, str(error)) from None
        return row

    def _differing(self, raws: list[RawRow]) -> list[str]:
        return [
            source
            for source in self.sources
            if any(raw.get(source) != raws[0].get(source) for raw in raws)
        ]

    def _not_unique(self, columns: list[str], count: int) -> str:
        return (
            f"{self.entity.name}: {count} rows have this key and differ in "
            f"{', '.join(columns)}; name columns that tell rows apart under "
            f"syspro.entities.{self.entity.name}.key in connection.yaml"
        )

    def _rejection(self, raw: RawRow, message: str) -> RejectedRow:
        shown = {source: raw.get(source) for source in self.sources}
        text = json.dumps(shown, default=_plain, ensure_ascii=False)
        # NUL, which COBOL data may hold, is valid JSON but no text for a database.
        text = text.replace("\\u0000", "\N{REPLACEMENT CHARACTER}")
        return RejectedRow(self.entity.name, self.key_text(raw), text, message)


def _comparable(value: object) -> object:
    return value.rstrip(" ") if isinstance(value, str) else value


def _plain(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _conversion(column: Column, entity: Entity) -> Callable[[object], Value]:
    if column.kind in SCALES:
        convert: Callable[[object], Value] = partial(_number, *SCALES[column.kind])
    elif column.kind == "date":
        convert = read_date
    elif column.kind == "key" or column.name in entity.key:
        convert = _key
    else:
        convert = _text
    return partial(_required, convert) if column.name in entity.key else convert


def _required(convert: Callable[[object], Value], raw: object) -> Value:
    value = convert(raw)
    if value is None:
        raise ValueError("a value, because it is part of the key")
    return value


def _key(raw: object) -> str | None:
    if raw is None:
        return None
    if not isinstance(raw, str) or "\0" in raw:
        raise ValueError("text")
    return raw.rstrip(" ")


def _text(raw: object) -> str | None:
    if raw is None:
        return None
    if not isinstance(raw, str):
        raise ValueError("text")  # noqa: TRY004 - one kind of error for what is no value
    return raw.replace("\0", " ").strip() or None


def read_date(raw: object) -> date | None:
    """Return the day that a value names; None for no date.

    Raises:
        ValueError: what was expected instead.
    """
    text = raw.strip() if isinstance(raw, str) else raw
    if text is None or text == "" or str(text).startswith(_NO_DATE):
        return None
    match = _DATE.fullmatch(text) if isinstance(text, str) else None
    try:
        day = date.fromisoformat(match[1] if match else "")
    except ValueError:
        raise ValueError("a date such as 2026-01-31") from None
    if match and match["time"] is not None and not _MIDNIGHT.fullmatch(match["time"]):
        raise ValueError(
            "midnight, as SYSPRO keeps its dates: the service shifts them to another time "
            "zone, so the day may be wrong; let it answer in the zone of its database"
        )
    return day


def _number(precision: int, scale: int, raw: object) -> Decimal | None:
    if raw is None:
        return None
    number = _decimal(raw)
    if number is None or not _fits(number, precision, scale):
        digits = f"{precision - scale} digits before and {scale} after the point"
        raise ValueError(f"a number of at most {digits}")
    return number


def _decimal(raw: object) -> Decimal | None:
    if isinstance(raw, Decimal):
        return raw if raw.is_finite() else None
    if isinstance(raw, str) and _NUMBER.fullmatch(raw.strip()):
        return Decimal(raw.strip())
    return None


def _fits(number: Decimal, precision: int, scale: int) -> bool:
    if not number:
        return True
    _, digits, exponent = number.as_tuple()
    decimals = -int(exponent)
    while decimals > scale and digits[-1] == 0:
        digits = digits[:-1]
        decimals -= 1
    return decimals <= scale and number.adjusted() < precision - scale
