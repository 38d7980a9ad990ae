"""The rules by which a neutral ledger is read: keys, dates, defaults, what is made up.

Each is stated in docs/neutral-form.md, so that nothing changes silently on the way into
the stand-ins.

What must not come in: files, physical SYSPRO columns, Cin7's shapes, randomness.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import count
from zlib import crc32

from mlc_pipeline.sandbox.company.model import (
    ZERO,
    Company,
    CostCentre,
    Distribution,
    GlAccount,
    Invoice,
    PoLine,
    PurchaseOrder,
    Receipt,
    StockItem,
    Supplier,
)

SUPPLIER_WIDTH = 15
INVOICE_WIDTH = 20
POSTED_WITHIN_DAYS = 10
DEFAULT_TERMS = "30"
DEFAULT_WAREHOUSE = "01"
EXEMPT = "E"
CASH_ON_DELIVERY = "CD"
UNBILLED = "0"
"""What a receipt names when no invoice bills it yet: no document has that number."""
CENT = Decimal("0.01")

MADE_COST_CENTRE = CostCentre(cost_centre="100", description="Head office")
MADE_ACCOUNTS = (
    GlAccount(
        account="1400", description="Stock", account_type="A", role="stock", gl_code="100.1400"
    ),
    GlAccount(
        account="2100",
        description="Trade creditors",
        account_type="L",
        role="payable",
        gl_code="100.2100",
    ),
    GlAccount(
        account="2200",
        description="Tax on purchases",
        account_type="L",
        role="tax",
        gl_code="100.2200",
    ),
    GlAccount(
        account="7000",
        description="Purchases not stocked",
        account_type="E",
        role="expense",
        gl_code="100.7000",
    ),
)
"""The chart of a ledger that has none."""


@dataclass(frozen=True)
class KeyChange:
    """An invoice that stands in SYSPRO under another number than its supplier gave it."""

    document_no: str
    supplier_id: str
    invoice_no: str
    key: str
    reason: str


def completed(company: Company) -> Company:
    """The company with what a ledger may leave out: a chart, and items that only lines name."""
    items = (*company.stock_items, *_items_of_lines(company))
    if company.gl_accounts:
        return replace(company, stock_items=items)
    return replace(
        company,
        stock_items=items,
        gl_accounts=MADE_ACCOUNTS,
        cost_centres=company.cost_centres or (MADE_COST_CENTRE,),
    )


def _items_of_lines(company: Company) -> Iterator[StockItem]:
    seen = {each.stock_code for each in company.stock_items}
    for line in company.po_lines:
        if line.type == "1" and line.stock_code and line.stock_code not in seen:
            seen.add(line.stock_code)
            yield StockItem(
                stock_code=line.stock_code,
                description=line.description,
                pack=line.pack,
                uom=line.uom,
            )


def supplier_key(supplier_id: str) -> str:
    """SYSPRO's stored form: numeric ids zero-filled to 15, others as they are.

    Raises:
        ValueError: an id wider than SYSPRO's key.
    """
    if len(supplier_id) > SUPPLIER_WIDTH:
        raise ValueError(
            f"suppliers, supplier_id: found {supplier_id!r}, expected at most "
            f"{SUPPLIER_WIDTH} characters; shorten it in every table"
        )
    if supplier_id.isascii() and supplier_id.isdigit():
        return supplier_id.zfill(SUPPLIER_WIDTH)
    return supplier_id


def supplier_keys(suppliers: Iterable[Supplier]) -> dict[str, str]:
    """SYSPRO key by supplier id.

    Raises:
        ValueError: an id too wide, or two ids that become the same key.
    """
    keys: dict[str, str] = {}
    owner: dict[str, str] = {}
    for supplier in suppliers:
        key = supplier_key(supplier.supplier_id)
        if owner.setdefault(key, supplier.supplier_id) != supplier.supplier_id:
            raise ValueError(
                f"suppliers, supplier_id: found {owner[key]!r} and {supplier.supplier_id!r}, "
                f"which both become {key}; expected ids that differ in more than zeros"
            )
        keys[supplier.supplier_id] = key
    return keys


def invoice_keys(invoices: Iterable[Invoice]) -> dict[str, str]:
    """SYSPRO invoice number by document number: never blank, 20 wide, unique in a supplier.

    Numbers that fit are kept first, so that no changed number displaces a kept one.
    """
    taken: set[tuple[str, str]] = set()
    keys: dict[str, str] = {}
    others = []
    for invoice in invoices:
        own = (invoice.supplier_id, invoice.invoice_no)
        if _fits(invoice.invoice_no) and own not in taken:
            taken.add(own)
            keys[invoice.document_no] = invoice.invoice_no
        else:
            others.append(invoice)
    for invoice in others:
        supplier = invoice.supplier_id
        key = next(key for key in _candidates(invoice) if (supplier, key) not in taken)
        taken.add((supplier, key))
        keys[invoice.document_no] = key
    return keys


def _fits(number: str) -> bool:
    return 0 < len(number) <= INVOICE_WIDTH and number == number.strip()


def _base(invoice: Invoice) -> str:
    return invoice.invoice_no.strip()[:INVOICE_WIDTH].rstrip() or f"DOC{invoice.document_no}"


def _candidates(invoice: Invoice) -> Iterator[str]:
    base = _base(invoice)
    yield base
    for number in count(2):
        suffix = f"~{number}"
        yield base[: INVOICE_WIDTH - len(suffix)].rstrip() + suffix


def key_changes(company: Company) -> list[KeyChange]:
    """Every invoice whose number was changed to become its SYSPRO key, and why."""
    keys = invoice_keys(company.invoices)
    return [
        KeyChange(
            invoice.document_no,
            invoice.supplier_id,
            invoice.invoice_no,
            keys[invoice.document_no],
            _reason(invoice, keys[invoice.document_no]),
        )
        for invoice in company.invoices
        if keys[invoice.document_no] != invoice.invoice_no
    ]


def _reason(invoice: Invoice, key: str) -> str:
    number = invoice.invoice_no
    reasons = []
    if not number.strip():
        reasons.append("blank")
    elif number != number.strip():
        reasons.append("blanks at its ends")
    if len(number.strip()) > INVOICE_WIDTH:
        reasons.append(f"longer than {INVOICE_WIDTH} characters")
    if key != _base(invoice):
        reasons.append("repeated")
    return ", ".join(reasons)


def posted_after_days(document_no: str) -> int:
    """Days from the ledger date to the posting, 0 to 10, always the same for a document."""
    return crc32(document_no.encode()) % (POSTED_WITHIN_DAYS + 1)


def post_date(invoice: Invoice, posting: Distribution | None, *, spread: bool) -> date:
    """The day a posting was made: as given, else its ledger date plus the spread."""
    if posting is not None and posting.post_date is not None:
        return posting.post_date
    ledger_date = posting.gl_date if posting is not None else None
    days = posted_after_days(invoice.document_no) if spread else 0
    return (ledger_date or invoice.invoice_date) + timedelta(days=days)


def tax_code(invoice: Invoice) -> str:
    """The tax code of an invoice: as given, else `E` untaxed or `S<rate>`."""
    if invoice.tax_code:
        return invoice.tax_code
    return f"S{tax_percent(invoice):02d}" if invoice.tax else EXEMPT


def tax_percent(invoice: Invoice) -> int:
    """Tax of an invoice as whole percent of its net."""
    if not invoice.net:
        return 0
    return int((100 * invoice.tax / invoice.net).quantize(Decimal(1), ROUND_HALF_UP))


def tax_rates(company: Company) -> dict[str, int]:
    """Rate in percent by tax code: the commonest among its invoices; no tax is always there."""
    found: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for invoice in company.invoices:
        found[tax_code(invoice)][tax_percent(invoice)] += 1
    stated = {each.tax_code for each in company.suppliers}
    stated |= {each.tax_code for each in company.po_lines}
    for code in stated - {""}:
        found.setdefault(code, Counter({0: 1}))
    rates = {code: counts.most_common(1)[0][0] for code, counts in sorted(found.items())}
    return {EXEMPT: 0, **rates}


def supplier_tax_codes(company: Company) -> dict[str, str]:
    """Default tax code by supplier: as given, else the commonest of its invoices."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for invoice in company.invoices:
        found[invoice.supplier_id][tax_code(invoice)] += 1
    return {
        each.supplier_id: each.tax_code
        or (found[each.supplier_id].most_common(1) or [(EXEMPT, 0)])[0][0]
        for each in company.suppliers
    }


