"""Codes of SYSPRO suppliers: how they are shown, and which one a new supplier gets.

SYSPRO stores a numeric code filled with zeros to 15 digits and shows it at the length its
setup says; an alphanumeric code is never stripped.

What must not come in: SQL, HTTP.
"""

from __future__ import annotations

from collections.abc import Collection

from mlc_pipeline.connection.model import Suppliers
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.suppliers import normalised_name

_STORED = 15
_NAMESAKES = 999


def presented(code: str, length: int) -> str:
    """Return a stored code as SYSPRO's business objects take it.

    Args:
        code: as stored.
        length: digits at which SYSPRO shows a numeric code.
    """
    if len(code) != _STORED or not code.isdigit():
        return code
    return code.lstrip("0").zfill(length)


def stored(code: str, settings: Suppliers) -> str:
    """Return a code as SYSPRO stores it, from one as a person types it."""
    is_number = settings.code_rule == "number" and code.isascii() and code.isdigit()
    return code.zfill(_STORED) if is_number else code


def ways_stored(code: str, settings: Suppliers) -> tuple[str, ...]:
    """Return how SYSPRO may store a code that a person typed, the likeliest first."""
    return tuple(dict.fromkeys((code, stored(code, settings), code.zfill(_STORED))))


def new_code(name: str, taken: Collection[str], settings: Suppliers) -> str:
    """Return the code of a new supplier, as stored, by the connection's rule.

    Args:
        name: of the supplier.
        taken: every code that SYSPRO or the ledger knows, as stored.
        settings: the rule.

    Raises:
        Hold: no_supplier_code.
    """
    if settings.code_rule == "name":
        return _from_name(name, taken, settings.code_length)
    first, last = settings.code_first, settings.code_last
    used = {int(c) for c in taken if c.isascii() and c.isdigit()}
    in_range = {number for number in used if first <= number <= last}
    following = max(in_range, default=first - 1) + 1
    if following > last:
        free = (number for number in range(first, last + 1) if number not in in_range)
        following = next(free, 0)
    if not following:
        raise Hold("no_supplier_code", f"{first} to {last} are all taken")
    return str(following).zfill(_STORED)


def _from_name(name: str, taken: Collection[str], length: int) -> str:
    words = normalised_name(name).encode("ascii", "ignore").decode().upper()
    letters = "".join(c for c in words if c.isalnum())
    if not letters:
        raise Hold("no_supplier_code", f"{name!r} has no letters that a code can be made of")
    if letters[:length] not in taken:
        return letters[:length]
    for number in range(2, _NAMESAKES + 1):
        code = f"{letters[: length - len(str(number))]}{number}"
        if code not in taken and len(code) <= length:
            return code
    raise Hold(
        "no_supplier_code", f"{letters[:length]} and its {_NAMESAKES} followers are taken"
    )
