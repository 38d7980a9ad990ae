"""Counts what a range of days would write, by keys alone: few columns, few calls.

What must not come in: verdicts, Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

import sqlalchemy as sa

from mlc_pipeline.staging.extract import Extraction
from mlc_pipeline.staging.tables import documents
from mlc_pipeline.syspro.reader import DateRange, Row


@dataclass(frozen=True)
class Counts:
    """Documents of a range that are not in Cin7 yet.

    Attributes:
        alone: invoices without an order.
    """

    suppliers: int = 0
    orders: int = 0
    receipts: int = 0
    on_orders: int = 0
    alone: int = 0
    credits: int = 0

    @property
    def documents(self) -> int:
        """How many documents, without suppliers."""
        return self.orders + self.receipts + self.on_orders + self.alone + self.credits

    @property
    def calls(self) -> int:
        """Calls that writing them takes: an order two, an invoice of its own three."""
        once = self.suppliers + self.receipts + self.on_orders + self.credits
        return once + 2 * self.orders + 3 * self.alone


def _read(extraction: Extraction, name: str, first: date, last: date, *more: str) -> list[Row]:
    if name in extraction.absent:
        return []
    entity = extraction.entities[name]
    dated = str(entity.date_column)
    wanted = {*entity.key, dated, *more}
    narrow = replace(entity, columns=tuple(c for c in entity.columns if c.name in wanted))
    pages = extraction.reader.read(narrow, DateRange(dated, first, last))
    return [row for page in pages for row in page]


def count_documents(extraction: Extraction, first: date, last: date, po_link: str) -> Counts:
    """Count the documents dated in some days that the ledger does not have as done.

    An estimate: what is held or waits is counted too, because it may be written.

    Args:
        extraction: what reads SYSPRO.
        first: first day.
        last: last day, included.
        po_link: policy: how an invoice finds its order.
    """
    orders = _read(extraction, "purchase_orders", first, last, "supplier")
    receipts = _read(extraction, "receipts", first, last, "purchase_order")
    invoices = _read(extraction, "invoices", first, last, "value", "reference")
    matches = _read(extraction, "receipt_matches", first, last)
    done = _done(extraction)
    keys = {f"{r['supplier']}|{r['invoice']}": r for r in invoices}
    new = {key: row for key, row in keys.items() if key not in done}
    on_order = {f"{m['supplier']}|{m['invoice']}" for m in matches}
    if po_link == "invoice_reference":
        numbers = {row["purchase_order"] for row in orders}
        on_order = {key for key, row in new.items() if row["reference"] in numbers}
    credited = {key for key, row in new.items() if (row["value"] or 0) < 0}  # type: ignore[operator]
    new_orders = {r["purchase_order"] for r in orders} - done
    suppliers = {str(r["supplier"]) for r in orders if r["purchase_order"] in new_orders}
    suppliers |= {str(row["supplier"]) for row in new.values()}
    grns = {f"{r['purchase_order']}|{r['grn']}" for r in receipts if r["purchase_order"]}
    return Counts(
        suppliers=len(suppliers - done),
        orders=len(new_orders),
        receipts=len(grns - done),
        on_orders=len((set(new) & on_order) - credited),
        alone=len(set(new) - on_order - credited),
        credits=len(credited),
    )


def _done(extraction: Extraction) -> set[str]:
    query = sa.select(documents.c.source_key).where(
        documents.c.connection == extraction.stamp.connection,
        documents.c.state.in_(["done", "voided"]),
    )
    with extraction.engine.connect() as connection:
        keys: Iterable[str] = connection.scalars(query)
        return set(keys)
