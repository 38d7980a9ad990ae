"""A person's decision that a document in Cin7 is right: read back, compared, recorded.

A document that changed in SYSPRO after it was authorised is corrected in Cin7 by a person;
the product cannot see that by itself. Here it looks: what Cin7 holds is compared with what
the latest plan wants, and recorded as written when both agree, or when the person says that
it is meant to differ. The note and the person's name go to the audit trail.

What must not come in: HTTP, Dagster, writing to Cin7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from mlc_pipeline.cin7.errors import NotFound
from mlc_pipeline.staging.tables import PLAN
from mlc_pipeline.sync import standing
from mlc_pipeline.sync.audit import Action
from mlc_pipeline.sync.ledger import Document, DocumentRef, Ledger, OpenWrite
from mlc_pipeline.sync.protocol import digest_of
from mlc_pipeline.sync.target import Answer
from mlc_pipeline.sync.vocabulary import Kind

_TABLE_OF = {
    Kind.SUPPLIER: "suppliers",
    Kind.PURCHASE_ORDER: "purchases",
    Kind.RECEIPT: "purchases",
    Kind.INVOICE: "invoices",
    Kind.CREDIT_NOTE: "invoices",
}


class NotAcceptable(Exception):  # noqa: N818 - tells what to do first
    """A document cannot be accepted as it stands; the text says why and what to do."""


class Details(Protocol):
    """What is read of Cin7."""

    def purchase(self, purchase_id: str, /) -> Answer:
        """Read a purchase."""

    def supplier(self, supplier_id: str, /) -> Answer:
        """Read a supplier."""


@dataclass(frozen=True)
class Accepted:
    """What became of it.

    Attributes:
        kind: kind of the document.
        source_key: its key.
        is_recorded: whether it was recorded.
        differences: where Cin7 differs from what is wanted.
    """

    kind: Kind
    source_key: str
    is_recorded: bool
    differences: list[str]


def accept(
    engine: sa.Engine,
    ledger: Ledger,
    cin7: Details,
    kind: Kind,
    source_key: str,
    *,
    actor: str,
    note: str,
    differs: bool = False,
) -> Accepted:
    """Record that a document in Cin7 is right, if it is what the latest plan wants.

    Args:
        engine: our database.
        ledger: the ledger of the connection.
        cin7: reads the document.
        kind: kind of the document.
        source_key: order, order|GRN, supplier|invoice, or supplier.
        actor: who decides.
        note: why, in their words.
        differs: record it although it differs from what is wanted.

    Raises:
        NotAcceptable: it is not in Cin7, not planned, or a run has it.
    """
    document = ledger.document(kind, source_key)
    if document is None or document.cin7_id is None:
        raise NotAcceptable(f"{kind} {source_key} is not in Cin7 by the ledger; replay its day")
    ref, wanted = _wanted(engine, ledger.connection, kind, source_key)
    with ledger.claim(*_names(kind, source_key, wanted)) as is_mine:
        if not is_mine:
            raise NotAcceptable(f"a run is writing {kind} {source_key} now; try again")
        return _accept(ledger, cin7, ref, wanted, actor, note, differs=differs)


def _names(kind: Kind, source_key: str, wanted: Any) -> tuple[str, str]:
    """Return what the push would claim: the purchase and the document."""
    own = f"document|{source_key}"
    if kind is Kind.CREDIT_NOTE:
        return f"{Kind.INVOICE}|{wanted.credited_invoice}", own
    order = getattr(wanted, "purchase_order", None)
    return (f"{Kind.PURCHASE_ORDER}|{order}" if order else f"{kind}|{source_key}"), own


def _wanted(
    engine: sa.Engine, name: str, kind: Kind, source_key: str
) -> tuple[DocumentRef, Any]:
    table = PLAN[_TABLE_OF[kind]]
    query = (
        sa.select(table)
        .where(
            table.c.connection == name,
            table.c.kind == kind,
            table.c.source_key == source_key,
            table.c.content.is_not(None),
            sa.func.jsonb_typeof(table.c.content) == "object",
        )
        .order_by(table.c.planned_at.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotAcceptable(
            f"no plan says what {kind} {source_key} should be; replay its day first"
        )
    if "write" in row.content:
        raise NotAcceptable(
            f"supplier {source_key} is kept in step both ways; decide with mlc suppliers"
        )
    ref = DocumentRef(kind, source_key, row.partition, row.home, row.amount, row.currency)
    return ref, standing.CONTENTS[kind].model_validate(row.content)


def _accept(
    ledger: Ledger,
    cin7: Details,
    ref: DocumentRef,
    wanted: Any,
    actor: str,
    note: str,
    *,
    differs: bool,
) -> Accepted:
    document = ledger.document(ref.kind, ref.source_key)
    if document is None or document.cin7_id is None:
        raise NotAcceptable(f"{ref.kind} {ref.source_key} is not in Cin7 any more")
    part = _part(cin7, ref.kind, document, wanted)
    if ref.kind is Kind.SUPPLIER:
        different = standing.supplier_differences(wanted, part)
    else:
        different = standing.content_differences(ref.kind, wanted, part)
        if standing.status_of(part) not in ("AUTHORISED", "PAID", "DRAFT"):
            different.append(f"Status: found {standing.status_of(part) or 'none'}")
    if different and not differs:
        return Accepted(ref.kind, ref.source_key, False, different)
    _record(
        ledger,
        ref,
        _changes(ref.kind, wanted, part, different),
        ledger.open_write(ref.kind, ref.source_key),
        note=f"{note}; differs: {'; '.join(different[:5])}" if different else note,
        answer=digest_of(part),
        actor=actor,
    )
    return Accepted(ref.kind, ref.source_key, True, different)


def _part(cin7: Details, kind: Kind, document: Document, wanted: Any) -> Answer:
    """Return what of Cin7 is compared.

    Raises:
        NotAcceptable: it is not there, or several could be it.
    """
    try:
        if kind is Kind.SUPPLIER:
            return cin7.supplier(str(document.cin7_id))
        purchase = cin7.purchase(str(document.cin7_id))
    except NotFound:
        raise NotAcceptable(
            f"Cin7 has no {document.cin7_id}; see mlc verify, which can plan it anew"
        ) from None
    if standing.is_void(purchase):
        raise NotAcceptable(f"purchase {document.cin7_number} is void in Cin7; see mlc verify")
    if kind is Kind.PURCHASE_ORDER:
        order: Answer = purchase.get("Order") or {}
        if not (order.get("Lines") or order.get("AdditionalCharges")):
            raise NotAcceptable(
                f"purchase {document.cin7_number} is only begun; the next run goes on with it"
            )
        return order
    return _only_block(kind, document, purchase, getattr(wanted, "number", None))


def _only_block(kind: Kind, document: Document, purchase: Answer, number: str | None) -> Answer:
    """Return the one block of a purchase that is a document: by its task, else its number.

    A document that was voided and entered anew by hand has another task.
    """
    blocks = standing.written_blocks(kind, purchase)
    alive = [b for b in blocks if b.get("TaskID") == document.task_id] or [
        b
        for b in blocks
        if number and number in (b.get("InvoiceNumber"), b.get("CreditNoteNumber"))
    ]
    if len(alive) != 1:
        raise NotAcceptable(
            f"purchase {document.cin7_number} has {len(alive)} {kind}s that could be it; "
            "correct that in Cin7 first"
        )
    return alive[0]


def _changes(kind: Kind, wanted: Any, part: Answer, different: list[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "state": "done",
        "content": wanted.to_json(),
        "content_hash": wanted.digest(),
    }
    if kind is Kind.SUPPLIER:
        return changes
    answered = standing.answered_of(kind, part)
    if different:
        answered["accepted"] = digest_of(part)
    changes["answered"] = answered
    if kind is not Kind.PURCHASE_ORDER:
        changes["task_id"] = part.get("TaskID")
    return changes


def _record(
    ledger: Ledger,
    ref: DocumentRef,
    changes: dict[str, Any],
    write: OpenWrite | None,
    *,
    note: str,
    answer: str,
    actor: str,
) -> None:
    if write is not None:
        ledger.close(
            write.id,
            "done",
            ref,
            reason=note,
            action=Action.ACCEPTED,
            answer_digest=answer,
            actor=actor,
            **changes,
        )
        return
    ledger.adopt(
        ref,
        action=Action.ACCEPTED,
        because=note,
        answer_digest=answer,
        actor=actor,
        **changes,
    )
