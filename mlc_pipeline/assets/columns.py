"""What the columns of every table mean, and from which columns a Cin7 field comes.

The UI shows both: the table of an asset with a sentence for each column, and the way of a
field from SYSPRO through the plan into Cin7. Plan columns that hold a dot are fields of the
wanted document; push columns are the fields of Cin7's requests.

What must not come in: values; how a field is computed stands in `sync`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import dagster as dg
import sqlalchemy as sa

from mlc_pipeline.staging.tables import metadata
from mlc_pipeline.syspro.entities import Entity


def _meanings(text: str) -> dict[str, str]:
    """Read `name | meaning` lines; a name may say its table first."""
    rows = (line.split("|", 1) for line in text.splitlines() if line.strip())
    return {name.strip(): meaning.strip() for name, meaning in rows}


MEANINGS = _meanings(
    """
    connection | The connection that the row belongs to
    run_id | The run that wrote the row
    extracted_at | When the row was read
    partition | The business day that the row belongs to; empty when it has no date
    raw | The record as Cin7 answered it
    note | A remark of whoever keeps the mapping
    valid_from | First day on which the row holds; empty from the beginning
    valid_to | Last day on which the row holds; empty until further notice
    match | How the code is compared: exact, by section or by prefix

    supplier | Supplier code in SYSPRO, zeros kept
    name | Name
    short_name | Short name
    currency | Currency code
    terms_code | Code of the payment terms
    tax_number | Tax registration number
    default_tax_code | Tax code of the supplier where a document names none
    on_hold | Whether it is on hold in SYSPRO
    telephone | Telephone
    fax | Fax
    contact | Contact person
    email | E-mail address
    nationality | Nationality code
    state | State or county
    branch | AP branch
    date_added | When the supplier was added
    address1 | Address, first line
    address2 | Address, second line
    address3 | Address, third line; usually the town
    address3_locality | Locality that belongs to the third line
    address4 | Address, fourth line; usually the county
    address5 | Address, fifth line; usually the country
    postal_code | Postal code

    purchase_order | Number of the purchase order, zeros kept
    order_status | State of the order: 1 to 4 open, 9 complete, * cancelled
    cancelled | Y when the order was cancelled
    order_date | Day of entry; decides the partition
    due_date | Day on which it is due
    order_type | Local, import or other
    exchange_rate | Rate of the document against the local currency
    mul_div | Whether the rate multiplies or divides
    warehouse | Warehouse code
    tax_status | E when the order is exempt from tax
    completed_date | When the order was completed
    amended_count | How often the order was amended
    buyer | Buyer code

    line | Number of the line
    line_type | 1 stocked, 4 freight, 5 miscellaneous, 6 comment, 7 non-stocked
    stock_code | Stock code; the SKU in Cin7
    description | Description
    uom | Unit of measure
    order_quantity | Quantity ordered
    received_quantity | Quantity received so far
    supplier_catalogue | The supplier's own number of the product
    discount1 | First discount, percent
    discount2 | Second discount, percent
    discount3 | Third discount, percent
    discount_flag | V when the discount is a value
    discount_value | Discount as a value
    price | Price in local currency
    foreign_price | Price in the order's currency
    price_factor | Factor between ordering and pricing unit
    price_factor_mul_div | Whether the factor multiplies or divides
    tax_code | Tax code
    complete | Y when the line is complete
    gl_code | GL code, section by section
    comment | Text of a comment or charge line
    charge_value | Value of a freight or miscellaneous line, local currency
    charge_value_foreign | The same in the order's currency
    charge_tax_code | Tax code of such a line

    grn | Number of the goods received note
    grn_source | Where the note came from
    journal | Number of the journal
    journal_entry | Entry within the journal
    quantity | Quantity received
    receipt_date | Day of receipt; decides the partition
    value | Value
    matched_value | Value that was matched to an invoice, before tax
    delivery_note | Delivery note of the supplier
    matched_quantity | Quantity that was matched
    matched_date | Day of the match; decides the partition
    entry_number | Entry within the journal

    invoice | The supplier's invoice number
    journal_date | Date of the journal in which it was entered
    invoice_date | Date of the invoice; decides the partition
    discount_date | Last day of the settlement discount
    reference | Reference; a credit names its invoice here
    balance | What of the invoice is unpaid
    status | State of the record
    posting_year | Year of the period it was posted to
    posting_month | Month of the period it was posted to
    sub_entry | Line within the entry
    posting_type | Journal type: I invoice, C credit, D debit, A adjustment, P payment
    post_date | Day of posting; decides the partition
    amount | Amount
    company | Company
    account_type | Type of the account
    rate | Tax rate, percent
    postings.amount | Amount of the posting, local currency, before tax or the tax itself
    invoices.value | Value of the invoice with tax, in its own currency
    receipts.value | Value of the receipt, local currency

    code | Account code
    account_class | Class of the account
    system_account | Whether Cin7 keeps it for itself
    id | Cin7's id
    normalised_name | The name as matching compares it
    marker | Our marker: the SYSPRO record that it is
    sku | SKU
    product_type | Stock or service
    account | Account
    active | Whether it may be used
    percent | Percent
    for_purchase | Whether it may be used for purchases
    days | Days until payment
    deprecated | Whether it is no longer used
    lock_date | Nothing may be written before this day
    tax_calculation_method | How Cin7 rounds tax

    syspro_code | GL code, section or prefix in SYSPRO
    cin7_account | Account in Cin7
    role | What is booked there: expense, tax or payable
    syspro_cost_centre | Cost centre in SYSPRO
    cin7_value | What stands for it in Cin7
    syspro_tax_code | Tax code in SYSPRO
    cin7_tax_rule | Tax rule in Cin7
    syspro_terms_code | Terms code in SYSPRO
    cin7_payment_term | Payment term in Cin7
    syspro_currency | Currency code in SYSPRO
    iso_code | ISO code
    syspro_warehouse | Warehouse in SYSPRO
    cin7_location | Location in Cin7

    source_key | The document in SYSPRO: order, order and GRN, or supplier and invoice
    kind | Supplier, order, receipt, invoice, credit note or posting
    home | The document's own date
    verdict | create, update, void, unchanged, waiting, held or excluded
    stage | Ordered, invoiced or received
    reason_code | Why it is not written; see the page of reasons
    reason | The same in words, with what was found
    content | The document as Cin7 should have it
    content_hash | Fingerprint of the content
    difference | What differs from what was written before
    planned_at | When it was planned
    outcome | What became of it: created, updated, unchanged, adopted, waiting, held, failed
    cin7_id | The document's id in Cin7
    cin7_number | The number that Cin7 gave it
    pushed_at | When that was known
    entity | Which table the rows are of
    wanted | How many rows were asked for by key
    found | How many of them SYSPRO has
    cost_centre | Cost centre
    syspro | Postings of the documents that are in Cin7, local currency
    cin7 | The same documents as Cin7 answered them, local currency
    rounding | Cents that arose from converting currencies
    documents | How many documents
    compared_at | When it was compared
    differences | On how many lines the two sides differ
    closed_at | When the period was closed
    period | The period that was closed
    hash | Fingerprint of the figures that were closed
    seen_at | When it was last seen
    """
)
"""A sentence for each column; `table.column` goes before `column`."""


@dataclass(frozen=True)
class Field:
    """A field of a wanted document, where it goes in Cin7 and what it is made of.

    Attributes:
        plan: column of the plan asset, a path in the wanted document.
        cin7: columns of the push asset, paths in Cin7's requests; may be none.
        sources: columns it is made of, `stage/entity.column`; none when the connection's
            settings decide alone.
        meaning: what it is, in words.
    """

    plan: str
    cin7: tuple[str, ...]
    sources: tuple[str, ...]
    meaning: str


def _sources(text: str) -> tuple[str, ...]:
    """Read `entity.column` words; SYSPRO's unless they name another stage."""
    words = text.split()
    return tuple(word if "/" in word else f"syspro/{word}" for word in words)


