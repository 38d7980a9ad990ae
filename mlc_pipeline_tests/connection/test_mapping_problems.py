"""Every kind of bad mapping row has an error of its own: file, row, column, found, expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlc_pipeline.connection.mapping_problems import KINDS, WARNINGS, MappingProblem
from mlc_pipeline.connection.mappings import Mappings, read_mappings
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.connection.targets import (
    BookAccount,
    Books,
    BookTaxRule,
    check_against_cin7,
    check_against_connection,
)
from mlc_pipeline_tests.connection.examples import connection

BOOKS = Books(
    accounts={
        "400": BookAccount("ACTIVE", "EXPENSE", "Materials", "EXPENSE"),
        "401": BookAccount("ARCHIVED", "EXPENSE", "Old materials", "EXPENSE"),
        "200": BookAccount("ACTIVE", "REVENUE", "Sales", "REVENUE"),
        "090": BookAccount("ACTIVE", "ASSET", "Current account", "BANK"),
        "800": BookAccount("ACTIVE", "LIABILITY", "Creditors", "CURRLIAB", "Accounts payable"),
        "820": BookAccount("ACTIVE", "LIABILITY", "VAT", "CURRLIAB", "Tax"),
        "830": BookAccount("ACTIVE", "LIABILITY", "Loans", "TERMLIA"),
    },
    tax_rules={
        "20% VAT": BookTaxRule("820"),
        "17.5% VAT": BookTaxRule("830", is_active=False),
        "20% on sales": BookTaxRule("820", is_for_purchase=False),
    },
    payment_terms={"30 days": True, "90 days": False},
    locations={"Main Warehouse": True, "Old Yard": False},
)

GL = "match,syspro_code,cin7_account,role,valid_from,valid_to,note"
CENTRES = "syspro_cost_centre,cin7_value"
TAX = "syspro_tax_code,cin7_tax_rule"
TERMS = "syspro_terms_code,cin7_payment_term"
MONEY = "syspro_currency,iso_code"
PLACES = "syspro_warehouse,cin7_location"
LINKS = "syspro_supplier,cin7_supplier,decision,note"

HEADERS = {
    "gl_accounts": GL,
    "cost_centres": CENTRES,
    "tax_codes": TAX,
    "payment_terms": TERMS,
    "currencies": MONEY,
    "warehouses": PLACES,
    "supplier_links": LINKS,
}

# Kind, table, its rows below the header; then row, column, found, and what was expected.
ROWS = [
    (
        "unknown_decision",
        "supplier_links",
        "0123,id-1,merge,",
        2,
        "decision",
        "merge",
        "link, unlink or ignore",
    ),
    (
        "unknown_decision",
        "supplier_links",
        "0123,id-1,,",
        2,
        "decision",
        "",
        "link, unlink or ignore",
    ),
    (
        "blank_supplier",
        "supplier_links",
        ",id-1,link,",
        2,
        "syspro_supplier",
        "",
        "the code of a SYSPRO supplier",
    ),
    (
        "blank_supplier",
        "supplier_links",
        ",,ignore,",
        2,
        "syspro_supplier",
        "",
        "the code of a SYSPRO supplier",
    ),
    (
        "blank_id",
        "supplier_links",
        "0123,,unlink,",
        2,
        "cin7_supplier",
        "",
        "the id of a Cin7 supplier",
    ),
    (
        "decided_twice",
        "supplier_links",
        "0123,id-1,link,\n000123,id-1,link,again",
        2,
        "decision",
        "link",
        "each decision once; line 3 says the same",
    ),
    (
        "disagreeing",
        "supplier_links",
        "0123,id-1,link,\n0123,id-2,link,",
        3,
        "decision",
        "link",
        "decisions that can both hold; line 2 decides otherwise",
    ),
    (
        "spreadsheet_number",
        "supplier_links",
        "1.23E+05,id-1,link,",
        2,
        "syspro_supplier",
        "1.23E+05",
        "the code as it is in SYSPRO",
    ),
    (
        "one_way",
        "supplier_links",
        "0123,id-1,link,",
        2,
        "decision",
        "link",
        "no rows: this connection sends suppliers from SYSPRO to Cin7 only",
    ),
    ("blank_code", "gl_accounts", "exact,,400,,,,", 2, "syspro_code", "", "a SYSPRO code"),
    (
        "blank_code",
        "cost_centres",
        "0100,Leeds\n,York",
        3,
        "syspro_cost_centre",
        "",
        "a SYSPRO code",
    ),
    (
        "blank_target",
        "gl_accounts",
        "exact,1, ,,,,",
        2,
        "cin7_account",
        " ",
        "what Cin7 calls it",
    ),
    ("blank_target", "currencies", "$,", 2, "iso_code", "", "what Cin7 calls it"),
    ("blank_match", "gl_accounts", ",1,400,,,,", 2, "match", "", "exact, section or prefix"),
    (
        "unknown_match",
        "gl_accounts",
        "exakt,1,400,,,,",
        2,
        "match",
        "exakt",
        "exact, section or prefix",
    ),
    (
        "unknown_role",
        "gl_accounts",
        "exact,1,400,vat,,,",
        2,
        "role",
        "vat",
        "expense, tax, payable or nothing (expense)",
    ),
    (
        "blanks_around",
        "gl_accounts",
        "exact, 1,400,,,,",
        2,
        "syspro_code",
        " 1",
        "no blanks at either end",
    ),
    (
        "hidden_character",
        "gl_accounts",
        "exact,70\u200b10,400,,,,",
        2,
        "syspro_code",
        "70\u200b10",
        "characters that can be seen",
    ),
    (
        "spreadsheet_number",
        "gl_accounts",
        "exact,1.1E+09,400,,,,",
        2,
        "syspro_code",
        "1.1E+09",
        "the code as it is in SYSPRO",
    ),
    ("spreadsheet_error", "tax_codes", "A,#N/A", 2, "cin7_tax_rule", "#N/A", "a value"),
    (
        "formula",
        "warehouses",
        '"=""01""",Main Warehouse',
        2,
        "syspro_warehouse",
        '="01"',
        "a value, not a formula",
    ),
    (
        "too_long",
        "cost_centres",
        f"0100,{'x' * 257}",
        2,
        "cin7_value",
        "x" * 257,
        "at most 256 characters, as Cin7 takes",
    ),
    (
        "iso_code",
        "currencies",
        "EU,EUR\n$,usd",
        3,
        "iso_code",
        "usd",
        "an ISO 4217 code of three capital letters: GBP",
    ),
    (
        "from_unreadable",
        "gl_accounts",
        "exact,1,400,,01/02/2026,,",
        2,
        "valid_from",
        "01/02/2026",
        "a date YYYY-MM-DD or nothing",
    ),
    (
        "to_unreadable",
        "gl_accounts",
        "exact,1,400,,,2026-02-30,",
        2,
        "valid_to",
        "2026-02-30",
        "a date YYYY-MM-DD or nothing",
    ),
    (
        "period_backwards",
        "gl_accounts",
        "exact,1,400,,2026-02-01,2026-01-31,",
        2,
        "valid_to",
        "2026-01-31",
        "a last day not before the first (2026-02-01)",
    ),
    (
        "repeated",
        "gl_accounts",
        "exact,1,400,,,,\nexact,2,400,,,,\nexact,1,400,,,,again",
        4,
        "syspro_code",
        "1",
        "each code once; line 2 says the same",
    ),
    (
        "contradicting",
        "warehouses",
        "A,Main Warehouse\nA,Yard",
        2,
        "syspro_warehouse",
        "A",
        "each code once; line 3 says otherwise",
    ),
    (
        "overlapping",
        "gl_accounts",
        "section,1,400,,,2026-06-30,\nsection,1,400,,2026-06-30,,",
        3,
        "syspro_code",
        "1",
        "periods that do not overlap; line 2 is valid on the same days",
    ),
    (
        "too_few_values",
        "gl_accounts",
        "exact,1,400",
        2,
        "",
        "3 values",
        "7 values, as in the first line",
    ),
    (
        "too_many_values",
        "cost_centres",
        "0100,Leeds, the mill",
        2,
        "",
        "3 values",
        "2 values, as in the first line",
    ),
    (
        "quotes",
        "tax_codes",
        'A,"20% VAT',
        2,
        "",
        "unexpected end of data",
        "closed quotes, doubled inside a value",
    ),
    # Against the connection.
    (
        "section_with_separator",
        "gl_accounts",
        "section,0100.4000,400,,,,",
        2,
        "syspro_code",
        "0100.4000",
        "one section of the code, without '.'",
    ),
    (
        "local_currency",
        "currencies",
        "GBP,USD",
        2,
        "iso_code",
        "USD",
        "GBP, the connection's local currency, for its own code",
    ),
    # Against Cin7.
    ("no_account", "gl_accounts", "exact,1,0400,,,,", 2, "cin7_account", "0400", "an account"),
    (
        "account_not_active",
        "gl_accounts",
        "exact,1,401,,,,",
        2,
        "cin7_account",
        "401",
        "an active account, Cin7 has it ARCHIVED",
    ),
    (
        "account_class",
        "gl_accounts",
        "exact,1,200,,,,",
        2,
        "cin7_account",
        "200",
        "an account that a purchase may use, Cin7 has it REVENUE",
    ),
    (
        "account_is_bank",
        "gl_accounts",
        "exact,1,090,,,,",
        2,
        "cin7_account",
        "090",
        "an account of costs, Cin7 has it as a bank account",
    ),
    (
        "account_is_payable",
        "gl_accounts",
        "exact,1,800,,,,",
        2,
        "cin7_account",
        "800",
        "another account: this is Cin7's accounts payable",
    ),
    (
        "payable_class",
        "gl_accounts",
        "exact,1,400,payable,,,",
        2,
        "cin7_account",
        "400",
        "a LIABILITY account for role payable, Cin7 has it EXPENSE",
    ),
    (
        "tax_account",
        "gl_accounts",
        "exact,1,830,tax,,,",
        2,
        "cin7_account",
        "830",
        "an account that a purchase tax rule books to (820)",
    ),
    (
        "no_tax_rule",
        "tax_codes",
        "A,20% Vat",
        2,
        "cin7_tax_rule",
        "20% Vat",
        "a tax rule of Cin7",
    ),
    (
        "tax_rule_not_active",
        "tax_codes",
        "A,17.5% VAT",
        2,
        "cin7_tax_rule",
        "17.5% VAT",
        "an active tax rule",
    ),
    (
        "tax_rule_for_sales",
        "tax_codes",
        "A,20% on sales",
        2,
        "cin7_tax_rule",
        "20% on sales",
        "a tax rule for purchases, Cin7 has it for sales",
    ),
    (
        "no_payment_term",
        "payment_terms",
        "30,30 day",
        2,
        "cin7_payment_term",
        "30 day",
        "a payment term of Cin7",
    ),
    (
        "payment_term_not_active",
        "payment_terms",
        "90,90 days",
        2,
        "cin7_payment_term",
        "90 days",
        "an active payment term",
    ),
    ("no_location", "warehouses", "01,Moon", 2, "cin7_location", "Moon", "a location of Cin7"),
    (
        "location_deprecated",
        "warehouses",
        "01,Old Yard",
        2,
        "cin7_location",
        "Old Yard",
        "a location in use, Cin7 has it deprecated",
    ),
]

