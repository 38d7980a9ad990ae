"""A plan as a person looks at it before anything is written.

Counts, differences, totals per account, calls; and the digest by which it is known again.

What must not come in: HTTP, Dagster, printing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.tables import PLAN
from mlc_pipeline.sync.plan import Planned
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.vocabulary import READY, Kind, Verdict

TAX = "tax"
"""Stands for the account in totals of tax: the tax rule decides which account it is."""

_DIGESTED = (
    "partition",
    "kind",
    "source_key",
    "verdict",
    "reason_code",
    "amount",
    "currency",
    "content_hash",
    "difference",
)


class PlanChanged(Exception):  # noqa: N818 - says what happened
    """What would be written now is not what the plan says; nothing was written."""


@dataclass(frozen=True)
class Row:
    """A planned document.

    Attributes:
        day: the partition that counts it.
        content: the wanted document as JSON values; None when there is none.
        difference: field, before and after of each change.
    """

    day: date
    kind: str
    source_key: str
    verdict: str
    amount: Decimal
    currency: str | None
    reason_code: str | None = None
    reason: str | None = None
    content: Mapping[str, Any] | None = None
    difference: tuple[Mapping[str, Any], ...] = ()


def digest_of(rows: Iterable[Any]) -> str:
    """Return the digest of rows of one plan table, whatever their order."""
    texts = sorted(
        json.dumps([_plain(getattr(row, name)) for name in _DIGESTED], sort_keys=True)
        for row in rows
    )
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format((value + 0).normalize(), "f")
    return str(value) if isinstance(value, date) else value


@dataclass
class Preview:
    """The plan of a window."""

    window: Window
    rows: list[Row] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """One digest of the whole plan."""
        text = json.dumps([str(self.window), self.digests], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def counts(self) -> dict[str, Counter[str]]:
        """Return how many documents have each verdict, by kind."""
        found: dict[str, Counter[str]] = {}
        for row in self.rows:
            found.setdefault(row.kind, Counter())[row.verdict] += 1
        return found

    def changed(self) -> list[Row]:
        """Return the documents that differ from what is in Cin7, with their differences."""
        return [row for row in self.rows if row.difference]

    def stopped(self) -> list[Row]:
        """Return what is held or waiting."""
        stopped = (Verdict.HELD, Verdict.WAITING)
        return [row for row in self.rows if row.verdict in stopped]


def read_preview(engine: sa.Engine, window: Window) -> Preview:
    """Read the plan of a window as it stands in the plan tables."""
    preview = Preview(window)
    with engine.connect() as connection:
        for name, table in PLAN.items():
            found = connection.execute(
                sa.select(table)
                .where(
                    table.c.connection == window.connection,
                    table.c.partition.between(window.first, window.last),
                )
                .order_by(table.c.partition, table.c.kind, table.c.source_key)
            ).all()
            preview.digests[name] = digest_of(found)
            preview.rows += [_row(each) for each in found]
    return preview


def check_approved(engine: sa.Engine, window: Window, digests: Mapping[str, str]) -> None:
    """Make sure that the plan tables hold the plan that was approved, all of it.

    Raises:
        PlanChanged: naming the tables that differ.
    """
    now = read_preview(engine, window).digests
    changed = sorted(name for name in now if now[name] != digests.get(name))
    if changed:
        raise PlanChanged(
            f"{window.connection}: {', '.join(f'plan.{n}' for n in changed)} of {window.first} "
            f"to {window.last} is not the plan that was approved; nothing more of it is "
            "written. Make a new one: mlc plan"
        )


def _row(found: Any) -> Row:
    return Row(
        found.partition,
        found.kind,
        found.source_key,
        found.verdict,
        found.amount,
        found.currency,
        found.reason_code,
        found.reason,
        found.content,
        tuple(found.difference or ()),
    )


def row_of(day: date, planned: Planned) -> Row:
    """Return a document of a plan that is not read from its table."""
    return Row(
        day,
        planned.kind,
        planned.source_key,
        planned.verdict,
        planned.amount,
        planned.currency,
        planned.reason_code,
        planned.reason,
        planned.content.to_json() if planned.content else None,
        planned.difference,
    )


def account_totals(rows: Iterable[Row]) -> dict[tuple[str, str, str], Decimal]:
    """Return what the invoices and credits to write come to.

    Returns:
        Amount by currency, account and cost centre ('' for none); credits negative. Tax
        stands under the account `tax`.
    """
    totals: dict[tuple[str, str, str], Decimal] = {}

    def add(key: tuple[str, str, str], amount: Decimal) -> None:
        if amount:
            totals[key] = totals.get(key, Decimal(0)) + amount

    for row in rows:
        if row.verdict not in READY or row.content is None:
            continue
        if row.kind not in (Kind.INVOICE, Kind.CREDIT_NOTE):
            continue
        sign = -1 if row.kind == Kind.CREDIT_NOTE else 1
        currency = row.currency or ""
        for line in [*row.content.get("lines", ()), *row.content.get("charges", ())]:
            account, centre = line.get("account") or "", line.get("cost_centre") or ""
            add((currency, account, centre), sign * Decimal(line["total"]))
            add((currency, TAX, ""), sign * Decimal(line["tax"]))
    return totals


def calls_needed(rows: Iterable[Row]) -> int:
    """Return how many calls writing the documents takes, without reading the books."""
    return sum(_calls(row) for row in rows if row.verdict in READY)


def _calls(row: Row) -> int:
    if row.verdict == Verdict.VOID:
        return 1
    if row.kind == Kind.PURCHASE_ORDER:
        return 2  # header, order
    if row.kind == Kind.INVOICE and (row.content or {}).get("header"):
        return 3  # a purchase of its own: header, order, invoice
    return 1
