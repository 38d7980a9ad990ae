"""Which process executes a run, and whether it is still alive.

A run in the foreground has no launcher that would notice its death: Dagster would think it
under way for ever, and it would hold its pool and keep the schedule waiting.

What must not come in: what a run does.
"""

from __future__ import annotations

import os
import socket

import dagster as dg
import psutil

PROCESS_TAG = "mlc/process"
"""Run tag of a foreground run: host, process id, and when the process began."""

_CLOCK_STEP = 60
"""Seconds by which setting the clock may move when a process seems to have begun."""


def this_process() -> str:
    """Return the value of `PROCESS_TAG` for a run in this process."""
    began = psutil.Process().create_time()
    return f"{socket.gethostname()}:{os.getpid()}:{began:.0f}"


def has_died(run: dg.DagsterRun) -> bool:
    """Tell whether a run's process is known to be gone; only this host's can be known.

    A process id is given again, in a container that restarts even the same one: so another
    process of that number is told by when it began.
    """
    host, pid, began = (*run.tags.get(PROCESS_TAG, "").split(":"), "", "")[:3]
    if host != socket.gethostname() or not pid:
        return False
    try:
        now_there = psutil.Process(int(pid)).create_time()
    except psutil.NoSuchProcess:
        return True
    return bool(began) and abs(now_there - int(began)) > _CLOCK_STEP


def runs_under_way(instance: dg.DagsterInstance, connection: str) -> list[dg.DagsterRun]:
    """Return the runs of a connection that are queued or executing, without the dead."""
    under_way = dg.RunsFilter(
        tags={"connection": connection},
        statuses=[
            dg.DagsterRunStatus.QUEUED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
        ],
    )
    return [run for run in instance.get_runs(under_way) if not has_died(run)]


def end_dead_runs(instance: dg.DagsterInstance, connection: str) -> None:
    """End the runs of killed commands on this host: they would hold their pool for ever."""
    started = dg.RunsFilter(
        tags={"connection": connection}, statuses=[dg.DagsterRunStatus.STARTED]
    )
    for run in instance.get_runs(started):
        if has_died(run):
            instance.report_run_failed(run, "its process was killed")
    _free_slots_of_ended_runs(instance)


def _free_slots_of_ended_runs(instance: dg.DagsterInstance) -> None:
    """Give back the places in pools that runs kept beyond their end.

    A run that failed because the database was away could not give back its own. The daemon
    does this too, but a command must not need one: it would wait for a place for ever.
    """
    storage = instance.event_log_storage
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)
