"""Invoices and credits: the document keeps every cent of its postings, or says why not yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlc_pipeline.cin7.decimals import dumps, loads
from mlc_pipeline.cin7.requests import NEW_TASK, line_total
from mlc_pipeline.sync.bodies import (
    answered_amounts,
    credit_note_post,
    invoice_post,
    order_post,
    purchase_post,
)
from mlc_pipeline.sync.content import CreditContent, InvoiceContent
from mlc_pipeline.sync.invoices import (
    POSTING_TYPES,
    InvoiceParts,
    invoice_key,
    is_distribution,
    plan_invoice,
    plan_stray_postings,
    plan_vanished,
)
from mlc_pipeline.sync.money import to_base
from mlc_pipeline.sync.orders import NON_STOCKED
from mlc_pipeline.sync.plan import (
    AccountReference,
    Known,
    PlanContext,
    Planned,
    References,
)
from mlc_pipeline.sync.rows import InvoiceRow, OrderRow, PostingRow
from mlc_pipeline.sync.vocabulary import REASONS, Kind, Verdict
from mlc_pipeline_tests.contract.openapi import validate_request
from mlc_pipeline_tests.sync.examples import (
    DAY,
    EXEMPT,
    GL_ABSENT,
    GL_ARCHIVED,
    GL_PAYABLE,
    GL_TAX,
    GL_TO_ACCOUNT,
    GL_UNMAPPED,
    ORDER,
    SUPPLIER,
    VAT,
    context,
    d,
    invoice,
    match,
    order_line,
    posting,
    postings,
    ready_supplier,
    receipt,
    references,
)

ID = "11111111-1111-4111-8111-111111111111"
KEY = f"{SUPPLIER}|INV-1"
CREDITED = f"{SUPPLIER}|INV-0"


def plan(
    row: InvoiceRow,
    entries: Sequence[PostingRow] = (),
    *,
    looked_at: PlanContext | None = None,
    suppliers: Mapping[str, Planned] | None = None,
    orders: Mapping[str, Planned] | None = None,
    **parts: Any,
) -> Planned:
    return plan_invoice(
        InvoiceParts(row, entries, **parts),
        looked_at or context(),
        suppliers=ready_supplier() if suppliers is None else suppliers,
        orders=orders or {},
        terms_of={SUPPLIER: "60"},
    )


def ready_order(verdict: Verdict = Verdict.CREATE) -> dict[str, Planned]:
    planned = Planned(
        Kind.PURCHASE_ORDER, ORDER, verdict, d(0), reason_code="x", reason="because"
    )
    return {ORDER: planned}


def matched(*lines: Any) -> dict[str, Any]:
    """Return the parts of an invoice that is matched to the order's one receipt."""
    rows = lines or (order_line(),)
    return {
        "matches": [match()],
        "receipts": [receipt()],
        "order_lines": {(ORDER, row.line): row for row in rows},
    }


def content_of(planned: Planned) -> InvoiceContent:
    assert isinstance(planned.content, InvoiceContent), (planned.reason_code, planned.reason)
    return planned.content


def _accepted(method: str, path: str, wire: Mapping[str, Any]) -> dict[str, Any]:
    on_the_wire: dict[str, Any] = loads(dumps(wire))
    validate_request(method, path, on_the_wire)
    return on_the_wire


def sent(content: InvoiceContent) -> dict[str, Any]:
    """Return the invoice as Cin7 gets it, held against the description of the API."""
    body = invoice_post(content, ID, ID, authorise=True)
    if content.header is not None:
        header = purchase_post(content.header, ID).to_wire()
        _accepted("POST", "/advanced-purchase", header)
        order = order_post(ID, content.lines, content.charges, memo=None, authorise=True)
        _accepted("POST", "/purchase/order", order.to_wire())
    return _accepted("POST", "/advanced-purchase/invoice", body.to_wire())


def booked(planned: Planned) -> dict[str, Decimal]:
    """Return what the document books, by `account|cost centre`."""
    found = answered_amounts(sent(content_of(planned)))["amounts"]
    return {key: Decimal(amount) for key, amount in found.items()}


# --- the property: nothing gained, nothing lost ---

_cents = st.decimals(min_value=-(10**5), max_value=10**5, places=2).filter(bool)
_codes = st.builds(
    "{}.{}".format, st.sampled_from(["10", "20", "30"]), st.sampled_from([*GL_TO_ACCOUNT])
)
_expenses = st.lists(st.tuples(_codes, _cents), min_size=1, max_size=98)
_taxes = st.lists(st.tuples(st.just(GL_TAX), _cents), max_size=2)
_rates = st.tuples(
    st.decimals(min_value="0.05", max_value=10, places=5), st.sampled_from(["M", "D"])
)
_matched_lines = st.lists(
    st.tuples(
        st.sampled_from(["A100", "B200", "C300"]),
        st.decimals(min_value=1, max_value=5000, places=4),
        st.decimals(min_value=-1000, max_value=10**6, places=2),
        _codes,
    ),
    max_size=8,
)


def _matches_of(lines: list[tuple[str, Decimal, Decimal, str]]) -> dict[str, Any]:
    numbered = list(enumerate(lines, start=1))
    return {
        "matches": [
            match(f"G{n % 3}", n, matched_quantity=quantity, matched_value=value)
            for n, (_, quantity, value, _) in numbered
        ],
        "receipts": [
            receipt(f"G{n % 3}", n, stock_code=sku, line=d(n), gl_code=code)
            for n, (sku, _, _, code) in numbered
        ],
        "order_lines": {
            (ORDER, d(n)): order_line(n, stock_code=sku) for n, (sku, _, _, _) in numbered
        },
    }


