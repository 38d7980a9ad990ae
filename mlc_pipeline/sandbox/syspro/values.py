"""Values of SYSPRO columns: from Python to the store and from the store to text.

Numbers are stored as scaled integers (1250.50 with scale 2 is 125050), so that SQLite
compares and sorts them exactly; dates as ISO text; texts as they are.

What must not come in: tables, SQL, JSON or XML.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import cast

from mlc_pipeline.sandbox.syspro.tables import Column

Stored = str | int | None
"""A value as SQLite holds it."""

Given = str | int | Decimal | date | None
"""A value as Python code or JSON gives it."""


def _stored_text(column: Column, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    if len(value) > column.length:
        raise ValueError(
            f"{value!r} has {len(value)} characters, the column holds {column.length}"
        )
    if not (value.isascii() and value.isprintable()):
        _check_characters(value)
    return value


def _check_characters(value: str) -> None:
    """Refuse what a varchar column of code page 1252 or an XML answer could not hold."""
    try:
        codes = value.encode("cp1252")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{value!r} has {value[error.start]!r}, which is not in Windows-1252"
        ) from None
    control = next((code for code in codes if code < 32 and code not in (9, 10, 13)), None)
    if control is not None:
        raise ValueError(f"{value!r} has the control character {control}")


def scaled(number: Decimal, scale: int) -> tuple[int, bool]:
    """Return number x 10^scale rounded down, and whether that is exact."""
    numerator, denominator = number.as_integer_ratio()
    floor, rest = divmod(numerator * 10**scale, denominator)
    return floor, rest == 0


def _stored_number(column: Column, value: object) -> int:
    number = _decimal(value)
    if number.adjusted() >= column.length - column.scale:
        raise ValueError(f"{number} does not fit decimal({column.length},{column.scale})")
    stored, exact = scaled(number, column.scale)
    if not exact:
        raise ValueError(f"{number} has more decimals than the column's {column.scale}")
    return stored


def _decimal(value: object) -> Decimal:
    """Return the exact number; floats are refused because they are not."""
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):
        raise TypeError(
            f"expected Decimal, int or digits as text, found {type(value).__name__}"
        )
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a number")
    return number


def _stored_date(column: Column, value: object) -> str | None:
    if value is None or value == "":
        return None
    if type(value) is date:
        return value.isoformat()
    if not isinstance(value, str):
        raise TypeError(f"expected a date, found {type(value).__name__}")
    if not is_date(value):
        raise ValueError(f"{value!r} is not a date CCYY-MM-DD")
    return value


def is_date(text: str) -> bool:
    """Whether the text is a calendar date written CCYY-MM-DD."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


_TO_STORED: dict[str, Callable[[Column, object], Stored]] = {
    "text": _stored_text,
    "number": _stored_number,
    "date": _stored_date,
}


def to_stored(column: Column, value: object) -> Stored:
    """Return the stored form of a value.

    Raises:
        ValueError: it does not fit (length, decimals, digits, characters).
        TypeError: it is not of the column's kind; a float never is.
    """
    if column.kind == "rowversion":
        raise ValueError("is set by SYSPRO itself; leave it out")
    return _TO_STORED[column.kind](column, value)


_BLANKS: dict[str, Stored] = {"text": "", "number": 0, "date": None, "rowversion": 0}


def blank(column: Column) -> Stored:
    """Return what SYSPRO stores when nothing was entered: '' or 0, null for a date."""
    return _BLANKS[column.kind]


def number_text(column: Column) -> Callable[[int], str]:
    """Return the function that writes a stored number with all decimals of its column."""
    if not column.scale:
        return str
    scale, unit = column.scale, 10**column.scale

    def write(stored: int) -> str:
        whole, fraction = divmod(abs(stored), unit)
        return f"{'-' if stored < 0 else ''}{whole}.{fraction:0{scale}d}"

    return write


def to_python(column: Column, stored: Stored) -> Given:
    """Return text as str, numbers as Decimal with the column's scale, dates as date."""
    if column.kind == "number":
        return Decimal(cast("int", stored)).scaleb(-column.scale)
    if column.kind == "date" and stored is not None:
        return date.fromisoformat(cast("str", stored))
    return stored
