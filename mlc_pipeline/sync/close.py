"""Closing a period: what is read for it, whether it is ready, what a report is made from.

Few calls: the ledger of the period and the purchase list by pages of a thousand rows, then
only the purchases of which one of them says something else than was sent.

What must not come in: HTTP, Dagster, how a report looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from mlc_pipeline.cin7.errors import NotFound
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.staging.load import upsert
from mlc_pipeline.staging.operations import read_days
from mlc_pipeline.staging.tables import CIN7, PUSH, SYSPRO, documents, writes
from mlc_pipeline.staging.tie_out_tables import seen_purchases, tied_days
from mlc_pipeline.sync.causes import MEANINGS
from mlc_pipeline.sync.closings import ChangeSince, changed_days, closed_days
from mlc_pipeline.sync.ledger import OPEN
from mlc_pipeline.sync.money import ZERO, to_base
from mlc_pipeline.sync.period import (
    Cin7Books,
    Difference,
    Entry,
    Facts,
    Period,
    PeriodTieOut,
    strangers,
    suspects,
    tie_out_period,
)
from mlc_pipeline.sync.period_facts import Touched, first_written, load_facts
from mlc_pipeline.sync.plan import Hold, PlanContext
from mlc_pipeline.sync.target import Answer
from mlc_pipeline.sync.vocabulary import Kind, Outcome

_CLOCK_MARGIN = timedelta(hours=1)
_COPIES_LOOKED_FOR = 50
"""At most so many purchases that are not ours are looked up by their number."""

Progress = Callable[[int, int], None]


class Reader(Protocol):
    """The calls of Cin7 that closing makes; all of them only read."""

    def transactions(self, first: date, last: date, /) -> Iterable[Answer]:
        """Read the ledger, both days included."""

    def purchases(
        self, updated_since: datetime | None = None, search: str | None = None
    ) -> Iterable[Answer]:
        """Read the rows of the purchase list."""

    def purchase(self, purchase_id: str, /) -> Answer:
        """Read a whole purchase; raises NotFound."""


@dataclass(frozen=True)
class Stopped:
    """A document that is not in Cin7 at the end of the period, local currency."""

    document: str
    supplier: str
    outcome: str
    reason_code: str
    reason: str
    home: date | None
    amount: Decimal

    def age(self, at: date) -> int | None:
        """Return how many days it is old; None when it has no date."""
        return None if self.home is None else max((at - self.home).days, 0)


@dataclass
class Closing:
    """Everything that is known of a period's close.

    Attributes:
        connection: name of the connection.
        period: the days.
        currency: ISO code of all amounts.
        at: when it was compared.
        tie_out: the comparison.
        reasons: why the period is not ready to close; empty when it is.
        stopped: what is held, waiting or failed, dated up to the period's end.
        changed: what changed in SYSPRO since the period was closed.
        closed_at: when it was closed; None when it is open.
        unread: days that are over, and that no run has read, planned, pushed and compared
            since they ended.
        as_of: when SYSPRO was read, at the day that was read longest ago.
        suppliers: names by SYSPRO code.
        accounts: names by Cin7 code.
        calls: how many calls of Cin7 were made.
        listed: purchases in the list.
        entries: rows of Cin7's ledger.
        read: purchases read whole, each with why.
    """

    connection: str
    period: Period
    currency: str
    at: datetime
    tie_out: PeriodTieOut
    reasons: list[str] = field(default_factory=list)
    stopped: list[Stopped] = field(default_factory=list)
    changed: list[ChangeSince] = field(default_factory=list)
    closed_at: datetime | None = None
    unread: list[date] = field(default_factory=list)
    as_of: datetime | None = None
    suppliers: Mapping[str, str] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)
    listed: int = 0
    entries: int = 0
    read: Mapping[str, str] = field(default_factory=dict)
    calls: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether the period may be closed, or is closed and unchanged."""
        return not self.reasons


def examine(
    engine: sa.Engine,
    name: str,
    period: Period,
    context: PlanContext,
    cin7: Reader,
    *,
    now: datetime,
    full: bool = False,
    progress: Progress = lambda _done, _all: None,
) -> Closing:
    """Tie out a period and say whether it is ready to close.

    Args:
        engine: our database.
        name: the connection.
        period: the days; those before the connection's start do not count.
        context: mappings, references, policies.
        cin7: reads Cin7.
        now: the moment, with its zone: today decides whether the period is over.
        full: read every purchase of the period, not only those that look otherwise.
        progress: told of each purchase read.
    """
    entries = [Entry.read(row) for row in cin7.transactions(period.first, period.last)]
    with engine.connect() as connection:
        facts = load_facts(connection, name, period, context, entries)
        since = first_written(connection, name, facts)
        listed = {}
        if since is not None:
            rows = cin7.purchases(updated_since=since - _CLOCK_MARGIN)
            listed = {str(row["ID"]): row for row in rows}
        books = Cin7Books(entries, listed)
        doubtful = suspects(facts, books, Touched(connection, name, listed), full=full)
    for number, purchase_id in enumerate(sorted(doubtful), start=1):
        books.purchases[purchase_id] = _purchase(cin7, purchase_id)
        progress(number, len(doubtful))
    books.copies = dict(_copies(cin7, facts, books))
    tie_out = tie_out_period(facts, books)
    closing = Closing(name, period, context.references.base_currency, now, tie_out)
    closing.listed, closing.entries, closing.read = len(listed), len(entries), doubtful
    with engine.connect() as connection:
        _read_rest(connection, closing, context)
        begun = _open_writes(connection, name, period)
    closing.reasons = _reasons(closing, begun, now.date())
    _note_seen(engine, name, facts, books, tie_out.differences)
    return closing


