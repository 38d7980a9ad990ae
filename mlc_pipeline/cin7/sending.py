"""Sends requests to Cin7 Core: paced, with one layer of retries, counted.

Reads are sent again when Cin7 was unavailable; writes only when they were certainly not
applied. Neither bodies nor headers are ever logged.

What must not come in: endpoints, shapes of answers.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx
import tenacity
from pydantic import SecretStr

from mlc_pipeline.cin7 import answers
from mlc_pipeline.cin7.breaker import Breaker
from mlc_pipeline.cin7.budget import KeyRing, Pacer
from mlc_pipeline.cin7.decimals import dumps
from mlc_pipeline.cin7.errors import (
    Call,
    Cin7Error,
    Throttled,
    Unavailable,
    UncertainOutcome,
    no_answer,
    unusable,
)
from mlc_pipeline.cin7.requests import Body

logger = logging.getLogger(__name__)

T = TypeVar("T")

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NAMING_FIELDS = (
    *("ID", "TaskID", "Name", "SKU", "InvoiceNumber", "CreditNoteNumber"),
    *("SupplierID", "PurchaseID", "Note", "Search", "FromDate", "Page"),
)


@dataclass(frozen=True)
class RetryLimits:
    """How long one call may be tried.

    Attributes:
        attempts: how often it is sent at most.
        seconds: how long it is tried at most, from its first turn; a wait that would end
            later is not begun.
        first_wait_seconds: upper bound of the first wait; it doubles each time, and the
            wait is a random part of it (full jitter).
        longest_wait_seconds: where the doubling ends.
    """

    attempts: int = 6
    seconds: float = 300
    first_wait_seconds: float = 1
    longest_wait_seconds: float = 30

    def __str__(self) -> str:
        return (
            f"at most {self.attempts} attempts and {self.seconds:.0f} s a call, random waits "
            f"of up to {self.longest_wait_seconds:.0f} s; a write only if it certainly did "
            "not arrive"
        )


DEFAULT_LIMITS: Final = RetryLimits()


@dataclass
class CallCounter:
    """What a client's calls cost so far.

    Attributes:
        calls: requests sent, retries included.
        writes: those of them that can change something.
        retried: how often a request was sent again.
        throttled: answers that asked us to slow down.
        waited_seconds: slept for the budget and between retries.
    """

    calls: int = 0
    writes: int = 0
    retried: int = 0
    throttled: int = 0
    waited_seconds: float = 0.0


_guard: ContextVar[Callable[[], None] | None] = ContextVar("guard", default=None)


@contextmanager
def guarded(check: Callable[[], None]) -> Iterator[None]:
    """Call `check` right before each request that writes, in this thread."""
    token = _guard.set(check)
    try:
        yield
    finally:
        _guard.reset(token)


class Misshapen(Exception):  # noqa: N818 - never leaves the room: it becomes a Cin7Error
    """A JSON answer that lacks what the API promises; says what was expected."""


@dataclass(frozen=True)
class _Request:
    """A request as it is sent, but for the application's key."""

    method: str
    path: str
    record: str
    parameters: Mapping[str, str]
    content: bytes | None


class _KeyAuth(httpx.Auth):
    """Puts the secrets on a request at the last moment, so that no frame of ours holds them."""

    def __init__(self, account_id: SecretStr, key: SecretStr) -> None:
        self._account_id = account_id
        self._key = key

    def auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["api-auth-accountid"] = self._account_id.get_secret_value()
        request.headers["api-auth-applicationkey"] = self._key.get_secret_value()
        yield request


