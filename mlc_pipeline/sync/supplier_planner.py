"""Planning suppliers both ways: every link merged, every supplier without one matched.

SYSPRO's master is walked in pages by key, so that its size does not decide what memory is
needed; a link of which neither side changed since it was settled is passed over by the
hash of its content. What is agreed is noted; nothing is written outside.

What must not come in: HTTP, Dagster, how a value is read or who wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.staging.load import Stamp
from mlc_pipeline.staging.tables import CIN7, PLAN, SYSPRO, documents, rejected_rows
from mlc_pipeline.sync.content import NewSysproSupplier, SupplierChange
from mlc_pipeline.sync.ledger import Ledger
from mlc_pipeline.sync.plan import Hold, PlanContext, Planned, planned
from mlc_pipeline.sync.planner import Plan, needed_suppliers, suppliers_of, write_plan
from mlc_pipeline.sync.rows import SupplierRow
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.supplier_attributes import (
    INACTIVE,
    Side,
    Unfit,
    address_lines,
    before,
    cin7_side,
    clean,
    code_suffix,
    syspro_elements,
    syspro_side,
    without_code,
)
from mlc_pipeline.sync.supplier_file import FILE, Undecided, carry_out, not_carried_out
from mlc_pipeline.sync.supplier_matching import Matches, Matching, Party, Proposal, Shared
from mlc_pipeline.sync.supplier_merge import Conflict, Merge, Rules, merge
from mlc_pipeline.sync.supplier_records import (
    RESERVED,
    Base,
    Decisions,
    Settlement,
    SupplierRecords,
)
from mlc_pipeline.sync.suppliers import (
    normalised_name,
    normalised_tax_number,
    supplier_content,
)
from mlc_pipeline.sync.vocabulary import REASONS, Kind, Verdict

PAGE = 2000
"""Suppliers that are looked at together."""

_NAMED = 5


@dataclass(frozen=True)
class Link:
    """A link as the ledger has it."""

    cin7_id: str
    state: str


@dataclass(frozen=True)
class Linked:
    """A linked supplier with both sides as staged; a side that is gone is None."""

    row: SupplierRow
    link: Link
    raw: Mapping[str, Any] | None


@dataclass
class BothWays:
    """A plan of both directions.

    Attributes:
        to_cin7: what Cin7 is to get, and how each supplier that a document needs stands.
        to_syspro: what SYSPRO is to get, and what a person must decide.
        linked: how many links there are.
        settled: links that were passed over, because nothing changed.
        unlinked: SYSPRO codes and Cin7 ids without a link that are not ignored.
        proposals: matches for a person to decide.
        conflicts: by SYSPRO code.
        names: name of each SYSPRO code that is shown somewhere.
    """

    to_cin7: Plan = field(default_factory=Plan)
    to_syspro: Plan = field(default_factory=Plan)
    linked: int = 0
    settled: int = 0
    unlinked: Counter[str] = field(default_factory=Counter)
    proposals: list[Proposal] = field(default_factory=list)
    conflicts: list[tuple[str, Conflict]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[tuple[date, Planned]]:
        """The documents of both directions."""
        return [*self.to_cin7.rows, *self.to_syspro.rows]


def supplier_pages(
    connection: sa.Connection, name: str, size: int = PAGE
) -> Iterator[list[SupplierRow]]:
    """Yield SYSPRO's staged suppliers with their addresses, page by page, in key order."""
    master, address = SYSPRO["suppliers"], SYSPRO["supplier_addresses"]
    joined = master.outerjoin(
        address,
        sa.and_(
            address.c.connection == master.c.connection,
            address.c.supplier == master.c.supplier,
        ),
    )
    wanted = [f.name for f in fields(SupplierRow)]
    columns = [master.c[n] if n in master.c else address.c[n] for n in wanted]
    query = (
        sa.select(*columns)
        .select_from(joined)
        .where(master.c.connection == name)
        .order_by(master.c.supplier)
        .limit(size)
    )
    page = [SupplierRow(**r._mapping) for r in connection.execute(query)]
    while page:
        yield page
        after = query.where(master.c.supplier > page[-1].supplier)
        page = [SupplierRow(**r._mapping) for r in connection.execute(after)]


