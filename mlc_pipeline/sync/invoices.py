"""AP invoices, credits and stray postings: the wanted document with its accounts.

The GL distribution of an invoice becomes the accounts of its lines and charges; whatever
the lines say, charges make each account and cost centre come out at its postings, to the
cent. Nothing is planned as a write whose postings, accounts or supplier are in doubt.

What must not come in: SQL, HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from mlc_pipeline.connection.mappings import MappedAccount
from mlc_pipeline.sync.booked import header_rate
from mlc_pipeline.sync.content import Charge, CreditContent, InvoiceContent, ProductLine
from mlc_pipeline.sync.journals import JOURNAL_TYPES, is_distribution, stray_reason
from mlc_pipeline.sync.lines import ProductQuantity, charge, product_line
from mlc_pipeline.sync.matching import ReceiptIndex, check_match
from mlc_pipeline.sync.money import CENT, ZERO, allocate, cin7_rate, in_foreign, to_base
from mlc_pipeline.sync.orders import STOCKED, check_currency, header, receipt_key
from mlc_pipeline.sync.plan import Hold, Known, PlanContext, Planned, judge, planned
from mlc_pipeline.sync.rates import check_rate
from mlc_pipeline.sync.rows import (
    InvoiceRow,
    MatchRow,
    OrderLineRow,
    OrderRow,
    PostingRow,
    ReceiptRow,
)
from mlc_pipeline.sync.vocabulary import READY, REASONS, Kind, Stage, Verdict

Content = InvoiceContent | CreditContent

POSTING_TYPES: dict[str | None, str] = {
    code: declared.reason or declared.representation for code, declared in JOURNAL_TYPES.items()
}
"""What each SYSPRO AP journal type becomes: `document`, or the reason why it does not."""

_ATTRIBUTE_LIMIT = 256


def invoice_key(supplier: str, invoice: str) -> str:
    """Return the source key of an invoice; the number is unique only within a supplier."""
    return f"{supplier}|{invoice}"


@dataclass(frozen=True)
class InvoiceParts:
    """An invoice with everything that hangs on it.

    Attributes:
        invoice: the ApInvoice row.
        postings: its distribution postings.
        matches: its receipt matches.
        receipts: the receipt lines that the matches name.
        order_lines: the lines of the orders of those receipts, by (order, line).
        order_headers: the headers of those orders, by number.
        referenced_order: the order that `reference` names, when the policy links by it.
        credited: source key of the invoice that a credit names.
        credited_value: value of that invoice.
        credited_rate: Cin7's rate of that invoice.
        other_credits: the other credits that name it.
        order_receipts: every receipt line of the orders that the matches lead to.
        other_matches: what other invoices are matched to on those orders.
    """

    invoice: InvoiceRow
    postings: Sequence[PostingRow] = ()
    matches: Sequence[MatchRow] = ()
    receipts: Sequence[ReceiptRow] = ()
    order_lines: Mapping[tuple[str, Decimal], OrderLineRow] = field(default_factory=dict)
    order_headers: Mapping[str, OrderRow] = field(default_factory=dict)
    referenced_order: str | None = None
    credited: str | None = None
    credited_value: Decimal | None = None
    credited_rate: Decimal | None = None
    other_credits: Sequence[InvoiceRow] = ()
    order_receipts: Sequence[ReceiptRow] = ()
    other_matches: Sequence[MatchRow] = ()


@dataclass(frozen=True)
class _Share:
    """A part of the distribution, in document currency."""

    account: str
    cost_centre: str | None
    amount: Decimal
    text: str


@dataclass(frozen=True)
class _Distribution:
    shares: tuple[_Share, ...]
    tax: Decimal
    tax_accounts: tuple[str, ...]


def plan_invoice(
    parts: InvoiceParts,
    context: PlanContext,
    *,
    suppliers: Mapping[str, Planned],
    orders: Mapping[str, Planned],
    terms_of: Mapping[str, str | None],
    currency_of: Mapping[str, str | None] | None = None,
) -> Planned:
    """Plan one AP invoice or credit.

    Args:
        parts: the invoice and what hangs on it.
        context: settings, mappings, references, ledger.
        suppliers: the planned suppliers by SYSPRO code.
        orders: the planned purchase orders by number.
        terms_of: SYSPRO terms code of each supplier.
        currency_of: currency of each supplier in Cin7, by SYSPRO code.
    """
    parts = _in_order(parts)
    invoice = parts.invoice
    context = context.as_of(invoice.invoice_date)
    key = invoice_key(invoice.supplier, invoice.invoice)
    was_invoice = context.known.get((Kind.INVOICE, key)) is not None  # a credit stays one
    is_credit_note = invoice.value < 0 and parts.credited is not None and not was_invoice
    kind = Kind.CREDIT_NOTE if is_credit_note else Kind.INVOICE
    known = context.known.get((kind, key))

    def build() -> tuple[Verdict, Content, list[Any]]:
        _check_identity(invoice, context, suppliers)
        currency = context.currency(invoice.currency)
        check_currency(invoice.supplier, currency, currency_of or {}, known)
        dated = _booking_date(invoice, context, known)
        is_new = known is None or known.state != "done"
        if is_new:
            context.guard_period(dated)
        _check_complete(parts, context, known)
        distribution = _distribution(parts, context)
        if is_new:
            _check_new(parts, context)
            _check_rate(parts, context, kind)
        if is_credit_note:
            content: Content = _credit(parts, context, distribution, dated)
        elif context.known.get((Kind.CREDIT_NOTE, key)) is not None:
            raise Hold("changed_after_posting", "it was written as a credit note before")
        else:
            content = _invoice(parts, context, distribution, orders, terms_of, dated)
        verdict, content, changed = judge(
            known, content, may_update=_may_update_invoice(context)
        )
        if verdict in READY:
            context.guard_period(dated)
            if known is None or known.state == "done":
                # What is begun in Cin7 is finished, whatever was closed meanwhile.
                context.guard_closed(dated_of(content))
        return verdict, content, changed

    return planned(
        Planned(
            kind,
            key,
            Verdict.HELD,
            invoice.value,
            currency=invoice.currency or context.connection.syspro.local_currency,
            supplier=invoice.supplier,
            home=invoice.partition,
            stage=Stage.INVOICE,
        ),
        build,
    )


def dated_of(content: Content) -> date:
    """Return the date that a document will have in Cin7."""
    if isinstance(content, CreditContent):
        return content.credit_date
    return content.invoice_date


def _in_order(parts: InvoiceParts) -> InvoiceParts:
    """Put rows in key order: the same rows must always make the same document."""
    return replace(
        parts,
        postings=sorted(parts.postings, key=lambda p: p.sort_key),
        matches=sorted(parts.matches, key=lambda m: (m.grn, m.journal, m.entry_number)),
        receipts=sorted(parts.receipts, key=lambda r: (r.grn, r.journal, r.journal_entry)),
    )


def _may_update_invoice(context: PlanContext) -> Any:
    policy = context.connection.policies.on_change_after_posting
    return lambda known, _changed: policy == "update" and known.status == "DRAFT"


def _date_of(invoice: InvoiceRow) -> date:
    if invoice.invoice_date is None or invoice.partition is None:
        raise Hold("undated", f"invoice {invoice.invoice} of {invoice.supplier} has no date")
    return invoice.invoice_date


def _check_identity(
    invoice: InvoiceRow, context: PlanContext, suppliers: Mapping[str, Planned]
) -> None:
    dated = _date_of(invoice)
    if dated < context.connection.start_date:
        raise Hold(
            "before_start",
            f"dated {dated}, the connection starts on {context.connection.start_date}",
        )
    supplier = suppliers.get(invoice.supplier)
    if supplier is None:
        raise Hold("supplier_unknown", f"supplier {invoice.supplier} is not in ApSupplier")
    if supplier.verdict is Verdict.HELD:
        raise Hold("supplier_held", f"supplier {invoice.supplier}: {supplier.reason}")


def _booking_date(invoice: InvoiceRow, context: PlanContext, known: Known | None) -> date:
    """Return the date that the document has in Cin7: its own, or the first open day.

    A document that is there keeps the date it was given, however far the lock date moves.
    """
    own = _date_of(invoice)
    written = known.content if known is not None and known.state == "done" else None
    if written is not None:
        given = written.get("invoice_date") or written.get("credit_date")
        was_moved = written.get("original_date") == own.isoformat()
        return date.fromisoformat(given) if given and was_moved else own
    lock = context.references.lock_date
    may_move = context.connection.policies.locked_period == "redate"
    return lock if may_move and lock is not None and own < lock else own


def _check_new(parts: InvoiceParts, context: PlanContext) -> None:
    """Check what is decided once, before a document is first written.

    Raises:
        Hold: the match is outside tolerance, or a credit is larger than its invoice.
    """
    if parts.matches and context.connection.policies.po_link != "none":
        check_match(
            parts.invoice,
            parts.matches,
            parts.other_matches,
            parts.order_receipts or parts.receipts,
            parts.order_lines,
            context,
        )
    if parts.credited_value is not None:
        _check_credited(parts, parts.credited_value, context)


def _check_rate(parts: InvoiceParts, context: PlanContext, kind: Kind) -> None:
    """Hold a foreign document whose money Cin7's rate does not give, once, before it is sent.

    Raises:
        Hold: rate_differs.
    """
    invoice = parts.invoice
    rate, mul_div = invoice.exchange_rate, invoice.mul_div
    if context.currency(invoice.currency) == context.references.base_currency:
        return
    used, whose = _rate_in_cin7(parts, context, kind)
    check_rate(
        invoice.value, used, rate, mul_div, context, whose=whose, parts=len(parts.postings)
    )


def _rate_in_cin7(parts: InvoiceParts, context: PlanContext, kind: Kind) -> tuple[Decimal, str]:
    """Return the rate of the purchase that the document goes on, and where it is from.

    An invoice or credit note cannot bring a rate of its own.
    """
    if kind is Kind.CREDIT_NOTE and parts.credited_rate is not None:
        return parts.credited_rate, f"the rate of invoice {parts.invoice.reference}"
    order = _order_of(parts, context) if kind is Kind.INVOICE else None
    known = context.known.get((Kind.PURCHASE_ORDER, order)) if order else None
    if known is not None and known.state == "done" and known.content:
        return header_rate(known.content), f"the rate of purchase order {order} in Cin7"
    row = parts.order_headers.get(order) if order else None
    if row is not None:
        rate = cin7_rate(row.exchange_rate, row.mul_div)
        return rate, f"the rate of purchase order {order}"
    own = parts.invoice
    return cin7_rate(own.exchange_rate, own.mul_div), "to five decimals"


def _check_credited(parts: InvoiceParts, value: Decimal, context: PlanContext) -> None:
    """Hold a credit that, with those before it, is larger than the invoice it names."""
    invoice = parts.invoice
    before = [c for c in parts.other_credits if _comes_before(c, invoice, context)]
    others = -sum((c.value for c in before), ZERO)
    if others - invoice.value > value:
        names = ", ".join(c.invoice for c in before)
        also = f" and the credits before it ({names}) over {others:.2f}" if before else ""
        raise Hold(
            "credit_too_large",
            f"credit {invoice.invoice} over {-invoice.value:.2f}{also}: more than invoice "
            f"{invoice.reference} over {value:.2f}",
        )


def _comes_before(other: InvoiceRow, invoice: InvoiceRow, context: PlanContext) -> bool:
    """Tell whether another credit of the same invoice is in Cin7, or goes there first."""
    key = invoice_key(other.supplier, other.invoice)
    known = context.known.get((Kind.CREDIT_NOTE, key))
    if known is not None and known.state == "done":
        return True
    return (str(other.invoice_date), other.invoice) < (
        str(invoice.invoice_date),
        invoice.invoice,
    )


def _check_complete(parts: InvoiceParts, context: PlanContext, known: Known | None) -> None:
    """Hold back an invoice whose postings do not add up to it.

    Local invoices must agree to the cent; a foreign one may differ by the rounding of its
    postings' conversion, a cent each.
    """
    invoice = parts.invoice
    postings = [p for p in parts.postings if p.amount and _role(p, context) != "payable"]
    if not postings and invoice.value == 0:
        raise Hold("empty", f"invoice {invoice.invoice} has no value and no postings")
    local = context.currency(invoice.currency) == context.references.base_currency
    expected = (
        invoice.value
        if local
        else to_base(invoice.value, invoice.exchange_rate, invoice.mul_div)
    )
    posted = sum((p.amount for p in postings), ZERO)
    tolerance = ZERO if local else CENT * max(len(postings), 1)
    if abs(posted - expected) > tolerance or not postings:
        # What is posted to an invoice that is in Cin7 already does not come right by itself.
        is_written = known is not None and known.state == "done"
        raise Hold(
            "adjustment" if is_written else "postings_incomplete",
            f"the invoice is {expected:.2f}, {len(postings)} posting(s) make {posted:.2f}",
        )


def _role(posting: PostingRow, context: PlanContext) -> str:
    """Return expense, tax or payable; an unmapped code counts as expense until mapped."""
    mapped = context.target(posting.gl_code)
    return mapped.role if mapped else "expense"


def _distribution(parts: InvoiceParts, context: PlanContext) -> _Distribution:
    """Map the postings to accounts and cost centres, in document currency.

    Raises:
        Hold: naming every posting that has no usable account, with its amount.
    """
    postings = [p for p in parts.postings if p.amount and _role(p, context) != "payable"]
    mapped = _mapped_postings(postings, context)
    amounts = _in_document_currency(parts.invoice, [p.amount for p in postings], context)
    carries = context.connection.policies.carries_cost_centre
    shares: list[_Share] = []
    tax, tax_accounts = ZERO, set()
    for posting, target, amount in zip(postings, mapped, amounts, strict=True):
        if target.role == "tax":
            tax += amount
            tax_accounts.add(target.cin7_account)
            continue
        centre = context.cost_centre(posting.gl_code) if carries else None
        text = posting.reference or context.gl_names.get(posting.gl_code) or posting.gl_code
        shares.append(_Share(target.cin7_account, centre, amount, text))
    _check_one_centre(shares, context)
    return _Distribution(tuple(shares), tax, tuple(sorted(tax_accounts)))


def _mapped_postings(
    postings: Sequence[PostingRow], context: PlanContext
) -> list[MappedAccount]:
    mapped: list[MappedAccount] = []
    problems: dict[tuple[str, str], list[Decimal]] = {}
    for posting in postings:
        try:
            mapped.append(context.account(posting.gl_code))
        except Hold as hold:
            problems.setdefault((hold.reason.code, hold.detail), []).append(posting.amount)
    if problems:
        (code, _), _amounts = next(iter(problems.items()))
        raise Hold(
            code,
            "; ".join(f"{d}: {sum(a, ZERO):.2f}" for (_, d), a in problems.items()),
        )
    return mapped


def _in_document_currency(
    invoice: InvoiceRow, amounts: Sequence[Decimal], context: PlanContext
) -> list[Decimal]:
    if context.currency(invoice.currency) == context.references.base_currency:
        return list(amounts)
    rate, mul_div = invoice.exchange_rate, invoice.mul_div
    converted = [in_foreign(amount, rate, mul_div) for amount in amounts]
    left = allocate(invoice.value - sum(converted, ZERO), [abs(a) for a in amounts])
    return [amount + cents for amount, cents in zip(converted, left, strict=True)]


def _tax_rule_name(
    parts: InvoiceParts, context: PlanContext, distribution: _Distribution
) -> str:
    rule = context.tax_rule(parts.invoice.tax_code, taxed=distribution.tax != 0)
    if set(distribution.tax_accounts) - {rule.account}:
        raise Hold(
            "tax_account_differs",
            f"the tax postings are mapped to {', '.join(distribution.tax_accounts)}, tax rule "
            f"{rule.name!r} books to {rule.account}",
        )
    return rule.name


def _invoice(
    parts: InvoiceParts,
    context: PlanContext,
    distribution: _Distribution,
    orders: Mapping[str, Planned],
    terms_of: Mapping[str, str | None],
    dated: date,
) -> InvoiceContent:
    invoice = parts.invoice
    if invoice.value < 0 and context.connection.policies.unnamed_credit == "hold":
        raise Hold("unnamed_credit", f"credit {invoice.invoice} over {invoice.value:.2f}")
    rule = _tax_rule_name(parts, context, distribution)
    order = _order_of(parts, context)
    if order is not None:
        _check_order(order, orders, context)
    lines, charges = _lines_and_charges(parts, context, distribution, rule, order)
    if distribution.tax and not lines and not charges:
        charges = (_tax_charge(rule, distribution.tax_accounts[0]),)
    lines, charges = _with_tax(lines, charges, distribution.tax)
    marker = context.marker("AP", invoice.supplier, invoice.invoice)
    own = _date_of(invoice)
    moved = dated if dated != own else None
    if order and moved:
        charges = (*charges, _date_charge(own, moved, (*lines, *charges)))
    return InvoiceContent(
        marker=marker,
        supplier=invoice.supplier,
        number=invoice.invoice,
        purchase_order=order,
        header=None if order else _own_header(parts, context, marker, charges, terms_of, moved),
        receipts=_stocked_receipts(parts, order) if order and lines else (),
        invoice_date=dated,
        original_date=own if moved else None,
        due_date=invoice.due_date or own,
        lines=lines,
        charges=charges,
    )


def _stocked_receipts(parts: InvoiceParts, order: str) -> tuple[str, ...]:
    """Return the receipts that Cin7 must have before the invoice."""
    matched = {m.grn for m in parts.matches}
    stocked = {
        r.grn
        for r in parts.receipts
        if (line := parts.order_lines.get((r.purchase_order or "", r.line))) is not None
        and line.line_type == STOCKED
    }
    return tuple(sorted(receipt_key(order, grn) for grn in matched & stocked))


def _own_header(
    parts: InvoiceParts,
    context: PlanContext,
    marker: str,
    charges: Iterable[Charge],
    terms_of: Mapping[str, str | None],
    moved: date | None,
) -> Any:
    invoice = parts.invoice
    attributes = {}
    if context.connection.policies.cost_centre in ("header_attribute", "one_a_document"):
        centres = sorted({c.cost_centre for c in charges if c.cost_centre})
        attributes["2"] = _attribute("; ".join(centres))
    moved_text = f"; dated {moved} here, its period is locked" if moved else ""
    return header(
        context,
        marker=marker,
        supplier=invoice.supplier,
        terms_code=terms_of.get(invoice.supplier),
        currency=context.currency(invoice.currency),
        rate=invoice.exchange_rate,
        mul_div=invoice.mul_div,
        service_only=True,
        approach="INVOICE",
        note=f"SYSPRO invoice {invoice.invoice} of {invoice.invoice_date}{moved_text}",
        attributes=attributes,
    )


def _attribute(text: str) -> str:
    """Return a text that fits an additional attribute whole.

    Raises:
        Hold: too_long; a list that is cut would be another list.
    """
    if len(text) > _ATTRIBUTE_LIMIT:
        raise Hold("too_long", f"the cost centres need {len(text)} characters: {text[:60]}…")
    return text


def _date_charge(own: date, moved: date, items: Sequence[ProductLine | Charge]) -> Charge:
    """Return a charge of nothing that keeps the date of a document without a note."""
    last = items[-1]
    text = f"SYSPRO date {own}; dated {moved} here, its period is locked"
    return charge(text, ZERO, tax_rule=last.tax_rule, account=last.account)


def _check_one_centre(shares: Iterable[_Share], context: PlanContext) -> None:
    """Hold a document over several cost centres when each may show only one.

    Raises:
        Hold: several_cost_centres, with the amount of each.
    """
    if context.connection.policies.cost_centre != "one_a_document":
        return
    totals: dict[str, Decimal] = {}
    for share in shares:
        centre = share.cost_centre or "none"
        totals[centre] = totals.get(centre, ZERO) + share.amount
    if len(totals) > 1:
        shown = "; ".join(f"{centre}: {total:.2f}" for centre, total in sorted(totals.items()))
        raise Hold("several_cost_centres", shown)


def _order_of(parts: InvoiceParts, context: PlanContext) -> str | None:
    """Return the one purchase order that the invoice belongs to, by the policy's link."""
    policy = context.connection.policies.po_link
    if policy == "invoice_reference":
        return parts.referenced_order
    if policy == "none" or not parts.matches:
        return None
    shown = {r.grn for r in parts.receipts}
    absent = sorted({m.grn for m in parts.matches} - shown)
    if absent:
        raise Hold("match_unclear", f"GRN {', '.join(absent)} is not in SYSPRO's receipts")
    orders = sorted({r.purchase_order for r in parts.receipts if r.purchase_order})
    if len(orders) > 1:
        raise Hold("several_orders", f"receipts of orders {', '.join(orders)}")
    return orders[0] if orders else None


