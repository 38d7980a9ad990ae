"""Suppliers in the stand-in: finding, creating, changing."""

from __future__ import annotations

from typing import Any

import pytest

from mlc_pipeline_tests.sandbox.cin7_account import FOREIGN, LOCAL, STANDARD, Api, fixtures

server, api = fixtures()

SUPPLIER: dict[str, Any] = {
    "Name": "Acme Holdings",
    "Currency": "EUR",
    "PaymentTerm": "30 days",
    "AccountPayable": "800",
    "TaxRule": STANDARD,
    "Status": "Active",
    "TaxNumber": "GB 123",
    "AdditionalAttribute1": "SYSPRO:DEMO:SUP:0000042",
    "Addresses": [{"Line1": "1 Quay", "Country": "United Kingdom", "Type": "Billing"}],
    "Contacts": [{"Name": "Ann Example", "Email": "ann@example.org", "Default": True}],
}


def _names(answer: Any) -> list[str]:
    return [supplier["Name"] for supplier in answer["SupplierList"]]


def test_name_is_a_starts_with_filter(api: Api) -> None:
    api.post("supplier", SUPPLIER)
    assert _names(api.get("supplier", Name="acme")) == [LOCAL, "Acme Holdings"]
    assert _names(api.get("supplier", Name="Bearings")) == []


def test_deprecated_suppliers_show_only_when_asked_for(api: Api) -> None:
    api.post("supplier", {**SUPPLIER, "Status": "Deprecated"})
    assert _names(api.get("supplier")) == [LOCAL, FOREIGN]
    assert "Acme Holdings" in _names(api.get("supplier", IncludeDeprecated="true"))


def test_a_supplier_is_created_and_answered_as_a_list(api: Api) -> None:
    answer = api.post("supplier", SUPPLIER)
    created = answer["SupplierList"][0]
    assert (answer["Total"], answer["Page"]) == (1, 1)
    assert created["AdditionalAttribute1"] == "SYSPRO:DEMO:SUP:0000042"
    assert created["Addresses"][0]["SupplierID"] == created["ID"]
    assert api.get("supplier", ID=created["ID"])["SupplierList"] == [created]


def test_modified_since_finds_the_changed_ones(api: Api) -> None:
    created = api.post("supplier", SUPPLIER)["SupplierList"][0]
    since = created["LastModifiedOn"].removesuffix("Z")[:-1] + "0"
    assert "Acme Holdings" in _names(api.get("supplier", ModifiedSince=since[:19]))
    assert _names(api.get("supplier", ModifiedSince=created["LastModifiedOn"])) == []


def test_a_put_keeps_what_it_does_not_send_and_clears_what_it_sends_blank(api: Api) -> None:
    created = api.post("supplier", SUPPLIER)["SupplierList"][0]
    header = ("ID", "Name", "Currency", "PaymentTerm", "AccountPayable", "TaxRule")
    body = {**{name: created[name] for name in header}, "TaxNumber": ""}
    changed = api.ok("PUT", "supplier", body)["SupplierList"][0]
    assert changed["TaxNumber"] == ""
    assert changed["AdditionalAttribute1"] == created["AdditionalAttribute1"]
    assert changed["Contacts"] == created["Contacts"]


def test_addresses_are_updated_by_id_and_created_without(api: Api) -> None:
    created = api.post("supplier", SUPPLIER)["SupplierList"][0]
    header = {name: created[name] for name in SUPPLIER if name != "Contacts"}
    first = {**created["Addresses"][0], "Line1": "2 Quay"}
    second = {"Line1": "3 Dock", "Country": "Norway", "Type": "Shipping"}
    body = {**header, "ID": created["ID"], "Addresses": [first, second]}
    addresses = api.ok("PUT", "supplier", body)["SupplierList"][0]["Addresses"]
    assert [address["Line1"] for address in addresses] == ["2 Quay", "3 Dock"]
    assert addresses[0]["ID"] == first["ID"] != addresses[1]["ID"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"PaymentTerm": "Cash"},
            "Active payment term with name Cash was not found in Payment Terms reference book",
        ),
        ({"AccountPayable": "801"}, "account 801 has SystemAccount ''"),
        ({"AccountPayable": "999"}, "active account with code 999 was not found"),
        ({"TaxRule": "17.5% (old)"}, "active tax rule for purchases with name 17.5% (old)"),
        ({"TaxRule": "20% (VAT on Income)"}, "with name 20% (VAT on Income) was not found"),
        ({"AttributeSet": "None such"}, "Attribute set with name None such was not found"),
        ({"Currency": "EU"}, "Currency is invalid"),
    ],
)
def test_a_supplier_with_a_dead_reference_is_refused(
    api: Api, change: dict[str, Any], told: str
) -> None:
    assert told in api.refused("POST", "supplier", {**SUPPLIER, **change})


def test_a_name_may_be_taken_twice_unless_the_setting_forbids(api: Api) -> None:
    api.post("supplier", SUPPLIER)
    api.post("supplier", SUPPLIER)
    api.server.control("settings", {"unique_supplier_names": True})
    text = api.refused("POST", "supplier", {**SUPPLIER, "Name": "ACME holdings"})
    assert "already exists" in text


def test_an_unknown_supplier_is_not_changed(api: Api) -> None:
    unknown = {**SUPPLIER, "ID": "11111111-1111-4111-8111-111111111111"}
    assert "was not found" in api.refused("PUT", "supplier", unknown)
