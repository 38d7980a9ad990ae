"""A supplier's attributes in neutral words, read from either side and written to either.

Both sides are compared in one vocabulary: texts without superfluous blanks, `""` for blank,
ISO currencies, Cin7's names of payment terms, an address as one value of six lines. What
SYSPRO cannot hold as it stands in Cin7 is compared as SYSPRO would hold it, so that our own
cut is never taken for somebody's change.

What must not come in: SQL, HTTP, which side wins.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from mlc_pipeline.cin7 import requests as wire
from mlc_pipeline.connection.model import SupplierAttribute, Suppliers
from mlc_pipeline.sync.plan import Hold, PlanContext
from mlc_pipeline.sync.rows import SupplierRow
from mlc_pipeline.sync.suppliers import normalised_tax_number, shown_code

Values = dict[str, str]
"""Attribute to value in neutral words; `""` is blank, a missing attribute is not known."""

ATTRIBUTES: tuple[SupplierAttribute, ...] = get_args(SupplierAttribute)
ACTIVE, INACTIVE = "active", "on hold"

_ADDRESS_LINES = 6
_PLAIN = {
    "name": ("SupplierName", "name", 50),
    "short_name": ("SupShortName", "short_name", 20),
    "tax_number": ("TaxRegnNum", "tax_number", 20),
    "contact": ("Contact", "contact", 50),
    "phone": ("Telephone", "telephone", 20),
    "fax": ("Fax", "fax", 20),
    "email": ("Email", "email", 255),
}
"""Attribute to SYSPRO element, staged column, length."""
_ADDRESS = (
    ("SupAddr1", "address1"),
    ("SupAddr2", "address2"),
    ("SupAddr3", "address3"),
    ("SupAddr4", "address4"),
    ("SupAddr5", "address5"),
    ("SupPostalCode", "postal_code"),
)
_ADDRESS_LENGTH, _POSTCODE_LENGTH = 40, 10

COLUMN_OF = {
    **{element: column for element, column, _ in _PLAIN.values()},
    **dict(_ADDRESS),
    "OnHold": "on_hold",
    "Currency": "currency",
    "TermsCode": "terms_code",
    "DefTaxCode": "default_tax_code",
}
"""Staged column of each SYSPRO element, for reading back what was written."""

_CUT = frozenset({"name", "short_name", "contact", "address"})
"""What may be shortened by rule. Half an e-mail address or tax number is a wrong one."""

# Letters that decomposing does not turn into Latin ones of Windows-1252.
_SPELT = str.maketrans(
    {
        "Ł": "L",
        "ł": "l",
        "Đ": "D",
        "đ": "d",
        "Ħ": "H",
        "ħ": "h",
        "ı": "i",
        "ĸ": "k",
        "Ŋ": "N",
        "ŋ": "n",
        "Ŧ": "T",
        "ŧ": "t",
        "ẞ": "ß",
        "‐": "-",
        "‑": "-",
        "−": "-",
        "′": "'",
        "″": '"',
    }
)


class Unfit(Exception):  # noqa: N818 - a verdict on one value, not an error
    """A value does not fit into the other system; says which, found, expected."""

    def __init__(self, attribute: str, detail: str) -> None:
        self.attribute = attribute
        self.detail = detail
        super().__init__(f"{attribute}: {detail}")


@dataclass(frozen=True)
class Side:
    """One side of a supplier.

    Attributes:
        values: every attribute that could be read.
        troubles: those that could not, with the reason.
        stand_in: what Cin7 has for the name of a contact that has none.
    """

    values: Values
    troubles: Mapping[str, Hold] = field(default_factory=dict)
    stand_in: str = ""

    def digest(self, rules: str) -> str:
        """Return the SHA-256 of everything that was read, and of the rules it is held to."""
        troubles = {name: hold.detail for name, hold in self.troubles.items()}
        said = [rules, self.values, troubles]
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def merged_attributes(settings: Suppliers) -> tuple[str, ...]:
    """Return the attributes that a connection keeps in step."""
    left_out = set()
    if settings.short_name_attribute is None:
        left_out.add("short_name")
    if settings.status == "report":
        left_out.add("status")
    return tuple(name for name in ATTRIBUTES if name not in left_out)


def clean(text: object) -> str:
    """Return a text without control characters and superfluous blanks; None is blank."""
    if text is None:
        return ""
    kept = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in str(text))
    return " ".join(kept.split())


def same(attribute: str, one: str, other: str) -> bool:
    """Tell whether two values of an attribute say the same."""
    if one == other:
        return True
    if attribute == "tax_number":
        return normalised_tax_number(one) == normalised_tax_number(other)
    if attribute == "email":
        return one.casefold() == other.casefold()
    return False


# --- reading ---------------------------------------------------------------------------


def syspro_side(row: SupplierRow, context: PlanContext) -> Side:
    """Return SYSPRO's side in neutral words.

    A code without a mapping makes its attribute a trouble, never a blank.
    """
    values: Values = {
        attribute: clean(getattr(row, column)) for attribute, (_, column, _) in _PLAIN.items()
    }
    values["name"] = without_code(values["name"], row.supplier)
    values["status"] = INACTIVE if row.on_hold == "Y" else ACTIVE
    lines = [clean(getattr(row, column)) for _, column in _ADDRESS]
    if any(lines[:3]) and not lines[4]:
        lines[4] = context.connection.defaults.country
    values["address"] = _address(lines)
    troubles: dict[str, Hold] = {}
    readings: dict[str, tuple[Callable[[str | None], str], str | None]] = {
        "currency": (context.currency, row.currency),
        "terms": (context.payment_term, row.terms_code),
    }
    for attribute, (read, code) in readings.items():
        try:
            values[attribute] = read(code)
        except Hold as hold:
            troubles[attribute] = hold
    return Side(values, troubles)


def cin7_side(raw: Mapping[str, Any], code: str, settings: Suppliers, stand_in: str) -> Side:
    """Return Cin7's side in neutral words.

    Args:
        raw: the supplier as Cin7 answers it.
        code: SYSPRO code of the link; a name may carry it in brackets.
        settings: which additional attribute holds the short name.
        stand_in: contact name known to stand for none; Cin7 takes no contact without one.
    """
    name = clean(raw.get("Name"))
    contact = _contact(raw)
    person = clean(contact.get("Name"))
    if person and person in (name, stand_in):
        stand_in, person = person, ""
    place = _place(raw)
    lines = [
        clean(place.get(key))
        for key in ("Line1", "Line2", "City", "State", "Country", "Postcode")
    ]
    values = {
        "name": without_code(name, code),
        "status": INACTIVE if raw.get("Status") == "Deprecated" else ACTIVE,
        "currency": clean(raw.get("Currency")),
        "terms": clean(raw.get("PaymentTerm")),
        "tax_number": clean(raw.get("TaxNumber")),
        "contact": person,
        "phone": clean(contact.get("Phone")),
        "fax": clean(contact.get("Fax")),
        "email": clean(contact.get("Email")),
        "address": _address(lines),
    }
    if settings.short_name_attribute is not None:
        number = settings.short_name_attribute
        values["short_name"] = clean(raw.get(f"AdditionalAttribute{number}"))
    return Side(values, stand_in=stand_in)


def _address(lines: list[str]) -> str:
    """Return six lines (street, street, city, state, country, postcode) as one value.

    Cin7 takes no address without a first line: what is blank there is filled from the next.
    """
    street = lines[:3]
    if not any(street):
        return ""
    if not street[0]:
        place = next(i for i, line in enumerate(street) if line)
        street[0], street[place] = street[place], ""
    return "\n".join([*street, *lines[3:]])


def address_lines(address: str) -> list[str]:
    """Return street, street, city, state, country, postcode; six blanks if there is none."""
    return address.split("\n") if address else [""] * _ADDRESS_LINES


def _contact(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    contacts = raw.get("Contacts") or []
    return next((c for c in contacts if c.get("Default")), contacts[0] if contacts else {})


def _place(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the address that SYSPRO's is: the business one, the default before others."""
    places = raw.get("Addresses") or []
    order = {"Business": 0, "Billing": 1}
    ranked = sorted(
        places, key=lambda p: (order.get(p.get("Type"), 2), not p.get("DefaultForType"))
    )
    return ranked[0] if ranked else {}