def _check_order(order: str, orders: Mapping[str, Planned], context: PlanContext) -> None:
    known = context.known.get((Kind.PURCHASE_ORDER, order))
    if known is not None and known.state == "done":
        return  # whether it is authorised by now, the push asks Cin7
    plan = orders.get(order)
    if plan is None:
        raise Hold("order_missing", f"purchase order {order} is not staged")
    if plan.verdict in (Verdict.HELD, Verdict.EXCLUDED):
        raise Hold("order_held", f"purchase order {order}: {plan.reason_code}: {plan.reason}")


def _lines_and_charges(
    parts: InvoiceParts,
    context: PlanContext,
    distribution: _Distribution,
    rule: str,
    order: str | None,
) -> tuple[tuple[ProductLine, ...], tuple[Charge, ...]]:
    items = _matched_products(parts, context, distribution) if order else []
    if not items:
        return (), tuple(
            charge(
                s.text, s.amount, tax_rule=rule, account=s.account, cost_centre=s.cost_centre
            )
            for s in distribution.shares
        )
    decimals = context.connection.cin7.line_total_decimals
    lines = [product_line(i, tax_rule=rule, tax=ZERO, decimals=decimals)[0] for i in items]
    return tuple(lines), tuple(_remaining(distribution, lines, rule))


