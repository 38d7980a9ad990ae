"""The wanted documents, as plan and ledger keep them: closed models with a content hash.

They are in our words, already mapped (Cin7 names and codes, exact amounts), and hold no
Cin7 ids: the same SYSPRO data and mapping always give the same content and hash.

What must not come in: ids that Cin7 gave, wire names, HTTP.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer

Amount = Annotated[
    Decimal, PlainSerializer(lambda d: format((d + 0).normalize(), "f"), str, when_used="json")
]
"""A Decimal whose JSON form is canonical text: 10, 10.0 and 10.00 are one amount, -0 is 0."""


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_json(self) -> dict[str, Any]:
        """Return the content as JSON values; amounts as text."""
        return self.model_dump(mode="json", exclude_none=True)

    def digest(self) -> str:
        """Return the SHA-256 of the content."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class SupplierAddress(_Content):
    """One address, in Cin7's shape: first line and country are needed."""

    line1: str
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postcode: str | None = None
    country: str


class SupplierContact(_Content):
    """One contact person or desk."""

    name: str
    phone: str | None = None
    fax: str | None = None
    email: str | None = None


class SupplierContent(_Content):
    """A supplier as Cin7 should have it."""

    marker: str
    name: str
    currency: str
    payment_term: str
    accounts_payable: str
    tax_rule: str
    tax_number: str | None = None
    address: SupplierAddress | None = None
    contact: SupplierContact | None = None


class SupplierChange(_Content):
    """What one side of a linked supplier is to be brought to; values in neutral words.

    Attributes:
        supplier: SYSPRO code as stored.
        cin7_id: the linked Cin7 supplier. The link is the one place where an id of Cin7 is
            part of what is wanted.
        name: the supplier's name, for people.
        write: value by attribute.
        seen: what the side held in these attributes when this was planned.
        elements: SYSPRO's elements to send; empty when Cin7 is the side.
        before: what SYSPRO held in them when this was planned.
        unsettled: attributes that the other side must be brought to as well, before the
            value counts as agreed.
        suffix: what the name ends with in Cin7.
        stand_in: name of a Cin7 contact that has none.
        marker: our marker.
    """

    supplier: str
    cin7_id: str
    name: str
    write: dict[str, str]
    seen: dict[str, str] = {}
    elements: dict[str, str] = {}
    before: dict[str, str] = {}
    unsettled: tuple[str, ...] = ()
    suffix: str = ""
    stand_in: str = ""
    marker: str = ""


class NewSysproSupplier(_Content):
    """A supplier of Cin7 that SYSPRO is to get; `values` in neutral words."""

    cin7_id: str
    name: str
    values: dict[str, str]
    elements: dict[str, str]


class ProductLine(_Content):
    """A stocked line: product, quantity, price and total before tax (supplier currency)."""

    sku: str
    name: str
    quantity: Amount
    price: Amount
    tax: Amount
    tax_rule: str
    total: Amount
    account: str | None = None
    cost_centre: str | None = None
    comment: str | None = None


class Charge(_Content):
    """A line without a product; on invoices it carries the account (supplier currency)."""

    description: str
    quantity: Amount = Decimal(1)
    price: Amount
    tax: Amount
    tax_rule: str
    total: Amount
    account: str | None = None
    cost_centre: str | None = None


class HeaderContent(_Content):
    """What the header of a purchase says; `required_by` is "" when the date was taken away."""

    marker: str
    supplier: str
    approach: str
    service_only: bool
    location: str
    terms: str
    tax_rule: str
    currency: str
    currency_rate: Amount | None = None
    required_by: date | Literal[""] | None = None
    note: str
    attributes: dict[str, str] = {}


class OrderContent(_Content):
    """A purchase order: header, lines and charges."""

    header: HeaderContent
    memo: str | None = None
    lines: tuple[ProductLine, ...] = ()
    charges: tuple[Charge, ...] = ()
    new_products: tuple[tuple[str, str, str], ...] = ()  # sku, name, unit

    @property
    def total(self) -> Decimal:
        """Total before tax, supplier currency."""
        lines: tuple[ProductLine | Charge, ...] = (*self.lines, *self.charges)
        return sum((line.total for line in lines), Decimal(0))


class ReceiptLine(_Content):
    """A received quantity of one product."""

    sku: str
    quantity: Amount


class ReceiptContent(_Content):
    """A goods receipt against a purchase order."""

    purchase_order: str
    grn: str
    received: date
    lines: tuple[ReceiptLine, ...]


class InvoiceContent(_Content):
    """An AP invoice, on a purchase order or on a service purchase of its own.

    `header` is set when the invoice needs a purchase of its own, `original_date` when it is
    dated otherwise than in SYSPRO.
    """

    marker: str
    supplier: str
    number: str
    purchase_order: str | None = None
    header: HeaderContent | None = None
    receipts: tuple[str, ...] = ()
    invoice_date: date
    original_date: date | None = None
    due_date: date
    lines: tuple[ProductLine, ...] = ()
    charges: tuple[Charge, ...] = ()

    @property
    def total(self) -> Decimal:
        """Total with tax, supplier currency."""
        lines: tuple[ProductLine | Charge, ...] = (*self.lines, *self.charges)
        return sum((line.total + line.tax for line in lines), Decimal(0))


class CreditContent(_Content):
    """A credit note on the purchase of the invoice that it names; amounts positive.

    `original_date` is set when it is dated otherwise than in SYSPRO.
    """

    marker: str
    supplier: str
    number: str
    credited_invoice: str
    credit_date: date
    original_date: date | None = None
    charges: tuple[Charge, ...]

    @property
    def total(self) -> Decimal:
        """Total with tax, supplier currency, positive."""
        return sum((charge.total + charge.tax for charge in self.charges), Decimal(0))
