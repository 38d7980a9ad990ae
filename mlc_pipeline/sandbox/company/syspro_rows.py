"""A neutral ledger as rows of SYSPRO tables, under their physical column names.

An invoice stays in its own currency, to the cent as it was; what SYSPRO's ledger keeps
(postings, receipts, matches) is in local currency. A number that SYSPRO's scale cannot hold
is an error, never rounded.

What must not come in: files, HTTP, Cin7.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation
from functools import cached_property
from typing import Any

from mlc_pipeline.sandbox.company import rules
from mlc_pipeline.sandbox.company.model import (
    ZERO,
    Company,
    Distribution,
    Invoice,
    PoLine,
    PurchaseOrder,
    Receipt,
)
from mlc_pipeline.syspro import entities
from mlc_pipeline.syspro.entities import Column, Entity

Row = dict[str, Any]

GRN_SOURCE = "P"
ORDER_STATUS = {"open": "4", "complete": "9", "cancelled": "*"}
PRICE_STEP = Decimal("0.00001")

WIDTHS = {
    "Supplier": rules.SUPPLIER_WIDTH,
    "Invoice": rules.INVOICE_WIDTH,
    "PurchaseOrder": 20,
    "Grn": 20,
    "Company": 4,
    "GlCode": 35,
    "ExpenseGlCode": 35,
    "DebitRecGlCode": 35,
    "ApTaxGlCode": 35,
    "MGlCode": 35,
    "MStockCode": 30,
    "StockCode": 30,
    "Warehouse": 10,
    "MWarehouse": 10,
    "TermsCode": 2,
    "TaxCode": 3,
    "FirstTaxCode": 3,
    "DefTaxCode": 3,
    "MTaxCode": 3,
    "NMscChargeTax": 3,
    "Currency": 3,
    "SupplierName": 50,
    "SupShortName": 20,
    "TaxRegnNum": 20,
    "Telephone": 20,
    "Contact": 50,
    "Email": 255,
    "Nationality": 3,
    "SupAddr1": 40,
    "SupAddr2": 40,
    "SupAddr3": 40,
    "SupAddr4": 40,
    "SupAddr5": 40,
    "SupPostalCode": 10,
    "MStockDes": 50,
    "MOrderUom": 10,
    "QtyUom": 10,
    "StockUom": 10,
    "NComment": 100,
    "Description": 50,
    "DeliveryNote": 30,
    "Reference": 30,
    "InvoiceStatus": 1,
}
"""Widths of SYSPRO's text columns: descriptions are cut to them."""

CODES = frozenset(
    {"TermsCode", "TaxCode", "FirstTaxCode", "DefTaxCode", "MTaxCode", "Currency"}
)
"""Columns that must fit although they are no keys: a cut code would be another code."""


def syspro_tables(
    company: Company, company_id: str = "DEMO", *, spread_postings: bool = True
) -> dict[str, list[Row]]:
    """Translate a company into SYSPRO tables: entity set -> rows of physical columns.

    Values are text, int, `Decimal` at SYSPRO's scale, `datetime.date` or None. With
    `spread_postings` a posting without a posted date is posted 0 to 10 days after its
    ledger date, by a fixed function of its document number; without, on that date.

    Raises:
        ValueError: a key, code or number that SYSPRO's column cannot hold, or two supplier
            ids that become one key.
    """
    books = _Books(rules.completed(company), company_id, spread_postings)
    made = {
        entities.SUPPLIERS: _suppliers(books),
        entities.SUPPLIER_ADDRESSES: _addresses(books),
        entities.PURCHASE_ORDERS: _orders(books),
        entities.PURCHASE_ORDER_LINES: _order_lines(books),
        entities.RECEIPTS: _receipts(books),
        entities.RECEIPT_MATCHES: _matches(books),
        entities.INVOICES: _invoices(books),
        entities.POSTINGS: _postings(books),
        entities.GL_ACCOUNTS: _ledger_codes(books),
        entities.PAYMENT_TERMS: _terms(books),
        entities.TAX_CODES: _tax_codes(books),
        entities.STOCK_ITEMS: _stock_items(books),
    }
    return {
        entity.entity_set: [_row(entity, values) for values in rows]
        for entity, rows in made.items()
    }


