"""The write protocol by itself: what is committed around a call, and what each end means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.cin7.errors import (
    Cin7Error,
    NotAuthorised,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    UncertainOutcome,
)
from mlc_pipeline.staging.tables import writes
from mlc_pipeline.sync.bodies import digest
from mlc_pipeline.sync.ledger import DocumentRef, Ledger
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.protocol import Protocol, Step, Unsettled
from mlc_pipeline.sync.vocabulary import Kind
from mlc_pipeline_tests.sync.cin7_in_memory import call

REF = DocumentRef(Kind.INVOICE, "000123|INV-1")
SETTLE = 150.0


@dataclass
class Thing:
    """A body of one field."""

    value: str = "v"

    def to_wire(self) -> dict[str, Any]:
        return {"Value": self.value, "TaskID": "never answered beside the lines"}


@dataclass
class Script:
    """A call and a look-up that do what a test says, and remember being asked."""

    answer: dict[str, Any] | Exception = field(default_factory=lambda: {"Value": "v"})
    found: dict[str, Any] | Exception | None = None
    asked: list[str] = field(default_factory=list)
    looking: Callable[[], None] = lambda: None

    def step(self, name: str = "post_invoice", body: Thing | None = None) -> Step:
        return Step(
            name,
            body or Thing(),
            lambda: self._say("send", self.answer),
            lambda _write: self._say("find", self.found),
            lambda answer: {"cin7_id": answer.get("ID", "p"), "state": "done"},
        )

    def _say(self, what: str, said: Any) -> Any:
        self.asked.append(what)
        self.looking()
        if isinstance(said, Exception):
            raise said
        return said


@pytest.fixture
def ledger(database: sa.Engine) -> Ledger:
    return Ledger(database, "acme", "run-1")


def protocol(ledger: Ledger) -> Protocol:
    return Protocol(ledger, SETTLE)


def trail(engine: sa.Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(sa.select(writes).order_by(writes.c.id))
        return [(row.step, row.state) for row in rows]


def rest(engine: sa.Engine, seconds: float) -> None:
    with engine.begin() as connection:
        past = writes.c.state_since - timedelta(seconds=seconds)
        connection.execute(writes.update().values(state_since=past))


def lose(ledger: Ledger, script: Script, step: Step) -> None:
    script.answer = UncertainOutcome(call("post_invoice"), "no answer")
    with pytest.raises(Unsettled):
        protocol(ledger).run(REF, step)
    script.answer = {"Value": "v"}


def test_the_intent_is_committed_before_the_call_and_the_outcome_after_it(
    ledger: Ledger, database: sa.Engine
) -> None:
    seen: list[Any] = []
    script = Script(looking=lambda: seen.extend(trail(database)))
    written = protocol(ledger).run(REF, script.step())
    assert seen == [("post_invoice", "intended")]
    assert trail(database) == [("post_invoice", "done")]
    assert (written.answer, written.was_found) == ({"Value": "v"}, False)
    document = ledger.document(REF.kind, REF.source_key)
    assert document is not None
    assert (document.state, document.cin7_id) == ("done", "p")


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (Refused(call("x"), "400", errors=[(400, "Name is long")]), "refused", "refused"),
        (NotFound(call("x"), "404"), "refused", "refused"),
        (Unavailable(call("x"), "no route"), "not_sent", "cin7_unavailable"),
        (Throttled(call("x"), "429"), "not_sent", "cin7_unavailable"),
    ],
)
def test_a_call_that_did_nothing_is_closed_and_may_be_sent_again(
    ledger: Ledger, database: sa.Engine, error: Cin7Error, state: str, reason: str
) -> None:
    script = Script(answer=error)
    with pytest.raises(Hold, match=reason):
        protocol(ledger).run(REF, script.step())
    assert trail(database) == [("post_invoice", state)]
    script.answer = {"Value": "v"}
    assert not protocol(ledger).run(REF, script.step()).was_found
    assert script.asked == ["send", "send"]


def test_cin7s_own_words_are_what_is_shown(ledger: Ledger) -> None:
    refused = Refused(call("x"), "400", errors=[(400, "Name is long"), (None, "Twice")])
    with pytest.raises(Hold) as held:
        protocol(ledger).run(REF, Script(answer=refused).step())
    assert held.value.detail == "post_invoice: Name is long; Twice"


def test_refused_credentials_close_the_write_and_go_up(
    ledger: Ledger, database: sa.Engine
) -> None:
    with pytest.raises(NotAuthorised):
        protocol(ledger).run(REF, Script(NotAuthorised(call("x"), "401")).step())
    assert trail(database) == [("post_invoice", "refused")]


def test_a_lost_answer_rests_for_what_is_left_of_the_wait(
    ledger: Ledger, database: sa.Engine
) -> None:
    script = Script()
    script.answer = UncertainOutcome(call("post_invoice"), "no answer")
    with pytest.raises(Unsettled) as first:
        protocol(ledger).run(REF, script.step())
    assert first.value.seconds == SETTLE
    assert trail(database) == [("post_invoice", "uncertain")]
    rest(database, 100)
    with pytest.raises(Unsettled) as second:
        protocol(ledger).run(REF, script.step())
    assert 0 < second.value.seconds <= 50
    assert script.asked == ["send"]


def test_an_intent_without_an_outcome_rests_as_a_lost_answer_does(
    ledger: Ledger, database: sa.Engine
) -> None:
    script = Script()
    ledger.intend(REF, "post_invoice", digest(Thing()))
    with pytest.raises(Unsettled):
        protocol(ledger).run(REF, script.step())
    rest(database, SETTLE + 1)
    assert not protocol(ledger).run(REF, script.step()).was_found
    assert script.asked == ["find", "send"]
    assert trail(database) == [("post_invoice", "not_applied"), ("post_invoice", "done")]


def test_what_is_found_is_taken_and_nothing_is_sent(
    ledger: Ledger, database: sa.Engine
) -> None:
    script = Script(found={"Value": "v", "ID": "q"})
    lose(ledger, script, script.step())
    rest(database, SETTLE + 1)
    written = protocol(ledger).run(REF, script.step())
    assert (written.answer["ID"], written.was_found) == ("q", True)
    assert script.asked == ["send", "find"]
    assert trail(database) == [("post_invoice", "done")]
    document = ledger.document(REF.kind, REF.source_key)
    assert document is not None
    assert document.cin7_id == "q"


@pytest.mark.parametrize(
    ("error", "reason", "state"),
    [
        (Unavailable(call("x"), "no route"), "cin7_unavailable", "uncertain"),
        (Hold("quarantined", "two of them"), "quarantined", "quarantined"),
    ],
)
def test_a_look_up_that_tells_nothing_leaves_the_write_open(
    ledger: Ledger, database: sa.Engine, error: Exception, reason: str, state: str
) -> None:
    script = Script(found=error)
    lose(ledger, script, script.step())
    rest(database, SETTLE + 1)
    for _ in range(2):
        with pytest.raises(Hold, match=reason):
            protocol(ledger).run(REF, script.step())
    assert script.asked == ["send", "find", "find"]
    assert trail(database) == [("post_invoice", state)]


def test_an_open_write_of_another_step_is_never_sent_over(
    ledger: Ledger, database: sa.Engine
) -> None:
    script = Script()
    lose(ledger, script, script.step("post_order"))
    rest(database, SETTLE + 1)
    with pytest.raises(Hold, match=r"post_order.*post_invoice"):
        protocol(ledger).run(REF, script.step("post_invoice"))
    assert script.asked == ["send"]


def test_an_answer_that_differs_is_named_and_its_ids_are_kept(
    ledger: Ledger, database: sa.Engine
) -> None:
    script = Script(answer={"Value": "other", "ID": "q"})
    with pytest.raises(Hold, match=r"answer_differs.*Value: sent v, found other"):
        protocol(ledger).run(REF, script.step())
    document = ledger.document(REF.kind, REF.source_key)
    assert document is not None
    assert (document.state, document.cin7_id) == ("started", "q")
    assert trail(database) == [("post_invoice", "differs")]


def test_an_answer_that_differs_is_looked_at_again_until_it_is_right(
    ledger: Ledger, database: sa.Engine
) -> None:
    script = Script(answer={"Value": "other"}, found={"Value": "other"})
    with pytest.raises(Hold, match="answer_differs"):
        protocol(ledger).run(REF, script.step())
    rest(database, SETTLE + 1)
    with pytest.raises(Hold, match="answer_differs"):
        protocol(ledger).run(REF, script.step())
    script.found = {"Value": "v"}
    assert protocol(ledger).run(REF, script.step()).was_found
    assert script.asked == ["send", "find", "find"]


def test_ids_of_the_parents_are_not_compared(ledger: Ledger) -> None:
    assert Script().step().differences({"Value": "v"}) == []
    assert Script().step().differences({"Value": "w"}) != []


def test_a_digest_is_of_what_is_sent() -> None:
    assert digest(Thing("a")) == digest(Thing("a")) != digest(Thing("b"))
