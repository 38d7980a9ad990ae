"""Fixtures of the end-to-end tests: an environment of its own, and pairs of stand-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.instance import DAGSTER_YAML
from mlc_pipeline.sandbox.company import Company
from mlc_pipeline_tests.e2e.pair import Pair, running_pair

Start = Callable[..., Pair]

_NOTHING_CAPTURED = """
# Capturing what a run prints takes four processes a run, and nobody reads it here.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of everything an installation keeps; one for all tests of this process."""
    home = tmp_path_factory.mktemp("home")
    settings = home / "dagster" / "dagster.yaml"
    settings.parent.mkdir()
    settings.write_text(DAGSTER_YAML + _NOTHING_CAPTURED, encoding="utf-8")
    return home


def environment(
    home: Path, database_address: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Return the environment of a cycle; Dagster's storage reads it from the process."""
    given = {
        "MLC_HOME": str(home),
        "MLC_DATABASE_URL": database_address,
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return given


@pytest.fixture
def environ(
    database: sa.Engine, database_address: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Environment of a cycle on emptied tables."""
    return environment(home, database_address, monkeypatch)


@pytest.fixture
def start(environ: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start both stand-ins with a company; they end with the test."""
    with ExitStack() as opened:

        def start_pair(company: Company, **options: Any) -> Pair:
            return opened.enter_context(running_pair(company, tmp_path, environ, **options))

        yield start_pair
