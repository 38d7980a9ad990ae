"""The match at the border: order, receipts and invoice, many to many, within tolerance.

Quantity and price are looked at apart, per order line, over everything that is matched to
the line: more invoiced than received or ordered is a quantity variance, a matched value
off the order's price is a price variance. What is outside the connection's tolerance is
held with the numbers.

What must not come in: SQL, HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from mlc_pipeline.sync.money import CENT, ZERO, in_foreign
from mlc_pipeline.sync.orders import NON_STOCKED, STOCKED, line_value
from mlc_pipeline.sync.plan import Hold, PlanContext
from mlc_pipeline.sync.rows import InvoiceRow, MatchRow, OrderLineRow, ReceiptRow

LineKey = tuple[str, Decimal]
"""Purchase order and line."""

_MATCHED_TYPES = (STOCKED, NON_STOCKED)


class ReceiptIndex:
    """Finds the receipt line that a match is about."""

    def __init__(self, receipts: Iterable[ReceiptRow]) -> None:
        """Index receipt lines by their note and by their journal entry."""
        self._by_grn: dict[str, list[ReceiptRow]] = {}
        self._by_entry: dict[tuple[str, Decimal, Decimal], ReceiptRow] = {}
        for receipt in receipts:
            self._by_grn.setdefault(receipt.grn, []).append(receipt)
            self._by_entry[receipt.grn, receipt.journal, receipt.journal_entry] = receipt

    def find(self, match: MatchRow) -> ReceiptRow | None:
        """Return the receipt line of a match; None when it cannot be told."""
        candidates = self._by_grn.get(match.grn, [])
        if len(candidates) == 1:
            return candidates[0]
        return self._by_entry.get((match.grn, match.journal, match.entry_number))


@dataclass
class _Line:
    """What is known of one order line that the invoice is matched to."""

    row: OrderLineRow
    received: Decimal = ZERO
    invoiced: Decimal = ZERO  # by every invoice
    quantity: Decimal = ZERO  # by this invoice
    value: Decimal = ZERO  # by this invoice, local currency
    matches: int = 0
    others: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The line as people look for it."""
        stock = f" ({self.row.stock_code})" if self.row.stock_code else ""
        return f"order {self.row.purchase_order} line {self.row.line:f}{stock}"


def check_match(
    invoice: InvoiceRow,
    matches: Sequence[MatchRow],
    other_matches: Sequence[MatchRow],
    receipts: Sequence[ReceiptRow],
    order_lines: Mapping[LineKey, OrderLineRow],
    context: PlanContext,
) -> None:
    """Hold an invoice whose match is outside the connection's tolerance.

    Args:
        invoice: the invoice.
        matches: its receipt matches; values in local currency.
        other_matches: what other invoices are matched to on the same orders.
        receipts: every receipt line of those orders.
        order_lines: the orders' lines.
        context: the tolerances and currencies.

    Raises:
        Hold: quantity_variance or price_variance, with the numbers of every line.
    """
    lines = _lines(invoice, matches, other_matches, receipts, order_lines)
    quantity = [text for line in lines if (text := _quantity_variance(line, context))]
    price = [text for line in lines if (text := _price_variance(line, invoice, context))]
    if quantity or price:
        code = "quantity_variance" if quantity else "price_variance"
        raise Hold(code, "; ".join([*quantity, *price]))


def _lines(
    invoice: InvoiceRow,
    matches: Sequence[MatchRow],
    other_matches: Sequence[MatchRow],
    receipts: Sequence[ReceiptRow],
    order_lines: Mapping[LineKey, OrderLineRow],
) -> list[_Line]:
    index = ReceiptIndex(receipts)
    found: dict[LineKey, _Line] = {}
    for match in matches:
        key = _line_key(index.find(match))
        row = order_lines.get(key) if key else None
        if key is None or row is None or row.line_type not in _MATCHED_TYPES:
            continue
        line = found.setdefault(key, _Line(row))
        line.quantity += match.matched_quantity
        line.value += match.matched_value
        line.invoiced += match.matched_quantity
        line.matches += 1
    for match in other_matches:
        key = _line_key(index.find(match))
        if key in found and match.invoice != invoice.invoice:
            found[key].invoiced += match.matched_quantity
            found[key].others.add(match.invoice)
    for receipt in receipts:
        key = _line_key(receipt)
        if key in found:
            found[key].received += receipt.quantity
    return [found[key] for key in sorted(found)]


def _line_key(receipt: ReceiptRow | None) -> LineKey | None:
    if receipt is None or receipt.purchase_order is None:
        return None
    return receipt.purchase_order, receipt.line


def _quantity_variance(line: _Line, context: PlanContext) -> str | None:
    limits = context.connection.match
    base = min(line.received, line.row.order_quantity)
    over = line.invoiced - base
    if over <= 0 or not _is_outside(
        over, base, limits.quantity_percent, limits.quantity_absolute
    ):
        return None
    others = f", also by {', '.join(sorted(line.others))}" if line.others else ""
    return (
        f"{line.name}: ordered {_number(line.row.order_quantity)}, received "
        f"{_number(line.received)}, invoiced {_number(line.invoiced)}{others}: "
        f"{_number(over)} too many{_percent(over, base)}; tolerance "
        f"{_limits(limits.quantity_percent, limits.quantity_absolute)}"
    )


def _price_variance(line: _Line, invoice: InvoiceRow, context: PlanContext) -> str | None:
    """Tell how far the matched value is from the order's price; None within tolerance.

    A foreign invoice is compared in both currencies and the smaller difference counts: that
    the rate moved since the order is no price variance.
    """
    limits, ordered = context.connection.match, line.row.order_quantity
    if not ordered or not line.quantity:
        return None
    sides = [(line.value, line_value(line.row, is_local=True))]
    currency = context.currency(invoice.currency)
    if currency != context.references.base_currency:
        foreign = in_foreign(line.value, invoice.exchange_rate, invoice.mul_div)
        sides.append((foreign, line_value(line.row, is_local=False)))
    compared = [
        (value, whole * line.quantity / ordered) for value, whole in sides if whole or not value
    ] or sides[:1]
    value, expected = min(compared, key=lambda pair: abs(pair[0] - pair[1]))
    variance = abs(value - expected)
    if variance <= CENT * line.matches or not _is_outside(
        variance, abs(expected), limits.price_percent, limits.price_absolute
    ):
        return None
    return (
        f"{line.name}: {_number(line.quantity)} at the order's price make {expected:.2f}, "
        f"invoiced {value:.2f}: {value - expected:+.2f}{_percent(variance, abs(expected))}; "
        f"tolerance {_limits(limits.price_percent, limits.price_absolute)}"
    )


def _is_outside(
    variance: Decimal, base: Decimal, percent: Decimal | None, absolute: Decimal | None
) -> bool:
    """Tell whether a variance breaks one of the limits that are given."""
    beyond_percent = percent is not None and variance * 100 > base * percent
    return beyond_percent or (absolute is not None and variance > absolute)


def _number(quantity: Decimal) -> str:
    return f"{quantity.normalize():f}"


def _percent(variance: Decimal, base: Decimal) -> str:
    return f" ({variance * 100 / base:.1f} %)" if base else ""


def _limits(percent: Decimal | None, absolute: Decimal | None) -> str:
    given = [f"{_number(percent)} %"] if percent is not None else []
    given += [_number(absolute)] if absolute is not None else []
    return " and ".join(given)
