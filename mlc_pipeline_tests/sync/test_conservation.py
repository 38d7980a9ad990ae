"""Conservation: what is staged, not what is planned, is the measure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.staging.load import Stamp, replace_days
from mlc_pipeline.staging.tables import PLAN, PUSH
from mlc_pipeline.sync.conservation import conserve
from mlc_pipeline.sync.staged import Window
from mlc_pipeline_tests.sync.examples import (
    DAY,
    ORDER,
    SUPPLIER,
    d,
    invoice,
    posting,
    receipt,
    stage,
    staged_row,
)

NEXT = DAY + timedelta(days=1)


@dataclass
class Days:
    """Staged rows, a plan and a push of a connection of its own."""

    engine: sa.Engine
    name: str = field(default_factory=lambda: f"days_{uuid.uuid4().hex}")
    planned: list[dict[str, Any]] = field(default_factory=list)
    pushed: list[dict[str, Any]] = field(default_factory=list)

    def invoice(self, number: str, value: str) -> None:
        row = staged_row(invoice(value, invoice=number), DAY)
        stage(self.engine, "invoices", row, name=self.name)

    def judge(self, key: str, amount: str, kind: str = "invoice", *, push: bool = True) -> None:
        row = {"partition": DAY, "source_key": key, "kind": kind, "amount": d(amount)}
        self.planned.append({**row, "currency": "GBP", "verdict": "create"})
        if push:
            self.pushed.append({**row, "currency": "GBP", "outcome": "created"})

    def uneven(self, kind: str = "invoices") -> list[str]:
        stamp = Stamp(self.name, "run")
        replace_days(self.engine, PLAN[kind], stamp, DAY, NEXT, self.planned)
        replace_days(self.engine, PUSH[kind], stamp, DAY, NEXT, self.pushed)
        with self.engine.connect() as connection:
            found = conserve(connection, Window(self.name, DAY, NEXT), kind, "GBP")
        return [balance.what for balance in found if not balance.is_even]


@pytest.fixture
def days(engine: sa.Engine) -> Days:
    return Days(engine)


def test_what_is_staged_planned_and_pushed_is_even(days: Days) -> None:
    days.invoice("INV-1", "10.25")
    days.judge(f"{SUPPLIER}|INV-1", "10.25")
    assert days.uneven() == []


def test_a_document_that_the_plan_overlooked_is_seen(days: Days) -> None:
    days.invoice("INV-1", "10")
    days.invoice("INV-2", "20")
    days.judge(f"{SUPPLIER}|INV-1", "10")
    assert days.uneven() == ["invoices and credits"]


def test_a_cent_that_the_plan_misread_is_seen(days: Days) -> None:
    days.invoice("INV-1", "10.25")
    days.judge(f"{SUPPLIER}|INV-1", "10.24")
    assert days.uneven() == ["invoices and credits"]


def test_a_document_lost_between_plan_and_push_is_seen(days: Days) -> None:
    days.invoice("INV-1", "10")
    days.judge(f"{SUPPLIER}|INV-1", "10", push=False)
    assert days.uneven() == ["invoices and credits", "all records"]


def test_a_posting_without_invoice_must_be_judged_too(days: Days) -> None:
    row = staged_row(posting("7", invoice="INV-9"), NEXT)
    stage(days.engine, "postings", row, name=days.name)
    assert days.uneven() == ["stray postings"]
    days.judge(f"{SUPPLIER}|INV-9", "7", "posting")
    assert days.uneven() == []


def test_a_document_that_vanished_from_syspro_is_no_loss(days: Days) -> None:
    days.judge(f"{SUPPLIER}|INV-1", "10")
    assert days.uneven() == []


def test_a_posting_on_no_day_without_invoice_must_be_judged_too(days: Days) -> None:
    days.invoice("INV-1", "10")
    days.judge(f"{SUPPLIER}|INV-1", "10")
    for number in ("INV-1", "INV-9"):  # the first goes with its invoice, whose day it is
        row = staged_row(posting("7", invoice=number, sub_entry=d(number[-1])), None)
        stage(days.engine, "postings", row, name=days.name)
    assert days.uneven() == ["stray postings"]
    days.judge(f"{SUPPLIER}|INV-9", "7", "posting")
    assert days.uneven() == []


@pytest.mark.parametrize("order", [None, "", ORDER])
@pytest.mark.parametrize("day", [DAY, None])
def test_a_receipt_without_an_order_or_a_date_must_be_judged_too(
    days: Days, order: str | None, day: date | None
) -> None:
    row = staged_row(receipt(purchase_order=order), day)
    stage(days.engine, "receipts", row, name=days.name)
    assert days.uneven("purchases") == ["receipts of these days"]
    days.judge(f"{order or ''}|G1", "25", "receipt")
    assert days.uneven("purchases") == []


def test_a_receipt_that_the_plan_overlooked_is_seen(days: Days) -> None:
    stage(days.engine, "receipts", staged_row(receipt(), DAY), name=days.name)
    assert days.uneven("purchases") == ["receipts of these days"]
    days.judge(f"{ORDER}|G1", "25", "receipt")
    assert days.uneven("purchases") == []
