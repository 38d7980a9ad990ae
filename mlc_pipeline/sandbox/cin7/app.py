"""The stand-in as an ASGI application: from a request to its answer.

The order of things: unknown path (an HTML page with 200), credentials, rate limit, method,
faults, body, handler. Each call is carried out in one go on the event loop, so no two calls
ever mix.
What must not come in: rules of documents.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlc_pipeline.sandbox.cin7.control import find_call
from mlc_pipeline.sandbox.cin7.faults import APPLYING, Fault
from mlc_pipeline.sandbox.cin7.limits import throttled
from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.routes import ROUTES
from mlc_pipeline.sandbox.cin7.routes.route import Route
from mlc_pipeline.sandbox.cin7.shapes import check
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import decode, encode

BASE_PATH = "/externalapi/v2/"
CONTROL_PATH = "/_sandbox/"
_TRANSPORT = "sandbox.transport"
_PAGE_NOT_FOUND = "<!DOCTYPE html><html><body><h1>Page not found</h1></body></html>"

_log = logging.getLogger(__name__)


class ClosableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, letting the application close a connection unanswered."""

    def on_message_begin(self) -> None:
        """Hand the connection to the application along with the request."""
        super().on_message_begin()
        self.scope["extensions"] = {_TRANSPORT: {"transport": self.transport}}


@dataclass
class _Exchange:
    """One request on its way through; what of it is recorded."""

    method: str
    path: str
    query: dict[str, str]
    raw: bytes
    key: str
    may_pass: bool
    fault: Fault | None = None
    ignored: list[str] = field(default_factory=list)


class Application:
    """Answers the API and the control surface of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry; only HTTP is spoken."""
        request = Request(scope, receive)
        path: str = scope["path"]
        response: Response | None
        if path.startswith(CONTROL_PATH):
            response = self._control(
                request.method, path.removeprefix(CONTROL_PATH), await request.body()
            )
        else:
            response = await self._answer(await self._received(request))
        if response is None:
            await _close(request)
        else:
            await response(scope, receive, send)

    def _control(self, method: str, path: str, raw: bytes) -> Response:
        call = find_call(method, path)
        if call is None:
            return _json({"error": f"there is no control call {method} {path}"}, 404)
        try:
            return _json(call(self.sandbox, decode(raw) if raw else {}))
        except (ValueError, TypeError, LookupError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, 400)

    async def _received(self, request: Request) -> _Exchange:
        key = request.headers.get("api-auth-applicationkey", "")
        account = request.headers.get("api-auth-accountid", "")
        return _Exchange(
            request.method,
            request.scope["path"],
            dict(request.query_params),
            await request.body(),
            key,
            account == self.sandbox.account_id and key in self.sandbox.application_keys,
        )

    async def _answer(self, exchange: _Exchange) -> Response | None:
        """The answer of the API, recorded; None when the connection is to be closed."""
        path = exchange.path.lower()
        below = path.removeprefix(BASE_PATH).strip("/") if path.startswith(BASE_PATH) else ""
        methods = ROUTES.get(below)
        response: Response | None
        if methods is None:
            response = HTMLResponse(_PAGE_NOT_FOUND)
        elif not exchange.may_pass:
            response = PlainTextResponse("Incorrect credentials!", 403)
        elif not self.sandbox.limiter.accept(exchange.key, self.sandbox.settings):
            response = throttled(self.sandbox.settings)
        elif exchange.method not in methods:
            text = f"The requested resource does not support http method '{exchange.method}'."
            response = PlainTextResponse(text, 405)
        else:
            exchange.fault = self.sandbox.faults.take(exchange.method, below, exchange.raw)
            response = await self._faulty(exchange, methods[exchange.method])
        self._record(exchange, response)
        return response

    async def _faulty(self, exchange: _Exchange, route: Route) -> Response | None:
        fault = exchange.fault
        if fault is None:
            return self._carry_out(exchange, route)
        if fault.kind == "slow_commit":
            await asyncio.sleep(float(fault.seconds))
        carried_out = self._carry_out(exchange, route) if fault.kind in APPLYING else None
        return self._spoilt(fault, carried_out)

    def _spoilt(self, fault: Fault, carried_out: Response | None) -> Response | None:
        """What the client sees of a call that a fault has hit."""
        match fault.kind:
            case "drop_before" | "drop_after":
                return None
            case "error_after":
                return _json([{"ErrorCode": 500, "Exception": "Internal server error"}], 500)
            case "error_list_200":
                return _json([{"ErrorCode": 400, "Exception": "Request was not processed"}])
            case "garbage":
                body = bytes(carried_out.body) if carried_out else b""
                return Response(body[: len(body) // 2], media_type=_JSON)
            case "throttle":
                settings = self.sandbox.settings
                return throttled(settings, fault.shape, round(fault.seconds))
            case "html_200":
                return HTMLResponse(_PAGE_NOT_FOUND)
            case "slow_commit":
                return carried_out

    def _carry_out(self, exchange: _Exchange, route: Route) -> Response:
        try:
            call = _call_of(exchange, route)
            with self.sandbox.store.together():
                return _json(route.handler(self.sandbox, call))
        except RefusedError as refusal:
            return _json(refusal.body(), refusal.status)
        except Exception:
            _log.exception("%s %s failed in the stand-in", exchange.method, exchange.path)
            return _json([{"ErrorCode": 500, "Exception": "Unexpected error"}], 500)

    def _record(self, exchange: _Exchange, response: Response | None) -> None:
        if not self.sandbox.settings.record:
            return
        self.sandbox.traffic.append(
            {
                "method": exchange.method,
                "path": exchange.path,
                "query": exchange.query,
                "body": _body_of(exchange.raw),
                "status": response.status_code if response else None,
                "ignored": exchange.ignored,
                "fault": exchange.fault.kind if exchange.fault else None,
            }
        )


def _call_of(exchange: _Exchange, route: Route) -> Call:
    """The checked call; unknown parameters and attributes are noted as ignored."""
    names = {name.lower(): name for name in route.parameters}
    query = {}
    for given, value in exchange.query.items():
        if given.lower() in names:
            query[names[given.lower()]] = value
        else:
            exchange.ignored.append(given)
    for name in route.required:
        if not query.get(name):
            raise RefusedError(f"Required parameter {name} is not provided.")
    if route.shape is None:
        return Call(query)
    try:
        body = decode(exchange.raw)
    except ValueError:
        raise RefusedError("Request body is not valid JSON") from None
    checked = check(route.shape, body)
    exchange.ignored += checked.ignored
    if checked.problems:
        raise RefusedError(*checked.problems)
    return Call(query, checked.values)


def _body_of(raw: bytes) -> Any:
    """The body as it is recorded: JSON, the text that is not JSON, or None."""
    try:
        return decode(raw) if raw else None
    except ValueError:
        return raw.decode("utf-8", "replace")


_JSON = "application/json; charset=utf-8"


def _json(document: object, status: int = 200) -> Response:
    return Response(encode(document), status, media_type=_JSON)


async def _close(request: Request) -> None:
    """Close the TCP connection without a byte of answer."""
    request.scope["extensions"][_TRANSPORT]["transport"].abort()
    while (await request.receive())["type"] != "http.disconnect":
        pass
