"""The rooms of the product: who may know whom, and what must never be in its code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import mlc_pipeline

ROOT = Path(mlc_pipeline.__file__).parent
PRODUCT = "mlc_pipeline"

ROOMS: dict[str, set[str]] = {
    "syspro": set(),
    "cin7": {"staging"},  # the call budget is a table
    "connection": {"syspro"},
    "staging": {"syspro"},
    "sync": {"cin7", "connection", "staging", "syspro"},
    "database": set(),
    "vault": {"staging", "syspro"},
    "instance": {"database"},
    "report": {"database", "sync"},
    "assets": {
        "cin7",
        "connection",
        "database",
        "report",
        "staging",
        "sync",
        "syspro",
        "vault",
    },
    "automation": {"assets", "connection", "staging", "sync", "syspro", "vault"},
    "definitions": {"assets", "automation", "connection"},
    "cycle": {
        "assets",
        "automation",
        "connection",
        "database",
        "definitions",
        "instance",
        "staging",
        "sync",
    },
    "closing": {"assets", "connection", "instance", "report", "sync"},
    "backfill": {"assets", "automation", "connection", "cycle", "database", "staging"},
    "preview": {"assets", "connection", "cycle", "database", "sync"},
    "console": {"cycle", "database", "staging", "sync"},
    "ping": {"assets", "cin7", "connection", "staging", "sync", "syspro", "vault"},
    # A command reads arguments, calls one function of another room, prints what came.
    "commands": {
        "assets",
        "backfill",
        "closing",
        "connection",
        "console",
        "cycle",
        "database",
        "definitions",
        "instance",
        "preview",
        "report",
        "staging",
        "sync",
        "vault",
    },
    "cli": {
        "assets",
        "commands",
        "connection",
        "console",
        "cycle",
        "database",
        "instance",
        "ping",
        "sync",
        "vault",
    },
    "worker": set(),  # how a Celery worker behaves, nothing of what it runs
    "sandbox": {"syspro"},
}
"""What each room may import of the others."""

KNOWS_DAGSTER = {
    "assets",
    "automation",
    "definitions",
    "instance",
    "cycle",
    "closing",
    "cli",
    "commands",
    "worker",
}
KNOWS_HTTP = {"cin7", "syspro", "sandbox", "automation/webhook.py"}
"""Rooms that speak HTTP, and the one module that posts alerts: to readers, not to a system."""
FLOATS = {"assets/common.py", "cycle.py"}
"""Where an amount or a duration is made a float, to be shown and never computed with."""


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the product by its path below the product."""
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(ROOT.rglob("*.py"))
    }


def room_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def imports_of(tree: ast.Module) -> Iterator[str]:
    """Yield the full names that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_others(path: str) -> set[str]:
    """Return the other rooms that a module imports from."""
    names = (name.split(".") for name in imports_of(modules()[path]))
    rooms = {name[1] for name in names if name[0] == PRODUCT and len(name) > 1}
    return rooms - {room_of(path)}


def packages(path: str) -> set[str]:
    return {name.split(".")[0] for name in imports_of(modules()[path])}


def test_imports_point_one_way() -> None:
    wrong = {
        path: sorted(of_others(path) - ROOMS.get(room_of(path), set())) for path in modules()
    }
    assert {path: rooms for path, rooms in wrong.items() if rooms} == {}


def test_no_two_rooms_need_each_other() -> None:
    def reach(room: str) -> set[str]:
        seen: set[str] = set()
        waiting = [room]
        while waiting:
            for other in ROOMS[waiting.pop()] - seen:
                seen.add(other)
                waiting.append(other)
        return seen

    assert [room for room in ROOMS if room in reach(room)] == []


def test_only_the_edge_knows_dagster() -> None:
    knowing = {
        path for path in modules() if any(p.startswith("dagster") for p in packages(path))
    }
    assert {room_of(path) for path in knowing} <= KNOWS_DAGSTER


def test_only_the_clients_know_http() -> None:
    knowing = {path for path in modules() if packages(path) & {"httpx", "requests", "urllib3"}}
    wrong = [path for path in knowing if not {path, room_of(path)} & KNOWS_HTTP]
    assert wrong == []


def test_the_heart_takes_bodies_and_errors_of_cin7_and_never_its_client() -> None:
    taken = {
        name.split(".")[2]
        for path in modules()
        if room_of(path) == "sync"
        for name in imports_of(modules()[path])
        if name.startswith(f"{PRODUCT}.cin7.")
    }
    assert taken <= {
        "requests",
        "errors",
        "differences",
        "decimals",
        "purchase_list",
    }


def test_the_heart_takes_documents_and_errors_of_syspro_and_never_its_client() -> None:
    taken = {
        name.split(".")[2]
        for path in modules()
        if room_of(path) == "sync"
        for name in imports_of(modules()[path])
        if name.startswith(f"{PRODUCT}.syspro.")
    }
    assert taken <= {"apsssp", "errors"}


def test_the_sandbox_is_imported_by_nobody() -> None:
    assert [path for path in modules() if "sandbox" in of_others(path)] == []


def test_the_sandbox_takes_the_entities_alone() -> None:
    taken = {
        name
        for path in modules()
        if room_of(path) == "sandbox"
        for name in imports_of(modules()[path])
        if name.startswith(f"{PRODUCT}.") and not name.startswith(f"{PRODUCT}.sandbox")
    }
    assert all(name.startswith(f"{PRODUCT}.syspro.entities") for name in taken), taken


def _docstring(path: str) -> str:
    return " ".join((ast.get_docstring(modules()[path]) or "").split())


def test_every_module_says_what_it_is_for() -> None:
    assert [path for path in modules() if len(_docstring(path)) < 15] == []


def test_every_module_says_what_must_not_come_in() -> None:
    named = (path for path in modules() if not path.endswith("__init__.py"))
    silent = [path for path in named if "must not come in" not in _docstring(path)]
    assert [path for path in silent if not path.startswith("staging/migrations/")] == []


def test_no_amount_is_made_a_float() -> None:
    made = {
        path
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "float"
    }
    assert {path for path in made if not path.startswith("sandbox/")} <= FLOATS


def test_the_heart_has_no_number_that_is_not_exact() -> None:
    inexact = {
        (path, node.lineno)
        for path, tree in modules().items()
        if room_of(path) in ("sync", "staging")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    }
    assert inexact == set()


@pytest.mark.parametrize("trace", ["/work/", "/root/", "/home/", "/Users/", "/tmp/", "—"])
def test_nothing_is_told_of_the_machine_it_was_written_on(trace: str) -> None:
    sources = {path: (ROOT / path).read_text(encoding="utf-8") for path in modules()}
    assert [path for path, source in sources.items() if trace in source] == []
