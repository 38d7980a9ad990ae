"""The `mlc` command: exit codes for scripts, messages for people, no secret anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlc_pipeline.cli import app
from mlc_pipeline.vault import environment_variable
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, day
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import Pair

pytestmark = pytest.mark.e2e


@pytest.fixture
def pair(start: Start, monkeypatch: pytest.MonkeyPatch) -> Pair:
    pair = start(companies.six_documents())
    monkeypatch.setenv("MLC_CONNECTIONS_DIR", str(pair.folder.parent))
    for name, value in pair.environ.items():
        monkeypatch.setenv(name, value)
    return pair


def _run(*arguments: str, text: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), input=text)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def _sync(pair: Pair) -> tuple[int, dict[str, object]]:
    code, output = _run("sync", pair.name, "--from", str(DAY), "--to", str(DAY), "--json")
    return code, json.loads(output)


def test_a_cycle_that_did_everything_ends_with_0_and_says_so_again(pair: Pair) -> None:
    code, first = _sync(pair)
    assert (code, first["exit_code"], first["succeeded"]) == (0, 0, True)
    assert first["cin7_writes"] == 9
    code, second = _sync(pair)
    assert (code, second["cin7_writes"]) == (0, 0)


def test_a_held_document_ends_with_3_and_is_named_with_its_remedy(pair: Pair) -> None:
    mapping = pair.folder / "gl_accounts.csv"
    mapping.write_text(mapping.read_text().splitlines()[0] + "\n")
    code, output = _run("sync", pair.name, "--from", str(DAY), "--to", str(DAY))
    assert code == 3
    assert "gl_accounts.csv" in output


@pytest.mark.proof
def test_a_system_that_is_down_ends_with_1_and_no_secret_is_shown(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.configure(cin7={"base_url": "http://127.0.0.1:9/ExternalApi/v2"})
    code, output = _run("sync", pair.name, "--from", str(DAY), "--to", str(DAY), "--json")
    assert code == 1
    for name in pair.connection.secret_names():
        secret = pair.environ.get(environment_variable(pair.name, name))
        assert not secret or secret not in output


def test_ping_says_what_fits_and_writes_nothing(pair: Pair) -> None:
    code, output = _run("ping", pair.name)
    assert code == 0
    assert "Everything fits" in output
    assert pair.summary()["purchases"]["total"] == 0


def test_ping_names_what_does_not_fit(pair: Pair) -> None:
    pair.configure(defaults={"location": "Nowhere"})
    code, output = _run("ping", pair.name)
    assert code == 1
    assert "Nowhere" in output


def test_a_secret_is_read_from_standard_input_and_never_shown(pair: Pair) -> None:
    code, output = _run("secret", "set", pair.name, "cin7_account_id", text="very-secret\n")
    assert code == 0
    listed = _run("secret", "list", pair.name)[1]
    assert "very-secret" not in output + listed
    assert "cin7_account_id" in listed


def test_a_secret_of_the_environment_is_shown_to_be_the_one_that_is_used(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run("secret", "set", pair.name, "cin7_account_id", text="sealed\n")
    variable = environment_variable(pair.name, "cin7_account_id")
    monkeypatch.delenv(variable)
    sealed = _run("secret", "list", pair.name)[1]
    monkeypatch.setenv(variable, "given")
    given = _run("secret", "list", pair.name)[1]
    assert ("not used" in sealed, "the sealed one is not used" in given) == (False, True)


def test_a_secret_that_the_connection_does_not_have_is_refused_by_name(pair: Pair) -> None:
    code, output = _run("secret", "set", pair.name, "cin7_acount_id", text="x")
    assert code == 2
    assert "cin7_account_id" in output


def test_status_shows_what_is_in_cin7_and_which_connections_are_broken(pair: Pair) -> None:
    broken = pair.folder.parent / "broken"
    broken.mkdir(exist_ok=True)
    (broken / "connection.yaml").write_text("syspro: {}\n")
    _sync(pair)
    code, output = _run("status")
    assert code == 0
    assert "purchase orders" in output
    assert "broken is left out" in output


@pytest.mark.parametrize("command", ["sync", "plan", "replay", "backfill"])
def test_days_without_a_partition_are_refused_before_anything_is_read(
    pair: Pair, command: str
) -> None:
    for first, last, found in (
        (DAY, "2099-01-01", "after today"),
        (day(2), DAY, "the earlier day first"),
        ("2001-01-01", DAY, "start_date"),
    ):
        code, output = _run(command, pair.name, "--from", str(first), "--to", str(last))
        words = " ".join(output.replace("│", " ").split())
        assert (code, found in words) == (2, True), output
    assert pair.reads() == {}


def test_a_backfill_that_nobody_can_be_asked_about_did_not_succeed(pair: Pair) -> None:
    code, said = _run("backfill", pair.name, "--from", str(DAY), "--to", str(DAY))
    assert (code, "--yes" in said) == (2, True)
    assert pair.writes() == {}


def test_an_unknown_connection_is_told_where_it_was_looked_for(pair: Pair) -> None:
    code, output = _run("sync", "nobody")
    assert code == 2
    assert "nobody" in output


@pytest.mark.parametrize(
    "command", ["sync", "ping", "status", "close", "sandbox", "demo", "dev", "secret"]
)
def test_every_command_explains_itself(command: str, tmp_path: Path) -> None:
    code, output = _run(command, "--help")
    assert code == 0
    assert "Usage" in output
