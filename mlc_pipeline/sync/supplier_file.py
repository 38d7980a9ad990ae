"""`supplier_links.csv` carried out: each row once, by the same way as a person's command.

A row that cannot be carried out holds the suppliers it names, as far as they have no link:
somebody decided about them, if with a slip of the pen, so nothing is made or matched of them
by itself. Links that stand go on.

What must not come in: HTTP, Dagster, reading files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from mlc_pipeline.connection.mapping_problems import MappingProblem
from mlc_pipeline.connection.model import Connection, Suppliers
from mlc_pipeline.connection.supplier_links import (
    IGNORE,
    LINK,
    UNLINK,
    Decision,
    SupplierLinks,
)
from mlc_pipeline.staging.tables import documents
from mlc_pipeline.sync.supplier_codes import ways_stored
from mlc_pipeline.sync.supplier_decisions import (
    NotDecided,
    SupplierDecisions,
    UnknownSupplier,
)
from mlc_pipeline.sync.supplier_records import RESERVED, Decisions, SupplierRecords
from mlc_pipeline.sync.vocabulary import Kind

FILE = "supplier_links.csv"
"""Who decides, as the trail and the history name it."""

_ORDER = {UNLINK: 0, LINK: 1, IGNORE: 2}  # what is parted is free for another link
_CHUNK = 1000


@dataclass
class Undecided:
    """What no plan may make or match until the file is corrected.

    Attributes:
        told: what is wrong, by line.
        suppliers: SYSPRO codes, in every way they may be stored, and why.
        cin7_ids: Cin7 suppliers, and why.
        everything: why nothing without a link may move; blank when it may.
    """

    told: dict[int, str] = field(default_factory=dict)
    suppliers: dict[str, str] = field(default_factory=dict)
    cin7_ids: dict[str, str] = field(default_factory=dict)
    everything: str = ""

    def of_syspro(self, code: str) -> str:
        """Return why a SYSPRO supplier is held; blank when it is not."""
        return self.suppliers.get(code) or self.everything

    def of_cin7(self, cin7_id: str) -> str:
        """Return why a Cin7 supplier is held; blank when it is not."""
        return self.cin7_ids.get(cin7_id) or self.everything

    def hold(self, row: Decision, why: str, settings: Suppliers) -> None:
        """Hold what a row names."""
        self.told[row.line] = why
        if row.supplier:
            codes = ways_stored(row.supplier, settings)
            self.suppliers |= dict.fromkeys(codes, why)
        if row.cin7_id:
            self.cin7_ids[row.cin7_id] = why


def carry_out(
    engine: sa.Engine, connection: Connection, links: SupplierLinks, run_id: str
) -> Undecided:
    """Take every decision of the file that is not carried out yet.

    Args:
        engine: our database.
        connection: settings.
        links: the file.
        run_id: the run that carries it out.

    Returns:
        What cannot be carried out.
    """
    left = _unreadable(links, connection.suppliers)
    desk = SupplierDecisions(engine, connection, FILE, run_id=run_id)
    for row in sorted(_pending(engine, connection, links), key=lambda r: _ORDER[r.decision]):
        try:
            desk.take(row)
        except NotDecided as error:
            left.hold(row, str(_problem(links.file, row, error)), connection.suppliers)
    return left


def not_carried_out(
    engine: sa.Engine, connection: Connection, links: SupplierLinks
) -> Undecided:
    """Return what is not carried out yet, for whatever reason; carries nothing out."""
    left = _unreadable(links, connection.suppliers)
    for row in _pending(engine, connection, links):
        why = f"{links.file}:{row.line}: {row.decision} is carried out by the next run"
        left.hold(row, why, connection.suppliers)
    return left


def _unreadable(links: SupplierLinks, settings: Suppliers) -> Undecided:
    left = Undecided()
    for row in links.refused:
        why = "; ".join(str(p) for p in links.problems if p.line == row.line)
        left.hold(row, why, settings)
    if links.unread is not None:
        left.everything = str(links.unread)
        left.told[links.unread.line] = left.everything
    return left


def _problem(file: str, row: Decision, error: NotDecided) -> MappingProblem:
    if not isinstance(error, UnknownSupplier):
        found = " ".join(part for part in (row.decision, row.supplier, row.cin7_id) if part)
        return MappingProblem(file, row.line, "decision", found, "not_decided", str(error))
    found = row.supplier if error.system == "syspro" else row.cin7_id
    kind = f"no_{error.system}_supplier"
    return MappingProblem(file, row.line, f"{error.system}_supplier", found, kind)


def _pending(engine: sa.Engine, connection: Connection, links: SupplierLinks) -> list[Decision]:
    """Return the rows that say something else than what holds."""
    if not links.rows:
        return []
    records = SupplierRecords(engine, connection.name, "")
    with engine.connect() as reading:
        holds = records.decisions(reading)
        linked = _linked(reading, connection.name, {row.cin7_id for row in links.rows})
    return [
        row
        for row in links.rows
        if not _holds(row, ways_stored(row.supplier, connection.suppliers), linked, holds)
    ]


def _holds(
    row: Decision, codes: Collection[str], linked: Mapping[str, str], holds: Decisions
) -> bool:
    """Tell whether a row is carried out, under any way its code may be stored."""
    is_linked = row.cin7_id in linked and linked[row.cin7_id] in codes
    if row.decision == LINK:
        return is_linked
    if row.supplier and row.cin7_id:
        return not is_linked and any((code, row.cin7_id) in holds.parted for code in codes)
    if row.supplier:
        return not holds.ignored.isdisjoint(codes)
    return row.cin7_id in holds.ignored_cin7


def _linked(reading: sa.Connection, name: str, cin7_ids: Iterable[str]) -> dict[str, str]:
    """Return the SYSPRO code of each Cin7 supplier that is linked."""
    found: dict[str, str] = {}
    ids = sorted(cin7_ids)
    for start in range(0, len(ids), _CHUNK):
        query = sa.select(documents.c.cin7_id, documents.c.source_key).where(
            documents.c.connection == name,
            documents.c.kind == Kind.SUPPLIER,
            documents.c.state != RESERVED,
            documents.c.cin7_id.in_(ids[start : start + _CHUNK]),
        )
        found |= {row.cin7_id: row.source_key for row in reading.execute(query)}
    return found
