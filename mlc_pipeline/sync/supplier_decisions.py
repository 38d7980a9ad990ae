"""What a person decides about suppliers: link, unlink, ignore, resolve; each kept for good.

A decision is a row that is never changed, with who made it and when; the audit trail tells
of it as well.

What must not come in: HTTP, Dagster, printing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mlc_pipeline.connection.model import Connection
from mlc_pipeline.connection.supplier_links import (
    HEED,
    IGNORE,
    LINK,
    NO_LINKS,
    UNLINK,
    Decision,
    SupplierLinks,
)
from mlc_pipeline.staging.supplier_tables import (
    supplier_conflicts,
    supplier_decisions,
    supplier_proposals,
)
from mlc_pipeline.staging.tables import CIN7, SYSPRO, documents, writes
from mlc_pipeline.sync.audit import Action, Event, append
from mlc_pipeline.sync.ledger import OPEN, DocumentRef, Ledger
from mlc_pipeline.sync.supplier_attributes import ATTRIBUTES, clean
from mlc_pipeline.sync.supplier_codes import ways_stored
from mlc_pipeline.sync.supplier_records import RESERVED, RESOLVE, SupplierRecords
from mlc_pipeline.sync.vocabulary import Kind

RUN = "mlc suppliers"
"""The run that rows written by a person's command carry."""

_ADDRESS_PARTS = 6


class NotDecided(Exception):  # noqa: N818 - says why a decision cannot be taken
    """A decision does not fit what there is; says what was found and what to do."""


class UnknownSupplier(NotDecided):
    """A decision names a supplier that a system did not have when it was last read."""

    def __init__(self, message: str, system: str) -> None:
        """Take what is said to a person, and the system: `syspro` or `cin7`."""
        self.system = system
        super().__init__(message)


@dataclass(frozen=True)
class Open:
    """What waits for a person: conflicts and proposals, as rows of their tables."""

    conflicts: list[dict[str, Any]]
    proposals: list[dict[str, Any]]


