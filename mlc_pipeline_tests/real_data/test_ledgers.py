"""Real ledgers through whole cycles: some days of each pack, from SYSPRO into Cin7."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from mlc_pipeline.cycle import Summary
from mlc_pipeline.sandbox.company import read_pack, slice_company
from mlc_pipeline.sync.vocabulary import REASONS, Kind, Outcome
from mlc_pipeline_tests.e2e.conftest import environment
from mlc_pipeline_tests.e2e.pair import (
    Pair,
    counted,
    documents_of,
    marker_of,
    money,
    outcomes,
    read_csv,
    running_pair,
)

pytestmark = [pytest.mark.real_data, pytest.mark.e2e]

Open = Callable[[str, date, date], Pair]


@pytest.fixture
def ledger(
    real_data: Path,
    database: sa.Engine,
    database_address: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Open]:
    """Open some days of a pack in both stand-ins."""
    environ = environment(tmp_path_factory.mktemp("home"), database_address, monkeypatch)
    with ExitStack() as opened:

        def open_days(name: str, first: date, last: date) -> Pair:
            company = slice_company(read_pack(real_data / name), first, last)
            return opened.enter_context(running_pair(company, tmp_path, environ, name=name))

        yield open_days


def _assert_sound(pair: Pair, summary: Summary) -> None:
    """Hold that nothing failed, nothing is there twice, and the money is where it belongs."""
    assert summary.succeeded, summary.problems
    assert counted(summary, Outcome.FAILED) == 0
    assert all(row["reason_code"] in REASONS for row in summary.stopped)
    assert summary.different == 0
    assert summary.posted == summary.in_cin7
    pair.assert_clean()
    assert pair.metadata("tie_out", "ap")["differences"] == 0


def _posted_by_account(pair: Pair) -> dict[str, Decimal]:
    """Return the postings of what is in Cin7, by the account that the mapping names."""
    booked = pair.booked()
    mapped = {r["syspro_code"]: r["cin7_account"] for r in read_csv(pair.folder, "gl_accounts")}
    balances: defaultdict[str, Decimal] = defaultdict(Decimal)
    for posting in pair.tables["ApPosting"]:
        if (posting["Supplier"], posting["Invoice"]) in booked:
            section = posting["ExpenseGlCode"].split(".")[1]
            balances[mapped[section]] += posting["DistrValue"]
            balances["800"] -= posting["DistrValue"]
    return {account: amount for account, amount in balances.items() if amount}


def test_two_days_of_a_citys_invoices_arrive_to_the_cent(ledger: Open) -> None:
    first, last = date(2016, 4, 5), date(2016, 4, 6)
    pair = ledger("sheffield", first, last)
    summary = pair.run(first, last)
    _assert_sound(pair, summary)
    assert len(pair.tables["ApInvoice"]) == 231
    assert outcomes(summary, Kind.INVOICE) == {"created": 231}
    assert money(pair.tables["ApInvoice"], "OrigInvValue") == summary.posted
    accounts = pair.summary()["accounts"]
    assert {a: m for a, m in accounts.items() if m} == _posted_by_account(pair)

    pair.forget_traffic()
    again = pair.run(first, last)
    assert pair.writes() == {}
    assert outcomes(again, Kind.INVOICE) == {"unchanged": 231}


def test_three_weeks_of_a_wholesaler_stand_on_their_orders(ledger: Open) -> None:
    first = date(2014, 3, 3)
    last = first + timedelta(days=19)
    pair = ledger("wwi", first, last)
    summary = pair.run(first, last)
    _assert_sound(pair, summary)
    linked = {(row["Supplier"], row["Invoice"]) for row in pair.tables["GrnMatching"]}
    assert len(linked) == len(pair.tables["ApInvoice"]) == 35
    assert outcomes(summary, Kind.INVOICE) == {"created": 35}
    invoiced = [p for p in pair.purchases() if documents_of(p)]
    assert len(invoiced) == 35
    for purchase in invoiced:
        assert marker_of(purchase).startswith("SYSPRO:DEMO:PO:")
        assert purchase["Approach"] == "STOCK"
        assert any(g["Status"] == "AUTHORISED" for g in purchase["StockReceived"])
    assert pair.summary()["accounts"] == _posted_by_account(pair)
    assert pair.run(first, last).cin7_writes == 0


def test_sixty_days_of_a_supply_chains_orders_and_receipts_arrive(ledger: Open) -> None:
    first = date(2012, 3, 1)
    last = first + timedelta(days=59)
    pair = ledger("scms", first, last)
    summary = pair.run(first, last)
    _assert_sound(pair, summary)
    dated = sum(row["OrderEntryDate"] is not None for row in pair.tables["PorMasterHdr"])
    made = outcomes(summary, Kind.PURCHASE_ORDER)
    assert sum(made.values()) == len(pair.tables["PorMasterHdr"]) == 89
    assert made["created"] == dated
    received = [g for p in pair.purchases() for g in p["StockReceived"] if g["Lines"]]
    assert outcomes(summary, Kind.RECEIPT)["created"] == len(received)
    assert pair.run(first, last).cin7_writes == 0
