"""The push: every document once, whatever is lost, refused, altered or cut off."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.cin7.errors import NotAuthorised
from mlc_pipeline.staging.tables import writes
from mlc_pipeline.sync import bodies
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.protocol import Unsettled
from mlc_pipeline.sync.push import Wanted
from mlc_pipeline.sync.vocabulary import Kind, Outcome
from mlc_pipeline_tests.sync import desk as documents
from mlc_pipeline_tests.sync.cin7_in_memory import (
    DENIED,
    LOST,
    LOST_APPLIED,
    REFUSED,
    UNAVAILABLE,
    Record,
)
from mlc_pipeline_tests.sync.desk import WRITTEN, Crash, CrashingLedger, Desk
from mlc_pipeline_tests.sync.examples import DAY, ORDER, SUPPLIER


@dataclass(frozen=True)
class Scenario:
    """A document whose writing is disturbed, and what must be there before it.

    Attributes:
        document: makes the document.
        before: makes what it needs, in order.
        calls: the calls that write it.
        policies: the connection's.
        at_first: puts something into Cin7 by hand.
    """

    document: Callable[[], Wanted]
    before: tuple[Callable[[], Wanted], ...] = ()
    calls: tuple[str, ...] = ()
    policies: dict[str, Any] = field(default_factory=dict)
    at_first: Callable[[Desk], None] = lambda _desk: None

    def ready(self, engine: sa.Engine) -> Desk:
        """Return a desk with everything before the document done."""
        desk = Desk(engine, self.policies)
        self.at_first(desk)
        desk.bring(*(make() for make in self.before))
        return desk


def _by_hand(desk: Desk) -> None:
    desk.cin7.suppliers["S"] = {"ID": "S", "Name": "Heathcotes Ltd", "Status": "Active"}


_DRAFTS = {
    "authorise_orders": False,
    "authorise_invoices": False,
    "on_change_after_posting": "update",
}
_SUPPLIER = (documents.supplier,)
_ORDER = (documents.supplier, documents.order)
_RECEIVED = (*_ORDER, documents.receipt)

SCENARIOS: dict[str, Scenario] = {
    "supplier": Scenario(documents.supplier, calls=("create_supplier",)),
    "supplier change": Scenario(
        lambda: documents.supplier(payment_term="60 days"),
        _SUPPLIER,
        ("update_supplier",),
    ),
    "supplier adoption": Scenario(lambda: documents.supplier(adopt="S"), at_first=_by_hand),
    "order": Scenario(documents.order, _SUPPLIER, ("create_purchase", "post_order")),
    "order with a product": Scenario(
        lambda: documents.order(new_products=(("A100", "Bolt", "EA"),)),
        _SUPPLIER,
        ("create_product", "create_purchase", "post_order"),
    ),
    "stage of an order": Scenario(
        lambda: documents.order(approach="STOCK"),
        (documents.supplier, lambda: documents.order(approach="INVOICE")),
        ("update_purchase",),
    ),
    "draft order change": Scenario(
        lambda: documents.order("12", terms="60 days"),
        _ORDER,
        ("update_purchase", "post_order"),
        _DRAFTS,
    ),
    "void": Scenario(documents.void, _ORDER, ("void_purchase",)),
    "receipt": Scenario(documents.receipt, _ORDER, ("post_stock",)),
    "second receipt": Scenario(
        lambda: documents.receipt("G2", "6", DAY + timedelta(days=1)),
        _RECEIVED,
        ("post_stock",),
    ),
    "second receipt of the same goods on the same day": Scenario(
        lambda: documents.receipt("G2"), _RECEIVED, ("post_stock",)
    ),
    "invoice on an order": Scenario(
        lambda: documents.invoice("INV-1", "4", "G1"), _RECEIVED, ("post_invoice",)
    ),
    "second invoice on an order": Scenario(
        lambda: documents.invoice("INV-2", "6"),
        (*_RECEIVED, lambda: documents.invoice("INV-1", "4", "G1")),
        ("post_invoice",),
    ),
    "own invoice": Scenario(
        documents.own_invoice, _SUPPLIER, ("create_purchase", "post_order", "post_invoice")
    ),
    "draft invoice change": Scenario(
        lambda: documents.own_invoice(amount="85"),
        (documents.supplier, documents.own_invoice),
        ("post_invoice",),
        _DRAFTS,
    ),
    "credit note": Scenario(
        documents.credit_note,
        (documents.supplier, documents.own_invoice),
        ("post_credit_note",),
    ),
}
every_scenario = pytest.mark.parametrize("name", SCENARIOS)
every_call = pytest.mark.parametrize(
    ("name", "call"),
    [(name, call) for name, scenario in SCENARIOS.items() for call in scenario.calls],
)


def undisturbed(engine: sa.Engine, scenario: Scenario) -> Desk:
    """Return a desk where the document was written without any trouble."""
    desk = scenario.ready(engine)
    desk.bring(scenario.document())
    return desk


_clean: dict[str, dict[str, Any]] = {}


def clean(engine: sa.Engine, name: str) -> dict[str, Any]:
    """Return what Cin7 holds when a document was written without any trouble."""
    if name not in _clean:
        _clean[name] = undisturbed(engine, SCENARIOS[name]).cin7.contents()
    return _clean[name]


# --- without trouble ---


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        (
            name,
            Outcome.ADOPTED
            if "adoption" in name
            else Outcome.UPDATED
            if "change" in name or name in ("void", "stage of an order")
            else Outcome.CREATED,
        )
        for name in SCENARIOS
    ],
)
def test_each_document_is_written_by_its_calls_once(
    engine: sa.Engine, name: str, outcome: Outcome
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    before = len(desk.cin7.writes)
    document = scenario.document()
    pushed = desk.push(document)
    assert pushed.outcome is outcome
    assert pushed.cin7_id is not None
    assert tuple(desk.cin7.writes[before:]) == scenario.calls
    assert desk.open_write(document) is None


@every_scenario
def test_a_document_pushed_again_makes_no_write(engine: sa.Engine, name: str) -> None:
    desk = undisturbed(engine, SCENARIOS[name])
    calls, contents = list(desk.cin7.calls), desk.cin7.contents()
    pushed = desk.push(SCENARIOS[name].document())
    assert pushed.outcome is Outcome.UNCHANGED
    assert (desk.cin7.calls, desk.cin7.contents()) == (calls, contents)


def test_a_purchase_carries_its_marker_in_the_note_and_an_attribute(engine: sa.Engine) -> None:
    desk = undisturbed(engine, SCENARIOS["order"])
    purchase = desk.cin7.only_purchase()
    marker = f"SYSPRO:ACME:PO:{ORDER}"
    assert purchase["Note"].split("\n")[0] == marker
    assert purchase["AdditionalAttributes"]["AdditionalAttribute1"] == marker
    assert purchase["PurchaseType"] == "Advanced"


def test_an_invoice_goes_to_the_group_of_its_receipt(engine: sa.Engine) -> None:
    desk = undisturbed(engine, SCENARIOS["second receipt"])
    desk.bring(documents.invoice("INV-2", "6", "G2"), documents.invoice("INV-1", "4", "G1"))
    purchase = desk.cin7.only_purchase()
    by_task = {g["TaskID"]: g["Lines"][0]["Quantity"] for g in purchase["StockReceived"]}
    for one in purchase["Invoice"]:
        assert by_task[one["TaskID"]] == one["Lines"][0]["Quantity"]


def test_what_is_booked_is_kept_as_cin7_answered_it(engine: sa.Engine) -> None:
    desk = undisturbed(engine, SCENARIOS["own invoice"])
    kept = desk.ledger.document(Kind.INVOICE, f"{SUPPLIER}|INV-7")
    assert kept is not None
    assert kept.answered == {"status": "AUTHORISED", "amounts": {"400|Sales": "80"}, "tax": {}}
    desk.bring(documents.credit_note())
    credit = desk.ledger.document(Kind.CREDIT_NOTE, f"{SUPPLIER}|CR-1")
    assert credit is not None
    assert credit.answered is not None
    assert credit.answered["amounts"] == {"400|": "-5"}


# --- what stands in the way ---


def held(desk: Desk, document: Wanted) -> str:
    with pytest.raises(Hold) as caught:
        desk.push(document)
    return caught.value.reason.code


def test_documents_wait_for_what_they_need(engine: sa.Engine) -> None:
    desk = Desk(engine)
    assert held(desk, documents.order()) == "supplier_held"
    assert held(desk, documents.own_invoice()) == "supplier_held"
    assert held(desk, documents.receipt()) == "order_missing"
    assert held(desk, documents.invoice()) == "order_missing"
    assert held(desk, documents.credit_note()) == "credited_invoice_missing"
    assert desk.cin7.calls == []


def test_an_invoice_on_a_stock_first_order_waits_for_its_receipt(engine: sa.Engine) -> None:
    desk = SCENARIOS["receipt"].ready(engine)
    assert held(desk, documents.invoice("INV-1", "4", "G1")) == "order_missing"
    desk.bring(documents.receipt(), documents.invoice("INV-1", "4", "G1"))


def test_an_invoice_on_an_invoice_first_order_does_not_wait(engine: sa.Engine) -> None:
    desk = Desk(engine)
    desk.bring(documents.supplier(), documents.order(approach="INVOICE"))
    desk.bring(documents.invoice("INV-1", "4", "G1"), documents.receipt())
    purchase = desk.cin7.only_purchase()
    assert purchase["StockReceived"][0]["TaskID"] == purchase["Invoice"][0]["TaskID"]


def test_a_draft_order_takes_receipts_after_a_person_authorised_it(engine: sa.Engine) -> None:
    desk = Desk(engine, {"authorise_orders": False})
    desk.bring(documents.supplier(), documents.order())
    assert held(desk, documents.receipt()) == "order_is_draft"
    desk.cin7.only_purchase()["Order"]["Status"] = "AUTHORISED"
    assert desk.push(documents.receipt()).outcome is Outcome.CREATED
    known = desk.ledger.known(Kind.PURCHASE_ORDER, [ORDER])
    assert known[(Kind.PURCHASE_ORDER, ORDER)].status == "AUTHORISED"


def test_a_draft_invoice_is_credited_after_a_person_authorised_it(engine: sa.Engine) -> None:
    desk = Desk(engine, {"authorise_invoices": False})
    desk.bring(documents.supplier(), documents.own_invoice())
    assert held(desk, documents.credit_note()) == "credited_invoice_missing"
    desk.cin7.only_purchase()["Invoice"][0]["Status"] = "AUTHORISED"
    assert desk.push(documents.credit_note()).outcome is Outcome.CREATED


def test_a_service_purchase_takes_no_receipt(engine: sa.Engine) -> None:
    desk = Desk(engine)
    service = documents.order(service_only=True, approach="INVOICE")
    content = service.content.model_copy(
        update={"lines": (), "charges": (documents.charge("5", None),)}
    )
    order = documents.wanted(Kind.PURCHASE_ORDER, ORDER, content)
    desk.bring(documents.supplier(), order)
    assert held(desk, documents.receipt()) == "no_receipt_step"


def test_authorised_documents_that_changed_are_not_touched(engine: sa.Engine) -> None:
    desk = undisturbed(engine, SCENARIOS["own invoice"])
    desk.bring(documents.order())
    calls = list(desk.cin7.calls)
    assert held(desk, documents.own_invoice(amount="85")) == "changed_after_posting"
    assert held(desk, documents.order("12")) == "changed_after_posting"
    assert desk.cin7.calls == calls


def test_an_invoice_begun_on_its_own_is_not_made_again_on_an_order(engine: sa.Engine) -> None:
    desk = SCENARIOS["receipt"].ready(engine)
    desk.cin7.fail("post_order", REFUSED)
    assert held(desk, documents.own_invoice("INV-1")) == "refused"
    calls = list(desk.cin7.calls)
    assert held(desk, documents.invoice("INV-1")) == "changed_after_posting"
    assert desk.cin7.calls == calls


def test_two_syspro_suppliers_are_never_linked_to_one_of_cin7(engine: sa.Engine) -> None:
    desk = undisturbed(engine, SCENARIOS["supplier adoption"])
    other = documents.wanted(Kind.SUPPLIER, "000999", documents.supplier().content, adopt="S")
    assert held(desk, other) == "supplier_ambiguous"


def test_a_document_that_another_run_writes_is_left_to_it(engine: sa.Engine) -> None:
    desk = SCENARIOS["order"].ready(engine)
    order = documents.order()
    with desk.ledger.claim(f"{Kind.PURCHASE_ORDER}|{ORDER}") as mine:
        assert mine
        for document in (order, documents.receipt(), documents.invoice()):
            assert held(desk, document) == "being_written"
    assert desk.push(order).outcome is Outcome.CREATED


def test_a_call_that_another_run_intended_is_not_sent(engine: sa.Engine) -> None:
    desk = SCENARIOS["order"].ready(engine)
    order = documents.order()

    class LateLedger(type(desk.ledger)):  # type: ignore[misc]
        """Sees no open write, as when the other run commits its intent in between."""

        def open_write(self, kind: Kind, source_key: str) -> None:
            return None

    desk.ledger.intend(order.ref, "create_purchase", "hash")
    with pytest.raises(Hold, match="being_written"):
        desk.push(order, LateLedger(engine, desk.name, "late"))
    assert desk.cin7.purchase_records == {}


# --- refused, unavailable, denied ---


@every_call
def test_a_refused_call_is_held_with_cin7s_words_and_sent_again_next_time(
    engine: sa.Engine, name: str, call: str
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    desk.cin7.fail(call, REFUSED)
    with pytest.raises(Hold, match=r"refused.*Cin7's own words"):
        desk.push(scenario.document())
    assert desk.open_write(scenario.document()) is None
    assert desk.push(scenario.document()).outcome in (Outcome.CREATED, Outcome.UPDATED)
    assert desk.cin7.contents() == clean(engine, name)


@every_call
def test_a_call_that_did_not_go_out_waits_and_is_sent_next_time(
    engine: sa.Engine, name: str, call: str
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    desk.cin7.fail(call, UNAVAILABLE)
    assert held(desk, scenario.document()) == "cin7_unavailable"
    assert desk.push(scenario.document()).outcome in (Outcome.CREATED, Outcome.UPDATED)
    assert desk.cin7.contents() == clean(engine, name)


@every_call
def test_refused_credentials_are_no_matter_of_the_document(
    engine: sa.Engine, name: str, call: str
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    desk.cin7.fail(call, DENIED)
    with pytest.raises(NotAuthorised):
        desk.push(scenario.document())
    assert desk.push(scenario.document()).outcome in (Outcome.CREATED, Outcome.UPDATED)
    assert desk.cin7.contents() == clean(engine, name)


# --- lost answers ---


@pytest.mark.parametrize("fault", [LOST, LOST_APPLIED])
@every_call
def test_a_lost_answer_is_looked_up_after_it_rested_and_nothing_is_there_twice(
    engine: sa.Engine, name: str, call: str, fault: str
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    desk.cin7.fail(call, fault)
    with pytest.raises(Unsettled) as lost:
        desk.push(scenario.document())
    assert 0 < lost.value.seconds <= 150
    calls = list(desk.cin7.calls)
    with pytest.raises(Unsettled):  # it has not rested yet
        desk.push(scenario.document())
    assert desk.cin7.calls == calls
    assert desk.settle(scenario.document()) in WRITTEN
    assert desk.cin7.contents() == clean(engine, name)
    assert desk.settle(scenario.document()) == "unchanged"


@pytest.mark.parametrize(
    ("name", "call"),
    [
        (name, call)
        for name, scenario in SCENARIOS.items()
        for call in scenario.calls
        if not call.startswith("update") and "change" not in name
    ],
)
def test_what_an_unanswered_call_made_is_adopted_without_another_call(
    engine: sa.Engine, name: str, call: str
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    desk.cin7.fail(call, LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(scenario.document())
    before = desk.cin7.calls.count(call)
    outcome = desk.settle(scenario.document())
    assert outcome in ("adopted", "updated" if call == "void_purchase" else "created")
    assert desk.cin7.calls.count(call) == before


def test_nothing_is_sent_while_cin7_cannot_be_asked_what_became_of_a_call(
    engine: sa.Engine,
) -> None:
    desk = SCENARIOS["own invoice"].ready(engine)
    desk.cin7.fail("post_invoice", LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(documents.own_invoice())
    desk.cin7.fail("purchase", UNAVAILABLE)
    calls = list(desk.cin7.calls)
    assert desk.settle(documents.own_invoice()) == "cin7_unavailable"
    assert desk.cin7.calls == calls
    assert desk.settle(documents.own_invoice()) == "adopted"


def _twin(records: dict[str, Record]) -> None:
    (record,) = [r for r in records.values() if "twin" not in r]
    twin = copy.deepcopy(record)
    twin |= {"ID": "99999999-9999-4999-8999-999999999999", "twin": True}
    records[twin["ID"]] = twin


def _twin_group(block: str) -> Callable[[Desk], None]:
    def make(desk: Desk) -> None:
        groups = desk.cin7.only_purchase()[block]
        groups.append({**copy.deepcopy(groups[-1]), "TaskID": "twin"})

    return make


@pytest.mark.parametrize(
    ("name", "call", "make_twin"),
    [
        ("supplier", "create_supplier", lambda desk: _twin(desk.cin7.suppliers)),
        ("order", "create_purchase", lambda desk: _twin(desk.cin7.purchase_records)),
        ("own invoice", "create_purchase", lambda desk: _twin(desk.cin7.purchase_records)),
        (
            "order with a product",
            "create_product",
            lambda desk: _twin(desk.cin7.product_records),
        ),
        ("second receipt", "post_stock", _twin_group("StockReceived")),
        ("second invoice on an order", "post_invoice", _twin_group("Invoice")),
        ("credit note", "post_credit_note", _twin_group("CreditNote")),
    ],
)
def test_two_candidates_for_a_lost_answer_are_left_to_a_person(
    engine: sa.Engine, name: str, call: str, make_twin: Callable[[Desk], None]
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    desk.cin7.fail(call, LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(scenario.document())
    make_twin(desk)
    calls = list(desk.cin7.calls)
    for _ in range(2):
        assert desk.settle(scenario.document()) == "quarantined"
        assert desk.cin7.calls == calls


def test_a_purchase_of_another_document_is_never_taken_for_a_lost_one(
    engine: sa.Engine,
) -> None:
    desk = SCENARIOS["own invoice"].ready(engine)
    desk.bring(documents.own_invoice("INV-8"))
    desk.cin7.fail("create_purchase", LOST)
    with pytest.raises(Unsettled):
        desk.push(documents.own_invoice())
    assert desk.settle(documents.own_invoice()) == "created"
    assert len(desk.cin7.purchase_records) == 2


def test_a_purchase_is_found_though_its_supplier_changed_in_syspro(engine: sa.Engine) -> None:
    desk = SCENARIOS["order"].ready(engine)
    other = documents.supplier(marker="SYSPRO:ACME:SUP:000999", name="Other Ltd").content
    desk.bring(documents.wanted(Kind.SUPPLIER, "000999", other))
    desk.cin7.fail("create_purchase", LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(documents.order())
    desk.settle(documents.order(supplier="000999"))
    assert len(desk.cin7.purchase_records) == 1


def test_a_voided_twin_is_out_of_the_question(engine: sa.Engine) -> None:
    desk = SCENARIOS["order"].ready(engine)
    desk.cin7.fail("create_purchase", LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(documents.order())
    _twin(desk.cin7.purchase_records)
    desk.cin7.purchase_records["99999999-9999-4999-8999-999999999999"]["Status"] = "VOIDED"
    assert desk.settle(documents.order()) == "adopted"


# --- a document that changes while an answer is lost ---


def _told(desk: Desk, document: Wanted) -> bool:
    """Tell whether the ledger takes the document for written exactly as it is wanted."""
    known = desk.ledger.document(document.ref.kind, document.ref.source_key)
    return (
        known is not None
        and known.state == "done"
        and known.content_hash == document.content.digest()
    )


@pytest.mark.parametrize(
    ("name", "call", "changed"),
    [
        ("supplier", "create_supplier", lambda: documents.supplier(payment_term="60 days")),
        ("order", "create_purchase", lambda: documents.order(terms="60 days")),
        ("order", "post_order", lambda: documents.order("12")),
        ("receipt", "post_stock", lambda: documents.receipt(quantity="5")),
        (
            "second receipt",
            "post_stock",
            lambda: documents.receipt("G2", "7", DAY + timedelta(days=1)),
        ),
        ("own invoice", "create_purchase", lambda: documents.own_invoice(terms="60 days")),
        ("own invoice", "post_invoice", lambda: documents.own_invoice(amount="85")),
        ("credit note", "post_credit_note", lambda: documents.credit_note(amount="6")),
    ],
)
def test_a_change_during_a_lost_answer_is_never_taken_for_written(
    engine: sa.Engine, name: str, call: str, changed: Callable[[], Wanted]
) -> None:
    """What was stored is the old version: it is brought up to date, or a person is told."""
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    desk.cin7.fail(call, LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(scenario.document())
    desk.settle(changed())
    straight = scenario.ready(engine)
    straight.bring(changed())
    if _told(desk, changed()):
        assert desk.cin7.contents() == straight.cin7.contents()


@pytest.mark.parametrize(
    ("name", "call", "document"),
    [
        ("supplier change", "update_supplier", documents.supplier),
        ("stage of an order", "update_purchase", lambda: documents.order(approach="INVOICE")),
    ],
)
def test_a_change_taken_back_during_a_lost_answer_is_taken_back_in_cin7(
    engine: sa.Engine, name: str, call: str, document: Callable[[], Wanted]
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    before = desk.cin7.contents()
    desk.cin7.fail(call, LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(scenario.document())
    desk.settle(document())
    assert desk.cin7.contents() == before


@pytest.mark.parametrize("fault", [LOST, LOST_APPLIED])
@pytest.mark.parametrize("call", ["create_purchase", "post_order"])
def test_an_order_cancelled_during_a_lost_answer_leaves_no_purchase_behind(
    engine: sa.Engine, call: str, fault: str
) -> None:
    desk = SCENARIOS["order"].ready(engine)
    desk.cin7.fail(call, fault)
    with pytest.raises(Unsettled):
        desk.push(documents.order())
    assert desk.settle(documents.void()) in WRITTEN
    assert {p["Status"] for p in desk.cin7.purchase_records.values()} <= {"VOIDED"}
    assert desk.open_write(documents.order()) is None


def test_a_supplier_that_turned_up_after_a_lost_answer_can_be_changed_later(
    engine: sa.Engine,
) -> None:
    """The next plan sees it among Cin7's suppliers by its marker, and adopts it."""
    desk = Desk(engine)
    desk.cin7.fail("create_supplier", LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(documents.supplier())
    (supplier_id,) = desk.cin7.suppliers
    assert desk.settle(documents.supplier(adopt=supplier_id)) == "adopted"
    changed = documents.supplier(payment_term="60 days")
    assert desk.settle(changed) == "updated"
    assert len(desk.cin7.suppliers) == 1


# --- a sibling whose answer was lost ---


def _received(desk: Desk) -> list[tuple[str, Any]]:
    groups = desk.cin7.only_purchase()["StockReceived"]
    lines = [line for group in groups for line in group.get("Lines") or []]
    return sorted((line["SKU"], line["Quantity"]) for line in lines)


@pytest.mark.parametrize("fault", [LOST, LOST_APPLIED])
def test_nothing_is_added_to_an_order_while_a_receipts_answer_is_open(
    engine: sa.Engine, fault: str
) -> None:
    desk = Desk(engine)
    desk.bring(documents.supplier(), documents.order())
    first, second = documents.receipt("G1"), documents.receipt("G2", "3", sku="B200")
    desk.cin7.fail("post_stock", fault)
    with pytest.raises(Unsettled):
        desk.push(first)
    calls = list(desk.cin7.calls)
    with pytest.raises(Unsettled, match=r"receipt .*G1 of the same order"):
        desk.push(second)
    assert desk.cin7.calls == calls
    assert desk.settle(first) in WRITTEN
    assert desk.settle(second) == "created"
    assert _received(desk) == [("A100", 4), ("B200", 3)]


def test_an_invoice_keeps_off_the_group_of_one_whose_answer_was_lost(engine: sa.Engine) -> None:
    desk = Desk(engine, _DRAFTS | {"authorise_orders": True})
    desk.bring(documents.supplier(), documents.order(approach="INVOICE"))
    first, second = documents.invoice("INV-1", "2"), documents.invoice("INV-2", "3")
    desk.cin7.fail("post_invoice", LOST)
    with pytest.raises(Unsettled):
        desk.push(first)
    with pytest.raises(Unsettled, match="of the same order"):
        desk.push(second)
    assert [desk.settle(first), desk.settle(second)] == ["created", "created"]
    numbers = [i.get("InvoiceNumber") for i in desk.cin7.only_purchase()["Invoice"]]
    assert sorted(numbers) == ["INV-1", "INV-2"]


def test_a_receipt_that_is_not_clear_keeps_others_off_its_order(engine: sa.Engine) -> None:
    desk = SCENARIOS["receipt"].ready(engine)
    desk.cin7.fail("post_stock", LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(documents.receipt())
    purchase = desk.cin7.only_purchase()
    twin = copy.deepcopy(purchase["StockReceived"][0]) | {"TaskID": "twin"}
    purchase["StockReceived"].append(twin)
    assert desk.settle(documents.receipt()) == "quarantined"
    with pytest.raises(Hold, match=r"quarantined: .*G1 of the same order"):
        desk.push(documents.receipt("G2", "3", sku="B200"))


# --- what a person made after an attempt came to nothing ---


def test_a_supplier_that_a_person_made_after_a_refusal_is_taken(engine: sa.Engine) -> None:
    desk = Desk(engine)
    desk.cin7.fail("create_supplier", REFUSED)
    with pytest.raises(Hold, match="refused"):
        desk.push(documents.supplier())
    _by_hand(desk)
    assert desk.settle(documents.supplier(adopt="S")) == "adopted"
    assert list(desk.cin7.suppliers) == ["S"]


def _typed(desk: Desk, document: Wanted, status: str = "AUTHORISED") -> None:
    """Let a person enter an invoice in Cin7, in a group of its own."""
    purchase = desk.cin7.only_purchase()
    body = bodies.invoice_post(
        document.content, purchase["ID"], bodies.NEW_TASK, authorise=True
    ).to_wire()
    purchase["Invoice"].append({**body, "TaskID": "typed", "Status": status})


def test_an_invoice_that_a_person_entered_after_a_refusal_is_not_entered_again(
    engine: sa.Engine,
) -> None:
    desk = Desk(engine)
    desk.bring(documents.supplier(), documents.order(approach="INVOICE"))
    desk.cin7.fail("post_invoice", REFUSED)
    with pytest.raises(Hold, match="refused"):
        desk.push(documents.invoice())
    _typed(desk, documents.invoice())
    with desk.engine.begin() as database:  # the order is of an earlier run
        database.execute(sa.update(writes).values(run_id="earlier"))
    assert desk.settle(documents.invoice()) == "adopted"
    numbers = [i.get("InvoiceNumber") for i in desk.cin7.only_purchase()["Invoice"]]
    assert numbers.count("INV-1") == 1


def test_a_receipt_that_a_person_entered_after_a_refusal_is_not_entered_again(
    engine: sa.Engine,
) -> None:
    desk = SCENARIOS["receipt"].ready(engine)
    desk.cin7.fail("post_stock", REFUSED)
    with pytest.raises(Hold, match="refused"):
        desk.push(documents.receipt())
    purchase = desk.cin7.only_purchase()
    wire = bodies.stock_post(
        documents.receipt().content, purchase["ID"], bodies.NEW_TASK
    ).to_wire()
    purchase["StockReceived"].append({**wire, "TaskID": "typed"})
    with desk.engine.begin() as database:
        database.execute(sa.update(writes).values(run_id="earlier"))
    assert desk.settle(documents.receipt()) == "adopted"
    assert _received(desk) == [("A100", 4)]


# --- drafts ---


def _with_a_draft(engine: sa.Engine) -> Desk:
    """Return a desk with an order whose first group has a draft invoice."""
    desk = Desk(engine, {"authorise_invoices": False})
    desk.bring(
        documents.supplier(),
        documents.order(approach="INVOICE"),
        documents.invoice("INV-1", "2"),
    )
    return desk


def _numbers(desk: Desk) -> list[Any]:
    invoices = desk.cin7.only_purchase()["Invoice"]
    return sorted(i["InvoiceNumber"] for i in invoices if i.get("Lines"))


def test_a_draft_that_cin7_stored_otherwise_is_never_added_again(engine: sa.Engine) -> None:
    desk = _with_a_draft(engine)
    desk.cin7.alter["post_invoice"] = _setting("InvoiceDueDate", "2026-01-01T00:00:00")
    for _ in range(3):
        assert desk.settle(documents.invoice("INV-2", "3")) == "answer_differs"
    assert _numbers(desk) == ["INV-1", "INV-2"]


def test_a_draft_that_changed_while_its_answer_was_lost_is_written_over(
    engine: sa.Engine,
) -> None:
    desk = _with_a_draft(engine)
    desk.cin7.fail("post_invoice", LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(documents.invoice("INV-2", "3"))
    assert desk.settle(documents.invoice("INV-2", "4")) in WRITTEN
    assert _numbers(desk) == ["INV-1", "INV-2"]
    (quantity,) = [
        i["Lines"][0]["Quantity"]
        for i in desk.cin7.only_purchase()["Invoice"]
        if i.get("InvoiceNumber") == "INV-2"
    ]
    assert quantity == 4


def test_a_changed_draft_that_a_person_authorised_leaves_no_call_open(
    engine: sa.Engine,
) -> None:
    desk = Desk(engine, _DRAFTS | {"authorise_orders": True})
    desk.bring(documents.supplier(), documents.order(approach="INVOICE"), documents.invoice())
    changed = documents.invoice("INV-1", "3")
    desk.cin7.fail("post_invoice", LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(changed)
    desk.cin7.only_purchase()["Invoice"][0]["Status"] = "AUTHORISED"
    assert desk.settle(changed) == "unchanged"
    assert desk.open_write(changed) is None


# --- an order that was cancelled and is wanted again ---


def test_an_order_wanted_again_is_found_by_its_marker_not_by_the_void_one(
    engine: sa.Engine,
) -> None:
    desk = Desk(engine)
    desk.bring(documents.supplier(), documents.order(), documents.void())
    desk.cin7.fail("create_purchase", LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(documents.order())
    assert desk.settle(documents.order()) == "adopted"
    statuses = [p["Status"] for p in desk.cin7.purchase_records.values()]
    assert [status == "VOIDED" for status in statuses] == [True, False]


def test_an_order_cancelled_again_while_its_answer_is_lost_leaves_nothing_behind(
    engine: sa.Engine,
) -> None:
    desk = Desk(engine)
    desk.bring(documents.supplier(), documents.order(), documents.void())
    desk.cin7.fail("create_purchase", LOST_APPLIED)
    with pytest.raises(Unsettled):
        desk.push(documents.order())
    assert desk.settle(documents.void()) == "updated"
    assert {p["Status"] for p in desk.cin7.purchase_records.values()} == {"VOIDED"}


def test_a_marker_is_found_however_cin7_ends_its_lines(engine: sa.Engine) -> None:
    desk = SCENARIOS["order"].ready(engine)
    desk.cin7.fail("create_purchase", LOST_APPLIED)

    def as_windows_does(record: Record) -> None:
        record["Note"] = record["Note"].replace("\n", "\r\n")
        record["AdditionalAttributes"] = {}

    desk.cin7.alter["create_purchase"] = as_windows_does
    with pytest.raises(Unsettled):
        desk.push(documents.order())
    desk.settle(documents.order())
    assert len(desk.cin7.purchase_records) == 1


# --- an answer that differs ---


@dataclass
class Alteration:
    """Stores something else than was sent, and can put it right again."""

    change: Callable[[Record], None]
    stored: Record = field(default_factory=dict)
    sent: Record = field(default_factory=dict)

    def __call__(self, record: Record) -> None:
        self.stored, self.sent = record, copy.deepcopy(record)
        self.change(record)

    def put_right(self) -> None:
        self.stored.update(self.sent)


def _setting(name: str, value: Any) -> Callable[[Record], None]:
    return lambda record: record.update({name: value})


def _setting_line(block: str, name: str, value: Any) -> Callable[[Record], None]:
    return lambda record: record[block][0].update({name: value})


DIFFERENT = [
    ("supplier", "create_supplier", _setting("Name", "HEATHCOTES")),
    ("order", "create_purchase", _setting("Location", "Yard")),
    ("order", "post_order", _setting_line("Lines", "TaxRule", "Other")),
    ("receipt", "post_stock", _setting_line("Lines", "Quantity", 3)),
    ("second receipt", "post_stock", _setting_line("Lines", "Quantity", 3)),
    ("own invoice", "create_purchase", _setting("Location", "Yard")),
    ("invoice on an order", "post_invoice", _setting_line("Lines", "Account", "999")),
    ("own invoice", "post_invoice", _setting_line("AdditionalCharges", "Account", "999")),
    ("own invoice", "post_invoice", _setting("InvoiceNumber", "INV-00001")),
    ("second invoice on an order", "post_invoice", _setting("InvoiceNumber", "INV-00001/2")),
    ("credit note", "post_credit_note", _setting("CreditNoteDate", "2020-01-01T00:00:00")),
    ("credit note", "post_credit_note", _setting("CreditNoteNumber", "CN-1")),
]
every_difference = pytest.mark.parametrize(
    ("name", "call", "change"),
    DIFFERENT,
    ids=[f"{n}-{c}-{i}" for i, (n, c, _) in enumerate(DIFFERENT)],
)


@every_difference
def test_a_document_that_cin7_stored_otherwise_is_held_and_never_sent_again(
    engine: sa.Engine, name: str, call: str, change: Callable[[Record], None]
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    desk.cin7.alter[call] = Alteration(change)
    document = scenario.document()
    with pytest.raises(Hold, match=r"answer_differs.*sent .*, found "):
        desk.push(document)
    kept = desk.ledger.document(document.ref.kind, document.ref.source_key)
    assert kept is not None
    assert kept.cin7_id is not None
    assert kept.state != "done"
    calls = list(desk.cin7.calls)
    for _ in range(2):
        assert desk.settle(document) not in WRITTEN
        assert desk.cin7.calls == calls


@every_difference
def test_a_document_put_right_in_cin7_goes_on_without_a_person_at_the_ledger(
    engine: sa.Engine, name: str, call: str, change: Callable[[Record], None]
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    alteration = desk.cin7.alter[call] = Alteration(change)
    with pytest.raises(Hold, match="answer_differs"):
        desk.push(scenario.document())
    alteration.put_right()
    del desk.cin7.alter[call]
    calls = desk.cin7.calls.count(call)
    assert desk.settle(scenario.document()) in WRITTEN
    assert desk.cin7.calls.count(call) == calls
    assert desk.cin7.contents() == clean(engine, name)


@pytest.mark.parametrize(
    ("name", "call", "change"),
    [
        ("supplier change", "update_supplier", _setting("PaymentTerm", "30 days")),
        ("stage of an order", "update_purchase", _setting("Approach", "INVOICE")),
        ("draft order change", "update_purchase", _setting("Terms", "30 days")),
        ("draft order change", "post_order", _setting_line("Lines", "Quantity", 10)),
        (
            "draft invoice change",
            "post_invoice",
            _setting_line("AdditionalCharges", "Account", "999"),
        ),
    ],
)
def test_a_change_that_cin7_did_not_take_is_never_taken_for_written(
    engine: sa.Engine, name: str, call: str, change: Callable[[Record], None]
) -> None:
    scenario = SCENARIOS[name]
    desk = scenario.ready(engine)
    desk.cin7.alter[call] = Alteration(change)
    with pytest.raises(Hold, match="answer_differs"):
        desk.push(scenario.document())
    assert not _told(desk, scenario.document())
    assert desk.settle(scenario.document()) not in WRITTEN
    del desk.cin7.alter[call]


def test_a_changed_draft_that_a_person_authorised_is_not_taken_for_written(
    engine: sa.Engine,
) -> None:
    scenario = SCENARIOS["draft order change"]
    desk = scenario.ready(engine)
    desk.cin7.only_purchase()["Order"]["Status"] = "AUTHORISED"
    changed = scenario.document()
    assert desk.settle(changed) not in WRITTEN
    assert not _told(desk, changed)


# --- crashes ---


@pytest.mark.parametrize("after", [False, True], ids=["before a commit", "after a commit"])
@every_scenario
def test_a_crash_at_any_commit_loses_nothing_and_makes_nothing_twice(
    engine: sa.Engine, name: str, after: bool
) -> None:
    scenario = SCENARIOS[name]
    for commit in range(1, 2 * len(scenario.calls) + 2):
        desk = scenario.ready(engine)
        ledger = CrashingLedger(engine, desk.name, commit, after=after)
        try:
            desk.push(scenario.document(), ledger)
        except Crash:
            assert desk.settle(scenario.document()) in WRITTEN, commit
        else:
            assert commit > max(1, 2 * len(scenario.calls)), "it died too rarely"
        assert desk.cin7.contents() == clean(engine, name), commit
        assert desk.settle(scenario.document()) == "unchanged"


def _push_to_the_end(desk: Desk, document: Wanted, ledger: CrashingLedger) -> None:
    """Push a document again as often as an answer that was lost before must rest first."""
    for _ in range(3):
        desk.rest()
        try:
            desk.push(document, ledger)
        except Unsettled:
            continue
        return


def test_two_crashes_in_a_row_are_no_worse_than_one(engine: sa.Engine) -> None:
    scenario = SCENARIOS["own invoice"]
    for first in range(1, 7):
        desk = scenario.ready(engine)
        for commit in (first, 2):
            ledger = CrashingLedger(engine, desk.name, commit, after=False)
            with pytest.raises(Crash):
                _push_to_the_end(desk, scenario.document(), ledger)
            if first == 6:
                break
        assert desk.settle(scenario.document()) in WRITTEN
        assert desk.cin7.contents() == clean(engine, "own invoice")