def _matched_products(
    parts: InvoiceParts, context: PlanContext, distribution: _Distribution
) -> list[ProductQuantity]:
    """Return quantity and value of each stocked product that the invoice is matched to."""
    index = ReceiptIndex(parts.receipts)
    values = _in_document_scale(parts, context)
    buckets = {(s.account, s.cost_centre): ZERO for s in distribution.shares}
    for share in distribution.shares:
        buckets[(share.account, share.cost_centre)] += share.amount
    if not buckets:
        return []
    items: dict[str, ProductQuantity] = {}
    for match, value in zip(parts.matches, values, strict=True):
        receipt = index.find(match)
        if receipt is None:
            raise Hold("match_unclear", f"GRN {match.grn}: which of its lines is matched?")
        line = parts.order_lines.get((receipt.purchase_order or "", receipt.line))
        sku = receipt.stock_code or ""
        if line is None or line.line_type != STOCKED or not match.matched_quantity:
            continue  # its value stays in the charges
        if sku not in items:
            account, centre = _bucket_of(receipt, buckets, context)
            name = context.references.products.get(sku) or line.description or sku
            items[sku] = ProductQuantity(sku, name, account=account, cost_centre=centre)
        items[sku].quantity += match.matched_quantity
        items[sku].value += value
    return list(items.values())


