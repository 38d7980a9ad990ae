"""Suppliers decided in `supplier_links.csv`, through the stand-ins: once, and never guessed."""

from __future__ import annotations

import csv
import getpass
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import Result
from typer.testing import CliRunner

from mlc_pipeline.assets.common import Site, plan_context
from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.cli import app
from mlc_pipeline.connection.model import SupplierAttribute
from mlc_pipeline.sandbox.company.model import Supplier
from mlc_pipeline.staging.audit_tables import audit_events
from mlc_pipeline.staging.supplier_tables import supplier_bases, supplier_decisions
from mlc_pipeline.sync.ledger import DocumentRef, Ledger
from mlc_pipeline.sync.planner import suppliers_of
from mlc_pipeline.sync.resolved import held_days, is_resolved
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.supplier_decisions import NotDecided
from mlc_pipeline.sync.supplier_records import RESERVED
from mlc_pipeline.sync.vocabulary import READY, Kind
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY, SUPPLIER
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.masters import Masters, fetched
from mlc_pipeline_tests.e2e.pair import Pair, outcomes, reasons

pytestmark = pytest.mark.e2e

OTHER = Supplier(
    supplier_id="100101",
    name="Oatridge Fasteners Ltd",
    terms_code="14",
    tax_code="S20",
    tax_number="GB987654321",
)
OTHER_KEY = "000000000100101"
NOBODY = "5d1f1f0a-0000-4000-8000-00000000dead"
ALIKE = "Quillmere Casting"
"""Like SYSPRO's supplier, but nothing proves it."""


def _pair(start: Start, *suppliers: Supplier, **settings: Any) -> Pair:
    company = replace(companies.one_invoice(), suppliers=suppliers or (SUPPLIER, OTHER))
    both = {
        "direction": "both",
        "code_first": 100200,
        "proposal_score": 60,
        "owners": dict.fromkeys(get_args(SupplierAttribute), "syspro"),
    }
    return start(company, suppliers=both, syspro={"timeout_seconds": 5}, **settings)


def _masters(start: Start, *suppliers: Supplier) -> Masters:
    return Masters(_pair(start, *suppliers, policies={"supplier_scope": "all"}))


def _mlc(pair: Pair, *words: str) -> Result:
    """Run a command of `mlc` as a person does."""
    environment = {**pair.environ, "MLC_CONNECTIONS_DIR": str(pair.folder.parent)}
    return CliRunner().invoke(app, [*words[:2], pair.name, *words[2:]], env=environment)


def _history(pair: Pair) -> list[tuple[str, str]]:
    told = json.loads(_mlc(pair, "suppliers", "history", "--json").stdout)
    return [(d["action"], d["decided_by"]) for d in reversed(told)]


def test_a_proposal_is_decided_in_the_file_and_undone_in_it(
    start: Start, tmp_path: Path
) -> None:
    pair = _pair(start)
    masters = Masters(pair)
    twin = masters.add_to_cin7(ALIKE)
    held = pair.run(DAY)
    assert held.exit_code == 3
    assert reasons(held)[KEY] == "supplier_match_proposed"

    # The proposals are written for review, without a decision.
    review = tmp_path / "proposals.csv"
    listed = _mlc(pair, "suppliers", "list", "--out", str(review))
    assert listed.exit_code == 0, listed.output
    (row,) = csv.DictReader(review.open(encoding="utf-8"))
    assert (row["syspro_supplier"], row["cin7_supplier"]) == (KEY, twin["ID"])
    assert (row["decision"], row["note"], row["syspro_name"]) == ("", "", SUPPLIER.name)

    masters.decide(f"0100100,{twin['ID']},link,same VAT certificate")
    done = pair.run(DAY)
    assert outcomes(done, Kind.INVOICE) == {"created": 1}
    assert masters.links()[KEY] == twin["ID"]
    assert _history(pair) == [("link", "supplier_links.csv")]
    (said,) = fetched(masters.engine, supplier_decisions)
    assert said["note"] == "same VAT certificate"
    told = [e for e in fetched(masters.engine, audit_events) if e["actor"]]
    assert [(e["actor"], e["source_key"]) for e in told] == [("supplier_links.csv", KEY)]

    # It is decided once, however often it is read.
    pair.run(DAY)
    pair.forget_traffic()
    assert pair.run(DAY).exit_code == 0
    assert masters.writes() == 0
    assert _history(pair) == [("link", "supplier_links.csv")]

    # A command does not gainsay the file, and says which row to change.
    refused = _mlc(pair, "suppliers", "unlink", "0100100")
    assert refused.exit_code == 1
    assert "supplier_links.csv:2 says link 0100100" in refused.output
    assert masters.links()[KEY] == twin["ID"]

    masters.decide(f"0100100,{twin['ID']},unlink,another legal person")
    parted = pair.run(DAY)
    assert KEY not in masters.links()
    assert parted.exit_code == 3
    assert len(masters.in_cin7()) == 1  # neither is made anew on the other side
    assert len(masters.in_syspro()) == 2
    pair.run(DAY)
    assert [action for action, _ in _history(pair)] == ["link", "unlink"]
    refused = _mlc(pair, "suppliers", "link", "0100100", twin["ID"])
    assert (refused.exit_code, "says unlink" in refused.output) == (1, True)

    masters.decide()  # without its row, commands decide again
    linked = _mlc(pair, "suppliers", "link", "0100100", twin["ID"])
    assert linked.exit_code == 0, linked.output
    pair.run(DAY)
    assert _history(pair)[-1] == ("link", getpass.getuser())
    assert masters.links()[KEY] == twin["ID"]


