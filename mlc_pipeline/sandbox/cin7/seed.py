"""Filling an account with reference books, products and suppliers, in wire shapes.

A seed may leave out ids and whatever has a usual value. Ids it leaves out are made from the
names, so the same seed gives the same ids everywhere.
What must not come in: purchases; they are made through the API.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from mlc_pipeline.sandbox.cin7.bodies import ATTRIBUTES
from mlc_pipeline.sandbox.cin7.routes.suppliers import EMPTY as EMPTY_SUPPLIER
from mlc_pipeline.sandbox.cin7.store import Store
from mlc_pipeline.sandbox.cin7.wire import Document, timestamp

_IDS = uuid.UUID("6d1c1f0e-6b1c-5c63-9f3a-2f8f6f0c7a10")

_ME: Document = {
    "Company": "Sandbox",
    "Currency": "GBP",
    "TimeZone": "Europe/London",
    "DefaultWeightUnits": "kg",
    "DefaultDimensionsUnits": "cm",
    "LockDate": None,
    "OpeningBalanceDate": None,
    "TaxCalculationMethod": "Row Total",
    "DefaultSaleTaxRuleId": None,
    "DefaultSaleTaxRuleName": None,
    "MaximumDecimalPlacesInQuantity": "N4",
    "ApplyCustomerDiscountsAfterOtherDiscounts": False,
    "DiscountRule": "",
    "AutomaticallyApplyDiscounts": False,
    "RoundingTable": [],
}

_USUAL: dict[str, Document] = {
    "account": {
        "Status": "ACTIVE",
        "Description": "",
        "Class": "EXPENSE",
        "SystemAccount": None,
        "SystemAccountCode": None,
        "BankAccountNumber": None,
        "BankAccountId": None,
        "ForPayments": False,
        "OldCode": None,
    },
    "tax_rule": {
        "IsActive": True,
        "TaxInclusive": False,
        "TaxPercent": 0,
        "IsTaxForSale": False,
        "IsTaxForPurchase": True,
        "Components": [],
    },
    "payment_term": {
        "Duration": 0,
        "Method": "number of days",
        "IsActive": True,
        "IsDefault": False,
    },
    "location": {"IsDefault": False, "IsDeprecated": False, "Bins": []},
    "attribute_set": {},
    "product": {
        "Category": "Other",
        "Type": "Stock",
        "CostingMethod": "FIFO",
        "UOM": "Item",
        "Status": "Active",
        "InventoryAccount": None,
        "COGSAccount": None,
        "ExpenseAccount": None,
        "RevenueAccount": None,
        "PurchaseTaxRule": None,
        **dict.fromkeys(ATTRIBUTES, ""),
    },
    "supplier": EMPTY_SUPPLIER,
}

_BOOKS: tuple[tuple[str, str, str], ...] = (
    ("accounts", "account", "Code"),
    ("tax_rules", "tax_rule", "Name"),
    ("payment_terms", "payment_term", "Name"),
    ("locations", "location", "Name"),
    ("attribute_sets", "attribute_set", "Name"),
    ("products", "product", "SKU"),
    ("suppliers", "supplier", "Name"),
)
"""Section of the seed, kind of document, the field that names one."""


def seed(store: Store, account: dict[str, Any]) -> None:
    """Add what the account lacks; what is there already stays as it is.

    Args:
        store: the documents of the stand-in.
        account: `me`, `accounts`, `tax_rules`, `payment_terms`, `locations`,
            `attribute_sets`, `products`, `suppliers` (lists in wire shapes) and `rates`
            (base units per unit of a currency, as text); every section is optional.

    Raises:
        ValueError: an unknown section, or an entry without the field that names it.
    """
    known = {"me", "rates", *(section for section, _, _ in _BOOKS)}
    if account.keys() - known:
        unknown = ", ".join(sorted(account.keys() - known))
        raise ValueError(f"seed has no section {unknown}; known are {', '.join(sorted(known))}")
    with store.together():
        if store.get("me", "me") is None:
            store.put("me", "me", {**_ME, **account.get("me", {})})
        rates = store.get("rates", "rates") or {}
        store.put("rates", "rates", {**account.get("rates", {}), **rates})
        for section, kind, name in _BOOKS:
            _add_missing(store, section, kind, name, account.get(section, ()))


def _add_missing(
    store: Store, section: str, kind: str, name: str, entries: Iterable[Document]
) -> None:
    for place, entry in enumerate(entries):
        if not entry.get(name):
            raise ValueError(f"seed: {section}[{place}] has no {name}")
        id_ = _id_of(kind, entry, entry[name])
        # Suppliers and locations may share a name, so their ids tell them apart.
        known = store.get(kind, id_) or (
            "ID" not in entry and store.find(kind, name, entry[name])
        )
        if not known:
            store.put(kind, id_, _complete(kind, id_, entry))


def _id_of(kind: str, entry: Document, name: str) -> str:
    if kind == "account":
        return name  # accounts have a code and no GUID
    given: str = entry.get("ID") or str(uuid.uuid5(_IDS, f"{kind}:{name}"))
    return given.lower()


def _complete(kind: str, id_: str, entry: Document) -> Document:
    document = {"ID": "", **_USUAL[kind], **entry} | {"ID": id_}
    if kind == "account":
        document.pop("ID")
        document.setdefault("Type", document["Class"])
        document.setdefault("DisplayName", f"{document['Code']}: {document['Name']}")
    if kind in ("product", "supplier"):
        document.setdefault("LastModifiedOn", timestamp())
    if kind == "supplier":
        for block in ("Addresses", "Contacts"):
            document[block] = [
                {"ID": str(uuid.uuid5(_IDS, f"{id_}:{block}:{n}")), "SupplierID": id_, **part}
                for n, part in enumerate(document[block])
            ]
    return document
