"""Plan, look, apply: nothing is written before, exactly the plan after, or nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlc_pipeline.assets.documents import APPROVED
from mlc_pipeline.cli import app
from mlc_pipeline.cycle import WRITING, run_cycle
from mlc_pipeline.preview import (
    PlanFileError,
    apply_plan,
    make_plan,
    read_plan_file,
    save_plan,
)
from mlc_pipeline.sync.preview import account_totals
from mlc_pipeline.sync.vocabulary import Outcome
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import counted

pytestmark = pytest.mark.e2e


def test_a_plan_is_looked_at_and_then_written_exactly(start: Start, tmp_path: Path) -> None:
    pair = start(companies.six_documents(), name="planned")
    made = make_plan(pair.connection, pair.folder, DAY, DAY, environ=pair.environ)
    assert made.problems == ()
    assert pair.writes() == {}
    assert {k: dict(c) for k, c in made.preview.counts().items()} == {
        "supplier": {"create": 1},
        "purchase_order": {"create": 1},
        "receipt": {"create": 1},
        "invoice": {"create": 2},
        "credit_note": {"create": 1},
    }
    totals = account_totals(made.preview.rows)
    assert sum(totals.values()) == Decimal(192)
    assert totals["GBP", "tax", ""] == Decimal(32)
    shown = pair.metadata("plan", "invoices")
    assert shown["calls_needed"] == 5
    assert shown["minutes_needed"] == 1

    file = tmp_path / "plan.json"
    save_plan(made, file)
    applied = apply_plan(
        pair.connection, pair.folder, read_plan_file(file), environ=pair.environ
    )
    assert applied.summary is not None
    assert applied.summary.exit_code == 0
    assert sum(pair.writes().values()) == made.calls == applied.summary.cin7_writes
    assert len(pair.booked()) == 3
    pair.assert_clean()

    # Written once, it is another world: the same plan is refused.
    pair.forget_traffic()
    again = apply_plan(pair.connection, pair.folder, read_plan_file(file), environ=pair.environ)
    assert again.summary is None
    assert any("now unchanged" in line for line in again.changes)
    assert pair.writes() == {}


def test_a_plan_is_refused_when_the_world_changed_before_or_meanwhile(
    start: Start, tmp_path: Path
) -> None:
    pair = start(companies.one_invoice(), name="refused")
    made = make_plan(pair.connection, pair.folder, DAY, DAY, environ=pair.environ)
    file = tmp_path / "plan.json"
    save_plan(made, file)
    row = pair.row("ApInvoice")
    pair.put("ApInvoice", row | {"DueDate": companies.day(40)})
    applied = apply_plan(
        pair.connection, pair.folder, read_plan_file(file), environ=pair.environ
    )
    assert applied.summary is None
    assert applied.changes
    # Another run planned the days anew after the comparison: the push looks once more.
    summary = run_cycle(
        pair.connection,
        pair.folder,
        DAY,
        DAY,
        environ=pair.environ,
        stages=WRITING,
        tags={APPROVED: json.dumps(made.preview.digests)},
    )
    assert summary.exit_code == 1
    assert any("not the plan that was approved" in p for p in summary.problems)
    assert pair.booked() == {}
    assert pair.writes() == {}
    last = pair.run(DAY)
    assert counted(last, Outcome.CREATED) >= 1


def test_red_checks_are_shown_with_the_plan_and_an_outage_is_no_changed_world(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = start(companies.unmapped_invoice(), name="unmapped")
    monkeypatch.setenv("MLC_CONNECTIONS_DIR", str(pair.folder.parent))
    for name, value in pair.environ.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "plan.json"
    days = ("--from", str(DAY), "--to", str(DAY))
    planned = CliRunner().invoke(app, ["plan", pair.name, *days, "--out", str(file)])
    assert planned.exit_code == 3, planned.output
    assert "check every_code_is_mapped: GL codes without" in planned.output
    pair.syspro.control("faults", {"path": "/logon", "kind": "html", "times": 100_000})
    applied = CliRunner().invoke(app, ["apply", str(file)])
    assert applied.exit_code == 1, applied.output
    assert pair.writes() == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "mlc plan 0"}'])
def test_a_file_that_is_no_plan_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(PlanFileError, match=r"other\.json"):
        read_plan_file(file)
