"""What a test or a demo can choose about the stand-in.

What must not come in: what belongs to the account (lock date, reference books).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

ACCOUNT_ID = "5a4db0c5-0000-4000-8000-000000000001"
APPLICATION_KEYS = (
    "5a4db0c5-0000-4000-8000-00000000a001",
    "5a4db0c5-0000-4000-8000-00000000a002",
)
"""Sandbox credentials. They open nothing but a stand-in on this machine."""

THROTTLE_SHAPES = ("429", "503", "400")


@dataclass(frozen=True)
class Settings:
    """Choices where the real system varies or the documents are silent.

    Attributes:
        limit: calls per window and application key; 0 switches the limit off.
        window_seconds: length of the sliding window.
        throttle_shape: `429` (today), `503` (for years) or `400` (seen once).
        line_total_decimals: decimals to which a line's Total is checked; clients measured
            2, the reference says up to 4.
        zero_guid_invoice: an invoice with the all-zero TaskID opens a new group. The
            reference documents that for stock and credit notes, not for invoices.
        unique_supplier_names: refuse a second supplier of the same name; not documented.
        record: keep every request for `/_sandbox/traffic`.
    """

    limit: int = 60
    window_seconds: float = 60
    throttle_shape: str = "429"
    line_total_decimals: int = 2
    zero_guid_invoice: bool = True
    unique_supplier_names: bool = False
    record: bool = False

    def __post_init__(self) -> None:
        if self.throttle_shape not in THROTTLE_SHAPES:
            raise ValueError(f"throttle_shape is one of {', '.join(THROTTLE_SHAPES)}")
        if self.line_total_decimals not in range(5):
            raise ValueError("line_total_decimals is 0 to 4")

    def changed(self, changes: dict[str, Any]) -> Settings:
        """These settings with some replaced; raises ValueError on an unknown name."""
        unknown = changes.keys() - {f.name for f in fields(self)}
        if unknown:
            raise ValueError(f"unknown setting {', '.join(sorted(unknown))}")
        return replace(self, **changes)
