"""Where is my invoice? The life of a document in both systems, found by any of its numbers.

A number may be a supplier's invoice number, a purchase order, a goods receipt, a SYSPRO
journal, a supplier code with an invoice number, a Cin7 order number, a Cin7 id or a task id.
Everything is read from our own tables: no call is made.

What must not come in: HTTP, Dagster, printing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.audit_tables import findings, holds
from mlc_pipeline.staging.tables import PLAN, PUSH, SYSPRO, documents, writes
from mlc_pipeline.sync import audit
from mlc_pipeline.sync.vocabulary import REASONS, Kind

_WIDTHS = range(1, 21)
"""Lengths of SYSPRO's keys, which it fills with zeros in front."""

_SHOWN = 25


@dataclass(frozen=True)
class Subject:
    """A document that a number names."""

    connection: str
    kind: Kind
    source_key: str


@dataclass
class Life:
    """Everything that is known of a document.

    Attributes:
        subject: the document.
        syspro: its rows in SYSPRO, `(table, row)`.
        plan: what is wanted of it, by day, the latest last.
        outcomes: what became of it, by day, the latest last.
        document: the ledger's record.
        hold: why it waits or is held now.
        attempts: each call that was intended for it, oldest first.
        events: the audit trail about it, oldest first.
        findings: where Cin7 is not as the ledger has it.
        related: documents that belong to it, with their state.
    """

    subject: Subject
    syspro: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    plan: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    document: dict[str, Any] | None = None
    hold: dict[str, Any] | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    related: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stands(self) -> str:
        """How it stands, in one sentence."""
        if self.hold is not None:
            reason = REASONS.get(self.hold["reason_code"] or "")
            meaning = reason.meaning if reason else "It failed."
            day = f"{self.hold['since']:%Y-%m-%d %H:%M}"
            return f"{self.hold['outcome']} since {day}: {meaning}"
        if self.findings:
            return f"{self.findings[0]['finding']} in Cin7: {self.findings[0]['detail']}"
        if self.document is not None:
            number = self.document["cin7_number"] or self.document["cin7_id"] or ""
            state = str(self.document["state"])
            return _STATES.get(state, state).format(number)
        if self.outcomes:
            last = self.outcomes[-1]
            return f"{last['outcome']}: {last['reason'] or last['reason_code'] or ''}"
        return "read from SYSPRO, not planned yet: no run has looked at its day"

    @property
    def who(self) -> str:
        """Who can do something about it."""
        if self.hold is not None:
            reason = REASONS.get(self.hold["reason_code"] or "")
            return reason.who if reason else "the integration engineer: see the run's log"
        return "whoever changed it in Cin7" if self.findings else "nobody needs to"

    @property
    def remedy(self) -> str | None:
        """What to do, when something is to be done."""
        reason = REASONS.get((self.hold or {}).get("reason_code") or "")
        return reason.remedy if reason else None


_STATES = {
    "started": "begun: its first call was intended, nothing of it is known to be in Cin7",
    "header_made": "half made in Cin7 ({0}): the next run goes on with it",
    "order_made": "half made in Cin7 ({0}): the next run goes on with it",
    "done": "in Cin7 ({0})",
    "voided": "void in Cin7 ({0}), as it was cancelled in SYSPRO",
}


def find(connection: sa.Connection, number: str, name: str | None = None) -> list[Subject]:
    """Return the documents that a number names, the closest first.

    Args:
        connection: reads.
        number: as a person has it: zeros in front may be missing, case does not matter.
        name: only of this connection.
    """
    text = number.strip()
    subjects: dict[Subject, None] = {}
    for query in (*_by_ids(text), *_by_syspro(text)):
        scoped = query.where(query.selected_columns[0] == name) if name else query
        for row in connection.execute(scoped.limit(_SHOWN)):
            subjects[Subject(row[0], Kind(row[1]), row[2])] = None
    return list(subjects)[:_SHOWN]


def _variants(text: str) -> list[str]:
    """Return a key as SYSPRO may have it: as written, upper case, filled with zeros."""
    bare = text.lstrip("0") or "0"
    found = {text, text.upper(), bare, bare.upper()}
    if re.fullmatch(r"\d+", text):
        found |= {bare.zfill(width) for width in _WIDTHS if width >= len(bare)}
    return sorted(found)