# The same of whole files: kind, table, content, row, column, found, expected.
FILES = [
    (
        "header",
        "gl_accounts",
        "",
        1,
        "",
        "nothing",
        f"{GL} in the first line",
    ),
    (
        "separator",
        "tax_codes",
        TAX.replace(",", ";") + "\n",
        1,
        "",
        "syspro_tax_code;cin7_tax_rule",
        f"{TAX},valid_from,valid_to,note in the first line",
    ),
    (
        "unknown_column",
        "gl_accounts",
        GL.replace("cin7_account", "cin7_acount") + "\n",
        1,
        "cin7_acount",
        "cin7_acount",
        "a column of the table",
    ),
    (
        "missing_column",
        "gl_accounts",
        "match,syspro_code,role\n",
        1,
        "cin7_account",
        "match,syspro_code,role",
        f"{GL} in the first line",
    ),
    (
        "doubled_column",
        "tax_codes",
        f"{TAX},note,note\n",
        1,
        "note",
        "note",
        "each column once",
    ),
    ("unknown_file", "tax_code", "a,b\n", 1, "", "tax_code.csv", "a mapping table's name"),
]


def problems_of(mappings: Mappings, settings: Connection) -> list[MappingProblem]:
    return [
        *mappings.problems,
        *check_against_connection(mappings, settings),
        *check_against_cin7(mappings, BOOKS, settings),
    ]


