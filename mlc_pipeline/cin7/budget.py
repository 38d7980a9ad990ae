"""The pacing budget of an API application, shared by all processes through PostgreSQL.

Cin7 allows 60 calls in 60 seconds per application key. Each call reserves a slot in the
row of its key, by the clock of the database, and sleeps until the slot comes: callers
queue instead of bouncing.

What must not come in: HTTP, the keys themselves (a budget is known by their digest).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects.postgresql import insert

from mlc_pipeline.staging.tables import call_budgets

Priority = Literal["live", "backfill"]

SLOW_SECONDS: Final = 60
"""How long after a throttling the pace stays halved."""

_RECHECK_SECONDS = 1.0
_LAPSE_SECONDS = 1.0
_COLUMNS = call_budgets.c


class Pacer(Protocol):
    """Says when a call may be made."""

    def acquire(self) -> float:
        """Block until a call may be made; return the seconds waited."""

    def throttled(self, seconds: float) -> None:
        """Note that Cin7 wants no call for so many seconds."""

    def next_slot_in(self) -> float:
        """Return the seconds until a call could be made if it were asked for now."""


def budget_of(account_id: SecretStr, key: SecretStr) -> str:
    """Return the digest by which the budget of an application key is known."""
    secret = f"{account_id.get_secret_value()}\n{key.get_secret_value()}"
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True)
class Reservation:
    """Slots that one round trip to the database reserved.

    Attributes:
        first: time of the first slot, by the database's clock; None without slots.
        wait_seconds: from now to the first slot; without slots, when to ask again.
        interval_seconds: from slot to slot.
        count: number of slots; 0 when a backfill had to yield.
    """

    first: dt.datetime | None
    wait_seconds: float
    interval_seconds: float
    count: int


class DatabasePacer:
    """A pacer whose budget is a row that all processes share.

    Live calls queue: each takes the next free slot, however far ahead. A backfill call
    takes a slot only when one is free now and asks again otherwise: it never queues, so a
    live call waits for at most one reservation of a backfill, and a backfill uses what live
    calls leave over.

    From 120 calls a minute on, one reservation takes a second's worth of slots. Slots that
    are not used within a second of their time lapse: used late they would make a burst.
    """

    def __init__(
        self,
        engine: sa.Engine,
        account_id: SecretStr,
        key: SecretStr,
        calls_per_minute: int,
        priority: Priority = "live",
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if calls_per_minute < 1:
            raise ValueError(f"calls_per_minute: found {calls_per_minute}, expected 1 or more")
        self.budget = budget_of(account_id, key)
        self.priority = priority
        self._engine = engine
        self._count = max(1, calls_per_minute // 60)
        self._span = dt.timedelta(seconds=60 / calls_per_minute) * self._count
        self._sleep = sleep
        self._clock = clock
        self._slots: deque[float] = deque()  # by self._clock, earliest first
        self._lock = threading.Lock()

    def acquire(self) -> float:
        """Block until a call may be made; return the seconds waited."""
        waited = 0.0
        while True:
            is_slot, seconds = self._next_slot()
            if seconds > 0:
                self._sleep(seconds)
                waited += seconds
            # While a slot lay far ahead somebody may have been throttled.
            if is_slot and (seconds < _RECHECK_SECONDS or not self._is_blocked()):
                return waited

    def throttled(self, seconds: float) -> None:
        """Keep every caller of the budget from calling for so many seconds.

        The pace is halved from now until `SLOW_SECONDS` after that.
        """
        until = sa.func.now() + sa.cast(dt.timedelta(seconds=seconds), sa.Interval)
        row = insert(call_budgets).values(budget=self.budget, blocked_until=until, throttled=1)
        statement = row.on_conflict_do_update(
            index_elements=[_COLUMNS.budget],
            set_={
                "blocked_until": sa.func.greatest(_COLUMNS.blocked_until, until),
                "throttled": _COLUMNS.throttled + 1,
            },
        )
        with self._engine.begin() as connection:
            connection.execute(statement)
        with self._lock:
            self._slots.clear()

    def next_slot_in(self) -> float:
        """Return the seconds until a call could be made if it were asked for now."""
        with self._lock:
            self._drop_lapsed()
            if self._slots:
                return max(0.0, self._slots[0] - self._clock())
        with self._engine.connect() as connection:
            return self._seconds_until_free(connection)

    def reserve(self) -> Reservation:
        """Reserve the next slots in the database, without waiting for them.

        One statement decides and reserves, so two callers never get one slot. Its clock is
        `now()`, the start of the transaction: the same value wherever it stands.
        """
        free = sa.func.greatest(sa.func.now(), _COLUMNS.next_call_at, _COLUMNS.blocked_until)
        span = sa.cast(self._span, sa.Interval)
        slow_until = _COLUMNS.blocked_until + dt.timedelta(seconds=SLOW_SECONDS)
        step = sa.case((slow_until > sa.func.now(), span * 2), else_=span)
        row = insert(call_budgets).values(
            budget=self.budget, next_call_at=sa.func.now() + span, calls=self._count
        )
        statement = row.on_conflict_do_update(
            index_elements=[_COLUMNS.budget],
            set_={"next_call_at": free + step, "calls": _COLUMNS.calls + self._count},
            where=None if self.priority == "live" else free <= sa.func.now(),
        ).returning(
            (_COLUMNS.next_call_at - step).label("first"),
            sa.func.now().label("now"),
            step.label("step"),
        )
        with self._engine.begin() as connection:
            found = connection.execute(statement).one_or_none()
            if found is None:
                return Reservation(None, self._seconds_until_free(connection), 0.0, 0)
        return Reservation(
            first=found.first,
            wait_seconds=(found.first - found.now).total_seconds(),
            interval_seconds=found.step.total_seconds() / self._count,
            count=self._count,
        )

    def _seconds_until_free(self, connection: sa.Connection) -> float:
        """Return how far ahead the budget is booked or blocked; 0 when a slot is free."""
        free = sa.func.greatest(_COLUMNS.next_call_at, _COLUMNS.blocked_until)
        ahead = sa.select(free - sa.func.now()).where(_COLUMNS.budget == self.budget)
        found: dt.timedelta | None = connection.execute(ahead).scalar_one_or_none()
        return max(0.0, found.total_seconds()) if found else 0.0

    def _is_blocked(self) -> bool:
        blocked = sa.select(_COLUMNS.blocked_until > sa.func.now())
        with self._engine.connect() as connection:
            return bool(
                connection.execute(blocked.where(_COLUMNS.budget == self.budget)).scalar()
            )

    def _next_slot(self) -> tuple[bool, float]:
        """Return whether a slot was taken, and the seconds until it or until asking again."""
        with self._lock:
            self._drop_lapsed()
            if not self._slots:
                reserved = self.reserve()
                if not reserved.count:
                    return False, reserved.wait_seconds
                first = self._clock() + reserved.wait_seconds
                self._slots.extend(
                    first + i * reserved.interval_seconds for i in range(reserved.count)
                )
            return True, max(0.0, self._slots.popleft() - self._clock())

    def _drop_lapsed(self) -> None:
        while self._slots and self._slots[0] < self._clock() - _LAPSE_SECONDS:
            self._slots.popleft()


class KeyRing:
    """The applications of one account: each call goes through the one that is free first."""

    def __init__(self, pacers: Mapping[str, Pacer]) -> None:
        if not pacers:
            raise ValueError("cin7.applications: found none, expected at least one")
        self._pacers = dict(pacers)

    def acquire(self) -> tuple[str, float]:
        """Block until a call may be made; return the application's name, seconds waited."""
        name = next(iter(self._pacers))
        if len(self._pacers) > 1:
            name = min(self._pacers, key=lambda each: self._pacers[each].next_slot_in())
        return name, self._pacers[name].acquire()

    def throttled(self, application: str, seconds: float) -> None:
        """Note that Cin7 throttled an application's key for so many seconds."""
        self._pacers[application].throttled(seconds)

    def next_slot_in(self) -> float:
        """Return the seconds until the first application could call."""
        return min(pacer.next_slot_in() for pacer in self._pacers.values())
