"""Pushing a window: plan rows in, outcomes out; one document never stops the others.

What must not come in: HTTP, Dagster, steps of a document.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

import sqlalchemy as sa
from pydantic import ValidationError

from mlc_pipeline.cin7.errors import Cin7Error, NotAuthorised, Unavailable
from mlc_pipeline.staging.load import Stamp, replace_days
from mlc_pipeline.staging.tables import PLAN, PUSH
from mlc_pipeline.sync import content, holds, staged
from mlc_pipeline.sync.invoices import invoice_key
from mlc_pipeline.sync.ledger import DocumentRef
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.preview import PlanChanged, digest_of
from mlc_pipeline.sync.protocol import Unsettled
from mlc_pipeline.sync.push import Pushed, Replanned, Wanted
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.vocabulary import DOWN, READY, REASONS, UNDONE, Kind, Outcome, Verdict

logger = logging.getLogger(__name__)

_CONTENTS: Mapping[Kind, type[Any]] = {
    Kind.SUPPLIER: content.SupplierContent,
    Kind.SYSPRO_SUPPLIER: content.SupplierChange,
    Kind.PURCHASE_ORDER: content.OrderContent,
    Kind.RECEIPT: content.ReceiptContent,
    Kind.INVOICE: content.InvoiceContent,
    Kind.CREDIT_NOTE: content.CreditContent,
}
_OTHERWISE: Mapping[tuple[Kind, Verdict], type[Any]] = {
    (Kind.SUPPLIER, Verdict.UPDATE): content.SupplierChange,
    (Kind.SYSPRO_SUPPLIER, Verdict.CREATE): content.NewSysproSupplier,
}
"""Contents of a plan both ways, where they are not those of the kind."""

_ORDER = {kind: place for place, kind in enumerate(_CONTENTS)}
_GIVE_UP_AFTER = 3  # documents in a row that could not be sent: Cin7 is down, stop knocking

_FOLLOWS = frozenset({"order_missing", "credited_invoice_missing"})
"""Reasons that may be gone when a lost answer before them has been looked up."""

_TAKEN = "being_written"
_TAKEN_SECONDS = 5
"""How long another run, or a claim that was lost, is given before a document is tried again."""

_READINGS = 3
"""How often a document is taken up that is planned anew at this moment."""

_PASSES = 3
"""How often a document is tried: what waits for another's lost answer may need the third."""

Progress = Callable[[int, int], None]
"""Called with documents done and documents in all."""


class Desk(Protocol):
    """Brings one document into the other system: `Push`, and the desks of suppliers."""

    def push(self, wanted: Wanted) -> Pushed:
        """Bring one document; raises Hold, Unsettled, NotAuthorised."""


class PlanMissing(Exception):  # noqa: N818 - tells what to do: plan first
    """Documents of the window have no verdict: the plan was not made, or is not whole."""


@dataclass(frozen=True)
class Result:
    """A plan row and what became of it."""

    day: date
    kind: Kind
    source_key: str
    supplier: str | None
    amount: Decimal
    currency: str | None
    pushed: Pushed

    @property
    def is_undone(self) -> bool:
        """Whether the day must be run again for it: nothing else will bring it."""
        return self.pushed.outcome is Outcome.FAILED or self.pushed.reason_code in UNDONE


@dataclass
class Results:
    """What became of a window's documents."""

    rows: list[Result] = field(default_factory=list)

    def failed_days(self) -> list[date]:
        """Return the days that are not done: a document failed, or could not be sent."""
        return sorted({r.day for r in self.rows if r.is_undone})


