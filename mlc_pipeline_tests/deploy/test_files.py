"""The files for containers, Kubernetes and Celery say what the product knows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._config import resolve_to_config_type, validate_config
from dagster._core.instance.config import dagster_instance_config_schema

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = {"dagster", "dagster-daemon", "dagster-webserver"}

_NAME = re.compile(r"\b(?:MLC|DAGSTER)_[A-Z0-9_]*[A-Z0-9]\b")
_SET_BY_COMPOSE = {"MLC_POSTGRES_PASSWORD", "MLC_CONNECTIONS"}


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


COMPOSE, HELM = read("compose.yaml"), read("helm-values.yaml")


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value with the keys that lead to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


@pytest.mark.parametrize("path", sorted(DEPLOY.iterdir()), ids=lambda p: p.name)
def test_every_environment_variable_is_explained(path: Path) -> None:
    explained = README + (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    named = set(_NAME.findall(path.read_text(encoding="utf-8")))
    assert {name for name in named if name not in explained and name != "MLC_SECRET"} == set()


def test_what_compose_asks_for_is_in_its_own_words() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+)", text))
    assert asked == {"MLC_SECRET_KEY", *_SET_BY_COMPOSE}
    head = text.split("name: mlc")[0]
    assert {name for name in asked if name not in head} == set()


def test_compose_has_one_of_each() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"postgresql", "code", "daemon", "webserver"}
    volumes = {v.split(":")[0] for s in services.values() for v in s["volumes"]}
    named = {v for v in volumes if not v.startswith((".", "$"))}
    assert named == set(COMPOSE["volumes"])
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert "deploy" not in service  # replicas: there is one daemon
    for waited in ("postgresql", "code"):
        assert services[waited]["healthcheck"]["test"]


@pytest.mark.parametrize("name", ["code", "daemon", "webserver"])
def test_compose_starts_commands_that_exist(name: str) -> None:
    command = COMPOSE["services"][name]["command"]
    assert command[0] in SCRIPTS
    assert all(isinstance(word, str) for word in command)


def test_the_code_location_has_its_one_name_here_too() -> None:
    (server,) = (entry["grpc_server"] for entry in read("workspace.yaml")["load_from"])
    assert server == {"host": "code", "port": 4000, "location_name": "mlc_pipeline"}
    (deployment,) = HELM["dagster-user-deployments"]["deployments"]
    assert deployment["codeServerArgs"][-2:] == ["--location-name", "mlc_pipeline"]


@pytest.mark.parametrize("given", [COMPOSE, HELM], ids=["compose", "helm"])
def test_no_secret_is_a_literal(given: Any) -> None:
    for path, value in leaves(given):
        if re.search(r"password|secret_key|token", path[-1], re.IGNORECASE):
            is_reference = isinstance(value, bool) or str(value).startswith("${")
            assert is_reference or path[-1].endswith("SecretName"), path
        if "://" in str(value) and "@" in str(value):
            assert "${MLC_POSTGRES_PASSWORD" in value, path


def test_celery_changes_the_launcher_and_what_follows_from_it_alone() -> None:
    usual = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    celery = read("dagster-celery.yaml")
    launcher = celery.pop("run_launcher")
    assert launcher["class"] == "CeleryRunLauncher"
    assert launcher["config"]["broker"] == {"env": "MLC_CELERY_BROKER"}
    longest = usual["run_monitoring"]["max_runtime_seconds"]
    options = launcher["config"]["config_source"]["broker_transport_options"]
    assert options["visibility_timeout"] > longest
    assert celery["run_monitoring"].pop("start_timeout_seconds") > 180
    assert usual["run_monitoring"].pop("start_timeout_seconds") == 180
    assert celery == usual


def test_a_worker_waits_as_long_as_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dagster_celery", reason="the extra `celery` is not installed")
    monkeypatch.setenv("MLC_CELERY_BROKER", "redis://127.0.0.1:1/0")
    from mlc_pipeline.worker import app

    options = read("dagster-celery.yaml")["run_launcher"]["config"]["config_source"]
    assert app.conf.broker_transport_options == options["broker_transport_options"]
    assert (app.conf.worker_max_tasks_per_child, app.conf.worker_prefetch_multiplier) == (1, 1)
    assert {"execute_job", "resume_job"} <= set(app.tasks)


def test_kubernetes_gives_dagster_settings_that_it_takes() -> None:
    extra = HELM["additionalInstanceConfig"]
    usual = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    assert extra["run_retries"] == usual["run_retries"]
    assert extra["concurrency"]["pools"] == usual["concurrency"]["pools"]
    assert HELM["dagsterDaemon"]["runRetries"] == {"enabled": False}  # else it is there twice
    schema = resolve_to_config_type(dagster_instance_config_schema())
    checked = validate_config(schema, extra)
    assert checked.success, checked.errors


def test_images_are_of_the_version_of_the_product() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tags = [value for path, value in leaves(HELM) if path[-1] == "tag"]
    assert tags == [project["version"]] * 3


def test_the_image_copies_what_there_is_and_installs_extras_that_there_are() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert [word for word in line.split() if not (ROOT / word).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"^ARG EXTRAS=\[(.+)\]$", text, re.MULTILINE)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert re.search(r"^USER (?!root)\w+$", text, re.MULTILINE)


def test_a_container_starts_no_database_that_goes_with_it() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert "MLC_EMBEDDED_DATABASE=off" in text
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    daemon = HELM["dagsterDaemon"]["envSecrets"][0]["name"]
    secrets = {HELM["global"]["postgresqlSecretName"], daemon}
    assert {name for name in secrets if f"secret generic {name} " not in page} == set()


def test_what_compose_keeps_is_made_in_the_image_for_the_user_who_writes_it() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (made,) = re.findall(r"mkdir -p (.+?) \\\n", text)
    (owned,) = re.findall(r"chown -R mlc (.+)\n", text)
    for volume in COMPOSE["services"]["code"]["volumes"]:
        source, place = volume.split(":")[:2]
        if source in COMPOSE["volumes"]:
            assert place in made.split(), place
            assert any(place.startswith(top) for top in owned.split()), place
