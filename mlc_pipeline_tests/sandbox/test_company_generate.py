"""The generated company: always the same, whole in itself, and as untidy as a real one."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_pipeline.sandbox.company import Company, generate, read_pack, shares, write_pack
from mlc_pipeline.sandbox.company.rules import UNBILLED, received
from mlc_pipeline.sandbox.company.shares import quota

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "neutral-form.md"


@pytest.fixture(scope="module")
def company() -> Company:
    return generate(1)


def _unbalanced(company: Company) -> list[str]:
    posted: defaultdict[str, Decimal] = defaultdict(Decimal)
    for posting in company.gl_distributions:
        posted[posting.document_no] += posting.amount
    return [e.document_no for e in company.invoices if posted[e.document_no] != e.value]


def test_the_same_seed_gives_the_same_company() -> None:
    assert generate(7, 120) == generate(7, 120)
    assert generate(7, 120) != generate(8, 120)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**9), size=st.integers(50, 150), flaws=st.booleans())
def test_any_company_is_whole_in_itself(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, flaws: bool
) -> None:
    company = generate(seed, size, flaws=flaws)
    folder = tmp_path_factory.mktemp("pack")
    write_pack(company, folder, compressed=False)
    assert read_pack(folder) == company  # the reader checks keys and references
    assert len(company.invoices) == size
    assert len(_unbalanced(company)) == (quota(shares.MISSING_POSTING, size) if flaws else 0)


def test_a_company_too_small_to_show_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="found 49, expected at least 50"):
        generate(1, 49)


def test_every_date_is_in_the_sixty_days_up_to_the_end() -> None:
    end = date(2025, 3, 31)
    company = generate(3, end=end)
    days = [each.invoice_date for each in company.invoices]
    days += [each.receipt_date for each in company.receipts]
    days += [each.order_date for each in company.purchase_orders if each.order_date]
    days += [each.post_date for each in company.gl_distributions if each.post_date]
    days += [each.payment_date for each in company.payments]
    assert end - timedelta(days=60) < min(days) <= max(days) <= end


def test_postings_follow_the_invoice_by_up_to_ten_days_and_reach_the_next_month(
    company: Company,
) -> None:
    dated = {each.document_no: each.invoice_date for each in company.invoices}
    posted = {each.document_no: each.post_date for each in company.gl_distributions}
    delays = {(day - dated[document]).days for document, day in posted.items() if day}
    assert delays == set(range(11))
    assert any(day and day.month != dated[document].month for document, day in posted.items())


def test_invoice_numbers_are_as_untidy_as_real_ones(company: Company) -> None:
    numbers = [each.invoice_no for each in company.invoices]
    total = len(numbers)
    owners = Counter((each.supplier_id, each.invoice_no) for each in company.invoices)
    assert sum(count - 1 for count in owners.values()) == quota(shares.REPEATED_NUMBER, total)
    assert numbers.count("") == quota(shares.BLANK_NUMBER, total)
    assert sum(len(each) > 20 for each in numbers) == quota(shares.OVERLONG_NUMBER, total)
    # A repeat takes its number from another, so these may be a few more or less.
    few = quota(shares.REPEATED_NUMBER, total)
    spaced = sum(" " in each for each in numbers)
    assert abs(spaced - quota(shares.SPACED_NUMBER, total)) <= few
    zeros = sum(each.startswith("0") for each in numbers)
    assert abs(zeros - quota(shares.LEADING_ZERO_NUMBER, total)) <= few


def test_suppliers_share_names_and_stand_in_cin7_in_two_spellings(company: Company) -> None:
    assert len(company.suppliers) == 40
    names = Counter(each.name for each in company.suppliers)
    assert max(names.values()) == 2
    assert any(len(each.name) > 50 for each in company.suppliers)
    assert {each.currency for each in company.suppliers} == {"GBP", "USD", "EUR"}
    known = [each for each in company.suppliers if each.cin7_name]
    assert len(known) == quota(shares.KNOWN_SUPPLIER, 40)
    assert {each.cin7_name == each.name.strip() for each in known} == {True, False}


def test_every_kind_of_order_and_line_appears(company: Company) -> None:
    orders = company.purchase_orders
    assert {each.type for each in company.po_lines} == {"1", "4", "5", "6", "7"}
    assert sum(each.order_date is None for each in orders) == quota(
        shares.UNDATED_ORDER, len(orders)
    )
    assert sum(each.status == "cancelled" for each in orders) >= 1
    billed = Counter(e.purchase_order for e in company.invoices if e.purchase_order)
    assert sum(count > 2 for count in billed.values()) >= 1, "no call-off order"
    quantities = received(company.receipts)
    partly = [
        each
        for each in company.po_lines
        if 0 < quantities.get((each.purchase_order, each.line), 0) < each.qty_ordered
    ]
    assert partly
    assert any(len(each.description) > 50 for each in company.po_lines)


def test_an_order_is_billed_its_receipts_and_once_its_charges(company: Company) -> None:
    wanted: defaultdict[str, Decimal] = defaultdict(Decimal)
    for receipt in company.receipts:
        if receipt.document_no != UNBILLED:
            wanted[receipt.purchase_order] += receipt.value
    for line in company.po_lines:
        if line.type in ("4", "5") and line.purchase_order in wanted:
            wanted[line.purchase_order] += line.unit_price
    billed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for invoice in company.invoices:
        if invoice.purchase_order:
            billed[invoice.purchase_order] += invoice.net
    assert billed == wanted


def test_paid_invoices_are_settled_by_a_payment_of_their_value(company: Company) -> None:
    settled = {e.document_no: -e.value for e in company.invoices if e.outstanding == 0}
    assert settled == {each.document_no: each.amount for each in company.payments}
    assert len(settled) == quota(shares.PAID_INVOICE, 300)


def test_credit_notes_name_an_invoice_of_their_supplier_or_none(company: Company) -> None:
    invoices = {each.document_no: each for each in company.invoices}
    notes = [each for each in company.invoices if each.net < 0]
    assert len(notes) == quota(shares.CREDIT_NOTE, 300)
    named = [invoices[each.credit_of] for each in notes if each.credit_of]
    assert 0 < len(named) < len(notes)
    for note in notes:
        if note.credit_of:
            credited = invoices[note.credit_of]
            assert credited.supplier_id == note.supplier_id
            assert credited.invoice_date < note.invoice_date
            assert credited.value + note.value >= 0


def test_flaws_can_be_switched_off() -> None:
    company = generate(1, flaws=False)
    assert all(each.mapped for each in company.gl_accounts)
    assert all(each.in_cin7 for each in company.stock_items)
    flawed = generate(1)
    unmapped = {each.account for each in flawed.gl_accounts if not each.mapped}
    assert sum(e.account in unmapped for e in flawed.gl_distributions) == quota(0.01, 300)
    assert sum(not each.in_cin7 for each in flawed.stock_items) == quota(0.03, 60)


def test_the_documentation_states_every_share() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| ([\d., ]+) \|", text, re.MULTILINE))
    constants = {name: value for name, value in vars(shares).items() if name.isupper()}
    assert rows.keys() == constants.keys()
    for name, value in constants.items():
        stated = [float(each) for each in rows[name].split(", ")]
        assert stated == (list(value.values()) if isinstance(value, dict) else [value]), name