def _per_bucket(entries: list[tuple[str, Decimal]]) -> dict[str, Decimal]:
    centres = {"10": "Sales", "20": "Works", "30": "30"}
    totals: dict[str, Decimal] = {}
    for code, amount in entries:
        centre, account = code.split(".")
        key = f"{GL_TO_ACCOUNT[account]}|{centres[centre]}"
        totals[key] = totals.get(key, Decimal(0)) + amount
    return {key: total for key, total in totals.items() if total}


def _nonzero(totals: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {key: total for key, total in totals.items() if total}


def _fits_cin7(wire: dict[str, Any], decimals: int) -> None:
    for item in [*wire["Lines"], *wire["AdditionalCharges"]]:
        quantity, price = Decimal(item["Quantity"]), Decimal(item["Price"])
        assert Decimal(item["Total"]) == line_total(quantity, price, None, decimals)


@settings(max_examples=100)
@given(_expenses, _taxes, _matched_lines, st.sampled_from([2, 4]), st.randoms())
def test_a_local_invoice_is_worth_its_value_and_each_account_its_postings(
    expenses: list[tuple[str, Decimal]],
    taxes: list[tuple[str, Decimal]],
    lines: list[tuple[str, Decimal, Decimal, str]],
    decimals: int,
    random: Any,
) -> None:
    entries = [*expenses, *taxes]
    value = sum(amount for _, amount in entries)
    rows = postings(*((code, str(amount)) for code, amount in entries))
    rows.append(posting(-value, GL_PAYABLE, sub_entry=d(99)))
    looked_at = context(
        cin7={"line_total_decimals": decimals}, unnamed_credit="negative_charge"
    )
    parts = _matches_of(lines)
    planned = plan(
        invoice(value, tax_code="A"), rows, looked_at=looked_at, orders=ready_order(), **parts
    )
    content = content_of(planned)
    assert content.total == value
    # A line that cannot be told from its tax (all sums zero) still has the tax on it.
    assert sum(i.tax for i in (*content.lines, *content.charges)) == sum(a for _, a in taxes)
    wire = sent(content)
    _fits_cin7(wire, decimals)
    assert _nonzero(booked(planned)) == _per_bucket(expenses)
    random.shuffle(rows)
    for rows_of_kind in (parts["matches"], parts["receipts"]):
        random.shuffle(rows_of_kind)
    again = plan(
        invoice(value, tax_code="A"), rows, looked_at=looked_at, orders=ready_order(), **parts
    )
    assert content_of(again).digest() == content.digest()


_CHOICES: dict[str, dict[str, Any]] = {
    "charge_reference": {"cost_centre": "charge_reference"},
    "header_attribute": {"cost_centre": "header_attribute"},
    "one_a_document": {"cost_centre": "one_a_document"},
    "in the account": {
        "cost_centre": "account",
        "cost_centre_account": "{account}-{cost_centre}",
    },
    "whole account codes": {"cost_centre": "account"},
    "none": {"cost_centre": "none"},
}
_CENTRES = {"10": "Sales", "20": "Works", "30": "30"}


def _chart_with_centres() -> References:
    made = {f"{a}-{c}": "" for a in GL_TO_ACCOUNT.values() for c in _CENTRES.values()}
    books = references()
    return replace(
        books,
        accounts={
            **books.accounts,
            **{code: AccountReference(code, "ACTIVE", "EXPENSE") for code in made},
        },
    )


@settings(max_examples=60)
@given(st.sampled_from(list(_CHOICES)), _expenses, _taxes, _matched_lines)
def test_however_cost_centres_travel_the_cent_is_kept(
    choice: str,
    expenses: list[tuple[str, Decimal]],
    taxes: list[tuple[str, Decimal]],
    lines: list[tuple[str, Decimal, Decimal, str]],
) -> None:
    entries = [*expenses, *taxes]
    value = sum((amount for _, amount in entries), Decimal(0))
    looked_at = context(
        books=_chart_with_centres(), unnamed_credit="negative_charge", **_CHOICES[choice]
    )
    planned = plan(
        invoice(value, tax_code="A"),
        postings(*((code, str(amount)) for code, amount in entries)),
        looked_at=looked_at,
        orders=ready_order(),
        **_matches_of(lines),
    )
    centres = {code.partition(".")[0] for code, _ in expenses}
    if choice == "one_a_document" and len(centres) > 1:
        assert (planned.verdict, planned.reason_code) == (
            Verdict.HELD,
            "several_cost_centres",
        )
        assert planned.amount == value
        return
    content = content_of(planned)
    assert content.total == value
    _fits_cin7(sent(content), 2)
    wanted: dict[str, Decimal] = {}
    for code, amount in expenses:
        number, section = code.split(".")
        account, centre = GL_TO_ACCOUNT[section], _CENTRES[number]
        key = {
            "in the account": f"{account}-{centre}|",
            "whole account codes": f"{account}|",
            "none": f"{account}|",
        }.get(choice, f"{account}|{centre}")
        wanted[key] = wanted.get(key, Decimal(0)) + amount
    assert _nonzero(booked(planned)) == _nonzero(wanted)
    if content.header is not None and choice in ("header_attribute", "one_a_document"):
        shown = content.header.attributes["2"].split("; ")
        assert set(shown) == {_CENTRES[number] for number in centres}


def test_an_account_that_the_pattern_makes_must_be_in_cin7() -> None:
    planned = plan(
        invoice("5"), [posting("5")], looked_at=context(**_CHOICES["in the account"])
    )
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "account_unusable")
    assert "mapped to 400-Sales" in str(planned.reason)


