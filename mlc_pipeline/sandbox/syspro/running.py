"""A stand-in SYSPRO in a thread of this process, on a free port, for tests.

What must not come in: routes, product code.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from mlc_pipeline.sandbox.syspro.odata import ROOT
from mlc_pipeline.sandbox.syspro.server import HOST, Server, build_server
from mlc_pipeline.sandbox.syspro.settings import Settings
from mlc_pipeline.sandbox.syspro.state import State
from mlc_pipeline.sandbox.syspro.store import Store, load

_START_SECONDS = 10


@dataclass(frozen=True)
class RunningSyspro:
    """Addresses and credentials of a running stand-in.

    Attributes:
        url: scheme, host and port.
        enet_url: base of e.net REST.
        odata_url: base of OData, without the company.
        company: company id.
        operator: first operator code.
        state: the stand-in's inside; its store may be read between requests only.
        client: calls the control surface.
    """

    url: str
    enet_url: str
    odata_url: str
    company: str
    operator: str
    company_password: str = field(repr=False)
    operator_password: str = field(repr=False)
    odata_user: str
    odata_password: str = field(repr=False)
    state: State = field(repr=False)
    client: httpx.Client = field(repr=False)

    def control(self, path: str, body: object = None, method: str | None = None) -> Any:
        """Call the control surface, `control("summary")`; return the JSON it answers.

        The method is GET without a body and POST with one, unless given. Decimals in the
        body travel as text, which a number column takes exactly.

        Raises:
            httpx.HTTPStatusError: the order was refused; the message has the reason.
        """
        address = f"{self.url}/_sandbox/{path.strip('/')}"
        method = method or ("GET" if body is None else "POST")
        answer = self.client.request(method, address, json=_plain(body))
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {address}: {answer.text}", request=answer.request, response=answer
            )
        return answer.json()


def _plain(body: object) -> object:
    """Return the body with Decimals and dates as text."""
    if isinstance(body, Mapping):
        return {key: _plain(value) for key, value in body.items()}
    if isinstance(body, (list, tuple)):
        return [_plain(value) for value in body]
    return body if body is None or isinstance(body, (str, bool, int, float)) else str(body)


@contextmanager
def running_syspro(
    tables: Mapping[str, Iterable[Mapping[str, object]]] | None = None, **settings: Any
) -> Iterator[RunningSyspro]:
    """Serve a company holding the rows of `tables` until the block ends.

    `settings` are fields of `Settings`.

    Raises:
        RowError: rows that the company cannot hold.
        pydantic.ValidationError: settings that are none.
    """
    state = State(Store(), Settings(**settings))
    load(state.store, tables or {})
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port = listener.getsockname()[1]
        server = build_server(state, port)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            _wait_until_started(server)
            with httpx.Client(timeout=30) as client:
                yield _description(f"http://{HOST}:{port}", state, client)
        finally:
            server.should_exit = True
            thread.join()
            state.store.close()


def _wait_until_started(server: Server) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the stand-in did not start within {_START_SECONDS} s")
        time.sleep(0.005)


def _description(url: str, state: State, client: httpx.Client) -> RunningSyspro:
    settings = state.settings
    operator, password = next(iter(settings.operators.items()))
    return RunningSyspro(
        url=url,
        enet_url=f"{url}/SYSPROWCFService/Rest",
        odata_url=f"{url}{ROOT}",
        company=settings.company,
        operator=operator,
        company_password=settings.company_password.get_secret_value(),
        operator_password=password.get_secret_value(),
        odata_user=settings.odata_user,
        odata_password=settings.odata_password.get_secret_value(),
        state=state,
        client=client,
    )
