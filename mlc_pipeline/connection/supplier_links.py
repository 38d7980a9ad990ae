"""What people decide about suppliers in `supplier_links.csv`, and which decisions disagree.

The file is the standing decision: it holds as long as its row is there.

What must not come in: reading the file, looking a supplier up, carrying anything out.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlc_pipeline.connection.mapping_problems import UNREAD, MappingProblem

LINK, UNLINK, IGNORE = "link", "unlink", "ignore"
DECISIONS = (LINK, UNLINK, IGNORE)
HEED = "heed"
"""Takes an `ignore` back; a command says it, the file only by its row being gone."""

_FREES = frozenset({LINK, HEED})


@dataclass(frozen=True)
class Decision:
    """One decision about suppliers.

    Attributes:
        decision: one of `DECISIONS`, or `HEED`.
        supplier: SYSPRO's code as stored or as shown; blank when it is about Cin7's alone.
        cin7_id: the Cin7 supplier's id; blank when it is about SYSPRO's alone.
        note: why, for those who come after.
        line: in the file, counted from 1; 0 when a command says it.
    """

    decision: str
    supplier: str
    cin7_id: str
    note: str = ""
    line: int = 0

    @property
    def pair(self) -> tuple[str, str]:
        """Both sides, however the code is written: SYSPRO fills numbers with zeros."""
        is_number = self.supplier.isascii() and self.supplier.isdigit()
        return (self.supplier.lstrip("0") or "0") if is_number else self.supplier, self.cin7_id

    def disagrees(self, other: Decision) -> bool:
        """Tell whether both cannot hold.

        Two links disagree when they share one side. What frees (link, heed) disagrees with
        what parts or leaves alone (unlink, ignore) the same pair or one side of it.
        """
        if self.decision == other.decision == LINK:
            return (self.pair[0] == other.pair[0]) != (self.pair[1] == other.pair[1])
        frees = [one for one in (self, other) if one.decision in _FREES]
        if len(frees) != 1:
            return False
        parts = other if frees[0] is self else self
        sides = zip(parts.pair, frees[0].pair, strict=True)
        return all(parted in ("", freed) for parted, freed in sides)


@dataclass(frozen=True)
class SupplierLinks:
    """The file as it was read; without the file it decides nothing.

    Attributes:
        file: its path, as problems show it.
        rows: the good rows.
        refused: the bad ones, as far as they can be read: for what they name.
        problems: what is wrong with the bad ones.
    """

    file: str = ""
    rows: tuple[Decision, ...] = ()
    refused: tuple[Decision, ...] = ()
    problems: tuple[MappingProblem, ...] = ()

    @property
    def unread(self) -> MappingProblem | None:
        """What keeps rows of the file from being read at all."""
        return next((p for p in self.problems if p.kind in UNREAD), None)

    def against(self, said: Decision) -> Decision | None:
        """Return a row that a decision disagrees with."""
        return next((row for row in self.rows if row.disagrees(said)), None)


NO_LINKS = SupplierLinks()
