"""Backfills: estimated, cut into runs, behind live cycles, resumed; the known traps."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.assets.common import Site
from mlc_pipeline.backfill import (
    BackfillBook,
    BackfillError,
    check_days,
    chunks_of,
    estimate,
    run_backfill,
)
from mlc_pipeline.connection.files import load_connection
from mlc_pipeline.database import engine
from mlc_pipeline.instance import DAGSTER_YAML
from mlc_pipeline.sandbox.company.model import Company
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, day, invoice, postings
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.gate import open_gate

pytestmark = pytest.mark.e2e

_processes = multiprocessing.get_context("forkserver")


# --- days ----------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.dates(date(2024, 1, 1), date(2027, 12, 31)),
    st.integers(0, 500),
    st.sampled_from(["month", "day", "whole"]),
)
def test_every_day_is_in_exactly_one_run(first: date, more: int, step: Any) -> None:
    last = first + timedelta(days=more)
    chunks = chunks_of(first, last, step)
    days = [a + timedelta(days=n) for a, b in chunks for n in range((b - a).days + 1)]
    assert days == [first + timedelta(days=n) for n in range(more + 1)]
    if step == "month":
        assert all((a.year, a.month) == (b.year, b.month) for a, b in chunks)


@pytest.mark.parametrize("zone", ["Europe/London", "Australia/Lord_Howe", "America/Santiago"])
def test_days_on_which_the_clock_changes_are_partitions_like_any_other(
    tmp_path: Path, start: Start, zone: str
) -> None:
    pair = start(companies.one_invoice(), name="zoned", time_zone=zone)
    site = Site(pair.connection, pair.folder)
    at = datetime(2027, 1, 10, 12, tzinfo=ZoneInfo(zone))
    keys = list(site.days.get_partition_keys(current_time=at))
    first = pair.connection.start_date
    days = (at.date() - first).days + 1
    assert keys == [str(first + timedelta(days=n)) for n in range(days)]


def test_today_is_a_partition_and_tomorrow_is_not(start: Start) -> None:
    connection = start(companies.one_invoice(), name="ended").connection
    check_days(connection, DAY, day(9), today=day(9))
    with pytest.raises(BackfillError, match="after today"):
        check_days(connection, DAY, day(10), today=day(9))
    with pytest.raises(BackfillError, match="start_date"):
        check_days(connection, DAY - timedelta(days=900), day(9), today=day(9))
    with pytest.raises(BackfillError, match="earlier day first"):
        check_days(connection, day(3), day(2), today=day(9))


def test_pools_are_freed_by_dagster_itself_after_a_run_ended() -> None:
    assert "free_slots_after_run_end_seconds: 60" in DAGSTER_YAML
    assert "granularity: op" in DAGSTER_YAML


# --- through both systems --------------------------------------------------------------


def _two_months() -> Company:
    """Return six documents in March, and an invoice in April."""
    march = companies.six_documents()
    april = replace(
        invoice("INV-4", "70.00", document_no="5004"), invoice_date=day(35), due=day(50)
    )
    return replace(
        march,
        invoices=(*march.invoices, april),
        gl_distributions=(*march.gl_distributions, *postings(april, {"110.7010": "70.00"})),
    )


def _held_slots(instance: dg.DagsterInstance, pool: str) -> int:
    return instance.event_log_storage.get_concurrency_info(pool).active_slot_count


def test_a_backfill_is_estimated_run_by_month_and_not_done_twice(start: Start) -> None:
    pair = start(_two_months(), name="filled")
    first, last = DAY, day(40)
    made = estimate(pair.connection, chunks_of(first, last, "month"), pair.environ)
    assert (made.runs, made.counts.documents, made.counts.suppliers) == (2, 6, 1)
    pair.forget_traffic()

    book = BackfillBook(engine(pair.environ))
    begun = book.begin("filled", first, last, "month")
    done = run_backfill(pair.connection, pair.folder, begun, environ=pair.environ)
    assert [c.exit_code for c in done.chunks] == [0, 0]
    assert done.finished_at is not None
    assert len(pair.booked()) == 4
    pair.assert_clean()
    calls = len(pair.traffic())
    # It knew: writes exactly, the books by what was not measured yet.
    assert sum(pair.writes().values()) == made.counts.calls
    assert abs(calls - made.calls) <= 4
    with pair.dagster() as instance:
        for chunk in done.chunks:
            run = instance.get_run_by_id(chunk.run_id or "")
            assert run is not None
            assert run.tags["mlc/backfill"] == str(done.id)
        assert _held_slots(instance, "cin7_filled") == 0

    # Nothing is left, so the same backfill again runs nothing.
    pair.forget_traffic()
    again = run_backfill(pair.connection, pair.folder, done, environ=pair.environ)
    assert again.chunks == done.chunks
    assert pair.traffic() == []
    made = estimate(pair.connection, chunks_of(first, last, "month"), pair.environ)
    assert made.counts.documents == 0


def test_a_second_backfill_of_a_connection_is_refused_while_one_runs(start: Start) -> None:
    pair = start(companies.one_invoice(), name="single")
    book = BackfillBook(engine(pair.environ))
    begun = book.begin("single", DAY, DAY, "whole")
    with (
        BackfillBook(engine(pair.environ)).alone("single"),
        pytest.raises(BackfillError, match="under way"),
    ):
        run_backfill(pair.connection, pair.folder, begun, environ=pair.environ)
    assert pair.purchases() == []


def test_a_backfill_stops_when_a_system_is_down_and_resumes(start: Start) -> None:
    pair = start(companies.one_invoice(), name="paused")
    book = BackfillBook(engine(pair.environ))
    begun = book.begin("paused", DAY, day(3), "day")
    pair.syspro.control("faults", {"path": "/logon", "kind": "html", "times": 100_000})
    stopped = run_backfill(pair.connection, pair.folder, begun, environ=pair.environ)
    assert [c.exit_code for c in stopped.chunks] == [1, 1, None, None]
    assert stopped.finished_at is None
    pair.syspro.control("faults", method="DELETE")
    found = book.find("paused", DAY, day(3), "day")
    assert found is not None
    done = run_backfill(pair.connection, pair.folder, found, environ=pair.environ)
    assert [c.exit_code for c in done.chunks] == [0, 0, 0, 0]
    assert done.finished_at is not None
    assert len(pair.booked()) == 1


def _fill(environ: dict[str, str], folder: str, first: date, last: date) -> None:
    os.environ.update(environ)
    os.environ.pop("DAGSTER_HOME", None)
    connection = load_connection(Path(folder))
    book = BackfillBook(engine(environ))
    begun = book.begin(connection.name, first, last, "month")
    run_backfill(connection, Path(folder), begun, environ=environ)


@pytest.mark.parametrize(
    "end", [pytest.param(signal.SIGINT, marks=pytest.mark.proof), signal.SIGKILL]
)
def test_a_backfill_that_is_stopped_in_the_middle_goes_on_and_holds_no_pool(
    start: Start, end: signal.Signals
) -> None:
    name = f"stopped_{end.name.lower()}"
    pair = start(_two_months(), name=name)
    with open_gate(pair.cin7.address) as gate:
        pair.configure(cin7={"base_url": f"{gate.url}/ExternalApi/v2"})
        process = _processes.Process(
            target=_fill, args=(pair.environ, str(pair.folder), DAY, day(40))
        )
        process.start()

        def stop() -> None:
            os.kill(process.pid or 0, end)
            process.join(60)

        gate.kill_at(8, "answered", stop)
        assert gate.reached.wait(60)
        assert process.exitcode not in (None, 0)
        book = BackfillBook(engine(pair.environ))
        found = book.find(name, DAY, day(40), "month")
        assert found is not None
        assert len(found.left) == 2
        done = run_backfill(pair.connection, pair.folder, found, environ=pair.environ)
    assert done.finished_at is not None
    assert len(pair.booked()) == 4
    pair.assert_clean()
    sessions = pair.syspro.control("summary")
    assert (sessions["open_sessions"], sessions["orphaned_sessions"]) == (0, 0)
    with pair.dagster() as instance:
        assert _held_slots(instance, f"cin7_{name}") == 0
        left = dg.RunsFilter(tags={"connection": name}, statuses=[dg.DagsterRunStatus.STARTED])
        assert instance.get_runs(left) == []
