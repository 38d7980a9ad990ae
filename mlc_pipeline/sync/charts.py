"""Both charts of accounts and what hangs on them, as the staged tables have them.

What must not come in: HTTP, Dagster, scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.tables import SYSPRO
from mlc_pipeline.sync.coverage import coverage
from mlc_pipeline.sync.plan import PlanContext
from mlc_pipeline.sync.proposals import SysproAccount, accounts_of


def syspro_chart(connection: sa.Connection, name: str) -> list[Mapping[str, Any]]:
    """Return the staged rows of SYSPRO's chart: gl_code, description, account_type."""
    table = SYSPRO["gl_accounts"]
    query = sa.select(table.c.gl_code, table.c.description, table.c.account_type).where(
        table.c.connection == name
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def syspro_accounts(
    connection: sa.Connection, context: PlanContext, chart: Iterable[Mapping[str, Any]]
) -> list[SysproAccount]:
    """Return SYSPRO's accounts with the money of the staged postings on each.

    Args:
        connection: our database.
        context: settings and mapping.
        chart: rows with gl_code, description and account_type, staged or live.
    """
    uses = {
        use.code: (use.rows, use.amount)
        for use in coverage(connection, context).uses
        if use.table == "gl_accounts"
    }
    taxes = SYSPRO["tax_codes"]
    query = sa.select(taxes.c.gl_code).where(
        taxes.c.connection == context.connection.name, taxes.c.gl_code.is_not(None)
    )
    return accounts_of(
        (
            (row["gl_code"], row["description"] or "", row["account_type"] or "")
            for row in chart
        ),
        uses,
        connection.execute(query).scalars(),
        context.connection.syspro.gl_code,
    )
