"""One session per cycle: shared, renewed once, always logged off."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Thread

import httpx
import pytest

from mlc_pipeline.syspro.errors import (
    LogonRefused,
    OperatorBusy,
    SessionLost,
    SysproUnavailable,
)
from mlc_pipeline.syspro.session import Credentials, Session, StoredSession
from mlc_pipeline_tests.syspro.services import (
    COMPANY_PASSWORD,
    OPERATOR_PASSWORD,
    FakeSyspro,
    MemoryStore,
    session_of,
)

FIRST, SECOND = f"{1:032X}00", f"{2:032X}00"


def leftover(cycle_id: str, syspro: FakeSyspro) -> MemoryStore:
    syspro.tokens.add("LEFT")
    return MemoryStore(StoredSession("LEFT", cycle_id, datetime.now(UTC)))


def lost_for(*tokens: str, seen: list[str]) -> Callable[[str], str]:
    """A read that finds these tokens lost."""

    def read(token: str) -> str:
        seen.append(token)
        if token in tokens:
            raise SessionLost("ERROR: session")
        return f"rows by {token}"

    return read


def test_a_cycle_logs_on_once_and_logs_off_at_its_end() -> None:
    syspro, store = FakeSyspro(), MemoryStore()
    session = session_of(syspro, store)

    session.open("cycle 1")
    session.open("cycle 1")

    assert session.token() == FIRST
    assert store.stored is not None
    assert store.stored.cycle_id == "cycle 1"
    assert datetime.now(UTC) - store.stored.opened_at < timedelta(minutes=1)

    session.close()
    session.close()

    assert (syspro.logons, syspro.logoffs) == (1, [FIRST])
    assert store.stored is None
    assert not store.mutex.locked()


def test_the_next_step_of_the_cycle_takes_the_session_over() -> None:
    syspro, store = FakeSyspro(), MemoryStore()
    first, second = session_of(syspro, store), session_of(syspro, store)

    first.open("cycle 1")
    first.release()
    second.open("cycle 1")

    assert second.token() == FIRST
    assert (syspro.logons, syspro.logoffs) == (1, [])
    second.close()


def test_the_operator_is_held_as_long_as_the_session_is_open() -> None:
    syspro, store = FakeSyspro(), MemoryStore()
    first, second = session_of(syspro, store), session_of(syspro, store)
    first.open("cycle 1")

    with pytest.raises(OperatorBusy, match="held by another cycle"):
        second.open("cycle 2")
    first.close()
    second.open("cycle 2")

    assert (syspro.logons, syspro.logoffs) == (2, [FIRST])


def test_a_session_left_by_another_cycle_is_logged_off_first() -> None:
    syspro = FakeSyspro()
    store = leftover("cycle 0", syspro)
    session = session_of(syspro, store)

    session.open("cycle 1")

    assert syspro.logoffs == ["LEFT"]
    assert store.log == ["clear", "save"]
    assert session.token() == FIRST


@pytest.mark.parametrize("failure", [httpx.Response(500), httpx.ReadTimeout("slow")])
def test_a_leftover_that_cannot_be_logged_off_does_not_stop_the_cycle(
    failure: Exception | httpx.Response, caplog: pytest.LogCaptureFixture
) -> None:
    syspro = FakeSyspro(failures=[("/Logoff", failure)] * 5)
    store = leftover("cycle 0", syspro)
    session = session_of(syspro, store)

    session.open("cycle 1")

    assert session.token() == FIRST
    assert "cycle 0" in caplog.text
    assert "LEFT" not in caplog.text


def test_a_stored_session_of_this_cycle_is_reused_even_by_a_new_process() -> None:
    syspro = FakeSyspro()
    session = session_of(syspro, leftover("cycle 1", syspro))

    session.open("cycle 1")

    assert session.token() == "LEFT"
    assert syspro.logons == 0


def test_a_lost_session_is_renewed_once_and_the_read_repeated() -> None:
    syspro, store, seen = FakeSyspro(), MemoryStore(), list[str]()
    session = session_of(syspro, store)
    session.open("cycle 1")

    assert session.call(lost_for(FIRST, seen=seen)) == f"rows by {SECOND}"
    assert seen == [FIRST, SECOND]
    assert store.stored is not None
    assert (store.stored.token, store.stored.cycle_id) == (SECOND, "cycle 1")


def test_a_second_loss_surfaces() -> None:
    syspro, seen = FakeSyspro(), list[str]()
    session = session_of(syspro)
    session.open("cycle 1")

    with pytest.raises(SessionLost):
        session.call(lost_for(FIRST, SECOND, seen=seen))

    assert seen == [FIRST, SECOND]


def test_a_write_is_not_repeated_but_the_session_can_be_renewed() -> None:
    session = session_of(FakeSyspro())
    session.open("cycle 1")

    assert session.renew(FIRST) == SECOND
    assert session.renew(FIRST) == SECOND
    assert session.token() == SECOND


def test_two_threads_that_lose_the_session_together_log_on_once() -> None:
    syspro, seen = FakeSyspro(), list[str]()
    session = session_of(syspro)
    session.open("cycle 1")
    threads = [
        Thread(target=session.call, args=(lost_for(FIRST, seen=seen),)) for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert syspro.logons == 2
    assert seen.count(SECOND) == 4


def test_a_refused_logon_frees_the_operator() -> None:
    refused = httpx.Response(200, text="ERROR: Invalid operator password")
    syspro, store = FakeSyspro(failures=[("/Logon", refused)]), MemoryStore()
    session = session_of(syspro, store)

    with pytest.raises(LogonRefused):
        session.open("cycle 1")

    assert not store.mutex.locked()
    assert store.stored is None
    session.close()
    session.open("cycle 1")
    assert session.token() == FIRST


def test_a_token_that_cannot_be_stored_is_logged_off() -> None:
    syspro, store = FakeSyspro(), MemoryStore(save_fails=True)

    with pytest.raises(OSError, match="disk full"):
        session_of(syspro, store).open("cycle 1")

    assert syspro.logoffs == [FIRST]
    assert not store.mutex.locked()


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout("slow"),
        httpx.Response(500),
        httpx.Response(200, text="ERROR: session has expired"),
        httpx.Response(200, text="1"),
    ],
)
def test_closing_forgets_the_session_whatever_the_logoff_says(
    failure: Exception | httpx.Response,
) -> None:
    syspro, store = FakeSyspro(), MemoryStore()
    session = session_of(syspro, store)
    session.open("cycle 1")
    syspro.failures = [("/Logoff", failure)] * 5

    session.close()

    assert store.stored is None
    assert not store.mutex.locked()


def test_closing_in_the_middle_of_an_interruption_frees_the_operator() -> None:
    syspro, store = FakeSyspro(), MemoryStore()
    session = session_of(syspro, store)
    session.open("cycle 1")
    syspro.failures = [("/Logoff", KeyboardInterrupt())]

    with pytest.raises(KeyboardInterrupt):
        session.close()

    assert store.stored is None
    assert not store.mutex.locked()


def test_a_leftover_of_a_dead_process_can_be_discarded() -> None:
    syspro = FakeSyspro()
    store = leftover("cycle 0", syspro)

    assert session_of(syspro, store).discard_leftover()
    assert syspro.logoffs == ["LEFT"]
    assert store.stored is None
    assert not session_of(syspro, store).discard_leftover()


def test_the_session_of_a_live_cycle_is_not_discarded() -> None:
    syspro, store = FakeSyspro(), MemoryStore()
    session = session_of(syspro, store)
    session.open("cycle 1")

    with pytest.raises(OperatorBusy):
        session_of(syspro, store).discard_leftover()

    assert session.token() == FIRST


def test_a_session_that_is_not_open_has_no_token() -> None:
    session = session_of(FakeSyspro())

    with pytest.raises(RuntimeError, match="open it first"):
        session.token()


def test_a_session_serves_one_cycle_at_a_time() -> None:
    session = session_of(FakeSyspro())
    session.open("cycle 1")

    with pytest.raises(RuntimeError, match="another cycle"):
        session.open("cycle 2")


def test_a_logon_without_an_answer_surfaces() -> None:
    syspro, store = FakeSyspro(failures=[("/Logon", httpx.ReadTimeout("x"))]), MemoryStore()

    with pytest.raises(SysproUnavailable):
        session_of(syspro, store).open("cycle 1")

    assert not store.mutex.locked()


def test_no_representation_or_log_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    syspro, store = FakeSyspro(), MemoryStore()
    session: Session = session_of(syspro, store)
    session.open("cycle 1")
    session.call(lost_for(FIRST, seen=[]))
    texts = [repr(session), repr(store.stored), str(store.stored)]
    session.close()

    credentials = Credentials("MLC", OPERATOR_PASSWORD, "DEMO", COMPANY_PASSWORD)
    for text in (*texts, repr(credentials), caplog.text):
        for secret in (FIRST, SECOND, OPERATOR_PASSWORD, COMPANY_PASSWORD, "geheim"):
            assert secret not in text
    assert "MLC" in repr(credentials)
