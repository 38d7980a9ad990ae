"""The three-way merge of a supplier: what was agreed, what each side says, who wins.

Everything is decided by content. Our own write comes back as the value that was agreed, so
it is no change; clocks are not asked.

What must not come in: SQL, HTTP, how a value is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from mlc_pipeline.connection.model import Suppliers
from mlc_pipeline.sync.supplier_attributes import (
    Unfit,
    Values,
    cin7_writable,
    fitted,
    merged_attributes,
    same,
)

Owner = Literal["syspro", "cin7"]


@dataclass(frozen=True)
class Conflict:
    """An attribute that changed on both sides; `base` is None when nothing was ever agreed."""

    attribute: str
    base: str | None
    syspro: str
    cin7: str


Resolved = Callable[[Conflict], str | None]
"""Returns the value that a person decided for a conflict, None when nobody did."""


@dataclass(frozen=True)
class Rules:
    """What a connection says about merging.

    Attributes:
        attributes: those that are kept in step.
        owners: whose value wins when both sides changed.
        sole: attributes that one side alone decides; the other side's changes are undone.
        field_fit: what becomes of values that SYSPRO cannot hold, `cut` or `hold`.
    """

    attributes: tuple[str, ...]
    owners: Mapping[str, Owner] = field(default_factory=dict)
    sole: Mapping[str, Owner] = field(default_factory=dict)
    field_fit: str = "hold"

    @classmethod
    def of(cls, settings: Suppliers) -> Self:
        """Return what a connection says."""
        sole: dict[str, Owner] = {}
        if settings.status == "syspro" or settings.status == "cin7":
            sole = {"status": settings.status}
        owners: dict[str, Owner] = {str(name): side for name, side in settings.owners.items()}
        return cls(merged_attributes(settings), owners, sole, settings.field_fit)

    def __str__(self) -> str:
        """Return the rules as text: what was settled under other rules is looked at again."""
        owned = sorted(self.owners.items()), sorted(self.sole.items())
        return f"{self.attributes} {owned} {self.field_fit}"

    def shown(self, attribute: str, value: str) -> str:
        """Return a value as SYSPRO holds it, or as it is when SYSPRO could not hold it."""
        try:
            return fitted(attribute, value, self.field_fit)
        except Unfit:
            return value


@dataclass
class Merge:
    """What is to be done about a supplier.

    Attributes:
        agreed: values that both sides hold now.
        to_syspro: values that SYSPRO is to be brought to.
        to_cin7: values that Cin7 is to be brought to.
        conflicts: attributes held for a person.
        unfit: attributes of which the wanted value does not fit, with the reason.
    """

    agreed: Values = field(default_factory=dict)
    to_syspro: Values = field(default_factory=dict)
    to_cin7: Values = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    unfit: list[Unfit] = field(default_factory=list)

    @property
    def is_settled(self) -> bool:
        """Whether both sides hold the same, and nothing is left to do or to decide."""
        return not (self.to_syspro or self.to_cin7 or self.conflicts or self.unfit)


def _undecided(_conflict: Conflict) -> None:
    return None


def merge(
    base: Mapping[str, str],
    syspro: Mapping[str, str],
    cin7: Mapping[str, str],
    rules: Rules,
    resolved: Resolved = _undecided,
) -> Merge:
    """Merge a supplier; attributes that a side does not know are left alone.

    Args:
        base: the last agreed value of each attribute; missing when there never was one.
        syspro: what SYSPRO says.
        cin7: what Cin7 says.
        rules: the connection's.
        resolved: what people decided.
    """
    result = Merge()
    for attribute in _known(rules.attributes, syspro, cin7):
        one = _Attribute(
            attribute, base.get(attribute), syspro[attribute], cin7[attribute], rules
        )
        _merge_one(one, result, resolved)
    return result


def _known(attributes: Iterable[str], *sides: Mapping[str, str]) -> list[str]:
    return [a for a in attributes if all(a in side for side in sides)]


@dataclass(frozen=True)
class _Attribute:
    name: str
    base: str | None
    syspro: str
    cin7: str
    rules: Rules

    def in_syspro(self, value: str) -> bool:
        """Tell whether SYSPRO holds a value, as far as it can."""
        return same(self.name, self.syspro, self.rules.shown(self.name, value))

    def in_cin7(self, value: str) -> bool:
        return same(self.name, self.cin7, value)

    def winner(self) -> str | None:
        """Return the value that wins without anybody being asked, None when nobody's does."""
        sole = self.rules.sole.get(self.name)
        if sole is not None:
            return self.syspro if sole == "syspro" else self.cin7
        if self.base is None:
            # Never agreed: what one side does not have, the other one fills in.
            if not self.syspro or not self.cin7:
                return self.syspro or self.cin7
        elif self.in_syspro(self.base):
            return self.cin7
        elif self.in_cin7(self.base):
            return self.syspro
        owner = self.rules.owners.get(self.name)
        if owner is None:
            return None
        return self.syspro if owner == "syspro" else self.cin7


def _merge_one(one: _Attribute, result: Merge, resolved: Resolved) -> None:
    if one.in_syspro(one.cin7):
        result.agreed[one.name] = one.cin7
        return
    conflict = Conflict(one.name, one.base, one.syspro, one.cin7)
    # A person's word first: half carried out, it may look like a change of one side.
    value = resolved(conflict)
    if value is None:
        value = one.winner()
    if value is None:
        result.conflicts.append(conflict)
        return
    try:
        fitted(one.name, value, one.rules.field_fit)
        if not one.in_cin7(value):
            cin7_writable(one.name, value)
    except Unfit as unfit:
        result.unfit.append(unfit)
        return
    if not one.in_cin7(value):
        result.to_cin7[one.name] = value
    if not one.in_syspro(value):
        result.to_syspro[one.name] = value
