"""What the report of a period shows: tables and charts as plain values.

What must not come in: HTML, files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from mlc_pipeline.sync.booked import Bucket
from mlc_pipeline.sync.causes import MEANINGS, Cause, Meaning
from mlc_pipeline.sync.close import Closing, Stopped
from mlc_pipeline.sync.money import ZERO
from mlc_pipeline.sync.period import Difference

Link = Callable[[str | None], str]
"""Returns the link to a purchase by its Cin7 id; empty without one."""

SHOWN = 25
"""Rows of a long table on the page; the CSV beside it has all of them."""

COLUMNS: dict[str, tuple[Cause, ...]] = {
    "held": (Cause.HELD, Cause.DRAFT),
    "waiting": (Cause.WAITING,),
    "excluded": (Cause.EXCLUDED,),
    "other period": (Cause.POSTED_LATER, Cause.DATED_DIFFERENTLY),
    "rounding": (Cause.ROUNDING,),
}
"""The harmless steps between SYSPRO and Cin7 by column; every other one is to look at."""

TO_LOOK_AT = "to look at"
AGES = ((0, 7), (8, 30), (31, 60), (61, 90), (91, None))


def _column_of(cause: Cause) -> str:
    return next((name for name, causes in COLUMNS.items() if cause in causes), TO_LOOK_AT)


@dataclass
class Row:
    """A line of a table: SYSPRO, the steps, Cin7; its bars are hundredths of the largest."""

    code: str
    name: str
    syspro: Decimal = ZERO
    steps: dict[str, Decimal] = field(default_factory=dict)
    cin7: Decimal = ZERO
    is_blocked: bool = False
    bars: tuple[str, str] = ("0", "0")

    @property
    def weight(self) -> Decimal:
        """How much money it is about."""
        return max(abs(self.syspro), abs(self.cin7), *(abs(a) for a in self.steps.values()))

    def add(self, other: Row) -> None:
        """Add another line to this one."""
        self.syspro += other.syspro
        self.cin7 += other.cin7
        for name, amount in other.steps.items():
            self.steps[name] = self.steps.get(name, ZERO) + amount


@dataclass
class Table:
    """Lines by account, cost centre or supplier, the largest first, with their sum."""

    title: str
    rows: list[Row]
    shown: list[Row]
    rest: Row | None
    total: Row

    @property
    def steps(self) -> list[str]:
        """The steps that move anything here: the others have no column on the page."""
        return [name for name in self.total.steps if any(row.steps[name] for row in self.rows)]


@dataclass(frozen=True)
class Item:
    """The differences of one document with one cause."""

    document: str
    supplier: str
    meaning: Meaning
    amount: Decimal
    detail: str
    day: date | None
    link: str
    cin7_number: str
    moves: tuple[Difference, ...]


@dataclass(frozen=True)
class Bar:
    """A bar of a chart, in units of the drawing."""

    label: str
    value: Decimal
    x: str
    y: str
    width: str
    height: str
    kind: str


def tables(closing: Closing) -> list[Table]:
    """Return the comparison by account, by cost centre and by supplier."""

    def account(bucket: Bucket) -> tuple[str, str]:
        return bucket.account or "none", closing.accounts.get(bucket.account, "")

    def centre(bucket: Bucket) -> tuple[str, str]:
        return bucket.cost_centre or "none", ""

    def supplier(bucket: Bucket) -> tuple[str, str]:
        return bucket.supplier or "none", closing.suppliers.get(bucket.supplier, "")

    return [
        _table("By account", closing, account),
        _table("By cost centre", closing, centre),
        _table("By supplier", closing, supplier),
    ]


def lines(closing: Closing) -> list[tuple[Bucket, Row]]:
    """Return the comparison per account, cost centre and supplier, in their order."""
    found: dict[Bucket, Row] = {}

    def at(bucket: Bucket) -> Row:
        return found.setdefault(bucket, _empty(bucket.account, ""))

    tie_out = closing.tie_out
    for bucket, amount in tie_out.syspro.items():
        at(bucket).syspro += amount
    for bucket, amount in tie_out.cin7.items():
        at(bucket).cin7 += amount
    for difference in tie_out.differences:
        row, column = at(difference.bucket), _column_of(difference.cause)
        row.steps[column] += difference.amount
        row.is_blocked = row.is_blocked or (difference.blocks and bool(difference.amount))
    return [(bucket, found[bucket]) for bucket in sorted(found) if found[bucket].weight]


def _empty(code: str, name: str) -> Row:
    return Row(code, name, steps=dict.fromkeys((*COLUMNS, TO_LOOK_AT), ZERO))


def _table(title: str, closing: Closing, of: Callable[[Bucket], tuple[str, str]]) -> Table:
    grouped: dict[str, Row] = {}
    for bucket, line in lines(closing):
        code, name = of(bucket)
        row = grouped.setdefault(code, _empty(code, name))
        row.add(line)
        row.is_blocked = row.is_blocked or line.is_blocked
    rows = sorted(grouped.values(), key=lambda r: (not r.is_blocked, -r.weight, r.code))
    largest = max((row.weight for row in rows), default=ZERO) or Decimal(1)
    for row in rows:
        widths = [_unit(abs(side) / largest * 100) for side in (row.syspro, row.cin7)]
        row.bars = (widths[0], widths[1])
    rest = _sum(f"{len(rows) - SHOWN} more", rows[SHOWN:]) if len(rows) > SHOWN else None
    return Table(title, rows, rows[:SHOWN], rest, _sum("Total", rows))


def _sum(label: str, rows: Iterable[Row]) -> Row:
    total = _empty(label, "")
    for row in rows:
        total.add(row)
    return total


def items(closing: Closing, link: Link) -> list[Item]:
    """Return the differences by document and cause: first those that block.

    Args:
        closing: the comparison.
        link: returns the link to a purchase by its Cin7 id.
    """
    groups: dict[tuple[Cause, str, str], list[Difference]] = {}
    for difference in closing.tie_out.differences:
        key = (difference.cause, difference.document, difference.detail)
        groups.setdefault(key, []).append(difference)
    found = []
    for (cause, document, detail), moves in groups.items():
        first = moves[0]
        supplier = first.bucket.supplier
        found.append(
            Item(
                document,
                closing.suppliers.get(supplier, supplier),
                MEANINGS[cause],
                sum((d.amount for d in moves), ZERO),
                detail,
                first.day,
                link(first.cin7_id),
                first.cin7_number or "",
                tuple(d for d in moves if d.amount),
            )
        )
    order = list(Cause)
    return sorted(
        found,
        key=lambda i: (not i.meaning.blocks, order.index(i.meaning.cause), i.document),
    )


@dataclass(frozen=True)
class Age:
    """Money that is not in Cin7, of some days of age."""

    label: str
    documents: int
    amounts: dict[str, Decimal]

    @property
    def amount(self) -> Decimal:
        """All of it, whatever its sign."""
        return sum((abs(a) for a in self.amounts.values()), ZERO)


def ageing(closing: Closing) -> list[Age]:
    """Return what is held and waiting by its age at the end of the period."""
    at = closing.period.last
    found = []
    for lowest, highest in AGES:
        label = f"{lowest} to {highest} days" if highest else f"over {lowest - 1} days"
        found.append(
            _age(
                label,
                [
                    s
                    for s in closing.stopped
                    if (age := s.age(at)) is not None
                    and age >= lowest
                    and (highest is None or age <= highest)
                ],
            )
        )
    undated = [s for s in closing.stopped if s.home is None]
    return [*found, _age("without a date", undated)] if undated else found


def _age(label: str, stopped: Sequence[Stopped]) -> Age:
    amounts: dict[str, Decimal] = {}
    for each in stopped:
        amounts[each.outcome] = amounts.get(each.outcome, ZERO) + each.amount
    return Age(label, len(stopped), amounts)


@dataclass(frozen=True)
class Step:
    """What one cause makes of SYSPRO's figure: what it takes away and what it gives."""

    meaning: Meaning
    documents: int
    taken: Decimal
    given: Decimal

    @property
    def amount(self) -> Decimal:
        """What is left of both."""
        return self.given - self.taken


