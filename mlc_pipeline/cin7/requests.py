"""The bodies the product sends to Cin7 Core, as closed models.

Cin7 ignores unknown fields silently and names only a few problems at a time, so everything
that can be known beforehand (names, lengths, decimals, enumerations, line totals) is
checked here. Lengths and rules: Cin7 API reference.

What must not come in: HTTP, words of the sync, values decided by a connection.
"""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

NEW_TASK: Final = "00000000-0000-0000-0000-000000000000"
"""Task id that opens a new task: documented for stock and credit notes, not for invoices."""

_CAPITALS = {"id": "ID", "sku": "SKU", "uom": "UOM", "sn": "SN", "cogs": "COGS"}


def _wire_name(name: str) -> str:
    """`supplier_id` is `SupplierID` on the wire, `line1` is `Line1`."""
    return "".join(_CAPITALS.get(word, word.capitalize()) for word in name.split("_"))


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError("found a float, which has no exact cents; expected a Decimal")  # noqa: TRY004 - pydantic collects ValueError
    return value


Text20 = Annotated[str, StringConstraints(max_length=20)]
Text50 = Annotated[str, StringConstraints(max_length=50)]
Text128 = Annotated[str, StringConstraints(max_length=128)]
Text256 = Annotated[str, StringConstraints(max_length=256)]
Text1024 = Annotated[str, StringConstraints(max_length=1024)]
Code50 = Annotated[str, StringConstraints(min_length=1, max_length=50)]
Name256 = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Name1024 = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Guid = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")
]

_NotFloat = BeforeValidator(_exact)
Number = Annotated[Decimal, _NotFloat, Field(max_digits=18, decimal_places=4)]
"""Price, tax or total in supplier currency."""
Quantity = Annotated[Decimal, _NotFloat, Field(max_digits=18, decimal_places=4, gt=0)]
Percent = Annotated[Decimal, _NotFloat, Field(decimal_places=2, ge=0, le=100)]
Rate = Annotated[Decimal, _NotFloat, Field(max_digits=18, decimal_places=5, gt=0)]
"""Base currency units per supplier currency unit."""

Status = Literal["DRAFT", "AUTHORISED"]
CostingMethod = Literal[
    "FIFO",
    "Special - Batch",
    "Special - Serial Number",
    "FIFO - Serial Number",
    "FIFO - Batch",
    "FEFO - Batch",
    "FEFO - Serial Number",
]


def line_total(
    quantity: Decimal, price: Decimal, discount: Decimal | None, decimals: int
) -> Decimal:
    """Return the total of a line as Cin7 checks it, before tax, in supplier currency.

    Args:
        quantity: at most 4 decimals.
        price: per unit, at most 4 decimals.
        discount: percent of the price, None for none.
        decimals: to how many decimals Cin7 checks the total (2 or 4, by account).

    Returns:
        quantity x price x (1 - discount / 100), rounded half away from zero.
    """
    with localcontext() as context:
        context.prec = 60  # the exact product; the default of 28 digits would round first
        exact = quantity * price * (100 - (discount or 0)) / 100
        return exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


class Body(BaseModel):
    """A request body or a part of one: closed, frozen, wire names as aliases."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=_wire_name, populate_by_name=True
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the body in wire names; what is None is left out, "" clears a value."""
        fields = type(self).model_fields
        return {
            str(fields[name].alias): _on_the_wire(value)
            for name, value in self
            if value is not None
        }


def _on_the_wire(value: Any) -> Any:
    if isinstance(value, Body):
        return value.to_wire()
    if isinstance(value, tuple):
        return [_on_the_wire(item) for item in value]
    if isinstance(value, dt.date):
        return f"{value.isoformat()}T00:00:00"
    return value


class SupplierAddress(Body):
    """An address of a supplier; with `id` on an update it changes that one, else it is new."""

    id: Guid | None = None
    line1: Name256
    line2: Text256 | None = None
    city: Text256 | None = None
    state: Text256 | None = None
    postcode: Text20 | None = None
    country: Name256
    type: Literal["Billing", "Business", "Shipping"]
    default_for_type: bool | None = None


