"""The asset that holds the ledger against Cin7 after each push.

What must not come in: how they are compared.
"""

import dagster as dg

from mlc_pipeline.assets.common import Site, plain, runtime_of, stamp_of, table
from mlc_pipeline.assets.reference import priority_of
from mlc_pipeline.sync.comparison import MEANINGS, Comparison, compare

EVERYTHING_IS_THERE = "everything_is_there"

_DETAILS = 60
"""Purchases that are read whole in a cycle, to find what differs; the others next time."""


def proof_assets(site: Site) -> list[dg.AssetsDefinition]:
    """Return the comparison of a connection's ledger with Cin7."""
    key = site.key("ledger", "findings")

    @dg.asset(
        **site.asset_options("ledger", "findings", partitioned=True),
        deps=[site.key("push", "invoices")],
        pool=site.pool,
        check_specs=[
            dg.AssetCheckSpec(
                EVERYTHING_IS_THERE,
                asset=key,
                blocking=True,
                description="What the ledger has written is in Cin7, what carries our marker "
                "there is in the ledger, and both say the same.",
            )
        ],
        description="Where the ledger and Cin7 disagree, of all days: documents that vanished "
        "or were voided in Cin7, that differ, or that the ledger does not know. Cin7 is read "
        "in pages of 1,000 purchases.",
        kinds={"rest"},
    )
    @plain
    def findings(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        runtime = runtime_of(context)
        client = runtime.cin7(site.connection, priority_of(context))
        with runtime.step(site.connection, context.run.run_id, "ledger/findings") as cost:
            result = compare(
                runtime.engine,
                stamp_of(context, site),
                client,
                site.connection.syspro.company,
                limit=_DETAILS,
            )
            cost.rows = len(result.found)
        return dg.MaterializeResult(
            metadata={
                "documents": result.documents,
                "purchases": result.purchases,
                "read_whole": result.looked_at,
                "left_for_next_time": result.left,
                "cin7_calls": cost.cin7_calls,
                "found": table(
                    {
                        "finding": f.finding,
                        "document": f"{f.kind} {f.source_key}",
                        "dated": f.home,
                        "found": f.detail,
                        "what to do": MEANINGS[f.finding][1],
                    }
                    for f in result.found
                ),
            },
            check_results=[verdict(site, result)],
        )

    return [findings]


def verdict(site: Site, result: Comparison) -> dg.AssetCheckResult:
    """Return what the check says of a comparison; what was not looked at is not green.

    Suspects that are left fail no run: the next cycle goes on with them.
    """
    named = "; ".join(f"{f.finding} {f.kind} {f.source_key}" for f in result.found[:3])
    said = []
    if result.found:
        said.append(f"{len(result.found)} documents are not as the ledger has them: {named}")
    if result.left:
        said.append(
            f"{result.left} purchases in Cin7 were not looked at yet, the next cycle goes on"
        )
    said = [*said, f"all of them now: mlc verify {site.name}"] if said else []
    return dg.AssetCheckResult(
        check_name=EVERYTHING_IS_THERE,
        asset_key=site.key("ledger", "findings"),
        passed=not said,
        severity=dg.AssetCheckSeverity.ERROR if result.found else dg.AssetCheckSeverity.WARN,
        metadata={"disagree": len(result.found), "left": result.left},
        description="; ".join(said)
        or f"{result.documents} documents are where the ledger has them",
    )
