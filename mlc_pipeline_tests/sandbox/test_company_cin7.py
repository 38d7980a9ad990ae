"""The Cin7 account and the connection folder that go with a company."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlc_pipeline.sandbox.company import (
    Company,
    cin7_account,
    generate,
    syspro_tables,
    write_connection,
)
from mlc_pipeline.sandbox.company.model import Invoice, Supplier

ADDRESSES = {
    "enet_url": "http://127.0.0.1:8471/SYSPROWCFService/Rest",
    "odata_url": "http://127.0.0.1:8471/SYSPRO8Odata/SYSPROOData",
    "base_url": "http://127.0.0.1:8472/ExternalApi/v2",
}


@pytest.fixture(scope="module")
def company() -> Company:
    return generate(4)


@pytest.fixture(scope="module")
def account(company: Company) -> dict[str, Any]:
    return cin7_account(company)


def _rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _settings(folder: Path) -> Any:
    return yaml.safe_load((folder / "connection.yaml").read_text(encoding="utf-8"))


def test_an_account_is_the_same_each_time(company: Company, account: dict[str, Any]) -> None:
    assert cin7_account(company) == account


def test_account_codes_are_unique_and_differ_from_the_ledgers(
    company: Company, account: dict[str, Any]
) -> None:
    codes = [each["Code"] for each in account["accounts"]]
    assert len(set(codes)) == len(codes)
    assert not set(codes) & {each.account for each in company.gl_accounts}
    payable = [e for e in account["accounts"] if e["SystemAccount"] == "Accounts payable"]
    assert [(e["Code"], e["Class"]) for e in payable] == [("800", "LIABILITY")]


def test_tax_rules_stand_on_an_active_liability_account(account: dict[str, Any]) -> None:
    classes = {each["Code"]: each["Class"] for each in account["accounts"]}
    assert {classes[each["Account"]] for each in account["tax_rules"]} == {"LIABILITY"}
    percents = {
        e["Name"]: e["TaxPercent"] for e in account["tax_rules"] if e["IsTaxForPurchase"]
    }
    assert percents == {"No VAT": Decimal(0), "20% (VAT on Expenses)": Decimal(20)}


def test_products_are_the_stock_items_but_for_the_missing_ones(
    company: Company, account: dict[str, Any]
) -> None:
    skus = {each["SKU"] for each in account["products"]}
    missing = {each.stock_code for each in company.stock_items} - skus
    assert missing == {each.stock_code for each in company.stock_items if not each.in_cin7}
    assert missing


def test_known_suppliers_use_what_the_account_has(account: dict[str, Any]) -> None:
    terms = {each["Name"] for each in account["payment_terms"] if each["IsActive"]}
    rules = {each["Name"] for each in account["tax_rules"] if each["IsActive"]}
    assert len(account["suppliers"]) == 8
    for supplier in account["suppliers"]:
        assert supplier["PaymentTerm"] in terms
        assert supplier["TaxRule"] in rules
        assert supplier["AccountPayable"] == "800"


def test_rates_are_local_units_of_one_foreign_unit(account: dict[str, Any]) -> None:
    assert account["rates"] == {"USD": Decimal("0.7874"), "EUR": Decimal("0.8600")}


def test_every_code_of_syspro_is_mapped_but_the_new_account(
    company: Company, account: dict[str, Any], tmp_path: Path
) -> None:
    write_connection(company, account, tmp_path, **ADDRESSES)
    tables = syspro_tables(company)
    mapped = {row["syspro_code"]: row for row in _rows(tmp_path, "gl_accounts")}
    posted = {row["ExpenseGlCode"].split(".")[1] for row in tables["ApPosting"]}
    assert posted - mapped.keys() == {"7990"}
    assert {row["match"] for row in mapped.values()} == {"section"}
    roles = {code: row["role"] for code, row in mapped.items() if row["role"]}
    assert roles == {"2100": "payable", "2200": "tax"}
    centres = _rows(tmp_path, "cost_centres")
    assert len(centres) == 12 + 1  # and the balance sheet
    assert all(row["syspro_cost_centre"] == row["cin7_value"] for row in centres)
    for table, column, entity, physical in (
        ("tax_codes", "syspro_tax_code", "ApInvoice", "FirstTaxCode"),
        ("payment_terms", "syspro_terms_code", "ApSupplier", "TermsCode"),
        ("currencies", "syspro_currency", "ApInvoice", "Currency"),
        ("warehouses", "syspro_warehouse", "PorMasterHdr", "Warehouse"),
    ):
        known = {row[column] for row in _rows(tmp_path, table)}
        assert {row[physical] for row in tables[entity]} <= known, table


def test_the_connection_states_addresses_and_overrides(
    company: Company, account: dict[str, Any], tmp_path: Path
) -> None:
    write_connection(
        company,
        account,
        tmp_path,
        **ADDRESSES,
        start_date=date(2026, 10, 1),
        calls_per_minute=6000,
        overrides={"policies": {"missing_product": "create"}, "time_zone": "UTC"},
    )
    settings = _settings(tmp_path)
    assert settings["syspro"]["enet_url"] == ADDRESSES["enet_url"]
    assert settings["syspro"]["odata_url"] == ADDRESSES["odata_url"]
    assert settings["cin7"]["base_url"] == ADDRESSES["base_url"]
    assert settings["cin7"]["calls_per_minute"] == 6000
    assert settings["start_date"] == date(2026, 10, 1)
    assert settings["time_zone"] == "UTC"
    assert settings["policies"]["missing_product"] == "create"
    assert settings["policies"]["po_link"] == "grn_matching"
    assert settings["defaults"]["accounts_payable"] == "800"


def test_a_connection_starts_by_default_with_the_first_document(
    company: Company, account: dict[str, Any], tmp_path: Path
) -> None:
    write_connection(company, account, tmp_path, **ADDRESSES)
    first = min(each.invoice_date for each in company.invoices)
    assert _settings(tmp_path)["start_date"] <= first


def test_a_ledger_without_orders_takes_unnamed_credits_as_negative_charges(
    tmp_path: Path,
) -> None:
    invoice = Invoice(
        document_no="1",
        supplier_id="7",
        invoice_no="A",
        invoice_date=date(2026, 5, 1),
        net=Decimal(100),
        tax=Decimal(15),
    )
    company = Company(
        "spend", suppliers=(Supplier(supplier_id="7", name="Seven"),), invoices=(invoice,)
    )
    write_connection(company, cin7_account(company), tmp_path, **ADDRESSES)
    settings = _settings(tmp_path)
    assert settings["policies"]["unnamed_credit"] == "negative_charge"
    assert settings["policies"]["po_link"] == "none"
    assert settings["defaults"]["tax_rule"] == "15% (VAT on Expenses)"
    assert len(_rows(tmp_path, "gl_accounts")) == 4


def test_an_account_of_another_company_is_refused(company: Company, tmp_path: Path) -> None:
    other = cin7_account(Company("other"))
    with pytest.raises(ValueError, match=r"gl_accounts.csv: found 40050, .*expected a Code"):
        write_connection(company, other, tmp_path, **ADDRESSES)
    assert not (tmp_path / "connection.yaml").exists()