class SupplierContact(Body):
    """A contact of a supplier; with `id` on an update it changes that one, else it is new."""

    id: Guid | None = None
    name: Name256
    phone: Text50 | None = None
    mobile_phone: Text50 | None = None
    fax: Text50 | None = None
    email: Text256 | None = None
    website: Text256 | None = None
    comment: Text256 | None = None
    default: bool | None = None
    include_in_email: bool | None = None
    marketing_consent: Annotated[int, Field(ge=1, le=3)] | None = None


class SupplierPost(Body):
    """`POST /supplier`. Term, account, tax rule must exist and be active in Cin7."""

    name: Name256
    currency: Currency
    payment_term: Name256
    account_payable: Code50
    tax_rule: Code50
    status: Literal["Active", "Deprecated"] = "Active"
    discount: Annotated[int, Field(ge=0, le=100)] | None = None
    comments: Text256 | None = None
    tax_number: Text256 | None = None
    attribute_set: Text50 | None = None
    additional_attribute1: Text256 | None = None
    additional_attribute2: Text256 | None = None
    additional_attribute3: Text256 | None = None
    additional_attribute4: Text256 | None = None
    additional_attribute5: Text256 | None = None
    additional_attribute6: Text256 | None = None
    additional_attribute7: Text256 | None = None
    additional_attribute8: Text256 | None = None
    additional_attribute9: Text256 | None = None
    additional_attribute10: Text256 | None = None
    addresses: tuple[SupplierAddress, ...] | None = None
    contacts: tuple[SupplierContact, ...] | None = None


class SupplierPut(SupplierPost):
    """`PUT /supplier`. The status has no default: an update must not revive a supplier."""

    id: Guid
    status: Literal["Active", "Deprecated"]


class ProductPost(Body):
    """`POST /product`. The accounts are ignored by Cin7 for products of type Service."""

    sku: Code50
    name: Name256
    category: Name256
    type: Literal["Stock", "Service"]
    costing_method: CostingMethod
    uom: Code50
    status: Literal["Active", "Setup required", "Deprecated"]
    purchase_tax_rule: Text50 | None = None
    inventory_account: Text50 | None = None
    cogs_account: Text50 | None = None
    revenue_account: Text50 | None = None


class Address(Body):
    """Billing address of a purchase."""

    line1: Name256
    line2: Text256 | None = None
    city: Text256 | None = None
    state: Text256 | None = None
    postcode: Text20 | None = None
    country: Name256


class ShippingAddress(Address):
    """Where the goods of a purchase go."""

    ship_to_other: bool | None = None
    company: Text128 | None = None


class AdditionalAttributes(Body):
    """Ten free texts; the attribute set of purchases gives them their meaning."""

    additional_attribute1: Text256 | None = None
    additional_attribute2: Text256 | None = None
    additional_attribute3: Text256 | None = None
    additional_attribute4: Text256 | None = None
    additional_attribute5: Text256 | None = None
    additional_attribute6: Text256 | None = None
    additional_attribute7: Text256 | None = None
    additional_attribute8: Text256 | None = None
    additional_attribute9: Text256 | None = None
    additional_attribute10: Text256 | None = None


class _PurchaseHeader(Body):
    """What header writes share. The supplier is named by id: names may repeat in Cin7."""

    supplier_id: Guid
    contact: Text256 | None = None
    phone: Text50 | None = None
    blind_receipt: bool | None = None
    billing_address: Address | None = None
    shipping_address: ShippingAddress | None = None
    tax_rule: Text50 | None = None
    tax_calculation: Literal["Inclusive", "Exclusive"] | None = None
    terms: Text256 | None = None
    required_by: dt.date | Literal[""] | None = None
    location: Name256
    note: Text1024 | None = None
    currency_rate: Rate | None = None
    additional_attributes: AdditionalAttributes | None = None
    is_service_only: bool | None = None
    approach: Literal["INVOICE", "STOCK"] | None = None

    @model_validator(mode="after")
    def _a_service_purchase_is_invoiced_first(self) -> Self:
        if self.is_service_only and self.approach == "STOCK":
            raise ValueError("a service purchase needs Approach INVOICE, found STOCK")
        return self


class PurchasePost(_PurchaseHeader):
    """`POST /advanced-purchase`: the header alone; Cin7 ignores lines sent with it."""

    approach: Literal["INVOICE", "STOCK"]
    purchase_type: Literal["Simple", "Advanced"] | None = None


