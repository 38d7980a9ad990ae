"""Conditions over many keys at once.

PostgreSQL compares a list of key pairs with every row, one after the other; a table of
pairs it joins by hash. Thousands of keys are the ordinary case here.

What must not come in: which keys are wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY


def among(
    columns: Sequence[sa.ColumnElement[Any]], keys: Iterable[Sequence[Any]]
) -> sa.ColumnElement[bool]:
    """Return the condition that some columns have one of the given values together.

    Args:
        columns: the columns, of one table.
        keys: values of the columns, one sequence a key; none makes the condition false.
    """
    values = list(zip(*keys, strict=True)) or [()] * len(columns)
    arrays = [
        sa.cast(list(each), ARRAY(column.type))
        for column, each in zip(columns, values, strict=True)
    ]
    names = [f"key_{place}" for place in range(len(columns))]
    wanted = sa.func.unnest(*arrays).table_valued(*names).render_derived()
    return sa.tuple_(*columns).in_(sa.select(*[wanted.c[name] for name in names]))
