"""Asset checks at every border: they show; what guards is in the data.

A red check does not stop a later run of the push alone, so the push reads verdicts, never
checks. Each check says which record, what was found, what was expected, what to do.

What must not come in: the comparisons themselves.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg
import sqlalchemy as sa

from mlc_pipeline.assets.common import Site, plan_context, run_window, runtime_of, table
from mlc_pipeline.assets.suppliers import supplier_checks
from mlc_pipeline.connection.mappings import MappingProblem, read_mappings
from mlc_pipeline.staging.load import Stamp
from mlc_pipeline.staging.schemas import entity_schema, problems, staged_frame
from mlc_pipeline.staging.tables import CIN7, PUSH, SYSPRO, cycle_steps
from mlc_pipeline.sync.conservation import Balance, conserve
from mlc_pipeline.sync.coverage import coverage, coverage_problems, row_problems
from mlc_pipeline.sync.references import read_books
from mlc_pipeline.sync.staged import Window

_KINDS = {"cin7_suppliers": "suppliers", "purchases": "purchases", "invoices": "invoices"}
_SCHEMA_CHECKED = (
    "suppliers",
    "purchase_orders",
    "purchase_order_lines",
    "receipts",
    "invoices",
    "postings",
)


def asset_checks(site: Site) -> list[dg.AssetChecksDefinition]:
    """Return the checks of a connection."""
    both_ways = site.connection.suppliers.both_ways
    kinds = {**_KINDS, **({"syspro_suppliers": "syspro_suppliers"} if both_ways else {})}
    return [
        *(supplier_checks(site) if both_ways else []),
        *[_schema(site, name) for name in _SCHEMA_CHECKED],
        _mapping_rows(site),
        _codes_mapped(site),
        _defaults_exist(site),
        *[_conservation(site, push, plan) for push, plan in kinds.items()],
    ]


def _schema(site: Site, name: str) -> dg.AssetChecksDefinition:
    entity = site.connection.entities()[name]

    @dg.asset_check(
        asset=site.key("syspro", name),
        name="schema",
        description="Types, scales, unique keys of the rows this run staged; run alone, of "
        "those staged last.",
        required_resource_keys={"runtime"},
    )
    def schema(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        with runtime_of(context).engine.connect() as connection:
            run_id = _staging_run(connection, site.name, name, context.run.run_id)
            if run_id is None:
                return _nothing_compared(site)
            frame = staged_frame(connection, name, Stamp(site.name, run_id))
        found = problems(entity_schema(entity), frame)
        return dg.AssetCheckResult(
            passed=not found,
            metadata={"rows": len(frame), "problems": table(found)},
            description=f"{len(frame)} rows, {len(found)} problems",
        )

    return schema


def _staging_run(connection: sa.Connection, name: str, entity: str, run_id: str) -> str | None:
    """Return the run whose rows a check looks at: its own, or the last when it runs alone."""
    own = sa.select(cycle_steps.c.run_id).where(
        cycle_steps.c.run_id == run_id,
        cycle_steps.c.connection == name,
        cycle_steps.c.asset == f"syspro/{entity}",
    )
    staged = SYSPRO[entity]
    last = (
        sa.select(staged.c.run_id)
        .where(staged.c.connection == name)
        .order_by(staged.c.extracted_at.desc())
        .limit(1)
    )
    return connection.scalar(own) or connection.scalar(last)


def _nothing_compared(site: Site) -> dg.AssetCheckResult:
    """Return that a check had nothing to look at: that is not green."""
    return dg.AssetCheckResult(
        passed=False,
        description=f"nothing was compared, because nothing is there yet; run a day first: "
        f"mlc sync {site.name}",
    )


def _mapping_rows(site: Site) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=site.key("mapping", "gl_accounts"),
        name="rows_are_valid",
        description="Every row of every mapping file is well formed, and its target exists in "
        "Cin7, is active there, and may be used by a purchase.",
        required_resource_keys={"runtime"},
    )
    def rows_are_valid(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        runtime, read = runtime_of(context), read_mappings(site.folder)
        with runtime.engine.connect() as connection:
            books = read_books(connection, site.name)
        found = row_problems(read, plan_context(runtime, site), books)
        return dg.AssetCheckResult(
            passed=not found,
            metadata={"problems": problem_table(found)},
            description="; ".join(str(p) for p in found[:3]) or "all rows are good",
        )

    return rows_are_valid


def problem_table(problems: Iterable[MappingProblem]) -> dg.MetadataValue:
    """Return mapping problems as the UI shows them."""
    return table(
        {
            "file": p.file,
            "line": p.line or "",
            "column": p.column,
            "found": p.found,
            "expected": p.expected,
            "what to do": p.remedy,
        }
        for p in problems
    )


def _codes_mapped(site: Site) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=site.key("mapping", "gl_accounts"),
        name="every_code_is_mapped",
        description="Every SYSPRO code that occurs in the staged postings and documents is "
        "mapped: GL codes, cost centres, tax codes, terms, currencies, warehouses.",
        additional_deps=[site.key("syspro", "counterparts")],
        required_resource_keys={"runtime"},
    )
    def every_code_is_mapped(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        runtime, read = runtime_of(context), read_mappings(site.folder)
        planning = plan_context(runtime, site)
        with runtime.engine.connect() as connection:
            found = coverage(connection, planning)
            problems = coverage_problems(connection, found, read, planning)
        unmapped, local = found.unmapped("gl_accounts"), site.connection.syspro.local_currency
        others = [p for p in problems if p.severity == "error" and not _is_gl_code(p)]
        named = [f"{u.code} ({u.unmapped_amount:.2f} {local})" for u in unmapped[:5]]
        said = [
            f"GL codes without a Cin7 account ({len(unmapped)}): {', '.join(named)}. Add them "
            f"to {site.folder / 'gl_accounts.csv'}; the next run posts what they hold."
        ]
        said = [*(said if unmapped else []), *(str(p) for p in others[:3])]
        return dg.AssetCheckResult(
            passed=not said,
            metadata={
                "codes": len(found.uses),
                "unmapped": table(
                    {
                        "table": u.table,
                        "code": u.code,
                        "rows": u.unmapped_rows,
                        "amount": f"{u.unmapped_amount:.2f}",
                    }
                    for u in found.unmapped()
                ),
                "worth_a_look": problem_table(p for p in problems if p.severity == "warning"),
            },
            description="; ".join(said) or f"all {len(found.uses)} codes are mapped",
        )

    return every_code_is_mapped


def _is_gl_code(problem: MappingProblem) -> bool:
    return problem.column == "syspro_code"


def _defaults_exist(site: Site) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=site.key("cin7", "settings"),
        name="defaults_exist",
        description="The connection's defaults exist in Cin7, and the base currencies agree.",
        additional_deps=site.keys("cin7", [book for book in CIN7 if book != "settings"]),
        required_resource_keys={"runtime"},
    )
    def defaults_exist(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        found = default_problems(plan_context(runtime_of(context), site))
        return dg.AssetCheckResult(
            passed=not found,
            metadata={"problems": table({"problem": p} for p in found)},
            description="; ".join(found) or "all defaults exist",
        )

    return defaults_exist


def default_problems(context: Any) -> list[str]:
    """Return what of the connection's defaults Cin7 does not have."""
    defaults, references = context.connection.defaults, context.references
    local = context.connection.syspro.local_currency
    rules = {name for name, rule in references.tax_rules.items() if rule.usable}
    accounts = {c for c, a in references.accounts.items() if a.status.upper() == "ACTIVE"}
    wanted = {
        "defaults.location": (defaults.location, references.locations),
        "defaults.payment_term": (defaults.payment_term, references.payment_terms),
        "defaults.tax_rule": (defaults.tax_rule, rules),
        "defaults.tax_rule_exempt": (defaults.tax_rule_exempt, rules),
        "defaults.accounts_payable": (defaults.accounts_payable, accounts),
    }
    found = [
        f"{name}: Cin7 has no active {value!r}; correct connection.yaml"
        for name, (value, known) in wanted.items()
        if value not in known
    ]
    if references.base_currency != local:
        found.append(
            f"syspro.local_currency is {local}, Cin7's base currency is "
            f"{references.base_currency}; they must be the same"
        )
    return found


