"""Suppliers both ways in Dagster: which desk writes where, and what the UI shows.

What must not come in: matching, merging, steps; they live in `sync`.
"""

from typing import Any

import dagster as dg
import sqlalchemy as sa

from mlc_pipeline.assets.common import Site, runtime_of, table
from mlc_pipeline.assets.reference import priority_of
from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.staging.supplier_tables import supplier_conflicts, supplier_proposals
from mlc_pipeline.staging.tables import CIN7, SYSPRO, documents
from mlc_pipeline.sync.ledger import Ledger
from mlc_pipeline.sync.push import Push
from mlc_pipeline.sync.pusher import Desk
from mlc_pipeline.sync.supplier_planner import BothWays, shown
from mlc_pipeline.sync.supplier_push import Cin7SupplierPush, SysproSupplierPush
from mlc_pipeline.sync.supplier_records import SupplierRecords
from mlc_pipeline.sync.vocabulary import Kind


def desk_of(context: dg.AssetExecutionContext, site: Site, name: str, ledger: Ledger) -> Desk:
    """Return what brings the documents of a push asset into the other system."""
    runtime, connection = runtime_of(context), site.connection
    run_id = context.run.run_id
    records = SupplierRecords(runtime.engine, site.name, run_id)
    if name == "syspro_suppliers":
        maintenance = runtime.supplier_maintenance(connection, run_id)
        return SysproSupplierPush(maintenance, ledger, connection, records)
    client = runtime.cin7(connection, priority_of(context))
    if name == "cin7_suppliers" and connection.suppliers.both_ways:
        return Cin7SupplierPush(client, ledger, connection, records)
    return Push(client, ledger, connection)


def supplier_metadata(runtime: Runtime, site: Site, made: BothWays) -> dict[str, Any]:
    """Return a plan both ways as the UI shows it: links, differences, what to decide."""
    with runtime.engine.connect() as connection:
        links = link_rows(connection, site.name)
    return {
        "linked": made.linked,
        "settled": made.settled,
        "unlinked_in_syspro": made.unlinked["SYSPRO"],
        "unlinked_in_cin7": made.unlinked["Cin7"],
        "links": table(links),
        "differences": table(
            {
                "supplier": planned.source_key,
                "goes to": "SYSPRO" if planned.kind is Kind.SYSPRO_SUPPLIER else "Cin7",
                "attribute": change["field"],
                "before": shown(change["before"]),
                "after": shown(change["after"]),
            }
            for _, planned in made.rows
            for change in planned.difference
            if "after" in change and change["field"] != "adopt"
        ),
        "conflicts": table(
            {
                "supplier": supplier,
                "name": made.names.get(supplier, ""),
                "attribute": c.attribute,
                "agreed": shown(c.base),
                "SYSPRO": shown(c.syspro),
                "Cin7": shown(c.cin7),
                "to decide": f"mlc suppliers resolve {site.name} {supplier} {c.attribute} "
                "--take syspro (or cin7)",
            }
            for supplier, c in made.conflicts
        ),
        "proposals": table(
            {
                "SYSPRO": f"{p.syspro.key} {p.syspro.name}",
                "Cin7": f"{p.cin7.name} ({p.cin7.key})",
                "score": p.score,
                "reasons": "; ".join(p.reasons),
            }
            for p in made.proposals
        ),
    }


