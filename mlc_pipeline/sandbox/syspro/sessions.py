"""e.net sessions: one per operator, idle timeout, seats.

A second logon of an operator removes the first session ("it automatically removes all
entries relating to the user name", SYSPRO help, impact.htm). A session that is evicted or
expires was never logged off: it counts as orphaned.

What must not come in: HTTP, the wording of answers.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from dataclasses import dataclass


@dataclass
class Session:
    """An open session; `used` is the monotonic second of its last call."""

    token: str
    operator: str
    used: float


class Sessions:
    """The open sessions and what became of the others."""

    def __init__(self) -> None:
        self._by_operator: dict[str, Session] = {}
        self._count: Counter[str] = Counter()

    def log_on(self, operator: str, *, seats: int, idle_seconds: float) -> str | None:
        """Open a session and return its token; None when every seat is taken."""
        self._expire(idle_seconds)
        if operator in self._by_operator:
            self._end(operator, "evictions")
        if len(self._by_operator) >= seats:
            self._count["refused_logons"] += 1
            return None
        # 32 hexadecimal digits and 2 digits naming the instance, as in the recorded logons.
        token = secrets.token_hex(16).upper() + "00"
        self._by_operator[operator] = Session(token, operator, time.monotonic())
        self._count["logons"] += 1
        return token

    def use(self, token: str, *, idle_seconds: float) -> Session | None:
        """Return the open session of the token and mark it used; None when there is none."""
        self._expire(idle_seconds)
        for session in self._by_operator.values():
            if session.token == token.strip():
                session.used = time.monotonic()
                return session
        return None

    def log_off(self, session: Session) -> None:
        """End the session and free its seat."""
        self._end(session.operator, "logoffs")

    def evict_all(self) -> None:
        """End every session as when somebody else logs on with the operator code."""
        for operator in list(self._by_operator):
            self._end(operator, "evictions")

    def expire_all(self) -> None:
        """End every session as when it was idle too long."""
        for operator in list(self._by_operator):
            self._end(operator, "expirations")

    def summary(self, *, idle_seconds: float) -> dict[str, int]:
        """Return open sessions (seats taken) and counts since the start."""
        self._expire(idle_seconds)
        ended = ("logons", "logoffs", "evictions", "expirations", "refused_logons")
        return {
            **{name: self._count[name] for name in ended},
            "open_sessions": len(self._by_operator),
            "orphaned_sessions": self._count["evictions"] + self._count["expirations"],
        }

    def _expire(self, idle_seconds: float) -> None:
        latest = time.monotonic() - idle_seconds
        for session in list(self._by_operator.values()):
            if session.used < latest:
                self._end(session.operator, "expirations")

    def _end(self, operator: str, how: str) -> None:
        del self._by_operator[operator]
        self._count[how] += 1
