"""One SYSPRO session for a whole sync cycle, shared by its steps.

SYSPRO keeps one session per operator: a second logon ends the first (SYSPRO help), and a
session never logged off holds a licence seat until it times out. So a cycle logs on once
under a lock, keeps the token in a store, and logs off whatever happens.

What must not come in: how the token is stored and the lock is kept, entities.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from mlc_pipeline.syspro.enet import EnetClient
from mlc_pipeline.syspro.errors import SessionLost, SysproError

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Credentials:
    """What a logon needs; the company password may be empty."""

    operator: str
    operator_password: str = field(repr=False)
    company: str
    company_password: str = field(repr=False)


@dataclass(frozen=True)
class StoredSession:
    """An open session as it is kept between steps.

    Attributes:
        token: the session token; a secret.
        cycle_id: the sync cycle that opened it.
        opened_at: when, in UTC.
    """

    token: str = field(repr=False)
    cycle_id: str
    opened_at: datetime


class SessionStore(Protocol):
    """Keeps the one session of a (server, operator) where every process sees it."""

    def load(self) -> StoredSession | None:
        """Return the session, None when there is none."""

    def save(self, session: StoredSession) -> None:
        """Keep the session in place of any other."""

    def clear(self) -> None:
        """Forget the session; nothing happens when there is none."""

    def lock(self, wait_seconds: float) -> AbstractContextManager[object]:
        """Let one process at a time hold the operator; a dead process holds nothing.

        Raises:
            OperatorBusy: another process still held it after `wait_seconds`.
        """


class Session:
    """The session of one cycle: `open`, then `call` or `token`, then `close`.

    The lock is held from `open` until `close` or `release`, so no other cycle can log the
    operator on meanwhile. Usable from several threads.

    Args:
        client: the e.net service.
        credentials: who logs on.
        store: where the session is kept between steps.
        wait_seconds: how long `open` waits for another cycle that holds the operator.
    """

    def __init__(
        self,
        client: EnetClient,
        credentials: Credentials,
        store: SessionStore,
        wait_seconds: float = 300,
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._store = store
        self._wait_seconds = wait_seconds
        self._current: StoredSession | None = None
        self._held = ExitStack()
        self._mutex = threading.RLock()

    def open(self, cycle_id: str) -> None:
        """Take over the cycle's stored session, or log on; nothing happens when it is open.

        A session that another cycle left behind is logged off first.

        Raises:
            OperatorBusy: another cycle holds the operator.
            LogonRefused, SysproUnavailable: there is no session, and the lock is free again.
            RuntimeError: it is open for another cycle.
        """
        with self._mutex:
            if self._current is not None:
                if self._current.cycle_id != cycle_id:
                    raise RuntimeError("the session is open for another cycle; close it first")
                return
            with ExitStack() as held:
                held.enter_context(self._store.lock(self._wait_seconds))
                self._current = self._of_this_cycle(cycle_id) or self._logged_on(cycle_id)
                self._held = held.pop_all()

    def token(self) -> str:
        """Return the session token, for a write that must not be repeated by itself.

        Raises:
            RuntimeError: the session is not open.
        """
        if self._current is None:
            raise RuntimeError("there is no SYSPRO session; open it first")
        return self._current.token

    def call(self, read: Callable[[str], T]) -> T:
        """Return `read(token)`; when the session is lost, log on and read once more.

        Raises:
            SessionLost: lost again at once: something else logs this operator on.
            LogonRefused, SysproUnavailable: the new logon failed.
        """
        token = self.token()
        try:
            return read(token)
        except SessionLost as error:
            logger.warning("%s: the session is lost; logging on again", error.call)
        return read(self.renew(token))

    def renew(self, lost: str) -> str:
        """Log on in place of a lost token and return the new one.

        When another thread has renewed it already, its token is returned.
        """
        with self._mutex:
            if self._current is not None and self._current.token == lost:
                self._current = self._logged_on(self._current.cycle_id)
            return self.token()

    def release(self) -> None:
        """Give up the lock and leave the session stored for the cycle's next step."""
        with self._mutex:
            self._current = None
            self._held.close()

    def close(self) -> None:
        """Log off, forget the session, give up the lock; safe to call again.

        A logoff that fails is logged, not raised: the next logon ends the session.
        """
        with self._mutex:
            current, self._current = self._current, None
            if current is None:
                return
            with self._held:
                try:
                    self._log_off(current)
                finally:
                    self._store.clear()

    def discard_leftover(self) -> bool:
        """Log off a session that a dead process left; False when there was none.

        Raises:
            OperatorBusy: a live cycle holds the operator, so nothing is left over.
        """
        with self._store.lock(0):
            leftover = self._store.load()
            if leftover is None:
                return False
            self._discard(leftover)
            return True

    def _of_this_cycle(self, cycle_id: str) -> StoredSession | None:
        stored = self._store.load()
        if stored is None or stored.cycle_id == cycle_id:
            return stored
        logger.warning(
            "a session of cycle %s, opened %s, was left behind; logging it off",
            stored.cycle_id,
            stored.opened_at,
        )
        self._discard(stored)
        return None

    def _discard(self, stored: StoredSession) -> None:
        try:
            self._log_off(stored)
        finally:
            self._store.clear()

    def _logged_on(self, cycle_id: str) -> StoredSession:
        who = self._credentials
        token = self._client.logon(
            who.operator, who.operator_password, who.company, who.company_password
        )
        session = StoredSession(token, cycle_id, datetime.now(UTC))
        try:
            self._store.save(session)
        except BaseException:
            # A token that is stored nowhere could never be logged off.
            self._log_off(session)
            raise
        return session

    def _log_off(self, session: StoredSession) -> None:
        try:
            self._client.logoff(session.token)
        except SessionLost:
            logger.info("the session of cycle %s had ended already", session.cycle_id)
        except SysproError as error:
            logger.warning("the session of cycle %s: %s", session.cycle_id, error)
