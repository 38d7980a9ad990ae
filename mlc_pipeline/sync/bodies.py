"""Wanted documents as Cin7 request bodies, and Cin7's answers as amounts per account.

What must not come in: the client, the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from mlc_pipeline.cin7 import requests as wire
from mlc_pipeline.cin7.decimals import dumps
from mlc_pipeline.sync.content import (
    Charge,
    CreditContent,
    HeaderContent,
    InvoiceContent,
    OrderContent,
    ProductLine,
    ReceiptContent,
    SupplierContent,
)
from mlc_pipeline.sync.money import ZERO

NEW_TASK = wire.NEW_TASK
"""The task id that asks Cin7 for a new invoicing-and-receiving group."""


class Body(Protocol):
    """A request body."""

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object that is sent."""


def digest(body: Body) -> str:
    """Return the SHA-256 of a body as it is sent."""
    return hashlib.sha256(dumps(body.to_wire())).hexdigest()


def supplier_post(content: SupplierContent) -> wire.SupplierPost:
    """Return the body that creates a supplier; our marker is its first attribute."""
    return wire.SupplierPost(
        name=content.name,
        currency=content.currency,
        payment_term=content.payment_term,
        account_payable=content.accounts_payable,
        tax_rule=content.tax_rule,
        status="Active",
        tax_number=content.tax_number,
        additional_attribute1=content.marker,
        addresses=_addresses(content) or None,
        contacts=_contacts(content) or None,
    )


def supplier_put(
    supplier_id: str, content: SupplierContent, current: Mapping[str, Any]
) -> wire.SupplierPut:
    """Return the body that brings a supplier to the wanted content.

    Cin7 adds an address or contact that is sent without its id, so those it has are named.
    """
    return wire.SupplierPut(
        id=supplier_id,
        name=content.name,
        currency=content.currency,
        payment_term=content.payment_term,
        account_payable=content.accounts_payable,
        tax_rule=content.tax_rule,
        status=current.get("Status") or "Active",
        tax_number=content.tax_number,
        additional_attribute1=content.marker,
        addresses=_addresses(content, _first_id(current, "Addresses")) or None,
        contacts=_contacts(content, _first_id(current, "Contacts")) or None,
    )


def _first_id(current: Mapping[str, Any], name: str) -> str | None:
    items = current.get(name) or []
    return items[0].get("ID") if items else None


def _addresses(
    content: SupplierContent, known_id: str | None = None
) -> tuple[wire.SupplierAddress, ...]:
    address = content.address
    if address is None:
        return ()
    return (
        wire.SupplierAddress(
            id=known_id,
            line1=address.line1,
            line2=address.line2,
            city=address.city,
            state=address.state,
            postcode=address.postcode,
            country=address.country,
            type="Business",
            default_for_type=True,
        ),
    )


def _contacts(
    content: SupplierContent, known_id: str | None = None
) -> tuple[wire.SupplierContact, ...]:
    contact = content.contact
    if contact is None:
        return ()
    return (
        wire.SupplierContact(
            id=known_id,
            name=contact.name,
            phone=contact.phone,
            fax=contact.fax,
            email=contact.email,
            default=True,
        ),
    )


def _header(content: HeaderContent, supplier_id: str) -> dict[str, Any]:
    attributes = {"1": content.marker, **content.attributes}
    return {
        "supplier_id": supplier_id,
        "approach": content.approach,
        "tax_rule": content.tax_rule,
        "tax_calculation": "Exclusive",
        "terms": content.terms,
        "required_by": content.required_by,
        "location": content.location,
        "note": content.note,
        "currency_rate": content.currency_rate,
        "additional_attributes": wire.AdditionalAttributes(
            **{f"additional_attribute{n}": text for n, text in attributes.items()}
        ),
    }


def purchase_post(content: HeaderContent, supplier_id: str) -> wire.PurchasePost:
    """Return the body that creates a purchase; service purchases hold charges only."""
    kind = {"is_service_only": True} if content.service_only else {"purchase_type": "Advanced"}
    header = _header(content, supplier_id)
    header["required_by"] = content.required_by or None
    return wire.PurchasePost(**header, **kind)


def purchase_put(
    purchase_id: str, content: HeaderContent, supplier_id: str
) -> wire.PurchasePut:
    """Return the body that changes the header of a purchase."""
    return wire.PurchasePut(id=purchase_id, **_header(content, supplier_id))


def _status(*, authorise: bool) -> str:
    return "AUTHORISED" if authorise else "DRAFT"


def _line(line: ProductLine) -> dict[str, Any]:
    return {
        "sku": line.sku,
        "name": line.name,
        "quantity": line.quantity,
        "price": line.price,
        "tax": line.tax,
        "tax_rule": line.tax_rule,
        "total": line.total,
    }


