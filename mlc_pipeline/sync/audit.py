"""The audit trail: append-only events, chained by hash, and the proof that none was touched.

An event is written in the transaction of the change that it tells of, as its last statement:
writers of one chain queue for its head for the length of a commit, and hold no other lock
that one of them could wait for.

The hash of an event covers its content and the hash of the event before it, not its place:
an event that was changed no longer fits its own hash, one that was moved no longer fits its
neighbours. Whoever may switch triggers off may also write a whole chain anew; that is found
by holding the end of the chain against one that was noted elsewhere (`expected`).

What must not come in: HTTP, Dagster, what a document means.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert

from mlc_pipeline.staging.audit_tables import audit_events, audit_heads
from mlc_pipeline.staging.tables import documents

GENESIS = "0" * 64
"""What stands for the hash of the event before the first."""

_BATCH = 1000
_HASHED = (
    *("connection", "at", "partition", "run_id", "actor", "kind", "source_key", "target_id"),
    *("action", "step", "reason", "request_digest", "answer_digest"),
    *("before_digest", "after_digest", "previous_hash"),
)
_RECORD = (
    *("state", "cin7_id", "task_id", "cin7_number", "content_hash", "content", "answered"),
    *("home", "amount", "currency", "reason"),
)


class Action(StrEnum):
    """What an event tells."""

    INTENDED = "intended"
    DONE = "done"
    FOUND = "found"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    NOT_APPLIED = "not_applied"
    SUPERSEDED = "superseded"
    UNCERTAIN = "uncertain"
    DIFFERS = "differs"
    QUARANTINED = "quarantined"
    ADOPTED = "adopted"
    CONFIRMED = "confirmed"
    HELD = "held"
    WAITING = "waiting"
    FAILED = "failed"
    RELEASED = "released"
    ACCEPTED = "accepted"
    FORGOTTEN = "forgotten"
    DECIDED = "decided"


@dataclass(frozen=True)
class Event:
    """What is to be told of a document; the chain adds place, time and hashes."""

    kind: str
    source_key: str
    action: str
    step: str | None = None
    partition: date | None = None
    target_id: str | None = None
    reason: str | None = None
    request_digest: str | None = None
    answer_digest: str | None = None
    before_digest: str | None = None
    after_digest: str | None = None
    actor: str | None = None


def record_digest(table: sa.FromClause = documents) -> sa.ColumnElement[str]:
    """Return the SQL expression of the digest of a ledger record, 64 hex digits.

    It covers what the record says; run and times say who wrote it, not what.
    """
    values = [
        sa.cast(table.c[name], sa.Text) if name in ("home", "amount") else table.c[name]
        for name in _RECORD
    ]
    text = sa.cast(sa.func.jsonb_build_array(*values, type_=JSONB), sa.Text)
    return sa.func.encode(
        sa.func.sha256(sa.func.convert_to(text, "UTF8")), "hex", type_=sa.Text
    )


def hash_of(event: Mapping[str, Any]) -> str:
    """Return the hash of an event from its content and the hash of the one before it."""
    said = {name: event[name] for name in _HASHED}
    said["at"] = event["at"].astimezone(UTC).isoformat(timespec="microseconds")
    said["partition"] = str(event["partition"]) if event["partition"] else None
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def append(connection: sa.Connection, name: str, run_id: str, events: Sequence[Event]) -> None:
    """Append events to a connection's chain, in the transaction under way.

    It must be the last statement of the transaction: the head stays locked until its end.

    Args:
        connection: the transaction of the change that the events tell of.
        name: the connection whose chain it is.
        run_id: the run.
        events: what is told, in order.
    """
    if not events:
        return
    seq, previous, now = _locked_head(connection, name)
    rows = []
    for event in events:
        row = {
            **asdict(event),
            "connection": name,
            "at": now,
            "run_id": run_id,
            "previous_hash": previous,
        }
        seq, previous = seq + 1, hash_of(row)
        rows.append({**row, "seq": seq, "hash": previous})
    moved = (
        audit_heads.update()
        .where(audit_heads.c.connection == name)
        .values(seq=seq, hash=previous)
    )
    if len(rows) == 1:
        # The usual case in one round trip: a push waits for each of them.
        told = audit_events.insert().values(**rows[0]).returning(audit_events.c.seq)
        connection.execute(moved.add_cte(told.cte("told")))
        return
    for start in range(0, len(rows), _BATCH):
        connection.execute(audit_events.insert(), rows[start : start + _BATCH])
    connection.execute(moved)


def _locked_head(connection: sa.Connection, name: str) -> tuple[int, str, datetime]:
    """Return place and hash of the last event, and the time; nobody else appends until then."""
    locked = (
        sa.select(audit_heads.c.seq, audit_heads.c.hash, sa.func.clock_timestamp())
        .where(audit_heads.c.connection == name)
        .with_for_update()
    )
    found = connection.execute(locked).one_or_none()
    if found is None:
        first = insert(audit_heads).values(connection=name, seq=0, hash=GENESIS)
        connection.execute(first.on_conflict_do_nothing())
        found = connection.execute(locked).one()
    return found.seq, found.hash, found[2]


# --- proof -----------------------------------------------------------------------------


@dataclass
class Proof:
    """What verifying a chain came to.

    Attributes:
        connection: whose chain it is.
        events: how many were read.
        seq: where the chain ends.
        hash: the hash of its last event.
        problems: what does not fit, one text each; empty when the chain is whole.
    """

    connection: str
    events: int = 0
    seq: int = 0
    hash: str = GENESIS
    problems: list[str] = field(default_factory=list)

    @property
    def head(self) -> str:
        """The end of the chain as one text, to be noted elsewhere."""
        return f"{self.seq}:{self.hash}"


def head(connection: sa.Connection, name: str) -> str:
    """Return the end of a connection's chain as one text: `place:hash`."""
    query = sa.select(audit_heads.c.seq, audit_heads.c.hash)
    row = connection.execute(query.where(audit_heads.c.connection == name)).one_or_none()
    return f"{row.seq}:{row.hash}" if row else f"0:{GENESIS}"


