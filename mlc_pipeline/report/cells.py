"""Cells of a CSV file that a person opens in a spreadsheet.

What must not come in: which columns a file has.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> str:
    """Return a cell; a text that a spreadsheet would take for a formula is made harmless."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    text = str(value)
    return f"'{text}" if text.startswith(_STARTS_A_FORMULA) else text
