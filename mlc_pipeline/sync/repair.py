"""Repairs of what a comparison found: by explicit command, under the claim, told to the trail.

Adopting links a purchase that carries our marker; its version is not known, so the next run
compares it and notes it as done or holds it. Forgetting makes room for a planned
re-creation: nothing is sent here, the next replay of the document's day writes it.

What must not come in: HTTP, Dagster, finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from mlc_pipeline.cin7.errors import NotFound
from mlc_pipeline.sync import standing
from mlc_pipeline.sync.comparison import Books, Finding, Found
from mlc_pipeline.sync.ledger import DocumentRef, Ledger
from mlc_pipeline.sync.protocol import digest_of
from mlc_pipeline.sync.target import Answer
from mlc_pipeline.sync.vocabulary import Kind

_UNSETTLED = "a lost answer of it is not settled yet; the next run looks for it"


@dataclass(frozen=True)
class Repaired:
    """What became of a repair.

    Attributes:
        found: what was to be repaired.
        is_done: whether it was.
        said: what was done, or why not.
    """

    found: Found
    is_done: bool
    said: str


def adopt(ledger: Ledger, cin7: Books, found: Iterable[Found], actor: str) -> list[Repaired]:
    """Link the purchases that carry our marker and that the ledger does not know."""
    return [
        _claimed(ledger, one, lambda o=one: _adopt(ledger, cin7, o, actor))  # type: ignore[misc]
        for one in found
        if one.finding is Finding.UNKNOWN
    ]


def recreate(ledger: Ledger, cin7: Books, found: Iterable[Found], actor: str) -> list[Repaired]:
    """Take documents that vanished, or were voided and are named, for not in Cin7."""
    gone = _Gone(cin7)
    return [
        _claimed(ledger, one, lambda o=one: _recreate(ledger, gone, o, actor))  # type: ignore[misc]
        for one in found
        if one.finding in (Finding.VANISHED, Finding.VOIDED)
    ]


def _claimed(ledger: Ledger, one: Found, repair: Callable[[], tuple[bool, str]]) -> Repaired:
    order = one.source_key.partition("|")[0] if one.kind is Kind.RECEIPT else one.source_key
    kind = Kind.PURCHASE_ORDER if one.kind is Kind.RECEIPT else one.kind
    with ledger.claim(f"{kind}|{order}", f"document|{one.source_key}") as is_mine:
        if not is_mine:
            return Repaired(one, False, "a run is writing it at this moment; try again")
        return Repaired(one, *repair())


def _adopt(ledger: Ledger, cin7: Books, one: Found, actor: str) -> tuple[bool, str]:
    document = ledger.document(one.kind, one.source_key)
    if document is not None and document.cin7_id is not None:
        return False, f"the ledger has purchase {document.cin7_id} for it"
    if ledger.open_write(one.kind, one.source_key) is not None:
        return False, _UNSETTLED
    try:
        purchase = cin7.purchase(str(one.cin7_id))
    except NotFound:
        return False, "it is not in Cin7 any more"
    values = _as_it_stands(one, purchase)
    ledger.adopt(
        DocumentRef(one.kind, one.source_key),
        because=f"repaired: {one.detail}",
        answer_digest=digest_of(purchase),
        actor=actor,
        cin7_id=purchase["ID"],
        cin7_number=purchase.get("OrderNumber"),
        content_hash=None,
        **values,
    )
    return True, f"linked to purchase {purchase.get('OrderNumber')} as {values['state']}"


def _as_it_stands(one: Found, purchase: Answer) -> dict[str, Any]:
    """Return how far a purchase was brought, as the ledger says it."""
    order = purchase.get("Order") or {}
    has_order = standing.status_of(order) == "AUTHORISED"
    first: Answer = next(iter(purchase.get("Invoice") or []), {})
    if one.kind is Kind.PURCHASE_ORDER:
        state = "done" if has_order else "header_made"
        return {
            "state": state,
            "task_id": first.get("TaskID"),
            "answered": {"status": standing.status_of(order)} if has_order else None,
            "home": _day(purchase.get("OrderDate")),
        }
    number = one.source_key.partition("|")[2]
    written = [
        invoice
        for invoice in purchase.get("Invoice") or []
        if invoice.get("InvoiceNumber") == number
        and (invoice.get("Lines") or invoice.get("AdditionalCharges"))
        and standing.status_of(invoice) != "VOIDED"
    ]
    if len(written) == 1:
        return {
            "state": "done",
            "task_id": written[0].get("TaskID"),
            "answered": standing.answered_of(Kind.INVOICE, written[0]),
            "home": _day(written[0].get("InvoiceDate")),
        }
    state = "order_made" if has_order else "header_made"
    return {"state": state, "task_id": first.get("TaskID")}


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


class _Gone:
    """Makes sure that something is not in Cin7; each purchase is asked for once."""

    def __init__(self, cin7: Books) -> None:
        self._cin7 = cin7
        self._purchases: dict[str, Answer | None] = {}
        self._books: dict[Kind, set[str]] = {}

    def purchase(self, purchase_id: str) -> Answer | None:
        """Return a purchase, None when Cin7 does not have it."""
        if purchase_id not in self._purchases:
            try:
                self._purchases[purchase_id] = self._cin7.purchase(purchase_id)
            except NotFound:
                self._purchases[purchase_id] = None
        return self._purchases[purchase_id]

    def is_in_books(self, kind: Kind, record_id: str) -> bool:
        """Tell whether a supplier or product is there."""
        if kind not in self._books:
            read = self._cin7.suppliers if kind is Kind.SUPPLIER else self._cin7.products
            self._books[kind] = {str(row["ID"]).lower() for row in read()}
        return record_id.lower() in self._books[kind]


def _recreate(ledger: Ledger, gone: _Gone, one: Found, actor: str) -> tuple[bool, str]:
    document = ledger.document(one.kind, one.source_key)
    if document is None or document.cin7_id is None or document.cin7_id != one.cin7_id:
        return False, "the ledger says something else of it by now"
    if ledger.open_write(one.kind, one.source_key) is not None:
        return False, _UNSETTLED
    if one.kind in (Kind.SUPPLIER, Kind.PRODUCT):
        is_there = gone.is_in_books(one.kind, document.cin7_id)
    else:
        purchase = gone.purchase(document.cin7_id)
        part = (
            standing.part_of(one.kind, document, purchase)
            if purchase is not None and not standing.is_void(purchase)
            else None
        )
        is_there = part is not None and standing.status_of(part) != "VOIDED"
    if is_there:
        return False, "it is in Cin7 after all"
    reason = f"to be made again: {one.detail}"
    ref = DocumentRef(one.kind, one.source_key, partition=one.home)
    ledger.forget(ref, reason, actor)
    return True, "taken for not in Cin7; the next replay of its day writes it"
