"""The certificate of a replay: that nothing had to be written, or exactly what was.

What must not come in: Dagster, printing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from mlc_pipeline.staging.tables import PLAN, PUSH
from mlc_pipeline.sync.vocabulary import Outcome

WRITTEN = (Outcome.CREATED, Outcome.UPDATED, Outcome.ADOPTED)
"""Outcomes that are a difference to what was there before."""


@dataclass(frozen=True)
class Difference:
    """One document that a run wrote or linked, with what changed in it."""

    day: date
    kind: str
    source_key: str
    outcome: str
    cin7_number: str | None
    changes: tuple[str, ...]

    def __str__(self) -> str:
        changed = f": {'; '.join(self.changes)}" if self.changes else ""
        number = f" ({self.cin7_number})" if self.cin7_number else ""
        kind = self.kind.replace("_", " ")
        return f"{self.outcome} {kind} {self.source_key}{number}{changed}"


def differences(
    connection: sa.Connection,
    name: str,
    run_ids: Sequence[str],
    tables: Iterable[str] = tuple(PUSH),
) -> list[Difference]:
    """Return what some runs wrote, each document with the fields that changed.

    Args:
        connection: reads.
        name: the connection.
        run_ids: the runs.
        tables: suppliers, purchases, invoices.
    """
    found = []
    for table in tables:
        pushed, plan = PUSH[table], PLAN[table]
        same = [pushed.c[n] == plan.c[n] for n in ("connection", "partition", "source_key")]
        query = (
            sa.select(pushed, plan.c.difference)
            .select_from(pushed.outerjoin(plan, sa.and_(*same)))
            .where(
                pushed.c.connection == name,
                pushed.c.run_id.in_(list(run_ids)),
                pushed.c.outcome.in_([str(outcome) for outcome in WRITTEN]),
            )
            .order_by(pushed.c.partition, pushed.c.kind, pushed.c.source_key)
        )
        found += [
            Difference(
                row.partition,
                row.kind,
                row.source_key,
                row.outcome,
                row.cin7_number,
                tuple(
                    f"{change['field']}: {change.get('before')} -> {change.get('after')}"
                    for change in row.difference or ()
                    if change["field"] != "adopt"
                ),
            )
            for row in connection.execute(query)
        ]
    return found


def certificate(found: Sequence[Difference]) -> str:
    """Return the certificate as one line."""
    counts = Counter(difference.outcome for difference in found)
    if not found:
        return "0 creates, 0 updates: nothing had to be written"
    text = f"{counts[Outcome.CREATED]} creates, {counts[Outcome.UPDATED]} updates"
    adopted = counts[Outcome.ADOPTED]
    return f"{text}, {adopted} linked" if adopted else text
