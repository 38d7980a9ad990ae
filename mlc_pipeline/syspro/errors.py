"""What can go wrong with SYSPRO, sorted by what the caller must do next.

    SysproError
    ├── LogonRefused       correct the credentials or free a licence seat
    ├── OperatorBusy       another cycle holds the operator: run again later
    ├── SessionLost        log on again; repeat reads only
    ├── SysproRefused      the request is wrong: correct it
    ├── SysproUnavailable  no usable answer: run again later
    ├── MetadataMismatch   correct connection.yaml
    └── BadRow             one row cannot be read: the other rows can

What must not come in: HTTP objects and addresses (their query strings hold secrets).
"""
# ruff: noqa: N818 - each name says what happened; that it is an error, the tree says.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Call:
    """One call as messages and logs may show it: no host, no query, no body.

    Attributes:
        service: `e.net` or `OData`.
        route: path below the service's address, such as `/Query/Query`.
        business_object: e.net business object; may be empty.
        entity: logical entity being read; may be empty.
    """

    service: str
    route: str
    business_object: str = ""
    entity: str = ""

    def __str__(self) -> str:
        about = f" ({self.entity})" if self.entity else ""
        return f"SYSPRO {self.service} {self.route} {self.business_object}".rstrip() + about


@dataclass(frozen=True)
class BusinessError:
    """One problem that a business object named.

    Attributes:
        number: SYSPRO's error number, leading zeros removed; empty when it gave none.
        text: what it said.
        field: element of the document it is about; may be empty.
    """

    number: str
    text: str
    field: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.field and f"{self.field}:", self.number, self.text)))


class SysproError(Exception):
    """Something about SYSPRO did not do what it should.

    Attributes:
        problem: what was found, in words.
        call: the call it happened in; None when there was none.
    """

    advice: ClassVar[str] = ""

    def __init__(self, problem: str, call: Call | None = None) -> None:
        super().__init__(problem, call)
        self.problem = problem
        self.call = call

    @property
    def route(self) -> str:
        """Path of the call, without query; empty when there was none."""
        return self.call.route if self.call else ""

    @property
    def business_object(self) -> str:
        """Business object of the call; may be empty."""
        return self.call.business_object if self.call else ""

    @property
    def entity(self) -> str:
        """Logical entity of the call; may be empty."""
        return self.call.entity if self.call else ""

    def __str__(self) -> str:
        return f"{self.call or 'SYSPRO'}: {self.problem}" + (self.advice and f". {self.advice}")


class LogonRefused(SysproError):
    """SYSPRO does not let the operator in."""

    advice = (
        "Check operator, company and both passwords of this connection, and that the "
        "operator has a free licence seat and the right to read"
    )


class OperatorBusy(SysproError):
    """Another cycle holds the operator, and SYSPRO allows one session per operator."""

    advice = "Run again when the other cycle has ended"


class SessionLost(SysproError):
    """The session token is not, or no longer, valid."""

    advice = "Log on again; look before repeating a write"


class SysproRefused(SysproError):
    """SYSPRO understood the request and refused it.

    Attributes:
        errors: the problems it named one by one; empty when it gave one plain text.
    """

    advice = "Correct what SYSPRO names and send it again"

    def __init__(
        self, problem: str, call: Call | None = None, errors: Sequence[BusinessError] = ()
    ) -> None:
        super().__init__(problem, call)
        self.errors = tuple(errors)


class SysproUnavailable(SysproError):
    """There was no usable answer: network, server error, web page, garbage.

    Attributes:
        transient: whether the same request may do better in a moment.
        may_have_arrived: False only when the request certainly never reached SYSPRO; a
            write that may have arrived must be looked up before it is sent again.
        attempts: how often the request was sent.
    """

    advice = "Run again when SYSPRO can be reached"

    def __init__(
        self,
        problem: str,
        call: Call | None = None,
        *,
        transient: bool = True,
        may_have_arrived: bool = True,
    ) -> None:
        super().__init__(problem, call)
        self.transient = transient
        self.may_have_arrived = may_have_arrived
        self.attempts = 1

    def __str__(self) -> str:
        tries = f" (after {self.attempts} attempts)" if self.attempts > 1 else ""
        advice = self.advice if self.transient else "Check the addresses in connection.yaml"
        return f"{self.call or 'SYSPRO'}: {self.problem}{tries}. {advice}"


class MetadataMismatch(SysproError):
    """SYSPRO does not have what the connection says it has.

    Attributes:
        problems: every missing or unsuitable entity and column, each with its remedy.
    """

    def __init__(self, problems: Sequence[str], call: Call | None = None) -> None:
        lines = "".join(f"\n- {problem}" for problem in problems)
        super().__init__(f"does not have what this connection reads:{lines}", call)
        self.problems = tuple(problems)


class BadRow(SysproError):
    """A value cannot be read as what its column holds.

    Attributes:
        key: the row's key as text.
        column: logical column name.
        found: the value, shortened.
        expected: what the column holds.
    """

    advice = "Correct the row in SYSPRO, or the column in connection.yaml"

    def __init__(
        self, entity: str, key: str, column: str, found: object, expected: str
    ) -> None:
        shown = repr(found)
        self.key = key
        self.column = column
        self.found = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        self.expected = expected
        self._entity = entity
        super().__init__(
            f"{entity} ({key}): column {column}: found {self.found}, expected {expected}"
        )

    @property
    def entity(self) -> str:
        """Logical entity of the row."""
        return self._entity


_SHOWN = 80
