"""Pandera schemas of staged frames, derived from the entities.

What must not come in: the mapping tables' schemas (they stand in `connection`), Dagster.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pandera.pandas as pa
import sqlalchemy as sa
from pandera.errors import SchemaErrors

from mlc_pipeline.staging.load import Stamp
from mlc_pipeline.staging.tables import SYSPRO
from mlc_pipeline.syspro.entities import SCALES, Column, Entity


def staged_frame(connection: sa.Connection, entity: str, stamp: Stamp) -> pd.DataFrame:
    """Return the rows that one run staged: object columns of str, Decimal and date."""
    table = SYSPRO[entity]
    query = sa.select(table).where(
        table.c.connection == stamp.connection, table.c.run_id == stamp.run_id
    )
    rows = [dict(row._mapping) for row in connection.execute(query)]
    return pd.DataFrame(rows, columns=[c.name for c in table.columns], dtype=object)


def entity_schema(entity: Entity) -> pa.DataFrameSchema:
    """Return the schema of an entity's staged frame."""
    return pa.DataFrameSchema(
        {column.name: _column(column, entity) for column in entity.columns},
        unique=list(entity.key),
        strict=False,
    )


def _column(column: Column, entity: Entity) -> pa.Column:
    is_key = column.name in entity.key
    checks = [] if column.kind not in SCALES else [_fits(*SCALES[column.kind])]
    if is_key and column.kind == "key":
        # A blank part of a key is a key that SYSPRO never made.
        checks.append(pa.Check(lambda s: s.str.strip() != "", name="not blank"))
    return pa.Column(object, checks, nullable=not is_key)


def _fits(precision: int, scale: int) -> pa.Check:
    limit = Decimal(10) ** (precision - scale)

    def fits(value: Any) -> bool:
        return (
            isinstance(value, Decimal) and abs(value) < limit and value == round(value, scale)
        )

    return pa.Check(fits, element_wise=True, name=f"decimal({precision},{scale})")


def problems(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what in a frame the schema does not allow: row, column, found, expected."""
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        return [
            {"row": i, "column": c, "found": f, "expected": e}
            for i, c, f, e in zip(
                cases["index"],
                cases["column"],
                cases["failure_case"],
                cases["check"],
                strict=True,
            )
        ]
    return []
