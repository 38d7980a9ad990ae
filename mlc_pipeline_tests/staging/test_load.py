"""Loading: what a load delivers replaces what it stands for, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.staging.load import (
    Loaded,
    Stamp,
    load_pages,
    note_rejected,
    replace_days,
    replace_table,
    upsert,
)
from mlc_pipeline.staging.tables import CIN7, PLAN, SYSPRO, rejected_rows

DAY = date(2026, 3, 2)
NEXT = DAY + timedelta(days=1)
INVOICES = SYSPRO["invoices"]


def invoice(number: str, day: date | None = DAY, value: str | None = "1.00") -> dict[str, Any]:
    amount = None if value is None else Decimal(value)
    return {"supplier": "000123", "invoice": number, "invoice_date": day, "value": amount}


def load(
    engine: sa.Engine,
    *pages: list[dict[str, Any]],
    run: str = "run-1",
    name: str = "acme",
    first: date = DAY,
    last: date = DAY,
) -> Loaded:
    return load_pages(
        engine,
        INVOICES,
        Stamp(name, run),
        pages,
        date_column="invoice_date",
        replaced=lambda: INVOICES.c.partition.between(first, last),
        value_column="value",
    )


def staged(engine: sa.Engine, name: str = "acme") -> dict[str, Any]:
    with engine.connect() as connection:
        query = sa.select(INVOICES).where(INVOICES.c.connection == name)
        return {row.invoice: row for row in connection.execute(query)}


def test_pages_are_staged_with_their_partition_and_run(database: sa.Engine) -> None:
    loaded = load(database, [invoice("1"), invoice("2")], [], [invoice("3", NEXT)], last=NEXT)
    rows = staged(database)
    assert {number: row.partition for number, row in rows.items()} == {
        "1": DAY,
        "2": DAY,
        "3": NEXT,
    }
    assert {row.run_id for row in rows.values()} == {"run-1"}
    assert (loaded.rows, loaded.removed) == (3, 0)
    assert loaded.rows_by_day == {DAY: 2, NEXT: 1}
    assert loaded.value_by_day == {DAY: Decimal("2.00"), NEXT: Decimal("1.00")}


def test_a_row_delivered_again_is_replaced_whole(database: sa.Engine) -> None:
    load(database, [{**invoice("1", value="1.00"), "reference": "old"}])
    loaded = load(database, [invoice("1", value="2.50")], run="run-2")
    row = staged(database)["1"]
    assert (row.value, row.reference, row.run_id) == (Decimal("2.50"), None, "run-2")
    assert loaded.removed == 0


def test_a_row_that_is_not_delivered_again_is_gone(database: sa.Engine) -> None:
    load(database, [invoice("1"), invoice("2")])
    loaded = load(database, [invoice("2")], run="run-2")
    assert set(staged(database)) == {"2"}
    assert loaded.removed == 1


def test_a_load_removes_nothing_outside_of_its_days(database: sa.Engine) -> None:
    load(database, [invoice("1"), invoice("2", NEXT), invoice("3", None)], last=NEXT)
    load(database, [], run="run-2")
    assert set(staged(database)) == {"2", "3"}


def test_a_load_removes_nothing_of_another_connection(database: sa.Engine) -> None:
    load(database, [invoice("1")], name="other")
    load(database, [], run="run-2")
    assert set(staged(database, "other")) == {"1"}


def test_a_row_that_moved_to_another_day_is_there_once(database: sa.Engine) -> None:
    load(database, [invoice("1", DAY)])
    load(database, [invoice("1", NEXT)], run="run-2", first=NEXT, last=NEXT)
    load(database, [], run="run-3")
    assert {n: row.partition for n, row in staged(database).items()} == {"1": NEXT}


def test_two_loads_of_one_run_keep_each_others_rows(database: sa.Engine) -> None:
    load(database, [invoice("1")])
    load(database, [invoice("2")])
    assert set(staged(database)) == {"1", "2"}


def test_a_load_that_breaks_off_changes_nothing(database: sa.Engine) -> None:
    load(database, [invoice("1")])

    def pages() -> Iterable[list[dict[str, Any]]]:
        yield [invoice("1", value="9.00"), invoice("2")]
        raise ConnectionError("in the middle")

    with pytest.raises(ConnectionError):
        load_pages(
            database,
            INVOICES,
            Stamp("acme", "run-2"),
            pages(),
            date_column="invoice_date",
            replaced=lambda: sa.true(),
        )
    assert {n: r.value for n, r in staged(database).items()} == {"1": Decimal("1.00")}


def overlapping(
    engine: sa.Engine, first: list[dict[str, Any]], meanwhile: list[dict[str, Any]]
) -> Loaded:
    """Load a page, and another run's whole reading between it and the end."""

    def pages() -> Iterable[list[dict[str, Any]]]:
        yield first
        load(engine, meanwhile, run="run-b")

    return load_pages(
        engine,
        INVOICES,
        Stamp("acme", "run-a"),
        pages(),
        date_column="invoice_date",
        replaced=lambda: INVOICES.c.partition == DAY,
    )


