"""Cin7's reference books: answers to rows to what planning looks at."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from mlc_pipeline.cin7.decimals import loads
from mlc_pipeline.staging.load import Stamp, replace_table
from mlc_pipeline.staging.tables import CIN7
from mlc_pipeline.sync.plan import References
from mlc_pipeline.sync.references import read_references, reference_rows, references_of
from mlc_pipeline_tests.sync.examples import d

ANSWERS: dict[str, Any] = loads(
    b"""{
  "accounts": [
    {"Code": "400", "Name": "Rent", "Class": "EXPENSE", "Status": "ACTIVE"},
    {"Code": "499", "Name": "Old", "Class": "EXPENSE", "Status": "ARCHIVED"}
  ],
  "suppliers": [{"ID": "s", "Name": "THE Acme Ltd", "AdditionalAttribute1": ""}],
  "products": [
    {"ID": "p1", "SKU": "A100", "Name": "Bolt", "Status": "Active"},
    {"ID": "p2", "SKU": "B200", "Name": "", "Status": "Active"},
    {"ID": "p3", "SKU": "C300", "Name": "Gone", "Status": "Deprecated"}
  ],
  "tax_rules": [
    {"Name": "VAT", "Account": "820", "TaxPercent": 17.5, "IsActive": true},
    {"Name": "Old", "Account": "820", "TaxPercent": 15, "IsActive": false},
    {"Name": "Sales", "Account": "821", "IsTaxForPurchase": false}
  ],
  "payment_terms": [
    {"Name": "30 days", "Duration": 30, "IsActive": true},
    {"Name": "Old", "IsActive": false}
  ],
  "locations": [
    {"Name": "Main", "IsDeprecated": false},
    {"Name": "Yard", "Deprecated": true},
    {"Name": "Shed", "IsDeprecated": true},
    {"Name": "Shed", "IsDeprecated": false}
  ],
  "settings": [{"Company": "Acme", "Currency": "GBP", "LockDate": "2026-01-31T00:00:00Z"}]
}"""
)


def _check(books: References) -> None:
    assert books.accounts["400"].status == "ACTIVE"
    assert books.accounts["499"].status == "ARCHIVED"
    assert {name for name, rule in books.tax_rules.items() if rule.usable} == {"VAT"}
    assert (books.tax_rules["VAT"].account, books.tax_rules["VAT"].percent) == (
        "820",
        d("17.5"),
    )
    assert books.payment_terms == {"30 days"}
    assert books.locations == {"Main", "Shed"}
    assert books.products == {"A100": "Bolt", "B200": "B200"}
    assert (books.base_currency, books.lock_date) == ("GBP", date(2026, 1, 31))


def test_answers_become_what_planning_looks_at() -> None:
    _check(references_of(ANSWERS))


def test_staged_books_say_the_same_as_the_answers(database: sa.Engine) -> None:
    stamp = Stamp("acme", "run")
    for book, answers in ANSWERS.items():
        replace_table(database, CIN7[book], stamp, reference_rows(book, answers))
    with database.connect() as connection:
        _check(read_references(connection, "acme"))


def test_books_that_were_never_read_say_what_to_do(database: sa.Engine) -> None:
    with (
        database.connect() as connection,
        pytest.raises(LookupError, match="materialise the assets acme/cin7"),
    ):
        read_references(connection, "acme")


def test_a_supplier_is_kept_with_the_name_it_is_matched_by() -> None:
    (row,) = reference_rows("suppliers", ANSWERS["suppliers"])
    assert (row["normalised_name"], row["marker"]) == ("acme limited", None)


def test_a_raw_answer_keeps_its_numbers_digit_for_digit() -> None:
    rows = {row["name"]: row for row in reference_rows("tax_rules", ANSWERS["tax_rules"])}
    assert rows["VAT"]["raw"]["TaxPercent"] == "17.5"


@pytest.mark.parametrize("lock", [None, ""])
def test_no_lock_date_locks_nothing(lock: str | None) -> None:
    (row,) = reference_rows("settings", [{"Company": "A", "LockDate": lock}])
    assert row["lock_date"] is None
