"""The entry point that Dagster loads: every connection's assets, checks, job, schedule.

`build_definitions` is the one place that assembles. Nothing here reads the network or a
secret: connection files are read, that is all.

What must not come in: rules of the sync, what an asset does.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

# Range backfills in one run are marked beta in this version and are what D13 builds on.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from mlc_pipeline.assets.checks import asset_checks  # noqa: E402
from mlc_pipeline.assets.common import Site  # noqa: E402
from mlc_pipeline.assets.documents import document_assets  # noqa: E402
from mlc_pipeline.assets.extract import extract_assets  # noqa: E402
from mlc_pipeline.assets.proof import proof_assets  # noqa: E402
from mlc_pipeline.assets.reference import mapping_assets, reference_assets  # noqa: E402
from mlc_pipeline.assets.runtime import runtime_resource  # noqa: E402
from mlc_pipeline.automation.alerts import alert_sensor  # noqa: E402
from mlc_pipeline.automation.jobs import small_jobs  # noqa: E402
from mlc_pipeline.automation.requests import Clock, now  # noqa: E402
from mlc_pipeline.automation.schedules import (  # noqa: E402
    catch_up_schedule,
    cycle_schedule,
    watch_schedule,
)
from mlc_pipeline.automation.sensors import run_sensors  # noqa: E402
from mlc_pipeline.automation.suppliers import supplier_job, supplier_sensor  # noqa: E402
from mlc_pipeline.connection.files import (  # noqa: E402
    connections_directory,
    load_connections,
)
from mlc_pipeline.connection.model import Connection  # noqa: E402

logger = logging.getLogger(__name__)


def job_name(connection: str) -> str:
    """Return the name of a connection's job."""
    return f"{connection}_sync"


def connection_definitions(site: Site, clock: Clock = now) -> dg.Definitions:
    """Return everything of one connection, without resources.

    Args:
        site: the connection.
        clock: tells the time to the sensors.
    """
    job = dg.define_asset_job(
        job_name(site.name),
        selection=dg.AssetSelection.key_prefixes([site.name]),
        description=_described(site, "One sync cycle: extract, plan, push, tie out."),
        tags={"connection": site.name},
    )
    assets = [
        *extract_assets(site),
        *reference_assets(site),
        *mapping_assets(site),
        *document_assets(site),
        *proof_assets(site),
    ]
    checks, small = asset_checks(site), small_jobs(site)
    check_keys = [key for each in (*checks, *assets) for key in each.check_keys]
    both_ways = [supplier_job(site.connection)] if site.connection.suppliers.both_ways else []
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=[job, *small.values(), *both_ways],
        schedules=[
            cycle_schedule(site, job),
            watch_schedule(site, small["watch"]),
            catch_up_schedule(site, job),
        ],
        sensors=[
            *run_sensors(site, {"sync": job, **small}, clock),
            alert_sensor(site, check_keys, clock),
            *[supplier_sensor(site.connection, each) for each in both_ways],
        ],
    )


def _described(site: Site, what: str) -> str:
    """Return what the UI says of a job, after what the connection's file says of itself."""
    about = site.connection.description.strip().rstrip(".")
    return f"{about or site.name}. {what}"


def build_definitions(
    connections: Iterable[tuple[Connection, Path]],
    overrides: Mapping[str, Any] | None = None,
    clock: Clock = now,
) -> dg.Definitions:
    """Assemble the definitions of some connections.

    Args:
        connections: each connection with its folder.
        overrides: resources to use instead of the product's own, by name.
        clock: tells the time to the sensors.
    """
    return _together(
        [connection_definitions(Site(c, folder), clock) for c, folder in connections],
        overrides,
    )


def _together(
    parts: Iterable[dg.Definitions], overrides: Mapping[str, Any] | None = None
) -> dg.Definitions:
    resources = {"runtime": runtime_resource(), **(overrides or {})}
    return dg.Definitions.merge(
        *parts, dg.Definitions(resources=resources, executor=dg.in_process_executor)
    )


def every_connection(root: Path) -> dg.Definitions:
    """Return the definitions of a folder's connections; none can take the others down.

    Raises:
        ConnectionsFolderError: there is no such folder.
    """
    parts = []
    for connection, folder in load_sites(root):
        site = Site(connection, folder)
        try:
            # Dagster would look at the days only when all connections are one.
            site.days.validate_partition_definition()
            parts.append(connection_definitions(site))
        except Exception:  # what Dagster refuses of one is told, and the others go on
            logger.exception("connection %s is left out", connection.name)
    return _together(parts)


def load_sites(root: Path) -> list[tuple[Connection, Path]]:
    """Return the connections of a folder; a broken one is reported and left out."""
    loaded = load_connections(root)
    for broken in loaded.broken:
        logger.error("connection %s is left out:\n%s", broken.name, broken.message)
    return [(connection, root / connection.name) for connection in loaded.connections]


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of every connection in `MLC_CONNECTIONS_DIR`."""
    return every_connection(connections_directory())
