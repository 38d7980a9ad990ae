"""Closed periods: a fingerprint of each day, and what changed in SYSPRO since.

The fingerprint is over the staged rows of a day, so it says what SYSPRO showed when the day
was last read: the invoices dated and the postings posted in it. What a payment changes (the
balance) is not part of it.

What must not come in: HTTP, Dagster, policies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.tables import SYSPRO
from mlc_pipeline.staging.tie_out_tables import closings
from mlc_pipeline.sync.money import ZERO

_INVOICE = (
    "supplier",
    "invoice",
    "invoice_date",
    "due_date",
    "reference",
    "value",
    "currency",
    "exchange_rate",
    "mul_div",
    "tax_code",
)
_POSTING = (
    "posting_year",
    "posting_month",
    "journal",
    "entry_number",
    "sub_entry",
    "supplier",
    "invoice",
    "posting_type",
    "post_date",
    "gl_code",
    "amount",
    "reference",
)


@dataclass
class Fingerprint:
    """What a day looked like.

    Attributes:
        rows: how many invoices and postings.
        amount: sum of the postings, local currency.
        documents: per document ("supplier|invoice") its own hash and its postings' sum.
    """

    rows: int = 0
    amount: Decimal = ZERO
    documents: dict[str, tuple[str, Decimal]] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 over the documents."""
        text = json.dumps(sorted((key, own) for key, (own, _) in self.documents.items()))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class ChangeSince:
    """A document that is not, in a closed day, what it was at the closing.

    `what` is appeared, changed or left; the amounts are the sums of its postings there.
    """

    day: date
    document: str
    what: str
    before: Decimal
    after: Decimal
    closed_at: datetime


def day_fingerprints(
    connection: sa.Connection, name: str, first: date, last: date
) -> dict[date, Fingerprint]:
    """Return the fingerprint of every day from first to last, days without rows too.

    Args:
        connection: our database.
        name: the connection.
        first: first day.
        last: last day, included.
    """
    rows: dict[tuple[date, str], list[str]] = {}
    sums: dict[tuple[date, str], Decimal] = {}
    for entity, columns in (("invoices", _INVOICE), ("postings", _POSTING)):
        for row in _rows(connection, name, entity, columns, first, last):
            key = (row.partition, f"{row.supplier}|{row.invoice}")
            values = [None if v is None else str(v) for v in row[1:]]
            rows.setdefault(key, []).append(json.dumps([entity, *values]))
            if entity == "postings":
                sums[key] = sums.get(key, ZERO) + (row.amount or ZERO)
    days = {first + timedelta(days=n): Fingerprint() for n in range((last - first).days + 1)}
    for (day, document), texts in rows.items():
        found = days[day]
        own = hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()
        found.documents[document] = (own, sums.get((day, document), ZERO))
        found.rows += len(texts)
        found.amount += sums.get((day, document), ZERO)
    return days


def _rows(
    connection: sa.Connection,
    name: str,
    entity: str,
    columns: Iterable[str],
    first: date,
    last: date,
) -> Iterable[Any]:
    table = SYSPRO[entity]
    query = sa.select(table.c.partition, *[table.c[column] for column in columns]).where(
        table.c.connection == name, table.c.partition.between(first, last)
    )
    return connection.execute(query)


def record_closing(
    engine: sa.Engine, name: str, period: str, first: date, last: date
) -> datetime:
    """Record that a period is closed, with the fingerprint of each of its days.

    Raises:
        sqlalchemy.exc.IntegrityError: a day of it is closed already.
    """
    with engine.begin() as connection:
        closed_at: datetime = connection.execute(sa.select(sa.func.now())).scalar_one()
        days = day_fingerprints(connection, name, first, last)
        connection.execute(
            closings.insert(),
            [
                {
                    "connection": name,
                    "partition": day,
                    "closed_at": closed_at,
                    "period": period,
                    "rows": found.rows,
                    "amount": found.amount,
                    "hash": found.hash,
                    "documents": {
                        key: [own, str(amount)]
                        for key, (own, amount) in found.documents.items()
                    },
                }
                for day, found in days.items()
            ],
        )
    return closed_at


def reopen(engine: sa.Engine, name: str, first: date, last: date) -> int:
    """End the closing of some days; the record stays. Return how many days that were."""
    with engine.begin() as connection:
        done = connection.execute(
            closings.update()
            .where(
                closings.c.connection == name,
                closings.c.partition.between(first, last),
                closings.c.reopened_at.is_(None),
            )
            .values(reopened_at=sa.func.now())
        )
    return done.rowcount


def closed_days(
    connection: sa.Connection, name: str, first: date | None = None, last: date | None = None
) -> dict[date, Any]:
    """Return the closings that stand, by day: rows of `tie_out.closings`."""
    query = sa.select(closings).where(
        closings.c.connection == name, closings.c.reopened_at.is_(None)
    )
    if first is not None and last is not None:
        query = query.where(closings.c.partition.between(first, last))
    return {row.partition: row for row in connection.execute(query)}


def is_closed_now(connection: sa.Connection, name: str) -> frozenset[date]:
    """Return every day that is closed."""
    query = sa.select(closings.c.partition).where(
        closings.c.connection == name, closings.c.reopened_at.is_(None)
    )
    return frozenset(connection.execute(query).scalars())


def changed_days(
    connection: sa.Connection, name: str, first: date | None = None, last: date | None = None
) -> dict[date, list[ChangeSince]]:
    """Return the closed days that are not what they were, each with what changed.

    This is what a sensor asks after SYSPRO was read: the days need a run, or a person.

    Args:
        connection: our database.
        name: the connection.
        first: first day to look at; with `last`, else all.
        last: last day to look at, included.
    """
    standing = closed_days(connection, name, first, last)
    if not standing:
        return {}
    now = day_fingerprints(connection, name, min(standing), max(standing))
    found = {}
    for day, closing in sorted(standing.items()):
        if now[day].hash != closing.hash:
            found[day] = list(_changes(day, closing, now[day]))
    return found


def _changes(day: date, closing: Any, now: Fingerprint) -> Iterable[ChangeSince]:
    before: Mapping[str, list[str]] = closing.documents
    for document in sorted({*before, *now.documents}):
        old, new = before.get(document), now.documents.get(document)
        if old is not None and new is not None and old[0] == new[0]:
            continue
        what = "appeared" if old is None else "left" if new is None else "changed"
        yield ChangeSince(
            day,
            document,
            what,
            Decimal(old[1]) if old else ZERO,
            new[1] if new else ZERO,
            closing.closed_at,
        )
