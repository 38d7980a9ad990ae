"""Assets that plan, push and tie out documents.

What must not come in: verdicts, steps, comparisons; they live in `sync`.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import dagster as dg

from mlc_pipeline.assets.common import (
    Site,
    add_days,
    cost_metadata,
    ledger_of,
    lineage_metadata,
    money,
    plain,
    plan_context,
    runtime_of,
    stamp_of,
    table,
    window_of,
)
from mlc_pipeline.assets.extract import DATED
from mlc_pipeline.assets.reference import priority_of
from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.assets.suppliers import desk_of, supplier_metadata
from mlc_pipeline.cin7.client import Cin7Client
from mlc_pipeline.cin7.errors import NotFound
from mlc_pipeline.cin7.sending import DEFAULT_LIMITS
from mlc_pipeline.report.place import report_place
from mlc_pipeline.staging.tables import CIN7, MAPPING
from mlc_pipeline.staging.watch import note_pushed
from mlc_pipeline.sync import audit, planner, pusher
from mlc_pipeline.sync.causes import MEANINGS
from mlc_pipeline.sync.certificate import WRITTEN, certificate, differences
from mlc_pipeline.sync.plan import PlanContext
from mlc_pipeline.sync.planner import Plan
from mlc_pipeline.sync.preview import (
    Row,
    account_totals,
    calls_needed,
    check_approved,
    row_of,
)
from mlc_pipeline.sync.pusher import Result, Results
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.supplier_planner import BothWays, plan_both_ways
from mlc_pipeline.sync.tie_out import Key, TieOut, tie_out_window
from mlc_pipeline.sync.vocabulary import READY, REASONS, Outcome, Verdict

_DAYS_SHOWN = 400
"""Days of a range that its tables show: a year."""


def document_assets(site: Site) -> list[dg.AssetsDefinition]:
    """Return the plan, push and tie-out assets of a connection."""
    staged = [
        site.key("syspro", "counterparts"),
        site.key("syspro", "suppliers"),
        *site.keys("syspro", DATED),
    ]
    references = [*site.keys("cin7", CIN7), *site.keys("mapping", MAPPING)]
    plans = site.keys("plan", ("suppliers", "purchases", "invoices"))
    pushes = site.keys("push", ("cin7_suppliers", "purchases", "invoices"))
    both_ways = site.connection.suppliers.both_ways
    plan_suppliers = plan_both_ways if both_ways else planner.plan_supplier_window
    # SYSPRO's suppliers go first: then the session is logged off, and the seat is free
    # while Cin7's call limit makes the rest take its time.
    to_syspro = site.keys("push", ("syspro_suppliers",)) if both_ways else []
    return [
        _plan(site, "suppliers", [*staged, *references], plan_suppliers),
        _plan(site, "purchases", [*staged, plans[0]], planner.plan_purchase_window),
        _plan(site, "invoices", [*staged, plans[1]], planner.plan_invoice_window),
        # Everything is planned before anything is written.
        *([_push(site, "syspro_suppliers", "syspro_suppliers", plans)] if both_ways else []),
        _push(site, "cin7_suppliers", "suppliers", [*plans, *to_syspro]),
        _push(site, "purchases", "purchases", [plans[1], pushes[0]]),
        _push(site, "invoices", "invoices", [plans[2], pushes[1]]),
        _tie_out(site, [pushes[2]]),
    ]


PLANNED = {
    "suppliers": "Which suppliers the day's documents need in Cin7, and how they stand there.",
    "purchases": "The purchase orders and receipts as Cin7 should have them.",
    "invoices": "The invoices and credits as Cin7 should have them, with their accounts.",
}
_DRY = "Nothing is written to Cin7 up to here: this is the dry run."


def _plan(
    site: Site, name: str, deps: list[dg.AssetKey], make: Callable[..., Plan | BothWays]
) -> dg.AssetsDefinition:
    @dg.asset(
        **site.asset_options("plan", name, partitioned=True),
        deps=deps,
        description=f"{PLANNED[name]} {_DRY}",
        kinds={"postgres"},
    )
    @plain
    def plan(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        runtime, window = runtime_of(context), window_of(context, site)
        planning = plan_context(runtime, site)
        _check_currencies(planning)
        with runtime.step(site.connection, context.run.run_id, f"plan/{name}") as cost:
            made = make(
                runtime.engine,
                stamp_of(context, site),
                window,
                planning,
                ledger_of(runtime, site, context.run.run_id),
            )
            cost.rows = len(made.rows)
        summary = _sentence(Counter(p.verdict for _, p in made.rows))
        context.log.info("plan/%s: %s", name, summary)
        days = _by_day(made.rows, lambda row: row[0])
        add_days(
            context,
            {day: _plan_metadata(rows) for day, rows in days.items()},
            otherwise=_plan_metadata([]),
            last=lineage_metadata(site, "plan", name),
        )
        metadata = {"run": _run(context, summary), **cost_metadata(cost)}
        metadata |= _preview_metadata(site, [row_of(day, p) for day, p in made.rows])
        if isinstance(made, BothWays):
            metadata |= supplier_metadata(runtime, site, made)
        return dg.MaterializeResult(metadata=metadata)

    return plan


def _by_day(rows: Iterable[Any], day_of: Callable[[Any], date]) -> dict[str, list[Any]]:
    """Return the rows of each day, by its partition key."""
    days: dict[str, list[Any]] = {}
    for row in rows:
        days.setdefault(day_of(row).isoformat(), []).append(row)
    return days


def _run(context: dg.AssetExecutionContext, summary: str) -> str:
    """Return what a run did in all, as each of its days shows it."""
    keys = context.partition_keys
    return f"{keys[0]} to {keys[-1]}: {summary}" if len(keys) > 1 else summary


def _check_currencies(planning: PlanContext) -> None:
    """Refuse to plan when the two systems do not keep their books in one currency.

    Raises:
        dagster.Failure: every amount would be misread.
    """
    local = planning.connection.syspro.local_currency
    base = planning.references.base_currency
    if base != local:
        raise dg.Failure(
            f"syspro.local_currency is {local}, Cin7's base currency is {base}; nothing is "
            "planned until connection.yaml and the Cin7 account agree",
            allow_retries=False,
        )


def _sentence(counts: Counter[Any]) -> str:
    """Return how many documents there are and what became of them, in words."""
    parts = ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))
    total = counts.total()
    return f"{total} document{'s' * (total != 1)}: {parts}" if total else "no documents"


def _amounts(what: str, amounts: Iterable[tuple[str | None, Decimal]]) -> dict[str, float]:
    """Return money per currency as numbers that the UI plots, `read_GBP`."""
    totals: dict[str, Decimal] = {}
    for currency, amount in amounts:
        if currency and amount:
            totals[currency] = totals.get(currency, Decimal(0)) + amount
    return {f"{what}_{currency}": money(total) for currency, total in totals.items()}


def _by_currency(
    amounts: Iterable[tuple[str, str | None, Decimal]],
) -> dg.MetadataValue:
    """Return money as a table: amounts of different currencies are never added up."""
    totals: dict[tuple[str, str], Decimal] = {}
    for what, currency, amount in amounts:
        if amount:
            key = (what, currency or "")
            totals[key] = totals.get(key, Decimal(0)) + amount
    return table(
        {"documents": what, "amount": f"{total:,.2f}", "currency": currency}
        for (what, currency), total in sorted(totals.items())
    )


def _plan_metadata(rows: list[Any]) -> dict[str, Any]:
    stopped = [(day, p) for day, p in rows if p.verdict in (Verdict.HELD, Verdict.WAITING)]
    verdicts = Counter(p.verdict for _, p in rows)
    return {
        "summary": _sentence(verdicts),
        "documents": len(rows),
        **{verdict.value: verdicts.get(verdict, 0) for verdict in Verdict},
        "money": _by_currency(
            ("to write" if p.verdict in READY else p.verdict.value, p.currency, p.amount)
            for _, p in rows
        ),
        **_amounts("read", ((p.currency, p.amount) for _, p in rows)),
        **_amounts("held", ((p.currency, p.amount) for _, p in stopped)),
        "held_and_waiting": table(
            {
                "day": day,
                "document": p.source_key,
                "amount": f"{p.amount:.2f} {p.currency or ''}",
                "reason": p.reason_code,
                "found": p.reason,
                "what to do": REASONS[p.reason_code].remedy if p.reason_code else "",
            }
            for day, p in stopped
        ),
    }


def _preview_metadata(site: Site, rows: list[Row]) -> dict[str, Any]:
    """Return what writing the plan would change and take."""
    calls = calls_needed(rows)
    pace = site.connection.cin7.calls_per_minute * len(site.connection.cin7.applications)
    return {
        "calls_needed": calls,
        "minutes_needed": math.ceil(calls / pace),
        "differences": table(
            {
                "day": row.day,
                "document": row.source_key,
                "verdict": row.verdict,
                "field": change["field"],
                "in Cin7": change.get("before"),
                "wanted": change.get("after"),
            }
            for row in rows
            for change in row.difference
        ),
        "by_account": table(
            {
                "currency": currency,
                "account": account,
                "cost centre": centre,
                "amount": f"{amount:,.2f}",
            }
            for (currency, account, centre), amount in sorted(account_totals(rows).items())
        ),
    }


APPROVED = "mlc/approved_plan"
"""Run tag: the digests of the plan that this run may write, by plan table, as JSON."""


def approved_digests(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of the plan that a run may write; none when it may write any."""
    return dict(json.loads(tags.get(APPROVED, "{}")))


