"""Pushing a window: an outcome for every plan row, in the right order, whatever happens."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.cin7.errors import NotAuthorised
from mlc_pipeline.staging.load import Stamp, replace_days
from mlc_pipeline.staging.tables import PLAN, PUSH
from mlc_pipeline.sync.push import Wanted
from mlc_pipeline.sync.pusher import PlanMissing, Results, check_planned, push_window
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.vocabulary import Kind, Outcome, Verdict
from mlc_pipeline_tests.sync import desk as documents
from mlc_pipeline_tests.sync.cin7_in_memory import (
    DENIED,
    LOST,
    LOST_APPLIED,
    REFUSED,
    UNAVAILABLE,
    Record,
)
from mlc_pipeline_tests.sync.desk import Desk
from mlc_pipeline_tests.sync.examples import DAY, ORDER, SUPPLIER, stage

NEXT = DAY + timedelta(days=1)


@pytest.fixture
def desk(engine: sa.Engine) -> Desk:
    desk = Desk(engine)
    desk.bring(documents.supplier())
    return desk


def plan_row(document: Wanted, day: date = DAY, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "partition": day,
        "source_key": document.ref.source_key,
        "kind": document.ref.kind,
        "home": day,
        "verdict": document.verdict,
        "supplier": SUPPLIER,
        "amount": document.ref.amount,
        "currency": "GBP",
        "content": document.content.to_json() if document.content else None,
        "difference": [{"field": "adopt", "after": document.adopt}] if document.adopt else None,
    }
    return {**values, **changes}


def stopped_row(key: str, verdict: Verdict, code: str) -> dict[str, Any]:
    return {
        "partition": DAY,
        "source_key": key,
        "kind": Kind.INVOICE,
        "verdict": verdict,
        "reason_code": code,
        "reason": f"because of {key}",
        "amount": 7,
    }


def plan(desk: Desk, kind: str, *rows: dict[str, Any], last: date = DAY) -> None:
    stamp = Stamp(desk.name, "plan run")
    keys = {key for row in rows for key in row}
    complete = [{key: row.get(key) for key in keys} for row in rows]
    replace_days(desk.engine, PLAN[kind], stamp, DAY, last, complete)


def run(desk: Desk, kind: str, *, last: date = DAY, **options: Any) -> Results:
    return push_window(
        desk.engine,
        Stamp(desk.name, "push run"),
        Window(desk.name, DAY, last),
        kind,
        desk.pusher(),
        **{"sleep": lambda _seconds: desk.rest(), **options},
    )


def recorded(desk: Desk, kind: str) -> dict[str, Any]:
    table = PUSH[kind]
    with desk.engine.connect() as database:
        query = sa.select(table).where(table.c.connection == desk.name)
        return {row.source_key: row for row in database.execute(query)}


def outcomes(results: Results) -> dict[str, str]:
    return {r.source_key: r.pushed.outcome.value for r in results.rows}


def own(number: int) -> Wanted:
    return documents.own_invoice(f"INV-{number}")


# --- outcomes ---


def test_every_plan_row_gets_an_outcome_and_it_is_recorded(desk: Desk) -> None:
    plan(
        desk,
        "invoices",
        plan_row(own(1)),
        stopped_row("a", Verdict.HELD, "unmapped_account"),
        stopped_row("b", Verdict.WAITING, "postings_incomplete"),
        stopped_row("c", Verdict.EXCLUDED, "before_start"),
        {**stopped_row("d", Verdict.UNCHANGED, ""), "reason_code": None},
    )
    told: list[tuple[int, int]] = []
    results = run(desk, "invoices", progress=lambda done, of: told.append((done, of)))
    assert outcomes(results) == {
        f"{SUPPLIER}|INV-1": "created",
        "a": "held",
        "b": "waiting",
        "c": "excluded",
        "d": "unchanged",
    }
    assert told[-1] == (5, 5)
    rows = recorded(desk, "invoices")
    assert {key: row.outcome for key, row in rows.items()} == outcomes(results)
    assert (rows["a"].reason_code, rows["a"].reason) == ("unmapped_account", "because of a")
    assert (rows["a"].amount, rows["a"].run_id) == (7, "push run")
    written = rows[f"{SUPPLIER}|INV-1"]
    assert (written.amount, written.currency, written.cin7_number) == (80, "GBP", "PO-00001")
    assert written.cin7_id == desk.cin7.only_purchase()["ID"]


def test_a_replay_writes_nothing_and_records_anew(desk: Desk) -> None:
    plan(desk, "invoices", plan_row(own(1)))
    run(desk, "invoices")
    calls = list(desk.cin7.calls)
    assert outcomes(run(desk, "invoices")) == {f"{SUPPLIER}|INV-1": "unchanged"}
    assert desk.cin7.calls == calls
    plan(desk, "invoices")
    run(desk, "invoices")
    assert recorded(desk, "invoices") == {}


def test_a_window_pushes_its_own_days_only(desk: Desk) -> None:
    plan(desk, "invoices", plan_row(own(1)), plan_row(own(2), NEXT), last=NEXT)
    assert set(outcomes(run(desk, "invoices"))) == {f"{SUPPLIER}|INV-1"}
    results = run(desk, "invoices", last=NEXT)
    assert set(outcomes(results)) == {f"{SUPPLIER}|INV-1", f"{SUPPLIER}|INV-2"}


def test_an_adoption_that_was_planned_is_made(engine: sa.Engine) -> None:
    desk = Desk(engine)
    desk.cin7.suppliers["S"] = {"ID": "S", "Name": "Heathcotes Ltd"}
    plan(desk, "suppliers", plan_row(documents.supplier(adopt="S")))
    assert outcomes(run(desk, "suppliers")) == {SUPPLIER: "adopted"}
    assert desk.cin7.calls == []


def test_an_order_that_was_cancelled_is_voided(desk: Desk) -> None:
    desk.bring(documents.order())
    plan(desk, "purchases", plan_row(documents.void()))
    assert outcomes(run(desk, "purchases")) == {ORDER: "updated"}
    assert desk.cin7.only_purchase()["Status"] == "VOIDED"


# --- order ---


def test_what_others_need_is_written_first(desk: Desk) -> None:
    plan(
        desk,
        "purchases",
        plan_row(documents.receipt("G1"), home=DAY - timedelta(days=9)),
        plan_row(documents.order(), home=DAY),
    )
    assert set(outcomes(run(desk, "purchases")).values()) == {"created"}
    plan(
        desk,
        "invoices",
        plan_row(documents.credit_note("INV-7"), home=DAY - timedelta(days=9)),
        plan_row(documents.own_invoice("INV-7"), home=DAY),
    )
    assert set(outcomes(run(desk, "invoices")).values()) == {"created"}


def test_documents_of_a_kind_go_by_date_then_key(desk: Desk) -> None:
    rows = [(own(3), DAY), (own(2), NEXT), (own(1), NEXT)]
    plan(desk, "invoices", *(plan_row(doc, day) for doc, day in rows), last=NEXT)
    results = run(desk, "invoices", last=NEXT)
    assert [r.source_key[-1] for r in results.rows] == ["3", "1", "2"]


# --- trouble ---


def _explode_on(marker: str) -> Any:
    def explode(record: Record) -> None:
        if marker in record["Note"]:
            raise ValueError("something nobody thought of")

    return explode


def test_a_document_that_fails_stops_no_other_and_names_its_day(desk: Desk) -> None:
    desk.cin7.alter["create_purchase"] = _explode_on("INV-2")
    rows = (plan_row(own(1)), plan_row(own(2)), plan_row(own(3), NEXT))
    plan(desk, "invoices", *rows, last=NEXT)
    results = run(desk, "invoices", last=NEXT)
    assert list(outcomes(results).values()) == ["created", "failed", "created"]
    assert results.failed_days() == [DAY]
    row = recorded(desk, "invoices")[f"{SUPPLIER}|INV-2"]
    assert (row.outcome, row.reason_code) == ("failed", "error")
    assert row.reason == "ValueError: something nobody thought of"


def test_a_refused_document_stops_no_other(desk: Desk) -> None:
    desk.cin7.fail("create_purchase", REFUSED)
    plan(desk, "invoices", plan_row(own(1)), plan_row(own(2)))
    results = run(desk, "invoices")
    assert list(outcomes(results).values()) == ["held", "created"]
    row = recorded(desk, "invoices")[f"{SUPPLIER}|INV-1"]
    assert row.reason_code == "refused"
    assert "Cin7's own words" in row.reason
    assert results.failed_days() == []


def test_after_three_documents_in_a_row_cin7_is_left_alone(desk: Desk) -> None:
    desk.cin7.fail("create_purchase", *[UNAVAILABLE] * 9)
    plan(desk, "invoices", *(plan_row(own(n)) for n in range(1, 6)))
    results = run(desk, "invoices")
    assert set(outcomes(results).values()) == {"waiting"}
    assert {r.pushed.reason_code for r in results.rows} == {"cin7_unavailable"}
    assert desk.cin7.calls.count("create_purchase") == 3
    assert ["not tried" in str(r.pushed.reason) for r in results.rows] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_a_document_that_went_through_in_between_starts_the_count_again(desk: Desk) -> None:
    def unavailable(times: int) -> list[str]:
        return [UNAVAILABLE] * times

    desk.cin7.fail("create_purchase", *unavailable(2), REFUSED, *unavailable(2))
    plan(desk, "invoices", *(plan_row(own(n)) for n in range(1, 7)))
    assert list(outcomes(run(desk, "invoices")).values()) == [
        "waiting",
        "waiting",
        "held",
        "waiting",
        "waiting",
        "created",
    ]


def test_cin7_that_cannot_be_read_is_unavailable_and_no_failure(desk: Desk) -> None:
    desk.cin7.fail("supplier", UNAVAILABLE)
    plan(desk, "suppliers", plan_row(documents.supplier(payment_term="60 days")))
    results = run(desk, "suppliers")
    assert outcomes(results) == {SUPPLIER: "waiting"}
    assert results.rows[0].pushed.reason_code == "cin7_unavailable"


def test_refused_credentials_stop_the_push_and_what_was_done_is_recorded(desk: Desk) -> None:
    plan(desk, "invoices", *(plan_row(own(n)) for n in range(1, 4)))

    def deny_next(_record: Record) -> None:
        desk.cin7.fail("create_purchase", DENIED)

    desk.cin7.alter["post_invoice"] = deny_next
    with pytest.raises(NotAuthorised):
        run(desk, "invoices")
    assert desk.cin7.calls.count("create_purchase") == 2
    rows = recorded(desk, "invoices")
    assert {key: row.outcome for key, row in rows.items()} == {f"{SUPPLIER}|INV-1": "created"}
    del desk.cin7.alter["post_invoice"]
    assert list(outcomes(run(desk, "invoices")).values()) == ["unchanged", "created", "created"]


# --- lost answers ---


@pytest.mark.parametrize(("fault", "outcome"), [(LOST, "created"), (LOST_APPLIED, "adopted")])
def test_a_lost_answer_is_looked_up_at_the_end_after_the_wait(
    desk: Desk, fault: str, outcome: str
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        desk.rest()

    desk.cin7.fail("post_invoice", fault)
    plan(desk, "invoices", plan_row(own(1)), plan_row(own(2)))
    results = run(desk, "invoices", sleep=sleep)
    assert [r.source_key[-1] for r in results.rows] == ["2", "1"]
    assert outcomes(results)[f"{SUPPLIER}|INV-1"] == outcome
    assert len(slept) == 1
    assert 140 < slept[0] <= 150
    invoices = [p["Invoice"] for p in desk.cin7.purchase_records.values()]
    assert sum(i["Status"] == "AUTHORISED" for one in invoices for i in one) == 2


def test_an_answer_lost_again_and_again_waits_for_the_next_run(desk: Desk) -> None:
    desk.cin7.fail("post_invoice", LOST, LOST, LOST)
    plan(desk, "invoices", plan_row(own(1)))
    results = run(desk, "invoices")
    assert results.rows[0].pushed.outcome is Outcome.WAITING
    assert results.rows[0].pushed.reason_code == "answer_lost"
    desk.rest()
    assert outcomes(run(desk, "invoices")) == {f"{SUPPLIER}|INV-1": "created"}


def test_what_needs_a_document_whose_answer_was_lost_follows_in_the_same_run(
    desk: Desk,
) -> None:
    desk.cin7.fail("post_order", LOST_APPLIED)
    plan(
        desk,
        "purchases",
        plan_row(documents.order()),
        plan_row(documents.receipt("G1")),
        plan_row(documents.receipt("G2", "6")),
    )
    results = run(desk, "purchases")
    assert set(outcomes(results)) == {ORDER, f"{ORDER}|G1", f"{ORDER}|G2"}
    assert set(outcomes(results).values()) <= {"adopted", "created"}
    assert len(results.rows) == 3


def test_what_waits_for_anothers_lost_answer_follows_in_the_same_run(desk: Desk) -> None:
    desk.cin7.fail("post_stock", LOST_APPLIED)
    later = documents.receipt("G1", "4", NEXT, sku="B200")
    plan(
        desk,
        "purchases",
        plan_row(documents.order()),
        plan_row(documents.receipt("G2")),
        plan_row(later, NEXT),
        last=NEXT,
    )
    assert outcomes(run(desk, "purchases", last=NEXT)) == {
        ORDER: "created",
        f"{ORDER}|G2": "adopted",
        f"{ORDER}|G1": "created",
    }


# --- two runs ---


def test_a_document_that_another_run_has_is_tried_again_then_its_day_is_undone(
    desk: Desk,
) -> None:
    plan(desk, "invoices", plan_row(own(1)), plan_row(own(2)))
    with desk.ledger.claim(f"document|{own(1).ref.source_key}"):
        results = run(desk, "invoices")
    assert outcomes(results) == {
        own(1).ref.source_key: "waiting",
        own(2).ref.source_key: "created",
    }
    assert results.failed_days() == [DAY]
    assert run(desk, "invoices").failed_days() == []


def test_what_another_run_planned_meanwhile_is_what_is_written(desk: Desk) -> None:
    old, new = own(2), documents.own_invoice("INV-2", "95")
    plan(desk, "invoices", plan_row(own(1)), plan_row(old))

    def replan(done: int, _all: int) -> None:
        if done == 1:
            plan(desk, "invoices", plan_row(own(1)), plan_row(new))

    results = run(desk, "invoices", progress=replan)
    assert outcomes(results)[new.ref.source_key] == "created"
    booked = desk.ledger.document(Kind.INVOICE, new.ref.source_key)
    assert booked is not None
    assert booked.content == new.content.to_json()


def test_what_another_run_holds_by_now_is_not_written(desk: Desk) -> None:
    stopped = stopped_row(own(2).ref.source_key, Verdict.HELD, "unmapped_account")
    plan(desk, "invoices", plan_row(own(1)), plan_row(own(2)))

    def replan(done: int, _all: int) -> None:
        if done == 1:
            plan(desk, "invoices", plan_row(own(1)), stopped)

    results = run(desk, "invoices", progress=replan)
    assert outcomes(results)[own(2).ref.source_key] == "held"
    assert len(desk.cin7.purchase_records) == 1


def test_what_left_the_days_is_left_to_the_run_that_moved_it(desk: Desk) -> None:
    plan(desk, "invoices", plan_row(own(1)), plan_row(own(2)))

    def replan(done: int, _all: int) -> None:
        if done == 1:
            plan(desk, "invoices", plan_row(own(1)))

    assert list(outcomes(run(desk, "invoices", progress=replan))) == [own(1).ref.source_key]


@pytest.mark.parametrize("seed", range(6))
def test_every_plan_row_is_accounted_for_once_whatever_fails(desk: Desk, seed: int) -> None:
    faults = [REFUSED, UNAVAILABLE, LOST, LOST_APPLIED]
    for place, call in enumerate(("create_purchase", "post_order", "post_invoice")):
        turned = faults[(seed + place) % 4 :] + faults[: (seed + place) % 4]
        desk.cin7.fail(call, *turned[: 1 + seed % 4])
    rows = [plan_row(own(n)) for n in range(1, 8)]
    plan(desk, "invoices", *rows, stopped_row("x", Verdict.HELD, "undated"))
    results = run(desk, "invoices")
    keys = [r.source_key for r in results.rows]
    assert sorted(keys) == sorted([*(row["source_key"] for row in rows), "x"])
    assert sum(r.amount for r in results.rows) == 7 * 80 + 7
    assert {k: r.outcome for k, r in recorded(desk, "invoices").items()} == outcomes(results)
    desk.rest()
    desk.cin7.faults.clear()
    again = outcomes(run(desk, "invoices"))
    del again["x"]
    assert set(again.values()) <= {"created", "adopted", "unchanged"}
    assert len(desk.cin7.purchase_records) == 7


# --- the plan must be there ---


def test_a_push_without_a_plan_names_what_is_missing(engine: sa.Engine) -> None:
    desk = Desk(engine)
    window = Window(desk.name, DAY, DAY)
    for number in (1, 2):
        key = {"supplier": SUPPLIER, "invoice": f"INV-{number}"}
        stage(engine, "invoices", {**key, "partition": DAY}, name=desk.name)
    order = {"purchase_order": ORDER, "supplier": SUPPLIER, "partition": DAY}
    stage(engine, "purchase_orders", order, name=desk.name)
    plan(desk, "invoices", plan_row(own(1)))
    with pytest.raises(PlanMissing, match=rf"1 of 2 documents.*{SUPPLIER}\|INV-2; mater"):
        check_planned(engine, window, "invoices")
    with pytest.raises(PlanMissing, match=f"plan.purchases, for example {ORDER}"):
        check_planned(engine, window, "purchases")
    check_planned(engine, window, "suppliers")
    check_planned(engine, Window(desk.name, NEXT, NEXT), "invoices")
    plan(desk, "invoices", plan_row(own(1)), plan_row(own(2)))
    check_planned(engine, window, "invoices")


# --- documents that Cin7 has no room for ---


def test_a_text_that_is_too_long_is_held_and_anything_else_unfit_fails(desk: Desk) -> None:
    long_tax_number = documents.supplier(tax_number="X" * 300)
    plan(desk, "suppliers", plan_row(long_tax_number))
    (held,) = run(desk, "suppliers").rows
    assert (held.pushed.outcome, held.pushed.reason_code) == (Outcome.HELD, "too_long")
    assert "tax_number" in str(held.pushed.reason)
    plan(desk, "suppliers", plan_row(documents.supplier(name="")))
    results = run(desk, "suppliers")
    assert outcomes(results) == {SUPPLIER: "failed"}
    assert results.failed_days() == [DAY]
    assert desk.cin7.calls == ["create_supplier"]