def _in_document_scale(parts: InvoiceParts, context: PlanContext) -> list[Decimal]:
    """Return the matched values in document currency."""
    invoice, values = parts.invoice, [m.matched_value for m in parts.matches]
    if context.currency(invoice.currency) == context.references.base_currency:
        return values
    rate, mul_div = invoice.exchange_rate, invoice.mul_div
    return [in_foreign(value, rate, mul_div) for value in values]


def _bucket_of(
    receipt: ReceiptRow,
    buckets: Mapping[tuple[str, str | None], Decimal],
    context: PlanContext,
) -> tuple[str, str | None]:
    """Return the account and cost centre that a receipt line is booked on.

    Its own GL code's when the invoice posts there, else the largest of the invoice's.
    """
    if receipt.gl_code:
        mapped = context.target(receipt.gl_code)
        carries = context.connection.policies.carries_cost_centre
        centre = context.cost_centre(receipt.gl_code) if carries else None
        own = (mapped.cin7_account if mapped else "", centre)
        if own in buckets:
            return own
    return max(buckets, key=lambda bucket: (buckets[bucket], bucket[0]))


def _remaining(
    distribution: _Distribution, lines: Sequence[ProductLine], rule: str
) -> Iterable[Charge]:
    """Yield the charges that bring each account and cost centre to its postings."""
    left: dict[tuple[str, str | None], Decimal] = {}
    texts: dict[tuple[str, str | None], str] = {}
    for share in distribution.shares:
        bucket = (share.account, share.cost_centre)
        left[bucket] = left.get(bucket, ZERO) + share.amount
        texts.setdefault(bucket, share.text)
    for line in lines:
        bucket = (line.account or "", line.cost_centre)
        left[bucket] -= line.total
        texts[bucket] = "Difference to the goods received"
    for bucket, amount in left.items():
        if amount:
            account, centre = bucket
            yield charge(
                texts[bucket], amount, tax_rule=rule, account=account, cost_centre=centre
            )


