"""What is looked at before anything is added to a purchase, and who holds it meanwhile."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.connection.model import Connection
from mlc_pipeline.staging.audit_tables import holds
from mlc_pipeline.staging.load import Stamp
from mlc_pipeline.sync import audit
from mlc_pipeline.sync import holds as standing_holds
from mlc_pipeline.sync.ledger import ClaimLost, Ledger
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.push import Push, Pushed, Wanted
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.vocabulary import Kind, Outcome
from mlc_pipeline_tests.sync import desk as documents
from mlc_pipeline_tests.sync.desk import Desk
from mlc_pipeline_tests.sync.examples import DAY, SUPPLIER, connection


@pytest.fixture
def desk(engine: sa.Engine) -> Desk:
    """A supplier and an order in Cin7, written by a run before this one."""
    desk = Desk(engine)
    desk.bring(documents.supplier(), documents.order())
    return desk


def next_run(desk: Desk, *wanted: Wanted) -> list[Pushed]:
    ledger = Ledger(desk.engine, desk.name, "the next run")
    settings: Connection = connection(**desk.policies)
    push = Push(desk.cin7, ledger, settings)
    return [push.push(each) for each in wanted]


# --- before something is added ---


def test_an_order_that_a_person_changed_gets_nothing_added(desk: Desk) -> None:
    desk.cin7.only_purchase()["Order"]["Lines"][0]["Price"] = 99
    calls = list(desk.cin7.calls)
    with pytest.raises(Hold, match=r"changed_in_cin7.*Lines\[0\].Price: sent .*found 99"):
        next_run(desk, documents.receipt())
    assert desk.cin7.calls == calls


def test_an_order_that_a_person_voided_gets_nothing_added(desk: Desk) -> None:
    desk.cin7.only_purchase()["Status"] = "VOIDED"
    with pytest.raises(Hold, match=r"changed_in_cin7.*is void"):
        next_run(desk, documents.receipt())


def test_an_order_as_it_was_written_is_looked_at_once_and_added_to(desk: Desk) -> None:
    looked: list[str] = []
    read = desk.cin7.purchase
    desk.cin7.purchase = lambda i, /: (looked.append(i), read(i))[1]  # type: ignore[method-assign]
    made = next_run(
        desk,
        documents.receipt("G1", "4"),
        documents.receipt("G2", "3"),
        documents.invoice("INV-1", "4", "G1"),
    )
    assert [p.outcome for p in made] == [Outcome.CREATED] * 3
    assert len(looked) == 1


def test_an_order_of_the_same_run_is_not_read_again(desk: Desk) -> None:
    def no_reading(_purchase_id: str, /) -> None:
        raise AssertionError("it was read")

    desk.cin7.purchase = no_reading  # type: ignore[assignment, method-assign]
    assert desk.push(documents.receipt()).outcome is Outcome.CREATED


def test_an_invoice_that_stands_on_the_purchase_already_is_linked(desk: Desk) -> None:
    desk.bring(documents.receipt(), documents.invoice("INV-1", "4", "G1"))
    ledger = desk.ledger
    document = ledger.document(Kind.INVOICE, f"{SUPPLIER}|INV-1")
    assert document is not None
    with desk.engine.begin() as database:
        database.execute(
            sa.text("DELETE FROM ledger.documents WHERE connection = :n AND kind = 'invoice'"),
            {"n": desk.name},
        )
    calls = list(desk.cin7.calls)
    (pushed,) = next_run(desk, documents.invoice("INV-1", "4", "G1"))
    assert pushed.outcome is Outcome.ADOPTED
    assert desk.cin7.calls == calls
    again = ledger.document(Kind.INVOICE, f"{SUPPLIER}|INV-1")
    assert again is not None
    assert (again.task_id, again.content_hash) == (document.task_id, document.content_hash)


def test_an_invoice_of_the_number_that_says_something_else_is_left_to_a_person(
    desk: Desk,
) -> None:
    desk.bring(documents.receipt(), documents.invoice("INV-1", "4", "G1"))
    with desk.engine.begin() as database:
        database.execute(
            sa.text("DELETE FROM ledger.documents WHERE connection = :n AND kind = 'invoice'"),
            {"n": desk.name},
        )
    written = next(i for i in desk.cin7.only_purchase()["Invoice"] if i.get("Lines"))
    written["Lines"][0]["Total"] = 7
    with pytest.raises(Hold, match=r"already_in_cin7.*Total"):
        next_run(desk, documents.invoice("INV-1", "4", "G1"))


# --- who holds it ---


def test_a_document_is_held_by_itself_wherever_it_goes(desk: Desk) -> None:
    """One run has the invoice on its own, another finds it matched to an order."""
    own, matched = documents.own_invoice("INV-1"), documents.invoice("INV-1")
    first, second = (Push(desk.cin7, desk.ledger, connection()) for _ in range(2))
    with first.claimed(own.ref, own.content), pytest.raises(Hold, match="being_written"):
        second.push(matched)


def test_a_claim_of_several_names_is_all_or_nothing(desk: Desk) -> None:
    one, other = desk.ledger, desk.ledger
    with one.claim("b") as got:
        assert got
        with other.claim("a", "b", "c") as all_of_them:
            assert not all_of_them
        with desk.ledger.claim("a", "c") as free:
            assert free


def end_the_claims(desk: Desk) -> None:
    """Cut off the sessions that hold a claim, as a restart of the server does."""
    with desk.engine.connect() as database:
        database.execute(sa.text(_END_CLAIMS))


# Locks are those of the whole server; other test processes have databases of their own.
_END_CLAIMS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND granted AND datname = current_database()
"""


