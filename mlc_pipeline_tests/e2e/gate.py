"""A gate in front of a stand-in: passes calls on, and kills a run at the one it waits for.

The connection's address leads to the gate. At the chosen call the run's process is killed
before the call is passed on, after it was carried out, or once it was answered; or
something else is done while the answer is held back.
What must not come in: what a call means.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import httpx

Moment = Literal["before", "unanswered", "answered"]

_OWN_HEADERS = {"connection", "content-length", "host", "transfer-encoding"}


@dataclass
class Gate:
    """One gate.

    Attributes:
        target: scheme, host and port of the stand-in.
        counts: whether a call, by method and path, is one to count.
        url: scheme, host and port of the gate.
        choose: takes method, path and body of a call that counts, says when to kill; by
            default the call that `kill_at` names.
        between: called for each call that counts, carried out and not yet answered.
        keeps_alive: whether a connection may carry more than one call.
        seen: how many calls were counted.
        reached: set once the chosen call came.
    """

    target: str
    counts: Callable[[str, str], bool]
    url: str = ""
    choose: Callable[[str, str, bytes], Moment | None] | None = None
    between: Callable[[int], None] = lambda _number: None
    keeps_alive: bool = True
    seen: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    _number: int = 0
    _moment: Moment = "before"
    _kill: Callable[[], None] = lambda: None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def kill_at(self, number: int, moment: Moment, kill: Callable[[], None]) -> None:
        """Kill at the so-many-th call that counts, from 1."""
        self._number, self._moment, self._kill = number, moment, kill

    def kill_by(
        self, choose: Callable[[str, str, bytes], Moment | None], kill: Callable[[], None]
    ) -> None:
        """Kill at every call that `choose` names a moment for."""
        self.choose, self._kill = choose, kill

    def moment_of(self, method: str, path: str, body: bytes) -> tuple[int, Moment | None]:
        """Count a call; return its number (0: none) and when to kill if it is chosen."""
        if not self.counts(method, path):
            return 0, None
        with self._mutex:
            self.seen += 1
            if self.choose is not None:
                return self.seen, self.choose(method, path, body)
            return self.seen, self._moment if self.seen == self._number else None

    def kill(self) -> None:
        """Kill the run; returns when it is dead."""
        self._kill()
        self.reached.set()


def is_write(method: str, _path: str) -> bool:
    """Whether a call can change something."""
    return method != "GET"


class _Server(ThreadingHTTPServer):
    """A server to which a client that hangs up is no event: that is what the gate is for."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that is gone; of anything else what happened."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def open_gate(target: str, counts: Callable[[str, str], bool] = is_write) -> Iterator[Gate]:
    """Open a gate in front of a stand-in on a free port of this machine."""
    gate = Gate(target, counts)
    with httpx.Client(timeout=30) as client:
        server = _Server(("127.0.0.1", 0), _handler(gate, client))
        gate.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield gate
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _handler(gate: Gate, client: httpx.Client) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            number, moment = gate.moment_of(self.command, self.path, body)
            if moment == "before":
                self._die()
                return
            answer = client.request(
                self.command,
                gate.target + self.path,
                content=body or None,
                headers=_without(self.headers.items()),
            )
            if number:
                gate.between(number)
            if moment == "unanswered":
                self._die()
                return
            self.send_response(answer.status_code)
            for name, value in _without(answer.headers.items()).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            if not gate.keeps_alive:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.content)
            if moment == "answered":
                self._die()

        def _die(self) -> None:
            gate.kill()
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet: a request line may hold a password."""

    return Handler


def _without(headers: object) -> dict[str, str]:
    return {k: v for k, v in dict(headers).items() if k.lower() not in _OWN_HEADERS}  # type: ignore[call-overload]


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it never was.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain")
        time.sleep(0.01)
