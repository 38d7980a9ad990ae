"""Tie-out: SYSPRO's postings against Cin7's documents and ledger, no cent hidden."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.staging.load import Stamp, replace_days
from mlc_pipeline.staging.tables import PUSH
from mlc_pipeline.staging.tables import tie_out as table
from mlc_pipeline.sync.ledger import DocumentRef, Ledger
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.tie_out import TieOut, tie_out_window
from mlc_pipeline.sync.vocabulary import Kind, Outcome
from mlc_pipeline_tests.sync.examples import (
    DAY,
    GL_PAYABLE,
    GL_TAX,
    SUPPLIER,
    VAT,
    context,
    d,
    invoice,
    posting,
    stage,
    staged_row,
)

NEXT = DAY + timedelta(days=1)


@dataclass
class Books:
    """Both sides of a connection of its own."""

    engine: sa.Engine
    policies: dict[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"books_{uuid.uuid4().hex}")
    pushed: list[dict[str, Any]] = field(default_factory=list)
    transactions: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[date, date]] = field(default_factory=list)
    entries: int = 0

    def document(
        self,
        number: str,
        value: str,
        postings: list[tuple[str, str]],
        amounts: Mapping[str, str],
        *,
        tax: str = "",
        kind: Kind = Kind.INVOICE,
        outcome: Outcome = Outcome.CREATED,
        status: str = "AUTHORISED",
        day: date = DAY,
        rate: str | None = None,
        content: Mapping[str, Any] | None = None,
        **of_invoice: Any,
    ) -> None:
        """Put a document into SYSPRO's staged rows, the push table and the ledger.

        `rate` is what Cin7 answered.
        """
        row = invoice(value, invoice=number, **of_invoice)
        stage(self.engine, "invoices", staged_row(row, row.invoice_date), name=self.name)
        for gl_code, amount in postings:
            self.entries += 1
            entry = posting(amount, gl_code, invoice=number, sub_entry=d(self.entries))
            stage(self.engine, "postings", staged_row(entry, day), name=self.name)
        key = f"{SUPPLIER}|{number}"
        answered = {"status": status, "amounts": amounts, "tax": {VAT: tax} if tax else {}}
        answered |= {"rate": rate} if rate else {}
        ref = DocumentRef(kind, key, day, day, d(value))
        ledger = Ledger(self.engine, self.name, "run")
        ids = {"cin7_id": "p", "task_id": number}
        ledger.adopt(ref, state="done", **ids, answered=answered, content=content)
        self.pushed.append(
            {
                "partition": day,
                "source_key": key,
                "kind": kind,
                "outcome": outcome,
                "amount": d(value),
                "currency": of_invoice.get("currency") or "GBP",
            }
        )

    def booked(self, number: str, debit: str, credit: str, amount: str) -> None:
        """Put a row into Cin7's ledger."""
        row = {"TaskID": number, "DebitAccountCode": debit, "CreditAccountCode": credit}
        self.transactions.append({**row, "Amount": d(amount)})

    def compare(self, last: date = DAY) -> TieOut:
        """Tie out the window."""
        stamp = Stamp(self.name, "run")
        replace_days(self.engine, PUSH["invoices"], stamp, DAY, NEXT, self.pushed)

        def transactions(first: date, last: date) -> list[dict[str, Any]]:
            self.asked.append((first, last))
            return self.transactions

        looked_at = context(**self.policies)
        window = Window(self.name, DAY, last)
        return tie_out_window(self.engine, stamp, window, looked_at, transactions)

    def stored(self) -> list[Any]:
        with self.engine.connect() as connection:
            query = sa.select(table).where(table.c.connection == self.name)
            return list(connection.execute(query.order_by(table.c.account)))


@pytest.fixture
def books(engine: sa.Engine) -> Books:
    return Books(engine)


def test_equal_books_have_no_difference_and_are_stored(books: Books) -> None:
    books.document(
        "INV-1",
        "125",
        [("10.5000", "80"), ("20.5100", "20"), (GL_TAX, "25"), (GL_PAYABLE, "-125")],
        {"400|Sales": "80", "410|Works": "20"},
        tax="25",
    )
    books.booked("INV-1", "400", "800", "80")
    books.booked("INV-1", "410", "800", "20")
    books.booked("INV-1", "820", "800", "25")
    result = books.compare()
    assert result.differences() == []
    assert result.ledger_differences() == []
    assert [(r.account, r.cost_centre, r.syspro, r.cin7) for r in books.stored()] == [
        ("400", "Sales", 80, 80),
        ("410", "Works", 20, 20),
        ("820", "", 25, 25),
    ]
    assert {r.rounding for r in books.stored()} == {0}


