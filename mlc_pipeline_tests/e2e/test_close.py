"""Closing a period: a clean one is ready; every defect is named to its document and cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from typer.testing import CliRunner

from mlc_pipeline.cli import app
from mlc_pipeline.closing import Closed, close_period
from mlc_pipeline.database import engine
from mlc_pipeline.sandbox.cin7.wire import decode, encode
from mlc_pipeline.sandbox.company.model import Company, Invoice, Supplier
from mlc_pipeline.staging.operations import read_days
from mlc_pipeline.sync.booked import by_account
from mlc_pipeline.sync.causes import Cause
from mlc_pipeline.sync.period import Period
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY, day, invoice, postings
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import Pair, marker_of, reasons

pytestmark = pytest.mark.e2e

LAST = day(3)
PERIOD = Period.parse(f"{DAY}..{LAST}")
AFTERWARDS = datetime(2026, 5, 4, 9, tzinfo=UTC)
FOREIGN = Supplier(
    supplier_id="100300",
    name="Tremaux <img src=x onerror=alert(1)> & Fils",
    currency="EUR",
    tax_code="S20",
)
DEFECTS = (
    "DELETED",
    "VOIDED",
    "ACCOUNT",
    "TWICE",
    "CENT",
    "DROPPED",
    "CENTRE",
    "DATE",
    "EDITED",
    "TAX",
)


def _busy_days() -> Company:
    """A document for each defect, two lines each, a foreign one, and one that stays clean."""
    made: list[tuple[Invoice, dict[str, str]]] = []
    for number, name in enumerate((*DEFECTS, "CLEAN")):
        bill = invoice(
            f"INV-{name}", "150.00", document_no=f"60{number:02}", invoice_date=day(number % 4)
        )
        made.append((bill, {"110.7010": "100.25", "120.7310": "49.75"}))
    foreign = replace(
        invoice("INV-RATE", "100.00", document_no="6100"),
        supplier_id=FOREIGN.supplier_id,
        currency="EUR",
        exchange_rate=Decimal("0.85"),
        mul_div="M",
    )
    made.append((foreign, {"110.7010": "100.00"}))
    return companies.company(
        suppliers=(companies.SUPPLIER, FOREIGN),
        invoices=tuple(bill for bill, _ in made),
        gl_distributions=tuple(p for bill, shares in made for p in postings(bill, shares)),
    )


def _close(pair: Pair, *, full: bool = False, record: bool = False) -> Closed:
    return close_period(
        pair.connection,
        pair.folder,
        PERIOD,
        full=full,
        record=record,
        environ=pair.environ,
        now=AFTERWARDS,
    )


def _purchases(pair: Pair) -> dict[str, dict[str, Any]]:
    """Return the purchases by the number of their invoice."""
    return {marker_of(p).rpartition(":")[2]: p for p in pair.purchases()}


def _copy(pair: Pair, purchase: dict[str, Any]) -> None:
    """Enter a purchase a second time, as a person would."""

    def post(path: str, body: dict[str, Any]) -> Any:
        answer = pair.cin7.client.post(
            f"{pair.cin7.base_url}/{path}", content=encode(body), headers=pair.cin7.headers()
        )
        assert answer.status_code == 200, answer.text
        return decode(answer.content)

    header = {
        name: purchase[name]
        for name in ("SupplierID", "Approach", "TaxRule", "Terms", "Location", "IsServiceOnly")
    }
    made = post("advanced-purchase", {**header, "TaxCalculation": "Exclusive"})
    invoiced = purchase["Invoice"][0]
    charges = {"Lines": [], "AdditionalCharges": invoiced["AdditionalCharges"]}
    post(
        "purchase/order",
        {
            **charges,
            "TaskID": made["ID"],
            "Status": "AUTHORISED",
            "CombineAdditionalCharges": False,
            "Memo": "",
        },
    )
    post(
        "advanced-purchase/invoice",
        {
            **charges,
            "PurchaseID": made["ID"],
            "TaskID": made["Invoice"][0]["TaskID"],
            "CombineAdditionalCharges": False,
            "Status": "AUTHORISED",
            **{n: invoiced[n] for n in ("InvoiceNumber", "InvoiceDate", "InvoiceDueDate")},
        },
    )


def _expense_accounts(pair: Pair) -> list[str]:
    listed = pair.get("ref/account", Limit=1000)["AccountsList"]
    return [a["Code"] for a in listed if a["Class"] == "EXPENSE" and a["Status"] == "ACTIVE"]


def _plant(pair: Pair) -> None:
    """Do ten and more things in Cin7 that nobody should."""
    found = _purchases(pair)
    accounts = {c["Account"] for c in found["INV-CLEAN"]["Invoice"][0]["AdditionalCharges"]}

    def edit(name: str, change: dict[str, Any]) -> None:
        body = {"purchase": found[f"INV-{name}"]["ID"], "set": change}
        pair.cin7.control("edit", body)

    def charges(name: str, work: Callable[[list[dict[str, Any]]], None]) -> None:
        items = [dict(c) for c in found[f"INV-{name}"]["Invoice"][0]["AdditionalCharges"]]
        work(items)
        edit(name, {"Invoice.0.AdditionalCharges": items})

    def cent(items: list[dict[str, Any]]) -> None:
        for item, step in zip(items, (Decimal("0.01"), Decimal("-0.01")), strict=True):
            item["Price"] += step
            item["Total"] += step

    def dearer(items: list[dict[str, Any]]) -> None:
        items[0]["Price"] = items[0]["Total"] = Decimal("1000.25")

    pair.cin7.control("edit", {"purchase": found["INV-DELETED"]["ID"], "delete": True})
    edit("VOIDED", {"Invoice.0.Status": "VOIDED"})
    other = min(a for a in _expense_accounts(pair) if a not in accounts)
    charges("ACCOUNT", lambda items: items[0].update(Account=other))
    _copy(pair, found["INV-TWICE"])
    charges("CENT", cent)
    charges("DROPPED", lambda items: items.pop())
    charges("CENTRE", lambda items: items[0].update(Reference="999"))
    edit("DATE", {"Invoice.0.InvoiceDate": "2026-04-20T00:00:00"})
    charges("EDITED", dearer)
    charges("TAX", lambda items: items[0].update(Tax=Decimal("1.00")))
    rate = Decimal("0.95")
    edit("RATE", {"CurrencyRate": rate, "Invoice.0.CurrencyRate": rate})
    journal = {"debit": min(accounts), "credit": other, "amount": 77, "date": str(day(1))}
    pair.cin7.control("journal", {**journal, "reference": "JE-1"})


EXPECTED = {
    f"{KEY}|INV-DELETED": {Cause.DELETED},
    f"{KEY}|INV-VOIDED": {Cause.VOIDED},
    f"{KEY}|INV-ACCOUNT": {Cause.ACCOUNT},
    f"{KEY}|INV-TWICE": {Cause.DUPLICATED},
    f"{KEY}|INV-CENT": {Cause.AMOUNT},
    f"{KEY}|INV-DROPPED": {Cause.LINE_DROPPED},
    f"{KEY}|INV-CENTRE": {Cause.COST_CENTRE},
    f"{KEY}|INV-DATE": {Cause.DATE},
    f"{KEY}|INV-EDITED": {Cause.AMOUNT},
    f"{KEY}|INV-TAX": {Cause.TAX},
    "000000000100300|INV-RATE": {Cause.RATE},
    "journal JE-1": {Cause.JOURNAL},
}


def _ledger(pair: Pair) -> dict[str, Decimal]:
    """Return what Cin7's ledger says of the days, without accounts payable."""
    sums: dict[str, Decimal] = {}
    for row in pair.get("transactions", Limit=1000)["Transactions"]:
        if str(DAY) <= row["EffectiveDate"][:10] <= str(LAST):
            for side, sign in (("DebitAccountCode", 1), ("CreditAccountCode", -1)):
                sums[row[side]] = sums.get(row[side], Decimal(0)) + sign * row["Amount"]
    return {account: amount for account, amount in sums.items() if amount and account != "800"}


