"""What stands held, waiting or failed now, since when, and why: kept beside the outcomes.

A push records its outcomes by day; a document may stand in several days. Here it stands
once, with the last that was judged of it, until it goes through. Each time a document is
stopped, stopped for another reason, or let go, the audit trail is told.

What must not come in: verdicts, HTTP, Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.audit_tables import holds
from mlc_pipeline.staging.load import Stamp, upsert
from mlc_pipeline.sync import audit
from mlc_pipeline.sync.audit import Action, Event
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.vocabulary import UNDONE, Kind, Outcome

STOPPED = frozenset({Outcome.HELD, Outcome.WAITING, Outcome.FAILED})
"""Outcomes of a document that is not where it should be."""

KINDS: Mapping[str, tuple[Kind, ...]] = {
    "suppliers": (Kind.SUPPLIER,),
    "syspro_suppliers": (Kind.SYSPRO_SUPPLIER,),
    "purchases": (Kind.PURCHASE_ORDER, Kind.RECEIPT),
    "invoices": (Kind.INVOICE, Kind.CREDIT_NOTE, Kind.POSTING),
}
"""The kinds of documents that each push table holds."""

_CHUNK = 5000


def keep(
    connection: sa.Connection,
    stamp: Stamp,
    window: Window,
    kind: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    is_whole: bool = True,
) -> None:
    """Bring what stands held up to date with the outcomes of a push, and tell the trail.

    Args:
        connection: the transaction that records the outcomes; this is its end.
        stamp: connection and run.
        window: the days that were pushed.
        kind: suppliers, purchases or invoices.
        rows: the outcomes as the push table has them.
        is_whole: whether every document of the days is among them; a push that ended early
            lets nothing go that it did not come to.
    """
    judged = {(str(row["kind"]), row["source_key"]): row for row in rows}
    standing = _standing(connection, window, kind, judged)
    now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    kept, events = [], []
    for key, row in judged.items():
        before = standing.get(key)
        if Outcome(row["outcome"]) in STOPPED:
            is_same = before is not None and _cause(before) == _cause(row)
            kept.append(_hold(stamp, row, before["since"] if is_same and before else now, now))
            if not is_same:
                events.append(_stopped(row))
        elif before is not None:
            events.append(_released(before, f"{row['outcome']}, was {before['reason_code']}"))
    gone = [key for key in standing if key not in judged and is_whole]
    events += [
        _released(standing[key], "it is not among the documents of its day any more")
        for key in gone
    ]
    over = [*gone, *(key for key in standing if key in judged and not _is_stopped(judged[key]))]
    _delete(connection, stamp.connection, over)
    upsert(connection, holds, kept)
    audit.append(connection, stamp.connection, stamp.run_id, events)


def _is_stopped(row: Mapping[str, Any]) -> bool:
    return Outcome(row["outcome"]) in STOPPED


def _cause(row: Mapping[str, Any]) -> tuple[str, str | None]:
    return (str(row["outcome"]), row["reason_code"])


def _standing(
    connection: sa.Connection,
    window: Window,
    kind: str,
    judged: Mapping[tuple[str, str], Any],
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return what stands held of the window's days, and of the documents just judged."""
    ours = sa.and_(
        holds.c.connection == window.connection, holds.c.kind.in_([str(k) for k in KINDS[kind]])
    )
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in connection.execute(sa.select(holds).where(ours)):
        key = (row.kind, row.source_key)
        if key in judged or window.covers(row.partition):
            found[key] = dict(row._mapping)
    return found


def _hold(
    stamp: Stamp, row: Mapping[str, Any], since: datetime, now: datetime
) -> dict[str, Any]:
    copied = (
        *("kind", "source_key", "partition", "outcome", "reason_code", "reason"),
        *("supplier", "amount", "currency"),
    )
    return {
        **{name: row[name] for name in copied},
        "connection": stamp.connection,
        "since": since,
        "seen_at": now,
        "run_id": stamp.run_id,
    }


def _stopped(row: Mapping[str, Any]) -> Event:
    action = {
        Outcome.HELD: Action.HELD,
        Outcome.WAITING: Action.WAITING,
        Outcome.FAILED: Action.FAILED,
    }[Outcome(row["outcome"])]
    return Event(
        str(row["kind"]),
        row["source_key"],
        action,
        partition=row["partition"],
        target_id=row["cin7_id"],
        reason=f"{row['reason_code']}: {row['reason']}",
    )


def _released(before: Mapping[str, Any], why: str) -> Event:
    return Event(
        before["kind"],
        before["source_key"],
        Action.RELEASED,
        partition=before["partition"],
        reason=why,
    )


def _delete(connection: sa.Connection, name: str, keys: list[tuple[str, str]]) -> None:
    pair = sa.tuple_(holds.c.kind, holds.c.source_key)
    for start in range(0, len(keys), _CHUNK):
        connection.execute(
            holds.delete().where(
                holds.c.connection == name, pair.in_(keys[start : start + _CHUNK])
            )
        )


def stopped_days(
    connection: sa.Connection,
    name: str,
    *,
    reason: str | None = None,
    failed_since: date | None = None,
    source_keys: Iterable[str] | None = None,
) -> list[date]:
    """Return the days on which something stands stopped.

    Args:
        connection: reads.
        name: the connection.
        reason: only what is stopped for this reason.
        failed_since: only what failed or could not be sent on this day or later.
        source_keys: only these documents.
    """
    query = sa.select(holds.c.partition).distinct().where(holds.c.connection == name)
    if reason is not None:
        query = query.where(holds.c.reason_code == reason)
    if failed_since is not None:
        undone = sa.or_(
            holds.c.outcome == Outcome.FAILED,
            holds.c.reason_code.in_(UNDONE),
        )
        query = query.where(undone, sa.cast(holds.c.seen_at, sa.Date) >= failed_since)
    if source_keys is not None:
        query = query.where(holds.c.source_key.in_(sorted(set(source_keys))))
    return sorted(connection.scalars(query))
