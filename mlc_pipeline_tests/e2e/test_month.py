"""A month, day by day, with a clock that the test moves: all that happens to a company.

New, changed, back-dated, cancelled and deleted documents, a mapping gap that is closed on
the twelfth day, both systems down for a day, a process killed, a sensor off for three
days. At the end both ledgers agree, nothing is there twice, and the runs asked for are
the days concerned and no others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mlc_pipeline.sandbox.company.model import Company
from mlc_pipeline.sync.vocabulary import Outcome
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.children import LONGEST_SECONDS, cycle_in_a_child
from mlc_pipeline_tests.e2e.companies import DAY, ORDER, day, invoice, postings
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.daemon import Daemon
from mlc_pipeline_tests.e2e.gate import Gate, open_gate
from mlc_pipeline_tests.e2e.pair import Pair, Rows, marker_of, read_csv

pytestmark = [pytest.mark.e2e, pytest.mark.proof]

logger = logging.getLogger(__name__)

LAST = 29
LOOK_BACK = 2
CANCELLED, DELETED = "020002", "020003"

# The days on which something happens, counted from Monday, 2 March.
GAPS = (1, 7)
MAPPED, DOWN, KILLED, BACK_DATED = 11, 16, 18, 21
SENSOR_OFF, SENSOR_ON = 22, 25
CHANGED, RESTORED = 22, 28
"""The late-and-changed sensor is off from one to the other, when three documents change."""

QUIET_CALLS = 12
"""The most a cycle asks Cin7 when nothing changed, however many documents there are."""


def _weekdays() -> Iterator[int]:
    return (n for n in range(LAST + 1) if day(n).weekday() < 5)


def _has_cycle(n: int) -> bool:
    """Tell whether a day is a Monday, Wednesday or Friday: the other days are caught up."""
    return day(n).weekday() in (0, 2, 4)


def _number(n: int) -> str:
    return f"INV-{n:02d}"


def _month() -> Company:
    """Return an invoice each weekday, one that is back-dated, and three orders."""
    ordered = companies.one_order(ordered=day(3), received=day(8), billed=day(9))
    invoices, distributions = list(ordered.invoices), list(ordered.gl_distributions)
    dated = [(n, _number(n)) for n in _weekdays()] + [(4, "INV-BACK")]
    for place, (n, number) in enumerate(dated):
        made = replace(
            invoice(number, f"{10 + n}.00", document_no=f"7{place:03d}"),
            invoice_date=day(n),
            due=day(n + 14),
        )
        account = "7990" if n in GAPS else "7010"
        invoices.append(made)
        distributions += postings(made, {f"110.{account}": str(made.net)})
    (order,), (line,) = ordered.purchase_orders, ordered.po_lines
    others = ((CANCELLED, 10), (DELETED, 11))
    return replace(
        ordered,
        purchase_orders=(
            order,
            *(replace(order, purchase_order=o, order_date=day(n)) for o, n in others),
        ),
        po_lines=(line, *(replace(line, purchase_order=o) for o, _ in others)),
        invoices=tuple(invoices),
        gl_distributions=tuple(distributions),
    )


ENTERED = {
    "PorMasterHdr": ("OrderEntryDate", ("PurchaseOrder",)),
    "GrnDetails": (
        "OrigReceiptDate",
        ("Supplier", "Grn", "GrnSource", "Journal", "JournalEntry"),
    ),
    "GrnMatching": ("MatchedDate", ("Supplier", "Grn", "Invoice", "Journal", "EntryNumber")),
    "ApInvoice": ("InvoiceDate", ("Supplier", "Invoice")),
    "ApPosting": ("PostDate", ("TrnYear", "TrnMonth", "Journal", "EntryNumber", "SubEntry")),
}
"""The tables that fill day by day: the date of a row, and its key."""


class Month:
    """The company's people, who enter documents as the days go by."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self._by_day: dict[date, list[tuple[str, dict[str, Any]]]] = {}
        for table, (dated, key) in ENTERED.items():
            rows: Rows = pair.rows(table)
            pair.remove(table, *[[row[name] for name in key] for row in rows])
            for row in rows:
                is_late = row.get("Invoice") == "INV-BACK"
                entered = day(BACK_DATED) if is_late else _as_date(row[dated])
                self._by_day.setdefault(entered, []).append((table, row))

    def enter(self, n: int) -> None:
        """Do what is done in both systems on a day."""
        for table, row in self._by_day.get(day(n), ()):
            self.pair.put(table, row)
        if n == MAPPED:
            books = read_csv(self.pair.folder, "gl_accounts")
            (known,) = [row for row in books if row["syspro_code"] == "7010"]
            self.pair.map_account("7990", known["cin7_account"])
        first = self.pair.row("ApInvoice", Invoice=_number(3))
        if n == CHANGED:
            self.pair.put("ApInvoice", first | {"DueDate": day(40)})
        if n == CHANGED + 1:
            header = self.pair.row("PorMasterHdr", PurchaseOrder=CANCELLED)
            self.pair.put("PorMasterHdr", header | {"OrderStatus": "*", "CancelledFlag": "Y"})
        if n == CHANGED + 2:
            self.pair.remove("PorMasterHdr", [DELETED])
            self.pair.remove("PorMasterDetail", [DELETED, 1])
        if n == RESTORED:
            self.pair.put("ApInvoice", first)

    def fail(self) -> None:
        """Take both systems down."""
        self.pair.syspro.control("faults", {"path": "/", "kind": "html", "times": 10**6})
        self.pair.fault("html_200", times=10**6)

    def mend(self) -> None:
        """Bring both back."""
        self.pair.syspro.control("faults", method="DELETE")
        self.pair.cin7.control("faults", method="DELETE")


