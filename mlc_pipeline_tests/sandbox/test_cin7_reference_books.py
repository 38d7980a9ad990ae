"""The stand-in's account settings, reference books and products."""

from __future__ import annotations

from typing import Any

import pytest

from mlc_pipeline_tests.sandbox.cin7_account import EXEMPT, STANDARD, Api, fixtures

server, api = fixtures()


def test_me_tells_the_base_currency_and_the_lock_date(api: Api) -> None:
    assert api.get("me")["LockDate"] is None
    api.server.control("settings", {"lock_date": "2026-01-31"})
    me = api.get("me")
    assert (me["Currency"], me["LockDate"]) == ("GBP", "2026-01-31T00:00:00")


def test_an_account_code_without_match_is_a_400(api: Api) -> None:
    assert api.get("ref/account", Code="800")["AccountsList"][0]["Name"] == "Accounts Payable"
    assert api.refused("GET", "ref/account", Code="80") == "Account with specified ID not found"


@pytest.mark.parametrize(
    ("path", "key", "query", "names"),
    [
        ("ref/account", "AccountsList", {"Status": "archived"}, ["Bank fees"]),
        ("ref/account", "AccountsList", {"Name": "acc"}, ["Accounts Payable"]),
        ("ref/account", "AccountsList", {"Type": "CURRENT"}, ["Inventory"]),
        ("ref/tax", "TaxRuleList", {"IsActive": "false"}, ["17.5% (old)"]),
        ("ref/tax", "TaxRuleList", {"IsTaxForPurchase": "False"}, ["20% (VAT on Income)"]),
        ("ref/tax", "TaxRuleList", {"Name": "no"}, [EXEMPT]),
        ("ref/paymentterm", "PaymentTermList", {}, ["30 days", "Cash"]),
        ("ref/paymentterm", "PaymentTermList", {"IsActive": "true"}, ["30 days"]),
        ("ref/location", "LocationList", {"Deprecated": "true"}, ["Old Shed"]),
        ("ref/location", "LocationList", {"Name": "Nowhere"}, []),
        ("ref/attributeset", "AttributeSetList", {}, ["Suppliers"]),
        ("product", "Products", {"Sku": "ut-8"}, ["Nut M8"]),
        ("product", "Products", {"Name": "M8"}, ["Bolt M8", "Nut M8"]),
    ],
)
def test_a_reference_book_is_filtered(
    api: Api, path: str, key: str, query: dict[str, str], names: list[str]
) -> None:
    answer = api.get(path, **query)
    assert [entry["Name"] for entry in answer[key]] == names
    assert answer["Total"] == len(names)


def test_pages_follow_each_other_and_tell_the_total(api: Api) -> None:
    whole = api.get("ref/account", Limit=1000)["AccountsList"]
    pages = [api.get("ref/account", Page=page, Limit=3) for page in (1, 2, 3, 4)]
    assert [page["Page"] for page in pages] == [1, 2, 3, 4]
    assert {page["Total"] for page in pages} == {len(whole)}
    assert [entry for page in pages for entry in page["AccountsList"]] == whole
    assert [len(page["AccountsList"]) for page in pages] == [3, 3, 1, 0]


@pytest.mark.parametrize("query", [{"Limit": 1001}, {"Limit": 0}, {"Page": 0}, {"Page": "x"}])
def test_a_page_outside_the_bounds_is_refused(api: Api, query: dict[str, Any]) -> None:
    assert "is invalid" in api.refused("GET", "ref/account", **query)


PRODUCT = {
    "SKU": "WASH-8",
    "Name": "Washer M8",
    "Category": "Other",
    "Type": "Stock",
    "CostingMethod": "FIFO",
    "UOM": "Item",
    "Status": "Active",
    "PurchaseTaxRule": STANDARD,
    "InventoryAccount": "630",
    "COGSAccount": "310",
}


def test_a_product_is_created_and_found(api: Api) -> None:
    created = api.post("product", PRODUCT)["Products"][0]
    assert api.get("product", ID=created["ID"])["Products"] == [created]
    assert created["SKU"] == "WASH-8"


def test_a_sku_is_unique_whatever_its_case(api: Api) -> None:
    text = api.refused("POST", "product", {**PRODUCT, "SKU": "bolt-8"})
    assert text == "Product with SKU bolt-8 already exists"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"InventoryAccount": "310"}, "expected is an account of class ASSET"),
        ({"COGSAccount": "404"}, "active account with code 404 was not found"),
        ({"PurchaseTaxRule": "17.5% (old)"}, "PurchaseTaxRule: active tax rule"),
        ({"UOM": None}, "Required attribute UOM is not provided."),
        ({"CostingMethod": "LIFO"}, "CostingMethod is invalid"),
    ],
)
def test_a_product_is_refused(api: Api, change: dict[str, Any], told: str) -> None:
    assert told in api.refused("POST", "product", {**PRODUCT, **change})


def test_stock_accounts_are_ignored_on_a_service_product(api: Api) -> None:
    service = {**PRODUCT, "Type": "Service", "InventoryAccount": "no such account"}
    assert api.post("product", service)["Products"][0]["InventoryAccount"] is None