def test_the_proposals_that_are_wrong_are_parted_in_the_file(start: Start) -> None:
    masters = _masters(start)
    twin = masters.add_to_cin7(ALIKE)
    assert masters.sync().reasons()[KEY] == "supplier_match_proposed"
    masters.decide(f"0100100,{twin['ID']},ignore,a daughter", f",{twin['ID']},ignore,")
    made = masters.sync()
    assert made.reasons() == {}
    assert len(masters.links()) == 2
    assert twin["ID"] not in masters.links().values()
    assert len(masters.in_syspro()) == 2
    before = len(fetched(masters.engine, supplier_decisions))
    assert masters.sync().outcomes() == {}
    assert len(fetched(masters.engine, supplier_decisions)) == before == 2


def test_rows_that_cannot_be_carried_out_hold_what_they_name_and_no_more(
    start: Start,
) -> None:
    third = replace(OTHER, supplier_id="100102", name="Wexcombe Paper Mill", tax_number="")
    masters = _masters(start, SUPPLIER, OTHER, third)
    proven = masters.add_to_cin7("Oatridge Fasteners Ltd", TaxNumber="GB987654321")
    new = masters.add_to_cin7("Penhallow Tools Ltd")
    masters.decide(
        f"0100100,{NOBODY},link,",  # Cin7 has no such supplier
        f"0999999,{new['ID']},link,",  # SYSPRO has none
        f"0100101,{proven['ID']},link,",
        f"0100101,{NOBODY[:-4]}beef,link,",  # one code, two links
    )
    held = masters.sync()
    assert masters.links() == {"000000000100102": masters.links()["000000000100102"]}
    assert len(masters.in_cin7()) == 3  # the two that people made, and Wexcombe
    assert len(masters.in_syspro()) == 3
    why = {
        r.source_key: str(r.pushed.reason) for r in held.to_syspro.rows if r.pushed.reason_code
    }
    assert set(held.reasons().values()) == {"supplier_undecided"}
    file = masters.pair.folder / "supplier_links.csv"
    told = why["supplier_links.csv:2: supplier_undecided"]
    assert told.startswith(f"{file.as_posix()}:2: cin7_supplier: found '{NOBODY}', expected")
    assert "copy it from mlc suppliers list" in told
    told = why["supplier_links.csv:3: supplier_undecided"]
    assert ":3: syspro_supplier: found '0999999', expected a supplier that SYSPRO had" in told
    told = why["supplier_links.csv:4: supplier_undecided"]
    assert "decision: found 'link'" in told
    assert "line 5 decides otherwise" in told

    # Corrected, they go; what the file never named was never kept waiting.
    masters.decide(f"0100101,{proven['ID']},link,", f",{new['ID']},ignore,not used")
    assert masters.sync().reasons() == {}
    assert masters.links()[OTHER_KEY] == proven["ID"]
    assert KEY in masters.links()
    assert len(masters.in_syspro()) == 3


def test_a_link_that_the_file_contradicts_goes_on_until_it_is_undone(start: Start) -> None:
    masters = _masters(start)
    masters.sync()
    links = masters.links()
    free = masters.add_to_cin7(ALIKE)
    masters.decide(f"0100100,{free['ID']},link,", "0100101,,ignore,")
    masters.edit_syspro(OTHER_KEY, Telephone="01632 960777")
    held = masters.sync()
    assert masters.links() == links
    assert len(masters.in_syspro()) == 2  # the one that is named is not made either
    found = " ".join(str(r.pushed.reason) for r in held.to_syspro.rows)
    assert f"is linked to {links[KEY]}; run mlc suppliers unlink first" in found
    assert "ignoring does not undo a link; unlink it" in found
    assert masters.in_cin7()[links[OTHER_KEY]]["Contacts"][0]["Phone"] == "01632 960777"

    # Parting from one and linking with another goes in one file, in whatever order.
    masters.decide(f"0100100,{free['ID']},link,", f"0100100,{links[KEY]},unlink,")
    assert "supplier_undecided" not in masters.sync().reasons().values()
    assert masters.links()[KEY] == free["ID"]
    assert len(masters.in_syspro()) == 2


def test_an_unlink_before_there_is_a_link_keeps_two_suppliers_apart(start: Start) -> None:
    masters = _masters(start)
    proven = masters.add_to_cin7(OTHER.name, TaxNumber=OTHER.tax_number)
    masters.decide(f"0100101,{proven['ID']},unlink,")
    for _ in range(2):
        masters.sync()
        assert set(masters.links()) == {KEY}
    assert (len(masters.in_cin7()), len(masters.in_syspro())) == (2, 2)
    assert len(fetched(masters.engine, supplier_decisions)) == 1