def _fields(text: str) -> tuple[Field, ...]:
    """Read `plan | Cin7 | sources | meaning` lines."""
    found = []
    for line in text.strip().splitlines():
        plan, cin7, sources, meaning = (part.strip() for part in line.split("|"))
        found.append(Field(plan, tuple(cin7.split()), _sources(sources), meaning))
    return tuple(found)


_SUPPLIER = _fields(
    """
    supplier.marker | Supplier.AdditionalAttribute1 | suppliers.supplier | Marker by which the supplier is known again
    supplier.name | Supplier.Name | suppliers.name suppliers.short_name suppliers.supplier | Name; a name that several codes share gets its code appended
    supplier.currency | Supplier.Currency | suppliers.currency mapping/currencies.iso_code | ISO code
    supplier.payment_term | Supplier.PaymentTerm | suppliers.terms_code mapping/payment_terms.cin7_payment_term | Payment term
    supplier.accounts_payable | Supplier.AccountPayable | | The connection's default
    supplier.tax_rule | Supplier.TaxRule | suppliers.default_tax_code mapping/tax_codes.cin7_tax_rule | Tax rule of documents that name none
    supplier.tax_number | Supplier.TaxNumber | suppliers.tax_number | Tax registration number
    supplier.address.line1 | Supplier.Addresses.Line1 | supplier_addresses.address1 supplier_addresses.address2 supplier_addresses.address3 | First address line that is not blank
    supplier.address.line2 | Supplier.Addresses.Line2 | supplier_addresses.address2 | Second address line
    supplier.address.city | Supplier.Addresses.City | supplier_addresses.address3 | Town
    supplier.address.state | Supplier.Addresses.State | supplier_addresses.address4 | County or state
    supplier.address.postcode | Supplier.Addresses.Postcode | supplier_addresses.postal_code | Postal code
    supplier.address.country | Supplier.Addresses.Country | supplier_addresses.address5 | Country; the connection's default where SYSPRO names none
    supplier.contact.name | Supplier.Contacts.Name | suppliers.contact suppliers.name | Contact; the supplier's name where there is none
    supplier.contact.phone | Supplier.Contacts.Phone | suppliers.telephone | Telephone
    supplier.contact.fax | Supplier.Contacts.Fax | suppliers.fax | Fax
    supplier.contact.email | Supplier.Contacts.Email | suppliers.email | E-mail address
    """
)

