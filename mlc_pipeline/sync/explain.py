"""What became of one document in Cin7 after it was sent, as movements of money with causes.

A document as it was sent and as Cin7 holds it now are compared line by line; each change is
named, and the changes together are exactly the difference of the two.

What must not come in: SQL, HTTP, other documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlc_pipeline.sync.booked import (
    Amounts,
    Booked,
    Line,
    TaxAccount,
    found_version,
    minus,
    plus,
)
from mlc_pipeline.sync.causes import Cause
from mlc_pipeline.sync.vocabulary import Kind

IN_FORCE = ("AUTHORISED", "PAID")
"""Statuses of an invoice or credit note that Cin7's ledger holds."""


@dataclass(frozen=True)
class Change:
    """One change: its cause, what it says, the money it moves in local currency."""

    cause: Cause
    detail: str
    moved: Amounts


@dataclass(frozen=True)
class Found:
    """A document as it was found in Cin7; `booked` is None when it is in force no more."""

    booked: Booked | None
    gone: Cause | None = None
    detail: str = ""


def find_in(purchase: Mapping[str, Any] | None, kind: Kind, task_id: str | None) -> Found:
    """Look for a document of ours on its purchase; None says that Cin7 has no such purchase."""
    if purchase is None:
        return Found(None, Cause.DELETED, "Cin7 does not have the purchase any more")
    name = "CreditNote" if kind is Kind.CREDIT_NOTE else "Invoice"
    blocks = [b for b in purchase.get(name) or () if b.get("TaskID") == task_id]
    if not blocks:
        return Found(None, Cause.DELETED, f"the purchase has no such {name} any more")
    status = str(blocks[0].get("Status") or "").upper()
    if status == "VOIDED" or str(purchase.get("Status") or "").upper() == "VOIDED":
        return Found(None, Cause.VOIDED, "it is VOIDED in Cin7")
    if status not in IN_FORCE:
        return Found(None, Cause.UNDONE, f"it is {status or 'without a status'} in Cin7")
    return Found(found_version(kind, blocks[0], purchase))


def changes(
    sent: Booked, found: Booked, supplier: str, tax_account: TaxAccount
) -> Iterator[Change]:
    """Yield what changed between two versions; the date is not among it.

    Line by line at the rate that was sent, then what the rate makes of it.
    """

    def amounts(line: Line | None) -> Amounts:
        return line.at(sent.rate, supplier, tax_account) if line else {}

    for before, after in _pairs(sent.lines, found.lines):
        moved = plus(minus(amounts(before)), amounts(after))
        cause, detail = _line_change(before, after)
        if moved or cause is not None:
            yield Change(cause or Cause.AMOUNT, detail, moved)
    if found.rate != sent.rate:
        at_sent = found.amounts(supplier, tax_account, sent.rate)
        moved = plus(minus(at_sent), found.amounts(supplier, tax_account))
        yield Change(Cause.RATE, f"rate {sent.rate:f} -> {found.rate:f}", moved)
    if found.number != sent.number:
        yield Change(Cause.NUMBER, f"number {sent.number!r} -> {found.number!r}", {})


def _line_change(before: Line | None, after: Line | None) -> tuple[Cause | None, str]:
    """Return the cause of a changed line, and all that changed in it."""
    if before is None or after is None:
        line = before or after
        if line is None:
            return None, ""
        cause = Cause.LINE_DROPPED if after is None else Cause.LINE_ADDED
        return cause, f"{line.text!r} on {line.account}: {line.total:.2f}, tax {line.tax:.2f}"
    differences = [
        (Cause.ACCOUNT, "account", before.account, after.account),
        (Cause.AMOUNT, "amount", f"{before.total:.2f}", f"{after.total:.2f}"),
        (Cause.COST_CENTRE, "cost centre", before.cost_centre, after.cost_centre),
        (Cause.TAX, "tax", f"{before.tax:.2f}", f"{after.tax:.2f}"),
        (Cause.TAX, "tax rule", before.tax_rule, after.tax_rule),
    ]
    changed = [
        (c, f"{name} {b or 'none'} -> {a or 'none'}") for c, name, b, a in differences if a != b
    ]
    if not changed:
        return None, ""
    return changed[0][0], f"{before.text!r}: {', '.join(text for _, text in changed)}"


_LIKENESS: Sequence[Callable[[Line], Any]] = (
    lambda line: line[1:],  # the same booking, whatever its text
    lambda line: (line.text, line.account, line.cost_centre),
    lambda line: (line.text, line.total),
    lambda line: (line.account, line.cost_centre),
    lambda line: line.text,
    lambda line: line.total,
)
"""What makes a sent line and a found one the same line, the surest first."""


def _pairs(
    sent: Sequence[Line], found: Sequence[Line]
) -> Iterator[tuple[Line | None, Line | None]]:
    """Pair the lines of two versions; a line without a counterpart stands alone."""
    left, right = list(sent), list(found)
    for key in _LIKENESS:
        for line in list(left):
            twin = next((other for other in right if key(other) == key(line)), None)
            if twin is not None:
                left.remove(line)
                right.remove(twin)
                yield line, twin
    yield from ((line, None) for line in left)
    yield from ((None, line) for line in right)
