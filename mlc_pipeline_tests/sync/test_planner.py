"""Planning a window: every document once, on one day, from everything that moved it."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.staging.load import Stamp, note_rejected, replace_table
from mlc_pipeline.staging.tables import CIN7, PLAN
from mlc_pipeline.sync.ledger import DocumentRef, Ledger
from mlc_pipeline.sync.plan import Planned
from mlc_pipeline.sync.planner import (
    Plan,
    plan_invoice_window,
    plan_purchase_window,
    plan_supplier_window,
)
from mlc_pipeline.sync.rows import OrderRow, SupplierRow
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.vocabulary import Kind, Verdict
from mlc_pipeline_tests.sync.examples import (
    DAY,
    GL_UNMAPPED,
    ORDER,
    SUPPLIER,
    context,
    d,
    invoice,
    match,
    order_line,
    posting,
    receipt,
    stage,
    staged_row,
)

NEXT = DAY + timedelta(days=1)
LATER = DAY + timedelta(days=40)
_PLANNERS: dict[str, Any] = {
    "suppliers": plan_supplier_window,
    "purchases": plan_purchase_window,
    "invoices": plan_invoice_window,
}


@dataclass
class Company:
    """Staged tables of a connection of its own."""

    engine: sa.Engine
    policies: dict[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"company_{uuid.uuid4().hex}")

    def __post_init__(self) -> None:
        self.supplier(SUPPLIER, "Heathcotes Ltd")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.engine, self.name, "run")

    def put(self, entity: str, row: Any, day: date | None) -> None:
        """Stage a row in the partition of a day."""
        table_columns = {k: v for k, v in staged_row(row, day).items() if k != "home"}
        stage(self.engine, entity, table_columns, name=self.name)

    def supplier(self, code: str, name: str, **row: Any) -> None:
        row = {"supplier": code, "name": name, **row}
        stage(self.engine, "suppliers", row, name=self.name)

    def invoice(
        self, number: str = "INV-1", day: date | None = DAY, posted: date = DAY, **row: Any
    ) -> None:
        """Stage an invoice over 5 with its posting."""
        made = invoice("5", invoice=number, invoice_date=day, **row)
        self.put("invoices", made, day)
        self.posting(number, posted, made.value, sub_entry=d(number[-1]))

    def posting(self, number: str, day: date, amount: Any, **row: Any) -> None:
        made = posting(amount, invoice=number, post_date=day, **row)
        self.put("postings", made, day)

    def order(self, day: date | None = DAY, **row: Any) -> None:
        made = OrderRow(**{"purchase_order": ORDER, "supplier": SUPPLIER, **row})
        self.put("purchase_orders", OrderRow(**{**vars(made), "order_date": day}), day)
        self.put("purchase_order_lines", order_line(), None)

    def plan(self, kind: str, first: date = DAY, last: date | None = None) -> Plan:
        """Plan a window and everything before it."""
        stamp, window = Stamp(self.name, "run"), Window(self.name, first, last or first)
        made = Plan()
        for name, planner in _PLANNERS.items():
            made = planner(self.engine, stamp, window, context(**self.policies), self.ledger)
            if name == kind:
                break
        return made

    def stored(self, kind: str) -> dict[str, Any]:
        table = PLAN[kind]
        with self.engine.connect() as connection:
            query = sa.select(table).where(table.c.connection == self.name)
            return {row.source_key: row for row in connection.execute(query)}


@pytest.fixture
def company(engine: sa.Engine) -> Company:
    return Company(engine)


def verdicts(plan: Plan) -> dict[str, str]:
    return {p.source_key: p.reason_code or p.verdict.value for _, p in plan.rows}


def days(plan: Plan) -> dict[str, date]:
    return {p.source_key: day for day, p in plan.rows}


def only(plan: Plan) -> Planned:
    ((_, planned),) = plan.rows
    return planned


def key(number: str) -> str:
    return f"{SUPPLIER}|{number}"


# --- suppliers ---


def test_the_suppliers_of_the_windows_documents_are_planned(company: Company) -> None:
    company.supplier("000200", "Unused")
    company.supplier("000300", "Of an order")
    company.order(NEXT, supplier="000300")
    company.invoice("INV-1")
    plan = company.plan("suppliers", DAY, NEXT)
    assert days(plan) == {SUPPLIER: DAY, "000300": NEXT}
    assert set(verdicts(company.plan("suppliers", LATER))) == set()


def test_all_suppliers_are_planned_by_policy(engine: sa.Engine) -> None:
    company = Company(engine, {"supplier_scope": "all"})
    company.supplier("000200", "Unused")
    assert verdicts(company.plan("suppliers")) == {SUPPLIER: "create", "000200": "create"}


def test_a_name_shared_with_an_unused_supplier_is_shared_all_the_same(
    company: Company,
) -> None:
    company.supplier("000200", "HEATHCOTES LIMITED")
    company.invoice()
    content = only(company.plan("suppliers")).content
    assert content is not None
    assert content.to_json()["name"] == "Heathcotes Ltd [123]"


def test_a_supplier_that_cin7_has_is_adopted_unless_it_is_linked(company: Company) -> None:
    row = {"id": "s", "name": "Heathcotes Ltd", "raw": {}}
    replace_table(company.engine, CIN7["suppliers"], Stamp(company.name, "run"), [row])
    company.invoice()
    assert only(company.plan("suppliers")).difference == ({"field": "adopt", "after": "s"},)
    company.ledger.adopt(DocumentRef(Kind.SUPPLIER, "000999"), cin7_id="s", state="done")
    assert only(company.plan("suppliers")).difference == ()


# --- purchases ---


def test_orders_and_receipts_of_the_window_are_planned(company: Company) -> None:
    company.order()
    company.put("receipts", receipt("G1", receipt_date=DAY), DAY)
    company.put("receipts", receipt("G2", receipt_date=LATER), LATER)
    plan = company.plan("purchases")
    assert verdicts(plan) == {ORDER: "create", f"{ORDER}|G1": "create"}
    plan = company.plan("purchases", LATER)
    assert verdicts(plan) == {ORDER: "create", f"{ORDER}|G2": "create"}
    assert {p.stage for _, p in plan.rows} == {"RECEIVE"}


def test_the_order_of_a_matched_invoice_is_planned_with_its_receipt(company: Company) -> None:
    company.order()
    company.put("receipts", receipt(), DAY)
    company.put("receipt_matches", match(), LATER)
    company.invoice(day=LATER)
    plan = company.plan("purchases", LATER)
    assert days(plan) == {ORDER: LATER, f"{ORDER}|G1": LATER}


def test_an_order_that_an_invoice_names_is_at_the_stage_invoice(engine: sa.Engine) -> None:
    company = Company(engine, {"po_link": "invoice_reference"})
    company.order()
    company.invoice(reference=ORDER)
    order = only(company.plan("purchases"))
    assert order.stage == "INVOICE"
    assert order.content is not None
    assert order.content.to_json()["header"]["approach"] == "INVOICE"


@pytest.mark.parametrize("order", [None, ""])
def test_a_receipt_that_names_no_order_is_held_on_its_day(
    company: Company, order: str | None
) -> None:
    company.put("receipts", receipt("G1", purchase_order=order), DAY)
    company.put("receipts", receipt("G2", purchase_order=order), None)
    assert verdicts(company.plan("purchases")) == {"|G1": "no_order", "|G2": "no_order"}
    assert days(company.plan("purchases", LATER)) == {"|G2": LATER}


def test_a_receipt_without_a_date_is_shown_in_every_window(company: Company) -> None:
    company.order()
    company.put("receipts", receipt("G1", receipt_date=None), None)
    company.put("receipts", receipt("G2"), DAY)
    for window in (DAY, LATER):
        plan = company.plan("purchases", window)
        assert verdicts(plan)[f"{ORDER}|G1"] == "undated"
        assert days(plan)[f"{ORDER}|G1"] == window
    assert set(verdicts(plan)) == {ORDER, f"{ORDER}|G1"}


def test_an_order_without_a_date_is_shown_in_every_window(company: Company) -> None:
    company.order(None)
    for window in (DAY, LATER):
        plan = company.plan("purchases", window)
        assert (days(plan), verdicts(plan)) == ({ORDER: window}, {ORDER: "undated"})


def test_an_order_of_a_supplier_that_is_not_there_is_held(company: Company) -> None:
    company.order(supplier="000404")
    assert verdicts(company.plan("purchases")) == {ORDER: "supplier_held"}


# --- invoices ---


def test_an_invoice_posted_later_is_counted_by_its_own_day_where_it_can(
    company: Company,
) -> None:
    company.invoice(day=DAY, posted=LATER)
    assert days(company.plan("invoices")) == {key("INV-1"): DAY}
    assert days(company.plan("invoices", LATER)) == {key("INV-1"): LATER}
    assert days(company.plan("invoices", DAY, LATER)) == {key("INV-1"): DAY}


def test_an_invoice_waits_for_its_postings_and_goes_when_they_come(company: Company) -> None:
    company.put("invoices", invoice("5"), DAY)
    assert verdicts(company.plan("invoices")) == {key("INV-1"): "postings_incomplete"}
    company.posting("INV-1", LATER, "5")
    assert verdicts(company.plan("invoices", LATER)) == {key("INV-1"): "create"}
    assert verdicts(company.plan("invoices")) == {key("INV-1"): "create"}


def test_a_credit_finds_the_invoice_that_it_names(company: Company) -> None:
    company.invoice("INV-1")
    company.put("invoices", invoice("-2", invoice="CR-2", reference="INV-1"), DAY)
    company.posting("CR-2", DAY, "-2", sub_entry=d(2))
    company.put("invoices", invoice("-3", invoice="CR-3", reference="INV-9"), DAY)
    company.posting("CR-3", DAY, "-3", sub_entry=d(3))
    plan = company.plan("invoices")
    assert verdicts(plan) == {
        key("INV-1"): "create",
        key("CR-2"): "create",
        key("CR-3"): "unnamed_credit",
    }
    kinds = Counter(p.kind for _, p in plan.rows)
    assert kinds == {Kind.INVOICE: 2, Kind.CREDIT_NOTE: 1}
    assert [p.amount > 0 for _, p in plan.rows] == [True, False, False]


def test_an_invoice_at_another_rate_than_its_order_is_held(company: Company) -> None:
    company.supplier(SUPPLIER, "Heathcotes Ltd", currency="€")
    company.order(currency="€", exchange_rate=d("1.10"))
    company.put("receipts", receipt(), DAY)
    company.put("receipt_matches", match(matched_value=d("5")), DAY)
    company.put("invoices", invoice("5", currency="€", exchange_rate=d("1.20")), DAY)
    company.posting("INV-1", DAY, "6")
    assert verdicts(company.plan("invoices")) == {key("INV-1"): "rate_differs"}


def test_a_credit_at_another_rate_than_its_invoice_is_held(company: Company) -> None:
    company.supplier(SUPPLIER, "Heathcotes Ltd", currency="€")
    company.put("invoices", invoice("5", currency="€", exchange_rate=d("1.20")), DAY)
    company.posting("INV-1", DAY, "6")
    of_credit = {"reference": "INV-1", "currency": "€", "exchange_rate": d("1.00")}
    company.put("invoices", invoice("-5", invoice="CR-2", **of_credit), DAY)
    company.posting("CR-2", DAY, "-5", sub_entry=d(2))
    expected = {key("INV-1"): "create", key("CR-2"): "rate_differs"}
    assert verdicts(company.plan("invoices")) == expected


def test_postings_without_an_invoice_and_of_other_journals_are_shown(company: Company) -> None:
    company.invoice()
    company.posting("INV-8", DAY, "7", sub_entry=d(8))
    company.posting("INV-1", DAY, "-5", sub_entry=d(9), posting_type="P")
    plan = company.plan("invoices")
    assert verdicts(plan) == {
        key("INV-1"): "create",
        key("INV-8"): "invoice_missing",
        "2026/3/17/1/9": "payment",
    }
    assert sum(p.amount for _, p in plan.rows) == 5 + 7 - 5


def test_postings_without_a_date_are_shown_in_every_window_unless_an_invoice_has_them(
    company: Company,
) -> None:
    company.invoice()
    lost: Any = None
    company.posting("INV-1", lost, "0", sub_entry=d(7))
    company.posting("INV-8", lost, "7", sub_entry=d(8))
    company.posting("INV-1", lost, "-5", sub_entry=d(9), posting_type="P")
    expected = {key("INV-8"): "invoice_missing", "2026/3/17/1/9": "payment"}
    assert verdicts(company.plan("invoices")) == {key("INV-1"): "create", **expected}
    assert verdicts(company.plan("invoices", LATER)) == expected
    assert set(days(company.plan("invoices", LATER)).values()) == {LATER}


def test_a_document_gone_from_syspro_is_shown_on_its_day(company: Company) -> None:
    ref = DocumentRef(Kind.INVOICE, key("INV-6"), DAY, DAY, d(5), "GBP")
    company.ledger.adopt(ref, state="done", cin7_id="p")
    assert verdicts(company.plan("invoices")) == {key("INV-6"): "vanished_in_syspro"}
    assert verdicts(company.plan("invoices", LATER)) == {}


def test_a_document_gone_from_syspro_is_shown_though_its_postings_stayed(
    company: Company,
) -> None:
    ref = DocumentRef(Kind.INVOICE, key("INV-6"), DAY, DAY, d(5), "GBP")
    company.ledger.adopt(ref, state="done", cin7_id="p")
    company.posting("INV-6", DAY, "5")
    plan = company.plan("invoices")
    assert "vanished_in_syspro" in verdicts(plan).values()


def test_a_row_that_could_not_be_read_is_held(company: Company) -> None:
    bad = {"key": "invoice=X", "reason": "amount: found x", "row": {}, "partition": DAY}
    stamp = Stamp(company.name, "run")
    note_rejected(company.engine, stamp, "invoices", [bad], (DAY, DAY))
    plan = company.plan("invoices")
    assert verdicts(plan) == {"invoices: invoice=X": "unreadable_row"}
    assert only(plan).reason == "amount: found x"
    assert verdicts(company.plan("invoices", LATER)) == {}


def test_an_order_of_which_a_line_could_not_be_read_is_held_with_its_receipts(
    company: Company,
) -> None:
    company.order()
    company.put("receipts", receipt(), DAY)
    key = f"purchase_order={ORDER}, line=2"
    bad = {"key": key, "reason": "x", "row": {}, "partition": None}
    stamp = Stamp(company.name, "run")
    note_rejected(company.engine, stamp, "purchase_order_lines", [bad], (None, None))
    assert verdicts(company.plan("purchases")) == {
        ORDER: "unreadable_row",
        f"{ORDER}|G1": "unreadable_row",
        f"purchase_order_lines: {key}": "unreadable_row",
    }


def test_no_document_is_in_a_plan_twice(company: Company) -> None:
    company.order()
    company.put("receipts", receipt(), DAY)
    company.put("receipt_matches", match(), NEXT)
    company.invoice("INV-1", posted=NEXT)
    company.invoice("INV-2", NEXT, DAY)
    company.invoice("INV-3", None, NEXT)
    for kind in _PLANNERS:
        keys = [p.source_key for _, p in company.plan(kind, DAY, NEXT).rows]
        assert len(set(keys)) == len(keys) > 0


def test_a_plan_is_stored_with_what_is_wanted_and_why_not(company: Company) -> None:
    company.invoice("INV-1")
    company.put("invoices", invoice("3", invoice="INV-2"), DAY)
    company.posting("INV-2", DAY, "3", gl_code=GL_UNMAPPED, sub_entry=d(2))
    company.plan("invoices")
    rows = company.stored("invoices")
    wanted, held = rows[key("INV-1")], rows[key("INV-2")]
    assert (wanted.verdict, wanted.partition, wanted.amount) == (Verdict.CREATE, DAY, 5)
    assert wanted.content["number"] == "INV-1"
    assert len(wanted.content_hash) == 64
    assert (held.verdict, held.reason_code, held.content) == ("held", "unmapped_account", None)
    assert GL_UNMAPPED in held.reason


def test_a_plan_made_again_replaces_the_days_it_covers(company: Company) -> None:
    company.invoice("INV-1")
    company.invoice("INV-2", NEXT, NEXT)
    company.plan("invoices", DAY, NEXT)
    assert set(company.stored("invoices")) == {key("INV-1"), key("INV-2")}
    first = company.stored("invoices")[key("INV-2")]
    company.plan("invoices")
    assert company.stored("invoices")[key("INV-2")] == first


def test_the_same_rows_planned_again_are_the_same_documents(company: Company) -> None:
    company.order()
    company.put("receipts", receipt(), DAY)
    company.put("receipt_matches", match(matched_value=d(4)), DAY)
    company.invoice()
    first = [p for _, p in company.plan("invoices").rows]
    assert [p for _, p in company.plan("invoices").rows] == first
    assert first[0].content is not None
    assert first[0].content.to_json()["purchase_order"] == ORDER


def test_a_window_knows_its_days() -> None:
    window = Window("acme", DAY, NEXT)
    assert (window.covers(DAY), window.covers(LATER), window.covers(None)) == (
        True,
        False,
        False,
    )
    assert window.clamp([LATER, None]) == NEXT
    assert window.clamp([LATER, DAY]) == DAY


def test_an_unknown_supplier_is_an_unknown_supplier(company: Company) -> None:
    company.put("invoices", invoice("5", supplier="000404"), DAY)
    company.put("postings", posting("5", supplier="000404"), DAY)
    assert verdicts(company.plan("invoices")) == {"000404|INV-1": "supplier_unknown"}
    assert SupplierRow("x").name is None