def without_code(name: str, code: str) -> str:
    """Return a name without its own code in brackets, which tells namesakes apart in Cin7."""
    return name.removesuffix(code_suffix(code))


def code_suffix(code: str) -> str:
    """Return what the names of namesakes end with in Cin7."""
    return f" [{shown_code(code)}]"


# --- what SYSPRO has room and letters for -------------------------------------------------


def fitted(attribute: str, value: str, rule: str) -> str:
    """Return a value as SYSPRO can hold it.

    Args:
        attribute: one of `ATTRIBUTES`.
        value: in neutral words.
        rule: `cut` shortens names and address lines and spells them in Windows-1252; `hold`
            changes nothing.

    Raises:
        Unfit: it cannot be held, or not without a change that the rule does not allow.
    """
    if attribute == "address":
        lines = address_lines(value)
        limits = [_ADDRESS_LENGTH] * 5 + [_POSTCODE_LENGTH]
        may_cut = [True] * 5 + [False]
        return _address(
            [
                _fit(attribute, line, limit, rule, may_cut=may)
                for line, limit, may in zip(lines, limits, may_cut, strict=True)
            ]
        )
    if attribute not in _PLAIN:
        return value
    limit = _PLAIN[attribute][2]
    return _fit(attribute, value, limit, rule, may_cut=attribute in _CUT)


