"""Suppliers both ways through the stand-ins: one vendor master, no loops, no wrong merges."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from mlc_pipeline.assets.runtime import Runtime, runtime_resource
from mlc_pipeline.cli import app
from mlc_pipeline.definitions import build_definitions
from mlc_pipeline.sandbox.company.model import Company, Supplier
from mlc_pipeline.staging.tables import writes
from mlc_pipeline.sync.supplier_decisions import NotDecided
from mlc_pipeline.sync.vocabulary import Kind, Outcome
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY, SUPPLIER
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.masters import Masters, fetched
from mlc_pipeline_tests.e2e.pair import Pair, outcomes

pytestmark = pytest.mark.e2e

Open = Callable[..., Masters]

OTHER = Supplier(
    supplier_id="100101",
    name="Oatridge Fasteners Ltd",
    terms_code="14",
    tax_code="S20",
    tax_number="GB987654321",
)
OTHER_KEY = "000000000100101"


def _company(*suppliers: Supplier) -> Company:
    return replace(companies.one_invoice(), suppliers=suppliers or (SUPPLIER, OTHER))


@pytest.fixture
def open_masters(start: Start) -> Open:
    """Open both masters with suppliers of SYSPRO, and some of them in Cin7."""

    def open_(*suppliers: Supplier, **settings: Any) -> Masters:
        pair = start(
            _company(*suppliers),
            suppliers={"direction": "both", "code_first": 100200, **settings},
            policies={"supplier_scope": "all"},
            syspro={"timeout_seconds": 1},
        )
        return Masters(pair)

    return open_


def _settle(masters: Masters) -> None:
    """Sync until nothing is written any more."""
    for _ in range(4):
        before = masters.writes()
        masters.sync()
        if masters.writes() == before:
            return
    raise AssertionError("it never came to rest")


def test_what_is_made_on_either_side_reaches_the_other_once(open_masters: Open) -> None:
    masters = open_masters()
    made = masters.add_to_cin7(
        "Penhallow Tools Ltd",
        TaxNumber="GB111222333",
        Contacts=[{"Name": "Ann Field", "Phone": "01632 960111", "Default": True}],
        Addresses=[
            {
                "Line1": "4 Mill Road",
                "City": "Wexcombe",
                "Postcode": "ZA9 9ZZ",
                "Country": "United Kingdom",
                "Type": "Business",
                "DefaultForType": True,
            }
        ],
    )
    first = masters.sync()
    assert first.reasons() == {}
    assert first.outcomes() == {Outcome.CREATED: 3}

    links = masters.links()
    assert set(links) == {KEY, OTHER_KEY, "000000000100200"}
    assert links["000000000100200"] == made["ID"]
    new = masters.in_syspro()["000000000100200"]
    assert new["SupplierName"] == "Penhallow Tools Ltd"
    assert new["Contact"] == "Ann Field"
    assert (new["SupAddr1"], new["SupAddr3"], new["SupPostalCode"]) == (
        "4 Mill Road",
        "Wexcombe",
        "ZA9 9ZZ",
    )
    assert len(masters.in_cin7()) == 3

    _settle(masters)
    writes = masters.writes()
    for _ in range(3):
        assert masters.sync().outcomes() == {}
    assert masters.writes() == writes


def _linked(masters: Masters) -> dict[str, str]:
    """Bring both masters to rest and return the links."""
    _settle(masters)
    masters.pair.forget_traffic()
    return masters.links()


def _contact(record: dict[str, Any]) -> dict[str, Any]:
    return dict(record["Contacts"][0])


def _agree(masters: Masters) -> None:
    """Hold that every linked supplier says the same on both sides."""
    syspro, cin7 = masters.in_syspro(), masters.in_cin7()
    for code, cin7_id in masters.links().items():
        left, right = syspro[code], cin7[cin7_id]
        contact = next(iter(right["Contacts"]), {})
        place = next(iter(right["Addresses"]), {})
        assert left["SupplierName"] == right["Name"]
        assert left["TaxRegnNum"] == right["TaxNumber"]
        assert left["Telephone"] == contact.get("Phone", "")
        assert left["Email"] == contact.get("Email", "")
        assert left["SupAddr1"] == place.get("Line1", "")
        assert left["SupPostalCode"] == place.get("Postcode", "")


# --- three ways -------------------------------------------------------------------------


def test_changes_of_both_sides_meet_and_only_what_changed_is_sent(open_masters: Open) -> None:
    masters = open_masters()
    cin7_id = _linked(masters)[KEY]
    masters.edit_syspro(KEY, Telephone="01632 960777", SupAddr1="8 Kiln Lane")
    contact = _contact(masters.in_cin7()[cin7_id])
    masters.edit_cin7(
        cin7_id,
        TaxNumber="GB555",
        Contacts=[{**contact, "Email": "new@quillmere.example"}],
    )
    assert masters.sync().outcomes() == {Outcome.UPDATED: 2}

    left, right = masters.in_syspro()[KEY], masters.in_cin7()[cin7_id]
    assert (left["TaxRegnNum"], left["Email"]) == ("GB555", "new@quillmere.example")
    assert (_contact(right)["Phone"], right["Addresses"][0]["Line1"]) == (
        "01632 960777",
        "8 Kiln Lane",
    )
    (sent,) = masters.syspro_writes()
    fields = set(re.findall(r"<(\w+)>", sent)) - {"SetupApSupplier", "Item", "Key", "Supplier"}
    assert fields == {"TaxRegnNum", "Email"}
    assert "<Supplier>0100100</Supplier>" in sent
    _agree(masters)

    written = masters.writes()
    for _ in range(10):
        assert masters.sync().outcomes() == {}
    assert masters.writes() == written


def test_an_owner_decides_what_changed_on_both_sides(open_masters: Open) -> None:
    masters = open_masters(owners={"phone": "syspro", "email": "cin7"})
    cin7_id = _linked(masters)[KEY]
    masters.edit_syspro(KEY, Telephone="1", Email="one@quillmere.example")
    contact = _contact(masters.in_cin7()[cin7_id])
    masters.edit_cin7(
        cin7_id, Contacts=[{**contact, "Phone": "2", "Email": "two@quillmere.example"}]
    )
    assert masters.sync().reasons() == {}
    left = masters.in_syspro()[KEY]
    assert (left["Telephone"], left["Email"]) == ("1", "two@quillmere.example")
    _agree(masters)


def test_what_somebody_changes_between_plan_and_write_is_not_written_over(
    open_masters: Open,
) -> None:
    masters = open_masters()
    cin7_id = _linked(masters)[KEY]
    contact = _contact(masters.in_cin7()[cin7_id])
    masters.edit_cin7(cin7_id, Contacts=[{**contact, "Phone": "2"}])
    masters.meanwhile = lambda: masters.edit_syspro(KEY, Telephone="3")
    assert masters.sync().reasons() == {KEY: "supplier_moved"}
    assert masters.in_syspro()[KEY]["Telephone"] == "3"
    assert masters.sync().reasons() == {f"{KEY}: phone": "supplier_conflict"}

    masters.edit_syspro(OTHER_KEY, Email="a@oatridge.example")
    other = masters.links()[OTHER_KEY]
    masters.meanwhile = lambda: masters.edit_cin7(
        other, Contacts=[{"Name": "Zoe", "Email": "b@oatridge.example", "Default": True}]
    )
    assert masters.sync().reasons()[OTHER_KEY] == "supplier_moved"
    assert _contact(masters.in_cin7()[other])["Email"] == "b@oatridge.example"


# --- answers that are lost, processes that end ----------------------------------------------


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "garbage", "error_500"])
def test_a_lost_answer_of_syspro_never_makes_a_supplier_twice(
    open_masters: Open, kind: str
) -> None:
    masters = open_masters()
    _linked(masters)
    made = masters.add_to_cin7("Penhallow Tools Ltd")
    masters.lose(kind, "syspro")
    first = masters.sync()
    assert set(first.reasons().values()) == {"answer_lost"}
    masters.time_passes()
    second = masters.sync()
    wanted = Outcome.ADOPTED if kind in ("drop_after", "garbage") else Outcome.CREATED
    assert second.outcomes() == {wanted: 1}
    names = [row["SupplierName"] for row in masters.in_syspro().values()]
    assert sorted(names) == sorted({*names})
    assert masters.links()["000000000100200"] == made["ID"]
    assert masters.sync().outcomes() == {}


def test_a_lost_answer_of_an_update_is_settled_by_what_both_sides_hold(
    open_masters: Open,
) -> None:
    masters = open_masters()
    cin7_id = _linked(masters)[KEY]
    masters.edit_cin7(cin7_id, TaxNumber="GB777")
    masters.lose("drop_after", "syspro")
    assert masters.sync().reasons() == {KEY: "answer_lost"}
    masters.time_passes()
    assert masters.sync().outcomes() == {Outcome.UNCHANGED: 1}
    assert masters.open_writes() == 0
    assert len(masters.syspro_writes()) == 1
    assert masters.in_syspro()[KEY]["TaxRegnNum"] == "GB777"
    assert masters.sync().outcomes() == {}


def test_a_number_that_somebody_took_meanwhile_is_given_back(open_masters: Open) -> None:
    masters = open_masters()
    _linked(masters)
    made = masters.add_to_cin7("Penhallow Tools Ltd")
    taken = {"Supplier": "000000000100200", "SupplierName": "Another One Ltd"}
    masters.meanwhile = lambda: masters.pair.put("ApSupplier", taken)
    masters.sync()
    assert masters.links()["000000000100201"] == made["ID"]
    assert masters.in_syspro()["000000000100200"]["SupplierName"] == "Another One Ltd"


# --- matching ---------------------------------------------------------------------------------


def test_a_name_that_several_codes_share_is_proposed_and_a_person_decides(
    open_masters: Open,
) -> None:
    twin = replace(OTHER, supplier_id="100102", tax_number="")
    first = replace(OTHER, tax_number="")
    masters = open_masters(SUPPLIER, first, twin)
    made = masters.add_to_cin7("OATRIDGE FASTENERS LIMITED")
    synced = masters.sync()
    reasons = synced.reasons()
    assert set(reasons.values()) == {"supplier_match_proposed"}
    assert len(reasons) == 3
    assert set(masters.links()) == {KEY}
    assert masters.writes() == 2  # the other supplier, and the one that a person made
    assert {p.score for p in synced.plan.proposals} == {100}

    desk = masters.desk()
    assert desk.link("0100102", made["ID"]) == "000000000100102"
    masters.sync()
    assert masters.links()["000000000100102"] == made["ID"]
    # The namesake gets a supplier of its own, which its code tells apart.
    names = {s["Name"] for s in masters.in_cin7().values()}
    assert "Oatridge Fasteners Ltd [100101]" in names
    _settle(masters)
    left = masters.in_syspro()
    assert {left[code]["SupplierName"] for code in masters.links() if code != KEY} <= {
        "Oatridge Fasteners Ltd",
        "OATRIDGE FASTENERS LIMITED",
    }


def test_a_supplier_that_doubles_a_linked_one_is_not_made_in_syspro(open_masters: Open) -> None:
    masters = open_masters()
    _linked(masters)
    twin = masters.add_to_cin7("Quillmere Castings Limited")
    key = f"cin7:{twin['ID']}"
    assert masters.sync().reasons() == {key: "supplier_match_proposed"}
    masters.desk().ignore(None, twin["ID"], note="test account")
    assert masters.sync().reasons() == {}
    assert len(masters.in_syspro()) == 2


def test_a_link_that_is_undone_is_not_made_again_by_itself(open_masters: Open) -> None:
    masters = open_masters()
    cin7_id = _linked(masters)[KEY]
    masters.desk().unlink("0100100")
    masters.edit_cin7(cin7_id, TaxNumber="GB1")
    assert masters.sync().outcomes() == {}
    assert KEY not in masters.links()
    masters.desk().link("0100100", cin7_id)
    assert masters.sync().reasons() == {f"{KEY}: tax_number": "supplier_conflict"}
    assert [d["action"] for d in masters.desk().history()] == ["link", "unlink"]


def test_a_second_link_of_either_side_is_refused_by_name(open_masters: Open) -> None:
    masters = open_masters()
    links = _linked(masters)
    with pytest.raises(NotDecided, match="unlink first"):
        masters.desk().link("0100100", links[OTHER_KEY])
    with pytest.raises(NotDecided, match="no '0999999'"):
        masters.desk().link("0999999", links[KEY])
    with pytest.raises(NotDecided, match="no conflict in phone"):
        masters.desk().resolve("0100100", "phone", "syspro", None)


# --- what SYSPRO cannot hold, and what it refuses ---------------------------------------

_LONG = "Worshipful Company of Łódź, Makers of Extremely Long Names Limited"


def test_what_does_not_fit_is_held_or_cut_as_the_connection_says(open_masters: Open) -> None:
    masters = open_masters()
    made = masters.add_to_cin7(_LONG)
    key = f"cin7:{made['ID']}"
    assert masters.sync().reasons() == {key: "supplier_unfit"}
    masters.pair.configure(
        suppliers={"direction": "both", "code_first": 100200, "field_fit": "cut"},
        policies={"supplier_scope": "all"},
    )
    _settle(masters)
    (name,) = [
        r["SupplierName"] for r in masters.in_syspro().values() if "Wor" in r["SupplierName"]
    ]
    assert name == "Worshipful Company of Lódz, Makers of Extremely Lo"
    assert made["Name"] == masters.in_cin7()[made["ID"]]["Name"] == _LONG
    writes = masters.writes()
    assert masters.sync().outcomes() == {}
    assert masters.writes() == writes


def test_what_syspro_refuses_is_told_field_by_field_and_uses_up_no_number(
    open_masters: Open,
) -> None:
    masters = open_masters(new_supplier={"DefTaxCode": "??"})
    _linked(masters)
    made = masters.add_to_cin7("Penhallow Tools Ltd")
    refused = masters.sync()
    (held,) = [r for r in refused.to_syspro.rows if r.pushed.reason_code]
    assert held.pushed.reason_code == "syspro_refused"
    assert "deftaxcode" in str(held.pushed.reason)
    assert masters.syspro_writes() == []
    assert made["ID"] not in masters.links().values()


def test_a_term_that_two_syspro_codes_stand_for_is_held_alone(open_masters: Open) -> None:
    masters = open_masters()
    cin7_id = _linked(masters)[KEY]
    terms = masters.pair.get("ref/paymentterm", Limit=100)["PaymentTermList"]
    usable = {t["Name"] for t in terms if t["IsActive"]}
    unclear = min(usable - {masters.in_cin7()[cin7_id]["PaymentTerm"]})
    masters.map_term("98", unclear)
    masters.edit_cin7(cin7_id, PaymentTerm=unclear, TaxNumber="GB9")
    assert masters.sync().reasons() == {f"{KEY}: terms": "terms_unmapped"}
    assert masters.in_syspro()[KEY]["TaxRegnNum"] == "GB9"


# --- status, and what is gone -----------------------------------------------------------


def test_on_hold_and_deprecated_go_together_only_if_the_connection_says_so(
    open_masters: Open,
) -> None:
    masters = open_masters()
    links = _linked(masters)
    masters.edit_syspro(KEY, OnHold="Y")
    masters.edit_cin7(links[OTHER_KEY], Status="Deprecated")
    assert masters.sync().outcomes() == {}
    masters.pair.configure(
        suppliers={"direction": "both", "status": "merge"}, policies={"supplier_scope": "all"}
    )
    assert set(masters.sync().reasons().values()) == {"supplier_conflict"}
    masters.desk().resolve("0100100", "status", "syspro", None)
    masters.desk().resolve("0100101", "status", "cin7", None)
    masters.sync()
    assert masters.in_cin7()[links[KEY]]["Status"] == "Deprecated"
    assert masters.in_syspro()[OTHER_KEY]["OnHold"] == "Y"
    masters.edit_cin7(links[KEY], Status="Active")
    masters.sync()
    assert masters.in_syspro()[KEY]["OnHold"] == "N"


def test_what_is_gone_is_reported_and_nothing_is_deleted(open_masters: Open) -> None:
    masters = open_masters()
    links = _linked(masters)
    masters.pair.remove("ApSupplier", KEY)
    assert masters.sync().reasons() == {f"{KEY}: supplier_gone": "supplier_gone"}
    masters.pair.cin7.control("edit", {"supplier": links[OTHER_KEY], "delete": True})
    # Changes alone do not show it; the next whole reading does.
    assert set(masters.sync().reasons()) == {f"{KEY}: supplier_gone"}
    masters.forget_readings()
    assert set(masters.sync().reasons()) == {
        f"{KEY}: supplier_gone",
        f"{OTHER_KEY}: supplier_gone",
    }
    assert links[KEY] in masters.in_cin7()
    assert OTHER_KEY in masters.in_syspro()
    assert masters.writes() == 0


def test_cin7_is_asked_for_changes_and_for_everything_only_now_and_then(
    open_masters: Open,
) -> None:
    masters = open_masters()
    _linked(masters)
    masters.sync()
    asked = [r for r in masters.pair.traffic() if r["path"].lower().endswith("/supplier")]
    assert len(asked) == 1
    assert "ModifiedSince" in str(asked[0])


# --- whole cycles, the UI and a person's command --------------------------------------------


def _command(pair: Pair, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    """Run a command of `mlc` as a person does."""
    monkeypatch.setenv("MLC_CONNECTIONS_DIR", str(pair.folder.parent))
    result = CliRunner().invoke(app, ["suppliers", words[0], pair.name, *words[1:]])
    assert result.exit_code == 0, result.output
    return result


def test_a_conflict_is_seen_decided_by_a_command_and_carried_out(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = start(_company(), suppliers={"direction": "both"})
    masters = Masters(pair)
    first = pair.run(DAY)
    assert (first.exit_code, first.problems) == (0, [])
    cin7_id = masters.links()[KEY]
    sessions = pair.syspro.control("summary")
    assert (sessions["logons"], sessions["logoffs"], sessions["open_sessions"]) == (1, 1, 0)

    masters.edit_syspro(KEY, Telephone="01632 960001 x1")
    contact = _contact(masters.in_cin7()[cin7_id])
    masters.edit_cin7(cin7_id, Contacts=[{**contact, "Phone": "01632 960002"}])
    held = pair.run(DAY)
    assert held.exit_code == 3
    assert outcomes(held, Kind.SYSPRO_SUPPLIER) == {"held": 1}
    assert outcomes(held, Kind.INVOICE) == {"unchanged": 1}  # its documents go on
    seen = pair.check("plan", "suppliers", "no_supplier_conflicts")
    assert not seen.passed
    assert "mlc suppliers resolve" in str(seen.description)
    shown = str(pair.metadata("plan", "suppliers")["conflicts"])
    assert "01632 960001 x1" in shown
    assert "01632 960002" in shown

    listed = json.loads(_command(pair, monkeypatch, "conflicts", "--json").stdout)
    assert [(c["attribute"], c["base"], c["syspro"], c["cin7"]) for c in listed] == [
        ("phone", "01632 960001", "01632 960001 x1", "01632 960002")
    ]
    _command(pair, monkeypatch, "resolve", "0100100", "phone", "--value", "01632 960003")
    done = pair.run(DAY)
    assert (done.exit_code, done.problems) == (0, [])
    assert masters.in_syspro()[KEY]["Telephone"] == "01632 960003"
    assert _contact(masters.in_cin7()[cin7_id])["Phone"] == "01632 960003"
    assert pair.check("plan", "suppliers", "no_supplier_conflicts").passed

    pair.forget_traffic()
    last = pair.run(DAY)
    assert (last.exit_code, masters.writes()) == (0, 0)
    told = json.loads(_command(pair, monkeypatch, "history", "--json").stdout)
    assert [d["action"] for d in told] == ["settled", "resolve"]
    assert told[1]["decided_by"] == getpass.getuser()
    trail = CliRunner().invoke(app, ["audit", "show", pair.name, "--document", KEY, "--json"])
    decided = [e for e in json.loads(trail.stdout) if e["action"] == "decided"]
    assert [(e["step"], e["actor"]) for e in decided] == [("resolve", getpass.getuser())]
    assert "'01632 960003'" in decided[0]["reason"]
    ours = [w for w in fetched(masters.engine, writes) if w["kind"] == "supplier"]
    assert [w["state"] for w in ours] == ["done"] * len(ours)
    assert {"update_syspro_supplier", "update_supplier"} <= {w["step"] for w in ours}
    sessions = pair.syspro.control("summary")
    assert (sessions["logons"], sessions["logoffs"], sessions["open_sessions"]) == (4, 4, 0)


def test_a_change_in_cin7_starts_one_small_cycle_and_our_own_write_none(start: Start) -> None:
    pair = start(_company(), suppliers={"direction": "both"})
    masters = Masters(pair)
    pair.run(DAY)
    cin7_id = masters.links()[KEY]
    pair.run(DAY)
    definitions = build_definitions(
        [(pair.connection, pair.folder)], {"runtime": runtime_resource(pair.environ)}
    )
    sensor = definitions.resolve_sensor_def(f"{pair.name}_cin7_suppliers")

    def ask(instance: dg.DagsterInstance, cursor: str | None) -> Any:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"runtime": Runtime(pair.environ)}
        )
        return sensor.evaluate_tick(context)

    with pair.dagster() as instance:
        quiet = ask(instance, None)
        assert quiet.run_requests == []  # what we wrote ourselves says nothing new
        masters.edit_cin7(cin7_id, TaxNumber="GB1212")
        told = ask(instance, quiet.cursor)
        (request,) = told.run_requests
        assert request.tags["mlc/trigger"] == "suppliers"
        again = ask(instance, quiet.cursor)
        assert again.run_requests[0].run_key == request.run_key
        job = definitions.resolve_job_def(f"{pair.name}_suppliers")
        result = job.execute_in_process(
            instance=instance, tags={**request.tags}, raise_on_error=False
        )
        assert result.success
        assert masters.in_syspro()[KEY]["TaxRegnNum"] == "GB1212"
        pair.run(DAY)
        assert ask(instance, told.cursor).run_requests == []
    assert pair.syspro.control("summary")["open_sessions"] == 0