def _kind(kind: Kind) -> sa.ColumnElement[str]:
    return sa.literal(str(kind), sa.Text)


def _by_ids(text: str) -> list[sa.Select[Any]]:
    """Select (connection, kind, source key) by what Cin7 calls it, and by our own key."""
    columns = (documents.c.connection, documents.c.kind, documents.c.source_key)
    return [
        sa.select(*columns).where(documents.c.source_key.in_(_variants(text))),
        sa.select(*columns).where(documents.c.task_id.in_([text, text.lower()])),
        sa.select(*columns).where(documents.c.cin7_number.in_([text, text.upper()])),
        sa.select(*columns).where(documents.c.cin7_id.in_([text, text.lower()])),
        # What was never sent has no record in the ledger.
        sa.select(holds.c.connection, holds.c.kind, holds.c.source_key).where(
            holds.c.source_key.in_(_variants(text))
        ),
    ]


def _by_syspro(text: str) -> list[sa.Select[Any]]:
    """Select (connection, kind, source key) by what SYSPRO calls it."""
    invoices, orders = SYSPRO["invoices"], SYSPRO["purchase_orders"]
    receipts, postings = SYSPRO["receipts"], SYSPRO["postings"]
    names = _variants(text)
    key = invoices.c.supplier + "|" + invoices.c.invoice
    posted = postings.c.supplier + "|" + postings.c.invoice
    received = receipts.c.purchase_order + "|" + receipts.c.grn
    of_invoice = (invoices.c.connection, _invoice_kind(invoices), key)
    found = [
        sa.select(*of_invoice).where(invoices.c.invoice.in_(names)),
        sa.select(
            orders.c.connection, _kind(Kind.PURCHASE_ORDER), orders.c.purchase_order
        ).where(orders.c.purchase_order.in_(names)),
        sa.select(receipts.c.connection, _kind(Kind.RECEIPT), received)
        .distinct()
        .where(receipts.c.grn.in_(names), receipts.c.purchase_order.is_not(None)),
        sa.select(postings.c.connection, _kind(Kind.POSTING), posted)
        .distinct()
        .where(
            postings.c.invoice.in_(names),
            ~sa.exists().where(
                invoices.c.connection == postings.c.connection,
                invoices.c.supplier == postings.c.supplier,
                invoices.c.invoice == postings.c.invoice,
            ),
        ),
    ]
    if pair := re.fullmatch(r"(\S+?)[\s|/:]+(\S.*)", text):
        supplier, invoice = (_variants(part) for part in pair.groups())
        found.insert(
            0,
            sa.select(*of_invoice).where(
                invoices.c.supplier.in_(supplier), invoices.c.invoice.in_(invoice)
            ),
        )
    if re.fullmatch(r"\d{1,15}", text):
        found += [
            sa.select(*of_invoice).where(invoices.c.journal == int(text)),
            sa.select(postings.c.connection, _invoice_kind(postings), posted)
            .distinct()
            .where(postings.c.journal == int(text)),
        ]
    return found


def _invoice_kind(table: sa.Table) -> sa.ColumnElement[str]:
    """Return the kind that the ledger has an invoice as; an invoice when it has none."""
    key = table.c.supplier + "|" + table.c.invoice
    credit = sa.exists().where(
        documents.c.connection == table.c.connection,
        documents.c.kind == str(Kind.CREDIT_NOTE),
        documents.c.source_key == key,
    )
    return sa.case((credit, _kind(Kind.CREDIT_NOTE)), else_=_kind(Kind.INVOICE))


def life(connection: sa.Connection, subject: Subject) -> Life:
    """Read everything that is known of a document."""
    result = Life(subject)
    name, key = subject.connection, subject.source_key
    result.syspro = _syspro_rows(connection, subject)
    for tables, rows, time in (
        (PLAN, result.plan, "planned_at"),
        (PUSH, result.outcomes, "pushed_at"),
    ):
        for table in tables.values():
            query = sa.select(table).where(
                table.c.connection == name, table.c.source_key == key
            )
            rows += _rows(connection, query.order_by(table.c[time]))
    same = [
        (table.c.connection == name)
        & (table.c.kind == subject.kind)
        & (table.c.source_key == key)
        for table in (documents, holds, writes, findings)
    ]
    result.document = next(iter(_rows(connection, sa.select(documents).where(same[0]))), None)
    result.hold = next(iter(_rows(connection, sa.select(holds).where(same[1]))), None)
    attempts = sa.select(writes).where(same[2]).order_by(writes.c.id)
    result.attempts = _rows(connection, attempts)
    result.findings = _rows(connection, sa.select(findings).where(same[3]))
    result.events = [dict(e._mapping) for e in audit.trail_of(connection, name, [key])]
    result.related = _related(connection, subject, result)
    return result


