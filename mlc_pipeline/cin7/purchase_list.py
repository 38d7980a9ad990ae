"""Rows of Cin7's purchase list, read as what they say: to compare thousands in few calls.

The list gives 1,000 purchases a call, without notes and attributes: it tells that a purchase
is there, its statuses and when it changed last. Whose it is, only its details tell.

What must not come in: calls, the ledger.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Listed:
    """A purchase as the list has it.

    Attributes:
        id: its id, lower case.
        number: Cin7's order number.
        status: of the whole purchase, upper case.
        order_status: of its order, upper case.
        invoice_status: of its invoice, upper case; of several, of one.
        version: when it changed last, as sent: another text means another version.
        updated: the same as a moment; None when it cannot be read.
    """

    id: str
    number: str
    status: str
    order_status: str
    invoice_status: str
    version: str
    updated: dt.datetime | None

    @property
    def is_void(self) -> bool:
        """Whether it was voided; Cin7 keeps such purchases in the list."""
        return "VOID" in self.status


def listed(rows: Iterable[Mapping[str, Any]]) -> dict[str, Listed]:
    """Return the purchases of a list by id."""
    return {one.id: one for one in map(_listed, rows)}


def _listed(row: Mapping[str, Any]) -> Listed:
    version = str(row.get("LastUpdatedDate") or "")
    return Listed(
        id=str(row["ID"]).lower(),
        number=str(row.get("OrderNumber") or ""),
        status=_upper(row.get("Status")),
        order_status=_upper(row.get("OrderStatus")),
        invoice_status=_upper(row.get("InvoiceStatus") or row.get("CombinedInvoiceStatus")),
        version=version,
        updated=_moment(version),
    )


def _upper(value: object) -> str:
    return str(value or "").strip().upper()


def _moment(text: str) -> dt.datetime | None:
    """Read a moment; Cin7 means UTC when it names no zone."""
    try:
        found = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def marker_of(purchase: Mapping[str, Any]) -> str:
    """Return what a purchase carries where markers stand: attribute 1, else the first line.

    Returns:
        Text that may be a marker of ours or anything a person wrote; empty for nothing.
    """
    return next(filter(None, markers_of(purchase)), "")


def markers_of(purchase: Mapping[str, Any]) -> tuple[str, str]:
    """Return what stands in attribute 1 and in the note's first line, however lines end."""
    attributes = purchase.get("AdditionalAttributes") or {}
    first_line = str(purchase.get("Note") or "").split("\n")[0]
    return str(attributes.get("AdditionalAttribute1") or "").strip(), first_line.strip()
