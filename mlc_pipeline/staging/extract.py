"""Extraction: SYSPRO rows read by day or by key into the staged tables.

Dated entities are read by their date column. What belongs to a considered document and is
dated elsewhere (its order, its late posting, the receipt it is matched to) is then read by
its key, so that a run never plans on half a document.

What must not come in: verdicts, Dagster, how a reader reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.keys import among
from mlc_pipeline.staging.load import Loaded, Stamp, load_pages, note_rejected, upsert
from mlc_pipeline.staging.operations import read_days
from mlc_pipeline.staging.tables import SYSPRO
from mlc_pipeline.staging.waiting import invoices_waiting_for
from mlc_pipeline.syspro.entities import Entity
from mlc_pipeline.syspro.reader import DateRange, Everything, Keys, Missing, Reader, Where
from mlc_pipeline.syspro.rows import read_date

VALUE_COLUMNS = {"invoices": "value", "postings": "amount", "receipts": "value"}
"""The money column of each entity that has one."""

_IN = 5000


@dataclass(frozen=True)
class Extraction:
    """What one run extracts with: its reader, the entities as the customer has them.

    `absent` names the optional entities that this customer does not have.
    """

    engine: sa.Engine
    reader: Reader
    entities: Mapping[str, Entity]
    stamp: Stamp
    absent: frozenset[str] = field(default_factory=frozenset)

    def dated(self, name: str, first: date, last: date) -> Loaded:
        """Read the rows of an entity whose date is from first to last, both included."""
        entity, table = self.entities[name], SYSPRO[name]
        with self.engine.connect() as connection:
            began = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        loaded = self._load(
            name,
            DateRange(_date_column(entity), first, last),
            table.c.partition.between(first, last),
            (first, last),
        )
        self._note_read(name, first, last, began)
        return loaded

    def undated(self, name: str) -> Loaded:
        """Read the rows of an entity that have no date, so that none is overlooked."""
        entity, table = self.entities[name], SYSPRO[name]
        return self._load(
            name, Missing(_date_column(entity)), table.c.partition.is_(None), (None, None)
        )

    def snapshot(self, name: str) -> Loaded:
        """Read a whole entity that has no dates to filter by."""
        return self._load(name, Everything(), sa.true(), (None, None))

    def by_key(
        self, name: str, columns: tuple[str, ...], keys: Iterable[tuple[Any, ...]]
    ) -> tuple[int, Loaded]:
        """Read rows of an entity by key; return how many keys were wanted, and the load."""
        wanted = sorted(set(keys))
        if not wanted or name in self.absent:
            return 0, Loaded()
        table, total = SYSPRO[name], Loaded()
        target = [table.c[column] for column in columns]
        for start in range(0, len(wanted), _IN):
            chunk = wanted[start : start + _IN]
            was_read = _named_by(self.entities[name], columns, chunk)
            loaded = self._load(
                name, Keys(columns, chunk), among(target, chunk), (None, None), was_read
            )
            total.rows += loaded.rows
            total.removed += loaded.removed
        return len(wanted), total

    def _note_read(self, name: str, first: date, last: date, began: datetime) -> None:
        """Remember when the days were read: what came into SYSPRO later was not seen."""
        rows = [
            {
                "connection": self.stamp.connection,
                "entity": name,
                "day": first + timedelta(days=n),
                "run_id": self.stamp.run_id,
                "read_at": began,
            }
            for n in range((last - first).days + 1)
        ]
        with self.engine.begin() as connection:
            upsert(connection, read_days, rows)

    def _load(
        self,
        name: str,
        where: Where,
        replaced: sa.ColumnElement[bool],
        window: tuple[date | None, date | None],
        was_read: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> Loaded:
        if name in self.absent:
            return Loaded()
        entity = self.entities[name]
        before = len(self.reader.rejected)
        loaded = load_pages(
            self.engine,
            SYSPRO[name],
            self.stamp,
            self.reader.read(entity, where),
            date_column=entity.date_column,
            replaced=lambda: replaced,
            value_column=VALUE_COLUMNS.get(name),
        )
        rejected = [
            {
                "key": bad.key,
                "reason": bad.message,
                "row": json.loads(bad.raw),
                "partition": _day_of(json.loads(bad.raw), entity, window),
            }
            for bad in self.reader.rejected[before:]
        ]
        note_rejected(self.engine, self.stamp, name, rejected, window, was_read)
        return loaded


def _named_by(
    entity: Entity, columns: tuple[str, ...], keys: Iterable[tuple[Any, ...]]
) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells whether a row as it came has one of some keys; all of them text."""
    sources = [entity.column(column).source for column in columns]
    wanted = {tuple(str(part).rstrip(" ") for part in key) for key in keys}
    return lambda raw: tuple(str(raw.get(s) or "").rstrip(" ") for s in sources) in wanted


