"""The paths of the API below its base path, in lower case, and their methods.

What must not come in: HTTP.
"""

from __future__ import annotations

from mlc_pipeline.sandbox.cin7.routes import (
    credit_notes,
    invoices,
    money,
    orders,
    products,
    purchase_headers,
    reference_books,
    stock,
    suppliers,
)
from mlc_pipeline.sandbox.cin7.routes.route import Route

ROUTES: dict[str, dict[str, Route]] = {
    **reference_books.ROUTES,
    **suppliers.ROUTES,
    **products.ROUTES,
    **purchase_headers.ROUTES,
    **orders.ROUTES,
    **stock.ROUTES,
    **invoices.ROUTES,
    **credit_notes.ROUTES,
    **money.ROUTES,
}
