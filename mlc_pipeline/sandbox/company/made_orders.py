"""Purchase orders of the generated company: their lines, deliveries, and what bills them.

What must not come in: ledger postings, invoice numbers, flaws.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import count, pairwise
from random import Random
from typing import Literal

from mlc_pipeline.sandbox.company import shares
from mlc_pipeline.sandbox.company.made_books import (
    FREIGHT,
    OTHER_CHARGES,
    RATES,
    STOCK_CODE,
    Books,
)
from mlc_pipeline.sandbox.company.model import ZERO, PoLine, PurchaseOrder, Receipt, Supplier
from mlc_pipeline.sandbox.company.rules import CENT
from mlc_pipeline.sandbox.company.shares import quota

DAYS = 60
"""Length of the generated company's history."""
MOST_LINES = 8
"""Goods on one order, each another one: Cin7 refuses the same product twice."""

Kind = Literal["plain", "call_off", "short", "cancelled"]


@dataclass
class Draft:
    """A document before it is numbered: amounts by ledger code, in its own currency."""

    supplier: Supplier
    dated: date
    amounts: dict[str, Decimal]
    purchase_order: str = ""
    receipts: list[int] = field(default_factory=list)
    credited: Draft | None = None


@dataclass
class Orders:
    """What was made: orders with their lines and receipts, and the drafts that bill them.

    A draft names its receipts by their position.
    """

    purchase_orders: list[PurchaseOrder] = field(default_factory=list)
    po_lines: list[PoLine] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)


def make_orders(rng: Random, books: Books, size: int, end: date) -> Orders:
    """Make orders until enough documents bill them for a company of that many invoices."""
    wanted = quota(shares.ORDER_INVOICE, size)
    made = Orders()
    special: dict[Kind, float] = {
        "call_off": shares.CALL_OFF_ORDER,
        "short": shares.SHORT_ORDER,
        "cancelled": shares.CANCELLED_ORDER,
    }
    kinds = [kind for kind, share in special.items() for _ in range(quota(share, wanted))]
    kinds += ["plain"] * (wanted - len(kinds))
    rng.shuffle(kinds)
    for number in count(1):
        if number > len(kinds) and len(made.drafts) >= wanted:
            break
        kind = kinds[number - 1] if number <= len(kinds) else "plain"
        _Order(rng, books, made, number, kind, end).make()
    del made.drafts[wanted:]
    _forget_dates(rng, made)
    return made


def _forget_dates(rng: Random, made: Orders) -> None:
    total = len(made.purchase_orders)
    for n in rng.sample(range(total), quota(shares.UNDATED_ORDER, total)):
        made.purchase_orders[n] = replace(made.purchase_orders[n], order_date=None)


