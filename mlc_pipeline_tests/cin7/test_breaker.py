"""The circuit breaker: a system that is down is left alone, said once, and tried again."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest

from mlc_pipeline.cin7.breaker import LOST_IN_A_ROW, UNAVAILABLE_IN_A_ROW, Breaker
from mlc_pipeline.cin7.errors import Call, Unavailable, UncertainOutcome

CALL = Call("main", "POST", "/purchase/order")


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, times: int, *, lost: bool = False) -> None:
    for _ in range(times):
        breaker.check(CALL)
        kind = UncertainOutcome if lost else Unavailable
        breaker.failed(kind(CALL, "no route"))


@pytest.mark.parametrize(
    ("lost", "enough"), [(False, UNAVAILABLE_IN_A_ROW), (True, LOST_IN_A_ROW)]
)
def test_so_many_failures_in_a_row_end_the_calls_with_one_message(
    caplog: pytest.LogCaptureFixture, *, lost: bool, enough: int
) -> None:
    breaker = Breaker(clock=Clock())
    with caplog.at_level(logging.ERROR):
        fail(breaker, enough, lost=lost)
        for _ in range(20):
            with pytest.raises(Unavailable, match=r"not called: Cin7 is down \(no route\)"):
                breaker.check(CALL)
    assert len(caplog.records) == 1
    assert "Cin7 is down" in caplog.records[0].getMessage()


def test_an_answer_in_between_begins_the_count_again() -> None:
    breaker = Breaker(clock=Clock())
    for _ in range(3):
        fail(breaker, UNAVAILABLE_IN_A_ROW - 1)
        breaker.answered()
    breaker.check(CALL)


def test_after_the_rest_one_call_tries_and_its_answer_lets_the_others_through() -> None:
    clock = Clock()
    breaker = Breaker(rest_seconds=60, clock=clock)
    fail(breaker, UNAVAILABLE_IN_A_ROW)
    clock.now = 61
    breaker.check(CALL)
    with pytest.raises(Unavailable):
        breaker.check(CALL)
    breaker.answered()
    breaker.check(CALL)
    breaker.check(CALL)


def test_a_try_that_fails_too_rests_again() -> None:
    clock = Clock()
    breaker = Breaker(rest_seconds=60, clock=clock)
    fail(breaker, UNAVAILABLE_IN_A_ROW)
    clock.now = 61
    fail(breaker, 1)
    with pytest.raises(Unavailable):
        breaker.check(CALL)
