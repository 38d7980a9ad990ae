"""The neutral form of a purchase ledger: ten tables, their columns, keys and references.

A row class is the definition of a table: a field without a default is a required column,
a type with None (or text) may be blank, a Literal names the values allowed.

What must not come in: files, SYSPRO's or Cin7's names, rules that make up values.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal
from typing import Any, Literal

ZERO = Decimal(0)
MulDiv = Literal["", "M", "D"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplier:
    """One supplier account; the same name may stand under several."""

    supplier_id: str
    name: str
    names_seen: str = ""
    reference: str = ""
    terms_code: str = ""
    payment_days: int | None = None
    currency: str = ""
    tax_code: str = ""
    tax_number: str = ""
    contact: str = ""
    phone: str = ""
    email: str = ""
    website: str = ""
    nationality: str = ""
    on_hold: bool = False
    postal1: str = ""
    postal2: str = ""
    postal3: str = ""
    postal4: str = ""
    postal5: str = ""
    postal_postcode: str = ""
    delivery1: str = ""
    delivery2: str = ""
    delivery_postcode: str = ""
    bank_account_name: str = ""
    cin7_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GlAccount:
    """One account of the chart; `gl_code` is given for control accounts only."""

    account: str
    description: str
    account_type: Literal["", "A", "C", "E", "L", "R"] = ""
    role: Literal["", "expense", "stock", "tax", "payable"] = ""
    gl_code: str = ""
    mapped: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CostCentre:
    """One cost centre; a ledger code is `cost_centre.account`."""

    cost_centre: str
    description: str
    parent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """One document of a supplier: invoice or credit note (negative amounts).

    Amounts are in the document's currency; `exchange_rate` turns them into local
    currency by `mul_div` (M multiply, D divide).
    """

    document_no: str
    supplier_id: str
    invoice_no: str
    invoice_date: date
    net: Decimal
    tax: Decimal = ZERO
    gross: Decimal | None = None
    type: Literal["", "I", "A", "C", "D"] = ""
    credit_of: str = ""
    purchase_order: str = ""
    due: date | None = None
    currency: str = ""
    exchange_rate: Decimal | None = None
    mul_div: MulDiv = ""
    tax_code: str = ""
    reference: str = ""
    status: str = ""
    outstanding: Decimal | None = None
    lines: int | None = None

    @property
    def value(self) -> Decimal:
        """What is owed for it, tax included."""
        return self.net + self.tax if self.gross is None else self.gross

    @property
    def is_credit(self) -> bool:
        """True for a credit note."""
        return self.type == "C" or (not self.type and (bool(self.credit_of) or self.net < 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One posting of an invoice to a ledger code, in the invoice's currency."""

    document_no: str
    line: int
    account: str
    amount: Decimal
    cost_centre: str = ""
    gl_code: str = ""
    gl_date: date | None = None
    post_date: date | None = None
    reference: str = ""
    supplier_id: str = ""
    invoice_no: str = ""
    account_description_on_line: str = ""
    proclass: str = ""
    classification: str = ""

    @property
    def code(self) -> str:
        """The ledger code: as given, else `cost_centre.account`."""
        return self.gl_code or ".".join(filter(None, (self.cost_centre, self.account)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StockItem:
    """One stock code."""

    stock_code: str
    description: str
    pack: str = ""
    group: str = ""
    uom: str = ""
    gl_code: str = ""
    in_cin7: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseOrder:
    """One purchase order; its date may be unknown."""

    purchase_order: str
    supplier_id: str
    order_date: date | None
    due: date | None = None
    reference: str = ""
    status: Literal["", "open", "complete", "cancelled"] = ""
    complete: bool | None = None
    currency: str = ""
    exchange_rate: Decimal | None = None
    mul_div: MulDiv = ""
    terms_code: str = ""
    warehouse: str = ""
    project: str = ""
    incoterm: str = ""
    destination: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoLine:
    """One line of an order.

    `type`: 1 stocked, 4 freight, 5 other charge, 6 comment, 7 not stocked. `unit_price`
    is before `discount` (percent), in the order's currency.
    """

    purchase_order: str
    line: int
    qty_ordered: Decimal
    unit_price: Decimal
    type: Literal["1", "4", "5", "6", "7"] = "1"
    stock_code: str = ""
    description: str = ""
    pack: str = ""
    uom: str = ""
    discount: Decimal = ZERO
    line_value: Decimal | None = None
    tax_code: str = ""
    gl_code: str = ""
    warehouse: str = ""
    due: date | None = None
    deliveries: int | None = None
    qty_received: Decimal | None = None
    last_receipt: date | None = None
    complete: bool | None = None
    source_line_id: str = ""

    @property
    def receivable(self) -> bool:
        """True when goods or services are received for it."""
        return self.type in ("1", "7")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One delivery of one order line; `document_no` names the invoice that bills it, 0 none."""

    purchase_order: str
    line: int
    qty: Decimal
    value: Decimal
    receipt_date: date
    receipt_no: str = ""
    document_no: str = ""
    unit_price: Decimal | None = None
    recorded: date | None = None
    freight_usd: str = ""
    insurance_usd: str = ""
    weight_kg: str = ""
    source_row_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One payment to a supplier; money paid out is negative."""

    payment_no: str
    supplier_id: str
    payment_date: date
    amount: Decimal
    document_no: str = ""


@dataclass(frozen=True)
class Company:
    """A whole purchase ledger; the tables are those of `TABLES`, in file order.

    `local_currency` is an ISO code. Keys and references are checked by `read_pack`.
    """

    name: str
    local_currency: str = "GBP"
    suppliers: tuple[Supplier, ...] = ()
    gl_accounts: tuple[GlAccount, ...] = ()
    cost_centres: tuple[CostCentre, ...] = ()
    invoices: tuple[Invoice, ...] = ()
    gl_distributions: tuple[Distribution, ...] = ()
    stock_items: tuple[StockItem, ...] = ()
    purchase_orders: tuple[PurchaseOrder, ...] = ()
    po_lines: tuple[PoLine, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    payments: tuple[Payment, ...] = ()

    def rows(self, table: str) -> tuple[Any, ...]:
        """Rows of a table by its name."""
        found: tuple[Any, ...] = getattr(self, table)
        return found


@dataclass(frozen=True)
class Reference:
    """Columns that, unless blank, must name a row of another table."""

    columns: tuple[str, ...]
    table: str
    target: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of the neutral form.

    `aliases` are other headings accepted for a column.
    """

    row: type
    key: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(each.name for each in fields(self.row))


_SUPPLIER = Reference(("supplier_id",), "suppliers", ("supplier_id",))
_ORDER = Reference(("purchase_order",), "purchase_orders", ("purchase_order",))

TABLES: dict[str, Table] = {
    "suppliers": Table(Supplier, ("supplier_id",)),
    "gl_accounts": Table(GlAccount, ("account",)),
    "cost_centres": Table(CostCentre, ("cost_centre",)),
    "invoices": Table(
        Invoice,
        ("document_no",),
        (_SUPPLIER, _ORDER, Reference(("credit_of",), "invoices", ("document_no",))),
        {"transaction_id": "document_no", "gl_date": "invoice_date"},
    ),
    "gl_distributions": Table(
        Distribution,
        ("document_no", "line"),
        (
            Reference(("document_no",), "invoices", ("document_no",)),
            Reference(("account",), "gl_accounts", ("account",)),
            Reference(("cost_centre",), "cost_centres", ("cost_centre",)),
        ),
    ),
    "stock_items": Table(StockItem, ("stock_code",)),
    "purchase_orders": Table(PurchaseOrder, ("purchase_order",), (_SUPPLIER,)),
    "po_lines": Table(PoLine, ("purchase_order", "line"), (_ORDER,)),
    "receipts": Table(
        Receipt,
        (),
        (Reference(("purchase_order", "line"), "po_lines", ("purchase_order", "line")),),
        {"delivered": "receipt_date"},
    ),
    "payments": Table(Payment, ("payment_no",), (_SUPPLIER,), {"transaction_id": "payment_no"}),
}
"""Every table by file name. A receipt and a payment may name an invoice that is not there
(yet), so those two columns are no references."""
