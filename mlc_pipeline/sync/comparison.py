"""The ledger held against Cin7: what vanished there, what is unknown here, what differs.

The purchase list tells in a call a thousand which purchases there are and when each changed
last. Details are read for suspects alone: a purchase that changed after our last write and
was not looked at since, one that the ledger does not know and that may carry our marker,
one that is missing from the list.

What must not come in: HTTP, Dagster, what is done about a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa

from mlc_pipeline.cin7.errors import NotFound
from mlc_pipeline.cin7.purchase_list import Listed, listed, marker_of
from mlc_pipeline.staging.audit_tables import findings as findings_table
from mlc_pipeline.staging.audit_tables import purchases_seen
from mlc_pipeline.staging.load import Stamp, upsert
from mlc_pipeline.staging.tables import documents, writes
from mlc_pipeline.sync import standing
from mlc_pipeline.sync.ledger import OPEN, Document
from mlc_pipeline.sync.target import Answer
from mlc_pipeline.sync.vocabulary import Kind

_CLOCKS = timedelta(seconds=2)
"""What Cin7's clock may be ahead of ours: a purchase that changed later was not our doing."""

_ON_PURCHASES = (Kind.PURCHASE_ORDER, Kind.RECEIPT, Kind.INVOICE, Kind.CREDIT_NOTE)


class Finding(StrEnum):
    """How ledger and Cin7 disagree about a document."""

    VANISHED = "vanished"
    VOIDED = "voided"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    DOUBLED = "doubled"


MEANINGS: Mapping[Finding, tuple[str, str]] = {
    Finding.VANISHED: (
        "The ledger has it in Cin7, and Cin7 does not have it.",
        "Find out who removed it; mlc verify … --repair recreate plans it anew.",
    ),
    Finding.VOIDED: (
        "It was voided in Cin7 by somebody else.",
        "Cancel it in SYSPRO too, or have it written again: --repair recreate --document …",
    ),
    Finding.DIFFERS: (
        "Cin7 holds something else than was written.",
        "Correct it in Cin7, or record that it is right as it is: mlc accept.",
    ),
    Finding.UNKNOWN: (
        "Cin7 has a purchase with our marker that the ledger does not know.",
        "mlc verify … --repair adopt links it; the next run compares it.",
    ),
    Finding.DOUBLED: (
        "Two purchases in Cin7 carry the marker of one document.",
        "Void the wrong one in Cin7.",
    ),
}
"""What each finding means, and what to do."""


class Books(Protocol):
    """The lists and details of Cin7 that a comparison reads."""

    def purchases(self) -> Iterable[Answer]:
        """Read the whole purchase list."""

    def purchase(self, purchase_id: str, /) -> Answer:
        """Read a purchase."""

    def suppliers(self) -> Sequence[Answer]:
        """Read all suppliers."""

    def products(self) -> Sequence[Answer]:
        """Read all products."""


@dataclass(frozen=True)
class Found:
    """One disagreement."""

    finding: Finding
    kind: Kind
    source_key: str
    detail: str
    cin7_id: str | None = None
    cin7_number: str | None = None
    home: date | None = None


@dataclass
class Comparison:
    """What a comparison came to.

    Attributes:
        documents: how many of the ledger's documents were held against Cin7.
        purchases: how many purchases Cin7 listed.
        looked_at: how many details were read.
        left: suspects that were not looked at, because the limit was reached.
        found: the disagreements.
    """

    documents: int = 0
    purchases: int = 0
    looked_at: int = 0
    left: int = 0
    found: list[Found] = field(default_factory=list)

    def of(self, *kinds: Finding) -> list[Found]:
        """Return the disagreements of some kinds."""
        return [f for f in self.found if f.finding in kinds]


@dataclass(frozen=True)
class _Ours:
    """A document of the ledger with what is needed to compare it."""

    kind: Kind
    source_key: str
    home: date | None
    updated_at: datetime
    document: Document


@dataclass
class _Work:
    """The state of a comparison under way."""

    cin7: Books
    prefix: str
    limit: int | None
    result: Comparison
    seen: Mapping[str, Any]
    fresh: list[dict[str, Any]] = field(default_factory=list)

    def details(self, purchase_id: str) -> Answer | None:
        """Read a purchase.

        Raises:
            NotFound: Cin7 does not have it.

        Returns:
            The purchase; None when the limit of details is reached.
        """
        if self.limit is not None and self.result.looked_at >= self.limit:
            self.result.left += 1
            return None
        self.result.looked_at += 1
        return self.cin7.purchase(purchase_id)

    def remember(self, one: Listed, marker: str | None) -> None:
        """Note that a version of a purchase was looked at and is in order."""
        self.fresh.append(
            {
                "purchase_id": one.id,
                "version": one.version,
                "number": one.number,
                "status": one.status,
                "marker": marker,
            }
        )

    def is_seen(self, one: Listed) -> bool:
        """Tell whether this version of a purchase was looked at before."""
        row = self.seen.get(one.id)
        return bool(one.version) and row is not None and row.version == one.version


