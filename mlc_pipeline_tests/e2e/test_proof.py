"""The proof as people use it: the trail, where a document is, what vanished, replays."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from mlc_pipeline.cli import app
from mlc_pipeline.staging.tables import documents
from mlc_pipeline.sync.vocabulary import Kind
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY, ORDER, invoice, postings
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import Pair, outcomes, read_csv

pytestmark = pytest.mark.e2e


def started(start: Start, company: Any, monkeypatch: pytest.MonkeyPatch) -> Pair:
    pair = start(company)
    monkeypatch.setenv("MLC_CONNECTIONS_DIR", str(pair.folder.parent))
    for name, value in pair.environ.items():
        monkeypatch.setenv(name, value)
    return pair


def mlc(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def as_json(*arguments: str) -> Any:
    return json.loads(mlc(*arguments, "--json")[1])


def test_the_life_of_a_document_is_found_by_each_of_its_numbers_and_can_be_proven(
    start: Start, monkeypatch: pytest.MonkeyPatch, database: sa.Engine
) -> None:
    pair = started(start, companies.six_documents(), monkeypatch)
    assert pair.run(DAY).exit_code == 0
    marker = pair.purchase(f"SYSPRO:{pair.connection.syspro.company}:AP:{KEY}:INV-2")
    task = next(i["TaskID"] for i in marker["Invoice"] if i["InvoiceNumber"] == "INV-2")
    journal = str(int(pair.rows("ApInvoice", Invoice="INV-2")[0]["Journal"]))
    spend = f"{KEY}|INV-2"
    for number in (
        "INV-2",
        "inv-2",
        "100100 INV-2",
        spend,
        journal,
        task,
        marker["OrderNumber"],
    ):
        found = as_json("where", number, "--connection", pair.name)["found"]
        assert spend in [one["document"] for one in found], number
    (one,) = as_json("where", "100100/INV-2")["found"]
    assert one["stands"] == f"in Cin7 ({marker['OrderNumber']})"
    assert one["link"].endswith(marker["ID"])
    assert [c["step"] for c in one["calls"]] == [
        "create_purchase",
        "post_order",
        "post_invoice",
    ]
    assert {row["table"] for row in one["syspro"]} == {"invoices", "postings"}
    assert [e["action"] for e in one["events"]] == ["intended", "done"] * 3
    order = as_json("where", ORDER.lstrip("0"))["found"]
    assert ORDER in [one["document"] for one in order]
    code, said = mlc("where", "100100 INV-2")
    assert code == 0
    assert "nobody needs to" in said
    assert mlc("where", "no such number")[0] == 1

    code, said = mlc("audit", "verify", pair.name)
    assert code == 0, said
    with database.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role TO replica"))
        connection.execute(
            sa.text(
                "UPDATE ledger.audit_events SET reason = 'all is well' "
                "WHERE connection = :name AND source_key = :key AND action = 'done' "
                "AND step = 'post_invoice'"
            ),
            {"name": pair.name, "key": spend},
        )
    code, said = mlc("audit", "verify")
    assert code == 1
    assert f"done post_invoice of invoice {spend}) was altered" in said
    assert spend in mlc("audit", "show", pair.name, "--document", spend, "--json")[1]


def test_what_vanished_from_cin7_is_reported_and_made_again_only_on_command(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = started(start, companies.six_documents(), monkeypatch)
    assert pair.run(DAY).exit_code == 0
    assert mlc("verify", pair.name)[0] == 0
    before = pair.totals()
    pair.cin7.control("reset", {})
    pair.forget_traffic()

    again = pair.run(DAY)
    assert again.exit_code == 1
    assert pair.writes() == {}
    (problem,) = [p for p in again.problems if ", check everything_is_there: " in p]
    assert "6 documents are not as the ledger has them" in problem
    code, said = mlc("verify", pair.name)
    assert code == 1
    found = as_json("verify", pair.name)["found"]
    assert {(f["finding"], f["kind"]) for f in found} == {
        ("vanished", kind)
        for kind in ("supplier", "purchase_order", "receipt", "invoice", "credit_note")
    }
    assert len(found) == 6
    assert "vanished" in as_json("where", ORDER)["found"][0]["stands"]

    code, said = mlc("verify", pair.name, "--repair", "recreate")
    assert code == 0, said
    assert pair.writes() == {}
    replayed = as_json("replay", pair.name, "--from", str(DAY), "--to", str(DAY))
    assert replayed["certificate"] == "6 creates, 0 updates"
    pair.assert_clean()
    assert pair.totals() == before
    assert mlc("verify", pair.name)[0] == 0
    assert mlc("audit", "verify", pair.name)[0] == 0


def test_a_lost_ledger_is_found_again_and_nothing_is_written_twice(
    start: Start, monkeypatch: pytest.MonkeyPatch, database: sa.Engine
) -> None:
    pair = started(start, companies.six_documents(), monkeypatch)
    assert pair.run(DAY).exit_code == 0
    before = pair.totals()
    with database.begin() as connection:
        connection.execute(documents.delete().where(documents.c.kind != Kind.SUPPLIER))
    found = as_json("verify", pair.name)["found"]
    assert sorted(f["document"] for f in found if f["finding"] == "unknown") == [
        f"{KEY}|INV-2",
        ORDER,
    ]
    code, said = mlc("verify", pair.name, "--repair", "adopt")
    assert code == 0, said
    pair.forget_traffic()
    summary = pair.run(DAY)
    assert summary.exit_code == 0, summary.problems
    # Orders and invoices are compared, the receipt and invoice on the order are linked; a
    # credit note without its link is looked for by its number.
    assert pair.writes() == {}
    pair.assert_clean()
    assert pair.totals() == before


def test_a_document_that_was_changed_by_hand_is_named_until_it_is_accepted(
    start: Start, monkeypatch: pytest.MonkeyPatch, database: sa.Engine
) -> None:
    pair = started(start, companies.one_invoice(), monkeypatch)
    assert pair.run(DAY).exit_code == 0
    (purchase,) = pair.purchases()
    # The clocks of both systems may differ by seconds; let some pass.
    with database.begin() as connection:
        connection.execute(
            sa.text("UPDATE ledger.documents SET updated_at = now() - interval '1 h'")
        )
    change = {
        "Invoice.0.AdditionalCharges.0.Price": 90,
        "Invoice.0.AdditionalCharges.0.Total": 90,
    }
    pair.cin7.control("edit", {"purchase": purchase["ID"], "set": change})
    (found,) = as_json("verify", pair.name)["found"]
    assert (found["finding"], found["document"]) == ("differs", f"{KEY}|INV-1")
    assert "found 90" in found["detail"]
    code, said = mlc("accept", pair.name, "INV-1", "--note", "agreed")
    assert code == 1
    assert "Total" in said
    code, said = mlc("accept", pair.name, "INV-1", "--note", "agreed", "--differs")
    assert code == 0, said
    assert mlc("verify", pair.name)[0] == 0
    (event,) = as_json("audit", "show", pair.name, "--action", "accepted")
    assert event["reason"].startswith("agreed; differs: ")
    assert event["actor"]
    assert mlc("audit", "verify", pair.name)[0] == 0


def test_what_is_held_goes_through_by_its_reason_once_the_cause_is_gone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = invoice("INV-NEW", "40.00", document_no="5002")
    company = companies.company(
        invoices=(new,), gl_distributions=postings(new, {"120.7990": "40.00"})
    )
    pair = started(start, company, monkeypatch)
    assert pair.run(DAY).exit_code == 3
    (one,) = as_json("where", "INV-NEW")["found"]
    assert one["stands"].startswith("held since ")
    assert one["who_can_act"] == "finance, in the connection's mapping files"
    assert "120.7990" in one["hold"]["reason"]
    held = as_json("replay", pair.name, "--held", "unmapped_account")
    assert (held["certificate"], held["exit_code"]) == (
        "0 creates, 0 updates: nothing had to be written",
        3,
    )
    (raw,) = [r for r in read_csv(pair.folder, "gl_accounts") if r["syspro_code"] == "7010"]
    pair.map_account("7990", raw["cin7_account"])
    replayed = as_json("replay", pair.name)
    assert replayed["certificate"] == "1 creates, 0 updates"
    assert [d.split(" (")[0] for d in replayed["differences"]] == [
        f"created invoice {KEY}|INV-NEW"
    ]
    assert as_json("replay", pair.name, "--held", "unmapped_account")["runs"] == []
    events = as_json("audit", "show", pair.name, "--document", f"{KEY}|INV-NEW")
    assert [e["action"] for e in events].count("held") == 1
    assert events[-1]["action"] == "released"
    assert outcomes(pair.run(DAY), Kind.INVOICE) == {"unchanged": 1}


def test_verifying_some_days_says_what_it_did_not_look_for_and_refuses_what_does_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = started(start, companies.one_invoice(), monkeypatch)
    pair.run(DAY)
    one = ("--partition", str(DAY))
    code, said = mlc("verify", pair.name, *one)
    assert (code, "Not looked for" in said) == (0, True)
    assert "Not looked for" not in mlc("verify", pair.name)[1]
    assert as_json("verify", pair.name, *one)["unknown_looked_for"] is False
    assert as_json("verify", pair.name)["unknown_looked_for"] is True
    for words in (
        (*one, "--repair", "adopt"),
        (*one, "--from", str(DAY)),
        ("--from", "2026-03-05", "--to", "2026-03-04"),
        ("--document", "020001"),
    ):
        assert mlc("verify", pair.name, *words)[0] == 2, words