def test_a_reading_keeps_what_another_saw_after_it_began(database: sa.Engine) -> None:
    load(database, [invoice("gone")], run="run-0")
    loaded = overlapping(database, [invoice("1")], [invoice("1"), invoice("new")])
    assert set(staged(database)) == {"1", "new"}
    assert loaded.removed == 0  # the other reading found that it was gone


def test_a_row_is_what_was_read_of_it_last(database: sa.Engine) -> None:
    """Nobody waits for a row while SYSPRO is read: the other reading is done at once."""
    overlapping(database, [invoice("1", value="1.00")], [invoice("1", value="2.00")])
    row = staged(database)["1"]
    assert (row.value, row.run_id) == (Decimal("2.00"), "run-b")


def test_a_row_that_moved_while_it_was_read_is_there_as_it_came_last(
    database: sa.Engine,
) -> None:
    load(database, [invoice("1", value="1.00")], [invoice("1", value="2.00")])
    assert staged(database)["1"].value == Decimal("2.00")


def test_more_rows_than_a_batch_are_all_loaded(database: sa.Engine) -> None:
    loaded = load(database, [invoice(str(n)) for n in range(2001)])
    assert loaded.rows == len(staged(database)) == 2001


def test_a_row_without_a_value_counts_as_zero(database: sa.Engine) -> None:
    loaded = load(database, [invoice("1", value=None), invoice("2", value="3.00")])
    assert loaded.value_by_day == {DAY: Decimal("3.00")}


def test_amounts_come_back_digit_for_digit(database: sa.Engine) -> None:
    load(database, [invoice("1", value="123456789012.34")])
    assert staged(database)["1"].value == Decimal("123456789012.34")


def test_an_upsert_of_nothing_is_nothing(database: sa.Engine) -> None:
    with database.begin() as connection:
        upsert(connection, INVOICES, [])
    assert staged(database) == {}


# --- plan, push and snapshot tables ---


def plan_row(key: str, day: date = DAY) -> dict[str, Any]:
    return {
        "partition": day,
        "source_key": key,
        "kind": "invoice",
        "verdict": "create",
        "amount": Decimal(1),
    }


def planned(engine: sa.Engine, name: str = "acme") -> set[tuple[str, date]]:
    table = PLAN["invoices"]
    with engine.connect() as connection:
        query = sa.select(table.c.source_key, table.c.partition)
        found = connection.execute(query.where(table.c.connection == name))
        return {(row.source_key, row.partition) for row in found}