_PRICE = (
    "purchase_order_lines.price purchase_order_lines.foreign_price "
    "purchase_order_lines.order_quantity purchase_order_lines.price_factor "
    "purchase_order_lines.price_factor_mul_div purchase_order_lines.discount1 "
    "purchase_order_lines.discount2 purchase_order_lines.discount3 "
    "purchase_order_lines.discount_flag purchase_order_lines.discount_value"
)
_CHARGE = (
    f"{_PRICE} purchase_order_lines.charge_value purchase_order_lines.charge_value_foreign"
)
_ORDER_TAX = "purchase_orders.tax_status purchase_order_lines.tax_code"

_PURCHASE = _fields(
    f"""
    order.header.marker | Purchase.AdditionalAttributes.AdditionalAttribute1 | purchase_orders.purchase_order | Marker by which the purchase is known again
    order.header.supplier | Purchase.SupplierID | purchase_orders.supplier | The supplier, by its id in Cin7
    order.header.approach | Purchase.Approach | receipts.grn purchase_order_lines.received_quantity receipt_matches.invoice | Stage: stock first or invoice first
    order.header.service_only | Purchase.IsServiceOnly Purchase.PurchaseType | purchase_order_lines.line_type | Whether no line is of a product
    order.header.location | Purchase.Location | purchase_orders.warehouse mapping/warehouses.cin7_location | Location that the goods go to
    order.header.terms | Purchase.Terms | purchase_orders.terms_code mapping/payment_terms.cin7_payment_term | Payment term
    order.header.tax_rule | Purchase.TaxRule | | The connection's default; each line names its own
    order.header.currency | | purchase_orders.currency mapping/currencies.iso_code | Currency; in Cin7 it is the supplier's
    order.header.currency_rate | Purchase.CurrencyRate | purchase_orders.exchange_rate purchase_orders.mul_div | Rate against the local currency
    order.header.required_by | Purchase.RequiredBy | purchase_orders.due_date | Day on which the goods are wanted
    order.header.note | Purchase.Note | purchase_orders.purchase_order purchase_orders.order_date | Marker and origin, in words
    order.header.attributes | | | Not used on orders
    order.memo | Order.Memo | purchase_order_lines.comment | Comment lines
    order.lines.sku | Order.Lines.SKU | purchase_order_lines.stock_code | The product
    order.lines.name | Order.Lines.Name | purchase_order_lines.description cin7/products.name | Its name
    order.lines.quantity | Order.Lines.Quantity | purchase_order_lines.order_quantity | Quantity ordered
    order.lines.price | Order.Lines.Price | {_PRICE} | Price after discount, order currency
    order.lines.tax | Order.Lines.Tax | {_PRICE} {_ORDER_TAX} cin7/tax_rules.percent | Tax of the line
    order.lines.tax_rule | Order.Lines.TaxRule | {_ORDER_TAX} mapping/tax_codes.cin7_tax_rule | Tax rule
    order.lines.total | Order.Lines.Total | {_PRICE} | Total before tax
    order.lines.account | | | Not used on orders
    order.lines.cost_centre | | | Not used on orders
    order.lines.comment | Order.Lines.Comment | purchase_order_lines.line | The SYSPRO lines that were added up
    order.charges.description | Order.AdditionalCharges.Description | purchase_order_lines.comment purchase_order_lines.description | Freight, miscellaneous and non-stocked lines
    order.charges.quantity | Order.AdditionalCharges.Quantity | | Always 1
    order.charges.price | Order.AdditionalCharges.Price | {_CHARGE} | Value of the line
    order.charges.tax | Order.AdditionalCharges.Tax | {_CHARGE} {_ORDER_TAX} purchase_order_lines.charge_tax_code cin7/tax_rules.percent | Tax of the charge
    order.charges.tax_rule | Order.AdditionalCharges.TaxRule | {_ORDER_TAX} purchase_order_lines.charge_tax_code mapping/tax_codes.cin7_tax_rule | Tax rule
    order.charges.total | Order.AdditionalCharges.Total | {_CHARGE} | Total before tax
    order.charges.account | | | Not used on orders
    order.charges.cost_centre | Order.AdditionalCharges.Reference | | Not used on orders
    order.new_products | Product.SKU Product.Name Product.UOM | purchase_order_lines.stock_code purchase_order_lines.description purchase_order_lines.uom | Products to make first, when the policy says so
    receipt.purchase_order | Stock.PurchaseID | receipts.purchase_order | The purchase, by its id in Cin7
    receipt.grn | | receipts.grn | Number of the goods received note
    receipt.received | Stock.Lines.Date | receipts.receipt_date | Day of receipt
    receipt.lines.sku | Stock.Lines.SKU | receipts.stock_code | The product
    receipt.lines.quantity | Stock.Lines.Quantity | receipts.quantity | Quantity received
    """
)

