"""The first link: what proves it, what is proposed, which code a new supplier gets."""

from __future__ import annotations

from typing import Any

import pytest

from mlc_pipeline.sync.plan import Hold
from mlc_pipeline.sync.supplier_codes import new_code, presented
from mlc_pipeline.sync.supplier_matching import Matches, Matching, Party, shared_among
from mlc_pipeline.sync.suppliers import normalised_name
from mlc_pipeline_tests.connection import examples


def _matched(
    syspro: list[Party], cin7: list[Party], barred: tuple[tuple[str, str], ...] = ()
) -> Matches:
    matching = Matching(cin7, shared_among(syspro), shared_among(cin7), barred)
    for party in syspro:
        matching.hold_against(party)
    return matching.found()


def _one(code: str, name: str, **more: str) -> Party:
    return Party(code, name, **more)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("HEATHCOTES LTD", "Heathcotes Limited"),
        ("The Smith & Sons Co", "SMITH AND SONS COMPANY"),
        ("J Bloggs t/a Bloggs Tools", "J Bloggs T/A Bloggs Tools"),
        ("J Bloggs T / A Bloggs Tools", "J Bloggs trading as Bloggs Tools"),
        ("Acme plc", "ACME PUBLIC LIMITED COMPANY"),
    ],
)
def test_one_name_in_two_spellings_is_one_supplier(left: str, right: str) -> None:
    assert _matched([_one("1", left)], [_one("a", right)]).links == {"1": "a"}


def test_a_tax_number_links_where_names_differ_a_little_and_not_where_they_differ() -> None:
    syspro = [
        _one("1", "Acme Holdings Ltd", tax_number="GB 1"),
        _one("2", "Zebra", tax_number="9"),
    ]
    cin7 = [_one("a", "Acme Holding", tax_number="gb1"), _one("b", "Quince", tax_number="9")]
    found = _matched(syspro, cin7)
    assert found.links == {"1": "a"}
    assert [(p.syspro.key, p.cin7.key, p.score) for p in found.proposals] == [("2", "b", 95)]


@pytest.mark.parametrize(
    ("of_syspro", "of_cin7", "told"),
    [
        ({"currency": "GBP"}, {"currency": "EUR"}, "currency differs: GBP and EUR"),
        ({"tax_number": "1"}, {"tax_number": "2"}, "tax number differs: 1 and 2"),
        (
            {"country": "UK"},
            {"country": "France"},
            "country differs: united kingdom and france",
        ),
    ],
)
def test_what_is_contradicted_is_only_proposed(
    of_syspro: dict[str, str], of_cin7: dict[str, str], told: str
) -> None:
    found = _matched([_one("1", "Acme Ltd", **of_syspro)], [_one("a", "Acme Ltd", **of_cin7)])
    assert found.links == {}
    (proposal,) = found.proposals
    assert told in proposal.reasons


def test_two_spellings_of_one_country_are_no_contradiction() -> None:
    left, right = _one("1", "Acme", country="UK"), _one("a", "Acme", country="United Kingdom")
    assert _matched([left], [right]).links == {"1": "a"}


def test_a_name_under_several_keys_of_either_side_links_nothing() -> None:
    twice = [_one("1", "Acme Ltd"), _one("2", "ACME LIMITED")]
    once = [_one("a", "Acme Ltd")]
    for syspro, cin7 in ((twice, once), (once, twice)):
        found = _matched(syspro, cin7)
        assert found.links == {}
        assert {p.score for p in found.proposals} == {100}


def test_names_that_are_only_alike_are_proposed() -> None:
    found = _matched([_one("1", "HEATHCOTES LTD")], [_one("a", "HEATHCOTES M LTD")])
    assert found.links == {}
    assert [p.score for p in found.proposals] == [91]
    assert _matched([_one("1", "Acme")], [_one("a", "Zebra Bolts")]).proposals == []


def test_two_codes_that_claim_one_supplier_leave_it_to_a_person() -> None:
    syspro = [_one("1", "Acme Tools Ltd", tax_number="7"), _one("2", "Acme Tool Ltd")]
    cin7 = [_one("a", "Acme Tool Ltd", tax_number="7")]
    found = _matched(syspro, cin7)
    assert found.links == {}
    assert {(p.syspro.key, p.cin7.key) for p in found.proposals} == {("1", "a"), ("2", "a")}


def test_our_marker_links_whatever_the_names_say_unless_a_person_parted_them() -> None:
    left, right = _one("1", "Acme", marker="S:1"), _one("a", "Zebra", marker="S:1")
    assert _matched([left], [right]).links == {"1": "a"}
    parted = _matched([left], [right], (("1", "a"),))
    assert (parted.links, parted.proposals) == ({}, [])


def test_a_supplier_of_which_the_link_leads_nowhere_is_proposed_only() -> None:
    renamed = _one("2", "Acme Ltd")
    found = _matched([renamed], [_one("a", "Acme Ltd", linked_to="1")])
    assert found.links == {}
    assert "linked to SYSPRO 1, which is gone" in found.proposals[0].reasons


# --- codes --------------------------------------------------------------------------------


def _rule(**settings: Any) -> Any:
    return examples.connection(suppliers=settings).suppliers


def test_numeric_codes_are_shown_at_their_length_and_others_never_stripped() -> None:
    assert presented("000000000000123", 7) == "0000123"
    assert presented("000001234567890", 7) == "1234567890"
    assert presented("00123", 7) == "00123"
    assert presented("0ACME", 7) == "0ACME"


def test_a_new_number_follows_the_highest_and_then_fills_gaps() -> None:
    rule = _rule(code_first=10, code_last=12)
    assert new_code("Acme", {"000000000000010", "000000000000500"}, rule) == "11".zfill(15)
    assert new_code("Acme", {"12".zfill(15)}, rule) == "10".zfill(15)
    taken = {str(n).zfill(15) for n in (10, 11, 12)}
    with pytest.raises(Hold, match="10 to 12 are all taken"):
        new_code("Acme", taken, rule)


def test_a_code_made_from_a_name_steps_aside_for_namesakes() -> None:
    rule = _rule(code_rule="name", code_length=6)
    assert new_code("Quillmere Castings", set(), rule) == "QUILLM"
    assert new_code("Quillmere Castings", {"QUILLM"}, rule) == "QUILL2"
    with pytest.raises(Hold, match="no letters"):
        new_code("株式会社", set(), rule)


def test_normalised_names_keep_what_tells_companies_apart() -> None:
    assert normalised_name("AB Castle Ltd") != normalised_name("A B Castle Ltd")
