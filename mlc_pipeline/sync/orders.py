"""Purchase orders and receipts: the stage, the wanted purchase, the wanted receipts.

What must not come in: SQL, HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mlc_pipeline.sync.content import (
    Charge,
    HeaderContent,
    OrderContent,
    ProductLine,
    ReceiptContent,
    ReceiptLine,
)
from mlc_pipeline.sync.lines import (
    ProductQuantity,
    charge,
    checked_quantity,
    fitted,
    percent_of,
    product_line,
    rounding_charge,
)
from mlc_pipeline.sync.money import ZERO, cin7_rate, discounted, rounded
from mlc_pipeline.sync.plan import Hold, Known, PlanContext, Planned, judge, planned
from mlc_pipeline.sync.rates import check_rate
from mlc_pipeline.sync.rows import OrderLineRow, OrderRow, ReceiptRow
from mlc_pipeline.sync.vocabulary import READY, REASONS, Kind, Stage, Verdict

STOCKED, FREIGHT, MISCELLANEOUS, COMMENT, NON_STOCKED = "1", "4", "5", "6", "7"
"""SYSPRO's purchase order line types."""

_PER_LINE_CHARGES = {FREIGHT: "Freight", MISCELLANEOUS: "Miscellaneous charge"}


@dataclass(frozen=True)
class OrderParts:
    """An order with everything that hangs on it."""

    order: OrderRow
    lines: Sequence[OrderLineRow] = ()
    receipts: Sequence[ReceiptRow] = ()
    is_invoiced: bool = False
    is_broken: bool = False  # a line could not be read


def stage_of(parts: OrderParts) -> Stage:
    """Return the procurement stage: received beats invoiced beats ordered."""
    if parts.receipts or any(line.received_quantity > 0 for line in parts.lines):
        return Stage.RECEIVE
    return Stage.INVOICE if parts.is_invoiced else Stage.ORDER


def approach_of(stage: Stage, order_stage_approach: str) -> str:
    """Return the stage as Cin7's `Approach`, which knows INVOICE and STOCK only."""
    return {Stage.RECEIVE: "STOCK", Stage.INVOICE: "INVOICE"}.get(stage, order_stage_approach)


def header(
    context: PlanContext,
    *,
    marker: str,
    supplier: str,
    terms_code: str | None,
    currency: str,
    rate: Decimal,
    mul_div: str | None,
    service_only: bool,
    approach: str,
    note: str,
    warehouse: str | None = None,
    required_by: Any = None,
    attributes: Mapping[str, str] | None = None,
) -> HeaderContent:
    """Return the header of a purchase; service purchases are always INVOICE.

    Raises:
        Hold: terms, tax rule or location without a target.
    """
    is_local = currency == context.references.base_currency
    return HeaderContent(
        marker=marker,
        supplier=supplier,
        approach="INVOICE" if service_only else approach,
        service_only=service_only,
        location=context.location(warehouse),
        terms=context.payment_term(terms_code),
        tax_rule=context.tax_rule(None, taxed=True).name,
        currency=currency,
        currency_rate=None if is_local else cin7_rate(rate, mul_div),
        required_by=required_by,
        note=fitted(f"{marker}\n{note}", 1024),
        attributes=dict(attributes or {}),
    )


def line_value(line: OrderLineRow, *, is_local: bool) -> Decimal:
    """Return the value of an order line in supplier currency, to the cent.

    Stocked and non-stocked lines: quantity in the price unit x price, less the chain
    discounts or the discount value; freight and miscellaneous lines carry their value.
    """
    if line.line_type in _PER_LINE_CHARGES:
        return line.charge_value if is_local else line.charge_value_foreign
    if line.line_type == COMMENT:
        return ZERO
    factor = line.price_factor or Decimal(1)
    quantity = line.order_quantity
    priced = quantity / factor if line.price_factor_mul_div == "D" else quantity * factor
    gross = priced * (line.price if is_local else line.foreign_price)
    if line.discount_flag == "V" or (line.discount_value and not line.discount1):
        return rounded(gross - line.discount_value)
    return rounded(discounted(gross, (line.discount1, line.discount2, line.discount3)))


@dataclass
class _Body:
    """The lines of an order while they are collected."""

    products: dict[str, ProductQuantity]
    product_taxes: dict[str, tuple[str, Decimal]]
    charges: list[Charge]
    comments: list[str]
    missing: dict[str, tuple[str, str, str]]


