"""Which foreground runs are dead: told by host, process id and when the process began."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

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


# Made in the test: numbers of processes in the names of tests would differ by worker.
TAGS: dict[str, tuple[Callable[[], str | None], bool]] = {
    "this process": (this_process, False),
    "a process that ended": (lambda: f"{HERE}:{_gone()}:1", True),
    "one that ended, as older versions wrote it": (lambda: f"{HERE}:{_gone()}", True),
    "this process, as older versions wrote it": (lambda: f"{HERE}:{os.getpid()}", False),
    "an earlier process of the same number": (
        lambda: f"{HERE}:{os.getpid()}:{psutil.Process().create_time() - 3600:.0f}",
        True,
    ),
    "a process of another host": (lambda: f"elsewhere:{_gone()}:1", False),
    "a run that Dagster launched and looks after": (lambda: None, False),
}


@pytest.mark.parametrize("name", TAGS)
def test_a_run_is_dead_when_its_own_process_is_gone(name: str) -> None:
    tag, died = TAGS[name]
    assert has_died(_run(tag())) is died
