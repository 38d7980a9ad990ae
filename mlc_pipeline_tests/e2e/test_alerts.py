"""Alerts: one a cause, with the run and what to do, told when it is over, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.automation.alert_book import RETRY_MINUTES, AlertBook, Cause
from mlc_pipeline.automation.delivery import Alert, NotDelivered
from mlc_pipeline.automation.mail import send
from mlc_pipeline.automation.webhook import post
from mlc_pipeline.connection.model import Email
from mlc_pipeline.staging.operations import alert_messages
from mlc_pipeline.vault import environment_variable
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, day
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.daemon import Daemon
from mlc_pipeline_tests.e2e.pair import Pair, read_csv
from mlc_pipeline_tests.e2e.receivers import Mailbox, Webhook, mail_server, webhook

pytestmark = pytest.mark.e2e

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UI = "https://dagster.acme.example"


# --- the book ------------------------------------------------------------------------


def _book(
    engine: sa.Engine, moment: datetime = NOW, channels: tuple[str, ...] = ("webhook", "email")
) -> AlertBook:
    return AlertBook(engine, "acme", channels, UI, moment)


def _cause(name: str = "run:SysproUnavailable", **values: Any) -> Cause:
    return Cause(name, "SYSPRO is down", "no answer", "Look at the server.", "run-1", **values)


def test_a_cause_is_told_once_by_each_channel_however_often_it_is_seen(
    database: sa.Engine,
) -> None:
    book, carried = _book(database), []
    assert book.raise_alert(_cause(days=(day(2), day(4))))
    assert not book.raise_alert(_cause(days=(day(1), day(3))))
    assert not book.raise_alert(_cause(days=(day(3), day(6))))
    assert book.deliver(lambda c, a: carried.append((c, a))) == []
    assert book.deliver(lambda c, a: carried.append((c, a))) == []
    assert [c for c, _ in carried] == ["webhook", "email"]
    (alert,) = book.open_alerts()
    assert alert.days == (day(1), day(6))
    told = carried[0][1]
    assert told.text().splitlines()[0] == "[acme] Alert: SYSPRO is down"
    assert f"{UI}/runs/run-1" in told.text()
    assert "What to do: Look at the server." in told.text()


def test_that_it_is_over_is_told_once_and_after_that_it_began(database: sa.Engine) -> None:
    book, order = _book(database), []
    book.raise_alert(_cause())
    (alert,) = book.open_alerts()
    book.recover(alert)
    book.recover(alert)

    def carry(channel: str, told: Alert) -> None:
        order.append((channel, told.what))

    for _ in range(3):
        book.deliver(carry)
    assert order == [
        ("webhook", "raised"),
        ("email", "raised"),
        ("webhook", "recovered"),
        ("email", "recovered"),
    ]
    assert book.open_alerts() == []
    assert book.raise_alert(_cause()), "the same cause on another day is news again"


def test_a_message_that_does_not_arrive_is_tried_again_with_growing_delay_to_an_end(
    database: sa.Engine,
) -> None:
    tried: list[int] = []

    def carry(_channel: str, _alert: Alert) -> None:
        tried.append(minute)
        raise NotDelivered("the webhook answered HTTP 500")

    _book(database, NOW, ("webhook",)).raise_alert(_cause())
    expected = [sum(RETRY_MINUTES[:n]) for n in range(len(RETRY_MINUTES) + 1)]
    looked = sorted({*expected, *(n - 1 for n in expected[1:]), expected[-1] + 9999})
    for minute in looked:
        later = NOW + timedelta(minutes=minute)
        _book(database, later, ("webhook",)).deliver(carry)
    assert tried == expected
    with database.connect() as connection:
        state = connection.execute(
            sa.select(alert_messages.c.state, alert_messages.c.problem)
        ).one()
    assert tuple(state) == ("given_up", "the webhook answered HTTP 500")


def test_nothing_in_an_alert_is_taken_for_slack_markup() -> None:
    alert = Alert("acme", "raised", "a <!channel> b", "x & <http://evil|y>", "", "")
    text = str(alert.slack())
    assert "<!channel>" not in text
    assert "&lt;!channel&gt;" in text
    assert "<http" not in text


# --- through real receivers ----------------------------------------------------------


@pytest.fixture
def receivers() -> Iterator[tuple[Webhook, Mailbox]]:
    with ExitStack() as opened:
        yield opened.enter_context(webhook()), opened.enter_context(mail_server())


def _alerted(start: Start, name: str, company: Any, hook: Webhook, box: Mailbox) -> Pair:
    mail = {
        "to": ["ap@acme.example", "it@acme.example"],
        "sender": "mlc@acme.example",
        "host": "127.0.0.1",
        "port": box.port,
        "security": "none",
    }
    pair = start(company, name=name, alerts={"webhook": True, "email": mail, "ui_url": UI})
    pair.environ[environment_variable(name, "alert_webhook_url")] = hook.address
    return pair


def test_an_outage_is_one_alert_and_its_end_one_more(
    start: Start, receivers: tuple[Webhook, Mailbox]
) -> None:
    hook, box = receivers
    pair = _alerted(start, "told", companies.one_invoice(), hook, box)
    pair.syspro.control("faults", {"path": "/logon", "kind": "html", "times": 100_000})
    with pair.dagster() as instance:
        daemon = Daemon(pair, instance, NOW)
        first = pair.run(DAY)
        assert not first.succeeded
        daemon.ask_sensor("alerts")
        pair.run(DAY)
        hook.status = 500
        daemon.ask_sensor("alerts")
        assert len(hook.got) == len(box.got) == 1, "the same cause is no news"
        pair.syspro.control("faults", method="DELETE")
        # One alert too many would show here; that the receiver is down stops no run.
        assert pair.run(DAY).succeeded
        daemon.ask_sensor("alerts")
        assert len(box.got) == 2
        assert len(hook.got) == 1
        hook.status = 200
        daemon.moment += timedelta(minutes=2)
        daemon.ask_sensor("alerts")
        daemon.ask_sensor("alerts")
    assert [got["text"] for got in hook.got] == [
        "[told] Alert: SysproUnavailable in told_sync",
        "[told] Solved: SysproUnavailable in told_sync",
    ]
    block = hook.got[0]["blocks"][0]["text"]["text"]
    assert f"<{UI}/runs/" in block
    assert "What to do" in block
    assert [m["Subject"] for m in box.got] == [got["text"] for got in hook.got]
    assert box.envelopes[0] == ["ap@acme.example", "it@acme.example"]
    assert f"{UI}/runs/" in box.got[0].get_content()
    everything = str(hook.got) + "".join(str(m) for m in box.got)
    for name, value in pair.environ.items():
        if name.startswith("MLC_SECRET_"):
            assert value not in everything, name


def test_a_secret_that_cannot_be_used_stops_that_message_alone_and_is_not_shown(
    receivers: tuple[Webhook, Mailbox],
) -> None:
    alert = Alert("acme", "raised", "SYSPRO is down")
    for address in ("https://[hook-w0rd", "https://host:w0rd/", "https://ho\x00st/w0rd"):
        with pytest.raises(NotDelivered) as caught:
            post(address, alert.slack())
        assert "w0rd" not in str(caught.value)
    settings = Email(
        to=("ap@acme.example",),
        sender="mlc@acme.example",
        host="127.0.0.1",
        port=receivers[1].port,
        security="none",
        user="mlc",
    )
    with pytest.raises(NotDelivered, match="not ASCII") as caught:
        send(settings, "gehe\u00efm-w0rd", alert)
    assert "w0rd" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_red_check_is_told_until_it_is_green(
    start: Start, receivers: tuple[Webhook, Mailbox]
) -> None:
    hook, box = receivers
    pair = _alerted(start, "checked", companies.unmapped_invoice(), hook, box)
    with pair.dagster() as instance:
        daemon = Daemon(pair, instance, NOW)
        pair.run(DAY)
        daemon.ask_sensor("alerts")
        pair.run(DAY)
        daemon.ask_sensor("alerts")
        # A run that has begun has said nothing about the check yet.
        sync = daemon.definitions.resolve_job_def("checked_sync")
        instance.create_run_for_job(sync)
        daemon.ask_sensor("alerts")
        assert [got["text"] for got in hook.got] == [
            "[checked] Alert: mapping/gl_accounts, check every_code_is_mapped is red"
        ]
        assert "7990" in hook.got[0]["blocks"][0]["text"]["text"]
        (known,) = [
            r for r in read_csv(pair.folder, "gl_accounts") if r["syspro_code"] == "7010"
        ]
        pair.map_account("7990", known["cin7_account"])
        pair.run(DAY)
        daemon.ask_sensor("alerts")
    assert len(hook.got) == len(box.got) == 2
    assert "Solved" in hook.got[1]["text"]