def check_currency(
    supplier: str, currency: str, currency_of: Mapping[str, str | None], known: Known | None
) -> None:
    """Hold a new document in another currency than its supplier has in Cin7.

    Cin7 keeps one currency a supplier, and a purchase takes it whatever the document says.

    Raises:
        Hold: currency_differs.
    """
    wanted = currency_of.get(supplier)
    is_there = known is not None and known.state == "done"
    if wanted and wanted != currency and not is_there:
        raise Hold(
            "currency_differs",
            f"the document is in {currency}, supplier {supplier} is in {wanted} in Cin7",
        )


def plan_order(
    parts: OrderParts,
    context: PlanContext,
    held_suppliers: frozenset[str],
    currency_of: Mapping[str, str | None] | None = None,
) -> Planned:
    """Plan one purchase order: create, update, void, unchanged, held or excluded.

    Args:
        parts: the order and what hangs on it.
        context: settings, mappings, references, ledger.
        held_suppliers: codes of suppliers that are held.
        currency_of: currency of each supplier in Cin7, by SYSPRO code.
    """
    order = parts.order
    context = context.as_of(order.order_date)
    known = context.known.get((Kind.PURCHASE_ORDER, order.purchase_order))
    stage = stage_of(parts)

    def build() -> tuple[Verdict, OrderContent | None, list[Any]]:
        if order.is_cancelled:
            return _cancelled(known)
        if order.order_date is None or order.partition is None:
            raise Hold("undated", f"purchase order {order.purchase_order} has no entry date")
        if parts.is_broken:
            raise Hold("unreadable_row", "a line of the order could not be read; see its row")
        if order.supplier in held_suppliers:
            raise Hold("supplier_held", f"supplier {order.supplier}")
        currency = context.currency(order.currency)
        check_currency(order.supplier, currency, currency_of or {}, known)
        content = order_content(parts, context, stage, known)
        if not content.lines and not content.charges:
            raise Hold("empty", f"purchase order {order.purchase_order} has no lines to send")
        _check_rate(order, content, context)
        return judge(known, content, may_update=_may_update_order(context))

    local = context.connection.syspro.local_currency
    is_local = order.currency in (None, local) or (
        context.mappings.currencies.lookup(order.currency) == local
    )
    amount = sum((line_value(line, is_local=is_local) for line in parts.lines), ZERO)
    return planned(
        Planned(
            Kind.PURCHASE_ORDER,
            order.purchase_order,
            Verdict.HELD,
            amount,
            currency=order.currency or local,
            supplier=order.supplier,
            home=order.partition,
            stage=stage,
        ),
        build,
    )


def _check_rate(order: OrderRow, content: OrderContent, context: PlanContext) -> None:
    used = content.header.currency_rate
    if used is not None:
        check_rate(
            content.total,
            used,
            order.exchange_rate,
            order.mul_div,
            context,
            whose="to five decimals",
        )


def _cancelled(known: Known | None) -> tuple[Verdict, None, list[Any]]:
    if known is None:
        raise Hold("cancelled", "cancelled in SYSPRO, never sent")
    if known.state == "voided":
        raise Hold("voided", "cancelled in SYSPRO, void in Cin7")
    return Verdict.VOID, None, [{"field": "cancelled", "before": "N", "after": "Y"}]


def _may_update_order(context: PlanContext) -> Any:
    policy = context.connection.policies.on_change_after_posting

    def may_update(known: Known, changed: list[Any]) -> bool:
        fields = {change["field"] for change in changed}
        if fields == {"header.approach"}:
            return True  # the stage moved on; that is no change of the order
        if policy != "update":
            return False
        return known.status == "DRAFT" or all(name.startswith("header.") for name in fields)

    return may_update


