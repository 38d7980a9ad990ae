"""The push: each planned document brought into Cin7, step by step, once.

A document's state in the ledger says which steps are done; the rest are run by the write
protocol. The same code therefore creates a document and finishes one that a crash left
half-made.

What must not come in: HTTP, Dagster, SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError

from mlc_pipeline.cin7.purchase_list import markers_of
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.sync import bodies, standing
from mlc_pipeline.sync.audit import Action
from mlc_pipeline.sync.content import (
    CreditContent,
    HeaderContent,
    InvoiceContent,
    OrderContent,
    ReceiptContent,
    SupplierContent,
)
from mlc_pipeline.sync.ledger import Document, DocumentRef, Ledger, OpenWrite
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.protocol import (
    Outdated,
    Protocol,
    Step,
    Unsettled,
    digest_of,
    sent_differences,
)
from mlc_pipeline.sync.target import Answer, Cin7
from mlc_pipeline.sync.vocabulary import Kind, Outcome, Verdict

_BEGINNINGS = 4  # each step of a document may be found in an earlier version once
_ADDED = ("StockReceived", "Invoice", "CreditNote")  # what is added to a purchase
_CLOCK_MARGIN = timedelta(hours=1)  # between our clock and Cin7's, when looking back


class Replanned(Exception):  # noqa: N818 - not an error: read the plan again
    """Another run has planned the document anew; what it says now is what is wanted."""


@dataclass(frozen=True)
class Wanted:
    """A document that the plan wants written.

    Attributes:
        ref: which.
        verdict: what is to be done.
        content: what it is to say.
        adopt: the id of what stands in Cin7 for it already.
        is_current: tells whether the plan still says so; asked under the claim.
    """

    ref: DocumentRef
    verdict: Verdict
    content: Any
    adopt: str | None = None
    is_current: Callable[[], bool] = lambda: True

    def assert_current(self) -> None:
        """Make sure that nothing older is written over what is newer.

        Raises:
            Replanned: the plan says something else by now.
        """
        if not self.is_current():
            raise Replanned(f"{self.ref.kind} {self.ref.source_key} was planned anew")


@dataclass(frozen=True)
class Pushed:
    """What became of a document."""

    outcome: Outcome
    cin7_id: str | None = None
    cin7_number: str | None = None
    reason_code: str | None = None
    reason: str | None = None


class Push:
    """Brings documents of one connection into Cin7."""

    def __init__(self, cin7: Cin7, ledger: Ledger, connection: Connection) -> None:
        """Take the client, the ledger of this run and the connection's policies."""
        self._cin7 = cin7
        self._ledger = ledger
        self._policies = connection.policies
        self._protocol = Protocol(ledger, connection.cin7.settle_seconds)
        self._looked_at: dict[str, Answer] = {}
        self._to_look_at: set[str] = set()  # a person had them in hand

    def push(self, wanted: Wanted) -> Pushed:
        """Bring one document into Cin7.

        Raises:
            Hold: it could not be written; the reason says why.
            Unsettled: an answer was lost; try again after the wait it names.
            NotAuthorised: the credentials are wrong.
            Replanned: the plan says something else by now.
        """
        make: Mapping[Kind, Callable[[Wanted], Pushed]] = {
            Kind.SUPPLIER: self._supplier,
            Kind.PURCHASE_ORDER: self._order,
            Kind.RECEIPT: self._receipt,
            Kind.INVOICE: self._invoice,
            Kind.CREDIT_NOTE: self._credit_note,
        }
        with self.claimed(wanted.ref, wanted.content):
            wanted.assert_current()
            for _ in range(_BEGINNINGS):
                try:
                    return make[wanted.ref.kind](wanted)
                except Outdated:
                    continue
            raise Hold("answer_lost", "the document changes faster than it can be written")

    @contextmanager
    def claimed(self, ref: DocumentRef, content: Any) -> Iterator[None]:
        """Hold a document and the purchase it stands on, and look before each call.

        Both are held: an invoice that is matched to an order between two plans would else be
        written by one run on the order, by another on a purchase of its own.

        Raises:
            Hold: being_written, another run has it.
        """
        names = (_purchase_name(ref, content), f"document|{ref.source_key}")
        with self._ledger.claim(*names) as is_mine:
            if not is_mine:
                raise Hold("being_written", "another run holds it")
            with self._cin7.guarded(self._ledger.assert_claimed):
                yield

    # --- suppliers -----------------------------------------------------------------

    def _supplier(self, wanted: Wanted) -> Pushed:
        content: SupplierContent = wanted.content
        document = self._ledger.document(Kind.SUPPLIER, wanted.ref.source_key)
        if document is not None and document.state == "done" and document.cin7_id:
            return self._change_supplier(wanted, document, document.cin7_id)
        if wanted.adopt is not None and self._is_unmade(wanted.ref, document):
            return self._adopt_supplier(wanted, wanted.adopt)
        body = bodies.supplier_post(content)

        def find(_write: OpenWrite) -> Answer | None:
            if document is not None and document.cin7_id is not None:
                return self._cin7.supplier(document.cin7_id)
            sent = (document.content if document else None) or {}
            named = self._cin7.suppliers_named(str(sent.get("name") or content.name))
            ours = [s for s in named if s.get("AdditionalAttribute1") == content.marker]
            return _only(ours, f"suppliers marked {content.marker}")

        step = Step(
            "create_supplier",
            body,
            lambda: self._cin7.create_supplier(body),
            find,
            lambda answer: {"cin7_id": answer["ID"], **_done(content)},
            intended=content.to_json(),
        )
        written = self._protocol.run(wanted.ref, step)
        outcome = Outcome.ADOPTED if written.was_found else Outcome.CREATED
        return Pushed(outcome, cin7_id=written.answer["ID"])

    def _adopt_supplier(self, wanted: Wanted, supplier_id: str) -> Pushed:
        try:
            self._ledger.adopt(wanted.ref, cin7_id=supplier_id, **_done(wanted.content))
        except IntegrityError as error:
            raise Hold(
                "supplier_ambiguous",
                f"Cin7 supplier {supplier_id} is linked to another SYSPRO supplier already",
            ) from error
        return Pushed(Outcome.ADOPTED, cin7_id=supplier_id)

    def _change_supplier(self, wanted: Wanted, document: Document, supplier_id: str) -> Pushed:
        content: SupplierContent = wanted.content
        if document.content_hash == content.digest():
            return Pushed(Outcome.UNCHANGED, cin7_id=supplier_id)
        current = self._cin7.supplier(supplier_id)
        body = bodies.supplier_put(supplier_id, content, current)
        step = Step(
            "update_supplier",
            body,
            lambda: self._cin7.update_supplier(body),
            lambda _write: None,  # the same PUT twice is one change
            lambda _answer: _done(content),
        )
        self._protocol.run(wanted.ref, step)
        return Pushed(Outcome.UPDATED, cin7_id=supplier_id)

    # --- purchase orders -----------------------------------------------------------

    def _order(self, wanted: Wanted) -> Pushed:
        document = self._ledger.document(Kind.PURCHASE_ORDER, wanted.ref.source_key)
        if wanted.verdict is Verdict.VOID:
            return self._void(wanted, document)
        content: OrderContent = wanted.content
        if document is not None and document.state == "done":
            return self._change_order(wanted, document)
        for product in content.new_products:
            self._product(wanted, *product)
        document, found = self._header(wanted, content.header, document)
        was_found = self._set_order(wanted, content, document)
        outcome = Outcome.ADOPTED if found or was_found else Outcome.CREATED
        return Pushed(outcome, document.cin7_id, document.cin7_number)

    def _product(self, wanted: Wanted, sku: str, name: str, unit: str) -> None:
        ref = DocumentRef(Kind.PRODUCT, sku, partition=wanted.ref.partition)
        known = self._ledger.document(Kind.PRODUCT, sku)
        if known is not None and known.state == "done":
            return
        body = bodies.product_post(sku, name, unit)
        step = Step(
            "create_product",
            body,
            lambda: self._cin7.create_product(body),
            lambda _write: _only(
                [p for p in self._cin7.products() if p.get("SKU") == sku], f"products {sku}"
            ),
            lambda answer: {"cin7_id": answer["ID"], "state": "done"},
        )
        self._protocol.run(ref, step)

    def _header(
        self, wanted: Wanted, header: HeaderContent, document: Document | None
    ) -> tuple[Document, bool]:
        """Make the purchase's header, unless it is there; tell whether it was found.

        A header made before a crash, from what the document said then, is brought to what
        it says now.
        """
        supplier_id = self._supplier_id(header.supplier)
        if document is not None and document.state in ("header_made", "order_made"):
            return self._current_header(wanted, header, document), False
        body = bodies.purchase_post(header, supplier_id)
        step = Step(
            "create_purchase",
            body,
            lambda: self._cin7.create_purchase(body),
            lambda write: self._made_purchase(header.marker, document, write),
            lambda answer: {
                "cin7_id": answer["ID"],
                "cin7_number": answer.get("OrderNumber"),
                "task_id": _first_task(answer),
                "state": "header_made",
                "content": {"header": header.to_json()},
            },
            intended={"header": header.to_json()},
        )
        written = self._protocol.run(wanted.ref, step)
        return self._again(wanted.ref), written.was_found

    def _again(self, ref: DocumentRef) -> Document:
        """Read a document that a step has just written to."""
        document = self._ledger.document(ref.kind, ref.source_key)
        if document is None:
            raise LookupError(f"{ref.source_key} vanished from the ledger")
        return document

    def _current_header(
        self, wanted: Wanted, header: HeaderContent, document: Document
    ) -> Document:
        """Bring a begun purchase's header to what the document says now.

        While the answer to its order is open, the order comes first.
        """
        open_write = self._ledger.open_write(wanted.ref.kind, wanted.ref.source_key)
        is_other = open_write is not None and open_write.step != "update_purchase"
        is_same = (document.content or {}).get("header") == header.to_json()
        if is_other or (is_same and open_write is None):
            return document
        content = {**(document.content or {}), "header": header.to_json()}
        self._put_header(wanted, header, _purchase_id(document), {"content": content})
        return self._again(wanted.ref)

    def _made_purchase(
        self, marker: str, document: Document | None, write: OpenWrite
    ) -> Answer | None:
        """Look for the purchase that an earlier call made: by its id, else by its marker.

        The id of a voided purchase is not of the one that takes its place.
        """
        if document is not None and document.cin7_id and document.state != "voided":
            return self._cin7.purchase(document.cin7_id)
        return self._marked_purchase(marker, write)

    def _marked_purchase(self, marker: str, write: OpenWrite) -> Answer | None:
        """Look for the purchase that an unanswered call may have made.

        Cin7's search does not cover notes or attributes, so every purchase that was touched
        since the call, and that is not linked to another document, is read and its marker
        compared. Of whichever supplier: the document's may have changed meanwhile.
        """
        since = write.intended_at - _CLOCK_MARGIN
        found = []
        for row in self._cin7.purchases(updated_since=since):
            is_void = "VOID" in str(row.get("Status", "")).upper()
            if is_void:
                continue
            if self._ledger.is_linked(str(row["ID"])):
                continue
            purchase = self._cin7.purchase(str(row["ID"]))
            if marker in markers_of(purchase):
                found.append(purchase)
        return _only(found, f"purchases marked {marker}")

    def _set_order(self, wanted: Wanted, content: OrderContent, document: Document) -> bool:
        purchase_id = _purchase_id(document)
        body = bodies.order_of(content, purchase_id, authorise=self._policies.authorise_orders)
        return self._post_order(wanted, body, purchase_id, "done", content)

    def _post_order(
        self, wanted: Wanted, body: Any, purchase_id: str, state: str, content: Any
    ) -> bool:
        status = body.to_wire()["Status"]
        done = _done(content) if state == "done" else {}

        def find(_write: OpenWrite) -> Answer | None:
            order = self._cin7.purchase(purchase_id).get("Order") or {}
            has_lines = order.get("Lines") or order.get("AdditionalCharges")
            # A draft may be written over, whatever it holds.
            return order if has_lines and order.get("Status") == "AUTHORISED" else None

        step = Step(
            "post_order",
            body,
            lambda: self._cin7.post_order(body),
            find,
            lambda _answer: {**done, "state": state, "answered": {"status": status}},
            intended=content.to_json(),
        )
        return self._protocol.run(wanted.ref, step).was_found

    def _change_order(self, wanted: Wanted, document: Document) -> Pushed:
        content: OrderContent = wanted.content
        purchase_id = _purchase_id(document)
        result = Pushed(Outcome.UNCHANGED, purchase_id, document.cin7_number)
        if document.content_hash == content.digest():
            return result
        if document.content is None:  # linked by a repair: its version is not known
            self._compare_order(wanted, content, purchase_id)
            return result
        header, lines = content.header.to_json(), _without_header(content.to_json())
        before = document.content
        is_sure = document.content_hash is not None
        is_draft = _status_of(document) == "DRAFT"
        lines_changed = _without_header(before) != lines
        if lines_changed and not is_draft:
            raise Hold("changed_after_posting", "the order is authorised in Cin7")
        if not is_sure or before.get("header") != header:
            # Until the lines are written too, the document is not what is wanted.
            is_whole = not lines_changed and is_sure
            now = _done(content) if is_whole else {"content": {**before, "header": header}}
            self._put_header(wanted, content.header, purchase_id, now)
        if lines_changed or (not is_sure and is_draft):
            self._set_order(wanted, content, document)
        elif not is_sure:
            self._compare_order(wanted, content, purchase_id)
        return Pushed(Outcome.UPDATED, purchase_id, document.cin7_number)

    def _compare_order(self, wanted: Wanted, content: OrderContent, purchase_id: str) -> None:
        """Compare an authorised order, of which the version is not known, with Cin7's."""
        order = self._cin7.purchase(purchase_id).get("Order") or {}
        body = bodies.order_of(content, purchase_id, authorise=True)
        self._agree(wanted, body, order)

    def _agree(self, wanted: Wanted, body: bodies.Body, stored: Answer, **more: Any) -> None:
        """Note a document as done when Cin7 holds it as wanted.

        Raises:
            Hold: changed_after_posting, naming what differs.
        """
        different = sent_differences(body, stored)
        if different:
            raise Hold("changed_after_posting", f"Cin7 holds {'; '.join(different[:5])}")
        self._protocol.confirm(
            wanted.ref, "Cin7 holds what is wanted", stored, _done(wanted.content) | more
        )

    def _put_header(
        self,
        wanted: Wanted,
        header: HeaderContent,
        purchase_id: str,
        recorded: Mapping[str, Any],
    ) -> None:
        body = bodies.purchase_put(purchase_id, header, self._supplier_id(header.supplier))
        step = Step(
            "update_purchase",
            body,
            lambda: self._cin7.update_purchase(body),
            lambda _write: None,  # the same PUT twice is one change
            lambda _answer: recorded,
        )
        self._protocol.run(wanted.ref, step)

    def _void(self, wanted: Wanted, document: Document | None) -> Pushed:
        if document is None:
            return Pushed(Outcome.UNCHANGED)
        # Voided once, wanted again, cancelled again: a purchase may have been begun for it.
        was_void = document.state == "voided"
        made = None if was_void else document.cin7_id
        if made and self._ledger.tasks(made, but=""):
            raise Hold(
                "changed_after_posting",
                "cancelled in SYSPRO, but Cin7 has receipts or invoices of it",
            )
        purchase_id = made or self._begun_purchase(wanted, document)
        if purchase_id is None:
            return Pushed(Outcome.UNCHANGED)  # it was never made

        def find(_write: OpenWrite) -> Answer | None:
            purchase = self._cin7.purchase(purchase_id)
            return purchase if str(purchase.get("Status")).upper() == "VOIDED" else None

        step = Step(
            "void_purchase",
            _Void(purchase_id),
            lambda: self._cin7.void_purchase(purchase_id),
            find,
            lambda _answer: {"state": "voided", "answered": {"status": "VOIDED"}},
            is_compared=False,
        )
        self._protocol.run(wanted.ref, step)
        return Pushed(Outcome.UPDATED, purchase_id, document.cin7_number)

    def _begun_purchase(self, wanted: Wanted, document: Document) -> str | None:
        """Find the purchase of an order that was cancelled while its answer was lost."""
        ref = wanted.ref
        write = self._ledger.open_write(ref.kind, ref.source_key)
        if write is None:
            return None
        self._protocol.rest(ref, write)
        header = HeaderContent.model_validate((document.content or {})["header"])
        found = self._marked_purchase(header.marker, write)
        if found is None:
            self._ledger.close(write.id, "not_applied", ref, reason="not found in Cin7")
            return None
        ids = {"cin7_id": found["ID"], "cin7_number": found.get("OrderNumber")}
        self._ledger.close(
            write.id,
            "done",
            ref,
            action=Action.FOUND,
            answer_digest=digest_of(found),
            state="header_made",
            **ids,
        )
        return str(found["ID"])

    # --- receipts ------------------------------------------------------------------

    def _receipt(self, wanted: Wanted) -> Pushed:
        content: ReceiptContent = wanted.content
        order = self._authorised_order(content.purchase_order)
        self._await_siblings(wanted, content.purchase_order)
        if (order.content or {}).get("header", {}).get("service_only"):
            raise Hold("no_receipt_step", f"order {content.purchase_order} holds no stock")
        purchase_id = _purchase_id(order)
        document = self._ledger.document(Kind.RECEIPT, wanted.ref.source_key)
        body = bodies.stock_post(content, purchase_id, self._receipt_task(order, wanted))
        if document is not None and document.state == "done":
            self._still(wanted, document, body, "StockReceived")
            return Pushed(Outcome.UNCHANGED, purchase_id, order.cin7_number)
        there = self._look_before_adding(_order_ref(content.purchase_order), order)
        sent = [_received(body.to_wire())]
        if document is not None and document.content is not None:
            # What was sent before the receipt changed in SYSPRO.
            before = ReceiptContent.model_validate(document.content)
            sent.append(
                _received(bodies.stock_post(before, purchase_id, bodies.NEW_TASK).to_wire())
            )

        def like_it(purchase: Answer) -> Answer | None:
            tasks = self._ledger.tasks(purchase_id, but=wanted.ref.source_key)
            taken = {task for kind, task in tasks if kind == Kind.RECEIPT}
            groups = purchase.get("StockReceived") or []
            ours = [g for g in groups if g.get("TaskID") not in taken and _received(g) in sent]
            return _only(ours, f"receipts like GRN {content.grn}")

        def find(_write: OpenWrite) -> Answer | None:
            purchase = self._cin7.purchase(purchase_id)
            if document is not None and document.task_id is not None:
                return _of_task(purchase.get("StockReceived") or [], document.task_id)
            return like_it(purchase)

        def record(answer: Answer) -> dict[str, Any]:
            return {
                "cin7_id": purchase_id,
                "cin7_number": order.cin7_number,
                "task_id": answer.get("TaskID"),
                "answered": {"status": "AUTHORISED"},
                **_done(content),
            }

        is_unmade = self._is_unmade(wanted.ref, document)
        if there is not None and is_unmade and (known := like_it(there)) is not None:
            self._take(wanted, known, record(known))
            return Pushed(Outcome.ADOPTED, purchase_id, order.cin7_number)

        step = Step(
            "post_receipt",
            body,
            lambda: self._cin7.post_stock(body),
            find,
            record,
            intended=content.to_json(),
        )
        written = self._protocol.run(wanted.ref, step)
        outcome = Outcome.ADOPTED if written.was_found else Outcome.CREATED
        return Pushed(outcome, purchase_id, order.cin7_number)

    def _receipt_task(self, order: Document, wanted: Wanted) -> str:
        """Return the group for a receipt: an invoiced one, the first one, or a new one.

        A group takes a product once, so each receipt has a group of its own.
        """
        tasks = self._ledger.tasks(_purchase_id(order), but=wanted.ref.source_key)
        received = {task for kind, task in tasks if kind == Kind.RECEIPT}
        for kind, task in tasks:
            if kind == Kind.INVOICE and task not in received:
                return task
        if order.task_id is None or order.task_id in received:
            return bodies.NEW_TASK
        return order.task_id

    # --- invoices ------------------------------------------------------------------

    def _invoice(self, wanted: Wanted) -> Pushed:
        content: InvoiceContent = wanted.content
        document = self._ledger.document(Kind.INVOICE, wanted.ref.source_key)
        if document is not None and document.state == "done":
            return self._done_invoice(wanted, document)
        if content.purchase_order is not None:
            if document is not None and document.state in ("header_made", "order_made"):
                raise Hold(
                    "changed_after_posting",
                    f"begun as purchase {document.cin7_number} of its own, now matched to "
                    f"order {content.purchase_order}; void that purchase in Cin7",
                )
            return self._invoice_of_order(wanted, content.purchase_order)
        return self._invoice_of_its_own(wanted, document)

    def _done_invoice(self, wanted: Wanted, document: Document) -> Pushed:
        """See whether a written invoice is still what is wanted; a draft is written over."""
        content: InvoiceContent = wanted.content
        unchanged = Pushed(Outcome.UNCHANGED, document.cin7_id, document.cin7_number)
        if document.content_hash == content.digest():
            return unchanged
        purchase_id, task_id = _purchase_id(document), document.task_id or bodies.NEW_TASK
        if _status_of(document) == "DRAFT" and not self._invoice_authorised_now(document):
            self._post_invoice(wanted, purchase_id, task_id, document)
            return Pushed(Outcome.UPDATED, document.cin7_id, document.cin7_number)
        body = bodies.invoice_post(content, purchase_id, task_id, authorise=True)
        self._still(wanted, document, body, "Invoice")
        return unchanged

    def _still(
        self, wanted: Wanted, document: Document, body: bodies.Body, blocks: str
    ) -> None:
        """Make sure that a finished document is what is wanted, by looking when in doubt.

        Raises:
            Hold: changed_after_posting.
        """
        if document.content_hash == wanted.content.digest():
            return
        if document.content_hash is not None:
            raise Hold("changed_after_posting", "it is authorised in Cin7")
        stored = self._cin7.purchase(_purchase_id(document)).get(blocks) or []
        block = _of_task(stored, document.task_id) or {}
        self._agree(wanted, body, block, answered=_answered(wanted, block))

    def _invoice_of_order(self, wanted: Wanted, purchase_order: str) -> Pushed:
        content: InvoiceContent = wanted.content
        order = self._authorised_order(purchase_order)
        self._await_siblings(wanted, purchase_order)
        receipts = {key: self._ledger.document(Kind.RECEIPT, key) for key in content.receipts}
        is_stock_first = (order.content or {}).get("header", {}).get("approach") == "STOCK"
        absent = [key for key, r in receipts.items() if r is None or r.state != "done"]
        if is_stock_first and absent:
            raise Hold("order_missing", f"receipt {', '.join(absent)} is not in Cin7 yet")
        there = self._look_before_adding(_order_ref(purchase_order), order)
        if self._take_numbered(wanted, there, order):
            return Pushed(Outcome.ADOPTED, order.cin7_id, order.cin7_number)
        tasks = [r.task_id for r in receipts.values() if r is not None and r.task_id]
        task = self._begun_task(wanted, order) or self._invoice_task(order, tasks, wanted)
        found = self._post_invoice(wanted, _purchase_id(order), task, order)
        outcome = Outcome.ADOPTED if found else Outcome.CREATED
        return Pushed(outcome, order.cin7_id, order.cin7_number)

    def _invoice_task(
        self, order: Document, receipt_tasks: Iterable[str], wanted: Wanted
    ) -> str:
        """Return the group for an invoice: its receipts', else the first, else a new one."""
        invoiced = {
            task
            for kind, task in self._ledger.tasks(_purchase_id(order), but=wanted.ref.source_key)
            if kind == Kind.INVOICE
        }
        for task in (*receipt_tasks, order.task_id):
            if task is not None and task not in invoiced:
                return task
        return bodies.NEW_TASK

    def _begun_task(self, wanted: Wanted, order: Document) -> str | None:
        """Return the group that an earlier attempt began for an invoice of an order.

        Cin7 takes a draft once more into its group, to be written over; into a new group it
        would take it a second time.
        """
        known = self._ledger.document(wanted.ref.kind, wanted.ref.source_key)
        write = self._ledger.open_write(wanted.ref.kind, wanted.ref.source_key)
        if known is not None and known.task_id is not None:
            return known.task_id
        if write is None:
            return None
        self._protocol.rest(wanted.ref, write)
        purchase = self._cin7.purchase(_purchase_id(order))
        begun = self._of_nobody(wanted, purchase, _purchase_id(order))
        drafts = [block for block in begun if block.get("Status") == "DRAFT"]
        what = f"drafts {wanted.content.number} on purchase {order.cin7_number}"
        found = _only(drafts, what)
        return found.get("TaskID") if found else None

    def _invoice_of_its_own(self, wanted: Wanted, document: Document | None) -> Pushed:
        content: InvoiceContent = wanted.content
        if content.header is None:
            raise Hold("order_missing", "the invoice has neither an order nor a header")
        document, found = self._header(wanted, content.header, document)
        purchase_id = _purchase_id(document)
        if document.state == "header_made":
            # Cin7 takes an invoice only on an authorised order, whatever the policy for
            # purchase orders of SYSPRO says: this order is the invoice's own shell.
            body = bodies.order_post(
                purchase_id, content.lines, content.charges, memo=None, authorise=True
            )
            found |= self._post_order(wanted, body, purchase_id, "order_made", content)
            document, _ = self._header(wanted, content.header, self._again(wanted.ref))
        task = document.task_id or bodies.NEW_TASK
        found |= self._post_invoice(wanted, purchase_id, task, document)
        outcome = Outcome.ADOPTED if found else Outcome.CREATED
        return Pushed(outcome, purchase_id, document.cin7_number)

    def _post_invoice(
        self, wanted: Wanted, purchase_id: str, task_id: str, purchase: Document
    ) -> bool:
        content: InvoiceContent = wanted.content
        authorise = self._policies.authorise_invoices
        body = bodies.invoice_post(content, purchase_id, task_id, authorise=authorise)
        known = self._ledger.document(wanted.ref.kind, wanted.ref.source_key)

        def find(_write: OpenWrite) -> Answer | None:
            invoices = self._cin7.purchase(purchase_id).get("Invoice") or []
            written = [i for i in invoices if i.get("Lines") or i.get("AdditionalCharges")]
            task = task_id if task_id != bodies.NEW_TASK else known and known.task_id
            ours = [
                i
                for i in written
                if (
                    i.get("TaskID") == task
                    if task
                    else i.get("InvoiceNumber") == content.number
                )
            ]
            found = _only(ours, f"invoices {content.number} on purchase {purchase_id}")
            if found is None or found.get("Status") == "VOIDED":
                return None
            # A draft may be written over, unless it is just what is wanted.
            is_draft = found.get("Status") == "DRAFT"
            return None if is_draft and sent_differences(body, found) else found

        def record(answer: Answer) -> dict[str, Any]:
            return {
                "cin7_id": purchase_id,
                "cin7_number": purchase.cin7_number,
                "task_id": answer.get("TaskID"),
                "answered": bodies.answered_amounts(answer),
                **_done(content),
            }

        step = Step(
            "post_invoice",
            body,
            lambda: self._cin7.post_invoice(body),
            find,
            record,
            intended=content.to_json(),
        )
        return self._protocol.run(wanted.ref, step).was_found

    def _credit_note(self, wanted: Wanted) -> Pushed:
        content: CreditContent = wanted.content
        invoice = self._ledger.document(Kind.INVOICE, content.credited_invoice)
        if invoice is None or invoice.state != "done":
            raise Hold(
                "credited_invoice_missing", f"invoice {content.credited_invoice} is not in Cin7"
            )
        purchase_id = _purchase_id(invoice)
        if _status_of(invoice) == "DRAFT" and not self._invoice_authorised_now(invoice):
            raise Hold(
                "credited_invoice_missing",
                f"invoice {content.credited_invoice} is a draft in Cin7; authorise it there",
            )
        document = self._ledger.document(Kind.CREDIT_NOTE, wanted.ref.source_key)
        authorise = self._policies.authorise_invoices
        body = bodies.credit_note_post(content, purchase_id, authorise=authorise)
        if document is not None and document.state == "done":
            self._still(wanted, document, body, "CreditNote")
            return Pushed(Outcome.UNCHANGED, purchase_id, invoice.cin7_number)
        credited = DocumentRef(Kind.INVOICE, content.credited_invoice)
        there = self._look_before_adding(credited, invoice)
        if self._take_numbered(wanted, there, invoice, sign=-1):
            return Pushed(Outcome.ADOPTED, purchase_id, invoice.cin7_number)

        def find(_write: OpenWrite) -> Answer | None:
            notes = self._cin7.purchase(purchase_id).get("CreditNote") or []
            if document is not None and document.task_id is not None:
                return _of_task(notes, document.task_id)
            ours = [n for n in notes if n.get("CreditNoteNumber") == content.number]
            return _only(ours, f"credit notes {content.number} on purchase {purchase_id}")

        def record(answer: Answer) -> dict[str, Any]:
            return {
                "cin7_id": purchase_id,
                "cin7_number": invoice.cin7_number,
                "task_id": answer.get("TaskID"),
                "answered": bodies.answered_amounts(answer, sign=-1),
                **_done(content),
            }

        step = Step(
            "post_credit_note",
            body,
            lambda: self._cin7.post_credit_note(body),
            find,
            record,
            intended=content.to_json(),
        )
        written = self._protocol.run(wanted.ref, step)
        outcome = Outcome.ADOPTED if written.was_found else Outcome.CREATED
        return Pushed(outcome, purchase_id, invoice.cin7_number)

    # --- what was there before ---------------------------------------------------------

    def _look_before_adding(self, ref: DocumentRef, document: Document) -> Answer | None:
        """Compare an authorised document with Cin7 before something is added to it.

        Once a run and purchase; not when this run has just written it.

        Raises:
            Hold: changed_in_cin7, naming what differs.

        Returns:
            The purchase as it stood when it was looked at; None when it was not.
        """
        purchase_id = _purchase_id(document)
        if purchase_id in self._looked_at:
            return self._looked_at[purchase_id]
        is_new = self._ledger.was_written_now(ref.kind, ref.source_key)
        if is_new and purchase_id not in self._to_look_at:
            return None
        purchase = self._cin7.purchase(purchase_id)
        part = standing.part_of(ref.kind, document, purchase)
        if standing.is_void(purchase) or part is None:
            raise Hold("changed_in_cin7", f"purchase {document.cin7_number} is void in Cin7")
        different = standing.standing_differences(ref.kind, document, part)
        if different:
            shown = "; ".join(different[:5])
            raise Hold("changed_in_cin7", f"purchase {document.cin7_number}: {shown}")
        seen = {name: purchase.get(name) for name in _ADDED}
        self._looked_at[purchase_id] = seen
        return seen

    def _take(self, wanted: Wanted, stored: Answer, changes: Mapping[str, Any]) -> None:
        """Link a document that stands on its purchase already, just as it is wanted."""
        self._ledger.adopt(
            wanted.ref,
            because="it stood on the purchase already, as it is wanted",
            answer_digest=digest_of(stored),
            **changes,
        )

    def _take_numbered(
        self, wanted: Wanted, there: Answer | None, purchase: Document, sign: int = 1
    ) -> bool:
        """Link an invoice or credit note that stands on the purchase and is no document's.

        Raises:
            Hold: already_in_cin7, it has the number and says something else.
        """
        kind, number = wanted.ref.kind, wanted.content.number
        document = self._ledger.document(kind, wanted.ref.source_key)
        if there is None or not self._is_unmade(wanted.ref, document):
            return False
        what = f"{kind}s {number} on purchase {purchase.cin7_number}"
        found = _only(self._of_nobody(wanted, there, _purchase_id(purchase)), what)
        if found is None:
            return False
        different = standing.content_differences(kind, wanted.content, found)
        if different:
            shown = "; ".join(different[:5])
            raise Hold("already_in_cin7", f"purchase {purchase.cin7_number}: {shown}")
        changes = {
            "cin7_id": purchase.cin7_id,
            "cin7_number": purchase.cin7_number,
            "task_id": found.get("TaskID"),
            "answered": bodies.answered_amounts(found, sign=sign),
            **_done(wanted.content),
        }
        self._take(wanted, found, changes)
        return True

    def _of_nobody(self, wanted: Wanted, purchase: Answer, purchase_id: str) -> list[Answer]:
        """Return what stands on a purchase under a document's number and is no other's."""
        kind, number = wanted.ref.kind, wanted.content.number
        tasks = self._ledger.tasks(purchase_id, but=wanted.ref.source_key)
        taken = {task for of_kind, task in tasks if of_kind == kind}
        return [
            block
            for block in standing.written_blocks(kind, purchase)
            if number in (block.get("InvoiceNumber"), block.get("CreditNoteNumber"))
            and block.get("TaskID") not in taken
        ]

    # --- what documents share --------------------------------------------------------

    def _is_unmade(self, ref: DocumentRef, document: Document | None) -> bool:
        """Tell whether Cin7 certainly has nothing of ours for a document.

        It was never tried, or refused, or did not go out: what stands there now, a person
        made.
        """
        if document is None:
            return True
        is_linked = document.cin7_id is not None or document.task_id is not None
        return not is_linked and self._ledger.open_write(ref.kind, ref.source_key) is None

    def _await_siblings(self, wanted: Wanted, purchase_order: str) -> None:
        """Keep off a purchase while it is not known what a call made on it.

        An unanswered receipt or invoice may stand in any of its groups, or come to stand in
        one: what is written into that group now would be added to it, or written over.

        Raises:
            Unsettled: not before the answer that was lost is settled.
            Hold: quarantined, until a person settled it.
        """
        for ref, write in self._ledger.open_on_order(purchase_order, but=wanted.ref):
            what = f"{ref.kind} {ref.source_key} of the same order"
            if write.state == "quarantined":
                raise Hold("quarantined", f"{what} is not clear; settle that one first")
            if write.state != "differs":  # of that one the group is known
                raise Unsettled(self._protocol.left(write), f"{what}: its answer was lost")

    def _supplier_id(self, supplier: str) -> str:
        document = self._ledger.document(Kind.SUPPLIER, supplier)
        if document is None or document.cin7_id is None:
            raise Hold("supplier_held", f"supplier {supplier} is not in Cin7")
        return document.cin7_id

    def _authorised_order(self, purchase_order: str) -> Document:
        order = self._ledger.document(Kind.PURCHASE_ORDER, purchase_order)
        if order is None or order.state != "done":
            raise Hold("order_missing", f"purchase order {purchase_order} is not in Cin7")
        if _status_of(order) == "DRAFT":
            self._see_authorised(purchase_order, order)
        return order

    def _see_authorised(self, purchase_order: str, order: Document) -> None:
        """See whether a person authorised an order that we left as a draft, and note it."""
        current = self._cin7.purchase(_purchase_id(order)).get("Order") or {}
        if current.get("Status") != "AUTHORISED":
            raise Hold("order_is_draft", f"purchase order {purchase_order} is a draft")
        ref = _order_ref(purchase_order)
        self._to_look_at.add(_purchase_id(order))
        self._ledger.adopt(
            ref,
            action=Action.CONFIRMED,
            because="a person authorised it in Cin7",
            answer_digest=digest_of(current),
            state="done",
            answered={"status": "AUTHORISED"},
        )

    def _invoice_authorised_now(self, invoice: Document) -> bool:
        """Tell whether a person authorised an invoice that we left as a draft."""
        invoices = self._cin7.purchase(_purchase_id(invoice)).get("Invoice") or []
        ours = [i for i in invoices if i.get("TaskID") == invoice.task_id]
        return any(i.get("Status") in ("AUTHORISED", "PAID") for i in ours)


