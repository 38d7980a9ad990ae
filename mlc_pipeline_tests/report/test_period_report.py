"""The report of a period: everything on one page, nothing from outside, no name believed."""

from __future__ import annotations

import csv
import re
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from mlc_pipeline.commands.map import write_proposals
from mlc_pipeline.report import view
from mlc_pipeline.report.period import write_report
from mlc_pipeline.report.place import report_folder
from mlc_pipeline.sync.booked import Bucket
from mlc_pipeline.sync.causes import Cause
from mlc_pipeline.sync.close import Closing, Stopped
from mlc_pipeline.sync.closings import ChangeSince
from mlc_pipeline.sync.period import Difference, Period, PeriodTieOut
from mlc_pipeline.sync.proposals import Proposal, SysproAccount

HOSTILE = '=HYPERLINK("http://x")</td><script>alert(1)</script>'
LINK = "https://inventory.example/PurchaseAdvanced#{}".format
AT = datetime(2026, 4, 2, 9, tzinfo=UTC)


def d(text: str) -> Decimal:
    return Decimal(text)


def closing(suppliers: int = 1) -> Closing:
    """A period in which one document of two is held, and one of Cin7's was edited."""
    period = Period.parse("2026-03")
    tie_out = PeriodTieOut(period, documents=suppliers)
    for number in range(suppliers):
        bucket = Bucket(f"{500 + number}", f"{number}", f"S{number}")
        tie_out.syspro[bucket] = tie_out.cin7[bucket] = d("1000.10")
    first = Bucket("500", "0", "S0")
    tie_out.syspro[first] += d("70.00")
    tie_out.cin7[first] += d("0.01")
    day = date(2026, 3, 3)
    tie_out.differences = [
        Difference(Cause.HELD, "S0|INV-1", first, d("-70.00"), "unmapped_account: x", day),
        Difference(
            Cause.AMOUNT, "S0|INV-2", first, d("0.01"), HOSTILE, day, "abc-1", "PO-00001"
        ),
    ]
    tie_out.days = {day: {"posted": d("1000.10"), "held": d("70"), "cin7": d("1000.11")}}
    made = Closing("acme", period, "GBP", AT, tie_out, ["Edited: 1 document."])
    made.suppliers = {"S0": HOSTILE}
    made.stopped = [
        Stopped("S0|INV-1", "S0", "held", "unmapped_account", HOSTILE, day, d("70.00")),
        Stopped("S0|INV-0", "S0", "waiting", "invoice_missing", "", None, d("5.00")),
    ]
    made.changed = [ChangeSince(day, "S0|INV-3", "appeared", d("0"), d("9.00"), AT)]
    return made


@pytest.fixture
def page(tmp_path: Path) -> str:
    return write_report(closing(), tmp_path, LINK).read_text(encoding="utf-8")


def test_the_page_says_what_it_is_about(page: str) -> None:
    assert "2026-03 is not ready to close" in page
    for told in ("1,070.10", "1,000.11", "S0|INV-1", "S0|INV-2", "S0|INV-3", "-70.00"):
        assert told in page
    assert 'href="https://inventory.example/PurchaseAdvanced#abc-1"' in page


def test_a_name_stays_a_name_on_the_page(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_page_asks_nothing_of_anybody(page: str) -> None:
    loaded = re.findall(r"<(?:link|script|img|iframe|object)\b|url\(|@import|src=", page)
    assert loaded == []
    assert "default-src 'none'" in page


def test_a_name_stays_a_name_in_a_spreadsheet(tmp_path: Path) -> None:
    write_report(closing(), tmp_path, LINK)
    for path in tmp_path.glob("*.csv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
        assert not [c for row in rows for c in row if c.startswith("=")], path.name


def test_a_name_stays_a_name_in_the_proposals_of_accounts_too(tmp_path: Path) -> None:
    account = SysproAccount("exact", "7010", Counter({"=HYPERLINK(1)": 1}), amount=d("-5"))
    target = tmp_path / "proposals.csv"
    write_proposals(target, [Proposal(account, "400", "@Sales", "", 90, "names are alike")])
    (row,) = csv.DictReader(target.open(encoding="utf-8"))
    assert (row["note"], row["cin7_name"]) == ("'=HYPERLINK(1)", "'@Sales")
    assert (row["syspro_code"], row["amount"]) == ("7010", "-5.00")


def test_a_ready_period_says_what_is_carried_forward(tmp_path: Path) -> None:
    ready = closing()
    ready.reasons, ready.changed = [], []
    page = write_report(ready, tmp_path, LINK).read_text(encoding="utf-8")
    assert "2026-03 is ready to close" in page
    assert "2 document(s) over 75.00 GBP are carried forward" in page


def test_an_empty_period_has_a_page_too(tmp_path: Path) -> None:
    period = Period.parse("2026-03")
    empty = Closing("acme", period, "GBP", AT, PeriodTieOut(period))
    assert "ready to close" in write_report(empty, tmp_path, LINK).read_text(encoding="utf-8")


def test_a_long_table_keeps_its_sum(tmp_path: Path) -> None:
    many = closing(view.SHOWN + 5)
    for table in view.tables(many):
        assert len(table.rows) == view.SHOWN + 5
        assert table.rest is not None
        assert table.rest.code == "5 more"
        shown = sum(row.syspro for row in table.shown) + table.rest.syspro
        assert shown == table.total.syspro == sum(many.tie_out.syspro.values())
        assert table.shown[0].is_blocked
        total = table.total
        assert total.syspro + sum(total.steps.values()) == total.cin7
    write_report(many, tmp_path, LINK)
    rows = (tmp_path / "suppliers.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(rows) == view.SHOWN + 5 + 1


def test_money_without_a_date_has_an_age_of_its_own() -> None:
    ages = {age.label: (age.documents, age.amount) for age in view.ageing(closing())}
    assert ages["8 to 30 days"] == (1, 70)
    assert ages["without a date"] == (1, 5)


def test_a_period_of_two_days_has_a_folder_without_dots(tmp_path: Path) -> None:
    folder = report_folder({"MLC_HOME": str(tmp_path)}, "acme", "2026-03-02..2026-03-05")
    assert folder.name == "2026-03-02_2026-03-05"
