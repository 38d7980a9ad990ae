"""Running the stand-in: as a process of its own, or beside a test.

It listens on 127.0.0.1 only.
What must not come in: the command line.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from mlc_pipeline.sandbox.cin7.app import Application, ClosableProtocol
from mlc_pipeline.sandbox.cin7.seed import seed as fill
from mlc_pipeline.sandbox.cin7.settings import Settings
from mlc_pipeline.sandbox.cin7.state import Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document, decode, encode

HOST = "127.0.0.1"


def open_sandbox(
    seed: dict[str, Any], state: Path | None = None, settings: Settings | None = None
) -> Sandbox:
    """A sandbox on its state file, with what the seed adds to it."""
    sandbox = Sandbox(state, settings)
    sandbox.first_seed = seed
    fill(sandbox.store, seed)
    return sandbox


def make_server(sandbox: Sandbox, port: int = 0) -> uvicorn.Server:
    """A quiet server of the sandbox; `run()` it."""
    return uvicorn.Server(
        uvicorn.Config(
            Application(sandbox),
            host=HOST,
            port=port,
            http=ClosableProtocol,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
    )


@dataclass(frozen=True)
class RunningCin7:
    """A stand-in that runs beside a test.

    Attributes:
        address: `http://127.0.0.1:<port>`.
        base_url: base address of the API, without a trailing slash.
        account_id: the account id to send.
        application_keys: the application keys it takes.
        client: an HTTP client that lives as long as the stand-in, without credentials.
    """

    address: str
    base_url: str
    account_id: str
    application_keys: tuple[str, ...]
    client: httpx.Client = field(repr=False)

    def headers(self, key: int = 0) -> dict[str, str]:
        """The credential headers of one of the application keys."""
        return {
            "api-auth-accountid": self.account_id,
            "api-auth-applicationkey": self.application_keys[key],
        }

    def control(self, path: str, body: Document | None = None, method: str = "") -> Any:
        """A call to the control surface: GET without a body, POST with one.

        Raises:
            ValueError: the stand-in refuses; the text says why.
        """
        answer = self.client.request(
            method or ("GET" if body is None else "POST"),
            f"{self.address}/_sandbox/{path.strip('/')}",
            content=None if body is None else encode(body),
        )
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"control call {path}: {answer.text}")
        return decode(answer.content)


@contextmanager
def running_cin7(
    seed: dict[str, Any], *, state: Path | None = None, **settings: Any
) -> Iterator[RunningCin7]:
    """Run the stand-in in a thread on a free port.

    Args:
        seed: what the account holds, see `seed.seed`.
        state: file that keeps the state; without one it ends with the server.
        settings: see `settings.Settings`; the rate limit is off unless `limit` is given.
    """
    sandbox = open_sandbox(seed, state, Settings(**{"limit": 0, **settings}))
    listener = socket.create_server((HOST, 0))
    server = make_server(sandbox)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the stand-in did not start")
            time.sleep(0.005)
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        with httpx.Client(timeout=30) as client:
            yield RunningCin7(
                address,
                f"{address}/ExternalApi/v2",
                sandbox.account_id,
                sandbox.application_keys,
                client,
            )
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        sandbox.store.close()