def _named(closed: Closed) -> dict[str, set[Cause]]:
    found: dict[str, set[Cause]] = {}
    for difference in closed.closing.tie_out.blocking():
        found.setdefault(difference.document, set()).add(difference.cause)
    return found


def test_a_clean_period_is_ready_and_every_defect_is_named_to_its_document(
    start: Start,
) -> None:
    pair = start(_busy_days())
    assert pair.run(DAY, LAST).exit_code == 0

    pair.forget_traffic()
    clean = _close(pair)
    assert (clean.closing.reasons, clean.exit_code) == ([], 0)
    assert clean.closing.tie_out.unexplained() == {}
    assert pair.reads() == {"/transactions": 1, "/purchaselist": 1}
    assert pair.writes() == {}

    _plant(pair)
    pair.forget_traffic()
    found = _close(pair)
    assert found.exit_code == 3
    assert _named(found) == EXPECTED
    assert found.closing.tie_out.unexplained() == {}
    # What is named adds up to Cin7's own ledger of the days, account by account.
    assert by_account(found.closing.tie_out.cin7) == _ledger(pair)
    # Nothing was read that did not look otherwise: not the clean one.
    clean_id = _purchases(pair)["INV-CLEAN"]["ID"]
    assert clean_id not in found.closing.read
    assert pair.writes() == {}

    page = found.page.read_text(encoding="utf-8")
    assert all(name.rpartition("|")[2] in page for name in EXPECTED)
    assert "<img" not in page
    assert "&lt;img src=x" in page
    assert not re.search(r"""(src|href)=["']?https?://(?!inventory\.dearsystems\.com)""", page)
    differences = (found.page.parent / "differences.csv").read_text(encoding="utf-8-sig")
    assert differences.count("\n") == len(found.closing.tie_out.differences) + 1

    ours = {p["ID"] for name, p in _purchases(pair).items() if name}
    assert set(_close(pair, full=True).closing.read) == ours | set(found.closing.read)

    # The daily tie-out sees what moved money, and names it too.
    assert pair.run(DAY, LAST).exit_code == 1
    check = pair.check("tie_out", "ap", "agrees_to_the_cent")
    assert not check.passed
    explained = check.metadata["explained"].value.records
    named = {row.data["document"] for row in explained}
    assert named == {n for n in EXPECTED if n not in ("journal JE-1", f"{KEY}|INV-CENTRE")} - {
        f"{KEY}|INV-TWICE"
    }


