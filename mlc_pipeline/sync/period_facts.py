"""What our database knows of a period: the facts that its tie-out is made from.

What must not come in: comparing, HTTP, Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.tables import CIN7, MAPPING, PUSH, documents, writes
from mlc_pipeline.staging.tie_out_tables import seen_purchases
from mlc_pipeline.sync import staged
from mlc_pipeline.sync.booked import header_rate, sent_version
from mlc_pipeline.sync.invoices import invoice_key
from mlc_pipeline.sync.journals import is_distribution
from mlc_pipeline.sync.period import Entry, Facts, Judged, Ours, Period
from mlc_pipeline.sync.plan import PlanContext
from mlc_pipeline.sync.rows import PostingRow
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.vocabulary import Kind, Outcome

_CHUNK = 5000
_KINDS = (Kind.INVOICE, Kind.CREDIT_NOTE)
_CLOCK_TOLERANCE = timedelta(seconds=2)
_CLOCKS_AGREE_WITHIN = timedelta(minutes=10)


def load_facts(
    connection: sa.Connection,
    name: str,
    period: Period,
    context: PlanContext,
    entries: Sequence[Entry],
) -> Facts:
    """Return what is known of a period.

    Args:
        connection: our database.
        name: the connection.
        period: the days.
        context: mappings, references, policies.
        entries: Cin7's ledger of the period; it may name documents of other periods.
    """
    postings = staged.postings_in(connection, Window(name, period.first, period.last))
    rows = _document_rows(connection, name, period, postings, entries)
    rates = purchase_rates(connection, name, rows)
    links = _supplier_links(connection, name)
    ids = {code: cin7_id for cin7_id, code in links.items()}
    drafts_booked = {entry.task for entry in entries}
    found = {}
    for key, row in rows.items():
        supplier = key.partition("|")[0]
        status = (row.answered or {}).get("status")
        found[key] = Ours(
            key,
            Kind(row.kind),
            supplier,
            sent_version(Kind(row.kind), row.content, rates[key]),
            row.cin7_id,
            row.task_id,
            row.cin7_number,
            ids.get(supplier),
            is_draft=status == "DRAFT" and row.task_id not in drafts_booked,
            is_sure=row.content_hash is not None,
            dated=_original_date(row.content),
        )
    _add_their_postings(connection, name, found)
    keys = {invoice_key(p.supplier, p.invoice) for p in postings}
    stray = {p.key for p in postings if not is_distribution(p)}
    accounts, codes = CIN7["accounts"], MAPPING["gl_accounts"]
    of_mapping = sa.select(codes.c.cin7_account, codes.c.role).where(codes.c.connection == name)
    mapped = list(connection.execute(of_mapping))
    of_cin7 = sa.select(
        accounts.c.code, accounts.c.account_type, accounts.c.system_account
    ).where(accounts.c.connection == name)
    chart = list(connection.execute(of_cin7))
    return Facts(
        period,
        context,
        postings,
        found,
        _judged(connection, name, {*keys, *stray, *found}),
        payables=frozenset(
            {
                context.connection.defaults.accounts_payable,
                *(r.cin7_account for r in mapped if r.role == "payable"),
                *(r.code for r in chart if _is_payables(r.system_account)),
            }
        ),
        banks=frozenset(r.code for r in chart if (r.account_type or "").upper() == "BANK"),
        booked_on=frozenset(r.cin7_account for r in mapped if r.role != "payable"),
        suppliers=links,
    )


def _original_date(content: Mapping[str, Any]) -> date | None:
    """Return the date in SYSPRO of a document that was dated otherwise in Cin7."""
    given = content.get("original_date")
    return date.fromisoformat(given) if given else None


def _is_payables(system_account: str | None) -> bool:
    return (system_account or "").casefold().replace(" ", "") == "accountspayable"


def _document_rows(
    connection: sa.Connection,
    name: str,
    period: Period,
    postings: Iterable[PostingRow],
    entries: Sequence[Entry],
) -> dict[str, Any]:
    """Return the written documents that a period concerns, by source key."""
    table = documents
    first, last = str(period.first), str(period.last)
    dated = sa.or_(
        table.c.home.between(period.first, period.last),
        table.c.content["invoice_date"].astext.between(first, last),
        table.c.content["credit_date"].astext.between(first, last),
    )
    posted = {invoice_key(p.supplier, p.invoice) for p in postings}
    rows = {r.source_key: r for r in _select(connection, name, dated)}
    wanted: list[tuple[Any, Iterable[str]]] = [
        (table.c.source_key, posted - rows.keys()),
        (table.c.task_id, {e.task for e in entries} - {r.task_id for r in rows.values()}),
    ]
    for column, values in wanted:
        rows |= {r.source_key: r for r in _select_in(connection, name, column, values)}
    # What a stranger in the ledger may be a copy of.
    ours = {r.task_id for r in rows.values()}
    numbers = {e.reference.rpartition("/")[2] for e in entries if e.task not in ours}
    number = sa.func.split_part(table.c.source_key, "|", 2)
    rows |= {r.source_key: r for r in _select_in(connection, name, number, numbers)}
    purchases = {r.cin7_id for r in rows.values()}
    rows |= {r.source_key: r for r in _select_in(connection, name, table.c.cin7_id, purchases)}
    return rows


def _select(
    connection: sa.Connection, name: str, condition: sa.ColumnElement[bool]
) -> Iterator[Any]:
    table = documents
    columns = (
        "kind",
        "source_key",
        "cin7_id",
        "task_id",
        "cin7_number",
        "content",
        "content_hash",
        "answered",
    )
    query = sa.select(*[table.c[column] for column in columns]).where(
        table.c.connection == name,
        table.c.kind.in_(_KINDS),
        table.c.state == "done",
        table.c.cin7_id.is_not(None),
        # A document linked by a repair has no content until its day was run again.
        sa.or_(
            table.c.content["invoice_date"].astext.is_not(None),
            table.c.content["credit_date"].astext.is_not(None),
        ),
        condition,
    )
    yield from connection.execute(query)


def _select_in(
    connection: sa.Connection, name: str, column: Any, values: Iterable[str | None]
) -> Iterator[Any]:
    for chunk in _chunks(values):
        yield from _select(connection, name, column.in_(chunk))


def _chunks(values: Iterable[str | None]) -> Iterator[list[str]]:
    wanted = sorted({value for value in values if value})
    for start in range(0, len(wanted), _CHUNK):
        yield wanted[start : start + _CHUNK]


def purchase_rates(
    connection: sa.Connection, name: str, rows: Mapping[str, Any]
) -> dict[str, Decimal]:
    """Return the rate that each document's purchase was given.

    An invoice on an order has the order's, a credit note that of the invoice it names.

    Args:
        connection: our database.
        name: the connection.
        rows: something with the `content` as JSON, by source key.
    """
    orders = {(r.content or {}).get("purchase_order") for r in rows.values()}
    credited = {(r.content or {}).get("credited_invoice") for r in rows.values()}
    more = {
        r.source_key: r for r in _select_in(connection, name, documents.c.source_key, credited)
    }
    orders |= {(r.content or {}).get("purchase_order") for r in more.values()}
    of_orders: dict[str, Decimal] = {}
    for chunk in _chunks(orders):
        query = sa.select(documents.c.source_key, documents.c.content).where(
            documents.c.connection == name,
            documents.c.kind == Kind.PURCHASE_ORDER,
            documents.c.source_key.in_(chunk),
        )
        of_orders |= {r.source_key: header_rate(r.content) for r in connection.execute(query)}

    def rate(row: Any) -> Decimal:
        content = row.content or {}
        if content.get("credited_invoice") in more:
            return rate(more[content["credited_invoice"]])
        order = content.get("purchase_order")
        return of_orders.get(order, Decimal(1)) if order else header_rate(content)

    return {key: rate(row) for key, row in rows.items()}


def _add_their_postings(connection: sa.Connection, name: str, found: dict[str, Ours]) -> None:
    pairs = [tuple(key.split("|", 1)) for key in found]
    rows = staged.rows_by(
        connection, name, PostingRow, "postings", ("supplier", "invoice"), pairs
    )
    for pair, postings in staged.grouped(rows, "supplier", "invoice").items():
        key = invoice_key(*pair)
        own = tuple(p for p in postings if is_distribution(p))
        found[key] = replace(found[key], postings=own)


def _judged(connection: sa.Connection, name: str, keys: Iterable[str]) -> dict[str, Judged]:
    """Return the last outcome of documents and stray postings."""
    table, found = PUSH["invoices"], {}
    for chunk in _chunks(keys):
        query = (
            sa.select(table.c.source_key, table.c.outcome, table.c.reason_code, table.c.reason)
            .where(table.c.connection == name, table.c.source_key.in_(chunk))
            .distinct(table.c.source_key)
            .order_by(table.c.source_key, table.c.pushed_at.desc())
        )
        for row in connection.execute(query):
            found[row.source_key] = Judged(Outcome(row.outcome), row.reason_code, row.reason)
    return found


def _supplier_links(connection: sa.Connection, name: str) -> dict[str, str]:
    """Return the SYSPRO code of each Cin7 supplier id."""
    query = sa.select(documents.c.cin7_id, documents.c.source_key).where(
        documents.c.connection == name,
        documents.c.kind == Kind.SUPPLIER,
        documents.c.cin7_id.is_not(None),
    )
    return {row.cin7_id: row.source_key for row in connection.execute(query)}


# --- which purchases were touched after we wrote them ------------------------------------


class Touched:
    """Tells whether a purchase was touched in Cin7 after our last write to it.

    Cin7's clock is not ours: how far it is ahead follows from the purchases themselves, as
    most of them are as we left them. One that was found unchanged before need only have
    the same time stamp as then.
    """

    def __init__(
        self, connection: sa.Connection, name: str, listed: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Read when the listed purchases were written and when they were seen."""
        self._written = _written(connection, name, listed)
        query = sa.select(seen_purchases).where(seen_purchases.c.connection == name)
        self._seen = {r.cin7_id: r for r in connection.execute(query)}
        ahead = sorted(
            ahead
            for cin7_id, row in listed.items()
            if (ahead := self._ahead(cin7_id, str(row.get("LastUpdatedDate") or "")))
            is not None
        )
        # The lower quarter: purchases that were touched since are further ahead.
        self._usual = ahead[len(ahead) // 4] if ahead else timedelta(0)

    def _ahead(self, cin7_id: str, last_updated: str) -> timedelta | None:
        written, stamped = self._written.get(cin7_id), _moment(last_updated)
        return stamped - written if written and stamped else None

    def __call__(self, cin7_id: str, last_updated: str) -> bool:
        """Tell it of a purchase and its `LastUpdatedDate`."""
        seen, written = self._seen.get(cin7_id), self._written.get(cin7_id)
        if seen is not None and (written is None or seen.seen_at >= written):
            return bool(seen.last_updated != last_updated)
        ahead = self._ahead(cin7_id, last_updated)
        if ahead is None or abs(ahead) > _CLOCKS_AGREE_WITHIN:
            return True
        return ahead > self._usual + _CLOCK_TOLERANCE


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _written(
    connection: sa.Connection, name: str, purchases: Iterable[str]
) -> dict[str, datetime]:
    """Return when we last wrote to each purchase."""
    of_document = sa.and_(
        writes.c.connection == documents.c.connection,
        writes.c.kind == documents.c.kind,
        writes.c.source_key == documents.c.source_key,
    )
    found: dict[str, datetime] = {}
    for chunk in _chunks(purchases):
        query = (
            sa.select(documents.c.cin7_id, sa.func.max(writes.c.finished_at).label("at"))
            .select_from(documents.join(writes, of_document))
            .where(documents.c.connection == name, documents.c.cin7_id.in_(chunk))
            .group_by(documents.c.cin7_id)
        )
        found |= {row.cin7_id: row.at for row in connection.execute(query) if row.at}
    return found


def first_written(connection: sa.Connection, name: str, facts: Facts) -> datetime | None:
    """Return since when the purchases of a period must be listed: our first last write."""
    purchases = {
        d.cin7_id for d in facts.documents.values() if facts.period.covers(d.sent.dated)
    }
    return min(_written(connection, name, purchases).values(), default=None)
