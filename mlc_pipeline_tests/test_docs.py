"""The documentation says what the product does: tables, commands, links, names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from filecmp import dircmp
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
import yaml
from typer.testing import CliRunner

from mlc_pipeline.cli import app
from mlc_pipeline.connection.files import load_connection, read_connection
from mlc_pipeline.connection.mappings import COLUMNS, read_table
from mlc_pipeline.connection.model import Connection, Policies
from mlc_pipeline.connection.reference import reference_table
from mlc_pipeline.definitions import build_definitions
from mlc_pipeline.sandbox.__main__ import main as sandbox
from mlc_pipeline.sync.vocabulary import reasons_table
from mlc_pipeline.syspro.entities import ENTITIES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
SANDBOX = ROOT / "connections" / "sandbox"

# A name that ends in a placeholder stands for its beginning: MLC_SECRET_<CONNECTION>.
_VARIABLE = re.compile(r"\b(?:MLC|DAGSTER)_[A-Z0-9_]*[A-Z0-9]\b")
_SEALED_BY_NAME = "MLC_SECRET_"
_MACHINE_PATH = re.compile(r"(?<![\w.~:/-])/(?:work|root|home|tmp|Users|mnt|private)/")

pages = pytest.mark.parametrize(
    "page", PAGES, ids=[p.relative_to(ROOT).as_posix() for p in PAGES]
)


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _blocks(text: str, language: str) -> list[tuple[str, str]]:
    """Return (what stands behind the language, content) of each fenced block."""
    fence = re.compile(
        rf"^ *```{language}(?: ([^\n]*))?\n(.*?)^ *```$", re.DOTALL | re.MULTILINE
    )
    return [(found[1] or "", found[2]) for found in fence.finditer(text)]


def _without_blocks(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def _commands() -> Iterator[tuple[str, str]]:
    """Yield (page, command line) of every `mlc …` and `make …` in the documentation."""
    for page in PAGES:
        text = _read(page)
        lines = [line for _, block in _blocks(text, "bash") for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", _without_blocks(text))
        for line in lines:
            command = line.split(" #")[0].strip()
            if command.startswith(("mlc ", "make ")) and "…" not in command:
                yield page.name, command


COMMANDS = sorted(set(_commands()))


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def _headings(page: Path) -> set[str]:
    found = re.findall(r"^#+ (.+)$", _without_blocks(_read(page)), re.MULTILINE)
    return {_slug(heading) for heading in found}


# --- what is generated ---------------------------------------------------------------


def test_the_page_of_reasons_has_exactly_the_reasons() -> None:
    assert reasons_table() in _read(DOCS / "reasons.md")


def test_the_readme_shows_ten_reasons_word_for_word() -> None:
    rows = reasons_table().splitlines()[2:]
    shown = [row for row in rows if row in _read(ROOT / "README.md").splitlines()]
    assert len(shown) == 10


def test_the_page_of_settings_has_exactly_the_settings() -> None:
    assert reference_table().strip() in _read(DOCS / "connection.md")


def test_the_page_of_settings_explains_every_policy() -> None:
    explained = _read(DOCS / "connection.md").partition("### What the policies mean")[2]
    missing = [name for name in Policies.model_fields if f"`{name}`" not in explained]
    assert not missing


def test_the_page_of_settings_names_each_table_that_is_read() -> None:
    text = _read(DOCS / "connection.md")
    rows = [
        f"| `{name}` | {entity.entity_set} |"
        for name, entity in ENTITIES.items()
        if name != "stock_items"  # nothing reads it yet
    ]
    assert not [row for row in rows if row not in text]


# --- examples ------------------------------------------------------------------------


def _example() -> Connection:
    [(_, text)] = _blocks(_read(DOCS / "connection.md"), "yaml")
    return read_connection("acme", text.encode(), "docs/connection.md")


def test_the_example_of_a_connection_is_valid() -> None:
    example = _example()
    assert example.entities()["postings"].entity_set == "vwApPosting"
    assert example.syspro.gl_code.split("110-7990") == ("7990", "110")


def test_the_examples_of_mapping_files_are_valid() -> None:
    examples = dict(_blocks(_read(DOCS / "connection.md"), "csv"))
    assert set(examples) == set(COLUMNS)
    more = _blocks(_read(DOCS / "suppliers.md"), "csv")
    for name, content in [*examples.items(), *more]:
        table, problems = read_table(name, content.encode(), f"{name}.csv")
        assert len(table)
        assert not problems


def test_every_query_of_the_operations_page_runs(engine: sa.Engine) -> None:
    queries = _blocks(_read(DOCS / "operations.md"), "sql")
    assert queries
    with engine.connect() as connection:
        for _, query in queries:
            connection.exec_driver_sql(f"EXPLAIN {query.replace('%', '%%')}")


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_every_check_is_explained() -> None:
    definitions = build_definitions([(load_connection(SANDBOX), SANDBOX)])
    checks = definitions.resolve_asset_graph().asset_check_keys
    text = _read(DOCS / "operations.md")
    assert not {key.name for key in checks if f"| `{key.name}` |" not in text}


# --- names ---------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_of_the_documentation_exists(page: str, line: str) -> None:
    words = shlex.split(line.split("|")[0])
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z-]+):", _read(ROOT / "Makefile"), re.MULTILINE))
        assert words[1] in targets, f"{page}: {line}"
        return
    command, context, rest = typer.main.get_command(app), None, words[1:]
    while rest and hasattr(command, "resolve_command"):
        context = command.make_context(
            command.name or "mlc", [], parent=context, resilient_parsing=True
        )
        _name, command, rest = command.resolve_command(context, rest)
        assert command is not None, f"{page}: {line}"
    asked = CliRunner().invoke(app, [*_path(words[1:], rest), "--help"])
    assert asked.exit_code == 0, asked.output
    if rest:  # else it is only named; arguments and options parse, nothing is run
        command.make_context(line, list(rest), parent=context)


def _path(words: list[str], rest: list[str]) -> list[str]:
    return words[: len(words) - len(rest)]


def test_the_documentation_has_commands() -> None:
    assert {line.split()[0] for _, line in COMMANDS} == {"mlc", "make"}


@pages
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = _without_blocks(_read(page))
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in _headings(there)):
            broken.append(target)
    assert not broken


@pages
def test_every_environment_variable_occurs_in_the_code(page: Path) -> None:
    sources = [
        *(ROOT / "mlc_pipeline").rglob("*.py"),
        *Path(__file__).parent.rglob("conftest.py"),
        *(Path(__file__).parent / "faults").rglob("*.py"),
    ]
    sources += [path for path in (ROOT / "deploy").iterdir() if path.is_file()]
    code = "\n".join(_read(path) for path in [*sources, ROOT / "Makefile"])
    # The stand-in puts the name of a port together.
    code += "\n".join(f"MLC_SANDBOX_{name}_PORT" for name in ("SYSPRO", "CIN7"))
    named = {name.rstrip("_") for name in _VARIABLE.findall(_read(page))}
    unknown = {n for n in named if n not in code and not n.startswith(_SEALED_BY_NAME)}
    assert not unknown


def test_every_environment_variable_of_the_product_is_in_the_readme() -> None:
    sources = (ROOT / "mlc_pipeline").rglob("*.py")
    read = {
        n
        for p in sources
        for n in re.findall(r'environ[^"\n]*"((?:MLC|DAGSTER)_\w+)"', _read(p))
    }
    assert "MLC_HOME" in read
    assert not {name for name in read if name not in _read(ROOT / "README.md")}


@pages
def test_no_page_names_a_path_of_somebodys_machine(page: Path) -> None:
    assert not _MACHINE_PATH.findall(_read(page))


def test_pictures_are_small() -> None:
    pictures = list((DOCS / "images").iterdir())
    assert pictures
    assert not [p.name for p in pictures if p.stat().st_size > 300_000]


# --- the committed connection ---------------------------------------------------------


def test_the_committed_connection_is_the_one_that_the_sandbox_makes(tmp_path: Path) -> None:
    made = tmp_path / "connections" / "sandbox"
    ports = ["--syspro-port", "8471", "--cin7-port", "8472"]
    places = ["--home", str(tmp_path / "home"), "--connections", str(made.parent)]
    assert sandbox([*places, *ports, "--prepare-only"]) == 0
    compared = dircmp(SANDBOX, made)
    assert not [*compared.left_only, *compared.right_only]
    for name in compared.common_files:
        assert (SANDBOX / name).read_bytes() == (made / name).read_bytes(), name


def test_the_committed_connection_never_starts_by_itself() -> None:
    settings = yaml.safe_load(_read(SANDBOX / "connection.yaml"))
    assert settings["schedule"]["enabled"] is False
    assert load_connection(SANDBOX).cin7.base_url.startswith("http://127.0.0.1:")
