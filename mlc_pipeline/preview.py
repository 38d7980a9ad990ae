"""Plans that are looked at first: made, kept in a file, and written exactly or not at all.

What must not come in: printing, arguments, rules of a plan.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from mlc_pipeline import database
from mlc_pipeline.assets.documents import APPROVED
from mlc_pipeline.assets.runtime import Progress
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.cycle import PLANNING, WRITING, Summary, run_cycle
from mlc_pipeline.sync.preview import Preview, Row, calls_needed, read_preview
from mlc_pipeline.sync.staged import Window

_FORMAT = "mlc plan 1"


class PlanFileError(Exception):
    """A plan file that cannot be used; says what to do."""


@dataclass(frozen=True)
class Made:
    """A plan that was made.

    Attributes:
        preview: what it says.
        calls: calls to Cin7 that writing it takes.
        minutes: at the connection's pace.
        problems: why it could not be made; then it is not to be used.
        red: what the checks of a plan that could be made say; they hold what they must.
    """

    preview: Preview
    calls: int
    minutes: int
    problems: tuple[str, ...]
    red: tuple[str, ...] = ()


@dataclass(frozen=True)
class Saved:
    """A plan as its file has it: connection, days, digests, and a line a document."""

    connection: str
    first: date
    last: date
    digests: Mapping[str, str]
    documents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Applied:
    """What became of a plan: a summary when it was written, else what changed.

    `problems` says why it could not even be planned again, because a system is down perhaps.
    """

    summary: Summary | None
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def make_plan(
    connection: Connection,
    folder: Path,
    first: date,
    last: date,
    *,
    progress: Progress | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Made:
    """Read both systems, plan some days, and return the plan; nothing is written outside."""
    summary = run_cycle(
        connection, folder, first, last, progress=progress, environ=environ, stages=PLANNING
    )
    window = Window(connection.name, first, last)
    preview = read_preview(database.engine(environ), window)
    calls = calls_needed(preview.rows)
    pace = connection.cin7.calls_per_minute * len(connection.cin7.applications)
    said = tuple(summary.problems)
    problems, red = ((), said) if summary.succeeded else (said, ())
    return Made(preview, calls, math.ceil(calls / pace), problems, red)


def _line(row: Row) -> str:
    amount = f"{row.amount:.2f} {row.currency or ''}".strip()
    return f"{row.verdict}, {amount}" + (f", {row.reason_code}" if row.reason_code else "")


def _documents(preview: Preview) -> dict[str, str]:
    return {f"{row.day} {row.kind} {row.source_key}": _line(row) for row in preview.rows}


def save_plan(made: Made, file: Path) -> None:
    """Write a plan into a file that `read_plan_file` takes."""
    window = made.preview.window
    content = {
        "format": _FORMAT,
        "connection": window.connection,
        "first": str(window.first),
        "last": str(window.last),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "digests": made.preview.digests,
        "calls": made.calls,
        "documents": _documents(made.preview),
    }
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_plan_file(file: Path) -> Saved:
    """Read a plan file.

    Raises:
        PlanFileError: it is absent or no plan.
    """
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise PlanFileError(
                f"{file}: found format {content['format']!r}, expected {_FORMAT!r}; make a new "
                "plan: mlc plan"
            )
        return Saved(
            content["connection"],
            date.fromisoformat(content["first"]),
            date.fromisoformat(content["last"]),
            dict(content["digests"]),
            dict(content["documents"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanFileError(
            f"{file} is no plan that mlc plan --out wrote ({type(error).__name__}); make one"
        ) from error


def apply_plan(
    connection: Connection,
    folder: Path,
    saved: Saved,
    *,
    progress: Progress | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Applied:
    """Plan again and write, if that is exactly the saved plan.

    Between the comparison and the writing another run may plan these days anew; so the
    push compares once more, and writes nothing of a plan that is not the approved one.
    """
    made = make_plan(
        connection, folder, saved.first, saved.last, progress=progress, environ=environ
    )
    if made.problems:
        return Applied(None, problems=made.problems)
    if made.preview.digests != dict(saved.digests):
        return Applied(None, tuple(_changes(saved.documents, _documents(made.preview))))
    summary = run_cycle(
        connection,
        folder,
        saved.first,
        saved.last,
        progress=progress,
        environ=environ,
        stages=WRITING,
        tags={APPROVED: json.dumps(dict(saved.digests))},
    )
    return Applied(summary)


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return what is different, a line a document."""
    found = [
        f"{key}: planned {before.get(key, 'not at all')}, now {after.get(key, 'not at all')}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]
    return found or ["the content of a document changed"]
