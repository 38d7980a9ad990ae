"""A small form of the bench: undisturbed it is good, with a broken product it is red.

Each fault by itself and a kill at each write are what `make faults` shows, and in `e2e` the
tests of lost answers and of kill points.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlc_pipeline_tests.faults import certificate, scenarios
from mlc_pipeline_tests.faults.__main__ import home_of_a_bench, main
from mlc_pipeline_tests.faults.bench import Bench, open_bench
from mlc_pipeline_tests.faults.judge import End, compare
from mlc_pipeline_tests.faults.sabotage import FOUND_BY, SABOTAGES

pytestmark = pytest.mark.e2e

DOCUMENTS = 12


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with home_of_a_bench() as home, open_bench(home, DOCUMENTS, seed=1) as opened:
        row = scenarios.undisturbed(opened)
        assert certificate.what_is_wrong(row) == []
        assert row.documents >= DOCUMENTS
        yield opened


def test_every_fault_of_cin7_mixed_ends_whole(bench: Bench) -> None:
    row = scenarios.play(bench, scenarios.find("cin7-mixed"))
    assert certificate.what_is_wrong(row) == []
    assert row.hits


@pytest.mark.proof
@pytest.mark.parametrize("name", sorted(SABOTAGES))
def test_a_broken_product_is_found_out(bench: Bench, name: str) -> None:
    (scenario,) = FOUND_BY[name]
    row = scenarios.play(replace(bench, sabotage=name), scenarios.find(scenario))
    assert not row.is_good
    assert row.faults.duplicates


def test_an_end_is_compared_by_count_status_and_money(tmp_path: Path) -> None:
    wanted, found = End(accounts={"800": 5}), End(accounts={"800": 4})  # type: ignore[dict-item]
    for end, names in ((wanted, "abcd"), (found, "aacd")):
        for name in names:
            end.add(("invoice", name), "AUTHORISED", 10)  # type: ignore[arg-type]
    found.figures[("invoice", "c")] = [("DRAFT", 10)]  # type: ignore[list-item]
    found.figures[("invoice", "d")] = [("AUTHORISED", 11)]  # type: ignore[list-item]
    faults = compare(wanted, found)
    assert faults.duplicates == ["invoice a"]
    assert faults.lost == ["invoice b"]
    assert [text.split(":")[0] for text in faults.half_made] == ["invoice c"]
    assert [text.split(":")[0] for text in faults.wrong_totals] == ["invoice d", "account 800"]
    assert not compare(wanted, wanted)

    row = scenarios.Row("by hand", documents=4, faults=faults)
    made_of = certificate.origin(4, 1, None, "18.0")
    path = certificate.write(tmp_path, [row], made_of)
    assert "**NOT passed**" in path.read_text()
    assert "| by hand | 4 | 1 | 1 | 1 | 2 |" in path.read_text()
    kept = json.loads((tmp_path / "certificate.json").read_text())
    assert kept["passed"] is False
    assert kept["rows"][0]["lost"] == 1
    assert len(kept["commit"]) >= 7


def test_the_command_names_its_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    told = capsys.readouterr().out
    assert all(scenario.name in told for scenario in scenarios.SCENARIOS)
    assert main(["--scenario", "earthquake"]) == 2
    assert "cin7-slow-commit" in capsys.readouterr().err
