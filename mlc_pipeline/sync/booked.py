"""What one version of a document books: its lines, and the amounts they come to.

The same document exists in three versions: as SYSPRO posted it, as it was sent, and as
Cin7 holds it now. All three are brought to amounts per account, cost centre and supplier.

What must not come in: SQL, HTTP, comparing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from mlc_pipeline.sync.money import ZERO, rounded
from mlc_pipeline.sync.plan import PlanContext
from mlc_pipeline.sync.rows import PostingRow
from mlc_pipeline.sync.vocabulary import Kind


class Bucket(NamedTuple):
    """Where an amount is booked: account and cost centre as in Cin7, supplier as in SYSPRO."""

    account: str
    cost_centre: str
    supplier: str


Amounts = dict[Bucket, Decimal]
"""Local currency per bucket."""

TaxAccount = Callable[[str], str]
"""Gives the account that a Cin7 tax rule books to."""


def add(amounts: Amounts, bucket: Bucket, amount: Decimal) -> None:
    """Add an amount to a bucket."""
    amounts[bucket] = amounts.get(bucket, ZERO) + amount


def plus(*parts: Mapping[Bucket, Decimal]) -> Amounts:
    """Return the sum of amounts, without buckets that come to nothing."""
    total: Amounts = {}
    for part in parts:
        for bucket, amount in part.items():
            add(total, bucket, amount)
    return {bucket: amount for bucket, amount in total.items() if amount}


def minus(amounts: Mapping[Bucket, Decimal]) -> Amounts:
    """Return the amounts with the other sign."""
    return {bucket: -amount for bucket, amount in amounts.items()}


def by_account(amounts: Mapping[Bucket, Decimal]) -> dict[str, Decimal]:
    """Return the sums per account, without those that come to nothing."""
    sums: dict[str, Decimal] = {}
    for bucket, amount in amounts.items():
        sums[bucket.account] = sums.get(bucket.account, ZERO) + amount
    return {account: amount for account, amount in sums.items() if amount}


class Line(NamedTuple):
    """A line or charge, document currency; of a credit note negative."""

    text: str
    account: str
    cost_centre: str
    total: Decimal
    tax: Decimal
    tax_rule: str

    def at(self, rate: Decimal, supplier: str, tax_account: TaxAccount) -> Amounts:
        """Return what the line books at a rate: base units per document unit."""
        amounts: Amounts = {}
        net, tax = rounded(self.total * rate), rounded(self.tax * rate)
        if net:
            add(amounts, Bucket(self.account, self.cost_centre, supplier), net)
        if tax:
            add(amounts, Bucket(tax_account(self.tax_rule), "", supplier), tax)
        return amounts


@dataclass(frozen=True)
class Booked:
    """One version of an invoice or credit note."""

    dated: date
    number: str
    rate: Decimal
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        """Total with tax, document currency; of a credit note negative."""
        return sum((line.total + line.tax for line in self.lines), ZERO)

    def amounts(
        self, supplier: str, tax_account: TaxAccount, rate: Decimal | None = None
    ) -> Amounts:
        """Return what it books, local currency, at its own rate or at another."""
        used = self.rate if rate is None else rate
        return plus(*(line.at(used, supplier, tax_account) for line in self.lines))


def _sign(kind: Kind) -> int:
    return -1 if kind is Kind.CREDIT_NOTE else 1


def sent_version(kind: Kind, content: Mapping[str, Any], rate: Decimal) -> Booked:
    """Return the version that the ledger keeps as written.

    Args:
        kind: invoice or credit note.
        content: as JSON.
        rate: base units per document unit of the purchase's header; 1 when it is local.
    """
    sign = _sign(kind)
    lines = [
        Line(
            str(item.get("description") or item.get("sku") or ""),
            str(item.get("account") or ""),
            str(item.get("cost_centre") or ""),
            sign * Decimal(item["total"]),
            sign * Decimal(item["tax"]),
            str(item["tax_rule"]),
        )
        for item in (*content.get("lines", ()), *content.get("charges", ()))
    ]
    dated = content.get("invoice_date") or content["credit_date"]
    return Booked(date.fromisoformat(dated), str(content["number"]), rate, tuple(lines))


def header_rate(content: Mapping[str, Any] | None) -> Decimal:
    """Return the rate that a purchase's header was given; 1 for the base currency."""
    rate = ((content or {}).get("header") or {}).get("currency_rate")
    return Decimal(rate) if rate is not None else Decimal(1)


def found_version(kind: Kind, block: Mapping[str, Any], purchase: Mapping[str, Any]) -> Booked:
    """Return the version that Cin7 holds.

    Args:
        kind: invoice or credit note.
        block: the invoice or credit note.
        purchase: its purchase.
    """
    sign = _sign(kind)
    items: list[tuple[Mapping[str, Any], Any, Any]] = [
        (i, i.get("SKU") or i.get("Name"), i.get("Comment")) for i in block.get("Lines") or ()
    ]
    items += [
        (c, c.get("Description"), c.get("Reference"))
        for c in block.get("AdditionalCharges") or ()
    ]
    lines = [
        Line(
            str(text or ""),
            str(item.get("Account") or ""),
            str(centre or ""),
            sign * Decimal(item.get("Total") or 0),
            sign * Decimal(item.get("Tax") or 0),
            str(item.get("TaxRule") or ""),
        )
        for item, text, centre in items
    ]
    dated = str(block.get("InvoiceDate") or block.get("CreditNoteDate") or "")[:10]
    number = block.get("InvoiceNumber") or block.get("CreditNoteNumber") or ""
    rate = block.get("CurrencyRate") or purchase.get("CurrencyRate") or 1
    return Booked(date.fromisoformat(dated), str(number), Decimal(rate), tuple(lines))


def posted_bucket(posting: PostingRow, context: PlanContext) -> Bucket | None:
    """Return where a posting is booked in Cin7; None for SYSPRO's own payables line.

    An unmapped code stands for itself, so that its money is seen.
    """
    mapped = context.target(posting.gl_code)
    if mapped is None:
        return Bucket(f"SYSPRO {posting.gl_code}", "", posting.supplier)
    if mapped.role == "payable":
        return None
    centre = ""
    carries = context.connection.policies.carries_cost_centre
    if carries and mapped.role != "tax":
        centre = context.cost_centre(posting.gl_code) or ""
    return Bucket(mapped.cin7_account, centre, posting.supplier)


def posted_amounts(postings: Iterable[PostingRow], context: PlanContext) -> Amounts:
    """Return what postings come to, local currency."""
    amounts: Amounts = {}
    for posting in postings:
        bucket = posted_bucket(posting, context)
        if bucket is not None:
            add(amounts, bucket, posting.amount)
    return {bucket: amount for bucket, amount in amounts.items() if amount}