def steps(closing: Closing) -> list[Step]:
    """Return the steps from SYSPRO to Cin7, a cause each."""
    found = []
    for cause in closing.tie_out.by_cause():
        differences = [d for d in closing.tie_out.differences if d.cause is cause]
        found.append(
            Step(
                MEANINGS[cause],
                len({d.document for d in differences}),
                -sum((d.amount for d in differences if d.amount < 0), ZERO),
                sum((d.amount for d in differences if d.amount > 0), ZERO),
            )
        )
    return found


# --- charts ---------------------------------------------------------------------------------

_TENTH = Decimal("0.1")


def _unit(value: Decimal | int) -> str:
    return f"{Decimal(value).quantize(_TENTH):f}"


def steps_chart(closing: Closing) -> list[Bar]:
    """Return the steps from SYSPRO to Cin7 as bars left and right of a middle line."""
    found = steps(closing)
    largest = max((max(s.taken, s.given) for s in found), default=ZERO) or Decimal(1)
    bars = []
    for place, step in enumerate(found):
        kind = "bad-bar" if step.meaning.blocks else "calm"
        for amount, is_left in ((step.taken, True), (step.given, False)):
            width = amount / largest * 260
            x, y = Decimal(470) - (width if is_left else ZERO), _unit(place * 26 + 6)
            bars.append(
                Bar(str(step.meaning.cause), amount, _unit(x), y, _unit(width), "14", kind)
            )
    return bars


