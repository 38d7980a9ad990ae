"""What finance does each morning, in a real browser: look, materialise, see what is held."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlc_pipeline_tests.deploy.celery_park import free_port, stopped

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.ui,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here"),
]
playwright = pytest.importorskip("playwright.sync_api", reason="the extra `ui` is absent")

DAY = "2026-09-04"
"""A day of the made-up company on which an invoice is on a GL code that nobody mapped."""

LONGEST_SECONDS = 240
"""Longer than anything here takes on a busy machine: what lasts longer hangs."""

_LOOK_SECONDS = 40
"""How long a page is looked at before it is opened again."""

FLAGS = [
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Dagster:
    """The running UI: its address, and what its GraphQL says; the connection's folder."""

    def __init__(self, port: int, folder: Path) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.folder = folder

    def ask(self, query: str) -> Any:
        request = urllib.request.Request(
            f"{self.address}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def is_ready(self) -> bool:
        try:
            found = self.ask("{repositoriesOrError{... on RepositoryConnection{nodes{name}}}}")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return bool(found["repositoriesOrError"].get("nodes"))

    def statuses(self) -> list[str]:
        """Return how the runs of the job stand, the newest first."""
        asked = self.ask("{runsOrError(limit: 10){... on Runs{results{status}}}}")
        return [run["status"] for run in asked["runsOrError"]["results"]]

    def backfills(self) -> list[str]:
        """Return the ids of the backfills."""
        asked = self.ask(
            "{partitionBackfillsOrError(limit: 5){... on PartitionBackfills{results{id}}}}"
        )
        return [backfill["id"] for backfill in asked["partitionBackfillsOrError"]["results"]]


def until(condition: Any, what: str) -> None:
    """Wait for something to come true.

    Raises:
        AssertionError: it does not.
    """
    end = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.5)
    raise AssertionError(f"waited in vain for {what}")


@pytest.fixture(scope="module")
def dagster(database_address: str) -> Iterator[Dagster]:
    """Run `mlc dev` with ports and a home of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        environ = {
            **os.environ,
            "MLC_HOME": home,
            "MLC_DATABASE_URL": database_address,
            "MLC_SANDBOX_SYSPRO_PORT": str(free_port()),
            "MLC_SANDBOX_CIN7_PORT": str(free_port()),
        }
        for name in ("MLC_CONNECTIONS_DIR", "DAGSTER_HOME"):
            environ.pop(name, None)
        program = "from mlc_pipeline.cli import main; main()"
        command = [sys.executable, "-c", program, "dev", "--port", str(port)]
        with ExitStack() as opened:
            output = opened.enter_context(Path(home, "dev.log").open("w+"))
            process = subprocess.Popen(
                command, env=environ, stdout=output, stderr=output, start_new_session=True
            )
            opened.enter_context(stopped(process))
            running = Dagster(port, Path(home, "connections", "sandbox"))
            until(lambda: process.poll() is not None or running.is_ready(), "the UI")
            output.seek(0)
            assert process.poll() is None, output.read()
            yield running


@contextmanager
def browser() -> Iterator[Any]:
    """Open a page in a browser that remembers nothing."""
    with playwright.sync_playwright() as driver, tempfile.TemporaryDirectory() as profile:
        context = driver.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=FLAGS,
            viewport={"width": 1500, "height": 950},
        )
        context.set_default_timeout(LONGEST_SECONDS * 1000)
        yield context.new_page()
        context.close()


def choose_days(page: Any, dagster: Dagster, days: str) -> Any:
    """Open the job, ask to materialise all, choose days; return the dialog."""
    page.goto(f"{dagster.address}/locations/mlc_pipeline/jobs/sandbox_sync")
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    box = dialog.locator("input:not([type=checkbox])").first
    box.fill(days)
    box.press("Enter")
    return dialog


def materialise(page: Any, dagster: Dagster) -> None:
    """Materialise the day and wait for the run's success."""
    before = len(dagster.statuses())
    dialog = choose_days(page, dagster, DAY)
    dialog.get_by_role("button", name="Launch 1 run").click()
    until(
        lambda: (
            len(dagster.statuses()) > before and dagster.statuses()[0] in ("SUCCESS", "FAILURE")
        ),
        "the run's end",
    )
    assert dagster.statuses()[0] == "SUCCESS"


def see(page: Any, address: str, *texts: str | re.Pattern[str]) -> None:
    """Open a page, again and again as a person does whose page stands still, until it shows.

    Raises:
        AssertionError: it never shows one of the texts.
    """

    def shows() -> bool:
        page.goto(address)
        try:
            for text in texts:
                found = page.get_by_text(text, exact=isinstance(text, str)).first
                found.wait_for(timeout=_LOOK_SECONDS * 1000)
        except playwright.TimeoutError:
            return False
        return True

    until(shows, f"{texts} on {address}")


def test_a_morning_in_the_ui(dagster: Dagster) -> None:
    with browser() as page:
        # The graph is there.
        page.goto(f"{dagster.address}/asset-groups")
        for stage in ("syspro", "cin7", "mapping", "plan", "push", "tie_out"):
            page.get_by_text(f"sandbox_{stage}", exact=True).first.wait_for()

        # A partition is materialised: what is held stands there, with what to do.
        materialise(page, dagster)
        invoices = (
            f"{dagster.address}/assets/sandbox/push/invoices?view=partitions&partition={DAY}"
        )
        see(page, invoices, "unmapped_account", re.compile("Add the code to gl_accounts.csv"))

        # The check that names the codes is red.
        check = (
            f"{dagster.address}/assets/sandbox/mapping/gl_accounts?view=checks"
            "&checkDetail=every_code_is_mapped"
        )
        see(page, check, re.compile("GL codes without a Cin7 account"), "Failed")

        # The code is mapped, the day is materialised again, and nobody names the invoice.
        with (dagster.folder / "gl_accounts.csv").open("a", encoding="utf-8") as books:
            books.write("section,7990,40040,,New account\n")
        materialise(page, dagster)
        see(page, invoices, re.compile("1 created"))
        see(page, check, re.compile(r"all \d+ codes are mapped"))

        # A backfill shows how far it is.
        dialog = choose_days(page, dagster, "[2026-09-05...2026-09-06]")
        dialog.get_by_role("button", name="Launch backfill").click()
        until(lambda: len(dagster.backfills()) == 1, "the backfill")
        page.goto(f"{dagster.address}/runs/b/{dagster.backfills()[0]}")
        page.get_by_text(re.compile("in progress|requested|completed", re.IGNORECASE)).locator(
            "visible=true"
        ).first.wait_for()