class LosingLedger(Ledger):
    """A ledger whose claim is lost right after an intent, while the call waits for its turn."""

    def intend(self, *args: Any, **values: Any) -> int:
        write = super().intend(*args, **values)
        with self._engine.connect() as database:
            database.execute(sa.text(_END_CLAIMS))
        return write


def test_a_worker_that_lost_its_claim_sends_nothing(desk: Desk) -> None:
    calls = list(desk.cin7.calls)
    ledger = LosingLedger(desk.engine, desk.name, "run")
    with pytest.raises(Hold, match=r"being_written.*was not sent"):
        desk.push(documents.receipt(), ledger)
    assert desk.cin7.calls == calls
    open_write = desk.open_write(documents.receipt())
    assert open_write is not None
    assert open_write.state == "intended"
    assert desk.settle(documents.receipt()) == "created"


def test_a_claim_is_known_to_be_lost(desk: Desk) -> None:
    ledger = desk.ledger
    ledger.assert_claimed()  # nothing is claimed, nothing is lost
    with ledger.claim("a"):
        ledger.assert_claimed()
        end_the_claims(desk)
        with pytest.raises(ClaimLost):
            ledger.assert_claimed()
        with pytest.raises(ClaimLost):
            ledger.assert_claimed()


# --- what stands held ---


def outcome(key: str, what: Outcome, code: str | None, day: date = DAY) -> dict[str, object]:
    return {
        "kind": Kind.INVOICE,
        "source_key": key,
        "partition": day,
        "outcome": what,
        "reason_code": code,
        "reason": f"about {key}",
        "supplier": SUPPLIER,
        "amount": 1,
        "currency": "GBP",
        "cin7_id": None,
    }


def keep(desk: Desk, *rows: dict[str, object], is_whole: bool = True) -> None:
    with desk.engine.begin() as database:
        standing_holds.keep(
            database,
            Stamp(desk.name, "run"),
            Window(desk.name, DAY, DAY),
            "invoices",
            rows,
            is_whole=is_whole,
        )


def held(desk: Desk) -> dict[str, str]:
    with desk.engine.connect() as database:
        rows = database.execute(sa.select(holds).where(holds.c.connection == desk.name))
        return {row.source_key: row.reason_code for row in rows}


def told(desk: Desk) -> list[tuple[str, str]]:
    with desk.engine.connect() as database:
        events = audit.read(database, audit.Filters(desk.name), 100)
    of_holds = ("held", "waiting", "failed", "released")
    return [(e.action, e.source_key) for e in events if e.action in of_holds]


def test_a_hold_stands_once_and_is_told_when_it_begins_changes_and_ends(desk: Desk) -> None:
    for _ in range(3):
        keep(desk, outcome("a", Outcome.HELD, "unmapped_account"))
    assert held(desk) == {"a": "unmapped_account"}
    assert told(desk) == [("held", "a")]
    keep(desk, outcome("a", Outcome.WAITING, "postings_incomplete"))
    keep(desk, outcome("a", Outcome.CREATED, None))
    assert held(desk) == {}
    assert told(desk) == [("held", "a"), ("waiting", "a"), ("released", "a")]


def test_what_is_not_there_any_more_is_let_go_by_a_whole_push_only(desk: Desk) -> None:
    keep(desk, outcome("a", Outcome.HELD, "refused"))
    keep(desk, is_whole=False)
    assert held(desk) == {"a": "refused"}
    keep(desk)
    assert held(desk) == {}


def test_the_days_of_what_stands_held_are_found_by_reason(desk: Desk) -> None:
    keep(
        desk,
        outcome("a", Outcome.HELD, "refused"),
        outcome("b", Outcome.FAILED, "error"),
    )
    with desk.engine.connect() as database:
        days = standing_holds.stopped_days
        assert days(database, desk.name) == [DAY]
        assert days(database, desk.name, reason="unmapped_account") == []
        assert days(database, desk.name, reason="refused") == [DAY]
        assert days(database, desk.name, failed_since=DAY) == [DAY]
        assert days(database, desk.name, failed_since=date(2999, 1, 1)) == []
        assert days(database, desk.name, source_keys=["b"]) == [DAY]
