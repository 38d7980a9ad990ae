"""Many keys at once: the rows that have one of them, and no others."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.staging.keys import among
from mlc_pipeline.staging.load import Stamp, upsert
from mlc_pipeline.staging.tables import SYSPRO

LINES = SYSPRO["purchase_order_lines"]
COLUMNS = [LINES.c.purchase_order, LINES.c.line]


@pytest.fixture
def staged(engine: sa.Engine) -> sa.Engine:
    stamp = Stamp("keys", "run")
    rows: list[dict[str, Any]] = [
        {
            "connection": stamp.connection,
            "run_id": stamp.run_id,
            "purchase_order": order,
            "line": Decimal(line),
        }
        for order in ("0001", "1", 'it\'s "{odd}", \\')
        for line in (1, 2)
    ]
    with engine.begin() as connection:
        upsert(connection, LINES, rows)
    return engine


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [("1", Decimal(2))],
        # A key is whole: neither half of one and half of another, nor without its zeros.
        [("0001", Decimal(1)), ("1", Decimal(2))],
        [('it\'s "{odd}", \\', Decimal(1)), ("none", Decimal(1))],
        [("1", Decimal(1)), ("1", Decimal(1))],
    ],
)
def test_rows_with_one_of_the_keys_are_found_and_no_others(
    staged: sa.Engine, keys: list[tuple[str, Decimal]]
) -> None:
    query = sa.select(*COLUMNS).where(LINES.c.connection == "keys", among(COLUMNS, keys))
    with staged.connect() as connection:
        found = [tuple(row) for row in connection.execute(query)]
    assert sorted(found) == sorted({key for key in keys if key[0] != "none"})
