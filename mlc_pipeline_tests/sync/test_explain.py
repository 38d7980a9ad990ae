"""What became of a document in Cin7: each change named, all changes together the difference."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.sync.booked import Booked, Line, found_version, minus, plus, sent_version
from mlc_pipeline.sync.causes import MEANINGS, Cause, causes_table
from mlc_pipeline.sync.explain import changes, find_in
from mlc_pipeline.sync.vocabulary import Kind

DAY = date(2026, 3, 2)
SUPPLIER = "000123"


def tax_account(rule: str) -> str:
    return f"tax of {rule}"


def line(text: str = "Freight", **values: Any) -> Line:
    start = Line(text, "500", "110", Decimal("100.00"), Decimal("20.00"), "VAT")
    return start._replace(**values)


def booked(*lines: Line, rate: str = "1", number: str = "INV-1") -> Booked:
    return Booked(DAY, number, Decimal(rate), lines)


def causes(sent: Booked, found: Booked) -> list[Cause]:
    return [c.cause for c in changes(sent, found, SUPPLIER, tax_account)]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"account": "510"}, Cause.ACCOUNT),
        ({"cost_centre": "120"}, Cause.COST_CENTRE),
        ({"total": Decimal("100.01")}, Cause.AMOUNT),
        ({"tax": Decimal("20.01")}, Cause.TAX),
        ({"tax_rule": "Exempt"}, Cause.TAX),
        ({"account": "510", "total": Decimal(1)}, Cause.ACCOUNT),
    ],
)
def test_a_change_of_one_line_is_named(change: dict[str, Any], cause: Cause) -> None:
    other = line("Castings", total=Decimal(7), account="600")
    sent, found = booked(line(), other), booked(other, line(**change))
    assert causes(sent, found) == [cause]


def test_a_text_alone_is_no_change() -> None:
    assert causes(booked(line()), booked(line("Carriage"))) == []


def test_dropped_and_added_lines_are_told_apart() -> None:
    first, second = line(), line("Castings", account="600", cost_centre="", total=Decimal(7))
    assert causes(booked(first, second), booked(first)) == [Cause.LINE_DROPPED]
    assert causes(booked(first), booked(first, second)) == [Cause.LINE_ADDED]


def test_rate_and_number_are_named() -> None:
    sent = booked(line(), rate="0.85")
    assert causes(sent, booked(line(), rate="0.95")) == [Cause.RATE]
    assert causes(sent, booked(line(), rate="0.85", number="X")) == [Cause.NUMBER]


cents = st.integers(-10_000, 10_000).map(lambda n: Decimal(n) / 100)
lines = st.lists(
    st.builds(
        Line,
        st.sampled_from(["Freight", "Castings", ""]),
        st.sampled_from(["500", "510", "600"]),
        st.sampled_from(["", "110", "120"]),
        cents,
        cents,
        st.sampled_from(["VAT", "Exempt"]),
    ),
    max_size=6,
)
rates = st.sampled_from(["1", "0.85", "1.3333"])


@settings(max_examples=40)
@given(lines, lines, rates, rates)
def test_the_changes_together_are_the_difference(
    before: list[Line], after: list[Line], old: str, new: str
) -> None:
    sent, found = booked(*before, rate=old), booked(*after, rate=new)
    moved = [c.moved for c in changes(sent, found, SUPPLIER, tax_account)]
    expected = plus(
        minus(sent.amounts(SUPPLIER, tax_account)), found.amounts(SUPPLIER, tax_account)
    )
    assert plus(*moved) == expected


# --- finding it ---------------------------------------------------------------------------


def purchase(status: str = "AUTHORISED", **header: Any) -> dict[str, Any]:
    block = {
        "TaskID": "t1",
        "Status": status,
        "InvoiceNumber": "INV-1",
        "InvoiceDate": "2026-03-02T00:00:00",
        "Lines": [],
        "AdditionalCharges": [
            {
                "Description": "Freight",
                "Account": "500",
                "Reference": "110",
                "Total": Decimal("100.00"),
                "Tax": Decimal("20.00"),
                "TaxRule": "VAT",
            }
        ],
    }
    return {"ID": "p", "Status": "INVOICED", "CurrencyRate": 1, "Invoice": [block], **header}


@pytest.mark.parametrize(
    ("there", "task", "gone"),
    [
        (None, "t1", Cause.DELETED),
        (purchase(), "t2", Cause.DELETED),
        (purchase("VOIDED"), "t1", Cause.VOIDED),
        (purchase(Status="VOIDED"), "t1", Cause.VOIDED),
        (purchase("DRAFT"), "t1", Cause.UNDONE),
        (purchase("NOT AVAILABLE"), "t1", Cause.UNDONE),
    ],
)
def test_a_document_that_is_in_force_no_more_is_told(
    there: dict[str, Any] | None, task: str, gone: Cause
) -> None:
    assert find_in(there, Kind.INVOICE, task).gone is gone


def test_what_was_sent_is_found_as_it_was_sent() -> None:
    content = {
        "number": "INV-1",
        "invoice_date": "2026-03-02",
        "charges": [
            {
                "description": "Freight",
                "account": "500",
                "cost_centre": "110",
                "total": "100",
                "tax": "20",
                "tax_rule": "VAT",
            }
        ],
    }
    sent = sent_version(Kind.INVOICE, content, Decimal(1))
    found = find_in(purchase(), Kind.INVOICE, "t1").booked
    assert found == sent
    assert causes(sent, found) == []


def test_a_credit_note_books_the_other_way_round() -> None:
    block = purchase()["Invoice"][0] | {"CreditNoteDate": "2026-03-02", "InvoiceDate": None}
    found = found_version(Kind.CREDIT_NOTE, block, {})
    assert found.total == -120


def test_every_cause_has_its_meaning() -> None:
    assert set(MEANINGS) == set(Cause)
    assert all(f"| `{cause}` |" in causes_table() for cause in Cause)
