"""The words: every reason says what to do, every word the code uses is declared once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mlc_pipeline.sync as heart
from mlc_pipeline.sync.invoices import POSTING_TYPES
from mlc_pipeline.sync.vocabulary import (
    READY,
    REASONS,
    Outcome,
    Reason,
    Verdict,
    reasons_table,
)

_HEART = Path(heart.__file__).parent


def _words_of_the_code() -> set[str]:
    """Return every text constant of the heart but for the declarations themselves."""
    words = {*POSTING_TYPES.values()}
    for path in _HEART.glob("*.py"):
        if path.name != "vocabulary.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            words |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}  # type: ignore[misc]
    return words


@pytest.mark.parametrize("reason", REASONS.values(), ids=lambda r: r.code)
def test_a_reason_has_a_verdict_that_writes_nothing_a_meaning_and_a_remedy(
    reason: Reason,
) -> None:
    assert REASONS[reason.code] is reason
    assert reason.verdict in (Verdict.WAITING, Verdict.HELD, Verdict.EXCLUDED)
    for text in (reason.meaning, reason.remedy):
        assert text[0].isupper()
        assert text.endswith(".")
        assert "|" not in text


def test_every_reason_is_given_somewhere() -> None:
    assert sorted(set(REASONS) - _words_of_the_code()) == []


def test_a_held_document_always_asks_a_person_for_something() -> None:
    idle = {r.code for r in REASONS.values() if r.remedy.startswith("Nothing")}
    held = {r.code for r in REASONS.values() if r.verdict is Verdict.HELD}
    assert idle & held == set()


def test_every_verdict_that_writes_nothing_is_an_outcome() -> None:
    for verdict in set(Verdict) - READY:
        assert Outcome(verdict.value).value == verdict.value
    assert {v.value for v in READY} == {"create", "update", "void"}


def test_the_reasons_table_has_a_row_a_reason() -> None:
    lines = reasons_table().splitlines()
    assert len(lines) == len(REASONS) + 2
    for reason, line in zip(REASONS.values(), lines[2:], strict=True):
        assert line.startswith(f"| `{reason.code}` | {reason.verdict} | {reason.meaning} | ")