def test_days_are_replaced_and_the_others_stay(database: sa.Engine) -> None:
    table, stamp = PLAN["invoices"], Stamp("acme", "run-1")
    rows = [plan_row("a"), plan_row("b", NEXT), plan_row("c", NEXT + timedelta(days=1))]
    replace_days(database, table, stamp, DAY, NEXT + timedelta(days=1), rows)
    replace_days(database, table, Stamp("other", "run-1"), DAY, DAY, [plan_row("x")])
    replace_days(database, table, stamp, DAY, NEXT, [plan_row("d", NEXT)])
    assert planned(database) == {("c", NEXT + timedelta(days=1)), ("d", NEXT)}
    assert planned(database, "other") == {("x", DAY)}


def test_days_stay_as_they_were_when_their_rows_cannot_be_written(
    database: sa.Engine,
) -> None:
    table, stamp = PLAN["invoices"], Stamp("acme", "run-1")
    replace_days(database, table, stamp, DAY, DAY, [plan_row("a")])
    with pytest.raises(sa.exc.IntegrityError):
        replace_days(database, table, stamp, DAY, DAY, [plan_row("b"), plan_row("b")])
    assert planned(database) == {("a", DAY)}


def test_a_snapshot_replaces_the_connections_rows(database: sa.Engine) -> None:
    table = CIN7["locations"]

    def names(name: str) -> set[str]:
        with database.connect() as connection:
            query = sa.select(table.c.name).where(table.c.connection == name)
            return {*connection.scalars(query)}

    for name in ("acme", "other"):
        rows = [{"name": n, "deprecated": False, "raw": {}} for n in ("Main", "Yard")]
        assert replace_table(database, table, Stamp(name, "run-1"), rows) == 2
    rows = [{"name": "Shed", "deprecated": False, "raw": {}}]
    replace_table(database, table, Stamp("acme", "run-2"), rows)
    assert (names("acme"), names("other")) == ({"Shed"}, {"Main", "Yard"})


# --- rejected rows ---


def rejected(engine: sa.Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        return {row.key: row for row in connection.execute(sa.select(rejected_rows))}


def bad(key: str, day: date | None = DAY, **row: Any) -> dict[str, Any]:
    return {"key": key, "reason": f"{key} is bad", "row": row, "partition": day}


def note(
    engine: sa.Engine,
    *rows: dict[str, Any],
    run: str = "run-1",
    window: tuple[date | None, date | None] = (DAY, DAY),
    entity: str = "invoices",
) -> int:
    return note_rejected(engine, Stamp("acme", run), entity, rows, window)


def test_a_rejected_row_is_kept_whole_with_its_reason(database: sa.Engine) -> None:
    assert note(database, bad("a", value="x")) == 1
    row = rejected(database)["a"]
    assert (row.entity, row.partition, row.run_id) == ("invoices", DAY, "run-1")
    assert (row.reason, row.row) == ("a is bad", [{"value": "x"}])


def test_two_rows_of_one_key_are_both_kept(database: sa.Engine) -> None:
    assert note(database, bad("a", value="1"), bad("a", value="2")) == 1
    assert rejected(database)["a"].row == [{"value": "1"}, {"value": "2"}]


def test_a_row_that_reads_well_the_next_time_is_cleared(database: sa.Engine) -> None:
    note(database, bad("a"), bad("b"))
    note(database, bad("b"), run="run-2")
    assert {key: row.run_id for key, row in rejected(database).items()} == {"b": "run-2"}


def test_rejected_rows_of_other_days_and_entities_stay(database: sa.Engine) -> None:
    note(database, bad("a"))
    note(database, bad("b", NEXT), window=(NEXT, NEXT))
    note(database, bad("c", None), window=(None, None))
    note(database, bad("d"), entity="postings")
    note(database, run="run-2")
    assert set(rejected(database)) == {"b", "c", "d"}
    note(database, run="run-2", window=(None, None))
    assert set(rejected(database)) == {"b", "d"}


def test_readings_of_one_run_keep_each_others_rejections(database: sa.Engine) -> None:
    note(database, bad("a", None), window=(None, None))
    note(database, bad("b", None), window=(None, None))
    assert set(rejected(database)) == {"a", "b"}
