"""What stands between the socket and the routes: faults, counts, recording, headers.

What must not come in: the meaning of a request.
"""

from __future__ import annotations

import asyncio
from urllib.parse import unquote_plus

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlc_pipeline.sandbox.syspro.faults import Fault
from mlc_pipeline.sandbox.syspro.state import State
from mlc_pipeline.sandbox.syspro.traffic import route_of

CONTROL = "/_sandbox"
_SERVER = (b"server", b"Microsoft-HTTPAPI/2.0")


class Wire:
    """Wraps the routes of one stand-in; the control surface passes untouched."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or carry out the fault that is due."""
        path: str = scope["path"]
        if path.startswith(CONTROL):
            return await self._app(scope, receive, send)
        query = scope["query_string"].decode("latin-1")
        self._state.traffic.calls[route_of(path, query)] += 1
        fault = self._state.faults.due(f"{path}?{unquote_plus(query)}")
        statuses: list[int] = []

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                message["headers"] = [*message["headers"], _SERVER]
            await send(message)

        await self._answer(fault, _any_case(scope), receive, observed)
        if self._state.settings.record_traffic:
            self._state.traffic.record(
                method=scope["method"],
                path=path,
                query=query,
                status=statuses[0] if statuses else None,
                fault=fault.kind if fault else None,
            )
        return None

    async def _answer(
        self, fault: Fault | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        kind = fault.kind if fault else None
        if fault and kind == "slow":
            await asyncio.sleep(fault.seconds)
        elif kind == "expire_session":
            self._state.sessions.expire_all()
        elif kind == "evict_session":
            self._state.sessions.evict_all()
        elif kind in ("drop_after", "garbage"):
            await self._app(scope, receive, _nowhere)
        if kind in ("drop_before", "drop_after"):
            await _drop(scope, receive)
        else:
            await _REPLACED.get(kind or "", self._app)(scope, receive, send)


_REPLACED: dict[str, ASGIApp] = {
    "error_500": HTMLResponse("<h1>Server Error in '/' Application.</h1>", 500),
    "garbage": Response(b"\x00\xff\x9d<Row><", 200, media_type="application/octet-stream"),
    "html": HTMLResponse("<!DOCTYPE html><html><title>Sign in</title></html>", 200),
}


def _any_case(scope: Scope) -> Scope:
    """Lower-case the path of e.net, whose segments match in any case."""
    path: str = scope["path"].lower()
    return {**scope, "path": path} if path.startswith("/sysprowcfservice/") else scope


async def _nowhere(message: Message) -> None:
    """Take an answer that is not to be sent."""


async def _drop(scope: Scope, receive: Receive) -> None:
    """Break the connection without an answer and wait until it is gone."""
    scope["state"]["transport"].abort()
    while (await receive())["type"] != "http.disconnect":
        pass