_PUSHED = {
    "syspro_suppliers": "Creates and updates suppliers in SYSPRO, each checked by SYSPRO "
    "first and read back; then logs off.",
    "cin7_suppliers": "Creates, links and updates suppliers in Cin7.",
    "purchases": "Writes purchase orders and receipts to Cin7.",
    "invoices": "Writes invoices and credit notes to Cin7.",
}


def _push(site: Site, name: str, kind: str, deps: list[dg.AssetKey]) -> dg.AssetsDefinition:
    @dg.asset(
        **site.asset_options("push", name, partitioned=True),
        deps=deps,
        pool=site.pool,
        description=f"{_PUSHED[name]} Each document once: an intent is committed before each "
        "call, and a lost answer is looked up before anything is sent again.",
        kinds={"cin7"},
    )
    @plain
    def push(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        runtime, window = runtime_of(context), window_of(context, site)
        ledger = ledger_of(runtime, site, context.run.run_id)
        step = f"push/{name}"
        with runtime.step(site.connection, context.run.run_id, step) as cost:
            pusher.check_planned(runtime.engine, window, kind)
            approved = approved_digests(context.run.tags)
            if approved:
                check_approved(runtime.engine, window, approved)
            results = pusher.push_window(
                runtime.engine,
                stamp_of(context, site),
                window,
                kind,
                desk_of(context, site, name, ledger),
                expected=approved.get(kind),
                progress=lambda done, total: runtime.progress(step, done, total),
            )
            if name == "invoices":  # the last of the three: the days are pushed
                note_pushed(
                    runtime.engine,
                    site.connection.entities(),
                    stamp_of(context, site),
                    window.first,
                    window.last,
                )
            cost.rows = len(results.rows)
            cost.cin7_writes = 0 if name == "syspro_suppliers" else ledger.writes_made
        with runtime.engine.connect() as database:
            written = differences(database, site.name, [context.run.run_id], [kind])
            # Noted outside the trail: whoever writes the whole chain anew is found by it.
            head = audit.head(database, site.name)
        summary = _sentence(Counter(r.pushed.outcome for r in results.rows))
        context.log.info("%s: %s", step, summary)
        run = {
            "run": _run(context, summary),
            "by_day": _pushed_by_day(results),
            "replay": certificate(written),
            "differences": table({"difference": str(d)} for d in written),
            **cost_metadata(cost),
            "cin7_writes": cost.cin7_writes,
            "cin7_retried": cost.cin7_retried,
            "cin7_throttled": cost.cin7_throttled,
            "retry_limits": str(DEFAULT_LIMITS),
            "audit_head": head,
        }
        if name == "syspro_suppliers":
            runtime.close_syspro(site.connection)
            run["syspro_writes"] = ledger.writes_made
        by_day = _by_day(results.rows, lambda row: row.day)
        days = {day: _push_metadata(site, rows) for day, rows in by_day.items()}
        whole = {**_push_metadata(site, results.rows), **run}
        _fail_bad_days(context, site.key("push", name), results, whole, days)
        add_days(
            context,
            days,
            otherwise=_push_metadata(site, []),
            last=lineage_metadata(site, "push", name),
        )
        return dg.MaterializeResult(metadata=run)

    return push


def _push_metadata(site: Site, rows: list[Result]) -> dict[str, Any]:
    counts = Counter(r.pushed.outcome for r in rows)
    stopped = [r for r in rows if _is_stopped(r)]
    return {
        "summary": _sentence(counts),
        "documents": len(rows),
        **{outcome.value: counts.get(outcome, 0) for outcome in Outcome},
        "money": _by_currency((r.pushed.outcome.value, r.currency, r.amount) for r in rows),
        **_amounts("read", ((r.currency, r.amount) for r in rows)),
        **_amounts("held", ((r.currency, r.amount) for r in stopped)),
        "held_and_waiting": table(_shown(r) for r in stopped),
        "written": table(_linked(site, r) for r in rows if r.pushed.outcome in WRITTEN),
    }


def _pushed_by_day(results: Results) -> dg.MetadataValue:
    """Return the outcomes of each day and currency: in a range they are nowhere else."""
    days: dict[tuple[date, str], Counter[str]] = {}
    amounts: dict[tuple[date, str], Decimal] = {}
    for r in results.rows:
        key = (r.day, r.currency or "")
        days.setdefault(key, Counter())[r.pushed.outcome] += 1
        amounts[key] = amounts.get(key, Decimal(0)) + r.amount
    seen = [outcome for outcome in Outcome if any(n[outcome] for n in days.values())]
    return table(
        (
            {
                "day": day,
                **{outcome.value: counts[outcome] for outcome in seen},
                "amount": f"{amounts[(day, currency)]:,.2f}",
                "currency": currency,
            }
            for (day, currency), counts in sorted(days.items())
        ),
        limit=_DAYS_SHOWN,
    )


def _is_stopped(result: Result) -> bool:
    return result.pushed.outcome in (Outcome.HELD, Outcome.WAITING, Outcome.FAILED)


def _shown(result: Result) -> dict[str, Any]:
    reason = REASONS.get(result.pushed.reason_code or "")
    return {
        "day": result.day,
        "document": result.source_key,
        "amount": f"{result.amount:.2f} {result.currency or ''}",
        "outcome": result.pushed.outcome,
        "reason": result.pushed.reason_code,
        "found": result.pushed.reason,
        "what to do": reason.remedy if reason else "See the run's log.",
    }


def _linked(site: Site, result: Result) -> dict[str, Any]:
    return {
        "day": result.day,
        "document": result.source_key,
        "amount": f"{result.amount:.2f} {result.currency or ''}",
        "outcome": result.pushed.outcome,
        "cin7_number": result.pushed.cin7_number,
        "link": site.connection.cin7.link(result.pushed.cin7_id),
    }


def _fail_bad_days(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    results: Results,
    metadata: dict[str, Any],
    days: Mapping[str, Mapping[str, Any]],
) -> None:
    """Fail exactly the days on which a document failed; the others are recorded as done.

    Raises:
        dagster.Failure: naming days and documents.
    """
    bad = results.failed_days()
    if not bad:
        return
    for day in context.partition_keys:
        if date.fromisoformat(day) not in bad:
            said = {"run": metadata["run"], **days.get(day, {})}
            context.log_event(dg.AssetMaterialization(key, partition=day, metadata=said))
    failed = [r for r in results.rows if r.is_undone]
    if all(r.pushed.reason_code == "cin7_unavailable" for r in failed):
        # One message for a system that is down, not one a document.
        named = f"Cin7 is down, the next run sends them. {failed[0].pushed.reason}"
    else:
        named = "; ".join(f"{r.source_key}: {r.pushed.reason}" for r in failed[:5])
    raise dg.Failure(
        f"not done: {len(failed)} documents of {len(bad)} days; run these days again: {named}",
        metadata=metadata,
        allow_retries=False,
    )


def _tie_out(site: Site, deps: list[dg.AssetKey]) -> dg.AssetsDefinition:
    key = site.key("tie_out", "ap")

    @dg.asset(
        **site.asset_options("tie_out", "ap", partitioned=True),
        deps=deps,
        check_specs=[
            dg.AssetCheckSpec(
                AGREES,
                asset=key,
                blocking=True,
                description="On each account, cost centre and supplier, what SYSPRO posted is "
                "what the documents in Cin7 say, and what Cin7's ledger says.",
            )
        ],
        description="SYSPRO's postings against the documents in Cin7 and against Cin7's own "
        "ledger, per account, cost centre and supplier, to the cent. A difference is named "
        "by its document and cause.",
        kinds={"postgres"},
    )
    @plain
    def tie_out(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        runtime, window = runtime_of(context), window_of(context, site)
        client = runtime.cin7(site.connection, priority_of(context))
        with runtime.step(site.connection, context.run.run_id, "tie_out/ap") as cost:
            result = tie_out_window(
                runtime.engine,
                stamp_of(context, site),
                window,
                plan_context(runtime, site),
                client.transactions,
                lambda purchase_id: _purchase_or_none(client, purchase_id),
            )
            cost.rows = len(result.lines)
        add_days(context, _tie_out_days(window, result), otherwise={})
        metadata = {
            **tie_out_metadata(window, result),
            **_reports(runtime, site, window),
            **cost_metadata(cost),
        }
        agreement = _agreement(key, window, result)
        context.log.info("tie_out/ap: %s", agreement.description)
        return dg.MaterializeResult(
            metadata=metadata,
            check_results=[agreement],
        )

    return tie_out


AGREES = "agrees_to_the_cent"


def _purchase_or_none(client: Cin7Client, purchase_id: str) -> Mapping[str, Any] | None:
    try:
        return client.purchase(purchase_id)
    except NotFound:
        return None


def _reports(runtime: Runtime, site: Site, window: Window) -> dict[str, Any]:
    """Return the period reports that stand beside these days, by month."""
    months = sorted({window.first.strftime("%Y-%m"), window.last.strftime("%Y-%m")})
    places = {month: report_place(runtime.environ, site.name, month) for month in months}
    return {
        f"report_{month}": dg.MetadataValue.path(str(place))
        for month, place in places.items()
        if place.exists()
    }


def _agreement(key: dg.AssetKey, window: Window, result: TieOut) -> dg.AssetCheckResult:
    """Return the check of a tie-out: both comparisons, with what to look at."""
    different = [
        f"{day} account {account} {centre} supplier {supplier}: SYSPRO {syspro:.2f}, Cin7 "
        f"{cin7:.2f}"
        for (day, account, centre, supplier), syspro, cin7 in result.differences()
    ]
    different += [
        f"account {account}: documents {booked:.2f}, Cin7's ledger {held:.2f}"
        for account, booked, held in result.ledger_differences()
    ]
    causes = [f"{d.document}: {MEANINGS[d.cause].meaning}" for d in result.explained]
    named = list(dict.fromkeys(causes)) or different
    return dg.AssetCheckResult(
        check_name=AGREES,
        asset_key=key,
        passed=not different,
        metadata={
            "by_day": _days_table(window, result),
            "different": table({"difference": text} for text in different),
            "explained": _explained_table(result),
        },
        description="SYSPRO and Cin7 agree"
        if not different
        else f"{len(different)} differences: {'; '.join(named[:3])}; see the documents of "
        "those days in push.invoices",
    )


def _days_table(window: Window, result: TieOut) -> dg.MetadataValue:
    """Return the figures of each day: in a run over a range they are nowhere else."""
    days = result.by_day(window.first, window.last)
    return table(
        (
            {
                "day": day,
                "documents": figures["documents"],
                "SYSPRO": f"{figures['syspro']:.2f}",
                "Cin7": f"{figures['cin7']:.2f}",
                "rounding": f"{figures['rounding']:.2f}",
                "differences": figures["differences"],
            }
            for day, figures in days.items()
        ),
        limit=_DAYS_SHOWN,
    )


def _explained_table(result: TieOut) -> dg.MetadataValue:
    return table(
        {
            "document": d.document,
            "cause": d.cause,
            "account": d.bucket.account,
            "cost centre": d.bucket.cost_centre,
            "supplier": d.bucket.supplier,
            "amount": f"{d.amount:.2f}",
            "found": d.detail,
            "what to do": MEANINGS[d.cause].remedy,
        }
        for d in result.explained
    )


def _tie_out_days(window: Window, result: TieOut) -> dict[str, dict[str, Any]]:
    """Return the figures of each day, for its plots."""
    keys: dict[date, list[Key]] = {}
    for key in result.lines:
        keys.setdefault(key[0], []).append(key)
    return {
        str(day): {
            "documents": figures["documents"],
            "accounts": len({account for _, account, _, _ in keys.get(day, ())}),
            "cost_centres": len({centre for _, _, centre, _ in keys.get(day, ()) if centre}),
            "suppliers": len({supplier for _, _, _, supplier in keys.get(day, ())}),
            "syspro": money(figures["syspro"]),
            "cin7": money(figures["cin7"]),
            "rounding": money(figures["rounding"]),
            "differences": figures["differences"],
        }
        for day, figures in result.by_day(window.first, window.last).items()
    }


def tie_out_metadata(window: Window, result: TieOut) -> dict[str, Any]:
    """Return a tie-out as the UI shows it."""
    syspro, cin7 = result.by_account(0), result.by_account(1)
    totals = [f"{sum(side.values(), Decimal(0)):,.2f}" for side in (syspro, cin7)]
    return {
        "run": f"{window.first} to {window.last}: {len({*syspro, *cin7})} accounts; "
        f"SYSPRO {totals[0]}, Cin7 {totals[1]}",
        "ledger_differences": len(result.ledger_differences()),
        "by_day": _days_table(window, result),
        "by_account": table(
            {
                "account": account,
                "SYSPRO": f"{syspro.get(account, Decimal(0)):.2f}",
                "Cin7 documents": f"{cin7.get(account, Decimal(0)):.2f}",
                "Cin7 ledger": f"{result.ledger.get(account, Decimal(0)):.2f}",
            }
            for account in sorted({*syspro, *cin7})
        ),
        "different": table(
            {"day": d, "account": a, "cost centre": c, "supplier": s, "SYSPRO": left, "Cin7": k}
            for (d, a, c, s), left, k in result.differences()
        ),
        "explained": _explained_table(result),
        "not_in_cin7": table(
            {"outcome": outcome, "currency": currency, "documents": n, "amount": f"{a:.2f}"}
            for (outcome, currency), (n, a) in result.not_in_cin7.items()
        ),
    }