class _Order:
    """One order in the making."""

    def __init__(
        self, rng: Random, books: Books, made: Orders, number: int, kind: Kind, end: date
    ) -> None:
        self.rng, self.books, self.made = rng, books, made
        self.number, self.kind, self.end = number, kind, end
        self.name = f"{20_000 + number:06d}"
        self.supplier = books.supplier(rng)
        # A call-off runs for weeks: it starts early enough to show several deliveries.
        self.ordered = end - timedelta(
            days=rng.randrange(25 if kind == "call_off" else 1, DAYS)
        )
        self.items = rng.sample(books.stock_items, MOST_LINES)
        self.lines: list[PoLine] = []
        self.billed = False

    def make(self) -> None:
        """Make the order, its lines, its deliveries up to the end, and what bills them."""
        lines = _share_choice(self.rng, shares.LINES_PER_ORDER)
        for _ in range(min(lines, MOST_LINES)):
            self.lines.append(self._goods_line())
        self._add_charges()
        self.made.purchase_orders.append(self._header())
        self.made.po_lines += self.lines
        if self.kind != "cancelled":
            self._deliver()

    def _header(self) -> PurchaseOrder:
        rate, mul_div = RATES.get(self.supplier.currency, (None, ""))
        return PurchaseOrder(
            purchase_order=self.name,
            supplier_id=self.supplier.supplier_id,
            order_date=self.ordered,
            due=self.ordered + timedelta(days=14),
            status="cancelled" if self.kind == "cancelled" else "",
            currency=self.supplier.currency,
            exchange_rate=rate,
            mul_div="D" if mul_div == "D" else "M",
            warehouse=self.rng.choice(("MW", "MW", "MW", "NW")),
        )

    def _goods_line(self) -> PoLine:
        item = self.items[len(self.lines)]
        made = PoLine(
            purchase_order=self.name,
            line=len(self.lines) + 1,
            stock_code=item.stock_code,
            description=item.description,
            uom=item.uom,
            qty_ordered=Decimal(self.rng.randrange(8, 400)),
            unit_price=Decimal(self.rng.randrange(20, 9_000)) / 100,
            tax_code=self.supplier.tax_code,
        )
        if item.uom in ("KG", "M"):
            made = replace(made, qty_ordered=made.qty_ordered + Decimal("0.5"))
        if self.rng.random() < shares.DISCOUNTED_LINE:
            made = replace(made, discount=Decimal(self.rng.choice(("2.5", "5", "10"))))
        if _falls(self.number + made.line, shares.NOT_STOCKED_LINE):
            made = replace(
                made,
                type="7",
                stock_code=f"NS{self.number:05d}",
                description=f"Not stocked: {item.group.lower()} as sample",
                gl_code=".".join(self.books.ledger_code(self.rng)),
            )
        return made

    def _add_charges(self) -> None:
        centre, _ = self.books.ledger_code(self.rng)
        if _falls(self.number, shares.FREIGHT_LINE):
            self._add(
                "4", "Carriage", Decimal(self.rng.randrange(5, 120)), f"{centre}.{FREIGHT}"
            )
        if _falls(self.number, shares.OTHER_CHARGE_LINE):
            value = Decimal(self.rng.randrange(500, 9_000)) / 100
            self._add("5", "Customs handling", value, f"{centre}.{OTHER_CHARGES}")
        if _falls(self.number, shares.COMMENT_LINE):
            self._add("6", "Deliver to gate 2, mornings only", ZERO, "")

    def _add(self, kind: Literal["4", "5", "6"], text: str, value: Decimal, code: str) -> None:
        self.lines.append(
            PoLine(
                purchase_order=self.name,
                line=len(self.lines) + 1,
                type=kind,
                description=text,
                qty_ordered=Decimal(1 if value else 0),
                unit_price=value,
                tax_code=self.supplier.tax_code if value else "",
                gl_code=code,
            )
        )

    def _deliver(self) -> None:
        number = _share_choice(self.rng, shares.DELIVERIES_PER_LINE)
        if self.kind == "call_off":
            number = self.rng.randrange(3, 6)
        goods = [line for line in self.lines if line.receivable]
        missing = 2 if self.kind == "short" else 0
        parts = {e.line: _parts(self.rng, e.qty_ordered - missing, number) for e in goods}
        delivered: list[int] = []
        day = self.ordered
        for n in range(number):
            day += timedelta(days=self.rng.randrange(1, 8))
            if day > self.end:
                return
            for line in goods:
                self._receive(line, parts[line.line][n], day)
                delivered.append(len(self.made.receipts) - 1)
            if self.kind == "call_off" or n == number - 1:
                self._bill(delivered, day)
                delivered = []

    def _receive(self, line: PoLine, quantity: Decimal, day: date) -> None:
        value = quantity * line.unit_price * (100 - line.discount) / 100
        self.made.receipts.append(
            Receipt(
                purchase_order=self.name,
                line=line.line,
                qty=quantity,
                unit_price=line.unit_price,
                value=value.quantize(CENT, ROUND_HALF_UP),
                receipt_date=day,
                receipt_no=f"{self.name}/{day:%m%d}",
            )
        )

    def _bill(self, positions: list[int], day: date) -> None:
        """Bill receipts up to three days later; the order's first bill has its charges, too."""
        dated = day + timedelta(days=self.rng.randrange(4))
        if dated > self.end:
            return
        codes = {line.line: line.gl_code or STOCK_CODE for line in self.lines}
        amounts: dict[str, Decimal] = {}
        for position in positions:
            receipt = self.made.receipts[position]
            code = codes[receipt.line]
            amounts[code] = amounts.get(code, ZERO) + receipt.value
        for line in self.lines:
            if line.type in ("4", "5") and not self.billed:
                amounts[line.gl_code] = amounts.get(line.gl_code, ZERO) + line.unit_price
        self.billed = True
        self.made.drafts.append(Draft(self.supplier, dated, amounts, self.name, positions))


def _share_choice(rng: Random, weights: dict[int, float]) -> int:
    """A number by its share; the last one stands for itself and a few more."""
    number = rng.choices(list(weights), list(weights.values()))[0]
    return number + rng.randrange(3) if number == max(weights) else number


def _falls(number: int, share: float) -> bool:
    """True for every n-th number, as the share says: evenly, so that each kind appears."""
    return number % round(1 / share) == 1


def _parts(rng: Random, quantity: Decimal, number: int) -> list[Decimal]:
    """Split a quantity into that many deliveries, whole units but for the last."""
    whole = int(quantity)
    cuts = sorted(rng.sample(range(1, whole), number - 1))
    edges = [0, *cuts, whole]
    parts = [Decimal(b - a) for a, b in pairwise(edges)]
    parts[-1] += quantity - whole
    return parts
