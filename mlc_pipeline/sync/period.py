"""The tie-out of a period: SYSPRO's postings, our documents, Cin7's documents, Cin7's ledger.

From SYSPRO's figure to Cin7's every step has a cause and a document, per account, cost
centre and supplier. What is left over is a cause of its own, so that the two figures and
the steps between them always add up.

What must not come in: SQL, HTTP, Dagster.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from mlc_pipeline.sync.booked import (
    Amounts,
    Booked,
    Bucket,
    add,
    by_account,
    minus,
    plus,
    posted_amounts,
    posted_bucket,
)
from mlc_pipeline.sync.causes import MEANINGS, Cause
from mlc_pipeline.sync.explain import changes, find_in
from mlc_pipeline.sync.invoices import invoice_key
from mlc_pipeline.sync.journals import is_distribution
from mlc_pipeline.sync.money import CENT, ZERO
from mlc_pipeline.sync.plan import PlanContext
from mlc_pipeline.sync.rates import rounding_of
from mlc_pipeline.sync.rows import PostingRow
from mlc_pipeline.sync.vocabulary import Kind, Outcome

_UNKNOWN_ANSWERS = frozenset({"answer_lost", "cin7_unavailable", "being_written"})
_PAYMENTS = frozenset({"MoneySpend", "MoneyReceive", "BankTransfer"})


@dataclass(frozen=True)
class Period:
    """Some days, both included, under the name they are closed by."""

    name: str
    first: date
    last: date

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read a month (2026-10), a year (2026), or two days (2026-10-01..2026-10-15).

        Raises:
            ValueError: it is none of these.
        """
        month = re.fullmatch(r"(\d{4})-(\d{2})", text)
        if month and 1 <= int(month[2]) <= 12:
            year, number = int(month[1]), int(month[2])
            last = calendar.monthrange(year, number)[1]
            return cls(text, date(year, number, 1), date(year, number, last))
        if re.fullmatch(r"\d{4}", text):
            return cls(text, date(int(text), 1, 1), date(int(text), 12, 31))
        try:
            first, last_day = (date.fromisoformat(part) for part in text.split(".."))
        except ValueError:
            raise ValueError(
                f"period: found {text!r}, expected a month (2026-10), a year (2026) or two "
                "days (2026-10-01..2026-10-15)"
            ) from None
        if first > last_day:
            raise ValueError(f"period: found {text!r}, expected the earlier day first")
        return cls(text, first, last_day)

    def covers(self, day: date | None) -> bool:
        """Tell whether a day is in the period."""
        return day is not None and self.first <= day <= self.last


@dataclass(frozen=True)
class Judged:
    """What became of a document, or of a posting without one, in the last run over it."""

    outcome: Outcome
    reason_code: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Ours:
    """A document of ours that was written to Cin7.

    Attributes:
        key: source key.
        kind: invoice or credit note.
        supplier: SYSPRO's code.
        sent: what was written.
        cin7_id: its purchase.
        task_id: the invoice's or credit note's own id.
        cin7_number: the purchase's number.
        supplier_id: the supplier in Cin7.
        is_draft: it was left as a draft.
        is_sure: the version in Cin7 is known to be the one sent.
        postings: its distribution in SYSPRO, of all days.
        dated: the date it has in SYSPRO, whose mapping it was sent by; None when it is the
            one that was sent.
    """

    key: str
    kind: Kind
    supplier: str
    sent: Booked
    cin7_id: str
    task_id: str | None
    cin7_number: str | None = None
    supplier_id: str | None = None
    is_draft: bool = False
    is_sure: bool = True
    postings: Sequence[PostingRow] = ()
    dated: date | None = None

    @property
    def own_date(self) -> date:
        """The date it has in SYSPRO."""
        return self.dated or self.sent.dated


