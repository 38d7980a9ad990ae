"""Loading: pages of rows into staged tables, one transaction a load.

A load replaces: rows of its days (or keys) that were not delivered again are gone from
SYSPRO and leave the staged table too, unless another load saw them meanwhile.

What must not come in: rules of the sync, HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from mlc_pipeline.staging.tables import rejected_rows

_BATCH = 1000


@dataclass
class Loaded:
    """What a load did: rows written, rows removed, money per day where the table has it."""

    rows: int = 0
    removed: int = 0
    rows_by_day: dict[date | None, int] = field(default_factory=dict)
    value_by_day: dict[date | None, Decimal] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any], value_column: str | None) -> None:
        """Count a row."""
        day = row.get("partition")
        self.rows += 1
        self.rows_by_day[day] = self.rows_by_day.get(day, 0) + 1
        if value_column is not None:
            value = row.get(value_column) or Decimal(0)
            self.value_by_day[day] = self.value_by_day.get(day, Decimal(0)) + value


@dataclass(frozen=True)
class Stamp:
    """Whose rows they are and which run wrote them."""

    connection: str
    run_id: str


def upsert(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows, replacing those with the same primary key."""
    if not rows:
        return
    statement = insert(table)
    changed: dict[str, Any] = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if not column.primary_key
    }
    if "extracted_at" in changed:
        changed["extracted_at"] = sa.func.now()
    statement = statement.on_conflict_do_update(constraint=table.primary_key, set_=changed)
    for start in range(0, len(rows), _BATCH):
        connection.execute(statement, list(rows[start : start + _BATCH]))


def load_pages(
    engine: sa.Engine,
    table: sa.Table,
    stamp: Stamp,
    pages: Iterable[list[dict[str, Any]]],
    *,
    date_column: str | None,
    replaced: Callable[[], sa.ColumnElement[bool]],
    value_column: str | None = None,
) -> Loaded:
    """Load pages as they come and remove what they replace.

    Pages are kept aside until the last one came, so that nobody waits for a row while SYSPRO
    is asked. Readings that overlap keep what each of them saw: a row is replaced by what was
    read later, and removed when it was read before this reading began and is not in it.

    Args:
        engine: our database.
        table: a staged table of the `syspro` schema.
        stamp: connection and run.
        pages: rows keyed by the table's column names.
        date_column: the column that is the home partition; None for none.
        replaced: condition of the rows that this load stands for.
        value_column: amount to add up per day.
    """
    loaded, aside = Loaded(), _aside(table)
    with engine.begin() as connection:
        began = connection.scalar(sa.select(sa.func.clock_timestamp()))
        aside.create(connection)
        for page in pages:
            rows = [_stamped(row, stamp, date_column) for row in page]
            _insert(connection, aside, rows)
            for row in rows:
                loaded.add(row, value_column)
        _one_at_a_time(connection, table, stamp)
        _take_in(connection, table, aside)
        loaded.removed = connection.execute(
            table.delete().where(
                table.c.connection == stamp.connection,
                table.c.run_id != stamp.run_id,
                table.c.extracted_at < began,
                replaced(),
            )
        ).rowcount
    return loaded


def _aside(table: sa.Table) -> sa.Table:
    """Return a temporary table like a staged one; it knows when each row was read."""
    columns = [sa.Column(c.name, c.type) for c in table.columns if c.name != "extracted_at"]
    read_at = sa.Column(
        "extracted_at", table.c.extracted_at.type, server_default=sa.func.clock_timestamp()
    )
    return sa.Table(
        "rows_being_read",
        sa.MetaData(),
        *columns,
        read_at,
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DROP",
    )


def _take_in(connection: sa.Connection, table: sa.Table, aside: sa.Table) -> None:
    """Replace rows by those kept aside, unless a later reading has been there before."""
    key = [aside.c[column.name] for column in table.primary_key]
    # A row that moved while it was paged comes twice.
    latest = sa.select(aside).distinct(*key).order_by(*key, aside.c.extracted_at.desc())
    statement = insert(table).from_select([c.name for c in aside.columns], latest)
    changed = {c.name: statement.excluded[c.name] for c in table.c if not c.primary_key}
    connection.execute(
        statement.on_conflict_do_update(
            constraint=table.primary_key,
            set_=changed,
            where=table.c.extracted_at <= statement.excluded.extracted_at,
        )
    )


