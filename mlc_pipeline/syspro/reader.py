"""What the product asks of SYSPRO's data: rows of a logical entity, page by page.

`ODataReader` and `ComfndReader` both give this interface, so that nothing else knows which
service the rows come from.

What must not come in: HTTP, OData or e.net syntax.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from mlc_pipeline.syspro.entities import Entity

Row = dict[str, str | Decimal | date | None]
"""A row by logical column names. `key` and key columns: text as stored but for trailing
blanks, '' when blank; `text`: stripped, None when blank; `date`: date or None; numbers:
exact Decimal; None also stands for an optional column the customer does not have."""

KeyValue = str | Decimal | int | date


@dataclass(frozen=True)
class Everything:
    """Every row."""


@dataclass(frozen=True)
class DateRange:
    """Rows whose date `column` lies between `first` and `last`, both included."""

    column: str
    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"{self.column}: found {self.first} after {self.last}")


@dataclass(frozen=True)
class Missing:
    """Rows whose date `column` is null."""

    column: str


@dataclass(frozen=True)
class Keys:
    """Rows whose `columns` have one of the `values`, one tuple per combination."""

    columns: tuple[str, ...]
    values: Sequence[tuple[KeyValue, ...]]

    def __post_init__(self) -> None:
        for value in self.values:
            if len(value) != len(self.columns):
                raise ValueError(
                    f"found {len(value)} value(s) for the columns {', '.join(self.columns)}"
                )

    def distinct(self) -> list[tuple[KeyValue, ...]]:
        """Return each combination once; trailing blanks do not tell keys apart, as in SQL."""
        trimmed = (
            tuple(part.rstrip(" ") if isinstance(part, str) else part for part in value)
            for value in self.values
        )
        return list(dict.fromkeys(trimmed))

    def whole(self, entity: Entity) -> bool:
        """Return whether each combination names one row at most."""
        return set(entity.key) <= set(self.columns)


Where = Everything | DateRange | Missing | Keys


def is_wanted(row: Row, where: Where) -> bool:
    """Return whether a row has the date asked for, whatever else a service sent along."""
    if isinstance(where, Missing):
        return row[where.column] is None
    if not isinstance(where, DateRange):
        return True
    day = row[where.column]
    return isinstance(day, date) and where.first <= day <= where.last


@dataclass(frozen=True)
class RejectedRow:
    """A row that could not be read; never dropped silently.

    Attributes:
        entity: logical entity.
        key: the row's key, such as `supplier=000012, invoice=A1`.
        raw: the row as it came, a JSON object whose numbers are text.
        message: what was found, what was expected, what to do.
    """

    entity: str
    key: str
    raw: str
    message: str


class Reader(Protocol):
    """Reads entities of one SYSPRO company.

    Attributes:
        rejected: rows that could not be read so far; the caller may empty it.
    """

    rejected: list[RejectedRow]

    @property
    def calls(self) -> int:
        """How many requests were sent."""

    def check(self, entities: Iterable[Entity]) -> list[str]:
        """Return the names of the optional entities that the customer does not have.

        Raises:
            MetadataMismatch: everything required that is missing, before a row is read.
            SysproError: the service could not be asked.
        """

    def read(self, entity: Entity, where: Where) -> Iterator[list[Row]]:
        """Yield the rows in pages, each row once, in the order of the entity's key.

        Rows by `Keys` are in key order within each request only. A failure in the middle
        is raised after the pages that came before it; read again from the start then.

        Raises:
            MetadataMismatch: the entity is not what `connection.yaml` says.
            SysproError: the service could not be asked.
        """
