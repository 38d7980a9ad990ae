from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_pipeline.connection.errors import ConnectionFileError, ConnectionsFolderError
from mlc_pipeline.connection.files import (
    connections_directory,
    load_connection,
    load_connections,
    read_connection,
)
from mlc_pipeline_tests.connection.examples import FILE, GOOD, line_of, with_line


def problems_of(text: str, name: str = "acme") -> list[str]:
    """Return what is wrong with the text of a connection file, one message a line."""
    with pytest.raises(ConnectionFileError) as caught:
        read_connection(name, text.encode(), FILE)
    return str(caught.value).splitlines()


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "connection.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_good_file_is_read_and_named_as_its_folder(tmp_path: Path):
    connection = load_connection(write(tmp_path / "acme", GOOD))
    assert connection.name == "acme"
    assert connection.syspro.company == "ACME"
    assert connection.syspro.logon_path == "/Logon"
    assert connection.start_date == dt.date(2016, 4, 4)
    assert connection.defaults.accounts_payable == "800"
    assert connection.policies.po_link == "grn_matching"


def test_a_file_saved_with_a_byte_order_mark_is_read():
    assert read_connection("acme", b"\xef\xbb\xbf" + GOOD.encode(), FILE).name == "acme"


# Each row: the text replaced, what replaces it, the piece of the new text on whose line the
# problem stands, the key, and what the message says.
MISTAKES = [
    ("  operator:", "  oparator:", "oparator", "syspro.oparator", "did you mean 'operator'?"),
    ("  operator: MLCSYNC\n", "", "syspro:", "syspro.operator", "missing; add it: Operator"),
    ("  country: United Kingdom\n", "", "defaults:", "defaults.country", "missing; add it"),
    ("time_zone: Europe/London\n", "", "description", "time_zone", "missing; add it: IANA"),
    (
        '"800"',
        "800",
        "800",
        "defaults.accounts_payable",
        'to YAML: a number), expected a text; quote it: "800"',
    ),
    (
        '"800"',
        "0700",
        "0700",
        "defaults.accounts_payable",
        'found 0700 (to YAML: a number), expected a text; quote it: "0700"',
    ),
    (
        "ACME\n",
        "NO\n",
        "company",
        "syspro.company",
        'found NO (to YAML: true or false), expected a text; quote it: "NO"',
    ),
    (
        "Acme, live",
        "2016-04-04",
        "description",
        "description",
        "to YAML: a date), expected a text; quote it",
    ),
    (
        "Main Warehouse",
        "",
        "location",
        "defaults.location",
        "is empty; expected: Cin7 location",
    ),
    ("Main Warehouse", '" "', "location", "defaults.location", "is blank; give a text"),
    ("No VAT", '"No VAT "', "exempt", "defaults.tax_rule_exempt", "no blanks at either end"),
    (
        "No VAT",
        "[No VAT]",
        "exempt",
        "defaults.tax_rule_exempt",
        "found a list, expected a text",
    ),
    ("5000", "five", "page_size", "syspro.page_size", "found 'five', expected a whole number"),
    ("5000", "5001", "page_size", "syspro.page_size", "found '5001', expected 5000 or less"),
    ("5000", "0", "page_size", "syspro.page_size", "found '0', expected 1 or more"),
    ("5000", "1.5", "page_size", "syspro.page_size", "found '1.5', expected a whole number"),
    (
        "orders: true",
        'orders: "yes"',
        "orders:",
        "policies.authorise_orders",
        "found 'yes', expected true or false",
    ),
    (
        "orders: true",
        "orders: 1",
        "orders:",
        "policies.authorise_orders",
        "found '1', expected true or false",
    ),
    (
        ": used",
        ": some",
        "scope",
        "policies.supplier_scope",
        "found 'some', expected one of 'used' or 'all'",
    ),
    (
        "decimals: 2",
        "decimals: 3",
        "decimals",
        "cin7.line_total_decimals",
        "expected one of 2 or 4",
    ),
    ("[main]", "main", "applications", "cin7.applications", "expected a list such as [main]"),
    ("[main]", "[]", "applications", "cin7.applications", "expected at least 1 of them"),
    (
        "[main]",
        "[main, main]",
        "applications",
        "cin7.applications",
        "found main more than once",
    ),
    (
        "[main]",
        "\n  - main\n  - Second",
        "Second",
        "cin7.applications.1",
        "expected 1 to 40 of a-z",
    ),
    (
        "2016-04-04",
        "2016-02-30",
        "start_date",
        "start_date",
        "found 2016-02-30, expected a date of the calendar",
    ),
    (
        "2016-04-04",
        "2016-04-04 10:00:00",
        "start_date",
        "start_date",
        "expected a date of the calendar",
    ),
    (
        "2016-04-04",
        "20160404",
        "start_date",
        "start_date",
        "found 20160404, expected a date of the calendar",
    ),
    ("2016-04-04", "04/04/2016", "start_date", "start_date", "written YYYY-MM-DD"),
    ("2016-04-04", "9999-12-31", "start_date", "start_date", "from 1990-01-01 to 2100-12-31"),
    ("2016-04-04", "0001-01-01", "start_date", "start_date", "from 1990-01-01 to 2100-12-31"),
    (
        "Europe/London",
        "Europe/Lodnon",
        "time_zone",
        "time_zone",
        "did you mean 'Europe/London'?",
    ),
    ("Europe/London", "GMT+25", "time_zone", "time_zone", "expected an IANA time zone"),
    (
        "*/30 6-20 * * *",
        "*/30 6-20 * *",
        "cron",
        "schedule.cron",
        "found 4 field(s), expected 5",
    ),
    ("*/30 6-20 * * *", "0 25 * * *", "cron", "schedule.cron", "hour: '25' is not 0 to 23"),
    (
        "*/30 6-20 * * *",
        "0 0 31 2 *",
        "cron",
        "schedule.cron",
        "does not exist in any of the months",
    ),
    (
        "https://erp.acme.example/SYSPROW",
        "http://erp.acme.example/SYSPROW",
        "enet_url",
        "syspro.enet_url",
        "secrets travel in the URL",
    ),
    (
        "https://inventory",
        "ftp://inventory",
        "base_url",
        "cin7.base_url",
        "expected https://host/path",
    ),
    (
        "ExternalApi/v2",
        "ExternalApi/v2?a=b",
        "base_url",
        "cin7.base_url",
        "has a query or fragment",
    ),
    (
        "calls_per_minute: 50",
        "calls_per_minute: 61",
        "calls_per",
        "cin7.calls_per_minute",
        "found 61, expected 1 to 60",
    ),
    (
        "settle_seconds: 150",
        "settle_seconds: 119",
        "settle",
        "cin7.settle_seconds",
        "at least twice timeout_seconds (120)",
    ),
    ("GBP", "Pound", "local_currency", "syspro.local_currency", "three capital letters"),
    (
        "section: 2",
        "section: 1",
        "gl_code",
        "syspro.gl_code.cost_centre_section",
        "another section than account_section",
    ),
    (
        'separator: "."',
        'separator: ""',
        "gl_code",
        "syspro.gl_code.account_section",
        "expected 1 when the separator is ''",
    ),
    (
        "    postings:",
        "    posting:",
        "posting:",
        "syspro.entities.posting",
        "did you mean 'postings'?",
    ),
    (
        "{amount:",
        "{amuont:",
        "amuont",
        "syspro.entities.postings.columns.amuont",
        "did you mean 'amount'?",
    ),
    (
        "DistrAmount",
        "Distr Amount",
        "amount",
        "syspro.entities.postings.columns.amount",
        "letters, digits and _ only",
    ),
    (
        "ApDistribution\n",
        "ApDistribution\n      key: [year]\n",
        "key:",
        "syspro.entities.postings.key.0",
        "postings has no column 'year'",
    ),
    (
        "ApDistribution\n",
        "ApDistribution\n      key: [journal, gl_code]\n",
        "key:",
        "syspro.entities.postings.key.1",
        "found 'gl_code', expected one of these",
    ),
    (
        "ApDistribution\n",
        "ApDistribution\n      date_column: amount\n",
        "date_column",
        "syspro.entities.postings.date_column",
        "no date column 'amount'",
    ),
    (
        "policies:\n",
        "policies:\n  cron: x\n",
        "cron: x",
        "policies.cron",
        "it belongs in schedule or watch: check the indentation",
    ),
    (
        "  company: ACME\n",
        "  company: ACME\n  company: BETA\n",
        "company: BETA",
        "syspro.company",
        "found again, first on line 5",
    ),
    (
        "description: Acme, live\n",
        "name: beta\n",
        "name",
        "name",
        "named as its folder; remove this line",
    ),
    (
        "policies:\n",
        "policies: none\nrest:\n",
        "policies",
        "policies",
        "expected a section of keys",
    ),
]


