"""What the push needs of both systems: calls as Protocols, so that the heart knows no HTTP.

What must not come in: an implementation. The client of `cin7` fits as it is, and so does
the supplier maintenance of `syspro`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from mlc_pipeline.cin7 import requests as wire
from mlc_pipeline.syspro.apsssp import SupplierSetup

Answer = Mapping[str, Any]
"""A JSON object as Cin7 answered it, numbers as Decimal."""


class Syspro(Protocol):
    """The calls that write suppliers to SYSPRO; each raises the errors of `syspro.errors`."""

    def supplier(self, code: str, /) -> Mapping[str, Any] | None:
        """Read a supplier by stored code, by staged column names; None when there is none."""

    def validate(self, setup: SupplierSetup, /) -> None:
        """Let SYSPRO check a document; nothing is written."""

    def write(self, setup: SupplierSetup, /) -> Mapping[str, Any]:
        """Write a supplier once and return it as read back."""


class Cin7(Protocol):
    """The calls of Cin7 Core that the push makes; each raises the errors of `cin7.errors`."""

    def guarded(self, check: Callable[[], None], /) -> AbstractContextManager[None]:
        """Ask before each call that writes, as long as the context lasts; it may raise."""

    def supplier(self, supplier_id: str, /) -> Answer:
        """Read a supplier."""

    def suppliers_named(self, name: str, /) -> Sequence[Answer]:
        """Read the suppliers of exactly that name."""

    def create_supplier(self, body: wire.SupplierPost, /) -> Answer:
        """Create a supplier."""

    def update_supplier(self, body: wire.SupplierPut, /) -> Answer:
        """Change a supplier."""

    def create_product(self, body: wire.ProductPost, /) -> Answer:
        """Create a product."""

    def products(self) -> Sequence[Answer]:
        """Read all products."""

    def purchase(self, purchase_id: str, /) -> Answer:
        """Read a purchase with its order, receipts, invoices and credit notes."""

    def purchases(self, *, updated_since: datetime | None = None) -> Iterable[Answer]:
        """Read the rows of the purchase list."""

    def create_purchase(self, body: wire.PurchasePost, /) -> Answer:
        """Create a purchase header."""

    def update_purchase(self, body: wire.PurchasePut, /) -> Answer:
        """Change a purchase header."""

    def post_order(self, body: wire.OrderPost, /) -> Answer:
        """Set the lines of an order."""

    def post_stock(self, body: wire.StockPost, /) -> Answer:
        """Add a receipt; returns its group."""

    def post_invoice(self, body: wire.InvoicePost, /) -> Answer:
        """Set an invoice; returns it."""

    def post_credit_note(self, body: wire.CreditNotePost, /) -> Answer:
        """Add a credit note; returns it."""

    def void_purchase(self, purchase_id: str, /) -> Answer:
        """Void a purchase; final."""