def _purchase(cin7: Reader, purchase_id: str) -> Answer | None:
    try:
        return cin7.purchase(purchase_id)
    except NotFound:
        return None


def _copies(cin7: Reader, facts: Facts, books: Cin7Books) -> Iterable[tuple[str, Answer]]:
    """Yield the purchases of ledger entries that are not ours and bear one of our numbers."""
    known = {d.cin7_id for d in facts.documents.values()}
    read = [p for p in books.purchases.values() if p is not None]
    tasks = {str(b.get("TaskID")) for p in read for b in _parts(p)}
    numbers = {d.sent.number.casefold() for d in facts.documents.values()}
    looked_for = 0
    for task, entries in sorted(strangers(facts, books.entries).items()):
        number = entries[0].reference.rpartition("/")[2]
        if task in tasks or number.casefold() not in numbers:
            continue
        looked_for += 1
        if looked_for > _COPIES_LOOKED_FOR:
            return
        yield from _search(cin7, number, task, known)


def _search(
    cin7: Reader, number: str, task: str, known: set[str]
) -> Iterable[tuple[str, Answer]]:
    for row in cin7.purchases(search=number):
        if str(row["ID"]) in known:
            continue
        purchase = _purchase(cin7, str(row["ID"]))
        if purchase and any(str(part.get("TaskID")) == task for part in _parts(purchase)):
            yield task, purchase
            return


def _parts(purchase: Answer) -> Sequence[Mapping[str, Any]]:
    return [*(purchase.get("Invoice") or ()), *(purchase.get("CreditNote") or ())]


# --- whether it is ready -------------------------------------------------------------------


def _reasons(closing: Closing, begun: Sequence[str], today: date) -> list[str]:
    """Return why a period is not ready to close, in words of finance."""
    period, found = closing.period, []
    if period.last >= today:
        found.append(f"The period is not over: it ends on {period.last}.")
    if closing.unread:
        found.append(
            f"{len(closing.unread)} day(s) were not read from SYSPRO since they ended, the "
            f"first is {closing.unread[0]}: run `mlc sync {closing.connection} --from "
            f"{closing.unread[0]} --to {closing.unread[-1]}`."
        )
    if begun:
        found.append(
            f"{len(begun)} write(s) to Cin7 have no known outcome ({', '.join(begun[:3])}): "
            "run the days again."
        )
    found += _of_causes(closing)
    left = closing.tie_out.unexplained()
    if left:
        account, amount = next(iter(left.items()))
        found.append(f"{amount:.2f} on account {account} is not explained at all.")
    if closing.changed:
        found.append(
            f"{len(closing.changed)} document(s) changed in SYSPRO since the period was "
            f"closed: {', '.join(sorted({c.document for c in closing.changed})[:3])}."
        )
    return found


def _of_causes(closing: Closing) -> Iterable[str]:
    groups: dict[Any, list[Difference]] = {}
    for difference in closing.tie_out.blocking():
        groups.setdefault(difference.cause, []).append(difference)
    for cause in (cause for cause in MEANINGS if cause in groups):
        differences = groups[cause]
        named = sorted({d.document for d in differences})
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        taken = -sum((d.amount for d in differences if d.amount < 0), ZERO)
        given = sum((d.amount for d in differences if d.amount > 0), ZERO)
        yield (
            f"{MEANINGS[cause].meaning.rstrip('.')}: {len(named)} document(s), "
            f"{max(taken, given):,.2f} {closing.currency} moved ({', '.join(named[:3])}{more})."
        )


def _open_writes(connection: sa.Connection, name: str, period: Period) -> list[str]:
    of_document = sa.and_(
        writes.c.connection == documents.c.connection,
        writes.c.kind == documents.c.kind,
        writes.c.source_key == documents.c.source_key,
    )
    query = (
        sa.select(writes.c.source_key)
        .select_from(writes.join(documents, of_document))
        .where(
            writes.c.connection == name,
            writes.c.state.in_(OPEN),
            documents.c.kind.in_([Kind.INVOICE, Kind.CREDIT_NOTE]),
            documents.c.home.between(period.first, period.last),
        )
        .order_by(writes.c.source_key)
    )
    return list(connection.execute(query).scalars())


