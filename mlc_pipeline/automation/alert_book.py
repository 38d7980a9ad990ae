"""The book of alerts: one row a cause while it lasts, one message a channel and turn.

What must not come in: Dagster, how a message is carried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from mlc_pipeline.automation.delivery import Alert, NotDelivered
from mlc_pipeline.staging.operations import alert_messages, alerts

RETRY_MINUTES = (1, 5, 15, 60, 60, 180, 180, 360, 360, 720)
"""How long after each failed attempt a message is tried again; after the last it is left."""

MOST_MESSAGES = 4
"""Messages that are carried at once: each may take five seconds, a tick has sixty."""

_LONGEST_DETAIL = 800


@dataclass(frozen=True)
class Cause:
    """Something that is red.

    Attributes:
        cause: what tells it from others, the same each time.
        title: one line.
        detail: what was found.
        remedy: what to do.
        run_id: the run that showed it.
        days: the days concerned; None when it is about none.
    """

    cause: str
    title: str
    detail: str
    remedy: str
    run_id: str | None = None
    days: tuple[date, date] | None = None


@dataclass(frozen=True)
class OpenAlert:
    """An alert that is not over."""

    id: int
    cause: str
    title: str
    run_id: str | None
    days: tuple[date, date] | None
    last_at: datetime


class AlertBook:
    """The alerts of one connection.

    Args:
        engine: our database.
        connection: its name.
        channels: the channels that messages go by.
        ui_url: address of the Dagster UI.
        moment: now.
    """

    def __init__(
        self,
        engine: sa.Engine,
        connection: str,
        channels: Iterable[str],
        ui_url: str,
        moment: datetime,
    ) -> None:
        self._engine = engine
        self._connection = connection
        self._channels = tuple(channels)
        self._ui_url = ui_url
        self._moment = moment

    def raise_alert(self, cause: Cause) -> bool:
        """Note a cause; a message is due only for a new one. Return whether it is new."""
        first, last = cause.days or (None, None)
        values = {
            "connection": self._connection,
            "cause": cause.cause,
            "state": "open",
            "title": cause.title,
            "detail": cause.detail[:_LONGEST_DETAIL],
            "remedy": cause.remedy,
            "run_id": cause.run_id,
            "first_day": first,
            "last_day": last,
        }
        inserted = insert(alerts).values(values)
        new = inserted.excluded
        statement = inserted.on_conflict_do_update(
            index_elements=[alerts.c.connection, alerts.c.cause],
            index_where=alerts.c.state == "open",
            set_={
                "times": alerts.c.times + 1,
                "last_at": sa.func.now(),
                "detail": new.detail,
                "run_id": new.run_id,
                "first_day": sa.func.least(alerts.c.first_day, new.first_day),
                "last_day": sa.func.greatest(alerts.c.last_day, new.last_day),
            },
        ).returning(alerts.c.id, alerts.c.times)
        with self._engine.begin() as connection:
            row = connection.execute(statement).one()
            if row.times == 1:
                self._due(connection, row.id, "raised")
        return bool(row.times == 1)

    def recover(self, alert: OpenAlert) -> None:
        """Note that an alert is over; that is told too."""
        with self._engine.begin() as connection:
            closed = connection.execute(
                alerts.update()
                .where(alerts.c.id == alert.id, alerts.c.state == "open")
                .values(state="recovered", recovered_at=sa.func.now())
            )
            if closed.rowcount:
                self._due(connection, alert.id, "recovered")

    def _due(self, connection: sa.Connection, alert_id: int, what: str) -> None:
        for channel in self._channels:
            connection.execute(
                alert_messages.insert().values(
                    alert_id=alert_id,
                    connection=self._connection,
                    channel=channel,
                    what=what,
                    state="pending",
                    next_at=self._moment,
                )
            )

    def open_alerts(self) -> list[OpenAlert]:
        """Return the alerts that are not over."""
        query = sa.select(alerts).where(
            alerts.c.connection == self._connection, alerts.c.state == "open"
        )
        with self._engine.connect() as connection:
            return [
                OpenAlert(
                    row.id,
                    row.cause,
                    row.title,
                    row.run_id,
                    (row.first_day, row.last_day) if row.first_day else None,
                    row.last_at,
                )
                for row in connection.execute(query)
            ]

    def deliver(self, carry: Callable[[str, Alert], None]) -> list[tuple[str, str]]:
        """Carry the messages that are due, oldest first.

        Args:
            carry: brings an alert to a channel; raises `NotDelivered`.

        Returns:
            Channel and problem of each message that did not arrive.
        """
        problems = []
        for message, alert in self._pending():
            problem: str | None = None
            try:
                carry(message.channel, alert)
            except NotDelivered as error:
                problem = str(error)
                problems.append((message.channel, problem))
            self._note(message, problem)
        return problems

    def _pending(self) -> list[tuple[sa.Row[tuple[object, ...]], Alert]]:
        earlier = alert_messages.alias()
        # That something is over is told after that it began.
        first = sa.exists().where(
            earlier.c.alert_id == alert_messages.c.alert_id,
            earlier.c.channel == alert_messages.c.channel,
            earlier.c.state == "pending",
            earlier.c.id < alert_messages.c.id,
        )
        query = (
            sa.select(
                alert_messages.c.id,
                alert_messages.c.channel,
                alert_messages.c.what,
                alert_messages.c.attempts,
                alerts.c.title,
                alerts.c.detail,
                alerts.c.remedy,
                alerts.c.run_id,
            )
            .join(alerts, alerts.c.id == alert_messages.c.alert_id)
            .where(
                alert_messages.c.connection == self._connection,
                alert_messages.c.state == "pending",
                alert_messages.c.channel.in_(self._channels),
                alert_messages.c.next_at <= self._moment,
                ~first,
            )
            .order_by(alert_messages.c.id)
            .limit(MOST_MESSAGES)
        )
        with self._engine.connect() as connection:
            return [(row, self._alert(row)) for row in connection.execute(query)]

    def _alert(self, row: sa.Row[tuple[object, ...]]) -> Alert:
        is_over = row.what == "recovered"
        return Alert(
            self._connection,
            row.what,
            row.title,
            "" if is_over else row.detail,
            "" if is_over else row.remedy,
            f"{self._ui_url}/runs/{row.run_id}" if row.run_id else "",
        )

    def _note(self, message: sa.Row[tuple[object, ...]], problem: str | None) -> None:
        attempts = message.attempts + 1
        values: dict[str, object] = {"attempts": attempts, "problem": problem}
        if problem is None:
            values |= {"state": "delivered", "delivered_at": self._moment}
        elif attempts > len(RETRY_MINUTES):
            values |= {"state": "given_up"}
        else:
            wait = timedelta(minutes=RETRY_MINUTES[attempts - 1])
            values |= {"next_at": self._moment + wait}
        with self._engine.begin() as connection:
            connection.execute(
                alert_messages.update()
                .where(alert_messages.c.id == message.id)
                .values(**values)
            )