def plan_both_ways(
    engine: sa.Engine, stamp: Stamp, window: Window, context: PlanContext, _ledger: Ledger
) -> BothWays:
    """Carry out what people decided, plan the suppliers of both systems, keep the plan.

    Args:
        engine: our database.
        stamp: connection and run.
        window: the days; what belongs to no document's day belongs to the last one.
        context: settings, mappings, references, the file of decisions.
    """
    records = SupplierRecords(engine, window.connection, stamp.run_id)
    left = carry_out(engine, context.connection, context.supplier_links, stamp.run_id)
    planning = _Planning(context, window, records, left)
    planning.make(engine)
    made = planning.made
    with engine.begin() as connection:
        records.replace_conflicts(connection, made.conflicts)
        records.replace_proposals(connection, made.proposals)
        for supplier, attribute in planning.carried_out:
            said = {"supplier": supplier, "attribute": attribute}
            records.decide(connection, "settled", "mlc", **said)
    write_plan(engine, PLAN["suppliers"], stamp, window, made.to_cin7)
    write_plan(engine, PLAN["syspro_suppliers"], stamp, window, made.to_syspro)
    return made


def suppliers_as_directed(
    engine: sa.Engine, window: Window, context: PlanContext, ledger: Ledger
) -> Plan:
    """Return the plan of a window's suppliers towards Cin7, without keeping anything of it.

    The connection's direction decides by which rules, as in a cycle.
    """
    if not context.connection.suppliers.both_ways:
        return suppliers_of(engine, window, context, ledger)
    left = not_carried_out(engine, context.connection, context.supplier_links)
    planning = _Planning(context, window, _NotKept(engine, window.connection, ""), left)
    planning.make(engine)
    return planning.made.to_cin7


class _NotKept(SupplierRecords):
    """Records that keep nothing of what a plan finds agreed."""

    def settle(self, connection: sa.Connection, found: Iterable[Settlement]) -> None:
        """Keep nothing."""


