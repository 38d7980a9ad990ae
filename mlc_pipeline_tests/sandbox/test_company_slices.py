"""A part of a ledger: nothing dated in it is missing, and it can stand alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.sandbox.company import (
    Company,
    first_date,
    generate,
    read_pack,
    slice_company,
    syspro_tables,
    write_pack,
)
from mlc_pipeline.sandbox.company.model import (
    Invoice,
    PoLine,
    PurchaseOrder,
    Receipt,
    Supplier,
)

COMPANY = generate(6)
FIRST = date(2026, 9, 2)


@settings(max_examples=15, deadline=None)
@given(start=st.integers(0, 59), days=st.integers(0, 20))
def test_a_slice_has_every_document_of_its_days_and_what_they_need(
    tmp_path_factory: pytest.TempPathFactory, start: int, days: int
) -> None:
    first = FIRST + timedelta(days=start)
    last = first + timedelta(days=days)
    cut = slice_company(COMPANY, first, last)
    documents = {each.document_no for each in cut.invoices}
    dated = [e for e in COMPANY.invoices if first <= e.invoice_date <= last]
    assert {each.document_no for each in dated} <= documents
    orders = {each.purchase_order for each in cut.purchase_orders}
    assert {
        each.purchase_order
        for each in COMPANY.purchase_orders
        if each.order_date and first <= each.order_date <= last
    } <= orders
    billing = [e for e in COMPANY.receipts if e.document_no in documents]
    assert set(billing) <= set(cut.receipts)
    assert all(e.receipt_date <= last or e.document_no in documents for e in cut.receipts)
    postings = [e for e in COMPANY.gl_distributions if e.document_no in documents]
    assert list(cut.gl_distributions) == postings
    folder = tmp_path_factory.mktemp("slice")
    write_pack(cut, folder, compressed=False)
    assert not cut.suppliers or read_pack(folder).invoices == cut.invoices


def test_the_whole_time_is_the_whole_company_but_for_what_nothing_dates() -> None:
    whole = slice_company(COMPANY, FIRST, date(2026, 10, 31))
    assert whole.invoices == COMPANY.invoices
    assert whole.receipts == COMPANY.receipts
    left_out = set(COMPANY.purchase_orders) - set(whole.purchase_orders)
    received = {each.purchase_order for each in COMPANY.receipts}
    assert all(e.order_date is None and e.purchase_order not in received for e in left_out)


def test_an_order_received_later_is_open_in_the_slice() -> None:
    rows = {row["PurchaseOrder"]: row for row in syspro_tables(COMPANY)["PorMasterHdr"]}
    order = next(
        each
        for each in COMPANY.purchase_orders
        if each.order_date and rows[each.purchase_order]["OrderStatus"] == "9"
    )
    assert order.order_date is not None
    stated = replace(order, complete=True)
    whole = replace(
        COMPANY,
        purchase_orders=tuple(stated if e is order else e for e in COMPANY.purchase_orders),
    )
    cut = slice_company(whole, order.order_date, order.order_date)
    tables = syspro_tables(cut)
    name = order.purchase_order
    row = next(each for each in tables["PorMasterHdr"] if each["PurchaseOrder"] == name)
    assert (row["OrderStatus"], row["DatePoCompleted"]) == ("4", None)
    lines = [each for each in cut.po_lines if each.purchase_order == name and each.receivable]
    assert {each.qty_received for each in lines} == {0}


def test_a_receipt_billed_later_is_not_taken_for_the_invoice_that_is_left() -> None:
    invoices = [
        Invoice(
            document_no=str(day),
            supplier_id="7",
            invoice_no=str(day),
            invoice_date=date(2026, 5, day),
            net=Decimal(10),
            purchase_order="P1",
        )
        for day in (1, 2)
    ]
    receipts = [
        Receipt(
            purchase_order="P1",
            line=1,
            qty=Decimal(1),
            value=Decimal(10),
            receipt_date=date(2026, 5, 1),
            document_no=document,
        )
        for document in ("1", "2", "")
    ]
    line = PoLine(purchase_order="P1", line=1, qty_ordered=Decimal(3), unit_price=Decimal(10))
    company = Company(
        "twice billed",
        suppliers=(Supplier(supplier_id="7", name="Seven"),),
        purchase_orders=(PurchaseOrder(purchase_order="P1", supplier_id="7", order_date=None),),
        po_lines=(line,),
        invoices=tuple(invoices),
        receipts=tuple(receipts),
    )
    cut = slice_company(company, date(2026, 5, 1), date(2026, 5, 1))
    assert [each.document_no for each in cut.invoices] == ["1"]
    assert len(cut.receipts) == 3
    assert [row["Invoice"] for row in syspro_tables(cut)["GrnMatching"]] == ["1"]


def test_a_ledger_without_dates_has_no_first_day() -> None:
    assert first_date(COMPANY) >= FIRST
    with pytest.raises(ValueError, match="company empty: found no dated document"):
        first_date(Company("empty"))


def test_a_slice_can_be_read_from_its_folder(tmp_path: Path) -> None:
    cut = slice_company(COMPANY, date(2026, 10, 1), date(2026, 10, 7))
    write_pack(cut, tmp_path)
    assert read_pack(tmp_path) == cut