def test_a_list_of_cost_centres_is_never_cut() -> None:
    entries = [(f"{n:060d}.5000", "1.00") for n in range(5)]
    looked_at = context(cost_centre="header_attribute")
    planned = plan(invoice("5"), postings(*entries), looked_at=looked_at)
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "too_long")


@settings(max_examples=100)
@given(_expenses, _taxes, _matched_lines, _rates, st.sampled_from([2, 4]), st.data())
def test_a_foreign_invoice_is_worth_its_value_in_its_own_currency(
    expenses: list[tuple[str, Decimal]],
    taxes: list[tuple[str, Decimal]],
    lines: list[tuple[str, Decimal, Decimal, str]],
    rate: tuple[Decimal, str],
    decimals: int,
    data: st.DataObject,
) -> None:
    value = data.draw(_cents)
    entries = [*expenses, *taxes]
    local = to_base(value, *rate)
    # The postings are the local money, but for a cent each that converting them moved.
    code, amount = entries[0]
    entries[0] = (code, amount + local - sum(a for _, a in entries))
    moved = data.draw(st.integers(0, len(entries)))
    cent = d("0.01")
    entries = [
        (c, a + cent if n < moved and a != -cent else a) for n, (c, a) in enumerate(entries)
    ]
    assume(any(a for _, a in entries[: len(expenses)]))
    planned = plan(
        invoice(value, currency="€", exchange_rate=rate[0], mul_div=rate[1], tax_code="A"),
        postings(*((code, str(amount)) for code, amount in entries)),
        looked_at=context(
            cin7={"line_total_decimals": decimals}, unnamed_credit="negative_charge"
        ),
        orders=ready_order(),
        **_matches_of(lines),
    )
    content = content_of(planned)
    assert content.total == value
    _fits_cin7(sent(content), decimals)
    accounts = {key.partition("|")[0] for key in _nonzero(booked(planned))}
    assert accounts <= {*GL_TO_ACCOUNT.values()}


@given(
    st.lists(
        st.tuples(_codes, st.decimals(min_value="0.01", max_value=10**6, places=2)),
        min_size=1,
        max_size=30,
    ),
    st.decimals(min_value=0, max_value=10**5, places=2),
)
def test_a_credit_note_is_worth_its_credit_with_amounts_positive(
    expenses: list[tuple[str, Decimal]], tax: Decimal
) -> None:
    value = sum(amount for _, amount in expenses) + tax
    rows = postings(*((c, str(-a)) for c, a in expenses), (GL_TAX, str(-tax)))
    planned = plan(invoice(-value, tax_code="A"), rows, credited=CREDITED)
    content = planned.content
    assert isinstance(content, CreditContent)
    assert planned.kind is Kind.CREDIT_NOTE
    assert content.total == value
    assert all(c.total > 0 and c.tax >= 0 for c in content.charges)
    body = credit_note_post(content, ID, authorise=True).to_wire()
    wire = _accepted("POST", "/advanced-purchase/creditnote", body)
    assert (wire["CreditNoteInvoiceNumber"], wire["TaskID"]) == ("INV-0", NEW_TASK)
    amounts = answered_amounts(wire, sign=-1)["amounts"]
    negative = [(code, -amount) for code, amount in expenses]
    assert {k: Decimal(v) for k, v in amounts.items()} == _per_bucket(negative)


# --- the wanted document, by example ---


def test_each_posting_becomes_a_charge_with_account_cost_centre_and_tax() -> None:
    rows = [
        posting("80.00", "10.5000", reference="Rent"),
        posting("20.00", "20.5100", sub_entry=d(2)),
        posting("20.00", GL_TAX, sub_entry=d(3)),
        posting("-120.00", GL_PAYABLE, sub_entry=d(4)),
    ]
    content = content_of(plan(invoice("120.00", tax_code="A"), rows))
    first, second = content.charges
    assert (first.description, first.account, first.cost_centre) == ("Rent", "400", "Sales")
    assert (first.total, first.tax, first.tax_rule) == (d("80.00"), d("16.00"), VAT)
    assert (second.description, second.account, second.cost_centre) == (
        "20.5100",
        "410",
        "Works",
    )
    assert (second.total, second.tax) == (d("20.00"), d("4.00"))


def test_an_invoice_without_tax_takes_the_exempt_rule_whatever_its_code_says() -> None:
    content = content_of(plan(invoice("5", tax_code="A"), [posting("5")]))
    assert [c.tax_rule for c in content.charges] == [EXEMPT]


def test_an_invoice_of_its_own_gets_a_service_purchase() -> None:
    content = content_of(plan(invoice("5.00", due_date=None), [posting("5")]))
    header = content.header
    assert header is not None
    assert (header.service_only, header.approach, header.terms) == (True, "INVOICE", "60 days")
    assert header.marker == content.marker == f"SYSPRO:ACME:AP:{SUPPLIER}:INV-1"
    assert header.note.split("\n")[0] == content.marker
    assert (content.invoice_date, content.due_date) == (DAY, DAY)
    assert content.purchase_order is None