class _Planning:
    """The plan in the making."""

    def __init__(
        self,
        context: PlanContext,
        window: Window,
        records: SupplierRecords,
        undecided: Undecided,
    ) -> None:
        self.made = BothWays()
        self.carried_out: list[tuple[str, str]] = []
        self._context, self._window = context, window
        self._records = records
        self._settings = context.connection.suppliers
        self._rules = Rules.of(self._settings)
        self._decisions = Decisions()
        self._undecided = undecided
        self._needed: dict[str, date] = {}
        self._open: dict[str, str] = {}
        self._shared = Shared()
        self._matching = Matching((), Shared(), Shared())
        self._free: dict[str, Party] = {}
        self._reserved: dict[str, str] = {}
        self._unlinked: list[SupplierRow] = []

    def make(self, engine: sa.Engine) -> None:
        """Make the plan, in the order in which one thing needs the other."""
        with engine.connect() as connection:
            self.read(connection)
            self.walk(connection)
            self.match(connection)
            self.look_for_gone(connection)
        self._tell_undecided()

    # --- what must be known first --------------------------------------------------------

    def read(self, connection: sa.Connection) -> None:
        """Read decisions, what documents need, what is free in Cin7, what names are shared."""
        name = self._window.connection
        self._decisions = self._records.decisions(connection)
        self._needed = needed_suppliers(connection, self._window)
        self._open = self._records.open_steps(connection)
        self._shared = _shared_in_syspro(connection, name)
        self._free = self._free_in_cin7(connection)
        self._matching = Matching(
            self._free.values(),
            self._shared,
            _shared_in_cin7(connection, name),
            self._decisions.parted,
            self._settings.proposal_score,
        )

    def _free_in_cin7(self, connection: sa.Connection) -> dict[str, Party]:
        """Return Cin7's suppliers without a link, and those linked to a code that is gone."""
        table, master = CIN7["suppliers"], SYSPRO["suppliers"]
        query = (
            sa.select(table.c.id, table.c.raw, documents.c.source_key, documents.c.state)
            .outerjoin(documents, _is_link(documents, table.c.connection, table.c.id))
            .outerjoin(
                master,
                sa.and_(
                    master.c.connection == table.c.connection,
                    master.c.supplier == documents.c.source_key,
                ),
            )
            .where(
                table.c.connection == self._window.connection,
                sa.or_(master.c.supplier.is_(None), documents.c.state == RESERVED),
            )
        )
        found = {}
        for row in connection.execute(query):
            if row.id in self._decisions.ignored_cin7 and row.source_key not in self._open:
                continue
            if row.state == RESERVED:
                self._reserved[row.id] = row.source_key
            else:
                found[row.id] = self._cin7_party(row.id, row.raw, row.source_key or "")
        return found

    def _cin7_party(self, id_: str, raw: Mapping[str, Any], linked_to: str) -> Party:
        side = cin7_side(raw, linked_to, self._settings, "")
        return _party(
            id_, side, marker=clean(raw.get("AdditionalAttribute1")), linked_to=linked_to
        )

    # --- SYSPRO's master, page by page ----------------------------------------------------

    def walk(self, connection: sa.Connection) -> None:
        """Merge every linked supplier, and hold every other against what is free in Cin7."""
        for page in supplier_pages(connection, self._window.connection):
            links = _links(connection, self._window.connection, [r.supplier for r in page])
            raws = _raws(
                connection, self._window.connection, [k.cin7_id for k in links.values()]
            )
            bases = self._records.bases(connection, [*links])
            settled: list[Settlement] = []
            for row in page:
                link = links.get(row.supplier)
                if link is None or link.state == RESERVED:
                    self._without_link(row, link)
                    continue
                linked = Linked(row, link, raws.get(link.cin7_id))
                base = bases.get(row.supplier, Base())
                if (found := self._linked(linked, base)) is not None:
                    settled.append(found)
            with connection.engine.begin() as writing:
                self._records.settle(writing, settled)

    def _without_link(self, row: SupplierRow, link: Link | None) -> None:
        if link is not None:
            return
        if row.supplier in self._decisions.ignored:
            self._leave_alone(row, "supplier_unlinked", "is ignored, and a document needs it")
            return
        if self._free:
            self._matching.hold_against(self._syspro_party(row, ""))
        if (why := self._undecided.of_syspro(row.supplier)) and row.supplier not in self._open:
            self._leave_alone(row, "supplier_undecided", why)
            return
        is_wanted = self._context.connection.policies.supplier_scope == "all"
        if is_wanted or row.supplier in self._needed:
            self._unlinked.append(row)
        self.made.unlinked["SYSPRO"] += 1

    def _leave_alone(self, row: SupplierRow, reason: str, why: str) -> None:
        """Hold what a document needs and a person said, or meant, to leave alone."""
        if row.supplier in self._needed:
            held = Planned(
                Kind.SUPPLIER,
                row.supplier,
                Verdict.HELD,
                Decimal(0),
                supplier=row.supplier,
                reason_code=REASONS[reason].code,
                reason=f"{row.name!r} {why}",
            )
            self.made.to_cin7.add(self._day(row.supplier), held)

    def _syspro_party(self, row: SupplierRow, linked_to: str) -> Party:
        side = syspro_side(row, self._context)
        country = clean(row.address5)  # as written: the usual country proves nothing
        marker = self._context.marker("SUP", row.supplier)
        party = _party(row.supplier, side, marker=marker, linked_to=linked_to)
        return replace(party, country=country)

    def _linked(self, linked: Linked, base: Base) -> Settlement | None:
        """Merge a link; return what is to be kept of it, None when nothing is new."""
        row, code = linked.row, linked.row.supplier
        self.made.linked += 1
        if self._free:
            self._propose_namesakes(row, linked.link.cin7_id)
        if linked.raw is None:
            detail = f"{row.name!r}: Cin7 has no supplier {linked.link.cin7_id} any more"
            self._hold(code, "supplier_gone", detail)
            self._stands(code)
            return None
        syspro = syspro_side(row, self._context)
        cin7 = cin7_side(linked.raw, code, self._settings, base.stand_in)
        hashes = (syspro.digest(str(self._rules)), cin7.digest(str(self._rules)))
        if hashes == (base.syspro_hash, base.cin7_hash) and code not in self._open:
            self.made.settled += 1
            self._stands(code)
            return None
        result = merge(
            base.values, syspro.values, cin7.values, self._rules, self._resolver(code)
        )
        self._note_carried_out(code, result)
        self._write_rows(linked, syspro, cin7, result)
        is_settled = result.is_settled and not syspro.troubles
        return Settlement(
            code,
            result.agreed,
            hashes[0] if is_settled else None,
            hashes[1] if is_settled else None,
            cin7.stand_in or base.stand_in,
        )

    def _propose_namesakes(self, row: SupplierRow, cin7_id: str) -> None:
        """See whether a free Cin7 supplier doubles a linked one; it must not become new."""
        self._matching.hold_against(self._syspro_party(row, cin7_id))

    def _resolver(self, code: str) -> Any:
        def resolved(conflict: Conflict) -> str | None:
            decided = self._decisions.resolutions.get((code, conflict.attribute))
            holds = decided is not None and decided.holds(conflict)
            return decided.value if decided is not None and holds else None

        return resolved

    def _note_carried_out(self, code: str, result: Merge) -> None:
        for attribute in result.agreed:
            if (code, attribute) in self._decisions.resolutions:
                self.carried_out.append((code, attribute))

    def _write_rows(self, linked: Linked, syspro: Side, cin7: Side, result: Merge) -> None:
        code, name = linked.row.supplier, syspro.values["name"]
        self.made.names[code] = name
        both = tuple(sorted(result.to_cin7.keys() & result.to_syspro.keys()))
        common = {
            "supplier": code,
            "cin7_id": linked.link.cin7_id,
            "name": name,
            "unsettled": both,
            "stand_in": cin7.stand_in,
        }
        if result.to_cin7 or (code in self._open and not result.to_syspro):
            change = SupplierChange(
                **common,
                write=result.to_cin7,
                seen={a: cin7.values[a] for a in result.to_cin7},
                suffix=self._suffix(linked, result.to_cin7),
                marker=self._context.marker("SUP", code),
            )
            self._add(self.made.to_cin7, Kind.SUPPLIER, change, cin7.values)
        else:
            self._stands(code)
        self._write_to_syspro(linked.row, common, syspro, result)
        self._hold_what_stops(code, name, syspro, result)

    def _suffix(self, linked: Linked, write: Mapping[str, str]) -> str:
        """Return what the name must end with in Cin7: what it has, or namesakes need."""
        suffix = code_suffix(linked.row.supplier)
        current = clean((linked.raw or {}).get("Name"))
        is_shared = normalised_name(write.get("name", "")) in self._shared.names
        return suffix if is_shared or current.endswith(suffix) else ""

    def _write_to_syspro(
        self, row: SupplierRow, common: Mapping[str, Any], syspro: Side, result: Merge
    ) -> None:
        write: dict[str, str] = {}
        elements: dict[str, str] = {}
        for attribute, value in result.to_syspro.items():
            try:
                elements |= syspro_elements({attribute: value}, row, self._context)
            except Unfit as unfit:
                result.unfit.append(unfit)
            except Hold as hold:
                self._hold(row.supplier, hold.reason.code, hold.detail, attribute)
            else:
                write[attribute] = value
        if not write:
            return
        change = SupplierChange(
            **common,
            write=write,
            seen={a: syspro.values[a] for a in write},
            elements=elements,
            before=before(elements, row),
        )
        self._add(self.made.to_syspro, Kind.SYSPRO_SUPPLIER, change, syspro.values)

    def _hold_what_stops(self, code: str, name: str, syspro: Side, result: Merge) -> None:
        for attribute, trouble in syspro.troubles.items():
            self._hold(code, trouble.reason.code, f"{name}: {trouble.detail}", attribute)
        for unfit in result.unfit:
            self._hold(code, "supplier_unfit", f"{name}: {unfit}", unfit.attribute)
        for c in result.conflicts:
            self.made.conflicts.append((code, c))
            detail = (
                f"{name}, {c.attribute}: agreed {shown(c.base)}, SYSPRO {shown(c.syspro)}, "
                f"Cin7 {shown(c.cin7)}"
            )
            difference = (
                {"field": c.attribute, "base": c.base, "syspro": c.syspro, "cin7": c.cin7},
            )
            self._hold(code, "supplier_conflict", detail, c.attribute, difference)

    # --- suppliers without a link -----------------------------------------------------------

    def match(self, connection: sa.Connection) -> None:
        """Link what is proven, propose what is alike, plan what is new on either side."""
        found = self._matching.found()
        self.made.proposals = found.proposals
        begun = {code for code, step in self._open.items() if step == "create_supplier"}
        disputed = {c: self._disputed(c, cin7_id) for c, cin7_id in found.links.items()}
        for code, cin7_id in found.links.items():
            # What was begun by a call without an answer is looked up, not linked.
            if code not in begun and not disputed[code]:
                self._adopt(code, cin7_id)
                self.made.unlinked["SYSPRO"] -= 1
        of_syspro = _by(found.proposals, lambda p: p.syspro.key)
        for row in self._unlinked:
            if (why := disputed.get(row.supplier)) and row.supplier not in begun:
                self._leave_alone(row, "supplier_undecided", why)
            elif row.supplier not in found.links or row.supplier in begun:
                self._new_in_cin7(row, of_syspro.get(row.supplier, []))
        self._new_in_syspro(connection, found)

    def _disputed(self, code: str, cin7_id: str) -> str:
        """Return why what proves itself is not linked: the file speaks of it, unclearly."""
        return self._undecided.of_syspro(code) or self._undecided.of_cin7(cin7_id)

    def _adopt(self, code: str, cin7_id: str) -> None:
        name = self._free[cin7_id].name
        self.made.names[code] = name
        self.made.to_cin7.add(
            self._day(code),
            Planned(
                Kind.SUPPLIER,
                code,
                Verdict.CREATE,
                Decimal(0),
                supplier=code,
                difference=({"field": "adopt", "before": None, "after": cin7_id},),
            ),
        )

    def _new_in_cin7(self, row: SupplierRow, proposals: list[Proposal]) -> None:
        describe = Planned(
            Kind.SUPPLIER, row.supplier, Verdict.HELD, Decimal(0), supplier=row.supplier
        )

        def build() -> tuple[Verdict, Any, Any]:
            if proposals:
                raise Hold("supplier_match_proposed", f"{row.name!r}: {_listed(proposals)}")
            shared = frozenset(self._shared.names)
            return Verdict.CREATE, supplier_content(row, self._context, shared), ()

        self.made.to_cin7.add(self._day(row.supplier), planned(describe, build))

    def _new_in_syspro(self, connection: sa.Connection, found: Matches) -> None:
        taken = set(found.links.values())
        of_cin7 = _by(found.proposals, lambda p: p.cin7.key)
        free = [key for key, p in self._free.items() if not p.linked_to and key not in taken]
        for start in range(0, len(free), PAGE):
            page = free[start : start + PAGE]
            raws = _raws(connection, self._window.connection, page)
            for key in page:
                self._one_new_in_syspro(key, key, raws[key], of_cin7.get(key, []))
        raws = _raws(connection, self._window.connection, [*self._reserved])
        for key, code in self._reserved.items():
            self._one_new_in_syspro(key, code, raws[key], [])

    def _one_new_in_syspro(
        self, key: str, source: str, raw: Mapping[str, Any], proposals: list[Proposal]
    ) -> None:
        """Plan a Cin7 supplier that SYSPRO lacks; `source` is its code once it has one."""
        side = cin7_side(raw, "", self._settings, "")
        is_new = source == key
        if is_new and side.values["status"] == INACTIVE:
            return
        self.made.unlinked["Cin7"] += 1
        name = side.values["name"]
        describe = Planned(
            Kind.SYSPRO_SUPPLIER,
            f"cin7:{key}" if is_new else source,
            Verdict.HELD,
            Decimal(0),
            supplier=name,
        )

        def build() -> tuple[Verdict, Any, Any]:
            if (why := self._undecided.of_cin7(key)) and source not in self._open:
                raise Hold("supplier_undecided", f"{name!r} {why}")
            if proposals:
                raise Hold("supplier_match_proposed", f"{name!r}: {_listed(proposals)}")
            if is_new and self._settings.new_from_cin7 == "hold":
                raise Hold("supplier_unlinked", f"{name!r} of Cin7 ({key})")
            return Verdict.CREATE, self._new_supplier(key, side), ()

        self.made.to_syspro.add(self._window.last, planned(describe, build))

    def _new_supplier(self, key: str, side: Side) -> NewSysproSupplier:
        values = {a: v for a, v in side.values.items() if v and a in self._rules.attributes}
        try:
            elements = syspro_elements(values, None, self._context)
        except Unfit as unfit:
            raise Hold("supplier_unfit", f"{side.values['name']}: {unfit}") from unfit
        elements = {e: text for e, text in elements.items() if text}
        elements |= {str(e): text for e, text in self._settings.new_supplier.items()}
        return NewSysproSupplier(
            cin7_id=key, name=side.values["name"], values=values, elements=elements
        )

    # --- what is gone -----------------------------------------------------------------------

    def look_for_gone(self, connection: sa.Connection) -> None:
        """Report links of which the SYSPRO code is gone; nothing is ever deleted for it."""
        master = SYSPRO["suppliers"]
        name = self._window.connection
        unreadable = {
            key.removeprefix("supplier=")
            for key in connection.scalars(
                sa.select(rejected_rows.c.key).where(
                    rejected_rows.c.connection == name, rejected_rows.c.entity == "suppliers"
                )
            )
        }
        here = sa.exists().where(
            master.c.connection == documents.c.connection,
            master.c.supplier == documents.c.source_key,
        )
        query = sa.select(documents.c.source_key, documents.c.cin7_id).where(
            documents.c.connection == name,
            documents.c.kind == Kind.SUPPLIER,
            documents.c.cin7_id.is_not(None),
            documents.c.state != RESERVED,
            sa.not_(here),
        )
        for row in connection.execute(query.order_by(documents.c.source_key)):
            if row.source_key not in unreadable:
                detail = f"SYSPRO has no supplier {row.source_key} any more; Cin7 {row.cin7_id}"
                self._hold(row.source_key, "supplier_gone", detail)

    # --- what the file says and cannot be carried out ---------------------------------------

    def _tell_undecided(self) -> None:
        for line, why in sorted(self._undecided.told.items()):
            self._hold(f"{FILE}:{line}", "supplier_undecided", why)

    # --- rows -------------------------------------------------------------------------------

    def _day(self, code: str) -> date:
        return self._needed.get(code, self._window.last)

    def _stands(self, code: str) -> None:
        """Say that a linked supplier is as it should be, if a document asks."""
        if code in self._needed:
            self.made.to_cin7.add(
                self._day(code),
                Planned(Kind.SUPPLIER, code, Verdict.UNCHANGED, Decimal(0), supplier=code),
            )

    def _add(
        self, plan: Plan, kind: Kind, change: SupplierChange, held: Mapping[str, str]
    ) -> None:
        code = change.supplier
        difference = tuple(
            {"field": attribute, "before": held[attribute], "after": value}
            for attribute, value in change.write.items()
        )
        day = self._day(code) if kind is Kind.SUPPLIER else self._window.last
        plan.add(
            day,
            Planned(
                kind,
                code,
                Verdict.UPDATE,
                Decimal(0),
                supplier=code,
                content=change,
                difference=difference,
            ),
        )

    def _hold(
        self,
        code: str,
        reason: str,
        detail: str,
        attribute: str = "",
        difference: tuple[dict[str, Any], ...] = (),
    ) -> None:
        """Hold something of a supplier; its documents and its other attributes go on."""
        self.made.to_syspro.add(
            self._window.last,
            Planned(
                Kind.SYSPRO_SUPPLIER,
                f"{code}: {attribute or reason}",
                REASONS[reason].verdict,
                Decimal(0),
                supplier=code,
                reason_code=reason,
                reason=detail,
                difference=difference,
            ),
        )


