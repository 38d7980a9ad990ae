"""Which foreground runs are dead: told by host, process id and when the process began."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import dagster as dg
import psutil
import pytest

from mlc_pipeline.automation.processes import PROCESS_TAG, has_died, this_process

HERE = socket.gethostname()


def _run(tag: str | None) -> dg.DagsterRun:
    return dg.DagsterRun("acme_sync", tags={} if tag is None else {PROCESS_TAG: tag})


def _gone() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


@pytest.mark.parametrize(
    ("tag", "died"),
    [
        (this_process(), False),
        (f"{HERE}:{_gone()}:1", True),
        (f"{HERE}:{_gone()}", True),  # as versions before this one wrote it
        (f"{HERE}:{os.getpid()}", False),
        # Another process has the number now.
        (f"{HERE}:{os.getpid()}:{psutil.Process().create_time() - 3600:.0f}", True),
        (f"elsewhere:{_gone()}:1", False),
        (None, False),  # Dagster launched it, and looks after it
    ],
)
def test_a_run_is_dead_when_its_own_process_is_gone(tag: str | None, died: bool) -> None:
    assert has_died(_run(tag)) is died
