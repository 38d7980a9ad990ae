"""The e.net client against recorded shapes of answers."""

from __future__ import annotations

import logging
from collections.abc import Callable

import httpx
import pytest

from mlc_pipeline.syspro.enet import EnetClient
from mlc_pipeline.syspro.errors import (
    LogonRefused,
    SessionLost,
    SysproRefused,
    SysproUnavailable,
)
from mlc_pipeline_tests.syspro.services import (
    COMPANY_PASSWORD,
    ENET_URL,
    LOST,
    OPERATOR_PASSWORD,
    parameters,
)

TOKEN = "3EA613166FE4BF47925DF1CEA14E910100"
ROW = """<?xml version="1.0" encoding="Windows-1252"?>
<ApSupplier Language='05' Version='7.0.048'>
<HeaderDetails><TableName>ApSupplier</TableName></HeaderDetails>
<Row><SupplierName>Müller &amp; Söhne – 5 €</SupplierName></Row>
<RowsReturned>       1</RowsReturned>
</ApSupplier>
 """
UNKNOWN_STOCK_CODE = """<?xml version="1.0" encoding="Windows-1252"?>
<setupinvwarehouse><item><key/><stockcode><Value>1004</Value>
<ErrorNumber>240004</ErrorNumber><ErrorDescription>Stock code '1004' not found
</ErrorDescription></stockcode></item>
<StatusOfItems><RecordsRead>00001</RecordsRead><RecordsInvalid>00001</RecordsInvalid>
</StatusOfItems></setupinvwarehouse>"""
ADDED = """<?xml version="1.0" encoding="Windows-1252"?>
<setupapsupplier><item><key><supplier>0000001</supplier></key></item>
<StatusOfItems><RecordsRead>00001</RecordsRead><RecordsInvalid>00000</RecordsInvalid>
</StatusOfItems></setupapsupplier>"""

Answer = httpx.Response | Exception | str


