"""What the asset modules share: the connection they are made for, keys, metadata.

What must not come in: assets, business rules.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg

from mlc_pipeline.assets.columns import column_lineage, column_schema
from mlc_pipeline.assets.freshness import freshness_of
from mlc_pipeline.assets.runtime import Runtime, StepCost
from mlc_pipeline.connection.mappings import read_mappings
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.staging.load import Stamp
from mlc_pipeline.sync import staged
from mlc_pipeline.sync.closings import is_closed_now
from mlc_pipeline.sync.ledger import Ledger
from mlc_pipeline.sync.mapped import NO_MAPPINGS, mapped_context
from mlc_pipeline.sync.plan import PlanContext
from mlc_pipeline.sync.references import read_references
from mlc_pipeline.sync.staged import Window

TABLE_ROWS = 50
"""Rows of a table shown in the UI; the whole stands in the database."""

_OWNERS = {"syspro": "team:integration", "cin7": "team:integration"}
"""Who looks at a stage first; everything else is finance's."""


@dataclass(frozen=True)
class Site:
    """A connection as the assets see it: settings, folder, partitions."""

    connection: Connection
    folder: Path

    @property
    def name(self) -> str:
        """The connection's name, first part of every asset key."""
        return self.connection.name

    @property
    def days(self) -> dg.DailyPartitionsDefinition:
        """Daily partitions from the start date, today included."""
        return dg.DailyPartitionsDefinition(
            start_date=self.connection.start_date.isoformat(),
            timezone=self.connection.time_zone,
            end_offset=1,
        )

    @property
    def pool(self) -> str:
        """The concurrency pool of everything that writes to this Cin7 account."""
        return f"cin7_{self.name}"

    def key(self, stage: str, entity: str) -> dg.AssetKey:
        """Return the key of an asset; its table is `stage.entity`."""
        return dg.AssetKey([self.name, stage, entity])

    def keys(self, stage: str, entities: Iterable[str]) -> list[dg.AssetKey]:
        """Return the keys of several assets of a stage."""
        return [self.key(stage, entity) for entity in entities]

    def group(self, stage: str) -> str:
        """Return the group that shows a stage of this connection in the UI."""
        return f"{self.name}_{stage}"

    def tags(self, stage: str) -> dict[str, str]:
        """Return the tags of the assets of a stage; only a push writes outside."""
        writes = {"writes": "cin7"} if stage == "push" else {}
        return {"connection": self.name, "stage": stage, **writes}

    def asset_options(self, stage: str, entity: str, *, partitioned: bool) -> dict[str, Any]:
        """Return what all assets have in common."""
        options: dict[str, Any] = {
            "key": self.key(stage, entity),
            "group_name": self.group(stage),
            "required_resource_keys": {"runtime"},
            "owners": owners(stage),
            "tags": self.tags(stage),
            "metadata": definition_metadata(stage, entity),
            # One run a range: every asset of a job must have the same policy.
            "backfill_policy": dg.BackfillPolicy.single_run(),
        }
        if (policy := freshness_of(self.connection, stage)) is not None:
            options["freshness_policy"] = policy
        if partitioned:
            options["partitions_def"] = self.days
        return options


def owners(stage: str) -> list[str]:
    """Return the owners of the assets of a stage."""
    return [_OWNERS.get(stage, "team:finance")]


_LONG = ("plan", "push")
"""Stages whose columns are many: two hundred connections would make the snapshot that every
process loads half as large again, so these are told with the lineage instead."""


def definition_metadata(stage: str, entity: str) -> dict[str, Any]:
    """Return what the UI shows of an asset before any run: its table, mostly its columns."""
    columns = {} if stage in _LONG else {"dagster/column_schema": column_schema(stage, entity)}
    return {"dagster/table_name": f"{stage}.{entity}", **columns}


def lineage_metadata(site: Site, stage: str, entity: str) -> dict[str, Any]:
    """Return the column lineage of an asset; the UI reads it from materialisations alone."""
    lineage = column_lineage(site.name, stage, entity)
    columns = {"dagster/column_schema": column_schema(stage, entity)} if stage in _LONG else {}
    return columns if lineage is None else {"dagster/column_lineage": lineage, **columns}