@dataclass
class Facts:
    """Everything of ours that the tie-out of a period looks at.

    Attributes:
        period: the days.
        context: mappings, references, policies.
        postings: SYSPRO's postings dated in the period.
        documents: what is in Cin7 by source key: sent into the period, posted in it, on a
            purchase with such a document, or named by the ledger of the period.
        judged: the last outcome by source key, of documents and of stray postings.
        payables: Cin7's accounts payable accounts.
        banks: Cin7's bank accounts.
        booked_on: the accounts that SYSPRO's codes are mapped to.
        suppliers: SYSPRO code by Cin7 supplier id.
    """

    period: Period
    context: PlanContext
    postings: Sequence[PostingRow] = ()
    documents: dict[str, Ours] = field(default_factory=dict)
    judged: Mapping[str, Judged] = field(default_factory=dict)
    payables: frozenset[str] = frozenset()
    banks: frozenset[str] = frozenset()
    booked_on: frozenset[str] = frozenset()
    suppliers: Mapping[str, str] = field(default_factory=dict)

    def tax_account(self, rule: str) -> str:
        """Return the account of a tax rule; an unknown rule stands for itself."""
        found = self.context.references.tax_rules.get(rule)
        return found.account if found else f"tax rule {rule}"


@dataclass(frozen=True)
class Entry:
    """A row of Cin7's ledger."""

    task: str
    debit: str
    credit: str
    amount: Decimal
    day: date
    reference: str
    text: str
    type: str

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Entry:
        """Read a row of `/transactions`."""
        return cls(
            str(row.get("TaskID") or ""),
            str(row.get("DebitAccountCode") or ""),
            str(row.get("CreditAccountCode") or ""),
            Decimal(row.get("Amount") or 0),
            date.fromisoformat(str(row["EffectiveDate"])[:10]),
            str(row.get("Reference") or ""),
            str(row.get("Transaction") or ""),
            str(row.get("Type") or ""),
        )

    def sides(self) -> Iterator[tuple[str, Decimal]]:
        """Yield both accounts with their signed amounts, debits positive."""
        yield self.debit, self.amount
        yield self.credit, -self.amount


@dataclass(frozen=True)
class Difference:
    """A step from SYSPRO's figure to Cin7's.

    `amount` is local currency: negative when SYSPRO has it and Cin7 has not.
    """

    cause: Cause
    document: str
    bucket: Bucket
    amount: Decimal
    detail: str = ""
    day: date | None = None
    cin7_id: str | None = None
    cin7_number: str | None = None

    @property
    def blocks(self) -> bool:
        """Whether a period with it is not ready to close."""
        return MEANINGS[self.cause].blocks


