"""Proposals for gl_accounts.csv, held against a mapping that is known."""

from __future__ import annotations

import random
from collections.abc import Mapping
from decimal import Decimal

import pytest

from mlc_pipeline.connection.mappings import AccountMapping, MappedAccount
from mlc_pipeline.connection.model import GlCode
from mlc_pipeline.connection.targets import BookAccount, Books, BookTaxRule
from mlc_pipeline.sync.proposals import (
    Proposal,
    SysproAccount,
    accounts_of,
    accuracy,
    propose,
    unmapped,
)

LAYOUT = GlCode(separator=".", account_section=2, cost_centre_section=1)
CLASSES = ("EXPENSE", "ASSET", "LIABILITY")
USED = {"10.7010": (3, Decimal("120.00")), "20.7310": (1, Decimal("-5.50"))}


def book(
    name: str, cls: str = "EXPENSE", system: str = "", status: str = "ACTIVE"
) -> BookAccount:
    return BookAccount(status, cls, name, cls, system)


BOOKS = Books(
    accounts={
        "200": book("Sales of raw materials", "REVENUE"),
        "401": book("Raw materials, old", status="ARCHIVED"),
        "630": book("Inventory", "ASSET"),
        "800": book("Accounts payable", "LIABILITY", "Accounts payable"),
        "820": book("Sales tax", "LIABILITY"),
        "40010": book("Raw materials consumed"),
        "40020": book("Freight inwards"),
        "40030": book("Professional fees: legal"),
        "40040": book("Professional fees: audit"),
    },
    tax_rules={"20%": BookTaxRule("820")},
)


def proposed(*chart: tuple[str, str, str], tax: tuple[str, ...] = ()) -> dict[str, Proposal]:
    accounts = accounts_of(chart, USED, tax, LAYOUT)
    return {p.account.code: p for p in propose(accounts, BOOKS, CLASSES)}


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("Raw materials consumed", "40010"),
        ("RAW MATERIALS - CONSUMED", "40010"),
        ("Consumed raw materials", "40010"),
        ("Freight, inward", "40020"),
        ("PROF FEES LEGAL", "40030"),
        ("Car park", ""),
        ("Professional fees", ""),  # legal or audit?
    ],
)
def test_an_account_is_proposed_by_its_name_and_only_when_it_is_clear(
    name: str, account: str
) -> None:
    found = proposed(("10.7010", name, "E"))["7010"]
    assert found.cin7_account == account
    assert 0 <= found.score <= 100
    if not account:
        assert found.reason.startswith(("nothing near enough", "not clear"))


def test_another_class_or_a_retired_account_is_not_proposed() -> None:
    assert proposed(("10.4000", "Sales of raw materials", "E"))["4000"].cin7_account != "200"
    assert proposed(("10.7010", "Raw materials, old", "E"))["7010"].cin7_account != "401"
    liability = proposed(("10.7010", "Raw materials consumed", "L"))["7010"]
    assert "class EXPENSE, not LIABILITY" in liability.reason
    assert liability.cin7_account == ""


def test_control_accounts_are_known_by_what_they_are_for() -> None:
    found = proposed(
        ("00.2100", "Trade creditors", "L"),
        ("00.2200", "Input duty", "L"),
        ("00.1400", "Stock", "A"),
        tax=("00.2200",),
    )
    assert [(p.cin7_account, p.role) for p in (found["2100"], found["2200"])] == [
        ("800", "payable"),
        ("820", "tax"),
    ]
    assert (found["1400"].cin7_account, found["1400"].role) == ("630", "")


def test_the_money_of_every_code_of_a_section_hangs_on_it() -> None:
    chart = (("10.7010", "Raw", "E"), ("20.7010", "Raw", "E"), ("30", "Odd", "E"))
    accounts = accounts_of(chart, {**USED, "30.7010": (1, Decimal("1.25"))}, (), LAYOUT)
    found = {(a.match, a.code): (a.postings, a.amount) for a in accounts}
    assert found == {
        ("section", "7010"): (4, Decimal("121.25")),
        ("section", "7310"): (1, Decimal("-5.50")),
        ("exact", "30"): (0, Decimal(0)),
    }
    assert accounts[0].code == "7010"  # the most money first


