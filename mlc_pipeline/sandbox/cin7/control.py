"""The control surface under `/_sandbox`: what tests and demos do to the stand-in.

It is outside the API path, asks for no credentials and counts against no limit.
What must not come in: anything a client of Cin7 Core could call.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from mlc_pipeline.sandbox.cin7 import ledger, purchases
from mlc_pipeline.sandbox.cin7.faults import parse_fault
from mlc_pipeline.sandbox.cin7.purchase import part_of
from mlc_pipeline.sandbox.cin7.routes import credit_notes, invoices
from mlc_pipeline.sandbox.cin7.seed import seed
from mlc_pipeline.sandbox.cin7.state import Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document, business_date, new_guid, timestamp

MARKER = "AdditionalAttribute1"
"""The attribute in which a client names the source document of a purchase or supplier."""


def find_call(method: str, path: str) -> Callable[[Sandbox, Document], Document] | None:
    """The control call of that method and path, or None.

    It raises ValueError or LookupError when its body makes no sense; the text says why.
    """
    return _CALLS.get((method, path.strip("/")))


def health(sandbox: Sandbox, body: Document) -> Document:
    """That it runs."""
    return {"status": "ok", "purchases": len(sandbox.store.all("purchase"))}


def summary(sandbox: Sandbox, body: Document) -> Document:
    """What the account holds, and what should not be there.

    `duplicates`: markers on more than one purchase that is not void; `half_made`: headers
    without lines; `accounts`: money per ledger account in base currency.
    """
    every = sandbox.store.all("purchase")
    alive = [purchase for purchase in every if purchase["Status"] != "VOIDED"]
    suppliers = sandbox.store.all("supplier")
    return {
        "suppliers": len(suppliers),
        "products": len(sandbox.store.all("product")),
        "purchases": {
            "total": len(every),
            "by_status": Counter(purchase["Status"] for purchase in every),
            "by_type": Counter(purchase["Type"] for purchase in every),
        },
        "invoices": _parts(every, "Invoice"),
        "credit_notes": _parts(every, "CreditNote"),
        "duplicates": _doubled((p["AdditionalAttributes"][MARKER], p["ID"]) for p in alive),
        "doubled_suppliers": _doubled((s[MARKER], s["ID"]) for s in suppliers),
        "half_made": [p["ID"] for p in alive if not _has_lines(p)],
        "accounts": _money_per_account(sandbox),
    }


def get_traffic(sandbox: Sandbox, body: Document) -> Document:
    """The recorded requests, oldest first; credentials are never recorded."""
    return {"recording": sandbox.settings.record, "requests": sandbox.traffic}


def clear_traffic(sandbox: Sandbox, body: Document) -> Document:
    """Forget the recorded requests."""
    sandbox.traffic.clear()
    return get_traffic(sandbox, body)


def get_faults(sandbox: Sandbox, body: Document) -> Document:
    """The faults still on order."""
    return {"faults": [fault.to_json() for fault in sandbox.faults.waiting]}


def add_fault(sandbox: Sandbox, body: Document) -> Document:
    """Order a fault, see `faults.Fault`."""
    sandbox.faults.waiting.append(parse_fault(body))
    return get_faults(sandbox, body)


def clear_faults(sandbox: Sandbox, body: Document) -> Document:
    """Cancel every fault."""
    sandbox.faults.waiting.clear()
    return get_faults(sandbox, body)


def change_settings(sandbox: Sandbox, body: Document) -> Document:
    """Change settings; `lock_date` (a date or null) belongs to the account and stays."""
    changes = dict(body)
    lock_date = changes.pop("lock_date", ...)
    if lock_date is not ...:
        locked = business_date(lock_date) if lock_date else None
        sandbox.store.put("me", "me", {**sandbox.me, "LockDate": locked})
    sandbox.settings = sandbox.settings.changed(changes)
    return get_settings(sandbox, body)


def get_settings(sandbox: Sandbox, body: Document) -> Document:
    """The settings and the lock date."""
    return {**asdict(sandbox.settings), "lock_date": sandbox.me["LockDate"]}


def reset(sandbox: Sandbox, body: Document) -> Document:
    """Begin again: the settings and the seed of the start, or the seed given here."""
    sandbox.clear()
    seed(sandbox.store, body or sandbox.first_seed)
    return health(sandbox, body)


def edit(sandbox: Sandbox, body: Document) -> Document:
    """Change a stored document as a person in the UI would, without the API's rules.

    `{"purchase": id, "set": {"Note": "x", "Invoice.0.AdditionalCharges.0.Account": "500"}}`
    sets fields by path; `"delete": true` removes the document; on a purchase
    `"pay": {"TaskID", "Amount", "DatePaid", "Account"}` pays an invoice. Other kinds:
    supplier, product, location (by id), account (by code), tax_rule, payment_term (by name).
    """
    kind = next((name for name in _EDITABLE if name in body), None)
    if kind is None:
        raise ValueError(f"an edit names one of {', '.join(_EDITABLE)}")
    document = _find(sandbox, kind, body[kind])
    if body.get("delete"):
        _delete(sandbox, kind, document)
        return {"deleted": body[kind]}
    for path, value in body.get("set", {}).items():
        _set(document, path.split("."), value)
    if body.get("pay"):
        _pay(document, body["pay"])
    _keep(sandbox, kind, document)
    return document


def journal(sandbox: Sandbox, body: Document) -> Document:
    """Enter a journal by hand, as accountants do in the UI.

    `{"debit": "500", "credit": "610", "amount": 10.00, "date": "2026-03-02",
    "reference": "JE-1"}`
    """
    missing = [n for n in ("debit", "credit", "amount", "date") if n not in body]
    if missing:
        raise ValueError(f"a journal needs {', '.join(missing)}")
    task, reference = new_guid(), str(body.get("reference", ""))
    row = {
        "TaskID": task,
        "DebitAccountCode": str(body["debit"]),
        "CreditAccountCode": str(body["credit"]),
        "Amount": Decimal(body["amount"]),
        "EffectiveDate": business_date(body["date"]),
        "Reference": reference,
        "Transaction": str(body.get("text", "Manual journal")),
        "Type": "Journal",
    }
    sandbox.store.put("posting", f"journal:{task}", {"Rows": [row]})
    return row


_EDITABLE = {
    "purchase": "ID",
    "supplier": "ID",
    "product": "ID",
    "location": "ID",
    "account": "Code",
    "tax_rule": "Name",
    "payment_term": "Name",
}


def _find(sandbox: Sandbox, kind: str, key: str) -> Document:
    for document in sandbox.store.all(kind):
        if document[_EDITABLE[kind]] == key:
            return document
    raise ValueError(f"there is no {kind} {key}")


def _set(document: Any, path: list[str], value: Any) -> None:
    for step in path[:-1]:
        document = document[int(step) if isinstance(document, list) else step]
    if path[-1] not in document:
        raise ValueError(f"there is no field {path[-1]} to set")
    document[path[-1]] = value


def _pay(purchase: Document, payment: Document) -> None:
    invoice = part_of(purchase, "Invoice", payment["TaskID"])
    if invoice is None:
        raise ValueError(f"the purchase has no invoice {payment['TaskID']}")
    if invoice["Status"] != "AUTHORISED":
        raise ValueError(f"the invoice is {invoice['Status']}: payments need AUTHORISED")
    made = {
        "PurchaseID": purchase["ID"],
        "TaskID": invoice["TaskID"],
        "ID": new_guid(),
        "Type": "Payment",
        "Reference": payment.get("Reference", ""),
        "Amount": Decimal(payment["Amount"]),
        "DatePaid": business_date(payment["DatePaid"]),
        "Account": payment["Account"],
        "CurrencyRate": purchase["CurrencyRate"],
        "DateCreated": timestamp(),
        "DepositID": None,
    }
    invoice["Payments"].append(made)
    invoice["Paid"] += made["Amount"]
    if invoice["Paid"] >= invoice["Total"]:
        invoice["Status"] = "PAID"


def _delete(sandbox: Sandbox, kind: str, document: Document) -> None:
    if kind == "purchase":
        purchases.remove(sandbox, document)
    else:
        sandbox.store.remove(kind, _store_id(document))


def _keep(sandbox: Sandbox, kind: str, document: Document) -> None:
    if kind != "purchase":
        if "LastModifiedOn" in document:
            document["LastModifiedOn"] = timestamp()
        sandbox.store.put(kind, _store_id(document), document)
        return
    for invoice in document["Invoice"]:
        invoices.recalculate(document, invoice)
        ledger.post(sandbox, document, invoice)
    for note in document["CreditNote"]:
        credit_notes.recalculate(document, note)
        ledger.post(sandbox, document, note)
    purchases.keep(sandbox, document)


def _store_id(document: Document) -> str:
    id_: str = document.get("ID") or document["Code"]
    return id_


# ------------------------------------------------------------------------------- summary


def _parts(every: Iterable[Document], block: str) -> Document:
    statuses = Counter(
        part["Status"]
        for purchase in every
        for part in purchase[block]
        if part["Status"] != "NOT AVAILABLE"
    )
    return {"total": statuses.total(), "by_status": statuses}


def _doubled(marked: Iterable[tuple[str, str]]) -> list[Document]:
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for marker, id_ in marked:
        if marker:
            ids[marker].append(id_)
    return [{"marker": m, "ids": found} for m, found in ids.items() if len(found) > 1]


def _has_lines(purchase: Document) -> bool:
    order = purchase["Order"]
    return bool(order["Lines"] or order["AdditionalCharges"])


def _money_per_account(sandbox: Sandbox) -> dict[str, Decimal]:
    """Debits less credits of each account."""
    balances: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in sandbox.derived("posting", ledger.rows_by_date):
        balances[row["DebitAccountCode"]] += row["Amount"]
        balances[row["CreditAccountCode"]] -= row["Amount"]
    return dict(sorted(balances.items()))


_CALLS: dict[tuple[str, str], Callable[[Sandbox, Document], Document]] = {
    ("GET", "health"): health,
    ("GET", "summary"): summary,
    ("GET", "traffic"): get_traffic,
    ("DELETE", "traffic"): clear_traffic,
    ("GET", "faults"): get_faults,
    ("POST", "faults"): add_fault,
    ("DELETE", "faults"): clear_faults,
    ("GET", "settings"): get_settings,
    ("POST", "settings"): change_settings,
    ("POST", "edit"): edit,
    ("POST", "journal"): journal,
    ("POST", "reset"): reset,
}
