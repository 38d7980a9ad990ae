"""e.net over real HTTP: logon, sessions, COMFND, the wording of errors."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from mlc_pipeline_tests.sandbox.syspro_caller import Caller, calling, supplier_code

BASE_DIRECTORY = "ERROR: Unable to read the SYSPRO base directory registry string BaseDir8"


@pytest.fixture(scope="module")
def server() -> Iterator[Caller]:
    with calling() as caller:
        yield caller


@pytest.fixture
def caller(server: Caller) -> Caller:
    server.reset()
    return server


@pytest.fixture
def token(caller: Caller) -> str:
    return caller.log_on()


def set_up(caller: Caller, **settings: object) -> None:
    caller.syspro.control("settings", settings)


def find(table: str, *columns: str, where: str = "", more: str = "") -> str:
    listed = "".join(f"<Column>{column}</Column>" for column in columns)
    condition = f"<Where>{where}</Where>" if where else ""
    return (
        f"<Query><TableName>{table}</TableName><Columns>{listed}</Columns>"
        f"{condition}{more}</Query>"
    )


def expression(
    column: str,
    condition: str,
    value: str,
    word: str = "",
    opening: str = "",
    closing: str = "",
) -> str:
    return (
        f"<Expression><AndOr>{word}</AndOr><OpenBracket>{opening}</OpenBracket>"
        f"<Column>{column}</Column><Condition>{condition}</Condition><Value>{value}</Value>"
        f"<CloseBracket>{closing}</CloseBracket></Expression>"
    )


def test_the_version_needs_no_session(caller: Caller) -> None:
    answer = caller.enet("/getversion")
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+", answer.text)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["server"] == "Microsoft-HTTPAPI/2.0"


def test_a_token_is_32_hexadecimal_digits_2_digits_and_2_blanks(caller: Caller) -> None:
    assert re.fullmatch(r"[0-9A-F]{32}\d\d  ", caller.log_on())


@pytest.mark.parametrize(
    ("shape", "pattern"),
    [("json", r'"(\w{34})  "'), ("string", r"<string xmlns=\"[^\"]+\">(\w{34})  </string>")],
)
def test_a_token_may_come_dressed(caller: Caller, shape: str, pattern: str) -> None:
    set_up(caller, token_shape=shape)
    dressed = re.fullmatch(pattern, caller.log_on())
    assert dressed
    assert caller.enet("/Logoff", UserId=dressed[1]).text == "0"


def test_a_token_counts_with_and_without_its_blanks(caller: Caller, token: str) -> None:
    for written in (token, token.strip()):
        assert caller.enet("/GetLogonProfile", UserId=written).text.startswith("<?xml")


@pytest.mark.parametrize("path", ["/logon", "/LOGON", "/Logon"])
def test_path_segments_match_in_any_case(caller: Caller, path: str) -> None:
    parameters = {
        "Operator": caller.syspro.operator,
        "OperatorPassword": caller.syspro.operator_password,
        "CompanyId": caller.syspro.company,
        "CompanyPassword": caller.syspro.company_password,
    }
    assert len(caller.enet(path, **parameters).text) == 36


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"OperatorPassword": "wrong"}, "ERROR: Invalid operator password"),
        ({"Operator": "NOBODY"}, "ERROR: Invalid operator"),
        ({"CompanyId": "EDU1"}, "ERROR: Invalid company"),
        ({"CompanyPassword": ""}, "ERROR: Invalid company password"),
    ],
)
def test_a_refused_logon_is_status_200_and_a_text(
    caller: Caller, changes: dict[str, str], text: str
) -> None:
    assert caller.log_on(**changes) == text
    assert caller.syspro.control("summary")["logons"] == 0


def test_a_logon_needs_all_four_parameters(caller: Caller) -> None:
    answer = caller.enet("/Logon", Operator="MLCSYNC", OperatorPassword="", CompanyId="DEMO")
    assert answer.status_code == 200
    assert answer.text == "ERROR: Parameter CompanyPassword is missing"


def test_utilities_logon_answers_only_when_it_is_enabled(caller: Caller) -> None:
    assert caller.enet("/Utilities/Logon").status_code == 404
    set_up(caller, utilities_logon=True)
    assert caller.enet("/Utilities/Logon").text.startswith("ERROR: Parameter Operator")


def test_an_unknown_route_is_the_404_page_of_wcf(caller: Caller) -> None:
    answer = caller.enet("/Query/Nothing")
    assert answer.status_code == 404
    assert "Endpoint not found" in answer.text


def test_a_logoff_frees_the_seat_once(caller: Caller, token: str) -> None:
    assert caller.enet("/Logoff", UserId=token).text == "0"
    assert caller.enet("/Logoff", UserId=token).text == BASE_DIRECTORY
    summary = caller.syspro.control("summary")
    assert (summary["open_sessions"], summary["orphaned_sessions"]) == (0, 0)
    assert (summary["logons"], summary["logoffs"]) == (1, 1)


def test_a_second_logon_evicts_the_first_session(caller: Caller, token: str) -> None:
    second = caller.log_on()
    assert caller.enet("/GetLogonProfile", UserId=token).text == BASE_DIRECTORY
    assert caller.enet("/Logoff", UserId=second).text == "0"
    summary = caller.syspro.control("summary")
    assert (summary["evictions"], summary["orphaned_sessions"]) == (1, 1)


def test_an_operator_may_take_the_last_seat_from_itself(caller: Caller) -> None:
    set_up(caller, seats=1)
    assert [len(caller.log_on()) for _ in range(2)] == [36, 36]


def test_operators_hold_sessions_beside_each_other_until_the_seats_are_taken(
    caller: Caller,
) -> None:
    passwords = dict.fromkeys(("A", "B", "C"), "p")
    set_up(caller, operators=passwords, seats=2)
    first, second, third = (
        caller.log_on(Operator=name, OperatorPassword="p") for name in passwords
    )
    assert len(first) == len(second) == 36
    assert third.startswith("ERROR: No e.net license")
    assert caller.syspro.control("summary")["open_sessions"] == 2
    caller.enet("/Logoff", UserId=first)
    assert len(caller.log_on(Operator="C", OperatorPassword="p")) == 36


def test_an_idle_session_expires_and_a_used_one_does_not(caller: Caller, token: str) -> None:
    set_up(caller, idle_seconds=0.3, lost_session="expired")
    for _ in range(3):
        time.sleep(0.15)
        assert not caller.enet("/GetLogonProfile", UserId=token).text.startswith("ERROR")
    time.sleep(0.35)
    text = caller.enet("/GetLogonProfile", UserId=token).text
    assert text == "ERROR: The session of this user id has expired or was removed"
    summary = caller.syspro.control("summary")
    assert (summary["expirations"], summary["open_sessions"]) == (1, 0)


def test_the_profile_names_company_operator_and_currency(caller: Caller, token: str) -> None:
    set_up(caller, local_currency="£", system_date="2016-04-04")
    answer = caller.enet("/GetLogonProfile", UserId=token)
    assert b"<LocalCurrencyCode>\xa3</LocalCurrencyCode>" in answer.content
    for part in (
        "<OperatorCode>MLCSYNC</OperatorCode>",
        "<CompanyName>Sandbox Company</CompanyName>",
        "<AccountingDate>2016-04-04</AccountingDate>",
    ):
        assert part in answer.text


def test_a_query_declares_and_uses_windows_1252(caller: Caller, token: str) -> None:
    answer = caller.query(token, find("ApSupplier", "Supplier", "SupplierName"))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content.startswith(b'<?xml version="1.0" encoding="Windows-1252"?>')
    assert b"O'Hara &amp; S\xf6hne" in answer.content
    assert re.search(r"<ApSupplier Language='05'[^>]* DecFormat='1'[^>]*>", answer.text)


def test_numbers_are_padded_and_rows_counted(caller: Caller, token: str) -> None:
    xml = find(
        "ApInvoice",
        "OrigInvValue",
        "ExchangeRate",
        "InvoiceDate",
        where=expression("Invoice", "EQ", "INV005"),
    )
    text = caller.query(token, xml).text
    assert "<OrigInvValue>           -3.75</OrigInvValue>" in text
    assert "<ExchangeRate>      1.000000</ExchangeRate>" in text
    assert "<InvoiceDate></InvoiceDate>" in text
    assert "<RowsReturned>       1</RowsReturned>" in text
    set_up(caller, empty_date="0000-00-00")
    assert "<InvoiceDate>0000-00-00</InvoiceDate>" in caller.query(token, xml).text


def test_keyset_pages_see_every_row_once(caller: Caller, token: str) -> None:
    seen: list[tuple[str | None, str | None]] = []
    where = ""
    order = "<OrderBy><Column>Supplier</Column><Column>Invoice</Column></OrderBy>"
    for _ in range(10):
        more = f"<ReturnRows>7</ReturnRows>{order}"
        rows = caller.found(
            token, find("ApInvoice", "Supplier", "Invoice", where=where, more=more)
        )
        if not rows:
            break
        seen += [(row["Supplier"], row["Invoice"]) for row in rows]
        supplier, invoice = (str(part) for part in seen[-1])
        where = (
            expression("Supplier", "GT", supplier)
            + expression("Supplier", "EQ", supplier, "Or", "(")
            + expression("Invoice", "GT", invoice, "And", "", ")")
        )
    assert len(seen) == len(set(seen)) == 60


@pytest.mark.parametrize(
    ("where", "invoices"),
    [
        (expression("Journal", "EQ", "       7"), {7}),
        (
            expression("Journal", "NE", "7") + expression("Journal", "LE", "8.5", "And"),
            {*range(7), 8},
        ),
        (expression("OrigInvValue", "LT", "-10.50"), {0, 1}),
        (expression("InvoiceDate", "GE", "2016-04-28"), {27}),
        (expression("InvoiceDate", "EQ", "") + expression("Journal", "LT", "6", "And"), {0, 5}),
        (expression("Invoice", "LIKE", "INV00?"), {*range(10)}),
        (expression("Invoice", "LIKE", "*05*"), {5, *range(50, 60)}),
        (expression("Invoice", "LIKE", "inv*"), set()),
        (
            expression("Journal", "EQ", "1")
            + expression("Journal", "EQ", "2", "Or")
            + expression("Supplier", "EQ", "nobody", "And"),
            {1},
        ),
        (
            expression("Journal", "EQ", "1", "", "(")
            + expression("Journal", "EQ", "2", "Or", "", ")")
            + expression("Supplier", "EQ", supplier_code(3), "And"),
            {2},
        ),
    ],
)
def test_conditions_mean_what_sql_means(
    caller: Caller, token: str, where: str, invoices: set[int]
) -> None:
    rows = caller.found(token, find("ApInvoice", "Journal", where=where))
    assert {int(str(row["Journal"])) for row in rows} == invoices


def test_a_like_pattern_has_no_other_wildcards(caller: Caller, token: str) -> None:
    for pattern, found in (("*[UK]*", 1), ("*[KU]*", 0), ("*%*", 0)):
        where = expression("SupplierName", "LIKE", pattern)
        assert len(caller.found(token, find("ApSupplier", "Supplier", where=where))) == found


def test_a_sequence_sorts_downwards(caller: Caller, token: str) -> None:
    more = '<Sequence><Column Name="Journal" Orderby="D"/></Sequence><ReturnRows>3</ReturnRows>'
    rows = caller.found(token, find("ApInvoice", "Journal", more=more))
    assert [int(str(row["Journal"])) for row in rows] == [59, 58, 57]


def test_all_columns_are_read_when_asked_for(caller: Caller, token: str) -> None:
    xml = "<Query><TableName>ApSupplier</TableName><AllColumns>Y</AllColumns></Query>"
    first = caller.found(token, xml)[0]
    assert first["SupplierName"] == "O'Hara & Söhne"
    assert list(first)[-1] == "TimeStamp"


def test_a_declared_encoding_in_the_document_sent_does_no_harm(
    caller: Caller, token: str
) -> None:
    where = expression("SupplierName", "EQ", "O'Hara &amp; Söhne")
    xml = '<?xml version="1.0" encoding="Windows-1252"?>' + find(
        "ApSupplier", "Supplier", where=where
    )
    assert caller.found(token, xml) == [{"Supplier": supplier_code(1)}]


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ("<Query>", "XmlIn document is not well-formed"),
        ('<!DOCTYPE q [<!ENTITY a "b">]><Query>&a;</Query>', "not well-formed"),
        (find("apsupplier", "Supplier"), "Table 'apsupplier' not found"),
        (find("ApSupplier", "supplier"), "Column 'supplier' not found on table 'ApSupplier'"),
        (find("ApSupplier"), "No columns were selected"),
        (find("ApSupplier", "Supplier", more="<ReturnRows>x</ReturnRows>"), "ReturnRows 'x'"),
        (
            find("ApSupplier", "Supplier", where=expression("Supplier", "IS", "1")),
            "Condition 'IS'",
        ),
        (
            find("ApSupplier", "Supplier", where=expression("Supplier", "gt", "1")),
            "Condition 'gt'",
        ),
        (find("ApInvoice", "Invoice", where=expression("Journal", "EQ", "x")), "'x' of column"),
        (
            find("ApInvoice", "Invoice", where=expression("Journal", "LIKE", "1*")),
            "LIKE cannot",
        ),
        (
            find("ApInvoice", "Invoice", where=expression("InvoiceDate", "EQ", "01/02/2016")),
            "Date '01/02/2016' of column 'InvoiceDate' is invalid",
        ),
        (
            find("ApInvoice", "Invoice", where=expression("Journal", "EQ", "1", "", "(")),
            "brackets",
        ),
        (
            find("ApInvoice", "Invoice", where=expression("Journal", "EQ", "1", "", "", ")")),
            "brackets",
        ),
        (
            find("ApInvoice", "Invoice", where=expression("Journal", "EQ", "1", "", "x")),
            "OpenBracket 'x'",
        ),
        (
            find("ApInvoice", "Invoice", where=expression("Journal", "EQ", "1") * 2),
            "AndOr '' must be",
        ),
        (
            find("ApInvoice", "Invoice", where=expression("TimeStamp", "GT", "1")),
            "'TimeStamp' cannot be compared",
        ),
    ],
)
def test_a_query_that_cannot_be_taken_is_an_error_text(
    caller: Caller, token: str, xml: str, words: str
) -> None:
    answer = caller.query(token, xml)
    assert answer.status_code == 200
    assert answer.text.startswith("ERROR: ")
    assert words in answer.text


def test_an_unknown_business_object_is_exception_100000(caller: Caller, token: str) -> None:
    text = caller.query(token, "<Query/>", business_object="PORQRY").text
    assert text.startswith("ERROR: e.net exception 100000")


def test_a_query_without_a_session_tells_nothing(caller: Caller) -> None:
    assert caller.query("0" * 34, find("ApSupplier", "Supplier")).text == BASE_DIRECTORY


def test_an_absent_table_is_not_found(caller: Caller, token: str) -> None:
    set_up(caller, absent=["ApPosting"])
    assert "not found" in caller.query(token, find("ApPosting", "Journal")).text