class SupplierDecisions:
    """Takes the decisions of one person, or of the file, about one connection."""

    def __init__(
        self,
        engine: sa.Engine,
        connection: Connection,
        by: str,
        links: SupplierLinks = NO_LINKS,
        run_id: str = RUN,
    ) -> None:
        """Take the database, the connection, who decides, and what no decision may gainsay."""
        self._engine = engine
        self._settings = connection.suppliers
        self._name = connection.name
        self._by = by
        self._links = links
        self._records = SupplierRecords(engine, connection.name, run_id)
        self._ledger = Ledger(engine, connection.name, run_id)

    def open(self) -> Open:
        """Return what waits for a person, the oldest conflicts and best proposals first."""
        conflicts, proposals = supplier_conflicts, supplier_proposals
        order = {
            conflicts: (conflicts.c.found_at, conflicts.c.supplier, conflicts.c.attribute),
            proposals: (proposals.c.score.desc(), proposals.c.supplier),
        }
        with self._engine.connect() as connection:
            found = [
                [
                    dict(row._mapping)
                    for row in connection.execute(
                        sa.select(table)
                        .where(table.c.connection == self._name)
                        .order_by(*columns)
                    )
                ]
                for table, columns in order.items()
            ]
        return Open(*found)

    def take(self, said: Decision) -> None:
        """Take a decision of the file.

        Raises:
            NotDecided: it cannot be carried out.
        """
        if said.decision == LINK:
            self.link(said.supplier, said.cin7_id, said.note)
        elif said.decision == UNLINK:
            self.unlink(said.supplier, said.cin7_id, said.note)
        else:
            self.ignore(said.supplier or None, said.cin7_id or None, note=said.note)

    def link(self, supplier: str, cin7_id: str, note: str = "") -> str:
        """Link a SYSPRO supplier with a Cin7 supplier; return the stored code.

        Raises:
            NotDecided: one of them does not exist as staged, or is linked already, or the
                file says otherwise.
        """
        self._only_both_ways()
        self._file_agrees(Decision(LINK, supplier, cin7_id))
        with self._engine.connect() as connection:
            code = self._code(connection, supplier)
            self._exists_in_cin7(connection, cin7_id)
            reserved = self._is_free(connection, code, cin7_id)
        if reserved is not None:
            ref = DocumentRef(Kind.SUPPLIER, reserved)
            self._ledger.forget(ref, f"linked to {code} instead", self._by)
        try:
            self._ledger.adopt(
                DocumentRef(Kind.SUPPLIER, code),
                because="linked by a person",
                actor=self._by,
                cin7_id=cin7_id,
                state="done",
                content_hash=None,
            )
        except IntegrityError as error:
            raise NotDecided(f"Cin7 supplier {cin7_id} was linked meanwhile") from error
        with self._engine.begin() as connection:
            self._records.forget(connection, code)
            said = {"supplier": code, "cin7_id": cin7_id, "note": note}
            self._records.decide(connection, LINK, self._by, **said)
        return code

    def unlink(self, supplier: str, cin7_id: str | None = None, note: str = "") -> str:
        """Undo a link; both suppliers stay as they are and are left alone until linked anew.

        Args:
            supplier: code as stored or as shown.
            cin7_id: what it is to be parted from, linked to it or not; None: its link.
            note: why.

        Raises:
            NotDecided: it has no link, or a write of it has no answer yet, or the file says
                otherwise.
        """
        self._only_both_ways()
        with self._engine.connect() as connection:
            code = self._code(connection, supplier, may_be_gone=True)
            linked = self._linked_to(connection, documents.c.source_key == code)
            if cin7_id is None and linked is None:
                raise NotDecided(f"supplier {code} has no link; see mlc suppliers list")
            parted = cin7_id or linked or ""
            self._file_agrees(Decision(UNLINK, code, parted))
            if parted == linked:
                self._has_no_open_write(connection, code)
            else:
                self._exists_in_cin7(connection, parted)
        # It is said first: a link that went without a word would be made again by itself.
        with self._engine.begin() as connection:
            if parted == linked:
                self._records.forget(connection, code)
            said = {"supplier": code, "cin7_id": parted, "note": note}
            self._records.decide(connection, UNLINK, self._by, **said)
        if parted == linked:
            ref = DocumentRef(Kind.SUPPLIER, code)
            self._ledger.forget(ref, f"parted from {parted} by a person", self._by)
        return code

    def ignore(
        self, supplier: str | None, cin7_id: str | None, *, undo: bool = False, note: str = ""
    ) -> None:
        """Leave a supplier alone, or say that two suppliers are not one.

        Raises:
            NotDecided: neither is named, one does not exist as staged or is linked, or the
                file says otherwise.
        """
        self._only_both_ways()
        if supplier is None and cin7_id is None:
            raise NotDecided("name a SYSPRO supplier, a Cin7 supplier, or a pair of both")
        action = HEED if undo else IGNORE
        self._file_agrees(Decision(action, supplier or "", cin7_id or ""))
        with self._engine.begin() as connection:
            code = self._code(connection, supplier) if supplier else None
            if cin7_id:
                self._exists_in_cin7(connection, cin7_id)
            if not undo:
                self._is_without_link(connection, code, cin7_id)
            said = {"supplier": code, "cin7_id": cin7_id, "note": note}
            self._records.decide(connection, action, self._by, **said)
            proposed = supplier_proposals
            named = [proposed.c.connection == self._name]
            named += [proposed.c.supplier == code] if code else []
            named += [proposed.c.cin7_id == cin7_id] if cin7_id else []
            connection.execute(proposed.delete().where(*named))
            self._tell(connection, code or str(cin7_id), action, cin7_id, note or None)

    def resolve(
        self, supplier: str, attribute: str, take: str | None, value: str | None
    ) -> str:
        """Decide a conflict for one side or for a value; the next run carries it out.

        Args:
            supplier: code as stored or as shown.
            attribute: of the conflict.
            take: `syspro` or `cin7`; None when a value is given.
            value: another value; an address as six parts parted by `|`.

        Returns:
            The value that both sides will have.

        Raises:
            NotDecided: there is no such conflict, or not exactly one of both is said.
        """
        self._only_both_ways()
        if attribute not in ATTRIBUTES:
            raise NotDecided(f"found {attribute!r}, expected one of {', '.join(ATTRIBUTES)}")
        if (take is None) == (value is None):
            raise NotDecided("say either which side to take or a value")
        with self._engine.begin() as connection:
            code = self._code(connection, supplier)
            conflict = self._conflict(connection, code, attribute)
            if value is not None:
                decided = _entered(attribute, value)
            else:
                decided = str(conflict.syspro if take == "syspro" else conflict.cin7)
            self._records.decide(
                connection,
                RESOLVE,
                self._by,
                supplier=code,
                attribute=attribute,
                base=conflict.base,
                syspro=conflict.syspro,
                cin7=conflict.cin7,
                value=decided,
            )
            both = f"SYSPRO {conflict.syspro!r}, Cin7 {conflict.cin7!r}"
            self._tell(connection, code, RESOLVE, None, f"{attribute}: {decided!r}; {both}")
        return decided

    def _tell(
        self,
        connection: sa.Connection,
        subject: str,
        what: str,
        target: str | None,
        reason: str | None,
    ) -> None:
        """Tell the trail of a decision that changes no link; last in its transaction."""
        told = Event(
            Kind.SUPPLIER,
            subject,
            Action.DECIDED,
            step=what,
            target_id=target,
            reason=reason,
            actor=self._by,
        )
        append(connection, self._name, self._ledger.run_id, [told])

    def history(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return the latest decisions, the newest first."""
        table = supplier_decisions
        query = (
            sa.select(table)
            .where(table.c.connection == self._name)
            .order_by(table.c.id.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]

    # --- what must hold ---------------------------------------------------------------------

    def _only_both_ways(self) -> None:
        if not self._settings.both_ways:
            raise NotDecided(
                f"connection {self._name} sends suppliers from SYSPRO to Cin7 only; set "
                "suppliers.direction to both in connection.yaml"
            )

    def _file_agrees(self, said: Decision) -> None:
        """Make sure that the file does not say otherwise: it is the standing decision."""
        row = self._links.against(said)
        if row is not None:
            named = " and ".join(side for side in (row.supplier, row.cin7_id) if side)
            raise NotDecided(
                f"{self._links.file}:{row.line} says {row.decision} {named}, and what the file "
                "says holds; change or delete that row"
            )

    def _code(
        self, connection: sa.Connection, supplier: str, *, may_be_gone: bool = False
    ) -> str:
        """Return the stored code of a supplier, from the code as stored or as shown."""
        codes = ways_stored(supplier, self._settings)
        master = SYSPRO["suppliers"]
        query = sa.select(master.c.supplier).where(
            master.c.connection == self._name, master.c.supplier.in_(codes)
        )
        found = set(connection.scalars(query))
        if may_be_gone:
            known = sa.select(documents.c.source_key).where(
                documents.c.connection == self._name,
                documents.c.kind == Kind.SUPPLIER,
                documents.c.source_key.in_(codes),
            )
            found |= set(connection.scalars(known))
        if not found:
            raise UnknownSupplier(
                f"SYSPRO's suppliers as last read have no {supplier!r}; give the code as "
                "SYSPRO shows it, or run a cycle first",
                "syspro",
            )
        return next(code for code in codes if code in found)

    def _exists_in_cin7(self, connection: sa.Connection, cin7_id: str) -> None:
        table = CIN7["suppliers"]
        query = sa.select(table.c.id).where(
            table.c.connection == self._name, table.c.id == cin7_id
        )
        if connection.scalar(query) is None:
            raise UnknownSupplier(
                f"Cin7's suppliers as last read have no id {cin7_id!r}; see mlc suppliers list",
                "cin7",
            )

    def _is_without_link(
        self, connection: sa.Connection, code: str | None, cin7_id: str | None
    ) -> None:
        """Make sure that ignoring is not said of a link, which goes on until it is undone."""
        named = [documents.c.state != RESERVED, documents.c.cin7_id.is_not(None)]
        named += [documents.c.source_key == code] if code else []
        named += [documents.c.cin7_id == cin7_id] if cin7_id else []
        query = sa.select(documents.c.source_key, documents.c.cin7_id).where(
            documents.c.connection == self._name, documents.c.kind == Kind.SUPPLIER, *named
        )
        row = connection.execute(query).one_or_none()
        if row is not None:
            raise NotDecided(
                f"supplier {row.source_key} is linked to {row.cin7_id}, and ignoring does not "
                "undo a link; unlink it, which leaves both alone"
            )

    def _is_free(self, connection: sa.Connection, code: str, cin7_id: str) -> str | None:
        """Make sure that neither side is linked; return a code that was only reserved."""
        self._has_no_open_write(connection, code)
        other = self._linked_to(connection, documents.c.source_key == code)
        if other not in (None, cin7_id):
            raise NotDecided(
                f"supplier {code} is linked to {other}; run mlc suppliers unlink first"
            )
        query = sa.select(documents.c.source_key, documents.c.state).where(
            documents.c.connection == self._name,
            documents.c.kind == Kind.SUPPLIER,
            documents.c.cin7_id == cin7_id,
            documents.c.source_key != code,
        )
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.state != RESERVED:
            raise NotDecided(
                f"Cin7 supplier {cin7_id} is linked to {row.source_key}; run mlc suppliers "
                "unlink first"
            )
        self._has_no_open_write(connection, row.source_key)
        reserved: str = row.source_key
        return reserved

    def _linked_to(
        self, connection: sa.Connection, which: sa.ColumnElement[bool]
    ) -> str | None:
        query = sa.select(documents.c.cin7_id).where(
            documents.c.connection == self._name, documents.c.kind == Kind.SUPPLIER, which
        )
        found: str | None = connection.scalar(query)
        return found

    def _has_no_open_write(self, connection: sa.Connection, code: str) -> None:
        query = sa.select(writes.c.step).where(
            writes.c.connection == self._name,
            writes.c.kind == Kind.SUPPLIER,
            writes.c.source_key == code,
            writes.c.state.in_(OPEN),
        )
        step = connection.scalar(query)
        if step is not None:
            raise NotDecided(
                f"supplier {code}: {step} has no answer yet; run a cycle, which looks it up"
            )

    def _conflict(self, connection: sa.Connection, code: str, attribute: str) -> Any:
        table = supplier_conflicts
        query = sa.select(table).where(
            table.c.connection == self._name,
            table.c.supplier == code,
            table.c.attribute == attribute,
        )
        row = connection.execute(query).one_or_none()
        if row is None:
            raise NotDecided(
                f"supplier {code} has no conflict in {attribute}; see mlc suppliers conflicts "
                f"{self._name}"
            )
        return row


def _entered(attribute: str, value: str) -> str:
    """Return a value as a person typed it, in neutral words."""
    if attribute != "address":
        return clean(value)
    parts = [clean(part) for part in value.split("|")]
    if len(parts) != _ADDRESS_PARTS or not parts[0] or not parts[4]:
        raise NotDecided(
            f"address: found {len(parts)} parts, expected street|street|city|state|country|"
            "postcode, of which the first and the country are not blank"
        )
    return "\n".join(parts)