@pytest.mark.parametrize(("old", "new", "at", "key", "said"), MISTAKES)
def test_a_mistake_is_told_with_its_file_line_and_key(old, new, at, key, said):
    text = with_line(old, new)
    problems = problems_of(text)
    place = f"{FILE}:{line_of(text, at)}: {key}: "
    assert any(p.startswith(place) and said in p for p in problems), problems


UNREADABLE = [
    ("  company: ACME", "\tcompany: ACME", "found a tab, expected blanks"),
    ("20% (VAT on Expenses)", "@VAT", "begins with a sign that YAML keeps; quote"),
    ('"*/30 6-20 * * *"', "*/30 6-20 * * *", "begins with &, * or !; quote the value"),
    ("Main Warehouse", "*main", "begins with &, * or !; quote the value"),
    ("Main Warehouse", "&Co Warehouse", "begins with &, * or !; quote the value"),
    ("Main Warehouse", "!main", "begins with &, * or !; quote the value"),
    ("Main Warehouse", "Main: Warehouse", "found ': ' in a value"),
]


@pytest.mark.parametrize(("old", "new", "said"), UNREADABLE)
def test_what_is_not_yaml_is_told_with_its_line(old, new, said):
    text = with_line(old, new)
    (problem,) = problems_of(text)
    assert problem.startswith(f"{FILE}:{line_of(text, new)}: ")
    assert said in problem


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"", 1, "found nothing, expected keys"),
        (b"- a\n- b\n", 1, "found a list or a text, expected keys"),
        (b"description: ok\nsyspro: caf\xe9\n", 2, "is not UTF-8"),
        (b"description: ok\nsyspro: a\x00b\n", 2, "cannot be printed"),
        (b"description: 'open\n", 2, "is not YAML"),
        (b"a: 1\n---\nb: 2\n", 2, "is not YAML"),
        (b"a: " + b"[" * 5000, 1, "is nested too deeply"),
    ],
)
def test_content_that_holds_no_keys_is_told_with_its_line(content, line, said):
    with pytest.raises(ConnectionFileError) as caught:
        read_connection("acme", content, FILE)
    assert str(caught.value).startswith(f"{FILE}:{line}: ")
    assert said in str(caught.value)


