"""Pushing suppliers both ways: Cin7's side by its client, SYSPRO's by APSSSP.

Both sides follow the write protocol. Before a write the side is read again: what somebody
changed since the plan is never written over. What both sides hold after a write is noted
as agreed at once; should that note be lost, the next plan finds the two sides equal.

What must not come in: HTTP, Dagster, who wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.exc import IntegrityError

from mlc_pipeline.cin7.errors import NotFound
from mlc_pipeline.connection.model import CALL_TAKES_AT_MOST, Connection
from mlc_pipeline.sync.audit import Action
from mlc_pipeline.sync.bodies import digest
from mlc_pipeline.sync.content import NewSysproSupplier, SupplierChange
from mlc_pipeline.sync.ledger import ClaimLost, DocumentRef, Ledger, OpenWrite
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.protocol import Outdated, Protocol, Step, Unsettled
from mlc_pipeline.sync.push import Push, Pushed, Wanted
from mlc_pipeline.sync.supplier_attributes import (
    COLUMN_OF,
    cin7_change,
    cin7_side,
    clean,
    merged_attributes,
    same,
)
from mlc_pipeline.sync.supplier_codes import new_code, presented
from mlc_pipeline.sync.supplier_records import RESERVED, SupplierRecords
from mlc_pipeline.sync.target import Answer, Cin7, Syspro
from mlc_pipeline.sync.vocabulary import Kind, Outcome, Verdict
from mlc_pipeline.syspro.apsssp import SupplierSetup
from mlc_pipeline.syspro.errors import (
    LogonRefused,
    OperatorBusy,
    SessionLost,
    SysproError,
    SysproRefused,
    SysproUnavailable,
)

_NEW_CODE = "new supplier code"
_CODES_TRIED = 20


@dataclass(frozen=True)
class CheckedStep(Step):
    """A step of which the answer is held against what was wanted, not against the body."""

    check: Callable[[Answer], list[str]] = lambda _answer: []

    def differences(self, answer: Answer) -> list[str]:
        """Return what the other system holds otherwise than it was to be."""
        return self.check(answer)


# --- Cin7 ------------------------------------------------------------------------------


class Cin7SupplierPush(Push):
    """Brings Cin7's suppliers to what the plan both ways wants."""

    def __init__(
        self, cin7: Cin7, ledger: Ledger, connection: Connection, records: SupplierRecords
    ) -> None:
        """Take the client, the run's ledger and records, and the connection."""
        super().__init__(cin7, ledger, connection)
        self._settings = connection.suppliers
        self._records = records

    def _supplier(self, wanted: Wanted) -> Pushed:
        if isinstance(wanted.content, SupplierChange):
            return self._bring(wanted, wanted.content)
        if wanted.adopt is not None:
            return self._link(wanted, wanted.adopt)
        made = super()._supplier(wanted)
        if made.cin7_id is not None and made.outcome is not Outcome.UNCHANGED:
            # What Cin7 holds now is the base: whatever SYSPRO says besides goes there next.
            answer = self._cin7.supplier(made.cin7_id)
            side = cin7_side(answer, wanted.ref.source_key, self._settings, "")
            merged = merged_attributes(self._settings)
            agreed = {a: v for a, v in side.values.items() if a in merged}
            self._records.note(wanted.ref.source_key, agreed, side.stand_in)
        return made

    def _link(self, wanted: Wanted, supplier_id: str) -> Pushed:
        document = self._ledger.document(Kind.SUPPLIER, wanted.ref.source_key)
        if document is not None and document.cin7_id is not None:
            return Pushed(Outcome.UNCHANGED, cin7_id=document.cin7_id)
        try:
            self._ledger.adopt(wanted.ref, cin7_id=supplier_id, state="done")
        except IntegrityError as error:
            raise Hold(
                "supplier_ambiguous",
                f"Cin7 supplier {supplier_id} is linked to another SYSPRO supplier already",
            ) from error
        return Pushed(Outcome.ADOPTED, cin7_id=supplier_id)

    def _bring(self, wanted: Wanted, change: SupplierChange) -> Pushed:
        if not change.write:
            return settle_open(self._protocol, self._ledger, wanted.ref, change)
        _guard_link(self._ledger, change)
        try:
            current = self._cin7.supplier(change.cin7_id)
        except NotFound as error:
            raise Hold("supplier_gone", f"{change.name}: {error}") from error
        now = self._values(change, current)
        if not _unlike(change.write, now):
            return self._has_arrived(wanted, change)
        _guard_moved(change, now, "Cin7")
        body = cin7_change(
            change.cin7_id,
            change.write,
            current,
            change.marker,
            self._settings,
            suffix=change.suffix,
            stand_in=change.stand_in,
        )

        def check(answer: Answer) -> list[str]:
            return _unlike(change.write, self._values(change, answer))

        step = CheckedStep(
            "update_supplier",
            body,
            lambda: self._cin7.update_supplier(body),
            lambda _write: None,  # the same PUT twice is one change
            lambda _answer: {"state": "done"},
            check=check,
        )
        written = self._protocol.run(wanted.ref, step)
        side = cin7_side(written.answer, change.supplier, self._settings, change.stand_in)
        self._records.note(change.supplier, _agreed(change), _stand_in(change, side.stand_in))
        return Pushed(Outcome.UPDATED, cin7_id=change.cin7_id)

    def _has_arrived(self, wanted: Wanted, change: SupplierChange) -> Pushed:
        """Note what Cin7 holds already: an answer was lost, or somebody did the same."""
        found = settle_open(self._protocol, self._ledger, wanted.ref, change)
        self._records.note(change.supplier, _agreed(change), change.stand_in)
        return found

    def _values(self, change: SupplierChange, raw: Answer) -> Mapping[str, str]:
        return cin7_side(raw, change.supplier, self._settings, change.stand_in).values