@dataclass
class Cin7Books:
    """What was read from Cin7 for a period.

    Attributes:
        entries: the ledger of the period.
        listed: the purchase list's rows by purchase id.
        purchases: whole purchases by id, as far as they were read; None: it is not there.
        copies: whole purchases by the task of a ledger entry that is not ours.
    """

    entries: Sequence[Entry] = ()
    listed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    purchases: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    copies: dict[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass
class PeriodTieOut:
    """The tie-out of a period, local currency.

    For each bucket: `syspro` plus the amounts of `differences` is `cin7`, and per account
    `cin7` must be `ledger`.

    Attributes:
        syspro: what SYSPRO posted in the period.
        cin7: what Cin7 has booked in the period.
        ledger: the same per account, read from Cin7's ledger alone.
        differences: the steps between the two, each with its cause and document.
        days: per day SYSPRO's postings by cause ("posted" when in Cin7), and "cin7".
        others: entries of Cin7's ledger that are no purchases: type to [rows, amount].
        documents: how many documents of ours are dated in the period in Cin7.
    """

    period: Period
    syspro: Amounts = field(default_factory=dict)
    cin7: Amounts = field(default_factory=dict)
    ledger: dict[str, Decimal] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    days: dict[date, dict[str, Decimal]] = field(default_factory=dict)
    others: dict[str, list[Any]] = field(default_factory=dict)
    documents: int = 0

    def by_cause(self) -> dict[Cause, Decimal]:
        """Return the money of each cause, in the order of the causes."""
        totals: dict[Cause, Decimal] = {}
        for cause in Cause:
            amounts = [d.amount for d in self.differences if d.cause is cause]
            if amounts:
                totals[cause] = sum(amounts, ZERO)
        return totals

    def unexplained(self) -> dict[str, Decimal]:
        """Return, per account, what the steps leave between SYSPRO and Cin7's ledger.

        `cin7` is SYSPRO with every step; the ledger is read for itself. Nothing may be
        left.
        """
        stepped = by_account(self.cin7)
        left = {
            account: self.ledger.get(account, ZERO) - stepped.get(account, ZERO)
            for account in sorted({*stepped, *self.ledger})
        }
        return {account: amount for account, amount in left.items() if amount}

    def blocking(self) -> list[Difference]:
        """Return the differences with which the period cannot be closed."""
        return [d for d in self.differences if d.blocks]

    def in_day(self, day: date | None, what: str, amount: Decimal) -> None:
        """Add an amount to a day's figures."""
        if day is not None:
            figures = self.days.setdefault(day, {})
            figures[what] = figures.get(what, ZERO) + amount


# --- which purchases must be read ---------------------------------------------------------


def suspects(
    facts: Facts,
    books: Cin7Books,
    touched: Callable[[str, str], bool] | None = None,
    *,
    full: bool = False,
) -> dict[str, str]:
    """Return the purchases that must be read whole, each with why.

    Only those whose row of the list, or whose entries of the ledger, say something else
    than was sent, or that were touched since.

    Args:
        facts: what is ours.
        books: ledger and list.
        touched: tells of a purchase id and its `LastUpdatedDate` whether it was touched
            after our last write, as far as is known; without it the list was not read and
            the ledger alone decides.
        full: read every purchase of the period.
    """
    on_purchase: dict[str, list[Ours]] = {}
    for document in facts.documents.values():
        on_purchase.setdefault(document.cin7_id, []).append(document)
    wrong = _wrong_tasks(facts, books.entries)
    found: dict[str, str] = {}
    for cin7_id, documents in on_purchase.items():
        if any(d.task_id in wrong for d in documents):
            found[cin7_id] = "Cin7's ledger differs"
        if touched is None or not any(facts.period.covers(d.sent.dated) for d in documents):
            continue
        why = _suspicion(documents, books.listed.get(cin7_id), touched)
        if full or why:
            found.setdefault(cin7_id, why or "all are read")
    return found


def _is_of(period: Period, document: Ours) -> bool:
    posted = any(period.covers(p.partition) for p in document.postings)
    return period.covers(document.sent.dated) or posted


def _suspicion(
    documents: Sequence[Ours],
    row: Mapping[str, Any] | None,
    touched: Callable[[str, str], bool],
) -> str:
    """Return what speaks against a purchase's being as it was written; '' for nothing."""
    if row is None:
        return "it is not in the purchase list"
    if str(row.get("Status") or "").upper() == "VOIDED":
        return "it is void"
    invoices = [d for d in documents if d.kind is Kind.INVOICE]
    amount = sum((d.sent.total for d in invoices if not d.is_draft), ZERO)
    if any(not d.is_sure for d in documents):
        return "the version in Cin7 is not known"
    if Decimal(row.get("InvoiceAmount") or 0) != amount:
        return f"the list says {row.get('InvoiceAmount')}, {amount} was sent"
    named = (str(row.get("InvoiceNumber") or ""), str(row.get("InvoiceDate") or "")[:10])
    if invoices and named not in {(d.sent.number, str(d.sent.dated)) for d in invoices}:
        return f"the list says invoice {named[0]} of {named[1]}"
    supplier = documents[0].supplier_id
    if supplier and str(row.get("SupplierID") or "").lower() != supplier.lower():
        return "the supplier differs"
    if touched(documents[0].cin7_id, str(row.get("LastUpdatedDate") or "")):
        return "it was touched after it was written"
    return ""


def _wrong_tasks(facts: Facts, entries: Iterable[Entry]) -> set[str]:
    """Return the tasks of ours whose entries are not what their documents should book."""
    expected: dict[str, dict[str, Decimal]] = {}
    for document in facts.documents.values():
        if document.task_id is None:
            continue
        booked = expected.setdefault(document.task_id, {})
        if facts.period.covers(document.sent.dated) and not document.is_draft:
            amounts = document.sent.amounts(document.supplier, facts.tax_account)
            for account, amount in by_account(amounts).items():
                booked[account] = booked.get(account, ZERO) + amount
    found: dict[str, dict[str, Decimal]] = {task: {} for task in expected}
    for entry in entries:
        if entry.task in found:
            for account, amount in _distribution(facts, entry):
                sums = found[entry.task]
                sums[account] = sums.get(account, ZERO) + amount
    return {
        task
        for task, booked in expected.items()
        if {k: v for k, v in booked.items() if v} != {k: v for k, v in found[task].items() if v}
    }


def _distribution(facts: Facts, entry: Entry) -> Iterator[tuple[str, Decimal]]:
    """Yield what an entry books beside accounts payable; payments book nothing of ours."""
    if entry.type in _PAYMENTS or facts.banks & {entry.debit, entry.credit}:
        return
    for account, amount in entry.sides():
        if account not in facts.payables:
            yield account, amount


def strangers(facts: Facts, entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return the purchases in Cin7's ledger that are not ours, by task."""
    ours = {d.task_id for d in facts.documents.values()}
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.task not in ours and entry.type == "Purchase":
            found.setdefault(entry.task, []).append(entry)
    return found


# --- the comparison -----------------------------------------------------------------------


def tie_out_period(facts: Facts, books: Cin7Books) -> PeriodTieOut:
    """Compare a period and explain every difference."""
    result = PeriodTieOut(facts.period)
    _add_postings(result, facts)
    expected: dict[str, Amounts] = {}
    owners: dict[str, Ours] = {}
    for _, document in sorted(facts.documents.items()):
        booked = _add_document(result, facts, document, books)
        task = document.task_id or document.key
        expected[task] = plus(expected.get(task, {}), booked)
        owners.setdefault(task, document)
    _add_ledger(result, facts, books, expected, owners)
    _add_strangers(result, facts, books)
    for entry in books.entries:
        if entry.type == "Journal":
            _add_journal(result, facts, entry)
        elif entry.type != "Purchase":
            count = result.others.setdefault(entry.type or "none", [0, ZERO])
            count[0], count[1] = count[0] + 1, count[1] + entry.amount
    result.cin7 = plus(result.syspro, *({d.bucket: d.amount} for d in result.differences))
    return result


def _add_postings(result: PeriodTieOut, facts: Facts) -> None:
    """Add SYSPRO's postings; those that are not in Cin7 each with what became of them."""
    for posting in facts.postings:
        key = invoice_key(posting.supplier, posting.invoice)
        is_document = is_distribution(posting)
        document = facts.documents.get(key) if is_document else None
        then = facts.context.as_of(document.own_date if document else posting.partition)
        bucket = posted_bucket(posting, then)
        if bucket is None or not posting.amount:
            continue
        add(result.syspro, bucket, posting.amount)
        if document is not None:
            result.in_day(posting.partition, "posted", posting.amount)
            continue
        own_key = key if is_document else posting.key
        judged = facts.judged.get(own_key)
        cause = _cause_of(judged)
        result.in_day(posting.partition, str(cause), posting.amount)
        result.differences.append(
            Difference(
                cause,
                key if is_document else f"posting {posting.key}",
                bucket,
                -posting.amount,
                _why(judged),
                posting.partition,
            )
        )


def _cause_of(judged: Judged | None) -> Cause:
    """Return why a posting is not in Cin7."""
    if judged is None:
        return Cause.UNACCOUNTED
    if judged.reason_code in _UNKNOWN_ANSWERS:
        return Cause.UNCERTAIN
    causes = {
        Outcome.HELD: Cause.HELD,
        Outcome.WAITING: Cause.WAITING,
        Outcome.EXCLUDED: Cause.EXCLUDED,
        Outcome.FAILED: Cause.FAILED,
    }
    # Said to be written, and not finished in the ledger.
    return causes.get(judged.outcome, Cause.UNCERTAIN)


def _why(judged: Judged | None) -> str:
    if judged is None:
        return "no run has looked at it"
    return ": ".join(part for part in (judged.reason_code, judged.reason) if part)


@dataclass
class _Steps:
    """The steps of one document, on their way into the result."""

    result: PeriodTieOut
    document: Ours

    def step(self, cause: Cause, amounts: Mapping[Bucket, Decimal], detail: str = "") -> None:
        """Add a step; one without money is kept once, for what it says."""
        document = self.document
        moved = {b: a for b, a in amounts.items() if a}
        nowhere = {Bucket("", "", document.supplier): ZERO}
        for bucket, amount in (moved or nowhere).items():
            self.result.differences.append(
                Difference(
                    cause,
                    document.key,
                    bucket,
                    amount,
                    detail,
                    document.sent.dated,
                    document.cin7_id,
                    document.cin7_number,
                )
            )


def _add_document(
    result: PeriodTieOut, facts: Facts, document: Ours, books: Cin7Books
) -> Amounts:
    """Add the steps of a document; return what Cin7 should have booked of it in the period."""
    period, sent = facts.period, document.sent
    steps = _Steps(result, document)
    here = [p for p in document.postings if period.covers(p.partition)]
    posted = posted_amounts(here, facts.context.as_of(document.own_date))
    if document.is_draft:
        if posted:
            steps.step(Cause.DRAFT, minus(posted), "a draft books nothing")
        return {}
    ours = sent.amounts(document.supplier, facts.tax_account)
    if period.covers(sent.dated):
        result.documents += 1
        _add_change_in_syspro(steps, facts, ours)
        _add_other_days(steps, facts)
    elif posted:
        is_earlier = sent.dated < period.first
        cause = Cause.POSTED_LATER if is_earlier else Cause.DATED_DIFFERENTLY
        steps.step(cause, minus(posted), f"in Cin7 it is dated {sent.dated}")
    if not document.is_sure and _is_of(period, document):
        steps.step(Cause.UNCERTAIN, {}, "an answer was lost; run its day again")
    if document.cin7_id not in books.purchases:
        return ours if period.covers(sent.dated) else {}
    purchase = books.purchases[document.cin7_id]
    return _add_read_back(steps, facts, ours, purchase)


def _add_change_in_syspro(steps: _Steps, facts: Facts, ours: Amounts) -> None:
    """Add what SYSPRO's postings, of whatever day, say otherwise than was sent."""
    document = steps.document
    then = facts.context.as_of(document.own_date)
    moved = plus(ours, minus(posted_amounts(document.postings, then)))
    judged = facts.judged.get(document.key)
    is_gone = judged is not None and judged.reason_code == "vanished_in_syspro"
    if is_gone:  # even if its postings are still there
        steps.step(Cause.VANISHED_IN_SYSPRO, moved, _why(judged))
        return
    if not moved:
        return
    cents = CENT * (2 * len(document.sent.lines) + len(document.postings))
    percent = facts.context.connection.match.rate_percent
    is_foreign = document.sent.rate != 1
    if is_foreign and all(
        abs(amount) <= max(cents, rounding_of(ours.get(bucket, ZERO), percent))
        for bucket, amount in moved.items()
    ):
        steps.step(Cause.ROUNDING, moved, f"converted at {document.sent.rate:f}")
        return
    detail = _why(judged) if judged and judged.reason_code else "the postings differ"
    steps.step(Cause.CHANGED_IN_SYSPRO, moved, detail)


def _add_other_days(steps: _Steps, facts: Facts) -> None:
    """Add the postings of a document of this period that SYSPRO has in another one."""
    period, then = facts.period, facts.context.as_of(steps.document.own_date)
    for posting in steps.document.postings:
        bucket = posted_bucket(posting, then)
        if period.covers(posting.partition) or bucket is None or not posting.amount:
            continue
        is_later = posting.partition is None or posting.partition > period.last
        cause = Cause.POSTED_LATER if is_later else Cause.DATED_DIFFERENTLY
        detail = f"posted in SYSPRO on {posting.partition or 'no day'}"
        steps.step(cause, {bucket: posting.amount}, detail)


def _add_read_back(
    steps: _Steps, facts: Facts, ours: Amounts, purchase: Mapping[str, Any] | None
) -> Amounts:
    """Add what Cin7 holds otherwise than was sent; return what it should have booked."""
    document, period = steps.document, facts.period
    sent, was_here = document.sent, facts.period.covers(document.sent.dated)
    found = find_in(purchase, document.kind, document.task_id)
    if found.booked is None:
        if was_here and found.gone is not None:
            steps.step(found.gone, minus(ours), found.detail)
        return {}
    if was_here:
        for change in changes(sent, found.booked, document.supplier, facts.tax_account):
            steps.step(change.cause, change.moved, change.detail)
    holder = _supplier_of(facts, document, purchase)
    now = found.booked.amounts(document.supplier, facts.tax_account)
    is_here = period.covers(found.booked.dated)
    if found.booked.dated != sent.dated:
        moved: Amounts = {}
        if was_here != is_here:
            moved = now if is_here else minus(now)
        if was_here or is_here:
            steps.step(Cause.DATE, moved, f"date {sent.dated} -> {found.booked.dated}")
    if not is_here:
        return {}
    if holder != document.supplier:
        moved_to = found.booked.amounts(holder, facts.tax_account)
        detail = f"supplier {document.supplier} -> {holder}"
        steps.step(Cause.SUPPLIER, plus(minus(now), moved_to), detail)
        return moved_to
    return now


def _supplier_of(facts: Facts, document: Ours, purchase: Mapping[str, Any] | None) -> str:
    """Return the supplier of a purchase: SYSPRO's code, else what Cin7 calls it."""
    found = str((purchase or {}).get("SupplierID") or "")
    if document.supplier_id is None or found.lower() == document.supplier_id.lower():
        return document.supplier
    name = str((purchase or {}).get("Supplier") or found)
    return facts.suppliers.get(found, f"Cin7 {name}")


def _add_ledger(
    result: PeriodTieOut,
    facts: Facts,
    books: Cin7Books,
    expected: Mapping[str, Amounts],
    owners: Mapping[str, Ours],
) -> None:
    """Add what Cin7's ledger says otherwise than its documents."""
    found: dict[str, dict[str, Decimal]] = {}
    rows: dict[str, int] = {}
    for entry in books.entries:
        if entry.task in owners:
            rows[entry.task] = rows.get(entry.task, 0) + 1
            for account, amount in _distribution(facts, entry):
                _note_ledger(result, entry.day, account, amount)
                sums = found.setdefault(entry.task, {})
                sums[account] = sums.get(account, ZERO) + amount
    for task, document in owners.items():
        booked, held = by_account(expected[task]), found.get(task, {})
        for account in sorted({*booked, *held}):
            left = held.get(account, ZERO) - booked.get(account, ZERO)
            if not left:
                continue
            small = abs(left) <= CENT * max(rows.get(task, 0), 1)
            is_rounding = small and document.sent.rate != 1
            _Steps(result, document).step(
                Cause.ROUNDING if is_rounding else Cause.LEDGER,
                {Bucket(account, "", document.supplier): left},
                f"account {account}: document {booked.get(account, ZERO):.2f}, ledger "
                f"{held.get(account, ZERO):.2f}",
            )


def _note_ledger(result: PeriodTieOut, day: date, account: str, amount: Decimal) -> None:
    result.ledger[account] = result.ledger.get(account, ZERO) + amount
    result.in_day(day, "cin7", amount)


def _add_strangers(result: PeriodTieOut, facts: Facts, books: Cin7Books) -> None:
    """Add the purchases of Cin7's ledger that are not ours: copies, or entered by hand."""
    blocks = _blocks_by_task(books)
    for task, entries in sorted(strangers(facts, books.entries).items()):
        purchase, block, kind = blocks.get(task, ({}, None, Kind.INVOICE))
        twin = _twin(facts, entries[0], purchase, block)
        cause = Cause.DUPLICATED if twin else Cause.ENTERED_IN_CIN7
        holder = facts.suppliers.get(str(purchase.get("SupplierID") or ""), "")
        supplier = twin.supplier if twin else holder or f"Cin7 {entries[0].text}"
        amounts: Amounts = {}
        for entry in entries:
            for account, amount in _distribution(facts, entry):
                _note_ledger(result, entry.day, account, amount)
                add(amounts, Bucket(account, "", supplier), amount)
        number = purchase.get("OrderNumber")
        place = f" on {number}" if number else ""
        for bucket, amount in _with_centres(facts, amounts, purchase, block, kind).items():
            result.differences.append(
                Difference(
                    cause,
                    twin.key if twin else entries[0].reference or entries[0].text or task,
                    bucket,
                    amount,
                    f"{entries[0].text or entries[0].reference}{place}",
                    entries[0].day,
                    str(purchase["ID"]) if purchase.get("ID") else None,
                    str(number) if number else None,
                )
            )


def _blocks_by_task(
    books: Cin7Books,
) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any] | None, Kind]]:
    """Return the invoices and credit notes of every purchase that was read, by task."""
    read = [p for p in (*books.purchases.values(), *books.copies.values()) if p is not None]
    found: dict[str, tuple[Mapping[str, Any], Mapping[str, Any] | None, Kind]] = {}
    for purchase in read:
        for name, kind in (("Invoice", Kind.INVOICE), ("CreditNote", Kind.CREDIT_NOTE)):
            for block in purchase.get(name) or ():
                found.setdefault(str(block.get("TaskID") or ""), (purchase, block, kind))
    return found


