"""Dagster's daemon with a clock that a test moves: it ticks schedules and sensors, runs runs.

It does what Dagster's does with what they ask for: a run key is obeyed once, a cursor is
kept, a run is queued with its tags. Runs are executed here, one after the other.
What must not come in: expectations, what a schedule or a sensor decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from mlc_pipeline.assets.runtime import Runtime, runtime_resource
from mlc_pipeline.automation.requests import TRIGGER, days_of
from mlc_pipeline.definitions import build_definitions
from mlc_pipeline_tests.e2e.pair import Pair


@dataclass(frozen=True)
class Ran:
    """A run that was asked for and executed."""

    job: str
    trigger: str
    days: tuple[date, date] | None
    succeeded: bool
    run_id: str


@dataclass
class Daemon:
    """Ticks what a connection has.

    Attributes:
        pair: the two systems and the connection.
        instance: Dagster's storage.
        moment: the time; the test moves it.
        off: schedules and sensors that are turned off, by their names after the connection's.
        ran: every run executed.
    """

    pair: Pair
    instance: dg.DagsterInstance
    moment: datetime = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
    off: set[str] = field(default_factory=set)
    ran: list[Ran] = field(default_factory=list)
    _cursors: dict[str, str | None] = field(default_factory=dict)
    _keys: set[tuple[str, str]] = field(default_factory=set)
    _definitions: dg.Definitions | None = None

    @property
    def definitions(self) -> dg.Definitions:
        """The connection's definitions, loaded once; see `reload`."""
        if self._definitions is None:
            self._definitions = build_definitions(
                [(self.pair.connection, self.pair.folder)],
                {"runtime": runtime_resource(self.pair.environ)},
                clock=lambda: self.moment,
            )
        return self._definitions

    def reload(self) -> None:
        """Read the connection's file again."""
        self._definitions = None

    def name(self, short: str) -> str:
        """Return the full name of a schedule, sensor or job."""
        return f"{self.pair.name}_{short}"

    def ask_schedule(self, short: str) -> list[dg.RunRequest]:
        """Tick a schedule; return what it asks for anew."""
        if short in self.off:
            return []
        schedule = self.definitions.resolve_schedule_def(self.name(short))
        with dg.build_schedule_context(
            self.instance,
            scheduled_execution_time=self.moment,
            resources={"runtime": Runtime(self.pair.environ)},
        ) as context:
            told = schedule.evaluate_tick(context)
        return self._new(short, list(told.run_requests or []))

    def ask_sensor(self, short: str) -> list[dg.RunRequest]:
        """Tick a sensor; return what it asks for anew."""
        if short in self.off:
            return []
        sensor = self.definitions.resolve_sensor_def(self.name(short))
        with dg.build_sensor_context(
            self.instance,
            cursor=self._cursors.get(short),
            resources={"runtime": Runtime(self.pair.environ)},
        ) as context:
            told = sensor.evaluate_tick(context)
        self._cursors[short] = told.cursor
        return self._new(short, list(told.run_requests or []))

    def forget_cursor(self, short: str) -> None:
        """Evaluate a sensor's last tick again, as after a crash before it was recorded."""
        self._cursors.pop(short, None)

    def _new(self, asker: str, asked: list[dg.RunRequest]) -> list[dg.RunRequest]:
        fresh = [r for r in asked if (asker, r.run_key or "") not in self._keys]
        self._keys |= {(asker, r.run_key or "") for r in fresh}
        return fresh

    def schedule(self, short: str) -> list[Ran]:
        """Tick a schedule and run what it asks for."""
        job = {"cycle": "sync", "watch": "watch", "catch_up": "sync"}[short]
        return [self.run(job, request) for request in self.ask_schedule(short)]

    def sensor(self, short: str) -> list[Ran]:
        """Tick a sensor and run what it asks for."""
        job = "log_off" if short == "orphaned_session" else "sync"
        return [self.run(job, request) for request in self.ask_sensor(short)]

    def run(self, job: str, request: dg.RunRequest) -> Ran:
        """Execute a run that was asked for."""
        config: dict[str, Any] = {
            **(request.run_config or {}),
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }
        result = self.definitions.resolve_job_def(self.name(job)).execute_in_process(
            instance=self.instance,
            tags=dict(request.tags),
            run_config=config,
            raise_on_error=False,
        )
        done = Ran(
            job,
            request.tags[TRIGGER],
            days_of(result.dagster_run),
            result.success,
            result.run_id,
        )
        self.ran.append(done)
        return done
