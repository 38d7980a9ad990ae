"""Small companies made by hand: each document is there for one thing that a test looks at.

What must not come in: tests, servers.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from mlc_pipeline.sandbox.company.model import (
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

DAY = date(2026, 3, 2)
"""A Monday: the first day of every company here."""

SUPPLIER = Supplier(
    supplier_id="100100",
    name="Quillmere Castings Ltd",
    terms_code="14",
    tax_code="S20",
    tax_number="GB123456789",
    contact="Accounts department",
    phone="01632 960001",
    email="accounts@quillmere.example",
    postal1="7 Kiln Lane",
    postal2="Wexcombe",
    postal_postcode="ZA1 2XY",
)
KEY = "000000000100100"
"""The supplier's key as SYSPRO stores it."""

ACCOUNTS = (
    GlAccount(
        account="1400", description="Stock", account_type="A", role="stock", gl_code="000.1400"
    ),
    GlAccount(
        account="2100",
        description="Trade creditors",
        account_type="L",
        role="payable",
        gl_code="000.2100",
    ),
    GlAccount(
        account="2200", description="VAT", account_type="L", role="tax", gl_code="000.2200"
    ),
    GlAccount(account="7010", description="Raw materials", account_type="E"),
    GlAccount(account="7310", description="Freight inwards", account_type="E"),
    GlAccount(account="7990", description="New account", account_type="E", mapped=False),
)
CENTRES = (
    CostCentre(cost_centre="000", description="Balance sheet"),
    CostCentre(cost_centre="110", description="Foundry"),
    CostCentre(cost_centre="120", description="Machining"),
)


def day(number: int) -> date:
    """Return the day so many days after the first."""
    return DAY + timedelta(days=number)


def company(**tables: Any) -> Company:
    """Return a company with the usual supplier and chart and the given tables."""
    return Company(
        **{
            "name": "by hand",
            "suppliers": (SUPPLIER,),
            "gl_accounts": ACCOUNTS,
            "cost_centres": CENTRES,
            **tables,
        }
    )


def invoice(number: str, net: str, **fields: Any) -> Invoice:
    """Return an invoice of the usual supplier, taxed at 20 %, dated on the first day."""
    amount = Decimal(net)
    return Invoice(
        **{
            "document_no": "5001",
            "supplier_id": SUPPLIER.supplier_id,
            "invoice_no": number,
            "invoice_date": DAY,
            "net": amount,
            "tax": (amount / 5).quantize(Decimal("0.01")),
            "type": "C" if amount < 0 else "I",
            "due": DAY + timedelta(days=14),
            "tax_code": "S20",
            **fields,
        }
    )


def postings(
    document: Invoice, amounts: dict[str, str], posted: date | None = None
) -> tuple[Distribution, ...]:
    """Return the postings of a document by ledger code, and one for its tax."""
    all_amounts = {code: Decimal(text) for code, text in amounts.items()}
    if document.tax:
        all_amounts["000.2200"] = document.tax
    return tuple(
        Distribution(
            document_no=document.document_no,
            line=line,
            account=code.partition(".")[2],
            cost_centre=code.partition(".")[0],
            gl_code=code,
            amount=amount,
            post_date=posted or document.invoice_date,
        )
        for line, (code, amount) in enumerate(all_amounts.items(), start=1)
    )


def one_invoice(posted: date | None = None) -> Company:
    """Return a company of one supplier and one invoice, posted to two accounts and to tax."""
    document = invoice("INV-1", "150.00")
    shares = {"110.7010": "100.25", "120.7310": "49.75"}
    return company(invoices=(document,), gl_distributions=postings(document, shares, posted))


ORDER = "020001"
ITEM = StockItem(stock_code="BOL-1", description="Bolt M6 x 40", group="Bolt", uom="EA")


def one_order(
    *, ordered: date | None = DAY, received: date = DAY, billed: date = DAY
) -> Company:
    """Return a company of one order, one receipt of it and the invoice that bills it."""
    document = invoice("INV-PO", "60.00", purchase_order=ORDER, invoice_date=billed, due=billed)
    return company(
        stock_items=(ITEM,),
        purchase_orders=(
            PurchaseOrder(
                purchase_order=ORDER,
                supplier_id=SUPPLIER.supplier_id,
                order_date=ordered,
                due=DAY + timedelta(days=10),
                warehouse="MW",
            ),
        ),
        po_lines=(
            PoLine(
                purchase_order=ORDER,
                line=1,
                stock_code=ITEM.stock_code,
                qty_ordered=Decimal(10),
                unit_price=Decimal("6.00"),
                tax_code="S20",
            ),
        ),
        receipts=(
            Receipt(
                purchase_order=ORDER,
                line=1,
                qty=Decimal(10),
                unit_price=Decimal("6.00"),
                value=Decimal("60.00"),
                receipt_date=received,
                receipt_no=f"{ORDER}/1",
                document_no=document.document_no,
            ),
        ),
        invoices=(document,),
        gl_distributions=postings(document, {"000.1400": "60.00"}),
    )


def six_documents() -> Company:
    """Return an order, its receipt and invoice, spend without an order, and its credit."""
    ordered = one_order()
    spend = invoice("INV-2", "150.00", document_no="5002")
    credit = invoice(
        "CN-2", "-50.00", document_no="5003", credit_of=spend.document_no, reference="INV-2"
    )
    return replace(
        ordered,
        name="six documents",
        invoices=(*ordered.invoices, spend, credit),
        gl_distributions=(
            *ordered.gl_distributions,
            *postings(spend, {"110.7010": "100.25", "120.7310": "49.75"}),
            *postings(credit, {"110.7010": "-50.00"}),
        ),
    )


def unmapped_invoice() -> Company:
    """Return a company of one invoice on an account that nobody has mapped yet."""
    new = invoice("INV-NEW", "40.00", document_no="5002")
    shares = {"110.7010": "10.00", "120.7990": "30.00"}
    return company(invoices=(new,), gl_distributions=postings(new, shares))
