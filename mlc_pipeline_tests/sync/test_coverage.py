"""Codes that occur and rows that speak of them, from staged tables."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.connection.mapping_problems import MappingProblem
from mlc_pipeline.connection.mappings import read_mappings
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.connection.targets import Books
from mlc_pipeline.sync.coverage import Coverage, coverage, coverage_problems, row_problems
from mlc_pipeline.sync.mapped import NO_MAPPINGS, mapped_context
from mlc_pipeline.sync.plan import PlanContext
from mlc_pipeline_tests.sync.examples import (
    DAY,
    SUPPLIER,
    connection,
    d,
    invoice,
    posting,
    references,
    stage,
    staged_row,
)

HEADER = "match,syspro_code,cin7_account,role,valid_from,valid_to"
LATER = date(2026, 8, 1)


class Desk:
    """Staged rows and mapping files of a connection of its own."""

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.name = f"coverage_{uuid.uuid4().hex}"[:40]
        self.number = 0

    @property
    def settings(self) -> Connection:
        return connection().model_copy(update={"name": self.name})

    def files(self, gl_accounts: str, **others: str) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "gl_accounts.csv").write_text(f"{HEADER}\n{gl_accounts}\n")
        for name, text in others.items():
            (self.folder / f"{name}.csv").write_text(text)

    def posted(self, gl_code: str, amount: str, day: date = DAY, **changes: Any) -> None:
        """Stage an invoice of a day and its one posting."""
        self.number += 1
        number = f"INV-{self.number}"
        bill = invoice(amount, invoice=number, invoice_date=day, tax_code="A")
        entry = posting(
            amount,
            gl_code,
            invoice=number,
            sub_entry=d(self.number),
            **{"post_date": day, **changes},
        )
        for entity, row in (("invoices", bill), ("postings", entry)):
            stage(self.engine, entity, staged_row(row, day), name=self.name)

    def context(self) -> PlanContext:
        empty = PlanContext(self.settings, references(), NO_MAPPINGS, {})
        return mapped_context(empty, read_mappings(self.folder))

    def found(self) -> tuple[Coverage, list[MappingProblem]]:
        files, context = read_mappings(self.folder), self.context()
        with self.engine.connect() as database:
            found = coverage(database, context)
            return found, coverage_problems(database, found, files, context)


@pytest.fixture
def desk(engine: sa.Engine, tmp_path: Path) -> Desk:
    return Desk(engine, tmp_path / "acme")


def told(problems: list[MappingProblem]) -> list[tuple[str, str, int, str]]:
    return [(p.kind, Path(p.file).stem, p.line, p.found) for p in problems]


def test_codes_without_a_row_are_told_with_their_money_the_most_first(desk: Desk) -> None:
    desk.files("section,5000,400,,,")
    desk.posted("10.5000", "1.00")
    desk.posted("10.6000", "5.00")
    desk.posted("10.7000", "-90.00")
    desk.posted("10.6000", "7.50")
    found, problems = desk.found()
    assert told(problems) == [
        ("unmapped", "gl_accounts", 0, "10.7000"),
        ("unmapped", "gl_accounts", 0, "10.6000"),
    ]
    assert problems[1].expected == "a row for it: 2 posting(s) over 12.50 GBP"
    assert str(problems[1]).startswith(f"{desk.folder}/gl_accounts.csv: syspro_code: found")
    assert [u.code for u in found.unmapped("gl_accounts")] == ["10.7000", "10.6000"]


def test_what_is_no_distribution_needs_no_row(desk: Desk) -> None:
    desk.files("section,5000,400,,,")
    desk.posted("10.5000", "1.00")
    desk.posted("10.6000", "5.00", posting_type="P")
    desk.posted("10.7000", "0.00")
    assert desk.found()[1] == []


def test_a_code_counts_on_the_day_of_its_document(desk: Desk) -> None:
    desk.files(f"section,5000,400,,,{DAY}\nsection,5000,410,,2027-01-01,")
    desk.posted("10.5000", "1.00", post_date=LATER)  # dated in time, posted late
    desk.posted("10.5000", "4.00", LATER)
    _found, problems = desk.found()
    assert told(problems) == [
        ("outside_period", "gl_accounts", 0, "10.5000"),
        ("unused", "gl_accounts", 3, "5000"),
    ]
    assert problems[0].expected == (
        f"a row that is valid then: 1 posting(s) over 4.00 GBP, from {LATER} to {LATER}"
    )


def test_rows_that_nothing_uses_are_warnings(desk: Desk) -> None:
    chart = {"gl_code": "10.5000", "description": "Materials", "account_type": "E"}
    stage(desk.engine, "gl_accounts", chart, name=desk.name)
    desk.files("section,5000,400,,,\nexact,99.9,410,,,\nexact,99.2000,800,payable,,")
    desk.posted("10.5000", "1.00")
    _found, problems = desk.found()
    assert told(problems) == [
        ("unused", "gl_accounts", 3, "99.9"),
        ("not_in_chart", "gl_accounts", 3, "99.9"),
        ("not_in_chart", "gl_accounts", 4, "99.2000"),
    ]
    assert {p.severity for p in problems} == {"warning"}


def test_the_other_tables_are_held_against_documents_and_their_suppliers(
    desk: Desk,
) -> None:
    desk.files(
        "section,5000,400,,,",
        tax_codes="syspro_tax_code,cin7_tax_rule\nB,20% VAT\n",
        payment_terms="syspro_terms_code,cin7_payment_term\n30,30 days\n",
        cost_centres="syspro_cost_centre,cin7_value\n20,Works\n",
    )
    for code, terms in ((SUPPLIER, "45"), ("UNUSED", "60")):
        row = {"supplier": code, "name": code, "terms_code": terms}
        stage(desk.engine, "suppliers", row, name=desk.name)
    desk.posted("10.5000", "1.00")
    errors = [p for p in desk.found()[1] if p.severity == "error"]
    assert sorted(told(errors)) == [
        ("unmapped", "cost_centres", 0, "10"),
        ("unmapped", "payment_terms", 0, "45"),
        ("unmapped", "tax_codes", 0, "A"),
    ]


def test_nothing_staged_says_nothing_about_the_rows(desk: Desk) -> None:
    desk.files("section,5000,400,,,")
    assert desk.found()[1] == []


def test_rows_are_held_against_cin7_as_well(desk: Desk) -> None:
    desk.files("section,5000,400,,,\nsection,0.1,400,,,")
    context = replace(desk.context(), history=None)
    problems = row_problems(read_mappings(desk.folder), context, Books())
    assert told(problems) == [
        ("section_with_separator", "gl_accounts", 3, "0.1"),
        ("no_account", "gl_accounts", 2, "400"),
        ("no_account", "gl_accounts", 3, "400"),
    ]
