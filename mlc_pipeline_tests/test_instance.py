"""Dagster's storage is PostgreSQL, wherever the database is."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage

from mlc_pipeline.instance import DAGSTER_YAML, dagster_home

REPOSITORY = Path(__file__).parents[1]


def test_the_file_in_the_repository_is_the_one_that_an_installation_gets() -> None:
    assert (REPOSITORY / "dagster.yaml").read_text() == DAGSTER_YAML
    settings = yaml.safe_load(DAGSTER_YAML)
    assert settings["telemetry"] == {"enabled": False}
    assert settings["run_retries"]["retry_on_asset_or_op_failure"] is False


def test_storage_is_dagster_postgres_and_is_kept(
    tmp_path: Path, database_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLC_DATABASE_URL", database_address)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    home = dagster_home({"MLC_HOME": str(tmp_path)})
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        assert isinstance(instance.run_storage, PostgresRunStorage)
        instance.add_dynamic_partitions("kept", ["one"])
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert list(instance.get_dynamic_partitions("kept")) == ["one"]


def test_a_dagster_home_of_the_operators_own_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: true}\n")
    home = dagster_home({"DAGSTER_HOME": str(tmp_path)})
    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: true}\n"


def test_the_code_location_has_one_name_everywhere() -> None:
    workspace = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())
    module = workspace["load_from"][0]["python_module"]
    assert module == {
        "module_name": "mlc_pipeline.definitions",
        "location_name": "mlc_pipeline",
    }
    assert 'code_location_name = "mlc_pipeline"' in (REPOSITORY / "pyproject.toml").read_text()