def chains(connection: sa.Connection) -> list[str]:
    """Return the connections that have events or a head."""
    both = sa.union(
        sa.select(audit_heads.c.connection), sa.select(audit_events.c.connection).distinct()
    )
    return sorted(connection.scalars(both))


def prove(connection: sa.Connection, name: str, expected: str | None = None) -> Proof:
    """Read a connection's whole chain and find what was altered, moved, lost or cut off.

    Args:
        connection: reads; one snapshot while it lasts.
        name: the connection whose chain it is.
        expected: an end of the chain as noted earlier, `place:hash`; it must still be in it.
    """
    proof, reader = Proof(name), _Reader(connection, name)
    noted = _noted(expected)
    for event in reader.events():
        proof.problems += reader.check(event)
        proof.events, proof.seq, proof.hash = proof.events + 1, event.seq, event.hash
        if noted and event.seq == noted[0] and event.hash != noted[1]:
            proof.problems.append(
                f"{_named(event)}: its hash is {event.hash}, noted was {noted[1]}; the chain "
                "was written anew"
            )
    if noted and noted[0] > proof.seq:
        proof.problems.append(
            f"the chain ends at event {proof.seq}, noted was an end at {noted[0]}; the events "
            "after it are missing"
        )
    proof.problems += _cut_off(connection, proof)
    proof.problems += reader.records_that_differ()
    return proof


def _noted(expected: str | None) -> tuple[int, str] | None:
    """Read an end of the chain.

    Raises:
        ValueError: it is not `place:hash`.
    """
    if expected is None:
        return None
    place, _, digest = expected.partition(":")
    if not place.isdigit() or len(digest) != len(GENESIS):
        raise ValueError(f"found {expected!r}, expected an end of the chain: place:hash")
    return int(place), digest


def _cut_off(connection: sa.Connection, proof: Proof) -> Iterator[str]:
    query = sa.select(audit_heads.c.seq, audit_heads.c.hash)
    end = connection.execute(
        query.where(audit_heads.c.connection == proof.connection)
    ).one_or_none()
    if end is None:
        if proof.events:
            yield "the chain's head is missing: it cannot be told whether events were cut off"
    elif end.seq > proof.seq:
        yield f"events {proof.seq + 1} to {end.seq} are missing: the end was cut off"
    elif (end.seq, end.hash) != (proof.seq, proof.hash):
        yield (
            f"the head names event {end.seq} with hash {end.hash[:12]}…, the last one is "
            f"{proof.seq} with {proof.hash[:12]}…"
        )


def _named(event: Any) -> str:
    return (
        f"event {event.seq} ({event.at:%Y-%m-%d %H:%M:%S}, {event.action}"
        f"{f' {event.step}' if event.step else ''} of {event.kind} {event.source_key})"
    )


