"""The stand-in's company database: one SQLite file, one SQL table per SYSPRO table.

Primary keys are enforced, lengths and scales checked, omitted columns filled with SYSPRO's
blanks and zeros; every write gives the row a new rowversion. Tables are clustered on their
key and indexed where an integration filters: dates, purchase order, supplier and invoice.

What must not come in: HTTP, OData or e.net syntax.
"""
# ruff: noqa: S608 - the identifiers put into SQL come from TABLES, values are always bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlc_pipeline.sandbox.syspro.predicate import TRUE, Sql
from mlc_pipeline.sandbox.syspro.tables import TABLES, Column, Table
from mlc_pipeline.sandbox.syspro.values import Given, Stored, blank, to_python, to_stored

if TYPE_CHECKING:
    from collections.abc import Iterator

_INDEXED = (("PurchaseOrder",), ("Supplier", "Invoice"))
_TYPES = {"text": "TEXT NOT NULL", "date": "TEXT", "number": "INTEGER NOT NULL"}


class RowError(ValueError):
    """A row that the company database cannot take; names table, key and column."""


class Store:
    """A company database at `path`, created when it is not there.

    Not shared between threads at one time. Rows go in by `load`, `upsert` and `delete`.

    Raises:
        RowError: the file holds tables of another layout.
    """

    def __init__(self, path: str | Path = ":memory:") -> None:
        self._path = str(path)
        # The server's thread takes over a store that another thread has loaded.
        self._database = sqlite3.connect(self._path, check_same_thread=False)
        self._database.isolation_level = None
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        for table in TABLES.values():
            self._create(table)
        self._rowversion = max(self._last_rowversion(table) for table in TABLES.values())

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _create(self, table: Table) -> None:
        columns = ", ".join(
            f"{c.quoted} {_TYPES.get(c.kind, 'INTEGER NOT NULL')}" for c in table.columns
        )
        key = ", ".join(c.quoted for c in table.key)
        self._database.execute(
            f"CREATE TABLE IF NOT EXISTS {table.quoted} "
            f"({columns}, PRIMARY KEY ({key})) WITHOUT ROWID"
        )
        found = [row[1] for row in self._database.execute(f"PRAGMA table_info({table.quoted})")]
        if found != list(table.by_name):
            raise RowError(
                f"{self._path}: table {table.name} has other columns than this version; "
                "delete the file and load the company again"
            )
        for names in _indexes(table):
            listed = ", ".join(f'"{name}"' for name in names)
            self._database.execute(
                f'CREATE INDEX IF NOT EXISTS "{table.name}_{"_".join(names)}" '
                f"ON {table.quoted} ({listed})"
            )

    def _last_rowversion(self, table: Table) -> int:
        row = self._database.execute(f'SELECT MAX("TimeStamp") FROM {table.quoted}').fetchone()
        return row[0] or 0

    def next_rowversion(self) -> int:
        """Return a rowversion greater than all before it."""
        self._rowversion += 1
        return self._rowversion

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what is done inside, or nothing of it."""
        self._database.execute("BEGIN")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def select(
        self,
        table: Table,
        columns: Sequence[Column],
        where: Sql = TRUE,
        order: Sequence[tuple[Column, bool]] = (),
        limit: int = -1,
        offset: int = 0,
    ) -> list[tuple[Any, ...]]:
        """Return stored values of the columns; `order` holds True where descending.

        Ties are ordered by the primary key. `limit` -1 means all rows.
        """
        names = ", ".join(column.quoted for column in columns)
        full_order = [*order, *((column, False) for column in table.key)]
        ordering = ", ".join(f"{c.quoted}{' DESC' if desc else ''}" for c, desc in full_order)
        return self._database.execute(
            f"SELECT {names} FROM {table.quoted} WHERE {where.text} "
            f"ORDER BY {ordering} LIMIT ? OFFSET ?",
            (*where.parameters, limit, offset),
        ).fetchall()

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        return {
            name: self._database.execute(f"SELECT COUNT(*) FROM {table.quoted}").fetchone()[0]
            for name, table in TABLES.items()
        }

    def rows(self, name: str) -> list[dict[str, Given]]:
        """Return every row of a table in key order, with Decimals and dates."""
        table = _table(name)
        return [
            {c.name: to_python(c, value) for c, value in zip(table.columns, row, strict=True)}
            for row in self.select(table, table.columns)
        ]

    def has(self, name: str, *key: Stored) -> bool:
        """Whether a row with that stored key is there."""
        table = TABLES[name]
        return bool(self.select(table, table.key, _with_key(table, key), limit=1))


def _indexes(table: Table) -> list[tuple[str, ...]]:
    """Return the columns of each index beyond the primary key."""
    key = tuple(column.name for column in table.key)
    wanted = [
        *((column.name,) for column in table.columns if column.kind == "date"),
        *(names for names in _INDEXED if set(names) <= set(table.by_name)),
    ]
    return [names for names in wanted if key[: len(names)] != names]


def _with_key(table: Table, key: Sequence[Stored]) -> Sql:
    text = " AND ".join(f"{column.quoted} = ?" for column in table.key)
    return Sql(text, tuple(key))


def _table(name: str) -> Table:
    if name not in TABLES:
        raise RowError(f"there is no table {name!r}; known are {', '.join(TABLES)}")
    return TABLES[name]


def _named(table: Table, row: Mapping[str, object]) -> str:
    """Name a row for an error message."""
    key = ", ".join(f"{column.name}={row.get(column.name)!r}" for column in table.key)
    return f"{table.name} ({key})"


def _converted(table: Table, row: Mapping[str, object]) -> dict[str, Stored]:
    """Return the stored form of the given columns."""
    stored: dict[str, Stored] = {}
    for name, value in row.items():
        column = table.by_name.get(name)
        if column is None:
            raise RowError(f"{_named(table, row)}: there is no column {name!r}")
        try:
            stored[name] = to_stored(column, value)
        except (ValueError, TypeError) as error:
            raise RowError(f"{_named(table, row)}: {name}: {error}") from None
    missing = [column.name for column in table.key if column.name not in row]
    if missing:
        raise RowError(f"{_named(table, row)}: key column {missing[0]} is missing")
    return stored


def load(store: Store, tables: Mapping[str, Iterable[Mapping[str, object]]]) -> dict[str, int]:
    """Insert rows given as {table: [{physical column: value}]}; return rows per table.

    Omitted columns become blank, zero or null. Numbers are Decimal, int or digits as text,
    dates `datetime.date` or CCYY-MM-DD. All tables are loaded, or nothing.

    Raises:
        RowError: an unknown table or column, a value that does not fit, a key that is
            already there.
    """
    with store.transaction() as database:
        return {
            name: _insert(store, database, _table(name), rows) for name, rows in tables.items()
        }


def _insert(
    store: Store,
    database: sqlite3.Connection,
    table: Table,
    rows: Iterable[Mapping[str, object]],
) -> int:
    marks = ", ".join("?" * len(table.columns))
    statement = f"INSERT INTO {table.quoted} VALUES ({marks})"
    blanks = {column.name: blank(column) for column in table.columns}
    count = 0
    for row in rows:
        values = blanks | _converted(table, row) | {"TimeStamp": store.next_rowversion()}
        try:
            database.execute(statement, tuple(values.values()))
        except sqlite3.IntegrityError:
            raise RowError(
                f"{_named(table, row)}: a row with this primary key is already there"
            ) from None
        count += 1
    return count


def upsert(store: Store, table_name: str, rows: Iterable[Mapping[str, object]]) -> int:
    """Insert rows, or change the given columns of those that are there; return how many.

    Raises:
        RowError: as `load`, except that an existing key is no error.
    """
    table = _table(table_name)
    count = 0
    with store.transaction() as database:
        for row in rows:
            _upsert_one(store, database, table, row)
            count += 1
    return count


def _upsert_one(
    store: Store, database: sqlite3.Connection, table: Table, row: Mapping[str, object]
) -> None:
    given = _converted(table, row) | {"TimeStamp": store.next_rowversion()}
    values = {column.name: blank(column) for column in table.columns} | given
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in given)
    key = ", ".join(column.quoted for column in table.key)
    marks = ", ".join("?" * len(values))
    database.execute(
        f"INSERT INTO {table.quoted} VALUES ({marks}) "
        f"ON CONFLICT ({key}) DO UPDATE SET {changes}",
        tuple(values.values()),
    )


def delete(store: Store, table_name: str, keys: Iterable[object]) -> int:
    """Delete rows by primary key; return how many were there.

    A key is a list of values in key order, or the bare value where the key is one column.

    Raises:
        RowError: a key with the wrong number of values, or a value of the wrong kind.
    """
    table = _table(table_name)
    deleted = 0
    with store.transaction() as database:
        for key in keys:
            where = _with_key(table, _stored_key(table, key))
            cursor = database.execute(
                f"DELETE FROM {table.quoted} WHERE {where.text}", where.parameters
            )
            deleted += cursor.rowcount
    return deleted


def _stored_key(table: Table, key: object) -> list[Stored]:
    values = list(key) if isinstance(key, (list, tuple)) else [key]
    if len(values) != len(table.key):
        names = ", ".join(column.name for column in table.key)
        raise RowError(f"{table.name}: key {values!r} needs the values of {names}")
    row = {column.name: value for column, value in zip(table.key, values, strict=True)}
    return list(_converted(table, row).values())
