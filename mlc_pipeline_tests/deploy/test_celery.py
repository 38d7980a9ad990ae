"""Runs on Celery workers: each once, all of it in one process, spread over the workers."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from mlc_pipeline_tests.e2e.companies import DAY

pytestmark = pytest.mark.celery

CONNECTIONS = 20
"""As many companies as a service bureau starts with."""


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server here")
def test_cycles_spread_over_two_workers_and_none_runs_twice(
    database: sa.Engine, database_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dagster_celery", reason="the extra `celery` is not installed")
    from mlc_pipeline_tests.deploy import celery_park as park

    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(park.queueless(park.SETTINGS.read_text()))
    environ = {
        "MLC_HOME": str(tmp_path),
        "MLC_DATABASE_URL": database_address,
        "MLC_CONNECTIONS_DIR": str(tmp_path / "connections"),
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
    }
    with (
        park.running_redis(tmp_path) as broker,
        park.running_pairs(CONNECTIONS, tmp_path / "connections", environ) as pairs,
    ):
        environ["MLC_CELERY_BROKER"] = broker
        for pair in pairs:
            environ |= pair.environ
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with (
            park.running_workers(2, tmp_path, dict(os.environ)),
            dg.DagsterInstance.from_config(str(home)) as instance,
        ):
            runs = park.launch(instance, [pair.name for pair in pairs], DAY, tmp_path)
            done = park.wait(instance, runs, tmp_path)
            processes = [
                {
                    record.event_log_entry.dagster_event.engine_event_data.metadata["pid"].value
                    for record in instance.get_records_for_run(run).records
                    if (event := record.event_log_entry.dagster_event) is not None
                    and event.is_engine_event
                    and "pid" in event.engine_event_data.metadata
                }
                for run in runs
            ]
        assert {d.status for d in done} == {dg.DagsterRunStatus.SUCCESS}
        assert sorted(d.connection for d in done) == [pair.name for pair in pairs]
        assert set(Counter(d.worker for d in done)) == {"worker0", "worker1"}
        # One process a run, and no process for two.
        assert [len(pids) for pids in processes] == [1] * CONNECTIONS
        assert len(set().union(*processes)) == CONNECTIONS
        for pair in pairs:
            pair.assert_clean()
            assert len(pair.booked()) == 1