def _late(number: str, dated: date, posted: date) -> Company:
    bill = invoice(number, "150.00", document_no="7001", invoice_date=dated)
    shares = {"110.7010": "100.25", "120.7310": "49.75"}
    return companies.company(invoices=(bill,), gl_distributions=postings(bill, shares, posted))


def test_what_comes_into_a_closed_period_is_found_and_held_until_policy_or_person_say_so(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = start(companies.one_invoice())
    pair.run(DAY, LAST)
    closed = _close(pair, record=True)
    assert (closed.exit_code, closed.is_recorded) == (0, True)
    assert _close(pair).exit_code == 0

    late = start(_late("INV-LATE", day(1), day(1)), name="late")
    for table in ("ApInvoice", "ApPosting"):
        pair.put(table, *late.rows(table))
    assert reasons(pair.run(DAY, LAST)) == {f"{KEY}|INV-LATE": "closed_period"}
    assert set(pair.booked()) == {(KEY, "INV-1")}
    changed = _close(pair)
    assert changed.exit_code == 3
    assert [(c.document, c.what, c.day) for c in changed.closing.changed] == [
        (f"{KEY}|INV-LATE", "appeared", day(1))
    ]
    assert "changed in SYSPRO since the period was closed" in changed.closing.reasons[-1]

    pair.configure(policies={"closed_period": "post"})
    assert pair.run(DAY, LAST).stopped == []
    assert (KEY, "INV-LATE") in pair.booked()

    monkeypatch.setenv("MLC_CONNECTIONS_DIR", str(pair.folder.parent))
    for name, value in pair.environ.items():
        monkeypatch.setenv(name, value)
    runner, words = CliRunner(), ["close", pair.name, PERIOD.name]
    assert runner.invoke(app, words).exit_code == 3
    assert runner.invoke(app, [*words, "--reopen"]).exit_code == 0
    ready = runner.invoke(app, [*words, "--record"])
    assert ready.exit_code == 0, ready.output
    assert "ready to close" in ready.output
    assert runner.invoke(app, ["close", pair.name, "October"]).exit_code == 2

    row = late.row("ApInvoice")
    pair.remove("ApInvoice", [row["Supplier"], row["Invoice"]])
    pair.run(DAY, LAST)
    gone = _close(pair)
    assert {c.what for c in gone.closing.changed} == {"changed"}
    assert {d.cause for d in gone.closing.tie_out.blocking()} == {Cause.VANISHED_IN_SYSPRO}


def test_a_day_that_was_read_before_it_ended_keeps_its_period_open(start: Start) -> None:
    pair = start(companies.one_invoice())
    pair.run(DAY, LAST)
    noon = datetime(LAST.year, LAST.month, LAST.day, 12, tzinfo=UTC)
    with engine(pair.environ).begin() as connection:
        connection.execute(
            read_days.update()
            .where(read_days.c.day == LAST, read_days.c.connection == pair.name)
            .values(read_at=noon)
        )
    early = _close(pair, record=True)
    assert (early.exit_code, early.is_recorded) == (3, False)
    assert (early.closing.unread, early.closing.as_of) == ([LAST], noon)
    assert f"--from {LAST} --to {LAST}" in early.closing.reasons[0]

    pair.run(LAST, LAST)
    assert _close(pair).exit_code == 0


def test_a_posting_of_another_period_is_explained_and_not_to_look_at(start: Start) -> None:
    pair = start(_late("INV-1", DAY, day(6)))
    pair.run(DAY, day(6))
    here = _close(pair)
    assert here.closing.reasons == []
    assert here.closing.tie_out.by_cause() == {Cause.POSTED_LATER: Decimal(180)}
    there = close_period(
        pair.connection,
        pair.folder,
        Period.parse(f"{day(4)}..{day(6)}"),
        environ=pair.environ,
        now=AFTERWARDS,
    )
    assert there.closing.reasons == []
    assert there.closing.tie_out.by_cause() == {Cause.POSTED_LATER: Decimal(-180)}
    assert there.closing.tie_out.cin7 == {}
