"""Compares what was sent with what Cin7 answers, instead of reading it back.

Cin7 ignores what it does not know and answers 200, so every answer is compared.

What must not come in: calls, knowledge of any endpoint beyond the names that are never
answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

_INSTRUCTIONS = frozenset({"CombineAdditionalCharges", "PurchaseType"})
"""Sent to say how, not what: their absence from an answer means nothing."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}\S*)?")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Difference:
    """One field that Cin7 did not take as sent.

    Attributes:
        path: wire names from the top, such as `Lines[0].Price`.
        sent: what was sent; the number of entries when a list's length differs.
        found: what the answer says; None when it does not say.
    """

    path: str
    sent: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.path}: sent {self.sent}, found {self.found}"


def differences(sent: Mapping[str, Any], answered: Mapping[str, Any]) -> list[Difference]:
    """Return where an answer differs from what was sent, over the sent fields only.

    Numbers are compared by value, text without surrounding blanks, dates by day without
    any time-zone shift, ids in any case, lists entry by entry in order; a blank that was
    sent equals a value that is absent.

    Args:
        sent: a request body in wire names.
        answered: the object that Cin7 answers for it.
    """
    return list(_of_objects("", sent, answered))


def _of_objects(
    path: str, sent: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[Difference]:
    for name, value in sent.items():
        if name in _INSTRUCTIONS and name not in found:
            continue
        yield from _of_values(f"{path}.{name}" if path else name, value, found.get(name))


def _of_values(path: str, sent: Any, found: Any) -> Iterator[Difference]:
    if _is_blank(sent) and _is_blank(found):
        return
    if isinstance(sent, Mapping) and isinstance(found, Mapping):
        yield from _of_objects(path, sent, found)
    elif _is_list(sent) and _is_list(found):
        yield from _of_lists(path, sent, found)
    elif not _same(sent, found):
        yield Difference(path, sent, found)


def _of_lists(path: str, sent: Sequence[Any], found: Sequence[Any]) -> Iterator[Difference]:
    if len(sent) != len(found):
        yield Difference(path, f"{len(sent)} entries", f"{len(found)} entries")
        return
    for position, (one, other) in enumerate(zip(sent, found, strict=True)):
        yield from _of_values(f"{path}[{position}]", one, other)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, list | tuple | Mapping) and not value)


def _same(sent: Any, found: Any) -> bool:
    if isinstance(sent, bool) or isinstance(found, bool):
        return sent is found
    if isinstance(sent, Decimal | int):
        return _number(found) == sent
    if isinstance(sent, str) and isinstance(found, str):
        return _same_text(_text(sent), _text(found))
    return bool(sent == found)


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(value) if isinstance(value, str | int | Decimal) else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _text(value: str) -> str:
    return value.replace("\r\n", "\n").strip()


def _same_text(sent: str, found: str) -> bool:
    if _DAY.fullmatch(sent) and _DAY.fullmatch(found):
        return sent[:10] == found[:10]
    if _GUID.fullmatch(sent):
        return sent.lower() == found.lower()
    return sent == found
