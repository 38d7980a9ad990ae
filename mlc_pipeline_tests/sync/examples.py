"""A connection, its references and its rows, as the tests of the heart know them.

What must not come in: tests, expectations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.connection.mappings import AccountMapping, CodeMapping, MappedAccount
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.staging.load import Stamp, upsert
from mlc_pipeline.staging.tables import SYSPRO
from mlc_pipeline.sync.plan import (
    AccountReference,
    Known,
    Mappings,
    PlanContext,
    Planned,
    References,
    TaxRuleReference,
)
from mlc_pipeline.sync.rows import InvoiceRow, MatchRow, OrderLineRow, PostingRow, ReceiptRow
from mlc_pipeline.sync.vocabulary import Kind, Verdict
from mlc_pipeline_tests.connection import examples

DAY = date(2026, 3, 2)
VAT, EXEMPT = "20% (VAT on Expenses)", "No VAT"
TAX_ACCOUNT = "820"
SUPPLIER = "000123"
ORDER = "000000000004711"

ACTIVE_ACCOUNTS = ("400", "410", "420", "800", TAX_ACCOUNT, "825")
GL_TO_ACCOUNT = {"5000": "400", "5100": "410", "5200": "420"}
"""GL account sections to expense accounts; the cost centre stands before the point."""
GL_TAX, GL_PAYABLE, GL_UNMAPPED = "99.2200", "99.2000", "10.6666"
GL_ABSENT, GL_ARCHIVED = "10.5998", "10.5999"


def d(text: str | int) -> Decimal:
    """Return an exact number."""
    return Decimal(text)


NO_LIMITS: Mapping[str, Any] = {"quantity_percent": None, "price_percent": None}
"""Tolerances of a match that let everything pass: most tests are about something else."""


@cache
def _connection(
    policies: tuple[Any, ...], cin7: tuple[Any, ...], match: tuple[Any, ...]
) -> Connection:
    return examples.connection(policies=dict(policies), cin7=dict(cin7), match=dict(match))


def connection(
    cin7: Mapping[str, Any] | None = None,
    match: Mapping[str, Any] = NO_LIMITS,
    **policies: Any,
) -> Connection:
    """Return the connection `acme` with some policies and Cin7 settings of its own."""
    sections = (policies, cin7 or {}, match)
    return _connection(*(tuple(sorted(section.items())) for section in sections))


def references(**changes: Any) -> References:
    """Return Cin7's reference books."""
    accounts = {code: AccountReference(code, "ACTIVE", "EXPENSE") for code in ACTIVE_ACCOUNTS}
    accounts["499"] = AccountReference("499", "ARCHIVED", "EXPENSE")
    rules = (
        TaxRuleReference(VAT, TAX_ACCOUNT, d(20), True),
        TaxRuleReference(EXEMPT, TAX_ACCOUNT, d(0), True),
        TaxRuleReference("5% (VAT)", TAX_ACCOUNT, d(5), True),
        TaxRuleReference("Import", "825", d(20), True),
        TaxRuleReference("Old", TAX_ACCOUNT, d(17), False),
    )
    books = References(
        accounts=accounts,
        tax_rules={rule.name: rule for rule in rules},
        payment_terms=frozenset({"30 days", "60 days"}),
        locations=frozenset({"Main Warehouse", "Yard"}),
        products={sku: f"Product {sku}" for sku in ("A100", "B200", "C300")},
        base_currency="GBP",
    )
    return replace(books, **changes)


def mappings(gl_code: Any) -> Mappings:
    """Return the mapping tables."""
    rules = {("section", gl): account for gl, account in GL_TO_ACCOUNT.items()}
    rules |= {("exact", GL_ABSENT): "777", ("exact", GL_ARCHIVED): "499"}
    accounts = {
        key: MappedAccount(account, "expense", " ".join(key)) for key, account in rules.items()
    }
    accounts[("exact", GL_TAX)] = MappedAccount(TAX_ACCOUNT, "tax", f"exact {GL_TAX}")
    accounts[("exact", GL_PAYABLE)] = MappedAccount("800", "payable", f"exact {GL_PAYABLE}")
    return Mappings(
        accounts=AccountMapping(accounts, gl_code),
        cost_centres=CodeMapping({"10": "Sales", "20": "Works"}, lambda code: code),
        tax_codes=CodeMapping(
            {"A": VAT, "B": "5% (VAT)", "I": "Import", "X": "Old", "Y": "Unheard of"}
        ),
        payment_terms=CodeMapping({"30": "30 days", "60": "60 days", "90": "90 days"}),
        currencies=CodeMapping({"€": "EUR", "£": "GBP", "USD": "USD"}),
        warehouses=CodeMapping({"01": "Main Warehouse", "02": "Yard", "03": "Moon"}),
    )


