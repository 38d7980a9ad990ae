"""The generated company: a purchase ledger of 60 days, the same for the same seed.

Its untidiness is that of real ledgers, in the shares of `shares`; its flaws are what the
product must hold or let wait.

What must not come in: files, SYSPRO's or Cin7's shapes, the clock.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random

from mlc_pipeline.sandbox.company import shares
from mlc_pipeline.sandbox.company.made_books import (
    RATES,
    STANDARD,
    TAX_CODE,
    UNMAPPED,
    Books,
    make_books,
)
from mlc_pipeline.sandbox.company.made_orders import DAYS, Draft, Orders, make_orders
from mlc_pipeline.sandbox.company.model import (
    ZERO,
    Company,
    Distribution,
    Invoice,
    Payment,
    Receipt,
)
from mlc_pipeline.sandbox.company.rules import (
    CENT,
    UNBILLED,
    posted_after_days,
    terms_code,
    terms_days,
)
from mlc_pipeline.sandbox.company.shares import quota

DEFAULT_END = date(2026, 10, 31)
SMALLEST = 50
FIRST_DOCUMENT = 500_001


def generate(
    seed: int, size: int = 300, *, end: date = DEFAULT_END, flaws: bool = True
) -> Company:
    """Make a company of `size` invoices and credit notes dated in the 60 days up to `end`.

    Local currency is GBP. With `flaws` a few invoices lack a posting, one account is not
    mapped, and a few stock items are missing in Cin7.

    Raises:
        ValueError: a size below 50, too small to show each kind of document.
    """
    if size < SMALLEST:
        raise ValueError(f"size: found {size}, expected at least {SMALLEST} invoices")
    rng = Random(seed)
    books = make_books(rng, size, flaws=flaws)
    orders = make_orders(rng, books, size, end)
    drafts = _all_drafts(rng, books, orders, size, end)
    if flaws:
        _use_unmapped_account(rng, drafts, size)
    numbered = {id(draft): str(FIRST_DOCUMENT + n) for n, draft in enumerate(drafts)}
    numbers = _invoice_numbers(rng, drafts)
    invoices = [
        _invoice(draft, numbered, number) for draft, number in zip(drafts, numbers, strict=True)
    ]
    postings = [_postings(draft, numbered[id(draft)], end) for draft in drafts]
    if flaws:
        _lose_postings(rng, postings, size)
    invoices, payments = _pay(books, invoices, end)
    return Company(
        name=f"generated-{seed}",
        local_currency="GBP",
        suppliers=books.suppliers,
        gl_accounts=books.gl_accounts,
        cost_centres=books.cost_centres,
        invoices=tuple(invoices),
        gl_distributions=tuple(posting for each in postings for posting in each),
        stock_items=books.stock_items,
        purchase_orders=tuple(orders.purchase_orders),
        po_lines=tuple(orders.po_lines),
        receipts=tuple(_billed(orders, numbered)),
        payments=tuple(payments),
    )


def _all_drafts(rng: Random, books: Books, orders: Orders, size: int, end: date) -> list[Draft]:
    """Documents of orders, spend without an order, and credit notes, by date."""
    notes_wanted = quota(shares.CREDIT_NOTE, size)
    spend = _spend(rng, books, size - len(orders.drafts) - notes_wanted, end)
    invoices = sorted([*orders.drafts, *spend], key=lambda draft: draft.dated)
    credited = rng.sample([each for each in invoices if each.dated < end], notes_wanted)
    notes = [
        _credit_note(rng, draft, end, named=n % 2 == 0) for n, draft in enumerate(credited)
    ]
    return sorted([*invoices, *notes], key=lambda draft: draft.dated)


def _spend(rng: Random, books: Books, count: int, end: date) -> list[Draft]:
    postings = [
        number
        for number, share in shares.POSTINGS_PER_INVOICE.items()
        if number > 1
        for _ in range(quota(share, count))
    ]
    postings += [1] * (count - len(postings))
    rng.shuffle(postings)
    return [_spend_draft(rng, books, number, end) for number in postings]


def _spend_draft(rng: Random, books: Books, postings: int, end: date) -> Draft:
    amounts: dict[str, Decimal] = {}
    while len(amounts) < postings:
        code = ".".join(books.ledger_code(rng))
        amounts[code] = Decimal(rng.randrange(100, 10_000) * 10 ** rng.randrange(3)) / 100
    dated = end - timedelta(days=rng.randrange(DAYS))
    return Draft(books.supplier(rng), dated, amounts)


def _credit_note(rng: Random, invoice: Draft, end: date, *, named: bool) -> Draft:
    """A part of an invoice's first amount, or sometimes all of it, taken back later."""
    code, amount = next(iter(invoice.amounts.items()))
    part = Decimal(rng.choice((10, 25, 50, 100))) / 100
    value = max(CENT, (amount * part).quantize(CENT, ROUND_HALF_UP))
    days = rng.randrange(1, 1 + (end - invoice.dated).days)
    return Draft(
        invoice.supplier,
        invoice.dated + timedelta(days=days),
        {code: -value},
        credited=invoice if named else None,
    )


def _tax(draft: Draft) -> Decimal:
    if draft.supplier.tax_code != STANDARD:
        return ZERO
    return (sum(draft.amounts.values(), ZERO) / 5).quantize(CENT, ROUND_HALF_UP)


