"""The sensor that starts a small cycle when suppliers change in Cin7.

Its cursor is the moment up to which Cin7 was asked; a change that only gives back what we
wrote ourselves starts nothing.

What must not come in: what a cycle does, how values are compared.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.automation.requests import TRIGGER, range_tags
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.sync.supplier_reading import changed_in_cin7

_EVERY_SECONDS = 120
_CLOCK_MARGIN = timedelta(minutes=5)  # between our clock and Cin7's


def supplier_job(connection: Connection) -> Any:
    """Return the job that reads, plans and writes suppliers, and no document."""
    name = connection.name

    def keys(stage: str, *entities: str) -> list[dg.AssetKey]:
        return [dg.AssetKey([name, stage, entity]) for entity in entities]

    books = ("settings", "accounts", "tax_rules", "payment_terms", "locations", "suppliers")
    mappings = ("gl_accounts", "cost_centres", "tax_codes", "payment_terms")
    return dg.define_asset_job(
        f"{name}_suppliers",
        selection=dg.AssetSelection.assets(
            *keys("syspro", "suppliers", "supplier_addresses"),
            *keys("cin7", *books),
            *keys("mapping", *mappings, "currencies", "warehouses"),
            *keys("plan", "suppliers"),
            *keys("push", "syspro_suppliers", "cin7_suppliers"),
        ),
        description=f"The suppliers of {name}, both ways; documents are left alone.",
        tags={"connection": name},
    )


def supplier_sensor(connection: Connection, job: Any) -> dg.SensorDefinition:
    """Return the sensor that asks Cin7 for changed suppliers and starts the job for them."""

    @dg.sensor(
        name=f"{connection.name}_cin7_suppliers",
        job=job,
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING
        if connection.schedule.enabled
        else dg.DefaultSensorStatus.STOPPED,
        description="Starts when a supplier says something new in Cin7.",
        required_resource_keys={"runtime"},
    )
    def cin7_suppliers(
        context: dg.SensorEvaluationContext,
    ) -> dg.RunRequest | dg.SkipReason:
        runtime: Runtime = context.resources.runtime
        began = datetime.now(UTC)
        since = datetime.fromisoformat(context.cursor) if context.cursor else began
        answers = runtime.cin7(connection).suppliers(modified_since=since - _CLOCK_MARGIN)
        with runtime.engine.connect() as reading:
            changed = changed_in_cin7(reading, connection.name, answers, connection.suppliers)
        context.update_cursor(began.isoformat())
        if not changed:
            return dg.SkipReason(
                f"{len(answers)} suppliers were touched, none says anything new"
            )
        today = began.astimezone(ZoneInfo(connection.time_zone)).date()
        day = max(today, connection.start_date)
        return dg.RunRequest(
            run_key=run_key(connection.name, changed, answers),
            tags={
                "connection": connection.name,
                TRIGGER: "suppliers",
                **range_tags(day, day),
            },
        )

    return cin7_suppliers


def run_key(
    connection: str, changed: Iterable[str], answers: Iterable[Mapping[str, Any]]
) -> str:
    """Return the key of a run: the same changes, seen again by the overlap, start one run."""
    moments = {str(a["ID"]): str(a.get("LastModifiedOn") or "") for a in answers}
    said = "|".join(f"{id_}:{moments[id_]}" for id_ in sorted(changed))
    return f"suppliers:{connection}:{hashlib.sha256(said.encode()).hexdigest()[:32]}"
