"""Backfills of the command line: many days in runs of a month each, resumed after a stop.

Each run is recorded when it is done, so a backfill that was stopped goes on with what is
left. Its calls yield to those of live cycles: it takes what they leave over.

What must not come in: printing, arguments, what a run does.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from mlc_pipeline import database
from mlc_pipeline.assets.reference import BACKFILL
from mlc_pipeline.assets.runtime import Progress, Runtime
from mlc_pipeline.automation.requests import TRIGGER
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.cycle import SOMETHING_FAILED, Summary, run_cycle
from mlc_pipeline.staging.estimate import Counts, count_documents
from mlc_pipeline.staging.operations import backfill_chunks, backfills
from mlc_pipeline.staging.tables import cycle_steps

Step = Literal["month", "day", "whole"]
"""How many days a run takes."""

_STOP_AFTER = 2
_BOOK_CALLS = 14
"""Calls of a run beside its writes, to read Cin7 and compare, when none was measured yet."""


class BackfillError(Exception):
    """A backfill that cannot be started; says what to do."""


@dataclass(frozen=True)
class Chunk:
    """The days of one run.

    Attributes:
        exit_code: 0 done, 3 something held, 1 failed; None when it was not run.
    """

    first: date
    last: date
    exit_code: int | None = None
    run_id: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether its run ended well; what is held is not the run's fault."""
        return self.exit_code is not None and self.exit_code != SOMETHING_FAILED


@dataclass(frozen=True)
class Backfill:
    """A backfill as it is recorded."""

    id: int
    connection: str
    first: date
    last: date
    step: Step
    finished_at: datetime | None
    chunks: tuple[Chunk, ...]

    @property
    def left(self) -> list[Chunk]:
        """What is not done."""
        return [chunk for chunk in self.chunks if not chunk.is_done]


@dataclass(frozen=True)
class Estimate:
    """What a backfill will take.

    Attributes:
        counts: documents that are not in Cin7 yet.
        runs: how many runs.
        calls: calls to Cin7.
        minutes: at the connection's pace, when no live cycle is under way.
    """

    counts: Counts
    runs: int
    calls: int
    minutes: int


def chunks_of(first: date, last: date, step: Step) -> list[tuple[date, date]]:
    """Return the days of each run: every day from first to last once, in order."""
    if step == "whole":
        return [(first, last)]
    found, start = [], first
    while start <= last:
        if step == "day":
            end = start
        else:
            following = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
            end = min(following - timedelta(days=1), last)
        found.append((start, end))
        start = end + timedelta(days=1)
    return found


def check_days(connection: Connection, first: date, last: date, today: date) -> None:
    """Refuse days that have no partition.

    Raises:
        BackfillError: before the start date, after today, or the wrong way round.
    """
    if first > last:
        raise BackfillError(f"found {first} to {last}, expected the earlier day first")
    if first < connection.start_date:
        raise BackfillError(
            f"{first} is before the connection's start_date {connection.start_date}; move "
            "start_date in connection.yaml, or begin there"
        )
    if last > today:
        raise BackfillError(f"{last} is after today, {today}; end today at the latest")


def estimate(
    connection: Connection,
    chunks: list[tuple[date, date]],
    environ: Mapping[str, str] = os.environ,
) -> Estimate:
    """Count what is to be written, by keys read from SYSPRO, and return what it takes."""
    runtime = Runtime(environ)
    try:
        extraction = runtime.extraction(connection, "estimate")
        counts = count_documents(
            extraction, chunks[0][0], chunks[-1][1], connection.policies.po_link
        )
    finally:
        runtime.close()
    calls = counts.calls + len(chunks) * _calls_for_books(runtime.engine, connection.name)
    pace = connection.cin7.calls_per_minute * len(connection.cin7.applications)
    return Estimate(counts, len(chunks), calls, math.ceil(calls / pace))