def cost_metadata(cost: StepCost) -> dict[str, Any]:
    """Return what a step cost, as the UI plots it over the partitions."""
    return {
        "syspro_calls": cost.syspro_calls,
        "cin7_calls": cost.cin7_calls,
        "waited_seconds": round(cost.waited_seconds, 1),
        "seconds": round(cost.seconds, 2),
    }


def add_days(
    context: dg.AssetExecutionContext,
    days: Mapping[str, Mapping[str, Any]],
    *,
    otherwise: Mapping[str, Any],
    last: Mapping[str, Any] | None = None,
) -> None:
    """Give each day of a run its own figures, so that the UI plots days.

    Args:
        context: the run of an asset over one day or several.
        days: figures by day (ISO); days outside the run are left out.
        otherwise: figures of a day on which nothing happened.
        last: what only the last day needs, because the UI reads it from the latest.
    """
    keys = context.partition_keys
    for key in keys:
        own = {**otherwise, **days.get(key, {}), **((last or {}) if key == keys[-1] else {})}
        context.add_asset_metadata(own, partition_key=key)


def plain(compute: Callable[..., Any]) -> Callable[..., Any]:
    """Let an asset fail with the message of an error of ours, not with a stack trace.

    Our errors say what was found and what to do; where in the code they arose tells an
    operator nothing. Every other error is a fault and keeps its trace.
    """

    @functools.wraps(compute)
    def told(*args: Any, **options: Any) -> Any:
        with _in_words():
            return compute(*args, **options)

    @functools.wraps(compute)
    def told_by_and_by(*args: Any, **options: Any) -> Iterator[Any]:
        with _in_words():
            yield from compute(*args, **options)

    return told_by_and_by if inspect.isgeneratorfunction(compute) else told


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "mlc_pipeline":
            raise
        raise dg.Failure(
            str(error),
            metadata={"error": type(error).__name__},
            allow_retries=False,
        ) from None


def runtime_of(context: Any) -> Runtime:
    """Return the run's runtime."""
    runtime: Runtime = context.resources.runtime
    return runtime


def window_of(context: dg.AssetExecutionContext, site: Site) -> Window:
    """Return the days of a run, one or a range."""
    keys = context.partition_keys
    return Window(site.name, date.fromisoformat(keys[0]), date.fromisoformat(keys[-1]))


def run_window(context: Any, site: Site) -> Window | None:
    """Return the days of a run by its tags, None when it has none; checks have no days."""
    tags = context.run.tags
    one = tags.get("dagster/partition")
    first = tags.get("dagster/asset_partition_range_start", one)
    last = tags.get("dagster/asset_partition_range_end", one)
    if not first or not last:
        return None
    return Window(site.name, date.fromisoformat(first), date.fromisoformat(last))


def stamp_of(context: Any, site: Site) -> Stamp:
    """Return what rows of this run are stamped with."""
    return Stamp(site.name, context.run.run_id)


def plan_context(runtime: Runtime, site: Site) -> PlanContext:
    """Return what planning looks at: settings, mappings, references; no ledger yet."""
    with runtime.engine.connect() as connection:
        references = read_references(connection, site.name)
        names = staged.gl_names(connection, site.name)
        closed = is_closed_now(connection, site.name)
    read = read_mappings(site.folder)
    return mapped_context(
        PlanContext(site.connection, references, NO_MAPPINGS, {}, names, closed=closed), read
    )


def ledger_of(runtime: Runtime, site: Site, run_id: str) -> Ledger:
    """Return the connection's ledger for this run."""
    return Ledger(runtime.engine, site.name, run_id)


def money(amount: Decimal | None) -> float:
    """Return an amount as the UI plots it. Only ever for show: nothing computes with it."""
    return float(amount or 0)


def table(rows: Iterable[Mapping[str, Any]], *, limit: int = TABLE_ROWS) -> dg.MetadataValue:
    """Return rows as a table of the UI; values as text, so that amounts keep their digits."""
    shown = []
    for position, row in enumerate(rows):
        if position == limit:
            break
        shown.append({k: "" if v is None else str(v) for k, v in row.items()})
    if not shown:
        return dg.MetadataValue.text("none")
    schema = dg.TableSchema([dg.TableColumn(name, "string") for name in shown[0]])
    return dg.MetadataValue.table([dg.TableRecord(row) for row in shown], schema)
