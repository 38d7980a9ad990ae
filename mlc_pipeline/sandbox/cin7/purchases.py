"""The purchases of the account: finding, keeping, removing, listing them.

What must not come in: requests, rules of documents.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlc_pipeline.sandbox.cin7 import ledger
from mlc_pipeline.sandbox.cin7.purchase import list_row, refresh
from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.state import ListRow, Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document

_SEARCHED = ("OrderNumber", "Status", "Supplier", "InvoiceNumber", "CreditNoteNumber")


def find_purchase(sandbox: Sandbox, id_: str) -> Document:
    """The purchase of that id; refuses when there is none."""
    purchase = sandbox.store.get("purchase", id_.lower())
    if purchase is None:
        raise RefusedError(f"Purchase with ID {id_} was not found")
    return purchase


def find_by_task(sandbox: Sandbox, task_id: str, block: str) -> tuple[Document, Document]:
    """The purchase and its part (of `Invoice` or `CreditNote`) with that TaskID."""
    for purchase in sandbox.store.find("purchase", "TaskID", task_id):
        for part in purchase[block]:
            if part["TaskID"] == task_id.lower():
                return purchase, part
    raise RefusedError(f"Task with ID {task_id} was not found")


def keep(sandbox: Sandbox, purchase: Document) -> None:
    """Store a new or changed purchase with its statuses brought up to date."""
    refresh(purchase)
    sandbox.store.put("purchase", purchase["ID"], purchase)
    sandbox.list_rows.pop(purchase["ID"], None)


def remove(sandbox: Sandbox, purchase: Document) -> None:
    """Forget a purchase and what it posted."""
    for part in [*purchase["Invoice"], *purchase["CreditNote"]]:
        ledger.take_back(sandbox.store, part)
    sandbox.store.remove("purchase", purchase["ID"])
    sandbox.list_rows.pop(purchase["ID"], None)


def rows(sandbox: Sandbox) -> Iterator[ListRow]:
    """The rows of the purchase list, oldest order number first."""
    for purchase in sandbox.store.all("purchase"):
        row = sandbox.list_rows.get(purchase["ID"])
        if row is None:
            shown = list_row(purchase)
            # A separator no one types: a search never matches across two fields.
            row = shown, "\x1f".join(shown[f] or "" for f in _SEARCHED).casefold()
            sandbox.list_rows[purchase["ID"]] = row
        yield row


def next_order_number(sandbox: Sandbox) -> str:
    """The number of the next purchase: PO-00001, PO-00002, ..."""
    used = sandbox.store.get("counter", "order") or {"Last": 0}
    number = used["Last"] + 1
    sandbox.store.put("counter", "order", {"Last": number})
    return f"PO-{number:05}"
