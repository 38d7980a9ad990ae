"""Request bodies are closed, exact, and what the API description accepts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from pydantic import ValidationError

from mlc_pipeline.cin7 import requests as r
from mlc_pipeline.cin7.decimals import dumps, loads
from mlc_pipeline_tests.cin7.support import ID, OTHER_ID

CONTRACT = Path(__file__).parents[1] / "contract" / "cin7-core.openapi.yaml"
SCHEMAS: dict[str, Any] = yaml.safe_load(CONTRACT.read_text("utf-8"))["components"]["schemas"]


def _validator(name: str) -> Any:
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
    checker = validator_for(schema, default=Draft202012Validator).FORMAT_CHECKER
    return Draft202012Validator(schema, format_checker=checker)


def _optional(**strategies: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: st.none() | strategy for name, strategy in strategies.items()}


def _text(limit: int, least: int = 0) -> st.SearchStrategy[str]:
    return st.text(min_size=least, max_size=limit)


def _of(model: type[r.Body], **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(strategies).map(lambda values: model(**values))


@st.composite
def _priced(draw: st.DrawFn) -> dict[str, Any]:
    quantity = draw(st.decimals("0.0001", 9999, places=4))
    price = draw(st.decimals(-99999, 99999, places=4))
    discount = draw(st.none() | st.decimals(0, 100, places=2))
    return {
        "quantity": quantity,
        "price": price,
        "discount": discount,
        "tax": draw(st.decimals(-9999, 9999, places=4)),
        "tax_rule": draw(_text(50, 1)),
        "total": r.line_total(quantity, price, discount, draw(st.sampled_from([2, 4]))),
    }


def _lines(
    model: type[r.Body], **strategies: st.SearchStrategy[Any]
) -> st.SearchStrategy[tuple[r.Body, ...]]:
    others = st.fixed_dictionaries(strategies)
    line = st.builds(lambda priced, other: model(**priced, **other), _priced(), others)
    return st.lists(line, max_size=2).map(tuple)


_GUIDS = st.uuids().map(str)
_DATES = st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31))
_STATUSES = st.sampled_from(["DRAFT", "AUTHORISED"])
_ATTRIBUTES = _optional(additional_attribute1=_text(256), additional_attribute10=_text(256))
_ADDRESS = _optional(line2=_text(256), city=_text(256), state=_text(256), postcode=_text(20))
_SUPPLIER = {
    "name": _text(256, 1),
    "currency": st.sampled_from(["GBP", "EUR", "USD"]),
    "payment_term": _text(256, 1),
    "account_payable": _text(50, 1),
    "tax_rule": _text(50, 1),
    "status": st.sampled_from(["Active", "Deprecated"]),
    **_ATTRIBUTES,
    **_optional(
        discount=st.integers(0, 100),
        comments=_text(256),
        tax_number=_text(20),
        attribute_set=_text(50),
        addresses=st.lists(
            _of(
                r.SupplierAddress,
                line1=_text(256, 1),
                country=_text(50, 1),
                type=st.sampled_from(["Billing", "Business", "Shipping"]),
                **_ADDRESS,
                **_optional(id=_GUIDS, default_for_type=st.booleans()),
            ),
            max_size=2,
        ),
        contacts=st.lists(
            _of(
                r.SupplierContact,
                name=_text(256, 1),
                **_optional(
                    id=_GUIDS,
                    phone=_text(50),
                    mobile_phone=_text(50),
                    fax=_text(50),
                    email=_text(256),
                    website=_text(256),
                    comment=_text(256),
                    default=st.booleans(),
                    include_in_email=st.booleans(),
                    marketing_consent=st.integers(1, 3),
                ),
            ),
            max_size=2,
        ),
    ),
}
_HEADER = {
    "supplier_id": _GUIDS,
    "location": _text(256, 1),
    **_optional(
        contact=_text(256),
        phone=_text(50),
        blind_receipt=st.booleans(),
        billing_address=_of(r.Address, line1=_text(256, 1), country=_text(256, 1), **_ADDRESS),
        shipping_address=_of(
            r.ShippingAddress,
            line1=_text(256, 1),
            country=_text(256, 1),
            **_optional(ship_to_other=st.booleans(), company=_text(128)),
        ),
        tax_rule=_text(50),
        tax_calculation=st.sampled_from(["Inclusive", "Exclusive"]),
        terms=_text(256),
        required_by=_DATES,
        note=_text(1024),
        currency_rate=st.decimals("0.00001", 9999, places=5),
        additional_attributes=_of(r.AdditionalAttributes, **_ATTRIBUTES),
        is_service_only=st.booleans(),
    ),
    "approach": st.just("INVOICE"),
}
_NAMED = {"sku": _text(50, 1), **_optional(product_id=_GUIDS, comment=_text(256))}
_CHARGE = {"description": _text(256, 1), **_optional(reference=_text(256))}
_INVOICE_LINES = _lines(r.InvoiceLine, name=_text(1024, 1), account=_text(50, 1), **_NAMED)
_INVOICE_CHARGES = _lines(r.InvoiceCharge, account=_text(50, 1), **_CHARGE)
_STOCK_LINE = _of(
    r.StockLine,
    date=_DATES,
    quantity=st.decimals("0.0001", 9999, places=4),
    sku=_text(50, 1),
    **_optional(
        product_id=_GUIDS,
        location=_text(256),
        location_id=_GUIDS,
        batch_sn=_text(50),
        supplier_sku=_text(50),
        expiry_date=_DATES,
        card_id=_GUIDS,
    ),
)
_UNSTOCK_LINE = _of(
    r.UnstockLine,
    card_id=_GUIDS,
    quantity=st.decimals("0.0001", 9999, places=4),
    date=st.none() | _DATES,
)

BODIES: dict[str, st.SearchStrategy[Any]] = {
    "SupplierPost": _of(r.SupplierPost, **_SUPPLIER),
    "SupplierPut": _of(r.SupplierPut, id=_GUIDS, **_SUPPLIER),
    "AdvancedPurchasePost": _of(
        r.PurchasePost,
        purchase_type=st.sampled_from([None, "Simple", "Advanced"]),
        **_HEADER,
    ),
    "AdvancedPurchasePut": _of(r.PurchasePut, id=_GUIDS, **_HEADER),
    "PurchaseOrderPost": _of(
        r.OrderPost,
        task_id=_GUIDS,
        combine_additional_charges=st.booleans(),
        memo=st.none() | _text(1024),
        status=_STATUSES,
        lines=_lines(
            r.OrderLine, **_NAMED, **_optional(name=_text(1024), supplier_sku=_text(50))
        ),
        additional_charges=_lines(r.OrderCharge, **_CHARGE),
    ),
    "AdvancedPurchaseInvoicePost": _of(
        r.InvoicePost,
        purchase_id=_GUIDS,
        task_id=_GUIDS,
        invoice_date=_DATES,
        invoice_due_date=_DATES,
        invoice_number=st.none() | _text(256),
        status=_STATUSES,
        lines=_INVOICE_LINES,
        additional_charges=_INVOICE_CHARGES,
    ),
    "AdvancedPurchaseStockWrite": _of(
        r.StockPost,
        purchase_id=_GUIDS,
        task_id=_GUIDS,
        status=_STATUSES,
        lines=st.lists(_STOCK_LINE, max_size=2),
    ),
    "AdvancedPurchaseCreditNotePost": _of(
        r.CreditNotePost,
        purchase_id=_GUIDS,
        task_id=_GUIDS,
        credit_note_invoice_number=_text(50, 1),
        credit_note_number=_text(256, 1),
        credit_note_date=_DATES,
        status=_STATUSES,
        lines=_INVOICE_LINES,
        additional_charges=_INVOICE_CHARGES,
        unstock=st.lists(_UNSTOCK_LINE, max_size=2),
    ),
    "ProductPost": _of(
        r.ProductPost,
        sku=_text(50, 1),
        name=_text(256, 1),
        category=_text(256, 1),
        type=st.sampled_from(["Stock", "Service"]),
        costing_method=st.sampled_from(["FIFO", "FIFO - Batch", "Special - Serial Number"]),
        uom=_text(50, 1),
        status=st.sampled_from(["Active", "Setup required", "Deprecated"]),
        **_optional(
            purchase_tax_rule=_text(50),
            inventory_account=_text(50),
            cogs_account=_text(50),
            revenue_account=_text(50),
        ),
    ),
}


@pytest.mark.parametrize("name", BODIES)
@given(data=st.data())
def test_every_body_is_what_the_api_description_accepts(name: str, data: st.DataObject) -> None:
    body = data.draw(BODIES[name])
    sent = loads(dumps(body.to_wire()))
    assert list(_validator(name).iter_errors(sent)) == []
    assert set(sent) <= set(SCHEMAS[name]["properties"])
    assert type(body).model_validate(sent) == body


def test_the_api_description_itself_is_closed() -> None:
    sent = _line().to_wire() | {"PurchaseOrderNumber": "000123"}
    assert list(_validator("PurchaseOrderLineWrite").iter_errors(sent)) != []
    assert list(_validator("SupplierPut").iter_errors({"ID": "no uuid"})) != []


@pytest.mark.parametrize("name", BODIES)
def test_every_model_knows_only_fields_of_the_api_description(name: str) -> None:
    sent: dict[str, type[r.Body]] = {
        "SupplierPost": r.SupplierPost,
        "SupplierPut": r.SupplierPut,
        "AdvancedPurchasePost": r.PurchasePost,
        "AdvancedPurchasePut": r.PurchasePut,
        "PurchaseOrderPost": r.OrderPost,
        "AdvancedPurchaseInvoicePost": r.InvoicePost,
        "AdvancedPurchaseStockWrite": r.StockPost,
        "AdvancedPurchaseCreditNotePost": r.CreditNotePost,
        "ProductPost": r.ProductPost,
    }
    names = {field.alias for field in sent[name].model_fields.values()}
    assert names <= set(SCHEMAS[name]["properties"])


def _models() -> Iterator[type[r.Body]]:
    for found in vars(r).values():
        if isinstance(found, type) and issubclass(found, r.Body):
            yield found


def _line(**changes: Any) -> r.OrderLine:
    fields: dict[str, Any] = {
        "sku": "A-1",
        "quantity": Decimal(3),
        "price": Decimal("1.3333"),
        "tax": Decimal(0),
        "tax_rule": "No VAT",
        "total": Decimal("4.00"),
    }
    return r.OrderLine(**fields | changes)


@pytest.mark.parametrize("model", list(_models()), ids=lambda model: model.__name__)
def test_an_unknown_field_is_refused(model: type[r.Body]) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({"PurchaseOrderNumber": "000123"})
    assert "extra_forbidden" in {error["type"] for error in caught.value.errors()}


def test_a_body_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        _line().quantity = Decimal(4)  # type: ignore[misc]


def test_unset_fields_stay_away_and_blanks_travel() -> None:
    body = r.SupplierPut(
        id=ID,
        name="Acme",
        currency="GBP",
        payment_term="30 days",
        account_payable="800",
        tax_rule="No VAT",
        status="Active",
        comments="",
    )
    assert body.to_wire() == {
        "ID": ID,
        "Name": "Acme",
        "Currency": "GBP",
        "PaymentTerm": "30 days",
        "AccountPayable": "800",
        "TaxRule": "No VAT",
        "Status": "Active",
        "Comments": "",
    }


def test_a_date_travels_as_its_day_at_midnight() -> None:
    line = r.StockLine(date=dt.date(2016, 4, 4), quantity=Decimal(1), product_id=ID)
    assert line.to_wire()["Date"] == "2016-04-04T00:00:00"


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": 3.0},
        {"price": Decimal("1.33333")},
        {"quantity": Decimal(0)},
        {"sku": "x" * 51},
        {"sku": None},
        {"tax_rule": ""},
        {"total": Decimal("4.01")},
        {"discount": Decimal(101)},
        {"price": Decimal("NaN")},
        {"total": None},
    ],
)
def test_what_cin7_would_refuse_is_refused_before(changes: dict[str, Any]) -> None:
    assert _line()
    with pytest.raises(ValidationError):
        _line(**changes)


def test_trailing_zeros_are_no_decimals() -> None:
    line = _line(quantity=Decimal("3.000000"), price=Decimal("1.33330"))
    assert dumps(line.to_wire()["Price"]) == b"1.33330"


def test_a_service_purchase_is_invoiced_first() -> None:
    with pytest.raises(ValidationError, match="needs Approach INVOICE"):
        r.PurchasePost(supplier_id=ID, location="Main", approach="STOCK", is_service_only=True)


def test_a_receipt_always_names_its_task() -> None:
    with pytest.raises(ValidationError, match="TaskID"):
        r.StockPost(purchase_id=ID, status="DRAFT")
    assert r.StockPost(purchase_id=ID, task_id=r.NEW_TASK, status="DRAFT").to_wire() == {
        "PurchaseID": ID,
        "TaskID": r.NEW_TASK,
        "Status": "DRAFT",
        "Lines": [],
    }


def test_an_update_of_a_supplier_says_its_status() -> None:
    with pytest.raises(ValidationError, match="Status"):
        r.SupplierPut(
            id=OTHER_ID,
            name="Acme",
            currency="GBP",
            payment_term="30 days",
            account_payable="800",
            tax_rule="No VAT",
        )


@pytest.mark.parametrize(
    ("quantity", "price", "discount", "decimals", "expected"),
    [
        ("1", "0.005", None, 2, "0.01"),
        ("1", "-0.005", None, 2, "-0.01"),
        ("3", "1.3333", None, 2, "4.00"),
        ("3", "1.3333", None, 4, "3.9999"),
        ("100", "0.35", "3.90", 2, "33.64"),  # 33.635 exactly
        # (10^14 - 10^-4)^2 = 10^28 - 2 x 10^10 + 10^-8: more digits than a default context
        ("99999999999999.9999", "99999999999999.9999", "0", 4, f"{10**28 - 2 * 10**10}.0000"),
    ],
)
def test_a_line_total_is_rounded_half_away_from_zero(
    quantity: str, price: str, discount: str | None, decimals: int, expected: str
) -> None:
    found = r.line_total(
        Decimal(quantity),
        Decimal(price),
        None if discount is None else Decimal(discount),
        decimals,
    )
    assert found == Decimal(expected)
    assert -found.as_tuple().exponent == decimals  # type: ignore[operator]


@given(
    st.decimals(0, 999999, places=4),
    st.decimals(-999999, 999999, places=4),
    st.decimals(0, 100, places=2),
    st.sampled_from([2, 4]),
)
def test_a_line_total_is_exact_to_half_a_unit(
    quantity: Decimal, price: Decimal, discount: Decimal, decimals: int
) -> None:
    found = r.line_total(quantity, price, discount, decimals)
    exact = Fraction(quantity) * Fraction(price) * (100 - Fraction(discount)) / 100
    error = abs(exact) - abs(Fraction(found))
    half = Fraction(1, 2 * 10**decimals)
    assert -half <= error < half
    assert found == found.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
