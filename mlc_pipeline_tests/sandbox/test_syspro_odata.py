"""OData over real HTTP: rows, paging, errors, authentication."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from decimal import Decimal
from xml.etree import ElementTree as ET

import httpx
import pytest

from mlc_pipeline_tests.sandbox.syspro_caller import Caller, calling, supplier_code

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


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


def message(answer: httpx.Response) -> str:
    text: str = answer.json()["error"]["message"]
    return text


def test_rows_come_in_key_order_with_their_context(caller: Caller, token: str) -> None:
    answer = caller.odata("ApSupplier", token, select="Supplier,SupplierName")
    assert answer.headers["content-type"].startswith("application/json; odata.metadata=minimal")
    assert answer.headers["odata-version"] == "4.0"
    body = answer.json()
    assert body["@odata.context"].endswith("/DEMO/$metadata#ApSupplier(Supplier,SupplierName)")
    assert body["value"][0] == {
        "Supplier": "000000000000001",
        "SupplierName": "O'Hara & Söhne",
    }
    assert [row["Supplier"] for row in body["value"]] == [supplier_code(n) for n in (1, 2, 3)]


def test_numbers_are_written_with_every_decimal_of_their_column(
    caller: Caller, token: str
) -> None:
    text = caller.odata(
        "ApInvoice",
        token,
        filter="Invoice eq 'INV005'",
        select="OrigInvValue,ExchangeRate,Journal",
    ).text
    assert '{"OrigInvValue":-3.75,"ExchangeRate":1.000000,"Journal":5}' in text


def test_blank_texts_are_empty_and_missing_dates_null(caller: Caller, token: str) -> None:
    rows = caller.values("ApInvoice", token, filter="InvoiceDate eq null", top=1)
    assert rows[0]["Reference"] == ""
    assert rows[0]["InvoiceDate"] is None


def test_a_rowversion_is_binary(caller: Caller, token: str) -> None:
    (row,) = caller.values("ApSupplier", token, top=1, select="TimeStamp")
    assert int.from_bytes(base64.urlsafe_b64decode(row["TimeStamp"])) > 0


def test_a_filter_with_a_quote_and_an_ampersand_finds_its_row(
    caller: Caller, token: str
) -> None:
    rows = caller.values(
        "ApSupplier", token, filter="SupplierName eq 'O''Hara & Söhne'", select="Supplier"
    )
    assert rows == [{"Supplier": supplier_code(1)}]


def test_texts_are_compared_by_code_not_by_language(caller: Caller, token: str) -> None:
    rows = caller.values("ApSupplier", token, filter="SupplierName gt 'Z'", select="Supplier")
    assert rows == [{"Supplier": supplier_code(2)}]


def test_numbers_are_sorted_as_numbers_and_ties_by_key(caller: Caller, token: str) -> None:
    rows = caller.values("ApInvoice", token, orderby="OrigInvValue desc", select="OrigInvValue")
    values = [row["OrigInvValue"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert len(values) == 60
    tied = caller.values("ApInvoice", token, orderby="ExchangeRate", select="Invoice,Supplier")
    assert tied == sorted(tied, key=lambda row: (row["Supplier"], row["Invoice"]))


def test_keyset_pages_see_every_row_once(caller: Caller, token: str) -> None:
    seen: list[tuple[str, str]] = []
    condition = "Supplier ge ''"
    for _ in range(10):
        rows = caller.values(
            "ApInvoice", token, filter=condition, orderby="Supplier asc,Invoice", top=7
        )
        if not rows:
            break
        seen += [(row["Supplier"], row["Invoice"]) for row in rows]
        supplier, invoice = seen[-1]
        condition = (
            f"Supplier gt '{supplier}' or (Supplier eq '{supplier}' and Invoice gt '{invoice}')"
        )
    assert len(seen) == len(set(seen)) == 60


def test_skip_and_top_cut_out_a_part(caller: Caller, token: str) -> None:
    every = caller.values("ApInvoice", token, select="Invoice")
    part = caller.values("ApInvoice", token, select="Invoice", skip=10, top=5)
    assert part == every[10:15]
    assert caller.values("ApInvoice", token, top=0) == []


def test_an_answer_never_has_more_rows_than_the_page_size(caller: Caller, token: str) -> None:
    set_up(caller, page_size=25)
    body = caller.odata("ApInvoice", token, top=60).json()
    assert len(body["value"]) == 25
    assert "@odata.nextLink" not in body


@pytest.mark.parametrize(
    "orderby", ["Supplier", "InvoiceDate desc", "InvoiceDate,Journal desc"]
)
def test_next_links_lead_through_every_row_once(
    caller: Caller, token: str, orderby: str
) -> None:
    every = caller.values("ApInvoice", token, orderby=orderby, select="Invoice")
    set_up(caller, page_size=25, next_link=True)
    answer = caller.odata("ApInvoice", token, orderby=orderby, select="Invoice")
    seen: list[dict[str, str]] = []
    sizes = []
    for _ in range(4):
        body = answer.json()
        seen += body["value"]
        sizes.append(len(body["value"]))
        if "@odata.nextLink" not in body:
            break
        assert "$skiptoken=" in body["@odata.nextLink"]
        answer = caller.http.get(body["@odata.nextLink"])
    assert sizes == [25, 25, 10]
    assert seen == every


def test_next_links_keep_to_the_top_and_the_skip_asked_for(caller: Caller, token: str) -> None:
    set_up(caller, page_size=25, next_link=True)
    body = caller.odata("ApInvoice", token, top=40, skip=5, select="Journal").json()
    rest = caller.http.get(body["@odata.nextLink"]).json()
    assert len(body["value"]) == 25
    assert len(rest["value"]) == 15
    assert "@odata.nextLink" not in rest
    set_up(caller, page_size=5000)
    assert caller.values("ApInvoice", token, top=40, skip=5, select="Journal") == [
        *body["value"],
        *rest["value"],
    ]


def test_a_page_within_the_page_size_has_no_next_link(caller: Caller, token: str) -> None:
    set_up(caller, page_size=25, next_link=True)
    assert "@odata.nextLink" not in caller.odata("ApInvoice", token, top=25).json()


@pytest.mark.parametrize(
    ("date_type", "literal", "shown"),
    [
        ("Edm.Date", "2016-04-09", "2016-04-09"),
        ("Edm.DateTimeOffset", "2016-04-09T00:00:00Z", "2016-04-09T00:00:00Z"),
    ],
)
def test_dates_travel_as_the_metadata_says(
    caller: Caller, token: str, date_type: str, literal: str, shown: str
) -> None:
    set_up(caller, date_type=date_type)
    metadata = ET.fromstring(caller.odata("$metadata", token).content)
    types = {
        element.get("Type")
        for element in metadata.iter(f"{EDM}Property")
        if element.get("Name") == "InvoiceDate"
    }
    assert types == {date_type}
    rows = caller.values("ApInvoice", token, filter=f"InvoiceDate eq {literal}")
    assert {row["InvoiceDate"] for row in rows} == {shown}


def test_metadata_names_keys_lengths_and_scales(caller: Caller, token: str) -> None:
    answer = caller.odata("$metadata", token)
    assert answer.headers["content-type"].startswith("application/xml")
    root = ET.fromstring(answer.content)
    types = {element.get("Name"): element for element in root.iter(f"{EDM}EntityType")}
    keys = [ref.get("Name") for ref in types["ApInvoice"].iter(f"{EDM}PropertyRef")]
    assert keys == ["Supplier", "Invoice"]
    properties = {p.get("Name"): p.attrib for p in types["ApInvoice"].iter(f"{EDM}Property")}
    assert properties["OrigInvValue"] == {
        "Name": "OrigInvValue",
        "Type": "Edm.Decimal",
        "Nullable": "false",
        "Precision": "14",
        "Scale": "2",
    }
    assert properties["Reference"]["MaxLength"] == "30"
    assert "Nullable" not in properties["InvoiceDate"]
    sets = {element.get("Name") for element in root.iter(f"{EDM}EntitySet")}
    listed = caller.odata("", token).json()["value"]
    assert sets == types.keys() == {entry["name"] for entry in listed}


def test_an_absent_table_or_column_is_neither_listed_nor_served(
    caller: Caller, token: str
) -> None:
    set_up(caller, absent=["ApPosting", "ApSupplier.State"])
    metadata = caller.odata("$metadata", token).text
    assert 'Name="ApPosting"' not in metadata
    assert 'Name="State"' not in metadata
    assert caller.odata("ApPosting", token).status_code == 404
    assert caller.odata("ApSupplier", token, select="State").status_code == 400
    assert "State" not in caller.values("ApSupplier", token)[0]


def test_a_plus_for_a_space_is_refused(caller: Caller, token: str) -> None:
    base = f"{caller.syspro.odata_url}/DEMO/ApSupplier?UserId={token.strip()}"
    refused = caller.http.get(f"{base}&$filter=Supplier+eq+'1'")
    assert refused.status_code == 400
    assert "%20" in message(refused)
    found = caller.http.get(f"{base}&$filter=SupplierName%20eq%20'Acme%20[UK]%20%2B%20Co'")
    assert [row["Supplier"] for row in found.json()["value"]] == [supplier_code(3)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"filter": "Naem eq 'x'"}, "Could not find a property named 'Naem'"),
        ({"filter": "Supplier eq"}, "unexpected end"),
        ({"select": "Naem"}, "Could not find a property named 'Naem'"),
        ({"orderby": "Naem"}, "Could not find a property named 'Naem'"),
        ({"orderby": "Supplier down"}, "syntax error in $orderby at 'Supplier down'"),
        ({"top": "-1"}, "$top must be a whole number"),
        ({"skip": "1.5"}, "$skip must be a whole number"),
        ({"count": "true"}, "query option '$count' is not supported"),
        ({"skiptoken": "x"}, "$skiptoken is not one"),
        ({"skiptoken": "WzEsMl0"}, "$skiptoken is not one"),
    ],
)
def test_a_bad_option_is_refused_with_the_reason(
    caller: Caller, token: str, options: dict[str, object], words: str
) -> None:
    answer = caller.odata("ApSupplier", token, **options)
    assert answer.status_code == 400
    assert words in message(answer)


def test_an_option_given_twice_is_refused(caller: Caller, token: str) -> None:
    url = f"{caller.syspro.odata_url}/DEMO/ApSupplier?UserId={token.strip()}&$top=1&$top=2"
    assert caller.http.get(url).status_code == 400


def test_an_unknown_entity_or_company_is_not_found(caller: Caller, token: str) -> None:
    answer = caller.odata("APSUPPLIER", token)
    assert answer.status_code == 404
    assert "APSUPPLIER" in message(answer)
    other = caller.http.get(f"{caller.syspro.odata_url}/EDU1/ApSupplier?UserId={token.strip()}")
    assert other.status_code == 404
    assert "EDU1" in message(other)


@pytest.mark.parametrize("path", ["", "$metadata", "ApSupplier", "Nothing"])
def test_without_a_valid_token_nothing_is_told(caller: Caller, path: str) -> None:
    assert caller.odata(path, "").status_code == 401
    assert caller.odata(path, "0" * 34).status_code == 401


def test_a_lost_session_may_answer_an_error_text(caller: Caller, token: str) -> None:
    set_up(caller, odata_lost_session="error_text")
    caller.log_on()
    answer = caller.odata("ApSupplier", token)
    assert answer.status_code == 200
    assert re.match("ERROR: .*BaseDir8", answer.text)


def test_basic_authentication_takes_only_its_user(caller: Caller, token: str) -> None:
    set_up(caller, odata_auth="basic")
    url = f"{caller.syspro.odata_url}/DEMO/ApSupplier"
    user, password = caller.syspro.odata_user, caller.syspro.odata_password
    assert caller.http.get(url, auth=(user, password)).status_code == 200
    for refused in (
        caller.http.get(url),
        caller.http.get(url, auth=(user, "wrong")),
        caller.http.get(url, auth=("other", password)),
        caller.http.get(url, headers={"Authorization": "Basic !!"}),
        caller.odata("ApSupplier", token),
    ):
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic")


def test_a_full_page_of_a_large_table_is_exact(caller: Caller, token: str) -> None:
    rows = [
        {"PurchaseOrder": f"{number:06d}", "Line": 1, "MPrice": Decimal(number) / 100_000}
        for number in range(6_000)
    ]
    caller.syspro.control("rows", {"table": "PorMasterDetail", "upsert": rows})
    page = caller.values("PorMasterDetail", token, filter="PurchaseOrder gt '000099'")
    assert len(page) == 5_000
    assert all(row["MPrice"] == Decimal(row["PurchaseOrder"]) / 100_000 for row in page)
    keys = [[row["PurchaseOrder"], 1] for row in rows]
    gone = caller.syspro.control("rows", {"table": "PorMasterDetail", "delete": keys})
    assert gone == {"upserted": 0, "deleted": 6_000}
