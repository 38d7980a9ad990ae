"""A connection folder for a ledger and its Cin7 account: connection.yaml and mapping tables.

What must not come in: secrets (they are given to the product's vault), HTTP, SYSPRO rows.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from mlc_pipeline.sandbox.company import rules
from mlc_pipeline.sandbox.company.cin7_account import (
    ACCOUNTS_PAYABLE,
    MAIN_LOCATION,
    STANDARD_RATE,
    account_codes,
    location_names,
    tax_rule_name,
    tax_rule_names,
)
from mlc_pipeline.sandbox.company.model import Company
from mlc_pipeline.sandbox.company.slices import first_date

CONNECTION_FILE = "connection.yaml"


def write_connection(
    company: Company,
    account: Mapping[str, Any],
    folder: Path,
    *,
    enet_url: str,
    odata_url: str,
    base_url: str,
    start_date: date | None = None,
    calls_per_minute: int = 50,
    company_id: str = "DEMO",
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Write connection.yaml and the six mapping tables; what stood there is replaced.

    `start_date` is by default the first date of a document. `overrides` is laid over the
    settings, mapping by mapping; `account` is that of `cin7_account`.

    Raises:
        ValueError: a mapping names something that the account does not have, or no
            document has a date.
    """
    company = rules.completed(company)
    settings = _settings(company)
    settings["syspro"] |= {"enet_url": enet_url, "odata_url": odata_url, "company": company_id}
    settings["cin7"] |= {"base_url": base_url, "calls_per_minute": calls_per_minute}
    settings["start_date"] = start_date or first_date(company)
    tables = _mappings(company)
    _check_targets(tables, account)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (columns, rows) in tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)
    text = yaml.safe_dump(
        _laid_over(settings, overrides or {}), sort_keys=False, allow_unicode=True
    )
    (folder / CONNECTION_FILE).write_text(text, encoding="utf-8")


_Row = tuple[str, ...]
_Mapping = tuple[_Row, Sequence[_Row]]


def _settings(company: Company) -> dict[str, Any]:
    has_orders = bool(company.purchase_orders)
    return {
        "description": f"Sandbox: {company.name}",
        "syspro": {
            "operator": "MLCSYNC",
            "odata_auth": "session",
            "page_size": 5000,
            "local_currency": company.local_currency,
            "gl_code": {"separator": ".", "account_section": 2, "cost_centre_section": 1},
        },
        "cin7": {"applications": ["main"]},
        "defaults": {
            "location": MAIN_LOCATION,
            "tax_rule": _usual_tax_rule(company),
            "tax_rule_exempt": tax_rule_name(0),
            "payment_term": rules.terms_name(rules.DEFAULT_TERMS),
            "accounts_payable": ACCOUNTS_PAYABLE,
            "country": "United Kingdom",
        },
        "policies": {
            "supplier_scope": "used",
            "missing_product": "hold",
            "po_link": "grn_matching" if has_orders else "none",
            "cost_centre": "charge_reference",
            # Without orders every document is spend, and an unnamed credit is less of it.
            "unnamed_credit": "hold" if has_orders else "negative_charge",
        },
        "schedule": {"cron": "*/30 6-20 * * *", "enabled": True, "look_back_days": 7},
        "time_zone": "Europe/London",
    }


def _usual_tax_rule(company: Company) -> str:
    """The rule of the commonest rate above nothing."""
    percents = [percent for each in company.invoices if (percent := rules.tax_percent(each))]
    usual = max(sorted(set(percents)), key=percents.count, default=STANDARD_RATE)
    return tax_rule_name(usual)


def _mappings(company: Company) -> dict[str, _Mapping]:
    terms = [(code, rules.terms_name(code), "") for code in rules.terms_codes(company)]
    currencies = [(code, code, "") for code in _currencies(company)]
    tax_codes = [(code, name, "") for code, name in tax_rule_names(company).items()]
    locations = [(code, name, "") for code, name in location_names(company).items()]
    centres = [(e.cost_centre, e.cost_centre, e.description) for e in company.cost_centres]
    return {
        "gl_accounts": (
            ("match", "syspro_code", "cin7_account", "role", "note"),
            _gl_accounts(company),
        ),
        "cost_centres": (("syspro_cost_centre", "cin7_value", "note"), centres),
        "tax_codes": (("syspro_tax_code", "cin7_tax_rule", "note"), tax_codes),
        "payment_terms": (("syspro_terms_code", "cin7_payment_term", "note"), terms),
        "currencies": (("syspro_currency", "iso_code", "note"), currencies),
        "warehouses": (("syspro_warehouse", "cin7_location", "note"), locations),
    }


def _gl_accounts(company: Company) -> list[_Row]:
    codes = account_codes(company)
    return [
        (
            "section",
            each.account,
            codes[each.account],
            each.role if each.role in ("tax", "payable") else "",
            each.description,
        )
        for each in company.gl_accounts
        if each.mapped
    ]


def _currencies(company: Company) -> list[str]:
    stated = {company.local_currency, *(each.currency for each in company.suppliers)}
    stated |= {each.currency for each in company.purchase_orders}
    stated |= {each.currency for each in company.invoices}
    return sorted(stated - {""})


_TARGETS = {
    "gl_accounts": (2, "accounts", "Code"),
    "tax_codes": (1, "tax_rules", "Name"),
    "payment_terms": (1, "payment_terms", "Name"),
    "warehouses": (1, "locations", "Name"),
}


def _check_targets(tables: Mapping[str, _Mapping], account: Mapping[str, Any]) -> None:
    for name, (position, book, field) in _TARGETS.items():
        known = {record[field] for record in account[book]}
        missing = sorted({row[position] for row in tables[name][1]} - known)
        if missing:
            raise ValueError(
                f"{name}.csv: found {', '.join(missing)}, expected a {field} of the account's "
                f"{book}; make the account from the same company"
            )


def _laid_over(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    laid = dict(settings)
    for name, value in overrides.items():
        below = laid.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            laid[name] = _laid_over(below, value)
        else:
            laid[name] = value
    return laid