_ACCOUNT = "postings.gl_code mapping/gl_accounts.cin7_account"
_CENTRE = "postings.gl_code mapping/cost_centres.cin7_value"
_MATCHED = "receipt_matches.matched_value receipt_matches.matched_quantity invoices.exchange_rate invoices.mul_div"
_POSTED = "postings.amount invoices.exchange_rate invoices.mul_div"
_TAX = "postings.amount postings.gl_code mapping/gl_accounts.role"
_RULE = "invoices.tax_code mapping/tax_codes.cin7_tax_rule"

_INVOICE = _fields(
    f"""
    invoice.marker | Purchase.AdditionalAttributes.AdditionalAttribute1 | invoices.supplier invoices.invoice | Marker by which the purchase of the invoice is known again
    invoice.supplier | | invoices.supplier | Supplier code in SYSPRO
    invoice.number | Invoice.InvoiceNumber | invoices.invoice | The supplier's invoice number
    invoice.purchase_order | Invoice.PurchaseID | receipt_matches.grn receipts.purchase_order invoices.reference | The purchase that it belongs to, by its id in Cin7
    invoice.receipts | | receipt_matches.grn receipts.grn | Receipts that Cin7 must have first
    invoice.invoice_date | Invoice.InvoiceDate | invoices.invoice_date | Date of the invoice
    invoice.original_date | | invoices.invoice_date | Its date in SYSPRO, where it was moved out of a locked period
    invoice.due_date | Invoice.InvoiceDueDate | invoices.due_date | Day on which it is due
    invoice.header.marker | | invoices.supplier invoices.invoice | Marker of the purchase
    invoice.header.supplier | Purchase.SupplierID | invoices.supplier | The supplier, by its id in Cin7
    invoice.header.approach | Purchase.Approach | | Always invoice first
    invoice.header.service_only | Purchase.IsServiceOnly | | Always: such a purchase holds charges only
    invoice.header.location | Purchase.Location | | The connection's default
    invoice.header.terms | Purchase.Terms | suppliers.terms_code mapping/payment_terms.cin7_payment_term | Payment term of the supplier
    invoice.header.tax_rule | Purchase.TaxRule | | The connection's default; each charge names its own
    invoice.header.currency | | invoices.currency mapping/currencies.iso_code | Currency; in Cin7 it is the supplier's
    invoice.header.currency_rate | Purchase.CurrencyRate | invoices.exchange_rate invoices.mul_div | Rate against the local currency
    invoice.header.required_by | | | Not used on invoices
    invoice.header.note | Purchase.Note | invoices.invoice invoices.invoice_date | Marker and origin, in words
    invoice.header.attributes | Purchase.AdditionalAttributes.AdditionalAttribute2 | {_CENTRE} | Cost centres, when the policy puts them there
    invoice.lines.sku | Invoice.Lines.SKU | receipts.stock_code | The product of a matched receipt
    invoice.lines.name | Invoice.Lines.Name | purchase_order_lines.description cin7/products.name | Its name
    invoice.lines.quantity | Invoice.Lines.Quantity | receipt_matches.matched_quantity | Quantity matched
    invoice.lines.price | Invoice.Lines.Price | {_MATCHED} | Matched value by quantity
    invoice.lines.tax | Invoice.Lines.Tax | {_TAX} | Its part of the tax posted
    invoice.lines.tax_rule | Invoice.Lines.TaxRule | {_RULE} | Tax rule
    invoice.lines.total | Invoice.Lines.Total | {_MATCHED} | Total before tax
    invoice.lines.account | Invoice.Lines.Account | {_ACCOUNT} receipts.gl_code | Account
    invoice.lines.cost_centre | Invoice.Lines.Comment | {_CENTRE} | Cost centre
    invoice.lines.comment | | | Not used on invoices
    invoice.charges.description | Invoice.AdditionalCharges.Description | postings.reference gl_accounts.description postings.gl_code | Text of the posting, or the account's name
    invoice.charges.quantity | Invoice.AdditionalCharges.Quantity | | Always 1
    invoice.charges.price | Invoice.AdditionalCharges.Price | {_POSTED} | Amount posted, in the invoice's currency
    invoice.charges.tax | Invoice.AdditionalCharges.Tax | {_TAX} | Its part of the tax posted
    invoice.charges.tax_rule | Invoice.AdditionalCharges.TaxRule | {_RULE} | Tax rule
    invoice.charges.total | Invoice.AdditionalCharges.Total | {_POSTED} | Total before tax
    invoice.charges.account | Invoice.AdditionalCharges.Account | {_ACCOUNT} | Account
    invoice.charges.cost_centre | Invoice.AdditionalCharges.Reference | {_CENTRE} | Cost centre
    credit.marker | | invoices.supplier invoices.invoice | Marker of the credit
    credit.supplier | | invoices.supplier | Supplier code in SYSPRO
    credit.number | CreditNote.CreditNoteNumber | invoices.invoice | Number of the credit
    credit.credited_invoice | CreditNote.CreditNoteInvoiceNumber CreditNote.PurchaseID | invoices.reference | The invoice that it credits
    credit.credit_date | CreditNote.CreditNoteDate | invoices.invoice_date | Date of the credit
    credit.original_date | | invoices.invoice_date | Its date in SYSPRO, where it was moved out of a locked period
    credit.charges.description | CreditNote.AdditionalCharges.Description | postings.reference gl_accounts.description postings.gl_code | Text of the posting, or the account's name
    credit.charges.quantity | CreditNote.AdditionalCharges.Quantity | | Always 1
    credit.charges.price | CreditNote.AdditionalCharges.Price | {_POSTED} | Amount posted, positive
    credit.charges.tax | CreditNote.AdditionalCharges.Tax | {_TAX} | Its part of the tax posted, positive
    credit.charges.tax_rule | CreditNote.AdditionalCharges.TaxRule | {_RULE} | Tax rule
    credit.charges.total | CreditNote.AdditionalCharges.Total | {_POSTED} | Total before tax, positive
    credit.charges.account | CreditNote.AdditionalCharges.Account | {_ACCOUNT} | Account
    credit.charges.cost_centre | CreditNote.AdditionalCharges.Reference | {_CENTRE} | Cost centre
    """
)

