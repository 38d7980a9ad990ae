"""The ledger on a real PostgreSQL: one open write a document, links once, claims that die."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mlc_pipeline.staging.tables import documents, writes
from mlc_pipeline.sync.ledger import DocumentRef, Ledger
from mlc_pipeline.sync.vocabulary import Kind

DAY = date(2026, 3, 2)
REF = DocumentRef(Kind.INVOICE, "000123|INV-1", DAY, DAY, Decimal("12.50"), "GBP")
TASK = "task"


@pytest.fixture
def ledger(database: sa.Engine) -> Ledger:
    return Ledger(database, "acme", "run-1")


def written(engine: sa.Engine, write_id: int) -> Any:
    with engine.connect() as connection:
        return connection.execute(sa.select(writes).where(writes.c.id == write_id)).one()


def age(engine: sa.Engine, seconds: int) -> None:
    with engine.begin() as connection:
        past = writes.c.state_since - timedelta(seconds=seconds)
        connection.execute(writes.update().values(state_since=past))


def finished(ledger: Ledger, ref: DocumentRef, **document: Any) -> None:
    write_id = ledger.intend(ref, "step", "hash")
    ledger.close(write_id, "done", ref, state="done", **document)


# --- intents ---


def test_an_intent_is_committed_with_the_document_it_is_for(
    ledger: Ledger, database: sa.Engine
) -> None:
    assert ledger.document(REF.kind, REF.source_key) is None
    write_id = ledger.intend(REF, "post_invoice", "hash")
    row = written(database, write_id)
    assert (row.state, row.step, row.request_hash) == ("intended", "post_invoice", "hash")
    assert (row.partition, row.run_id, row.finished_at) == (DAY, "run-1", None)
    document = ledger.document(REF.kind, REF.source_key)
    assert document is not None
    assert (document.state, document.cin7_id) == ("started", None)
    assert ledger.writes_made == 1


@pytest.mark.parametrize("open_state", ["intended", "uncertain"])
def test_a_second_intent_is_refused_while_the_first_is_open(
    ledger: Ledger, open_state: str
) -> None:
    first = ledger.intend(REF, "post_invoice", "hash")
    if open_state == "uncertain":
        ledger.close(first, "uncertain", REF, reason="lost")
    with pytest.raises(IntegrityError):
        ledger.intend(REF, "post_invoice", "hash")
    assert ledger.writes_made == 1


@pytest.mark.parametrize("end", ["done", "refused", "not_sent", "not_applied"])
def test_a_closed_write_makes_room_for_the_next(
    ledger: Ledger, database: sa.Engine, end: str
) -> None:
    first = ledger.intend(REF, "post_invoice", "hash")
    ledger.close(first, end, REF, reason="why")
    row = written(database, first)
    assert (row.state, row.reason) == (end, "why")
    assert row.finished_at >= row.intended_at
    assert ledger.intend(REF, "post_invoice", "hash") != first


def test_an_open_write_of_one_document_stops_no_other(
    ledger: Ledger, database: sa.Engine
) -> None:
    ledger.intend(REF, "post_invoice", "hash")
    ledger.intend(DocumentRef(Kind.CREDIT_NOTE, REF.source_key), "post_credit_note", "hash")
    ledger.intend(DocumentRef(Kind.INVOICE, "000123|INV-2"), "post_invoice", "hash")
    Ledger(database, "other", "run-1").intend(REF, "post_invoice", "hash")


def test_closing_commits_the_ids_with_the_outcome(ledger: Ledger, database: sa.Engine) -> None:
    write_id = ledger.intend(REF, "post_invoice", "hash")
    ledger.close(
        write_id,
        "done",
        REF,
        state="done",
        cin7_id="p",
        task_id="t",
        cin7_number="PO-1",
        content_hash="h",
        content={"a": "1"},
        answered={"status": "AUTHORISED"},
    )
    assert written(database, write_id).target_id == "t"
    document = ledger.document(REF.kind, REF.source_key)
    assert document is not None
    assert (document.state, document.cin7_id, document.task_id) == ("done", "p", "t")
    assert (document.cin7_number, document.content_hash) == ("PO-1", "h")
    assert (document.content, document.answered) == ({"a": "1"}, {"status": "AUTHORISED"})
    assert ledger.open_write(REF.kind, REF.source_key) is None


def test_an_uncertain_write_stays_open_with_its_reason_and_age(
    ledger: Ledger, database: sa.Engine
) -> None:
    assert ledger.open_write(REF.kind, REF.source_key) is None
    write_id = ledger.intend(REF, "post_invoice", "hash")
    ledger.close(write_id, "uncertain", REF, reason="no answer")
    age(database, 100)
    found = ledger.open_write(REF.kind, REF.source_key)
    assert found is not None
    assert (found.id, found.step, found.request_hash) == (write_id, "post_invoice", "hash")
    assert found.reason == "no answer"
    assert 100 <= found.age_seconds < 160
    assert found.intended_at.tzinfo is not None
    assert written(database, write_id).finished_at is None


def test_the_age_of_a_write_is_told_by_the_databases_clock(ledger: Ledger) -> None:
    ledger.intend(REF, "post_invoice", "hash")
    found = ledger.open_write(REF.kind, REF.source_key)
    assert found is not None
    assert 0 <= found.age_seconds < 30


# --- what is known ---


def test_known_is_what_planning_needs_of_the_documents_asked_for(ledger: Ledger) -> None:
    finished(
        ledger,
        REF,
        cin7_id="p",
        content_hash="h",
        content={"a": "1"},
        answered={"status": "DRAFT"},
    )
    ledger.intend(DocumentRef(Kind.INVOICE, "000123|INV-2"), "post_invoice", "hash")
    known = ledger.known(Kind.INVOICE, [REF.source_key, "000123|INV-2", "000123|INV-3"])
    assert set(known) == {("invoice", REF.source_key), ("invoice", "000123|INV-2")}
    done = known[(Kind.INVOICE, REF.source_key)]
    assert (done.state, done.content_hash, done.status) == ("done", "h", "DRAFT")
    assert (done.content, done.cin7_id) == ({"a": "1"}, "p")
    assert known[(Kind.INVOICE, "000123|INV-2")].state == "started"
    assert ledger.known(Kind.CREDIT_NOTE, [REF.source_key]) == {}
    assert ledger.known(Kind.INVOICE, []) == {}


def test_more_keys_than_a_statement_takes_are_known_too(ledger: Ledger) -> None:
    finished(ledger, REF)
    keys = [f"000123|{n}" for n in range(5000)] + [REF.source_key]
    assert list(ledger.known(Kind.INVOICE, keys)) == [("invoice", REF.source_key)]


def test_a_connection_knows_nothing_of_another(ledger: Ledger, database: sa.Engine) -> None:
    finished(ledger, REF, cin7_id="p", task_id=TASK)
    other = Ledger(database, "other", "run-1")
    assert other.document(REF.kind, REF.source_key) is None
    assert other.known(Kind.INVOICE, [REF.source_key]) == {}
    assert not other.is_linked("p")
    assert other.tasks("p", but="") == []
    assert other.sent_between([Kind.INVOICE], DAY, DAY) == []


def test_what_was_sent_on_some_days_is_finished_and_dated_in_them(ledger: Ledger) -> None:
    later = DAY + timedelta(days=1)
    finished(ledger, REF)
    finished(ledger, DocumentRef(Kind.INVOICE, "late", later, later))
    finished(ledger, DocumentRef(Kind.RECEIPT, "other kind", DAY, DAY))
    ledger.intend(DocumentRef(Kind.INVOICE, "open", DAY, DAY), "post_invoice", "hash")
    sent = ledger.sent_between([Kind.INVOICE], DAY, DAY)
    assert sent == [(Kind.INVOICE, REF.source_key, Decimal("12.5000"), "GBP", DAY)]


# --- links ---


def test_a_cin7_supplier_is_linked_to_one_syspro_supplier(ledger: Ledger) -> None:
    ledger.adopt(DocumentRef(Kind.SUPPLIER, "1"), cin7_id="s", state="done")
    with pytest.raises(IntegrityError):
        ledger.adopt(DocumentRef(Kind.SUPPLIER, "2"), cin7_id="s", state="done")
    assert ledger.supplier_links() == {"s": "1"}
    assert ledger.document(Kind.SUPPLIER, "2") is None


def test_a_purchase_is_linked_to_one_order_and_to_many_receipts(ledger: Ledger) -> None:
    finished(ledger, DocumentRef(Kind.PURCHASE_ORDER, "1"), cin7_id="p")
    write_id = ledger.intend(DocumentRef(Kind.PURCHASE_ORDER, "2"), "create_purchase", "hash")
    with pytest.raises(IntegrityError):
        ledger.close(write_id, "done", DocumentRef(Kind.PURCHASE_ORDER, "2"), cin7_id="p")
    for grn in ("G1", "G2"):
        finished(ledger, DocumentRef(Kind.RECEIPT, grn), cin7_id="p")
    assert ledger.is_linked("p")
    assert not ledger.is_linked("q")


def test_an_adoption_changes_what_it_names_and_leaves_the_rest(ledger: Ledger) -> None:
    finished(ledger, REF, cin7_id="p", content={"a": "1"})
    ledger.adopt(REF, state="done", answered={"status": "AUTHORISED"})
    document = ledger.document(REF.kind, REF.source_key)
    assert document is not None
    assert (document.cin7_id, document.content) == ("p", {"a": "1"})
    assert document.answered == {"status": "AUTHORISED"}
    assert ledger.writes_made == 1


def test_the_tasks_of_a_purchase_are_its_receipts_and_invoices_but_one(ledger: Ledger) -> None:
    finished(ledger, DocumentRef(Kind.PURCHASE_ORDER, "1"), cin7_id="p", task_id="header")
    finished(ledger, DocumentRef(Kind.RECEIPT, "1|G1"), cin7_id="p", task_id="t1")
    finished(ledger, DocumentRef(Kind.RECEIPT, "1|G2"), cin7_id="p")
    finished(ledger, DocumentRef(Kind.INVOICE, "i"), cin7_id="p", task_id="t2")
    finished(ledger, DocumentRef(Kind.INVOICE, "j"), cin7_id="q", task_id="t3")
    assert sorted(ledger.tasks("p", but="")) == [("invoice", "t2"), ("receipt", "t1")]
    assert ledger.tasks("p", but="1|G1") == [("invoice", "t2")]


# --- claims ---


@pytest.fixture
def others(database: sa.Engine, database_address: str) -> Iterator[sa.Engine]:
    """An engine of another worker."""
    engine = sa.create_engine(database_address)
    yield engine
    engine.dispose()


def test_a_document_is_claimed_by_one_worker_at_a_time(
    ledger: Ledger, others: sa.Engine
) -> None:
    other = Ledger(others, "acme", "run-2")
    with ledger.claim("order|1") as mine:
        assert mine
        with other.claim("order|1") as theirs:
            assert not theirs
        with other.claim("order|2") as another, other.claim("order|2") as again:
            assert another
            assert not again
        with Ledger(others, "other", "run-2").claim("order|1") as elsewhere:
            assert elsewhere
    with other.claim("order|1") as theirs:
        assert theirs


def test_a_claim_is_let_go_when_its_work_fails(ledger: Ledger, others: sa.Engine) -> None:
    with suppress(RuntimeError), ledger.claim("order|1"):
        raise RuntimeError
    with Ledger(others, "acme", "run-2").claim("order|1") as theirs:
        assert theirs


def test_a_claim_dies_with_the_connection_of_its_holder(
    ledger: Ledger, others: sa.Engine
) -> None:
    other = Ledger(others, "acme", "run-2")

    with ledger.claim("order|1") as mine:
        assert mine
        with others.connect() as connection:
            assert connection.scalars(sa.text(_KILL_CLAIMS)).all() == [True]
        with other.claim("order|1") as theirs:
            assert theirs
    with ledger.claim("order|1") as again:
        assert again


# Locks are those of the whole server; other test processes have databases of their own.
_KILL_CLAIMS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND granted AND datname = current_database()
"""


def test_what_was_written_is_never_overwritten_by_a_later_intent(ledger: Ledger) -> None:
    finished(ledger, REF, cin7_id="p")
    ledger.intend(REF, "post_invoice", "hash")
    document = ledger.document(REF.kind, REF.source_key)
    assert document is not None
    assert (document.state, document.cin7_id) == ("done", "p")


def test_every_call_that_was_ever_intended_stays_in_the_trail(
    ledger: Ledger, database: sa.Engine
) -> None:
    for end in ("refused", "not_sent", "not_applied", "done"):
        ledger.close(ledger.intend(REF, "post_invoice", "hash"), end, REF)
    with database.connect() as connection:
        states = connection.scalars(sa.select(writes.c.state).order_by(writes.c.id)).all()
        count = connection.scalar(sa.select(sa.func.count()).select_from(documents))
    assert states == ["refused", "not_sent", "not_applied", "done"]
    assert count == 1
