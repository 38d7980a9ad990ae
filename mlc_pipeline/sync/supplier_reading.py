"""Staging Cin7's suppliers: what changed since the last reading, or all of them now and then.

Changes alone are cheap and enough for what is there; only a whole reading shows what is
there no more. A reading of changes looks back a little further than the last one began, so
that no clock and no page that moved can hide a change; what is read twice is read once.

What must not come in: HTTP, Dagster, what a change means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.connection.model import Suppliers
from mlc_pipeline.staging.load import Stamp, replace_table, upsert
from mlc_pipeline.staging.supplier_tables import supplier_bases
from mlc_pipeline.staging.tables import CIN7, documents
from mlc_pipeline.sync.references import reference_rows
from mlc_pipeline.sync.supplier_attributes import cin7_side
from mlc_pipeline.sync.supplier_merge import Rules
from mlc_pipeline.sync.supplier_records import SupplierRecords
from mlc_pipeline.sync.vocabulary import Kind

Read = Callable[[datetime | None], Iterable[Mapping[str, Any]]]
"""Reads the suppliers that changed since a moment (with zone); None: all."""


@dataclass(frozen=True)
class Reading:
    """What was read: how many suppliers, and since when; None when it was all of them."""

    rows: int
    since: datetime | None


def stage_cin7_suppliers(
    engine: sa.Engine,
    stamp: Stamp,
    settings: Suppliers,
    read: Read,
    now: datetime | None = None,
) -> Reading:
    """Read Cin7's suppliers, changes or all, and stage them.

    Args:
        engine: our database.
        stamp: connection and run.
        settings: how often all are read, how far changes overlap.
        read: the reading.
        now: the moment of the reading, with zone; None for now.
    """
    records = SupplierRecords(engine, stamp.connection, stamp.run_id)
    began = now or datetime.now(UTC)
    since = records.read_since(began, settings.sweep_hours, settings.overlap_minutes)
    rows = reference_rows("suppliers", read(since))
    if since is None:
        replace_table(engine, CIN7["suppliers"], stamp, rows)
    with engine.begin() as connection:
        if since is not None:
            stamped = [
                {**row, "connection": stamp.connection, "run_id": stamp.run_id} for row in rows
            ]
            upsert(connection, CIN7["suppliers"], stamped)
        records.was_read(connection, began, swept=since is None)
    return Reading(len(rows), since)


def changed_in_cin7(
    connection: sa.Connection,
    name: str,
    answers: Iterable[Mapping[str, Any]],
    settings: Suppliers,
) -> list[str]:
    """Return the ids of suppliers that say something new; an echo of our own write does not.

    Args:
        connection: our database.
        name: the connection.
        answers: suppliers as Cin7 answers them.
        settings: which attributes are read.
    """
    by_id = {str(answer["ID"]): answer for answer in answers}
    query = (
        sa.select(
            documents.c.cin7_id,
            documents.c.source_key,
            supplier_bases.c.cin7_hash,
            supplier_bases.c.stand_in,
        )
        .join(
            supplier_bases,
            sa.and_(
                supplier_bases.c.connection == documents.c.connection,
                supplier_bases.c.supplier == documents.c.source_key,
            ),
        )
        .where(
            documents.c.connection == name,
            documents.c.kind == Kind.SUPPLIER,
            documents.c.cin7_id.in_([*by_id]),
        )
    )
    known = {row.cin7_id: row for row in connection.execute(query)}
    return sorted(
        id_
        for id_, answer in by_id.items()
        if id_ not in known or _digest(answer, known[id_], settings) != known[id_].cin7_hash
    )


def _digest(answer: Mapping[str, Any], link: Any, settings: Suppliers) -> str:
    side = cin7_side(answer, link.source_key, settings, link.stand_in)
    return side.digest(str(Rules.of(settings)))
