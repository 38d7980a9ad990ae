"""Faults a test orders: which of the next requests fails, and how.

What must not come in: how a fault is carried out on a connection (module `wire`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """One order.

    Attributes:
        path: text that path and query, unquoted, must contain (any case); '' means all.
        skip: matching requests that still pass.
        times: requests that fail after those.
        kind: drop_before: the connection breaks, nothing was done; drop_after: all was
            done, the answer is lost; error_500: nothing was done; expire_session,
            evict_session: every session ends first; garbage: all was done, the answer is
            bytes that are neither XML nor JSON; slow: the request waits; html: nothing
            was done, the answer is a web page with status 200.
        seconds: how long a slow answer waits.
    """

    model_config = ConfigDict(extra="forbid")

    path: str = ""
    skip: int = Field(0, ge=0)
    times: int = Field(1, ge=1)
    kind: Literal[
        "drop_before",
        "drop_after",
        "error_500",
        "expire_session",
        "evict_session",
        "garbage",
        "slow",
        "html",
    ]
    seconds: float = Field(1.0, ge=0, le=600)


class Faults:
    """The orders still to be carried out, in the order they were given."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []

    def order(self, fault: Fault) -> None:
        """Add an order."""
        self.pending.append(fault)

    def clear(self) -> None:
        """Drop every order."""
        self.pending.clear()

    def due(self, target: str) -> Fault | None:
        """Return the fault of a request for `target`, counting it against the orders.

        A request counts against one order only: the first that matches.
        """
        for fault in self.pending:
            if fault.path.casefold() in target.casefold():
                return self._count(fault)
        return None

    def _count(self, fault: Fault) -> Fault | None:
        if fault.skip:
            fault.skip -= 1
            return None
        fault.times -= 1
        if not fault.times:
            self.pending.remove(fault)
        return fault