def _stand_in(change: SupplierChange, found: str) -> str:
    return found or change.stand_in


def _agreed(change: SupplierChange) -> dict[str, str]:
    return {a: v for a, v in change.write.items() if a not in change.unsettled}


def _guard_link(ledger: Ledger, change: SupplierChange) -> None:
    """Refuse to write when a person changed the link since the plan."""
    document = ledger.document(Kind.SUPPLIER, change.supplier)
    if document is None or document.cin7_id != change.cin7_id:
        raise Hold("supplier_moved", f"{change.name}: its link was changed since the plan")


def _guard_moved(change: SupplierChange, now: Mapping[str, str], where: str) -> None:
    """Refuse to write over what was changed since the plan.

    Raises:
        Hold: supplier_moved.
    """
    moved = [
        f"{a}: planned on {seen!r}, found {now.get(a, '')!r}"
        for a, seen in change.seen.items()
        if not same(a, seen, now.get(a, ""))
    ]
    if moved:
        raise Hold("supplier_moved", f"{change.name} in {where}: {'; '.join(moved)}")


def _unlike(write: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"{a}: sent {value!r}, found {now.get(a, '')!r}"
        for a, value in write.items()
        if not same(a, value, now.get(a, ""))
    ]


def settle_open(
    protocol: Protocol, ledger: Ledger, ref: DocumentRef, change: SupplierChange
) -> Pushed:
    """Close an update without an answer: both sides agree, so it does not matter any more.

    Raises:
        Unsettled: a call may still be under way.
    """
    earlier = ledger.open_write(Kind.SUPPLIER, change.supplier)
    if earlier is not None:
        protocol.rest(ref, earlier)
        ledger.close(earlier.id, "superseded", ref, reason="both sides agree")
    return Pushed(Outcome.UNCHANGED, cin7_id=change.cin7_id)


# --- SYSPRO ----------------------------------------------------------------------------


class SysproProtocol(Protocol):
    """The write protocol with SYSPRO at the other end."""

    def _send(self, ref: DocumentRef, step: Step) -> Answer:
        try:
            write_id = self._ledger.intend(ref, step.name, digest(step.body), step.intended)
        except IntegrityError as error:
            raise Hold("being_written", f"{step.name} is open in another run") from error
        try:
            answer = step.send()
        except SysproRefused as error:
            said = refusal(error)
            self._ledger.close(write_id, "refused", ref, reason=said)
            raise Hold("syspro_refused", f"{step.name}: {said}") from error
        except SysproError as error:
            if not _may_have_arrived(error):
                self._ledger.close(write_id, "not_sent", ref, reason=str(error))
                raise Hold("syspro_unavailable", str(error)) from error
            self._ledger.close(write_id, "uncertain", ref, reason=str(error))
            raise Unsettled(self._settle, str(error)) from error
        except ClaimLost as error:
            # Not sent by us. The write stays open: whoever has the document now settles it.
            raise Hold("being_written", f"{step.name} was not sent: {error}") from error
        self._conclude(write_id, ref, step, answer, Action.DONE)
        return answer


