"""Documents that are spread over days: whichever day completes one pushes it, once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from mlc_pipeline.sync.vocabulary import Kind
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY, ORDER, day
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import Pair, outcomes, reasons

pytestmark = pytest.mark.e2e

INVOICE = f"{KEY}|INV-1"


def _posting_key(row: dict[str, object]) -> list[object]:
    names = ("TrnYear", "TrnMonth", "Journal", "EntryNumber", "SubEntry")
    return [row[name] for name in names]


def _numbers(pair: Pair) -> list[str]:
    return sorted(number for _, number in pair.booked())


@pytest.mark.parametrize("days", [(0, 3), (3, 0)])
def test_an_invoice_posted_on_another_day_is_pushed_by_the_day_that_comes_first(
    start: Start, days: tuple[int, int]
) -> None:
    pair = start(companies.one_invoice(posted=day(3)))
    first = pair.run(day(days[0]))
    assert outcomes(first, Kind.INVOICE) == {"created": 1}
    second = pair.run(day(days[1]))
    assert outcomes(second, Kind.INVOICE) == {"unchanged": 1}
    assert second.cin7_writes == 0
    between = pair.run(day(1))
    assert between.kinds == {}
    pair.assert_clean()
    assert _numbers(pair) == ["INV-1"]


def test_an_invoice_waits_with_both_figures_until_the_day_of_its_last_posting(
    start: Start,
) -> None:
    pair = start(companies.one_invoice(posted=day(3)))
    late = pair.rows("ApPosting")[1:]
    pair.remove("ApPosting", *map(_posting_key, late))

    first = pair.run(DAY)
    (stopped,) = first.stopped
    assert (stopped["outcome"], stopped["reason_code"]) == ("waiting", "postings_incomplete")
    assert "180.00" in stopped["reason"]
    assert "100.25" in stopped["reason"]
    assert first.exit_code == 0
    assert first.kinds[Kind.INVOICE].money == {"GBP": Decimal(180)}
    assert pair.purchases() == []

    pair.put("ApPosting", *late)
    second = pair.run(day(3))
    assert outcomes(second, Kind.INVOICE) == {"created": 1}
    third = pair.run(DAY, day(3))
    assert outcomes(third, Kind.INVOICE) == {"unchanged": 1}
    assert third.cin7_writes == 0
    pair.assert_clean()

    # The UI plots days: each has its own figures, the run's stand in words.
    said = pair.metadata("tie_out", "ap")
    assert (said["cin7"], said["documents"]) == (0, 0)
    assert "Cin7 180.00" in said["run"]
    pair.run(DAY)
    assert pair.metadata("tie_out", "ap")["cin7"] == 180


def test_a_connection_may_keep_its_invoices_by_another_date(start: Start) -> None:
    pair = start(
        companies.one_invoice(),
        syspro={"entities": {"invoices": {"date_column": "journal_date"}}},
    )
    pair.put("ApInvoice", pair.row("ApInvoice") | {"JournalDate": day(4).isoformat()})
    first = pair.run(DAY, day(4))
    assert outcomes(first, Kind.INVOICE) == {"created": 1}
    # Its own date is not its home: that day neither has it nor misses it.
    for last in (pair.run(day(4)), pair.run(DAY)):
        assert last.stopped == []
        assert outcomes(last, Kind.INVOICE) == {"unchanged": 1}
    (booked,) = pair.booked().values()
    assert str(booked["InvoiceDate"])[:10] == str(DAY)
    pair.assert_clean()


def test_postings_wait_for_their_invoice_and_count_their_money(start: Start) -> None:
    pair = start(companies.one_invoice(posted=day(3)))
    pair.remove("ApInvoice", [KEY, "INV-1"])
    first = pair.run(DAY, day(3))
    assert reasons(first) == {INVOICE: "invoice_missing"}
    assert outcomes(first, Kind.POSTING) == {"waiting": 1}
    assert first.kinds[Kind.POSTING].money == {"GBP": Decimal(180)}

    pair.put("ApInvoice", pair.row("ApInvoice"))
    second = pair.run(DAY, day(3))
    assert second.stopped == []
    assert outcomes(second, Kind.INVOICE) == {"created": 1}
    assert Kind.POSTING not in second.kinds


def test_an_invoice_that_is_gone_from_syspro_is_held_although_its_postings_stay(
    start: Start,
) -> None:
    pair = start(companies.one_invoice())
    pair.run(DAY)
    pair.remove("ApInvoice", [KEY, "INV-1"])
    last = pair.run(DAY)
    assert last.problems == []
    held = [row for row in last.stopped if row["outcome"] == "held"]
    assert [(r["kind"], r["source_key"], r["reason_code"]) for r in held] == [
        ("invoice", INVOICE, "vanished_in_syspro")
    ]
    assert last.cin7_writes == 0


def test_an_invoice_brings_the_order_that_is_dated_after_it(start: Start) -> None:
    pair = start(companies.one_order(ordered=day(5)))
    first = pair.run(DAY)
    assert first.stopped == []
    assert outcomes(first, Kind.PURCHASE_ORDER) == {"created": 1}
    assert outcomes(first, Kind.INVOICE) == {"created": 1}
    second = pair.run(day(5))
    assert outcomes(second, Kind.PURCHASE_ORDER) == {"unchanged": 1}
    assert second.cin7_writes == 0
    pair.assert_clean()


def test_an_invoice_waits_for_an_order_that_is_not_there_and_follows_it(start: Start) -> None:
    pair = start(companies.one_order(ordered=day(5)))
    pair.remove("PorMasterHdr", [ORDER])
    first = pair.run(DAY)
    assert reasons(first)[f"{KEY}|INV-PO"] == "order_missing"
    assert pair.purchases() == []

    pair.put("PorMasterHdr", pair.row("PorMasterHdr"))
    pair.run(day(5))
    assert _numbers(pair) == ["INV-PO"], "the order's own day must bring what waited for it"
    last = pair.run(DAY, day(5))
    assert last.stopped == []
    assert last.cin7_writes == 0
    pair.assert_clean()


def test_a_receipt_comes_weeks_after_its_order_and_the_invoice_after_that(start: Start) -> None:
    pair = start(companies.one_order(received=day(24), billed=day(26)))
    receipts, matches = pair.rows("GrnDetails"), pair.rows("GrnMatching")
    pair.remove(
        "GrnDetails", *([r["Supplier"], r["Grn"], r["GrnSource"], 1, 1] for r in receipts)
    )
    pair.remove(
        "GrnMatching", *([m["Supplier"], m["Grn"], m["Invoice"], 1, 1] for m in matches)
    )
    pair.remove("ApInvoice", [KEY, "INV-PO"])
    pair.remove("ApPosting", *map(_posting_key, pair.rows("ApPosting")))

    first = pair.run(DAY)
    assert outcomes(first, Kind.PURCHASE_ORDER) == {"created": 1}
    assert pair.purchase(f"SYSPRO:DEMO:PO:{ORDER}")["Status"] == "ORDERED"

    pair.put("GrnDetails", *receipts)
    second = pair.run(day(24))
    assert outcomes(second, Kind.RECEIPT) == {"created": 1}
    assert outcomes(second, Kind.PURCHASE_ORDER) == {"unchanged": 1}
    (received,) = [
        g for g in pair.purchases()[0]["StockReceived"] if g["Status"] == "AUTHORISED"
    ]
    assert received["Lines"][0]["Date"][:10] == str(day(24))

    pair.put("GrnMatching", *matches)
    pair.put("ApInvoice", pair.row("ApInvoice"))
    pair.put("ApPosting", *pair.rows("ApPosting"))
    third = pair.run(day(26))
    assert outcomes(third, Kind.INVOICE) == {"created": 1}
    assert pair.purchases()[0]["Status"] == "COMPLETED"
    assert pair.run(day(24), day(26)).cin7_writes == 0


def test_an_order_without_a_date_is_held_with_all_that_hangs_on_it(start: Start) -> None:
    pair = start(companies.one_order(ordered=None))
    first = pair.run(DAY)
    assert reasons(first) == {
        ORDER: "undated",
        f"{ORDER}|{ORDER}/1": "order_held",
        f"{KEY}|INV-PO": "order_held",
    }
    assert pair.purchases() == []

    pair.put("PorMasterHdr", pair.row("PorMasterHdr") | {"OrderEntryDate": DAY})
    second = pair.run(DAY)
    assert second.exit_code == 0
    assert _numbers(pair) == ["INV-PO"]
    assert Kind.PURCHASE_ORDER not in {row["kind"] for row in second.stopped}


def test_an_order_without_a_date_and_without_movements_is_still_listed(start: Start) -> None:
    whole = companies.one_order(ordered=None)
    pair = start(replace(whole, receipts=(), invoices=(), gl_distributions=()), start_date=DAY)
    summary = pair.run(day(9))
    assert reasons(summary) == {ORDER: "undated"}
    assert summary.kinds[Kind.PURCHASE_ORDER].money == {"GBP": Decimal(60)}


def test_an_invoice_from_before_the_start_is_excluded_with_its_money(start: Start) -> None:
    pair = start(companies.one_invoice(posted=day(3)), start_date=day(2))
    summary = pair.run(day(2), day(3))
    assert outcomes(summary, Kind.INVOICE) == {"excluded": 1}
    assert summary.kinds[Kind.INVOICE].money == {"GBP": Decimal(180)}
    assert summary.exit_code == 0
    assert pair.purchases() == []
    said = pair.metadata("plan", "invoices")
    assert said["excluded"] == 1


def test_a_credit_follows_the_invoice_that_it_names(start: Start) -> None:
    pair = start(companies.six_documents())
    late = [r for r in pair.rows("ApPosting") if r["Invoice"] == "INV-2"]
    pair.remove("ApPosting", *map(_posting_key, late))
    first = pair.run(DAY)
    assert reasons(first) == {
        f"{KEY}|INV-2": "postings_incomplete",
        f"{KEY}|CN-2": "credited_invoice_missing",
    }
    pair.put("ApPosting", *late)
    second = pair.run(DAY)
    assert second.stopped == []
    assert _numbers(pair) == ["CN-2", "INV-2", "INV-PO"]
    pair.assert_clean()
