"""Exchange rates: what Cin7 books at the rate it keeps, against what SYSPRO posts at its own.

Cin7 keeps one rate a purchase, to five decimals; SYSPRO one a document, to as many as it
likes, and either way round.

What must not come in: which document has which rate.
"""

from __future__ import annotations

from decimal import Decimal

from mlc_pipeline.sync.money import CENT, rounded, to_base
from mlc_pipeline.sync.plan import Hold, PlanContext


def rounding_of(amount: Decimal, percent: Decimal) -> Decimal:
    """Return how far converting may move an amount: a share of it, in percent."""
    return abs(amount) * percent / 100


def check_rate(
    value: Decimal,
    used: Decimal,
    rate: Decimal,
    mul_div: str | None,
    context: PlanContext,
    *,
    whose: str,
    parts: int = 1,
) -> None:
    """Hold a foreign document that Cin7 would book with other money than SYSPRO does.

    Args:
        value: of the document, in its own currency.
        used: Cin7's rate, local units per foreign unit.
        rate: SYSPRO's.
        mul_div: SYSPRO's, `M` or `D`.
        context: the tolerance, `match.rate_percent`.
        whose: where Cin7 has its rate from, for the message.
        parts: how many amounts are converted; each may be a cent off.

    Raises:
        Hold: rate_differs.
    """
    posted, booked = to_base(value, rate, mul_div), rounded(value * used)
    percent = context.connection.match.rate_percent
    if used > 0 and abs(booked - posted) <= max(CENT * parts, rounding_of(posted, percent)):
        return
    how = "divided by" if mul_div == "D" else "times"
    raise Hold(
        "rate_differs",
        f"{value:.2f} {how} {rate:f} are {posted:.2f} in SYSPRO; at {used:f}, {whose}, Cin7 "
        f"would book {booked:.2f}; tolerance {percent:f} %",
    )
