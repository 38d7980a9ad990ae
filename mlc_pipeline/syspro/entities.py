"""The SYSPRO records the product reads: logical names, columns, keys, dates.

A logical entity is what the rest of the product speaks of (`invoices`); the entity set
(`ApInvoice`) and the physical column names are defaults that a connection may override,
because `ApPosting` in particular is a customer's own view (SYSPRO publishes no such table).
Column facts: the published SYSPRO 7/8 table layouts; scales are values (14,2),
prices (15,5), quantities (18,6), rates (12,6), percentages (5,2).

What must not come in: HTTP, the connection model, rules of the sync.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "key", "text", "date", "value", "price", "quantity", "rate", "percent", "integer"
]
"""What a column holds. `key` is text that is never trimmed of zeros; the six number kinds
are `Decimal` with the scale of `SCALES`; `date` is a `datetime.date` without a zone."""

SCALES: dict[str, tuple[int, int]] = {
    "value": (14, 2),
    "price": (15, 5),
    "quantity": (18, 6),
    "rate": (12, 6),
    "percent": (8, 5),
    "integer": (15, 0),
}
"""Precision and scale of each number kind."""


@dataclass(frozen=True)
class Column:
    """One column of a logical entity: our `name`, SYSPRO's `source`, its `kind`.

    An `optional` column may be missing in the customer's entity; it then reads as None.
    """

    name: str
    source: str
    kind: Kind
    optional: bool = False


@dataclass(frozen=True)
class Entity:
    """A logical entity and where it is found in SYSPRO.

    Attributes:
        name: logical name, the name of our staged table (`syspro.<name>`).
        entity_set: OData entity set, also the SQL table name that COMFND takes.
        key: logical names of the key columns, in key order.
        columns: every column read.
        date_column: logical name of the date that decides the home partition; None for
            a snapshot.
        optional: the customer may not have it; the product then works without.
    """

    name: str
    entity_set: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    date_column: str | None = None
    optional: bool = False

    def column(self, name: str) -> Column:
        """Return the column of that logical name; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name!r}")

    def overridden(
        self,
        *,
        entity_set: str | None = None,
        key: tuple[str, ...] | None = None,
        date_column: str | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> Entity:
        """Return the entity as one customer has it.

        `key` and `date_column` are logical names; `columns` maps logical to physical names.

        Raises:
            ValueError: a logical name that the entity does not have.
        """
        known = {column.name for column in self.columns}
        named = {*(columns or {}), *(key or ()), date_column or self.key[0]}
        unknown = sorted(named - known)
        if unknown:
            raise ValueError(
                f"{self.name}: unknown column name(s) {', '.join(unknown)}; "
                f"known are {', '.join(sorted(known))}"
            )
        renamed = tuple(
            replace(column, source=(columns or {}).get(column.name, column.source))
            for column in self.columns
        )
        return replace(
            self,
            entity_set=entity_set or self.entity_set,
            key=key or self.key,
            date_column=date_column or self.date_column,
            columns=renamed,
        )


def _columns(text: str) -> tuple[Column, ...]:
    """Read `name Source kind[?]` lines into columns."""
    columns = []
    for line in text.strip().splitlines():
        name, source, kind = line.split()
        columns.append(Column(name, source, kind.rstrip("?"), kind.endswith("?")))  # type: ignore[arg-type]
    return tuple(columns)


SUPPLIERS = Entity(
    "suppliers",
    "ApSupplier",
    ("supplier",),
    _columns(
        """
        supplier Supplier key
        name SupplierName text
        short_name SupShortName text
        currency Currency text
        terms_code TermsCode text
        tax_number TaxRegnNum text
        default_tax_code DefTaxCode text
        on_hold OnHold text
        telephone Telephone text
        fax Fax text
        contact Contact text
        email Email text
        nationality Nationality text
        state State text?
        branch Branch text?
        date_added DateSuppAdded date?
        """
    ),
)

SUPPLIER_ADDRESSES = Entity(
    "supplier_addresses",
    "ApSupplierAddr",
    ("supplier",),
    _columns(
        """
        supplier Supplier key
        address1 SupAddr1 text
        address2 SupAddr2 text
        address3 SupAddr3 text
        address3_locality SupAddr3Loc text?
        address4 SupAddr4 text
        address5 SupAddr5 text
        postal_code SupPostalCode text
        """
    ),
)

PURCHASE_ORDERS = Entity(
    "purchase_orders",
    "PorMasterHdr",
    ("purchase_order",),
    _columns(
        """
        purchase_order PurchaseOrder key
        order_status OrderStatus text
        cancelled CancelledFlag text
        supplier Supplier key
        order_date OrderEntryDate date
        due_date OrderDueDate date
        order_type OrderType text
        terms_code TermsCode text
        currency Currency text
        exchange_rate ExchangeRate rate
        mul_div MulDiv text
        warehouse Warehouse key
        tax_status TaxStatus text
        completed_date DatePoCompleted date
        amended_count AmendedCount integer?
        buyer Buyer text?
        """
    ),
    date_column="order_date",
)

PURCHASE_ORDER_LINES = Entity(
    "purchase_order_lines",
    "PorMasterDetail",
    ("purchase_order", "line"),
    _columns(
        """
        purchase_order PurchaseOrder key
        line Line integer
        line_type LineType text
        stock_code MStockCode key
        description MStockDes text
        warehouse MWarehouse key
        uom MOrderUom text
        order_quantity MOrderQty quantity
        received_quantity MReceivedQty quantity
        due_date MLatestDueDate date
        supplier_catalogue MSupCatalogue text
        discount1 MDiscPct1 percent
        discount2 MDiscPct2 percent
        discount3 MDiscPct3 percent
        discount_flag MDiscValFlag text
        discount_value MDiscValue value
        price MPrice price
        foreign_price MForeignPrice price
        price_factor MConvFactPrcUm rate
        price_factor_mul_div MMulDivPrc text
        tax_code MTaxCode text
        complete MCompleteFlag text
        gl_code MGlCode key
        comment NComment text
        charge_value NMscChargeValue value
        charge_value_foreign NMscChargeFor value
        charge_tax_code NMscChargeTax text
        """
    ),
)

RECEIPTS = Entity(
    "receipts",
    "GrnDetails",
    ("supplier", "grn", "grn_source", "journal", "journal_entry"),
    _columns(
        """
        supplier Supplier key
        grn Grn key
        grn_source GrnSource text
        journal Journal integer
        journal_entry JournalEntry integer
        purchase_order PurchaseOrder key
        line PurchaseOrderLin integer
        stock_code StockCode key
        warehouse Warehouse key
        quantity QtyReceived quantity
        uom QtyUom text
        receipt_date OrigReceiptDate date
        value OrigGrnValue value
        matched_value MatchedValue value?
        gl_code DebitRecGlCode key
        delivery_note DeliveryNote text?
        """
    ),
    date_column="receipt_date",
)

RECEIPT_MATCHES = Entity(
    "receipt_matches",
    "GrnMatching",
    ("supplier", "grn", "invoice", "journal", "entry_number"),
    _columns(
        """
        supplier Supplier key
        grn Grn key
        invoice Invoice key
        journal Journal integer
        entry_number EntryNumber integer
        matched_value MatchedValue value
        matched_quantity MatchedQty quantity
        matched_date MatchedDate date
        """
    ),
    date_column="matched_date",
    optional=True,
)

INVOICES = Entity(
    "invoices",
    "ApInvoice",
    ("supplier", "invoice"),
    _columns(
        """
        supplier Supplier key
        invoice Invoice key
        journal_date JournalDate date
        journal Journal integer
        entry_number EntryNumber integer
        branch Branch text
        invoice_date InvoiceDate date
        discount_date DiscountDate date
        due_date DueDate date
        reference Reference text
        value OrigInvValue value
        balance MthInvBal1 value
        status InvoiceStatus text
        currency Currency text
        exchange_rate ExchangeRate rate
        mul_div MulDiv text
        posting_year InvoiceYear integer
        posting_month InvoiceMonth integer
        tax_code FirstTaxCode text
        """
    ),
    date_column="invoice_date",
)

POSTINGS = Entity(
    "postings",
    "ApPosting",
    ("posting_year", "posting_month", "journal", "entry_number", "sub_entry"),
    _columns(
        """
        posting_year TrnYear integer
        posting_month TrnMonth integer
        journal Journal integer
        entry_number EntryNumber integer
        sub_entry SubEntry integer
        supplier Supplier key
        invoice Invoice key
        posting_type TransactionCode text
        post_date PostDate date
        gl_code ExpenseGlCode key
        amount DistrValue value
        reference Reference text
        """
    ),
    date_column="post_date",
)

GL_ACCOUNTS = Entity(
    "gl_accounts",
    "GenMaster",
    ("company", "gl_code"),
    _columns(
        """
        company Company key
        gl_code GlCode key
        description Description text
        account_type AccountType text
        on_hold AccOnHldFlag text?
        """
    ),
    optional=True,
)

PAYMENT_TERMS = Entity(
    "payment_terms",
    "TblApTerms",
    ("terms_code",),
    _columns(
        """
        terms_code TermsCode key
        description Description text
        """
    ),
    optional=True,
)

TAX_CODES = Entity(
    "tax_codes",
    "AdmTax",
    ("tax_code",),
    _columns(
        """
        tax_code TaxCode key
        description Description text
        rate CurTaxRate percent
        gl_code ApTaxGlCode key
        """
    ),
    optional=True,
)

STOCK_ITEMS = Entity(
    "stock_items",
    "InvMaster",
    ("stock_code",),
    _columns(
        """
        stock_code StockCode key
        description Description text
        uom StockUom text
        """
    ),
    optional=True,
)

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        SUPPLIERS,
        SUPPLIER_ADDRESSES,
        PURCHASE_ORDERS,
        PURCHASE_ORDER_LINES,
        RECEIPTS,
        RECEIPT_MATCHES,
        INVOICES,
        POSTINGS,
        GL_ACCOUNTS,
        PAYMENT_TERMS,
        TAX_CODES,
        STOCK_ITEMS,
    )
}
"""Every logical entity by name."""