def _row(entity: Entity, values: Row) -> Row:
    """Physical row of an entity; what is not given is blank, zero or no date."""
    unknown = values.keys() - {column.name for column in entity.columns}
    if unknown:
        raise KeyError(f"{entity.name} has no column(s) {', '.join(sorted(unknown))}")
    return {
        column.source: _fitted(entity, column, values.get(column.name))
        for column in entity.columns
    }


def _fitted(entity: Entity, column: Column, value: Any) -> Any:
    if column.kind in ("key", "text"):
        return _fitted_text(entity, column, value or "")
    if column.kind == "date":
        return value
    if column.kind == "integer":
        return int(value or 0)
    precision, scale = entities.SCALES[column.kind]
    try:
        exact = Context(prec=precision, traps=[Inexact, InvalidOperation])
        return (value or ZERO).quantize(Decimal(1).scaleb(-scale), context=exact)
    except ArithmeticError:
        raise ValueError(
            f"{entity.entity_set}.{column.source}: found {value}, expected a number of at "
            f"most {precision - scale} digits and {scale} decimals"
        ) from None


def _fitted_text(entity: Entity, column: Column, value: str) -> str:
    width = WIDTHS.get(column.source, len(value))
    if len(value) > width and (column.kind == "key" or column.source in CODES):
        raise ValueError(
            f"{entity.entity_set}.{column.source}: found {value!r}, expected at most {width} "
            f"characters; shorten it in every table of the ledger"
        )
    return value[:width].rstrip() if len(value) > width else value


@dataclass(frozen=True)
class _Grn:
    """Where a receipt stands in SYSPRO: goods received note, its journal and entry."""

    number: str
    journal: int
    entry: int


class _Books:
    """A completed company with what several tables need to know of each other."""

    def __init__(self, company: Company, company_id: str, spread: bool) -> None:
        self.company = company
        self.company_id = company_id
        self.spread = spread
        self.suppliers = rules.supplier_keys(company.suppliers)
        self.invoices = rules.invoice_keys(company.invoices)
        self.tax_codes = rules.supplier_tax_codes(company)
        self.received = rules.received(company.receipts)
        self.billed_by = rules.billed_by(company)
        self.supplier = {each.supplier_id: each for each in company.suppliers}
        self.order = {each.purchase_order: each for each in company.purchase_orders}
        self.line = {(each.purchase_order, each.line): each for each in company.po_lines}
        self.items = {each.stock_code: each for each in company.stock_items}
        self.stock_code = rules.control_code(company, "stock")

    def line_ledger_code(self, line: PoLine) -> str:
        """Ledger code a line is charged to; blank for a comment."""
        if line.type == "6":
            return ""
        item = self.items.get(line.stock_code)
        stocked = (item.gl_code if item else "") or self.stock_code
        other = rules.control_code(self.company, "expense")
        return line.gl_code or (stocked if line.type == "1" else other)

    @cached_property
    def lines_of(self) -> dict[str, list[PoLine]]:
        """Lines by order."""
        found: defaultdict[str, list[PoLine]] = defaultdict(list)
        for line in self.company.po_lines:
            found[line.purchase_order].append(line)
        return dict(found)

    def line_complete(self, line: PoLine) -> bool:
        """True when nothing more is expected for a line that can be received."""
        if line.complete is not None:
            return line.complete
        return self.received[line.purchase_order, line.line] >= line.qty_ordered

    @cached_property
    def order_state(self) -> dict[str, str]:
        """open, complete or cancelled, by order."""
        return {each.purchase_order: self._state(each) for each in self.company.purchase_orders}

    def _state(self, order: PurchaseOrder) -> str:
        if order.status:
            return order.status
        if order.complete is not None:
            return "complete" if order.complete else "open"
        lines = [
            each for each in self.lines_of.get(order.purchase_order, ()) if each.receivable
        ]
        return "complete" if lines and all(map(self.line_complete, lines)) else "open"

    @cached_property
    def grns(self) -> list[_Grn]:
        """The goods received note of each receipt, in the order of the receipts.

        One note an order, receipt number and day; journals count up with the days.
        """
        groups = [
            (r.receipt_date, r.purchase_order, r.receipt_no) for r in self.company.receipts
        ]
        journals = {group: number for number, group in enumerate(sorted(set(groups)), start=1)}
        entries: Counter[int] = Counter()
        notes = []
        for group in groups:
            journal = journals[group]
            entries[journal] += 1
            notes.append(_Grn(group[2] or f"{journal:015d}", journal, entries[journal]))
        return notes

    @cached_property
    def last_receipt(self) -> dict[str, date]:
        """Day of the last receipt by order."""
        found: dict[str, date] = {}
        for each in self.company.receipts:
            known = found.get(each.purchase_order, each.receipt_date)
            found[each.purchase_order] = max(known, each.receipt_date)
        return found

    @cached_property
    def distributions(self) -> dict[str, list[Distribution]]:
        """Postings by document: those of the ledger, or made when it has no such table."""
        found: dict[str, list[Distribution]] = defaultdict(list)
        for each in self.company.gl_distributions or self._made_distributions():
            found[each.document_no].append(each)
        return found

    def _made_distributions(self) -> Iterator[Distribution]:
        billed: defaultdict[str, list[Receipt]] = defaultdict(list)
        for document, receipt in zip(self.billed_by, self.company.receipts, strict=True):
            billed[document].append(receipt)
        for invoice in self.company.invoices:
            amounts = self._made_amounts(invoice, billed[invoice.document_no])
            for line, (code, amount) in enumerate(amounts, start=1):
                yield Distribution(
                    document_no=invoice.document_no,
                    line=line,
                    account=code,
                    gl_code=code,
                    amount=amount,
                )

    def _made_amounts(
        self, invoice: Invoice, billed: Iterable[Receipt]
    ) -> list[tuple[str, Decimal]]:
        """Net to the ledger codes of what was received, what remains to purchases, then tax."""
        amounts: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
        for receipt in billed:
            line = self.line[receipt.purchase_order, receipt.line]
            amounts[self.line_ledger_code(line)] += receipt.value
        net = invoice.value - invoice.tax
        amounts[rules.control_code(self.company, "expense")] += net - sum(amounts.values())
        amounts[rules.control_code(self.company, "tax")] += invoice.tax
        if amounts.get(""):
            raise ValueError(
                "gl_accounts: found no account with role stock, tax or expense to post "
                f"document {invoice.document_no} to; expected one each, or gl_distributions"
            )
        return [(code, amount) for code, amount in amounts.items() if amount]

    def post_date(self, invoice: Invoice, posting: Distribution | None = None) -> date:
        """Day on which an invoice, or one posting of it, was posted."""
        return rules.post_date(invoice, posting, spread=self.spread)

    def journal_date(self, invoice: Invoice) -> date:
        """Day of an invoice's journal: that of its first posting."""
        postings = self.distributions.get(invoice.document_no, ())
        days = [self.post_date(invoice, each) for each in postings]
        return min(days, default=self.post_date(invoice))