@pytest.mark.parametrize(
    ("policy", "centre", "attributes"),
    [
        ("charge_reference", "Sales", {}),
        ("header_attribute", "Sales", {"2": "Sales; Works"}),
        ("account", None, {}),
        ("none", None, {}),
    ],
)
def test_the_cost_centre_goes_where_the_policy_says(
    policy: str, centre: str | None, attributes: dict[str, str]
) -> None:
    rows = postings(("10.5000", "5"), ("20.5000", "5"))
    content = content_of(plan(invoice("10"), rows, looked_at=context(cost_centre=policy)))
    assert content.charges[0].cost_centre == centre
    assert content.header is not None
    assert content.header.attributes == attributes


def test_a_matched_invoice_has_the_goods_as_a_line_and_the_rest_as_a_charge() -> None:
    rows = postings(("10.5000", "27.00"), ("20.5100", "3.00"), (GL_TAX, "6.00"))
    planned = plan(invoice("36.00", tax_code="A"), rows, orders=ready_order(), **matched())
    content = content_of(planned)
    (line,) = content.lines
    assert (line.sku, line.quantity, line.price, line.account) == ("A100", 10, d("2.5"), "400")
    assert [(c.account, c.total) for c in content.charges] == [
        ("400", d("2.00")),
        ("410", d("3.00")),
    ]
    assert (content.purchase_order, content.header) == (ORDER, None)
    assert content.receipts == (f"{ORDER}|G1",)
    assert content.total == 36


def test_goods_posted_on_another_account_are_booked_where_the_invoice_posts() -> None:
    rows = postings(("20.5100", "25.00"), ("20.5200", "1.00"))
    content = content_of(plan(invoice("26.00"), rows, orders=ready_order(), **matched()))
    assert [(i.account, i.cost_centre) for i in content.lines] == [("410", "Works")]


def test_a_matched_service_stays_a_charge_on_its_order() -> None:
    parts = matched(order_line(line_type=NON_STOCKED))
    content = content_of(plan(invoice("25"), [posting("25")], orders=ready_order(), **parts))
    assert (content.lines, len(content.charges)) == ((), 1)
    assert (content.purchase_order, content.receipts) == (ORDER, ())


def test_matched_values_are_turned_into_the_currency_of_the_invoice() -> None:
    row = invoice("50.00", currency="€", exchange_rate=d("0.5"), mul_div="M")
    planned = plan(row, [posting("25.00")], orders=ready_order(), **matched())
    (line,) = content_of(planned).lines
    assert (line.quantity, line.total) == (10, d("50.00"))


def test_an_invoice_finds_its_order_the_way_the_policy_says() -> None:
    common: dict[str, Any] = {"orders": ready_order(), **matched()}

    def order_by(policy: str, **more: Any) -> str | None:
        looked_at = context(po_link=policy)
        planned = plan(invoice("25"), [posting("25")], looked_at=looked_at, **common, **more)
        return content_of(planned).purchase_order

    assert order_by("grn_matching") == ORDER
    assert order_by("none") is None
    assert order_by("invoice_reference") is None
    assert order_by("invoice_reference", referenced_order=ORDER) == ORDER


def test_an_unnamed_credit_is_a_negative_charge_only_by_policy() -> None:
    row, entries = invoice("-5"), [posting("-5")]
    assert plan(row, entries).reason_code == "unnamed_credit"
    looked_at = context(unnamed_credit="negative_charge")
    planned = plan(row, entries, looked_at=looked_at)
    assert planned.kind is Kind.INVOICE
    assert [c.total for c in content_of(planned).charges] == [-5]


def test_postings_in_both_directions_on_one_account_are_kept_apart_without_goods() -> None:
    rows = postings(("10.5000", "10"), ("10.5000", "-3"))
    content = content_of(plan(invoice("7"), rows))
    assert [c.total for c in content.charges] == [10, -3]


# --- lines that nearly cancel each other ---


def test_tax_on_lines_that_nearly_cancel_stays_within_the_lines() -> None:
    """In proportion to a sum of one cent, 20.00 of tax would be 200,000 on one line."""
    rows = postings(("10.5000", "100"), ("10.5100", "-99.99"), (GL_TAX, "20"))
    content = content_of(plan(invoice("20.01", tax_code="A"), rows))
    assert content.total == d("20.01")
    assert all(abs(charge.tax) <= abs(charge.total) for charge in content.charges)
    sent(content)


def test_large_lines_that_nearly_cancel_fit_into_a_request() -> None:
    rows = postings(
        ("10.5000", "9999999.99"), ("10.5100", "-9999999.98"), (GL_TAX, "1000000.00")
    )
    content = content_of(plan(invoice("1000000.01", tax_code="A"), rows))
    assert content.total == d("1000000.01")
    sent(content)


def test_foreign_lines_that_nearly_cancel_are_worth_their_postings() -> None:
    """A cent that converting moved must not be multiplied over large lines."""
    row = invoice("0.60", currency="€", exchange_rate=d("0.85"))
    rows = postings(("10.5000", "1000.00"), ("10.5100", "-999.50"))
    content = content_of(plan(row, rows))
    assert content.total == d("0.60")
    in_local = {c.account: c.total * d("0.85") for c in content.charges}
    assert abs(in_local["400"] - 1000) <= d("0.02")
    assert abs(in_local["410"] + d("999.50")) <= d("0.02")


# --- documents of tax alone or of nothing ---


def test_an_invoice_of_tax_alone_keeps_its_value_or_is_held() -> None:
    planned = plan(invoice("20", tax_code="A"), postings((GL_TAX, "20")))
    if planned.content is None:
        assert planned.verdict is Verdict.HELD
    else:
        assert content_of(planned).total == 20


