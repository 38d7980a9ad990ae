"""Versions of the product that are broken on purpose: the bench must find them out.

Each is laid over the product from outside, in the process of a run.
What must not come in: scenarios, expectations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlc_pipeline.sync.ledger import Ledger
from mlc_pipeline.sync.protocol import Protocol, Unsettled


def _no_settle_wait() -> None:
    """Look for a lost answer at once, and send again what is not there yet."""
    run = Protocol.run

    def impatient(self: Protocol, *given: Any, **named: Any) -> Any:
        try:
            return run(self, *given, **named)
        except Unsettled:
            return run(self, *given, **named)

    Protocol.rest = lambda *_given: None  # type: ignore[method-assign]
    Protocol.run = impatient  # type: ignore[method-assign]


def _no_intent() -> None:
    """Write down that a call was meant only once it is known what came of it."""
    intend, close = Ledger.intend, Ledger.close
    meant: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def forgetful_intend(self: Ledger, *given: Any, **named: Any) -> int:
        number = -1 - len(meant)
        meant[number] = (given, named)
        return number

    def late_close(self: Ledger, write_id: int, *given: Any, **named: Any) -> Any:
        if write_id in meant:
            before, words = meant[write_id]
            write_id = intend(self, *before, **words)
        return close(self, write_id, *given, **named)

    Ledger.intend = forgetful_intend  # type: ignore[method-assign]
    Ledger.close = late_close  # type: ignore[method-assign]


SABOTAGES: dict[str, Callable[[], None]] = {
    "no-settle-wait": _no_settle_wait,
    "no-intent": _no_intent,
}
"""Each sabotage by its name."""

FOUND_BY = {
    "no-settle-wait": ("cin7-slow-commit",),
    "no-intent": ("kill-after-applying",),
}
"""The scenarios that must turn red under it."""


def apply(name: str | None) -> None:
    """Break the product in this process, for as long as it lives."""
    if name is not None:
        SABOTAGES[name]()