def folder_with(tmp_path: Path, name: str, text: str) -> Path:
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "gl_accounts.csv").write_text(f"{GL}\n", encoding="utf-8")
    (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def _assert_told(
    problems: list[MappingProblem], file: Path, kind: str, told: tuple[int, str, str, str]
) -> MappingProblem:
    """Hold that one problem of the kind has this row, column, found and expected."""
    (problem,) = [p for p in problems if p.kind == kind and p.line == told[0]]
    assert problem.file == file.as_posix()
    assert (problem.line, problem.column, problem.found, problem.expected) == told
    assert problem.remedy
    shown = str(problem)
    column = f"{told[1]}: " if told[1] else ""
    assert shown.startswith(f"{file}:{told[0]}: {column}found {told[2]!r}, expected {told[3]}")
    assert shown.endswith(problem.remedy)
    return problem


@pytest.mark.parametrize(
    ("kind", "table", "rows", "line", "column", "found", "expected"),
    ROWS,
    ids=[f"{row[0]}-{row[1]}" for row in ROWS],
)
def test_a_bad_row_is_told_by_file_row_column_found_and_expected(
    tmp_path: Path,
    kind: str,
    table: str,
    rows: str,
    line: int,
    column: str,
    found: str,
    expected: str,
) -> None:
    if kind == "no_account":
        expected = "an account of Cin7"
    folder = folder_with(tmp_path, table, f"{HEADERS[table]}\n{rows}\n")
    mappings = read_mappings(folder)
    problems = problems_of(mappings, connection())
    problem = _assert_told(
        problems, folder / f"{table}.csv", kind, (line, column, found, expected)
    )
    assert problem.severity == "error"
    if problem in mappings.problems:  # a row that is wrong by itself says nothing
        assert line not in _lines(mappings, table)


def _lines(mappings: Mappings, table: str) -> set[int]:
    """Return the lines of a file that hold."""
    if table == "supplier_links":
        return {row.line for row in mappings.supplier_links.rows}
    return {*mappings.tables[table].index}


@pytest.mark.parametrize(
    ("kind", "table", "text", "line", "column", "found", "expected"),
    FILES,
    ids=[row[0] for row in FILES],
)
def test_a_bad_file_is_told_the_same_way(
    tmp_path: Path,
    kind: str,
    table: str,
    text: str,
    line: int,
    column: str,
    found: str,
    expected: str,
) -> None:
    folder = folder_with(tmp_path, table, text)
    problems = problems_of(read_mappings(folder), connection())
    _assert_told(problems, folder / f"{table}.csv", kind, (line, column, found, expected))


def test_there_are_more_than_twenty_five_kinds_of_bad_rows() -> None:
    assert len({row[0] for row in ROWS}) >= 25


def test_good_rows_have_no_problem(tmp_path: Path) -> None:
    rows = "exact,0100.4000,400,,,,\nsection,2200,820,tax,,,\nprefix,9,800,payable,,,\n"
    folder = folder_with(tmp_path, "gl_accounts", f"{GL}\n{rows}")
    for name, text in {
        "cost_centres": f"{CENTRES}\n0100,Leeds\n",
        "tax_codes": f"{TAX}\nA,20% VAT\n",
        "payment_terms": f"{TERMS}\n30,30 days\n",
        "currencies": f"{MONEY}\nGBP,GBP\n$,USD\n",
        "warehouses": f"{PLACES}\n01,Main Warehouse\n",
    }.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    assert problems_of(read_mappings(folder), connection()) == []


def test_cost_centres_of_codes_without_any_are_told(tmp_path: Path) -> None:
    settings = connection(
        syspro={"gl_code": {"separator": "", "account_section": 1, "cost_centre_section": None}}
    )
    folder = folder_with(tmp_path, "cost_centres", f"{CENTRES}\n0100,Leeds\n")
    (problem,) = problems_of(read_mappings(folder), settings)
    assert (problem.kind, problem.line, problem.found) == ("no_cost_centre_section", 2, "0100")


def test_a_pattern_needs_accounts_that_it_can_make(tmp_path: Path) -> None:
    settings = connection(
        policies={"cost_centre": "account", "cost_centre_account": "{account}-{cost_centre}"}
    )
    folder = folder_with(
        tmp_path,
        "gl_accounts",
        f"{GL}\nsection,1,400,,,,\nsection,2,410,,,,\nexact,3,400,,,,\n",
    )
    books = Books(accounts={**BOOKS.accounts, "410-10": BOOKS.accounts["400"]})
    problems = list(check_against_cin7(read_mappings(folder), books, settings))
    (problem,) = problems
    assert (problem.kind, problem.line, problem.found) == ("not_in_pattern", 2, "400")
    assert "400-…" in problem.remedy


def test_every_kind_is_shown_by_a_test_or_needs_staged_data() -> None:
    shown = {row[0] for row in (*ROWS, *FILES)}
    elsewhere = {
        "no_file",
        "encoding",
        "no_cost_centre_section",
        "not_in_pattern",
        "unmapped",
        "outside_period",
        "no_syspro_supplier",
        "no_cin7_supplier",
        "not_decided",
        *WARNINGS,
    }
    assert shown | elsewhere == set(KINDS)
