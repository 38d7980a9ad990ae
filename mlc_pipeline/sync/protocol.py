"""The write protocol: intent committed, call, outcome committed; a lost answer is looked up.

One step is one call that writes. Before it, an intent is committed. Cin7's answer is
compared with what was sent and committed before the next call. A step whose answer never
came stays open; after a settle wait longer than any call can take it is looked for in
Cin7, and only what is certainly not there is sent again.

What must not come in: what the steps of a document are; HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from mlc_pipeline.cin7.decimals import dumps
from mlc_pipeline.cin7.differences import differences
from mlc_pipeline.cin7.errors import NotAuthorised, Refused, Unavailable, UncertainOutcome
from mlc_pipeline.sync.audit import Action
from mlc_pipeline.sync.bodies import Body, digest
from mlc_pipeline.sync.ledger import ClaimLost, DocumentRef, Ledger, OpenWrite
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.target import Answer

_PARENT_IDS = ("TaskID", "PurchaseID")  # answers do not repeat them beside the lines


class Unsettled(Exception):  # noqa: N818 - not an error: a write that must rest first
    """A lost answer may not be looked up yet; `seconds` says how long to wait."""

    def __init__(self, seconds: float, detail: str) -> None:
        self.seconds = seconds
        self.detail = detail
        super().__init__(detail)


class Outdated(Exception):  # noqa: N818 - not an error: begin again
    """What was found in Cin7 was made from an earlier version of the document.

    The ledger says so now: beginning the document again brings it up to date, or holds it.
    """


_OVERWRITING = frozenset(
    {"update_supplier", "update_syspro_supplier", "update_purchase", "post_order"}
)
"""Steps that may be made again: what they set is set anew by the step that follows."""


def digest_of(answer: Answer) -> str:
    """Return the SHA-256 of an answer, its keys in one order."""
    return hashlib.sha256(dumps(_sorted(answer))).hexdigest()


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


_IDS = frozenset({"cin7_id", "cin7_number", "task_id"})


def sent_differences(body: Body, stored: Answer) -> list[str]:
    """Return where what Cin7 holds differs from a body."""
    sent = {k: v for k, v in body.to_wire().items() if k not in _PARENT_IDS}
    return [str(d) for d in differences(sent, stored)]


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
        intended: the content being sent, kept with the intent.
        is_compared: whether the answer repeats what was stored.
    """

    name: str
    body: Body
    send: Callable[[], Answer]
    find: Callable[[OpenWrite], Answer | None]
    record: Callable[[Answer], Mapping[str, Any]]
    intended: Mapping[str, Any] | None = None
    is_compared: bool = True

    def differences(self, answer: Answer) -> list[str]:
        """Return what Cin7 stored otherwise than it was sent."""
        return sent_differences(self.body, answer) if self.is_compared else []


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
            Outdated: an earlier version was found; begin the document again.
        """
        found = self._find_earlier(ref, step)
        if found is not None:
            return Written(found, was_found=True)
        return Written(self._send(ref, step), was_found=False)

    def rest(self, ref: DocumentRef, write: OpenWrite) -> None:
        """Let a lost answer rest longer than any call can take.

        An intent that nobody closed is of a worker that died, nobody knows when: its rest
        begins when it is first seen.

        Raises:
            Unsettled: it has not yet.
        """
        if write.state == "intended":
            reason = "the run that sent it ended without its outcome"
            self._ledger.close(write.id, "uncertain", ref, reason=reason)
            raise Unsettled(self._settle, f"{write.step}: {reason}")
        left = self._settle - write.age_seconds
        # A call that was answered, or was looked for already, has nothing to wait for.
        if write.state == "uncertain" and left > 0:
            raise Unsettled(left, f"{write.step}: the answer was lost")

    def left(self, write: OpenWrite) -> float:
        """Return the seconds that a lost answer has still to rest."""
        if write.state == "intended":
            return self._settle
        return max(self._settle - write.age_seconds, 0)

    def confirm(
        self, ref: DocumentRef, because: str, stored: Answer, changes: Mapping[str, Any]
    ) -> None:
        """Note that Cin7 holds what is wanted; a call that is open by then is settled.

        Raises:
            Unsettled: what was sent last has not rested; it may still change what is there.
        """
        told = {"action": Action.CONFIRMED, "answer_digest": digest_of(stored), **changes}
        write = self._ledger.open_write(ref.kind, ref.source_key)
        if write is None:
            self._ledger.adopt(ref, because=because, **told)
            return
        self.rest(ref, write)
        self._ledger.close(write.id, "done", ref, **told)

    def _find_earlier(self, ref: DocumentRef, step: Step) -> Answer | None:
        earlier = self._ledger.open_write(ref.kind, ref.source_key)
        if earlier is None:
            return None
        self.rest(ref, earlier)
        if earlier.step != step.name:
            is_set_anew = {earlier.step, step.name} <= _OVERWRITING
            if is_set_anew or step.name == "void_purchase":
                self._ledger.close(earlier.id, "superseded", ref, reason=f"by {step.name}")
                return None
            raise Hold("quarantined", f"{earlier.step} is open, {step.name} was to follow")
        try:
            answer = step.find(earlier)
        except Unavailable as error:
            raise Hold("cin7_unavailable", str(error)) from error
        except Hold as hold:
            if hold.reason.code == "quarantined":
                self._ledger.close(earlier.id, "quarantined", ref, reason=hold.detail)
            raise
        if answer is None:
            self._ledger.close(earlier.id, "not_applied", ref, reason="not found in Cin7")
            return None
        if earlier.request_hash != digest(step.body):
            changes = {k: v for k, v in step.record(answer).items() if k in {*_IDS, "state"}}
            self._ledger.close(
                earlier.id,
                "done",
                ref,
                action=Action.FOUND,
                answer_digest=digest_of(answer),
                **changes,
            )
            raise Outdated(f"{step.name}: an earlier version was found")
        self._conclude(earlier.id, ref, step, answer, Action.FOUND)
        return answer

    def _send(self, ref: DocumentRef, step: Step) -> Answer:
        try:
            write_id = self._ledger.intend(ref, step.name, digest(step.body), step.intended)
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
        except ClaimLost as error:
            # Not sent by us. The write stays open: whoever has the document now settles it.
            raise Hold("being_written", f"{step.name} was not sent: {error}") from error
        self._conclude(write_id, ref, step, answer, Action.DONE)
        return answer

    def _conclude(
        self, write_id: int, ref: DocumentRef, step: Step, answer: Answer, action: str
    ) -> None:
        """Commit the ids at once; the document moves on only if Cin7 stored what was sent."""
        changes = dict(step.record(answer))
        different = step.differences(answer)
        if different:
            changes = {k: v for k, v in changes.items() if k in _IDS}
            reason = "; ".join(different[:5])
            self._ledger.close(
                write_id,
                "differs",
                ref,
                reason=reason,
                answer_digest=digest_of(answer),
                **changes,
            )
            raise Hold("answer_differs", f"{step.name}: {reason}")
        self._ledger.close(
            write_id, "done", ref, action=action, answer_digest=digest_of(answer), **changes
        )
