"""A generated company: every document accounted for, every cent where SYSPRO posted it.

What is expected is worked out here, from SYSPRO's tables and the mapping files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from mlc_pipeline.cycle import Summary
from mlc_pipeline.sandbox.company import DEFAULT_END, Company, generate, slice_company
from mlc_pipeline.sync.vocabulary import REASONS, Kind, Outcome
from mlc_pipeline_tests.contract.openapi import validate_request
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import (
    Pair,
    counted,
    marker_of,
    outcomes,
    read_csv,
    reasons,
)

pytestmark = pytest.mark.e2e

FIRST, LAST = DEFAULT_END - timedelta(days=20), DEFAULT_END
CENT = Decimal("0.01")


def _company(seed: int) -> Company:
    return slice_company(generate(seed, 60), FIRST, LAST)


def _in_window(day: date | None) -> bool:
    return day is not None and FIRST <= day <= LAST


def _considered_invoices(pair: Pair) -> list[dict[str, Any]]:
    """Return the invoices that are dated, posted or matched in the window."""
    moved = {
        (row["Supplier"], row["Invoice"])
        for table, column in (("ApPosting", "PostDate"), ("GrnMatching", "MatchedDate"))
        for row in pair.tables[table]
        if _in_window(row[column])
    }
    return [
        row
        for row in pair.tables["ApInvoice"]
        if _in_window(row["InvoiceDate"]) or (row["Supplier"], row["Invoice"]) in moved
    ]


def _considered_receipts(pair: Pair) -> list[dict[str, Any]]:
    """Return the receipt lines of the window, and those that its invoices are matched to."""
    invoices = {(r["Supplier"], r["Invoice"]) for r in _considered_invoices(pair)}
    matched = {
        (r["Supplier"], r["Grn"])
        for r in pair.tables["GrnMatching"]
        if (r["Supplier"], r["Invoice"]) in invoices
    }
    return [
        r
        for r in pair.tables["GrnDetails"]
        if _in_window(r["OrigReceiptDate"]) or (r["Supplier"], r["Grn"]) in matched
    ]


def _order_value(pair: Pair, order: dict[str, Any]) -> Decimal:
    """Return what an order is worth in its currency, each line to the cent."""
    suffix = "" if order["Currency"] == "GBP" else "Foreign"
    total = Decimal(0)
    for line in pair.rows("PorMasterDetail", PurchaseOrder=order["PurchaseOrder"]):
        if line["LineType"] in ("4", "5"):
            total += line["NMscChargeFor" if suffix else "NMscChargeValue"]
        else:
            price = line["MForeignPrice" if suffix else "MPrice"]
            value = line["MOrderQty"] * price * (100 - line["MDiscPct1"]) / 100
            total += value.quantize(CENT, ROUND_HALF_UP)
    return total


def _money(rows: list[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Return totals per currency, those of nothing left out."""
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for currency, amount in rows:
        totals[currency] += amount
    return {currency: amount for currency, amount in totals.items() if amount}


def _assert_all_accounted_for(pair: Pair, summary: Summary) -> None:
    """Hold that each kind's outcomes are the documents of SYSPRO, by count and by money."""
    invoices = _considered_invoices(pair)
    ours = [summary.kinds[k] for k in (Kind.INVOICE, Kind.CREDIT_NOTE) if k in summary.kinds]
    assert sum(kind.read for kind in ours) == len(invoices)
    told = _money([pair for kind in ours for pair in kind.money.items()])
    assert told == _money([(row["Currency"], row["OrigInvValue"]) for row in invoices])

    orders = summary.kinds[Kind.PURCHASE_ORDER]
    assert orders.read == len(pair.tables["PorMasterHdr"])
    assert orders.money == _money(
        [(row["Currency"], _order_value(pair, row)) for row in pair.tables["PorMasterHdr"]]
    )

    receipts = _considered_receipts(pair)
    told_receipts = summary.kinds[Kind.RECEIPT]
    assert told_receipts.read == len({(r["PurchaseOrder"], r["Grn"]) for r in receipts})
    assert told_receipts.money == _money([("GBP", r["OrigGrnValue"]) for r in receipts])

    used = {row["Supplier"] for row in (*invoices, *pair.tables["PorMasterHdr"])}
    assert summary.kinds[Kind.SUPPLIER].read == len(used)
    assert Kind.POSTING not in summary.kinds


def _assert_reasons_are_known(summary: Summary) -> None:
    for row in summary.stopped:
        assert REASONS[row["reason_code"]].verdict == row["outcome"]
        assert row["reason"]
    assert counted(summary, Outcome.FAILED) == 0