def test_a_difference_is_shown_by_day_account_and_cost_centre(books: Books) -> None:
    books.document("INV-1", "10", [("10.5000", "10")], {"410|Sales": "10"})
    assert books.compare().differences() == [
        ((DAY, "400", "Sales", SUPPLIER), d(10), d(0)),
        ((DAY, "410", "Sales", SUPPLIER), d(0), d(10)),
    ]


def test_a_cent_is_a_difference(books: Books) -> None:
    books.document("INV-1", "10", [("10.5000", "10")], {"400|Sales": "9.99"})
    assert books.compare().differences() == [
        ((DAY, "400", "Sales", SUPPLIER), d(10), d("9.99"))
    ]


def test_credit_notes_are_negative_on_both_sides(books: Books) -> None:
    books.document(
        "CR-1",
        "-12",
        [("10.5000", "-10"), (GL_TAX, "-2")],
        {"400|Sales": "-10"},
        tax="-2",
        kind=Kind.CREDIT_NOTE,
    )
    books.booked("CR-1", "800", "400", "10")
    books.booked("CR-1", "800", "820", "2")
    result = books.compare()
    assert (result.differences(), result.ledger_differences()) == ([], [])
    assert result.by_account(0) == {"400": -10, "820": -2}


def test_documents_are_compared_on_the_day_that_counts_them(books: Books) -> None:
    books.document("INV-1", "5", [("10.5000", "5")], {"400|Sales": "5"})
    books.document("INV-2", "7", [("10.5000", "7")], {"400|Sales": "7"}, day=NEXT)
    assert set(books.compare().lines) == {(DAY, "400", "Sales", SUPPLIER)}
    assert set(books.compare(NEXT).lines) == {
        (DAY, "400", "Sales", SUPPLIER),
        (NEXT, "400", "Sales", SUPPLIER),
    }


@pytest.mark.parametrize("policy", ["none", "account"])
def test_cost_centres_that_are_not_carried_are_not_compared(
    engine: sa.Engine, policy: str
) -> None:
    books = Books(engine, {"cost_centre": policy})
    books.document("INV-1", "5", [("10.5000", "2"), ("20.5000", "3")], {"400|": "5"})
    assert books.compare().differences() == []


def test_what_is_not_in_cin7_is_counted_beside_it(books: Books) -> None:
    books.document("INV-1", "5", [("10.5000", "5")], {"400|Sales": "5"})
    for number, outcome in (("INV-2", Outcome.HELD), ("INV-3", Outcome.HELD)):
        books.document(number, "7", [("10.5000", "7")], {}, outcome=outcome)
    books.document("INV-4", "9", [("10.5000", "9")], {}, outcome=Outcome.WAITING, currency="€")
    result = books.compare()
    assert result.not_in_cin7 == {("held", "GBP"): [2, d(14)], ("waiting", "€"): [1, d(9)]}
    assert result.lines == {(DAY, "400", "Sales", SUPPLIER): [d(5), d(5), 1]}


def test_a_draft_is_on_neither_side(books: Books) -> None:
    books.document("INV-1", "5", [("10.5000", "5")], {"400|Sales": "5"}, status="DRAFT")
    assert books.compare().lines == {}
    assert books.asked == []


# --- currencies ---


def test_the_cents_of_converting_a_foreign_invoice_are_named_as_rounding(books: Books) -> None:
    books.document(
        "INV-1",
        "100",
        [("10.5000", "85.01")],
        {"400|Sales": "100"},
        currency="€",
        exchange_rate=d("0.85"),
        rate="0.85",
    )
    result = books.compare()
    assert result.differences() == []
    assert result.rounding == {(DAY, "400", "Sales", SUPPLIER): d("-0.01")}
    assert [r.rounding for r in books.stored()] == [d("-0.01")]


def test_more_than_rounding_is_a_difference_in_a_foreign_invoice_too(books: Books) -> None:
    books.document(
        "INV-1",
        "100",
        [("10.5000", "85.50")],
        {"400|Sales": "100"},
        currency="€",
        exchange_rate=d("0.85"),
        rate="0.85",
    )
    assert books.compare().differences() == [
        ((DAY, "400", "Sales", SUPPLIER), d("85.50"), d("85.00")),
    ]