def _suppliers(books: _Books) -> Iterator[Row]:
    for each in books.company.suppliers:
        yield {
            "supplier": books.suppliers[each.supplier_id],
            "name": each.name,
            "short_name": each.name,
            "currency": each.currency or books.company.local_currency,
            "terms_code": rules.terms_code(each),
            "tax_number": each.tax_number,
            "default_tax_code": books.tax_codes[each.supplier_id],
            "on_hold": "Y" if each.on_hold else "N",
            "telephone": each.phone,
            "contact": each.contact,
            "email": each.email,
            "nationality": each.nationality,
        }


def _addresses(books: _Books) -> Iterator[Row]:
    for each in books.company.suppliers:
        yield {
            "supplier": books.suppliers[each.supplier_id],
            "address1": each.postal1,
            "address2": each.postal2,
            "address3": each.postal3,
            "address4": each.postal4,
            "address5": each.postal5,
            "postal_code": each.postal_postcode,
        }


def _orders(books: _Books) -> Iterator[Row]:
    for order in books.company.purchase_orders:
        name, state = order.purchase_order, books.order_state[order.purchase_order]
        codes = {_line_tax_code(books, line) for line in books.lines_of.get(name, ())}
        yield {
            "purchase_order": name,
            "order_status": ORDER_STATUS[state],
            "cancelled": "Y" if state == "cancelled" else "N",
            "supplier": books.suppliers[order.supplier_id],
            "order_date": order.order_date,
            "due_date": order.due,
            "order_type": "L" if _is_local(books, order) else "I",
            "terms_code": order.terms_code
            or rules.terms_code(books.supplier[order.supplier_id]),
            "currency": rules.currency(order, books.company),
            "exchange_rate": order.exchange_rate or Decimal(1),
            "mul_div": order.mul_div or "M",
            "warehouse": rules.warehouse(order),
            "tax_status": "E" if codes <= {rules.EXEMPT, ""} else "N",
            "completed_date": books.last_receipt.get(name) if state == "complete" else None,
        }


