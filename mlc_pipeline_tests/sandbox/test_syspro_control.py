"""The control surface: faults, traffic, settings, rows; and the command that starts it all."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from mlc_pipeline.sandbox.syspro import Store, load
from mlc_pipeline.sandbox.syspro.running import running_syspro
from mlc_pipeline_tests.sandbox.syspro_caller import Caller, calling, supplier_code

ADD = {
    "BusinessObject": "APSSSP",
    "XmlParameters": "",
    "XmlIn": (
        "<SetupApSupplier><Item><Key><Supplier>77</Supplier></Key>"
        "<SupplierName>New</SupplierName></Item></SetupApSupplier>"
    ),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Caller]:
    with calling() as caller:
        yield caller


@pytest.fixture
def caller(server: Caller) -> Caller:
    server.reset(record_traffic=True)
    return server


@pytest.fixture
def token(caller: Caller) -> str:
    return caller.log_on()


def suppliers(caller: Caller) -> int:
    count: int = caller.syspro.control("summary")["rows"]["ApSupplier"]
    return count


def test_it_is_healthy_and_names_its_company(caller: Caller) -> None:
    assert caller.syspro.control("health") == {"status": "ok", "company": "DEMO"}


@pytest.mark.parametrize(("kind", "written"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_call_is_done_or_not_done_as_ordered(
    caller: Caller, token: str, kind: str, written: int
) -> None:
    before = suppliers(caller)
    caller.syspro.control("faults", {"path": "/setup/add", "kind": kind})
    with pytest.raises(httpx.TransportError):
        caller.enet("/Setup/Add", UserId=token, **ADD)
    assert suppliers(caller) == before + written
    assert caller.enet("/getversion").status_code == 200
    assert caller.syspro.control("traffic")[1] | {"query": None} == {
        "method": "GET",
        "path": "/SYSPROWCFService/Rest/Setup/Add",
        "query": None,
        "status": None,
        "fault": kind,
    }


@pytest.mark.parametrize(
    ("kind", "status", "content"),
    [
        ("error_500", 500, b"Server Error"),
        ("html", 200, b"<!DOCTYPE"),
        ("garbage", 200, b"\xff"),
    ],
)
def test_a_fault_answers_what_was_ordered(
    caller: Caller, kind: str, status: int, content: bytes
) -> None:
    caller.syspro.control("faults", {"kind": kind})
    answer = caller.enet("/getversion")
    assert answer.status_code == status
    assert content in answer.content
    assert caller.enet("/getversion").text == "8.0.0.6"


def test_garbage_comes_after_the_work_was_done(caller: Caller, token: str) -> None:
    caller.syspro.control("faults", {"kind": "garbage"})
    caller.enet("/Setup/Add", UserId=token, **ADD)
    assert suppliers(caller) == 4


@pytest.mark.parametrize(
    ("kind", "count"), [("expire_session", "expirations"), ("evict_session", "evictions")]
)
def test_a_session_ends_when_ordered(caller: Caller, token: str, kind: str, count: str) -> None:
    caller.syspro.control("faults", {"kind": kind, "path": "ApInvoice"})
    assert caller.odata("ApSupplier", token).status_code == 200
    assert caller.odata("ApInvoice", token).status_code == 401
    assert caller.odata("ApSupplier", token).status_code == 401
    assert caller.syspro.control("summary")[count] == 1


def test_a_slow_answer_waits_while_others_are_served(caller: Caller) -> None:
    caller.syspro.control("faults", {"kind": "slow", "path": "getversion", "seconds": 0.3})
    start = time.monotonic()
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(caller.enet, "/getversion")
        while caller.syspro.control("faults"):
            time.sleep(0.01)
        assert len(caller.log_on()) == 36
        assert not slow.done()
        assert slow.result().text == "8.0.0.6"
    assert time.monotonic() - start >= 0.3


def test_a_fault_skips_and_repeats_and_can_be_cleared(caller: Caller) -> None:
    caller.syspro.control("faults", {"kind": "error_500", "skip": 1, "times": 2})
    found = [caller.enet("/getversion").status_code for _ in range(4)]
    assert found == [200, 500, 500, 200]
    caller.syspro.control("faults", {"kind": "error_500", "times": 9})
    assert caller.syspro.control("faults")[0]["times"] == 9
    assert caller.syspro.control("faults", method="DELETE") == []
    assert caller.enet("/getversion").status_code == 200


def test_a_fault_may_name_the_table_in_a_document(caller: Caller, token: str) -> None:
    caller.syspro.control("faults", {"kind": "error_500", "path": "<TableName>ApInvoice<"})
    xml = "<Query><TableName>{}</TableName><AllColumns>Y</AllColumns></Query>"
    assert caller.query(token, xml.format("ApSupplier")).status_code == 200
    assert caller.query(token, xml.format("ApInvoice")).status_code == 500


def test_traffic_is_kept_without_passwords_and_tokens(caller: Caller, token: str) -> None:
    caller.odata("ApSupplier", token, top=1)
    caller.log_on(OperatorPassword="wrong-secret")
    kept = caller.syspro.control("traffic")
    assert [entry["path"].rsplit("/", 1)[1] for entry in kept] == [
        "Logon",
        "ApSupplier",
        "Logon",
    ]
    assert kept[1]["query"] == {"UserId": "***", "$top": "1"}
    assert kept[1]["status"] == 200
    for secret in (token.strip(), "sandbox-operator", "sandbox-company", "wrong-secret"):
        assert secret not in str(kept)
    assert caller.syspro.control("traffic", method="DELETE") == []
    assert caller.syspro.control("traffic") == []


def test_nothing_is_kept_unless_recording(caller: Caller) -> None:
    caller.syspro.control("settings", {"record_traffic": False})
    caller.enet("/getversion")
    assert caller.syspro.control("traffic") == []


def test_the_summary_counts_calls_by_route(caller: Caller, token: str) -> None:
    caller.odata("ApSupplier", token)
    caller.query(token, "<Query/>")
    caller.query(token, "<Query/>", business_object="comfnd")
    caller.enet("/GETVERSION")
    assert caller.syspro.control("summary")["calls"] == {
        "/logon": 1,
        "OData ApSupplier": 1,
        "/query/query COMFND": 2,
        "/getversion": 1,
    }


def test_rows_change_exactly_as_ordered(caller: Caller, token: str) -> None:
    done = caller.syspro.control(
        "rows",
        {
            "table": "ApInvoice",
            "upsert": [
                {
                    "Supplier": supplier_code(1),
                    "Invoice": "INV000",
                    "OrigInvValue": Decimal("1250.10"),
                    "DueDate": date(2016, 5, 4),
                }
            ],
            "delete": [[supplier_code(1), "INV003"], [supplier_code(1), "nothing"]],
        },
    )
    assert done == {"upserted": 1, "deleted": 1}
    raw = '{"table":"ApInvoice","upsert":[{"Supplier":"S","Invoice":"1","OrigInvValue":0.10}]}'
    httpx.post(f"{caller.syspro.url}/_sandbox/rows", content=raw).raise_for_status()
    text = caller.odata("ApInvoice", token, select="Invoice,OrigInvValue,DueDate").text
    assert '{"Invoice":"INV000","OrigInvValue":1250.10,"DueDate":"2016-05-04"}' in text
    assert '{"Invoice":"1","OrigInvValue":0.10,"DueDate":null}' in text
    assert "INV003" not in text


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("rows", {"table": "ApSupplier", "upsert": [{"Supplier": "x" * 16}]}, "holds 15"),
        ("rows", {"table": "Nothing"}, "no table 'Nothing'"),
        ("rows", {"table": "ApInvoice", "delete": [5]}, "needs the values of"),
        ("rows", {"tabel": "ApSupplier"}, "table: Field required"),
        ("faults", {"kind": "explode"}, "kind: Input should be"),
        ("faults", {"kind": "slow", "time": 2}, "time: Extra inputs"),
        ("settings", {"page_size": 6000}, "page_size: "),
        ("settings", {"color": "red"}, "color: Extra inputs"),
        ("settings", {"absent": ["ApSupplier.Supplier"]}, "ApSupplier.Supplier is no table"),
        ("settings", {"system_date": "yesterday"}, "not a date"),
        ("settings", [], "expected a JSON object"),
    ],
)
def test_an_order_that_cannot_be_taken_is_refused_with_the_reason(
    caller: Caller, path: str, body: object, words: str
) -> None:
    with pytest.raises(httpx.HTTPStatusError, match=words) as refusal:
        caller.syspro.control(path, body)
    assert refusal.value.response.status_code == 400


def test_shown_settings_hide_every_password(caller: Caller) -> None:
    caller.syspro.control("settings", {"operators": {"OTHER": "top-secret"}})
    shown = caller.syspro.control("settings")
    assert shown["operators"].keys() == {"OTHER"}
    assert not {"top-secret", "sandbox-company", "sandbox-odata"} & set(str(shown).split("'"))
    with pytest.raises(httpx.HTTPStatusError) as refusal:
        caller.syspro.control("settings", {"operators": {"OTHER": ["top-secret"]}})
    assert "top-secret" not in str(refusal.value)
    assert "sandbox-operator" not in repr(caller.syspro)


def test_two_stand_ins_run_beside_each_other(caller: Caller) -> None:
    with running_syspro(company="TWO") as other:
        assert other.control("health")["company"] == "TWO"
        assert other.control("summary")["rows"]["ApSupplier"] == 0
        assert suppliers(caller) == 3


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlc_pipeline.sandbox.syspro", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MLC_SANDBOX_SYSPRO_OPERATOR_PASSWORD": "from-environment"},
    )


def wait_until_healthy(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{url}/_sandbox/health").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"not healthy, exit code {process.poll()}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_a_file_quietly_until_it_is_told_to_end(
    tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "company.sqlite"
    store = Store(path)
    load(store, {"ApSupplier": [{"Supplier": "S1"}]})
    store.close()
    port = free_port()
    process = command(
        *("--port", str(port), "--state", str(path), "--company", "ABC", "--operator", "OPER"),
        *("--set", "token_shape=json", "--set", 'absent=["ApPosting"]'),
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_healthy(url, process)
        credentials = {
            "Operator": "OPER",
            "OperatorPassword": "from-environment",
            "CompanyId": "ABC",
            "CompanyPassword": "sandbox-company",
        }
        answer = httpx.get(f"{url}/SYSPROWCFService/Rest/Logon", params=credentials)
        assert answer.text.startswith('"')
        assert httpx.get(f"{url}/_sandbox/summary").json()["rows"]["ApSupplier"] == 1
    finally:
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "", "")


def test_the_command_says_why_it_cannot_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = command("--port", str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "cannot start" in errors
    process = command("--set", "token_shpae=json")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "--set token_shpae: known are" in errors


def test_the_help_gives_an_example() -> None:
    process = command("--help")
    output, _ = process.communicate(timeout=20)
    assert "python -m mlc_pipeline.sandbox.syspro --port 8471 --state" in output