def push_window(
    engine: sa.Engine,
    stamp: Stamp,
    window: Window,
    kind: str,
    push: Desk,
    *,
    expected: str | None = None,
    progress: Progress = lambda _done, _all: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Results:
    """Push the ready documents of a plan table and record the outcome of every one.

    Args:
        engine: our database.
        stamp: connection and run.
        window: the days.
        kind: suppliers, syspro_suppliers, purchases or invoices.
        push: what brings a document into the other system.
        expected: digest of the plan that was approved; None when any plan may be written.
        progress: told after each document.
        sleep: waits until a lost answer may be looked up.

    Raises:
        NotAuthorised: Cin7 does not take the credentials; what was done is recorded.
        PlanChanged: the plan is not the approved one; nothing of it was written.
    """
    rows = _plan_rows(engine, window, kind)
    if expected is not None and digest_of(rows) != expected:
        raise PlanChanged(
            f"{window.connection}: plan.{kind} of {window.first} to {window.last} is not the "
            "plan that was approved; nothing of it is written. Make a new one: mlc plan"
        )
    read = _Reader(engine, window, kind, may_change=expected is None)
    run = _Run(push, read, len(rows), progress)
    try:
        run.first_pass(rows)
        run.later_passes(sleep)
        run.is_whole = True
    finally:
        _record(engine, stamp, window, kind, run)
    return run.results


def _plan_rows(engine: sa.Engine, window: Window, kind: str) -> list[Any]:
    table = PLAN[kind]
    query = sa.select(table).where(
        table.c.connection == window.connection,
        table.c.partition.between(window.first, window.last),
    )
    with engine.connect() as connection:
        rows = list(connection.execute(query))
    return sorted(rows, key=_push_order)


@dataclass(frozen=True)
class _Reader:
    """Reads a plan row anew, before its document is written.

    A push may take hours. What another run planned meanwhile is newer: to write the older
    version over it would undo a change in silence.
    """

    engine: sa.Engine
    window: Window
    kind: str
    may_change: bool

    def is_current(self, row: Any) -> bool:
        """Tell whether a row is still what is planned.

        Raises:
            PlanChanged: it is not, and just that was approved.
        """
        now = self.latest(row)
        if now is not None and _says(now) == _says(row):
            return True
        if not self.may_change:
            raise PlanChanged(
                f"{self.window.connection}: {row.kind} {row.source_key} was planned anew since "
                "the plan was approved; it and what follows are not written. Make a new one: "
                "mlc plan"
            )
        return False

    def latest(self, row: Any) -> Any | None:
        """Return the row as it is planned now; None when the document left these days."""
        table = PLAN[self.kind]
        query = sa.select(table).where(
            *[table.c[c.name] == getattr(row, c.name) for c in table.primary_key.columns]
        )
        with self.engine.connect() as connection:
            return connection.execute(query).one_or_none()


def _says(row: Any) -> tuple[Any, ...]:
    return row.verdict, row.reason_code, row.content_hash, row.content


def _push_order(row: Any) -> tuple[int, str, str]:
    """Sort so that what others need comes first: orders, receipts, invoices, credits."""
    return (_ORDER.get(Kind(row.kind), len(_ORDER)), str(row.home), row.source_key)


@dataclass
class _Run:
    push: Desk
    read: _Reader
    total: int
    progress: Progress
    results: Results = field(default_factory=Results)
    unsettled: list[tuple[Any, float]] = field(default_factory=list)
    unavailable_in_a_row: int = 0
    is_whole: bool = False
    down: str | None = None
    down_as: str = "cin7_unavailable"

    def first_pass(self, rows: Iterable[Any]) -> None:
        """Try every document in turn."""
        for row in rows:
            self._try(row, is_last=False)
            self.progress(len(self.results.rows), self.total)

    def later_passes(self, sleep: Callable[[float], None]) -> None:
        """Look up the answers that were lost, once each has rested long enough."""
        for number in range(2, _PASSES + 1):
            waiting = sorted(self.unsettled, key=lambda pair: _push_order(pair[0]))
            self.unsettled = []
            for row, due in waiting:
                left = due - time.monotonic()
                if left > 0:
                    logger.info("waiting %.0f s to look for a lost answer", left)
                    sleep(left)
                self._try(row, is_last=number == _PASSES)
                self.progress(len(self.results.rows), self.total)

    def _try(self, row: Any, *, is_last: bool) -> None:
        """Push a document, as it is planned by now, and note its outcome or try it later."""
        for _ in range(_READINGS):
            try:
                self._try_as_planned(row, is_last=is_last)
            except Replanned:
                latest = self.read.latest(row)
            else:
                return
            if latest is None:
                return  # it left these days: the run that planned it there pushes it
            row = latest
        self._note(row, _held(_TAKEN, "it is planned anew faster than it can be written"))

    def _try_as_planned(self, row: Any, *, is_last: bool) -> None:
        if Verdict(row.verdict) not in READY:
            outcome = Outcome(row.verdict)
            self._note(row, Pushed(outcome, None, None, row.reason_code, row.reason))
            return
        if self.unavailable_in_a_row >= _GIVE_UP_AFTER:
            detail = f"not tried, as the system is down: {self.down}"
            self._note(row, _held(self.down_as, detail))
            return
        pushed, wait = self._pushed(row)
        if wait is not None and not is_last:
            self.unsettled.append((row, time.monotonic() + wait))
            return
        is_down = pushed.reason_code in DOWN
        self.unavailable_in_a_row = self.unavailable_in_a_row + 1 if is_down else 0
        if self.unavailable_in_a_row == _GIVE_UP_AFTER:
            self.down, self.down_as = pushed.reason, str(pushed.reason_code)
            logger.error("a system is down; no further document is tried: %s", self.down)
        self._note(row, pushed)

    def _pushed(self, row: Any) -> tuple[Pushed, float | None]:
        """Return what became of a document, and the seconds after which to try it again."""
        try:
            return self.push.push(_wanted(row, partial(self.read.is_current, row))), None
        except Unsettled as unsettled:
            return _held("answer_lost", unsettled.detail), unsettled.seconds
        except Hold as hold:
            return _held(hold.reason.code, hold.detail), self._wait_for(hold.reason.code)
        except (NotAuthorised, Replanned, PlanChanged):
            raise
        except Exception as error:
            # One document must not stop the rest; the run fails at its end with the days.
            return _failed(row, error), None

    def _wait_for(self, reason: str) -> float | None:
        if reason == _TAKEN:
            return _TAKEN_SECONDS
        return 0 if self.unsettled and reason in _FOLLOWS else None

    def _note(self, row: Any, pushed: Pushed) -> None:
        self.results.rows.append(
            Result(
                row.partition,
                Kind(row.kind),
                row.source_key,
                row.supplier,
                row.amount,
                row.currency,
                pushed,
            )
        )


def _held(code: str, detail: str) -> Pushed:
    """Return the outcome of a reason: held, waiting or excluded."""
    return Pushed(Outcome(REASONS[code].verdict), reason_code=code, reason=detail)


def _failed(row: Any, error: Exception) -> Pushed:
    """Return the outcome of a document whose push raised."""
    if isinstance(error, Unavailable):
        return _held("cin7_unavailable", str(error))
    if isinstance(error, ValidationError):
        return _unfit(error)
    if isinstance(error, Cin7Error):
        return Pushed(Outcome.FAILED, reason_code="cin7", reason=str(error))
    logger.error("%s %s failed", row.kind, row.source_key, exc_info=error)
    text = f"{type(error).__name__}: {error}"
    return Pushed(Outcome.FAILED, reason_code="error", reason=text)


def _unfit(error: ValidationError) -> Pushed:
    """Return the outcome of a document that our request models refuse.

    A text that Cin7 has no room for is the customer's to shorten; anything else is ours.
    """
    found = [
        f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()[:5]
    ]
    if all(e["type"] == "string_too_long" for e in error.errors()):
        return _held("too_long", "; ".join(found))
    return Pushed(Outcome.FAILED, reason_code="error", reason="; ".join(found))


def _wanted(row: Any, is_current: Callable[[], bool]) -> Wanted:
    kind = Kind(row.kind)
    adopt = next((d["after"] for d in row.difference or () if d["field"] == "adopt"), None)
    return Wanted(
        DocumentRef(kind, row.source_key, row.partition, row.home, row.amount, row.currency),
        Verdict(row.verdict),
        _content(kind, Verdict(row.verdict), row.content),
        adopt,
        is_current,
    )


def _content(kind: Kind, verdict: Verdict, found: Mapping[str, Any] | None) -> Any:
    if found is None:
        return None
    model = _CONTENTS[kind]
    if "write" in found or "elements" in found:
        model = _OTHERWISE.get((kind, verdict), model)
    return model.model_validate(found)


def _record(engine: sa.Engine, stamp: Stamp, window: Window, kind: str, run: _Run) -> None:
    rows = [
        {
            "partition": r.day,
            "source_key": r.source_key,
            "kind": r.kind,
            "outcome": r.pushed.outcome,
            "reason_code": r.pushed.reason_code,
            "reason": r.pushed.reason,
            "supplier": r.supplier,
            "amount": r.amount,
            "currency": r.currency,
            "cin7_id": r.pushed.cin7_id,
            "cin7_number": r.pushed.cin7_number,
        }
        for r in run.results.rows
    ]

    def hold(connection: sa.Connection) -> None:
        holds.keep(connection, stamp, window, kind, rows, is_whole=run.is_whole)

    replace_days(
        engine,
        PUSH[kind],
        stamp,
        window.first,
        window.last,
        rows,
        also=hold,
    )


def check_planned(engine: sa.Engine, window: Window, kind: str) -> None:
    """Make sure that every document the window looks at has a verdict.

    A push must never walk past a plan that is absent or older than what is staged.

    Raises:
        PlanMissing: naming the documents without one.
    """
    if kind in ("suppliers", "syspro_suppliers"):
        return  # which suppliers are needed follows from the other two plans
    table = PLAN[kind]
    query = sa.select(table.c.source_key).where(
        table.c.connection == window.connection,
        table.c.partition.between(window.first, window.last),
    )
    with engine.connect() as connection:
        planned = {row.source_key for row in connection.execute(query)}
        expected = _expected(connection, window, kind)
    missing = sorted(expected - planned)
    if missing:
        raise PlanMissing(
            f"{window.connection}: {len(missing)} of {len(expected)} documents of "
            f"{window.first} to {window.last} have no verdict in plan.{kind}, for example "
            f"{', '.join(missing[:5])}; materialise plan/{kind} for these days first"
        )


def _expected(connection: sa.Connection, window: Window, kind: str) -> set[str]:
    """Return the source keys of the documents dated in the window, as they are staged."""
    if kind == "invoices":
        rows = connection.execute(staged.invoices_dated(window))
        return {invoice_key(row.supplier, row.invoice) for row in rows}
    orders = connection.execute(staged.orders_dated(window))
    return {row.purchase_order for row in orders}
