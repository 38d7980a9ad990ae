"""What travels on the wire: exact JSON numbers, UTC time stamps, business dates, GUIDs.

Numbers are `Decimal` in both directions; a float never appears.
What must not come in: rules of documents.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Document = dict[str, Any]
"""A JSON object as it travels. Numbers are `Decimal` or `int`."""

ZERO_GUID = "00000000-0000-0000-0000-000000000000"

# `json` can be taught new types only as strings, not as bare numbers. So decimals are
# written as strings behind a mark that no client can guess, and unquoted afterwards.
_MARK = uuid.uuid4().hex
_MARKED = re.compile(f'"{_MARK}([^"]*)"')


def plain(number: Decimal | int) -> str:
    """The number without exponent and trailing zeros: `Decimal("840.00")` is `840`."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _marked(value: object) -> str:
    if isinstance(value, Decimal):
        return _MARK + plain(value)
    raise TypeError(f"{type(value).__name__} cannot travel as JSON")


def encode(document: object) -> bytes:
    """The document as JSON, each `Decimal` an exact number."""
    text = json.dumps(document, default=_marked, allow_nan=False, separators=(",", ":"))
    return _MARKED.sub(r"\1", text).encode("ascii")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def decode(raw: bytes | str) -> Any:
    """JSON with fractions as `Decimal`; raises ValueError on anything else."""
    return json.loads(raw, parse_float=Decimal, parse_constant=_no_constant)


def rounded(number: Decimal, decimals: int) -> Decimal:
    """The number at so many decimals, halves away from zero."""
    return number.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def new_guid() -> str:
    """A fresh GUID in lower case."""
    return str(uuid.uuid4())


def timestamp(moment: datetime | None = None) -> str:
    """A UTC time stamp, `2018-04-23T06:15:50.327Z`; of now without a moment.

    Stamps compare as text in the order of time.
    """
    at = (moment or datetime.now(UTC)).astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def parse_moment(text: str) -> datetime:
    """An ISO 8601 date or moment; without a zone it is UTC, as Cin7 documents."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def business_date(text: str) -> str:
    """The day of an ISO 8601 moment in UTC, as Cin7 answers it: `2018-04-23T00:00:00`."""
    return f"{parse_moment(text).astimezone(UTC).date()}T00:00:00"


def today() -> str:
    """Today in UTC as a business date."""
    return f"{datetime.now(UTC).date()}T00:00:00"


def day_of(business: str) -> date:
    """The `date` of a business date."""
    return date.fromisoformat(business[:10])