class PurchasePut(_PurchaseHeader):
    """`PUT /advanced-purchase`; a `required_by` of "" takes the date away."""

    id: Guid

    def to_wire(self) -> dict[str, Any]:
        """Return the body in wire names; a date has no blank, so null clears it."""
        wire = super().to_wire()
        return {**wire, "RequiredBy": None} if self.required_by == "" else wire


class _Priced(Body):
    """What lines and charges share; money in supplier currency, `total` before tax."""

    quantity: Quantity
    price: Number
    discount: Percent | None = None
    tax: Number
    tax_rule: Code50
    total: Number

    @model_validator(mode="after")
    def _total_is_what_cin7_computes(self) -> Self:
        expected = [
            line_total(self.quantity, self.price, self.discount, decimals)
            for decimals in (2, 4)
        ]
        if self.total not in expected:
            raise ValueError(
                f"Total: found {self.total}, Cin7 computes {expected[0]} (to 2 decimals) or "
                f"{expected[1]} (to 4); use line_total"
            )
        return self


class _OfProduct(Body):
    """What lines of a product share: it is named by its id or its SKU."""

    product_id: Guid | None = None
    sku: Code50 | None = None

    @model_validator(mode="after")
    def _names_a_product(self) -> Self:
        if self.product_id is None and self.sku is None:
            raise ValueError("a line needs ProductID or SKU, found neither")
        return self


class OrderLine(_Priced, _OfProduct):
    """A product on a purchase order; Cin7 fills the name from the product."""

    name: Text1024 | None = None
    supplier_sku: Text50 | None = None
    comment: Text256 | None = None


class OrderCharge(_Priced):
    """An additional charge on a purchase order; it has no account there."""

    description: Name256
    reference: Text256 | None = None


class InvoiceLine(_Priced, _OfProduct):
    """A product on an invoice or credit note, with the account it is booked to."""

    name: Name1024
    comment: Text256 | None = None
    account: Code50


class InvoiceCharge(OrderCharge):
    """A charge on an invoice or credit note, with the account it is booked to."""

    account: Code50


class OrderPost(Body):
    """`POST /purchase/order`: overwrites lines and charges of an order that is a draft."""

    task_id: Guid
    combine_additional_charges: bool = False
    memo: Text1024 | None = None
    status: Status
    lines: tuple[OrderLine, ...] = ()
    additional_charges: tuple[OrderCharge, ...] = ()


class StockLine(_OfProduct):
    """A received quantity of one product. `location` is needed on simple purchases only."""

    date: dt.date
    quantity: Quantity
    location: Text256 | None = None
    location_id: Guid | None = None
    batch_sn: Text50 | None = None
    supplier_sku: Text50 | None = None
    expiry_date: dt.date | None = None
    card_id: Guid | None = None


class StockPost(Body):
    """`POST /advanced-purchase/stock`: adds lines, so it must never be sent twice.

    The task id is asked for because Cin7 opens a new group with an empty invoice when it
    is left out; `NEW_TASK` does that on purpose.
    """

    purchase_id: Guid
    task_id: Guid
    status: Status
    lines: tuple[StockLine, ...] = ()


class InvoicePost(Body):
    """`POST /advanced-purchase/invoice`: overwrites an invoice that is a draft."""

    purchase_id: Guid
    task_id: Guid
    combine_additional_charges: bool = False
    invoice_date: dt.date
    invoice_due_date: dt.date
    invoice_number: Text256 | None = None
    status: Status
    lines: tuple[InvoiceLine, ...] = ()
    additional_charges: tuple[InvoiceCharge, ...] = ()


class UnstockLine(Body):
    """A returned quantity of a received stock card."""

    card_id: Guid
    date: dt.date | None = None
    quantity: Quantity


class CreditNotePost(Body):
    """`POST /advanced-purchase/creditnote`; `NEW_TASK` as task id creates one."""

    purchase_id: Guid
    task_id: Guid
    credit_note_invoice_number: Code50
    combine_additional_charges: bool = False
    credit_note_number: Name256
    credit_note_date: dt.date
    status: Status
    lines: tuple[InvoiceLine, ...] = ()
    additional_charges: tuple[InvoiceCharge, ...] = ()
    unstock: tuple[UnstockLine, ...] = ()
