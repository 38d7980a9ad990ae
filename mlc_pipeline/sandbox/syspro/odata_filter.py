"""`$filter` of OData 4 as far as the stand-in speaks it, translated to SQL.

Comparisons of a column with a literal, `and`, `or`, parentheses. Literals: text in single
quotes ('' is a quote), decimal numbers, `null`, and dates as the Edm type asks:
`2026-01-31` for Edm.Date, `2026-01-31T00:00:00Z` for Edm.DateTimeOffset.

What must not come in: HTTP, other query options.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, cast

from mlc_pipeline.sandbox.syspro.predicate import (
    Operand,
    Operator,
    Sql,
    comparison,
    joined,
    operator_named,
)
from mlc_pipeline.sandbox.syspro.tables import Column, Table

# SQLite's parser and expression tree end at 100 and 1,000; an OData service has limits too.
MOST_NESTED = 25
MOST_COMPARISONS = 500

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<parenthesis>[()])
      | (?P<text>'(?:[^']|'')*')
      | (?P<instant>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))
      | (?P<date>\d{4}-\d\d-\d\d)(?![\w:])
      | (?P<number>-?\d+(?:\.\d+)?)(?![\w.])
      | (?P<name>[A-Za-z_]\w*)
    )""",
    re.VERBOSE,
)


class FilterError(ValueError):
    """A `$filter` the service refuses; the text says what and where."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def _tokens(text: str) -> list[_Token]:
    tokens = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise FilterError(f"syntax error at position {position} in '{text}'")
        kind = cast("str", match.lastgroup)
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return tokens


def to_sql(text: str, table: Table, date_type: str) -> Sql:
    """Translate a `$filter` on a table; `date_type` is the Edm type of its dates.

    Raises:
        FilterError: bad syntax, unknown column, a literal that does not suit the column.
    """
    return _Parser(text, table, date_type).parse()


class _Parser:
    """Recursive descent: or < and < comparison or parentheses."""

    def __init__(self, text: str, table: Table, date_type: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._table = table
        self._date_type = date_type
        self._depth = 0
        self._comparisons = 0

    def parse(self) -> Sql:
        condition = self._junction("or")
        if self._tokens:
            raise self._unexpected(self._tokens[0])
        return condition

    def _junction(self, word: Literal["and", "or"]) -> Sql:
        part = self._primary if word == "and" else self._conjunction
        parts = [part()]
        while self._tokens and self._tokens[0].text == word:
            self._tokens.pop(0)
            parts.append(part())
        return parts[0] if len(parts) == 1 else joined(word, parts)

    def _conjunction(self) -> Sql:
        return self._junction("and")

    def _primary(self) -> Sql:
        token = self._next()
        if token.text == "(":
            return self._parenthesised()
        if token.kind != "name":
            raise self._unexpected(token)
        return self._comparison(token)

    def _parenthesised(self) -> Sql:
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise FilterError(f"the filter nests deeper than {MOST_NESTED} parentheses")
        condition = self._junction("or")
        closing = self._next()
        if closing.text != ")":
            raise self._unexpected(closing)
        self._depth -= 1
        return condition

    def _comparison(self, name: _Token) -> Sql:
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            raise FilterError(f"the filter has more than {MOST_COMPARISONS} comparisons")
        column = self._table.by_name.get(name.text)
        if column is None:
            raise FilterError(
                f"Could not find a property named '{name.text}' on type '{self._table.name}'"
            )
        operator = self._operator()
        literal = self._next()
        return comparison(column, operator, self._operand(column, literal))

    def _operator(self) -> Operator:
        token = self._next()
        operator = operator_named(token.text)
        if operator is None:
            raise self._unexpected(token)
        return operator

    def _operand(self, column: Column, token: _Token) -> Operand:
        """Return the literal as the column's kind; kinds are never converted."""
        if token.kind == "name" and token.text == "null" and column.kind != "rowversion":
            return None
        kind, read = self._literal_of(column)
        if token.kind != kind:
            raise FilterError(
                f"property '{column.name}' of type '{edm_type(column, self._date_type)}' "
                f"cannot be compared with {token.text}"
            )
        try:
            return read(token.text)
        except (ValueError, OverflowError):
            raise FilterError(f"{token.text} is not a calendar date") from None

    def _literal_of(self, column: Column) -> tuple[str, Callable[[str], Operand]]:
        """Return the kind of token a column is compared with and how it is read."""
        if column.kind == "date":
            return "date" if self._date_type == "Edm.Date" else "instant", _instant
        if column.kind == "number":
            return "number", Decimal
        return "text" if column.kind == "text" else "nothing", _unquoted

    def _next(self) -> _Token:
        if not self._tokens:
            raise FilterError(f"unexpected end of '{self._text}'")
        return self._tokens.pop(0)

    def _unexpected(self, token: _Token) -> FilterError:
        return FilterError(
            f"'{token.text}' is not expected at position {token.position} in '{self._text}'"
        )


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def edm_type(column: Column, date_type: str) -> str:
    """Return the Edm type of a column."""
    return {
        "text": "Edm.String",
        "number": "Edm.Decimal",
        "date": date_type,
        "rowversion": "Edm.Binary",
    }[column.kind]
