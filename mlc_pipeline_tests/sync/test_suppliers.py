"""Suppliers: what makes two names one, the first link, the wanted supplier."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_pipeline.sync.bodies import supplier_put
from mlc_pipeline.sync.content import SupplierContent
from mlc_pipeline.sync.plan import Hold, Known, Planned
from mlc_pipeline.sync.rows import SupplierRow
from mlc_pipeline.sync.suppliers import (
    Cin7Supplier,
    SupplierIndex,
    normalised_name,
    normalised_tax_number,
    plan_suppliers,
    shared_names,
    shown_code,
    supplier_content,
)
from mlc_pipeline.sync.vocabulary import Kind, Verdict
from mlc_pipeline_tests.contract.openapi import validate_request
from mlc_pipeline_tests.sync.examples import SUPPLIER, context

NOBODY: frozenset[str] = frozenset()


# --- names ---


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HEATHCOTES LTD", "Heathcotes Limited"),
        ("Heathcotes Ltd.", "HEATHCOTES, LTD"),
        ("THE Smith & Sons Ltd.", "smith and sons limited"),
        ("Café Müller", "CAFE MULLER"),
        ("Straße AG", "STRASSE AG"),
        ("O'Brien Bros", "OBRIEN BROTHERS"),
        ("O’Brien Bros", "OBRIEN BROTHERS"),
        ("  A  B   Co ", "a b company"),
        ("A-B Pty", "A B Proprietary"),
        ("Acme Inc", "ACME INCORPORATED"),
        ("Acme Corp", "ACME CORPORATION"),
        ("ＡＣＭＥ Ｌｔｄ", "Acme Ltd"),
    ],
)
def test_names_that_are_one_company_are_equal(one: str, other: str) -> None:
    assert normalised_name(one) == normalised_name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HEATHCOTES LTD", "HEATHCOTES M LTD"),
        ("Acme PLC", "Acme Ltd"),
        ("Acme", "Acme Ltd"),
        ("Acme (UK) Ltd", "Acme Ltd"),
        ("Acme 1", "Acme 2"),
        ("The", "Acme"),
    ],
)
def test_names_that_may_be_two_companies_are_not(one: str, other: str) -> None:
    assert normalised_name(one) != normalised_name(other)


@given(st.text(max_size=60))
def test_a_normalised_name_stays_as_it_is(name: str) -> None:
    once = normalised_name(name)
    assert normalised_name(once) == once


_WORDS = ("the", "The", "ltd", "LTD.", "co", "&", "and", "smith", "Ärzte", "'", "bros")


@given(st.lists(st.sampled_from(_WORDS), max_size=8).map(" ".join))
def test_a_normalised_name_of_usual_words_stays_as_it_is(name: str) -> None:
    once = normalised_name(name)
    assert normalised_name(once) == once


@pytest.mark.parametrize(
    ("number", "expected"),
    [("GB 123-456.78", "GB12345678"), ("", None), (None, None), ("n/a", "NA"), ("-", None)],
)
def test_a_tax_number_is_its_letters_and_digits(
    number: str | None, expected: str | None
) -> None:
    assert normalised_tax_number(number) == expected


def test_codes_are_shown_without_filling_zeros_and_never_emptied() -> None:
    assert [shown_code(c) for c in ("000123", "0000", "A0012", "00A1")] == [
        "123",
        "0000",
        "A0012",
        "00A1",
    ]


# --- the first link ---


def row(**changes: Any) -> SupplierRow:
    values: dict[str, Any] = {"supplier": SUPPLIER, "name": "HEATHCOTES LTD"}
    return SupplierRow(**{**values, **changes})


def find(
    *suppliers: Cin7Supplier,
    linked: dict[str, str] | None = None,
    shared: frozenset[str] = NOBODY,
    **changes: Any,
) -> str | None:
    wanted = row(**changes)
    content = supplier_content(wanted, context(), shared)
    found = SupplierIndex(suppliers, linked or {}).find(wanted, content, shared)
    return found.id if found else None


MARKER = f"SYSPRO:ACME:SUP:{SUPPLIER}"


def test_the_marker_wins_over_every_name_and_number() -> None:
    marked = Cin7Supplier("1", "Something else", "USD", "X1", MARKER)
    same = Cin7Supplier("2", "Heathcotes Ltd", "GBP", "GB1")
    assert find(marked, same, tax_number="GB1") == "1"


def test_two_suppliers_with_the_marker_are_held() -> None:
    with pytest.raises(Hold, match=r"supplier_ambiguous.*One \(1\), Two \(2\).*marker"):
        find(Cin7Supplier("1", "One", marker=MARKER), Cin7Supplier("2", "Two", marker=MARKER))


def test_a_name_alone_links_when_nothing_contradicts() -> None:
    assert find(Cin7Supplier("1", "Heathcotes Limited", "GBP")) == "1"


def test_a_tax_number_alone_links_when_nothing_contradicts() -> None:
    assert find(Cin7Supplier("1", "HC", tax_number="gb 1"), tax_number="GB1") == "1"


def test_no_agreement_is_no_link() -> None:
    assert find(Cin7Supplier("1", "Heathcotes M Ltd", "GBP")) is None


def test_two_agreements_are_held_with_both_named() -> None:
    same = Cin7Supplier("1", "Heathcotes Ltd"), Cin7Supplier("2", "HEATHCOTES LIMITED")
    with pytest.raises(Hold, match=r"Heathcotes Ltd \(1\), HEATHCOTES LIMITED \(2\)"):
        find(*same)


def test_a_tax_number_and_a_name_of_two_suppliers_are_held() -> None:
    by_name, by_tax = (
        Cin7Supplier("1", "Heathcotes Ltd"),
        Cin7Supplier("2", "Other", tax_number="GB1"),
    )
    with pytest.raises(Hold, match="supplier_ambiguous"):
        find(by_name, by_tax, tax_number="GB1")


@pytest.mark.parametrize(
    "contradicting",
    [
        Cin7Supplier("1", "Heathcotes Ltd", currency="USD"),
        Cin7Supplier("1", "Heathcotes Ltd", tax_number="GB2"),
        Cin7Supplier("1", "Other", currency="USD", tax_number="GB1"),
    ],
)
def test_an_agreement_that_is_contradicted_is_held(contradicting: Cin7Supplier) -> None:
    with pytest.raises(Hold, match=r"supplier_ambiguous.*agrees"):
        find(contradicting, tax_number="GB1")


def test_a_shared_name_is_never_matched_by_name_and_is_by_tax_number() -> None:
    shared = frozenset({normalised_name("HEATHCOTES LTD")})
    with pytest.raises(Hold, match="several SYSPRO suppliers share"):
        find(Cin7Supplier("1", "Heathcotes Ltd"), shared=shared)
    taxed = Cin7Supplier("1", "Heathcotes Ltd", tax_number="GB1")
    assert find(taxed, shared=shared, tax_number="GB1") == "1"


def test_a_supplier_that_is_linked_already_is_not_taken() -> None:
    assert find(Cin7Supplier("1", "Heathcotes Ltd"), linked={"1": "000999"}) is None


def test_a_supplier_with_the_marker_of_another_is_not_taken() -> None:
    other = Cin7Supplier("1", "Heathcotes Ltd", marker="SYSPRO:ACME:SUP:000999")
    assert find(other) is None


@pytest.mark.parametrize("name", [None, "", "...", "-"])
def test_a_name_without_a_letter_or_digit_proves_nothing(name: str | None) -> None:
    assert find(Cin7Supplier("1", "***"), name=name) is None


# --- the wanted supplier ---


def test_names_under_several_codes_are_shared() -> None:
    rows = [row(), row(supplier="2", name="Heathcotes Limited"), row(supplier="3", name="X")]
    assert shared_names(rows) == {"heathcotes limited"}


def test_a_shared_name_gets_its_code() -> None:
    shared = frozenset({"heathcotes limited"})
    content = supplier_content(row(), context(), shared)
    assert content.name == "HEATHCOTES LTD [123]"
    assert supplier_content(row(), context(), NOBODY).name == "HEATHCOTES LTD"


def test_a_supplier_takes_mapped_values_and_defaults() -> None:
    plain = supplier_content(row(), context(), NOBODY)
    assert (plain.currency, plain.payment_term, plain.accounts_payable) == (
        "GBP",
        "30 days",
        "800",
    )
    mapped = supplier_content(
        row(currency="€", terms_code="60", default_tax_code="B"), context(), NOBODY
    )
    assert (mapped.currency, mapped.payment_term, mapped.tax_rule) == (
        "EUR",
        "60 days",
        "5% (VAT)",
    )


def test_addresses_and_contacts_keep_what_there_is() -> None:
    content = supplier_content(
        row(address2="1 High St", address3="York", address5="Eire", telephone="01"),
        context(),
        NOBODY,
    )
    assert content.address is not None
    assert content.contact is not None
    assert (content.address.line1, content.address.line2) == ("1 High St", None)
    assert (content.address.city, content.address.country) == ("York", "Eire")
    assert (content.contact.name, content.contact.phone) == ("HEATHCOTES LTD", "01")
    bare = supplier_content(row(), context(), NOBODY)
    assert (bare.address, bare.contact) == (None, None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"currency": "ZZZ"}, "currency_unmapped"),
        ({"terms_code": "77"}, "terms_unmapped"),
        ({"terms_code": "90"}, "terms_unmapped"),
        ({"default_tax_code": "Q"}, "tax_unmapped"),
        ({"default_tax_code": "X"}, "tax_unmapped"),
        ({"default_tax_code": "Y"}, "tax_unmapped"),
    ],
)
def test_a_supplier_with_an_unmapped_code_is_held(changes: dict[str, Any], code: str) -> None:
    (planned,) = plan(row(**changes))
    assert (planned.verdict, planned.reason_code) == (Verdict.HELD, code)
    assert planned.content is None


def plan(
    *rows: SupplierRow, known: Any = None, suppliers: tuple[Cin7Supplier, ...] = ()
) -> list[Planned]:
    return plan_suppliers(rows, context(known), SupplierIndex(suppliers, {}), NOBODY)


def known_as(content: SupplierContent, **changes: Any) -> dict[Any, Known]:
    values: dict[str, Any] = {
        "state": "done",
        "content_hash": content.digest(),
        "content": content.to_json(),
        "cin7_id": "1",
    }
    return {(Kind.SUPPLIER, SUPPLIER): Known(**{**values, **changes})}


def test_an_unknown_supplier_is_created_and_a_found_one_adopted() -> None:
    (created,) = plan(row())
    assert (created.verdict, created.difference) == (Verdict.CREATE, ())
    (adopted,) = plan(row(), suppliers=(Cin7Supplier("7", "Heathcotes Ltd"),))
    assert adopted.verdict is Verdict.CREATE
    assert adopted.difference == ({"field": "adopt", "after": "7"},)


def test_a_linked_supplier_is_never_looked_for_again() -> None:
    known = known_as(supplier_content(row(), context(), NOBODY))
    twins = Cin7Supplier("7", "Heathcotes Ltd"), Cin7Supplier("8", "Heathcotes Ltd")
    (planned,) = plan(row(), known=known, suppliers=twins)
    assert planned.verdict is Verdict.UNCHANGED


def test_a_changed_supplier_is_updated_with_the_difference_shown() -> None:
    known = known_as(supplier_content(row(), context(), NOBODY))
    (planned,) = plan(row(terms_code="60"), known=known)
    assert planned.verdict is Verdict.UPDATE
    assert planned.difference == (
        {"field": "payment_term", "before": "30 days", "after": "60 days"},
    )


FULL = {
    "tax_number": "GB1",
    "telephone": "1",
    "fax": "2",
    "email": "a@b.example",
    "address1": "1 High St",
    "address2": "Leeds",
    "address4": "Yorks",
    "postal_code": "LS1",
}


def wired(planned: Planned) -> dict[str, Any]:
    """Return what Cin7 is sent to update a supplier that has one address and contact."""
    assert isinstance(planned.content, SupplierContent)
    identity = "11111111-1111-4111-8111-111111111111"
    current = {name: [{"ID": identity}] for name in ("Addresses", "Contacts")}
    wire: dict[str, Any] = supplier_put(identity, planned.content, current).to_wire()
    validate_request("PUT", "/supplier", wire)
    return wire


def test_what_is_removed_in_syspro_is_removed_in_cin7_once() -> None:
    known = known_as(supplier_content(row(**FULL), context(), NOBODY))
    less = row(**{**FULL, "tax_number": None, "fax": None, "address4": None})
    (planned,) = plan(less, known=known)
    assert planned.verdict is Verdict.UPDATE
    wire = wired(planned)
    assert (
        wire["TaxNumber"] == wire["Contacts"][0]["Fax"] == wire["Addresses"][0]["State"] == ""
    )
    assert (wire["Contacts"][0]["Phone"], wire["Addresses"][0]["Line2"]) == ("1", "Leeds")
    assert isinstance(planned.content, SupplierContent)
    (again,) = plan(less, known=known_as(planned.content))
    assert again.verdict is Verdict.UNCHANGED


def test_a_contact_that_is_removed_is_blank_and_an_address_stays() -> None:
    """Cin7 takes no address without a first line, and removes none."""
    known = known_as(supplier_content(row(**FULL), context(), NOBODY))
    (planned,) = plan(row(), known=known)
    wire = wired(planned)
    assert [wire["Contacts"][0][name] for name in ("Phone", "Fax", "Email")] == ["", "", ""]
    assert wire["Contacts"][0]["Name"] == "HEATHCOTES LTD"
    assert wire["Addresses"][0]["Line1"] == "1 High St"
    assert isinstance(planned.content, SupplierContent)
    (again,) = plan(row(), known=known_as(planned.content))
    assert again.verdict is Verdict.UNCHANGED


def test_what_syspro_never_had_is_left_as_it_is_in_cin7() -> None:
    known = known_as(supplier_content(row(), context(), NOBODY))
    (planned,) = plan(row(terms_code="60"), known=known)
    assert {"TaxNumber", "Addresses", "Contacts"}.isdisjoint(wired(planned))


def test_a_supplier_half_made_is_looked_for_again() -> None:
    known = {(Kind.SUPPLIER, SUPPLIER): Known("started")}
    (planned,) = plan(row(), known=known, suppliers=(Cin7Supplier("7", "x", marker=MARKER),))
    assert planned.difference == ({"field": "adopt", "after": "7"},)