def _is_local(books: _Books, order: PurchaseOrder) -> bool:
    return rules.currency(order, books.company) == books.company.local_currency


def _line_tax_code(books: _Books, line: PoLine) -> str:
    """Tax code of a line: as given, else its supplier's; none for a comment."""
    if line.type == "6":
        return ""
    return line.tax_code or books.tax_codes[books.order[line.purchase_order].supplier_id]


def _local_price(order: PurchaseOrder, price: Decimal) -> Decimal:
    rate = order.exchange_rate or Decimal(1)
    local = price / rate if order.mul_div == "D" else price * rate
    return local.quantize(PRICE_STEP)


def _order_lines(books: _Books) -> Iterator[Row]:
    for line in books.company.po_lines:
        order = books.order[line.purchase_order]
        common = {
            "purchase_order": line.purchase_order,
            "line": line.line,
            "line_type": line.type,
            "due_date": line.due or order.due,
            "gl_code": books.line_ledger_code(line),
        }
        yield common | (_goods if line.receivable else _charge)(books, order, line)


def _goods(books: _Books, order: PurchaseOrder, line: PoLine) -> Row:
    item = books.items.get(line.stock_code)
    return {
        "stock_code": line.stock_code,
        "description": line.description or (item.description if item else ""),
        "warehouse": rules.warehouse(order, line),
        "uom": _uom(books, line),
        "order_quantity": line.qty_ordered,
        "received_quantity": books.received[line.purchase_order, line.line],
        "discount1": line.discount,
        "price": _local_price(order, line.unit_price),
        "foreign_price": line.unit_price,
        "price_factor": Decimal(1),
        "price_factor_mul_div": "M",
        "tax_code": _line_tax_code(books, line),
        "complete": "Y" if books.line_complete(line) else "N",
    }


def _charge(books: _Books, order: PurchaseOrder, line: PoLine) -> Row:
    """Freight and other charges carry a value and no quantity, comments carry neither."""
    value = line.qty_ordered * line.unit_price if line.line_value is None else line.line_value
    return {
        "comment": line.description,
        "charge_value": _local_price(order, value).quantize(rules.CENT),
        "charge_value_foreign": value,
        "charge_tax_code": _line_tax_code(books, line),
        "complete": "Y" if books.order_state[order.purchase_order] == "complete" else "N",
    }


def _uom(books: _Books, line: PoLine) -> str:
    item = books.items.get(line.stock_code)
    return line.uom or (item.uom if item else "") or "EA"


def _receipts(books: _Books) -> Iterator[Row]:
    rows = zip(books.company.receipts, books.grns, books.billed_by, strict=True)
    for receipt, grn, document in rows:
        order = books.order[receipt.purchase_order]
        line = books.line[receipt.purchase_order, receipt.line]
        (value,) = _in_local_currency([receipt.value], order, books)
        yield {
            "supplier": books.suppliers[order.supplier_id],
            "grn": grn.number,
            "grn_source": GRN_SOURCE,
            "journal": grn.journal,
            "journal_entry": grn.entry,
            "purchase_order": receipt.purchase_order,
            "line": receipt.line,
            "stock_code": line.stock_code,
            "warehouse": rules.warehouse(order, line),
            "quantity": receipt.qty,
            "uom": _uom(books, line),
            "receipt_date": receipt.receipt_date,
            "value": value,
            "matched_value": value if document else ZERO,
            "gl_code": books.line_ledger_code(line),
            "delivery_note": receipt.receipt_no,
        }


def _matches(books: _Books) -> Iterator[Row]:
    invoices = {each.document_no: each for each in books.company.invoices}
    rows = zip(books.company.receipts, books.grns, books.billed_by, strict=True)
    for receipt, grn, document in rows:
        if document:
            order = books.order[receipt.purchase_order]
            (value,) = _in_local_currency([receipt.value], invoices[document], books)
            yield {
                "supplier": books.suppliers[order.supplier_id],
                "grn": grn.number,
                "invoice": books.invoices[document],
                "journal": grn.journal,
                "entry_number": grn.entry,
                "matched_value": value,
                "matched_quantity": receipt.qty,
                "matched_date": books.journal_date(invoices[document]),
            }


