"""Many connections, a real Redis and worker processes: what a Celery deployment is.

What must not come in: expectations.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.definitions.reconstruct import ReconstructableRepository

from mlc_pipeline.automation.schedules import range_tags
from mlc_pipeline.definitions import job_name
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.pair import Pair, running_pair

SETTINGS = Path(__file__).parents[2] / "deploy" / "dagster-celery.yaml"
LONGEST_SECONDS = 300


def queueless(settings: str) -> str:
    """Return Dagster's settings without its own queue, which a daemon would have to serve."""
    given = yaml.safe_load(settings)
    del given["concurrency"]["runs"]
    given["run_coordinator"] = {
        "module": "dagster.core.run_coordinator",
        "class": "DefaultRunCoordinator",
    }
    return yaml.safe_dump(given)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@contextmanager
def stopped(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """End a process, and all that it started, with the block."""
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)  # `mlc dev` ends what it started first
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """Run a Redis that keeps nothing; yield its URL."""
    port = free_port()
    program = shutil.which("redis-server")
    assert program is not None
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(folder)]
    log = (folder / "redis.log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    with log, stopped(process):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def running_pairs(count: int, root: Path, environ: Mapping[str, str]) -> Iterator[list[Pair]]:
    """Run the stand-ins of some connections, each of one invoice of its own."""
    with ExitStack() as opened:
        yield [
            opened.enter_context(
                running_pair(companies.one_invoice(), root, environ, name=f"north_{n:02}")
            )
            for n in range(count)
        ]


@dataclass(frozen=True)
class Done:
    """A run at its end: which connection, how it ended, which process executed it."""

    connection: str
    status: dg.DagsterRunStatus
    worker: str


@contextmanager
def running_workers(count: int, folder: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """Run worker processes, each of which executes one run at a time."""
    with ExitStack() as opened:
        for number in range(count):
            command = [sys.executable, "-m", "celery", "-A", "mlc_pipeline.worker", "worker"]
            command += ["--concurrency", "1", "--loglevel", "info", "-n", f"worker{number}@%h"]
            log = opened.enter_context((folder / f"worker{number}.log").open("w"))
            process = subprocess.Popen(
                command, env=dict(environ), stdout=log, stderr=log, start_new_session=True
            )
            opened.enter_context(stopped(process))
        yield


def launch(
    instance: dg.DagsterInstance, names: Sequence[str], day: date, folder: Path
) -> list[str]:
    """Launch a cycle of each connection, as the daemon does, and return the runs' ids."""
    repository = ReconstructableRepository.for_module(
        "mlc_pipeline.definitions", "defs", str(folder)
    )
    runs = []
    for name in names:
        job = repository.get_reconstructable_job(job_name(name))
        run = instance.create_run_for_job(
            job.get_definition(),
            tags={"connection": name, **range_tags(day, day)},
            job_code_origin=job.get_python_origin(),
        )
        # This launcher asks the workspace nothing: the run's origin says where its code is.
        instance.launch_run(run.run_id, workspace=None)  # type: ignore[arg-type]
        runs.append(run.run_id)
    return runs


def wait(instance: dg.DagsterInstance, runs: Sequence[str], folder: Path) -> list[Done]:
    """Wait for the end of runs and return who did what.

    Raises:
        AssertionError: they do not end.
    """
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        found = [instance.get_run_by_id(run) for run in runs]
        if all(run is not None and run.is_finished for run in found):
            return [
                Done(run.tags["connection"], run.status, _worker(instance, run, folder))
                for run in found
                if run is not None
            ]
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("worker*.log"))
    raise AssertionError(f"no end after {LONGEST_SECONDS} s\n{logs}")


def _worker(instance: dg.DagsterInstance, run: dg.DagsterRun, folder: Path) -> str:
    """Return the worker whose log has the run's task."""
    task = run.tags["dagster-celery/task_id"]
    (log,) = [p for p in folder.glob("worker*.log") if f"[{task}] received" in p.read_text()]
    return log.stem
