"""The published packs: every document and every cent arrives in the SYSPRO rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mlc_pipeline.connection.mappings import AccountMapping, MappedAccount
from mlc_pipeline.connection.model import GlCode
from mlc_pipeline.sandbox.company import (
    Company,
    cin7_account,
    key_changes,
    read_pack,
    shares,
    slice_company,
    syspro_tables,
    write_connection,
    write_pack,
)
from mlc_pipeline.sandbox.company.cin7_account import account_codes
from mlc_pipeline.sync.proposals import accounts_of, accuracy, propose
from mlc_pipeline.sync.references import books_of
from mlc_pipeline.syspro.entities import ENTITIES

pytestmark = pytest.mark.real_data

ADDRESSES = {"enet_url": "http://a", "odata_url": "http://b", "base_url": "http://c"}
PACKS = ("sheffield", "scms", "wwi")


@dataclass(frozen=True)
class Pack:
    """A pack as published, as read and as translated."""

    manifest: dict[str, Any]
    company: Company
    tables: dict[str, list[dict[str, Any]]]

    def total(self, table: str, column: str) -> Decimal:
        return sum((row[column] for row in self.tables[table]), Decimal(0))


@pytest.fixture(scope="module")
def packs(real_data: Path) -> dict[str, Pack]:
    found = {}
    for name in PACKS:
        text = (real_data / name / "manifest.json").read_text(encoding="utf-8")
        company = read_pack(real_data / name)
        manifest = json.loads(text, parse_float=Decimal)
        found[name] = Pack(manifest, company, syspro_tables(company))
    return found


def test_every_row_of_every_pack_is_read(packs: dict[str, Pack]) -> None:
    for name, pack in packs.items():
        stated = {table: each["rows"] for table, each in pack.manifest["tables"].items()}
        assert {table: len(pack.company.rows(table)) for table in stated} == stated, name


def test_sheffield_arrives_whole(packs: dict[str, Pack]) -> None:
    pack = packs["sheffield"]
    assert len(pack.tables["ApSupplier"]) == 3_729
    assert len(pack.tables["ApInvoice"]) == 26_927
    assert len(pack.tables["ApPosting"]) == 28_655
    assert pack.total("ApInvoice", "OrigInvValue") == Decimal("569577490.50")
    assert pack.total("ApPosting", "DistrValue") == Decimal("569577490.50")
    sections = {row["GlCode"].split(".")[1] for row in pack.tables["GenMaster"]}
    assert len(sections) == 162


def test_scms_arrives_whole(packs: dict[str, Pack]) -> None:
    pack = packs["scms"]
    assert len(pack.tables["PorMasterHdr"]) == 2_815
    assert len(pack.tables["PorMasterDetail"]) == 4_005
    assert len(pack.tables["GrnDetails"]) == 4_919
    stated = pack.manifest["control_totals"]["receipts.value"]
    assert pack.total("GrnDetails", "OrigGrnValue") == stated == Decimal("542211825.24")
    assert sum(row["OrderEntryDate"] is None for row in pack.tables["PorMasterHdr"]) == 121
    assert pack.tables["ApInvoice"] == pack.tables["ApPosting"] == []


def test_wwi_arrives_whole_and_linked(packs: dict[str, Pack]) -> None:
    pack = packs["wwi"]
    totals = pack.manifest["control_totals"]
    assert len(pack.tables["ApInvoice"]) == 2_072
    assert pack.total("ApInvoice", "OrigInvValue") == totals["invoices.gross"]
    assert pack.total("ApPosting", "DistrValue") == totals["invoices.gross"]
    assert pack.total("GrnDetails", "OrigGrnValue") == totals["receipts.value"]
    assert pack.total("GrnMatching", "MatchedValue") == totals["invoices.net"]
    matched = {(row["Supplier"], row["Invoice"]) for row in pack.tables["GrnMatching"]}
    assert len(matched) == 2_072
    ordered = sum(row["MOrderQty"] * row["MPrice"] for row in pack.tables["PorMasterDetail"])
    assert ordered == totals["po_lines.line_value"]


def test_wwi_keeps_the_lines_that_were_not_received(packs: dict[str, Pack]) -> None:
    rows = packs["wwi"].tables["PorMasterDetail"]
    unreceived = [row for row in rows if row["MReceivedQty"] != row["MOrderQty"]]
    assert len(unreceived) == 9
    assert {row["MCompleteFlag"] for row in unreceived} == {"N"}
    statuses = Counter(row["OrderStatus"] for row in packs["wwi"].tables["PorMasterHdr"])
    assert statuses == {"9": 2_072, "4": 2}


def test_receipts_add_up_to_what_the_lines_say(packs: dict[str, Pack]) -> None:
    lines = packs["wwi"].company.po_lines
    rows = packs["wwi"].tables["PorMasterDetail"]
    assert [row["MReceivedQty"] for row in rows] == [each.qty_received for each in lines]


@pytest.mark.parametrize("name", PACKS)
def test_keys_of_every_table_are_unique(packs: dict[str, Pack], name: str) -> None:
    for entity in ENTITIES.values():
        columns = [entity.column(each).source for each in entity.key]
        rows = packs[name].tables[entity.entity_set]
        assert len({tuple(row[c] for c in columns) for row in rows}) == len(rows), entity.name


def test_each_invoice_is_posted_to_its_value(packs: dict[str, Pack]) -> None:
    for name in ("sheffield", "wwi"):
        posted: Counter[tuple[str, str]] = Counter()
        for row in packs[name].tables["ApPosting"]:
            posted[row["Supplier"], row["Invoice"]] += row["DistrValue"]
        for row in packs[name].tables["ApInvoice"]:
            assert posted[row["Supplier"], row["Invoice"]] == row["OrigInvValue"]


def test_every_changed_number_is_listed_with_its_reason(packs: dict[str, Pack]) -> None:
    reasons = Counter(each.reason for each in key_changes(packs["sheffield"].company))
    assert reasons == {
        "repeated": 433,
        "longer than 20 characters": 121,
        "longer than 20 characters, repeated": 1,
        "blank": 7,
    }
    assert len(key_changes(packs["wwi"].company)) == 98
    assert key_changes(packs["scms"].company) == []
    own = {row["Journal"]: row for row in packs["sheffield"].tables["ApInvoice"]}
    for change in key_changes(packs["sheffield"].company):
        assert own[int(change.document_no)]["Reference"] == change.invoice_no


def test_postings_are_spread_over_ten_days_and_into_the_next_month(
    packs: dict[str, Pack],
) -> None:
    rows = packs["sheffield"].tables["ApInvoice"]
    assert {(r["JournalDate"] - r["InvoiceDate"]).days for r in rows} == set(range(11))
    assert sum(r["JournalDate"].month != r["InvoiceDate"].month for r in rows) == 4_196


@pytest.mark.parametrize(
    ("name", "accounts", "centres"),
    [("sheffield", 162, 953), ("scms", 4, 1), ("wwi", 4, 1)],
)
def test_each_pack_has_an_account_and_a_connection(
    packs: dict[str, Pack], tmp_path: Path, name: str, accounts: int, centres: int
) -> None:
    company = packs[name].company
    account = cin7_account(company)
    write_connection(company, account, tmp_path, **ADDRESSES)
    assert len((tmp_path / "gl_accounts.csv").read_text().splitlines()) == accounts + 1
    assert len((tmp_path / "cost_centres.csv").read_text().splitlines()) == centres + 1
    text = (tmp_path / "connection.yaml").read_text(encoding="utf-8")
    unnamed = "negative_charge" if name == "sheffield" else "hold"
    assert f"unnamed_credit: {unnamed}" in text
    assert f"local_currency: {company.local_currency}" in text


def test_a_week_of_sheffield_is_a_pack_of_its_own(
    packs: dict[str, Pack], tmp_path: Path
) -> None:
    cut = slice_company(packs["sheffield"].company, date(2016, 4, 4), date(2016, 4, 10))
    assert 0 < len(cut.invoices) < 2_000
    write_pack(cut, tmp_path)
    assert read_pack(tmp_path) == cut
    total = sum((each.net for each in cut.invoices), Decimal(0))
    assert sum(row["DistrValue"] for row in syspro_tables(cut)["ApPosting"]) == total


def _share(rows: Iterable[Any], condition: Callable[[Any], bool]) -> float:
    found = list(map(condition, rows))
    return round(sum(found) / len(found), 4)


def _distribution(counts: Iterable[int], last: int) -> dict[int, float]:
    capped = [min(each, last) for each in counts]
    return {n: _share(capped, n.__eq__) for n in range(1, last + 1)}


def test_the_shares_of_numbers_and_names_are_the_measured_ones(packs: dict[str, Pack]) -> None:
    company = packs["sheffield"].company
    numbers = [each.invoice_no for each in company.invoices]
    assert _share(numbers, lambda each: each.startswith("0")) == shares.LEADING_ZERO_NUMBER
    assert _share(numbers, lambda each: " " in each) == shares.SPACED_NUMBER
    assert _share(numbers, lambda each: len(each) > 20) == shares.OVERLONG_NUMBER
    assert _share(numbers, lambda each: not each) == shares.BLANK_NUMBER
    first = {(e.supplier_id, e.invoice_no): e for e in reversed(company.invoices)}.values()
    kept = {each.document_no for each in first}
    assert (
        _share(company.invoices, lambda e: e.document_no not in kept) == shares.REPEATED_NUMBER
    )
    names = Counter(each.name for each in company.suppliers)
    assert _share(company.suppliers, lambda e: names[e.name] > 1) == shares.SHARED_NAME
    postings = Counter(each.document_no for each in company.gl_distributions)
    assert _distribution(postings.values(), 5) == shares.POSTINGS_PER_INVOICE


def test_the_shares_of_orders_are_the_measured_ones(packs: dict[str, Pack]) -> None:
    company = packs["scms"].company
    orders, lines = company.purchase_orders, company.po_lines
    per_order = Counter(each.purchase_order for each in lines)
    assert _distribution(per_order.values(), 5) == shares.LINES_PER_ORDER
    per_line = Counter((each.purchase_order, each.line) for each in company.receipts)
    assert _distribution(per_line.values(), 4) == shares.DELIVERIES_PER_LINE
    assert _share(lines, lambda each: len(each.description) > 50) == shares.LONG_DESCRIPTION
    assert _share(orders, lambda each: each.order_date is None) == shares.UNDATED_ORDER
    busiest = {n for n, _ in Counter(each.supplier_id for each in orders).most_common(5)}
    assert _share(orders, lambda e: e.supplier_id in busiest) == shares.TOP_FIVE_SUPPLIERS
    wholesale = packs["wwi"].company.purchase_orders
    assert _share(wholesale, lambda e: not e.complete) == shares.NOT_FULLY_RECEIVED_ORDER


def test_a_citys_chart_is_proposed_as_it_is_mapped(packs: dict[str, Pack]) -> None:
    company = packs["sheffield"].company
    account = cin7_account(company)
    books = books_of(
        {
            name: account[name]
            for name in ("accounts", "tax_rules", "payment_terms", "locations")
        }
    )
    layout = GlCode(separator=".", account_section=2, cost_centre_section=1)
    rules = {
        ("section", code): MappedAccount(target, "expense", f"section {code}")
        for code, target in account_codes(company).items()
    }
    chart = [
        (row["GlCode"], row["Description"], row["AccountType"])
        for row in packs["sheffield"].tables["GenMaster"]
    ]
    proposals = propose(
        accounts_of(chart, {}, (), layout), books, ("EXPENSE", "ASSET", "LIABILITY")
    )
    figures = accuracy(proposals, AccountMapping(rules, layout))
    assert figures.known == 162
    assert figures.precision >= 99
    assert figures.recall >= 90