def _day_of(
    raw: Mapping[str, Any], entity: Entity, window: tuple[date | None, date | None]
) -> date | None:
    """Return the day of a row that could not be read: its own when that is legible."""
    if window[0] is None or entity.date_column is None:
        return None
    try:
        return read_date(raw.get(entity.column(entity.date_column).source)) or window[0]
    except ValueError:
        return window[0]


def _date_column(entity: Entity) -> str:
    if entity.date_column is None:
        raise ValueError(f"{entity.name} has no date column; read it as a snapshot")
    return entity.date_column


def order_lines(extraction: Extraction, first: date, last: date) -> Loaded:
    """Read the lines of the orders dated in the window."""
    orders = SYSPRO["purchase_orders"]
    query = sa.select(orders.c.purchase_order).where(
        orders.c.connection == extraction.stamp.connection,
        sa.or_(orders.c.partition.between(first, last), orders.c.partition.is_(None)),
    )
    with extraction.engine.connect() as connection:
        keys = [(row.purchase_order,) for row in connection.execute(query)]
    return extraction.by_key("purchase_order_lines", ("purchase_order",), keys)[1]


@dataclass
class Counterparts:
    """How many rows were wanted and found by key, per entity."""

    wanted: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)

    def add(self, entity: str, wanted: int, found: int) -> None:
        """Count a reading."""
        self.wanted[entity] = self.wanted.get(entity, 0) + wanted
        self.found[entity] = self.found.get(entity, 0) + found