class _Reader:
    """Reads a chain and remembers what the next event must fit."""

    def __init__(self, connection: sa.Connection, name: str) -> None:
        self._connection, self._name = connection, name
        self._previous: Any = None
        self._place_of: dict[str, int] = {GENESIS: 0}
        self._records: dict[tuple[str, str], Any] = {}

    def events(self) -> Iterator[Any]:
        query = (
            sa.select(audit_events)
            .where(audit_events.c.connection == self._name)
            .order_by(audit_events.c.seq)
        )
        options = {"stream_results": True, "yield_per": _BATCH}
        places = sa.select(audit_events.c.hash, audit_events.c.seq).where(
            audit_events.c.connection == self._name
        )
        self._place_of.update(row._tuple() for row in self._connection.execute(places))
        yield from self._connection.execute(query, execution_options=options)

    def check(self, event: Any) -> list[str]:
        """Return what does not fit about an event."""
        found = [
            *self._misfits_itself(event),
            *self._misfits_its_place(event),
            *self._misfits_the_record(event),
        ]
        self._previous = event
        return found

    @staticmethod
    def _misfits_itself(event: Any) -> Iterator[str]:
        if hash_of(event._mapping) != event.hash:
            yield f"{_named(event)} was altered: its content does not fit its hash"

    def _misfits_its_place(self, event: Any) -> Iterator[str]:
        before = self._previous
        seq, digest = (before.seq, before.hash) if before else (0, GENESIS)
        if event.seq != seq + 1:
            lost = f"{seq + 1}" if event.seq == seq + 2 else f"{seq + 1} to {event.seq - 1}"
            yield f"missing: {lost}, before {_named(event)}"
        elif event.previous_hash != digest:
            place = self._place_of.get(event.previous_hash)
            if place is not None:
                yield (
                    f"{_named(event)} was moved: it was written after event {place}, and "
                    f"stands after event {seq}"
                )
            else:
                was = f"event {seq}" if before else "the beginning of the chain"
                yield (
                    f"{_named(event)} does not follow {was}: what stood before it was altered "
                    "or taken out"
                )

    def _misfits_the_record(self, event: Any) -> Iterator[str]:
        if event.after_digest is None and event.before_digest is None:
            return
        key = (event.kind, event.source_key)
        last = self._records.get(key)
        if last is not None and last.after_digest != event.before_digest:
            yield (
                f"the ledger's record of {event.kind} {event.source_key} was changed outside "
                f"the trail, between event {last.seq} and event {event.seq}"
            )
        self._records[key] = event

    def records_that_differ(self) -> Iterator[str]:
        """Yield the ledger's records that are not what the trail says of them last."""
        query = sa.select(
            documents.c.kind, documents.c.source_key, record_digest().label("digest")
        ).where(documents.c.connection == self._name)
        left = dict(self._records)
        for row in self._connection.execute(query):
            last = left.pop((row.kind, row.source_key), None)
            # A record without events is older than the trail.
            if last is not None and last.after_digest != row.digest:
                yield (
                    f"the ledger's record of {row.kind} {row.source_key} was changed outside "
                    f"the trail, after event {last.seq}"
                )
        for (kind, key), last in left.items():
            if last.after_digest is not None:
                yield (
                    f"the ledger's record of {kind} {key} is gone; the trail has it, last in "
                    f"event {last.seq}"
                )


# --- reading ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Filters:
    """Which events are shown; None does not filter."""

    connection: str | None = None
    kind: str | None = None
    source_key: str | None = None
    action: str | None = None
    run_id: str | None = None
    since: datetime | None = None
    partition: date | None = None
    actor: str | None = None


def read(connection: sa.Connection, filters: Filters, limit: int) -> list[Any]:
    """Return the last events that pass the filters, oldest first."""
    query = sa.select(audit_events)
    for name, value in asdict(filters).items():
        if value is None:
            continue
        if name == "since":
            query = query.where(audit_events.c.at >= value)
        else:
            query = query.where(audit_events.c[name] == value)
    newest = query.order_by(audit_events.c.at.desc(), audit_events.c.seq.desc()).limit(limit)
    return list(connection.execute(newest))[::-1]


def trail_of(connection: sa.Connection, name: str, keys: Iterable[str]) -> list[Any]:
    """Return every event of some documents of a connection, by source key, oldest first."""
    return list(
        connection.execute(
            sa.select(audit_events)
            .where(
                audit_events.c.connection == name,
                audit_events.c.source_key.in_(sorted(set(keys))),
            )
            .order_by(audit_events.c.seq)
        )
    )
