"""The mapping files as a plan's look-ups: as of today, and as of a document's day.

What must not come in: SQL, HTTP, reading files.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from mlc_pipeline.connection.mappings import AccountMapping, CodeMapping
from mlc_pipeline.connection.mappings import Mappings as MappingFiles
from mlc_pipeline.connection.model import Connection, GlCode
from mlc_pipeline.sync.plan import Mappings, PlanContext

_NOTHING = CodeMapping({})
NO_MAPPINGS = Mappings(
    AccountMapping({}, GlCode(separator="", account_section=1)),
    _NOTHING,
    _NOTHING,
    _NOTHING,
    _NOTHING,
    _NOTHING,
)
"""Look-ups that know nothing, for a context whose files are not read yet."""


def today_of(connection: Connection) -> date:
    """Return today in a connection's time zone."""
    return datetime.now(ZoneInfo(connection.time_zone)).date()


def mappings_on(files: MappingFiles, connection: Connection, on: date) -> Mappings:
    """Return the look-ups of a connection's files on a day; their bad rows map nothing."""
    return Mappings(
        accounts=files.account_mapping(connection, on),
        cost_centres=files.code_mapping("cost_centres", connection, on),
        tax_codes=files.code_mapping("tax_codes", connection, on),
        payment_terms=files.code_mapping("payment_terms", connection, on),
        currencies=files.code_mapping("currencies", connection, on),
        warehouses=files.code_mapping("warehouses", connection, on),
    )


def mapped_context(context: PlanContext, files: MappingFiles) -> PlanContext:
    """Return a context with what its connection's files say, and the mapping's history."""
    connection = context.connection

    @lru_cache(maxsize=512)
    def on(day: date) -> Mappings:
        return mappings_on(files, connection, day)

    return replace(
        context,
        mappings=on(today_of(connection)),
        history=on if files.is_dated else None,
        dated=None,
        supplier_links=files.supplier_links,
    )