def _fit(attribute: str, value: str, limit: int, rule: str, *, may_cut: bool) -> str:
    spelt = _spelt(attribute, value, rule)
    if len(spelt) <= limit:
        return spelt
    if rule == "cut" and may_cut:
        return spelt[:limit].strip()
    raise Unfit(
        attribute, f"found {spelt!r} of {len(spelt)} characters, SYSPRO has room for {limit}"
    )


def _spelt(attribute: str, value: str, rule: str) -> str:
    """Return a text in the letters of Windows-1252, which SYSPRO's documents are in."""
    foreign = [c for c in value if not _is_cp1252(c)]
    if not foreign:
        return value
    spelt = "".join(c if _is_cp1252(c) else _nearest(c) for c in value)
    missing = sorted({c for c in spelt if not _is_cp1252(c)})
    if rule == "cut" and not missing:
        return clean(spelt)
    named = ", ".join(repr(c) for c in missing or sorted(set(foreign)))
    raise Unfit(attribute, f"found {value!r}, SYSPRO's character set has no {named}")


def _nearest(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character.translate(_SPELT))
    return "".join(c for c in plain if not unicodedata.combining(c)) or character


def _is_cp1252(character: str) -> bool:
    try:
        character.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


# --- writing to SYSPRO --------------------------------------------------------------------


def syspro_elements(
    write: Mapping[str, str], row: SupplierRow | None, context: PlanContext
) -> dict[str, str]:
    """Return the APSSSP elements that bring SYSPRO to some values: the changed ones only.

    Args:
        write: values in neutral words, by attribute.
        row: the supplier as SYSPRO has it; None for a new one.
        context: mappings, read backwards, and the rule for what does not fit.

    Raises:
        Unfit: a value that SYSPRO cannot hold.
        Hold: a term or currency that no single SYSPRO code stands for.
    """
    rule = context.connection.suppliers.field_fit
    wanted: dict[str, str] = {}
    for attribute, value in write.items():
        shown = fitted(attribute, value, rule)
        if attribute in _PLAIN:
            wanted[_PLAIN[attribute][0]] = shown
        elif attribute == "address":
            wanted |= _address_elements(shown, row, context)
        elif attribute == "status":
            wanted["OnHold"] = "Y" if value == INACTIVE else "N"
        elif attribute == "currency":
            wanted["Currency"] = _currency_code(value, context)
        elif attribute == "terms":
            wanted["TermsCode"] = _terms_code(value, context)
    return {
        element: text
        for element, text in wanted.items()
        if text != (clean(getattr(row, COLUMN_OF[element])) if row else "")
    }


def before(elements: Iterable[str], row: SupplierRow) -> dict[str, str]:
    """Return what SYSPRO holds in some elements."""
    return {element: clean(getattr(row, COLUMN_OF[element])) for element in elements}


def _address_elements(
    address: str, row: SupplierRow | None, context: PlanContext
) -> dict[str, str]:
    lines = address_lines(address)
    had_country = bool(row and clean(row.address5))
    if not had_country and lines[4] == context.connection.defaults.country:
        lines[4] = ""  # SYSPRO's own way to say the usual country
    return {element: line for (element, _), line in zip(_ADDRESS, lines, strict=True)}


