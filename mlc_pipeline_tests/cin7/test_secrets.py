"""Account id and keys show up in no error, no repr, no log and no traceback."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from mlc_pipeline.cin7.budget import budget_of
from mlc_pipeline.cin7.client import Cin7Client
from mlc_pipeline.cin7.errors import Cin7Error
from mlc_pipeline_tests.cin7.support import (
    ACCOUNT,
    ID,
    KEY,
    NoPacer,
    Reply,
    Script,
    answer,
    client_of,
    text,
)
from mlc_pipeline_tests.cin7.test_client import SUPPLIER

SECRETS = (ACCOUNT.get_secret_value(), KEY.get_secret_value())
ECHO = f"Application key {SECRETS[1]} of account {SECRETS[0]} is not known"

FAILURES: dict[str, Reply] = {
    "connect": httpx.ConnectError(f"cannot connect with {ECHO}"),
    "lost": httpx.ReadError(ECHO),
    "protocol": httpx.LocalProtocolError(f"Illegal header value {SECRETS[1]!r}"),
    "403": text(ECHO, 403),
    "400": answer([{"ErrorCode": 400, "Exception": ECHO}], 400),
    "429": text(ECHO, 429),
    "500": text(ECHO, 500),
    "200": text(f"<html><title>{ECHO}</title></html>", 200, "text/html"),
}


def _hold_no_secret(*texts: str) -> bool:
    return not any(secret in each for secret in SECRETS for each in texts)


@pytest.mark.parametrize("reply", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize(
    "call",
    [lambda client: client.purchase(ID), lambda client: client.create_supplier(SUPPLIER)],
    ids=["read", "write"],
)
def test_no_error_shows_a_secret_even_when_cin7_repeats_it(
    reply: Reply, call: Callable[[Cin7Client], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with client_of(Script(reply)) as client, pytest.raises(Cin7Error) as caught:
        call(client)
    error = caught.value
    shown = "".join(traceback.format_exception(error))
    assert "Cin7 application main" in shown
    assert _hold_no_secret(shown, str(error), repr(error), repr(vars(error)), caplog.text)


@pytest.mark.parametrize("reply", [text("no", 400), httpx.ReadError("reset")])
def test_a_traceback_with_local_variables_shows_no_secret(reply: Reply) -> None:
    with client_of(Script(reply)) as client, pytest.raises(Cin7Error) as caught:
        client.create_supplier(SUPPLIER)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    lines = "".join(shown.format())
    assert "call = Call(application='main'" in lines
    assert _hold_no_secret(lines)


def test_no_repr_shows_a_secret() -> None:
    client = client_of(Script(answer({})))
    shown = [repr(client), repr(vars(client)), repr(vars(client._sender)), str(client.counter)]
    assert "main" in shown[0]
    assert _hold_no_secret(*shown)


def test_a_budget_is_known_by_a_digest() -> None:
    assert _hold_no_secret(budget_of(ACCOUNT, KEY))
    assert budget_of(ACCOUNT, KEY) != budget_of(ACCOUNT, ACCOUNT)


class _Me(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = b'{"Company": "Demo"}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """The server keeps silent."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Me) as running:
        Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/ExternalApi/v2"
        running.shutdown()


def test_the_whole_log_of_a_real_connection_shows_no_secret(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Cin7Client(server, ACCOUNT, {"main": KEY}, {"main": NoPacer()}) as client:
        assert client.me() == {"Company": "Demo"}
    assert "GET /me answered 200" in caplog.text
    assert "httpcore" in {record.name.split(".")[0] for record in caplog.records}
    assert _hold_no_secret(caplog.text)
