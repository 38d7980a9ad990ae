"""The wanted documents: one content, one digest; JSON and back without a loss; differences."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from mlc_pipeline.sync.content import (
    Charge,
    CreditContent,
    HeaderContent,
    InvoiceContent,
    OrderContent,
    ProductLine,
    ReceiptContent,
    ReceiptLine,
    SupplierAddress,
    SupplierContact,
    SupplierContent,
)
from mlc_pipeline.sync.plan import Hold, Known, Planned, differences, judge, planned
from mlc_pipeline.sync.vocabulary import Kind, Verdict

_texts = st.text(max_size=12)
_maybe = st.none() | _texts
_amounts = st.decimals(min_value=-(10**10), max_value=10**10, places=4)
_dates = st.dates(date(2000, 1, 1), date(2100, 1, 1))


def _models(model: type[BaseModel], **fields: Any) -> st.SearchStrategy[Any]:
    return st.builds(model, **fields)


_charges = _models(
    Charge,
    description=_texts,
    quantity=_amounts,
    price=_amounts,
    tax=_amounts,
    tax_rule=_texts,
    total=_amounts,
    account=_maybe,
    cost_centre=_maybe,
)
_lines = _models(
    ProductLine,
    sku=_texts,
    name=_texts,
    quantity=_amounts,
    price=_amounts,
    tax=_amounts,
    tax_rule=_texts,
    total=_amounts,
    account=_maybe,
    cost_centre=_maybe,
    comment=_maybe,
)
_headers = _models(
    HeaderContent,
    marker=_texts,
    supplier=_texts,
    approach=_texts,
    service_only=st.booleans(),
    location=_texts,
    terms=_texts,
    tax_rule=_texts,
    currency=_texts,
    currency_rate=st.none() | _amounts,
    required_by=st.none() | _dates,
    note=_texts,
    attributes=st.dictionaries(st.sampled_from("23456789"), _texts, max_size=3),
)


def _some(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=3).map(tuple)


CONTENTS: dict[str, st.SearchStrategy[Any]] = {
    "supplier": _models(
        SupplierContent,
        marker=_texts,
        name=_texts,
        currency=_texts,
        payment_term=_texts,
        accounts_payable=_texts,
        tax_rule=_texts,
        tax_number=_maybe,
        address=st.none()
        | _models(SupplierAddress, line1=_texts, line2=_maybe, city=_maybe, country=_texts),
        contact=st.none() | _models(SupplierContact, name=_texts, phone=_maybe, fax=_maybe),
    ),
    "order": _models(
        OrderContent,
        header=_headers,
        memo=_maybe,
        lines=_some(_lines),
        charges=_some(_charges),
        new_products=_some(st.tuples(_texts, _texts, _texts)),
    ),
    "receipt": _models(
        ReceiptContent,
        purchase_order=_texts,
        grn=_texts,
        received=_dates,
        lines=_some(_models(ReceiptLine, sku=_texts, quantity=_amounts)),
    ),
    "invoice": _models(
        InvoiceContent,
        marker=_texts,
        supplier=_texts,
        number=_texts,
        purchase_order=_maybe,
        header=st.none() | _headers,
        receipts=_some(_texts),
        invoice_date=_dates,
        due_date=_dates,
        lines=_some(_lines),
        charges=_some(_charges),
    ),
    "credit": _models(
        CreditContent,
        marker=_texts,
        supplier=_texts,
        number=_texts,
        credited_invoice=_texts,
        credit_date=_dates,
        charges=_some(_charges),
    ),
}


@pytest.mark.parametrize("name", CONTENTS)
@given(data=st.data())
def test_a_content_comes_back_from_json_as_it_was(name: str, data: st.DataObject) -> None:
    content = data.draw(CONTENTS[name])
    stored = json.loads(json.dumps(content.to_json()))  # as the database keeps it
    again = type(content).model_validate(stored)
    assert again == content
    assert again.digest() == content.digest()
    assert again.to_json() == content.to_json()


@pytest.mark.parametrize("name", CONTENTS)
@given(data=st.data())
def test_a_content_differs_from_another_exactly_when_its_digest_does(
    name: str, data: st.DataObject
) -> None:
    one, other = data.draw(CONTENTS[name]), data.draw(CONTENTS[name])
    assert (one == other) == (one.digest() == other.digest())
    assert (one == other) == (differences(one.to_json(), other.to_json()) == [])


def _charge(amount: str, **changes: Any) -> Charge:
    values: dict[str, Any] = {
        "description": "x",
        "price": Decimal(amount),
        "tax": Decimal(0),
        "tax_rule": "No VAT",
        "total": Decimal(amount),
    }
    return Charge(**{**values, **changes})


@pytest.mark.parametrize(
    ("one", "other"),
    [("10", "10.00"), ("10", "1E+1"), ("0", "0.00"), ("0", "-0.00"), ("0.10", "0.1")],
)
def test_one_amount_has_one_digest_however_it_is_written(one: str, other: str) -> None:
    assert _charge(one).digest() == _charge(other).digest()


def test_amounts_are_canonical_text_in_json() -> None:
    assert _charge("1000.50").to_json()["total"] == "1000.5"
    assert _charge("1E+3").to_json()["total"] == "1000"


@pytest.mark.parametrize("wrong", [{"colour": "red"}, {"total": "ten"}])
def test_a_content_takes_nothing_that_it_does_not_know(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        _charge("1", **wrong)


# --- differences ---


def test_differences_name_the_field_and_both_values() -> None:
    before = {"header": {"terms": "30", "note": "n"}, "lines": [{"qty": "1"}, {"qty": "2"}]}
    after = {"header": {"terms": "60", "note": "n"}, "lines": [{"qty": "1"}, {"qty": "3"}]}
    assert differences(before, after) == [
        {"field": "header.terms", "before": "30", "after": "60"},
        {"field": "lines.1.qty", "before": "2", "after": "3"},
    ]


def test_lists_of_different_length_differ_as_a_whole() -> None:
    assert differences({"lines": [1]}, {"lines": [1, 2]}) == [
        {"field": "lines", "before": [1], "after": [1, 2]}
    ]


def test_what_only_one_side_has_is_a_difference() -> None:
    assert differences({}, {"memo": "m"}) == [{"field": "memo", "before": None, "after": "m"}]
    assert differences({"memo": "m"}, {}) == [{"field": "memo", "before": "m", "after": None}]


_json = st.recursive(
    st.none() | st.booleans() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=2), _json, max_size=3))
def test_nothing_differs_from_itself(value: dict[str, Any]) -> None:
    assert differences(value, value) == []


# --- the verdict ---


def _never(_known: Known, _changed: list[Any]) -> bool:
    return False


def _always(_known: Known, _changed: list[Any]) -> bool:
    return True


def _known(content: Charge, **changes: Any) -> Known:
    values: dict[str, Any] = {
        "state": "done",
        "content_hash": content.digest(),
        "content": content.to_json(),
    }
    return Known(**{**values, **changes})


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        (None, Verdict.CREATE),
        (Known("started"), Verdict.CREATE),
        (Known("header_made"), Verdict.CREATE),
        (_known(_charge("5"), state="order_made"), Verdict.CREATE),
        (_known(_charge("5.00")), Verdict.UNCHANGED),
    ],
)
def test_the_verdict_follows_what_the_ledger_knows(
    known: Known | None, verdict: Verdict
) -> None:
    content = _charge("5")
    assert judge(known, content, may_update=_never) == (verdict, content, [])


def test_a_change_is_written_when_it_may_be_and_held_with_both_versions_when_not() -> None:
    known, wanted = _known(_charge("5")), _charge("7", tax=Decimal(1))
    verdict, _, changed = judge(known, wanted, may_update=_always)
    assert verdict is Verdict.UPDATE
    assert [c["field"] for c in changed] == ["price", "tax", "total"]
    with pytest.raises(Hold) as held:
        judge(known, wanted, may_update=_never)
    assert held.value.reason.code == "changed_after_posting"
    assert "price: 5 -> 7" in held.value.detail
    assert held.value.detail.startswith("3 field(s)")


def test_whether_a_change_may_be_written_is_asked_with_what_changed() -> None:
    asked: list[Any] = []

    def ask(known: Known, changed: list[Any]) -> bool:
        asked.append((known.status, [c["field"] for c in changed]))
        return True

    judge(_known(_charge("5"), status="DRAFT"), _charge("5", tax_rule="y"), may_update=ask)
    assert asked == [("DRAFT", ["tax_rule"])]


def test_a_hold_becomes_the_verdict_reason_and_detail_of_its_document() -> None:
    describe = Planned(Kind.INVOICE, "k", Verdict.HELD, Decimal(7))

    def held(code: str) -> Callable[[], Any]:
        def build() -> Any:
            raise Hold(code, "why")

        return build

    made = planned(describe, held("postings_incomplete"))
    assert (made.verdict, made.reason_code, made.reason) == (
        Verdict.WAITING,
        "postings_incomplete",
        "why",
    )
    assert (made.amount, made.content) == (Decimal(7), None)
    assert planned(describe, held("empty")).verdict is Verdict.EXCLUDED
    assert planned(describe, held("refused")).verdict is Verdict.HELD
    fine = planned(describe, lambda: (Verdict.UPDATE, _charge("1"), [{"field": "a"}]))
    assert (fine.verdict, fine.difference) == (Verdict.UPDATE, ({"field": "a"},))
