"""Lines and charges: what they may hold, how they are stored, what they add up to.

A line's Total is Quantity x Price x (1 - Discount/100), rounded half away from zero, and
must be sent exactly so. Tax is taken as sent: the reference gives no rule for it.
What must not come in: statuses, gates between documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from mlc_pipeline.sandbox.cin7.review import Review
from mlc_pipeline.sandbox.cin7.wire import Document, rounded

NOTHING = Decimal(0)


@dataclass(frozen=True)
class Content:
    """The lines and charges of one document, as they are stored."""

    lines: list[Document]
    charges: list[Document]

    def __bool__(self) -> bool:
        return bool(self.lines or self.charges)


def content_of(review: Review, body: Document, *, charges_only: bool) -> Content:
    """The checked lines and charges of a body; problems go to the review.

    Args:
        review: collects what is wrong.
        body: a checked order, invoice or credit note body.
        charges_only: a service purchase: lines given become charges.
    """
    combined = charges_only or body.get("CombineAdditionalCharges", False)
    lines, charges = [], []
    for line in body["Lines"]:
        named = line.get("ProductID") or line.get("SKU")
        if charges_only or (combined and not named):
            charges.append(_charge_of_line(review, line))
        else:
            lines.append(_stored_line(review, line))
    charges += [
        _stored_charge(review, charge) for charge in body.get("AdditionalCharges") or ()
    ]
    _refuse_repeated_products(review, lines)
    return Content(lines, charges)


def _stored_line(review: Review, line: Document) -> Document:
    product = None
    if line.get("ProductID") or line.get("SKU"):
        product = review.product(line.get("ProductID"), line.get("SKU"))
    else:
        review.wrong("'ProductID' or 'SKU' is required for 'Lines' line")
    product = product or {"ID": "", "SKU": line.get("SKU") or "", "Name": "", "Type": ""}
    stored = {
        "ProductID": product["ID"],
        "SKU": product["SKU"],
        "Name": product["Name"],
        **_amounts(review, line, f"SKU {product['SKU']}"),
        "Comment": line.get("Comment") or "",
        "NonInventory": product["Type"] == "Non Inventory",
    }
    if "SupplierSKU" in line:
        stored["SupplierSKU"] = line["SupplierSKU"]
    return stored


def _stored_charge(review: Review, charge: Document) -> Document:
    return {
        "Description": charge["Description"],
        "Reference": charge.get("Reference") or "",
        **_amounts(review, charge, charge["Description"]),
    }


def _charge_of_line(review: Review, line: Document) -> Document:
    name = line.get("Name") or ""
    if line.get("ProductID") or line.get("SKU"):
        product = review.product(line.get("ProductID"), line.get("SKU"))
        name = product["Name"] if product else name
    if not name:
        review.wrong("'Name' is required for 'Lines' line")
    return {
        "Description": name,
        "Reference": line.get("Comment") or "",
        **_amounts(review, line, name),
    }


def _amounts(review: Review, line: Document, described: str) -> Document:
    """Quantity, price, discount, tax, rule, total and, on invoices, the account."""
    review.tax_rule(line["TaxRule"])
    if "Account" in line:
        review.account(line["Account"])
    discount = line.get("Discount") or NOTHING
    expected = rounded(
        line["Quantity"] * line["Price"] * (100 - discount) / 100,
        review.sandbox.settings.line_total_decimals,
    )
    total = line.get("Total")
    if total is None:
        total = expected
    elif total != expected:
        review.wrong(  # published in part
            f"Value {total} of attribute 'Total' doesn't match quantity, price and discount "
            f"of {described}. Expected value is: {expected}"
        )
    stored = {
        "Quantity": line["Quantity"],
        "Price": line["Price"],
        "Discount": discount,
        "Tax": line["Tax"],
        "TaxRule": line["TaxRule"],
        "Total": total,
    }
    if "Account" in line:
        stored["Account"] = line["Account"]
    return stored


def _refuse_repeated_products(review: Review, lines: Iterable[Document]) -> None:
    seen: set[str] = set()
    for line in lines:
        if line["ProductID"] and line["ProductID"] in seen:
            review.wrong(f"Product with SKU {line['SKU']} is given more than once in 'Lines'")
        seen.add(line["ProductID"])


def net_of(line: Document, *, inclusive: bool) -> Decimal:
    """A line's total without tax, in supplier currency."""
    total = Decimal(line["Total"])
    return total - line["Tax"] if inclusive else total


def totals(content: Content, *, inclusive: bool) -> Document:
    """Total before tax, tax and total of a document, in supplier currency."""
    rows = [*content.lines, *content.charges]
    net = sum((net_of(row, inclusive=inclusive) for row in rows), NOTHING)
    tax = sum((Decimal(row["Tax"]) for row in rows), NOTHING)
    return {"TotalBeforeTax": net, "Tax": tax, "Total": net + tax}


def combined(part: Document) -> Document:
    """The part with its charges shown among its lines (`CombineAdditionalCharges=true`)."""
    shown = [
        {
            "Name": charge["Description"],
            "Comment": charge["Reference"],
            **{k: v for k, v in charge.items() if k not in ("Description", "Reference")},
        }
        for charge in part["AdditionalCharges"]
    ]
    return {
        **part,
        "CombineAdditionalCharges": True,
        "Lines": [*part["Lines"], *shown],
        "AdditionalCharges": [],
    }