def _charge(charge: Charge) -> dict[str, Any]:
    return {
        "description": charge.description,
        "quantity": charge.quantity,
        "price": charge.price,
        "tax": charge.tax,
        "tax_rule": charge.tax_rule,
        "total": charge.total,
        "reference": charge.cost_centre,
    }


def order_post(
    purchase_id: str,
    lines: Iterable[ProductLine],
    charges: Iterable[Charge],
    *,
    memo: str | None,
    authorise: bool,
) -> wire.OrderPost:
    """Return the body of an order's lines and charges; the order's task is the purchase."""
    return wire.OrderPost(
        task_id=purchase_id,
        combine_additional_charges=False,
        memo=memo or "",
        status=_status(authorise=authorise),
        lines=tuple(wire.OrderLine(**_line(i), comment=i.comment) for i in lines),
        additional_charges=tuple(wire.OrderCharge(**_charge(c)) for c in charges),
    )


def order_of(content: OrderContent, purchase_id: str, *, authorise: bool) -> wire.OrderPost:
    """Return the order body of a purchase order."""
    return order_post(
        purchase_id, content.lines, content.charges, memo=content.memo, authorise=authorise
    )


def stock_post(content: ReceiptContent, purchase_id: str, task_id: str) -> wire.StockPost:
    """Return the body of a receipt on a group of the purchase, or on a new one.

    It goes to the purchase's location: Cin7 ignores one on the line.
    """
    return wire.StockPost(
        purchase_id=purchase_id,
        task_id=task_id,
        status="AUTHORISED",
        lines=tuple(
            wire.StockLine(
                date=content.received,
                quantity=line.quantity,
                sku=line.sku,
            )
            for line in content.lines
        ),
    )


def invoice_post(
    content: InvoiceContent, purchase_id: str, task_id: str, *, authorise: bool
) -> wire.InvoicePost:
    """Return the body of an invoice; each line and charge names its account."""
    return wire.InvoicePost(
        purchase_id=purchase_id,
        task_id=task_id,
        combine_additional_charges=False,
        invoice_date=content.invoice_date,
        invoice_due_date=content.due_date,
        invoice_number=content.number,
        status=_status(authorise=authorise),
        lines=tuple(
            wire.InvoiceLine(**_line(i), account=i.account, comment=i.cost_centre)
            for i in content.lines
        ),
        additional_charges=tuple(
            wire.InvoiceCharge(**_charge(c), account=c.account) for c in content.charges
        ),
    )


def credit_note_post(
    content: CreditContent, purchase_id: str, *, authorise: bool
) -> wire.CreditNotePost:
    """Return the body of a credit note on the invoice that it names."""
    return wire.CreditNotePost(
        purchase_id=purchase_id,
        task_id=NEW_TASK,
        combine_additional_charges=False,
        credit_note_number=content.number,
        credit_note_invoice_number=content.credited_invoice.partition("|")[2],
        credit_note_date=content.credit_date,
        status=_status(authorise=authorise),
        lines=(),
        additional_charges=tuple(
            wire.InvoiceCharge(**_charge(c), account=c.account) for c in content.charges
        ),
        unstock=(),
    )


def product_post(sku: str, name: str, unit: str) -> wire.ProductPost:
    """Return the body that creates a stock product for a SYSPRO stock code."""
    return wire.ProductPost(
        sku=sku,
        name=name[:256],
        category="Other",
        type="Stock",
        costing_method="FIFO",
        uom=unit,
        status="Active",
    )


def answered_amounts(answer: Mapping[str, Any], *, sign: int = 1) -> dict[str, Any]:
    """Return what Cin7 says it booked: status, amounts per account and cost centre, tax, rate.

    Args:
        answer: an invoice or credit note as Cin7 answered it.
        sign: -1 for a credit note.

    Returns:
        `{"status": text, "amounts": {"account|cost centre": text}, "tax": {rule: text}}`,
        document currency, and `"rate": text` where the answer has it.
    """
    amounts: dict[str, Decimal] = {}
    tax: dict[str, Decimal] = {}
    lines = [(i, i.get("Comment")) for i in answer.get("Lines") or []]
    lines += [(c, c.get("Reference")) for c in answer.get("AdditionalCharges") or []]
    for line, centre in lines:
        key = f"{line.get('Account')}|{centre or ''}"
        amounts[key] = amounts.get(key, ZERO) + sign * Decimal(line.get("Total") or 0)
        rule = str(line.get("TaxRule"))
        tax[rule] = tax.get(rule, ZERO) + sign * Decimal(line.get("Tax") or 0)
    rate = answer.get("CurrencyRate")
    return {
        "status": str(answer.get("Status", "")).upper(),
        "amounts": {key: str(amount) for key, amount in amounts.items()},
        "tax": {rule: str(amount) for rule, amount in tax.items() if amount},
        **({"rate": str(rate)} if rate else {}),
    }
