"""Closed days: a fingerprint over what SYSPRO showed, and what changed since."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.staging.tables import SYSPRO
from mlc_pipeline.sync.closings import (
    changed_days,
    day_fingerprints,
    is_closed_now,
    record_closing,
    reopen,
)
from mlc_pipeline.sync.period import Period
from mlc_pipeline_tests.sync.examples import (
    DAY,
    SUPPLIER,
    d,
    invoice,
    posting,
    stage,
    staged_row,
)

NEXT = DAY + timedelta(days=1)
KEY = f"{SUPPLIER}|INV-1"


@pytest.fixture
def name(engine: sa.Engine) -> str:
    made = f"closed_{uuid.uuid4().hex}"
    put(engine, made)
    return made


def put(engine: sa.Engine, name: str, amount: str = "10", run: str = "run", **of: Any) -> None:
    stage(engine, "invoices", staged_row(invoice("10", **of), DAY), name=name, run=run)
    stage(engine, "postings", staged_row(posting(amount), NEXT), name=name, run=run)


def test_a_day_is_known_by_its_rows_and_not_by_the_run_that_read_them(
    engine: sa.Engine, name: str
) -> None:
    with engine.connect() as connection:
        before = day_fingerprints(connection, name, DAY, NEXT)
    put(engine, name, run="another run")
    with engine.connect() as connection:
        after = day_fingerprints(connection, name, DAY, NEXT)
    assert after == before
    assert [(f.rows, f.amount) for f in after.values()] == [(1, d(0)), (1, d(10))]
    assert after[DAY].hash != after[NEXT].hash


def changes(engine: sa.Engine, name: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        found = changed_days(connection, name)
    return [
        (c.day, c.document, c.what, c.before, c.after) for day in found.values() for c in day
    ]


def test_what_changed_appeared_and_left_is_named(engine: sa.Engine, name: str) -> None:
    record_closing(engine, name, "2026-03", DAY, NEXT)
    assert changes(engine, name) == []
    put(engine, name, "11")
    assert changes(engine, name) == [(NEXT, KEY, "changed", 10, 11)]
    stage(engine, "invoices", staged_row(invoice("5", invoice="INV-2"), DAY), name=name)
    assert changes(engine, name)[0] == (DAY, f"{SUPPLIER}|INV-2", "appeared", 0, 0)
    with engine.begin() as connection:
        table = SYSPRO["postings"]
        connection.execute(table.delete().where(table.c.connection == name))
    assert changes(engine, name)[-1] == (NEXT, KEY, "left", 10, 0)


def test_a_due_date_is_a_change_though_no_money_moves(engine: sa.Engine, name: str) -> None:
    record_closing(engine, name, "2026-03", DAY, NEXT)
    put(engine, name, due_date=NEXT)
    assert changes(engine, name) == [(DAY, KEY, "changed", 0, 0)]


def test_a_day_is_closed_once_until_it_is_reopened(engine: sa.Engine, name: str) -> None:
    record_closing(engine, name, "2026-03", DAY, NEXT)
    with engine.connect() as connection:
        assert is_closed_now(connection, name) == {DAY, NEXT}
    with pytest.raises(sa.exc.IntegrityError):
        record_closing(engine, name, "again", NEXT, NEXT)
    assert reopen(engine, name, DAY, NEXT) == 2
    assert reopen(engine, name, DAY, NEXT) == 0
    with engine.connect() as connection:
        assert is_closed_now(connection, name) == frozenset()
    record_closing(engine, name, "2026-03", DAY, NEXT)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2026", "2026-01-01", "2026-12-31"),
        ("2026-03-02..2026-03-05", "2026-03-02", "2026-03-05"),
    ],
)
def test_a_period_is_a_month_a_year_or_two_days(text: str, first: str, last: str) -> None:
    period = Period.parse(text)
    assert (str(period.first), str(period.last)) == (first, last)


@pytest.mark.parametrize("text", ["", "October", "2026-13", "2026-3", "2026-03-05..2026-03-02"])
def test_what_is_no_period_is_refused_by_what_was_found(text: str) -> None:
    with pytest.raises(ValueError, match="period: found"):
        Period.parse(text)