FIELDS: Mapping[str, tuple[Field, ...]] = {
    "suppliers": _SUPPLIER,
    "purchases": _PURCHASE,
    "invoices": _INVOICE,
}
"""The fields of the wanted documents, by plan table."""

PUSHES: Mapping[str, str] = {
    "cin7_suppliers": "suppliers",
    "purchases": "purchases",
    "invoices": "invoices",
}
"""The plan table that each push asset writes."""

SET_BY_US = _meanings(
    """
    Supplier.ID | The supplier that is updated
    Supplier.Status | Active, or as it is in Cin7
    Supplier.Addresses.ID | The address that is updated
    Supplier.Addresses.Type | Always Business
    Supplier.Addresses.DefaultForType | Always
    Supplier.Contacts.ID | The contact that is updated
    Supplier.Contacts.Default | Always
    Purchase.ID | The purchase that is updated
    Purchase.TaxCalculation | Always exclusive
    Order.TaskID | The purchase, by its id in Cin7
    Order.Status | Authorised or draft, by the policy
    Order.CombineAdditionalCharges | Never
    Stock.TaskID | The group that is received on
    Stock.Status | Always authorised
    Invoice.TaskID | The group that is invoiced
    Invoice.Status | Authorised or draft, by the policy
    Invoice.CombineAdditionalCharges | Never
    CreditNote.TaskID | A new one
    CreditNote.Status | Authorised or draft, by the policy
    CreditNote.CombineAdditionalCharges | Never
    CreditNote.Lines | Always empty
    CreditNote.Unstock | Always empty: goods stay as they are
    Product.Category | Always Other
    Product.Type | Always Stock
    Product.CostingMethod | Always FIFO
    Product.Status | Always Active
    """
)
"""Fields of Cin7's requests that come from no column."""

