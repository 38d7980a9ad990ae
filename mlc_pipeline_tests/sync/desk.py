"""A push desk under test: ledger, Cin7 in memory, and the documents that go over it.

What must not come in: tests, expectations.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.tables import writes
from mlc_pipeline.sync.content import (
    Charge,
    CreditContent,
    HeaderContent,
    InvoiceContent,
    OrderContent,
    ProductLine,
    ReceiptContent,
    ReceiptLine,
    SupplierAddress,
    SupplierContent,
)
from mlc_pipeline.sync.ledger import DocumentRef, Ledger, OpenWrite
from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.protocol import Unsettled
from mlc_pipeline.sync.push import Push, Pushed, Wanted
from mlc_pipeline.sync.vocabulary import Kind, Outcome, Verdict
from mlc_pipeline_tests.sync.cin7_in_memory import InMemoryCin7
from mlc_pipeline_tests.sync.examples import DAY, EXEMPT, ORDER, SUPPLIER, VAT, connection, d

# --- documents ---


def wanted(
    kind: Kind,
    key: str,
    content: Any,
    *,
    verdict: Verdict = Verdict.CREATE,
    adopt: str | None = None,
) -> Wanted:
    """Return a document of the day that the plan wants written."""
    amount = getattr(content, "total", Decimal(0))
    return Wanted(DocumentRef(kind, key, DAY, DAY, amount, "GBP"), verdict, content, adopt)


def supplier(*, adopt: str | None = None, **changes: Any) -> Wanted:
    """Return the supplier."""
    values: dict[str, Any] = {
        "marker": f"SYSPRO:ACME:SUP:{SUPPLIER}",
        "name": "Heathcotes Ltd",
        "currency": "GBP",
        "payment_term": "30 days",
        "accounts_payable": "800",
        "tax_rule": VAT,
        "address": SupplierAddress(line1="1 High St", country="United Kingdom"),
    }
    content = SupplierContent(**{**values, **changes})
    return wanted(Kind.SUPPLIER, SUPPLIER, content, adopt=adopt)


def header(marker: str, **changes: Any) -> HeaderContent:
    """Return the header of a purchase."""
    values: dict[str, Any] = {
        "marker": marker,
        "supplier": SUPPLIER,
        "approach": "STOCK",
        "service_only": False,
        "location": "Main Warehouse",
        "terms": "30 days",
        "tax_rule": VAT,
        "currency": "GBP",
        "note": f"{marker}\nSYSPRO purchase order",
    }
    return HeaderContent(**{**values, **changes})


def product_line(sku: str = "A100", quantity: str = "10", **changes: Any) -> ProductLine:
    """Return a line of a product at 2.50."""
    values: dict[str, Any] = {
        "sku": sku,
        "name": sku,
        "quantity": d(quantity),
        "price": d("2.50"),
        "tax": d(0),
        "tax_rule": EXEMPT,
        "total": d(quantity) * d("2.50"),
    }
    return ProductLine(**{**values, **changes})


def charge(amount: str, account: str | None = "400", **changes: Any) -> Charge:
    """Return a charge."""
    values: dict[str, Any] = {
        "description": "Rent",
        "price": d(amount),
        "tax": d(0),
        "tax_rule": EXEMPT,
        "total": d(amount),
        "account": account,
    }
    return Charge(**{**values, **changes})


def order(
    quantity: str = "10", *, new_products: tuple[Any, ...] = (), **of_header: Any
) -> Wanted:
    """Return the purchase order."""
    content = OrderContent(
        header=header(f"SYSPRO:ACME:PO:{ORDER}", **of_header),
        lines=(product_line(quantity=quantity),),
        new_products=new_products,
    )
    return wanted(Kind.PURCHASE_ORDER, ORDER, content)


def void() -> Wanted:
    """Return the purchase order, cancelled."""
    return wanted(Kind.PURCHASE_ORDER, ORDER, None, verdict=Verdict.VOID)


def receipt(
    grn: str = "G1", quantity: str = "4", received: date = DAY, sku: str = "A100"
) -> Wanted:
    """Return a receipt of the order."""
    content = ReceiptContent(
        purchase_order=ORDER,
        grn=grn,
        received=received,
        lines=(ReceiptLine(sku=sku, quantity=d(quantity)),),
    )
    return wanted(Kind.RECEIPT, f"{ORDER}|{grn}", content)


def _invoice(number: str, **changes: Any) -> Wanted:
    values: dict[str, Any] = {
        "marker": f"SYSPRO:ACME:AP:{SUPPLIER}:{number}",
        "supplier": SUPPLIER,
        "number": number,
        "invoice_date": DAY,
        "due_date": DAY + timedelta(days=30),
    }
    content = InvoiceContent(**{**values, **changes})
    return wanted(Kind.INVOICE, f"{SUPPLIER}|{number}", content)


def invoice(number: str = "INV-1", quantity: str = "4", *grns: str) -> Wanted:
    """Return an invoice on the order, of its receipts when some are named."""
    return _invoice(
        number,
        purchase_order=ORDER,
        receipts=tuple(f"{ORDER}|{grn}" for grn in grns),
        lines=(product_line(quantity=quantity, account="400"),),
    )


def own_invoice(number: str = "INV-7", amount: str = "80", **of_header: Any) -> Wanted:
    """Return an invoice on a purchase of its own."""
    marker = f"SYSPRO:ACME:AP:{SUPPLIER}:{number}"
    own = header(marker, service_only=True, approach="INVOICE", **of_header)
    return _invoice(number, header=own, charges=(charge(amount, cost_centre="Sales"),))


def credit_note(credited: str = "INV-7", amount: str = "5") -> Wanted:
    """Return a credit note on an invoice."""
    content = CreditContent(
        marker=f"SYSPRO:ACME:AP:{SUPPLIER}:CR-1",
        supplier=SUPPLIER,
        number="CR-1",
        credited_invoice=f"{SUPPLIER}|{credited}",
        credit_date=DAY,
        charges=(charge(amount),),
    )
    return wanted(Kind.CREDIT_NOTE, f"{SUPPLIER}|CR-1", content)


# --- the desk ---


class Crash(BaseException):
    """The process dies here."""


class CrashingLedger(Ledger):
    """A ledger whose process dies at its n-th commit, before it or right after it."""

    def __init__(self, engine: sa.Engine, name: str, at: int, *, after: bool) -> None:
        super().__init__(engine, name, "crashing run")
        self._left, self._after = at, after

    def _dies(self) -> bool:
        self._left -= 1
        return self._left == 0

    def _committing(self, commit: Any) -> Any:
        dies = self._dies()
        if dies and not self._after:
            raise Crash
        result = commit()
        if dies:
            raise Crash
        return result

    def intend(self, *args: Any, **values: Any) -> int:
        intend = super().intend
        return int(self._committing(lambda: intend(*args, **values)))

    def close(self, *args: Any, **values: Any) -> None:
        close = super().close
        self._committing(lambda: close(*args, **values))

    def adopt(self, *args: Any, **values: Any) -> None:
        adopt = super().adopt
        self._committing(lambda: adopt(*args, **values))


@dataclass
class Desk:
    """A connection of its own in the database, with a Cin7 of its own."""

    engine: sa.Engine
    policies: dict[str, Any] = field(default_factory=dict)
    cin7: InMemoryCin7 = field(default_factory=InMemoryCin7)
    name: str = field(default_factory=lambda: f"desk_{uuid.uuid4().hex}")

    @property
    def ledger(self) -> Ledger:
        """The ledger of a new run."""
        return Ledger(self.engine, self.name, "run")

    def pusher(self, ledger: Ledger | None = None) -> Push:
        """Return what pushes, as a new process would have it."""
        return Push(self.cin7, ledger or self.ledger, connection(**self.policies))

    def push(self, document: Wanted, ledger: Ledger | None = None) -> Pushed:
        """Push a document once."""
        return self.pusher(ledger).push(document)

    def bring(self, *documents: Wanted) -> list[Pushed]:
        """Push documents in turn; none may fail."""
        return [self.push(document) for document in documents]

    def settle(self, document: Wanted, runs: int = 3) -> str:
        """Push a document run by run until it has an outcome or is held; return which."""
        for _ in range(runs):
            self.rest()
            try:
                return self.push(document).outcome.value
            except Unsettled:
                continue
            except Hold as hold:
                return hold.reason.code
        return "unsettled"

    def open_write(self, document: Wanted) -> OpenWrite | None:
        """Return the write of a document whose outcome is not known."""
        return self.ledger.open_write(document.ref.kind, document.ref.source_key)

    def rest(self) -> None:
        """Let an hour pass for the answers that were lost."""
        with self.engine.begin() as database:
            database.execute(
                writes.update()
                .where(writes.c.connection == self.name)
                .values(state_since=writes.c.state_since - timedelta(hours=1))
            )


WRITTEN = frozenset(
    {Outcome.CREATED.value, Outcome.UPDATED.value, Outcome.ADOPTED.value, "unchanged"}
)
"""Outcomes of a document that is in Cin7."""
