"""Codes that occur against rows that speak of them: what is unmapped, what is not used.

Reads staged tables only. A code counts on the day of its document, since that is the day
whose mapping the document takes.

What must not come in: HTTP, Dagster, reading files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import sqlalchemy as sa

from mlc_pipeline.connection.mapping_problems import MappingProblem
from mlc_pipeline.connection.mapping_tables import cells_of
from mlc_pipeline.connection.mappings import Mappings as MappingFiles
from mlc_pipeline.connection.targets import (
    Books,
    check_against_cin7,
    check_against_connection,
)
from mlc_pipeline.staging.tables import SYSPRO
from mlc_pipeline.sync.journals import JOURNAL_TYPES
from mlc_pipeline.sync.plan import PlanContext

_ZERO = Decimal(0)
KEY_COLUMNS = {
    "gl_accounts": "syspro_code",
    "cost_centres": "syspro_cost_centre",
    "tax_codes": "syspro_tax_code",
    "payment_terms": "syspro_terms_code",
    "currencies": "syspro_currency",
    "warehouses": "syspro_warehouse",
}
"""The column of each mapping table that holds the SYSPRO code."""


@dataclass
class CodeUse:
    """Where a SYSPRO code occurs in the staged tables.

    Attributes:
        table: the mapping table that should speak of it.
        code: the code.
        rows: how many postings or documents have it.
        amount: what is posted on it, local currency; zero for other codes than GL's.
        days: the days of its documents, with their rows and amount.
        missing: the days on which no row maps it.
    """

    table: str
    code: str
    rows: int = 0
    amount: Decimal = _ZERO
    days: dict[date | None, tuple[int, Decimal]] = field(default_factory=dict)
    missing: list[date | None] = field(default_factory=list)

    @property
    def unmapped_rows(self) -> int:
        """How many postings or documents no row maps."""
        return sum(self.days[day][0] for day in self.missing)

    @property
    def unmapped_amount(self) -> Decimal:
        """What is posted where no row maps it, local currency."""
        return sum((self.days[day][1] for day in self.missing), _ZERO)

    def add(self, day: date | None, rows: int, amount: Decimal) -> None:
        """Count rows of a day."""
        self.rows += rows
        self.amount += amount
        before = self.days.get(day, (0, _ZERO))
        self.days[day] = (before[0] + rows, before[1] + amount)


@dataclass
class Coverage:
    """Every code that occurs, and the rows that were used for them by table and key."""

    uses: list[CodeUse]
    used: dict[tuple[str, ...], set[date | None]]

    def unmapped(self, table: str | None = None) -> list[CodeUse]:
        """Return the codes that are not always mapped, the most money first."""
        found = [u for u in self.uses if u.missing and table in (None, u.table)]
        return sorted(found, key=lambda u: (-abs(u.unmapped_amount), u.table, u.code))


def coverage(connection: sa.Connection, context: PlanContext) -> Coverage:
    """Return where each SYSPRO code occurs in a connection's staged tables.

    Args:
        connection: our database.
        context: settings and mapping, with its history.
    """
    uses: dict[tuple[str, str], CodeUse] = {}
    for table, code, day, rows, amount in _occurrences(connection, context):
        uses.setdefault((table, code), CodeUse(table, code)).add(day, rows, amount)
    used: dict[tuple[str, ...], set[date | None]] = {}
    for use in uses.values():
        for day in use.days:
            key = _rule(use, context.as_of(day))
            if key is None:
                use.missing.append(day)
            else:
                used.setdefault((use.table, *key), set()).add(day)
    return Coverage(sorted(uses.values(), key=lambda u: (u.table, u.code)), used)


def _rule(use: CodeUse, context: PlanContext) -> tuple[str, ...] | None:
    """Return what maps a code: match and code of a GL row, else the code; None if nothing."""
    if use.table == "gl_accounts":
        mapped = context.mappings.accounts.lookup(use.code)
        return tuple(mapped.rule.split(" ", 1)) if mapped else None
    return (use.code,) if _lookup(use.table, context)(use.code) is not None else None


def _lookup(table: str, context: PlanContext) -> Callable[[str], str | None]:
    found: Mapping[str, Callable[[str], str | None]] = {
        "cost_centres": context.mappings.cost_centres.lookup,
        "tax_codes": context.mappings.tax_codes.lookup,
        "payment_terms": context.mappings.payment_terms.lookup,
        "currencies": context.mappings.currencies.lookup,
        "warehouses": context.mappings.warehouses.lookup,
    }
    return found[table]


Occurrence = tuple[str, str, date | None, int, Decimal]
"""Mapping table, SYSPRO code, the document's day, rows, amount in local currency."""