def test_a_credit_of_tax_alone_keeps_its_value_or_is_held() -> None:
    planned = plan(invoice("-20", tax_code="A"), postings((GL_TAX, "-20")), credited=CREDITED)
    if planned.content is None:
        assert planned.verdict is Verdict.HELD
    else:
        assert isinstance(planned.content, CreditContent)
        assert planned.content.total == 20


@pytest.mark.parametrize("entries", [[], ["0.00"], ["0.00", "0.00"]])
def test_an_invoice_of_nothing_is_excluded_as_empty(entries: list[str]) -> None:
    rows = postings(*(("10.5000", amount) for amount in entries))
    planned = plan(invoice("0"), rows)
    assert (planned.verdict, planned.reason_code) == (Verdict.EXCLUDED, "empty")


def test_an_invoice_of_zero_that_moves_money_between_accounts_is_written() -> None:
    planned = plan(invoice("0"), postings(("10.5000", "9"), ("20.5100", "-9")))
    assert booked(planned) == {"400|Sales": 9, "410|Works": -9}


# --- every reason to stop, and their order ---


def reason(row: InvoiceRow, entries: Sequence[PostingRow] = (), **more: Any) -> str | None:
    return plan(row, entries, **more).reason_code


def test_a_document_before_the_start_date_is_excluded() -> None:
    early = context().connection.start_date - timedelta(days=1)
    planned = plan(invoice("5", invoice_date=early), [posting("5")])
    assert (planned.verdict, planned.reason_code) == (Verdict.EXCLUDED, "before_start")
    first_day = invoice("5", invoice_date=context().connection.start_date)
    assert plan(first_day, [posting("5")]).verdict is Verdict.CREATE


@pytest.mark.parametrize(
    ("lock", "verdict"),
    [(DAY, Verdict.CREATE), (DAY + timedelta(days=1), Verdict.HELD)],
)
def test_a_document_before_the_lock_date_is_held(lock: date, verdict: Verdict) -> None:
    looked_at = context(books=references(lock_date=lock))
    planned = plan(invoice("5"), [posting("5")], looked_at=looked_at)
    assert planned.verdict is verdict
    assert planned.reason_code == (None if verdict is Verdict.CREATE else "locked_period")


def test_a_document_without_a_date_or_a_supplier_is_held() -> None:
    entries = [posting("5")]
    assert reason(invoice("5", invoice_date=None), entries) == "undated"
    assert reason(invoice("5"), entries, suppliers={}) == "supplier_unknown"
    held = Planned(Kind.SUPPLIER, SUPPLIER, Verdict.HELD, d(0), reason="twins")
    planned = plan(invoice("5"), entries, suppliers={SUPPLIER: held})
    assert (planned.reason_code, "twins" in str(planned.reason)) == ("supplier_held", True)


@pytest.mark.parametrize("amounts", [[], ["4.99"], ["5.00", "0.01"]])
def test_a_local_invoice_waits_until_its_postings_are_the_cent(amounts: list[str]) -> None:
    rows = postings(*(("10.5000", amount) for amount in amounts))
    planned = plan(invoice("5.00"), rows)
    assert (planned.verdict, planned.reason_code) == (Verdict.WAITING, "postings_incomplete")
    total = sum((d(a) for a in amounts), d(0))
    assert "5.00" in str(planned.reason)
    assert f"{total:.2f}" in str(planned.reason)


@pytest.mark.parametrize(
    ("amounts", "verdict"),
    [
        (["40.00", "45.00"], Verdict.CREATE),
        (["40.01", "45.01"], Verdict.CREATE),
        (["40.01", "45.02"], Verdict.WAITING),
        (["40.00"], Verdict.WAITING),
    ],
)
def test_a_foreign_invoice_may_differ_by_a_cent_a_posting(
    amounts: list[str], verdict: Verdict
) -> None:
    row = invoice("100.00", currency="€", exchange_rate=d("0.85"))
    rows = postings(*(("10.5000", amount) for amount in amounts))
    assert plan(row, rows).verdict is verdict


@pytest.mark.parametrize(
    ("value", "rate", "mul_div", "tolerance", "verdict"),
    [
        ("1000000", "31750", "D", "0.01", Verdict.HELD),  # 0.00003: 30.00 for 31.50
        ("1000000", "250000", "D", "0.01", Verdict.HELD),  # nothing left of it
        ("1000000", "250000", "D", "1000", Verdict.HELD),  # Cin7 takes no rate of 0
        ("1000000", "31750", "D", "5", Verdict.CREATE),
        ("1000", "190", "D", "0.01", Verdict.CREATE),  # 0.00526: the same cents
        ("1000000", "190", "D", "0.01", Verdict.HELD),
        ("100000", "1.27", "D", "0.01", Verdict.CREATE),  # 0.78740: 0.16 of 78 740.16
        ("100000", "1.27", "D", "0", Verdict.HELD),
        ("100000", "1.23456", "M", "0", Verdict.CREATE),
    ],
)
def test_a_rate_that_five_decimals_cannot_say_is_held(
    value: str, rate: str, mul_div: str, tolerance: str, verdict: Verdict
) -> None:
    row = invoice(value, currency="€", exchange_rate=d(rate), mul_div=mul_div)
    entries = [posting(to_base(d(value), d(rate), mul_div))]
    planned = plan(row, entries, looked_at=context(match={"rate_percent": d(tolerance)}))
    assert planned.verdict is verdict
    assert planned.reason_code == (None if verdict is Verdict.CREATE else "rate_differs")