def _currency_code(iso: str, context: PlanContext) -> str:
    known = context.mappings.currencies.known
    codes = sorted(code for code, name in known.items() if name == iso)
    if len(codes) > 1 and iso in codes:
        codes = [iso]
    if not codes and not known and re.fullmatch("[A-Z]{3}", iso):
        codes = [iso]
    if not codes and iso == context.connection.syspro.local_currency:
        codes = [iso]
    if len(codes) == 1:
        return codes[0]
    raise Hold("currency_unmapped", _backwards("currencies.csv", iso, codes))


def _terms_code(term: str, context: PlanContext) -> str:
    known = context.mappings.payment_terms.known
    codes = sorted(code for code, name in known.items() if name == term)
    if len(codes) == 1:
        return codes[0]
    if not codes and term == context.connection.defaults.payment_term:
        return ""
    raise Hold("terms_unmapped", _backwards("payment_terms.csv", term, codes))


def _backwards(file: str, value: str, codes: list[str]) -> str:
    found = f"{len(codes)} codes ({', '.join(codes[:5])})" if codes else "no code"
    return f"{file} has {found} for {value!r}, expected one to write to SYSPRO"


# --- writing to Cin7 ----------------------------------------------------------------------


def cin7_writable(attribute: str, value: str) -> None:
    """Make sure that Cin7 can be brought to a value.

    Raises:
        Unfit: Cin7 takes neither a supplier without a name nor an address away.
    """
    if value or attribute not in ("name", "address", "currency", "terms"):
        return
    raise Unfit(attribute, "is blank in SYSPRO; Cin7 cannot be without it once it has one")


def cin7_change(
    supplier_id: str,
    write: Mapping[str, str],
    current: Mapping[str, Any],
    marker: str,
    settings: Suppliers,
    *,
    suffix: str = "",
    stand_in: str = "",
) -> wire.SupplierPut:
    """Return the body that brings a Cin7 supplier to some values and leaves the rest alone.

    Args:
        supplier_id: its id.
        write: values in neutral words, by attribute.
        current: the supplier as Cin7 answers it now; what is required is repeated from it.
        marker: our marker, sent along.
        settings: which additional attribute holds the short name.
        suffix: what the name ends with, when namesakes must be told apart.
        stand_in: contact name that stands for none.
    """
    more: dict[str, Any] = {"additional_attribute1": marker}
    if "tax_number" in write:
        more["tax_number"] = write["tax_number"]
    if "short_name" in write and settings.short_name_attribute is not None:
        more[f"additional_attribute{settings.short_name_attribute}"] = write["short_name"]
    name = write["name"] + suffix if "name" in write else str(current.get("Name"))
    if write.keys() & {"contact", "phone", "fax", "email"}:
        more["contacts"] = (_contact_part(write, current, stand_in or name),)
    if "address" in write:
        more["addresses"] = (_address_part(write["address"], current),)
    return wire.SupplierPut(
        id=supplier_id,
        name=name,
        currency=write.get("currency") or str(current.get("Currency")),
        payment_term=write.get("terms") or str(current.get("PaymentTerm")),
        account_payable=str(current.get("AccountPayable")),
        tax_rule=str(current.get("TaxRule")),
        status=_status(write, current),
        **more,
    )


def _status(write: Mapping[str, str], current: Mapping[str, Any]) -> Any:
    if "status" in write:
        return "Deprecated" if write["status"] == INACTIVE else "Active"
    return current.get("Status") or "Active"


def _contact_part(
    write: Mapping[str, str], current: Mapping[str, Any], stand_in: str
) -> wire.SupplierContact:
    contact = _contact(current)

    def text(attribute: str, key: str) -> str:
        return write[attribute] if attribute in write else clean(contact.get(key))

    return wire.SupplierContact(
        id=contact.get("ID"),
        # A blank person is a contact that only has a number: Cin7 wants a name all the same.
        name=text("contact", "Name") or stand_in,
        phone=text("phone", "Phone"),
        fax=text("fax", "Fax"),
        email=text("email", "Email"),
        default=True,
    )


def _address_part(address: str, current: Mapping[str, Any]) -> wire.SupplierAddress:
    place = _place(current)
    line1, line2, city, state, country, postcode = address_lines(address)
    return wire.SupplierAddress(
        id=place.get("ID"),
        line1=line1,
        line2=line2,
        city=city,
        state=state,
        country=country,
        postcode=postcode,
        type=place.get("Type") or "Business",
        default_for_type=True,
    )