def days_of(connection: sa.Connection, subject: Subject) -> set[date]:
    """Return the days whose replay judges a document again."""
    days: set[date] = set()
    tables = [*PLAN.values(), *PUSH.values(), holds]
    columns = [
        *((table, table.c.partition) for table in tables),
        (documents, documents.c.home),
    ]
    for table, column in columns:
        query = sa.select(column).where(
            table.c.connection == subject.connection,
            table.c.source_key == subject.source_key,
            column.is_not(None),
        )
        days |= set(connection.scalars(query))
    for _, row in _syspro_rows(connection, subject):
        if not days and row.get("partition"):
            days.add(row["partition"])
    return days


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in connection.execute(query)]


def _syspro_rows(
    connection: sa.Connection, subject: Subject
) -> list[tuple[str, dict[str, Any]]]:
    first, _, second = subject.source_key.partition("|")
    wanted: Sequence[tuple[str, dict[str, str]]]
    if subject.kind is Kind.SUPPLIER:
        wanted = [("suppliers", {"supplier": first})]
    elif subject.kind is Kind.PURCHASE_ORDER:
        order = {"purchase_order": first}
        wanted = [(t, order) for t in ("purchase_orders", "purchase_order_lines", "receipts")]
    elif subject.kind is Kind.RECEIPT:
        wanted = [("receipts", {"purchase_order": first, "grn": second})]
    else:
        pair = {"supplier": first, "invoice": second}
        wanted = [(t, pair) for t in ("invoices", "receipt_matches", "postings")]
    found = []
    for entity, values in wanted:
        table = SYSPRO[entity]
        query = sa.select(table).where(
            table.c.connection == subject.connection,
            *[table.c[column] == value for column, value in values.items()],
        )
        found += [(entity, row) for row in _rows(connection, query)]
    return found


def _related(connection: sa.Connection, subject: Subject, life: Life) -> list[dict[str, Any]]:
    """Return the documents on the same purchase, and the orders of an invoice's receipts."""
    columns = [
        documents.c[name]
        for name in ("kind", "source_key", "state", "cin7_number", "cin7_id", "task_id")
    ]
    conditions: list[sa.ColumnElement[bool]] = []
    cin7_id = (life.document or {}).get("cin7_id")
    if cin7_id and subject.kind is not Kind.SUPPLIER:
        conditions.append(documents.c.cin7_id == cin7_id)
    orders = _orders_of(connection, subject, life)
    if orders:
        conditions.append(
            (documents.c.kind == Kind.PURCHASE_ORDER) & documents.c.source_key.in_(orders)
        )
    if not conditions:
        return []
    query = sa.select(*columns).where(
        documents.c.connection == subject.connection,
        sa.or_(*conditions),
        sa.or_(
            documents.c.kind != str(subject.kind), documents.c.source_key != subject.source_key
        ),
    )
    return _rows(
        connection, query.order_by(documents.c.kind, documents.c.source_key).limit(_SHOWN)
    )


def _orders_of(connection: sa.Connection, subject: Subject, life: Life) -> list[str]:
    matches = [row for entity, row in life.syspro if entity == "receipt_matches"]
    if not matches:
        first = subject.source_key.partition("|")[0]
        return [first] if subject.kind is Kind.RECEIPT else []
    receipts = SYSPRO["receipts"]
    query = sa.select(receipts.c.purchase_order).distinct()
    found: Iterable[str | None] = connection.scalars(
        query.where(
            receipts.c.connection == subject.connection,
            receipts.c.supplier == matches[0]["supplier"],
            receipts.c.grn.in_(sorted({match["grn"] for match in matches})),
        )
    )
    return sorted(order for order in found if order)
