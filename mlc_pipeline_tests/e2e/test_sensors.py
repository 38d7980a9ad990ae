"""The sensors: exactly the days concerned, each once, and nothing lost without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.automation import sensors
from mlc_pipeline.automation.days import due_since
from mlc_pipeline.automation.requests import ranges
from mlc_pipeline.automation.sensors import RETRY_MINUTES
from mlc_pipeline.sandbox.company.model import Company
from mlc_pipeline.staging.watch import NOT_PUSHED, watched
from mlc_pipeline.sync import rows
from mlc_pipeline.syspro.entities import ENTITIES
from mlc_pipeline.vault import SealedSessionStore, environment_variable
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY, ORDER, day, invoice, postings
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.daemon import Daemon
from mlc_pipeline_tests.e2e.pair import Pair, read_csv

pytestmark = pytest.mark.e2e

NARROW: dict[str, Any] = {"schedule": {"look_back_days": 1, "cron": "0 8 * * *"}}
POSTING = ("TrnYear", "TrnMonth", "Journal", "EntryNumber", "SubEntry")


@contextmanager
def daemon_of(pair: Pair, days_later: int) -> Iterator[Daemon]:
    with pair.dagster() as instance:
        at = datetime(2026, 3, 2, 8, 0, tzinfo=UTC) + timedelta(days=days_later)
        yield Daemon(pair, instance, at)


def _numbered(days: tuple[date, date] | None) -> tuple[int, int]:
    assert days is not None
    return (days[0] - DAY).days, (days[1] - DAY).days


def _requested(daemon: Daemon, trigger: str) -> list[tuple[int, int]]:
    """Return the days of the runs that something asked for, counted from the first day."""
    return [_numbered(ran.days) for ran in daemon.ran if ran.trigger == trigger]


def _asked(requests: list[Any]) -> list[tuple[int, int]]:
    start, end = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    found = [
        (date.fromisoformat(r.tags[start]), date.fromisoformat(r.tags[end])) for r in requests
    ]
    return [_numbered(days) for days in found]


def _posting_keys(pair: Pair, number: str) -> list[list[Any]]:
    return [[row[n] for n in POSTING] for row in pair.rows("ApPosting", Invoice=number)]


# --- late and changed ----------------------------------------------------------------


def test_the_watch_looks_at_exactly_what_a_plan_looks_at() -> None:
    kinds = {
        "purchase_orders": rows.OrderRow,
        "receipts": rows.ReceiptRow,
        "receipt_matches": rows.MatchRow,
        "invoices": rows.InvoiceRow,
        "postings": rows.PostingRow,
    }
    assert set(kinds) == set(NOT_PUSHED)
    for name, kind in kinds.items():
        entity = ENTITIES[name]
        looked_at = {column.name for column in watched(entity).columns}
        needed = {f.name for f in fields(kind)} & {c.name for c in entity.columns}
        assert needed - {"journal_date"} <= looked_at, name
        assert looked_at <= needed | set(entity.key), name


def _spread() -> Company:
    """Return an order with its receipt and invoice, and spend on four other days."""
    ordered = companies.one_order()
    spend = [
        replace(
            invoice(f"INV-{n}", f"{n}0.00", document_no=f"600{n}"),
            invoice_date=day(n),
            due=day(n + 14),
        )
        for n in range(1, 5)
    ]
    distributions = [p for i in spend for p in postings(i, {"110.7010": str(i.net)})]
    return replace(
        ordered,
        invoices=(*ordered.invoices, *spend),
        gl_distributions=(*ordered.gl_distributions, *distributions),
    )


def test_what_appears_changes_or_vanishes_in_past_days_runs_exactly_those_days(
    start: Start,
) -> None:
    pair = start(_spread(), name="late", **NARROW)
    order = pair.row("PorMasterHdr", PurchaseOrder=ORDER)
    pair.put("PorMasterHdr", order | {"OrderStatus": "4"})
    pair.remove("ApInvoice", [KEY, "INV-2"])
    pair.remove("ApPosting", *_posting_keys(pair, "INV-2"))
    assert pair.run(DAY, day(5)).succeeded
    with daemon_of(pair, 20) as daemon:
        assert daemon.schedule("watch")[0].succeeded
        assert daemon.ask_sensor("late_and_changed") == []

        # A payment moves the balance: nothing of it goes to Cin7.
        pair.put("ApInvoice", pair.row("ApInvoice", Invoice="INV-1") | {"MthInvBal1": 0})
        # Back-dated and entered weeks later; changed; gone.
        pair.put("ApInvoice", pair.row("ApInvoice", Invoice="INV-2"))
        pair.put("ApPosting", *pair.rows("ApPosting", Invoice="INV-2"))
        pair.put("ApInvoice", pair.row("ApInvoice", Invoice="INV-4") | {"Reference": "X"})
        line = pair.row("PorMasterDetail", PurchaseOrder=ORDER)
        pair.put("PorMasterDetail", line | {"MStockDes": "Bolt M6 x 45"})
        pair.forget_traffic()
        daemon.moment += timedelta(days=1)
        daemon.off.add("late_and_changed")
        daemon.schedule("watch")
        assert pair.traffic() == [], "the watch asks nothing of Cin7"
        assert daemon.sensor("late_and_changed") == []
        # The sensor is off: the daily catching up would ask for the same days.
        assert _asked(daemon.ask_schedule("catch_up")) == [(0, 0), (2, 2), (4, 4)]
        daemon.off.clear()
        daemon.sensor("late_and_changed")
        assert _requested(daemon, "late") == [(0, 0), (2, 2), (4, 4)]
        assert ("000000000100100", "INV-2") in pair.booked()
        # The same tick again, as after a crash, and another watch: nothing more is asked.
        daemon.forget_cursor("late_and_changed")
        assert daemon.ask_sensor("late_and_changed") == []
        daemon.moment += timedelta(days=1)
        assert daemon.schedule("watch")[0].succeeded
        assert daemon.ask_sensor("late_and_changed") == []
        assert daemon.ask_schedule("catch_up") == []
    pair.assert_clean()


def test_a_watch_that_could_not_look_is_red(start: Start) -> None:
    pair = start(_spread(), name="busy", **NARROW)
    pair.configure(syspro={"session_wait_seconds": 0})
    runtime, settings = Runtime(pair.environ), pair.connection.syspro
    operator = SealedSessionStore(
        runtime.vault, runtime.engine, pair.name, settings.enet_url, settings.operator
    )
    with daemon_of(pair, 20) as daemon:
        with operator.lock(0):
            assert not daemon.schedule("watch")[0].succeeded
        daemon.moment += timedelta(days=1)
        assert daemon.schedule("watch")[0].succeeded
    runtime.close()


def test_days_older_than_the_watched_ones_are_found_by_journal_date_and_open_orders(
    start: Start,
) -> None:
    pair = start(_spread(), name="older", watch={"days": 5}, **NARROW)
    order = pair.row("PorMasterHdr", PurchaseOrder=ORDER) | {"OrderStatus": "4"}
    pair.put("PorMasterHdr", order)
    kept = pair.row("ApInvoice", Invoice="INV-2")
    pair.remove("ApInvoice", [KEY, "INV-2"])
    assert pair.run(DAY, day(5)).succeeded
    with daemon_of(pair, 60) as daemon:
        assert daemon.schedule("watch")[0].succeeded
        assert daemon.ask_sensor("late_and_changed") == []
        pair.put("ApInvoice", kept | {"JournalDate": day(58)})
        pair.put("PorMasterHdr", order | {"OrderStatus": "*", "CancelledFlag": "Y"})
        daemon.moment += timedelta(days=1)
        assert daemon.schedule("watch")[0].succeeded
        assert _asked(daemon.ask_sensor("late_and_changed")) == [(0, 0), (2, 2)]


# --- held resolved -------------------------------------------------------------------


def test_a_mapping_that_is_there_at_last_runs_the_days_that_were_held_for_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = companies.unmapped_invoice()
    other = replace(
        invoice("INV-8", "80.00", document_no="5008"), invoice_date=day(4), due=day(20)
    )
    good = replace(invoice("INV-9", "9.00", document_no="5009"), invoice_date=day(2))
    pair = start(
        replace(
            whole,
            invoices=(*whole.invoices, other, good),
            gl_distributions=(
                *whole.gl_distributions,
                *postings(other, {"110.7990": "80.00"}),
                *postings(good, {"110.7010": "9.00"}),
            ),
        ),
        name="resolved",
        **NARROW,
    )
    assert pair.run(DAY, day(5)).exit_code == 3
    with daemon_of(pair, 20) as daemon:
        assert daemon.ask_sensor("held_resolved") == []
        (known,) = [
            r for r in read_csv(pair.folder, "gl_accounts") if r["syspro_code"] == "7010"
        ]
        pair.map_account("7990", known["cin7_account"])
        with monkeypatch.context() as few:
            few.setattr(sensors, "MOST_HELD_DAYS", 1)
            assert _asked(daemon.ask_schedule("catch_up")) == [(0, 0), (4, 4)]
        daemon.sensor("held_resolved")
        assert _requested(daemon, "resolved") == [(0, 0), (4, 4)]
        assert all(ran.succeeded for ran in daemon.ran)
        assert daemon.ask_sensor("held_resolved") == []
        assert daemon.ask_schedule("catch_up") == []
    assert {number for _, number in pair.booked()} == {"INV-NEW", "INV-8", "INV-9"}
    pair.assert_clean()


# --- retry failed --------------------------------------------------------------------


def test_red_days_are_tried_again_with_growing_delay_and_then_left(start: Start) -> None:
    pair = start(companies.one_invoice(), name="retried", **NARROW)
    pair.syspro.control("faults", {"path": "/logon", "kind": "html", "times": 100_000})
    assert not pair.run(DAY, day(1)).succeeded
    with daemon_of(pair, 3) as daemon:
        tried = []
        minutes = [sum(RETRY_MINUTES[:n]) for n in range(1, len(RETRY_MINUTES) + 1)]
        for minute in sorted({0, *minutes, *(m - 1 for m in minutes), 20_000}):
            daemon.moment = datetime(2026, 3, 5, 8, 0, tzinfo=UTC) + timedelta(minutes=minute)
            asked = daemon.ask_sensor("retry_failed")
            if asked:
                assert _asked(asked) == [(0, 1)]
                tried.append(minute)
        assert tried == minutes
        # With the sensor off or at its end, the next cycle begins at what is red.
        pair.syspro.control("faults", method="DELETE")
        assert _asked(daemon.ask_schedule("cycle")) == [(0, 17)]
        pair.run(DAY, day(1))
        assert daemon.ask_sensor("retry_failed") == []


def test_what_needs_a_person_is_not_tried_again(start: Start) -> None:
    pair = start(companies.one_invoice(), name="locked", **NARROW)
    variable = environment_variable(pair.name, "syspro_operator_password")
    pair.environ[variable] = "not-this-one"
    assert not pair.run(DAY).succeeded
    with daemon_of(pair, 1) as daemon:
        for _ in range(3):
            assert daemon.ask_sensor("retry_failed") == []
            daemon.moment += timedelta(hours=1)


# --- orphaned session ----------------------------------------------------------------


def test_a_session_that_a_dead_run_left_is_logged_off(start: Start) -> None:
    pair = start(companies.one_invoice(), name="orphaned", **NARROW)
    dead = Runtime(pair.environ)
    dead.extraction(pair.connection, "dead-run")
    with pair.dagster() as instance:
        daemon = Daemon(pair, instance, datetime.now(UTC) + timedelta(minutes=10))
        assert daemon.ask_sensor("orphaned_session") == [], "a run holds it"
        dead._syspro[pair.name].session.release()
        daemon.moment -= timedelta(minutes=9)
        assert daemon.ask_sensor("orphaned_session") == [], "it is too fresh"
        daemon.moment += timedelta(minutes=9)
        (ran,) = daemon.sensor("orphaned_session")
        assert ran.succeeded
        assert daemon.sensor("orphaned_session") == []
    told = pair.syspro.control("summary")
    assert (told["logons"], told["logoffs"], told["open_sessions"]) == (1, 1, 0)


# --- what a cycle owes ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "today", "due"),
    [
        ({}, 10, 10),
        ({9: "MATERIALIZED"}, 10, 10),
        ({9: "MATERIALIZED", 10: "MATERIALIZED"}, 10, 10),
        ({3: "MATERIALIZED"}, 10, 4),
        ({3: "MATERIALIZED", 4: "FAILED", 5: "FAILED"}, 10, 4),
        ({3: "MATERIALIZED", 5: "MATERIALIZED", 10: "MATERIALIZED"}, 10, 4),
        ({3: "MATERIALIZED", 4: "IN_PROGRESS"}, 5, 4),
        ({3: "MATERIALIZED"}, 90, 4),
        ({3: "FAILED"}, 10, 3),
    ],
)
def test_a_cycle_owes_the_days_after_the_last_one_that_is_done(
    states: dict[int, str], today: int, due: int
) -> None:
    found = {day(n): state for n, state in states.items()}
    assert due_since(found, day(today)) == day(due)


def test_days_that_a_backfill_is_filling_are_not_owed() -> None:
    found = {day(3): "MATERIALIZED", day(4): "IN_PROGRESS"}
    assert due_since(found, day(5), filling=True) == day(5)


def test_days_are_asked_for_in_ranges_without_gaps() -> None:
    assert ranges(day(n) for n in (5, 1, 2, 9, 3)) == [
        (day(1), day(3)),
        (day(5), day(5)),
        (day(9), day(9)),
    ]


def test_a_backfill_under_way_does_not_keep_the_cycle_waiting(start: Start) -> None:
    pair = start(companies.one_invoice(), name="busy", **NARROW)
    with daemon_of(pair, 1) as daemon:
        job = daemon.definitions.resolve_job_def("busy_sync")
        for tag, blocks in ((("mlc/backfill", "1"), False), (("mlc/trigger", "late"), True)):
            run = daemon.instance.create_run_for_job(
                job,
                status=dg.DagsterRunStatus.STARTED,
                tags={"connection": "busy", tag[0]: tag[1]},
            )
            assert (daemon.ask_schedule("cycle") == []) is blocks
            daemon.instance.report_run_failed(run)
            daemon.moment += timedelta(minutes=1)