def test_an_unlink_that_a_crash_cut_short_is_finished_by_the_next_run(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    masters = _masters(start)
    masters.sync()
    links = masters.links()
    masters.decide(f"0100101,{links[OTHER_KEY]},unlink,")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "forget", die)
        with pytest.raises(KeyboardInterrupt):
            masters.sync()
    for _ in range(2):
        masters.sync()
        assert set(masters.links()) == {KEY}
    assert (len(masters.in_cin7()), len(masters.in_syspro())) == (2, 2)


def test_a_file_that_cannot_be_read_lets_nothing_new_be_made(start: Start) -> None:
    masters = _masters(start)
    masters.sync()
    new = masters.add_to_cin7("Penhallow Tools Ltd")
    masters.edit_syspro(KEY, Telephone="01632 960888")
    masters.write_links("a;b\n")
    held = masters.sync()
    assert set(held.reasons()) == {
        f"cin7:{new['ID']}",
        "supplier_links.csv:1: supplier_undecided",
    }
    phones = [c["Phone"] for s in masters.in_cin7().values() for c in s["Contacts"]]
    assert "01632 960888" in phones  # links go on
    masters.decide()
    assert masters.sync().reasons() == {}
    assert len(masters.in_syspro()) == 3


def test_a_command_is_held_against_the_file_and_nothing_else(start: Start) -> None:
    masters = _masters(start)
    masters.sync()
    links = masters.links()
    desk = masters.desk()
    desk.unlink("0100101")
    masters.decide("0100101,,ignore,")
    masters.sync()
    desk = masters.desk()
    with pytest.raises(NotDecided, match=r"csv:2 says ignore 0100101, and what the file says"):
        desk.ignore("0100101", None, undo=True)
    with pytest.raises(NotDecided, match="says ignore 0100101"):
        desk.link(OTHER_KEY, links[OTHER_KEY])
    assert desk.unlink("0100100") == KEY


def test_a_supplier_that_was_given_a_code_is_left_alone_too(start: Start) -> None:
    masters = _masters(start)
    masters.sync()
    new = masters.add_to_cin7("Penhallow Tools Ltd")
    # As a run leaves it that ended before SYSPRO heard of the code.
    Ledger(masters.engine, masters.pair.name, "test").adopt(
        DocumentRef(Kind.SUPPLIER, "000000000100200"), state=RESERVED, cin7_id=new["ID"]
    )
    masters.decide(f",{new['ID']},ignore,not used")
    assert masters.sync().outcomes() == {}
    assert len(masters.in_syspro()) == 2
    masters.decide()
    masters.desk().ignore(None, new["ID"], undo=True)
    masters.sync()
    assert "000000000100200" in masters.in_syspro()


# --- what looks at suppliers without keeping a plan ---------------------------------------


def test_what_is_tried_out_follows_the_direction_of_the_suppliers(
    start: Start, tmp_path: Path
) -> None:
    pair = _pair(start, policies={"supplier_scope": "all"})
    masters = Masters(pair)
    masters.add_to_cin7(ALIKE)
    pair.run(DAY)
    assert set(masters.links()) == {OTHER_KEY}
    before = fetched(masters.engine, supplier_bases)
    edited = tmp_path / "edited"
    edited.mkdir()
    (edited / "gl_accounts.csv").write_text("match,syspro_code,cin7_account,role\n", "utf-8")
    period = ("--from", str(DAY), "--to", str(DAY))
    simulated = _mlc(pair, "map", "simulate", *period, "--with", str(edited), "--json")
    assert simulated.exit_code == 0, simulated.output
    # Its supplier waits for a person: without accounts the invoice is held no more than it is.
    result = json.loads(simulated.output)
    assert (result["newly_held"], result["still_stopped"]) == ([], 1)
    assert fetched(masters.engine, supplier_bases) == before


def test_what_waits_for_a_person_is_not_taken_for_resolved(start: Start) -> None:
    pair = _pair(start)
    masters = Masters(pair)
    twin = masters.add_to_cin7(ALIKE)
    pair.run(DAY)
    runtime = Runtime(pair.environ)

    def resolved() -> list[str]:
        context = plan_context(runtime, Site(pair.connection, pair.folder))
        held = [h for h in held_days(runtime.engine, pair.name) if h.table == "suppliers"]
        return [key for each in held for key in is_resolved(runtime.engine, each, context)]

    context = plan_context(runtime, Site(pair.connection, pair.folder))
    ledger = Ledger(runtime.engine, pair.name, "test")
    one_way = suppliers_of(runtime.engine, Window(pair.name, DAY, DAY), context, ledger)
    assert [p.verdict in READY for _, p in one_way.rows] == [True]
    assert resolved() == []
    masters.desk().link("0100100", twin["ID"])
    assert resolved() == [KEY]