def _use_unmapped_account(rng: Random, drafts: list[Draft], size: int) -> None:
    spend = [e for e in drafts if not e.purchase_order and sum(e.amounts.values()) > 0]
    for draft in rng.sample(spend, quota(shares.UNMAPPED_ACCOUNT, size)):
        code, amount = draft.amounts.popitem()
        draft.amounts[f"{code.partition('.')[0]}.{UNMAPPED}"] = amount


def _invoice_numbers(rng: Random, drafts: list[Draft]) -> list[str]:
    """Numbers as suppliers write them; then a few that are too long, blank or repeated."""
    total = len(drafts)
    serials = rng.sample(range(10_000, 10_000 + 20 * total), total)
    numbers = [rng.choice(("{}", "INV-{}", "{}/26", "SI{}")).format(each) for each in serials]
    # A credit note's reference names what it credits: it must not be needed for its number.
    places = [n for n, draft in enumerate(drafts) if draft.credited is None]
    rng.shuffle(places)
    for share, form in (
        (shares.SPACED_NUMBER, "INVOICE {}"),
        (shares.LEADING_ZERO_NUMBER, "000{}"),
        (shares.OVERLONG_NUMBER, "INVOICE-2026-000000{}"),
        (shares.BLANK_NUMBER, ""),
    ):
        for _ in range(quota(share, total)):
            place = places.pop()
            numbers[place] = form.format(serials[place])
    _repeat_numbers(rng, drafts, numbers, places)
    return numbers


def _repeat_numbers(
    rng: Random, drafts: list[Draft], numbers: list[str], places: list[int]
) -> None:
    """Give some documents the number of an earlier one of the same supplier."""
    wanted = quota(shares.REPEATED_NUMBER, len(drafts))
    earlier: dict[str, int] = {}
    repeatable = []
    for place in sorted(places):
        supplier = drafts[place].supplier.supplier_id
        if supplier in earlier:
            repeatable.append((place, earlier[supplier]))
        else:
            earlier[supplier] = place
    for place, first in rng.sample(repeatable, wanted):
        numbers[place] = numbers[first]


def _invoice(draft: Draft, numbered: dict[int, str], number: str) -> Invoice:
    net, tax = sum(draft.amounts.values(), ZERO), _tax(draft)
    rate, mul_div = RATES.get(draft.supplier.currency, (None, ""))
    return Invoice(
        document_no=numbered[id(draft)],
        supplier_id=draft.supplier.supplier_id,
        invoice_no=number,
        invoice_date=draft.dated,
        net=net,
        tax=tax,
        type="C" if net < 0 else "I",
        credit_of=numbered[id(draft.credited)] if draft.credited else "",
        purchase_order=draft.purchase_order,
        due=draft.dated + timedelta(days=terms_days(terms_code(draft.supplier))),
        currency=draft.supplier.currency,
        exchange_rate=rate,
        mul_div="D" if mul_div == "D" else "M",
        tax_code=draft.supplier.tax_code,
    )


def _postings(draft: Draft, document_no: str, end: date) -> list[Distribution]:
    """One posting a ledger code and one for the tax, all on the day it was posted."""
    days = min(posted_after_days(document_no), (end - draft.dated).days)
    amounts = dict(draft.amounts)
    if tax := _tax(draft):
        amounts[TAX_CODE] = tax
    made = []
    for line, (code, amount) in enumerate(amounts.items(), start=1):
        centre, _, account = code.partition(".")
        made.append(
            Distribution(
                document_no=document_no,
                line=line,
                account=account,
                cost_centre=centre,
                gl_code=code,
                amount=amount,
                gl_date=draft.dated,
                post_date=draft.dated + timedelta(days=days),
                reference=draft.purchase_order,
            )
        )
    return made


def _lose_postings(rng: Random, postings: list[list[Distribution]], size: int) -> None:
    """Take the last posting of a few invoices; of the first of them, all."""
    several = [n for n, each in enumerate(postings) if len(each) > 1]
    chosen = rng.sample(several, quota(shares.MISSING_POSTING, size))
    for n, place in enumerate(chosen):
        del postings[place][0 if n == 0 else -1 :]


def _billed(orders: Orders, numbered: dict[int, str]) -> list[Receipt]:
    bills = {n: numbered[id(draft)] for draft in orders.drafts for n in draft.receipts}
    return [
        replace(receipt, document_no=bills.get(n, UNBILLED))
        for n, receipt in enumerate(orders.receipts)
    ]


def _pay(
    books: Books, invoices: list[Invoice], end: date
) -> tuple[list[Invoice], list[Payment]]:
    """Pay the earliest invoices that are due."""
    due = [each for each in invoices if each.due and each.due <= end and each.value > 0]
    paid = due[: quota(shares.PAID_INVOICE, len(invoices))]
    payments = [
        Payment(
            payment_no=str(900_001 + n),
            supplier_id=each.supplier_id,
            payment_date=each.due or end,
            amount=-each.value,
            document_no=each.document_no,
        )
        for n, each in enumerate(paid)
    ]
    settled = {each.document_no for each in paid}
    return [
        replace(each, outstanding=ZERO) if each.document_no in settled else each
        for each in invoices
    ], payments
