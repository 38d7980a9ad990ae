"""Arithmetic of documents: rounding, allocation to the cent, prices that fit Cin7.

What must not come in: records, settings; only numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal, localcontext

CENT = Decimal("0.01")
ZERO = Decimal(0)
_PRICE_STEP = Decimal("0.0001")  # Cin7 takes prices with at most 4 decimals


def rounded(amount: Decimal, decimals: int = 2) -> Decimal:
    """Round half away from zero, as invoices are."""
    return amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def allocate(total: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Split a total over weights, to the cent, so that the parts add up exactly.

    The cents that rounding leaves over go to the largest remainders. Without a usable
    weight (all zero) everything goes to the first part.

    Args:
        total: amount in any currency, at most 2 decimals.
        weights: one per part, all of one sign or mixed.

    Returns:
        One amount per weight; empty when there are no weights.
    """
    if not weights:
        return []
    base = sum(weights, ZERO)
    if base == 0:
        return [total, *[ZERO] * (len(weights) - 1)]
    with localcontext() as context:
        context.prec = 50
        exact = [total * weight / base for weight in weights]
        parts = [share.quantize(CENT, ROUND_DOWN) for share in exact]
        left = total - sum(parts, ZERO)
        step = CENT if left > 0 else -CENT
        by_remainder = sorted(
            range(len(parts)), key=lambda i: abs(exact[i] - parts[i]), reverse=True
        )
        count = int(abs(left) / CENT)
        for position in range(count):
            parts[by_remainder[position % len(parts)]] += step
    return parts


def unit_price(value: Decimal, quantity: Decimal) -> Decimal:
    """Return the price with at most 4 decimals that comes nearest to value / quantity."""
    with localcontext() as context:
        context.prec = 50
        return (value / quantity).quantize(_PRICE_STEP, ROUND_HALF_UP)


def to_base(amount: Decimal, rate: Decimal, mul_div: str | None) -> Decimal:
    """Convert a supplier-currency amount to local currency, to the cent.

    SYSPRO: local = foreign x rate when MulDiv is M, foreign / rate when it is D.
    """
    if rate == 0:
        return amount
    with localcontext() as context:
        context.prec = 50
        return rounded(amount / rate if mul_div == "D" else amount * rate)


def in_foreign(amount: Decimal, rate: Decimal, mul_div: str | None) -> Decimal:
    """Convert a local amount to supplier currency, to the cent; the inverse of `to_base`."""
    if rate == 0:
        return amount
    with localcontext() as context:
        context.prec = 50
        return rounded(amount * rate if mul_div == "D" else amount / rate)


def cin7_rate(rate: Decimal, mul_div: str | None) -> Decimal:
    """Return Cin7's rate (base units per supplier unit) for a SYSPRO rate.

    Cin7 keeps 5 decimals of it.
    """
    if rate == 0:
        return Decimal(1)
    with localcontext() as context:
        context.prec = 50
        exact = 1 / rate if mul_div == "D" else rate
    return exact.quantize(Decimal("0.00001"), ROUND_HALF_UP)


def discounted(price: Decimal, percents: Sequence[Decimal]) -> Decimal:
    """Apply SYSPRO's chain discounts one after the other; unrounded."""
    for percent in percents:
        price = price * (Decimal(100) - percent) / Decimal(100)
    return price