def test_what_is_mapped_is_not_proposed_again() -> None:
    mapping = AccountMapping(
        {("section", "7010"): MappedAccount("40010", "expense", "section 7010")}, LAYOUT
    )
    accounts = accounts_of((("10.7010", "Raw", "E"),), USED, (), LAYOUT)
    assert [a.code for a in unmapped(accounts, mapping)] == ["7310"]


# --- precision and recall against a mapping that is known -----------------------------

NAMES = (
    "Raw materials consumed",
    "Packaging",
    "Freight inwards",
    "Customs duty",
    "Subcontract machining",
    "Consumable tools",
    "Machine maintenance",
    "Building maintenance",
    "Electricity",
    "Gas",
    "Water and sewerage",
    "Business rates",
    "Rent of premises",
    "Vehicle leasing",
    "Fuel",
    "Travel and subsistence",
    "Telephone and internet",
    "Software licences",
    "Computer equipment",
    "Stationery and printing",
    "Legal fees",
    "Audit fees",
    "Consultancy fees",
    "Recruitment",
    "Training courses",
    "Advertising",
    "Insurance premiums",
    "Bank charges",
    "Cleaning services",
    "Waste disposal",
)
SHORT = {
    "maintenance": "maint",
    "equipment": "equip",
    "machining": "mach",
    "subcontract": "subcon",
    "consultancy": "consult",
    "computer": "comp",
    "insurance": "ins",
    "advertising": "advert",
    "telephone": "tel",
    "and": "&",
}


def untidy(name: str, chance: random.Random) -> str:
    """Write a name as another bookkeeper would: short words, other order, capitals, a slip."""
    words = [SHORT.get(w, w) if chance.random() < 0.5 else w for w in name.lower().split()]
    if chance.random() < 0.3:
        chance.shuffle(words)
    text = " ".join(words)
    if chance.random() < 0.2 and len(text) > 6:
        at = chance.randrange(1, len(text) - 1)
        text = text[:at] + text[at + 1 :]
    return text.upper() if chance.random() < 0.5 else text.capitalize()


def known_mapping(codes: Mapping[str, str]) -> AccountMapping:
    return AccountMapping(
        {("section", c): MappedAccount(a, "expense", f"section {c}") for c, a in codes.items()},
        LAYOUT,
    )


def test_an_untidy_chart_is_proposed_with_few_errors() -> None:
    chance = random.Random(20260902)
    codes = {str(7000 + 10 * n): str(40_010 + 10 * n) for n in range(len(NAMES))}
    books = Books(
        accounts={a: book(name) for a, name in zip(codes.values(), NAMES, strict=True)}
    )
    chart = [
        (f"10.{code}", untidy(name, chance), "E")
        for code, name in zip(codes, NAMES, strict=True)
    ]
    proposals = propose(accounts_of(chart, {}, (), LAYOUT), books, CLASSES)
    figures = accuracy(proposals, known_mapping(codes))
    assert figures.known == len(NAMES)
    assert figures.precision >= 95
    assert figures.recall >= 80


def test_accuracy_counts_what_it_says() -> None:
    mapping = known_mapping({"1": "a", "2": "b", "3": "c"})
    proposals = [
        Proposal(SysproAccount("section", code, gl_codes={f"10.{code}"}), to, "", "", 90, "")
        for code, to in (("1", "a"), ("2", "x"), ("3", ""), ("4", "d"))
    ]
    figures = accuracy(proposals, mapping)
    assert (figures.known, figures.proposed, figures.right) == (3, 2, 1)
    assert (figures.precision, figures.recall) == (Decimal("50.0"), Decimal("33.3"))