def _read_rest(connection: sa.Connection, closing: Closing, context: PlanContext) -> None:
    """Read what the report shows beside the comparison."""
    name, period = closing.connection, closing.period
    closing.stopped = _stopped(connection, name, period, context)
    standing = closed_days(connection, name, period.first, period.last)
    if standing:
        closing.closed_at = max(row.closed_at for row in standing.values())
        changed = changed_days(connection, name, period.first, period.last)
        closing.changed = [change for found in changed.values() for change in found]
    read = _read_at(connection, name, period)
    closing.as_of = min(read.values(), default=None)
    closing.unread = _unread(read, closing, context.connection)
    suppliers, accounts = SYSPRO["suppliers"], CIN7["accounts"]
    closing.suppliers = dict(
        connection.execute(
            sa.select(suppliers.c.supplier, suppliers.c.name).where(
                suppliers.c.connection == name, suppliers.c.name.is_not(None)
            )
        )
        .tuples()
        .all()
    )
    closing.accounts = dict(
        connection.execute(
            sa.select(accounts.c.code, accounts.c.name).where(
                accounts.c.connection == name, accounts.c.name.is_not(None)
            )
        )
        .tuples()
        .all()
    )


def _read_at(connection: sa.Connection, name: str, period: Period) -> dict[date, datetime]:
    """Return when SYSPRO was read for each day that was also compared."""
    invoices, postings = read_days.alias(), read_days.alias()
    day = tied_days.c.partition

    def of(table: sa.FromClause, entity: str) -> sa.ColumnElement[bool]:
        return sa.and_(table.c.connection == name, table.c.entity == entity, table.c.day == day)

    query = (
        sa.select(
            day,
            sa.func.least(invoices.c.read_at, postings.c.read_at, tied_days.c.compared_at),
        )
        .join(invoices, of(invoices, "invoices"))
        .join(postings, of(postings, "postings"))
        .where(tied_days.c.connection == name, day.between(period.first, period.last))
    )
    return dict(connection.execute(query).tuples().all())


def _unread(
    read: Mapping[date, datetime], closing: Closing, settings: Connection
) -> list[date]:
    """Return the days that are over and that SYSPRO was not read for since.

    What is entered on a day after it was read is not staged, so it would be missed.
    """
    zone = ZoneInfo(settings.time_zone)
    first = max(closing.period.first, settings.start_date)
    count = (closing.period.last - first).days + 1
    found = []
    for day in (first + timedelta(days=n) for n in range(count)):
        over = datetime.combine(day + timedelta(days=1), time.min, zone)
        if over <= closing.at and (day not in read or read[day] < over):
            found.append(day)
    return found


_STOPPED = (Outcome.HELD, Outcome.WAITING, Outcome.FAILED)


def _stopped(
    connection: sa.Connection, name: str, period: Period, context: PlanContext
) -> list[Stopped]:
    """Return what is not in Cin7, dated up to the end of the period, the oldest first."""
    table, invoices = PUSH["invoices"], SYSPRO["invoices"]
    latest = (
        sa.select(table)
        .where(table.c.connection == name)
        .distinct(table.c.source_key)
        .order_by(table.c.source_key, table.c.pushed_at.desc())
        .subquery()
    )
    key = invoices.c.supplier + "|" + invoices.c.invoice
    joined = latest.outerjoin(
        invoices, sa.and_(invoices.c.connection == name, key == latest.c.source_key)
    )
    query = sa.select(
        latest,
        invoices.c.invoice_date,
        invoices.c.exchange_rate,
        invoices.c.mul_div,
        invoices.c.currency.label("invoice_currency"),
    ).select_from(joined)
    found = []
    for row in connection.execute(query.where(latest.c.outcome.in_(_STOPPED))):
        home = row.invoice_date or row.partition
        if home > period.last:
            continue
        found.append(
            Stopped(
                row.source_key,
                row.supplier or row.source_key.partition("|")[0],
                row.outcome,
                row.reason_code or "",
                row.reason or "",
                row.invoice_date,
                _local(row, context),
            )
        )
    return sorted(found, key=lambda s: (s.home or date.min, s.document))


def _local(row: Any, context: PlanContext) -> Decimal:
    """Return the amount of a stopped document in local currency."""
    try:
        is_local = context.currency(row.invoice_currency) == context.references.base_currency
    except Hold:
        is_local = False
    if is_local or row.exchange_rate is None:
        return Decimal(row.amount)
    return to_base(row.amount, row.exchange_rate, row.mul_div)


def _note_seen(
    engine: sa.Engine,
    name: str,
    facts: Facts,
    books: Cin7Books,
    differences: Iterable[Difference],
) -> None:
    """Remember the purchases that are as we wrote them, by their time stamp."""
    blocked = {d.cin7_id for d in differences if d.blocks}
    ours = {d.cin7_id for d in facts.documents.values() if facts.period.covers(d.sent.dated)}
    # An earlier row's moment would stay behind a write of ours: each is set anew.
    with engine.begin() as connection:
        seen_at = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        rows = [
            {
                "connection": name,
                "cin7_id": cin7_id,
                "last_updated": str(books.listed[cin7_id].get("LastUpdatedDate") or ""),
                "seen_at": seen_at,
            }
            for cin7_id in sorted((ours & books.listed.keys()) - blocked)
        ]
        upsert(connection, seen_purchases, rows)
