"""The rate limit: so many calls in a sliding window, counted per application key.

Shapes of the answer: 429 with headers on it alone and a plain text (measured 2026), the
older 503, and a 400 with the same text. `Retry-After: 60 Seconds` is not RFC-conform; that
is how it is seen.
What must not come in: credentials checks, routes.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque

from starlette.responses import PlainTextResponse, Response

from mlc_pipeline.sandbox.cin7.settings import Settings


class Limiter:
    """Counts accepted calls; a refused call does not count."""

    def __init__(self) -> None:
        self._calls: defaultdict[str, deque[float]] = defaultdict(deque)

    def accept(self, key: str, settings: Settings) -> bool:
        """Whether one more call of this application key is within the limit."""
        if not settings.limit:
            return True
        now = time.monotonic()
        calls = self._calls[key]
        while calls and calls[0] <= now - float(settings.window_seconds):
            calls.popleft()
        if len(calls) >= settings.limit:
            return False
        calls.append(now)
        return True

    def clear(self) -> None:
        """Forget every call."""
        self._calls.clear()


def throttled(settings: Settings, shape: str | None = None, retry_after: int = 0) -> Response:
    """The answer to a call over the limit, in the chosen shape.

    Args:
        settings: the limit, and the shape if none is given.
        shape: one of `settings.THROTTLE_SHAPES`.
        retry_after: seconds for a Retry-After of its own in any shape, so that a storm of
            many passes soon; the text then speaks of the usual minute.
    """
    shape = shape or settings.throttle_shape
    calls = settings.limit or 60
    seconds = 60 if retry_after else round(settings.window_seconds)
    own = {"Retry-After": f"{retry_after} Seconds"} if retry_after else {}
    if shape == "503":
        return PlainTextResponse(f"You reached {calls} calls per minute API limit.", 503, own)
    text = f"You have reached {calls} calls per {seconds} seconds API limit."
    if shape == "400":
        return PlainTextResponse(text, 400, own)
    headers = {
        "x-ratelimit-limit": str(calls),
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(seconds),
        "Retry-After": f"{seconds} Seconds",
    }
    return PlainTextResponse(text, 429, headers | own)
