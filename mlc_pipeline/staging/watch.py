"""Watching the past: which days SYSPRO shows otherwise than they were pushed last.

SYSPRO has no date of change. So each push leaves a fingerprint of what it was made from
(count, sum, hash of the rows' planned columns, per day and entity), and the watch reads
the same columns again, many days with each call, and compares. What is older than the
watched days is found by the two things that do move: the journal date of an invoice that
was posted since, and orders that are still open.

A day that was never pushed is not watched: it is a backfill's.

What must not come in: Dagster, verdicts, what is done about a day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by

from mlc_pipeline.staging.extract import VALUE_COLUMNS, Extraction
from mlc_pipeline.staging.load import Stamp, upsert
from mlc_pipeline.staging.operations import changes, fingerprints
from mlc_pipeline.staging.tables import SYSPRO
from mlc_pipeline.syspro.entities import Entity
from mlc_pipeline.syspro.reader import DateRange, Keys, Row, Where

NOT_PUSHED: Mapping[str, frozenset[str]] = {
    "purchase_orders": frozenset({"order_type", "completed_date", "amended_count", "buyer"}),
    "receipts": frozenset({"uom", "matched_value", "delivery_note"}),
    "receipt_matches": frozenset(),
    # A payment moves balance and status of an invoice; neither goes to Cin7.
    "invoices": frozenset(
        {
            "journal_date",
            "journal",
            "entry_number",
            "branch",
            "discount_date",
            "balance",
            "status",
            "posting_year",
            "posting_month",
        }
    ),
    "postings": frozenset(),
}
"""The watched entities, each with the columns that no plan looks at."""

OPEN_ORDERS = ("0", "1", "4")
"""States of an order that may still change: in process, ready to print, printed."""

JOURNAL_DAYS = 10
"""How far back journal dates are read again; longer than the watch ever pauses unnoticed."""

_MOST_OLD_DAYS = 31
_BATCH = 1000
_NULL = "~"
_AHEAD = timedelta(days=400)
_AGAIN_AFTER = sa.text("interval '20 hours'")


@dataclass(frozen=True)
class Fingerprint:
    """What one entity has on one day.

    Attributes:
        rows: how many rows.
        amount: sum of its money column; None when it has none.
        digest: hash over every planned column of every row, '' without rows.
    """

    rows: int = 0
    amount: Decimal | None = None
    digest: str = ""

    def __str__(self) -> str:
        """Return count and sum, as a person reads them."""
        money = "" if self.amount is None else f", {self.amount:.2f}"
        return f"{self.rows} rows{money}"


Fingerprints = dict[tuple[str, date], Fingerprint]
"""Fingerprints by entity and day."""


def watched(entity: Entity) -> Entity:
    """Return the entity with only the columns that a plan looks at."""
    left_out = NOT_PUSHED.get(entity.name, frozenset()) - {entity.date_column, *entity.key}
    kept = tuple(column for column in entity.columns if column.name not in left_out)
    return replace(entity, columns=kept)


def _hashed(source: sa.FromClause, entity: Entity, by: str) -> sa.Select[Any]:
    """Select count, sum and hash of the rows of a source, grouped by one of its columns.

    The hash is over the rows' hashes in their own order: no collation of keys comes in.
    """
    texts = [
        sa.func.coalesce(sa.cast(source.c[column.name], sa.Text), _NULL)
        for column in watched(entity).columns
    ]
    one = sa.func.md5(sa.func.concat_ws("|", *texts))
    value = VALUE_COLUMNS.get(entity.name)
    return sa.select(
        source.c[by].label("group"),
        sa.func.count().label("rows"),
        (sa.func.sum(source.c[value]) if value else sa.null()).label("amount"),
        sa.func.md5(sa.func.string_agg(one, aggregate_order_by(sa.literal(""), one))).label(
            "digest"
        ),
    ).group_by(source.c[by])


def _fingerprint(row: Any) -> Fingerprint:
    return Fingerprint(row.rows, row.amount, row.digest)


def note_pushed(
    engine: sa.Engine, entities: Mapping[str, Entity], stamp: Stamp, first: date, last: date
) -> None:
    """Keep what some days were pushed from, as it is staged now; days without rows too."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    rows = []
    with engine.begin() as connection:
        for name in NOT_PUSHED:
            table = SYSPRO[name]
            query = _hashed(table, entities[name], "partition").where(
                table.c.connection == stamp.connection, table.c.partition.between(first, last)
            )
            found = {row.group: _fingerprint(row) for row in connection.execute(query)}
            rows += [
                {
                    "connection": stamp.connection,
                    "entity": name,
                    "day": day,
                    "run_id": stamp.run_id,
                    **vars(found.get(day, Fingerprint())),
                }
                for day in days
            ]
        upsert(connection, fingerprints, rows)


