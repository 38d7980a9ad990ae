"""SYSPRO's side of a cycle: one session whatever happens, and readings that hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlc_pipeline.sandbox.company.model import Company, Supplier
from mlc_pipeline.sync.vocabulary import Outcome
from mlc_pipeline.vault import environment_variable
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import Pair, counted, reasons

pytestmark = pytest.mark.e2e


def _sessions(pair: Pair) -> dict[str, int]:
    told = pair.syspro.control("summary")
    names = ("logons", "logoffs", "open_sessions", "orphaned_sessions")
    return {name: told[name] for name in names}


ONCE = {"logons": 1, "logoffs": 1, "open_sessions": 0, "orphaned_sessions": 0}


def _many_suppliers() -> Company:
    whole = companies.one_invoice()
    others = tuple(
        Supplier(supplier_id=f"2{n:05d}", name=f"Fennimoor {n} Ltd", tax_code="S20")
        for n in range(24)
    )
    return replace(whole, suppliers=(*whole.suppliers, *others))


def _reads(pair: Pair, entity_set: str) -> int:
    return int(pair.syspro.control("summary")["calls"].get(f"OData {entity_set}", 0))


def test_a_cycle_logs_on_once_and_off_once_and_so_does_the_next(start: Start) -> None:
    pair = start(companies.six_documents())
    pair.run(DAY)
    assert _sessions(pair) == ONCE
    pair.run(DAY)
    assert _sessions(pair) == ONCE | {"logons": 2, "logoffs": 2}


def test_a_cycle_that_finds_cin7_down_logs_off_and_says_so(start: Start) -> None:
    pair = start(companies.six_documents())
    pair.fault("html_200", times=1000)
    summary = pair.run(DAY)
    assert summary.exit_code == 1
    assert any("Cin7" in problem or "cin7" in problem for problem in summary.problems)
    assert _sessions(pair) == ONCE

    pair.cin7.control("faults", method="DELETE")
    last = pair.run(DAY)
    assert last.exit_code == 0
    pair.assert_clean()


def test_a_cycle_whose_cin7_key_is_wrong_writes_nothing_and_shows_no_secret(
    start: Start,
) -> None:
    pair = start(companies.one_invoice())
    variable = environment_variable(pair.name, "cin7_application_key_main")
    pair.environ[variable] = "5a4db0c5-0000-4000-8000-00000000dead"
    summary = pair.run(DAY)
    assert summary.exit_code == 1
    assert _sessions(pair) == ONCE
    assert summary.cin7_writes == 0
    told = "\n".join(summary.problems)
    assert "403" in told
    assert "dead" not in told


def test_a_cycle_that_cin7_leaves_in_the_middle_of_its_writes_logs_off(start: Start) -> None:
    pair = start(companies.six_documents())
    pair.fault("drop_before", "header", times=1000)
    first = pair.run(DAY)
    assert _sessions(pair) == ONCE
    assert counted(first, Outcome.FAILED) == 0
    assert reasons(first)[companies.ORDER] in ("answer_lost", "cin7_unavailable")
    # Red, so that the day is run again: nothing else would bring what was not written.
    assert first.exit_code == 1

    pair.cin7.control("faults", method="DELETE")
    last = pair.run(DAY)
    assert (last.exit_code, last.stopped) == (0, [])
    pair.assert_clean()


def test_a_session_that_ends_between_two_pages_is_renewed_once(start: Start) -> None:
    pair = start(_many_suppliers(), syspro={"page_size": 10})
    pair.syspro.control("faults", {"path": "/ApSupplier?", "skip": 1, "kind": "expire_session"})
    summary = pair.run(DAY)
    assert summary.exit_code == 0
    assert pair.metadata("syspro", "suppliers")["rows"] == 25
    assert _sessions(pair) == {
        "logons": 2,
        "logoffs": 1,
        "open_sessions": 0,
        "orphaned_sessions": 1,
    }


def test_pages_are_read_to_their_end_whichever_way_they_are_linked(start: Start) -> None:
    for next_link in (False, True):
        pair = start(
            _many_suppliers(),
            name=f"linked_{next_link}".lower(),
            syspro_stand_in={"page_size": 10, "next_link": next_link},
            syspro={"page_size": 10},
            policies={"supplier_scope": "all"},
        )
        summary = pair.run(DAY)
        assert summary.exit_code == 0
        assert len(pair.suppliers()) == 25
        assert _reads(pair, "ApSupplier") == 3
        assert _sessions(pair) == ONCE


def test_a_service_that_asks_for_a_user_and_password_is_read_too(start: Start) -> None:
    pair = start(
        companies.six_documents(),
        syspro_stand_in={"odata_auth": "basic"},
        syspro={"odata_auth": "basic"},
    )
    summary = pair.run(DAY)
    assert summary.exit_code == 0
    assert len(pair.booked()) == 3
    assert _sessions(pair) == ONCE


def test_a_syspro_without_odata_is_read_through_its_business_objects(start: Start) -> None:
    pair = start(companies.six_documents(), syspro={"reader": "comfnd"})
    summary = pair.run(DAY)
    assert summary.problems == []
    assert summary.exit_code == 0
    assert len(pair.booked()) == 3
    assert summary.posted == summary.in_cin7 == 192


def test_a_column_that_syspro_lacks_is_named_before_any_row_is_read(start: Start) -> None:
    pair = start(
        companies.one_invoice(), syspro_stand_in={"absent": ["ApPosting.ExpenseGlCode"]}
    )
    summary = pair.run(DAY)
    assert summary.exit_code == 1
    told = [problem for problem in summary.problems if "ExpenseGlCode" in problem]
    assert told
    assert all("ApPosting" in p and "connection.yaml" in p for p in told)
    calls: dict[str, Any] = pair.syspro.control("summary")["calls"]
    assert {name for name in calls if name.startswith("OData ")} == {"OData $metadata"}
    assert pair.writes() == {}
    assert _sessions(pair) == ONCE


def test_a_wrong_password_is_tried_once_and_told_without_being_shown(start: Start) -> None:
    pair = start(companies.one_invoice())
    variable = environment_variable(pair.name, "syspro_operator_password")
    pair.environ[variable] = "not-this-one"
    summary = pair.run(DAY)
    assert summary.exit_code == 1
    told = "\n".join(summary.problems)
    assert "Invalid operator password" in told
    assert "not-this-one" not in told
    # More attempts would lock the operator out.
    calls = pair.syspro.control("summary")["calls"]
    assert {name: count for name, count in calls.items() if "logon" in name} == {"/logon": 1}


def test_an_optional_table_that_syspro_lacks_is_done_without(start: Start) -> None:
    pair = start(companies.one_invoice(), syspro_stand_in={"absent": ["GrnMatching"]})
    summary = pair.run(DAY)
    assert (summary.exit_code, summary.problems) == (0, [])
    assert len(pair.booked()) == 1
