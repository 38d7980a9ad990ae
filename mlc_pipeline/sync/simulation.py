"""A period planned again under an edited mapping: what would move, be held, be freed.

Reads staged tables only and writes nothing, neither outside nor into our own tables. Both
sides are planned as if nothing had been written yet and no period were locked or closed, so
that the mapping is all that differs.

What must not come in: HTTP, Dagster, writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

import sqlalchemy as sa

from mlc_pipeline.sync import staged
from mlc_pipeline.sync.content import CreditContent, InvoiceContent
from mlc_pipeline.sync.journals import is_distribution
from mlc_pipeline.sync.ledger import Ledger
from mlc_pipeline.sync.plan import Known, PlanContext, Planned, differences
from mlc_pipeline.sync.planner import invoices_of, purchases_of
from mlc_pipeline.sync.rows import PostingRow
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.supplier_planner import suppliers_as_directed
from mlc_pipeline.sync.vocabulary import READY, Kind, Verdict

_ZERO = Decimal(0)
Place = tuple[str, str]
"""Cin7 account and cost centre; blank when there is none."""


@dataclass
class Move:
    """Postings that would be on another account or cost centre, local currency."""

    postings: int = 0
    amount: Decimal = _ZERO
    documents: set[str] = field(default_factory=set)


@dataclass
class Simulation:
    """What an edited mapping would do to a period.

    Attributes:
        documents: how many documents were planned.
        moves: from a place to a place.
        held: documents that would no longer go: as they were planned, as they would be.
        freed: documents that would go now: as they were planned, as they would be.
        otherwise: documents that change in other fields, with those fields.
        still_stopped: documents that go neither before nor after.
    """

    documents: int = 0
    moves: dict[tuple[Place, Place], Move] = field(default_factory=dict)
    held: list[tuple[Planned, Planned]] = field(default_factory=list)
    freed: list[tuple[Planned, Planned]] = field(default_factory=list)
    otherwise: list[tuple[Planned, list[str]]] = field(default_factory=list)
    still_stopped: int = 0

    @property
    def changes_nothing(self) -> bool:
        """Whether the two mappings do the same to the period."""
        return not (self.moves or self.held or self.freed or self.otherwise)

    def by_account(self) -> dict[str, Decimal]:
        """Return by how much each Cin7 account would change, local currency."""
        changes: dict[str, Decimal] = {}
        for (before, after), move in self.moves.items():
            changes[before[0]] = changes.get(before[0], _ZERO) - move.amount
            changes[after[0]] = changes.get(after[0], _ZERO) + move.amount
        return {account: change for account, change in sorted(changes.items()) if change}


class _Unwritten(Ledger):
    """A ledger of a connection that has written suppliers and nothing else."""

    def known(self, kind: Kind, keys: Iterable[str]) -> dict[tuple[str, str], Known]:
        """Return what is known of suppliers."""
        return super().known(kind, keys) if kind == Kind.SUPPLIER else {}

    def sent_between(
        self, kinds: Iterable[Kind], first: date, last: date
    ) -> list[tuple[Kind, str, Decimal, str | None, date]]:
        """Return no document: none was sent."""
        return []


def simulate(
    engine: sa.Engine, window: Window, before: PlanContext, after: PlanContext
) -> Simulation:
    """Plan a window under two mappings and compare.

    Args:
        engine: our database, with the staged tables.
        window: the days.
        before: the context with the mapping as it is.
        after: the same with the edited mapping.
    """
    old, new = _planned(engine, window, before), _planned(engine, window, after)
    result = Simulation(documents=len({*old, *new}))
    both: list[str] = []
    for key in sorted({*old, *new}):
        was, will = old.get(key), new.get(key)
        if was is None or will is None:
            continue  # the same rows always make the same documents
        goes = (was.verdict in READY, will.verdict in READY)
        if goes == (True, True):
            both.append(key)
        elif goes == (True, False):
            result.held.append((was, will))
        elif goes == (False, True):
            result.freed.append((was, will))
        else:
            result.still_stopped += was.verdict is not Verdict.EXCLUDED
    _add_moves(engine, window, result, (before, after), [new[key] for key in both])
    moved = {key for move in result.moves.values() for key in move.documents}
    for key in both:
        fields = list(_changed_fields(old[key], new[key]))
        if fields and key not in moved:
            result.otherwise.append((new[key], fields))
    return result


def _planned(engine: sa.Engine, window: Window, context: PlanContext) -> dict[str, Planned]:
    """Return the invoices, credits and postings of a window as a mapping would have them."""
    open_books = replace(context.references, lock_date=None)
    context = replace(context, references=open_books, closed=frozenset())
    ledger = _Unwritten(engine, window.connection, "simulation")
    suppliers = suppliers_as_directed(engine, window, context, ledger)
    newer = {(p.kind, p.source_key): p for _, p in suppliers.rows}
    purchases = purchases_of(engine, window, context, ledger, newer)
    newer |= {(p.kind, p.source_key): p for _, p in purchases.rows}
    invoices = invoices_of(engine, window, context, ledger, newer)
    return {p.source_key: p for _, p in invoices.rows}


def _add_moves(
    engine: sa.Engine,
    window: Window,
    result: Simulation,
    contexts: tuple[PlanContext, PlanContext],
    documents: list[Planned],
) -> None:
    here = {tuple(p.source_key.split("|", 1)): p for p in documents if p.content}
    with engine.connect() as connection:
        postings = staged.rows_by(
            connection,
            window.connection,
            PostingRow,
            "postings",
            ("supplier", "invoice"),
            here,
        )
    for posting in postings:
        document = here[posting.supplier, posting.invoice]
        if not is_distribution(posting) or not posting.amount:
            continue
        was, will = (_place(posting, c.as_of(_dated(document.content))) for c in contexts)
        if was is None or will is None or was == will:
            continue
        move = result.moves.setdefault((was, will), Move())
        move.postings += 1
        move.amount += posting.amount
        move.documents.add(document.source_key)


def _dated(content: object) -> date | None:
    """Return the date that a document has in SYSPRO: the day of its mapping."""
    if isinstance(content, InvoiceContent):
        return content.original_date or content.invoice_date
    if isinstance(content, CreditContent):
        return content.original_date or content.credit_date
    return None


def _place(posting: PostingRow, context: PlanContext) -> Place | None:
    """Return where a posting goes; None for the payable side, which is no line."""
    mapped = context.target(posting.gl_code)
    if mapped is None or mapped.role == "payable":
        return None
    carries = context.connection.policies.carries_cost_centre and mapped.role == "expense"
    return mapped.cin7_account, (context.cost_centre(posting.gl_code) or "") if carries else ""


def _changed_fields(old: Planned, new: Planned) -> Iterator[str]:
    was, will = (p.content.to_json() if p.content else {} for p in (old, new))
    yield from (str(change["field"]) for change in differences(was, will))
