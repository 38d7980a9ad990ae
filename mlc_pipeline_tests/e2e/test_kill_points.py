"""A run killed at any moment: the next one finishes its work, nothing is lost or doubled."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, time

import dagster as dg
import pytest

from mlc_pipeline.assets.common import Site
from mlc_pipeline.cycle import Summary
from mlc_pipeline.definitions import build_definitions
from mlc_pipeline.sync.vocabulary import Outcome
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.children import LONGEST_SECONDS, cycle_in_a_child
from mlc_pipeline_tests.e2e.companies import DAY
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.gate import Gate, Moment, open_gate
from mlc_pipeline_tests.e2e.pair import Pair, counted

pytestmark = pytest.mark.e2e

WRITES = 9
"""Calls that write, of an undisturbed run: supplier, two headers, two orders, a receipt, two
invoices, a credit note."""

MOMENTS: tuple[Moment, ...] = ("before", "unanswered", "answered")


def _kill_a_run(pair: Pair, gate: Gate, number: int, moment: Moment) -> None:
    with cycle_in_a_child(pair, DAY) as child:
        gate.kill_at(number, moment, child.kill)
        assert gate.reached.wait(LONGEST_SECONDS), f"call {number} never came"
        assert child.process.exitcode == -signal.SIGKILL


def _run(pair: Pair) -> Summary:
    """Run the next cycle, in a process of its own as it would be."""
    with cycle_in_a_child(pair, DAY) as child:
        return child.result()


def _assert_whole(pair: Pair, last: Summary) -> None:
    """Hold that Cin7 has exactly what an undisturbed run leaves there."""
    assert counted(last, Outcome.FAILED, Outcome.HELD, Outcome.WAITING) == 0, last.stopped
    assert last.problems == []
    pair.assert_clean()
    summary = pair.summary()
    assert summary["suppliers"] == 1
    assert summary["purchases"]["by_status"] == {"COMPLETED": 1, "CREDITED": 1}
    assert summary["invoices"]["by_status"] == {"AUTHORISED": 2}
    assert summary["credit_notes"]["by_status"] == {"AUTHORISED": 1}
    assert {number: part["Total"] for (_, number), part in pair.booked().items()} == {
        "INV-PO": 72,
        "INV-2": 180,
        "CN-2": 60,
    }
    receipts = [g for p in pair.purchases() for g in p["StockReceived"] if g["Lines"]]
    assert [[line["Quantity"] for line in g["Lines"]] for g in receipts] == [[10]]
    assert last.posted == last.in_cin7 == 192


_AMONG_THE_QUICK = {(1, "before"), (2, "unanswered"), (5, "answered"), (8, "unanswered")}

_KILLS = [
    *[(number, moment) for number in range(1, WRITES + 1) for moment in MOMENTS[:2]],
    *[(number, "answered") for number in (2, 5)],
]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        pytest.param(*kill, marks=[] if kill in _AMONG_THE_QUICK else [pytest.mark.proof])
        for kill in _KILLS
    ],
)
def test_a_run_killed_at_a_write_is_finished_by_the_next(
    start: Start, number: int, moment: Moment
) -> None:
    pair = start(companies.six_documents())
    with open_gate(pair.cin7.address) as gate:
        pair.configure(cin7={"base_url": f"{gate.url}/ExternalApi/v2"})
        _kill_a_run(pair, gate, number, moment)
        _assert_whole(pair, _run(pair))


@pytest.mark.parametrize("number", [2, 12])
def test_a_run_killed_while_it_reads_syspro_leaves_no_session_behind(
    start: Start, number: int
) -> None:
    pair = start(companies.six_documents())
    with open_gate(pair.syspro.url, lambda _method, _path: True) as gate:
        pair.configure(
            syspro={
                "enet_url": pair.syspro.enet_url.replace(pair.syspro.url, gate.url),
                "odata_url": pair.syspro.odata_url.replace(pair.syspro.url, gate.url),
            }
        )
        _kill_a_run(pair, gate, number, "unanswered")
        assert pair.syspro.control("summary")["open_sessions"] == 1
        _assert_whole(pair, _run(pair))
    sessions = pair.syspro.control("summary")
    assert (sessions["logons"], sessions["logoffs"]) == (2, 2)
    assert (sessions["open_sessions"], sessions["orphaned_sessions"]) == (0, 0)


def test_a_run_killed_while_it_ties_out_has_written_all(start: Start) -> None:
    pair = start(companies.six_documents())
    with open_gate(pair.cin7.address, lambda _method, path: "/transactions" in path) as gate:
        pair.configure(cin7={"base_url": f"{gate.url}/ExternalApi/v2"})
        _kill_a_run(pair, gate, 1, "before")
        pair.forget_traffic()
        last = _run(pair)
    assert pair.writes() == {}
    _assert_whole(pair, last)


@pytest.mark.proof
def test_runs_killed_one_after_the_other_still_get_there(start: Start) -> None:
    pair = start(companies.six_documents())
    with open_gate(pair.cin7.address) as gate:
        pair.configure(cin7={"base_url": f"{gate.url}/ExternalApi/v2"})
        for number, moment in enumerate(MOMENTS, start=1):
            gate.reached.clear()
            _kill_a_run(pair, gate, gate.seen + number, moment)
        _assert_whole(pair, _run(pair))


def test_a_supplier_whose_run_was_killed_can_still_be_changed(start: Start) -> None:
    pair = start(companies.one_invoice())
    with open_gate(pair.cin7.address) as gate:
        pair.configure(cin7={"base_url": f"{gate.url}/ExternalApi/v2"})
        _kill_a_run(pair, gate, 1, "unanswered")
        assert _run(pair).stopped == []
        pair.put("ApSupplier", pair.row("ApSupplier") | {"Telephone": "01632 960099"})
        last = _run(pair)
    assert last.stopped == []
    assert pair.suppliers()[0]["Contacts"][0]["Phone"] == "01632 960099"


def test_a_killed_run_does_not_keep_the_schedule_from_starting_the_next(
    start: Start,
) -> None:
    pair = start(companies.one_invoice(), name="unattended")
    with open_gate(pair.cin7.address) as gate:
        pair.configure(cin7={"base_url": f"{gate.url}/ExternalApi/v2"})
        _kill_a_run(pair, gate, 1, "before")
    definitions = build_definitions([(pair.connection, pair.folder)])
    schedule = definitions.resolve_schedule_def("unattended_cycle")
    moment = datetime.combine(DAY, time(9, 30), tzinfo=UTC)
    with (
        pair.dagster() as instance,
        dg.build_schedule_context(instance, scheduled_execution_time=moment) as context,
    ):
        told = schedule.evaluate_tick(context)
    assert len(told.run_requests or []) == 1, told.skip_message


def test_two_runs_of_the_same_day_at_the_same_time_write_each_document_once(
    start: Start,
) -> None:
    pair = start(companies.six_documents())
    with cycle_in_a_child(pair, DAY) as one, cycle_in_a_child(pair, DAY) as other:
        one.result()
        other.result()
    assert sum(pair.writes().values()) == WRITES
    last = _run(pair)
    assert sum(pair.writes().values()) == WRITES
    _assert_whole(pair, last)
    sessions = pair.syspro.control("summary")
    assert (sessions["logons"], sessions["logoffs"], sessions["evictions"]) == (3, 3, 0)


def test_places_in_the_pool_that_ended_runs_kept_are_given_back(start: Start) -> None:
    pair = start(companies.one_invoice())
    pair.run(DAY)
    pool = Site(pair.connection, pair.folder).pool
    with pair.dagster() as instance:
        # As after a database that was away when the run wanted to give its places back.
        (ended,) = instance.get_runs(limit=1)
        for step in ("one", "two"):
            taken = instance.event_log_storage.claim_concurrency_slot(pool, ended.run_id, step)
            assert taken.is_claimed
    assert _run(pair).problems == []