@dataclass(frozen=True)
class _Void:
    """The void of a purchase, for the ledger's digest; the call itself has no body."""

    purchase_id: str

    def to_wire(self) -> dict[str, Any]:
        return {"ID": self.purchase_id, "Void": True}


def _purchase_name(ref: DocumentRef, content: Any) -> str:
    """Return what is locked: a purchase is one thing, with its receipts and invoices."""
    if ref.kind is Kind.CREDIT_NOTE:
        return f"invoice|{content.credited_invoice}"
    order = getattr(content, "purchase_order", None)
    if order is not None:
        return f"{Kind.PURCHASE_ORDER}|{order}"
    return f"{ref.kind}|{ref.source_key}"


def _order_ref(purchase_order: str) -> DocumentRef:
    return DocumentRef(Kind.PURCHASE_ORDER, purchase_order)


def _done(content: Any) -> dict[str, Any]:
    return {"state": "done", "content": content.to_json(), "content_hash": content.digest()}


def _without_header(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != "header"}


def _of_task(blocks: Iterable[Answer], task_id: str | None) -> Answer | None:
    return next((block for block in blocks if block.get("TaskID") == task_id), None)


def _answered(wanted: Wanted, block: Answer) -> dict[str, Any]:
    if wanted.ref.kind is Kind.RECEIPT:
        return {"status": "AUTHORISED"}
    sign = -1 if wanted.ref.kind is Kind.CREDIT_NOTE else 1
    return bodies.answered_amounts(block, sign=sign)


def _only(found: list[Any], what: str) -> Answer | None:
    """Return the one that was found, None when none was.

    Raises:
        Hold: quarantined, when there are several.
    """
    if len(found) > 1:
        ids = ", ".join(str(f.get("ID") or f.get("TaskID")) for f in found[:5])
        raise Hold("quarantined", f"{len(found)} {what}: {ids}")
    return found[0] if found else None


def _first_task(purchase: Answer) -> str | None:
    invoices = purchase.get("Invoice") or []
    return invoices[0].get("TaskID") if invoices else None


def _status_of(document: Document) -> str | None:
    """Return the status that Cin7 answered last: DRAFT, AUTHORISED, VOIDED."""
    return (document.answered or {}).get("status")


def _purchase_id(document: Document) -> str:
    if document.cin7_id is None:
        raise LookupError("the ledger has a document without its purchase id")
    return document.cin7_id


def _received(group: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """Return what a receipt says, comparable: product, quantity, day."""
    return sorted(
        (str(i.get("SKU")), i.get("Quantity"), str(i.get("Date"))[:10])
        for i in group.get("Lines") or []
    )