def _may_have_arrived(error: SysproError) -> bool:
    """Tell whether a write of which the call failed may be in SYSPRO all the same."""
    if isinstance(error, SysproUnavailable):
        return error.may_have_arrived
    return not isinstance(error, SessionLost | LogonRefused | OperatorBusy)


def refusal(error: SysproRefused) -> str:
    """Return SYSPRO's words, field by field."""
    return "; ".join(str(e) for e in error.errors) or error.problem


class SysproSupplierPush:
    """Brings SYSPRO's suppliers to what the plan both ways wants."""

    def __init__(
        self, syspro: Syspro, ledger: Ledger, connection: Connection, records: SupplierRecords
    ) -> None:
        """Take the maintenance, the run's ledger and records, and the connection."""
        self._syspro = syspro
        self._ledger = ledger
        self._settings = connection.suppliers
        self._records = records
        # As long as a call to either system may last.
        longest = CALL_TAKES_AT_MOST * connection.syspro.timeout_seconds
        settle = max(connection.cin7.settle_seconds, longest)
        self._protocol = SysproProtocol(ledger, settle)

    def push(self, wanted: Wanted) -> Pushed:
        """Bring one supplier into SYSPRO.

        Raises:
            Hold: it could not be written; the reason says why.
            Unsettled: an answer was lost; try again after the wait it names.
        """
        try:
            if wanted.verdict is Verdict.CREATE:
                return self._create(wanted, wanted.content)
            return self._change(wanted, wanted.content)
        except SysproError as error:
            if isinstance(error, SysproRefused):
                raise Hold("syspro_refused", refusal(error)) from error
            raise Hold("syspro_unavailable", str(error)) from error

    # --- a linked supplier -------------------------------------------------------------

    def _change(self, wanted: Wanted, change: SupplierChange) -> Pushed:
        ref = replace(wanted.ref, kind=Kind.SUPPLIER, source_key=change.supplier)
        with self._ledger.claim(f"document|{change.supplier}") as is_mine:
            if not is_mine:
                raise Hold("being_written", "another run holds it")
            _guard_link(self._ledger, change)
            row = self._syspro.supplier(change.supplier)
            if row is None:
                detail = f"{change.name}: SYSPRO has no supplier {change.supplier}"
                raise Hold("supplier_gone", detail)
            if not stored_otherwise(change.elements, row):
                found = settle_open(self._protocol, self._ledger, ref, change)
                self._records.note(change.supplier, _agreed(change), change.stand_in)
                return found
            self._guard_row(change, row)
            setup = self._setup("Update", change.supplier, change.elements)
            self._syspro.validate(setup)
            step = CheckedStep(
                "update_syspro_supplier",
                setup,
                lambda: self._write(setup),
                lambda _write: None,  # the same values twice are one change
                lambda _answer: {"state": "done"},
                check=lambda answer: stored_otherwise(setup.elements, answer),
            )
            self._protocol.run(ref, step)
            self._records.note(change.supplier, _agreed(change), change.stand_in)
            return Pushed(Outcome.UPDATED, change.cin7_id, change.supplier)

    def _guard_row(self, change: SupplierChange, row: Mapping[str, Any]) -> None:
        """Refuse to write over what was changed in SYSPRO since the plan."""
        moved = [
            f"{element}: planned on {text!r}, found {found!r}"
            for element, text in change.before.items()
            if (found := clean(row[COLUMN_OF[element]])) != text
        ]
        if moved:
            raise Hold("supplier_moved", f"{change.name} in SYSPRO: {'; '.join(moved)}")

    def _write(self, setup: SupplierSetup) -> Answer:
        self._ledger.assert_claimed()
        return _said(self._syspro.write(setup))

    def _setup(self, action: Any, code: str, elements: Mapping[str, str]) -> SupplierSetup:
        shown = presented(code, self._settings.code_length)
        return SupplierSetup(action, code, shown, dict(elements))

    # --- a new supplier ------------------------------------------------------------------

    def _create(self, wanted: Wanted, content: NewSysproSupplier) -> Pushed:
        # One at a time: two new suppliers must not want the same number.
        with self._ledger.claim(_NEW_CODE) as is_mine:
            if not is_mine:
                raise Hold("being_written", "another run is making a supplier in SYSPRO")
            code = self._records.reserved_code(content.cin7_id)
            for _ in range(_CODES_TRIED):
                code = code or self._reserve(wanted, content)
                made = self._make(wanted, content, code)
                if made is not None:
                    return made
                code = None
            raise Hold("no_supplier_code", f"{_CODES_TRIED} codes in a row were taken")

    def _reserve(self, wanted: Wanted, content: NewSysproSupplier) -> str:
        """Take a code and tie it to the Cin7 supplier, before SYSPRO hears of it."""
        taken = self._records.codes_taken()
        code = new_code(content.name, taken, self._settings)
        while self._syspro.supplier(code) is not None:
            taken.add(code)
            code = new_code(content.name, taken, self._settings)
        # A refusal must not use up a number, so it is asked before the number is taken.
        self._syspro.validate(self._setup("Add", code, content.elements))
        ref = replace(wanted.ref, kind=Kind.SUPPLIER, source_key=code)
        try:
            self._ledger.adopt(
                ref, because="code reserved", cin7_id=content.cin7_id, state=RESERVED
            )
        except IntegrityError as error:
            raise Hold(
                "being_written", f"Cin7 supplier {content.cin7_id} was linked meanwhile"
            ) from error
        return code

    def _make(self, wanted: Wanted, content: NewSysproSupplier, code: str) -> Pushed | None:
        """Make the supplier under its code; None when somebody took the code."""
        ref = replace(wanted.ref, kind=Kind.SUPPLIER, source_key=code)
        document = self._ledger.document(Kind.SUPPLIER, code)
        if document is not None and document.state == "done":
            return Pushed(Outcome.UNCHANGED, content.cin7_id, code)
        is_begun = self._ledger.open_write(Kind.SUPPLIER, code) is not None
        if not is_begun and self._syspro.supplier(code) is not None:
            reason = "somebody made another supplier under this code"
            self._ledger.forget(ref, reason, "mlc")
            return None
        setup = self._setup("Add", code, content.elements)
        sent = (document.content or {}) if document else {}

        def find(_write: OpenWrite) -> Answer | None:
            row = self._syspro.supplier(code)
            if row is None:
                return None
            unlike = stored_otherwise(sent.get("elements") or content.elements, row)
            if unlike:
                raise Hold(
                    "quarantined",
                    f"SYSPRO's supplier {code} may be another one: {'; '.join(unlike[:3])}",
                )
            return _said(row)

        step = CheckedStep(
            "create_syspro_supplier",
            setup,
            lambda: self._write(setup),
            find,
            lambda _answer: {"state": "done"},
            intended=content.to_json(),
            check=lambda answer: stored_otherwise(setup.elements, answer),
        )
        try:
            written = self._protocol.run(ref, step)
        except Outdated:
            # Found as it was sent then; what changed since is a change like any other.
            self._records.note(code, sent.get("values") or {})
            return Pushed(Outcome.ADOPTED, content.cin7_id, code)
        self._records.note(code, content.values)
        outcome = Outcome.ADOPTED if written.was_found else Outcome.CREATED
        return Pushed(outcome, content.cin7_id, code)


def _said(row: Mapping[str, Any]) -> Answer:
    """Return what a row of SYSPRO says in the elements that we write, for trail and check."""
    return {name: row.get(name) for name in ("supplier", *COLUMN_OF.values())}


def stored_otherwise(elements: Mapping[str, str], row: Mapping[str, Any]) -> list[str]:
    """Return the elements that SYSPRO holds otherwise than they were sent."""
    return [
        f"{element}: sent {text!r}, found {found!r}"
        for element, text in elements.items()
        if element in COLUMN_OF and (found := clean(row.get(COLUMN_OF[element]))) != text
    ]