def terms_code(supplier: Supplier) -> str:
    """Terms of a supplier: as given, else its payment days, else 30 days."""
    if supplier.terms_code:
        return supplier.terms_code
    return DEFAULT_TERMS if supplier.payment_days is None else f"{supplier.payment_days:02d}"


def terms_days(code: str) -> int:
    """Days of a terms code; 0 for one that is not a number of days."""
    return int(code) if code.isascii() and code.isdigit() else 0


def terms_codes(company: Company) -> list[str]:
    """Every terms code in use."""
    of_orders = {each.terms_code for each in company.purchase_orders if each.terms_code}
    return sorted({DEFAULT_TERMS, *map(terms_code, company.suppliers), *of_orders})


def currency(document: Invoice | PurchaseOrder, company: Company) -> str:
    """Currency of a document: as given, else the company's."""
    return document.currency or company.local_currency


def warehouse(order: PurchaseOrder, line: PoLine | None = None) -> str:
    """Warehouse of an order or of one of its lines."""
    return (line.warehouse if line else "") or order.warehouse or DEFAULT_WAREHOUSE


def warehouses(company: Company) -> list[str]:
    """Every warehouse in use; the default one when there are none."""
    found = {order.warehouse for order in company.purchase_orders}
    found |= {line.warehouse for line in company.po_lines}
    return sorted(found - {""}) or [DEFAULT_WAREHOUSE]