class CounterpartReader:
    """Reads by key what the documents of a window need and what is dated elsewhere."""

    def __init__(self, extraction: Extraction, first: date, last: date, po_link: str) -> None:
        """Take the extraction, the window and how invoices find their orders."""
        self._extraction = extraction
        self._first, self._last = first, last
        self._po_link = po_link
        self.counts = Counterparts()

    def read(self) -> Counterparts:
        """Read everything that is missing; each reading may make the next one necessary."""
        self._invoices()
        invoices = self._considered_invoices()
        keys = [(row.supplier, row.invoice) for row in invoices]
        self._by_key("receipt_matches", ("supplier", "invoice"), keys)
        self._by_key("postings", ("supplier", "invoice"), self._incomplete(invoices))
        self._by_key("invoices", ("supplier", "invoice"), self._credited(invoices))
        self._by_key("receipts", ("supplier", "grn"), self._matched_receipts(keys))
        orders = self._orders(invoices, keys)
        self._by_key("purchase_orders", ("purchase_order",), orders)
        self._by_key("purchase_order_lines", ("purchase_order",), orders)
        return self.counts

    def _by_key(
        self, entity: str, columns: tuple[str, ...], keys: Iterable[tuple[Any, ...]]
    ) -> None:
        wanted, loaded = self._extraction.by_key(entity, columns, keys)
        self.counts.add(entity, wanted, loaded.rows)

    def _select(self, query: sa.Select[Any] | sa.CompoundSelect[Any]) -> list[Any]:
        with self._extraction.engine.connect() as connection:
            return list(connection.execute(query))

    def _ours(self, table: sa.Table) -> sa.ColumnElement[bool]:
        return table.c.connection == self._extraction.stamp.connection

    def _dated(self, table: sa.Table) -> sa.ColumnElement[bool]:
        return sa.and_(self._ours(table), table.c.partition.between(self._first, self._last))

    def _moved(self) -> list[tuple[str, str]]:
        keys: set[tuple[str, str]] = set()
        for name in ("postings", "receipt_matches"):
            table = SYSPRO[name]
            query = sa.select(table.c.supplier, table.c.invoice).where(self._dated(table))
            keys |= {(row.supplier, row.invoice) for row in self._select(query.distinct())}
        waiting = invoices_waiting_for(
            self._extraction.stamp.connection, self._first, self._last
        )
        keys |= {(row.supplier, row.invoice) for row in self._select(waiting)}
        return sorted(keys)

    def _invoices(self) -> None:
        table = SYSPRO["invoices"]
        dated = self._select(
            sa.select(table.c.supplier, table.c.invoice).where(self._dated(table))
        )
        here = {(row.supplier, row.invoice) for row in dated}
        keys = [key for key in self._moved() if key not in here]
        self._by_key("invoices", ("supplier", "invoice"), keys)

    def _considered_invoices(self) -> list[Any]:
        table = SYSPRO["invoices"]
        columns = [table.c[n] for n in ("supplier", "invoice", "value", "reference", "mul_div")]
        found = self._select(sa.select(*columns).where(self._dated(table)))
        moved = self._moved()
        target = [table.c.supplier, table.c.invoice]
        elsewhere = sa.not_(table.c.partition.between(self._first, self._last))
        for start in range(0, len(moved), _IN):
            chunk = moved[start : start + _IN]
            found += self._select(
                sa.select(*columns).where(self._ours(table), elsewhere, among(target, chunk))
            )
        return found

    def _incomplete(self, invoices: list[Any]) -> list[tuple[str, str]]:
        """Return the invoices whose staged postings do not add up to them."""
        table = SYSPRO["postings"]
        query = (
            sa.select(table.c.supplier, table.c.invoice, sa.func.sum(table.c.amount).label("s"))
            .where(self._ours(table))
            .group_by(table.c.supplier, table.c.invoice)
        )
        posted = {(row.supplier, row.invoice): row.s for row in self._select(query)}
        return [
            (row.supplier, row.invoice)
            for row in invoices
            if posted.get((row.supplier, row.invoice), Decimal(0)) != row.value
        ]

    def _credited(self, invoices: list[Any]) -> list[tuple[str, str]]:
        """Return the invoices that credits name in their reference."""
        return [
            (r.supplier, r.reference) for r in invoices if (r.value or 0) < 0 and r.reference
        ]

    def _matched_receipts(self, invoices: list[tuple[str, str]]) -> list[tuple[str, str]]:
        matches, receipts = SYSPRO["receipt_matches"], SYSPRO["receipts"]
        target = [matches.c.supplier, matches.c.invoice]
        wanted: set[tuple[str, str]] = set()
        for start in range(0, len(invoices), _IN):
            query = sa.select(matches.c.supplier, matches.c.grn).where(
                self._ours(matches), among(target, invoices[start : start + _IN])
            )
            wanted |= {(row.supplier, row.grn) for row in self._select(query)}
        dated = sa.select(receipts.c.supplier, receipts.c.grn).where(self._dated(receipts))
        return sorted(wanted - {(row.supplier, row.grn) for row in self._select(dated)})

    def _orders(self, invoices: list[Any], keys: list[tuple[str, str]]) -> list[tuple[str]]:
        receipts, orders = SYSPRO["receipts"], SYSPRO["purchase_orders"]
        # Receipts without a date are looked at by every run, so their orders are too.
        received = sa.select(receipts.c.purchase_order).where(
            sa.or_(
                self._dated(receipts),
                sa.and_(self._ours(receipts), receipts.c.partition.is_(None)),
            )
        )
        wanted = {row.purchase_order for row in self._select(received.distinct())}
        grns = self._matched_receipts(keys)
        target = [receipts.c.supplier, receipts.c.grn]
        for start in range(0, len(grns), _IN):
            query = sa.select(receipts.c.purchase_order).where(
                self._ours(receipts), among(target, grns[start : start + _IN])
            )
            wanted |= {row.purchase_order for row in self._select(query.distinct())}
        if self._po_link == "invoice_reference":
            wanted |= {row.reference for row in invoices}
        dated = sa.select(orders.c.purchase_order).where(self._dated(orders))
        here = {row.purchase_order for row in self._select(dated)}
        return [(order,) for order in sorted(w for w in wanted if w) if order not in here]
