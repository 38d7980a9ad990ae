"""Faults on order: what a network or a bad day does to a call.

What must not come in: how a call is carried out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from decimal import Decimal
from random import Random
from typing import Any, Literal, get_args

from mlc_pipeline.sandbox.cin7.settings import THROTTLE_SHAPES

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


WRITE = "WRITE"
"""A method that stands for every call that can change something."""


@dataclass
class Fault:
    """A fault for the calls that match: passes `skip` of them by, then hits `times`.

    `method` and `path` (below the base path, any case) match every call when None; the
    method WRITE matches every call but GET.

    Attributes:
        times: how many calls it hits; 0: as long as it is on order.
        seconds: of slow_commit: how long it waits; of throttle: what Retry-After says.
        share: hits this part of the matching calls, chosen by `seed` from route and
            position: the same calls hit the same way each time.
        once: never hits the same request a second time, so that sending it again helps.
        shape: of throttle: see `settings.THROTTLE_SHAPES`; None: the setting's.
        hits: how many calls it has hit.
    """

    kind: Kind
    method: str | None = None
    path: str | None = None
    skip: int = 0
    times: int = 1
    seconds: float | Decimal = 0
    share: float | Decimal = 1
    seed: int = 0
    once: bool = False
    shape: str | None = None
    hits: int = 0
    _positions: Counter[tuple[str, str]] = field(default_factory=Counter, repr=False)
    _hit: set[tuple[str, str, bytes]] = field(default_factory=set, repr=False)

    def matches(self, method: str, path: str) -> bool:
        """Whether a call is one this fault is about."""
        wanted = self.method.upper() if self.method else method
        is_method = method != "GET" if wanted == WRITE else method == wanted
        return is_method and (self.path is None or self.path.strip("/").lower() == path)

    def chooses(self, method: str, path: str, body: bytes) -> bool:
        """Count a matching call; whether it is one that is hit."""
        self._positions[method, path] += 1
        position = self._positions[method, path]
        if self.once and (method, path, body) in self._hit:
            return False
        if self.share < 1:
            chance = Random(f"{self.seed} {method} {path} {position}").random()
            if chance >= self.share:
                return False
        self._hit.add((method, path, body))
        return True

    def to_json(self) -> dict[str, Any]:
        """The order as the control surface shows it, with how often it has hit."""
        return {name: getattr(self, name) for name in ("hits", *_NAMES)}


_NAMES = tuple(f.name for f in fields(Fault) if f.name != "hits" and f.name[0] != "_")


def parse_fault(body: dict[str, Any]) -> Fault:
    """The fault a control call orders; raises ValueError on unknown words."""
    unknown = body.keys() - set(_NAMES)
    if unknown:
        raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
    if body.get("kind") not in get_args(Kind):
        raise ValueError(f"kind is one of {', '.join(get_args(Kind))}")
    shape = body.get("shape")
    if shape is not None and shape not in THROTTLE_SHAPES:
        raise ValueError(f"shape is one of {', '.join(THROTTLE_SHAPES)}")
    return Fault(**body)


class Faults:
    """The faults on order, in the order they were given."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def take(self, method: str, path: str, body: bytes = b"") -> Fault | None:
        """The fault that hits this call; every matching fault before it is counted down."""
        for fault in list(self.waiting):
            if not fault.matches(method, path):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if not fault.chooses(method, path, body):
                continue
            fault.hits += 1
            if fault.hits == fault.times:
                self.waiting.remove(fault)
            return fault
        return None
