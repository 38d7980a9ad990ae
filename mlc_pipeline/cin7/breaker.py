"""The circuit breaker: stops calling a Cin7 that is down, and says so once.

Two counts, each of calls in a row: requests that certainly did nothing after every retry
(no connection, throttled too long, reads without an answer), and writes whose answer was
lost. Each lost answer costs a time-out and leaves a write to be looked for, so a Cin7 that
hangs must not get a whole backfill. After a rest one call is let through to try; what it
meets decides.

What must not come in: HTTP, retries, what a call is for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from mlc_pipeline.cin7.errors import Call, Cin7Error, Unavailable, UncertainOutcome

logger = logging.getLogger(__name__)

UNAVAILABLE_IN_A_ROW: Final = 3
LOST_IN_A_ROW: Final = 8
REST_SECONDS: Final = 60.0


class Breaker:
    """Knows whether Cin7 is worth calling; usable from several threads."""

    def __init__(
        self,
        *,
        rest_seconds: float = REST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin closed: calls go through.

        Args:
            rest_seconds: how long nothing is called once it is open.
            clock: seconds that only go forward.
        """
        self._rest = rest_seconds
        self._clock = clock
        self._unavailable = 0
        self._lost = 0
        self._open_until: float | None = None
        self._why = ""
        self._lock = threading.Lock()

    def check(self, call: Call) -> None:
        """Let a call through, or refuse it while Cin7 rests.

        Raises:
            Unavailable: Cin7 is down; the call was not made.
        """
        with self._lock:
            if self._open_until is None:
                return
            if self._clock() >= self._open_until:
                # One call tries; until it is answered the others rest on.
                self._open_until = self._clock() + self._rest
                return
            why = self._why
        raise Unavailable(call, f"not called: Cin7 is down ({why})")

    def answered(self) -> None:
        """Note that Cin7 answered, be it a refusal."""
        with self._lock:
            was_open = self._open_until is not None
            self._unavailable = self._lost = 0
            self._open_until = None
        if was_open:
            logger.warning("Cin7 answers again; calls go on")

    def failed(self, error: Cin7Error) -> None:
        """Note that a call failed for good; open when there were too many in a row."""
        with self._lock:
            if isinstance(error, Unavailable):
                self._unavailable += 1
            elif isinstance(error, UncertainOutcome):
                self._lost += 1
            opens = self._unavailable >= UNAVAILABLE_IN_A_ROW or self._lost >= LOST_IN_A_ROW
            was_open = self._open_until is not None
            if opens:
                self._why = error.problem
                self._open_until = self._clock() + self._rest
        if opens and not was_open:
            logger.error(
                "Cin7 is down: %d calls in a row failed, the last with: %s. Nothing more is "
                "sent; one call tries again every %.0f s",
                self._unavailable + self._lost,
                error,
                self._rest,
            )
