"""The client against scripted servers: what is sent, what is sent again, what is believed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mlc_pipeline.cin7 import requests as r
from mlc_pipeline.cin7.client import PAGE_SIZE, Cin7Client
from mlc_pipeline.cin7.errors import (
    Cin7Error,
    NotAuthorised,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    UncertainOutcome,
    UnexpectedAnswer,
)
from mlc_pipeline.connection.model import CALL_TAKES_AT_MOST
from mlc_pipeline_tests.cin7.support import (
    ACCOUNT,
    BASE_URL,
    ID,
    KEY,
    LIMIT_TEXT,
    OTHER_ID,
    OTHER_KEY,
    NoPacer,
    Reply,
    Script,
    answer,
    client_of,
    html,
    text,
)

SUPPLIER = r.SupplierPost(
    name="Acme Ltd",
    currency="GBP",
    payment_term="30 days",
    account_payable="800",
    tax_rule="No VAT",
)
PURCHASE = r.PurchasePost(
    supplier_id=ID, location="Main Warehouse", approach="INVOICE", note="SYSPRO:DEMO:PO:7\nx"
)
LINE = r.OrderLine(
    sku="A-1",
    quantity=Decimal(2),
    price=Decimal("1.10"),
    tax=Decimal("0.44"),
    tax_rule="20% (VAT on Expenses)",
    total=Decimal("2.20"),
)
INVOICE = r.InvoicePost(
    purchase_id=ID,
    task_id=OTHER_ID,
    invoice_date=dt.date(2016, 4, 4),
    invoice_due_date=dt.date(2016, 5, 4),
    invoice_number="INV-9",
    status="DRAFT",
)
CREDIT_NOTE = r.CreditNotePost(
    purchase_id=ID,
    task_id=r.NEW_TASK,
    credit_note_invoice_number="INV-9",
    credit_note_number="CN-1",
    credit_note_date=dt.date(2016, 4, 4),
    status="DRAFT",
)
STOCK = r.StockPost(purchase_id=ID, task_id=OTHER_ID, status="DRAFT")
PRODUCT = r.ProductPost(
    sku="A-1",
    name="Bolt",
    category="Parts",
    type="Stock",
    costing_method="FIFO",
    uom="Item",
    status="Active",
)
SUPPLIER_PUT = r.SupplierPut(id=ID, **SUPPLIER.model_dump())

WRITES: dict[str, Callable[[Cin7Client], Any]] = {
    "create_supplier": lambda client: client.create_supplier(SUPPLIER),
    "update_supplier": lambda client: client.update_supplier(SUPPLIER_PUT),
    "create_product": lambda client: client.create_product(PRODUCT),
    "create_purchase": lambda client: client.create_purchase(PURCHASE),
    "update_purchase": lambda client: client.update_purchase(
        r.PurchasePut(id=ID, supplier_id=ID, location="Main Warehouse")
    ),
    "post_order": lambda client: client.post_order(r.OrderPost(task_id=ID, status="DRAFT")),
    "post_stock": lambda client: client.post_stock(STOCK),
    "post_invoice": lambda client: client.post_invoice(INVOICE),
    "post_credit_note": lambda client: client.post_credit_note(CREDIT_NOTE),
    "void_purchase": lambda client: client.void_purchase(ID),
    "undo_purchase": lambda client: client.undo_purchase(ID),
}
every_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())


def _page(key: str, rows: list[Any], total: int | None = None, page: int = 1) -> httpx.Response:
    body = {"Page": page, key: rows}
    return answer(body if total is None else body | {"Total": total})


def _rows(first: int, count: int) -> list[dict[str, Any]]:
    return [
        {"ID": f"id-{number}", "Name": f"S{number}"} for number in range(first, first + count)
    ]


# What is sent


def test_every_request_carries_the_account_and_the_key() -> None:
    script = Script(answer({"Company": "Demo", "Currency": "GBP"}))
    with client_of(script) as client:
        assert client.me()["Currency"] == "GBP"
    (request,) = script.requests
    assert str(request.url) == f"{BASE_URL}/me"
    assert request.headers["api-auth-accountid"] == ACCOUNT.get_secret_value()
    assert request.headers["api-auth-applicationkey"] == KEY.get_secret_value()
    assert request.headers["accept"] == "application/json"


def test_amounts_travel_as_exact_json_numbers() -> None:
    script = Script(answer({"TaskID": ID}))
    with client_of(script) as client:
        client.post_order(r.OrderPost(task_id=ID, status="DRAFT", lines=(LINE,)))
    (request,) = script.requests
    assert b'"Price":1.10' in request.content
    assert request.headers["content-type"] == "application/json"


def test_amounts_come_back_as_decimals() -> None:
    script = Script(text('{"ID": "x", "CurrencyRate": 1.10}', 200, "application/json"))
    with client_of(script) as client:
        rate = client.purchase("x")["CurrencyRate"]
    assert isinstance(rate, Decimal)
    assert str(rate) == "1.10"


@pytest.mark.parametrize(
    ("call", "path", "key", "query"),
    [
        (lambda c: c.accounts(), "/ref/account", "AccountsList", {}),
        (lambda c: c.tax_rules(), "/ref/tax", "TaxRuleList", {}),
        (lambda c: c.payment_terms(), "/ref/paymentterm", "PaymentTermList", {}),
        (lambda c: c.locations(), "/ref/location", "LocationList", {}),
        (lambda c: c.products(), "/product", "Products", {"IncludeDeprecated": "true"}),
        (
            lambda c: c.suppliers(dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC)),
            "/supplier",
            "SupplierList",
            {"ModifiedSince": "2026-03-29T01:30:00.000", "IncludeDeprecated": "true"},
        ),
        (
            lambda c: c.purchases(search="PO-1", status="DRAFT"),
            "/purchaseList",
            "PurchaseList",
            {"Search": "PO-1", "Status": "DRAFT"},
        ),
        (
            lambda c: c.purchases(
                dt.datetime(2026, 7, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))
            ),
            "/purchaseList",
            "PurchaseList",
            {"UpdatedSince": "2026-06-30T22:00:00.000"},
        ),
    ],
)
def test_a_list_is_asked_for_in_the_largest_pages(
    call: Callable[[Cin7Client], list[Any]], path: str, key: str, query: dict[str, str]
) -> None:
    script = Script(_page(key, [{"ID": ID, "Code": "800"}], total=1))
    with client_of(script) as client:
        assert len(call(client)) == 1
    assert script.requests[0].url.path == f"/ExternalApi/v2{path}"
    assert script.queries() == [{**query, "Page": "1", "Limit": "1000"}]


def test_a_moment_without_a_zone_is_refused() -> None:
    script = Script(html())
    with client_of(script) as client, pytest.raises(ValueError, match="without a zone"):
        client.suppliers(dt.datetime(2026, 3, 29))  # noqa: DTZ001
    assert script.requests == []


@pytest.mark.parametrize(
    ("method", "void"), [("void_purchase", "true"), ("undo_purchase", "false")]
)
def test_void_and_undo_differ_in_one_parameter(method: str, void: str) -> None:
    script = Script(text("", 204))
    with client_of(script) as client:
        assert getattr(client, method)(ID) == {}
    assert script.requests[0].method == "DELETE"
    assert script.queries() == [{"ID": ID, "Void": void}]


# What is believed


def test_a_created_supplier_is_taken_out_of_its_envelope() -> None:
    script = Script(
        answer({"Total": 1, "Page": 1, "SupplierList": [{"ID": ID, "Name": "Acme"}]})
    )
    with client_of(script) as client:
        assert client.create_supplier(SUPPLIER) == {"ID": ID, "Name": "Acme"}
    assert script.bodies() == [SUPPLIER.to_wire()]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"SupplierList": []},
        {"SupplierList": [{"Name": "Acme"}]},
        {"SupplierList": [{"ID": ID}, {"ID": OTHER_ID}]},
        {"SupplierList": "none"},
        [],
        None,
    ],
)
def test_a_create_answered_without_its_id_is_uncertain(body: Any) -> None:
    script = Script(answer(body))
    with client_of(script) as client, pytest.raises(UncertainOutcome) as caught:
        client.create_supplier(SUPPLIER)
    assert caught.value.record == "Name 'Acme Ltd'"
    assert len(script.requests) == 1


@pytest.mark.parametrize("body", [{"ID": ""}, {"Page": 1}, [], None])
def test_a_read_answered_without_its_id_is_unexpected(body: Any) -> None:
    script = Script(answer(body))
    with client_of(script) as client, pytest.raises(UnexpectedAnswer):
        client.purchase(ID)


def test_a_posted_invoice_is_found_by_its_task() -> None:
    invoices = [
        {"TaskID": ID, "InvoiceNumber": "INV-9"},
        {"TaskID": OTHER_ID.upper(), "InvoiceNumber": "INV-9", "Status": "DRAFT"},
    ]
    script = Script(answer({"PurchaseID": ID, "Invoices": invoices}))
    with client_of(script) as client:
        assert client.post_invoice(INVOICE) == {"PurchaseID": ID, **invoices[1]}


def test_a_new_credit_note_is_found_by_its_number_the_voided_one_passed_over() -> None:
    notes = [
        {"TaskID": "1", "CreditNoteNumber": "CN-1", "Status": "VOIDED"},
        {"TaskID": "2", "CreditNoteNumber": "CN-1", "Status": "DRAFT"},
        {"TaskID": "3", "CreditNoteNumber": "CN-2", "Status": "DRAFT"},
    ]
    script = Script(answer({"PurchaseID": ID, "CreditNotes": notes}))
    with client_of(script) as client:
        assert client.post_credit_note(CREDIT_NOTE)["TaskID"] == "2"


def test_a_new_receipt_is_the_last_of_its_purchase() -> None:
    script = Script(
        answer({"PurchaseID": ID, "StockReceiving": [{"TaskID": "1"}, {"TaskID": "2"}]})
    )
    stock = STOCK.model_copy(update={"task_id": r.NEW_TASK})
    with client_of(script) as client:
        assert client.post_stock(stock)["TaskID"] == "2"


def test_an_invoice_that_the_answer_does_not_hold_is_uncertain() -> None:
    script = Script(answer({"PurchaseID": ID, "Invoices": [{"TaskID": ID}]}))
    with client_of(script) as client, pytest.raises(UncertainOutcome, match="does not hold"):
        client.post_invoice(INVOICE)


# Suppliers


def test_only_suppliers_of_exactly_the_name_are_returned() -> None:
    names = ["ACME ", "Acme Ltd", "acme", "Acme"]
    rows = [{"ID": f"{i}", "Name": name} for i, name in enumerate(names)]
    script = Script(_page("SupplierList", rows, total=4))
    with client_of(script) as client:
        assert [row["ID"] for row in client.suppliers_named(" Acme ")] == ["0", "2", "3"]
    assert script.queries()[0]["Name"] == "Acme"
    assert script.queries()[0]["IncludeDeprecated"] == "true"


def test_a_supplier_is_found_by_its_id_alone() -> None:
    rows = [{"ID": OTHER_ID, "Name": "first of all"}, {"ID": ID.upper(), "Name": "Acme"}]
    script = Script(_page("SupplierList", rows, total=2))
    with client_of(script) as client:
        assert client.supplier(ID)["Name"] == "Acme"
    others = Script(_page("SupplierList", rows[:1], total=1))
    with client_of(others) as client, pytest.raises(NotFound, match=f"ID '{ID}'"):
        client.supplier(ID)


# Lists


def test_a_list_is_read_to_its_end() -> None:
    script = Script(
        _page("SupplierList", _rows(0, PAGE_SIZE), total=PAGE_SIZE + 2),
        _page("SupplierList", _rows(PAGE_SIZE, 2), total=PAGE_SIZE + 2, page=2),
    )
    with client_of(script) as client:
        assert len(client.suppliers()) == PAGE_SIZE + 2
    assert [query["Page"] for query in script.queries()] == ["1", "2"]


def test_pages_smaller_than_asked_for_do_not_end_a_list() -> None:
    pages = [_page("SupplierList", _rows(first, 100), total=250) for first in (0, 100)]
    script = Script(*pages, _page("SupplierList", _rows(200, 50), total=250))
    with client_of(script) as client:
        assert len(client.suppliers()) == 250


def test_a_list_without_a_total_ends_with_its_first_short_page() -> None:
    script = Script(
        _page("SupplierList", _rows(0, PAGE_SIZE)), _page("SupplierList", _rows(PAGE_SIZE, 3))
    )
    with client_of(script) as client:
        assert len(client.suppliers()) == PAGE_SIZE + 3


@pytest.mark.parametrize("failure", [html(), text("oops", 500), httpx.ReadTimeout("late")])
def test_a_page_that_fails_in_the_middle_fails_the_list(failure: Reply) -> None:
    script = Script(_page("PurchaseList", _rows(0, PAGE_SIZE), total=PAGE_SIZE + 1), failure)
    with client_of(script) as client, pytest.raises(Cin7Error, match="Page '2'"):
        client.purchases()


def test_a_list_that_came_short_is_read_once_more() -> None:
    script = Script(
        _page("PurchaseList", _rows(0, 2), total=3),
        _page("PurchaseList", [], total=3),
        _page("PurchaseList", _rows(0, 3), total=3),
    )
    with client_of(script) as client:
        assert len(client.purchases()) == 3
    assert [query["Page"] for query in script.queries()] == ["1", "2", "1"]


def test_a_row_that_moved_between_pages_is_not_counted_twice() -> None:
    script = Script(
        _page("PurchaseList", _rows(0, PAGE_SIZE), total=PAGE_SIZE + 1),
        _page("PurchaseList", _rows(PAGE_SIZE - 1, 1), total=PAGE_SIZE + 1),
        _page("PurchaseList", _rows(0, PAGE_SIZE), total=PAGE_SIZE + 1),
        _page("PurchaseList", _rows(PAGE_SIZE, 1), total=PAGE_SIZE + 1),
    )
    with client_of(script) as client:
        found = [row["ID"] for row in client.purchases()]
    assert len(found) == len(set(found)) == PAGE_SIZE + 1


def test_a_list_that_stays_short_is_an_error() -> None:
    first, rest = _page("PurchaseList", _rows(0, 2), total=3), _page("PurchaseList", [], 3)
    script = Script(first, rest, first, rest)
    message = "expected 3 rows in PurchaseList, found 2, twice"
    with client_of(script) as client, pytest.raises(UnexpectedAnswer, match=message):
        client.purchases()
    assert len(script.requests) == 4


@pytest.mark.parametrize(
    "body", [{"Total": 1, "PurchaseList": [{"Name": "x"}]}, {"Total": 1}, {"PurchaseList": [1]}]
)
def test_a_page_without_usable_rows_is_unexpected(body: Any) -> None:
    with client_of(Script(answer(body))) as client, pytest.raises(UnexpectedAnswer):
        client.purchases()


# Ledger


def test_transactions_include_both_days_although_the_wire_excludes_them() -> None:
    days = ["2016-04-03T23:59:59Z", "2016-04-04T00:00:00", "2016-04-05T10:00:00", "2016-04-06"]
    rows = [{"TaskID": ID, "EffectiveDate": day, "Amount": 1} for day in days]
    script = Script(_page("Transactions", [*rows, rows[1]], total=5))
    with client_of(script) as client:
        found = client.transactions(dt.date(2016, 4, 4), dt.date(2016, 4, 5))
    # The same transaction twice is two transactions: the ledger's rows have no id.
    assert [row["EffectiveDate"] for row in found] == [days[1], days[2], days[1]]
    assert script.queries()[0]["FromDate"] == "2016-04-03T00:00:00"
    assert script.queries()[0]["ToDate"] == "2016-04-06T00:00:00"


@pytest.mark.parametrize("day", [None, "", "yesterday"])
def test_a_transaction_without_a_date_is_unexpected(day: str | None) -> None:
    script = Script(_page("Transactions", [{"TaskID": ID, "EffectiveDate": day}], total=1))
    with client_of(script) as client, pytest.raises(UnexpectedAnswer, match=ID):
        client.transactions(dt.date(2016, 4, 4), dt.date(2016, 4, 4))


def test_the_first_day_of_transactions_is_not_after_the_last() -> None:
    with client_of(Script(html())) as client, pytest.raises(ValueError, match="first <= last"):
        client.transactions(dt.date(2016, 4, 5), dt.date(2016, 4, 4))


# What is sent again


LOST = {
    "read time-out": httpx.ReadTimeout("late"),
    "write time-out": httpx.WriteTimeout("late"),
    "connection broken while reading": httpx.ReadError("reset"),
    "connection broken while writing": httpx.WriteError("reset"),
    "connection closed without an answer": httpx.RemoteProtocolError("closed"),
    "500": text("oops", 500),
    "502 as HTML": html(502),
    "503 without the sentence": text("Service Unavailable", 503),
    "504": text("", 504),
    "200 as HTML": html(),
    "200 as garbage": text("{", 200, "application/json"),
    "redirect": text("", 302, location="http://other.test/"),
}


@every_write
@pytest.mark.parametrize("reply", LOST.values(), ids=LOST.keys())
def test_a_write_whose_answer_was_lost_is_never_sent_again(
    write: Callable[[Cin7Client], Any], reply: Reply
) -> None:
    script = Script(reply)
    with client_of(script) as client:
        with pytest.raises(UncertainOutcome, match="look for the record in Cin7"):
            write(client)
        assert (client.counter.calls, client.counter.retried) == (1, 0)
    assert len(script.requests) == 1


@every_write
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer([{"ErrorCode": 400, "Exception": "no"}], 400), Refused),
        (answer([{"ErrorCode": 400, "Exception": "no"}], 200), Refused),
        (text("Incorrect credentials!", 403), NotAuthorised),
    ],
)
def test_a_refused_write_is_not_sent_again(
    write: Callable[[Cin7Client], Any], reply: Reply, kind: type[Cin7Error]
) -> None:
    script = Script(reply)
    with client_of(script) as client, pytest.raises(kind):
        write(client)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        httpx.ConnectError("[Errno -2] Name or service not known"),
        httpx.ConnectTimeout("late"),
        httpx.PoolTimeout("late"),
        text("Too many requests", 429, **{"retry-after": "60 Seconds"}),
        text(LIMIT_TEXT, 503),
        answer([{"ErrorCode": 400, "Exception": LIMIT_TEXT}], 400),
    ],
)
def test_a_write_that_was_certainly_not_applied_is_sent_again(reply: Reply) -> None:
    script = Script(reply, reply, answer({"SupplierList": [{"ID": ID}]}))
    with client_of(script) as client:
        assert client.create_supplier(SUPPLIER)["ID"] == ID
        assert (client.counter.calls, client.counter.writes, client.counter.retried) == (
            3,
            3,
            2,
        )
    assert script.bodies() == [SUPPLIER.to_wire()] * 3


@pytest.mark.parametrize(
    "reply",
    [
        *(httpx.ConnectError("refused"), httpx.ReadTimeout("late"), httpx.ReadError("reset")),
        *(text("oops", 500), html(502), text("", 503), text(LIMIT_TEXT, 429)),
    ],
)
def test_a_read_is_sent_again_when_cin7_was_unavailable(reply: Reply) -> None:
    script = Script(reply, reply, answer({"ID": ID}))
    with client_of(script) as client:
        assert client.purchase(ID)["ID"] == ID
        assert (client.counter.calls, client.counter.writes, client.counter.retried) == (
            3,
            0,
            2,
        )


@pytest.mark.parametrize("reply", [html(), text("", 301), answer([], 200), text("no", 404)])
def test_a_read_that_will_not_get_better_is_not_sent_again(reply: Reply) -> None:
    script = Script(reply)
    with client_of(script) as client, pytest.raises(Cin7Error):
        client.purchase(ID)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("reply", "kind"), [(text(LIMIT_TEXT, 429), Throttled), (text("oops", 500), Unavailable)]
)
def test_trying_ends_with_the_last_error_and_the_number_of_attempts(
    reply: Reply, kind: type[Cin7Error]
) -> None:
    script = Script(reply)
    with client_of(script, attempts=4) as client, pytest.raises(kind) as caught:
        client.purchase(ID)
    assert type(caught.value) is kind
    assert caught.value.attempts == len(script.requests) == 4
    assert "after 4 attempts" in str(caught.value)


def test_a_wait_that_would_end_after_the_time_allowed_is_not_begun() -> None:
    script = Script(text(LIMIT_TEXT, 429))
    pacer = NoPacer(next_slot_in=61)
    with client_of(script, pacer=pacer, seconds=60) as client, pytest.raises(Throttled):
        client.purchase(ID)
    assert len(script.requests) == 1


def test_waits_between_retries_are_random_parts_of_a_growing_bound() -> None:
    sleeps: list[float] = []
    with client_of(Script(text("oops", 500)), attempts=6, sleeps=sleeps) as client:
        with pytest.raises(Unavailable):
            client.purchase(ID)
        assert client.counter.waited_seconds == pytest.approx(sum(sleeps))
    assert all(0 <= wait <= 2**number for number, wait in enumerate(sleeps))
    assert len(sleeps) == 5


# Throttling


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (text("", 429, **{"retry-after": "60 Seconds"}), 60),
        (text("", 429, **{"retry-after": "30"}), 30),
        (text(LIMIT_TEXT, 503), 60),
        (text(LIMIT_TEXT, 400, **{"retry-after": "12 Seconds"}), 12),
    ],
)
def test_throttling_slows_the_budget_down_and_leaves_the_wait_to_it(
    reply: Reply, seconds: int
) -> None:
    pacer, sleeps = NoPacer(), list[float]()
    script = Script(reply, answer({"ID": ID}))
    with client_of(script, pacer=pacer, sleeps=sleeps) as client:
        client.purchase(ID)
        assert client.counter.throttled == 1
    assert pacer.waits == [seconds]
    assert pacer.acquired == 2
    assert sum(sleeps) == 0


def test_a_503_without_the_sentence_slows_down_but_leaves_a_write_uncertain() -> None:
    pacer = NoPacer()
    script = Script(text("", 503))
    with client_of(script, pacer=pacer) as client, pytest.raises(UncertainOutcome):
        client.create_supplier(SUPPLIER)
    assert pacer.waits == [60]


class _Blocked(NoPacer):
    """A pacer whose slots lie far ahead once it was throttled."""

    def next_slot_in(self) -> float:
        return max(self.waits, default=0.0)


def test_a_second_application_takes_over_while_the_first_is_throttled() -> None:
    pacers = {"main": _Blocked(), "second": _Blocked()}
    script = Script(text(LIMIT_TEXT, 429), answer({"ID": ID}))
    client = Cin7Client(
        BASE_URL,
        ACCOUNT,
        {"main": KEY, "second": OTHER_KEY},
        pacers,
        transport=httpx.MockTransport(script),
    )
    with client:
        client.purchase(ID)
    keys = [request.headers["api-auth-applicationkey"] for request in script.requests]
    assert keys == [KEY.get_secret_value(), OTHER_KEY.get_secret_value()]
    assert (pacers["main"].waits, pacers["second"].waits) == ([60], [])


def test_the_counter_adds_the_pacers_waits() -> None:
    with client_of(Script(answer({"ID": ID})), pacer=NoPacer(next_slot_in=1.5)) as client:
        client.purchase(ID)
        client.purchase(ID)
        assert client.counter.waited_seconds == 3.0


# Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": {}, "pacers": {}}, "found none"),
        ({"pacers": {"other": NoPacer()}}, "the same names"),
        ({"keys": {"main": SecretStr("a\nb")}}, "cin7_application_key_main"),
        ({"account_id": SecretStr("")}, "cin7_account_id"),
        ({"base_url": "inventory.dearsystems.com"}, "cin7.base_url"),
        ({"base_url": "http:///ExternalApi/v2"}, "cin7.base_url"),
        ({"base_url": "https://host:port/ExternalApi/v2"}, "cin7.base_url"),
    ],
)
def test_unusable_settings_are_named(changes: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {
        "base_url": BASE_URL,
        "account_id": ACCOUNT,
        "keys": {"main": KEY},
        "pacers": {"main": NoPacer()},
    }
    with pytest.raises(ValueError, match=message):
        Cin7Client(**settings | changes)


def test_a_call_is_over_in_twice_its_timeout() -> None:
    """The settle wait counts on it."""
    script = Script(answer({"Total": 0, "PurchaseList": []}))
    list(client_of(script).purchases())
    of = script.requests[0].extensions["timeout"]
    tcp_and_tls = 2 * of["connect"]
    whole = of["pool"] + tcp_and_tls + of["write"] + of["read"]
    assert (of["read"], whole) == (60, CALL_TAKES_AT_MOST * 60)