def order_content(
    parts: OrderParts, context: PlanContext, stage: Stage, known: Known | None
) -> OrderContent:
    """Return the order as Cin7 should have it.

    Raises:
        Hold: a mapping without a target, a product that Cin7 does not have.
    """
    order = parts.order
    currency = context.currency(order.currency)
    is_local = currency == context.references.base_currency
    body = _body(parts.lines, context, is_local=is_local, taxed=order.tax_status != "E")
    if body.missing and context.connection.policies.missing_product == "hold":
        raise Hold("missing_product", f"Cin7 has no product {', '.join(sorted(body.missing))}")
    lines, residual = _product_lines(body, context.connection.cin7.line_total_decimals)
    exempt = context.connection.defaults.tax_rule_exempt
    service_only = not lines
    approach = approach_of(stage, context.connection.policies.order_stage_approach)
    written = known.content if known is not None and known.state == "done" else None
    before = (written or {}).get("header", {})
    if parts.is_invoiced and before:
        # Cin7 fixes the approach with the first invoice.
        approach = str(before["approach"])
    # What is left out of an update stays: a date that was written and is gone is blank.
    gone = "" if "required_by" in before else None
    return OrderContent(
        header=header(
            context,
            marker=context.marker("PO", order.purchase_order),
            supplier=order.supplier,
            terms_code=order.terms_code,
            currency=currency,
            rate=order.exchange_rate,
            mul_div=order.mul_div,
            service_only=service_only,
            approach=approach,
            note=f"SYSPRO purchase order {order.purchase_order} of {order.order_date}",
            warehouse=order.warehouse,
            required_by=order.due_date or gone,
        ),
        memo=fitted("\n".join(body.comments), 1024) if body.comments else None,
        lines=lines,
        charges=(*body.charges, *rounding_charge(residual, tax_rule=exempt)),
        new_products=tuple(body.missing[sku] for sku in sorted(body.missing)),
    )


def _product_lines(body: _Body, decimals: int) -> tuple[tuple[ProductLine, ...], Decimal]:
    lines, residual = [], ZERO
    for sku, item in body.products.items():
        rule, tax = body.product_taxes[sku]
        line, left = product_line(item, tax_rule=rule, tax=tax, decimals=decimals)
        lines.append(line)
        residual += left
    return tuple(lines), residual


def _body(
    rows: Iterable[OrderLineRow], context: PlanContext, *, is_local: bool, taxed: bool
) -> _Body:
    body = _Body({}, {}, [], [], {})
    for row in sorted(rows, key=lambda r: r.line):
        if row.line_type == COMMENT:
            body.comments.append(row.comment or "")
            continue
        value = line_value(row, is_local=is_local)
        code = row.charge_tax_code if row.line_type in _PER_LINE_CHARGES else row.tax_code
        rule = context.tax_rule(code, taxed=taxed and code is not None)
        tax = percent_of(value, rule.percent)
        if row.line_type == STOCKED:
            _add_product(body, row, value, rule.name, tax, context)
        elif value:
            label = _PER_LINE_CHARGES.get(row.line_type or "", "Non-stocked line")
            text = row.comment or row.description or f"{label} {row.line:f}"
            body.charges.append(charge(text, value, tax_rule=rule.name, tax=tax))
    return body


def _add_product(
    body: _Body,
    row: OrderLineRow,
    value: Decimal,
    rule: str,
    tax: Decimal,
    context: PlanContext,
) -> None:
    """Add a stocked line; Cin7 takes a product once per order, so equal products add up."""
    if not row.order_quantity and not value:
        return  # a line cancelled to nothing
    sku = row.stock_code or ""
    if len(sku) > 50 or not sku:
        raise Hold("missing_product", f"line {row.line:f} has stock code {sku!r}")
    name = context.references.products.get(sku)
    if name is None:
        body.missing[sku] = (sku, row.description or sku, row.uom or "EA")
    item = body.products.setdefault(sku, ProductQuantity(sku, name or row.description or sku))
    item.quantity += row.order_quantity
    item.value += value
    item.sources.append(f"{row.line:f}")
    kept_rule, sum_of_tax = body.product_taxes.get(sku, (rule, ZERO))
    body.product_taxes[sku] = (kept_rule if sum_of_tax else rule, sum_of_tax + tax)


def receipt_key(purchase_order: str, grn: str) -> str:
    """Return the source key of a receipt: one GRN of one order."""
    return f"{purchase_order}|{grn}"


