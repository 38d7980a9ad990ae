"""Every SYSPRO AP journal type has a declared representation; no other passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_pipeline.sync.invoices import plan_stray_postings
from mlc_pipeline.sync.journals import (
    JOURNAL_TYPES,
    UNKNOWN_TYPE,
    is_distribution,
    journals_table,
    stray_reason,
)
from mlc_pipeline.sync.vocabulary import REASONS, Verdict
from mlc_pipeline.syspro.journal_types import AP_JOURNAL_TYPES
from mlc_pipeline_tests.sync.examples import context, d, posting

_VERDICTS = {"excluded": Verdict.EXCLUDED, "held": Verdict.HELD}


def test_every_type_that_syspro_has_is_declared() -> None:
    assert {code for code in JOURNAL_TYPES if code} == set(AP_JOURNAL_TYPES)
    assert {c: t.name for c, t in JOURNAL_TYPES.items() if c} == AP_JOURNAL_TYPES
    assert None in JOURNAL_TYPES  # a posting view without types


@pytest.mark.parametrize("code", JOURNAL_TYPES)
def test_each_type_is_a_document_or_has_the_reason_why_not(code: str | None) -> None:
    declared = JOURNAL_TYPES[code]
    entry = posting("7.25", posting_type=code)
    assert is_distribution(entry) == (declared.representation == "document")
    if declared.representation == "document":
        assert declared.reason is None
        return
    assert REASONS[declared.reason or ""].verdict is _VERDICTS[declared.representation]
    (planned,) = plan_stray_postings([entry], context())
    assert (planned.reason_code, planned.amount) == (declared.reason, d("7.25"))


@given(st.text(min_size=1, max_size=2).filter(lambda code: code not in JOURNAL_TYPES))
def test_a_type_that_is_not_declared_is_held_with_its_money(code: str) -> None:
    entry = posting("7.25", posting_type=code)
    assert not is_distribution(entry)
    assert stray_reason(entry) == UNKNOWN_TYPE
    (planned,) = plan_stray_postings([entry], context())
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, UNKNOWN_TYPE)
    assert (planned.amount, code in str(planned.reason)) == (d("7.25"), True)


def test_the_table_for_people_has_every_type() -> None:
    rows = journals_table().splitlines()[2:]
    assert len(rows) == len(JOURNAL_TYPES) + 1
    assert all(f"`{code}`" in rows[n] for n, code in enumerate(JOURNAL_TYPES) if code)


def test_the_manual_has_exactly_the_journal_types() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-it-writes.md"
    assert journals_table() in page.read_text(encoding="utf-8")
