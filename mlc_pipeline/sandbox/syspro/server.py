"""The stand-in as an HTTP server on the loopback address.

What must not come in: settings from a command line, threads.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from mlc_pipeline.sandbox.syspro.control import Control
from mlc_pipeline.sandbox.syspro.enet import Enet
from mlc_pipeline.sandbox.syspro.odata import OData
from mlc_pipeline.sandbox.syspro.state import State
from mlc_pipeline.sandbox.syspro.wire import Wire

HOST = "127.0.0.1"


class _Protocol(H11Protocol):
    """HTTP/1.1 that lets a fault reach the connection it has to break."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Server(uvicorn.Server):
    """A server that ends with exit code 0 when it is asked to end."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take SIGTERM and SIGINT as a wish to end, without raising them again after."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self.handle_exit)
        yield


def build_server(state: State, port: int) -> Server:
    """Return the server of a stand-in, not yet listening.

    Quiet by design: an access log would hold the passwords of every Logon.
    """
    routes = [*Control(state).routes(), *Enet(state).routes(), *OData(state).routes()]
    config = uvicorn.Config(
        Wire(Starlette(routes=routes), state),
        host=HOST,
        port=port,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return Server(config)
