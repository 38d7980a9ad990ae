"""What stands in Cin7 at the end, and how it differs from what should.

Everything is read from the stand-in, as anybody with its key can read it.
What must not come in: the product's tables, runs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mlc_pipeline.cycle import Summary
from mlc_pipeline.sync.vocabulary import Kind, Outcome
from mlc_pipeline_tests.e2e.pair import Pair, documents_of, marker_of

Key = tuple[str, ...]
"""Kind of a document and what it is known by in Cin7, without ids."""

OURS = "SYSPRO:"
"""How a marker of the product begins."""


@dataclass
class End:
    """What Cin7 holds.

    Attributes:
        documents: how often each document is there.
        figures: statuses and totals of each, sorted.
        accounts: money per ledger account.
        half_made: purchases without lines, and invoices of their own without an invoice.
    """

    documents: Counter[Key] = field(default_factory=Counter)
    figures: defaultdict[Key, list[tuple[str, Decimal]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    accounts: dict[str, Decimal] = field(default_factory=dict)
    half_made: list[str] = field(default_factory=list)

    def add(self, key: Key, status: str, total: Decimal) -> None:
        """Count a document."""
        self.documents[key] += 1
        self.figures[key].append((status, total))
        self.figures[key].sort()

    @property
    def ours(self) -> int:
        """How many documents the product has brought or linked."""
        return self.documents.total() - self.documents[_FOREIGN]

    def of(self, kind: str) -> int:
        """How many documents of a kind are there."""
        return sum(count for key, count in self.documents.items() if key[0] == kind)


_FOREIGN: Key = ("supplier of the account",)


@dataclass
class Faults:
    """How an end differs from what should be there; each names what it found."""

    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    half_made: list[str] = field(default_factory=list)
    wrong_totals: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(self.counts())

    def counts(self) -> tuple[int, int, int, int]:
        """Duplicates, lost, half-made, wrong totals."""
        found = (self.duplicates, self.lost, self.half_made, self.wrong_totals)
        return len(found[0]), len(found[1]), len(found[2]), len(found[3])


def read_end(pair: Pair) -> End:
    """Read what Cin7 holds now."""
    end = End(accounts=pair.summary()["accounts"])
    for supplier in pair.suppliers():
        # What no marker links was in the account before and is not ours to count.
        key = ("supplier", marker) if (marker := supplier["AdditionalAttribute1"]) else _FOREIGN
        end.add(key, str(supplier["Status"]), Decimal(0))
    for purchase in pair.purchases():
        if purchase["Status"] != "VOIDED":
            _add_purchase(end, purchase)
    return end


def _add_purchase(end: End, purchase: Mapping[str, Any]) -> None:
    marker = marker_of(purchase) or purchase["ID"]
    order = purchase["Order"]
    end.add(("purchase", marker), f"{purchase['Status']}, {order['Status']}", order["Total"])
    for receipt in _receipts(purchase):
        end.add(("receipt", marker, *receipt), "", Decimal(0))
    documents = documents_of(purchase)
    for part in documents:
        kind = "invoice" if "InvoiceNumber" in part else "credit note"
        number = str(part.get("InvoiceNumber") or part.get("CreditNoteNumber"))
        end.add((kind, marker, number), str(part["Status"]), part["Total"])
    is_empty = not order["Lines"] and not order["AdditionalCharges"]
    if is_empty or (":AP:" in marker and not documents):
        end.half_made.append(marker)


def _receipts(purchase: Mapping[str, Any]) -> Iterator[Key]:
    for group in purchase["StockReceived"]:
        if group["Lines"]:
            yield tuple(
                sorted(
                    f"{line['SKU']} {line['Quantity']} {str(line['Date'])[:10]}"
                    for line in group["Lines"]
                )
            )


def compare(wanted: End, found: End) -> Faults:
    """Hold an end against what should be there."""
    faults = Faults(half_made=list(found.half_made))
    for key in sorted({*wanted.documents, *found.documents}):
        more = found.documents[key] - wanted.documents[key]
        name = " ".join(key)
        if more > 0:
            faults.duplicates += [name] * more
        elif more < 0:
            faults.lost += [name] * -more
        elif found.figures[key] != wanted.figures[key]:
            _sort_difference(faults, name, wanted.figures[key], found.figures[key])
    for account in sorted({*wanted.accounts, *found.accounts}):
        was, is_now = wanted.accounts.get(account, 0), found.accounts.get(account, 0)
        if was != is_now:
            faults.wrong_totals.append(f"account {account}: {is_now} instead of {was}")
    return faults


def _sort_difference(
    faults: Faults,
    name: str,
    wanted: list[tuple[str, Decimal]],
    found: list[tuple[str, Decimal]],
) -> None:
    """A document with other money is wrong; one with another status is not finished."""
    text = f"{name}: {found} instead of {wanted}"
    if [total for _, total in found] != [total for _, total in wanted]:
        faults.wrong_totals.append(text)
    elif name not in faults.half_made:
        faults.half_made.append(text)


# --- an undisturbed end against SYSPRO ----------------------------------------------------


def against_syspro(end: End, pair: Pair, told: Summary) -> Faults:
    """Hold an undisturbed end against SYSPRO's own rows.

    Every row is in Cin7, or the run says that it is not written; every invoice has the
    value that SYSPRO gives it. What is there twice or half made needs no comparison.
    """
    faults = Faults(half_made=list(end.half_made))
    tables = pair.tables
    rows = {
        Kind.PURCHASE_ORDER: len(tables["PorMasterHdr"]),
        Kind.RECEIPT: len({(r["PurchaseOrder"], r["Grn"]) for r in tables["GrnDetails"]}),
    }
    for kind, count in rows.items():
        _all_told(faults, str(kind), count, _read(told, kind))
    booked = _read(told, Kind.INVOICE) + _read(told, Kind.CREDIT_NOTE)
    _all_told(faults, "invoices and credits", len(tables["ApInvoice"]), booked)
    _all_there(faults, "receipts", _written(told, Kind.RECEIPT), end.of("receipt"))
    there = end.of("invoice") + end.of("credit note")
    written = _written(told, Kind.INVOICE) + _written(told, Kind.CREDIT_NOTE)
    _all_there(faults, "invoices and credits", written, there)
    orders = sum(n for key, n in end.documents.items() if ":PO:" in key[-1] and len(key) == 2)
    _all_there(faults, "purchase orders", _written(told, Kind.PURCHASE_ORDER), orders)
    values = {
        (r["Supplier"], r["Invoice"]): abs(r["OrigInvValue"]) for r in tables["ApInvoice"]
    }
    for key, part in pair.booked().items():
        if values.get(key) != part["Total"]:
            faults.wrong_totals.append(
                f"{' '.join(key)}: {part['Total']} instead of {values.get(key)}"
            )
    return faults


_NOT_WRITTEN = (Outcome.HELD, Outcome.WAITING, Outcome.EXCLUDED, Outcome.FAILED)


def _read(told: Summary, kind: Kind) -> int:
    return told.kinds[kind].read if kind in told.kinds else 0


def _written(told: Summary, kind: Kind) -> int:
    if kind not in told.kinds:
        return 0
    outcomes = told.kinds[kind].outcomes
    return _read(told, kind) - sum(outcomes.get(o, 0) for o in _NOT_WRITTEN)


def _all_told(faults: Faults, what: str, rows: int, read: int) -> None:
    faults.lost += [f"{what} of SYSPRO that the run did not account for"] * max(0, rows - read)


def _all_there(faults: Faults, what: str, written: int, there: int) -> None:
    faults.lost += [f"{what} said to be written and not in Cin7"] * max(0, written - there)
    faults.duplicates += [f"{what} more than were written"] * max(0, there - written)
