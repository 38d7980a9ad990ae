"""Suppliers: names made comparable, the first link found, the wanted supplier planned.

A link once made is the only key. Before that a Cin7 supplier is taken for a SYSPRO supplier
only on our marker, or on exactly one agreement in tax number or normalised name that
nothing contradicts; every doubt is held for a person.

What must not come in: SQL, HTTP.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from mlc_pipeline.sync.content import SupplierAddress, SupplierContact, SupplierContent
from mlc_pipeline.sync.plan import Hold, Known, PlanContext, Planned, judge, planned
from mlc_pipeline.sync.rows import SupplierRow
from mlc_pipeline.sync.vocabulary import Kind, Verdict

_Part = TypeVar("_Part", SupplierContent, SupplierAddress, SupplierContact)

_LEGAL_FORMS = {
    "ltd": "limited",
    "inc": "incorporated",
    "corp": "corporation",
    "co": "company",
    "pty": "proprietary",
    "bros": "brothers",
    "plc": "public limited company",
    "llp": "limited liability partnership",
    "gesmbh": "gmbh",
}
"""Abbreviations of one legal form; different forms (LTD, PLC) never become equal."""

_TRADING_AS = re.compile(r"(?<!\w)t\s*/\s*a(?!\w)")

_NAME_LIMIT = 256


def normalised_name(name: str) -> str:
    """Return a name as matching compares it: folded, without punctuation, forms spelt out.

    `THE Smith & Sons Ltd.` and `smith and sons limited` are one name; nothing that tells
    two companies apart (`HEATHCOTES LTD`, `HEATHCOTES M LTD`) is removed.
    """
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    folded = "".join(c for c in decomposed if not unicodedata.combining(c))
    said = _TRADING_AS.sub(" trading as ", folded.replace("&", " and "))
    words = re.sub(r"[^\w]+", " ", re.sub("['’]", "", said)).split()
    while words[:1] == ["the"] and len(words) > 1:
        words = words[1:]
    return " ".join(_LEGAL_FORMS.get(word, word) for word in words)


def normalised_tax_number(number: str | None) -> str | None:
    """Return letters and digits of a tax number in upper case; None when there are none."""
    kept = re.sub(r"[^0-9A-Z]", "", (number or "").upper())
    return kept or None


@dataclass(frozen=True)
class Cin7Supplier:
    """What matching looks at in a Cin7 supplier."""

    id: str
    name: str
    currency: str | None = None
    tax_number: str | None = None
    marker: str | None = None


class SupplierIndex:
    """Cin7's suppliers by marker, tax number and normalised name."""

    def __init__(self, suppliers: Iterable[Cin7Supplier], linked: Mapping[str, str]) -> None:
        """Index suppliers; `linked` maps Cin7 ids already taken to SYSPRO codes."""
        self._linked = linked
        self._by_marker: dict[str, list[Cin7Supplier]] = {}
        self._by_tax: dict[str, list[Cin7Supplier]] = {}
        self._by_name: dict[str, list[Cin7Supplier]] = {}
        for supplier in suppliers:
            if supplier.marker:
                self._by_marker.setdefault(supplier.marker, []).append(supplier)
            if tax := normalised_tax_number(supplier.tax_number):
                self._by_tax.setdefault(tax, []).append(supplier)
            self._by_name.setdefault(normalised_name(supplier.name), []).append(supplier)

    def find(
        self, row: SupplierRow, wanted: SupplierContent, shared: frozenset[str]
    ) -> Cin7Supplier | None:
        """Return the one Cin7 supplier that is this SYSPRO supplier, or None.

        Agreement in a name that stands under several SYSPRO codes proves nothing.

        Raises:
            Hold: supplier_ambiguous, with the candidates named.
        """
        marked = self._by_marker.get(wanted.marker, [])
        if len(marked) > 1:
            raise _ambiguous(row, wanted, marked, "carry its marker")
        if marked:
            return marked[0]
        tax = normalised_tax_number(row.tax_number)
        agreeing = {s.id: s for s in self._by_tax.get(tax, [])} if tax else {}
        name = normalised_name(row.name or "")
        named = {s.id: s for s in self._by_name.get(name, [])} if name else {}
        free = [s for s in (agreeing | named).values() if s.id not in self._linked]
        free = [s for s in free if not s.marker]
        if not free:
            return None
        if len(free) > 1:
            raise _ambiguous(row, wanted, free, "agree in name or tax number")
        if name in shared and free[0].id not in agreeing:
            raise _ambiguous(
                row, wanted, free, "has a name that several SYSPRO suppliers share"
            )
        self._contradictions(row, wanted, free[0], tax)
        return free[0]

    @staticmethod
    def _contradictions(
        row: SupplierRow, wanted: SupplierContent, found: Cin7Supplier, tax: str | None
    ) -> None:
        if found.currency and found.currency != wanted.currency:
            raise _ambiguous(
                row, wanted, [found], f"agrees, but its currency is {found.currency}"
            )
        other = normalised_tax_number(found.tax_number)
        if tax and other and tax != other:
            raise _ambiguous(
                row, wanted, [found], f"agrees in name, but its tax number is {other}"
            )


