"""The control surface of the stand-in: faults, summary, edits, settings, reset."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import httpx
import pytest

from mlc_pipeline.sandbox.cin7.running import RunningCin7
from mlc_pipeline.sandbox.cin7.wire import decode
from mlc_pipeline_tests.sandbox.cin7_account import (
    LOCAL,
    Api,
    fixtures,
    invoice_charge,
    line,
)

server, api = fixtures()


def _header(api: Api) -> dict[str, Any]:
    return {"Supplier": LOCAL, "Approach": "INVOICE", "Location": "Main Warehouse"}


def _order_a_fault(api: Api, kind: str, **more: Any) -> None:
    fault = {"method": "POST", "path": "Advanced-Purchase", "kind": kind, **more}
    api.server.control("faults", fault)


@pytest.mark.parametrize(("kind", "made"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_call_gets_no_answer_at_all(api: Api, kind: str, made: int) -> None:
    _order_a_fault(api, kind)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        api.send("POST", "advanced-purchase", _header(api))
    assert api.get("purchaseList")["Total"] == made
    dropped = api.server.control("traffic")["requests"][0]
    assert (dropped["status"], dropped["fault"]) == (None, kind)
    assert dropped["body"]["Supplier"] == LOCAL


@pytest.mark.parametrize(
    ("kind", "status", "content", "made"),
    [
        ("error_after", 500, "application/json", 1),
        ("error_list_200", 200, "application/json", 0),
        ("garbage", 200, "application/json", 1),
        ("throttle", 429, "text/plain", 0),
        ("html_200", 200, "text/html", 0),
    ],
)
def test_a_fault_spoils_the_answer(
    api: Api, kind: str, status: int, content: str, made: int
) -> None:
    _order_a_fault(api, kind)
    answer = api.send("POST", "advanced-purchase", _header(api))
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(content)
    assert api.get("purchaseList")["Total"] == made


def test_garbage_breaks_off_and_an_error_list_says_what_it_is(api: Api) -> None:
    _order_a_fault(api, "garbage")
    _order_a_fault(api, "error_list_200")
    broken = api.send("POST", "advanced-purchase", _header(api))
    with pytest.raises(ValueError):
        decode(broken.content)
    errors = decode(api.send("POST", "advanced-purchase", _header(api)).content)
    assert errors[0]["ErrorCode"] == 400


def test_a_slow_call_is_applied_after_the_client_gave_up(api: Api) -> None:
    _order_a_fault(api, "slow_commit", seconds=Decimal("0.3"))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{api.server.base_url}/advanced-purchase",
            headers=api.server.headers(),
            json=_header(api),
            timeout=0.1,
        )
    assert api.get("purchaseList")["Total"] == 0
    time.sleep(0.35)
    assert api.get("purchaseList")["Total"] == 1


def test_a_fault_skips_then_hits_so_many_times(api: Api) -> None:
    _order_a_fault(api, "error_after", skip=1, times=2)
    statuses = [
        api.send("POST", "advanced-purchase", _header(api)).status_code for _ in range(4)
    ]
    assert statuses == [200, 500, 500, 200]
    assert api.get("me")
    assert api.server.control("faults") == {"faults": []}


def test_a_fault_hits_a_share_of_the_writes_the_same_ones_each_time(api: Api) -> None:
    def hit() -> list[bool]:
        api.server.control("reset", {})
        api.server.control(
            "faults",
            {"kind": "throttle", "method": "write", "share": Decimal("0.4"), "times": 0},
        )
        api.get("purchaseList")
        calls = [api.send("POST", "advanced-purchase", _header(api)) for _ in range(30)]
        (fault,) = api.server.control("faults")["faults"]
        assert fault["hits"] == sum(call.status_code == 429 for call in calls)
        return [call.status_code == 429 for call in calls]

    first = hit()
    assert 3 < sum(first) < 27
    assert hit() == first


def test_a_fault_that_hits_once_lets_the_same_request_pass_the_second_time(
    api: Api,
) -> None:
    _order_a_fault(api, "error_after", once=True, times=0)
    one, other = _header(api), _header(api) | {"Note": "another"}
    statuses = [
        api.send("POST", "advanced-purchase", body).status_code
        for body in (one, one, other, one, other)
    ]
    assert statuses == [500, 200, 500, 200, 200]


@pytest.mark.parametrize(("shape", "status"), [("429", 429), ("503", 503), ("400", 400)])
def test_a_storm_may_come_in_any_shape_and_say_how_long_it_lasts(
    api: Api, shape: str, status: int
) -> None:
    _order_a_fault(api, "throttle", shape=shape, seconds=1)
    answer = api.send("POST", "advanced-purchase", _header(api))
    assert answer.status_code == status
    assert answer.headers["Retry-After"] == "1 Seconds"
    assert "60 calls per" in answer.text


def test_faults_are_cancelled_and_nonsense_is_refused(api: Api) -> None:
    _order_a_fault(api, "throttle")
    assert api.server.control("faults", method="DELETE") == {"faults": []}
    with pytest.raises(ValueError, match="kind is one of drop_before"):
        api.server.control("faults", {"kind": "earthquake"})
    with pytest.raises(ValueError, match="a fault has no colour"):
        api.server.control("faults", {"kind": "throttle", "colour": "red"})
    with pytest.raises(ValueError, match="shape is one of 429"):
        api.server.control("faults", {"kind": "throttle", "shape": "418"})


def test_the_summary_counts_and_points_at_what_should_not_be(api: Api) -> None:
    marked = {"AdditionalAttributes": {"AdditionalAttribute1": "SYSPRO:DEMO:PO:1"}}
    half = api.purchase()
    first, second = api.ordered(line(), **marked), api.serviced(**marked)
    voided = api.purchase(**marked)
    api.ok("DELETE", "advanced-purchase", ID=voided["ID"], Void="true")
    api.invoiced(second, charges=(invoice_charge(Tax=Decimal("20.00")),))
    for supplier in api.get("supplier")["SupplierList"]:
        mark = {"AdditionalAttribute1": "SYSPRO:DEMO:SUP:1"}
        api.server.control("edit", {"supplier": supplier["ID"], "set": mark})
    summary = api.server.control("summary")
    assert summary["suppliers"] == 2
    assert summary["purchases"] == {
        "total": 4,
        "by_status": {"DRAFT": 1, "ORDERED": 1, "INVOICED": 1, "VOIDED": 1},
        "by_type": {"Advanced Purchase": 3, "Service Purchase": 1},
    }
    assert summary["invoices"]["by_status"] == {"AUTHORISED": 1}
    assert summary["duplicates"] == [
        {"marker": "SYSPRO:DEMO:PO:1", "ids": [first["ID"], second["ID"]]}
    ]
    assert summary["doubled_suppliers"][0]["marker"] == "SYSPRO:DEMO:SUP:1"
    assert summary["half_made"] == [half["ID"]]
    assert summary["accounts"] == {"400": 100, "800": -120, "820": 20}


def test_an_edit_moves_documents_lists_and_ledger_alike(api: Api) -> None:
    purchase = api.serviced()
    api.invoiced(purchase, charges=(invoice_charge(),))
    price = {f"Invoice.0.AdditionalCharges.0.{name}": 90 for name in ("Price", "Total")}
    account = {"Invoice.0.AdditionalCharges.0.Account": "310"}
    stamp = api.get("purchaseList")["PurchaseList"][0]["LastUpdatedDate"]
    time.sleep(0.002)
    api.server.control("edit", {"purchase": purchase["ID"], "set": {**price, **account}})
    row = api.get("purchaseList", UpdatedSince=stamp)["PurchaseList"][0]
    assert row["InvoiceAmount"] == 90
    posted = api.get("transactions")["Transactions"][0]
    assert (posted["DebitAccountCode"], posted["Amount"]) == ("310", 90)


def test_a_deleted_purchase_leaves_nothing_behind(api: Api) -> None:
    purchase = api.serviced()
    api.invoiced(purchase, charges=(invoice_charge(),))
    api.server.control("edit", {"purchase": purchase["ID"], "delete": True})
    assert "was not found" in api.refused("GET", "advanced-purchase", ID=purchase["ID"])
    assert api.get("purchaseList")["Total"] == 0
    assert api.get("transactions")["Total"] == 0
    assert api.get("advanced-purchase/payment", InvoiceNumber="SUP-1") == []


def test_reference_books_are_edited_by_their_names(api: Api) -> None:
    api.server.control("edit", {"account": "400", "set": {"Status": "ARCHIVED"}})
    api.server.control("edit", {"payment_term": "30 days", "delete": True})
    assert api.get("ref/account", Code="400")["AccountsList"][0]["Status"] == "ARCHIVED"
    assert api.get("ref/paymentterm", Name="30")["Total"] == 0
    with pytest.raises(ValueError, match="there is no account 999"):
        api.server.control("edit", {"account": "999", "delete": True})
    with pytest.raises(ValueError, match="no field Colour to set"):
        api.server.control("edit", {"account": "800", "set": {"Colour": "red"}})
    with pytest.raises(ValueError, match="an edit names one of purchase"):
        api.server.control("edit", {"planet": "Earth"})


def test_a_payment_needs_an_authorised_invoice(api: Api) -> None:
    purchase = api.serviced()
    edit = {"purchase": purchase["ID"], "pay": {"TaskID": purchase["ID"]}}
    with pytest.raises(ValueError, match="the purchase has no invoice"):
        api.server.control("edit", edit)
    edit["pay"] = {"TaskID": purchase["Invoice"][0]["TaskID"]}
    with pytest.raises(ValueError, match="payments need AUTHORISED"):
        api.server.control("edit", edit)


def test_settings_are_changed_by_name_and_told(api: Api) -> None:
    changed = api.server.control("settings", {"limit": 5, "lock_date": "2026-01-01"})
    assert (changed["limit"], changed["lock_date"]) == (5, "2026-01-01T00:00:00")
    assert api.server.control("settings") == changed
    for wrong in ({"colour": "red"}, {"throttle_shape": "418"}, {"line_total_decimals": 9}):
        with pytest.raises(ValueError):
            api.server.control("settings", wrong)


def test_a_reset_begins_again(api: Api) -> None:
    api.purchase()
    api.server.control("settings", {"limit": 1, "lock_date": "2026-01-01"})
    api.server.control("reset", {})
    assert api.get("me")["LockDate"] is None
    assert [api.get("purchaseList")["Total"] for _ in range(3)] == [0, 0, 0]
    assert api.purchase()["OrderNumber"] == "PO-00001"


def test_traffic_is_recorded_until_it_is_cleared(api: Api) -> None:
    api.send("GET", "nowhere", x="1")
    recorded = api.server.control("traffic")
    assert recorded["recording"] is True
    assert recorded["requests"] == [
        {
            "method": "GET",
            "path": "/ExternalApi/v2/nowhere",
            "query": {"x": "1"},
            "body": None,
            "status": 200,
            "ignored": [],
            "fault": None,
        }
    ]
    assert api.server.control("traffic", method="DELETE")["requests"] == []
    api.server.control("settings", {"record": False})
    api.get("me")
    assert api.server.control("traffic")["requests"] == []


def test_an_unknown_control_call_is_a_404(server: RunningCin7) -> None:
    assert httpx.get(f"{server.address}/_sandbox/tea").status_code == 404
