"""The budget in a real PostgreSQL, judged by the slots it gave, never by elapsed time."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from mlc_pipeline.cin7.budget import (
    SLOW_SECONDS,
    DatabasePacer,
    KeyRing,
    Priority,
    Reservation,
    budget_of,
)
from mlc_pipeline.staging.tables import call_budgets
from mlc_pipeline_tests.cin7.support import ACCOUNT, KEY, OTHER_KEY, NoPacer

INTERVAL = dt.timedelta(seconds=1.2)  # 50 calls a minute

RESERVE_IN_A_PROCESS = """
import sys
import sqlalchemy as sa
from pydantic import SecretStr
from mlc_pipeline.cin7.budget import DatabasePacer
url, account, key, count = sys.stdin.read().split()
engine = sa.create_engine(url)
pacer = DatabasePacer(engine, SecretStr(account), SecretStr(key), 50)
for _ in range(int(count)):
    sys.stdout.write(pacer.reserve().first.isoformat() + "\\n")
"""


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def _pacer(
    engine: sa.Engine,
    calls_per_minute: int = 50,
    priority: Priority = "live",
    *,
    key: SecretStr = KEY,
    clock: Clock | None = None,
) -> DatabasePacer:
    clock = clock or Clock()
    return DatabasePacer(
        engine, ACCOUNT, key, calls_per_minute, priority, sleep=clock.sleep, clock=clock
    )


def _slot(reservation: Reservation) -> dt.datetime:
    assert reservation.first is not None
    return reservation.first


def _row(engine: sa.Engine, key: SecretStr = KEY) -> sa.Row[tuple[object, ...]]:
    found = sa.select(call_budgets).where(call_budgets.c.budget == budget_of(ACCOUNT, key))
    with engine.connect() as connection:
        return connection.execute(found).one()


def _set(engine: sa.Engine, **values: object) -> None:
    changed = sa.update(call_budgets).where(call_budgets.c.budget == budget_of(ACCOUNT, KEY))
    with engine.begin() as connection:
        connection.execute(changed.values(values))


def _ago(seconds: float) -> sa.ColumnElement[dt.datetime]:
    return sa.func.now() - sa.cast(dt.timedelta(seconds=seconds), sa.Interval)


def _gaps(slots: list[dt.datetime]) -> set[dt.timedelta]:
    ordered = sorted(slots)
    return {later - earlier for earlier, later in itertools.pairwise(ordered)}


def test_slots_queue_one_interval_apart(database: sa.Engine) -> None:
    pacer = _pacer(database)
    reservations = [pacer.reserve() for _ in range(5)]
    assert reservations[0].wait_seconds == 0
    assert _gaps([_slot(each) for each in reservations]) == {INTERVAL}
    assert _row(database).calls == 5


def test_an_unused_budget_does_not_save_up_slots(database: sa.Engine) -> None:
    pacer = _pacer(database)
    pacer.reserve()
    _set(database, next_call_at=_ago(3600))
    assert pacer.reserve().wait_seconds == 0
    assert pacer.reserve().wait_seconds > 0


def test_two_threads_never_get_one_slot(database: sa.Engine) -> None:
    pacers = [_pacer(database), _pacer(database)]

    def reserve(pacer: DatabasePacer) -> list[dt.datetime]:
        return [_slot(pacer.reserve()) for _ in range(25)]

    with ThreadPoolExecutor(2) as threads:
        slots = [slot for found in threads.map(reserve, pacers) for slot in found]
    assert _gaps(slots) == {INTERVAL}
    assert _row(database).calls == 50


def test_two_processes_never_get_one_slot(database: sa.Engine) -> None:
    url = database.url.render_as_string(hide_password=False)
    order = f"{url} {ACCOUNT.get_secret_value()} {KEY.get_secret_value()} 25"
    command = [sys.executable, "-c", RESERVE_IN_A_PROCESS]

    def reserve(_: int) -> list[dt.datetime]:
        done = subprocess.run(command, input=order, capture_output=True, text=True, check=True)
        return [dt.datetime.fromisoformat(line) for line in done.stdout.split()]

    with ThreadPoolExecutor(2) as threads:
        slots = [slot for found in threads.map(reserve, range(2)) for slot in found]
    assert len(slots) == 50
    # The slower process may start when the queue of the other is over: gaps only grow.
    assert min(_gaps(slots)) == INTERVAL
    assert _row(database).calls == 50


def test_two_threads_share_one_pacer(database: sa.Engine) -> None:
    clock = Clock()
    pacer = _pacer(database, 600, clock=clock)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: pacer.acquire(), range(30)))
    # 30 calls take three seconds' worth of ten; no call was counted that was not reserved.
    assert _row(database).calls == 30


def test_acquiring_sleeps_until_the_slot(database: sa.Engine) -> None:
    clock = Clock()
    pacer = _pacer(database, clock=clock)
    assert pacer.acquire() == 0
    waited = pacer.acquire()
    assert clock.sleeps == [waited]
    assert 0 < waited <= INTERVAL.total_seconds()


@pytest.mark.parametrize(
    ("calls_per_minute", "count"), [(1, 1), (50, 1), (119, 1), (120, 2), (6000, 100)]
)
def test_at_most_a_seconds_worth_of_slots_is_reserved_at_once(
    database: sa.Engine, calls_per_minute: int, count: int
) -> None:
    found = _pacer(database, calls_per_minute).reserve()
    assert found.count == count
    assert found.interval_seconds == pytest.approx(60 / calls_per_minute, abs=1e-6)
    assert _row(database).calls == count


def test_reserved_slots_are_used_before_the_database_is_asked_again(
    database: sa.Engine,
) -> None:
    clock = Clock()
    pacer = _pacer(database, 600, clock=clock)
    for _ in range(10):
        pacer.acquire()
    assert _row(database).calls == 10
    assert clock.sleeps == [pytest.approx(0.1, abs=1e-6)] * 9
    pacer.acquire()
    assert _row(database).calls == 20


def test_slots_that_were_not_used_in_time_lapse(database: sa.Engine) -> None:
    clock = Clock()
    pacer = _pacer(database, 600, clock=clock)
    pacer.acquire()
    clock.now += 60
    pacer.acquire()
    assert _row(database).calls == 20


def test_throttling_blocks_everyone_and_halves_the_pace(database: sa.Engine) -> None:
    one, other = _pacer(database), _pacer(database)
    before = _slot(one.reserve())
    one.throttled(30)
    slots = [_slot(other.reserve()), _slot(one.reserve()), _slot(other.reserve())]
    blocked_until = _row(database).blocked_until
    assert slots[0] == blocked_until
    assert blocked_until - before >= dt.timedelta(seconds=30)
    assert _gaps(slots) == {2 * INTERVAL}
    assert _row(database).throttled == 1


def test_the_pace_recovers_a_minute_after_the_block(database: sa.Engine) -> None:
    pacer = _pacer(database)
    pacer.throttled(30)
    _set(database, blocked_until=_ago(SLOW_SECONDS - 10))
    assert pacer.reserve().interval_seconds == pytest.approx(2.4)
    _set(database, blocked_until=_ago(SLOW_SECONDS + 1))
    assert pacer.reserve().interval_seconds == pytest.approx(1.2)


def test_a_shorter_wait_does_not_shorten_a_block(database: sa.Engine) -> None:
    pacer = _pacer(database)
    pacer.throttled(300)
    before = _row(database).blocked_until
    pacer.throttled(1)
    assert _row(database).blocked_until == before
    assert _row(database).throttled == 2


def test_throttling_drops_the_slots_at_hand(database: sa.Engine) -> None:
    clock = Clock()
    pacer = _pacer(database, 600, clock=clock)
    pacer.acquire()
    pacer.throttled(5)
    assert pacer.next_slot_in() > 4
    _set(database, blocked_until=_ago(0), next_call_at=_ago(0))
    pacer.acquire()
    assert _row(database).calls == 20


def test_a_slot_that_was_waited_for_is_given_up_when_the_budget_was_blocked_meanwhile(
    database: sa.Engine,
) -> None:
    clock = Clock()
    pacer = _pacer(database, clock=clock)
    for _ in range(3):
        pacer.reserve()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.sleeps) == 1:
            _pacer(database).throttled(2)
        else:  # the block has passed by the time of the second slot
            _set(database, blocked_until=_ago(1))

    waiting = DatabasePacer(database, ACCOUNT, KEY, 50, sleep=sleep, clock=clock)
    assert waiting.acquire() == pytest.approx(sum(clock.sleeps))
    assert len(clock.sleeps) == 2
    assert _row(database).calls == 5


def test_a_backfill_call_takes_a_slot_only_when_one_is_free(database: sa.Engine) -> None:
    backfill, live = _pacer(database, priority="backfill"), _pacer(database)
    assert backfill.reserve().count == 1
    assert live.reserve().count == 1  # queues behind it
    refused = backfill.reserve()
    assert (refused.count, refused.first) == (0, None)
    assert 0 < refused.wait_seconds <= 2 * INTERVAL.total_seconds()
    assert live.reserve().count == 1  # still gets the very next slot
    assert _row(database).calls == 3


def test_a_backfill_call_waits_for_the_end_of_a_block(database: sa.Engine) -> None:
    backfill = _pacer(database, priority="backfill")
    backfill.throttled(30)
    assert backfill.reserve().wait_seconds == pytest.approx(30, abs=1)
    _set(database, blocked_until=_ago(0))
    assert backfill.reserve().count == 1


def test_a_backfill_call_asks_again_until_a_slot_is_free(database: sa.Engine) -> None:
    clock = Clock()
    live = _pacer(database)
    live.reserve()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.sleeps) == 1:
            live.reserve()  # a live call was faster
        else:
            _set(database, next_call_at=_ago(0))

    backfill = DatabasePacer(database, ACCOUNT, KEY, 50, "backfill", sleep=sleep, clock=clock)
    backfill.acquire()
    assert len(clock.sleeps) == 2
    assert _row(database).calls == 3


def test_each_key_has_its_own_budget(database: sa.Engine) -> None:
    assert _pacer(database).reserve().wait_seconds == 0
    assert _pacer(database, key=OTHER_KEY).reserve().wait_seconds == 0
    assert _row(database).calls == _row(database, OTHER_KEY).calls == 1


def test_a_ring_of_keys_uses_the_one_that_is_free_first(database: sa.Engine) -> None:
    ring = KeyRing({"main": _pacer(database), "second": _pacer(database, key=OTHER_KEY)})
    assert [ring.acquire()[0] for _ in range(2)] == ["main", "second"]
    ring.throttled("main", 600)
    assert ring.next_slot_in() < 10
    assert [ring.acquire()[0] for _ in range(2)] == ["second", "second"]


def test_a_ring_of_one_key_does_not_ask_when_it_is_free() -> None:
    class Unasked(NoPacer):
        def next_slot_in(self) -> float:
            raise AssertionError("one key needs no choice")

    assert KeyRing({"main": Unasked()}).acquire()[0] == "main"


def test_a_budget_of_no_calls_is_refused(engine: sa.Engine) -> None:
    with pytest.raises(ValueError, match="calls_per_minute: found 0"):
        DatabasePacer(engine, ACCOUNT, KEY, 0)
