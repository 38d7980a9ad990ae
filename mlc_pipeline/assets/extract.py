"""Assets that read SYSPRO into the staged tables of schema `syspro`.

What must not come in: how SYSPRO is read, what is considered.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import dagster as dg

from mlc_pipeline.assets.columns import entity_schema
from mlc_pipeline.assets.common import (
    Site,
    add_days,
    cost_metadata,
    money,
    plain,
    runtime_of,
    stamp_of,
    table,
    window_of,
)
from mlc_pipeline.assets.runtime import StepCost
from mlc_pipeline.staging.extract import (
    CounterpartReader,
    Counterparts,
    Extraction,
    order_lines,
)
from mlc_pipeline.staging.load import Loaded, replace_days
from mlc_pipeline.staging.tables import counterparts
from mlc_pipeline.syspro.entities import Entity

SNAPSHOTS = {
    "suppliers": "Every supplier of the company, as it is now.",
    "supplier_addresses": "The address of every supplier.",
    "gl_accounts": "The chart of accounts; gives names to GL codes.",
    "payment_terms": "The terms codes.",
    "tax_codes": "The tax codes.",
}
DATED = {
    "purchase_orders": "Purchase order headers, by entry date.",
    "receipts": "Goods received, by receipt date.",
    "receipt_matches": "Which receipts an invoice was matched to, by match date.",
    "invoices": "AP invoices and credits, by invoice date.",
    "postings": "The GL distribution of AP invoices, by posting date.",
}
UNDATED = ("purchase_orders", "receipts", "invoices", "postings")
"""Entities of which rows without a date are read too, so that none is overlooked; receipt
matches are read with their invoice, whatever their date."""

_KINDS = {"syspro", "postgres"}


def extract_assets(site: Site) -> list[dg.AssetsDefinition]:
    """Return the extraction assets of a connection."""
    entities = site.connection.entities()
    return [
        *[_snapshot(site, entities[name], text) for name, text in SNAPSHOTS.items()],
        *[_dated(site, entities[name], text) for name, text in DATED.items()],
        _order_lines(site),
        _counterparts(site),
    ]


def _options(site: Site, entity: Entity, *, partitioned: bool) -> dict[str, Any]:
    """Return the options of an extraction asset; its columns name SYSPRO's."""
    options = site.asset_options("syspro", entity.name, partitioned=partitioned)
    options["metadata"] = {
        **options["metadata"],
        "dagster/column_schema": entity_schema(entity),
        "source": f"{entity.entity_set} by {entity.date_column or 'key'}",
    }
    return options | {"kinds": _KINDS}


def _result(
    context: dg.AssetExecutionContext, loaded: Loaded, rejected: int, cost: StepCost
) -> dg.MaterializeResult:
    run = {"rows_removed": loaded.removed, "rows_unreadable": rejected, **cost_metadata(cost)}
    if context.assets_def.partitions_def is None:
        return dg.MaterializeResult(
            metadata={"rows": loaded.rows, "dagster/row_count": loaded.rows, **run}
        )
    days = {
        str(day): _day(rows, loaded.value_by_day.get(day))
        for day, rows in loaded.rows_by_day.items()
    }
    add_days(context, days, otherwise=_day(0, None))
    return dg.MaterializeResult(metadata=run)


def _day(rows: int, value: Decimal | None) -> dict[str, Any]:
    return {"rows": rows, "dagster/partition_row_count": rows, "value": money(value)}


def _extract(
    context: dg.AssetExecutionContext,
    site: Site,
    entity: Entity,
    read: Callable[[Extraction], Loaded],
) -> dg.MaterializeResult:
    runtime = runtime_of(context)
    name = f"syspro/{entity.name}"
    extraction = runtime.extraction(site.connection, context.run.run_id)
    before = len(extraction.reader.rejected)
    with runtime.step(site.connection, context.run.run_id, name) as cost:
        loaded = read(extraction)
        cost.rows = loaded.rows
    if entity.name in extraction.absent:
        context.log.info("%s: this SYSPRO has no %s", entity.name, entity.entity_set)
    context.log.info("%s: %d rows from %s", entity.name, loaded.rows, entity.entity_set)
    rejected = len(extraction.reader.rejected) - before
    return _result(context, loaded, rejected, cost)


def _snapshot(site: Site, entity: Entity, text: str) -> dg.AssetsDefinition:
    @dg.asset(
        **_options(site, entity, partitioned=False),
        description=text,
    )
    @plain
    def snapshot(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _extract(context, site, entity, lambda e: e.snapshot(entity.name))

    return snapshot


def _dated(site: Site, entity: Entity, text: str) -> dg.AssetsDefinition:
    @dg.asset(
        **_options(site, entity, partitioned=True),
        description=text,
    )
    @plain
    def dated(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        window = window_of(context, site)

        def read(extraction: Extraction) -> Loaded:
            if entity.name in UNDATED:
                lost = extraction.undated(entity.name).rows
                context.log.info("%s: %d rows without a date", entity.name, lost)
            return extraction.dated(entity.name, window.first, window.last)

        return _extract(context, site, entity, read)

    return dated


def _order_lines(site: Site) -> dg.AssetsDefinition:
    entity = site.connection.entities()["purchase_order_lines"]

    @dg.asset(
        **_options(site, entity, partitioned=True),
        deps=[site.key("syspro", "purchase_orders")],
        description="The lines of the day's purchase orders.",
    )
    @plain
    def purchase_order_lines(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        window = window_of(context, site)
        return _extract(
            context, site, entity, lambda e: order_lines(e, window.first, window.last)
        )

    return purchase_order_lines


def _counterparts(site: Site) -> dg.AssetsDefinition:
    @dg.asset(
        **site.asset_options("syspro", "counterparts", partitioned=True),
        deps=[
            *site.keys("syspro", DATED),
            *site.keys("syspro", SNAPSHOTS),
            site.key("syspro", "purchase_order_lines"),
        ],
        description="What the day's documents need and what is dated elsewhere, read by key: "
        "late postings, matched receipts, their orders. Logs off from SYSPRO at its end, "
        "unless suppliers are still to be written there.",
        kinds=_KINDS,
    )
    @plain
    def read_counterparts(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        runtime, window = runtime_of(context), window_of(context, site)
        extraction = runtime.extraction(site.connection, context.run.run_id)
        with runtime.step(site.connection, context.run.run_id, "syspro/counterparts") as cost:
            counts = CounterpartReader(
                extraction, window.first, window.last, site.connection.policies.po_link
            ).read()
            cost.rows = sum(counts.found.values())
        if not site.connection.suppliers.both_ways:
            runtime.close_syspro(site.connection)
        _write_counts(context, site, window.last, counts)
        return dg.MaterializeResult(
            metadata={
                "rows": cost.rows,
                **cost_metadata(cost),
                "read_by_key": table(
                    {"entity": name, "wanted": wanted, "found": counts.found[name]}
                    for name, wanted in counts.wanted.items()
                ),
            }
        )

    return read_counterparts


def _write_counts(
    context: dg.AssetExecutionContext, site: Site, day: date, counts: Counterparts
) -> None:
    rows = [
        {"partition": day, "entity": name, "wanted": wanted, "found": counts.found[name]}
        for name, wanted in counts.wanted.items()
    ]
    engine = runtime_of(context).engine
    replace_days(engine, counterparts, stamp_of(context, site), day, day, rows)