def _twin(
    facts: Facts,
    entry: Entry,
    purchase: Mapping[str, Any],
    block: Mapping[str, Any] | None,
) -> Ours | None:
    """Return the document of ours that a stranger repeats: same number and supplier."""
    number = entry.reference.rpartition("/")[2].casefold()
    if block is not None:
        own = block.get("InvoiceNumber") or block.get("CreditNoteNumber") or number
        number = str(own).casefold()
    supplier = facts.suppliers.get(str(purchase.get("SupplierID") or ""))
    for document in facts.documents.values():
        if document.sent.number.casefold() != number:
            continue
        if purchase.get("ID") == document.cin7_id or supplier == document.supplier:
            return document
    return None


def _with_centres(
    facts: Facts,
    amounts: Amounts,
    purchase: Mapping[str, Any],
    block: Mapping[str, Any] | None,
    kind: Kind,
) -> Amounts:
    """Return amounts by cost centre where the document says them, else as they are."""
    if block is None or not amounts:
        return amounts
    supplier = next(iter(amounts)).supplier
    found = find_in({**purchase, "ID": ""}, kind, str(block.get("TaskID")))
    if found.booked is None:
        return amounts
    detailed = found.booked.amounts(supplier, facts.tax_account)
    return detailed if by_account(detailed) == by_account(amounts) else amounts


def _add_journal(result: PeriodTieOut, facts: Facts, entry: Entry) -> None:
    """Add a journal entered in Cin7 that touches an account of ours, with both its sides."""
    if not {entry.debit, entry.credit} & (facts.booked_on | facts.payables):
        return
    for account, amount in entry.sides():
        _note_ledger(result, entry.day, account, amount)
        result.differences.append(
            Difference(
                Cause.JOURNAL,
                f"journal {entry.reference or entry.task}",
                Bucket(account, "", ""),
                amount,
                entry.text,
                entry.day,
            )
        )
