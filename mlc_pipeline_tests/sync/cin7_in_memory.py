"""A Cin7 Core in memory that fits `sync.target.Cin7`: it keeps, gates, and fails on demand.

It never refuses a repetition by itself, so that whatever the push sends twice is there
twice. Every body that comes in is held against the API description.
What must not come in: the push, the ledger, expectations.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from mlc_pipeline.cin7.decimals import dumps, loads
from mlc_pipeline.cin7.errors import (
    Call,
    Cin7Error,
    NotAuthorised,
    NotFound,
    Refused,
    Unavailable,
    UncertainOutcome,
)
from mlc_pipeline.cin7.requests import NEW_TASK
from mlc_pipeline_tests.contract.openapi import validate_request

Record = dict[str, Any]

PATHS = {
    "create_supplier": ("POST", "/supplier"),
    "update_supplier": ("PUT", "/supplier"),
    "create_product": ("POST", "/product"),
    "create_purchase": ("POST", "/advanced-purchase"),
    "update_purchase": ("PUT", "/advanced-purchase"),
    "post_order": ("POST", "/purchase/order"),
    "post_stock": ("POST", "/advanced-purchase/stock"),
    "post_invoice": ("POST", "/advanced-purchase/invoice"),
    "post_credit_note": ("POST", "/advanced-purchase/creditnote"),
    "void_purchase": ("DELETE", "/advanced-purchase"),
}
"""Method and path of each call that writes."""

REFUSED, DENIED, UNAVAILABLE = "refused", "denied", "unavailable"
LOST_APPLIED, LOST = "lost after it was applied", "lost before it was applied"


def call(name: str) -> Call:
    """Return a call as errors name it."""
    method, path = PATHS.get(name, ("GET", f"/{name}"))
    return Call("main", method, path)


@dataclass
class InMemoryCin7:
    """The account: suppliers, products and purchases as documents.

    Attributes:
        faults: what goes wrong, by the name of the call; one entry is used up a call.
        alter: changes what is stored of a write, by the name of the call.
        writes: the names of the calls that were applied, in order.
        calls: the names of all calls that write, applied or not.
    """

    suppliers: dict[str, Record] = field(default_factory=dict)
    product_records: dict[str, Record] = field(default_factory=dict)
    purchase_records: dict[str, Record] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    alter: dict[str, Callable[[Record], None]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    checks: list[Callable[[], None]] = field(default_factory=list)

    # --- what a test asks ----------------------------------------------------------------

    def fail(self, name: str, *faults: str) -> None:
        """Let the next calls of a name fail."""
        self.faults.setdefault(name, []).extend(faults)

    def contents(self) -> dict[str, Any]:
        """Return everything there is, without ids, in an order of its own."""
        return {
            "suppliers": _plain(self.suppliers.values()),
            "products": _plain(self.product_records.values()),
            "purchases": _plain(self.purchase_records.values()),
        }

    def only_purchase(self) -> Record:
        """Return the one purchase there is."""
        (purchase,) = self.purchase_records.values()
        return purchase

    @contextmanager
    def guarded(self, check: Callable[[], None], /) -> Iterator[None]:
        self.checks.append(check)
        try:
            yield
        finally:
            self.checks.pop()

    # --- suppliers and products ------------------------------------------------------------

    def supplier(self, supplier_id: str, /) -> Record:
        self._reads("supplier")
        return self._found(self.suppliers, supplier_id)

    def suppliers_named(self, name: str, /) -> list[Record]:
        self._reads("suppliers_named")
        wanted = name.strip().casefold()
        return [s for s in self.suppliers.values() if s["Name"].casefold() == wanted]

    def create_supplier(self, body: Any, /) -> Record:
        def apply(wire: Record) -> Record:
            record = {"ID": str(uuid.uuid4()), **wire}
            self.suppliers[record["ID"]] = record
            return record

        return self._write("create_supplier", body, apply)

    def update_supplier(self, body: Any, /) -> Record:
        def apply(wire: Record) -> Record:
            record = self._found(self.suppliers, wire["ID"])
            record.update(wire)
            return record

        return self._write("update_supplier", body, apply)

    def products(self) -> list[Record]:
        self._reads("products")
        return list(self.product_records.values())

    def create_product(self, body: Any, /) -> Record:
        def apply(wire: Record) -> Record:
            record = {"ID": str(uuid.uuid4()), **wire}
            self.product_records[record["ID"]] = record
            return record

        return self._write("create_product", body, apply)

    # --- purchases -------------------------------------------------------------------------

    def purchase(self, purchase_id: str, /) -> Record:
        self._reads("purchase")
        return self._found(self.purchase_records, purchase_id)

    def purchases(self, *, updated_since: datetime | None = None) -> Iterable[Record]:
        self._reads("purchases")
        return [
            {"ID": p["ID"], "SupplierID": p["SupplierID"], "Status": p["Status"]}
            for p in self.purchase_records.values()
        ]

    def create_purchase(self, body: Any, /) -> Record:
        def apply(wire: Record) -> Record:
            purchase_id, task = str(uuid.uuid4()), str(uuid.uuid4())
            record = {
                "ID": purchase_id,
                "OrderNumber": f"PO-{len(self.purchase_records) + 1:05}",
                "Status": "DRAFT",
                "IsServiceOnly": False,
                **wire,
                "Order": {"TaskID": purchase_id, "Status": "NOT AVAILABLE"},
                "Invoice": [],
                "StockReceived": [],
                "CreditNote": [],
            }
            self._open_group(record, task)
            self.purchase_records[purchase_id] = record
            return record

        return self._write("create_purchase", body, apply)

    def update_purchase(self, body: Any, /) -> Record:
        def apply(wire: Record) -> Record:
            record = self._found(self.purchase_records, wire["ID"])
            record.update(wire)
            return record

        return self._write("update_purchase", body, apply)

    def post_order(self, body: Any, /) -> Record:
        def apply(wire: Record) -> Record:
            purchase = self._open_purchase(wire["TaskID"])
            _refuse_unless(
                purchase["Order"]["Status"] in ("NOT AVAILABLE", "DRAFT"),
                f"Order status is {purchase['Order']['Status']}: expected is DRAFT",
            )
            _refuse_unless(
                not (purchase["IsServiceOnly"] and wire["Lines"]),
                "Lines are not available for Service Purchases",
            )
            purchase["Order"] = dict(wire)
            return purchase["Order"]

        return self._write("post_order", body, apply)

    def post_stock(self, body: Any, /) -> Record:
        def apply(wire: Record) -> Record:
            purchase = self._authorised(wire["PurchaseID"])
            _refuse_unless(not purchase["IsServiceOnly"], "not available for Service Purchases")
            invoiced = any(i["Status"] == "AUTHORISED" for i in purchase["Invoice"])
            _refuse_unless(
                purchase["Approach"] == "STOCK" or invoiced,
                "'Invoice First' approach option set",
            )
            # Lines are added, to an authorised group too: the reading that costs most.
            group = self._group(purchase, "StockReceived", wire["TaskID"], is_added=True)
            before = group.get("Lines") or []
            products = {line["SKU"] for line in before}
            _refuse_unless(
                not any(line["SKU"] in products for line in wire["Lines"]),
                "Cannot add duplicate value in stock received lines.",
            )
            group.update(wire, TaskID=group["TaskID"], Lines=[*before, *wire["Lines"]])
            return group

        return self._write("post_stock", body, apply)

    def post_invoice(self, body: Any, /) -> Record:
        def apply(wire: Record) -> Record:
            purchase = self._authorised(wire["PurchaseID"])
            received = any(g["Status"] == "AUTHORISED" for g in purchase["StockReceived"])
            _refuse_unless(
                purchase["Approach"] == "INVOICE" or received,
                "'Stock First' approach option set",
            )
            group = self._group(purchase, "Invoice", wire["TaskID"])
            group.update(wire, TaskID=group["TaskID"])
            return group

        return self._write("post_invoice", body, apply)

    def post_credit_note(self, body: Any, /) -> Record:
        def apply(wire: Record) -> Record:
            purchase = self._authorised(wire["PurchaseID"])
            numbers = [i.get("InvoiceNumber") for i in purchase["Invoice"]]
            _refuse_unless(
                wire["CreditNoteInvoiceNumber"] in numbers,
                f"{wire['CreditNoteInvoiceNumber']} is not an invoice of this purchase",
            )
            note = {**wire, "TaskID": str(uuid.uuid4())}
            purchase["CreditNote"].append(note)
            return note

        return self._write("post_credit_note", body, apply)

    def void_purchase(self, purchase_id: str, /) -> Record:
        def apply(_wire: Record) -> Record:
            self._found(self.purchase_records, purchase_id)["Status"] = "VOIDED"
            return {}

        return self._write("void_purchase", None, apply)

    # --- how a call goes ---------------------------------------------------------------------

    def _reads(self, name: str) -> None:
        fault = self._next_fault(name)
        if fault is not None:
            raise _error(name, fault)

    def _write(self, name: str, body: Any, apply: Callable[[Record], Record]) -> Record:
        for check in self.checks:
            check()
        self.calls.append(name)
        wire: Record = {}
        if body is not None:
            wire = loads(dumps(body.to_wire()))
            validate_request(*PATHS[name], wire)
        fault = self._next_fault(name)
        if fault is not None and fault != LOST_APPLIED:
            raise _error(name, fault)
        stored = apply(wire)
        self.writes.append(name)
        if name in self.alter:
            self.alter[name](stored)
        if fault == LOST_APPLIED:
            raise _error(name, fault)
        answer: Record = loads(dumps(stored))
        return answer

    def _next_fault(self, name: str) -> str | None:
        waiting = self.faults.get(name)
        return waiting.pop(0) if waiting else None

    @staticmethod
    def _found(records: Mapping[str, Record], record_id: str) -> Record:
        if record_id not in records:
            raise NotFound(call("purchase"), f"found no record {record_id}")
        return records[record_id]

    def _open_purchase(self, purchase_id: str) -> Record:
        purchase = self._found(self.purchase_records, purchase_id)
        _refuse_unless(purchase["Status"] != "VOIDED", "Purchase is VOIDED")
        return purchase

    def _authorised(self, purchase_id: str) -> Record:
        purchase = self._open_purchase(purchase_id)
        status = purchase["Order"]["Status"]
        _refuse_unless(
            status == "AUTHORISED", f"Order status is {status}: expected is AUTHORISED"
        )
        return purchase

    @staticmethod
    def _open_group(purchase: Record, task: str) -> None:
        purchase["StockReceived"].append({"TaskID": task, "Status": "NOT AVAILABLE"})
        purchase["Invoice"].append({"TaskID": task, "Status": "NOT AVAILABLE"})

    def _group(
        self, purchase: Record, block: str, task: str, *, is_added: bool = False
    ) -> Record:
        if task == NEW_TASK:
            task = str(uuid.uuid4())
            self._open_group(purchase, task)
        group = next((g for g in purchase[block] if g["TaskID"] == task), None)
        if group is None:
            raise Refused(call("purchase"), f"task {task} was not found")
        _refuse_unless(
            is_added or group["Status"] in ("NOT AVAILABLE", "DRAFT"),
            f"{block} status is {group['Status']}: expected is DRAFT",
        )
        return group


def _refuse_unless(condition: bool, message: str) -> None:
    if not condition:
        raise Refused(call("purchase"), message, status=400, errors=[(400, message)])


def _error(name: str, fault: str) -> Cin7Error:
    where = call(name)
    if fault == REFUSED:
        return Refused(where, "answered 400", status=400, errors=[(400, "Cin7's own words")])
    if fault == DENIED:
        return NotAuthorised(where, "answered 401")
    if fault == UNAVAILABLE:
        return Unavailable(where, "no connection")
    return UncertainOutcome(where, "the answer was lost")


_IDS = frozenset({"ID", "TaskID", "PurchaseID", "SupplierID", "OrderNumber"})


def _plain(records: Iterable[Record]) -> list[str]:
    return sorted(repr(_without_ids(record)) for record in records)


def _without_ids(value: Any) -> Any:
    """Return a value without ids and empty groups; numbers as canonical text."""
    if isinstance(value, Mapping):
        return {
            name: _without_ids(item) for name, item in sorted(value.items()) if name not in _IDS
        }
    if isinstance(value, list):
        items = [_without_ids(item) for item in value]
        filled = [i for i in items if not (isinstance(i, dict) and _is_empty_group(i))]
        return sorted(filled, key=repr)
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return f"{Decimal(value).normalize():f}"
    return value


def _is_empty_group(item: Mapping[str, Any]) -> bool:
    return dict(item) == {"Status": "NOT AVAILABLE"}
