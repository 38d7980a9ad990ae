"""The write protocol: intent committed, call, outcome committed; a lost answer is looked up.

One step is one call that writes. Before it, an intent is committed. Cin7's answer is
compared with what was sent and committed before the next call. A step whose answer never
came stays open; after a settle wait longer than any call can take it is looked for in
Cin7, and only what is certainly not there is sent again.

What must not come in: what the steps of a document are; HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from mlc_pipeline.cin7.differences import differences
from mlc_pipeline.cin7.errors import NotAuthorised, Refused, Unavailable, UncertainOutcome
from mlc_pipeline.sync.bodies import Body, digest
from mlc_pipeline.sync.ledger import DocumentRef, Ledger, OpenWrite
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.target import Answer

_PARENT_IDS = ("TaskID", "PurchaseID")  # answers do not repeat them beside the lines


class Unsettled(Exception):  # noqa: N818 - not an error: a write that must rest first
    """A lost answer may not be looked up yet; `seconds` says how long to wait."""

    def __init__(self, seconds: float, detail: str) -> None:
        self.seconds = seconds
        self.detail = detail
        super().__init__(detail)


@dataclass(frozen=True)
class Step:
    """One call that writes.

    Attributes:
        name: what it does, as the ledger and the audit trail name it.
        body: what is sent; the ledger keeps its digest.
        send: makes the call.
        find: looks in Cin7 for what an earlier, unanswered call may have made; None when it
            is certainly not there. Raises Hold (quarantined) when two could be it.
        record: the document's columns that the answer changes.
        is_compared: whether the answer repeats what was stored.
    """

    name: str
    body: Body
    send: Callable[[], Answer]
    find: Callable[[OpenWrite], Answer | None]
    record: Callable[[Answer], Mapping[str, Any]]
    is_compared: bool = True

    def differences(self, answer: Answer) -> list[str]:
        """Return what Cin7 stored otherwise than it was sent."""
        if not self.is_compared:
            return []
        sent = {k: v for k, v in self.body.to_wire().items() if k not in _PARENT_IDS}
        return [str(d) for d in differences(sent, answer)]


@dataclass
class Written:
    """What running a step came to."""

    answer: Answer
    was_found: bool


class Protocol:
    """Runs steps by the protocol."""

    def __init__(self, ledger: Ledger, settle_seconds: float) -> None:
        """Take the ledger to commit to, and how long a lost answer rests."""
        self._ledger = ledger
        self._settle = settle_seconds

    def run(self, ref: DocumentRef, step: Step) -> Written:
        """Run a step: find what an earlier call made, or make the call.

        Raises:
            Hold: refused, answer_differs, quarantined, cin7_unavailable, being_written.
            Unsettled: an answer was lost, now or before.
            NotAuthorised: the credentials are wrong; nothing else will work either.
        """
        found = self._find_earlier(ref, step)
        if found is not None:
            return Written(found, was_found=True)
        return Written(self._send(ref, step), was_found=False)

    def _find_earlier(self, ref: DocumentRef, step: Step) -> Answer | None:
        earlier = self._ledger.open_write(ref.kind, ref.source_key)
        if earlier is None:
            return None
        left = self._settle - earlier.age_seconds
        if left > 0:
            raise Unsettled(left, f"{earlier.step}: the answer was lost")
        if earlier.step != step.name:
            # The plan moved on to another step while this one was open; only a document
            # that was finished by hand in between gets here.
            raise Hold("quarantined", f"{earlier.step} is open, {step.name} was to follow")
        try:
            answer = step.find(earlier)
        except Unavailable as error:
            raise Hold("cin7_unavailable", str(error)) from error
        if answer is None:
            self._ledger.close(earlier.id, "not_applied", ref, reason="not found in Cin7")
            return None
        self._conclude(
            earlier.id, ref, step, answer, exact=earlier.request_hash == digest(step.body)
        )
        return answer

    def _send(self, ref: DocumentRef, step: Step) -> Answer:
        try:
            write_id = self._ledger.intend(ref, step.name, digest(step.body))
        except IntegrityError as error:
            raise Hold("being_written", f"{step.name} is open in another run") from error
        try:
            answer = step.send()
        except Refused as error:
            said = "; ".join(error.messages) or str(error)
            self._ledger.close(write_id, "refused", ref, reason=said)
            raise Hold("refused", f"{step.name}: {said}") from error
        except NotAuthorised as error:
            self._ledger.close(write_id, "refused", ref, reason=str(error))
            raise
        except Unavailable as error:
            self._ledger.close(write_id, "not_sent", ref, reason=str(error))
            raise Hold("cin7_unavailable", str(error)) from error
        except UncertainOutcome as error:
            self._ledger.close(write_id, "uncertain", ref, reason=str(error))
            raise Unsettled(self._settle, str(error)) from error
        self._conclude(write_id, ref, step, answer, exact=True)
        return answer

    def _conclude(
        self, write_id: int, ref: DocumentRef, step: Step, answer: Answer, *, exact: bool
    ) -> None:
        """Commit the ids at once; the document moves on only if Cin7 stored what was sent.

        `exact` is false when the wanted document changed since the call was made: what was
        stored then cannot be compared with what is wanted now.
        """
        changes = dict(step.record(answer))
        different = step.differences(answer) if exact else []
        if different:
            changes.pop("state", None)
            reason = "; ".join(different[:5])
            self._ledger.close(write_id, "uncertain", ref, reason=reason, **changes)
            raise Hold("answer_differs", f"{step.name}: {reason}")
        self._ledger.close(write_id, "done", ref, **changes)
