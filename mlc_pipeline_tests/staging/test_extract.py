"""Extraction: rows by day, and by key exactly what documents of the window still need."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.staging import extract
from mlc_pipeline.staging.extract import CounterpartReader, Counterparts, Extraction
from mlc_pipeline.staging.load import Stamp, note_rejected
from mlc_pipeline.staging.operations import read_days
from mlc_pipeline.staging.tables import SYSPRO, rejected_rows
from mlc_pipeline.syspro.entities import ENTITIES, Entity
from mlc_pipeline.syspro.reader import (
    DateRange,
    Everything,
    Keys,
    Missing,
    RejectedRow,
    Row,
    Where,
)

DAY = date(2026, 3, 2)
EARLIER, LATER = DAY - timedelta(days=30), DAY + timedelta(days=9)
SUPPLIER, ORDER = "000123", "4711"

Rows = dict[str, list[dict[str, Any]]]


@dataclass
class ScriptedReader:
    """A SYSPRO company in memory: filters as a reader does, remembers what was asked."""

    tables: Rows
    rejected: list[RejectedRow] = field(default_factory=list)
    asked: list[tuple[str, Where]] = field(default_factory=list)
    spoilt: dict[str, list[str]] = field(default_factory=dict)
    spoilt_dates: dict[str, str] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        return len(self.asked)

    def check(self, entities: Iterable[Entity]) -> list[str]:
        return [e.name for e in entities if e.optional and e.name not in self.tables]

    def read(self, entity: Entity, where: Where) -> Iterator[list[Row]]:
        self.asked.append((entity.name, where))
        for key in self.spoilt.get(entity.name, []):
            raw = json.dumps({"Invoice": key, "InvoiceDate": self.spoilt_dates.get(key, "")})
            self.rejected.append(RejectedRow(entity.name, key, raw, f"{key} is bad"))
        found = [r for r in self.tables.get(entity.name, []) if _fits(r, where)]
        # Pages of one row show that nothing depends on how many there are.
        for row in found:
            yield [{column.name: row.get(column.name) for column in entity.columns}]

    def keys(self, entity: str) -> list[tuple[Any, ...]]:
        """Return the keys that an entity was read by."""
        return [
            value
            for name, where in self.asked
            if name == entity and isinstance(where, Keys)
            for value in where.values
        ]


def _fits(row: dict[str, Any], where: Where) -> bool:
    if isinstance(where, DateRange):
        day = row.get(where.column)
        return day is not None and where.first <= day <= where.last
    if isinstance(where, Missing):
        return row.get(where.column) is None
    if isinstance(where, Keys):
        return tuple(row.get(column) for column in where.columns) in where.values
    return isinstance(where, Everything)


def invoice(number: str = "INV-1", day: date | None = DAY, value: Any = 5, **more: Any) -> Any:
    amount = None if value is None else Decimal(value)
    row = {"supplier": SUPPLIER, "invoice": number, "invoice_date": day, "value": amount}
    return {**row, **more}


def posting(number: str = "INV-1", day: date = DAY, amount: Any = 5, entry: int = 1) -> Any:
    return {
        "posting_year": Decimal(2026),
        "posting_month": Decimal(3),
        "journal": Decimal(1),
        "entry_number": Decimal(entry),
        "sub_entry": Decimal(1),
        "supplier": SUPPLIER,
        "invoice": number,
        "post_date": day,
        "gl_code": "10.5000",
        "amount": Decimal(amount),
    }


def match(number: str = "INV-1", grn: str = "G1", day: date = DAY) -> Any:
    return {
        "supplier": SUPPLIER,
        "grn": grn,
        "invoice": number,
        "journal": Decimal(1),
        "entry_number": Decimal(1),
        "matched_date": day,
    }


def receipt(grn: str = "G1", day: date | None = DAY, order: str = ORDER) -> Any:
    return {
        "supplier": SUPPLIER,
        "grn": grn,
        "grn_source": "P",
        "journal": Decimal(1),
        "journal_entry": Decimal(1),
        "purchase_order": order,
        "receipt_date": day,
    }


def order(number: str = ORDER, day: date | None = DAY) -> Any:
    return {"purchase_order": number, "supplier": SUPPLIER, "order_date": day}


def line(number: str = ORDER, place: int = 1) -> Any:
    return {"purchase_order": number, "line": Decimal(place)}


def extraction(
    engine: sa.Engine, reader: ScriptedReader, *, run: str = "run-1", absent: str = ""
) -> Extraction:
    names = frozenset({absent} - {""})
    return Extraction(engine, reader, ENTITIES, Stamp("acme", run), names)


DATED = ("purchase_orders", "receipts", "receipt_matches", "invoices", "postings")


def by_day(reading: Extraction, first: date = DAY, last: date = DAY) -> None:
    """Read the days as the dated assets do."""
    for name in DATED:
        reading.dated(name, first, last)
    extract.order_lines(reading, first, last)


def counterparts(
    engine: sa.Engine,
    reader: ScriptedReader,
    *,
    po_link: str = "grn_matching",
    last: date = DAY,
    **options: Any,
) -> Counterparts:
    """Read a day, then what its documents need; only the latter is remembered as asked."""
    reading = extraction(engine, reader, **options)
    by_day(reading, DAY, last)
    reader.asked.clear()
    return CounterpartReader(reading, DAY, last, po_link).read()


def staged(engine: sa.Engine, entity: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(SYSPRO[entity])))


# --- by day, without a day, whole ---


def test_a_day_without_rows_is_remembered_as_read_from_when_the_reading_began(
    engine: sa.Engine,
) -> None:
    work = extraction(engine, ScriptedReader({"invoices": [invoice()]}))
    work.dated("invoices", EARLIER, DAY)
    query = sa.select(read_days.c.day).where(read_days.c.entity == "invoices")
    with engine.connect() as connection:
        assert len(set(connection.execute(query).scalars())) == 31


def test_days_are_read_by_the_date_column_and_put_into_their_partitions(
    database: sa.Engine,
) -> None:
    reader = ScriptedReader({"invoices": [invoice("1"), invoice("2", LATER)]})
    loaded = extraction(database, reader).dated("invoices", DAY, LATER)
    assert reader.asked == [("invoices", DateRange("invoice_date", DAY, LATER))]
    assert {r.invoice: r.partition for r in staged(database, "invoices")} == {
        "1": DAY,
        "2": LATER,
    }
    assert (loaded.rows, loaded.value_by_day) == (2, {DAY: 5, LATER: 5})


def test_rows_without_a_date_are_read_and_replaced_by_themselves(database: sa.Engine) -> None:
    tables = {"invoices": [invoice("1", None), invoice("2", None), invoice("3")]}
    reader = ScriptedReader(tables)
    extraction(database, reader).undated("invoices")
    assert {r.invoice for r in staged(database, "invoices")} == {"1", "2"}
    tables["invoices"].pop(0)
    loaded = extraction(database, reader, run="run-2").undated("invoices")
    assert ({r.invoice for r in staged(database, "invoices")}, loaded.removed) == ({"2"}, 1)


def test_a_snapshot_replaces_the_whole_entity(database: sa.Engine) -> None:
    tables: Rows = {"suppliers": [{"supplier": "1"}, {"supplier": "2"}]}
    reader = ScriptedReader(tables)
    extraction(database, reader).snapshot("suppliers")
    tables["suppliers"].pop()
    loaded = extraction(database, reader, run="run-2").snapshot("suppliers")
    assert {r.supplier for r in staged(database, "suppliers")} == {"1"}
    assert loaded.removed == 1


def test_an_entity_without_dates_is_not_read_by_day(database: sa.Engine) -> None:
    with pytest.raises(ValueError, match="suppliers has no date column"):
        extraction(database, ScriptedReader({})).dated("suppliers", DAY, DAY)


def test_an_entity_that_the_customer_does_not_have_is_not_asked_for(
    database: sa.Engine,
) -> None:
    reader = ScriptedReader({})
    reading = extraction(database, reader, absent="receipt_matches")
    assert reading.dated("receipt_matches", DAY, DAY).rows == 0
    assert reading.by_key("receipt_matches", ("grn",), [("G1",)])[0] == 0
    assert reader.asked == []


def test_rejected_rows_are_kept_with_their_entity_and_cleared_when_read_well(
    database: sa.Engine,
) -> None:
    reader = ScriptedReader({"invoices": []}, spoilt={"invoices": ["invoice=X"]})
    extraction(database, reader).dated("invoices", DAY, DAY)
    with database.connect() as connection:
        (row,) = connection.execute(sa.select(rejected_rows))
    assert (row.entity, row.key, row.partition) == ("invoices", "invoice=X", DAY)
    assert row.reason == "invoice=X is bad"
    assert row.row == [{"Invoice": "invoice=X", "InvoiceDate": ""}]
    reader.spoilt.clear()
    extraction(database, reader, run="run-2").dated("invoices", DAY, DAY)
    with database.connect() as connection:
        assert connection.execute(sa.select(rejected_rows)).all() == []


def test_a_range_read_before_does_not_keep_a_row_rejected_that_reads_well_now(
    database: sa.Engine,
) -> None:
    """A row may be rejected in a range and be read well in the run of its own day."""
    reader = ScriptedReader({"invoices": []}, spoilt={"invoices": ["invoice=X"]})
    reader.spoilt_dates["invoice=X"] = f"{LATER}T00:00:00Z"
    extraction(database, reader).dated("invoices", DAY, LATER)
    reader.spoilt.clear()
    reader.tables["invoices"].append(invoice("X", LATER))
    extraction(database, reader, run="run-2").dated("invoices", LATER, LATER)
    with database.connect() as connection:
        assert connection.execute(sa.select(rejected_rows)).all() == []


# --- by key ---


def test_keys_are_read_once_each_and_rows_that_vanished_go(database: sa.Engine) -> None:
    tables = {"purchase_orders": [order("1"), order("2"), order("3")]}
    reader = ScriptedReader(tables)
    keys = [("2",), ("1",), ("1",)]
    wanted, loaded = extraction(database, reader).by_key(
        "purchase_orders", ("purchase_order",), keys
    )
    assert (wanted, loaded.rows) == (2, 2)
    assert reader.keys("purchase_orders") == [("1",), ("2",)]
    tables["purchase_orders"].pop(0)
    _, loaded = extraction(database, reader, run="run-2").by_key(
        "purchase_orders", ("purchase_order",), keys
    )
    assert (
        {r.purchase_order for r in staged(database, "purchase_orders")},
        loaded.removed,
    ) == (
        {"2"},
        1,
    )


@pytest.mark.parametrize(
    ("other", "stays"),
    [("47110", True), ("4711, 2", True), ("4711%", True), ("4711  ", False), ("4711", False)],
)
def test_a_reading_by_key_forgets_the_rejections_of_its_own_keys_alone(
    database: sa.Engine, other: str, stays: bool
) -> None:
    key = f"purchase_order={other}, line=2"
    noted = {"key": key, "reason": "bad", "row": {"PurchaseOrder": other}, "partition": None}
    lines = "purchase_order_lines"
    note_rejected(database, Stamp("acme", "run-1"), lines, [noted], (None, None))
    reading = extraction(database, ScriptedReader({lines: []}), run="run-2")
    reading.by_key(lines, ("purchase_order",), [("4711",)])
    with database.connect() as connection:
        kept = [*connection.scalars(sa.select(rejected_rows.c.key))]
    assert kept == ([key] if stays else [])


def test_no_keys_ask_for_nothing(database: sa.Engine) -> None:
    reader = ScriptedReader({})
    assert extraction(database, reader).by_key("invoices", ("invoice",), [])[0] == 0
    assert reader.asked == []


def test_the_lines_of_the_days_orders_are_read(database: sa.Engine) -> None:
    tables = {
        "purchase_orders": [order("1"), order("2", LATER), order("3", None)],
        "purchase_order_lines": [line("1"), line("2"), line("3")],
    }
    reader = ScriptedReader(tables)
    reading = extraction(database, reader)
    reading.undated("purchase_orders")
    reading.dated("purchase_orders", DAY, DAY)
    extract.order_lines(reading, DAY, DAY)
    assert reader.keys("purchase_order_lines") == [("1",), ("3",)]


# --- counterparts: exactly what is missing ---


def test_a_day_that_is_whole_asks_for_its_matches_alone(database: sa.Engine) -> None:
    reader = ScriptedReader(
        {
            "invoices": [invoice()],
            "postings": [posting()],
            "receipts": [receipt()],
            "receipt_matches": [match()],
            "purchase_orders": [order()],
            "purchase_order_lines": [line()],
        }
    )
    counts = counterparts(database, reader)
    asked = {name for name, _ in reader.asked}
    assert asked == {"receipt_matches"}
    assert counts.wanted == {
        "invoices": 0,
        "receipt_matches": 1,
        "postings": 0,
        "receipts": 0,
        "purchase_orders": 0,
        "purchase_order_lines": 0,
    }


def test_a_match_without_a_date_is_read_with_its_invoice(database: sa.Engine) -> None:
    reader = ScriptedReader({"invoices": [invoice()], "receipt_matches": [match(day=None)]})
    counterparts(database, reader)
    assert [r.partition for r in staged(database, "receipt_matches")] == [None]


def test_the_order_of_a_receipt_without_a_date_is_read(database: sa.Engine) -> None:
    reader = ScriptedReader({"receipts": [receipt(day=None)], "purchase_orders": []})
    extraction(database, reader).undated("receipts")
    counterparts(database, reader)
    assert reader.keys("purchase_orders") == [(ORDER,)]


def test_the_late_postings_of_the_days_invoices_are_read(database: sa.Engine) -> None:
    reader = ScriptedReader(
        {
            "invoices": [invoice("INV-1"), invoice("INV-2")],
            "postings": [
                posting("INV-1"),
                posting("INV-2", amount=2, entry=2),
                posting("INV-2", LATER, 3, entry=3),
            ],
        }
    )
    counts = counterparts(database, reader)
    assert reader.keys("postings") == [(SUPPLIER, "INV-2")]
    assert len(staged(database, "postings")) == 3
    assert (counts.wanted["postings"], counts.found["postings"]) == (1, 2)


def test_the_invoice_of_a_posting_dated_elsewhere_is_read_with_its_other_postings(
    database: sa.Engine,
) -> None:
    reader = ScriptedReader(
        {
            "invoices": [invoice(day=EARLIER)],
            "postings": [posting(day=EARLIER, amount=2), posting(amount=3, entry=2)],
        }
    )
    counterparts(database, reader)
    assert reader.keys("invoices") == [(SUPPLIER, "INV-1")]
    assert [r.partition for r in staged(database, "invoices")] == [EARLIER]
    assert sum(r.amount for r in staged(database, "postings")) == 5


def test_the_receipt_of_a_match_its_order_and_its_lines_are_read(database: sa.Engine) -> None:
    reader = ScriptedReader(
        {
            "invoices": [invoice()],
            "postings": [posting()],
            "receipt_matches": [match(day=LATER)],
            "receipts": [receipt(day=EARLIER), receipt("G2", EARLIER, "4712")],
            "purchase_orders": [order(day=EARLIER), order("4712", EARLIER)],
            "purchase_order_lines": [line(), line(place=2), line("4712")],
        }
    )
    counts = counterparts(database, reader)
    assert reader.keys("receipts") == [(SUPPLIER, "G1")]
    assert reader.keys("purchase_orders") == [(ORDER,)]
    assert reader.keys("purchase_order_lines") == [(ORDER,)]
    assert counts.found["purchase_order_lines"] == 2


def test_the_order_of_the_days_receipts_is_read(database: sa.Engine) -> None:
    reader = ScriptedReader(
        {
            "receipts": [receipt(), receipt("G2", order="")],
            "purchase_orders": [order(day=EARLIER)],
            "purchase_order_lines": [line()],
        }
    )
    counterparts(database, reader)
    assert reader.keys("purchase_orders") == [(ORDER,)]
    assert len(staged(database, "purchase_order_lines")) == 1


def test_the_invoice_of_a_match_dated_elsewhere_is_read(database: sa.Engine) -> None:
    reader = ScriptedReader(
        {
            "invoices": [invoice(day=EARLIER)],
            "postings": [posting(day=EARLIER)],
            "receipt_matches": [match()],
            "receipts": [receipt()],
            "purchase_orders": [order()],
        }
    )
    counterparts(database, reader)
    assert reader.keys("invoices") == [(SUPPLIER, "INV-1")]
    assert reader.keys("postings") == [(SUPPLIER, "INV-1")]


def test_the_invoice_that_a_credit_names_is_read(database: sa.Engine) -> None:
    reader = ScriptedReader(
        {
            "invoices": [
                invoice("INV-0", EARLIER),
                invoice("CR-1", value=-5, reference="INV-0"),
                invoice("INV-2", reference="not an invoice: it is no credit"),
            ],
            "postings": [posting("CR-1", amount=-5), posting("INV-2", entry=2)],
        }
    )
    counterparts(database, reader)
    assert reader.keys("invoices") == [(SUPPLIER, "INV-0")]


@pytest.mark.parametrize(
    ("po_link", "keys"), [("invoice_reference", [(ORDER,)]), ("grn_matching", [])]
)
def test_the_order_that_an_invoice_names_is_read_by_policy(
    database: sa.Engine, po_link: str, keys: list[tuple[str]]
) -> None:
    reader = ScriptedReader(
        {
            "invoices": [invoice(reference=ORDER), invoice("INV-2", reference=None)],
            "postings": [posting(), posting("INV-2", entry=2)],
            "purchase_orders": [order(day=EARLIER)],
        }
    )
    counterparts(database, reader, po_link=po_link)
    assert reader.keys("purchase_orders") == keys


def test_an_invoice_without_a_value_does_not_stop_the_reading(database: sa.Engine) -> None:
    reader = ScriptedReader({"invoices": [invoice(value=None, reference="INV-0")]})
    counts = counterparts(database, reader)
    assert counts.wanted["receipt_matches"] == 1


def test_a_customer_without_matches_is_read_without_them(database: sa.Engine) -> None:
    reader = ScriptedReader({"invoices": [invoice()], "postings": [posting()]})
    counts = counterparts(database, reader, absent="receipt_matches")
    assert counts.wanted["receipt_matches"] == 0
    assert "receipt_matches" not in {name for name, _ in reader.asked}


def test_reading_the_counterparts_again_changes_nothing(database: sa.Engine) -> None:
    tables: Rows = {
        "invoices": [invoice()],
        "postings": [posting(day=LATER)],
        "receipt_matches": [match(day=LATER)],
        "receipts": [receipt(day=EARLIER)],
        "purchase_orders": [order(day=EARLIER)],
        "purchase_order_lines": [line()],
    }

    def everything() -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: sorted(
                tuple(v for k, v in row._mapping.items() if k not in ("run_id", "extracted_at"))
                for row in staged(database, name)
            )
            for name in tables
        }

    counterparts(database, ScriptedReader(tables))
    first = everything()
    assert all(first.values())
    counterparts(database, ScriptedReader(tables), run="run-2")
    assert everything() == first
