"""Reads what an answer of Cin7 Core means, whatever its status says.

Facts behind it (Cin7 API reference, and clients' measurements): an unknown path answers
200 with an HTML page, an error list may come with 200, throttling is 429, 503 or only a
sentence in the body, `Retry-After` reads `60 Seconds`.

What must not come in: sending, waiting, request bodies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlc_pipeline.cin7.decimals import loads
from mlc_pipeline.cin7.errors import (
    Call,
    Cin7Error,
    NotAuthorised,
    NotFound,
    Refused,
    Throttled,
    no_answer,
    unusable,
)

DEFAULT_WAIT_SECONDS: Final = 60
"""How long to wait when throttled without a usable `Retry-After`: the limit's window."""

LONGEST_WAIT_SECONDS: Final = 600
"""A longer `Retry-After` is cut to this: the wait holds up every process of the budget."""

_THROTTLED = re.compile(r"60 calls per (60 seconds|minute)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_EXCERPT_LENGTH = 300

Hide = Callable[[str], str]
"""Takes the account's secrets out of a text that will be shown."""


class _NotJson:
    """Stands for a body that is not JSON."""


NOT_JSON: Final = _NotJson()


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, its body read once.

    Attributes:
        status: HTTP status.
        headers: case-insensitive mapping.
        text: body as text, for messages.
        body: parsed JSON, or `NOT_JSON`.
        errors: `(ErrorCode, Exception)` of each error in the body.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    body: Any
    errors: tuple[tuple[int | None, str], ...]

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], content: bytes) -> Answer:
        """Read an answer from what came over HTTP; `headers` ignores case."""
        body = _parsed(headers, content)
        if status == 204 and not content:
            body = {}
        return cls(
            status=status,
            headers=headers,
            text=content.decode("utf-8", errors="replace"),
            body=body,
            errors=_errors_of(body),
        )

    @property
    def is_success(self) -> bool:
        """Whether Cin7 did what was asked."""
        return 200 <= self.status < 300 and self.body is not NOT_JSON and not self.errors

    @property
    def says_throttled(self) -> bool:
        """Whether the body names the call limit: then nothing was applied."""
        return not self.is_success and bool(_THROTTLED.search(self.text))

    @property
    def wait_seconds(self) -> int | None:
        """Seconds Cin7 wants no call of this key; None when it does not slow us down.

        A 503 without the sentence counts as well: Cin7 throttled that way for years.
        """
        if not (self.status in (429, 503) or self.says_throttled):
            return None
        digits = re.match(
            r"\s*(\d+)(?:\s*[a-z]*\s*)$", self.headers.get("retry-after", ""), re.I
        )
        seconds = int(digits[1]) if digits else DEFAULT_WAIT_SECONDS
        return min(max(seconds, 1), LONGEST_WAIT_SECONDS)


def read(call: Call, answer: Answer, hide: Hide) -> Any:
    """Return the JSON body of a successful answer.

    Raises:
        Cin7Error: the kind that tells the caller what to do.
    """
    if answer.is_success:
        return answer.body
    raise _failure(call, answer, hide)


def _failure(call: Call, answer: Answer, hide: Hide) -> Cin7Error:
    """Return the error an unsuccessful answer stands for."""
    status = answer.status
    said = hide(_said(answer))
    found = f"answered {status}: {said}"
    if answer.says_throttled or status == 429 or (status == 503 and call.is_read):
        return Throttled(call, f"throttled, {found}", status=status, messages=[said])
    if status in (401, 403):
        return NotAuthorised(call, found, status=status, messages=[said])
    if _is_servers_fault(answer):
        return no_answer(call, found, status)
    if 300 <= status < 400:
        return unusable(call, f"answered {status}, a redirect, which is not followed", status)
    if answer.errors or 400 <= status < 500:
        errors = [(code, hide(message)) for code, message in answer.errors] or [(None, said)]
        kind = NotFound if _names_nothing(call, answer) else Refused
        return kind(call, found, status=status, errors=errors)
    return unusable(call, f"expected JSON, {found}", status)


def _is_servers_fault(answer: Answer) -> bool:
    """Whether the server failed on its side: then a write may have been applied.

    408 belongs here: a proxy gives it for a server that took too long. So does a status
    200 whose error list speaks of a 500.
    """
    worst = max((code for code, _ in answer.errors if code is not None), default=0)
    return (
        answer.status >= 500 or answer.status == 408 or (answer.status < 300 and worst >= 500)
    )


def _names_nothing(call: Call, answer: Answer) -> bool:
    """Whether the refusal says that the record asked for does not exist.

    On a write an ErrorCode 404 means a missing reference (a location, say), so only the
    status counts there; reads answer 400 with "not found" in the text.
    """
    if answer.status == 404:
        return True
    return (
        call.is_read
        and bool(answer.errors)
        and all(code == 404 or "not found" in text.lower() for code, text in answer.errors)
    )


def _parsed(headers: Mapping[str, str], content: bytes) -> Any:
    if "json" not in headers.get("content-type", "").lower():
        return NOT_JSON
    try:
        return loads(content)
    except ValueError:
        return NOT_JSON


def _errors_of(body: Any) -> tuple[tuple[int | None, str], ...]:
    """Return the errors in a body: a list of error objects, or one bare object."""
    entries = body if isinstance(body, list) else [body]
    return tuple(
        (_code(entry.get("ErrorCode")), str(entry.get("Exception", "")))
        for entry in entries
        if isinstance(entry, dict) and ("ErrorCode" in entry or "Exception" in entry)
    )


def _code(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None


def _said(answer: Answer) -> str:
    """Return what an unsuccessful answer says, short enough for a message."""
    if answer.errors:
        return "; ".join(
            text if code is None else f"[{code}] {text}" for code, text in answer.errors
        )
    if isinstance(answer.body, dict) and "Message" in answer.body:
        return str(answer.body["Message"])
    title = _TITLE.search(answer.text)
    if title:
        return f"an HTML page titled {' '.join(title[1].split())[:_EXCERPT_LENGTH]!r}"
    text = " ".join(answer.text.split())
    return text[:_EXCERPT_LENGTH] or "an empty body"