def _tax_charge(rule: str, account: str | None) -> Charge:
    """Return the charge that carries the tax of a document that is nothing but tax."""
    return charge("Tax", ZERO, tax_rule=rule, account=account)


def _tax_weights(totals: Sequence[Decimal]) -> list[Decimal]:
    """Return what tax is spread by: the totals, unless they nearly cancel each other out."""
    whole, sizes = sum(totals, ZERO), [abs(total) for total in totals]
    return list(totals) if 2 * abs(whole) >= sum(sizes, ZERO) else sizes


def _with_tax(
    lines: Sequence[ProductLine], charges: Sequence[Charge], tax: Decimal
) -> tuple[tuple[ProductLine, ...], tuple[Charge, ...]]:
    """Spread the invoice's tax over its lines and charges, exactly."""
    items: tuple[ProductLine | Charge, ...] = (*lines, *charges)
    shares = allocate(tax, _tax_weights([item.total for item in items]))
    taxed = [
        item.model_copy(update={"tax": share})
        for item, share in zip(items, shares, strict=True)
    ]
    return (
        tuple(item for item in taxed if isinstance(item, ProductLine)),
        tuple(item for item in taxed if isinstance(item, Charge)),
    )


def _credit(
    parts: InvoiceParts, context: PlanContext, distribution: _Distribution, dated: date
) -> CreditContent:
    """Return the credit note on the invoice that is named; amounts positive."""
    invoice, credited = parts.invoice, parts.credited or ""
    if any(share.amount > 0 for share in distribution.shares):
        raise Hold("credit_too_large", f"credit {invoice.invoice} has a positive posting")
    rule = _tax_rule_name(parts, context, distribution)
    charges = [
        charge(s.text, -s.amount, tax_rule=rule, account=s.account, cost_centre=s.cost_centre)
        for s in distribution.shares
    ]
    if distribution.tax and not charges:
        charges = [_tax_charge(rule, distribution.tax_accounts[0])]
    _, taxed = _with_tax((), charges, -distribution.tax)
    own = _date_of(invoice)
    if dated != own:
        taxed = (*taxed, _date_charge(own, dated, taxed))
    return CreditContent(
        marker=context.marker("AP", invoice.supplier, invoice.invoice),
        supplier=invoice.supplier,
        number=invoice.invoice,
        credited_invoice=credited,
        credit_date=dated,
        original_date=own if dated != own else None,
        charges=taxed,
    )


