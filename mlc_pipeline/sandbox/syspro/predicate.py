"""Conditions on SYSPRO columns as SQL text with bound parameters.

A literal need not be a possible value of its column (12.345 against two decimals, noon
against a date): it is rounded down and the operator adjusted, so the answer stays exact.

What must not come in: OData or e.net syntax.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Literal, cast

from mlc_pipeline.sandbox.syspro.tables import Column
from mlc_pipeline.sandbox.syspro.values import Stored, scaled

Operator = Literal["eq", "ne", "gt", "ge", "lt", "le"]

Operand = str | Decimal | datetime | None
"""The right side: str for a text column, Decimal for a number, aware datetime for a date."""

_SYMBOLS = {"eq": "=", "ne": "IS NOT", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@dataclass(frozen=True)
class Sql:
    """A piece of SQL and the values bound to its question marks."""

    text: str
    parameters: tuple[Stored, ...] = ()


FALSE = Sql("0")
TRUE = Sql("1")


def comparison(column: Column, operator: Operator, literal: Operand) -> Sql:
    """Return the condition `column operator literal`.

    Midnight UTC is the day itself. As in OData, null equals only null, differs from
    everything else, and is neither less nor greater.
    """
    if literal is None:
        nulls = {"eq": f"{column.quoted} IS NULL", "ne": f"{column.quoted} IS NOT NULL"}
        return Sql(nulls.get(operator, FALSE.text))
    stored, exact = _rounded_down(column, literal)
    if not exact:
        if operator in ("eq", "ne"):
            return FALSE if operator == "eq" else TRUE
        operator = "gt" if operator in ("gt", "ge") else "le"
    return Sql(f"{column.quoted} {_SYMBOLS[operator]} ?", (stored,))


def _rounded_down(column: Column, literal: str | Decimal | datetime) -> tuple[str | int, bool]:
    if isinstance(literal, datetime):
        utc = literal.astimezone(UTC)
        return utc.date().isoformat(), utc.time() == time()
    if isinstance(literal, Decimal):
        stored, exact = scaled(literal, column.scale)
        beyond = 10**column.length  # no stored number reaches it; SQLite integers end at 2^63
        return max(-beyond, min(beyond, stored)), exact
    return literal, True


def joined(word: Literal["and", "or"], parts: Sequence[Sql]) -> Sql:
    """Return the parts joined by AND or OR, in parentheses."""
    text = f" {word.upper()} ".join(part.text for part in parts)
    return Sql(f"({text})", tuple(p for part in parts for p in part.parameters))


def after(order: Sequence[tuple[Column, bool]], last: Sequence[Stored]) -> Sql:
    """Return the condition for rows that sort after `last`.

    `order` holds columns with True where descending and ends with the whole primary key;
    `last` the stored values of those columns in the last row seen. Null sorts lowest.
    """
    alternatives = []
    equal: list[Sql] = []
    for (column, descending), value in zip(order, last, strict=True):
        alternatives.append(joined("and", [*equal, _beyond(column, descending, value)]))
        equal.append(Sql(f"{column.quoted} IS ?", (value,)))
    return joined("or", alternatives)


def _beyond(column: Column, descending: bool, value: Stored) -> Sql:
    name = column.quoted
    if value is None:
        return FALSE if descending else Sql(f"{name} IS NOT NULL")
    if descending:
        return Sql(f"({name} < ? OR {name} IS NULL)", (value,))
    return Sql(f"{name} > ?", (value,))


def operator_named(text: str) -> Operator | None:
    """Return the operator of that name, None when there is none."""
    return cast("Operator", text) if text in _SYMBOLS else None
