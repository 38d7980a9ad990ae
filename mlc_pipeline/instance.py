"""Dagster's own storage: the same PostgreSQL as our tables, given or embedded.

`dagster.yaml` cannot branch on the environment, so it names `OurStorage`, which hands out
dagster-postgres's storage on the URL of `database.database_url`.

What must not come in: our tables, assets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.base_storage import DagsterStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from mlc_pipeline.database import database_url, home_directory

DAGSTER_YAML = """\
# Dagster's settings for mlc_pipeline. Storage follows MLC_DATABASE_URL, else the embedded
# PostgreSQL; both with dagster-postgres.
storage:
  custom:
    module: mlc_pipeline.instance
    class: OurStorage
    config: {}

telemetry:
  enabled: false
nux:
  enabled: false

# Dagster's own DEBUG lines tell our users nothing.
python_logs:
  python_log_level: INFO

# A run is one process: few at a time, and a backfill never starves the schedule.
concurrency:
  runs:
    max_concurrent_runs: 4
    tag_concurrency_limits:
      - key: dagster/backfill
        limit: 2
  # A live cycle does not wait for a backfill's push: the ledger keeps documents apart, and
  # the call budget is shared.
  pools:
    granularity: op
    default_limit: 2

run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  max_runtime_seconds: 86400
  free_slots_after_run_end_seconds: 60

# Only a crashed worker is run again; what Cin7 or SYSPRO refuse is not.
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false

retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 7
      failure: 30
      success: 90
"""


WORKSPACE_YAML = """\
# The one name of the code location: schedules, sensors and backfills are known by it.
load_from:
  - python_module:
      module_name: mlc_pipeline.definitions
      location_name: mlc_pipeline
"""

_STATEMENT_TIMEOUT_MS = 300_000


class OurStorage(DagsterStorage, ConfigurableClass):
    """Never made itself: `from_config_value` returns dagster-postgres's storage."""

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        """Return the settings it takes: none."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Any:
        """Return the PostgreSQL storage of this installation."""
        url = sa.make_url(database_url()).set(drivername="postgresql+psycopg2")
        storage = DagsterPostgresStorage(
            url.render_as_string(hide_password=False), inst_data=inst_data
        )
        # By default every event opens a connection of its own, and a range run stores two
        # events for each asset and day: 10 ms each, minutes for a year.
        storage.event_log_storage.optimize_for_webserver(
            statement_timeout=_STATEMENT_TIMEOUT_MS, pool_recycle=3600, max_overflow=4
        )
        return storage


def dagster_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of Dagster's settings, made with ours when it has none.

    `DAGSTER_HOME` when set, else `dagster` in `MLC_HOME`.
    """
    given = environ.get("DAGSTER_HOME")
    home = Path(given) if given else home_directory(environ) / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        settings.write_text(DAGSTER_YAML, encoding="utf-8")
    return home


def foreground_instance(environ: Mapping[str, str] = os.environ) -> dg.DagsterInstance:
    """Open Dagster's storage for a run in this process.

    What such a run prints stands on its terminal. Dagster would start two processes more to
    keep it in files; on Ctrl-C they print traces of their own.
    """
    unkept = {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
    home = str(dagster_home(environ))
    ref = InstanceRef.from_dir(home, overrides={"compute_logs": unkept})
    return dg.DagsterInstance.from_ref(ref)