def plan_stray_postings(postings: Iterable[PostingRow], context: PlanContext) -> list[Planned]:
    """Plan postings that are not part of an invoice's document.

    Distribution postings whose invoice is not there wait, one row per invoice; every other
    journal type gets the verdict that `JOURNAL_TYPES` declares, one row per posting.
    """
    waiting: dict[str, list[PostingRow]] = {}
    result = []
    for posting in postings:
        if is_distribution(posting):
            key = invoice_key(posting.supplier, posting.invoice)
            waiting.setdefault(key, []).append(posting)
            continue
        code = stray_reason(posting)
        result.append(_stray(f"posting {posting.key}", [posting], code, context, posting.key))
    for key, group in waiting.items():
        detail = f"{len(group)} posting(s) of invoice {group[0].invoice}"
        result.append(_stray(detail, group, "invoice_missing", context, key))
    return result


def _stray(
    detail: str, postings: list[PostingRow], code: str, context: PlanContext, key: str
) -> Planned:
    reason = REASONS[code]
    return Planned(
        Kind.POSTING,
        key,
        reason.verdict,
        sum((p.amount for p in postings), ZERO),
        currency=context.connection.syspro.local_currency,
        supplier=postings[0].supplier,
        home=postings[0].partition,
        reason_code=code,
        reason=f"{detail} of supplier {postings[0].supplier}, type "
        f"{postings[0].posting_type or 'blank'}",
    )


def plan_vanished(
    known: Iterable[tuple[Kind, str, Decimal, str | None, Any]],
) -> list[Planned]:
    """Plan documents that are in Cin7 and that SYSPRO does not show any more: held.

    Args:
        known: kind, source key, amount, currency and date of each, from the ledger.
    """
    return [
        Planned(
            kind,
            key,
            Verdict.HELD,
            amount,
            currency=currency,
            home=home,
            reason_code="vanished_in_syspro",
            reason=f"{kind.replace('_', ' ')} {key} was sent and is gone from SYSPRO",
        )
        for kind, key, amount, currency, home in known
    ]


__all__ = [
    "POSTING_TYPES",
    "InvoiceParts",
    "Known",
    "invoice_key",
    "is_distribution",
    "plan_invoice",
    "plan_stray_postings",
    "plan_vanished",
]