def _ambiguous(
    row: SupplierRow, wanted: SupplierContent, candidates: list[Cin7Supplier], why: str
) -> Hold:
    names = ", ".join(f"{c.name} ({c.id})" for c in candidates[:5])
    return Hold(
        "supplier_ambiguous",
        f"{row.supplier} {row.name!r}: {names} {why}; its marker is {wanted.marker}",
    )


def shown_code(code: str) -> str:
    """Return a code as people read it: a numeric key without its filling zeros."""
    return code.lstrip("0") or code if code.isdigit() else code


def shared_names(rows: Iterable[SupplierRow]) -> frozenset[str]:
    """Return the normalised names that stand under more than one SYSPRO code."""
    counts = Counter(normalised_name(row.name or "") for row in rows)
    return frozenset(name for name, count in counts.items() if count > 1)


def supplier_content(
    row: SupplierRow, context: PlanContext, shared: frozenset[str]
) -> SupplierContent:
    """Return the supplier as Cin7 should have it.

    A name under several SYSPRO codes gets its code appended, so that Cin7 never has two
    suppliers that look alike.

    Raises:
        Hold: a terms code, tax code or currency without a target.
    """
    defaults = context.connection.defaults
    name = row.name or row.short_name or row.supplier
    if normalised_name(row.name or "") in shared:
        name = f"{name} [{shown_code(row.supplier)}]"
    return SupplierContent(
        marker=context.marker("SUP", row.supplier),
        name=name[:_NAME_LIMIT],
        currency=context.currency(row.currency),
        payment_term=context.payment_term(row.terms_code),
        accounts_payable=defaults.accounts_payable,
        tax_rule=context.tax_rule(row.default_tax_code, taxed=True).name,
        tax_number=row.tax_number,
        address=_address(row, defaults.country),
        contact=_contact(row, name),
    )


def _address(row: SupplierRow, default_country: str) -> SupplierAddress | None:
    first = next((a for a in (row.address1, row.address2, row.address3) if a), None)
    if first is None:
        return None
    return SupplierAddress(
        line1=first,
        line2=row.address2 if row.address2 != first else None,
        city=row.address3 if row.address3 != first else None,
        state=row.address4,
        postcode=row.postal_code,
        country=row.address5 or default_country,
    )


def _contact(row: SupplierRow, name: str) -> SupplierContact | None:
    if not (row.contact or row.telephone or row.fax or row.email):
        return None
    return SupplierContact(
        name=row.contact or name, phone=row.telephone, fax=row.fax, email=row.email
    )


def with_removals(content: SupplierContent, before: Mapping[str, Any]) -> SupplierContent:
    """Say of what was written once and is gone from SYSPRO that it is blank.

    What is left out of an update stays in Cin7. What SYSPRO never had is left out: it may
    have been entered there. An address cannot be blank in Cin7 and stays as it was.

    Args:
        content: the supplier as SYSPRO has it.
        before: the content that was written last, as JSON.
    """
    address, contact = content.address, content.contact
    old_address, old_contact = before.get("address"), before.get("contact")
    if old_address:
        address = _blanked(address, old_address) if address else SupplierAddress(**old_address)
    if old_contact:
        contact = _blanked(contact or SupplierContact(name=old_contact["name"]), old_contact)
    content = content.model_copy(update={"address": address, "contact": contact})
    return _blanked(content, before)


def _blanked(now: _Part, before: Mapping[str, Any]) -> _Part:
    """Return a content whose absent texts are blank where there was one before."""
    gone = {
        name: ""
        for name in type(now).model_fields
        if getattr(now, name) is None and isinstance(before.get(name), str)
    }
    return now.model_copy(update=gone)


def plan_suppliers(
    rows: Iterable[SupplierRow],
    context: PlanContext,
    index: SupplierIndex,
    shared: frozenset[str],
) -> list[Planned]:
    """Plan every supplier given: create, adopt (an update without a write), update, held.

    Args:
        rows: the suppliers to plan.
        context: settings, mappings, references, ledger.
        index: Cin7's suppliers.
        shared: names under several SYSPRO codes, over the whole master.
    """
    return [_plan_supplier(row, context, index, shared) for row in rows]


def _plan_supplier(
    row: SupplierRow, context: PlanContext, index: SupplierIndex, shared: frozenset[str]
) -> Planned:
    known = context.known.get((Kind.SUPPLIER, row.supplier))

    def build() -> tuple[Verdict, SupplierContent, list[object]]:
        content = supplier_content(row, context, shared)
        if known is None or known.cin7_id is None:
            found = index.find(row, content, shared)
            if found is not None:
                return Verdict.CREATE, content, [{"field": "adopt", "after": found.id}]
        if known is not None and known.state == "done":
            content = with_removals(content, known.content or {})
        verdict, _, changed = judge(known, content, may_update=_always)
        return verdict, content, changed

    return planned(
        Planned(Kind.SUPPLIER, row.supplier, Verdict.HELD, Decimal(0), supplier=row.supplier),
        build,
    )


def _always(_known: Known, _changed: list[object]) -> bool:
    return True
