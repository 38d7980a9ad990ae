"""What finance asks before changing a mapping, and what a mapping with dates does."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from typer.testing import CliRunner

from mlc_pipeline.cli import app
from mlc_pipeline.staging.tables import PLAN
from mlc_pipeline.sync.vocabulary import Kind
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY, day
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.pair import Pair, outcomes, read_csv, reasons
from mlc_pipeline_tests.e2e.test_mapping import HELD, _two_invoices

pytestmark = pytest.mark.e2e

UNHURRIED: dict[str, Any] = {"cin7": {"timeout_seconds": 15, "settle_seconds": 30}}
"""No answer is lost here: what is slow is waited for."""


def mlc(pair: Pair, *arguments: str) -> Result:
    environment = {**pair.environ, "MLC_CONNECTIONS_DIR": str(pair.folder.parent)}
    return CliRunner().invoke(app, ["map", *arguments], env=environment)


def accounts_of(pair: Pair) -> dict[str, str]:
    return {r["syspro_code"]: r["cin7_account"] for r in read_csv(pair.folder, "gl_accounts")}


def write_accounts(folder: Path, *rows: tuple[str, ...]) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / "gl_accounts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEADER)
        blanks = ("",) * len(_HEADER)
        writer.writerows(("section", *row, *blanks)[: len(_HEADER)] for row in rows)


_HEADER = ("match", "syspro_code", "cin7_account", "role", "valid_from", "valid_to")


def planned_rows(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        return [
            row
            for table in PLAN.values()
            for row in connection.execute(sa.select(table).order_by(table.c.source_key))
        ]


def test_a_mapping_is_checked_proposed_and_tried_out_without_a_trace(
    start: Start, engine: sa.Engine, tmp_path: Path
) -> None:
    pair = start(_two_invoices(), **UNHURRIED)
    assert reasons(pair.run(DAY)) == {HELD: "unmapped_account"}
    before, codes = planned_rows(engine), accounts_of(pair)
    pair.forget_traffic()

    checked = mlc(pair, "check", pair.name, "--json")
    assert checked.exit_code == 1, checked.output
    found = json.loads(checked.output)
    (error,) = [p for p in found if p["severity"] == "error"]
    assert (error["kind"], error["line"], error["found"]) == ("unmapped", None, "120.7990")
    assert error["expected"] == "a row for it: 1 posting(s) over 30.00 GBP"
    unused = {p["found"] for p in found if p["kind"] == "unused"}
    assert {"1400", "7310"} <= unused
    assert "7010" not in unused

    proposals = tmp_path / "proposals.csv"
    suggested = mlc(pair, "suggest", pair.name, "--out", str(proposals))
    assert suggested.exit_code == 0, suggested.output
    (row,) = list(csv.DictReader(proposals.open(encoding="utf-8")))
    assert (row["match"], row["syspro_code"], row["amount"]) == ("section", "7990", "30.00")
    assert row["cin7_account"] == ""  # nothing in Cin7 is called like it
    assert row["reason"].startswith("nothing near enough")
    again = mlc(pair, "suggest", pair.name, "--again", "--out", str(proposals))
    assert "precision 100.0 %" in " ".join(again.output.split())

    edited = tmp_path / "edited"
    rows = [(c, a, {"2100": "payable", "2200": "tax"}.get(c, "")) for c, a in codes.items()]
    moved = [(c, codes["7310"] if c == "7010" else a, r) for c, a, r in rows]
    write_accounts(edited, *moved, ("7990", codes["7010"], ""))
    period = ("--from", str(DAY), "--to", str(DAY))
    simulated = mlc(pair, "simulate", pair.name, *period, "--with", str(edited), "--json")
    assert simulated.exit_code == 0, simulated.output
    result = json.loads(simulated.output)
    assert result["moves"] == [
        {
            "from_account": codes["7010"],
            "from_cost_centre": "110",
            "to_account": codes["7310"],
            "to_cost_centre": "110",
            "documents": 1,
            "postings": 1,
            "amount": "100.00",
        }
    ]
    assert [(d["document"], Decimal(d["amount"])) for d in result["freed"]] == [
        (HELD, Decimal(48))
    ]
    assert (result["newly_held"], result["changed_otherwise"]) == ([], [])
    # An edited set without an account holds what was to go.
    write_accounts(edited, *[r for r in rows if r[0] != "7010"])
    simulated = mlc(pair, "simulate", pair.name, *period, "--with", str(edited), "--json")
    (held,) = json.loads(simulated.output)["newly_held"]
    assert (held["document"], held["reason"]) == (f"{KEY}|INV-1", "unmapped_account")

    assert pair.traffic() == []
    assert planned_rows(engine) == before
    assert accounts_of(pair) == codes


def test_a_replay_uses_the_mapping_of_the_documents_day(start: Start) -> None:
    pair = start(companies.one_invoice(), **UNHURRIED)
    pair.run(DAY)
    codes = accounts_of(pair)
    rows = [(c, a, {"2100": "payable", "2200": "tax"}.get(c, "")) for c, a in codes.items()]
    others = [row for row in rows if row[0] != "7010"]
    write_accounts(
        pair.folder,
        *others,
        ("7010", codes["7010"], "", "", str(DAY)),
        ("7010", codes["7310"], "", str(day(1)), ""),
    )
    replay = pair.run(DAY)
    assert outcomes(replay, Kind.INVOICE) == {"unchanged": 1}
    assert (replay.cin7_writes, replay.different, replay.problems) == (0, 0, [])

    pair.configure(policies={"mapping_as_of": "now"}, **UNHURRIED)
    write_accounts(
        pair.folder,
        *others,
        ("7010", codes["7010"], "", "", str(DAY)),
        ("7010", codes["7310"], "", str(day(1)), ""),
    )
    now = pair.run(DAY)
    assert reasons(now) == {f"{KEY}|INV-1": "changed_after_posting"}
    assert now.cin7_writes == 0


def test_a_document_of_a_locked_period_is_dated_on_the_first_open_day(start: Start) -> None:
    pair = start(companies.one_invoice(), policies={"locked_period": "redate"}, **UNHURRIED)
    pair.cin7.control("settings", {"lock_date": str(day(20))})
    first = pair.run(DAY)
    assert outcomes(first, Kind.INVOICE) == {"created": 1}
    assert (first.exit_code, first.different, first.posted) == (0, 0, 180)
    (purchase,) = pair.purchases()
    assert purchase["Invoice"][0]["InvoiceDate"][:10] == str(day(20))
    assert f"of {DAY}; dated {day(20)} here" in purchase["Note"]

    pair.cin7.control("settings", {"lock_date": str(day(50))})
    again = pair.run(DAY)
    assert again.problems == []
    assert outcomes(again, Kind.INVOICE) == {"unchanged": 1}
    assert (again.cin7_writes, again.different) == (0, 0)


def test_an_invoice_over_more_than_was_received_is_held_before_cin7_sees_it(
    start: Start,
) -> None:
    pair = start(companies.one_order(), **UNHURRIED)
    match = pair.row("GrnMatching")
    pair.put("GrnMatching", match | {"MatchedQty": Decimal(12)})
    held = pair.run(DAY)
    assert reasons(held) == {f"{KEY}|INV-PO": "quantity_variance"}
    (row,) = held.stopped
    assert "ordered 10, received 10, invoiced 12: 2 too many (20.0 %)" in row["reason"]
    assert pair.booked() == {}
    pair.put("GrnMatching", match)
    assert outcomes(pair.run(DAY), Kind.INVOICE) == {"created": 1}