def ageing_chart(ages: Sequence[Age]) -> list[Bar]:
    """Return the ageing as bars, held and waiting one after the other."""
    largest = max((age.amount for age in ages), default=ZERO) or Decimal(1)
    bars = []
    for place, age in enumerate(ages):
        x = Decimal(150)
        for outcome, amount in sorted(age.amounts.items()):
            width = abs(amount) / largest * 420
            y = _unit(place * 26 + 6)
            bars.append(Bar(outcome, amount, _unit(x), y, _unit(width), "14", outcome))
            x += width
    return bars


DAY_KINDS = ("posted", "held", "waiting", "excluded", "other")


def days(closing: Closing) -> list[tuple[date, dict[str, Decimal]]]:
    """Return the days with their figures: SYSPRO's postings by what became of them, Cin7's."""
    found = []
    for day, figures in sorted(closing.tie_out.days.items()):
        row = dict.fromkeys((*DAY_KINDS, "cin7"), ZERO)
        for name, amount in figures.items():
            row[name if name in row else "other"] += amount
        found.append((day, row))
    return found


def days_chart(closing: Closing, width: int = 860, height: int = 160) -> list[Bar]:
    """Return the trend: a stack a day of SYSPRO's postings, Cin7's as a mark."""
    rows = days(closing)
    tops = [
        max(sum((abs(row[k]) for k in DAY_KINDS), ZERO), abs(row["cin7"])) for _, row in rows
    ]
    largest = max(tops, default=ZERO) or Decimal(1)
    pitch = Decimal(width) / max(len(rows), 1)
    thick = min(pitch * Decimal("0.7"), Decimal(40))
    bars = []
    for place, (day, row) in enumerate(rows):
        x, y = pitch * place + (pitch - thick) / 2, Decimal(height)
        for kind in DAY_KINDS:
            tall = abs(row[kind]) / largest * height
            y -= tall
            if tall:
                bars.append(
                    Bar(
                        str(day), row[kind], _unit(x), _unit(y), _unit(thick), _unit(tall), kind
                    )
                )
        mark = Decimal(height) - abs(row["cin7"]) / largest * height
        bars.append(
            Bar(str(day), row["cin7"], _unit(x), _unit(mark - 1), _unit(thick), "2", "cin7")
        )
    return bars
