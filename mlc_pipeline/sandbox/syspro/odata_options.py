"""Query options of an OData request, read from the raw query string.

A `+` is refused: strict servers take `%20` for a space and nothing else. Options without
`$` are custom and ignored here.

What must not come in: HTTP answers, SQL execution.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from mlc_pipeline.sandbox.syspro.odata_filter import FilterError, to_sql
from mlc_pipeline.sandbox.syspro.predicate import TRUE, Sql, after, joined
from mlc_pipeline.sandbox.syspro.tables import Column, Table
from mlc_pipeline.sandbox.syspro.values import Stored

_KNOWN = {"$filter", "$select", "$orderby", "$top", "$skip", "$skiptoken"}


class OptionError(ValueError):
    """Query options the service refuses with status 400."""


@dataclass(frozen=True)
class Options:
    """What a request asks of a table.

    Attributes:
        columns: columns to return, in the order asked for.
        where: the condition, with that of a `$skiptoken`.
        order: columns with True where descending; ends with the whole primary key.
        top: most rows of the whole result; None for all.
        skip: rows to leave out before.
    """

    columns: tuple[Column, ...]
    where: Sql
    order: tuple[tuple[Column, bool], ...]
    top: int | None
    skip: int


def raw_options(raw_query: str) -> dict[str, str]:
    """Split and unquote a raw query string.

    Raises:
        OptionError: a `+`, or an option given twice.
    """
    if "+" in raw_query:
        raise OptionError("a space in the query must be sent as %20, a plus sign as %2B")
    options: dict[str, str] = {}
    for pair in filter(None, raw_query.split("&")):
        name, _, value = pair.partition("=")
        if unquote(name) in options:
            raise OptionError(f"query option '{unquote(name)}' is given more than once")
        options[unquote(name)] = unquote(value)
    return options


def read(raw: dict[str, str], table: Table, date_type: str) -> Options:
    """Return the options of a request for a table.

    Raises:
        OptionError: an unknown option or column, a value that cannot be read.
    """
    unknown = sorted(name for name in raw if name.startswith("$") and name not in _KNOWN)
    if unknown:
        raise OptionError(f"query option '{unknown[0]}' is not supported")
    order = _order(raw.get("$orderby", ""), table)
    return Options(
        _selected(raw.get("$select", "*"), table),
        _where(raw, table, order, date_type),
        order,
        _count(raw, "$top"),
        _count(raw, "$skip") or 0,
    )


def _column(name: str, table: Table) -> Column:
    column = table.by_name.get(name)
    if column is None:
        raise OptionError(f"Could not find a property named '{name}' on type '{table.name}'")
    return column


def _selected(text: str, table: Table) -> tuple[Column, ...]:
    names = [name.strip() for name in text.split(",")]
    if "*" in names:
        return table.columns
    return tuple(_column(name, table) for name in dict.fromkeys(names))


def _order(text: str, table: Table) -> tuple[tuple[Column, bool], ...]:
    order: dict[Column, bool] = {}
    for item in text.split(",") if text.strip() else []:
        name, *direction = item.split() or [""]
        if direction not in ([], ["asc"], ["desc"]):
            raise OptionError(f"syntax error in $orderby at '{item.strip()}'")
        order.setdefault(_column(name, table), direction == ["desc"])
    for column in table.key:
        order.setdefault(column, False)
    return tuple(order.items())


def _where(
    raw: dict[str, str],
    table: Table,
    order: tuple[tuple[Column, bool], ...],
    date_type: str,
) -> Sql:
    conditions = []
    try:
        if "$filter" in raw:
            conditions.append(to_sql(raw["$filter"], table, date_type))
        if "$skiptoken" in raw:
            conditions.append(after(order, _last_row(raw["$skiptoken"])))
    except FilterError as error:
        raise OptionError(f"The query specified in the URI is not valid. {error}") from None
    except ValueError:
        raise OptionError("the $skiptoken is not one that this service gave out") from None
    return joined("and", conditions) if conditions else TRUE


def _count(raw: dict[str, str], name: str) -> int | None:
    text = raw.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise OptionError(f"{name} must be a whole number of at most 9 digits, found '{text}'")
    return int(text)


def skip_token(last: Sequence[Stored]) -> str:
    """Return the token of a page whose last row has these values in order columns."""
    return base64.urlsafe_b64encode(json.dumps(last).encode()).decode().rstrip("=")


def _last_row(token: str) -> list[Stored]:
    padded = token + "=" * (-len(token) % 4)
    last: list[Stored] = json.loads(base64.urlsafe_b64decode(padded))
    if not isinstance(last, list) or not all(isinstance(v, str | int | None) for v in last):
        raise ValueError("no list of stored values")
    return last
