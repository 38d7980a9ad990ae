"""Cycles in processes of their own, which a test may kill.

They come from a fork server that has the product imported: importing it takes longer than
a cycle does.
What must not come in: stand-ins, expectations.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path

from mlc_pipeline.connection.files import load_connection
from mlc_pipeline.cycle import Summary, run_cycle
from mlc_pipeline_tests.e2e.pair import Pair

LONGEST_SECONDS = 60
"""Longer than any cycle here takes: what lasts longer hangs."""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["mlc_pipeline_tests.e2e.children"])


@dataclass
class Child:
    """A cycle in a process of its own."""

    process: BaseProcess
    pipe: Pipe

    def kill(self) -> None:
        """Kill it as the operating system does; returns when it is dead."""
        self.process.kill()
        self.process.join()

    def result(self) -> Summary:
        """Wait for its end and return what came of it.

        Raises:
            AssertionError: it hangs.
            EOFError: it died.
        """
        assert self.pipe.poll(LONGEST_SECONDS), f"no end after {LONGEST_SECONDS} s: it hangs"
        summary: Summary = self.pipe.recv()
        self.process.join(LONGEST_SECONDS)
        return summary


def _cycle(pipe: Pipe, environ: dict[str, str], folder: str, first: date, last: date) -> None:
    os.environ.update(environ)
    os.environ.pop("DAGSTER_HOME", None)
    path = Path(folder)
    pipe.send(run_cycle(load_connection(path), path, first, last, environ=environ))


@contextmanager
def cycle_in_a_child(pair: Pair, first: date, last: date | None = None) -> Iterator[Child]:
    """Start a cycle in a process of its own; it is dead when the block ends."""
    ours, its = _processes.Pipe(duplex=False)
    process = _processes.Process(
        target=_cycle, args=(its, pair.environ, str(pair.folder), first, last or first)
    )
    process.start()
    its.close()
    child = Child(process, ours)
    try:
        yield child
    finally:
        child.kill()
        ours.close()