def shown(value: str | None) -> str:
    """Return a value as people read it: in quotes, an address on one line."""
    if value is None:
        return "never"
    return repr(", ".join(line for line in address_lines(value) if line)) if value else "blank"


def _listed(proposals: list[Proposal]) -> str:
    named = [
        f"SYSPRO {p.syspro.key} {p.syspro.name!r} and Cin7 {p.cin7.name!r} ({p.cin7.key}), "
        f"{p.score} %: {'; '.join(p.reasons)}"
        for p in proposals[:_NAMED]
    ]
    return " | ".join(named)


def _by(proposals: Iterable[Proposal], key: Any) -> dict[str, list[Proposal]]:
    found: dict[str, list[Proposal]] = {}
    for proposal in proposals:
        found.setdefault(key(proposal), []).append(proposal)
    return found


def _party(key: str, side: Side, *, marker: str, linked_to: str) -> Party:
    values = side.values
    lines = address_lines(values["address"])
    return Party(
        key,
        without_code(values["name"], linked_to),
        tax_number=values["tax_number"],
        currency=values.get("currency", ""),
        country=lines[4],
        postcode=lines[5],
        phone=values["phone"],
        email=values["email"],
        marker=marker,
        linked_to=linked_to,
    )


def _is_link(
    table: sa.Table, connection: sa.ColumnElement[Any], cin7_id: sa.ColumnElement[Any]
) -> sa.ColumnElement[bool]:
    return sa.and_(
        table.c.connection == connection,
        table.c.kind == Kind.SUPPLIER,
        table.c.cin7_id == cin7_id,
    )


