"""Which held documents would not be held now: what was missing is there.

Held documents are planned again, without keeping the plan, on the mappings and references
as they are now. So every cause counts, whatever was missing: an account, a product, a
supplier, a term.

What must not come in: Dagster, HTTP, what is done about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.tables import CIN7, PLAN, SYSPRO
from mlc_pipeline.sync import planner
from mlc_pipeline.sync.ledger import Ledger
from mlc_pipeline.sync.plan import PlanContext
from mlc_pipeline.sync.planner import Plan
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.supplier_planner import suppliers_as_directed
from mlc_pipeline.sync.vocabulary import READY, Verdict

_PLANNERS: Mapping[str, Callable[..., Plan]] = {
    "suppliers": suppliers_as_directed,
    "purchases": planner.purchases_of,
    "invoices": planner.invoices_of,
}


@dataclass(frozen=True)
class HeldDay:
    """Documents of a plan table that are held on a day.

    Attributes:
        table: suppliers, purchases or invoices.
        day: the partition.
        planned_at: when the last of them was planned.
        documents: kind and source key of each.
    """

    table: str
    day: date
    planned_at: datetime
    documents: frozenset[tuple[str, str]]


def held_days(engine: sa.Engine, name: str) -> list[HeldDay]:
    """Return where documents are held by their latest plan, in the order of the days."""
    found: list[HeldDay] = []
    with engine.connect() as connection:
        for kind in _PLANNERS:
            table = PLAN[kind]
            latest = (
                sa.select(
                    table.c.kind,
                    table.c.source_key,
                    table.c.partition,
                    table.c.verdict,
                    table.c.planned_at,
                )
                .where(table.c.connection == name)
                .distinct(table.c.kind, table.c.source_key)
                .order_by(table.c.kind, table.c.source_key, table.c.planned_at.desc())
                .subquery()
            )
            held: dict[date, list[Any]] = {}
            query = sa.select(latest).where(latest.c.verdict == Verdict.HELD)
            for row in connection.execute(query):
                held.setdefault(row.partition, []).append(row)
            found += [
                HeldDay(
                    kind,
                    day,
                    max(row.planned_at for row in rows),
                    frozenset((row.kind, row.source_key) for row in rows),
                )
                for day, rows in held.items()
            ]
    return sorted(found, key=lambda each: (each.day, each.table))


def state_of_references(engine: sa.Engine, name: str) -> str:
    """Return a text that changes when Cin7's books or SYSPRO's suppliers are read again."""
    tables = [*CIN7.values(), SYSPRO["suppliers"]]
    with engine.connect() as connection:
        read = [
            connection.scalar(
                sa.select(sa.func.max(table.c.extracted_at)).where(table.c.connection == name)
            )
            for table in tables
        ]
    return "|".join(str(moment) for moment in read)


def is_resolved(engine: sa.Engine, held: HeldDay, context: PlanContext) -> list[str]:
    """Return the source keys of a day's held documents that could be written now."""
    name = context.connection.name
    made = _PLANNERS[held.table](
        engine,
        Window(name, held.day, held.day),
        context,
        Ledger(engine, name, "not kept"),
    )
    return sorted(
        planned.source_key
        for _, planned in made.rows
        if planned.verdict in READY and (planned.kind, planned.source_key) in held.documents
    )