def _as_date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])


def _kill_the_cycle(pair: Pair, gate: Gate, n: int) -> None:
    """Kill a run after its second write was carried out and before it is told so."""
    with cycle_in_a_child(pair, day(n - LOOK_BACK), day(n)) as child:
        gate.kill_at(gate.seen + 2, "unanswered", child.kill)
        assert gate.reached.wait(LONGEST_SECONDS)


def _at(n: int, hour: int = 8, minute: int = 0) -> datetime:
    return datetime(2026, 3, 2, hour, minute, tzinfo=UTC) + timedelta(days=n)


def _live(month: Month, daemon: Daemon, gate: Gate, n: int) -> None:
    """Let a weekday pass."""
    month.enter(n)
    if n == DOWN:
        month.fail()
    daemon.off = {"late_and_changed"} if SENSOR_OFF <= n < SENSOR_ON else set()
    daemon.moment = _at(n, 5, 40)
    daemon.schedule("watch")
    daemon.sensor("late_and_changed")
    daemon.sensor("held_resolved")
    daemon.moment = _at(n)
    if n == KILLED:
        _kill_the_cycle(month.pair, gate, n)
        daemon.moment = _at(n, 8, 30)
    if _has_cycle(n):
        daemon.schedule("cycle")
    for minute in (0, 5, 20) if n == DOWN else (0,):
        daemon.moment = _at(n, 9, minute)
        daemon.sensor("retry_failed")
    if n == DOWN:
        month.mend()


def _calls(pair: Pair) -> dict[str, int]:
    syspro = pair.syspro.control("traffic")
    return {"SYSPRO": len(syspro), "Cin7": len(pair.traffic())}


def _asked(daemon: Daemon, trigger: str) -> list[tuple[int, int]]:
    return [
        ((ran.days[0] - DAY).days, (ran.days[1] - DAY).days)
        for ran in daemon.ran
        if ran.trigger == trigger and ran.days
    ]


def _cycles() -> list[tuple[int, int]]:
    """Return the days of each cycle: the look-back before the day after the one before."""
    found, done = [], None
    for n in filter(_has_cycle, _weekdays()):
        due = n if done is None else done + 1
        if n == KILLED:
            due = n - LOOK_BACK  # the killed run had begun these days
        found.append((max(0, due - LOOK_BACK), n))
        done = n  # the day on which both were down is brought by a retry
    return found


def test_a_month_ends_with_both_ledgers_equal_and_no_run_too_many(start: Start) -> None:
    pair = start(
        _month(),
        name="month",
        schedule={"look_back_days": LOOK_BACK, "cron": "0 8 * * 1,3,5"},
        start_date=DAY,
    )
    with open_gate(pair.cin7.address) as gate, pair.dagster() as instance:
        pair.configure(
            cin7={"base_url": f"{gate.url}/ExternalApi/v2"},
            schedule={"look_back_days": LOOK_BACK, "cron": "0 8 * * 1,3,5"},
            start_date=DAY,
        )
        month, daemon = Month(pair), Daemon(pair, instance)
        for n in _weekdays():
            _live(month, daemon, gate, n)
        assert _asked(daemon, "cycle") == _cycles()
        assert _asked(daemon, "resolved") == [(n, n) for n in GAPS]
        # Two days since the cycle before, and the look-back; the third is the next morning.
        assert _asked(daemon, "retry") == [(DOWN - 1 - LOOK_BACK, DOWN)] * 3
        assert _asked(daemon, "late") == [
            (4, 4),  # back-dated
            (3, 3),  # changed, and
            (10, 11),  # cancelled and deleted while the sensor was off
            (3, 3),  # changed back
        ]
        failed = [ran for ran in daemon.ran if not ran.succeeded]
        assert {ran.trigger for ran in failed} == {"watch", "cycle", "retry"}
        assert len(failed) == 4, "what failed is of the day on which both were down"

        # The cycle of the morning after brings the last day.
        daemon.moment = _at(LAST + 1)
        assert [ran.succeeded for ran in daemon.schedule("cycle")] == [True]
        calls = _calls(pair)
        # A quiet cycle: nothing changed, so nothing is written.
        pair.forget_traffic()
        daemon.moment = _at(LAST + 2)
        (quiet,) = daemon.schedule("cycle")
        assert quiet.succeeded
        assert pair.writes() == {}
        quiet_calls = _calls(pair)
        assert quiet_calls["Cin7"] <= QUIET_CALLS

        last = pair.run(DAY, day(LAST))
    logger.info("%d runs, %s; in a quiet cycle %s", len(daemon.ran), calls, quiet_calls)
    assert last.cin7_writes == 0
    assert last.different == 0
    posted = sum((Decimal(row["DistrValue"]) for row in pair.rows("ApPosting")), Decimal(0))
    assert last.posted == last.in_cin7 == posted
    assert last.count(Outcome.FAILED, Outcome.WAITING) == 0
    assert [row["reason_code"] for row in last.stopped] == ["vanished_in_syspro"]
    numbers = {number for _, number in pair.booked()}
    assert numbers == {*map(_number, _weekdays()), "INV-BACK", "INV-PO"}
    by_order = {marker_of(p).rpartition(":")[2]: p["Status"] for p in pair.purchases()}
    assert by_order[CANCELLED] == "VOIDED"
    assert by_order[ORDER] == "COMPLETED"
    pair.assert_clean()