def plan_receipts(parts: OrderParts, order: Planned, context: PlanContext) -> list[Planned]:
    """Plan the receipts of an order, one per GRN, in the order they came."""
    by_grn: dict[str, list[ReceiptRow]] = {}
    in_order = sorted(
        parts.receipts, key=lambda r: (str(r.receipt_date), r.grn, r.journal, r.journal_entry)
    )
    for row in in_order:
        by_grn.setdefault(row.grn, []).append(row)
    types = {line.line: line.line_type for line in parts.lines}
    return [
        _plan_receipt(parts, grn, rows, types, order, context) for grn, rows in by_grn.items()
    ]


def _plan_receipt(
    parts: OrderParts,
    grn: str,
    rows: list[ReceiptRow],
    types: Mapping[Decimal, str | None],
    order: Planned,
    context: PlanContext,
) -> Planned:
    purchase_order = parts.order.purchase_order
    key = receipt_key(purchase_order, grn)
    known = context.known.get((Kind.RECEIPT, key))

    def build() -> tuple[Verdict, ReceiptContent, list[Any]]:
        _check_lines(parts, grn, rows, types)
        stocked = [r for r in rows if types[r.line] == STOCKED]
        if not stocked:
            raise Hold("not_stocked", f"GRN {grn} has non-stocked lines only")
        in_cin7 = context.known.get((Kind.PURCHASE_ORDER, purchase_order))
        is_there = in_cin7 is not None and in_cin7.state == "done"
        stopped = order.verdict in (Verdict.HELD, Verdict.EXCLUDED)
        if stopped and known is None and not is_there:
            raise Hold("order_held", f"purchase order {purchase_order}: {order.reason}")
        received = rows[0].receipt_date
        if received is None or rows[0].partition is None:
            raise Hold("undated", f"GRN {grn} has no receipt date")
        content = ReceiptContent(
            purchase_order=purchase_order,
            grn=grn,
            received=received,
            lines=_receipt_lines(stocked),
        )
        verdict, content, changed = judge(known, content, may_update=lambda *_: False)
        if verdict in READY:
            context.guard_period(received)
        return verdict, content, changed

    return planned(
        Planned(
            Kind.RECEIPT,
            key,
            Verdict.HELD,
            sum((r.value for r in rows), ZERO),
            currency=context.connection.syspro.local_currency,
            supplier=parts.order.supplier,
            home=rows[0].partition,
            stage=Stage.RECEIVE,
        ),
        build,
    )


def _check_lines(
    parts: OrderParts, grn: str, rows: list[ReceiptRow], types: Mapping[Decimal, str | None]
) -> None:
    """Hold a receipt of which a line may be left out, because nobody knows what it is.

    Raises:
        Hold: unreadable_row, line_missing.
    """
    if parts.is_broken:
        raise Hold("unreadable_row", "a line of the order could not be read; see its row")
    absent = sorted({r.line for r in rows} - types.keys())
    if absent:
        lines = ", ".join(f"{line:f}" for line in absent)
        order = parts.order.purchase_order
        raise Hold("line_missing", f"GRN {grn} is of line {lines} of purchase order {order}")


def plan_stray_receipts(
    purchase_order: str, rows: Iterable[ReceiptRow], context: PlanContext
) -> list[Planned]:
    """Plan receipts whose order SYSPRO does not show: they wait, and are seen.

    Those that name none, with a blank order, are held.
    """
    reason = REASONS["order_missing" if purchase_order else "no_order"]
    said = f"SYSPRO does not show purchase order {purchase_order!r}"
    by_grn: dict[str, list[ReceiptRow]] = {}
    for row in rows:
        by_grn.setdefault(row.grn, []).append(row)
    return [
        Planned(
            Kind.RECEIPT,
            receipt_key(purchase_order, grn),
            reason.verdict,
            sum((r.value for r in group), ZERO),
            currency=context.connection.syspro.local_currency,
            supplier=group[0].supplier,
            home=group[0].partition,
            reason_code=reason.code,
            reason=said if purchase_order else f"GRN {grn} names no purchase order",
        )
        for grn, group in by_grn.items()
    ]


def _receipt_lines(rows: list[ReceiptRow]) -> tuple[ReceiptLine, ...]:
    quantities: dict[str, Decimal] = {}
    for row in rows:
        sku = row.stock_code or ""
        quantities[sku] = quantities.get(sku, ZERO) + row.quantity
    return tuple(
        ReceiptLine(sku=sku, quantity=checked_quantity(sku, quantity))
        for sku, quantity in quantities.items()
    )
