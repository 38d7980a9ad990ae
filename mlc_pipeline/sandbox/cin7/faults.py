"""Faults on order: what a network or a bad day does to a call.

What must not come in: how a call is carried out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Kind = Literal[
    "drop_before",  # the connection closes, nothing is applied
    "drop_after",  # applied, then the connection closes without an answer
    "error_after",  # applied, then 500
    "slow_commit",  # waits `seconds`, then applies and answers
    "error_list_200",  # nothing is applied; an error list with status 200
    "garbage",  # applied; the JSON of the answer breaks off
    "throttle",  # nothing is applied; the answer of the rate limit
    "html_200",  # nothing is applied; an HTML page with status 200
]

APPLYING = frozenset({"drop_after", "error_after", "slow_commit", "garbage"})


@dataclass
class Fault:
    """A fault for the calls that match: passes `skip` of them by, then hits `times`.

    `method` and `path` (below the base path, any case) match every call when None.
    """

    kind: Kind
    method: str | None = None
    path: str | None = None
    skip: int = 0
    times: int = 1
    seconds: float = 0

    def matches(self, method: str, path: str) -> bool:
        """Whether a call is one this fault is about."""
        return (self.method is None or self.method.upper() == method) and (
            self.path is None or self.path.strip("/").lower() == path
        )


def parse_fault(body: dict[str, Any]) -> Fault:
    """The fault a control call orders; raises ValueError on unknown words."""
    unknown = body.keys() - {f.name for f in fields(Fault)}
    if unknown:
        raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
    if body.get("kind") not in get_args(Kind):
        raise ValueError(f"kind is one of {', '.join(get_args(Kind))}")
    return Fault(**body)


class Faults:
    """The faults on order, in the order they were given."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that hits this call; every matching fault before it is counted down."""
        for fault in list(self.waiting):
            if not fault.matches(method, path):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.waiting.remove(fault)
            return fault
        return None