def _conservation(site: Site, push: str, plan: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=site.key("push", push),
        name="conservation",
        description="Every record staged of these days has a verdict, and every verdict an "
        "outcome: staged = planned = created + updated + unchanged + adopted + waiting + held "
        "+ excluded + failed, by count and by money.",
        blocking=True,
        required_resource_keys={"runtime"},
    )
    def conservation(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        local = site.connection.syspro.local_currency
        with runtime_of(context).engine.connect() as connection:
            window = run_window(context, site) or _pushed_days(
                connection, PUSH[plan], site.name, context.run.run_id
            )
            if window is None:
                return _nothing_compared(site)
            found = conserve(connection, window, plan, local)
        uneven = [balance for balance in found if not balance.is_even]
        return dg.AssetCheckResult(
            passed=not uneven,
            metadata={"compared": table(_balance(b) for b in found)},
            description="; ".join(_loss(b) for b in uneven[:3])
            + ": materialise the plan and the push of these days again"
            if uneven
            else "every staged record has an outcome",
        )

    return conservation


def _balance(balance: Balance) -> dict[str, Any]:
    staged, planned, pushed = (
        "" if figures is None else f"{figures[0]} ({figures[1]:,.2f})"
        for figures in (balance.staged, balance.planned, balance.pushed)
    )
    return {
        "what": balance.what,
        "currency": balance.currency,
        "staged": staged,
        "planned": planned,
        "accounted for": pushed,
    }


def _loss(balance: Balance) -> str:
    shown = _balance(balance)
    staged = f"staged {shown['staged']}, " if balance.staged is not None else ""
    return (
        f"{balance.what} {balance.currency}: {staged}planned {shown['planned']}, accounted "
        f"for {shown['accounted for']}"
    )


def _pushed_days(
    connection: sa.Connection, pushed: sa.Table, name: str, run_id: str
) -> Window | None:
    """Return the days that a run pushed, or the last run when a check runs alone."""
    run = (
        sa.select(pushed.c.run_id)
        .where(pushed.c.connection == name)
        .order_by((pushed.c.run_id == run_id).desc(), pushed.c.pushed_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = sa.select(sa.func.min(pushed.c.partition), sa.func.max(pushed.c.partition)).where(
        pushed.c.connection == name, pushed.c.run_id == run
    )
    first, last = connection.execute(query).one()
    return Window(name, first, last) if first else None
