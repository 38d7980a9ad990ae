"""The ledger: what we intended to write outside, what came of it, what stands there now.

The source of at-most-once. Before a call its intent is committed; after the answer the
outcome and the ids are committed before anything else happens. A write whose answer never
came stays open, and an open write is looked for in Cin7 before anything is sent again. The
database allows one open write a document, and a document is claimed under an advisory lock
that dies with its holder's connection.

What must not come in: HTTP, Dagster, what a document means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from mlc_pipeline.staging.tables import documents, writes
from mlc_pipeline.sync.plan import Known
from mlc_pipeline.sync.vocabulary import Kind

OPEN = ("intended", "uncertain")
_CHUNK = 5000


@dataclass(frozen=True)
class DocumentRef:
    """A document of a connection, with what the ledger keeps beside it."""

    kind: Kind
    source_key: str
    partition: date | None = None
    home: date | None = None
    amount: Decimal = Decimal(0)
    currency: str | None = None


@dataclass(frozen=True)
class OpenWrite:
    """A write whose outcome is not known."""

    id: int
    step: str
    request_hash: str
    intended_at: datetime
    age_seconds: float
    reason: str | None = None


@dataclass(frozen=True)
class Document:
    """A document as the ledger has it.

    `state` is started, header_made, order_made, done or voided.
    """

    state: str
    cin7_id: str | None = None
    task_id: str | None = None
    cin7_number: str | None = None
    content_hash: str | None = None
    content: Mapping[str, Any] | None = None
    answered: Mapping[str, Any] | None = None


class Ledger:
    """The ledger of one connection, as one run writes it."""

    def __init__(self, engine: sa.Engine, connection: str, run_id: str) -> None:
        """Open the ledger; every row written carries the run's id.

        `writes_made` counts the calls that this run intended.
        """
        self._engine = engine
        self._connection = connection
        self._run_id = run_id
        self.writes_made = 0

    def _row(self, kind: str, source_key: str) -> sa.ColumnElement[bool]:
        return sa.and_(
            documents.c.connection == self._connection,
            documents.c.kind == kind,
            documents.c.source_key == source_key,
        )

    def document(self, kind: Kind, source_key: str) -> Document | None:
        """Return a document, or None when nothing was ever intended for it."""
        columns = [documents.c[name] for name in Document.__dataclass_fields__]
        with self._engine.connect() as connection:
            row = connection.execute(
                sa.select(*columns).where(self._row(kind, source_key))
            ).one_or_none()
        return Document(**row._mapping) if row else None

    def known(self, kind: Kind, keys: Iterable[str]) -> dict[tuple[str, str], Known]:
        """Return what is known of documents, for planning."""
        wanted, found = sorted(set(keys)), {}
        columns = ("source_key", "state", "content_hash", "content", "answered", "cin7_id")
        query = sa.select(*[documents.c[name] for name in columns]).where(
            documents.c.connection == self._connection, documents.c.kind == kind
        )
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                for row in connection.execute(query.where(documents.c.source_key.in_(chunk))):
                    found[(str(kind), row.source_key)] = Known(
                        state=row.state,
                        content_hash=row.content_hash,
                        content=row.content,
                        status=(row.answered or {}).get("status"),
                        cin7_id=row.cin7_id,
                    )
        return found

    def supplier_links(self) -> dict[str, str]:
        """Return the Cin7 supplier ids that are taken, with their SYSPRO codes."""
        query = sa.select(documents.c.cin7_id, documents.c.source_key).where(
            documents.c.connection == self._connection,
            documents.c.kind == Kind.SUPPLIER,
            documents.c.cin7_id.is_not(None),
        )
        with self._engine.connect() as connection:
            return {row.cin7_id: row.source_key for row in connection.execute(query)}

    def is_linked(self, cin7_id: str) -> bool:
        """Tell whether a purchase belongs to a document already."""
        query = sa.select(documents.c.kind).where(
            documents.c.connection == self._connection, documents.c.cin7_id == cin7_id
        )
        with self._engine.connect() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def tasks(self, purchase_id: str, but: str) -> list[tuple[str, str]]:
        """Return (kind, task id) of every receipt and invoice on a purchase.

        The document with the source key `but` does not count: it may be looked for again.
        """
        query = sa.select(documents.c.kind, documents.c.task_id).where(
            documents.c.connection == self._connection,
            documents.c.cin7_id == purchase_id,
            documents.c.source_key != but,
            documents.c.task_id.is_not(None),
            documents.c.kind.in_([Kind.RECEIPT, Kind.INVOICE]),
        )
        with self._engine.connect() as connection:
            return [(row.kind, row.task_id) for row in connection.execute(query)]

    def open_write(self, kind: Kind, source_key: str) -> OpenWrite | None:
        """Return the write of a document whose outcome is not known, if there is one."""
        age = sa.func.extract("epoch", sa.func.clock_timestamp() - writes.c.intended_at)
        query = sa.select(
            writes.c.id,
            writes.c.step,
            writes.c.request_hash,
            writes.c.intended_at,
            sa.cast(age, sa.Float).label("age_seconds"),
            writes.c.reason,
        ).where(
            writes.c.connection == self._connection,
            writes.c.kind == kind,
            writes.c.source_key == source_key,
            writes.c.state.in_(OPEN),
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return OpenWrite(**row._mapping) if row else None

    def intend(
        self,
        ref: DocumentRef,
        step: str,
        request_hash: str,
        intended: Mapping[str, Any] | None = None,
    ) -> int:
        """Commit the intent of a call, and the document if it is new; return the write's id.

        From here until the outcome is committed nobody knows which version Cin7 holds, so
        the document loses its content hash; `intended` is the content that is being sent.

        Raises:
            sqlalchemy.exc.IntegrityError: the document has an open write already.
        """
        with self._engine.begin() as connection:
            connection.execute(
                insert(documents)
                .values(
                    connection=self._connection,
                    kind=ref.kind,
                    source_key=ref.source_key,
                    state="started",
                    home=ref.home,
                    amount=ref.amount,
                    currency=ref.currency,
                    content=intended,
                    run_id=self._run_id,
                )
                .on_conflict_do_update(
                    constraint=documents.primary_key,
                    set_={
                        "content_hash": None,
                        # The document may have been re-dated since the first attempt.
                        "home": ref.home,
                        "amount": ref.amount,
                        "currency": ref.currency,
                        **({"content": intended} if intended else {}),
                    },
                )
            )
            written = connection.execute(
                writes.insert()
                .values(
                    connection=self._connection,
                    kind=ref.kind,
                    source_key=ref.source_key,
                    step=step,
                    state="intended",
                    request_hash=request_hash,
                    partition=ref.partition,
                    run_id=self._run_id,
                )
                .returning(writes.c.id)
            )
            write_id = int(written.scalar_one())
        self.writes_made += 1
        return write_id

    def close(
        self,
        write_id: int,
        outcome: str,
        ref: DocumentRef,
        *,
        reason: str | None = None,
        lost_now: bool = False,
        **document: Any,
    ) -> None:
        """Commit what became of a call and, with it, what changed in the document.

        Args:
            write_id: from `intend`.
            outcome: done, refused, not_sent, not_applied, superseded or uncertain.
            ref: the document.
            reason: why, when it is not done.
            lost_now: the answer was lost at this moment: its rest begins now.
            document: columns of the document to set (state, cin7_id, task_id, …).
        """
        with self._engine.begin() as connection:
            connection.execute(
                writes.update()
                .where(writes.c.id == write_id)
                .values(
                    state=outcome,
                    reason=reason,
                    target_id=document.get("task_id") or document.get("cin7_id"),
                    # The wait for the call budget lies between intent and call: the rest of
                    # a lost answer counts from its loss.
                    **({"intended_at": sa.func.clock_timestamp()} if lost_now else {}),
                    finished_at=None if outcome in OPEN else sa.func.clock_timestamp(),
                )
            )
            connection.execute(
                documents.update()
                .where(self._row(ref.kind, ref.source_key))
                .values(
                    reason=reason,
                    run_id=self._run_id,
                    updated_at=sa.func.now(),
                    **document,
                )
            )

    def adopt(self, ref: DocumentRef, **document: Any) -> None:
        """Commit a link to something that was already in Cin7, without a call."""
        values = {
            "connection": self._connection,
            "kind": ref.kind,
            "source_key": ref.source_key,
            "home": ref.home,
            "amount": ref.amount,
            "currency": ref.currency,
            "run_id": self._run_id,
            **document,
        }
        with self._engine.begin() as connection:
            connection.execute(
                insert(documents)
                .values(**values)
                .on_conflict_do_update(
                    constraint=documents.primary_key,
                    set_={**document, "run_id": self._run_id, "updated_at": sa.func.now()},
                )
            )

    def sent_between(
        self, kinds: Iterable[Kind], first: date, last: date
    ) -> list[tuple[Kind, str, Decimal, str | None, date]]:
        """Return the documents of some days that are in Cin7, if only begun.

        Returns:
            Kind, source key, amount, currency and date of each.
        """
        query = sa.select(
            documents.c.kind,
            documents.c.source_key,
            documents.c.amount,
            documents.c.currency,
            documents.c.home,
        ).where(
            documents.c.connection == self._connection,
            documents.c.kind.in_(list(kinds)),
            documents.c.home.between(first, last),
            documents.c.state.in_(["header_made", "order_made", "done"]),
        )
        with self._engine.connect() as connection:
            return [
                (Kind(r.kind), r.source_key, r.amount, r.currency, r.home)
                for r in connection.execute(query)
            ]

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Hold a document for this worker; False when another one has it.

        The lock belongs to a database session, so a worker that dies lets go of it.
        """
        text = f"{self._connection}|{name}".encode()
        key = int.from_bytes(hashlib.sha256(text).digest()[:8], signed=True)
        with self._engine.connect() as connection:
            session = connection.execution_options(isolation_level="AUTOCOMMIT")
            got = session.scalar(sa.select(sa.func.pg_try_advisory_lock(key)))
            try:
                yield bool(got)
            finally:
                if got:
                    session.execute(sa.select(sa.func.pg_advisory_unlock(key)))