def _insert(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    for start in range(0, len(rows), _BATCH):
        connection.execute(table.insert(), list(rows[start : start + _BATCH]))


def _stamped(row: Mapping[str, Any], stamp: Stamp, date_column: str | None) -> dict[str, Any]:
    return {
        **row,
        "connection": stamp.connection,
        "run_id": stamp.run_id,
        "partition": row.get(date_column) if date_column else None,
    }


def _one_at_a_time(connection: sa.Connection, table: sa.Table, stamp: Stamp) -> None:
    """Let two runs replace the same rows one after the other."""
    name = f"{table.fullname}|{stamp.connection}"
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(name))))


def replace_table(
    engine: sa.Engine, table: sa.Table, stamp: Stamp, rows: Iterable[Mapping[str, Any]]
) -> int:
    """Replace a connection's rows of a snapshot table; return how many there are now."""
    stamped = [{**row, "connection": stamp.connection, "run_id": stamp.run_id} for row in rows]
    with engine.begin() as connection:
        _one_at_a_time(connection, table, stamp)
        connection.execute(table.delete().where(table.c.connection == stamp.connection))
        _insert(connection, table, stamped)
    return len(stamped)


def replace_days(
    engine: sa.Engine,
    table: sa.Table,
    stamp: Stamp,
    first: date,
    last: date,
    rows: Iterable[Mapping[str, Any]],
    *,
    also: Callable[[sa.Connection], None] = lambda _connection: None,
) -> None:
    """Replace a connection's rows of some partitions of a plan, push or tie-out table.

    `also` is done in the same transaction, as its end.
    """
    stamped = [{**row, "connection": stamp.connection, "run_id": stamp.run_id} for row in rows]
    with engine.begin() as connection:
        _one_at_a_time(connection, table, stamp)
        connection.execute(
            table.delete().where(
                table.c.connection == stamp.connection,
                table.c.partition.between(first, last),
            )
        )
        _insert(connection, table, stamped)
        also(connection)


def note_rejected(
    engine: sa.Engine,
    stamp: Stamp,
    entity: str,
    rejected: Iterable[Mapping[str, Any]],
    window: tuple[date | None, date | None],
    was_read: Callable[[Mapping[str, Any]], bool] | None = None,
) -> int:
    """Keep rows that could not be staged, whole; those of an earlier reading go.

    Args:
        engine: our database.
        stamp: connection and run.
        entity: logical entity.
        rejected: `key`, `reason`, `row` (JSON values) and `partition` of each.
        window: first and last day that were read; None, None for a snapshot.
        was_read: tells of a row as it came whether it was read, for a reading by key.
    """
    by_key: dict[str, list[Mapping[str, Any]]] = {}
    for row in rejected:
        by_key.setdefault(row["key"], []).append(row)
    rows = [
        {
            # Two differing rows of one key are both rejected, and both kept.
            **same[0],
            "row": [row["row"] for row in same],
            "entity": entity,
            "connection": stamp.connection,
            "run_id": stamp.run_id,
        }
        for same in by_key.values()
    ]
    table, (first, last) = rejected_rows, window
    read_again = (
        table.c.partition.is_(None) if first is None else table.c.partition.between(first, last)
    )
    with engine.begin() as connection:
        if was_read is not None:
            earlier = sa.select(table.c.key, table.c.row).where(
                table.c.connection == stamp.connection, table.c.entity == entity
            )
            found = connection.execute(earlier)
            read_again = table.c.key.in_([r.key for r in found if was_read(r.row[0])])
        connection.execute(
            table.delete().where(
                table.c.connection == stamp.connection,
                table.c.entity == entity,
                table.c.run_id != stamp.run_id,
                read_again,
            )
        )
        upsert(connection, table, rows)
    return len(rows)
