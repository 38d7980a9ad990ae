"""A recording stand-in for the network, and a pacer that does not pace."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import SecretStr

from mlc_pipeline.cin7.client import Cin7Client
from mlc_pipeline.cin7.sending import RetryLimits

BASE_URL = "http://cin7.test/ExternalApi/v2"
ACCOUNT = SecretStr("5a4db0c5-0000-4000-8000-0000000000ac")
KEY = SecretStr("5a4db0c5-0000-4000-8000-0000000000ke")
OTHER_KEY = SecretStr("5a4db0c5-0000-4000-8000-0000000000k2")
ID = "11111111-2222-4333-8444-555555555555"
OTHER_ID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
LIMIT_TEXT = "You have reached 60 calls per 60 seconds API limit."

Reply = httpx.Response | Exception


class NoPacer:
    """Lets every call through and records the waits that were asked for."""

    def __init__(self, next_slot_in: float = 0.0) -> None:
        self.acquired = 0
        self.waits: list[float] = []
        self._next_slot_in = next_slot_in

    def acquire(self) -> float:
        self.acquired += 1
        return self._next_slot_in

    def throttled(self, seconds: float) -> None:
        self.waits.append(seconds)

    def next_slot_in(self) -> float:
        return self._next_slot_in


class Script:
    """Answers one reply after the other, the last one for ever; records the requests."""

    def __init__(self, *replies: Reply) -> None:
        self.requests: list[httpx.Request] = []
        self._replies = replies

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self._replies[min(len(self.requests), len(self._replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        # A response can be read once only: hand out a copy.
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)

    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.content]

    def queries(self) -> list[dict[str, str]]:
        return [dict(request.url.params) for request in self.requests]


def answer(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def text(
    content: str, status: int = 200, media_type: str = "text/plain", **headers: str
) -> httpx.Response:
    return httpx.Response(
        status, content=content.encode(), headers={"content-type": media_type, **headers}
    )


def html(status: int = 200) -> httpx.Response:
    page = "<html><head><title>Page not found</title></head><body></body></html>"
    return text(page, status, "text/html; charset=utf-8")


def client_of(
    handler: Callable[[httpx.Request], httpx.Response],
    *,
    pacer: NoPacer | None = None,
    attempts: int = 3,
    seconds: float = 300,
    sleeps: list[float] | None = None,
) -> Cin7Client:
    """A client of one application `main` whose waits between retries take no time."""
    return Cin7Client(
        BASE_URL,
        ACCOUNT,
        {"main": KEY},
        {"main": pacer or NoPacer()},
        transport=httpx.MockTransport(handler),
        limits=RetryLimits(attempts=attempts, seconds=seconds),
        sleep=(sleeps if sleeps is not None else []).append,
    )