class Sender:
    """Sends the requests of one account; usable from several threads."""

    def __init__(
        self,
        base_url: str,
        account_id: SecretStr,
        keys: Mapping[str, SecretStr],
        pacers: Mapping[str, Pacer],
        timeout_seconds: float,
        transport: httpx.BaseTransport | None,
        limits: RetryLimits,
        sleep: Callable[[float], None],
    ) -> None:
        if set(keys) != set(pacers):
            raise ValueError(
                f"Cin7 applications: found keys for {sorted(keys)} and pacers for "
                f"{sorted(pacers)}, expected the same names"
            )
        self._ring = KeyRing(pacers)
        _check_header_value("cin7_account_id", account_id)
        for name, key in keys.items():
            _check_header_value(f"cin7_application_key_{name}", key)
        self._secrets = (account_id, *keys.values())
        self._auth = {name: _KeyAuth(account_id, key) for name, key in keys.items()}
        self._http = httpx.Client(
            base_url=_address(base_url),
            timeout=_timeout(timeout_seconds),
            follow_redirects=False,
            headers={"accept": "application/json"},
            transport=transport,
        )
        self._limits = limits
        self._sleep = sleep
        self._counter = CallCounter()
        self._breaker = Breaker()
        self._lock = threading.Lock()
        self.applications = tuple(keys)

    def __repr__(self) -> str:
        return f"Sender({str(self._http.base_url)!r}, {self.applications!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def counter(self) -> CallCounter:
        """What the calls cost so far; a copy."""
        with self._lock:
            return CallCounter(**vars(self._counter))

    def send(
        self,
        method: str,
        path: str,
        pick: Callable[[Any], T],
        query: Mapping[str, Any] | None = None,
        body: Body | None = None,
    ) -> T:
        """Send a request, again while that is safe and within the limits.

        Args:
            method: HTTP method.
            path: endpoint below the base URL.
            pick: takes what is wanted out of the answer, or raises `Misshapen`.
            query: parameters; those that are None are left out.
            body: what is sent.

        Raises:
            Cin7Error: the kind that tells what to do next.
        """
        wire = body.to_wire() if body else {}
        request = _Request(
            method=method,
            path=path,
            record=_record(wire or query or {}),
            parameters=_parameters(query or {}),
            content=dumps(wire) if body else None,
        )
        self._breaker.check(Call(self.applications[0], method, path, request.record))
        # Taken before the limits begin to count: a backfill may wait long for live calls.
        first_turn = self._take_turn()
        attempts = itertools.count(1)

        def attempt() -> T:
            number = next(attempts)
            application = first_turn if number == 1 else self._take_turn()
            try:
                return self._attempt(application, request, pick)
            except Cin7Error as error:
                error.attempts = number
                raise

        try:
            taken = self._retrying()(attempt)
        except (Unavailable, UncertainOutcome) as error:
            self._breaker.failed(error)
            raise
        except Cin7Error:
            self._breaker.answered()  # it said no, or something else than was expected
            raise
        self._breaker.answered()
        return taken

    def _attempt(self, application: str, request: _Request, pick: Callable[[Any], T]) -> T:
        call = Call(application, request.method, request.path, request.record)
        answer = self._exchange(call, request)
        if answer.wait_seconds is not None:
            self._count(throttled=1)
            self._ring.throttled(application, answer.wait_seconds)
        body = answers.read(call, answer, self._hidden)
        try:
            return pick(body)
        except Misshapen as lack:
            raise unusable(call, f"the answer {lack}", answer.status) from None

    def _exchange(self, call: Call, request: _Request) -> answers.Answer:
        """Return what came back, or raise by whether the request can have been applied."""
        check = _guard.get()
        if check is not None and not call.is_read:
            check()
        self._count(calls=1, writes=not call.is_read)
        try:
            response = self._http.request(
                request.method,
                request.path,
                params=request.parameters,
                content=request.content,
                headers={"content-type": "application/json"} if request.content else {},
                auth=self._auth[call.application],
            )
        # `from None`: an httpx error carries the request, and the request the key.
        except _NEVER_SENT as error:
            raise Unavailable(call, self._hidden(f"no connection ({error})")) from None
        except httpx.RequestError as error:
            raise no_answer(call, f"the answer was lost ({type(error).__name__})") from None
        logger.debug("%s answered %s", call, response.status_code)
        return answers.Answer.of(response.status_code, response.headers, response.content)

    def _take_turn(self) -> str:
        """Wait for the first free slot; return the name of its application."""
        application, waited = self._ring.acquire()
        self._count(waited_seconds=waited)
        return application

    def _retrying(self) -> tenacity.Retrying:
        return tenacity.Retrying(
            # Right for writes as well: Unavailable means certainly not applied.
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=self._wait,
            stop=self._is_enough,
            before_sleep=self._before_retry,
            sleep=self._sleep,
            reraise=True,
        )

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Return the seconds before the next attempt; after throttling the pacer waits."""
        if isinstance(_error_of(state), Throttled):
            return 0.0
        jitter = tenacity.wait_random_exponential(
            multiplier=self._limits.first_wait_seconds, max=self._limits.longest_wait_seconds
        )
        return jitter(state)

    def _is_enough(self, state: tenacity.RetryCallState) -> bool:
        if state.attempt_number >= self._limits.attempts:
            return True
        upcoming = max(state.upcoming_sleep, self._ring.next_slot_in())
        return (state.seconds_since_start or 0.0) + upcoming > self._limits.seconds

    def _before_retry(self, state: tenacity.RetryCallState) -> None:
        self._count(retried=1, waited_seconds=state.upcoming_sleep)
        error = _error_of(state)
        if isinstance(error, Cin7Error):
            logger.warning("%s: %s; sending it again", error.call, error.problem)

    def _count(self, **amounts: float) -> None:
        with self._lock:
            for name, amount in amounts.items():
                setattr(self._counter, name, getattr(self._counter, name) + amount)

    def _hidden(self, text: str) -> str:
        """Return a text without the account's secrets, should Cin7 repeat them."""
        for secret in self._secrets:
            text = text.replace(secret.get_secret_value(), "***")
        return text


def _timeout(seconds: float) -> httpx.Timeout:
    """Return how long the parts of a call may take: the whole is over in twice the time.

    A quarter each for a free connection, TCP, TLS and sending, then all of it for the answer.
    """
    return httpx.Timeout(seconds, pool=seconds / 4, connect=seconds / 4, write=seconds / 4)


def _error_of(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _check_header_value(name: str, secret: SecretStr) -> None:
    value = secret.get_secret_value()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(
            f"{name}: found a value that HTTP headers cannot carry (empty, or with blanks or "
            "special characters), expected the id as Cin7 shows it; store it again"
        )


def _address(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(
            f"cin7.base_url: found {base_url!r}, expected https://host/ExternalApi/v2"
        )
    return base_url


def _parameters(query: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None
    }


def _record(fields: Mapping[str, Any]) -> str:
    """Return what names the record a request is about, for messages: two fields at most."""
    named = [
        f"{name} {str(fields[name]).splitlines()[0][:80]!r}"
        for name in _NAMING_FIELDS
        if str(fields.get(name) or "").strip()
    ]
    return ", ".join(named[:2])