def test_every_mistake_of_a_file_is_told_at_once_in_the_order_of_its_lines():
    text = (
        with_line("5000", "no")
        .replace("country:", "land:")
        .replace('"800"', "800")
        .replace("company: ACME", "company: ACME\n  company: B")
    )
    problems = problems_of(text)
    assert [problem.split(": ")[1] for problem in problems] == [
        "syspro.company",
        "syspro.page_size",
        "defaults.country",
        "defaults.accounts_payable",
        "defaults.land",
    ]


@pytest.mark.parametrize(
    "key", ["password", "operator_password", "token", "cin7_application_key", "ApiKey"]
)
def test_a_secret_in_the_file_is_refused_without_being_shown(key):
    text = with_line("  operator: MLCSYNC\n", f"  operator: MLCSYNC\n  {key}: hunter2\n")
    (problem,) = problems_of(text)
    assert problem.startswith(f"{FILE}:7: syspro.{key}: a secret must not stand in this file")
    assert "mlc secret set acme NAME" in problem
    assert "syspro_operator_password" in problem
    assert "hunter2" not in problem


def test_a_secret_within_a_url_or_a_path_is_not_shown():
    text = (
        with_line("https://erp.acme.example/SYSPROW", "https://me:hunter2@erp.acme.example/W")
        .replace("company:", "logon_path: /Logon?OperatorPassword=hunter2\n  company:")
        .replace("ExternalApi/v2", "ExternalApi/v2?key=hunter2")
    )
    problems = problems_of(text)
    assert len(problems) == 3
    assert "hunter2" not in "".join(problems)
    assert "holds a user or password" in problems[0]


def test_the_error_carries_no_cause_that_would_show_values():
    text = with_line("  operator: MLCSYNC\n", "  operator: MLCSYNC\n  password: hunter2\n")
    with pytest.raises(ConnectionFileError) as caught:
        read_connection("acme", text.encode(), FILE)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@given(st.text(alphabet="abk:-[]{}\"'#&*!|>%@ \t\n0189.", max_size=60))
def test_any_text_is_either_a_connection_or_told_what_is_wrong_with_it(text):
    with pytest.raises(ConnectionFileError) as caught:
        read_connection("acme", text.encode(), FILE)
    assert caught.value.problems
    assert all(1 <= p.line <= text.count("\n") + 2 for p in caught.value.problems)


@pytest.mark.parametrize("name", ["Acme", "1acme", "acme-uk", "a" * 41, "acme uk"])
def test_a_folder_name_that_cannot_prefix_assets_is_refused(name):
    (problem,) = problems_of(GOOD, name)
    assert problem.startswith(f"{FILE}:1: name: found {name!r}, expected 1 to 40 of a-z")


def test_one_broken_folder_does_not_take_the_others_down(tmp_path: Path):
    for name in ("beta", "acme"):
        write(tmp_path / name, GOOD)
    write(tmp_path / "broken", with_line("  operator:", "  oparator:"))
    (tmp_path / "empty").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("about the connections")
    loaded = load_connections(tmp_path)
    assert [connection.name for connection in loaded.connections] == ["acme", "beta"]
    assert [broken.name for broken in loaded.broken] == ["broken", "empty"]
    assert f"{tmp_path}/broken/connection.yaml:6: syspro.oparator" in loaded.broken[0].message
    assert "connection.yaml: no such file" in loaded.broken[1].message


def test_a_missing_folder_of_connections_says_how_to_name_it(tmp_path: Path):
    with pytest.raises(ConnectionsFolderError, match="set MLC_CONNECTIONS_DIR"):
        load_connections(tmp_path / "nowhere")


def test_the_folder_of_connections_comes_from_the_environment():
    assert connections_directory({"MLC_CONNECTIONS_DIR": "/srv/pairs"}) == Path("/srv/pairs")
    assert connections_directory({"MLC_CONNECTIONS_DIR": ""}) == Path("connections")
    assert connections_directory({}) == Path("connections")
