"""Staged SYSPRO rows as the plan sees them: typed, blanks as None, dates without a zone.

What must not come in: SQL, rules. Amounts named `value`/`price`/`amount` are in the
currency that the field's comment names. `partition` is the row's home: the date that the
connection's `date_column` names, which need not be the document's own date.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True)
class SupplierRow:
    """ApSupplier with its ApSupplierAddr."""

    supplier: str
    name: str | None = None
    short_name: str | None = None
    currency: str | None = None
    terms_code: str | None = None
    tax_number: str | None = None
    default_tax_code: str | None = None
    on_hold: str | None = None
    telephone: str | None = None
    fax: str | None = None
    contact: str | None = None
    email: str | None = None
    address1: str | None = None
    address2: str | None = None
    address3: str | None = None
    address4: str | None = None
    address5: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True)
class OrderRow:
    """PorMasterHdr."""

    purchase_order: str
    supplier: str
    order_date: date | None = None
    due_date: date | None = None
    order_status: str | None = None
    cancelled: str | None = None
    terms_code: str | None = None
    currency: str | None = None
    exchange_rate: Decimal = Decimal(1)
    mul_div: str | None = "M"
    warehouse: str | None = None
    tax_status: str | None = None
    partition: date | None = None

    @property
    def is_cancelled(self) -> bool:
        """SYSPRO marks a cancelled order in the status, in the flag, or in both."""
        return self.order_status == "*" or self.cancelled == "Y"


@dataclass(frozen=True)
class OrderLineRow:
    """PorMasterDetail. `price` is in local, `foreign_price` in supplier currency."""

    purchase_order: str
    line: Decimal
    line_type: str | None = "1"
    stock_code: str | None = None
    description: str | None = None
    uom: str | None = None
    order_quantity: Decimal = ZERO
    received_quantity: Decimal = ZERO
    discount1: Decimal = ZERO
    discount2: Decimal = ZERO
    discount3: Decimal = ZERO
    discount_flag: str | None = None
    discount_value: Decimal = ZERO
    price: Decimal = ZERO
    foreign_price: Decimal = ZERO
    price_factor: Decimal = Decimal(1)
    price_factor_mul_div: str | None = "M"
    tax_code: str | None = None
    comment: str | None = None
    charge_value: Decimal = ZERO
    charge_value_foreign: Decimal = ZERO
    charge_tax_code: str | None = None


@dataclass(frozen=True)
class ReceiptRow:
    """GrnDetails. `value` is in local currency."""

    supplier: str
    grn: str
    journal: Decimal
    journal_entry: Decimal
    purchase_order: str | None = None
    line: Decimal = ZERO
    stock_code: str | None = None
    warehouse: str | None = None
    quantity: Decimal = ZERO
    receipt_date: date | None = None
    value: Decimal = ZERO
    gl_code: str | None = None
    partition: date | None = None


@dataclass(frozen=True)
class MatchRow:
    """GrnMatching. `matched_value` is in local currency."""

    supplier: str
    grn: str
    invoice: str
    journal: Decimal
    entry_number: Decimal
    matched_value: Decimal = ZERO
    matched_quantity: Decimal = ZERO
    matched_date: date | None = None


@dataclass(frozen=True)
class InvoiceRow:
    """ApInvoice. `value` is in supplier currency and holds the tax."""

    supplier: str
    invoice: str
    invoice_date: date | None = None
    due_date: date | None = None
    journal_date: date | None = None
    reference: str | None = None
    value: Decimal = ZERO
    currency: str | None = None
    exchange_rate: Decimal = Decimal(1)
    mul_div: str | None = "M"
    tax_code: str | None = None
    partition: date | None = None


@dataclass(frozen=True)
class PostingRow:
    """ApPosting. `amount` is in local currency, debits positive."""

    posting_year: Decimal
    posting_month: Decimal
    journal: Decimal
    entry_number: Decimal
    sub_entry: Decimal
    supplier: str
    invoice: str
    gl_code: str
    amount: Decimal = ZERO
    posting_type: str | None = None
    post_date: date | None = None
    reference: str | None = None
    partition: date | None = None

    @property
    def sort_key(self) -> tuple[Decimal, ...]:
        """The posting's own key: year, period, journal, entry, sub-entry."""
        return (
            self.posting_year,
            self.posting_month,
            self.journal,
            self.entry_number,
            self.sub_entry,
        )

    @property
    def key(self) -> str:
        """The posting's own key as text, parted by slashes."""
        return "/".join(f"{number:f}" for number in self.sort_key)
