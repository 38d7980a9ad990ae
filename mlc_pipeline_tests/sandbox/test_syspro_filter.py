"""`$filter`: translated to SQL, it means what OData says it means."""

from __future__ import annotations

import contextlib
import operator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.sandbox.syspro import TABLES, Store, load
from mlc_pipeline.sandbox.syspro.odata_filter import (
    MOST_COMPARISONS,
    MOST_NESTED,
    FilterError,
    to_sql,
)

TABLE = TABLES["ApInvoice"]
TEXTS = ["", "a", "A", "O'Hara", "Z", "é", "10", "9", "and", "x (y)"]
DATES = [None, date(2016, 3, 31), date(2016, 4, 1), date(2016, 4, 2)]
VALUES = [Decimal(text) for text in ("-2.50", "-2.49", "0.00", "9.99", "10.00", "100.00")]
ROWS = [
    {
        "Supplier": f"{number:03d}",
        "Invoice": TEXTS[number % len(TEXTS)],
        "InvoiceDate": DATES[number % len(DATES)],
        "OrigInvValue": VALUES[number % len(VALUES)],
    }
    for number in range(60)
]
COMPARE = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


@dataclass
class Comparison:
    column: str
    operator: str
    literal: object

    def holds(self, row: dict[str, object]) -> bool:
        value = row[self.column]
        if self.operator not in ("eq", "ne") and (value is None or self.literal is None):
            return False
        return bool(COMPARE[self.operator](value, self.literal))

    def text(self, date_type: str) -> str:
        return f"{self.column} {self.operator} {self._literal(date_type)}"

    def _literal(self, date_type: str) -> str:
        if self.literal is None:
            return "null"
        if isinstance(self.literal, str):
            return "'" + self.literal.replace("'", "''") + "'"
        midnight = isinstance(self.literal, date) and date_type != "Edm.Date"
        return f"{self.literal}{'T00:00:00Z' if midnight else ''}"


@dataclass
class Junction:
    word: str
    left: Comparison | Junction
    right: Comparison | Junction

    def holds(self, row: dict[str, object]) -> bool:
        left, right = self.left.holds(row), self.right.holds(row)
        return left and right if self.word == "and" else left or right

    def text(self, date_type: str) -> str:
        return f"({self.left.text(date_type)}) {self.word} ({self.right.text(date_type)})"


operators = st.sampled_from(sorted(COMPARE))
# Literals with more decimals than the column, and beyond its range, are literals too.
between = [value + Decimal("0.005") for value in VALUES]
numbers = st.sampled_from(VALUES + between) | st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=3
)
days = st.dates(date(2016, 3, 30), date(2016, 4, 3)) | st.none()
comparisons = st.one_of(
    st.builds(Comparison, st.just("Invoice"), operators, st.sampled_from(TEXTS)),
    st.builds(Comparison, st.just("OrigInvValue"), operators, numbers),
    st.builds(Comparison, st.just("InvoiceDate"), operators, days),
)
filters = st.recursive(
    comparisons,
    lambda f: st.builds(Junction, st.sampled_from(["and", "or"]), f, f),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def store() -> Store:
    store = Store()
    load(store, {"ApInvoice": ROWS})
    return store


def kept(store: Store, text: str, date_type: str = "Edm.Date") -> list[str]:
    rows = store.select(TABLE, TABLE.key, to_sql(text, TABLE, date_type))
    return [supplier for supplier, _ in rows]


@settings(max_examples=150, deadline=None)
@given(condition=filters, date_type=st.sampled_from(["Edm.Date", "Edm.DateTimeOffset"]))
def test_a_filter_keeps_the_rows_that_plain_python_keeps(
    store: Store, condition: Comparison | Junction, date_type: str
) -> None:
    expected = [row["Supplier"] for row in ROWS if condition.holds(row)]
    assert kept(store, condition.text(date_type), date_type) == expected


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(comparisons, min_size=3, max_size=5), words=st.data())
def test_and_binds_tighter_than_or(
    store: Store, parts: list[Comparison], words: st.DataObject
) -> None:
    chosen = [words.draw(st.sampled_from(["and", "or"])) for _ in parts[1:]]
    text = parts[0].text("Edm.Date") + "".join(
        f" {word} {part.text('Edm.Date')}" for word, part in zip(chosen, parts[1:], strict=True)
    )
    groups = [[parts[0]]]
    for word, part in zip(chosen, parts[1:], strict=True):
        if word == "or":
            groups.append([])
        groups[-1].append(part)
    expected = [
        row["Supplier"] for row in ROWS if any(all(p.holds(row) for p in g) for g in groups)
    ]
    assert kept(store, text) == expected