class Service:
    """Gives these answers in turn and keeps the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        headers = {"content-type": "application/octet-stream"}
        return httpx.Response(200, content=answer.encode("cp1252"), headers=headers)


def client(service: Service, logon_path: str = "/Logon") -> EnetClient:
    transport = httpx.MockTransport(service)
    return EnetClient(ENET_URL + "/", logon_path, transport=transport, backoff_seconds=0)


def logon(service: Service) -> str:
    return client(service).logon("MLC", OPERATOR_PASSWORD, "DEMO", COMPANY_PASSWORD)


def test_a_logon_sends_all_four_parameters_even_when_empty() -> None:
    service = Service(TOKEN)

    client(service).logon("MLC SYNC", OPERATOR_PASSWORD, "D", "")

    assert service.requests[0].method == "GET"
    assert service.requests[0].url.raw_path == (
        b"/SYSPROWCFService/Rest/Logon?Operator=MLC%20SYNC"
        b"&OperatorPassword=geheim%2B%26word&CompanyId=D&CompanyPassword="
    )


def test_the_logon_path_is_configuration() -> None:
    service = Service(TOKEN)

    client(service, "Utilities/Logon/").logon("M", "p", "D", "c")

    assert service.requests[0].url.path == "/SYSPROWCFService/Rest/Utilities/Logon"


@pytest.mark.parametrize(
    "answer",
    [
        f"{TOKEN}  ",
        f"\r\n{TOKEN}\r\n",
        f'"{TOKEN}  "',
        f"<string xmlns='http://schemas.microsoft.com/2003/10/Serialization/'>{TOKEN}</string>",
    ],
)
def test_a_token_is_unwrapped_and_otherwise_opaque(answer: str) -> None:
    assert logon(Service(answer)) == TOKEN
    assert logon(Service(answer.replace(TOKEN, "sys-{any}=75/chars"))) == "sys-{any}=75/chars"


@pytest.mark.parametrize(
    "answer", ["", "  ", '""', "<string/>", "<token>x</token>", "Service is starting"]
)
def test_what_is_no_token_is_refused(answer: str) -> None:
    with pytest.raises(SysproUnavailable, match="without a session token"):
        logon(Service(answer))


@pytest.mark.parametrize(
    "text",
    [
        "ERROR: Invalid operator password",
        "ERROR: Invalid company password",
        "ERROR: Operator already logged on",
        "ERROR: Unable to open and read operator file (ADMOPR.DAT)",
        '"ERROR: No free e.net licence"',
        LOST,
    ],
)
def test_every_error_text_of_a_logon_means_that_it_was_refused(text: str) -> None:
    with pytest.raises(LogonRefused, match=r"/Logon: ERROR: .*Check operator") as caught:
        logon(Service(text))

    assert caught.value.route == "/Logon"


def test_a_refused_logon_shows_no_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    service = Service(f"ERROR: Invalid operator password {OPERATOR_PASSWORD}")

    with pytest.raises(LogonRefused) as caught:
        logon(service)

    for text in (str(caught.value), repr(caught.value), caplog.text):
        assert OPERATOR_PASSWORD not in text
        assert COMPANY_PASSWORD not in text
        assert "geheim" not in text


def test_a_logon_is_never_repeated_by_itself() -> None:
    service = Service(httpx.ReadTimeout("slow"), TOKEN)

    with pytest.raises(SysproUnavailable, match="ReadTimeout"):
        logon(service)

    assert len(service.requests) == 1


def test_a_logoff_gives_the_seat_back_even_at_the_second_try() -> None:
    service = Service(httpx.ReadTimeout("slow"), "0 ")

    client(service).logoff("a+b")

    assert service.requests[1].url.raw_path.endswith(b"/Logoff?UserId=a%2Bb")


def test_a_logoff_that_is_not_confirmed_is_said() -> None:
    with pytest.raises(SysproRefused, match="other than 0"):
        client(Service("1")).logoff(TOKEN)
    with pytest.raises(SessionLost):
        client(Service(LOST)).logoff(TOKEN)


def test_the_version_needs_no_session_and_is_asked_again() -> None:
    service = Service(httpx.ConnectError("down"), "7.0.0.6")

    assert client(service).version() == "7.0.0.6"
    assert service.requests[0].url.raw_path == b"/SYSPROWCFService/Rest/getversion"


def test_an_empty_version_is_no_version() -> None:
    with pytest.raises(SysproUnavailable, match="without a version"):
        client(Service("")).version()


def test_the_profile_is_read_by_element_name() -> None:
    service = Service(
        '<?xml version="1.0" encoding="Windows-1252"?><UserInfo>'
        "<CompanyName>Café Ltd  </CompanyName><LocalCurrencyCode>£</LocalCurrencyCode>"
        "<AccountingDate/></UserInfo>"
    )

    assert client(service).profile(TOKEN) == {
        "CompanyName": "Café Ltd",
        "LocalCurrencyCode": "£",
        "AccountingDate": "",
    }


def test_a_query_is_parsed_from_windows_1252_bytes() -> None:
    service = Service(ROW)

    root = client(service).query(TOKEN, "COMFND", "<Query>a & b</Query>")

    assert root.findtext("Row/SupplierName") == "Müller & Söhne – 5 €"
    assert parameters(service.requests[0]) == {
        "UserId": TOKEN,
        "BusinessObject": "COMFND",
        "XmlIn": "<Query>a & b</Query>",
    }


@pytest.mark.parametrize(
    "wrap",
    [
        lambda xml: '"' + xml.replace('"', '\\"').replace("\n", "\\n") + '"',
        lambda xml: "<string>" + xml.replace("&", "&amp;").replace("<", "&lt;") + "</string>",
    ],
)
def test_a_wrapped_document_is_unwrapped(wrap: Callable[[str], str]) -> None:
    body = wrap(ROW).encode()

    root = client(Service(httpx.Response(200, content=body))).query(TOKEN, "X", "<Q/>")

    assert root.findtext("Row/SupplierName") == "Müller & Söhne – 5 €"


def test_a_query_is_repeated_when_the_answer_is_garbage() -> None:
    service = Service("\x01\x02", "", httpx.Response(502), ROW)

    assert client(service).query(TOKEN, "COMFND", "<Q/>").tag == "ApSupplier"


def test_a_document_that_expands_itself_is_not_read() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'

    with pytest.raises(SysproUnavailable):
        client(Service(*[f'<?xml version="1.0"?>{bomb}'] * 5)).query(TOKEN, "X", "<Q/>")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (LOST, SessionLost),
        ("ERROR: user id is invalid", SessionLost),
        ("ERROR: Key not found on table", SysproRefused),
    ],
)
def test_the_error_text_of_a_query_names_the_business_object(
    text: str, kind: type[Exception]
) -> None:
    service = Service(text)

    with pytest.raises(kind, match="/Query/Query COMFND: ERROR"):
        client(service).query(TOKEN, "COMFND", "<Q/>")

    assert len(service.requests) == 1


def test_errors_inside_a_document_are_all_named() -> None:
    with pytest.raises(SysproRefused, match="240004 Stock code '1004' not found") as caught:
        client(Service(UNKNOWN_STOCK_CODE)).setup(TOKEN, "Add", "INVSWS", "<P/>", "<D/>")

    named, counted = caught.value.errors
    assert (named.number, named.field) == ("240004", "stockcode '1004'")
    assert (counted.field, counted.text) == ("recordsinvalid", "1 invalid")
    assert caught.value.business_object == "INVSWS"


def test_a_setup_sends_parameters_and_document_once() -> None:
    service = Service(ADDED)

    root = client(service).setup(TOKEN, "Update", "APSSSP", "<P/>", "<Item>ä</Item>")

    assert root.findtext("item/key/supplier") == "0000001"
    assert service.requests[0].url.path.endswith("/Rest/Setup/Update")
    assert parameters(service.requests[0]) == {
        "UserId": TOKEN,
        "BusinessObject": "APSSSP",
        "XmlParameters": "<P/>",
        "XmlIn": "<Item>ä</Item>",
    }


@pytest.mark.parametrize(
    ("failure", "arrived"),
    [
        (httpx.ConnectError("down"), False),
        (httpx.ReadTimeout("slow"), True),
        (httpx.Response(500), True),
        ("<html>oops", True),
        ("garbage", True),
    ],
)
def test_a_setup_without_an_answer_is_not_repeated_and_says_whether_it_may_have_arrived(
    failure: Answer, arrived: bool
) -> None:
    service = Service(failure, ADDED)

    with pytest.raises(SysproUnavailable) as caught:
        client(service).setup(TOKEN, "Add", "APSSSP", "<P/>", "<D/>")

    assert caught.value.may_have_arrived is arrived
    assert len(service.requests) == 1


def test_a_route_that_is_not_there_is_not_asked_again() -> None:
    service = Service(httpx.Response(404, text=f"{ENET_URL}?UserId={TOKEN}"))

    with pytest.raises(SysproUnavailable, match=r"HTTP 404\. Check the addresses") as caught:
        client(service).query(TOKEN, "COMFND", "<Q/>")

    assert TOKEN not in str(caught.value)


def test_no_token_or_document_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with client(Service(httpx.Response(500), ROW)) as enet:
        enet.query(TOKEN, "COMFND", "<Query>IBAN</Query>")

    assert "Query/Query?…" in caplog.text
    assert TOKEN not in caplog.text
    assert "IBAN" not in caplog.text