def _calls_for_books(engine: sa.Engine, name: str) -> int:
    """Return how many calls the last run took beside its writes."""
    last = (
        sa.select(cycle_steps.c.run_id)
        .where(cycle_steps.c.connection == name, cycle_steps.c.asset == "tie_out/ap")
        .order_by(cycle_steps.c.finished_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = sa.select(sa.func.sum(cycle_steps.c.cin7_calls - cycle_steps.c.cin7_writes)).where(
        cycle_steps.c.connection == name, cycle_steps.c.run_id == last
    )
    with engine.connect() as connection:
        return int(connection.scalar(query) or _BOOK_CALLS)


class BackfillBook:
    """The record of backfills."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def find(self, name: str, first: date, last: date, step: Step) -> Backfill | None:
        """Return the latest backfill of these days in these steps."""
        query = (
            sa.select(backfills)
            .where(
                backfills.c.connection == name,
                backfills.c.first == first,
                backfills.c.last == last,
                backfills.c.step == step,
            )
            .order_by(backfills.c.id.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            parts = connection.execute(
                sa.select(backfill_chunks)
                .where(backfill_chunks.c.backfill_id == row.id)
                .order_by(backfill_chunks.c.first)
            )
            chunks = tuple(Chunk(p.first, p.last, p.exit_code, p.run_id) for p in parts)
        return Backfill(row.id, name, first, last, step, row.finished_at, chunks)

    def begin(self, name: str, first: date, last: date, step: Step) -> Backfill:
        """Record a new backfill."""
        days = chunks_of(first, last, step)
        with self._engine.begin() as connection:
            number = connection.execute(
                backfills.insert()
                .values(connection=name, first=first, last=last, step=step)
                .returning(backfills.c.id)
            ).scalar_one()
            connection.execute(
                backfill_chunks.insert(),
                [{"backfill_id": number, "first": a, "last": b} for a, b in days],
            )
        chunks = tuple(Chunk(a, b) for a, b in days)
        return Backfill(int(number), name, first, last, step, None, chunks)

    def done(self, backfill: Backfill, chunk: Chunk, summary: Summary) -> None:
        """Record what came of a run."""
        with self._engine.begin() as connection:
            connection.execute(
                backfill_chunks.update()
                .where(
                    backfill_chunks.c.backfill_id == backfill.id,
                    backfill_chunks.c.first == chunk.first,
                )
                .values(
                    run_id=summary.run_id,
                    exit_code=summary.exit_code,
                    documents=sum(kind.read for kind in summary.kinds.values()),
                    cin7_calls=summary.cin7_calls,
                    seconds=summary.seconds,
                    finished_at=sa.func.clock_timestamp(),
                )
            )

    def ended(self, backfill: Backfill) -> Backfill:
        """Record the end of a backfill of which every run is done; return it as it stands."""
        left = sa.exists().where(
            backfill_chunks.c.backfill_id == backfill.id,
            sa.or_(
                backfill_chunks.c.exit_code.is_(None),
                backfill_chunks.c.exit_code == SOMETHING_FAILED,
            ),
        )
        with self._engine.begin() as connection:
            connection.execute(
                backfills.update()
                .where(backfills.c.id == backfill.id, backfills.c.finished_at.is_(None), ~left)
                .values(finished_at=sa.func.clock_timestamp())
            )
        found = self.find(backfill.connection, backfill.first, backfill.last, backfill.step)
        assert found is not None  # noqa: S101 - it was given
        return found

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Let one backfill of a connection run at a time; a dead process holds nothing.

        Raises:
            BackfillError: another process runs one.
        """
        digest = hashlib.sha256(f"backfill|{name}".encode()).digest()
        key = int.from_bytes(digest[:8], signed=True)
        with self._engine.connect() as connection:
            session = connection.execution_options(isolation_level="AUTOCOMMIT")
            if not session.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
                raise BackfillError(
                    f"a backfill of {name} is under way in another process; wait for its end"
                )
            try:
                yield
            finally:
                session.execute(sa.select(sa.func.pg_advisory_unlock(key)))


def run_backfill(
    connection: Connection,
    folder: Path,
    backfill: Backfill,
    *,
    told: Callable[[Chunk, Summary], None] = lambda _chunk, _summary: None,
    progress: Progress | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Backfill:
    """Run what is left of a backfill and return it as it stands then.

    It goes on after a run that failed, and stops when runs fail one after the other: then
    a system is down. An interruption leaves the run under way to be done again.

    Raises:
        BackfillError: another process runs a backfill of the connection.
    """
    book = BackfillBook(database.engine(environ))
    failed_in_a_row = 0
    with book.alone(connection.name):
        for chunk in backfill.left:
            summary = run_cycle(
                connection,
                folder,
                chunk.first,
                chunk.last,
                progress=progress,
                environ=environ,
                tags={BACKFILL: str(backfill.id), TRIGGER: "backfill"},
            )
            book.done(backfill, chunk, summary)
            told(chunk, summary)
            is_failed = summary.exit_code == SOMETHING_FAILED
            failed_in_a_row = failed_in_a_row + 1 if is_failed else 0
            if failed_in_a_row >= _STOP_AFTER:
                break
        return book.ended(backfill)