def _occurrences(connection: sa.Connection, context: PlanContext) -> Iterator[Occurrence]:
    centres = context.connection.policies.cost_centre != "none"
    for code, day, rows, amount in connection.execute(_gl_codes(context.connection.name)):
        yield "gl_accounts", code, day, rows, amount
        centre = context.raw_cost_centre(code) if centres else None
        mapped = context.as_of(day).mappings.accounts.lookup(code)
        if centre is not None and mapped is not None and mapped.role == "expense":
            yield "cost_centres", centre, day, rows, amount
    local = context.connection.syspro.local_currency
    for table, query in _document_codes(context):
        for code, day, rows in connection.execute(query):
            if (table, code) != ("currencies", local):
                yield table, code, day, rows, _ZERO


def _gl_codes(name: str) -> sa.Select[tuple[str, date | None, int, Decimal]]:
    """Select the GL codes of distribution postings, by the day of their document."""
    postings, invoices = SYSPRO["postings"], SYSPRO["invoices"]
    types = [c for c, t in JOURNAL_TYPES.items() if c and t.representation == "document"]
    day = sa.func.coalesce(invoices.c.invoice_date, postings.c.post_date)
    joined = postings.outerjoin(
        invoices,
        sa.and_(
            invoices.c.connection == postings.c.connection,
            invoices.c.supplier == postings.c.supplier,
            invoices.c.invoice == postings.c.invoice,
        ),
    )
    return (
        sa.select(postings.c.gl_code, day, sa.func.count(), sa.func.sum(postings.c.amount))
        .select_from(joined)
        .where(
            postings.c.connection == name,
            postings.c.gl_code.is_not(None),
            postings.c.amount.is_not(None),
            postings.c.amount != 0,
            sa.or_(postings.c.posting_type.is_(None), postings.c.posting_type.in_(types)),
        )
        .group_by(postings.c.gl_code, day)
    )


def _document_codes(
    context: PlanContext,
) -> Iterator[tuple[str, sa.Select[tuple[str, date | None, int]]]]:
    """Yield, by mapping table, what selects its codes from documents and their suppliers."""
    invoices, orders = SYSPRO["invoices"], SYSPRO["purchase_orders"]
    for table, source, column, day in (
        ("tax_codes", invoices, "tax_code", "invoice_date"),
        ("currencies", invoices, "currency", "invoice_date"),
        ("currencies", orders, "currency", "order_date"),
        ("payment_terms", orders, "terms_code", "order_date"),
        ("warehouses", orders, "warehouse", "order_date"),
    ):
        query = sa.select(source.c[column], source.c[day], sa.func.count()).where(
            source.c.connection == context.connection.name, source.c[column].is_not(None)
        )
        yield table, query.group_by(source.c[column], source.c[day])
    suppliers = SYSPRO["suppliers"]
    for table, column in (
        ("tax_codes", "default_tax_code"),
        ("currencies", "currency"),
        ("payment_terms", "terms_code"),
    ):
        code = suppliers.c[column]
        query = sa.select(code, sa.cast(sa.null(), sa.Date), sa.func.count()).where(
            suppliers.c.connection == context.connection.name, code.is_not(None)
        )
        if context.connection.policies.supplier_scope == "used":
            query = query.where(_is_used(suppliers))
        yield table, query.group_by(code)