@dataclass
class Watched:
    """What a watch found.

    Attributes:
        days: what differs, by day: the entities with count and sum before and now.
        rows: how many rows were read.
    """

    days: dict[date, list[str]] = field(default_factory=dict)
    rows: int = 0
    _found: dict[date, list[str]] = field(default_factory=dict)

    def add(self, day: date, what: str, found: str) -> None:
        """Note a difference, with the hash of what SYSPRO has now."""
        self.days.setdefault(day, []).append(what)
        self._found.setdefault(day, []).append(f"{what.partition(':')[0]}={found}")

    def found(self, day: date) -> str:
        """Return one hash of everything that was found to differ on a day."""
        return hashlib.sha256("\n".join(sorted(self._found[day])).encode()).hexdigest()


class Watch:
    """One look at the past of a connection.

    Args:
        extraction: what reads SYSPRO in this run.
        first: first of the watched days.
        last: last of them.
    """

    def __init__(self, extraction: Extraction, first: date, last: date) -> None:
        self._extraction = extraction
        self._first, self._last = first, last
        self._pushed = self._read_pushed()
        self._result = Watched()

    def look(self) -> Watched:
        """Read what may have changed and return the days that differ."""
        for name in NOT_PUSHED:
            self._compare_days(name, self._first, self._last)
        self._posted_since()
        self._open_orders()
        return self._result

    def _entity(self, name: str) -> Entity:
        return watched(self._extraction.entities[name])

    def _read(self, name: str, where: Where) -> list[Row]:
        if name in self._extraction.absent:
            return []
        pages = self._extraction.reader.read(self._entity(name), where)
        rows = [row for page in pages for row in page]
        self._result.rows += len(rows)
        return rows

    def _read_pushed(self) -> Fingerprints:
        query = sa.select(fingerprints).where(
            fingerprints.c.connection == self._extraction.stamp.connection
        )
        with self._extraction.engine.connect() as connection:
            return {
                (row.entity, row.day): _fingerprint(row) for row in connection.execute(query)
            }

    def _group(self, name: str, rows: list[Row], by: str) -> dict[Any, Fingerprint]:
        """Hash rows as the staged ones are: in the database, by its own types and scales."""
        entity, table = self._extraction.entities[name], SYSPRO[name]
        passing = sa.Table(
            f"watched_{name}",
            sa.MetaData(),
            *[sa.Column(c.name, table.c[c.name].type) for c in self._entity(name).columns],
            prefixes=["TEMPORARY"],
            postgresql_on_commit="DROP",
        )
        with self._extraction.engine.begin() as connection:
            passing.create(connection)
            for start in range(0, len(rows), _BATCH):
                connection.execute(passing.insert(), rows[start : start + _BATCH])
            query = _hashed(passing, entity, by)
            return {row.group: _fingerprint(row) for row in connection.execute(query)}

    def _compare_days(self, name: str, first: date, last: date) -> None:
        pushed = {
            day: fingerprint
            for (entity, day), fingerprint in self._pushed.items()
            if entity == name and first <= day <= last
        }
        column = self._extraction.entities[name].date_column
        if not pushed or column is None:
            return
        rows = self._read(name, DateRange(column, min(pushed), max(pushed)))
        now = self._group(name, rows, column)
        for day, before in sorted(pushed.items()):
            after = now.get(day, Fingerprint())
            if after.digest != before.digest:
                self._result.add(day, f"{name}: {before} before, {after} now", after.digest)

    def _is_old(self, day: object) -> bool:
        """Tell whether a day was pushed once and is older than the watched ones."""
        return isinstance(day, date) and day < self._first and ("invoices", day) in self._pushed

    def _posted_since(self) -> None:
        """Look at the days of old invoices that were posted lately."""
        since = self._last - timedelta(days=JOURNAL_DAYS)
        entity = self._extraction.entities["invoices"]
        with_journal = replace(
            entity,
            columns=tuple(
                column
                for column in entity.columns
                if column.name in {*entity.key, "journal_date", str(entity.date_column)}
            ),
        )
        posted = DateRange("journal_date", since, self._last + _AHEAD)
        rows = [
            row for page in self._extraction.reader.read(with_journal, posted) for row in page
        ]
        self._result.rows += len(rows)
        days = {row[str(entity.date_column)] for row in rows}
        old = sorted(day for day in days if isinstance(day, date) and self._is_old(day))
        if len(old) > _MOST_OLD_DAYS:
            self._compare_days("invoices", old[0], old[-1])
            return
        for day in old:
            self._compare_days("invoices", day, day)

    def _open_orders(self) -> None:
        """Look at the orders that are still open, however old, and at their lines."""
        now = self._read(
            "purchase_orders", Keys(("order_status",), [(s,) for s in OPEN_ORDERS])
        )
        dated = str(self._extraction.entities["purchase_orders"].date_column)
        days = {str(row["purchase_order"]): row[dated] for row in now}
        before_days, before = self._staged_open()
        after = self._group("purchase_orders", now, "purchase_order")
        keys = sorted(days)
        lines = self._read(
            "purchase_order_lines", Keys(("purchase_order",), [(k,) for k in keys])
        )
        lines_after = self._group("purchase_order_lines", lines, "purchase_order")
        lines_before = self._staged("purchase_order_lines", {*keys, *before_days})
        for order in sorted({*days, *before_days}):
            for day in {days.get(order), before_days.get(order)}:
                if not isinstance(day, date) or ("purchase_orders", day) not in self._pushed:
                    continue
                # The watched days have their headers compared already.
                if self._is_old(day) and after.get(order) != before.get(order):
                    found = after[order].digest if order in after else ""
                    self._result.add(day, f"purchase_orders {order}: changed or closed", found)
                elif order in days and lines_after.get(order) != lines_before.get(order):
                    found = lines_after[order].digest if order in lines_after else ""
                    self._result.add(day, f"purchase_order_lines {order}: changed", found)

    def _staged_open(self) -> tuple[dict[str, date], dict[Any, Fingerprint]]:
        """Return days and hashes of the orders that were open when they were staged."""
        table = SYSPRO["purchase_orders"]
        ours = sa.and_(
            table.c.connection == self._extraction.stamp.connection,
            table.c.order_status.in_(OPEN_ORDERS),
        )
        query = sa.select(table.c.purchase_order, table.c.partition).where(ours)
        hashed = _hashed(table, self._extraction.entities["purchase_orders"], "purchase_order")
        with self._extraction.engine.connect() as connection:
            days = {row.purchase_order: row.partition for row in connection.execute(query)}
            found = connection.execute(hashed.where(ours))
            return days, {row.group: _fingerprint(row) for row in found}

    def _staged(self, name: str, keys: Iterable[str]) -> dict[Any, Fingerprint]:
        table, wanted = SYSPRO[name], sorted(keys)
        found: dict[Any, Fingerprint] = {}
        query = _hashed(table, self._extraction.entities[name], "purchase_order")
        with self._extraction.engine.connect() as connection:
            for start in range(0, len(wanted), _BATCH):
                chunk = wanted[start : start + _BATCH]
                rows = connection.execute(
                    query.where(
                        table.c.connection == self._extraction.stamp.connection,
                        table.c.purchase_order.in_(chunk),
                    )
                )
                found |= {row.group: _fingerprint(row) for row in rows}
        return found


