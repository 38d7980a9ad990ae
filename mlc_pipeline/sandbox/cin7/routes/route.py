"""What a route is, and how lists are paged.

What must not come in: routes themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.shapes import Shape
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document, parse_moment, timestamp

PAGING = ("Page", "Limit")
MOST_ROWS = 1000


@dataclass(frozen=True)
class Route:
    """A method of a path.

    Attributes:
        handler: carries the call out; returns the answer, raises RefusedError.
        parameters: the query parameters it knows; others are ignored.
        required: those of them that must be given.
        shape: the shape of its body, if it takes one.
    """

    handler: Callable[[Sandbox, Call], Any]
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    shape: Shape | None = None


def paged(call: Call, key: str, rows: Sequence[Document]) -> Document:
    """One page of the rows in the envelope of lists: `{Total, Page, <key>: [...]}`."""
    page, limit = _whole(call, "Page", 1), _whole(call, "Limit", 100)
    if page < 1:
        raise RefusedError(f"Page is invalid: {page}, the first page is 1")
    if not 1 <= limit <= MOST_ROWS:
        raise RefusedError(f"Limit is invalid: {limit}, expected is 1 to {MOST_ROWS}")
    start = (page - 1) * limit
    return {"Total": len(rows), "Page": page, key: list(rows[start : start + limit])}


def moment(call: Call, name: str) -> str | None:
    """A date parameter as a UTC time stamp that compares as text; None when not given."""
    given = call.query.get(name)
    if not given:
        return None
    try:
        return timestamp(parse_moment(given).astimezone(UTC))
    except ValueError:
        raise RefusedError(
            f"{name} is invalid: {given}, expected is an ISO 8601 date"
        ) from None


def starts_with(document: Document, field: str, given: str | None) -> bool:
    """Whether a text begins with what was asked for, whatever the case."""
    return not given or str(document[field]).casefold().startswith(given.casefold())


def _whole(call: Call, name: str, default: int) -> int:
    given = call.query.get(name)
    if not given:
        return default
    try:
        return int(given)
    except ValueError:
        raise RefusedError(f"{name} is invalid: {given}, a whole number is expected") from None