def link_rows(connection: sa.Connection, name: str) -> list[dict[str, Any]]:
    """Return the links of a connection with both names, and whether something is open."""
    master, other = SYSPRO["suppliers"], CIN7["suppliers"]
    open_conflicts = (
        sa.select(sa.func.count())
        .where(
            supplier_conflicts.c.connection == documents.c.connection,
            supplier_conflicts.c.supplier == documents.c.source_key,
        )
        .scalar_subquery()
    )
    query = (
        sa.select(
            documents.c.source_key.label("supplier"),
            master.c.name.label("SYSPRO"),
            other.c.name.label("Cin7"),
            documents.c.state,
            open_conflicts.label("conflicts"),
            documents.c.cin7_id.label("id in Cin7"),
        )
        .outerjoin(
            master,
            sa.and_(
                master.c.connection == documents.c.connection,
                master.c.supplier == documents.c.source_key,
            ),
        )
        .outerjoin(
            other,
            sa.and_(
                other.c.connection == documents.c.connection,
                other.c.id == documents.c.cin7_id,
            ),
        )
        .where(
            documents.c.connection == name,
            documents.c.kind == Kind.SUPPLIER,
            documents.c.cin7_id.is_not(None),
        )
        .order_by(open_conflicts.desc(), documents.c.source_key)
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def supplier_checks(site: Site) -> list[dg.AssetChecksDefinition]:
    """Return the checks of suppliers both ways; they show, and stop nothing."""
    return [_linked(site), _no_conflicts(site), _no_duplicates(site)]


def _linked(site: Site) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=site.key("plan", "suppliers"),
        name="no_match_is_open",
        description="No supplier waits for a person to say which one of the other system it "
        "is.",
        required_resource_keys={"runtime"},
    )
    def no_match_is_open(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        proposed = supplier_proposals
        query = (
            sa.select(proposed)
            .where(proposed.c.connection == site.name)
            .order_by(proposed.c.score.desc(), proposed.c.supplier)
        )
        with runtime_of(context).engine.connect() as connection:
            rows = list(connection.execute(query))
        return dg.AssetCheckResult(
            passed=not rows,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "proposals": table(
                    {
                        "SYSPRO": f"{r.supplier} {r.syspro_name}",
                        "Cin7": f"{r.cin7_name} ({r.cin7_id})",
                        "score": r.score,
                        "reasons": r.reasons,
                        "open orders": r.open_orders,
                        "unpaid invoices": r.unpaid_invoices,
                    }
                    for r in rows
                )
            },
            description="no match is open"
            if not rows
            else f"{len(rows)} proposed matches: decide with mlc suppliers link {site.name} or "
            f"mlc suppliers ignore {site.name}, or in supplier_links.csv",
        )

    return no_match_is_open


def _no_conflicts(site: Site) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=site.key("plan", "suppliers"),
        name="no_supplier_conflicts",
        description="No attribute of a supplier changed on both sides without an owner.",
        required_resource_keys={"runtime"},
    )
    def no_supplier_conflicts(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        found = supplier_conflicts
        query = sa.select(found).where(found.c.connection == site.name)
        with runtime_of(context).engine.connect() as connection:
            rows = list(connection.execute(query.order_by(found.c.found_at)))
        return dg.AssetCheckResult(
            passed=not rows,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "conflicts": table(
                    {
                        "supplier": r.supplier,
                        "attribute": r.attribute,
                        "agreed": shown(r.base),
                        "SYSPRO": shown(r.syspro),
                        "Cin7": shown(r.cin7),
                        "since": f"{r.found_at:%Y-%m-%d %H:%M}",
                    }
                    for r in rows
                )
            },
            description="no conflicts"
            if not rows
            else f"{len(rows)} conflicts, for example {rows[0].supplier} {rows[0].attribute}: "
            f"decide with mlc suppliers resolve {site.name}, or name an owner under "
            "suppliers.owners in connection.yaml",
        )

    return no_supplier_conflicts


def _no_duplicates(site: Site) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=site.key("plan", "suppliers"),
        name="no_supplier_twice",
        description="No name stands under several suppliers of one system.",
        additional_deps=[site.key("cin7", "suppliers"), site.key("syspro", "suppliers")],
        required_resource_keys={"runtime"},
    )
    def no_supplier_twice(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with runtime_of(context).engine.connect() as connection:
            found = [
                *_namesakes(connection, "SYSPRO", SYSPRO["suppliers"], site.name),
                *_namesakes(connection, "Cin7", CIN7["suppliers"], site.name),
            ]
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"namesakes": table(found)},
            description="every name is there once"
            if not found
            else f"{len(found)} names stand under several suppliers; they are never matched by "
            "name",
        )

    return no_supplier_twice


def _namesakes(
    connection: sa.Connection, system: str, suppliers: sa.Table, name: str
) -> list[dict[str, Any]]:
    key = suppliers.c.supplier if "supplier" in suppliers.c else suppliers.c.id
    folded = sa.func.lower(sa.func.trim(suppliers.c.name))
    query = (
        sa.select(
            folded.label("name"),
            sa.func.count().label("suppliers"),
            sa.func.string_agg(key, ", ").label("keys"),
        )
        .where(suppliers.c.connection == name, folded != "")
        .group_by(folded)
        .having(sa.func.count() > 1)
        .order_by(sa.func.count().desc(), folded)
    )
    return [{"system": system, **row._mapping} for row in connection.execute(query)]
