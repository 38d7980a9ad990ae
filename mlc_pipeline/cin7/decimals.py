"""JSON whose numbers are exact: Decimal in, Decimal out.

What must not come in: floats, knowledge of any endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def dumps(body: Any) -> bytes:
    """Return a value as JSON; a Decimal becomes a number, digit for digit, no exponent.

    Args:
        body: mappings with text keys, lists, tuples, text, bool, int, Decimal, None.

    Raises:
        TypeError: a float, or any other type.
        ValueError: a Decimal that is not a number (NaN, Infinity).
    """
    return _encoded(body).encode("ascii")


def _encoded(value: Any) -> str:
    if value is None or isinstance(value, str | bool | int):
        return json.dumps(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"JSON has no number for {value}; send a finite Decimal")
        return format(value, "f")
    if isinstance(value, Mapping):
        members = (f"{json.dumps(str(key))}:{_encoded(item)}" for key, item in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_encoded, value)) + "]"
    raise TypeError(f"found a {type(value).__name__} in a request body, expected Decimal")


def loads(content: bytes) -> Any:
    """Return parsed JSON; every number with a fraction or exponent is a Decimal.

    Raises:
        ValueError: not JSON, or NaN and Infinity, which JSON does not have.
    """
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
