"""Schemas of staged frames: each kind of bad value is found, with what was expected."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from mlc_pipeline.staging.load import Stamp, upsert
from mlc_pipeline.staging.schemas import entity_schema, problems, staged_frame
from mlc_pipeline.staging.tables import SYSPRO
from mlc_pipeline.syspro.entities import ENTITIES, INVOICES, SCALES, Column, Entity

DAY = date(2026, 3, 2)
_VALUES: dict[str, Callable[[int], Any]] = {
    "key": lambda n: f"K{n}",
    "text": lambda n: f"text {n}",
    "date": lambda n: DAY,
    "integer": lambda n: Decimal(n),
}


def value_of(column: Column, number: int) -> Any:
    return _VALUES.get(column.kind, lambda n: Decimal(n) / 2)(number)


def rows_of(entity: Entity, count: int = 2) -> list[dict[str, Any]]:
    return [{c.name: value_of(c, n) for c in entity.columns} for n in range(1, count + 1)]


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, dtype=object)


def found(entity: Entity, rows: list[dict[str, Any]]) -> list[tuple[Any, Any, Any]]:
    listed = problems(entity_schema(entity), frame_of(rows))
    return [(p["row"], p["column"], p["expected"]) for p in listed]


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=lambda e: e.name)
def test_a_good_frame_of_each_entity_has_no_problem(entity: Entity) -> None:
    assert problems(entity_schema(entity), frame_of(rows_of(entity))) == []


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=lambda e: e.name)
def test_what_is_no_key_may_be_missing_and_a_key_may_not(entity: Entity) -> None:
    rows = rows_of(entity)
    for column in entity.columns:
        if column.name not in entity.key:
            rows[0][column.name] = None
    assert found(entity, rows) == []
    for name in entity.key:
        spoilt = [dict(rows[0]), rows[1]]
        spoilt[0][name] = None
        assert (0, name, "not_nullable") in found(entity, spoilt)


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=lambda e: e.name)
def test_a_key_twice_is_found(entity: Entity) -> None:
    rows = rows_of(entity)
    for name in entity.key:
        rows[1][name] = rows[0][name]
    assert {row for row, _, _ in found(entity, rows)} == {0, 1}


@pytest.mark.parametrize("blank", ["", "   "])
def test_a_blank_key_is_found(blank: str) -> None:
    rows = rows_of(INVOICES)
    rows[1]["supplier"] = blank
    assert found(INVOICES, rows) == [(1, "supplier", "not blank")]


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("value", 1.5),
        ("value", 1),
        ("value", "1.50"),
        ("value", Decimal("0.001")),
        ("value", Decimal(10) ** 12),
        ("value", Decimal(-(10**12))),
        ("exchange_rate", Decimal("0.0000001")),
        ("exchange_rate", Decimal(10) ** 6),
        ("journal", Decimal("0.5")),
        ("journal", Decimal(10) ** 15),
    ],
)
def test_a_number_that_does_not_fit_is_found(column: str, bad: Any) -> None:
    rows = rows_of(INVOICES)
    rows[1][column] = bad
    precision, scale = SCALES[INVOICES.column(column).kind]
    assert found(INVOICES, rows) == [(1, column, f"decimal({precision},{scale})")]


@pytest.mark.parametrize(
    ("column", "good"),
    [
        ("value", Decimal("999999999999.99")),
        ("value", Decimal("-0.01")),
        ("value", Decimal("1.500")),
        ("exchange_rate", Decimal("0.000001")),
    ],
)
def test_a_number_at_the_edge_fits(column: str, good: Decimal) -> None:
    rows = rows_of(INVOICES)
    rows[1][column] = good
    assert found(INVOICES, rows) == []


def test_a_missing_column_is_found() -> None:
    frame = frame_of(rows_of(INVOICES)).drop(columns=["value"])
    (problem,) = problems(entity_schema(INVOICES), frame)
    assert (problem["found"], problem["expected"]) == ("value", "column_in_dataframe")


def test_every_problem_is_told_at_once_with_what_was_found() -> None:
    rows = rows_of(INVOICES, 3)
    rows[0]["value"] = Decimal("0.001")
    rows[2]["invoice"] = ""
    listed = problems(entity_schema(INVOICES), frame_of(rows))
    assert {(p["row"], p["column"], str(p["found"])) for p in listed} == {
        (0, "value", "0.001"),
        (2, "invoice", ""),
    }


def test_a_staged_frame_is_what_a_run_staged_and_fits(database: sa.Engine) -> None:
    table = SYSPRO["invoices"]
    one, other = rows_of(INVOICES)
    stamps = {"connection": "acme", "partition": DAY}
    with database.begin() as connection:
        upsert(connection, table, [{**one, **stamps, "run_id": "run-1"}])
        upsert(connection, table, [{**other, **stamps, "run_id": "run-2"}])
    with database.connect() as connection:
        frame = staged_frame(connection, "invoices", Stamp("acme", "run-1"))
        empty = staged_frame(connection, "invoices", Stamp("acme", "run-3"))
    assert list(frame["invoice"]) == ["K1"]
    assert frame["value"].iloc[0] == Decimal("0.50")
    assert isinstance(frame["value"].iloc[0], Decimal)
    assert frame["invoice_date"].iloc[0] == DAY
    assert problems(entity_schema(INVOICES), frame) == []
    assert problems(entity_schema(INVOICES), empty) == []