def test_payable_postings_do_not_count_towards_the_invoice() -> None:
    rows = postings(("10.5000", "5"), (GL_PAYABLE, "-5"))
    assert plan(invoice("5"), rows).verdict is Verdict.CREATE
    assert reason(invoice("5"), postings((GL_PAYABLE, "5"))) == "postings_incomplete"


def test_all_unmapped_codes_are_named_at_once_with_their_money() -> None:
    rows = postings(
        (GL_UNMAPPED, "5"), ("10.7777", "3.50"), (GL_UNMAPPED, "1.25"), ("10.5000", "1")
    )
    planned = plan(invoice("10.75"), rows)
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "unmapped_account")
    assert planned.reason is not None
    assert f"{GL_UNMAPPED} (Suspense) is not in gl_accounts.csv: 6.25" in planned.reason
    assert "10.7777 is not in gl_accounts.csv: 3.50" in planned.reason
    assert "10.5000" not in planned.reason


@pytest.mark.parametrize(("code", "word"), [(GL_ABSENT, "777"), (GL_ARCHIVED, "ARCHIVED")])
def test_an_account_that_cin7_cannot_use_is_held(code: str, word: str) -> None:
    planned = plan(invoice("5"), postings((code, "5")))
    assert planned.reason_code == "account_unusable"
    assert word in str(planned.reason)


def test_currencies_terms_and_taxes_without_a_target_are_held() -> None:
    entries = [posting("5")]
    assert reason(invoice("5", currency="ZZZ"), entries) == "currency_unmapped"
    no_terms = context(books=references(payment_terms=frozenset()))
    assert reason(invoice("5"), entries, looked_at=no_terms) == "terms_unmapped"
    no_place = context(books=references(locations=frozenset()))
    assert reason(invoice("5"), entries, looked_at=no_place) == "location_unmapped"
    taxed = postings(("10.5000", "5"), (GL_TAX, "1"))
    for code in ("Q", "X", "Y"):
        assert reason(invoice("6", tax_code=code), taxed) == "tax_unmapped"


def test_a_tax_posting_on_another_account_than_the_rules_is_held() -> None:
    taxed = postings(("10.5000", "5"), (GL_TAX, "1"))
    planned = plan(invoice("6", tax_code="I"), taxed)
    assert planned.reason_code == "tax_account_differs"
    assert "820" in str(planned.reason)
    assert "825" in str(planned.reason)


def test_an_invoice_of_several_orders_is_held_with_all_named() -> None:
    planned = plan(
        invoice("50"),
        [posting("50")],
        matches=[match("G1"), match("G2")],
        receipts=[receipt("G1"), receipt("G2", purchase_order="000000000004712")],
    )
    assert planned.reason_code == "several_orders"
    assert "000000000004711, 000000000004712" in str(planned.reason)


def test_a_match_to_a_receipt_that_is_not_there_or_not_clear_is_held() -> None:
    entries = [posting("25")]
    planned = plan(invoice("25"), entries, matches=[match("G9")])
    assert (planned.reason_code, "G9" in str(planned.reason)) == ("match_unclear", True)
    parts = matched()
    parts["receipts"] = [receipt(entry=7), receipt(entry=8)]
    assert reason(invoice("25"), entries, orders=ready_order(), **parts) == "match_unclear"


@pytest.mark.parametrize(
    ("known", "orders", "policies", "expected"),
    [
        (None, {}, {}, "order_missing"),
        (None, ready_order(Verdict.HELD), {}, "order_held"),
        (None, ready_order(Verdict.EXCLUDED), {}, "order_held"),
        (None, ready_order(), {"authorise_orders": False}, None),
        (None, ready_order(), {}, None),
        (Known("done", status="DRAFT"), {}, {}, None),
        (Known("done", status="AUTHORISED"), {}, {}, None),
        (Known("done", status="AUTHORISED"), ready_order(Verdict.HELD), {}, None),
        (Known("header_made"), ready_order(), {}, None),
        (Known("voided"), ready_order(Verdict.EXCLUDED), {}, "order_held"),
    ],
)
def test_an_invoice_follows_the_state_and_the_plan_of_its_order(
    known: Known | None,
    orders: dict[str, Planned],
    policies: dict[str, Any],
    expected: str | None,
) -> None:
    entry = {} if known is None else {(Kind.PURCHASE_ORDER, ORDER): known}
    looked_at = context(entry, **policies)
    found = reason(
        invoice("25"), [posting("25")], looked_at=looked_at, orders=orders, **matched()
    )
    assert found == expected


def _order_row(rate: str) -> OrderRow:
    return OrderRow(ORDER, SUPPLIER, currency="€", exchange_rate=d(rate))


def _order_in_cin7(rate: str) -> Known:
    return Known("done", "hash", {"header": {"currency_rate": rate}}, "AUTHORISED", ID)


