"""What the push needs of Cin7: the calls as a Protocol, so that the heart knows no HTTP.

What must not come in: an implementation. The client of `cin7` fits it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from mlc_pipeline.cin7 import requests as wire

Answer = Mapping[str, Any]
"""A JSON object as Cin7 answered it, numbers as Decimal."""


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
