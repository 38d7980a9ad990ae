"""Checking a request body against its shape: types, lengths, decimals, required fields.

`check` returns the known fields in clean form, the problems, and the unknown attributes,
which the real system silently ignores.
What must not come in: rules that need stored documents.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from mlc_pipeline.sandbox.cin7.refusals import Problem
from mlc_pipeline.sandbox.cin7.wire import Document, business_date

Kind = Literal["text", "guid", "number", "boolean", "date", "choice", "object", "list"]


@dataclass(frozen=True)
class Field:
    """One attribute of a body.

    Attributes:
        kind: what it holds; `date` becomes a business date, `number` a `Decimal`.
        required: must be there and not blank.
        longest: characters of a text.
        decimals: most decimals of a number.
        lowest: smallest number allowed.
        highest: greatest number allowed.
        choices: words allowed, in any case; the clean form is as written here.
        shape: the fields of an object, or of each object of a list.
    """

    kind: Kind
    required: bool = False
    longest: int | None = None
    decimals: int | None = None
    lowest: int | None = None
    highest: int | None = None
    choices: tuple[str, ...] = ()
    shape: Shape = field(default_factory=dict)


Shape = dict[str, Field]


@dataclass
class Checked:
    """A body after the check: clean values, problems, paths of ignored attributes."""

    values: Document
    problems: list[Problem]
    ignored: list[str]


class _FieldError(Exception):
    """The value does not fit its field; the text says how."""


def _text(given: Any, spec: Field) -> str:
    if not isinstance(given, str):
        raise _FieldError("a text is expected")
    if spec.longest is not None and len(given) > spec.longest:
        raise _FieldError(f"it is {len(given)} characters long, the maximum is {spec.longest}")
    return given


def _guid(given: Any, spec: Field) -> str:
    try:
        return str(uuid.UUID(_text(given, spec)))
    except ValueError:
        raise _FieldError("a GUID is expected") from None


def _number(given: Any, spec: Field) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, int | Decimal):
        raise _FieldError("a number is expected")
    number = Decimal(given)
    exponent = number.normalize().as_tuple().exponent
    if spec.decimals is not None and isinstance(exponent, int) and -exponent > spec.decimals:
        raise _FieldError(f"at most {spec.decimals} decimal places are allowed")
    if spec.lowest is not None and number < spec.lowest:
        raise _FieldError(f"the minimal value is {spec.lowest}")
    if spec.highest is not None and number > spec.highest:
        raise _FieldError(f"the maximal value is {spec.highest}")
    return number


def _boolean(given: Any, spec: Field) -> bool:
    if not isinstance(given, bool):
        raise _FieldError("true or false is expected")
    return given


def _date(given: Any, spec: Field) -> str:
    try:
        return business_date(_text(given, spec))
    except ValueError:
        raise _FieldError("an ISO 8601 date is expected") from None


def _choice(given: Any, spec: Field) -> str:
    known = {choice.casefold(): choice for choice in spec.choices}
    try:
        return known[_text(given, spec).casefold()]
    except KeyError:
        raise _FieldError(f"expected is one of {', '.join(spec.choices)}") from None


_READERS: dict[Kind, Callable[[Any, Field], Any]] = {
    "text": _text,
    "guid": _guid,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "choice": _choice,
}


def check(shape: Shape, body: Any, within: str = "") -> Checked:
    """The body against its shape; `within` names the list its objects stand in."""
    if not isinstance(body, dict):
        return Checked({}, [Problem(f"{within or 'Request body'} is invalid")], [])
    where = f"{within}." if within else ""
    checked = Checked({}, [], [f"{where}{name}" for name in body if name not in shape])
    for name, spec in shape.items():
        given = body.get(name)
        if given is None or given == "":
            _check_absent(name, spec, body, within, checked)
        elif spec.kind in ("object", "list"):
            _check_nested(name, spec, given, checked)
        else:
            try:
                checked.values[name] = _READERS[spec.kind](given, spec)
            except _FieldError as wrong:
                checked.problems.append(Problem(f"{where}{name} is invalid: {wrong}"))
    return checked


def _check_absent(
    name: str, spec: Field, body: Document, within: str, checked: Checked
) -> None:
    if not spec.required:
        if name in body:  # sent blank: clears the value on a PUT
            checked.values[name] = "" if spec.kind == "text" else None
        return
    checked.problems.append(
        Problem(f"'{name}' is required for '{within}' line")
        if within
        else Problem(f"Required attribute {name} is not provided.")
    )


def _check_nested(name: str, spec: Field, given: Any, checked: Checked) -> None:
    if spec.kind == "object":
        parts = [check(spec.shape, given, name)]
        checked.values[name] = parts[0].values
    elif isinstance(given, list):
        parts = [check(spec.shape, item, name) for item in given]
        checked.values[name] = [part.values for part in parts]
    else:
        parts = [Checked({}, [Problem(f"{name} is invalid: a list is expected")], [])]
    for part in parts:
        checked.problems += part.problems
        checked.ignored += part.ignored