@pytest.mark.parametrize(
    ("of_order", "in_cin7", "tolerance", "expected"),
    [
        ("1.15", None, "0.01", None),
        ("1.10", None, "0.01", "rate_differs"),
        ("1.10", None, "5", None),
        ("1.10", "1.15", "0.01", None),  # as it was written, or brought to
        ("1.15", "1.1", "0.01", "rate_differs"),
        ("1.150001", None, "0", None),
    ],
)
def test_an_invoice_at_another_rate_than_its_order_has_in_cin7_is_held(
    of_order: str, in_cin7: str | None, tolerance: str, expected: str | None
) -> None:
    """Cin7 takes no rate with an invoice: it would be booked at its order's."""
    known = {(Kind.PURCHASE_ORDER, ORDER): _order_in_cin7(in_cin7)} if in_cin7 else {}
    row = invoice("1000", currency="€", exchange_rate=d("1.15"), mul_div="M")
    match = {"rate_percent": d(tolerance), "price_percent": None, "quantity_percent": None}
    planned = plan(
        row,
        [posting("1150.00")],
        looked_at=context(known, match=match),
        orders=ready_order(),
        **{**matched(), "order_headers": {ORDER: _order_row(of_order)}},
    )
    assert planned.reason_code == expected
    if expected:
        assert "1150.00 in SYSPRO; at 1.1" in str(planned.reason)


def test_a_foreign_invoice_that_is_written_is_not_judged_by_its_rate_again() -> None:
    row = invoice("1000", currency="€", exchange_rate=d("1.15"), mul_div="M")
    parts = {**matched(), "order_headers": {ORDER: _order_row("1.15")}}
    content = content_of(plan(row, [posting("1150.00")], orders=ready_order(), **parts))
    written = Known("done", content.digest(), content.to_json(), "AUTHORISED", ID)
    known = {
        (Kind.INVOICE, KEY): written,
        (Kind.PURCHASE_ORDER, ORDER): _order_in_cin7("1.1"),
    }
    planned = plan(row, [posting("1150.00")], looked_at=context(known), **parts)
    assert planned.verdict is Verdict.UNCHANGED


@pytest.mark.parametrize(("rate", "expected"), [("1.15", None), ("1.1", "rate_differs")])
def test_a_credit_at_another_rate_than_its_invoice_is_held(
    rate: str, expected: str | None
) -> None:
    row = invoice("-1000", currency="€", exchange_rate=d("1.15"), mul_div="M", reference="A")
    found = reason(row, [posting("-1150")], credited=CREDITED, credited_rate=d(rate))
    assert found == expected


def test_a_matched_quantity_that_cin7_does_not_take_is_held() -> None:
    parts = {**matched(), "matches": [match(matched_quantity=d("0.5"))]}
    found = reason(invoice("25"), [posting("25")], orders=ready_order(), **parts)
    assert found == "quantity_not_accepted"


def test_a_credit_with_a_positive_posting_is_held() -> None:
    rows = postings(("10.5000", "-9"), ("10.5100", "4"))
    assert reason(invoice("-5"), rows, credited=CREDITED) == "credit_too_large"


def test_incomplete_postings_wait_before_anything_else_is_judged() -> None:
    """What is not all there is not judged: the rest of it may change the judgement."""
    wrong = [*postings((GL_UNMAPPED, "5"), (GL_ABSENT, "5"), (GL_TAX, "1"))]
    parts: dict[str, Any] = {
        "matches": [match("G1"), match("G2"), match("G9")],
        "receipts": [receipt("G1"), receipt("G2", purchase_order="000000000004712")],
    }
    assert reason(invoice("12", tax_code="I"), wrong, **parts) == "postings_incomplete"
    assert reason(invoice("-12", tax_code="Q"), wrong, **parts) == "postings_incomplete"
    assert reason(invoice("-12"), wrong, credited=CREDITED) == "postings_incomplete"


def test_the_reasons_come_in_the_order_in_which_they_can_be_resolved() -> None:
    held = {SUPPLIER: Planned(Kind.SUPPLIER, SUPPLIER, Verdict.HELD, d(0))}
    locked = context(books=references(lock_date=date(2026, 12, 31)))
    everything: dict[str, Any] = {
        "row": invoice("11", invoice_date=None, tax_code="I"),
        "entries": postings((GL_UNMAPPED, "5"), (GL_TAX, "1")),
        "suppliers": {},
        "looked_at": locked,
        "matches": [match("G1"), match("G2")],
        "receipts": [receipt("G1"), receipt("G2", purchase_order="000000000004712")],
        "order_lines": {(ORDER, d(1)): order_line()},
    }
    steps: list[tuple[str, dict[str, Any]]] = [
        ("undated", {"row": invoice("11", invoice_date=date(2000, 1, 1), tax_code="I")}),
        ("before_start", {"row": invoice("11", tax_code="I")}),
        ("supplier_unknown", {"suppliers": held}),
        ("supplier_held", {"suppliers": ready_supplier()}),
        ("locked_period", {"looked_at": context()}),
        ("postings_incomplete", {"row": invoice("6", tax_code="I")}),
        ("unmapped_account", {"entries": postings(("10.5000", "5"), (GL_TAX, "1"))}),
        ("tax_account_differs", {"row": invoice("6", tax_code="A")}),
        ("several_orders", {"receipts": [receipt("G1"), receipt("G2")]}),
        ("order_missing", {"orders": ready_order(Verdict.HELD)}),
        ("order_held", {"orders": ready_order()}),
    ]
    for expected, resolution in steps:
        assert plan(**everything).reason_code == expected
        everything |= resolution
    assert plan(**everything).verdict is Verdict.CREATE


# --- what is in Cin7 already ---


def written(content: InvoiceContent | CreditContent, **changes: Any) -> Known:
    values: dict[str, Any] = {
        "state": "done",
        "content_hash": content.digest(),
        "content": content.to_json(),
        "status": "AUTHORISED",
        "cin7_id": ID,
    }
    return Known(**{**values, **changes})


