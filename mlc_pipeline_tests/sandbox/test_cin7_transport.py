"""The stand-in Cin7 Core on the wire: credentials, paths, errors, limits."""

from __future__ import annotations

import time
from decimal import Decimal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_pipeline.sandbox.cin7.running import RunningCin7
from mlc_pipeline.sandbox.cin7.wire import business_date, decode, encode, plain
from mlc_pipeline_tests.sandbox.cin7_account import Api, fixtures

server, api = fixtures()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"api-auth-accountid": "someone"},
        {"api-auth-applicationkey": "something"},
    ],
)
def test_wrong_credentials_get_403_and_a_plain_text(
    server: RunningCin7, wrong: dict[str, str]
) -> None:
    headers = {**server.headers(), **wrong} if wrong else {}
    answer = httpx.get(f"{server.base_url}/me", headers=headers)
    assert answer.status_code == 403
    assert answer.text == "Incorrect credentials!"
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["AdvancedPurchase", "purchases", "advanced-purchase/x"])
def test_an_unknown_path_answers_200_with_an_html_page(api: Api, path: str) -> None:
    answer = api.send("GET", path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "Page not found" in answer.text


def test_a_wrong_method_gets_405_and_the_published_text(api: Api) -> None:
    answer = api.send("PUT", "purchase/order", {})
    assert answer.status_code == 405
    assert answer.text == "The requested resource does not support http method 'PUT'."


def test_the_case_of_the_path_does_not_matter(server: RunningCin7) -> None:
    for path in ("/externalapi/V2/ME", "/ExternalApi/v2/me/", "/EXTERNALAPI/v2/purchaselist"):
        answer = httpx.get(server.address + path, headers=server.headers())
        assert "application/json" in answer.headers["content-type"]


def test_an_unknown_parameter_is_ignored_and_recorded(api: Api) -> None:
    everyone = api.get("supplier")
    assert api.get("supplier", Search="Acme") == everyone
    recorded = api.server.control("traffic")["requests"]
    assert [r["ignored"] for r in recorded] == [[], ["Search"]]


def test_unknown_attributes_are_ignored_and_recorded_at_every_depth(api: Api) -> None:
    body = {
        "SupplierID": api.supplier()["ID"],
        "Approach": "Stock",
        "Location": "Main Warehouse",
        "OrderNumber": "PO-9",
        "AdditionalAttributes": {"AdditionalAttribute11": "x"},
        "ShippingAddress": {"Line1": "1 Quay", "Country": "UK", "Planet": "Earth"},
    }
    answer = api.send("POST", "advanced-purchase", body)
    assert answer.status_code == 200
    assert decode(answer.content)["OrderNumber"] == "PO-00001"
    assert api.server.control("traffic")["requests"][-1]["ignored"] == [
        "OrderNumber",
        "ShippingAddress.Planet",
        "AdditionalAttributes.AdditionalAttribute11",
    ]


def test_traffic_holds_no_credentials(api: Api) -> None:
    api.get("me")
    recorded = encode(api.server.control("traffic")).decode()
    assert "/ExternalApi/v2/me" in recorded
    for secret in (api.server.account_id, *api.server.application_keys):
        assert secret not in recorded


def test_at_most_three_problems_are_reported_at_a_time(api: Api) -> None:
    errors = decode(api.send("POST", "supplier", {}).content)
    assert [error["Exception"] for error in errors] == [
        "Required attribute Name is not provided.",
        "Required attribute Currency is not provided.",
        "Required attribute PaymentTerm is not provided.",
    ]
    assert {error["ErrorCode"] for error in errors} == {400}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a": NaN}', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(server: RunningCin7, body: bytes) -> None:
    answer = httpx.post(f"{server.base_url}/supplier", headers=server.headers(), content=body)
    assert answer.status_code == 400
    assert decode(answer.content)[0]["ErrorCode"] == 400


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("Name", "n" * 257, "257 characters long, the maximum is 256"),
        ("Currency", "POUND", "5 characters long, the maximum is 3"),
        ("Status", "Sleeping", "expected is one of Active, Deprecated"),
        ("Discount", "10", "a number is expected"),
        ("Discount", 101, "the maximal value is 100"),
        ("Addresses", {}, "a list is expected"),
        ("Addresses", [{"Line1": "x"}], "'Country' is required for 'Addresses' line"),
        ("Addresses", ["x"], "Addresses is invalid"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(
    api: Api, field: str, value: object, told: str
) -> None:
    supplier = {
        "Name": "New",
        "Currency": "GBP",
        "PaymentTerm": "30 days",
        "AccountPayable": "800",
        "TaxRule": "No VAT",
        field: value,
    }
    text = api.refused("POST", "supplier", supplier)
    assert told in text
    assert field in text


def test_the_limit_counts_each_application_key_by_itself(server: RunningCin7, api: Api) -> None:
    server.control("settings", {"limit": 3})
    assert [api.send("GET", "me").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert Api(server, key=1).send("GET", "me").status_code == 200


def test_only_a_throttled_answer_carries_limit_headers(server: RunningCin7, api: Api) -> None:
    server.control("settings", {"limit": 1})
    accepted, refused = api.send("GET", "me"), api.send("GET", "me")
    assert not [name for name in accepted.headers if "limit" in name or "retry" in name]
    assert refused.headers["x-ratelimit-limit"] == "1"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert refused.headers["x-ratelimit-reset"] == "60"
    assert refused.headers["Retry-After"] == "60 Seconds"
    assert refused.text == "You have reached 1 calls per 60 seconds API limit."


@pytest.mark.parametrize(
    ("shape", "status", "text"),
    [
        ("503", 503, "You reached 60 calls per minute API limit."),
        ("400", 400, "You have reached 60 calls per 60 seconds API limit."),
    ],
)
def test_the_older_shapes_of_throttling(
    server: RunningCin7, api: Api, shape: str, status: int, text: str
) -> None:
    server.control("settings", {"limit": 60, "throttle_shape": shape})
    answers = [api.send("GET", "me") for _ in range(61)]
    assert {answer.status_code for answer in answers[:60]} == {200}
    assert (answers[60].status_code, answers[60].text) == (status, text)
    assert "retry-after" not in answers[60].headers


def test_the_window_slides(server: RunningCin7, api: Api) -> None:
    server.control("settings", {"limit": 1, "window_seconds": Decimal("0.2")})
    assert [api.send("GET", "me").status_code for _ in range(2)] == [200, 429]
    time.sleep(0.25)
    assert api.send("GET", "me").status_code == 200


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**15)))
def test_a_decimal_travels_exactly_and_without_exponent(number: Decimal) -> None:
    text = encode({"n": number}).decode()
    assert "e" not in text.lower().replace('"n"', "")
    assert decode(text)["n"] == number


@given(st.recursive(st.text() | st.integers() | st.booleans(), st.lists, max_leaves=5))
def test_everything_else_travels_as_plain_json(document: object) -> None:
    assert decode(encode(document)) == document


def test_numbers_are_written_plainly() -> None:
    assert plain(Decimal("840.00")) == "840"
    assert plain(Decimal("1E+3")) == "1000"
    assert plain(Decimal("0.10")) == "0.1"
    assert plain(100) == "100"


def test_a_moment_becomes_its_utc_day() -> None:
    assert business_date("2026-03-02T23:30:00-02:00") == "2026-03-03T00:00:00"
    assert business_date("2026-03-02") == "2026-03-02T00:00:00"
