"""Business object COMFND: rows of one table by a condition, read with Query/Query.

Table and column names are SQL names, case-sensitive. There is no offset: a reader pages by
asking for keys greater than the last (SYSPRO e.net sample). `LIKE` takes `*` and `?`.

What must not come in: HTTP, sessions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from xml.etree.ElementTree import Element

from mlc_pipeline.sandbox.syspro.enet_xml import (
    EnetError,
    document,
    element,
    field,
    parse,
    text_of,
    writer,
)
from mlc_pipeline.sandbox.syspro.predicate import TRUE, Operand, Sql, comparison, operator_named
from mlc_pipeline.sandbox.syspro.store import Store
from mlc_pipeline.sandbox.syspro.tables import Column, Table
from mlc_pipeline.sandbox.syspro.values import is_date

# SQLite's parser and expression tree end at 100 and 1,000.
_MOST_OPEN = 25
_MOST_EXPRESSIONS = 500


def find(store: Store, tables: Mapping[str, Table], xml_in: str, empty_date: str) -> bytes:
    """Answer a COMFND query.

    Raises:
        EnetError: the document, a name, a condition or a value cannot be taken.
    """
    query = parse(xml_in, "XmlIn")
    table = tables.get(text_of(query, "TableName"))
    if table is None:
        raise EnetError(f"Table '{text_of(query, 'TableName')}' not found")
    columns = _columns(query, table)
    rows = store.select(
        table, columns, _where(query, table), _order(query, table), limit=_limit(query)
    )
    header = element("HeaderDetails", field("TableName", table.name))
    body = _rows(rows, columns, empty_date)
    returned = field("RowsReturned", f"{len(rows):8d}")
    return document(table.name, f"{header}\n{body}{returned}\n")


def _rows(rows: list[tuple[Any, ...]], columns: Sequence[Column], empty_date: str) -> str:
    writers = [(column.name, writer(column, empty_date)) for column in columns]
    return "".join(
        "<Row>"
        + "".join(
            [
                f"<{name}>{write(value)}</{name}>"
                for (name, write), value in zip(writers, row, strict=True)
            ]
        )
        + "</Row>\n"
        for row in rows
    )


def _column(name: str | None, table: Table) -> Column:
    column = table.by_name.get(name or "")
    if column is None:
        raise EnetError(f"Column '{name or ''}' not found on table '{table.name}'")
    return column


def _columns(query: Element, table: Table) -> tuple[Column, ...]:
    if text_of(query, "AllColumns").strip() == "Y":
        return table.columns
    names = [item.text for item in query.findall("Columns/Column")]
    if not names:
        raise EnetError("No columns were selected; give Columns or AllColumns 'Y'")
    return tuple(_column(name, table) for name in names)


def _limit(query: Element) -> int:
    text = text_of(query, "ReturnRows").strip()
    if not text:
        return -1
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise EnetError(f"ReturnRows '{text}' is not numeric")
    return int(text)


def _order(query: Element, table: Table) -> list[tuple[Column, bool]]:
    """Read OrderBy/Column and Sequence/Column[@Name, @Orderby='D' for descending]."""
    order = [(_column(item.text, table), False) for item in query.findall("OrderBy/Column")]
    order += [
        (_column(item.get("Name"), table), item.get("Orderby") == "D")
        for item in query.findall("Sequence/Column")
    ]
    return order


def _where(query: Element, table: Table) -> Sql:
    """Chain the expressions as SQL does: AND binds tighter than OR, brackets as given."""
    expressions = query.findall("Where/Expression")
    if len(expressions) > _MOST_EXPRESSIONS:
        raise EnetError(f"More than {_MOST_EXPRESSIONS} expressions")
    text = ""
    parameters: tuple[Any, ...] = ()
    depth = 0
    for number, expression in enumerate(expressions):
        opening = _brackets(expression, "OpenBracket", "(")
        closing = _brackets(expression, "CloseBracket", ")")
        condition = _condition(expression, table)
        depth += len(opening)
        if depth > _MOST_OPEN or depth < len(closing):
            raise EnetError("The brackets of the expressions do not match")
        depth -= len(closing)
        word = _word(expression) if number else ""
        text += f"{word}{opening}{condition.text}{closing}"
        parameters += condition.parameters
    if depth:
        raise EnetError("The brackets of the expressions do not match")
    return Sql(text, parameters) if expressions else TRUE


def _word(expression: Element) -> Literal[" AND ", " OR "]:
    word = text_of(expression, "AndOr").strip().upper()
    if word not in ("AND", "OR"):
        raise EnetError(f"AndOr '{word}' must be And or Or")
    return " AND " if word == "AND" else " OR "


def _brackets(expression: Element, name: str, bracket: str) -> str:
    text = text_of(expression, name).strip()
    if text.strip(bracket):
        raise EnetError(f"{name} '{text}' must be '{bracket}'")
    return text


def _condition(expression: Element, table: Table) -> Sql:
    column = _column(text_of(expression, "Column"), table)
    condition = text_of(expression, "Condition").strip()
    value = text_of(expression, "Value")
    if condition == "LIKE":
        return _like(column, value)
    operator = operator_named(condition.lower())
    if operator is None or not condition.isupper():
        raise EnetError(f"Condition '{condition}' must be GT, GE, LT, LE, EQ, NE or LIKE")
    return comparison(column, operator, _operand(column, value))


def _like(column: Column, pattern: str) -> Sql:
    if column.kind != "text":
        raise EnetError(f"LIKE cannot be used with column '{column.name}'")
    # GLOB has the same * and ?, and is case-sensitive as the company's collation is.
    return Sql(f"{column.quoted} GLOB ?", (pattern.replace("[", "[[]"),))


def _operand(column: Column, value: str) -> Operand:
    if column.kind == "text":
        return value
    if column.kind == "date":
        return _moment(column, value.strip())
    if column.kind == "rowversion":
        raise EnetError(f"Column '{column.name}' cannot be compared")
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > 40:
        raise EnetError(f"Value '{value}' of column '{column.name}' is not numeric")
    return number


def _moment(column: Column, value: str) -> datetime | None:
    if not value:
        return None
    if not is_date(value):
        raise EnetError(
            f"Date '{value}' of column '{column.name}' is invalid; "
            "the format must be CCYY-MM-DD"
        )
    return datetime.fromisoformat(value).replace(tzinfo=UTC)