def _expected_balances(pair: Pair) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Return what the accounts must hold, and how far rounding may move each.

    The postings of every document that is in Cin7, mapped by gl_accounts.csv. Cin7 converts
    each line of a foreign document by itself.
    """
    booked = pair.booked()
    mapped = {r["syspro_code"]: r["cin7_account"] for r in read_csv(pair.folder, "gl_accounts")}
    currency = {(r["Supplier"], r["Invoice"]): r["Currency"] for r in pair.tables["ApInvoice"]}
    balances: defaultdict[str, Decimal] = defaultdict(Decimal)
    slack: defaultdict[str, Decimal] = defaultdict(Decimal)
    for posting in pair.tables["ApPosting"]:
        key = (posting["Supplier"], posting["Invoice"])
        if key not in booked:
            continue
        account = mapped[posting["ExpenseGlCode"].split(".")[1]]
        balances[account] += posting["DistrValue"]
        balances["800"] -= posting["DistrValue"]
        if currency[key] != "GBP":
            slack[account] += 2 * CENT
            slack["800"] += 2 * CENT
    return dict(balances), slack


def _assert_every_cent(pair: Pair) -> None:
    expected, slack = _expected_balances(pair)
    found = pair.summary()["accounts"]
    assert set(found) == set(expected)
    wrong = {
        account: (amount, found[account])
        for account, amount in expected.items()
        if abs(amount - found[account]) > slack[account]
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("seed", "flaws"),
    [
        (3, {"undated", "order_held", "unmapped_account"}),
        (4, {"missing_product", "postings_incomplete"}),
    ],
)
def test_every_document_and_every_cent_is_accounted_for_and_a_rerun_writes_nothing(
    start: Start, seed: int, flaws: set[str]
) -> None:
    pair = start(_company(seed))
    first = pair.run(FIRST, LAST)
    assert first.succeeded
    assert first.different == 0
    assert set(reasons(first).values()) == flaws
    _assert_all_accounted_for(pair, first)
    _assert_reasons_are_known(first)
    pair.assert_clean()
    _assert_every_cent(pair)
    in_cin7 = sum(kind.get("created", 0) for kind in _documents(first))
    assert len(pair.booked()) == in_cin7

    pair.forget_traffic()
    second = pair.run(FIRST, LAST)
    assert pair.writes() == {}
    assert counted(second, Outcome.CREATED, Outcome.UPDATED, Outcome.ADOPTED) == 0
    assert reasons(second) == reasons(first)
    _assert_all_accounted_for(pair, second)


def _documents(summary: Summary) -> list[dict[str, int]]:
    return [outcomes(summary, kind) for kind in (Kind.INVOICE, Kind.CREDIT_NOTE)]


def test_every_call_keeps_the_contract_and_none_is_wasted(start: Start) -> None:
    pair = start(_company(3))
    summary = pair.run(FIRST, LAST)
    calls, writes, reads = pair.traffic(), pair.writes(), pair.reads()
    for call in calls:
        assert call["status"] == 200
        assert call["ignored"] == [], call["path"]
        if call["method"] != "GET":
            validate_request(call["method"], call["path"], call["body"])
    assert summary.cin7_calls == len(calls)
    assert summary.cin7_writes == writes.total()
    # The suppliers once more, after the writes, to hold the ledger against them.
    assert {path: count for path, count in reads.items() if count != 1} == {"/supplier": 2}

    made = {kind: outcomes(summary, kind).get("created", 0) for kind in Kind}
    alone = sum(1 for purchase in pair.purchases() if ":AP:" in marker_of(purchase))
    assert writes == {
        "supplier": made[Kind.SUPPLIER],
        "header": made[Kind.PURCHASE_ORDER] + alone,
        "order": made[Kind.PURCHASE_ORDER] + alone,
        "receipt": made[Kind.RECEIPT],
        "invoice": made[Kind.INVOICE],
        "credit note": made[Kind.CREDIT_NOTE],
    }
    assert 0 < alone < made[Kind.INVOICE]


def test_suppliers_that_cin7_knows_are_linked_and_not_made_again(start: Start) -> None:
    pair = start(_company(3))
    known = {supplier["ID"] for supplier in pair.suppliers()}
    assert known
    summary = pair.run(FIRST, LAST)
    adopted = outcomes(summary, Kind.SUPPLIER)["adopted"]
    assert adopted >= 3
    used = {purchase["SupplierID"] for purchase in pair.purchases()}
    assert len(used & known) >= adopted - 1
    names = Counter(s["Name"].casefold() for s in pair.suppliers())
    assert set(names.values()) == {1}


@pytest.mark.proof
def test_the_order_in_which_days_are_run_makes_no_difference(start: Start) -> None:
    company = _company(4)
    at_once, in_parts = start(company, name="at_once"), start(company, name="in_parts")
    at_once.run(FIRST, LAST)
    weeks = [(FIRST + timedelta(days=n), FIRST + timedelta(days=n + 6)) for n in (0, 7, 14)]
    for first, last in reversed(weeks):
        summary = in_parts.run(first, last)
        assert summary.succeeded
        _assert_reasons_are_known(summary)
    in_parts.assert_clean()
    assert in_parts.totals() == at_once.totals()