def marker_prefix(company: str) -> str:
    """Return how every marker of a SYSPRO company begins."""
    return f"SYSPRO:{company}:"


def named_by(marker: str, prefix: str) -> tuple[Kind, str] | None:
    """Return kind and source key of the document that a marker of a purchase names."""
    if not marker.startswith(prefix):
        return None
    what, _, key = marker.removeprefix(prefix).partition(":")
    if what == "PO" and key:
        return Kind.PURCHASE_ORDER, key
    supplier, _, invoice = key.partition(":")
    if what == "AP" and supplier and invoice:
        return Kind.INVOICE, f"{supplier}|{invoice}"
    return None


def compare(
    engine: sa.Engine,
    stamp: Stamp,
    cin7: Books,
    company: str,
    *,
    first: date | None = None,
    last: date | None = None,
    limit: int | None = None,
) -> Comparison:
    """Hold the ledger of a connection against Cin7, and keep what was found.

    Args:
        engine: our database.
        stamp: connection and run.
        cin7: reads Cin7.
        company: the SYSPRO company, part of every marker.
        first: only documents dated on this day or later, and no suppliers or products.
        last: only documents dated on this day or before.
        limit: how many details are read at most; None for as many as needed.
    """
    # The ledger before the list: what is written meanwhile is not missed in it. The links
    # after the list: what was written before it is not taken for unknown.
    ours = _ours(engine, stamp.connection, first, last)
    purchases = listed(cin7.purchases())
    result = Comparison(documents=len(ours), purchases=len(purchases))
    work = _Work(cin7, marker_prefix(company), limit, result, _seen(engine, stamp.connection))
    on_purchases: dict[str, list[_Ours]] = {}
    for one in ours:
        if one.kind in _ON_PURCHASES and one.document.cin7_id:
            on_purchases.setdefault(one.document.cin7_id.lower(), []).append(one)
    for purchase_id, group in on_purchases.items():
        _compare_purchase(work, purchases.get(purchase_id), purchase_id, group)
    if first is None and last is None:
        _compare_books(work, ours)
        _find_unknown(engine, stamp.connection, work, purchases)
    again = findings_table.c.connection == stamp.connection
    if first is not None:
        again &= findings_table.c.home >= first
    if last is not None:
        again &= findings_table.c.home <= last
    _keep(engine, stamp, work, again)
    return result


def _ours(engine: sa.Engine, name: str, first: date | None, last: date | None) -> list[_Ours]:
    query = sa.select(documents).where(
        documents.c.connection == name,
        documents.c.cin7_id.is_not(None),
        documents.c.state != "voided",
    )
    if first is not None:
        query = query.where(documents.c.home >= first)
    if last is not None:
        query = query.where(documents.c.home <= last)
    columns = Document.__dataclass_fields__
    with engine.connect() as connection:
        return [
            _Ours(
                Kind(row.kind),
                row.source_key,
                row.home,
                row.updated_at,
                Document(**{column: getattr(row, column) for column in columns}),
            )
            for row in connection.execute(query)
        ]


def _seen(engine: sa.Engine, name: str) -> dict[str, Any]:
    query = sa.select(purchases_seen).where(purchases_seen.c.connection == name)
    with engine.connect() as connection:
        return {row.purchase_id: row for row in connection.execute(query)}


def _found(work: _Work, finding: Finding, one: _Ours, detail: str) -> None:
    document = one.document
    work.result.found.append(
        Found(
            finding,
            one.kind,
            one.source_key,
            detail,
            document.cin7_id,
            document.cin7_number,
            one.home,
        )
    )


def _compare_purchase(
    work: _Work, row: Listed | None, purchase_id: str, group: list[_Ours]
) -> None:
    if row is None:
        _confirm_vanished(work, purchase_id, group)
        return
    if row.is_void:
        for one in group:
            _found(work, Finding.VOIDED, one, f"purchase {row.number} is {row.status}")
        return
    ours_at = max(one.updated_at for one in group)
    is_later = row.updated is None or row.updated > ours_at + _CLOCKS
    if not is_later or work.is_seen(row):
        return
    purchase = work.details(purchase_id)
    if purchase is None:
        return
    before = len(work.result.found)
    for one in group:
        _compare_part(work, one, purchase)
    if len(work.result.found) == before:
        work.remember(row, marker_of(purchase))


