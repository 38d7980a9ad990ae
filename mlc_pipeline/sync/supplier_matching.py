"""The first link between the two masters: what proves it, and what is only proposed.

A link is made by itself on our marker, on an exact tax number, or on an exact normalised
name, and then only if it is unique on both sides and nothing contradicts it. Everything
else that looks alike is proposed to a person with a score and its reasons. A name that
stands under several codes, on either side, proves nothing.

What must not come in: SQL, HTTP, what becomes of suppliers without a match.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from rapidfuzz import fuzz

from mlc_pipeline.sync.suppliers import normalised_name, normalised_tax_number

_ALIKE_ENOUGH_FOR_A_TAX_NUMBER = 60
"""A group of companies may share a tax number; then their names have little in common."""

_COMMON_WORD = 200
"""Words that stand in more names than this find nobody: LIMITED, SERVICES."""

_PROPOSED_EACH = 5
_FORMS = frozenset(
    {
        *("limited", "incorporated", "corporation", "company", "proprietary", "public"),
        *("liability", "partnership", "gmbh", "ag", "sa", "bv", "nv", "srl", "spa"),
        *("the", "and", "of", "uk"),
    }
)
"""Words that say what kind of company it is, not which one."""


@dataclass(frozen=True)
class Party:
    """What matching looks at in a supplier of either side.

    Attributes:
        key: SYSPRO code or Cin7 id.
        name: as it is written, without our own code in brackets.
        currency: ISO code; blank when not known.
        country: as written; blank when not given.
        marker: in Cin7 our marker, in SYSPRO the marker that would name it.
        linked_to: the other side's key when it is linked; it is then never linked again.
    """

    key: str
    name: str
    tax_number: str = ""
    currency: str = ""
    country: str = ""
    postcode: str = ""
    phone: str = ""
    email: str = ""
    marker: str = ""
    linked_to: str = ""

    @property
    def normalised(self) -> str:
        """The name as matching compares it."""
        return normalised_name(self.name)

    @property
    def tax(self) -> str:
        """Letters and digits of the tax number; blank when there are none."""
        return normalised_tax_number(self.tax_number) or ""


@dataclass(frozen=True)
class Proposal:
    """A match that nothing proves.

    Attributes:
        syspro: SYSPRO's supplier.
        cin7: Cin7's.
        score: likeness in percent.
        reasons: what speaks for and against it.
    """

    syspro: Party
    cin7: Party
    score: int
    reasons: tuple[str, ...]


@dataclass
class Shared:
    """Names and tax numbers that stand under several keys of one side."""

    names: Collection[str] = frozenset()
    taxes: Collection[str] = frozenset()


def shared_among(parties: Iterable[Party]) -> Shared:
    """Return what stands under more than one key of a side."""
    names: Counter[str] = Counter()
    taxes: Counter[str] = Counter()
    for party in parties:
        names[party.normalised] += 1
        taxes[party.tax] += 1
    return Shared(
        frozenset(name for name, count in names.items() if count > 1),
        frozenset(tax for tax, count in taxes.items() if tax and count > 1),
    )


@dataclass
class Matches:
    """What matching found.

    Attributes:
        links: Cin7 id of each SYSPRO code that is linked without a doubt.
        proposals: what a person must decide, best first for each SYSPRO code.
    """

    links: dict[str, str] = field(default_factory=dict)
    proposals: list[Proposal] = field(default_factory=list)


class Matching:
    """Holds one SYSPRO supplier after the other against the Cin7 suppliers that are free.

    Memory grows with the free Cin7 suppliers alone, so that SYSPRO's master may be a stream.

    Args:
        free: Cin7 suppliers without a link, and those of which the link leads nowhere.
        syspro_shared: what is not unique in SYSPRO's whole master.
        cin7_shared: what is not unique in Cin7's whole master.
        barred: pairs (SYSPRO code, Cin7 id) that a person parted or ignored.
        threshold: likeness in percent from which a match is proposed.
    """

    def __init__(
        self,
        free: Iterable[Party],
        syspro_shared: Shared,
        cin7_shared: Shared,
        barred: Collection[tuple[str, str]] = (),
        threshold: int = 85,
    ) -> None:
        self._parties = {party.key: party for party in free}
        self._syspro_shared, self._cin7_shared = syspro_shared, cin7_shared
        self._barred = frozenset(barred)
        self._threshold = threshold
        self._by: dict[str, dict[str, list[Party]]] = {"marker": {}, "tax": {}, "name": {}}
        self._by_word: dict[str, list[Party]] = {}
        for party in self._parties.values():
            for index, value in (
                ("marker", party.marker),
                ("tax", party.tax),
                ("name", party.normalised),
            ):
                if value:
                    self._by[index].setdefault(value, []).append(party)
            for word in _words(party.normalised):
                self._by_word.setdefault(word, []).append(party)
        self._links: dict[str, list[tuple[Party, str]]] = {}
        self._proposals: dict[tuple[str, str], Proposal] = {}

    def hold_against(self, syspro: Party) -> None:
        """Look at one SYSPRO supplier; one that is linked can only be proposed for."""
        certain, why = self._certain(syspro)
        if certain is not None and not syspro.linked_to:
            self._links.setdefault(certain.key, []).append((syspro, why))
            return
        for other in self._alike(syspro):
            proposal = _scored(syspro, other, self._syspro_shared, self._cin7_shared)
            if proposal.score >= self._threshold:
                self._proposals[syspro.key, other.key] = proposal

    def found(self) -> Matches:
        """Return what was found; a Cin7 supplier that several codes would take is proposed."""
        result = Matches()
        for key, claims in self._links.items():
            if len(claims) == 1:
                result.links[claims[0][0].key] = key
                continue
            for syspro, why in claims:
                reasons = (why, f"{len(claims)} SYSPRO codes claim it")
                self._proposals[syspro.key, key] = Proposal(
                    syspro, self._parties[key], 100, reasons
                )
        taken = set(result.links.values())
        best: dict[str, list[Proposal]] = {}
        for (code, key), proposal in self._proposals.items():
            if key not in taken and code not in result.links:
                best.setdefault(code, []).append(proposal)
        for proposals in best.values():
            proposals.sort(key=lambda p: (-p.score, p.cin7.key))
            result.proposals += proposals[:_PROPOSED_EACH]
        return result

    def _certain(self, syspro: Party) -> tuple[Party | None, str]:
        """Return the one free Cin7 supplier that this must be, and what proves it."""
        marked = self._open(syspro, self._by["marker"].get(syspro.marker, []))
        if marked:
            return (marked[0], "our marker") if len(marked) == 1 else (None, "")
        found = self._by_tax(syspro) or self._by_name(syspro)
        if found is None or found.linked_to or found.marker.startswith("SYSPRO:"):
            return None, ""
        if contradictions(syspro, found):
            return None, ""
        return found, "tax number" if syspro.tax and syspro.tax == found.tax else "name"

    def _open(self, syspro: Party, parties: Iterable[Party]) -> list[Party]:
        return [
            p for p in parties if (syspro.key, p.key) not in self._barred and not p.linked_to
        ]

    def _by_tax(self, syspro: Party) -> Party | None:
        tax = syspro.tax
        if not tax or tax in self._syspro_shared.taxes or tax in self._cin7_shared.taxes:
            return None
        found = self._open(syspro, self._by["tax"].get(tax, []))
        if len(found) != 1:
            return None
        likeness = _likeness(syspro.normalised, found[0].normalised)
        return found[0] if likeness >= _ALIKE_ENOUGH_FOR_A_TAX_NUMBER else None

    def _by_name(self, syspro: Party) -> Party | None:
        name = syspro.normalised
        if not name or name in self._syspro_shared.names or name in self._cin7_shared.names:
            return None
        found = self._open(syspro, self._by["name"].get(name, []))
        return found[0] if len(found) == 1 else None

    def _alike(self, syspro: Party) -> list[Party]:
        found = {p.key: p for p in self._by["tax"].get(syspro.tax, [])} if syspro.tax else {}
        found |= {p.key: p for p in self._by["name"].get(syspro.normalised, [])}
        for word in _words(syspro.normalised):
            parties = self._by_word.get(word, [])
            if len(parties) <= _COMMON_WORD:
                found |= {p.key: p for p in parties}
        return [
            p
            for p in found.values()
            if (syspro.key, p.key) not in self._barred and p.linked_to != syspro.key
        ]


def contradictions(syspro: Party, cin7: Party) -> list[str]:
    """Return what speaks against two suppliers being one, each with both values."""
    pairs = {
        "currency": (syspro.currency, cin7.currency),
        "country": (_country(syspro.country), _country(cin7.country)),
        "tax number": (syspro.tax, cin7.tax),
    }
    return [
        f"{what} differs: {one} and {other}"
        for what, (one, other) in pairs.items()
        if one and other and one != other
    ]


def _country(country: str) -> str:
    name = normalised_name(country)
    return _COUNTRIES.get(name, name)


_COUNTRIES: Mapping[str, str] = {
    "uk": "united kingdom",
    "gb": "united kingdom",
    "great britain": "united kingdom",
    "england": "united kingdom",
    "scotland": "united kingdom",
    "wales": "united kingdom",
    "usa": "united states",
    "us": "united states",
    "united states of america": "united states",
    "deutschland": "germany",
}


def _words(name: str) -> set[str]:
    return {word for word in name.split() if word not in _FORMS and len(word) > 1}


def _likeness(one: str, other: str) -> int:
    """Return how alike two normalised names are, in percent, whatever the order of words."""
    bare = [" ".join(w for w in n.split() if w not in _FORMS) or n for n in (one, other)]
    return round(fuzz.token_sort_ratio(*bare))


def _scored(syspro: Party, cin7: Party, in_syspro: Shared, in_cin7: Shared) -> Proposal:
    score = _likeness(syspro.normalised, cin7.normalised)
    reasons = [f"names {score} % alike"]
    if syspro.tax and syspro.tax == cin7.tax:
        score = max(score, 95)
        reasons.append("same tax number")
    for what, one, other in (
        ("postcode", syspro.postcode, cin7.postcode),
        ("phone", syspro.phone, cin7.phone),
        ("e-mail", syspro.email, cin7.email),
    ):
        if one and normalised_tax_number(one) == normalised_tax_number(other):
            score = min(100, score + 4)
            reasons.append(f"same {what}")
    if syspro.normalised in in_syspro.names:
        reasons.append("several SYSPRO codes have this name")
    if cin7.normalised in in_cin7.names:
        reasons.append("several Cin7 suppliers have this name")
    if syspro.linked_to:
        reasons.append(f"SYSPRO {syspro.key} is linked to another Cin7 supplier")
    if cin7.linked_to:
        reasons.append(f"linked to SYSPRO {cin7.linked_to}, which is gone")
    reasons += contradictions(syspro, cin7)
    return Proposal(syspro, cin7, score, tuple(reasons))
