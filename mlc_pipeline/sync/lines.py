"""Lines and charges that Cin7 accepts and that keep the cent.

Cin7 takes one line per product, prices and quantities with at most 4 decimals, and checks
that a line's total is quantity x price. SYSPRO knows more lines and finer prices; what
cannot be said by a line goes into a charge, so that a document's total never changes.

What must not come in: records of one system, SQL, HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from mlc_pipeline.cin7.requests import line_total
from mlc_pipeline.sync.content import Charge, ProductLine
from mlc_pipeline.sync.money import ZERO, rounded, unit_price
from mlc_pipeline.sync.plan import Hold

_QUANTITY_STEP = Decimal("0.0001")


def fitted(text: str, limit: int) -> str:
    """Cut a text to a limit, visibly: the last character becomes an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


@dataclass
class ProductQuantity:
    """What a document says of one product: quantity and value before tax, summed up."""

    sku: str
    name: str
    quantity: Decimal = ZERO
    value: Decimal = ZERO
    account: str | None = None
    cost_centre: str | None = None
    sources: list[str] = field(default_factory=list)


def checked_quantity(sku: str, quantity: Decimal) -> Decimal:
    """Return the quantity when Cin7 takes it.

    Raises:
        Hold: quantity_not_accepted, below 1 or more than 4 decimals.
    """
    if quantity < 1 or quantity != quantity.quantize(_QUANTITY_STEP):
        raise Hold("quantity_not_accepted", f"product {sku}: quantity {quantity:f}")
    return quantity


def product_line(
    item: ProductQuantity, *, tax_rule: str, tax: Decimal, decimals: int
) -> tuple[ProductLine, Decimal]:
    """Return the line of a product, and the part of its value that the line cannot say.

    Args:
        item: quantity and value (2 decimals, document currency).
        tax_rule: Cin7 tax rule of the line.
        tax: tax of the line, document currency.
        decimals: to how many decimals Cin7 checks a total (2 or 4).

    Raises:
        Hold: quantity_not_accepted.
    """
    quantity = checked_quantity(item.sku, item.quantity)
    price = unit_price(item.value, quantity)
    total = line_total(quantity, price, None, decimals)
    comment = f"lines {', '.join(item.sources)}" if len(item.sources) > 1 else None
    line = ProductLine(
        sku=item.sku,
        name=fitted(item.name, 1024),
        quantity=quantity,
        price=price,
        tax=tax,
        tax_rule=tax_rule,
        total=total,
        account=item.account,
        cost_centre=item.cost_centre,
        comment=fitted(comment, 256) if comment else None,
    )
    return line, item.value - total


def charge(
    description: str,
    amount: Decimal,
    *,
    tax_rule: str,
    tax: Decimal = ZERO,
    account: str | None = None,
    cost_centre: str | None = None,
) -> Charge:
    """Return a charge of quantity 1 over an amount (document currency, before tax)."""
    return Charge(
        description=fitted(description, 256),
        price=amount,
        tax=tax,
        tax_rule=tax_rule,
        total=amount,
        account=account,
        cost_centre=cost_centre,
    )


def rounding_charge(residual: Decimal, *, tax_rule: str) -> Iterable[Charge]:
    """Return the charge that carries what the lines of an order could not say, if anything."""
    if residual:
        yield charge("Rounding", residual, tax_rule=tax_rule)


def percent_of(amount: Decimal, percent: Decimal) -> Decimal:
    """Return a percentage of an amount, to the cent."""
    return rounded(amount * percent / 100)
