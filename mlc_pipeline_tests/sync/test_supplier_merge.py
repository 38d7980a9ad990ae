"""The three-way merge and the attributes it compares: pure, both sides in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlc_pipeline.sync.rows import SupplierRow
from mlc_pipeline.sync.supplier_attributes import (
    ACTIVE,
    INACTIVE,
    Unfit,
    Values,
    cin7_change,
    cin7_side,
    clean,
    fitted,
    merged_attributes,
    syspro_elements,
    syspro_side,
)
from mlc_pipeline.sync.supplier_merge import Conflict, Merge, Rules, merge
from mlc_pipeline_tests.sync.examples import SUPPLIER, connection, context

NAMED = ("name", "phone", "email", "address")
RULES = Rules(NAMED)


def _values(**values: str) -> Values:
    return {"name": "Acme Ltd", "phone": "", "email": "", "address": "", **values}


# --- one attribute -------------------------------------------------------------------------


def test_a_change_of_one_side_goes_to_the_other() -> None:
    base = _values(phone="1")
    assert merge(base, _values(phone="2"), base, RULES).to_cin7 == {"phone": "2"}
    assert merge(base, base, _values(phone="2"), RULES).to_syspro == {"phone": "2"}


def test_the_same_change_on_both_sides_is_agreed() -> None:
    both = _values(phone="2")
    result = merge(_values(phone="1"), both, both, RULES)
    assert result.is_settled
    assert result.agreed == both


def test_different_changes_are_a_conflict_unless_somebody_owns_the_attribute() -> None:
    base, left, right = _values(phone="1"), _values(phone="2"), _values(phone="3")
    held = merge(base, left, right, RULES)
    assert held.conflicts == [Conflict("phone", "1", "2", "3")]
    assert (held.to_cin7, held.to_syspro) == ({}, {})
    assert merge(base, left, right, Rules(NAMED, {"phone": "syspro"})).to_cin7 == {"phone": "2"}
    assert merge(base, left, right, Rules(NAMED, {"phone": "cin7"})).to_syspro == {"phone": "3"}


def test_an_owner_does_not_undo_what_the_other_side_alone_changed() -> None:
    base = _values(phone="1")
    result = merge(base, base, _values(phone="2"), Rules(NAMED, {"phone": "syspro"}))
    assert result.to_syspro == {"phone": "2"}


def test_a_sole_side_undoes_what_the_other_changed() -> None:
    rules = Rules(("status",), sole={"status": "syspro"})
    result = merge({"status": ACTIVE}, {"status": ACTIVE}, {"status": INACTIVE}, rules)
    assert result.to_cin7 == {"status": ACTIVE}


def test_what_was_never_agreed_is_filled_in_and_never_overwritten() -> None:
    place = "1 High St\n\n\n\nUnited Kingdom\n"
    result = merge(
        {}, _values(phone="1", email="a@b.example"), _values(phone="2", address=place), RULES
    )
    assert result.to_cin7 == {"email": "a@b.example"}
    assert result.to_syspro == {"address": place}
    assert result.conflicts == [Conflict("phone", None, "1", "2")]


def test_a_decision_counts_even_if_only_half_was_carried_out() -> None:
    base, left = _values(phone="1"), _values(phone="2")

    def decided(_conflict: Conflict) -> str:
        return "1"

    whole = merge(base, left, _values(phone="3"), RULES, decided)
    assert whole.to_cin7 == whole.to_syspro == {"phone": "1"}
    # Cin7 has it already: it must not look like SYSPRO's change going to Cin7.
    half = merge(base, left, base, RULES, decided)
    assert (half.to_cin7, half.to_syspro) == ({}, {"phone": "1"})


def test_our_own_cut_is_no_change_of_syspro() -> None:
    rules = Rules(("name",), field_fit="cut")
    long = "Worshipful Company of Extremely Long Names and Sons Limited"
    first = merge({"name": "Acme"}, {"name": "Acme"}, {"name": long}, rules)
    assert first.to_syspro == {"name": long}
    cut = fitted("name", long, "cut")
    assert len(cut) <= 50
    again = merge({"name": long}, {"name": cut}, {"name": long}, rules)
    assert again.is_settled
    changed = merge({"name": long}, {"name": "Short"}, {"name": long}, rules)
    assert changed.to_cin7 == {"name": "Short"}


def test_what_cannot_be_blank_in_cin7_is_held() -> None:
    here = {"address": "1 High St\n\n\n\nUnited Kingdom\n"}
    result = merge(here, {"address": ""}, here, Rules(("address",)))
    assert [u.attribute for u in result.unfit] == ["address"]
    assert result.to_cin7 == {}


# --- what fits --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "cut"),
    [
        ("Łódź Śruby", "Lódz Sruby"),
        ("Škoda", "Škoda"),
        ("Müller & Söhne", "Müller & Söhne"),
        ("Ăn Đông", "An Dông"),
    ],
)
def test_letters_that_windows_1252_lacks_are_spelt_by_rule_or_held(
    value: str, cut: str
) -> None:
    assert fitted("name", value, "cut") == cut
    if value != cut:
        with pytest.raises(Unfit, match="character set"):
            fitted("name", value, "hold")


def test_letters_without_any_spelling_are_held_whatever_the_rule() -> None:
    with pytest.raises(Unfit, match="character set"):
        fitted("name", "株式会社", "cut")


@pytest.mark.parametrize("attribute", ["email", "phone", "tax_number"])
def test_half_a_number_or_address_is_never_written(attribute: str) -> None:
    with pytest.raises(Unfit, match="room"):
        fitted(attribute, "x" * 300, "cut")


def test_half_a_postcode_is_never_written() -> None:
    with pytest.raises(Unfit, match="room"):
        fitted("address", "1 High St\n\n\n\nUnited Kingdom\nZA1 2XY 3XYZ", "cut")


# --- reading and writing -----------------------------------------------------------------

_TEXT = st.text(
    st.characters(codec="cp1252", exclude_categories=["Cc"]), min_size=1, max_size=18
).map(clean)
_SOME = st.one_of(st.just(""), _TEXT)


@st.composite
def _neutral(draw: st.DrawFn) -> Values:
    lines = [draw(_TEXT.filter(bool)), *[draw(_SOME) for _ in range(3)], "United Kingdom"]
    address = draw(st.sampled_from(["", "\n".join([*lines, draw(_SOME)[:10].strip()])]))
    return {
        "name": draw(_TEXT.filter(bool)),
        "status": draw(st.sampled_from([ACTIVE, INACTIVE])),
        "currency": draw(st.sampled_from(["GBP"])),
        "terms": "30 days",
        "tax_number": draw(_SOME),
        "contact": draw(_SOME),
        "phone": draw(_SOME),
        "fax": draw(_SOME),
        "email": draw(_SOME),
        "address": address,
    }


_COLUMNS = {
    "SupplierName": "name",
    "SupShortName": "short_name",
    "Telephone": "telephone",
    "Fax": "fax",
    "Contact": "contact",
    "Email": "email",
    "TaxRegnNum": "tax_number",
    "OnHold": "on_hold",
    "Currency": "currency",
    "TermsCode": "terms_code",
    "SupAddr1": "address1",
    "SupAddr2": "address2",
    "SupAddr3": "address3",
    "SupAddr4": "address4",
    "SupAddr5": "address5",
    "SupPostalCode": "postal_code",
}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(before=_neutral(), after=_neutral())
def test_what_is_written_to_syspro_reads_back_as_it_was_meant(
    before: Values, after: Values
) -> None:
    seen = context()
    row = SupplierRow(SUPPLIER)
    for values in (before, after):
        elements = syspro_elements(values, row, seen)
        changed = {_COLUMNS[name]: text or None for name, text in elements.items()}
        row = SupplierRow(**{**vars(row), **changed})
        assert syspro_side(row, seen).values | values == syspro_side(row, seen).values
        assert syspro_elements(values, row, seen) == {}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(before=_neutral(), after=_neutral())
def test_what_is_written_to_cin7_reads_back_as_it_was_meant(
    before: Values, after: Values
) -> None:
    rules = connection().suppliers
    raw: dict[str, Any] = {
        "ID": "00000000-0000-0000-0000-000000000001",
        "AccountPayable": "800",
        "TaxRule": "No VAT",
    }
    stand_in = ""
    for values in (before, after):
        write = {a: v for a, v in values.items() if v or a not in ("address",)}
        body = cin7_change(raw["ID"], write, raw, "M", rules, stand_in=stand_in).to_wire()
        raw = {**raw, **body}
        side = cin7_side(raw, SUPPLIER, rules, stand_in)
        stand_in = side.stand_in
        # A person named as the supplier is the stand-in of no person.
        if values["contact"] in (values["name"], stand_in):
            write.pop("contact")
        assert {a: side.values[a] for a in write} == write


def test_a_contact_without_a_name_stays_one_when_the_supplier_is_renamed() -> None:
    rules = connection().suppliers
    raw = {"ID": "x", "Name": "Acme", "Contacts": [{"Name": "Acme", "Phone": "1"}]}
    side = cin7_side(raw, SUPPLIER, rules, "")
    assert (side.values["contact"], side.stand_in) == ("", "Acme")
    renamed = cin7_side({**raw, "Name": "Bolt"}, SUPPLIER, rules, side.stand_in)
    assert (renamed.values["contact"], renamed.stand_in) == ("", "Acme")


def test_codes_without_a_mapping_are_a_trouble_and_never_a_blank() -> None:
    side = syspro_side(SupplierRow(SUPPLIER, name="Acme", terms_code="ZZ"), context())
    assert "terms" not in side.values
    assert side.troubles["terms"].reason.code == "terms_unmapped"


def test_a_connection_says_which_attributes_are_kept_in_step() -> None:
    usual = merged_attributes(connection().suppliers)
    assert "status" not in usual
    assert "short_name" not in usual


# --- any interleaving --------------------------------------------------------------------


@dataclass
class Pair:
    """Both sides of one supplier in memory, the base, and what was written."""

    syspro: Values = field(default_factory=lambda: _values(name="Acme"))
    cin7: Values = field(default_factory=lambda: _values(name="Acme"))
    base: Values = field(default_factory=lambda: _values(name="Acme"))
    writes: int = 0
    rules: Rules = field(default_factory=lambda: Rules(NAMED, field_fit="cut"))

    def sync(self, *, stops: int = 99) -> Merge:
        """Merge and write as the push does; the process ends after `stops` actions.

        Actions are: note what is agreed, write SYSPRO, note it, write Cin7, note it.
        """
        result = merge(self.base, self.syspro, self.cin7, self.rules)
        actions = [lambda: self.base.update(result.agreed)]
        if result.to_syspro:
            shown = {a: fitted(a, v, "cut") for a, v in result.to_syspro.items()}
            actions += [lambda: self._write(self.syspro, shown)]
            actions += [lambda: self.base.update(result.to_syspro)]
        if result.to_cin7:
            actions += [lambda: self._write(self.cin7, result.to_cin7)]
            actions += [lambda: self.base.update(result.to_cin7)]
        for action in actions[:stops]:
            action()
        return result

    def _write(self, side: Values, values: Values) -> None:
        side.update(values)
        self.writes += 1


_ADDRESSES = ("", "1 High St\n\n\n\nUnited Kingdom\n", "2 Low St\n\nYork\n\nFrance\nYO1")
_VALUE = {
    "name": st.sampled_from(["Acme", "Acme Łódź", "B" * 80, "Bolt & Co"]),
    "phone": st.sampled_from(["", "1", "2", "3"]),
    "email": st.sampled_from(["", "a@b.example", "A@b.example", "c@d.example"]),
    "address": st.sampled_from(_ADDRESSES),
}


@st.composite
def _edit(draw: st.DrawFn) -> tuple[str, str, str]:
    side = draw(st.sampled_from(["syspro", "cin7"]))
    attribute = draw(st.sampled_from(NAMED))
    value = draw(_VALUE[attribute])
    # People cannot enter what their system cannot hold.
    return side, attribute, fitted(attribute, value, "cut") if side == "syspro" else value


_ACTION = st.one_of(_edit(), st.integers(0, 5).map(lambda n: ("stop", "", str(n))))


@settings(max_examples=300)
@given(st.lists(_ACTION, max_size=14))
def test_any_interleaving_ends_with_both_sides_agreeing_and_no_more_writes(
    actions: list[tuple[str, str, str]],
) -> None:
    pair = Pair()
    for what, attribute, value in actions:
        if what == "stop":
            pair.sync(stops=int(value))
        else:
            getattr(pair, what)[attribute] = value
    for _ in range(3):
        last = pair.sync()
    before = pair.writes
    assert pair.sync().agreed == last.agreed
    assert pair.writes == before
    open_ = {c.attribute for c in last.conflicts} | {u.attribute for u in last.unfit}
    for attribute in set(NAMED) - open_:
        shown = fitted(attribute, pair.cin7[attribute], "cut")
        assert pair.syspro[attribute].casefold() == shown.casefold()


def test_a_thousand_syncs_after_one_edit_make_the_writes_of_the_first() -> None:
    pair = Pair()
    pair.cin7["name"] = "Worshipful Company of Łódź, Makers of Extremely Long Names Limited"
    pair.sync()
    assert pair.writes == 1
    pair.syspro["phone"] = "01632 960000"
    pair.sync()
    assert pair.writes == 2
    for _ in range(1000):
        assert pair.sync().is_settled
    assert pair.writes == 2