def _is_used(suppliers: sa.Table) -> sa.ColumnElement[bool]:
    return sa.or_(
        *[
            sa.exists().where(
                source.c.connection == suppliers.c.connection,
                source.c.supplier == suppliers.c.supplier,
            )
            for source in (SYSPRO["invoices"], SYSPRO["purchase_orders"])
        ]
    )


def findings(
    connection: sa.Connection, files: MappingFiles, context: PlanContext, books: Books
) -> list[MappingProblem]:
    """Return everything there is to say of a connection's mapping files.

    Args:
        connection: our database, with the staged tables.
        files: the files as they were read.
        context: settings and the mapping of the files.
        books: what Cin7 has.
    """
    return [
        *row_problems(files, context, books),
        *coverage_problems(connection, coverage(connection, context), files, context),
    ]


def row_problems(
    files: MappingFiles, context: PlanContext, books: Books
) -> list[MappingProblem]:
    """Return what is wrong with rows by themselves, by the settings, and by Cin7."""
    return [
        *files.problems,
        *check_against_connection(files, context.connection),
        *check_against_cin7(files, books, context.connection),
    ]


def coverage_problems(
    connection: sa.Connection, found: Coverage, files: MappingFiles, context: PlanContext
) -> list[MappingProblem]:
    """Return the codes without a row, then the rows without a code, which are warnings."""
    problems = [_unmapped(use, files, context) for use in found.unmapped()]
    if found.uses:
        problems += _unused(found, files)
        problems += _not_in_chart(connection, files, context)
    return problems


def _unmapped(use: CodeUse, files: MappingFiles, context: PlanContext) -> MappingProblem:
    local = context.connection.syspro.local_currency
    what = "posting(s)" if use.table == "gl_accounts" else "document(s)"
    amount = f" over {use.unmapped_amount:.2f} {local}" if use.unmapped_amount else ""
    other = f"{use.unmapped_rows} {what}{amount}"
    kind = "unmapped"
    if len(use.missing) < len(use.days):
        days = sorted(day for day in use.missing if day is not None)
        kind, other = "outside_period", f"{other}, from {days[0]} to {days[-1]}"
    column = KEY_COLUMNS[use.table]
    return MappingProblem(files.file(use.table), 0, column, use.code, kind, other)


def _unused(found: Coverage, files: MappingFiles) -> Iterator[MappingProblem]:
    for name, table in files.tables.items():
        column = KEY_COLUMNS[name]
        for line, row in cells_of(table):
            if row.get("role") == "payable":
                continue  # its postings are the other side; many a view leaves them out
            match = (row["match"],) if "match" in row else ()
            days = found.used.get((name, *match, row[column]), set())
            if not any(_covers(row, day) for day in days):
                yield MappingProblem(files.file(name), line, column, row[column], "unused")


def _covers(row: Mapping[str, str], day: date | None) -> bool:
    if day is None:
        return True
    text = day.isoformat()
    return (row["valid_from"] or text) <= text <= (row["valid_to"] or text)


def _not_in_chart(
    connection: sa.Connection, files: MappingFiles, context: PlanContext
) -> Iterator[MappingProblem]:
    chart = SYSPRO["gl_accounts"]
    query = sa.select(chart.c.gl_code).where(chart.c.connection == context.connection.name)
    codes = set(connection.execute(query).scalars())
    table = files.tables.get("gl_accounts")
    if table is None or not codes:
        return
    for line, row in cells_of(table):
        if row["match"] == "exact" and row["syspro_code"] not in codes:
            file, code = files.file("gl_accounts"), row["syspro_code"]
            yield MappingProblem(file, line, "syspro_code", code, "not_in_chart")
