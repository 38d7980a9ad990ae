"""A Cin7 Core account that fits a neutral ledger: its reference books in wire shapes.

Codes and names differ from SYSPRO's on purpose, so that a mapping has something to do.
Shapes: Cin7 Core API reference, /me, /ref/*, /product and /supplier.

What must not come in: files, HTTP, purchases (they are the product's to make).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from mlc_pipeline.sandbox.company import rules
from mlc_pipeline.sandbox.company.model import Company, GlAccount, Invoice, PurchaseOrder

Record = dict[str, Any]

ACCOUNTS_PAYABLE = "800"
TAX_ACCOUNT = "820"
INVENTORY_ACCOUNT = "630"
COGS_ACCOUNT = "310"
SALES_ACCOUNT = "200"
MAIN_LOCATION = "Main Warehouse"
NO_TAX = "No VAT"
STANDARD_RATE = 20

_CONTROL_CODES = {"payable": ACCOUNTS_PAYABLE, "tax": TAX_ACCOUNT, "stock": INVENTORY_ACCOUNT}
_CLASSES = {
    "A": ("ASSET", "CURRENT"),
    "C": ("EQUITY", "EQUITY"),
    "E": ("EXPENSE", "EXPENSE"),
    "L": ("LIABILITY", "CURRLIAB"),
    "R": ("REVENUE", "REVENUE"),
}
_LAST_MODIFIED = "2026-01-05T08:00:00.000Z"


def cin7_account(company: Company) -> Record:
    """Make the Cin7 account of a company.

    Keys: me (a record), accounts, tax_rules, payment_terms, locations, attribute_sets,
    products, suppliers (lists of wire records) and rates.
    `rates` holds, by ISO code, units of local currency for one of that currency. Products
    are the stock items not marked `in_cin7` False; suppliers those with a `cin7_name`.
    """
    company = rules.completed(company)
    return {
        "me": _me(company),
        "accounts": _accounts(company),
        "tax_rules": _tax_rules(company),
        "payment_terms": _payment_terms(company),
        "locations": _locations(company),
        "attribute_sets": _attribute_sets(),
        "products": _products(company),
        "suppliers": _suppliers(company),
        "rates": currency_rates(company),
    }


def account_codes(company: Company) -> dict[str, str]:
    """Cin7 code by account of the ledger, if mapped: five digits, in steps of ten."""
    mapped = [each for each in company.gl_accounts if each.mapped]
    return {
        each.account: _CONTROL_CODES.get(each.role) or str(40_000 + 10 * number)
        for number, each in enumerate(mapped, start=1)
    }


def tax_rule_name(rate: int) -> str:
    """Name of the tax rule with that percentage."""
    return f"{rate}% (VAT on Expenses)" if rate else NO_TAX


def tax_rule_names(company: Company) -> dict[str, str]:
    """Tax rule by tax code."""
    return {code: tax_rule_name(rate) for code, rate in rules.tax_rates(company).items()}


def location_names(company: Company) -> dict[str, str]:
    """Location by warehouse; the first warehouse is the main one."""
    first, *others = rules.warehouses(company)
    return {first: MAIN_LOCATION, **{code: f"Warehouse {code}" for code in others}}


def currency_rates(company: Company) -> dict[str, Decimal]:
    """Units of local currency for one of each foreign currency, as last used."""
    rates = {}
    documents: tuple[PurchaseOrder | Invoice, ...]
    documents = (*company.purchase_orders, *company.invoices)
    for document in documents:
        rate = document.exchange_rate
        if rate and document.currency not in ("", company.local_currency):
            local = 1 / rate if document.mul_div == "D" else rate
            rates[document.currency] = local.quantize(Decimal("0.0001"))
    return rates


def _identity(kind: str, name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:mlc-sandbox:{kind}:{name}"))


def _me(company: Company) -> Record:
    return {
        "Company": f"Sandbox {company.name}",
        "Currency": company.local_currency,
        "TimeZone": "Europe/London",
        "DefaultWeightUnits": "kg",
        "DefaultDimensionsUnits": "cm",
        "LockDate": None,
        "OpeningBalanceDate": None,
        "TaxCalculationMethod": "Total",
        "MaximumDecimalPlacesInQuantity": "N4",
    }


def _account(code: str, name: str, classes: tuple[str, str], system: str = "") -> Record:
    return {
        "Code": code,
        "Name": name,
        "Type": classes[1],
        "Status": "ACTIVE",
        "Description": "",
        "Class": classes[0],
        "SystemAccount": system or None,
        "SystemAccountCode": {"Accounts payable": "CREDITORS", "Tax": "GST"}.get(system),
        "ForPayments": classes[1] == "BANK",
        "DisplayName": f"{code}: {name}",
    }


def _accounts(company: Company) -> list[Record]:
    standing = [
        _account("090", "Current account", ("ASSET", "BANK")),
        _account(SALES_ACCOUNT, "Sales", _CLASSES["R"]),
        _account(COGS_ACCOUNT, "Cost of goods sold", _CLASSES["E"]),
        _account(INVENTORY_ACCOUNT, "Inventory", _CLASSES["A"]),
        _account(ACCOUNTS_PAYABLE, "Accounts payable", _CLASSES["L"], "Accounts payable"),
        _account(TAX_ACCOUNT, "VAT", _CLASSES["L"], "Tax"),
    ]
    codes = account_codes(company)
    own = [
        _account(codes[each.account], each.description, _classes(each))
        for each in company.gl_accounts
        if each.mapped and each.role not in _CONTROL_CODES
    ]
    return standing + own


def _classes(account: GlAccount) -> tuple[str, str]:
    return _CLASSES[account.account_type or rules.account_type(account.role)]


def _tax_rules(company: Company) -> list[Record]:
    rates = sorted({0, STANDARD_RATE, *rules.tax_rates(company).values()})
    purchase = [_tax_rule(tax_rule_name(rate), rate, purchase=True) for rate in rates]
    return [*purchase, _tax_rule("20% (VAT on Income)", STANDARD_RATE, purchase=False)]


def _tax_rule(name: str, percent: int, *, purchase: bool) -> Record:
    return {
        "ID": _identity("tax", name),
        "Name": name,
        "Account": TAX_ACCOUNT,
        "IsActive": True,
        "TaxInclusive": False,
        "TaxPercent": Decimal(percent),
        "IsTaxForSale": not purchase,
        "IsTaxForPurchase": purchase,
    }


def _payment_terms(company: Company) -> list[Record]:
    made = [_payment_term(code) for code in rules.terms_codes(company)]
    return [*made, _payment_term("90") | {"IsActive": False}]


def _payment_term(code: str) -> Record:
    name = rules.terms_name(code)
    return {
        "ID": _identity("term", name),
        "Name": name,
        "Duration": rules.terms_days(code),
        "Method": "number of days",
        "IsActive": True,
        "IsDefault": code == rules.DEFAULT_TERMS,
    }


def _locations(company: Company) -> list[Record]:
    return [
        {
            "ID": _identity("location", name),
            "Name": name,
            "IsDefault": name == MAIN_LOCATION,
            "IsDeprecated": False,
            "Bins": [],
        }
        for name in location_names(company).values()
    ]


def _attribute_sets() -> list[Record]:
    return [
        {
            "ID": _identity("attributes", name),
            "Name": name,
            "Attribute1Name": "SYSPRO document",
            "Attribute1Type": "Text",
        }
        for name in ("Purchases", "Suppliers")
    ]


def _products(company: Company) -> list[Record]:
    return [
        {
            "ID": _identity("product", each.stock_code),
            "SKU": each.stock_code,
            "Name": each.description[:256],
            "Category": each.group or "Stock",
            "Type": "Stock",
            "CostingMethod": "FIFO",
            "UOM": each.uom or "EA",
            "Status": "Active",
            "InventoryAccount": INVENTORY_ACCOUNT,
            "COGSAccount": COGS_ACCOUNT,
            "RevenueAccount": SALES_ACCOUNT,
            "LastModifiedOn": _LAST_MODIFIED,
        }
        for each in company.stock_items
        if each.in_cin7
    ]


def _suppliers(company: Company) -> list[Record]:
    codes = rules.supplier_tax_codes(company)
    tax_rules = tax_rule_names(company)
    return [
        {
            "ID": _identity("supplier", each.supplier_id),
            "Name": each.cin7_name,
            "Currency": each.currency or company.local_currency,
            "PaymentTerm": rules.terms_name(rules.terms_code(each)),
            "AccountPayable": ACCOUNTS_PAYABLE,
            "TaxRule": tax_rules[codes[each.supplier_id]],
            "Status": "Active",
            "Discount": Decimal(0),
            "Comments": "",
            "TaxNumber": each.tax_number,
            "Addresses": [],
            "Contacts": [],
            "LastModifiedOn": _LAST_MODIFIED,
        }
        for each in company.suppliers
        if each.cin7_name
    ]