def note_changes(engine: sa.Engine, stamp: Stamp, result: Watched) -> int:
    """Write a row for each day that differs; return how many are new.

    What was noted within a day and is still the same is not noted again: it was asked for.
    """
    noted = 0
    with engine.begin() as connection:
        for day in sorted(result.days):
            latest = (
                sa.select(
                    changes.c.found,
                    (changes.c.noticed_at > sa.func.now() - _AGAIN_AFTER).label("is_recent"),
                )
                .where(changes.c.connection == stamp.connection, changes.c.day == day)
                .order_by(changes.c.id.desc())
                .limit(1)
            )
            before, found = connection.execute(latest).one_or_none(), result.found(day)
            if before is not None and before.found == found and before.is_recent:
                continue
            connection.execute(
                changes.insert().values(
                    connection=stamp.connection,
                    day=day,
                    what="; ".join(result.days[day]),
                    found=found,
                    run_id=stamp.run_id,
                )
            )
            noted += 1
    return noted


@dataclass(frozen=True)
class Change:
    """A day that differs, as a sensor reads it."""

    id: int
    day: date
    what: str


def open_changes(
    engine: sa.Engine, name: str, after: int = 0, limit: int = 200
) -> list[Change]:
    """Return the noted days that were not pushed since, in the order they were noted."""
    pushed = (
        sa.select(sa.func.max(fingerprints.c.pushed_at))
        .where(
            fingerprints.c.connection == changes.c.connection,
            fingerprints.c.day == changes.c.day,
        )
        .scalar_subquery()
    )
    query = (
        sa.select(changes.c.id, changes.c.day, changes.c.what)
        .where(
            changes.c.connection == name,
            changes.c.id > after,
            sa.or_(pushed.is_(None), pushed < changes.c.noticed_at),
        )
        .order_by(changes.c.id)
        .limit(limit)
    )
    with engine.connect() as connection:
        return [Change(**row._mapping) for row in connection.execute(query)]
