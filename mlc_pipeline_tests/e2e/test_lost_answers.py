"""Answers that are lost, late, broken or refused for speed: nothing twice, nothing lost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mlc_pipeline.cycle import Summary
from mlc_pipeline.sync.vocabulary import Outcome
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import Pair, counted

pytestmark = pytest.mark.e2e

FEWEST = {
    "supplier": 1,
    "header": 2,
    "order": 2,
    "receipt": 1,
    "invoice": 2,
    "credit note": 1,
}
"""Calls that write, of an undisturbed run."""
ROUTES = tuple(FEWEST)
MOST_RUNS = 6
"""A document that waits for one whose answer was lost goes with a later run. More answers
are lost than were ordered when the machine is so busy that one takes over a second."""


def _run_to_the_end(pair: Pair) -> list[Summary]:
    """Run until nothing waits any more."""
    runs = []
    for _ in range(MOST_RUNS):
        runs.append(pair.run(DAY))
        assert counted(runs[-1], Outcome.FAILED, Outcome.HELD) == 0, runs[-1].stopped
        if not counted(runs[-1], Outcome.WAITING):
            return runs
    raise AssertionError(f"still waiting after {MOST_RUNS} runs: {runs[-1].stopped}")


def _assert_whole(pair: Pair) -> None:
    """Hold that Cin7 has what an undisturbed run leaves there."""
    pair.assert_clean()
    summary = pair.summary()
    assert summary["suppliers"] == 1
    assert summary["purchases"]["by_status"] == {"COMPLETED": 1, "CREDITED": 1}
    assert summary["invoices"]["by_status"] == {"AUTHORISED": 2}
    assert {number: part["Total"] for (_, number), part in pair.booked().items()} == {
        "INV-PO": 72,
        "INV-2": 180,
        "CN-2": 60,
    }
    assert summary["accounts"]["800"] == Decimal(-192)


@pytest.mark.parametrize("route", ROUTES)
def test_an_answer_that_is_lost_is_looked_for_and_not_sent_again(
    start: Start, route: str
) -> None:
    pair = start(companies.six_documents())
    pair.fault("drop_after", route)
    _run_to_the_end(pair)
    assert pair.cin7.control("faults")["faults"] == []
    _assert_whole(pair)
    assert pair.writes() == FEWEST


@pytest.mark.parametrize(
    "kind",
    [
        "slow_commit",
        pytest.param("drop_after", marks=pytest.mark.proof),
        pytest.param("error_after", marks=pytest.mark.proof),
        pytest.param("garbage", marks=pytest.mark.proof),
    ],
)
def test_the_first_answer_of_every_kind_of_write_is_lost_and_nothing_is_doubled(
    start: Start, kind: str
) -> None:
    pair = start(companies.six_documents())
    for route in ROUTES:
        # Slow: applied after we stopped waiting for it.
        pair.fault(kind, route, seconds=Decimal("1.4"))
    _run_to_the_end(pair)
    assert pair.cin7.control("faults")["faults"] == []
    _assert_whole(pair)
    assert pair.writes() == FEWEST


@pytest.mark.proof
def test_every_first_write_that_never_arrived_is_sent_again(start: Start) -> None:
    pair = start(companies.six_documents())
    for route in ROUTES:
        pair.fault("drop_before", route)
    _run_to_the_end(pair)
    _assert_whole(pair)
    # One call more of each kind: the one that was lost on its way.
    assert pair.writes() == {route: count + 1 for route, count in FEWEST.items()}


def test_a_storm_of_throttling_fails_nothing(start: Start) -> None:
    pair = start(companies.six_documents(), cin7_stand_in={"window_seconds": 1})
    pair.fault("throttle", "supplier")
    pair.fault("throttle", "header", times=2)
    pair.fault("throttle", "invoice")
    pair.fault("throttle")
    runs = _run_to_the_end(pair)
    assert pair.cin7.control("faults")["faults"] == []
    assert runs[-1].exit_code == 0
    _assert_whole(pair)
    assert sum(run.waited_seconds for run in runs) >= 4


def test_the_real_limit_is_never_hit_when_the_budget_is_kept(start: Start) -> None:
    pair = start(companies.six_documents(), cin7_stand_in={"limit": 60, "window_seconds": 60})
    summary = pair.run(DAY)
    assert summary.exit_code == 0
    assert {call["status"] for call in pair.traffic()} == {200}


@pytest.mark.parametrize("kind", ["error_list_200", "html_200"])
def test_a_failure_with_status_200_is_not_taken_for_success(start: Start, kind: str) -> None:
    pair = start(companies.one_invoice())
    pair.fault(kind, "header")
    pair.run(DAY)
    last = _run_to_the_end(pair)[-1]
    assert last.exit_code == 0
    assert counted(last, Outcome.UNCHANGED) >= 1
    pair.assert_clean()
    assert pair.writes()["header"] == 2
    assert pair.summary()["purchases"]["by_status"] == {"INVOICED": 1}