def _invoices(books: _Books) -> Iterator[Row]:
    for invoice in books.company.invoices:
        posted = books.journal_date(invoice)
        key = books.invoices[invoice.document_no]
        days = rules.terms_days(rules.terms_code(books.supplier[invoice.supplier_id]))
        credited = books.invoices.get(invoice.credit_of, "")
        own = invoice.invoice_no if key != invoice.invoice_no else ""
        yield {
            "supplier": books.suppliers[invoice.supplier_id],
            "invoice": key,
            "journal_date": posted,
            "journal": int(invoice.document_no),
            "entry_number": 1,
            "invoice_date": invoice.invoice_date,
            "due_date": invoice.due or invoice.invoice_date + timedelta(days=days),
            "reference": own or credited or invoice.reference or invoice.purchase_order,
            "value": invoice.value,
            "balance": invoice.value if invoice.outstanding is None else invoice.outstanding,
            "status": invoice.status,
            "currency": rules.currency(invoice, books.company),
            "exchange_rate": invoice.exchange_rate or Decimal(1),
            "mul_div": invoice.mul_div or "M",
            "posting_year": posted.year,
            "posting_month": posted.month,
            "tax_code": rules.tax_code(invoice),
        }


def _in_local_currency(
    amounts: Sequence[Decimal], document: Invoice | PurchaseOrder, books: _Books
) -> list[Decimal]:
    """Convert amounts of a document to local currency, as SYSPRO's ledger keeps them.

    Local = document x rate when MulDiv is M, / rate when D, to the cent; the last part
    takes what rounding leaves over, so that the parts make the converted whole.
    """
    rate = document.exchange_rate or Decimal(1)
    if rules.currency(document, books.company) == books.company.local_currency or rate == 1:
        return list(amounts)

    def local(amount: Decimal) -> Decimal:
        exact = amount / rate if document.mul_div == "D" else amount * rate
        return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)

    parts = [local(amount) for amount in amounts]
    if parts:
        parts[-1] += local(sum(amounts, ZERO)) - sum(parts, ZERO)
    return parts


def _postings(books: _Books) -> Iterator[Row]:
    for invoice in books.company.invoices:
        credited = books.invoices.get(invoice.credit_of, "")
        postings = books.distributions.get(invoice.document_no, ())
        amounts = _in_local_currency([p.amount for p in postings], invoice, books)
        for posting, amount in zip(postings, amounts, strict=True):
            posted = books.post_date(invoice, posting)
            yield {
                "posting_year": posted.year,
                "posting_month": posted.month,
                "journal": int(invoice.document_no),
                "entry_number": 1,
                "sub_entry": posting.line,
                "supplier": books.suppliers[invoice.supplier_id],
                "invoice": books.invoices[invoice.document_no],
                "posting_type": invoice.type or ("C" if invoice.is_credit else "I"),
                "post_date": posted,
                "gl_code": posting.code,
                "amount": amount,
                "reference": credited or posting.reference,
            }


def _ledger_codes(books: _Books) -> Iterator[Row]:
    """Every ledger code that is posted to, charged by an order line, or a control account."""
    accounts = {each.account: each for each in books.company.gl_accounts}
    of_code = {each.gl_code or each.account: each for each in accounts.values() if each.role}
    for posting in books.company.gl_distributions:
        of_code.setdefault(posting.code, accounts[posting.account])
    for line in books.company.po_lines:
        code = books.line_ledger_code(line)
        account = accounts.get(code.rpartition(".")[2])
        if account is not None:
            of_code.setdefault(code, account)
    for code, account in sorted(of_code.items()):
        yield {
            "company": books.company_id,
            "gl_code": code,
            "description": account.description,
            "account_type": account.account_type or rules.account_type(account.role),
            "on_hold": "N",
        }


def _terms(books: _Books) -> Iterator[Row]:
    for code in rules.terms_codes(books.company):
        yield {"terms_code": code, "description": rules.terms_name(code)}


def _tax_codes(books: _Books) -> Iterator[Row]:
    code = rules.control_code(books.company, "tax")
    for name, rate in rules.tax_rates(books.company).items():
        yield {
            "tax_code": name,
            "description": f"Tax at {rate}%" if rate else "No tax",
            "rate": Decimal(rate),
            "gl_code": code if rate else "",
        }


def _stock_items(books: _Books) -> Iterator[Row]:
    for each in books.company.stock_items:
        yield {
            "stock_code": each.stock_code,
            "description": each.description,
            "uom": each.uom or "EA",
        }
