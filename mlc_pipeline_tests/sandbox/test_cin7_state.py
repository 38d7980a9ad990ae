"""What outlives a restart, what a seed adds, and the server as a process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlc_pipeline.sandbox.cin7.running import running_cin7
from mlc_pipeline.sandbox.cin7.seed import seed
from mlc_pipeline.sandbox.cin7.settings import ACCOUNT_ID, APPLICATION_KEYS
from mlc_pipeline.sandbox.cin7.store import Store
from mlc_pipeline.sandbox.cin7.wire import decode, encode
from mlc_pipeline_tests.sandbox.cin7_account import (
    ACCOUNT,
    LOCAL,
    Api,
    credit_note,
    invoice_charge,
    line,
    stock,
    stock_line,
)


def _everything(api: Api) -> list[Any]:
    rows = api.get("purchaseList")["PurchaseList"]
    paths = ("me", "supplier", "product", "purchaseList", "transactions", "ref/account")
    return [
        *(api.get(path) for path in paths),
        *(api.get("advanced-purchase", ID=row["ID"]) for row in rows),
    ]


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    state = tmp_path / "cin7.sqlite"
    with running_cin7(ACCOUNT, state=state) as server:
        api = Api(server)
        purchase = api.serviced()
        api.invoiced(purchase, charges=(invoice_charge("10.10"),))
        note = credit_note(purchase, invoice_charge("0.30"))
        api.post("advanced-purchase/creditnote", note)
        received = stock(api.ordered(line(), Approach="STOCK"), stock_line())
        api.post("advanced-purchase/stock", received)
        gone = api.purchase()
        server.control("edit", {"purchase": gone["ID"], "delete": True})
        server.control("settings", {"lock_date": "2026-01-31"})
        before = _everything(api)
    with running_cin7(ACCOUNT, state=state) as server:
        api = Api(server)
        assert _everything(api) == before
        assert api.purchase()["OrderNumber"] == "PO-00004"
        assert api.ok("DELETE", "advanced-purchase/creditnote", TaskID=_note_task(api))


def _note_task(api: Api) -> str:
    first = api.get("purchaseList")["PurchaseList"][0]
    purchase = api.get("advanced-purchase", ID=first["ID"])
    task: str = purchase["CreditNote"][0]["TaskID"]
    return task


def test_a_seed_adds_only_what_is_missing() -> None:
    store = Store()
    seed(store, ACCOUNT)
    store.put("account", "400", {**store.get("account", "400"), "Name": "Renamed"})
    more = {"Code": "500", "Name": "Power"}
    seed(
        store, {**ACCOUNT, "me": {"Company": "Other"}, "accounts": [*ACCOUNT["accounts"], more]}
    )
    assert store.get("account", "400")["Name"] == "Renamed"
    assert store.get("account", "500")["DisplayName"] == "500: Power"
    assert store.get("me", "me")["Company"] == "Sandbox plc"
    assert len(store.all("supplier")) == 2


def test_the_same_seed_gives_the_same_ids() -> None:
    first, second = Store(), Store()
    seed(first, ACCOUNT)
    seed(second, ACCOUNT)
    for kind in ("supplier", "product", "location", "tax_rule"):
        assert [d["ID"] for d in first.all(kind)] == [d["ID"] for d in second.all(kind)]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"vendors": []}, "seed has no section vendors"),
        ({"accounts": [{"Name": "x"}]}, r"accounts\[0\] has no Code"),
    ],
)
def test_a_wrong_seed_is_told(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        seed(Store(), wrong)


def test_documents_are_found_by_their_keys_until_they_change() -> None:
    store = Store()
    store.put("product", "1", {"ID": "1", "SKU": "Bolt"})
    assert store.find("product", "SKU", "BOLT") == [{"ID": "1", "SKU": "Bolt"}]
    store.put("product", "1", {"ID": "1", "SKU": "Nut"})
    assert store.find("product", "SKU", "bolt") == []
    store.remove("product", "1")
    assert store.find("product", "SKU", "nut") == []


HEADERS = {"api-auth-accountid": ACCOUNT_ID, "api-auth-applicationkey": APPLICATION_KEYS[0]}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            httpx.get(address)
        except httpx.ConnectError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nothing answers at {address}")


@contextmanager
def _process(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The stand-in as a process of its own, and its address."""
    (folder / "seed.json").write_bytes(encode(ACCOUNT))
    port = _free_port()
    command = [sys.executable, "-m", "mlc_pipeline.sandbox.cin7", "--port", str(port)]
    files = ["--state", str(folder / "s.sqlite"), "--seed", str(folder / "seed.json")]
    with subprocess.Popen(
        [*command, *files, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/_sandbox/health")
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_serves_quietly_and_ends_on_a_signal(
    tmp_path: Path, number: signal.Signals
) -> None:
    with _process(tmp_path, "--limit", "2", "--record") as (process, address):
        answers = [httpx.get(f"{address}/ExternalApi/v2/me", headers=HEADERS) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert decode(answers[0].content)["Company"] == "Sandbox plc"
        assert len(httpx.get(f"{address}/_sandbox/traffic").json()["requests"]) == 3
        process.send_signal(number)
        printed, _ = process.communicate(timeout=10)
        assert (process.returncode, printed) == (0, b"")


def test_what_was_answered_outlives_a_killed_process(tmp_path: Path) -> None:
    with _process(tmp_path) as (process, address):
        header = {"Supplier": LOCAL, "Approach": "INVOICE", "Location": "Main Warehouse"}
        path = f"{address}/ExternalApi/v2/advanced-purchase"
        made = httpx.post(path, headers=HEADERS, json=header)
        process.kill()
    store = Store(tmp_path / "s.sqlite")
    assert [purchase["ID"] for purchase in store.all("purchase")] == [made.json()["ID"]]


def test_the_help_shows_an_example() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "mlc_pipeline.sandbox.cin7", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "example:" in shown.stdout
