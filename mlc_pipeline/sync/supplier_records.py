"""What is kept about suppliers both ways: bases, conflicts, proposals, people's decisions.

The link itself is the ledger's document of kind `supplier`.

What must not come in: HTTP, Dagster, who wins, what matches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from mlc_pipeline.staging.supplier_tables import (
    supplier_bases,
    supplier_conflicts,
    supplier_decisions,
    supplier_proposals,
    supplier_reads,
)
from mlc_pipeline.staging.tables import CIN7, SYSPRO, documents, writes
from mlc_pipeline.sync.ledger import OPEN
from mlc_pipeline.sync.supplier_attributes import Values
from mlc_pipeline.sync.supplier_matching import Proposal
from mlc_pipeline.sync.supplier_merge import Conflict
from mlc_pipeline.sync.vocabulary import Kind

RESERVED = "code_given"
"""State of a link of which the SYSPRO supplier is not made yet."""

RESOLVE = "resolve"
"""The decision of a conflict."""

_BATCH = 1000


@dataclass(frozen=True)
class Base:
    """The last agreed values of a link; hashes of both sides when nothing was left to do."""

    values: Values = field(default_factory=dict)
    syspro_hash: str | None = None
    cin7_hash: str | None = None
    stand_in: str = ""


@dataclass(frozen=True)
class Settlement:
    """What a plan found agreed: values, and hashes when nothing is left to do."""

    supplier: str
    agreed: Mapping[str, str]
    syspro_hash: str | None
    cin7_hash: str | None
    stand_in: str


@dataclass(frozen=True)
class Resolution:
    """What a person decided for a conflict as it stood then."""

    base: str | None
    syspro: str
    cin7: str
    value: str

    def holds(self, conflict: Conflict) -> bool:
        """Tell whether a conflict is the one that was decided, if half carried out."""
        return (
            conflict.base == self.base
            and conflict.syspro in (self.syspro, self.value)
            and conflict.cin7 in (self.cin7, self.value)
        )


@dataclass
class Decisions:
    """What people decided, as it holds now.

    Attributes:
        parted: pairs (SYSPRO code, Cin7 id) that are not one.
        ignored: SYSPRO codes left alone.
        ignored_cin7: Cin7 ids left alone.
        resolutions: by SYSPRO code and attribute.
    """

    parted: set[tuple[str, str]] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    ignored_cin7: set[str] = field(default_factory=set)
    resolutions: dict[tuple[str, str], Resolution] = field(default_factory=dict)

    def take(self, row: Any) -> None:
        """Take one decision after the other, the oldest first; a later one counts."""
        if row.action == RESOLVE:
            self.resolutions[row.supplier, row.attribute] = Resolution(
                row.base, row.syspro, row.cin7, row.value
            )
        elif row.action == "settled":
            self.resolutions.pop((row.supplier, row.attribute), None)
        else:
            self._take_tie(row.action, row.supplier, row.cin7_id)

    def _take_tie(self, action: str, supplier: str | None, cin7_id: str | None) -> None:
        """Take what was said about a pair or about one side of it.

        What was unlinked is left alone on both sides until somebody says otherwise: made
        anew on the other side, it would be there twice.
        """
        frees = action in ("link", "heed")
        if supplier and cin7_id:
            (self.parted.discard if frees else self.parted.add)((supplier, cin7_id))
            if action == "ignore":
                return
        for alone, key in ((self.ignored, supplier), (self.ignored_cin7, cin7_id)):
            if key:
                (alone.discard if frees else alone.add)(key)


class SupplierRecords:
    """The records of one connection, as one run or one person writes them."""

    def __init__(self, engine: sa.Engine, connection: str, run_id: str) -> None:
        """Take the database; every row written carries the run's id."""
        self._engine = engine
        self._connection = connection
        self._run_id = run_id

    # --- bases -----------------------------------------------------------------------------

    def bases(self, connection: sa.Connection, suppliers: Collection[str]) -> dict[str, Base]:
        """Return the base of each link that has one."""
        table = supplier_bases
        query = sa.select(
            table.c.supplier,
            table.c.base,
            table.c.syspro_hash,
            table.c.cin7_hash,
            table.c.stand_in,
        ).where(table.c.connection == self._connection, table.c.supplier.in_(suppliers))
        return {
            r.supplier: Base(r.base, r.syspro_hash, r.cin7_hash, r.stand_in)
            for r in connection.execute(query)
        }

    def settle(self, connection: sa.Connection, found: Iterable[Settlement]) -> None:
        """Keep what was found agreed; values not named keep their base."""
        rows = [
            {
                "connection": self._connection,
                "supplier": s.supplier,
                "base": dict(s.agreed),
                "syspro_hash": s.syspro_hash,
                "cin7_hash": s.cin7_hash,
                "stand_in": s.stand_in,
                "run_id": self._run_id,
            }
            for s in found
        ]
        statement = insert(supplier_bases)
        statement = statement.on_conflict_do_update(
            constraint=supplier_bases.primary_key,
            set_={
                "base": supplier_bases.c.base.op("||")(statement.excluded.base),
                **{
                    name: statement.excluded[name]
                    for name in ("syspro_hash", "cin7_hash", "stand_in", "run_id")
                },
                "agreed_at": sa.func.now(),
            },
        )
        for start in range(0, len(rows), _BATCH):
            connection.execute(statement, rows[start : start + _BATCH])

    def note(self, supplier: str, agreed: Mapping[str, str], stand_in: str = "") -> None:
        """Keep values that a write has just brought both sides to; committed at once."""
        with self._engine.begin() as connection:
            self.settle(connection, [Settlement(supplier, agreed, None, None, stand_in)])

    def forget(self, connection: sa.Connection, supplier: str) -> None:
        """Forget base, conflicts and proposals of a link that is undone."""
        for table in (supplier_bases, supplier_conflicts, supplier_proposals):
            connection.execute(
                table.delete().where(
                    table.c.connection == self._connection, table.c.supplier == supplier
                )
            )

    # --- conflicts and proposals -----------------------------------------------------------

    def replace_conflicts(
        self, connection: sa.Connection, found: Iterable[tuple[str, Conflict]]
    ) -> None:
        """Keep exactly these conflicts; one that stands as it stood keeps its date."""
        table, kept = supplier_conflicts, list(found)
        rows = [
            {
                "connection": self._connection,
                "supplier": supplier,
                "attribute": c.attribute,
                "base": c.base,
                "syspro": c.syspro,
                "cin7": c.cin7,
                "run_id": self._run_id,
            }
            for supplier, c in kept
        ]
        here = [(supplier, c.attribute) for supplier, c in kept]
        gone = table.delete().where(
            table.c.connection == self._connection,
            sa.tuple_(table.c.supplier, table.c.attribute).not_in(here),
        )
        connection.execute(gone)
        statement = insert(table)
        is_same = sa.and_(
            table.c.base.is_not_distinct_from(statement.excluded.base),
            table.c.syspro == statement.excluded.syspro,
            table.c.cin7 == statement.excluded.cin7,
        )
        changed = {name: statement.excluded[name] for name in ("base", "syspro", "cin7")}
        statement = statement.on_conflict_do_update(
            constraint=table.primary_key,
            set_={
                **changed,
                "run_id": statement.excluded.run_id,
                "found_at": sa.case((is_same, table.c.found_at), else_=sa.func.now()),
            },
        )
        if rows:
            connection.execute(statement, rows)

    def replace_proposals(
        self, connection: sa.Connection, proposals: Iterable[Proposal]
    ) -> None:
        """Keep exactly these proposals, each with what hangs on its SYSPRO supplier."""
        table, kept = supplier_proposals, list(proposals)
        connection.execute(table.delete().where(table.c.connection == self._connection))
        codes = sorted({p.syspro.key for p in kept})
        orders, invoices = self._hanging(connection, codes)
        rows = [
            {
                "connection": self._connection,
                "supplier": p.syspro.key,
                "cin7_id": p.cin7.key,
                "syspro_name": p.syspro.name,
                "cin7_name": p.cin7.name,
                "score": p.score,
                "reasons": "; ".join(p.reasons),
                "open_orders": orders.get(p.syspro.key, 0),
                "unpaid_invoices": invoices.get(p.syspro.key, 0),
                "run_id": self._run_id,
            }
            for p in kept
        ]
        for start in range(0, len(rows), _BATCH):
            connection.execute(table.insert(), rows[start : start + _BATCH])

    def _hanging(
        self, connection: sa.Connection, codes: list[str]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Return open orders and unpaid invoices per supplier, as far as they are staged."""
        orders, invoices = SYSPRO["purchase_orders"], SYSPRO["invoices"]
        is_open = sa.and_(
            sa.func.coalesce(orders.c.order_status, "").not_in(["9", "*"]),
            sa.func.coalesce(orders.c.cancelled, "") != "Y",
        )
        unpaid = sa.func.coalesce(invoices.c.balance, 0) != 0
        counts = []
        for table, condition in ((orders, is_open), (invoices, unpaid)):
            query = (
                sa.select(table.c.supplier, sa.func.count().label("n"))
                .where(
                    table.c.connection == self._connection,
                    table.c.supplier.in_(codes),
                    condition,
                )
                .group_by(table.c.supplier)
            )
            counts.append({r.supplier: int(r.n) for r in connection.execute(query)})
        return counts[0], counts[1]

    # --- people's decisions ----------------------------------------------------------------

    def decide(self, connection: sa.Connection, action: str, by: str, **said: Any) -> None:
        """Add a decision; nothing is ever changed or removed."""
        connection.execute(
            supplier_decisions.insert().values(
                connection=self._connection, action=action, decided_by=by, **said
            )
        )

    def decisions(self, connection: sa.Connection) -> Decisions:
        """Return what people decided, as it holds now."""
        table, found = supplier_decisions, Decisions()
        query = sa.select(table).where(table.c.connection == self._connection)
        for row in connection.execute(query.order_by(table.c.id)):
            found.take(row)
        return found

    # --- codes and links ---------------------------------------------------------------------

    def codes_taken(self) -> set[str]:
        """Return every SYSPRO code that was ever seen or given."""
        tables = (SYSPRO["suppliers"].c.supplier, documents.c.source_key)
        queries = [
            sa.select(tables[0]).where(SYSPRO["suppliers"].c.connection == self._connection),
            sa.select(tables[1]).where(
                documents.c.connection == self._connection, documents.c.kind == Kind.SUPPLIER
            ),
        ]
        with self._engine.connect() as connection:
            return {row[0] for query in queries for row in connection.execute(query)}

    def reserved_code(self, cin7_id: str) -> str | None:
        """Return the SYSPRO code that a Cin7 supplier has or was given."""
        query = sa.select(documents.c.source_key).where(
            documents.c.connection == self._connection,
            documents.c.kind == Kind.SUPPLIER,
            documents.c.cin7_id == cin7_id,
        )
        with self._engine.connect() as connection:
            code: str | None = connection.scalar(query)
        return code

    def open_steps(self, connection: sa.Connection) -> dict[str, str]:
        """Return the step without an answer of each SYSPRO code that has one."""
        query = sa.select(writes.c.source_key, writes.c.step).where(
            writes.c.connection == self._connection,
            writes.c.kind == Kind.SUPPLIER,
            writes.c.state.in_(OPEN),
        )
        return {row.source_key: row.step for row in connection.execute(query)}

    # --- how far Cin7 was read ------------------------------------------------------------

    def read_since(
        self, now: datetime, sweep_hours: int, overlap_minutes: int
    ) -> datetime | None:
        """Return since when Cin7's changes are to be read; None: everything."""
        query = sa.select(supplier_reads.c.read_at, supplier_reads.c.swept_at).where(
            supplier_reads.c.connection == self._connection
        )
        staged = sa.select(sa.func.count()).where(
            CIN7["suppliers"].c.connection == self._connection
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
            is_empty = not connection.scalar(staged)
        if row is None or is_empty or now - row.swept_at >= timedelta(hours=sweep_hours):
            return None
        since: datetime = row.read_at - timedelta(minutes=overlap_minutes)
        return since

    def was_read(self, connection: sa.Connection, began: datetime, *, swept: bool) -> None:
        """Keep how far Cin7 was read, in the transaction that stages it."""
        statement = insert(supplier_reads).values(
            connection=self._connection, read_at=began, swept_at=began
        )
        changed = {"read_at": began, **({"swept_at": began} if swept else {})}
        connection.execute(
            statement.on_conflict_do_update(constraint=supplier_reads.primary_key, set_=changed)
        )
