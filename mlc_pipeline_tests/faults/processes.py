"""Runs in processes of their own, which may be killed at any moment.

They come from a fork server that has the product imported. A run that is to be killed
often stops where the push of suppliers, purchases or invoices begins and forks: each fork
goes on from there as the run, with connections of its own, until it is killed or done. What
lies before only reads, or is done (and is run anew every so many kills), so that a kill
costs a part of a push instead of a whole cycle.

What must not come in: stand-ins, expectations.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from mlc_pipeline.connection.files import load_connection
from mlc_pipeline.cycle import Summary, run_cycle
from mlc_pipeline.sync import pusher
from mlc_pipeline_tests.faults import sabotage

LONGEST_SECONDS = 1800
"""Longer than any run here takes: what lasts longer hangs."""

AGAIN = "again"
"""Said by a run that was killed as often as it may be: start a whole new one."""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    [
        "mlc_pipeline_tests.faults.processes",
        # What a run imports only once it is under way, a second's worth.
        "dagster._core.execution.execute_in_process",
        "dagster._core.executor.in_process",
        "dagster._core.storage.noop_compute_log_manager",
        "dagster._core.storage.root",
        "hypothesis.extra.pandas",
        "pandera.backends.pandas.register",
        "pandera.strategies.pandas_strategies",
    ]
)


@dataclass(frozen=True)
class Order:
    """A run to be made.

    Attributes:
        environ: the environment of the cycle.
        folder: the connection's folder.
        first: first day.
        last: last day.
        log: file for what the run prints.
        sabotage: name of the sabotage it runs under.
        kills: how often it is killed before a whole new run begins; 0: it does not fork.
        pid_file: where the process that is now the run writes its id, when it forks.
    """

    environ: dict[str, str]
    folder: str
    first: date
    last: date
    log: str
    sabotage: str | None = None
    kills: int = 0
    pid_file: str = ""


@dataclass
class Running:
    """A run in a process of its own."""

    process: BaseProcess
    pipe: Pipe
    order: Order

    def kill(self) -> None:
        """Kill it, and the fork that is now the run; returns when it is dead."""
        self.process.kill()
        if self.order.pid_file:
            kill_fork(self.order.pid_file)
        self.process.join()

    def result(self) -> Summary | str:
        """Wait for its end; return what came of it, `AGAIN`, or what it died of.

        Raises:
            TimeoutError: it hangs.
        """
        if not self.pipe.poll(LONGEST_SECONDS):
            raise TimeoutError(f"a run did not end within {LONGEST_SECONDS} s: it hangs")
        try:
            said: Summary | str = self.pipe.recv()
        except EOFError:
            said = "the process ended without a word"
        self.process.join(60)
        return said


@contextmanager
def running(order: Order) -> Iterator[Running]:
    """Start a run; it is dead when the block ends."""
    ours, its = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_run, args=(its, order))
    process.start()
    its.close()
    run = Running(process, ours, order)
    try:
        yield run
    finally:
        run.kill()
        ours.close()


def _run(pipe: Pipe, order: Order) -> None:
    _print_into(order.log)
    os.environ.update(order.environ)
    os.environ.pop("DAGSTER_HOME", None)
    sabotage.apply(order.sabotage)
    if order.kills:
        _fork_at_the_push(pipe, order)
    path = Path(order.folder)
    try:
        said: Summary | str = run_cycle(
            load_connection(path), path, order.first, order.last, environ=order.environ
        )
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    pipe.send(said)


def _print_into(log: str) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    # A run that hangs says where, when it is asked to.
    faulthandler.register(signal.SIGUSR1)


# --- forks --------------------------------------------------------------------------------


def _fork_at_the_push(pipe: Pipe, order: Order) -> None:
    """Make the run fork when a push begins, and again whenever the fork is killed."""
    push_window = pusher.push_window

    def push(*given: Any, **named: Any) -> Any:
        _fork_until_done(pipe, order)
        return push_window(*given, **named)

    pusher.push_window = push


def _fork_until_done(pipe: Pipe, order: Order) -> None:
    """Return in each fork; the process itself ends here."""
    engines = [found for found in gc.get_objects() if isinstance(found, sa.Engine)]
    gc.freeze()
    for _ in range(order.kills):
        pid = os.fork()
        if pid == 0:
            for engine in engines:
                # The connections belong to the process that was forked.
                engine.dispose(close=False)
            Path(order.pid_file).write_text(str(os.getpid()))
            return
        _, status = os.waitpid(pid, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            os._exit(0)
    pipe.send(AGAIN)
    os._exit(0)


def kill_fork(pid_file: str) -> None:
    """Kill the fork that is now the run, as the operating system does; return once dead."""
    path = Path(pid_file)
    if not path.exists():
        return
    pid = int(path.read_text())
    path.unlink()
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    while _is_alive(pid):
        time.sleep(0.002)


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
