"""One HTTP GET to SYSPRO: nothing secret shown, failures typed, reads tried again.

Credentials and tokens travel in SYSPRO's query strings, so no query string may reach a log
or an exception; an error page may echo it, so no page is quoted either.

What must not come in: what a route means, sessions, entities.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import quote

import defusedxml.ElementTree as SafeXml
import httpx
import tenacity

from mlc_pipeline.syspro.errors import (
    Call,
    LogonRefused,
    SessionLost,
    SysproError,
    SysproRefused,
    SysproUnavailable,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS: Final = 5
"""How often a read is sent at most."""

BACKOFF_SECONDS: Final = 1.0
"""Upper bound of the first wait; it doubles each time, the wait is a random part of it."""

_LONGEST_WAIT_SECONDS: Final = 20.0
_LONGEST_QUOTE: Final = 300
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_TOO_BUSY = (408, 429)

_QUERY = re.compile(r"\?\S*")
_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)

# Texts are translated per installation, so they are matched by the words that stay.
_ERROR = re.compile(r"error\b|e\.net exception\b", re.IGNORECASE)
_NOT_LET_IN = re.compile(r"\binvalid\s+(operator|company)\b", re.IGNORECASE)
_SESSION_GONE = re.compile(
    r"user\s*-?id\b|session|guid|logged\s*(on|in|off|out)\b|base\s*dir", re.IGNORECASE
)


class _WithoutQueries(logging.Filter):
    """Cuts the query string of every address out of a log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _QUERY.sub("?…", record.getMessage())
        record.args = None
        return True


# A filter of a logger is not inherited by the loggers below it, so each has its own; the
# redirect address that a server echoes is logged by httpcore.
_WITHOUT_QUERIES = _WithoutQueries()


@dataclass(frozen=True)
class Answer:
    """What came back, undecoded: SYSPRO's content types say nothing about the content."""

    status: int
    body: bytes


class Wire:
    """Sends GET requests over one connection pool; `calls` counts them.

    Args:
        timeout_seconds: for each wait for bytes; a quarter for each step of the way there.
        transport: what carries the requests; None for the network.
        attempts: how often `repeated` tries.
        backoff_seconds: upper bound of the first wait between two tries.
    """

    def __init__(
        self,
        timeout_seconds: float,
        transport: httpx.BaseTransport | None = None,
        *,
        attempts: int = ATTEMPTS,
        backoff_seconds: float = BACKOFF_SECONDS,
    ) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_WITHOUT_QUERIES)
        self._client = httpx.Client(timeout=_timeout(timeout_seconds), transport=transport)
        self.calls = 0
        self._attempts = attempts
        self._backoff_seconds = backoff_seconds

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, url: str, call: Call, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request, once.

        Raises:
            SysproUnavailable: no answer, a server error, a redirect, a web page.
        """
        self.calls += 1
        # `from None`: an exception of httpx carries the request with its address.
        try:
            response = self._client.get(url, headers=headers)
        except httpx.InvalidURL:
            raise SysproUnavailable(
                "the address is not a usable URL",
                call,
                transient=False,
                may_have_arrived=False,
            ) from None
        except httpx.HTTPError as error:
            raise SysproUnavailable(
                f"no answer ({type(error).__name__})",
                call,
                may_have_arrived=not isinstance(error, _NEVER_SENT),
            ) from None
        answer = Answer(response.status_code, response.content)
        _check_it_is_an_answer(answer, call)
        return answer

    def repeated(self, read: Callable[[], T]) -> T:
        """Call `read` until it succeeds, fails for good, or has failed too often."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=tenacity.wait_random_exponential(
                multiplier=self._backoff_seconds, max=_LONGEST_WAIT_SECONDS
            ),
            retry=tenacity.retry_if_exception(_is_transient),
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            return retrying(read)
        except SysproUnavailable as error:
            error.attempts = retrying.statistics.get("attempt_number", 1)
            raise


def _timeout(seconds: float) -> httpx.Timeout:
    """Return how long the parts of a call may take: the whole is over in twice the time.

    A quarter each for a free connection, TCP, TLS and sending, then all of it for the answer.
    """
    return httpx.Timeout(seconds, pool=seconds / 4, connect=seconds / 4, write=seconds / 4)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, SysproUnavailable) and error.transient


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    problem = error.problem if isinstance(error, SysproError) else type(error).__name__
    call = error.call if isinstance(error, SysproError) else None
    logger.warning("%s: %s; attempt %d failed", call, problem, state.attempt_number)


def _check_it_is_an_answer(answer: Answer, call: Call) -> None:
    status = answer.status
    if 300 <= status < 400:
        raise SysproUnavailable(
            f"answers HTTP {status}, a redirect, which is not followed because the query "
            "string holds secrets; configure the final address (https instead of http?)",
            call,
            transient=False,
        )
    if status >= 500 or status in _TOO_BUSY:
        raise SysproUnavailable(f"answers HTTP {status}", call)
    if status < 400 and answer.body[:200].lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise SysproUnavailable("answers with a web page", call)


def query_string(parameters: Mapping[str, str]) -> str:
    """Return the parameters percent-encoded, a space as %20: strict servers refuse `+`."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())


def plain_text(body: bytes) -> str:
    """Return a text answer without blanks around it, JSON quotes or a `<string>` element.

    Recorded answers are padded with blanks; some service builds quote the text as JSON,
    others wrap it in `<string>` (public e.net clients).
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("cp1252", errors="replace")
    return _unwrapped(text.strip()).strip()


def _unwrapped(text: str) -> str:
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    if text.startswith("<string"):
        try:
            return str(SafeXml.fromstring(text).text or "")
        except (SafeXml.ParseError, ValueError):
            return text
    return text


def refusal(text: str, call: Call, secrets: Iterable[str] = ()) -> SysproError | None:
    """Return the error that a text answer means; None when it is not an error text.

    SYSPRO answers errors with HTTP 200 and a text that starts with ERROR (recorded e.net
    exchanges); the wording of a lost session is not published, so every text that names the
    session or its user id counts. `secrets` are cut out of what is quoted.
    """
    if not _ERROR.match(text):
        return None
    quoted = shown(text, secrets)
    if _NOT_LET_IN.search(text):
        return LogonRefused(quoted, call)
    if _SESSION_GONE.search(text):
        return SessionLost(quoted, call)
    return SysproRefused(quoted, call)


def shown(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a server's text fit for a message: one line, short, without the secrets."""
    for secret in secrets:
        for form in {secret, quote(secret, safe="")} - {""}:
            text = text.replace(form, "***")
    line = " ".join(_QUERY.sub("?…", text).split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"
