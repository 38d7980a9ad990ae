"""Cin7's reference books: answers made rows, rows made the planner's references.

What must not come in: HTTP, Dagster.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.cin7.decimals import dumps
from mlc_pipeline.connection.targets import BookAccount, Books, BookTaxRule
from mlc_pipeline.staging.tables import CIN7
from mlc_pipeline.sync.plan import AccountReference, References, TaxRuleReference
from mlc_pipeline.sync.suppliers import normalised_name

Row = dict[str, Any]


def _raw(answer: Mapping[str, Any]) -> Any:
    """Return an answer as JSON that the database keeps; numbers exact as text."""
    return json.loads(dumps(answer), parse_float=str)


def _account(a: Mapping[str, Any]) -> Row:
    return {
        "code": a["Code"],
        "name": a.get("Name"),
        "account_type": a.get("Type"),
        "account_class": a.get("Class"),
        "status": a.get("Status"),
        "system_account": a.get("SystemAccount"),
    }


def _supplier(s: Mapping[str, Any]) -> Row:
    return {
        "id": s["ID"],
        "name": s.get("Name"),
        "normalised_name": normalised_name(s.get("Name") or ""),
        "currency": s.get("Currency"),
        "tax_number": s.get("TaxNumber"),
        "status": s.get("Status"),
        "marker": s.get("AdditionalAttribute1") or None,
    }


def _product(p: Mapping[str, Any]) -> Row:
    return {
        "id": p["ID"],
        "sku": p.get("SKU"),
        "name": p.get("Name"),
        "product_type": p.get("Type"),
        "status": p.get("Status"),
    }


def _tax_rule(t: Mapping[str, Any]) -> Row:
    return {
        "name": t["Name"],
        "account": t.get("Account"),
        "active": bool(t.get("IsActive", True)),
        "percent": t.get("TaxPercent"),
        "for_purchase": bool(t.get("IsTaxForPurchase", True)),
    }


def _payment_term(t: Mapping[str, Any]) -> Row:
    return {
        "name": t["Name"],
        "active": bool(t.get("IsActive", True)),
        "days": t.get("Duration"),
    }


def _location(place: Mapping[str, Any]) -> Row:
    # The API reference says Deprecated, its samples say IsDeprecated.
    gone = place.get("IsDeprecated") or place.get("Deprecated") or False
    return {"name": place["Name"], "deprecated": bool(gone)}


def _settings(me: Mapping[str, Any]) -> Row:
    lock = str(me.get("LockDate") or "")[:10]
    return {
        "company": me.get("Company") or "",
        "currency": me.get("Currency"),
        "lock_date": date.fromisoformat(lock) if lock else None,
        "tax_calculation_method": me.get("TaxCalculationMethod"),
    }


_ROWS: dict[str, Callable[[Mapping[str, Any]], Row]] = {
    "accounts": _account,
    "suppliers": _supplier,
    "products": _product,
    "tax_rules": _tax_rule,
    "payment_terms": _payment_term,
    "locations": _location,
    "settings": _settings,
}


def reference_rows(book: str, answers: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return the rows of a reference book's table, each key once.

    Names of locations may repeat in Cin7; a usable one wins over a deprecated one.
    """
    key = next(c.name for c in CIN7[book].primary_key if c.name != "connection")
    rows: dict[str, Row] = {}
    for answer in answers:
        row = {**_ROWS[book](answer), "raw": _raw(answer)}
        known = rows.get(row[key])
        if known is None or known.get("deprecated"):
            rows[row[key]] = row
    return list(rows.values())


def references_of(answers: Mapping[str, Iterable[Mapping[str, Any]]]) -> References:
    """Return the planner's references from Cin7's answers, by book."""
    return _references({book: reference_rows(book, rows) for book, rows in answers.items()})


def read_references(connection: sa.Connection, name: str) -> References:
    """Return the staged reference books of a connection.

    Raises:
        LookupError: they were never read; materialise the cin7 assets first.
    """
    books = {}
    for book, table in CIN7.items():
        query = sa.select(table).where(table.c.connection == name)
        books[book] = [dict(row._mapping) for row in connection.execute(query)]
    if not books["settings"]:
        raise LookupError(
            f"connection {name}: Cin7's reference books were not read yet; materialise the "
            f"assets {name}/cin7 first"
        )
    return _references(books)


def books_of(answers: Mapping[str, Iterable[Mapping[str, Any]]]) -> Books:
    """Return what mapping rows may name, from Cin7's answers by book."""
    return _books({book: reference_rows(book, rows) for book, rows in answers.items()})


def read_books(connection: sa.Connection, name: str) -> Books:
    """Return what mapping rows of a connection may name, from the staged reference books."""
    wanted = ("accounts", "tax_rules", "payment_terms", "locations")
    books = {}
    for book in wanted:
        query = sa.select(CIN7[book]).where(CIN7[book].c.connection == name)
        books[book] = [dict(row._mapping) for row in connection.execute(query)]
    return _books(books)


def _books(books: Mapping[str, list[Row]]) -> Books:
    return Books(
        accounts={
            r["code"]: BookAccount(
                r["status"] or "",
                r["account_class"] or "",
                r["name"] or "",
                r["account_type"] or "",
                r["system_account"] or "",
            )
            for r in books["accounts"]
        },
        tax_rules={
            r["name"]: BookTaxRule(r["account"] or "", r["active"], r["for_purchase"])
            for r in books["tax_rules"]
        },
        payment_terms={r["name"]: r["active"] for r in books["payment_terms"]},
        locations={r["name"]: not r["deprecated"] for r in books["locations"]},
    )


def _references(books: Mapping[str, list[Row]]) -> References:
    settings = books["settings"][0]
    return References(
        accounts={
            r["code"]: AccountReference(
                r["code"],
                r["status"] or "",
                r["account_class"] or "",
                r["account_type"] or "",
                r["system_account"] or "",
            )
            for r in books["accounts"]
        },
        tax_rules={
            r["name"]: TaxRuleReference(
                r["name"],
                r["account"] or "",
                r["percent"] or Decimal(0),
                r["active"] and r["for_purchase"],
            )
            for r in books["tax_rules"]
        },
        payment_terms=frozenset(r["name"] for r in books["payment_terms"] if r["active"]),
        locations=frozenset(r["name"] for r in books["locations"] if not r["deprecated"]),
        products={
            r["sku"]: r["name"] or r["sku"]
            for r in books["products"]
            if r["sku"] and (r["status"] or "").casefold() != "deprecated"
        },
        base_currency=settings["currency"] or "",
        lock_date=settings["lock_date"],
    )