def context(
    known: Mapping[tuple[str, str], Known] | None = None,
    *,
    books: References | None = None,
    cin7: Mapping[str, Any] | None = None,
    match: Mapping[str, Any] = NO_LIMITS,
    **policies: Any,
) -> PlanContext:
    """Return what planning looks at."""
    settings = connection(cin7, match, **policies)
    return PlanContext(
        settings,
        books or references(),
        mappings(settings.syspro.gl_code),
        known or {},
        {GL_UNMAPPED: "Suspense"},
    )


# --- rows ------------------------------------------------------------------------------


def at_home(values: dict[str, Any], date_column: str) -> dict[str, Any]:
    """Return a row's values in the partition of its date, as it is staged by default."""
    return {"partition": values[date_column], **values}


def posting(amount: str | Decimal, gl_code: str = "10.5000", **changes: Any) -> PostingRow:
    """Return a posting of invoice INV-1; the sub-entry tells postings apart."""
    values: dict[str, Any] = {
        "posting_year": d(2026),
        "posting_month": d(3),
        "journal": d(17),
        "entry_number": d(1),
        "sub_entry": d(1),
        "supplier": SUPPLIER,
        "invoice": "INV-1",
        "gl_code": gl_code,
        "amount": Decimal(amount),
        "post_date": DAY,
    }
    return PostingRow(**at_home({**values, **changes}, "post_date"))


def postings(*entries: tuple[str, str]) -> list[PostingRow]:
    """Return postings from (GL code, amount), each with a key of its own."""
    return [
        posting(amount, gl_code, sub_entry=d(number))
        for number, (gl_code, amount) in enumerate(entries, start=1)
    ]


def invoice(value: str | Decimal, **changes: Any) -> InvoiceRow:
    """Return invoice INV-1 of the supplier."""
    values: dict[str, Any] = {
        "supplier": SUPPLIER,
        "invoice": "INV-1",
        "invoice_date": DAY,
        "due_date": date(2026, 4, 1),
        "value": Decimal(value),
    }
    return InvoiceRow(**at_home({**values, **changes}, "invoice_date"))


def order_line(number: int = 1, **changes: Any) -> OrderLineRow:
    """Return a stocked line of the order."""
    values: dict[str, Any] = {
        "purchase_order": ORDER,
        "line": Decimal(number),
        "stock_code": "A100",
        "order_quantity": d(10),
        "price": d("2.50"),
    }
    return OrderLineRow(**{**values, **changes})


def receipt(grn: str = "G1", entry: int = 1, **changes: Any) -> ReceiptRow:
    """Return a receipt line of the order's first line."""
    values: dict[str, Any] = {
        "supplier": SUPPLIER,
        "grn": grn,
        "journal": d(5),
        "journal_entry": Decimal(entry),
        "purchase_order": ORDER,
        "line": d(1),
        "stock_code": "A100",
        "quantity": d(10),
        "receipt_date": DAY,
        "value": d("25.00"),
        "gl_code": "10.5000",
    }
    return ReceiptRow(**at_home({**values, **changes}, "receipt_date"))


def match(grn: str = "G1", entry: int = 1, **changes: Any) -> MatchRow:
    """Return a match of INV-1 to a receipt."""
    values: dict[str, Any] = {
        "supplier": SUPPLIER,
        "grn": grn,
        "invoice": "INV-1",
        "journal": d(5),
        "entry_number": Decimal(entry),
        "matched_value": d("25.00"),
        "matched_quantity": d(10),
        "matched_date": DAY,
    }
    return MatchRow(**{**values, **changes})


def ready_supplier(code: str = SUPPLIER) -> dict[str, Planned]:
    """Return the planned suppliers of a plan in which the supplier is no problem."""
    return {code: Planned(Kind.SUPPLIER, code, Verdict.UNCHANGED, Decimal(0))}


# --- staged tables -----------------------------------------------------------------------

KEYS: dict[str, dict[str, Any]] = {
    "receipts": {"grn_source": "P"},
    "gl_accounts": {"company": "ACME"},
}
"""Key columns that tests do not care about."""


def stage(
    engine: sa.Engine,
    entity: str,
    *rows: Mapping[str, Any],
    name: str = "acme",
    run: str = "run",
) -> None:
    """Put rows into a staged table, each in the partition of its `partition`."""
    stamp = Stamp(name, run)
    with engine.begin() as database:
        for row in rows:
            values = {
                **KEYS.get(entity, {}),
                **row,
                "connection": stamp.connection,
                "run_id": stamp.run_id,
                "partition": row.get("partition"),
            }
            upsert(database, SYSPRO[entity], [values])


def staged_row(row: Any, day: date | None) -> dict[str, Any]:
    """Return a row dataclass as its staged table has it, in the partition of a day."""
    return {**vars(row), "partition": day}