@settings(max_examples=200, deadline=None)
@given(text=st.text("ab'() <>=0123456789-T:Z.andorgteqInvoice", max_size=40))
def test_whatever_is_sent_is_answered_or_refused(store: Store, text: str) -> None:
    with contextlib.suppress(FilterError):
        assert set(kept(store, text)) <= {row["Supplier"] for row in ROWS}


def test_noon_lies_between_two_days(store: Store) -> None:
    at_noon = kept(store, "InvoiceDate lt 2016-04-01T12:00:00Z", "Edm.DateTimeOffset")
    assert at_noon == kept(store, "InvoiceDate le 2016-04-01")
    past_noon = kept(store, "InvoiceDate ge 2016-04-01T12:00:00Z", "Edm.DateTimeOffset")
    assert past_noon == kept(store, "InvoiceDate gt 2016-04-01")
    assert not kept(store, "InvoiceDate eq 2016-04-01T12:00:00Z", "Edm.DateTimeOffset")


def test_an_offset_is_counted(store: Store) -> None:
    shifted = kept(store, "InvoiceDate eq 2016-04-01T02:00:00+02:00", "Edm.DateTimeOffset")
    assert shifted == kept(store, "InvoiceDate eq 2016-04-01")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "unexpected end"),
        ("Invoice", "unexpected end"),
        ("Invoice eq", "unexpected end"),
        ("Invoice eq 'a' and", "unexpected end"),
        ("(Invoice eq 'a'", "unexpected end"),
        ("Invoice eq 'a')", "not expected at position 14"),
        ("Invoice like 'a'", "'like' is not expected"),
        ("Invoice EQ 'a'", "'EQ' is not expected"),
        ("contains(Invoice,'a')", "syntax error"),
        ("Invoice eq 'a", "syntax error"),
        ("invoice eq 'a'", "Could not find a property named 'invoice' on type 'ApInvoice'"),
        ("Invoice eq 7", "'Edm.String' cannot be compared with 7"),
        ("OrigInvValue eq '7'", "'Edm.Decimal' cannot be compared with '7'"),
        ("OrigInvValue eq 7e3", "syntax error"),
        ("InvoiceDate eq 2016-04-01T00:00:00Z", "'Edm.Date' cannot be compared"),
        ("InvoiceDate eq '2016-04-01'", "'Edm.Date' cannot be compared"),
        ("InvoiceDate eq datetime'2016-04-01'", "cannot be compared with datetime"),
        ("InvoiceDate eq 2016-02-30", "2016-02-30 is not a calendar date"),
        ("TimeStamp gt 1", "'Edm.Binary' cannot be compared"),
        ("TimeStamp eq null", "'Edm.Binary' cannot be compared"),
    ],
)
def test_a_bad_filter_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(FilterError, match=words):
        to_sql(text, TABLE, "Edm.Date")


@pytest.mark.parametrize("literal", ["2016-04-01", "0001-01-01T00:00:00+01:00"])
def test_a_date_time_column_takes_only_moments_it_knows(literal: str) -> None:
    with pytest.raises(FilterError):
        to_sql(f"InvoiceDate eq {literal}", TABLE, "Edm.DateTimeOffset")


def test_the_deepest_and_the_longest_filter_allowed_still_work(store: Store) -> None:
    nested = "Invoice eq 'x'"
    for level in range(MOST_NESTED):
        nested = f"Invoice gt 'b' {'and' if level % 2 else 'or'} ({nested})"
    assert kept(store, nested)
    with pytest.raises(FilterError, match="nests deeper"):
        kept(store, f"Invoice eq 'b' or ({nested})")
    longest = " or ".join(["Invoice eq 'Z'"] * MOST_COMPARISONS)
    assert kept(store, longest) == kept(store, "Invoice eq 'Z'")
    with pytest.raises(FilterError, match="more than 500 comparisons"):
        kept(store, f"{longest} or Invoice eq 'Z'")
