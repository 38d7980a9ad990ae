"""Control surface of the stand-in, `/_sandbox/…`: for tests and whoever tries it out.

What must not come in: anything SYSPRO has.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mlc_pipeline.sandbox.syspro.faults import Fault
from mlc_pipeline.sandbox.syspro.state import State
from mlc_pipeline.sandbox.syspro.store import delete, upsert
from mlc_pipeline.sandbox.syspro.wire import CONTROL


class RowOrder(BaseModel):
    """Rows to change: `upsert` {physical column: value}, `delete` keys in key order."""

    model_config = ConfigDict(extra="forbid")

    table: str
    upsert: list[dict[str, Any]] = []
    delete: list[Any] = []


class Control:
    """The control routes of one stand-in."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            _route("/health", "GET", self._health),
            _route("/summary", "GET", self._summary),
            _route("/traffic", "GET", self._traffic),
            _route("/traffic", "DELETE", self._forget_traffic),
            _route("/faults", "GET", self._faults),
            _route("/faults", "POST", self._order_fault),
            _route("/faults", "DELETE", self._clear_faults),
            _route("/settings", "GET", self._settings),
            _route("/settings", "POST", self._change_settings),
            _route("/rows", "POST", self._change_rows),
        ]

    def _health(self, body: object) -> object:
        return {"status": "ok", "company": self._state.settings.company}

    def _summary(self, body: object) -> object:
        idle_seconds = self._state.settings.idle_seconds
        return {
            "rows": self._state.store.counts(),
            **self._state.sessions.summary(idle_seconds=idle_seconds),
            "calls": dict(self._state.traffic.calls),
        }

    def _traffic(self, body: object) -> object:
        return list(self._state.traffic.requests)

    def _forget_traffic(self, body: object) -> object:
        self._state.traffic.requests.clear()
        return []

    def _faults(self, body: object) -> object:
        return [fault.model_dump() for fault in self._state.faults.pending]

    def _order_fault(self, body: object) -> object:
        self._state.faults.order(Fault.model_validate(body))
        return self._faults(body)

    def _clear_faults(self, body: object) -> object:
        self._state.faults.clear()
        return []

    def _settings(self, body: object) -> object:
        return self._state.settings.model_dump(mode="json")

    def _change_settings(self, body: object) -> object:
        if not isinstance(body, dict):
            raise TypeError(f"expected a JSON object, found {type(body).__name__}")
        self._state.settings = self._state.settings.changed(body)
        return self._settings(body)

    def _change_rows(self, body: object) -> object:
        order = RowOrder.model_validate(body)
        return {
            "upserted": upsert(self._state.store, order.table, order.upsert),
            "deleted": delete(self._state.store, order.table, order.delete),
        }


def _route(path: str, method: str, answer: Callable[[object], object]) -> Route:
    """Return a route that answers JSON, and 400 with a reason to an order it cannot take."""

    async def endpoint(request: Request) -> JSONResponse:
        try:
            raw = await request.body()
            # Exact numbers: what is sent as 1250.10 is stored as 1250.10.
            body = json.loads(raw, parse_float=Decimal) if raw else {}
            return JSONResponse(answer(body))
        except ValidationError as error:
            return JSONResponse({"error": _reasons(error)}, 400)
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)

    return Route(CONTROL + path, endpoint, methods=[method])


def _reasons(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, reason['loc']))}: {reason['msg']}"
        for reason in error.errors(include_input=False, include_url=False)
    )
