"""What can go wrong with a call of Cin7 Core, sorted by what the caller must do next.

    Cin7Error
    ├── Refused             nothing was written; the request is wrong: correct it
    │   └── NotFound        nothing was written; what it names is not there
    ├── NotAuthorised       nothing was written; the credentials are wrong: correct them
    ├── Unavailable         nothing was written; the same request may be sent later
    │   └── Throttled       ... and the pace was too high
    ├── UncertainOutcome    a write whose answer was lost: look before sending again
    └── UnexpectedAnswer    a read whose answer cannot be used: check address and version

What must not come in: HTTP objects (their headers hold secrets), retry rules.
"""

# ruff: noqa: N818 - each name says what happened; that it is an error, the tree says.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Call:
    """One call as error messages and logs may show it: no header, no body.

    Attributes:
        application: name of the API application whose key was used, never the key.
        record: the record the call is about, such as `Name 'Acme Ltd'`; may be empty.
    """

    application: str
    method: str
    path: str
    record: str = ""

    @property
    def is_read(self) -> bool:
        """Whether the call can change nothing in Cin7."""
        return self.method == "GET"

    def __str__(self) -> str:
        about = f" ({self.record})" if self.record else ""
        return f"Cin7 application {self.application}: {self.method} {self.path}{about}"


class Cin7Error(Exception):
    """A call of Cin7 Core did not do what it should.

    Attributes:
        call: the call as messages show it.
        method: HTTP method.
        path: path below the base URL, without query.
        record: the record the call was about.
        application: name of the API application.
        problem: what was found, in words.
        status: HTTP status, None when no answer came.
        messages: what Cin7 said, one text per problem.
        attempts: how often the call was sent.
    """

    advice: ClassVar[str] = ""

    def __init__(
        self,
        call: Call,
        problem: str,
        *,
        status: int | None = None,
        messages: Sequence[str] = (),
    ) -> None:
        super().__init__(call, problem)
        self.method = call.method
        self.path = call.path
        self.record = call.record
        self.application = call.application
        self.problem = problem
        self.status = status
        self.messages = tuple(messages)
        self.attempts = 1
        self.call = call

    def __str__(self) -> str:
        tries = f", after {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{self.call}: {self.problem}{tries}. {self.advice}"


class Refused(Cin7Error):
    """Cin7 refused the request; nothing was written.

    Attributes:
        errors: `(ErrorCode, Exception)` of each problem; the code is None when Cin7 gave a
            plain text. Cin7 names only a few problems at a time.
    """

    advice = "Nothing was written: correct what Cin7 names and send it again"

    def __init__(
        self,
        call: Call,
        problem: str,
        *,
        status: int | None = None,
        errors: Sequence[tuple[int | None, str]] = (),
    ) -> None:
        super().__init__(
            call, problem, status=status, messages=[message for _, message in errors]
        )
        self.errors = tuple(errors)


class NotFound(Refused):
    """The record or address that the request names is not in Cin7."""

    advice = "Nothing was written: read the record's list in Cin7 and use an id that is in it"


class NotAuthorised(Cin7Error):
    """Cin7 does not accept the account id and application key (401, 403)."""

    advice = (
        "Nothing was written: compare account id and application key with the page External "
        "API in Cin7 and store them again"
    )


class Unavailable(Cin7Error):
    """The request was certainly not applied: it did not reach Cin7, or it was a read."""

    advice = "Nothing was written: run again when Cin7 can be reached"


class Throttled(Unavailable):
    """Cin7 still refused for its call limit after waiting as long as allowed."""

    advice = (
        "Nothing was written: run again later; lower calls_per_minute, or give this product "
        "an API application of its own, when this comes often"
    )


class UncertainOutcome(Cin7Error):
    """The answer to a write was lost: it may or may not have been applied."""

    advice = (
        "It may or may not have been applied: look for the record in Cin7 before sending again"
    )


class UnexpectedAnswer(Cin7Error):
    """The answer to a read is not what the API promises."""

    advice = (
        "Nothing was changed: run again; when it stays, check cin7.base_url (it ends in "
        "/ExternalApi/v2)"
    )


def unusable(call: Call, problem: str, status: int | None = None) -> Cin7Error:
    """Return the error for an answer that says neither yes nor no."""
    kind = UnexpectedAnswer if call.is_read else UncertainOutcome
    return kind(call, problem, status=status)


def no_answer(call: Call, problem: str, status: int | None = None) -> Cin7Error:
    """Return the error for a request that was sent but not (properly) answered."""
    kind = Unavailable if call.is_read else UncertainOutcome
    return kind(call, problem, status=status)