def test_an_invoice_that_was_written_is_unchanged() -> None:
    content = content_of(plan(invoice("5"), [posting("5")]))
    looked_at = context({(Kind.INVOICE, KEY): written(content)})
    assert plan(invoice("5"), [posting("5")], looked_at=looked_at).verdict is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("policy", "status", "verdict"),
    [
        ("hold", "AUTHORISED", Verdict.HELD),
        ("hold", "DRAFT", Verdict.HELD),
        ("update", "AUTHORISED", Verdict.HELD),
        ("update", "DRAFT", Verdict.UPDATE),
    ],
)
def test_a_changed_invoice_is_written_only_on_a_draft_and_by_policy(
    policy: str, status: str, verdict: Verdict
) -> None:
    content = content_of(plan(invoice("5"), [posting("5")]))
    known = {(Kind.INVOICE, KEY): written(content, status=status)}
    looked_at = context(known, on_change_after_posting=policy)
    planned = plan(invoice("6"), [posting("6")], looked_at=looked_at)
    assert planned.verdict is verdict
    if verdict is Verdict.HELD:
        assert planned.reason_code == "changed_after_posting"
        assert "5 -> 6" in str(planned.reason)


def test_a_credit_that_was_written_as_an_invoice_is_not_written_again_as_a_credit() -> None:
    """Its invoice may turn up in SYSPRO after the credit went as a negative charge."""
    policies = {"unnamed_credit": "negative_charge"}
    row, entries = invoice("-5"), [posting("-5")]
    content = content_of(plan(row, entries, looked_at=context(**policies)))
    looked_at = context({(Kind.INVOICE, KEY): written(content)}, **policies)
    planned = plan(row, entries, looked_at=looked_at, credited=CREDITED)
    assert planned.verdict not in (Verdict.CREATE, Verdict.UPDATE)


def test_a_credit_note_that_was_written_is_not_written_again_as_an_invoice() -> None:
    """The invoice that it names may vanish from SYSPRO after the credit note went."""
    row, entries = invoice("-5"), [posting("-5")]
    first = plan(row, entries, credited=CREDITED).content
    assert isinstance(first, CreditContent)
    looked_at = context(
        {(Kind.CREDIT_NOTE, KEY): written(first)}, unnamed_credit="negative_charge"
    )
    planned = plan(row, entries, looked_at=looked_at)
    assert planned.verdict not in (Verdict.CREATE, Verdict.UPDATE)


# --- stray postings and vanished documents ---


@pytest.mark.parametrize("journal_type", ["I", "C", "D", "A", "P", "V", None])
def test_every_ap_journal_type_has_a_declared_representation(journal_type: str | None) -> None:
    declared = POSTING_TYPES[journal_type]
    assert declared == "document" or declared in REASONS


@pytest.mark.parametrize(
    ("journal_type", "verdict", "code"),
    [
        ("A", Verdict.HELD, "adjustment"),
        ("P", Verdict.EXCLUDED, "payment"),
        ("V", Verdict.EXCLUDED, "revaluation"),
        ("T", Verdict.HELD, "tax_relief"),
        ("?", Verdict.HELD, "unknown_journal_type"),
    ],
)
def test_a_posting_that_is_no_distribution_is_shown_by_itself(
    journal_type: str, verdict: Verdict, code: str
) -> None:
    stray = posting("7.25", posting_type=journal_type)
    assert not is_distribution(stray)
    (planned,) = plan_stray_postings([stray], context())
    assert (planned.verdict, planned.reason_code) == (verdict, code)
    assert (planned.kind, planned.amount) == (Kind.POSTING, d("7.25"))
    assert planned.source_key == stray.key == "2026/3/17/1/1"
    assert journal_type in str(planned.reason)


def test_distribution_postings_without_their_invoice_wait_as_one_row_an_invoice() -> None:
    strays = [posting("5"), posting("2", sub_entry=d(2)), posting("9", invoice="INV-2")]
    assert all(is_distribution(p) for p in strays)
    planned = plan_stray_postings(strays, context())
    assert [(p.source_key, p.amount, p.verdict) for p in planned] == [
        (KEY, d(7), Verdict.WAITING),
        (f"{SUPPLIER}|INV-2", d(9), Verdict.WAITING),
    ]
    assert {p.reason_code for p in planned} == {"invoice_missing"}


def test_no_posting_is_lost_or_counted_twice() -> None:
    types = ["I", "C", "D", "A", "P", "V", None, "Z"]
    strays = [
        posting(str(n), posting_type=kind, sub_entry=d(n), invoice=f"INV-{n % 2}")
        for n, kind in enumerate(types, start=1)
    ]
    planned = plan_stray_postings(strays, context())
    assert sum(p.amount for p in planned) == sum(p.amount for p in strays)
    assert len({p.source_key for p in planned}) == len(planned)


def test_a_document_gone_from_syspro_is_held() -> None:
    (planned,) = plan_vanished([(Kind.CREDIT_NOTE, KEY, d(5), "EUR", DAY)])
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, "vanished_in_syspro")
    assert (planned.amount, planned.currency, planned.home) == (d(5), "EUR", DAY)
    assert f"credit note {KEY}" in str(planned.reason)


def test_the_key_of_an_invoice_tells_suppliers_apart() -> None:
    assert invoice_key("A", "1") != invoice_key("B", "1")


def test_what_a_plan_looks_at_is_not_changed_by_planning() -> None:
    looked_at, row = context(), invoice("5")
    before = replace(looked_at)
    plan(row, [posting("5")], looked_at=looked_at)
    assert looked_at == before
