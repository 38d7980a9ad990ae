"""The bench's table, on the screen and as a file that can be kept.

What must not come in: scenarios, how an end is judged.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from mlc_pipeline_tests.faults.bench import Row

COLUMNS = (
    "scenario",
    "documents",
    "duplicates",
    "lost",
    "half-made",
    "wrong totals",
    "extra calls",
    "runs needed",
    "hits",
    "seconds",
)
_PACKAGES = ("mlc_pipeline", "dagster", "dagster-postgres", "SQLAlchemy", "httpx", "pydantic")
_MOST_NAMED = 10


@dataclass(frozen=True)
class Origin:
    """What a certificate was made of.

    Attributes:
        made: when.
        commit: of the code; with a plus when files were changed since.
        versions: of what took part.
        documents: how many were asked for.
        seed: of the company and of every chance.
        sabotage: what the product was broken by, if it was.
    """

    made: datetime
    commit: str
    versions: dict[str, str]
    documents: int
    seed: int
    sabotage: str | None


def origin(documents: int, seed: int, sabotage: str | None, postgresql: str) -> Origin:
    """Return the origin of a certificate made now."""
    versions = {name: version(name) for name in _PACKAGES}
    versions |= {"python": platform.python_version(), "postgresql": postgresql}
    return Origin(datetime.now(UTC), _commit(), versions, documents, seed, sabotage)


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    head = git("rev-parse", "HEAD")
    if not head:
        return "unknown"
    return f"{head}+" if git("status", "--porcelain", "--untracked-files=no") else head


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as it is shown."""
    return (
        row.name,
        str(row.documents),
        *(str(count) for count in row.faults.counts()),
        str(row.extra_calls),
        str(row.runs),
        str(row.hits),
        f"{row.seconds:.0f}",
    )


def table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table for the screen."""
    shown = Table(title="fault bench")
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column == "scenario" else "right")
    for row in rows:
        shown.add_row(*cells(row), style=None if row.is_good else "bold red")
    return shown


def what_is_wrong(row: Row) -> list[str]:
    """Return what keeps a row from being good, a few of each kind by name."""
    faults = row.faults
    kinds = {
        "twice": faults.duplicates,
        "lost": faults.lost,
        "half made": faults.half_made,
        "wrong": faults.wrong_totals,
    }
    told = [f"{kind}: {name}" for kind, names in kinds.items() for name in names[:_MOST_NAMED]]
    return [*told, *row.trouble]


def write(folder: Path, rows: Sequence[Row], made_of: Origin) -> Path:
    """Write the certificate as certificate.md and certificate.json; return the first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "certificate.json").write_text(
        json.dumps(_as_json(rows, made_of), indent=2) + "\n", encoding="utf-8"
    )
    path = folder / "certificate.md"
    path.write_text(_as_markdown(rows, made_of), encoding="utf-8")
    return path


def _as_json(rows: Sequence[Row], made_of: Origin) -> dict[str, Any]:
    names = ("duplicates", "lost", "half_made", "wrong_totals")
    return {
        "made": made_of.made.isoformat(timespec="seconds"),
        "commit": made_of.commit,
        "versions": made_of.versions,
        "documents": made_of.documents,
        "seed": made_of.seed,
        "sabotage": made_of.sabotage,
        "passed": all(row.is_good for row in rows),
        "rows": [
            {
                "scenario": row.name,
                "documents": row.documents,
                **dict(zip(names, row.faults.counts(), strict=True)),
                "extra_calls": row.extra_calls,
                "calls": row.calls,
                "runs_needed": row.runs,
                "hits": row.hits,
                "seconds": round(row.seconds, 1),
                "passed": row.is_good,
                "wrong": what_is_wrong(row),
            }
            for row in rows
        ],
    }


def _as_markdown(rows: Sequence[Row], made_of: Origin) -> str:
    is_good = all(row.is_good for row in rows)
    versions = ", ".join(f"{name} {number}" for name, number in made_of.versions.items())
    lines = [
        "# Certificate of the fault bench",
        "",
        f"**{'Passed' if is_good else 'NOT passed'}** on "
        f"{made_of.made:%Y-%m-%d %H:%M} UTC, seed {made_of.seed}, commit `{made_of.commit}`.",
        "",
        f"{versions}.",
        *(
            ["", f"The product was broken on purpose: {made_of.sabotage}."]
            if made_of.sabotage
            else []
        ),
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|---|{'---:|' * (len(COLUMNS) - 1)}",
        *(f"| {' | '.join(cells(row))} |" for row in rows),
    ]
    wrong = [(row.name, text) for row in rows for text in what_is_wrong(row)]
    if wrong:
        lines += ["", "What is wrong:", "", *(f"- {name}: {text}" for name, text in wrong)]
    return "\n".join(lines) + "\n"
