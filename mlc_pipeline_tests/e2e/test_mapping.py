"""What finance does with a held invoice: add a row, and the next run posts it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mlc_pipeline.sandbox.company.model import Company
from mlc_pipeline.sync.vocabulary import REASONS, Kind
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY, invoice, postings
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import outcomes, read_csv

pytestmark = pytest.mark.e2e

HELD = f"{KEY}|INV-NEW"


def _two_invoices() -> Company:
    good = invoice("INV-1", "100.00")
    new = invoice("INV-NEW", "40.00", document_no="5002")
    return companies.company(
        invoices=(good, new),
        gl_distributions=(
            *postings(good, {"110.7010": "100.00"}),
            *postings(new, {"110.7010": "10.00", "120.7990": "30.00"}),
        ),
    )


def test_an_unmapped_account_holds_its_invoice_until_the_row_is_there(start: Start) -> None:
    pair = start(_two_invoices())
    first = pair.run(DAY)
    assert first.exit_code == 3
    (held,) = first.stopped
    assert (held["source_key"], held["reason_code"]) == (HELD, "unmapped_account")
    assert "120.7990" in held["reason"]
    assert "30.00" in held["reason"]
    assert outcomes(first, Kind.INVOICE) == {"created": 1, "held": 1}
    assert {number for _, number in pair.booked()} == {"INV-1"}

    red = pair.check("mapping", "gl_accounts", "every_code_is_mapped")
    assert red.passed is False
    assert "120.7990 (30.00" in (red.description or "")
    (shown,) = pair.metadata("plan", "invoices")["held_and_waiting"].records
    assert shown.data["document"] == HELD
    assert shown.data["what to do"] == REASONS["unmapped_account"].remedy

    (raw,) = [r for r in read_csv(pair.folder, "gl_accounts") if r["syspro_code"] == "7010"]
    pair.map_account("7990", raw["cin7_account"])
    pair.forget_traffic()
    second = pair.run(DAY)
    assert (second.exit_code, second.stopped) == (0, [])
    assert outcomes(second, Kind.INVOICE) == {"created": 1, "unchanged": 1}
    assert pair.writes() == {"header": 1, "order": 1, "invoice": 1}
    assert pair.booked()[KEY, "INV-NEW"]["Total"] == 48
    assert pair.summary()["accounts"][raw["cin7_account"]] == Decimal(140)
    assert pair.check("mapping", "gl_accounts", "every_code_is_mapped").passed is True


def test_a_row_that_names_no_account_of_cin7_is_told_with_its_line(start: Start) -> None:
    pair = start(_two_invoices())
    pair.map_account("7990", "99999")
    summary = pair.run(DAY)
    (held,) = summary.stopped
    assert (held["source_key"], held["reason_code"]) == (HELD, "account_unusable")
    lines = (pair.folder / "gl_accounts.csv").read_text(encoding="utf-8").splitlines()
    red = pair.check("mapping", "gl_accounts", "rows_are_valid")
    assert red.passed is False
    assert f"gl_accounts.csv:{len(lines)}" in (red.description or "")


def test_a_lost_mapping_file_holds_everything_and_breaks_nothing(start: Start) -> None:
    pair = start(_two_invoices())
    (pair.folder / "gl_accounts.csv").unlink()
    summary = pair.run(DAY)
    assert summary.exit_code == 3
    assert {row["reason_code"] for row in summary.stopped} == {"unmapped_account"}
    assert outcomes(summary, Kind.INVOICE) == {"held": 2}
    assert pair.purchases() == []
