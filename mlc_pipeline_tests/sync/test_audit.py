"""The audit trail on a real PostgreSQL: chained, append-only, and every tampering is named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from mlc_pipeline.staging.audit_tables import audit_events, audit_heads
from mlc_pipeline.staging.tables import documents
from mlc_pipeline.sync import audit
from mlc_pipeline.sync.audit import Action
from mlc_pipeline.sync.ledger import DocumentRef, Ledger
from mlc_pipeline.sync.vocabulary import Kind

DAY = date(2026, 3, 2)
REF = DocumentRef(Kind.INVOICE, "000123|INV-1", DAY, DAY, Decimal("12.50"), "GBP")


def write(ledger: Ledger, number: int) -> None:
    ref = DocumentRef(Kind.INVOICE, f"000123|INV-{number}", DAY, DAY, Decimal(number), "GBP")
    write_id = ledger.intend(ref, "post_invoice", f"request {number}")
    ledger.close(
        write_id,
        "done",
        ref,
        answer_digest=f"answer {number}",
        state="done",
        task_id=f"task {number}",
        content={"number": str(number)},
    )


@pytest.fixture
def engine_with_trail(database: sa.Engine) -> sa.Engine:
    ledger = Ledger(database, "acme", "run-1")
    for number in range(1, 4):
        write(ledger, number)
    return database


def proof(engine: sa.Engine, expected: str | None = None) -> audit.Proof:
    with engine.connect() as connection:
        return audit.prove(connection, "acme", expected)


@pytest.fixture
def tamper(engine_with_trail: sa.Engine) -> Iterator[sa.Connection]:
    """A superuser who switched the trigger off."""
    with engine_with_trail.begin() as connection:
        connection.execute(
            sa.text("ALTER TABLE ledger.audit_events DISABLE TRIGGER append_only")
        )
        yield connection
    with engine_with_trail.begin() as connection:
        connection.execute(
            sa.text("ALTER TABLE ledger.audit_events ENABLE TRIGGER append_only")
        )


def test_a_change_of_the_ledger_is_told_in_its_own_transaction(
    engine_with_trail: sa.Engine,
) -> None:
    with engine_with_trail.connect() as connection:
        events = list(connection.execute(sa.select(audit_events).order_by(audit_events.c.seq)))
    assert [e.action for e in events] == ["intended", "done"] * 3
    assert [e.seq for e in events] == [1, 2, 3, 4, 5, 6]
    intended, done = events[:2]
    assert (intended.step, intended.request_digest) == ("post_invoice", "request 1")
    assert (done.answer_digest, done.target_id) == ("answer 1", "task 1")
    assert (done.partition, done.run_id, done.actor) == (DAY, "run-1", None)
    assert intended.before_digest is None
    assert intended.after_digest == done.before_digest != done.after_digest
    assert done.previous_hash == intended.hash
    assert intended.previous_hash == audit.GENESIS


def test_what_is_rolled_back_is_not_told(engine_with_trail: sa.Engine) -> None:
    ledger = Ledger(engine_with_trail, "acme", "run-2")
    ledger.intend(REF, "post_invoice", "hash")
    before = proof(engine_with_trail).events
    with pytest.raises(sa.exc.IntegrityError):
        ledger.intend(REF, "post_invoice", "hash")
    after = proof(engine_with_trail)
    assert (after.events, after.problems) == (before, [])


def test_a_whole_trail_has_no_problem_and_names_its_end(engine_with_trail: sa.Engine) -> None:
    found = proof(engine_with_trail)
    assert (found.events, found.seq, found.problems) == (6, 6, [])
    with engine_with_trail.connect() as connection:
        assert audit.head(connection, "acme") == found.head
    write(Ledger(engine_with_trail, "acme", "run-2"), 4)
    assert proof(engine_with_trail, found.head).problems == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.audit_events SET reason = 'nothing happened'",
        "DELETE FROM ledger.audit_events WHERE seq = 2",
        "TRUNCATE ledger.audit_events",
    ],
)
def test_a_change_of_the_trail_is_refused(engine_with_trail: sa.Engine, statement: str) -> None:
    with (
        pytest.raises(DBAPIError, match="append-only"),
        engine_with_trail.begin() as connection,
    ):
        connection.execute(sa.text(statement))
    assert proof(engine_with_trail).problems == []


def test_the_products_own_role_has_no_right_to_change_the_trail(
    engine_with_trail: sa.Engine,
) -> None:
    """As on a given server: the role that migrated owns the table and is no superuser."""
    with engine_with_trail.connect() as connection, connection.begin() as transaction:
        connection.execute(sa.text("CREATE ROLE mlc_product"))
        connection.execute(sa.text("GRANT USAGE, CREATE ON SCHEMA ledger TO mlc_product"))
        connection.execute(sa.text("ALTER TABLE ledger.audit_events OWNER TO mlc_product"))
        connection.execute(sa.text("SET LOCAL ROLE mlc_product"))
        for right in ("UPDATE", "DELETE", "TRUNCATE"):
            asked = sa.text("SELECT has_table_privilege('ledger.audit_events', :right)")
            assert connection.scalar(asked, {"right": right}) is False, right
        for right in ("SELECT", "INSERT"):
            assert connection.scalar(asked, {"right": right}) is True, right
        transaction.rollback()


def test_an_altered_event_is_named(tamper: sa.Connection) -> None:
    tamper.execute(
        audit_events.update().where(audit_events.c.seq == 4).values(reason="as agreed")
    )
    found = audit.prove(tamper, "acme")
    assert len(found.problems) == 1
    assert found.problems[0].startswith("event 4 (")
    assert "done post_invoice of invoice 000123|INV-2) was altered" in found.problems[0]


def test_an_event_altered_with_its_own_hash_is_named(tamper: sa.Connection) -> None:
    event = tamper.execute(sa.select(audit_events).where(audit_events.c.seq == 4)).one()
    forged = {**event._mapping, "reason": "as agreed"}
    tamper.execute(
        audit_events.update()
        .where(audit_events.c.seq == 4)
        .values(reason="as agreed", hash=audit.hash_of(forged))
    )
    (problem,) = audit.prove(tamper, "acme").problems
    assert problem.startswith("event 5 (")
    assert "does not follow event 4: what stood before it was altered" in problem


def test_a_missing_event_is_named(tamper: sa.Connection) -> None:
    tamper.execute(audit_events.delete().where(audit_events.c.seq == 3))
    problems = audit.prove(tamper, "acme").problems
    assert problems[0].startswith("missing: 3, before event 4 (")


def test_events_that_changed_places_are_named(tamper: sa.Connection) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        tamper.execute(audit_events.update().where(audit_events.c.seq == old).values(seq=new))
    problems = audit.prove(tamper, "acme").problems
    assert "was moved: it was written after event 3, and stands after event 1" in problems[0]


def test_an_end_that_was_cut_off_is_named(tamper: sa.Connection) -> None:
    tamper.execute(audit_events.delete().where(audit_events.c.seq > 4))
    problems = audit.prove(tamper, "acme").problems
    assert "events 5 to 6 are missing: the end was cut off" in problems


def test_an_end_cut_off_with_its_head_is_found_by_the_one_noted(tamper: sa.Connection) -> None:
    noted = audit.prove(tamper, "acme").head
    tamper.execute(audit_events.delete().where(audit_events.c.seq > 4))
    last = tamper.execute(sa.select(audit_events).where(audit_events.c.seq == 4)).one()
    tamper.execute(audit_heads.update().values(seq=4, hash=last.hash))
    problems = audit.prove(tamper, "acme", noted).problems
    assert any("noted was an end at 6" in problem for problem in problems)
    with pytest.raises(ValueError, match="place:hash"):
        audit.prove(tamper, "acme", "six")


def test_a_ledger_changed_around_the_trail_is_named(engine_with_trail: sa.Engine) -> None:
    key = documents.c.source_key == "000123|INV-2"
    with engine_with_trail.begin() as connection:
        connection.execute(documents.update().where(key).values(cin7_id="another"))
    (problem,) = proof(engine_with_trail).problems
    assert "record of invoice 000123|INV-2 was changed outside the trail" in problem
    with engine_with_trail.begin() as connection:
        connection.execute(documents.delete().where(key))
    (problem,) = proof(engine_with_trail).problems
    assert "record of invoice 000123|INV-2 is gone" in problem


def test_many_writers_make_one_chain(engine_with_trail: sa.Engine) -> None:
    def work(first: int) -> None:
        ledger = Ledger(engine_with_trail, "acme", f"run-{first}")
        for number in range(first, first + 10):
            write(ledger, number)

    workers = [threading.Thread(target=work, args=(100 * n,)) for n in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = proof(engine_with_trail)
    assert (found.events, found.problems) == (6 + 4 * 20, [])


def test_what_is_looked_at_again_without_news_is_told_once(database: sa.Engine) -> None:
    ledger = Ledger(database, "acme", "run-1")
    write_id = ledger.intend(REF, "post_invoice", "hash")
    for _ in range(3):
        ledger.close(write_id, "quarantined", REF, reason="two of them")
    with database.connect() as connection:
        actions = [e.action for e in audit.read(connection, audit.Filters("acme"), 10)]
    assert actions == [Action.INTENDED, Action.QUARANTINED]


def test_reading_filters_and_keeps_the_newest(engine_with_trail: sa.Engine) -> None:
    with engine_with_trail.connect() as connection:
        done = audit.read(connection, audit.Filters("acme", action="done"), 2)
        one = audit.read(connection, audit.Filters(source_key="000123|INV-1"), 10)
        other = audit.read(connection, audit.Filters("other"), 10)
    assert [e.seq for e in done] == [4, 6]
    assert [e.seq for e in one] == [1, 2]
    assert other == []