_MAPPED_TO = {
    ("gl_accounts", "cin7_account"): "cin7/accounts.code",
    ("tax_codes", "cin7_tax_rule"): "cin7/tax_rules.name",
    ("payment_terms", "cin7_payment_term"): "cin7/payment_terms.name",
    ("warehouses", "cin7_location"): "cin7/locations.name",
}
"""Mapping columns that must name something of a Cin7 book."""


def _meaning(table: str, column: str) -> str:
    return MEANINGS.get(f"{table}.{column}") or MEANINGS.get(column, "")


def _table_columns(table: sa.Table) -> Iterator[dg.TableColumn]:
    for column in table.columns:
        yield dg.TableColumn(
            column.name,
            str(column.type).lower(),
            description=column.comment or _meaning(table.name, column.name),
            constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
        )


@lru_cache(maxsize=256)
def column_schema(stage: str, name: str) -> dg.TableSchema:
    """Return the columns of the table of an asset, each with what it means.

    Plan and push show the fields of the documents behind the columns of their table.
    """
    table = metadata.tables.get(f"{stage}.{PUSHES.get(name, name)}")
    columns = [] if table is None else list(_table_columns(table))
    if stage == "plan" and name in FIELDS:
        columns += [
            dg.TableColumn(f.plan, "in content", description=f.meaning) for f in FIELDS[name]
        ]
    if stage == "push" and name in PUSHES:
        meanings = {path: f.meaning for f in FIELDS[PUSHES[name]] for path in f.cin7}
        prefixes = {path.split(".")[0] for path in meanings}
        ours = {p: m for p, m in SET_BY_US.items() if p.split(".")[0] in prefixes}
        columns += [
            dg.TableColumn(path, "sent to Cin7", description=meaning)
            for path, meaning in sorted({**meanings, **ours}.items())
        ]
    return dg.TableSchema(columns)


@lru_cache(maxsize=4096)
def entity_schema(entity: Entity) -> dg.TableSchema:
    """Return the columns of a staged table, each with the SYSPRO column it comes from."""
    named = {column.name: column.source for column in entity.columns}
    return dg.TableSchema(
        [
            dg.TableColumn(
                column.name,
                column.type,
                description=f"{column.description} · {entity.entity_set}.{named[column.name]}"
                if column.name in named
                else column.description,
                constraints=column.constraints,
            )
            for column in column_schema("syspro", entity.name).columns
        ]
    )


def _deps(connection: str, sources: Iterable[str]) -> list[dg.TableColumnDep]:
    found = []
    for source in sources:
        asset, _, column = source.partition(".")
        found.append(dg.TableColumnDep(dg.AssetKey([connection, *asset.split("/")]), column))
    return found


def column_lineage(connection: str, stage: str, name: str) -> dg.TableColumnLineage | None:
    """Return from which columns each column of an asset comes; None when nothing is known."""
    wanted: dict[str, tuple[str, ...]] = {}
    if stage == "mapping":
        wanted = {c: (to,) for (table, c), to in _MAPPED_TO.items() if table == name}
    elif stage == "plan":
        wanted = {f.plan: f.sources for f in FIELDS.get(name, ()) if f.sources}
    elif stage == "push" and name in PUSHES:
        plan = PUSHES[name]
        for field in FIELDS[plan]:
            for path in field.cin7:
                wanted[path] = (*wanted.get(path, ()), f"plan/{plan}.{field.plan}")
    if not wanted:
        return None
    return dg.TableColumnLineage({c: _deps(connection, s) for c, s in wanted.items()})