def control_code(company: Company, role: str) -> str:
    """Ledger code of the account with that role; blank when the chart has none."""
    for account in company.gl_accounts:
        if account.role == role:
            return account.gl_code or account.account
    return ""


def billed_by(company: Company) -> list[str]:
    """For each receipt the document that bills it, blank when none does.

    A receipt names its invoice, or `UNBILLED`; one that is blank belongs to the only invoice
    of its order. Where an order has several, only naming it tells.
    """
    of_order: defaultdict[str, list[str]] = defaultdict(list)
    for invoice in company.invoices:
        if invoice.purchase_order and not invoice.is_credit:
            of_order[invoice.purchase_order].append(invoice.document_no)
    known = {invoice.document_no for invoice in company.invoices}
    found = []
    for receipt in company.receipts:
        document = receipt.document_no
        if not document and len(of_order[receipt.purchase_order]) == 1:
            document = of_order[receipt.purchase_order][0]
        found.append(document if document in known else "")
    return found


def received(receipts: Iterable[Receipt]) -> dict[tuple[str, int], Decimal]:
    """Quantity received by order and line."""
    totals: defaultdict[tuple[str, int], Decimal] = defaultdict(lambda: ZERO)
    for receipt in receipts:
        totals[receipt.purchase_order, receipt.line] += receipt.qty
    return totals


def terms_name(code: str) -> str:
    """Name of a terms code, the same in SYSPRO's table and in Cin7's."""
    if code == CASH_ON_DELIVERY:
        return "Cash on delivery"
    return f"{int(code)} days" if code.isascii() and code.isdigit() else f"Terms {code}"


def account_type(role: str) -> str:
    """SYSPRO's account type where the ledger states none: asset, liability or expense."""
    return {"stock": "A", "tax": "L", "payable": "L"}.get(role, "E")
