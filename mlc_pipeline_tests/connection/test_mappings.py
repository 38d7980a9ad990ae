from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_pipeline.connection.mappings import (
    COLUMNS,
    SCHEMAS,
    AccountMapping,
    Mappings,
    read_mappings,
    read_table,
)
from mlc_pipeline.connection.model import GlCode
from mlc_pipeline_tests.connection.examples import connection

DAY = date(2026, 3, 2)
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
    assert list(table.columns) == list(COLUMNS["payment_terms"])
    assert len(table) == 1


def test_without_gl_accounts_nothing_is_mapped_and_it_is_told(tmp_path: Path):
    mappings = read_mappings(folder_with(tmp_path))
    (problem,) = mappings.problems
    assert str(problem).startswith(f"{tmp_path}/acme/gl_accounts.csv:1: found 'no file'")
    assert mappings.account_mapping(connection(), DAY).lookup("0100.4000") is None


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


def test_an_absent_file_means_identity_or_the_default():
    def lookup(name: str, code: str) -> str | None:
        return Mappings({}, ()).code_mapping(name, connection(), DAY).lookup(code)

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
    centres = mappings.code_mapping("cost_centres", connection(), DAY)
    assert (centres.lookup("0100"), centres.lookup("0200")) == ("Leeds", None)
    assert mappings.code_mapping("warehouses", connection(), DAY).lookup("FG") is None


DATED = """\
match,syspro_code,cin7_account,role,valid_from,valid_to
section,4000,401,,,2026-06-30
section,4000,402,,2026-07-01,2026-12-31
section,4100,410,,2026-07-01,
"""


@pytest.mark.parametrize(
    ("day", "old", "new"),
    [
        (date(1999, 1, 1), "401", None),
        (date(2026, 6, 30), "401", None),
        (date(2026, 7, 1), "402", "410"),
        (date(2026, 12, 31), "402", "410"),
        (date(2027, 1, 1), None, "410"),
    ],
)
def test_a_row_holds_on_its_days_both_included(tmp_path: Path, day, old, new):
    mappings = read_mappings(folder_with(tmp_path, gl_accounts=DATED))
    assert mappings.problems == ()
    assert mappings.is_dated
    lookup = mappings.account_mapping(connection(), day).lookup
    found = [lookup("0100.4000"), lookup("0100.4100")]
    assert [account and account.cin7_account for account in found] == [old, new]


def test_without_dates_there_is_no_history(tmp_path: Path):
    assert not read_mappings(folder_with(tmp_path, gl_accounts=GL)).is_dated


_DAYS = st.dates(date(2026, 1, 1), date(2026, 1, 20))
_PERIODS = st.lists(st.tuples(_DAYS, _DAYS).map(sorted), max_size=5)


@given(_PERIODS, _DAYS)
def test_on_no_day_two_rows_speak_of_one_code(periods, day):
    rows = [f"exact,1,{400 + n},,{a},{b}," for n, (a, b) in enumerate(periods)]
    header = ",".join(COLUMNS["gl_accounts"])
    table, problems = read_table("gl_accounts", "\n".join([header, *rows]).encode(), "g.csv")
    overlapping = {
        n + 2
        for n, (a, b) in enumerate(periods)
        for m, (c, d) in enumerate(periods)
        if n != m and a <= d and c <= b
    }
    assert {problem.line for problem in problems} == overlapping
    valid = [n for n in range(2, len(rows) + 2) if n not in overlapping]
    assert list(table.index) == valid
    assert sum(a <= day <= b for n, (a, b) in enumerate(periods, 2) if n in valid) <= 1