def _links(connection: sa.Connection, name: str, codes: list[str]) -> dict[str, Link]:
    query = sa.select(documents.c.source_key, documents.c.cin7_id, documents.c.state).where(
        documents.c.connection == name,
        documents.c.kind == Kind.SUPPLIER,
        documents.c.cin7_id.is_not(None),
        documents.c.source_key.in_(codes),
    )
    return {r.source_key: Link(r.cin7_id, r.state) for r in connection.execute(query)}


def _raws(connection: sa.Connection, name: str, ids: list[str]) -> dict[str, Mapping[str, Any]]:
    table = CIN7["suppliers"]
    query = sa.select(table.c.id, table.c.raw).where(
        table.c.connection == name, table.c.id.in_(ids)
    )
    return {r.id: r.raw for r in connection.execute(query)}


def _shared_in_syspro(connection: sa.Connection, name: str) -> Shared:
    """Return what stands under several codes; only digests are held while looking."""
    seen: dict[str, set[int]] = {"name": set(), "tax": set()}
    shared: dict[str, set[str]] = {"name": set(), "tax": set()}
    for page in supplier_pages(connection, name):
        for row in page:
            found = {
                "name": normalised_name(clean(row.name)),
                "tax": normalised_tax_number(row.tax_number) or "",
            }
            for what, value in found.items():
                if value and hash(value) in seen[what]:
                    shared[what].add(value)
                seen[what].add(hash(value))
    return Shared(frozenset(shared["name"]), frozenset(shared["tax"]))


def _shared_in_cin7(connection: sa.Connection, name: str) -> Shared:
    table = CIN7["suppliers"]
    names = (
        sa.select(table.c.normalised_name)
        .where(table.c.connection == name)
        .group_by(table.c.normalised_name)
        .having(sa.func.count() > 1)
    )
    taxes: Counter[str] = Counter()
    query = sa.select(table.c.tax_number).where(
        table.c.connection == name, sa.func.coalesce(table.c.tax_number, "") != ""
    )
    for number in connection.scalars(query):
        taxes[normalised_tax_number(number) or ""] += 1
    return Shared(
        frozenset(connection.scalars(names)),
        frozenset(tax for tax, count in taxes.items() if tax and count > 1),
    )
