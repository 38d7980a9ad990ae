"""The Cin7 Core client: one method per endpoint that the product uses.

What must not come in: rules of the sync, SYSPRO, Dagster.
"""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx
from pydantic import SecretStr

from mlc_pipeline.cin7.budget import Pacer
from mlc_pipeline.cin7.errors import Call, NotFound, unusable
from mlc_pipeline.cin7.requests import (
    NEW_TASK,
    CreditNotePost,
    InvoicePost,
    OrderPost,
    ProductPost,
    PurchasePost,
    PurchasePut,
    StockPost,
    SupplierPost,
    SupplierPut,
)
from mlc_pipeline.cin7.sending import (
    DEFAULT_LIMITS,
    CallCounter,
    Misshapen,
    RetryLimits,
    Sender,
    guarded,
)

Row = dict[str, Any]
"""An object as Cin7 answers it: wire names, Decimals, dates as text."""

PAGE_SIZE: Final = 1000
"""The most rows Cin7 gives at once."""


@dataclass(frozen=True)
class _Page:
    """One page of a list; `total` is None when the list announces none."""

    rows: list[Row]
    total: int | None


class Cin7Client:
    """Speaks to one Cin7 account; a context manager, usable from several threads.

    Every method may raise any `Cin7Error`; reads never raise `UncertainOutcome`.
    """

    def __init__(
        self,
        base_url: str,
        account_id: SecretStr,
        keys: Mapping[str, SecretStr],
        pacers: Mapping[str, Pacer],
        timeout_seconds: float = 60,
        transport: httpx.BaseTransport | None = None,
        *,
        limits: RetryLimits = DEFAULT_LIMITS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            base_url: address that ends in `/ExternalApi/v2`.
            account_id: the account's id.
            keys: application key of each API application, by its name.
            pacers: pacer of each API application, by the same names.
            timeout_seconds: for each wait for an answer; a quarter for each step there.
            transport: what carries the requests; None for the network.
            limits: bounds of the retries.
            sleep: waits between retries.

        Raises:
            ValueError: no application, names that differ, a key or address unfit for HTTP.
        """
        self._sender = Sender(
            base_url, account_id, keys, pacers, timeout_seconds, transport, limits, sleep
        )
        self._send = self._sender.send

    def __repr__(self) -> str:
        return f"Cin7Client({self._sender!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    @property
    def counter(self) -> CallCounter:
        """What the calls cost so far; a copy."""
        return self._sender.counter

    def guarded(self, check: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `check` right before each request that writes, as long as the context lasts.

        What it raises ends the call: that request was not sent.
        """
        return guarded(check)

    # References

    def me(self) -> Row:
        """Return company, base currency, lock date and tax calculation of the account."""
        return self._send("GET", "/me", _object_with("Company"))

    def accounts(self) -> list[Row]:
        """Return the chart of accounts."""
        return self._pages("/ref/account", "AccountsList", identity="Code")

    def tax_rules(self) -> list[Row]:
        """Return all tax rules, inactive ones too."""
        return self._pages("/ref/tax", "TaxRuleList")

    def payment_terms(self) -> list[Row]:
        """Return all payment terms, inactive ones too."""
        return self._pages("/ref/paymentterm", "PaymentTermList")

    def locations(self) -> list[Row]:
        """Return all locations; names may repeat."""
        return self._pages("/ref/location", "LocationList")

    def products(self, *, include_deprecated: bool = True) -> list[Row]:
        """Return all products."""
        return self._pages("/product", "Products", IncludeDeprecated=include_deprecated)

    def create_product(self, product: ProductPost) -> Row:
        """Create a product and return it."""
        return self._send("POST", "/product", _only_record_in("Products"), body=product)

    # Suppliers

    def suppliers(
        self, modified_since: dt.datetime | None = None, *, include_deprecated: bool = True
    ) -> list[Row]:
        """Return suppliers, those modified since a moment (with zone) when one is given."""
        return self._pages(
            "/supplier",
            "SupplierList",
            ModifiedSince=_moment(modified_since),
            IncludeDeprecated=include_deprecated,
        )

    def suppliers_named(self, name: str) -> list[Row]:
        """Return the suppliers of exactly this name, but for case and outer blanks.

        Cin7 answers all whose name begins with it; deprecated ones count.
        """
        wanted = name.strip()
        found = self._pages("/supplier", "SupplierList", Name=wanted, IncludeDeprecated=True)
        return [row for row in found if _folded(row.get("Name")) == _folded(wanted)]

    def supplier(self, supplier_id: str) -> Row:
        """Return one supplier, deprecated or not.

        Raises:
            NotFound: no supplier has this id.
        """
        rows = self._pages("/supplier", "SupplierList", ID=supplier_id, IncludeDeprecated=True)
        for row in rows:
            if _folded(row["ID"]) == _folded(supplier_id):
                return row
        call = self._about("/supplier", f"ID {supplier_id!r}")
        raise NotFound(call, "found no supplier with this id")

    def create_supplier(self, supplier: SupplierPost) -> Row:
        """Create a supplier and return it."""
        return self._send("POST", "/supplier", _only_record_in("SupplierList"), body=supplier)

    def update_supplier(self, supplier: SupplierPut) -> Row:
        """Change a supplier and return it; blank text clears a value."""
        return self._send("PUT", "/supplier", _only_record_in("SupplierList"), body=supplier)

    # Purchases

    def purchases(
        self,
        updated_since: dt.datetime | None = None,
        search: str | None = None,
        status: str | None = None,
    ) -> list[Row]:
        """Return rows of the purchase list, read to its end (the newest come last).

        Args:
            updated_since: a moment with zone.
            search: contained in order, invoice or credit note number, status or supplier;
                Cin7 looks neither into notes nor into attributes.
            status: one status, as Cin7 writes it.
        """
        return self._pages(
            "/purchaseList",
            "PurchaseList",
            UpdatedSince=_moment(updated_since),
            Search=search,
            Status=status,
        )

    def purchase(self, purchase_id: str) -> Row:
        """Return a purchase of any kind with its order, invoices, receipts and credits.

        Raises:
            NotFound: no purchase has this id.
        """
        return self._send("GET", "/advanced-purchase", _object_with("ID"), {"ID": purchase_id})

    def create_purchase(self, purchase: PurchasePost) -> Row:
        """Create the header of a purchase and return the purchase."""
        return self._send("POST", "/advanced-purchase", _object_with("ID"), body=purchase)

    def update_purchase(self, purchase: PurchasePut) -> Row:
        """Change the header of a purchase and return the purchase."""
        return self._send("PUT", "/advanced-purchase", _object_with("ID"), body=purchase)

    def void_purchase(self, purchase_id: str) -> Row:
        """Void a purchase for good; return what Cin7 answers, empty when nothing."""
        query = {"ID": purchase_id, "Void": True}
        return self._send("DELETE", "/advanced-purchase", _object_with(), query)

    def undo_purchase(self, purchase_id: str) -> Row:
        """Undo a purchase back to draft; return what Cin7 answers, empty when nothing."""
        query = {"ID": purchase_id, "Void": False}
        return self._send("DELETE", "/advanced-purchase", _object_with(), query)

    def post_order(self, order: OrderPost) -> Row:
        """Write lines and charges of a purchase's order and return the order."""
        return self._send("POST", "/purchase/order", _object_with("TaskID"), body=order)

    def post_stock(self, stock: StockPost) -> Row:
        """Add received lines and return the receipt they went to, with `PurchaseID`."""
        document = _document_in("StockReceiving", stock.task_id)
        return self._send("POST", "/advanced-purchase/stock", document, body=stock)

    def post_invoice(self, invoice: InvoicePost) -> Row:
        """Write an invoice of a purchase and return it, with `PurchaseID`."""
        number = {"InvoiceNumber": invoice.invoice_number}
        document = _document_in("Invoices", invoice.task_id, number)
        return self._send("POST", "/advanced-purchase/invoice", document, body=invoice)

    def post_credit_note(self, credit_note: CreditNotePost) -> Row:
        """Write a credit note of a purchase and return it, with `PurchaseID`."""
        number = {"CreditNoteNumber": credit_note.credit_note_number}
        document = _document_in("CreditNotes", credit_note.task_id, number)
        return self._send("POST", "/advanced-purchase/creditnote", document, body=credit_note)

    # Ledger

    def transactions(self, first: dt.date, last: dt.date) -> list[Row]:
        """Return the ledger's transactions effective from first to last, both included.

        On the wire both bounds are exclusive, so a day more is asked for on each side.

        Raises:
            ValueError: first is later than last.
        """
        if first > last:
            raise ValueError(f"transactions: found {first} to {last}, expected first <= last")
        day = dt.timedelta(days=1)
        rows = self._pages(
            "/transactions",
            "Transactions",
            identity=None,
            FromDate=f"{first - day}T00:00:00",
            ToDate=f"{last + day}T00:00:00",
        )
        return [row for row in rows if first <= self._effective_date(row) <= last]

    def _effective_date(self, row: Row) -> dt.date:
        found = row.get("EffectiveDate")
        try:
            return dt.date.fromisoformat(str(found)[:10])
        except ValueError:
            call = self._about("/transactions", f"TaskID {row.get('TaskID')!r}")
            raise unusable(call, f"EffectiveDate: found {found!r}, expected a date") from None

    # Lists

    def _pages(
        self, path: str, key: str, *, identity: str | None = "ID", **filters: Any
    ) -> list[Row]:
        """Return a list read to its end, each row once: the whole list or an error.

        Pages are no snapshot: a row that moves between them during the reading can be
        missed, so a list shorter than its `Total` is read once more.

        Args:
            path: endpoint.
            key: name of the list in the answer.
            identity: field that tells rows apart; None when the rows have none.
            filters: query parameters, None for those not wanted.
        """
        for _ in range(2):
            rows, total = self._read_through(path, _page_of(key, identity), filters)
            if identity:
                rows = list({row[identity]: row for row in rows}.values())
            if len(rows) >= total:
                return rows
        problem = f"expected {total} rows in {key}, found {len(rows)}, twice in a row"
        raise unusable(self._about(path), problem)

    def _read_through(
        self, path: str, page_of: Callable[[Any], _Page], filters: Mapping[str, Any]
    ) -> tuple[list[Row], int]:
        """Return the rows of all pages, and how many the last page announced."""
        rows: list[Row] = []
        for number in itertools.count(1):
            query = {**filters, "Page": number, "Limit": PAGE_SIZE}
            page = self._send("GET", path, page_of, query)
            rows.extend(page.rows)
            # A list that announces no total ends with its first page that is not full.
            expected = len(rows) + (len(page.rows) == PAGE_SIZE)
            total = expected if page.total is None else page.total
            if not page.rows or len(rows) >= total:
                break
        return rows, total

    def _about(self, path: str, record: str = "") -> Call:
        """Return a read as messages name it when several answers are at fault."""
        return Call(", ".join(self._sender.applications), "GET", path, record)


def _moment(value: dt.datetime | None) -> str | None:
    """Return a moment as Cin7 wants it: UTC, without a zone."""
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError(f"found the moment {value} without a zone, expected one with it")
    return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _folded(text: Any) -> str:
    return str(text or "").strip().casefold()


def _object(body: Any) -> Row:
    if not isinstance(body, dict):
        raise Misshapen(f"is a {type(body).__name__}, expected an object")
    return body


def _objects(body: Any, key: str) -> list[Row]:
    """Return the list of objects that an answer holds under a key."""
    found = _object(body).get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Misshapen(f"has no list of objects in {key}")
    return found


def _object_with(*fields: str) -> Callable[[Any], Row]:
    """Return what checks that an answer is an object with a value in each field."""

    def pick(body: Any) -> Row:
        found = _object(body)
        for field in fields:
            if not found.get(field):
                raise Misshapen(f"has no {field}")
        return found

    return pick


def _only_record_in(key: str) -> Callable[[Any], Row]:
    """Return what takes the one record out of a list envelope; it must have an ID."""

    def pick(body: Any) -> Row:
        found = _objects(body, key)
        if len(found) != 1 or not found[0].get("ID"):
            raise Misshapen(f"does not hold one record with an ID in {key}")
        return found[0]

    return pick


def _page_of(key: str, identity: str | None) -> Callable[[Any], _Page]:
    """Return what reads one page of a list, whose rows must have their identity."""

    def pick(body: Any) -> _Page:
        rows = _objects(body, key)
        if identity and not all(row.get(identity) for row in rows):
            raise Misshapen(f"has a row without {identity} in {key}")
        total = body.get("Total")
        return _Page(rows, total if isinstance(total, int) else None)

    return pick


def _document_in(
    key: str, task_id: str, number: Mapping[str, str | None] | None = None
) -> Callable[[Any], Row]:
    """Return what takes the document that was sent out of the list of its purchase.

    It is found by its task. A new task is found by the document's number, and when a
    document has none (a receipt) by being the last. Voided documents stay in the list, so
    the last match counts.

    Args:
        key: name of the list.
        task_id: task the document was sent to.
        number: field and value of the document's number.
    """
    wanted = number or {} if task_id == NEW_TASK else {"TaskID": task_id}

    def pick(body: Any) -> Row:
        matches = [
            each
            for each in _objects(body, key)
            if all(_folded(each.get(name)) == _folded(wanted[name]) for name in wanted)
        ]
        if not matches:
            raise Misshapen(f"does not hold the document that was sent in {key}")
        return {"PurchaseID": body.get("PurchaseID"), **matches[-1]}

    return pick
