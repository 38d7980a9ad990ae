from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_pipeline.connection.mappings import (
    COLUMNS,
    SCHEMAS,
    AccountMapping,
    Mappings,
    check_against_cin7,
    read_mappings,
    read_table,
)
from mlc_pipeline.connection.model import GlCode
from mlc_pipeline_tests.connection.examples import connection

LAYOUT = GlCode(separator=".", account_section=2, cost_centre_section=1)

GL = """\
match,syspro_code,cin7_account,role,note
exact,0100.4000,400,,Materials at site 0100
section,4000,401,expense,
section,2200,820,tax,Input VAT
prefix,01,402,expense,
prefix,0100.5,403,expense,
exact,9999,800,payable,
"""


def folder_with(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "acme"
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def gl(*rows: str) -> str:
    return "\n".join([GL.splitlines()[0], *rows]) + "\n"


def accounts(text: str, layout: GlCode = LAYOUT) -> AccountMapping:
    table, problems = read_table("gl_accounts", text.encode(), "gl_accounts.csv")
    assert problems == []
    return AccountMapping.from_table(table, layout)


def test_good_tables_have_no_problem_and_keep_their_lines(tmp_path: Path):
    currencies = "syspro_currency,iso_code,note\n$,GBP,\n\n,,\nEU,EUR,\n"
    mappings = read_mappings(folder_with(tmp_path, gl_accounts=GL, currencies=currencies))
    assert mappings.problems == ()
    assert list(mappings.tables) == ["gl_accounts", "currencies"]
    assert list(mappings.tables["gl_accounts"]["role"])[:3] == ["expense", "expense", "tax"]
    assert list(mappings.tables["currencies"].index) == [2, 5]
    assert all(dtype == "str" for dtype in mappings.tables["currencies"].dtypes)


def test_the_columns_of_each_table_are_those_of_its_schema():
    for name, schema in SCHEMAS.items():
        assert {*COLUMNS[name]} == {*schema.to_schema().columns}


def test_leading_zeros_and_words_that_look_like_nothing_survive():
    text = "syspro_warehouse,cin7_location\n007,00\nNA,null\nNone,nan\n1E5,TRUE\n"
    table, problems = read_table("warehouses", text.encode(), "w.csv")
    assert problems == []
    assert list(table["syspro_warehouse"]) == ["007", "NA", "None", "1E5"]
    assert list(table["cin7_location"]) == ["00", "null", "nan", "TRUE"]
    assert list(table["note"]) == ["", "", "", ""]


@given(
    st.dictionaries(
        st.text(alphabet="0123456789NAna.e-", min_size=1, max_size=12), st.just("x"), max_size=8
    )
)
def test_every_key_is_read_as_it_is_written(codes):
    text = "syspro_tax_code,cin7_tax_rule\n" + "".join(f"{code},x\n" for code in codes)
    table, problems = read_table("tax_codes", text.encode("utf-8-sig"), "t.csv")
    assert problems == []
    assert list(table["syspro_tax_code"]) == list(codes)


# Each row: the table, its text, then line, column, what was found and what the message says.
BAD = [
    (
        "gl_accounts",
        gl("exakt,1,400,,"),
        2,
        "match",
        "exakt",
        "expected exact, section or pref",
    ),
    ("gl_accounts", gl(",1,400,,"), 2, "match", "", "expected exact, section or prefix"),
    ("gl_accounts", gl("exact,1,400,vat,"), 2, "role", "vat", "expected expense, tax, payable"),
    ("gl_accounts", gl("exact,,400,,"), 2, "syspro_code", "", "fill it in or delete the row"),
    ("gl_accounts", gl("exact,1,,,"), 2, "cin7_account", "", "expected a value; fill it in"),
    ("gl_accounts", gl("exact,1, ,,"), 2, "cin7_account", " ", "expected a value; fill it in"),
    ("gl_accounts", gl("exact, 1,400,,"), 2, "syspro_code", " 1", "no blanks at either end"),
    ("gl_accounts", gl("exact,1,400 ,,"), 2, "cin7_account", "400 ", "no blanks at either end"),
    ("gl_accounts", gl("exact,1,400,,", "exact,1,401,,"), 3, "syspro_code", "1", "disagree"),
    ("gl_accounts", gl('exact,2,1,,"a\nb"', "exact,1,,,"), 4, "cin7_account", "", "a value"),
    ("gl_accounts", gl("exact,1,400,"), 2, "", "4 values", "expected 5, as in the first line"),
    ("gl_accounts", gl("exact,1,400,,a,b"), 2, "", "6 values", "quote a value with a comma"),
    ("gl_accounts", gl('exact,1,400,,"open'), 2, "", "unexpected end of data", "closed quotes"),
    (
        "gl_accounts",
        "match,syspro_code,role\n",
        1,
        "cin7_account",
        "match,syspro_code,role",
        "missing column: expected match,syspro_code,cin7_account,role,note",
    ),
    (
        "gl_accounts",
        GL.replace("cin7_account", "cin7_acount"),
        1,
        "cin7_acount",
        "cin7_acount",
        "unknown column; did you mean 'cin7_account'?",
    ),
    ("gl_accounts", "", 1, "", "nothing", "expected match,syspro_code,cin7_account,role,note"),
    (
        "cost_centres",
        "syspro_cost_centre,cin7_value\n,x\n",
        2,
        "syspro_cost_centre",
        "",
        "fill",
    ),
    (
        "tax_codes",
        "syspro_tax_code;cin7_tax_rule\n",
        1,
        "",
        "syspro_tax_code;cin7_tax_rule",
        "separate the columns with commas",
    ),
    (
        "tax_codes",
        "syspro_tax_code,cin7_tax_rule,note,note\n",
        1,
        "note",
        "note",
        "is there twice",
    ),
    (
        "payment_terms",
        "syspro_terms_code,cin7_payment_term\n30,\n",
        2,
        "cin7_payment_term",
        "",
        "expected a value",
    ),
    ("currencies", "syspro_currency,iso_code\n$,gbp\n", 2, "iso_code", "gbp", "three capital"),
    (
        "currencies",
        "syspro_currency,iso_code\n$,£\n",
        2,
        "iso_code",
        "£",
        "three capital letters",
    ),
    ("currencies", "syspro_currency,iso_code\n$,\n", 2, "iso_code", "", "expected a value"),
    (
        "warehouses",
        "syspro_warehouse,cin7_location\nA,x\nB,y\nA,z\n",
        4,
        "syspro_warehouse",
        "A",
        "expected each key once",
    ),
]


@pytest.mark.parametrize(("name", "text", "line", "column", "found", "said"), BAD)
def test_a_bad_row_is_told_with_its_line_column_and_value(
    name, text, line, column, found, said
):
    table, problems = read_table(name, text.encode(), f"connections/acme/{name}.csv")
    told = [p for p in problems if (p.line, p.column, p.found) == (line, column, found)]
    assert len(told) == 1, problems
    assert said in told[0].message
    place = f"connections/acme/{name}.csv:{line}: " + (f"{column}: " if column else "")
    assert str(told[0]) == f"{place}found {found!r}, {told[0].message}"
    assert line not in table.index


@pytest.mark.parametrize(
    "content", [GL.encode("utf-16"), GL.encode("utf-16-le"), b"a,b\n\xa3,c"]
)
def test_another_encoding_is_told(content):
    table, (problem, *_) = read_table("gl_accounts", content, "gl_accounts.csv")
    assert "save the file as 'CSV UTF-8'" in problem.message
    assert table.empty


def test_bad_rows_are_left_out_and_the_good_ones_go_on():
    text = gl(
        "exact,1,400,,", "exact,2,,,", "exact,3,400,vat,", "exact,4,400,tax,", "exact,1,9,,"
    )
    table, problems = read_table("gl_accounts", text.encode(), "gl_accounts.csv")
    assert list(table["syspro_code"]) == ["4"]
    assert [problem.line for problem in problems] == [2, 3, 4, 6]


def test_an_unknown_column_is_told_and_the_rows_still_hold():
    text = "syspro_terms_code,cin7_payment_term,comment\n30,30 days,x\n"
    table, (problem,) = read_table("payment_terms", text.encode(), "p.csv")
    assert problem.column == "comment"
    assert list(table.columns) == ["syspro_terms_code", "cin7_payment_term", "note"]
    assert len(table) == 1


def test_without_gl_accounts_nothing_is_mapped_and_it_is_told(tmp_path: Path):
    mappings = read_mappings(folder_with(tmp_path))
    (problem,) = mappings.problems
    assert str(problem).startswith(f"{tmp_path}/acme/gl_accounts.csv:1: found 'no file'")
    assert mappings.account_mapping(connection()).lookup("0100.4000") is None


def test_a_misspelt_file_does_not_pass_for_an_absent_one(tmp_path: Path):
    mappings = read_mappings(folder_with(tmp_path, gl_accounts=GL, tax_code="a,b\n"))
    (problem,) = mappings.problems
    assert problem.found == "tax_code.csv"
    assert "did you mean 'tax_codes'?" in problem.message


@pytest.mark.parametrize(
    ("code", "account", "rule"),
    [
        ("0100.4000", "400", "exact 0100.4000"),
        ("0200.4000", "401", "section 4000"),
        ("0200.2200", "820", "section 2200"),
        ("0100.5123", "403", "prefix 0100.5"),
        ("0100.6000", "402", "prefix 01"),
        ("01", "402", "prefix 01"),
        ("9999", "800", "exact 9999"),
    ],
)
def test_exact_comes_before_section_before_the_longest_prefix(code, account, rule):
    found = accounts(GL).lookup(code)
    assert found is not None
    assert (found.cin7_account, found.rule) == (account, rule)


@pytest.mark.parametrize("code", ["0200.6000", "9999.1", "4000", "0200.40001", "", "."])
def test_a_gl_code_that_no_row_speaks_of_is_not_mapped(code):
    assert accounts(GL).lookup(code) is None


CODES = st.text(alphabet="01.", min_size=1, max_size=6)


@given(st.sets(st.tuples(st.sampled_from(["exact", "section", "prefix"]), CODES)), CODES)
def test_the_look_up_agrees_with_reading_the_rules_one_by_one(rules, code):
    found = accounts(gl(*(f"{match},{key},400,," for match, key in rules))).lookup(code)
    sections = code.split(".")
    splits = len(sections) > 1 and all(sections[:2])
    fits = [("exact", code)] if ("exact", code) in rules else []
    fits += [rule for rule in rules if splits and rule == ("section", sections[1])]
    prefixes = [rule for rule in rules if rule[0] == "prefix" and code.startswith(rule[1])]
    fits += sorted(prefixes, key=lambda rule: -len(rule[1]))
    assert (found.rule if found else None) == (" ".join(fits[0]) if fits else None)


def test_thirty_thousand_postings_are_looked_up_in_well_under_a_second():
    rules = [f"exact,{n % 90:04d}.{n:04d},400,," for n in range(2000)]
    mapping = accounts(gl(*rules, "prefix,00,401,,"))
    began = time.perf_counter()
    found = [mapping.lookup(f"{n % 97:04d}.{n % 5000:04d}") for n in range(30_000)]
    assert time.perf_counter() - began < 1
    assert sum(account is not None for account in found) == 30_000


def test_an_absent_file_means_identity_or_the_default():
    def lookup(name: str, code: str) -> str | None:
        return Mappings({}, ()).code_mapping(name, connection()).lookup(code)

    assert lookup("cost_centres", "0100") == "0100"
    assert lookup("currencies", "EUR") == "EUR"
    assert lookup("currencies", "$") is None
    assert lookup("tax_codes", "A") == "20% (VAT on Expenses)"
    assert lookup("payment_terms", "30") == "30 days"
    assert lookup("warehouses", "FG") == "Main Warehouse"


def test_a_file_that_is_there_speaks_for_itself_alone(tmp_path: Path):
    folder = folder_with(
        tmp_path,
        gl_accounts=GL,
        cost_centres="syspro_cost_centre,cin7_value\n0100,Leeds\n",
        warehouses="syspro_warehouse,cin7_location\n",
    )
    mappings = read_mappings(folder)
    assert mappings.problems == ()
    centres = mappings.code_mapping("cost_centres", connection())
    assert (centres.lookup("0100"), centres.lookup("0200")) == ("Leeds", None)
    assert mappings.code_mapping("warehouses", connection()).lookup("FG") is None


def test_every_target_must_exist_in_cin7_and_be_active(tmp_path: Path):
    folder = folder_with(
        tmp_path,
        gl_accounts=gl(
            "exact,1,400,,", "exact,2,401,,", "exact,3,0400,,", "exact,4,400,payable,"
        ),
        tax_codes="syspro_tax_code,cin7_tax_rule\nA,20% VAT\nB,20% Vat\n",
        payment_terms="syspro_terms_code,cin7_payment_term\n30,30 days\n60,60 days\n",
        warehouses="syspro_warehouse,cin7_location\nFG,Main Warehouse\nRM,Yard\n",
    )
    mappings = read_mappings(folder)
    assert mappings.problems == ()
    chart = {"400": ("ACTIVE", "EXPENSE"), "401": ("ARCHIVED", "EXPENSE")}
    problems = check_against_cin7(mappings, chart, {"20% VAT"}, {"30 days"}, {"Main Warehouse"})
    told = [(Path(p.file).name, p.line, p.column, p.found) for p in problems]
    assert told == [
        ("gl_accounts.csv", 3, "cin7_account", "401"),
        ("gl_accounts.csv", 4, "cin7_account", "0400"),
        ("gl_accounts.csv", 5, "cin7_account", "400"),
        ("tax_codes.csv", 3, "cin7_tax_rule", "20% Vat"),
        ("payment_terms.csv", 3, "cin7_payment_term", "60 days"),
        ("warehouses.csv", 3, "cin7_location", "Yard"),
    ]
    said = [problem.message for problem in problems]
    assert "Cin7 has it ARCHIVED; activate it or map another" in said[0]
    assert "did you mean '400'?" in said[1]
    assert "expected a LIABILITY account" in said[2]
    assert "did you mean '20% VAT'?" in said[3]
    assert problems[0].file == f"{tmp_path}/acme/gl_accounts.csv"