def _confirm_vanished(work: _Work, purchase_id: str, group: list[_Ours]) -> None:
    """Report the documents of a purchase that is not listed, after asking for it by its id.

    When many are missing the first are asked for; the list was read to its end, so the
    others are reported on its word.
    """
    said = "not in Cin7's purchase list"
    if work.result.looked_at < _ASKED_FOR:
        work.result.looked_at += 1
        try:
            purchase = work.cin7.purchase(purchase_id)
        except NotFound:
            said = "Cin7 has no such purchase"
        else:
            for one in group:
                _compare_part(work, one, purchase)
            return
    for one in group:
        _found(work, Finding.VANISHED, one, f"{said}: {purchase_id}")


_ASKED_FOR = 20


def _compare_part(work: _Work, one: _Ours, purchase: Answer) -> None:
    if standing.is_void(purchase):
        _found(work, Finding.VOIDED, one, "the purchase is void")
        return
    part = standing.part_of(one.kind, one.document, purchase)
    if part is None:
        detail = f"the purchase has no {one.kind} with the task {one.document.task_id}"
        _found(work, Finding.VANISHED, one, detail)
        return
    if standing.status_of(part) == "VOIDED":
        _found(work, Finding.VOIDED, one, f"the {one.kind} is void on its purchase")
        return
    different = standing.standing_differences(one.kind, one.document, part)
    if different:
        _found(work, Finding.DIFFERS, one, "; ".join(different[:5]))


def _compare_books(work: _Work, ours: list[_Ours]) -> None:
    """Find suppliers and products that are gone; each list is read only when it is needed."""
    readers = {Kind.SUPPLIER: work.cin7.suppliers, Kind.PRODUCT: work.cin7.products}
    for kind, read in readers.items():
        group = [one for one in ours if one.kind is kind]
        if not group:
            continue
        there = {str(row["ID"]).lower() for row in read()}
        for one in group:
            if str(one.document.cin7_id).lower() not in there:
                _found(work, Finding.VANISHED, one, f"Cin7 has no such {kind}")


def _find_unknown(
    engine: sa.Engine, name: str, work: _Work, purchases: Mapping[str, Listed]
) -> None:
    linked, settling = _linked(engine, name)
    ids = set(linked.values())
    for row in purchases.values():
        if row.id in ids or row.is_void:
            continue
        marker = work.seen[row.id].marker if work.is_seen(row) else _marker(work, row)
        named = named_by(marker or "", work.prefix)
        if named is None or named[1] in settling:
            continue  # not ours, or a run is finding out
        other = linked.get(named[1])
        finding = Finding.DOUBLED if other else Finding.UNKNOWN
        detail = f"purchase {row.number} carries {marker}"
        if other:
            detail += f"; the ledger has purchase {other} for it"
        work.result.found.append(Found(finding, named[0], named[1], detail, row.id, row.number))


def _marker(work: _Work, row: Listed) -> str | None:
    try:
        purchase = work.details(row.id)
    except NotFound:
        return None
    if purchase is None:
        return None
    marker = marker_of(purchase)
    ours = marker if named_by(marker, work.prefix) else None
    work.remember(row, ours)
    return ours


def _linked(engine: sa.Engine, name: str) -> tuple[dict[str, str], set[str]]:
    """Return the purchase of each document by source key, and the keys with an open write."""
    query = sa.select(documents.c.source_key, documents.c.cin7_id).where(
        documents.c.connection == name,
        documents.c.cin7_id.is_not(None),
        documents.c.kind.in_([str(kind) for kind in _ON_PURCHASES]),
    )
    open_writes = sa.select(writes.c.source_key).where(
        writes.c.connection == name, writes.c.state.in_(OPEN)
    )
    with engine.connect() as connection:
        linked = {r.source_key: r.cin7_id.lower() for r in connection.execute(query)}
        return linked, set(connection.scalars(open_writes))


def _keep(engine: sa.Engine, stamp: Stamp, work: _Work, again: sa.ColumnElement[bool]) -> None:
    """Keep what was found instead of what was found before of the same documents."""
    name, table = stamp.connection, findings_table
    keys = {(f.finding.value, f.kind.value, f.source_key): f for f in work.result.found}
    with engine.begin() as connection:
        before = {
            (row.finding, row.kind, row.source_key): row.since
            for row in connection.execute(sa.select(table).where(table.c.connection == name))
        }
        now = connection.execute(sa.select(sa.func.now())).scalar_one()
        rows = [
            {
                "connection": name,
                "finding": found.finding.value,
                "kind": found.kind.value,
                "source_key": found.source_key,
                "cin7_id": found.cin7_id,
                "cin7_number": found.cin7_number,
                "home": found.home,
                "detail": found.detail,
                "since": before.get(key, now),
                "seen_at": now,
                "run_id": stamp.run_id,
            }
            for key, found in keys.items()
        ]
        connection.execute(table.delete().where(again))
        upsert(connection, table, rows)
        seen = [{**row, "connection": name, "seen_at": now} for row in work.fresh]
        upsert(connection, purchases_seen, seen)
