"""Receivers of alerts: a webhook and a mail server on this machine, which keep what they get.

What must not come in: expectations, what an alert says.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """A webhook.

    Attributes:
        address: its secret address.
        got: the payloads received.
        status: what it answers; another than 200 keeps nothing.
    """

    address: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    status: int = 200


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Run a webhook on a free port."""
    kept = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.asked += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if kept.status == 200:
                kept.got.append(json.loads(body))
            self.send_response(kept.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet: the address is a secret."""

    with _served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        kept.address = f"http://127.0.0.1:{port}/services/T000/B000/very-secret-word"
        yield kept


@dataclass
class Mailbox:
    """A mail server.

    Attributes:
        port: where it listens.
        got: the messages received.
        envelopes: the recipients of each.
    """

    port: int = 0
    got: list[EmailMessage] = field(default_factory=list)
    envelopes: list[list[str]] = field(default_factory=list)


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Run a mail server (RFC 5321's least) on a free port."""
    kept = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            recipients: list[str] = []
            self._say("220 here")
            for line in iter(self.rfile.readline, b""):
                word = line.strip().upper().split(b" ")[0].split(b":")[0]
                if word in (b"EHLO", b"HELO"):
                    self._say("250-here\r\n250 AUTH PLAIN")
                elif word == b"RCPT":
                    recipients.append(line.decode().partition("<")[2].partition(">")[0])
                    self._say("250 ok")
                elif word == b"DATA":
                    self._say("354 go on")
                    self._keep(recipients)
                elif word == b"QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 ok")

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def _keep(self, recipients: list[str]) -> None:
            lines = list(iter(self.rfile.readline, b".\r\n"))
            message = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(message, EmailMessage)
            kept.got.append(message)
            kept.envelopes.append(list(recipients))
            self._say("250 kept")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with _served(Server(("127.0.0.1", 0), Handler)) as port:
        kept.port = port
        yield kept


@contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
