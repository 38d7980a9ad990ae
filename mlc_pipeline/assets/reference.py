"""Assets that read Cin7's reference books, and the validated mapping tables.

What must not come in: how Cin7 is called, what a mapping means.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any

import dagster as dg
import pandas as pd

from mlc_pipeline.assets.common import (
    Site,
    cost_metadata,
    definition_metadata,
    lineage_metadata,
    owners,
    plain,
    runtime_of,
    stamp_of,
    table,
)
from mlc_pipeline.cin7.client import Cin7Client
from mlc_pipeline.connection.mapping_tables import cells_of
from mlc_pipeline.connection.mappings import read_mappings
from mlc_pipeline.staging.load import replace_table
from mlc_pipeline.staging.tables import CIN7, MAPPING
from mlc_pipeline.sync.references import reference_rows
from mlc_pipeline.sync.supplier_reading import stage_cin7_suppliers

_READ: Mapping[str, tuple[str, Callable[[Cin7Client], Iterable[Mapping[str, Any]]]]] = {
    "settings": ("Base currency, lock date, tax rounding.", lambda c: [c.me()]),
    "accounts": ("The chart of accounts.", lambda c: c.accounts()),
    "tax_rules": ("The tax rules.", lambda c: c.tax_rules()),
    "payment_terms": ("The payment terms.", lambda c: c.payment_terms()),
    "locations": ("The locations.", lambda c: c.locations()),
    "products": ("The products, by SKU.", lambda c: c.products()),
    "suppliers": ("The suppliers, with our markers.", lambda c: c.suppliers()),
}


def reference_assets(site: Site) -> list[dg.AssetsDefinition]:
    """Return the reference assets of a connection."""
    return [_book(site, name, text, read) for name, (text, read) in _READ.items()]


def _book(
    site: Site,
    name: str,
    text: str,
    read: Callable[[Cin7Client], Iterable[Mapping[str, Any]]],
) -> dg.AssetsDefinition:
    @dg.asset(
        **site.asset_options("cin7", name, partitioned=False),
        description=f"{text} Read from Cin7 once a cycle.",
        kinds={"cin7", "postgres"},
    )
    @plain
    def book(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        runtime = runtime_of(context)
        client = runtime.cin7(site.connection, priority_of(context))
        more: dict[str, Any] = {}
        with runtime.step(site.connection, context.run.run_id, f"cin7/{name}") as cost:
            stamp = stamp_of(context, site)
            if name == "suppliers" and site.connection.suppliers.both_ways:
                reading = stage_cin7_suppliers(
                    runtime.engine, stamp, site.connection.suppliers, client.suppliers
                )
                cost.rows = reading.rows
                more["read_since"] = str(reading.since or "all suppliers")
            else:
                rows = reference_rows(name, read(client))
                cost.rows = replace_table(runtime.engine, CIN7[name], stamp, rows)
        return dg.MaterializeResult(
            metadata={
                **more,
                "rows": cost.rows,
                "dagster/row_count": cost.rows,
                **cost_metadata(cost),
            }
        )

    return book


BACKFILL = "mlc/backfill"
"""Run tag of a backfill of the command line: its number."""


def priority_of(context: dg.AssetExecutionContext) -> str:
    """Return whose calls go first: those of a backfill yield to live ones."""
    tags = context.run.tags
    return "backfill" if BACKFILL in tags or "dagster/backfill" in tags else "live"


def stored_rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of a mapping table as its database table has them; open ends as dates."""
    for _line, row in cells_of(frame):
        yield {
            **row,
            "valid_from": date.fromisoformat(row["valid_from"] or str(date.min)),
            "valid_to": date.fromisoformat(row["valid_to"] or str(date.max)),
        }


def mapping_assets(site: Site) -> list[dg.AssetsDefinition]:
    """Return the mapping tables of a connection, read from its folder's CSV files."""

    @dg.multi_asset(
        name=f"{site.name}_mapping",
        group_name=site.group("mapping"),
        required_resource_keys={"runtime"},
        backfill_policy=dg.BackfillPolicy.single_run(),
        specs=[
            dg.AssetSpec(
                site.key("mapping", name),
                deps=site.keys("cin7", ("accounts", "tax_rules", "payment_terms", "locations")),
                description=f"{name}.csv of the connection, validated; bad rows map nothing.",
                kinds={"csv", "postgres"},
                owners=owners("mapping"),
                tags=site.tags("mapping"),
                metadata=definition_metadata("mapping", name),
            )
            for name in MAPPING
        ],
    )
    @plain
    def mapping(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        runtime, read = runtime_of(context), read_mappings(site.folder)
        for name, target in MAPPING.items():
            frame = read.tables.get(name)
            rows = [] if frame is None else list(stored_rows(frame))
            kept = [{k: v for k, v in row.items() if k in target.c} for row in rows]
            count = replace_table(runtime.engine, target, stamp_of(context, site), kept)
            problems = [p for p in read.problems if p.file.endswith(f"/{name}.csv")]
            yield dg.MaterializeResult(
                asset_key=site.key("mapping", name),
                metadata={
                    "rows": count,
                    "dagster/row_count": count,
                    **lineage_metadata(site, "mapping", name),
                    "problems": table(
                        {
                            "file": p.file,
                            "line": p.line,
                            "column": p.column,
                            "found": p.found,
                            "expected": p.expected,
                            "what to do": p.remedy,
                        }
                        for p in problems
                    ),
                },
            )

    return [mapping]