def test_what_five_decimals_of_a_rate_move_is_rounding_too(books: Books) -> None:
    books.document(
        "INV-1",
        "100000",
        [("10.5000", "78740.16")],
        {"400|Sales": "100000"},
        currency="€",
        exchange_rate=d("1.27"),
        mul_div="D",
        rate="0.78740",
    )
    result = books.compare()
    assert result.differences() == []
    assert result.rounding == {(DAY, "400", "Sales", SUPPLIER): d("-0.16")}


@pytest.mark.parametrize("is_answered", [True, False])
def test_cin7s_side_is_converted_at_the_rate_of_the_purchase(
    books: Books, is_answered: bool
) -> None:
    """The rate of the order that the invoice is on, not the one that SYSPRO posted it at."""
    order = DocumentRef(Kind.PURCHASE_ORDER, "PO", DAY, DAY)
    header = {"header": {"currency_rate": "1.1"}}
    Ledger(books.engine, books.name, "run").adopt(order, state="done", content=header)
    books.document(
        "INV-1",
        "100",
        [("10.5000", "115")],
        {"400|Sales": "100"},
        currency="€",
        exchange_rate=d("1.15"),
        rate="1.10000" if is_answered else None,
        content={"purchase_order": "PO"},
    )
    assert books.compare().differences() == [
        ((DAY, "400", "Sales", SUPPLIER), d(115), d(110)),
    ]


def foreign(books: Books, outcome: Outcome = Outcome.CREATED) -> None:
    books.document(
        "INV-F",
        "100",
        [("20.5200", "85")],
        {"420|Works": "100"},
        outcome=outcome,
        currency="€",
        exchange_rate=d("0.85"),
        rate="0.85",
    )


def test_a_local_difference_is_no_rounding_because_another_document_was_foreign(
    books: Books,
) -> None:
    foreign(books)
    books.document("INV-1", "10", [("10.5000", "10")], {"400|Sales": "9.98"})
    assert books.compare().differences() == [
        ((DAY, "400", "Sales", SUPPLIER), d(10), d("9.98"))
    ]


def test_a_foreign_document_that_is_not_in_cin7_excuses_nothing(books: Books) -> None:
    foreign(books, Outcome.HELD)
    books.document("INV-1", "10", [("20.5200", "10")], {"420|Works": "9.98"})
    assert books.compare().differences() == [
        ((DAY, "420", "Works", SUPPLIER), d(10), d("9.98"))
    ]


# --- Cin7's own ledger ---


def test_what_cin7s_ledger_says_otherwise_than_its_documents_is_shown(books: Books) -> None:
    books.document("INV-1", "10", [("10.5000", "10")], {"400|Sales": "10"})
    books.booked("INV-1", "400", "800", "9")
    books.booked("SOMEBODY ELSES", "400", "800", "1")
    result = books.compare()
    assert result.differences() == []
    assert result.ledger_differences() == [("400", d(10), d(9))]


def test_cin7s_ledger_is_read_over_the_dates_of_the_documents(books: Books) -> None:
    early = DAY - timedelta(days=20)
    books.document("INV-1", "5", [("10.5000", "5")], {"400|Sales": "5"}, invoice_date=early)
    books.document("INV-2", "5", [("10.5000", "5")], {"400|Sales": "5"})
    books.compare()
    assert books.asked == [(early, DAY)]


def test_the_rounding_of_a_foreign_document_is_no_difference_to_cin7s_ledger(
    books: Books,
) -> None:
    """Cin7 converts and rounds line by line, not account by account."""
    books.document(
        "INV-1",
        "0.90",
        [("10.5000", "0.45")],
        {"400|Sales": "0.90"},
        currency="€",
        exchange_rate=d("0.5"),
        rate="0.5",
    )
    for _ in range(2):  # two lines of 0.45, each 0.23 in Cin7's ledger
        books.booked("INV-1", "400", "800", "0.23")
    assert books.compare().ledger_differences() == []


# --- the result itself ---


def test_a_second_comparison_replaces_the_first(books: Books) -> None:
    books.document("INV-1", "5", [("10.5000", "5")], {"400|Sales": "5"})
    books.compare()
    books.pushed.clear()
    books.compare()
    assert books.stored() == []


def test_totals_per_account_are_over_days_and_cost_centres() -> None:
    result = TieOut()
    result.add((DAY, "400", "Sales", SUPPLIER), 0, d(5))
    result.add((NEXT, "400", "Works", SUPPLIER), 0, d(7))
    result.add((NEXT, "400", "Works", SUPPLIER), 1, d(6))
    assert result.by_account(0) == {"400": Decimal(12)}
    assert result.by_account(1) == {"400": Decimal(6)}
    assert len(result.differences()) == 2
