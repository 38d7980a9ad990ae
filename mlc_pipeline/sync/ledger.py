"""The ledger: what we intended to write outside, what came of it, what stands there now.

The source of at-most-once. Before a call its intent is committed; after the answer the
outcome and the ids are committed before anything else happens. A write whose answer never
came stays open, and an open write is looked for in Cin7 before anything is sent again. The
database allows one open write a document, and a document is claimed under an advisory lock
that dies with its holder's connection. Each change is told to the audit trail in the
transaction that makes it.

What must not come in: HTTP, Dagster, what a document means.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from mlc_pipeline.staging.tables import documents, writes
from mlc_pipeline.sync import audit
from mlc_pipeline.sync.audit import Action, Event
from mlc_pipeline.sync.plan import Known
from mlc_pipeline.sync.vocabulary import Kind

logger = logging.getLogger(__name__)

OPEN = ("intended", "uncertain", "differs", "quarantined")
"""States of a write of which it is not settled what came of it.

intended: sent or about to be; uncertain: the answer was lost; differs: Cin7 stored something
else; quarantined: two documents in Cin7 could be it.
"""

_CHUNK = 5000
_DATED = ("home", "amount", "currency")
_BEFORE = documents.alias("before")
_AGE = sa.func.extract("epoch", sa.func.clock_timestamp() - writes.c.state_since)
_OPEN_WRITE = (
    writes.c.id,
    writes.c.step,
    writes.c.request_hash,
    writes.c.intended_at,
    sa.cast(_AGE, sa.Float).label("age_seconds"),
    writes.c.reason,
    writes.c.state,
)
_DIGEST, _DIGEST_BEFORE = audit.record_digest(), audit.record_digest(_BEFORE)


class ClaimLost(Exception):  # noqa: N818 - tells what happened to the claim
    """The session that held the claim is gone; another worker may have the document now."""


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
    state: str = "uncertain"


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
        self._claim: tuple[sa.Connection, int | None] | None = None
        self.writes_made = 0

    @property
    def run_id(self) -> str:
        """The run that writes."""
        return self._run_id

    @property
    def connection(self) -> str:
        """Name of the connection whose ledger it is."""
        return self._connection

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
        """Return (kind, task id) of every receipt, invoice and credit note on a purchase.

        The document with the source key `but` does not count: it may be looked for again.
        """
        query = sa.select(documents.c.kind, documents.c.task_id).where(
            documents.c.connection == self._connection,
            documents.c.cin7_id == purchase_id,
            documents.c.source_key != but,
            documents.c.task_id.is_not(None),
            documents.c.kind.in_([Kind.RECEIPT, Kind.INVOICE, Kind.CREDIT_NOTE]),
        )
        with self._engine.connect() as connection:
            return [(row.kind, row.task_id) for row in connection.execute(query)]

    def was_written_now(self, kind: Kind, source_key: str) -> bool:
        """Tell whether this run has finished writing a document, lines and all."""
        query = sa.select(writes.c.id).where(
            writes.c.connection == self._connection,
            writes.c.kind == kind,
            writes.c.source_key == source_key,
            writes.c.run_id == self._run_id,
            writes.c.state == "done",
            writes.c.step.in_(["post_order", "post_invoice"]),
        )
        with self._engine.connect() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def open_write(self, kind: Kind, source_key: str) -> OpenWrite | None:
        """Return the write of a document whose outcome is not known, if there is one.

        Its age counts from when it came to its state: the wait for the call budget lies
        between intent and call.
        """
        query = sa.select(*_OPEN_WRITE).where(
            writes.c.connection == self._connection,
            writes.c.kind == kind,
            writes.c.source_key == source_key,
            writes.c.state.in_(OPEN),
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return OpenWrite(**row._mapping) if row else None

    def open_on_order(
        self, purchase_order: str, but: DocumentRef
    ) -> list[tuple[DocumentRef, OpenWrite]]:
        """Return the open writes of an order's other receipts and invoices.

        Of a first call that was not answered the ledger has no purchase: the order's number
        stands in what was sent.
        """
        is_same = sa.and_(
            documents.c.kind == but.kind, documents.c.source_key == but.source_key
        )
        query = (
            sa.select(documents.c.kind, documents.c.source_key, *_OPEN_WRITE)
            .join(
                writes,
                sa.and_(
                    writes.c.connection == documents.c.connection,
                    writes.c.kind == documents.c.kind,
                    writes.c.source_key == documents.c.source_key,
                ),
            )
            .where(
                writes.c.connection == self._connection,
                writes.c.state.in_(OPEN),
                writes.c.kind.in_([Kind.RECEIPT, Kind.INVOICE]),
                documents.c.content["purchase_order"].astext == purchase_order,
                sa.not_(is_same),
            )
            .order_by(writes.c.id)
        )
        with self._engine.connect() as connection:
            rows = [dict(row._mapping) for row in connection.execute(query)]
        return [
            (DocumentRef(Kind(row.pop("kind")), row.pop("source_key")), OpenWrite(**row))
            for row in rows
        ]

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
            digests = connection.execute(
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
                .returning(self._digest_before(ref), _DIGEST)
            ).one()
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
            self._tell(
                connection,
                ref,
                Action.INTENDED,
                digests,
                step=step,
                request_digest=request_hash,
            )
        self.writes_made += 1
        return write_id

    def _digest_before(self, ref: DocumentRef) -> sa.ScalarSelect[str]:
        """Return the digest of a record as it was before the statement that returns it."""
        return (
            sa.select(_DIGEST_BEFORE)
            .where(
                _BEFORE.c.connection == self._connection,
                _BEFORE.c.kind == ref.kind,
                _BEFORE.c.source_key == ref.source_key,
            )
            .scalar_subquery()
        )

    def _tell(
        self,
        connection: sa.Connection,
        ref: DocumentRef,
        action: str,
        digests: Iterable[str | None],
        **event: Any,
    ) -> None:
        """Append an event to the trail; the last statement of its transaction."""
        before, after = digests
        told = Event(
            ref.kind,
            ref.source_key,
            action,
            partition=ref.partition,
            before_digest=before,
            after_digest=after,
            **event,
        )
        audit.append(connection, self._connection, self._run_id, [told])

    def close(
        self,
        write_id: int,
        outcome: str,
        ref: DocumentRef,
        *,
        reason: str | None = None,
        action: str | None = None,
        answer_digest: str | None = None,
        actor: str | None = None,
        **document: Any,
    ) -> None:
        """Commit what became of a call and, with it, what changed in the document.

        Args:
            write_id: from `intend`.
            outcome: done, refused, not_sent, not_applied, superseded, or one of `OPEN`.
            ref: the document.
            reason: why, when it is not done.
            action: what the trail tells; the outcome when not given.
            answer_digest: of Cin7's answer, when there was one.
            actor: the person who decided it; None for a run.
            document: columns of the document to set (state, cin7_id, task_id, …).
        """
        target = document.get("task_id") or document.get("cin7_id")
        earlier = writes.alias("earlier")
        was_same = sa.and_(earlier.c.state == outcome, earlier.c.reason == reason)
        was = sa.select(was_same).where(earlier.c.id == write_id).scalar_subquery()
        is_same = sa.and_(writes.c.state == outcome, writes.c.reason == reason)
        with self._engine.begin() as connection:
            write = connection.execute(
                writes.update()
                .where(writes.c.id == write_id)
                .values(
                    state=outcome,
                    reason=reason,
                    target_id=target,
                    state_since=sa.case(
                        (is_same, writes.c.state_since), else_=sa.func.clock_timestamp()
                    ),
                    finished_at=None if outcome in OPEN else sa.func.clock_timestamp(),
                )
                .returning(writes.c.step, writes.c.request_hash, was.label("is_same"))
            ).one()
            digests = connection.execute(
                documents.update()
                .where(self._row(ref.kind, ref.source_key))
                .values(
                    reason=reason,
                    run_id=self._run_id,
                    updated_at=sa.func.now(),
                    **document,
                )
                .returning(self._digest_before(ref), _DIGEST)
            ).one()
            if write.is_same and digests[0] == digests[1]:
                return  # it was looked at again, and nothing is new
            self._tell(
                connection,
                ref,
                action or outcome,
                digests,
                step=write.step,
                target_id=target,
                reason=reason,
                request_digest=write.request_hash,
                answer_digest=answer_digest,
                actor=actor,
            )

    def adopt(
        self,
        ref: DocumentRef,
        *,
        action: str = Action.ADOPTED,
        because: str | None = None,
        answer_digest: str | None = None,
        actor: str | None = None,
        **document: Any,
    ) -> None:
        """Commit a link to something that was already in Cin7, without a call.

        Args:
            ref: the document.
            action: what the trail tells.
            because: why, for the trail.
            answer_digest: of what Cin7 holds, when it was read.
            actor: the person who decided it; None for a run.
            document: columns of the document to set (state, cin7_id, task_id, …).
        """
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
            digests = connection.execute(
                insert(documents)
                .values(**values)
                .on_conflict_do_update(
                    constraint=documents.primary_key,
                    set_={
                        # What is only linked may have no date yet; the plan brings it.
                        **({n: values[n] for n in _DATED} if ref.home else {}),
                        **document,
                        "run_id": self._run_id,
                        "updated_at": sa.func.now(),
                    },
                )
                .returning(self._digest_before(ref), _DIGEST)
            ).one()
            self._tell(
                connection,
                ref,
                action,
                digests,
                target_id=document.get("task_id") or document.get("cin7_id"),
                reason=because,
                answer_digest=answer_digest,
                actor=actor,
            )

    def forget(self, ref: DocumentRef, reason: str, actor: str) -> None:
        """Take a document for one that is not in Cin7: the next plan makes it anew.

        The record stays, without what Cin7 gave it.
        """
        with self._engine.begin() as connection:
            digests = connection.execute(
                documents.update()
                .where(self._row(ref.kind, ref.source_key))
                .values(
                    state="started",
                    cin7_id=None,
                    task_id=None,
                    cin7_number=None,
                    content_hash=None,
                    answered=None,
                    reason=reason,
                    run_id=self._run_id,
                    updated_at=sa.func.now(),
                )
                .returning(self._digest_before(ref), _DIGEST)
            ).one()
            self._tell(connection, ref, Action.FORGOTTEN, digests, reason=reason, actor=actor)

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
    def claim(self, *names: str) -> Iterator[bool]:
        """Hold what some names stand for, all or nothing; False when another worker has any.

        Nobody waits for a claim. The locks belong to a database session, so a worker that
        dies lets go of them.
        """
        keys = sorted({self._lock_key(name) for name in names})
        with self._engine.connect() as connection:
            session = connection.execution_options(isolation_level="AUTOCOMMIT")
            got: list[int] = []
            for key in keys:
                if not session.scalar(sa.select(sa.func.pg_try_advisory_lock(key))):
                    break
                got.append(key)
            is_mine = len(got) == len(keys)
            if is_mine:
                self._claim = (session, session.scalar(_SESSION))
            try:
                yield is_mine
            finally:
                self._claim = None
                self._let_go(session, got)

    def _let_go(self, session: sa.Connection, keys: list[int]) -> None:
        try:
            for key in keys:
                session.execute(sa.select(sa.func.pg_advisory_unlock(key)))
        except (sa.exc.DBAPIError, sa.exc.PendingRollbackError) as error:
            # What was done under the claim is committed; the locks went with the session.
            logger.warning("%s: a session that held a claim ended: %s", self._connection, error)
            session.invalidate()

    def _lock_key(self, name: str) -> int:
        text = f"{self._connection}|{name}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], signed=True)

    def assert_claimed(self) -> None:
        """Make sure that the claim under way is still held: asked before each call.

        A session that was cut off (the server restarted, the network broke) took its locks
        with it, while this worker went on waiting for its turn.

        Raises:
            ClaimLost: it is not; nothing may be sent.
        """
        if self._claim is None:
            return
        session, number = self._claim
        try:
            is_held = session.scalar(_SESSION) == number
        except (sa.exc.DBAPIError, sa.exc.PendingRollbackError) as error:
            raise ClaimLost("the database session that held the document ended") from error
        if not is_held:
            raise ClaimLost("the database session that held the document ended")


_SESSION = sa.select(sa.func.pg_backend_pid())
"""The session's process: another one means that the locks of the former are gone."""
