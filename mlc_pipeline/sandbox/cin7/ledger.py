"""The general ledger: what an authorised invoice or credit note posts.

One row a line or charge (debit its Account, credit the supplier's AccountPayable) and one a
tax amount (debit the tax rule's Account), in base currency, rounded to cents. Credit notes
post the other way round; amounts are positive, a negative one swaps the sides.
What must not come in: when something is authorised, voided or undone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal

from mlc_pipeline.sandbox.cin7.lines import net_of
from mlc_pipeline.sandbox.cin7.purchase import POSTED, is_inclusive
from mlc_pipeline.sandbox.cin7.state import Sandbox
from mlc_pipeline.sandbox.cin7.store import Store
from mlc_pipeline.sandbox.cin7.wire import Document, rounded


def post(sandbox: Sandbox, purchase: Document, part: Document) -> None:
    """Make the ledger say what this invoice or credit note of the purchase says now."""
    store = sandbox.store
    if part["Status"] not in POSTED:
        take_back(store, part)
        return
    supplier = store.get("supplier", purchase["SupplierID"]) or {}
    payables = supplier.get("AccountPayable", "")
    rate = Decimal(purchase["CurrencyRate"])
    sign = -1 if _is_credit_note(part) else 1
    rows = []
    for account, money in _entries(store, purchase, part):
        amount = sign * rounded(money * rate, 2)
        if amount:
            debit, credit = (account, payables) if amount > 0 else (payables, account)
            rows.append(_row(purchase, part, debit, credit, abs(amount)))
    store.put("posting", _key(part), {"Rows": rows})


def take_back(store: Store, part: Document) -> None:
    """Remove whatever this invoice or credit note has posted."""
    store.remove("posting", _key(part))


def rows_by_date(postings: Collection[Document]) -> list[Document]:
    """Every ledger row, by effective date, then in the order of posting."""
    rows = [row for posting in postings for row in posting["Rows"]]
    return sorted(rows, key=lambda row: row["EffectiveDate"])


def _is_credit_note(part: Document) -> bool:
    return "CreditNoteNumber" in part


def _key(part: Document) -> str:
    # On a simple purchase the invoice and the credit note share one TaskID.
    return f"{'credit' if _is_credit_note(part) else 'invoice'}:{part['TaskID']}"


def _entries(store: Store, purchase: Document, part: Document) -> Iterator[tuple[str, Decimal]]:
    """Account and money in supplier currency, of each line, charge and tax amount."""
    inclusive = is_inclusive(purchase)
    for line in [*part["Lines"], *part["AdditionalCharges"]]:
        yield line["Account"], net_of(line, inclusive=inclusive)
        rules = store.find("tax_rule", "Name", line["TaxRule"])
        if line["Tax"] and rules:
            yield rules[0]["Account"], Decimal(line["Tax"])


def _row(
    purchase: Document, part: Document, debit: str, credit: str, amount: Decimal
) -> Document:
    if _is_credit_note(part):
        effective = part["CreditNoteDate"]
        reference = f"{part['CreditNoteInvoiceNumber']}/{part['CreditNoteNumber']}"
    else:
        effective, reference = part["InvoiceDate"], part["InvoiceNumber"]
    return {
        "TaskID": part["TaskID"],
        "DebitAccountCode": debit,
        "CreditAccountCode": credit,
        "Amount": amount,
        "EffectiveDate": effective,
        "Reference": reference,
        "Transaction": f"{purchase['Supplier']} - {reference}",
        "Type": "Purchase",
    }
