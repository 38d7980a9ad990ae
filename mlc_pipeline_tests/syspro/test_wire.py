"""What every request to SYSPRO shares: texts, errors, retries, and nothing secret shown."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from mlc_pipeline.connection.model import CALL_TAKES_AT_MOST
from mlc_pipeline.syspro.errors import (
    Call,
    LogonRefused,
    SessionLost,
    SysproError,
    SysproRefused,
    SysproUnavailable,
)
from mlc_pipeline.syspro.wire import Wire, plain_text, query_string, refusal, shown

CALL = Call("e.net", "/Query/Query", "COMFND", "suppliers")
URL = "https://erp.example/Query/Query?UserId=TOKEN123&OperatorPassword=pa%27ss"


class EchoingServer(BaseHTTPRequestHandler):
    """Redirects to a copy of the address, as servers do that insist on https."""

    def do_GET(self) -> None:
        self.send_response(301)
        self.send_header("Location", f"https://erp.example{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def redirecting_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), EchoingServer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def wire(*answers: httpx.Response | Exception, attempts: int = 5) -> tuple[Wire, list[str]]:
    """A wire that gets these answers in turn, and the addresses it asked for."""
    waiting = list(answers)
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        answer = waiting.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(handle)
    return Wire(5, transport, attempts=attempts, backoff_seconds=0), asked


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"3EA613166FE4BF47925DF1CEA14E910100  ", "3EA613166FE4BF47925DF1CEA14E910100"),
        (b' "abc "\r\n', "abc"),
        (b'<string xmlns="http://schemas.microsoft.com/x">abc</string>', "abc"),
        (b"<string/>", ""),
        (b'"half', '"half'),
        (b"<string>half", "<string>half"),
        (b"\xef\xbb\xbfabc", "abc"),
        ("Müller €".encode("cp1252"), "Müller €"),
        ("Müller €".encode(), "Müller €"),
        (b"", ""),
    ],
)
def test_a_text_answer_is_unwrapped_and_trimmed(body: bytes, text: str) -> None:
    assert plain_text(body) == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ERROR: Invalid operator password", LogonRefused),
        ("ERROR: Invalid company password", LogonRefused),
        (
            "ERROR: Unable to read the SYSPRO base directory registry string BaseDir8",
            SessionLost,
        ),
        ("ERROR: The supplied UserID is invalid, or your session has expired", SessionLost),
        ("ERROR: user id not found", SessionLost),
        ("Error - GUID is no longer active", SessionLost),
        ("ERROR: Operator is not logged on", SessionLost),
        ("ERROR: Key not found on table", SysproRefused),
        ("ERROR: memory leak in APSQRY", SysproRefused),
        ("e.net exception 100000: business object not available", SysproRefused),
    ],
)
def test_an_error_text_says_what_to_do_next(text: str, kind: type[SysproError]) -> None:
    error = refusal(text, CALL)

    assert type(error) is kind
    assert text in str(error)
    assert "/Query/Query COMFND (suppliers)" in str(error)


@pytest.mark.parametrize("text", ["", "0", "7.0.0.6", "<Row>ERROR</Row>", "ERRORS0123456789"])
def test_what_does_not_start_with_error_is_no_error(text: str) -> None:
    assert refusal(text, CALL) is None


def test_a_secret_that_an_error_text_repeats_is_cut_out() -> None:
    error = refusal("ERROR: session 'pa ss' (pa%20ss) is unknown", CALL, ["pa ss", ""])

    assert str(error).startswith("SYSPRO e.net /Query/Query COMFND (suppliers): ERROR: session")
    assert "pa ss" not in str(error)
    assert "pa%20ss" not in str(error)


def test_a_long_text_is_shown_short_and_on_one_line() -> None:
    assert shown("one\n  two " + "x" * 1000) == "one two " + "x" * 292 + "…"


@pytest.mark.parametrize(
    ("answer", "problem", "transient", "arrived"),
    [
        (httpx.ConnectError("refused"), "ConnectError", True, False),
        (httpx.ConnectTimeout("slow"), "ConnectTimeout", True, False),
        (httpx.ReadTimeout("slow"), "ReadTimeout", True, True),
        (httpx.RemoteProtocolError("cut"), "RemoteProtocolError", True, True),
        (httpx.Response(500, text="TOKEN123"), "HTTP 500", True, True),
        (httpx.Response(503), "HTTP 503", True, True),
        (httpx.Response(429), "HTTP 429", True, True),
        (httpx.Response(302, headers={"location": URL}), "redirect", False, True),
        (httpx.Response(200, text="\n<!DOCTYPE html><p>TOKEN123"), "web page", True, True),
        (httpx.Response(200, text="<HTML>TOKEN123"), "web page", True, True),
    ],
)
def test_no_usable_answer_is_unavailable_and_shows_no_secret(
    answer: httpx.Response | Exception, problem: str, transient: bool, arrived: bool
) -> None:
    client, _ = wire(answer)

    with pytest.raises(SysproUnavailable, match=problem) as caught:
        client.get(URL, CALL)

    assert caught.value.transient is transient
    assert caught.value.may_have_arrived is arrived
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    for text in (str(caught.value), repr(caught.value)):
        assert "TOKEN123" not in text
        assert "pa" not in text.replace("page", "")


def test_an_address_that_is_none_is_said_without_it() -> None:
    client, _ = wire()

    with pytest.raises(SysproUnavailable, match="not a usable URL") as caught:
        client.get("https://erp.example:port/x?UserId=TOKEN123", CALL)

    assert not caught.value.may_have_arrived
    assert "TOKEN123" not in str(caught.value)


def test_a_call_is_over_in_twice_its_timeout() -> None:
    """The wait before a lost answer is looked for counts on it."""
    given: list[dict[str, float]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        given.append(request.extensions["timeout"])
        return httpx.Response(200, text="fine")

    Wire(60, httpx.MockTransport(answer)).get(URL, CALL)
    (of,) = given
    tcp_and_tls = 2 * of["connect"]
    whole = of["pool"] + tcp_and_tls + of["write"] + of["read"]
    assert whole == CALL_TAKES_AT_MOST * of["read"]


def test_a_read_is_repeated_until_it_succeeds() -> None:
    client, asked = wire(
        httpx.ConnectError("x"), httpx.Response(502), httpx.Response(200, text="fine")
    )

    answer = client.repeated(lambda: client.get(URL, CALL))

    assert answer.body == b"fine"
    assert len(asked) == 3


def test_a_read_is_given_up_after_so_many_attempts() -> None:
    client, asked = wire(*[httpx.Response(500)] * 9, attempts=4)

    with pytest.raises(SysproUnavailable, match=r"HTTP 500 \(after 4 attempts\)"):
        client.repeated(lambda: client.get(URL, CALL))

    assert len(asked) == 4


def test_what_will_not_pass_is_not_repeated() -> None:
    client, asked = wire(httpx.Response(301), httpx.Response(200))

    with pytest.raises(SysproUnavailable):
        client.repeated(lambda: client.get(URL, CALL))

    assert len(asked) == 1


def test_blanks_and_signs_are_percent_encoded() -> None:
    assert query_string({"A": "a b+c&d", "B": ""}) == "A=a%20b%2Bc%26d&B="


def test_no_query_string_reaches_a_log_at_any_level(
    caplog: pytest.LogCaptureFixture, redirecting_url: str
) -> None:
    caplog.set_level(logging.DEBUG)
    client = Wire(5, backoff_seconds=0)

    with pytest.raises(SysproUnavailable):
        client.get(f"{redirecting_url}/Logon?OperatorPassword=pa'ss&UserId=TOKEN123", CALL)
    client.close()

    logged = caplog.text
    assert "httpx" in logged
    assert "Location" in logged
    assert "Logon?…" in logged
    assert "TOKEN123" not in logged
    assert "pa'ss" not in logged


def test_a_retry_is_logged_without_the_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client, _ = wire(httpx.Response(500), httpx.Response(200))

    client.repeated(lambda: client.get(URL, CALL))

    assert "COMFND (suppliers): answers HTTP 500; attempt 1 failed" in caplog.text
    assert "TOKEN123" not in caplog.text
