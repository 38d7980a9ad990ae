"""The sensor that alerts: failed runs and red checks, one alert a cause, and when it is over.

It reads Dagster's records, writes the book of alerts, and carries a few messages each
tick. It can fail no run: it is none. A message that does not arrive is logged and tried
again.

What must not come in: HTTP, SMTP, how the book is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from mlc_pipeline.assets.common import Site, runtime_of
from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.automation import days, mail, webhook
from mlc_pipeline.automation.alert_book import AlertBook, Cause, OpenAlert
from mlc_pipeline.automation.delivery import Alert, NotDelivered
from mlc_pipeline.automation.failures import CHECK_FAILED, INTERRUPTED, Failure, failures
from mlc_pipeline.automation.requests import Clock, days_of, now
from mlc_pipeline.vault import VaultError

CHECK, RUN = "check:", "run:"
"""What a cause begins with."""

_MOST_RUNS = 20
_SAID = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
_SHORTEST_SECRET = 4
_OUTAGES = {
    "SysproUnavailable": "See that the SYSPRO server answers; red days are tried again by "
    "themselves, and the next cycle covers them.",
    "Unavailable": "Nothing, if Cin7 is back soon: the next cycle sends what is left.",
    "OperatorBusy": "Another run held the SYSPRO operator. If that was a long backfill, "
    "nothing: the next run does it. Otherwise give each connection an operator of its own.",
    "LogonRefused": "Correct the SYSPRO operator or its password: mlc secret set. It is not "
    "tried again by itself, because SYSPRO locks an operator out.",
    "NotAuthorised": "Correct the Cin7 account id or application key: mlc secret set.",
    "MissingSecret": "Set the secret that is named: mlc secret set.",
    "SecretUnreadable": "Set the secret again, or give the key that sealed it.",
    "MetadataMismatch": "Correct syspro.entities in connection.yaml, or SYSPRO's view.",
    "RunLost": "Nothing: what it began is finished by the next run over its days.",
}
"""What to do about errors that are the same wherever they occur."""


def cause_of(site: Site, run: dg.DagsterRun, failure: Failure) -> Cause:
    """Return the cause of a failed step.

    An outage is one cause however many steps and runs it stops.
    """
    is_outage = failure.error in _OUTAGES
    where = f"{run.job_name}, {failure.step}" if failure.step else run.job_name
    if is_outage:
        cause, title = f"{RUN}{failure.error}", f"{failure.error} in {run.job_name}"
    else:
        cause, title = f"{RUN}{failure.step}:{failure.error}", f"{where} failed"
    remedy = _OUTAGES.get(
        failure.error, "Open the run: the red step says what was found and what to do."
    )
    return Cause(cause, title, failure.message, remedy, run.run_id, days_of(run))


class AlertWatch:
    """One look at what is red in a connection.

    Args:
        instance: Dagster's records.
        site: the connection.
        book: where alerts are noted.
        runtime: opens the secrets, to keep them out of what is told.
    """

    def __init__(
        self, instance: dg.DagsterInstance, site: Site, book: AlertBook, runtime: Runtime
    ) -> None:
        self._instance = instance
        self._site = site
        self._book = book
        self._hidden = _secrets(runtime, site)

    def look(self, checks: Iterable[dg.AssetCheckKey], cursor: str | None, today: date) -> str:
        """Note what failed since the cursor and which checks are red, and what is over.

        Returns:
            The cursor: when the newest failed run that was seen ended.
        """
        reached = self._failed_runs(cursor)
        red = self._red_checks(checks)
        opened = self._book.open_alerts()
        failed = any(not alert.cause.startswith(CHECK) for alert in opened)
        states = days.states(self._instance, self._site, today) if failed else {}
        for alert in opened:
            is_check = alert.cause.startswith(CHECK)
            if (is_check and alert.cause not in red) or (
                not is_check and self._is_over(alert, states)
            ):
                self._book.recover(alert)
        return reached

    def _failed_runs(self, cursor: str | None) -> str:
        seen: dict[str, Any] = json.loads(cursor) if cursor else {"at": 0.0, "runs": []}
        failed = dg.RunsFilter(
            tags={"connection": self._site.name},
            statuses=[dg.DagsterRunStatus.FAILURE],
            updated_after=_moment(seen["at"]) if seen["at"] else None,
        )
        records = list(self._instance.get_run_records(failed, limit=_MOST_RUNS))
        if not cursor:
            # What failed and was good again before the sensor was turned on is no news.
            seen["at"] = max((r.update_timestamp.timestamp() for r in records), default=0.0)
            seen["runs"] = [r.dagster_run.run_id for r in records]
            for record in records:
                if self._is_red(record.dagster_run):
                    self._raise(record.dagster_run)
        for record in sorted(records, key=lambda each: each.end_time or 0):
            if record.dagster_run.run_id in seen["runs"]:
                continue
            self._raise(record.dagster_run)
            at = record.update_timestamp.timestamp()
            runs = [*seen["runs"], record.dagster_run.run_id][-_MOST_RUNS:]
            seen = {"at": max(at, seen["at"]), "runs": runs}
        return json.dumps(seen)

    def _is_red(self, run: dg.DagsterRun) -> bool:
        newest = dg.RunsFilter(job_name=run.job_name, tags={"connection": self._site.name})
        (last,) = self._instance.get_runs(newest, limit=1)
        return last.status is dg.DagsterRunStatus.FAILURE

    def _raise(self, run: dg.DagsterRun) -> None:
        seen: set[str] = set()
        for failure in failures(self._instance, run):
            if failure.error == CHECK_FAILED or failure.error in INTERRUPTED:
                continue  # the check is an alert of its own; who stops a run knows it
            cause = cause_of(self._site, run, self._without_secrets(failure))
            if cause.cause not in seen:
                seen.add(cause.cause)
                self._book.raise_alert(cause)

    def _without_secrets(self, failure: Failure) -> Failure:
        text = failure.message
        for secret in self._hidden:
            text = text.replace(secret, "[hidden]")
        return Failure(failure.step, failure.error, text)

    def _red_checks(self, checks: Iterable[dg.AssetCheckKey]) -> set[str]:
        red: set[str] = set()
        known = {alert.cause: alert for alert in self._book.open_alerts()}
        for record, evaluation in self._evaluated(checks):
            key = record.key
            if evaluation.passed:
                continue
            asset = "/".join(key.asset_key.path[1:])
            cause = f"{CHECK}{asset}:{key.name}"
            red.add(cause)
            if cause in known and known[cause].run_id == record.run_id:
                continue
            self._book.raise_alert(
                Cause(
                    cause,
                    f"{asset}, check {key.name} is red",
                    self._without_secrets(
                        Failure("", "", evaluation.description or "the check failed")
                    ).message,
                    "The check says which records and what to do; open the run, then the "
                    "asset's checks.",
                    record.run_id,
                )
            )
        return red

    def _evaluated(
        self, checks: Iterable[dg.AssetCheckKey]
    ) -> Iterable[tuple[AssetCheckExecutionRecord, dg.AssetCheckEvaluation]]:
        """Yield what each check said last.

        A run that was only begun plans its checks: that record says nothing yet, and the one
        before it stands.
        """
        storage = self._instance.event_log_storage
        latest = storage.get_latest_asset_check_execution_by_key(list(checks))
        for key, newest in latest.items():
            records: Sequence[AssetCheckExecutionRecord] = [newest]
            if newest.status not in _SAID:
                records = storage.get_asset_check_execution_history(key, 1, status=_SAID)
            for record in records:
                evaluation = record.event.asset_check_evaluation if record.event else None
                if evaluation is not None:
                    yield record, evaluation

    def _is_over(self, alert: OpenAlert, states: Mapping[date, str]) -> bool:
        """Tell whether a failure is over: a later run succeeded and its days are not red."""
        run = self._instance.get_run_by_id(alert.run_id) if alert.run_id else None
        if run is None:
            return True  # its records are gone
        good = dg.RunsFilter(
            job_name=run.job_name,
            tags={"connection": self._site.name},
            statuses=[dg.DagsterRunStatus.SUCCESS],
            created_after=self._created(run.run_id),
        )
        if not self._instance.get_runs(good, limit=1):
            return False
        if alert.days is None:
            return True
        first, last = alert.days
        unsettled = ("FAILED", "IN_PROGRESS")
        return not any(s in unsettled for day, s in states.items() if first <= day <= last)

    def _created(self, run_id: str) -> datetime:
        record = self._instance.get_run_record_by_id(run_id)
        assert record is not None  # noqa: S101 - its run was just read
        return record.create_timestamp


def _moment(seconds: float) -> datetime:
    # A little before: two runs may end within the same moment.
    return datetime.fromtimestamp(seconds, ZoneInfo("UTC")) - timedelta(seconds=5)


def _secrets(runtime: Runtime, site: Site) -> list[str]:
    """Return the connection's secrets, longest first, as far as they are set."""
    found = []
    for name in site.connection.secret_names():
        try:
            found.append(runtime.secret(site.connection, name))
        except VaultError:
            continue  # one that is not set cannot be shown
    return sorted((s for s in found if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)


def carrier(runtime: Runtime, site: Site) -> Callable[[str, Alert], None]:
    """Return what brings an alert to a channel of the connection."""
    settings = site.connection.alerts

    def carry(channel: str, alert: Alert) -> None:
        try:
            if channel == "webhook":
                address = runtime.secret(site.connection, "alert_webhook_url")
                webhook.post(address, alert.slack())
                return
            password = (
                runtime.secret(site.connection, "alert_smtp_password")
                if settings.email.user
                else None
            )
            mail.send(settings.email, password, alert)
        except VaultError as error:
            raise NotDelivered(str(error)) from None

    return carry


def alert_sensor(
    site: Site, checks: Iterable[dg.AssetCheckKey], clock: Clock = now
) -> dg.SensorDefinition:
    """Return the sensor that alerts; it asks for no runs.

    Args:
        site: the connection.
        checks: its asset checks.
        clock: tells the time.
    """
    is_on = bool(site.connection.alerts.channels)
    status = dg.DefaultSensorStatus
    keys = list(checks)

    @dg.sensor(
        name=f"{site.name}_alerts",
        minimum_interval_seconds=30,
        default_status=status.RUNNING if is_on else status.STOPPED,
        required_resource_keys={"runtime"},
        tags={"connection": site.name},
        description="Tells of failed runs and red checks, once a cause, and when they are "
        "over; by webhook and e-mail, as the connection's file says.",
    )
    def alert(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        runtime, moment = runtime_of(context), clock()
        settings = site.connection.alerts
        book = AlertBook(runtime.engine, site.name, settings.channels, settings.ui_url, moment)
        today = moment.astimezone(ZoneInfo(site.connection.time_zone)).date()
        watch = AlertWatch(context.instance, site, book, runtime)
        cursor = watch.look(keys, context.cursor, today)
        for channel, problem in book.deliver(carrier(runtime, site)):
            context.log.warning("an alert by %s did not arrive: %s", channel, problem)
        told = f"{len(book.open_alerts())} alerts are open"
        return dg.SensorResult(skip_reason=told, cursor=cursor)

    return alert
