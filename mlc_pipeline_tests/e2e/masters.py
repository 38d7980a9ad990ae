"""Two supplier masters in both stand-ins, kept in step without documents and Dagster.

The steps are the product's own, in the order of a cycle; everything between is HTTP and
PostgreSQL.

What must not come in: tests, expectations.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from mlc_pipeline.assets.common import Site
from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.connection.mappings import Mappings, read_mappings, read_supplier_links
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.staging.load import Stamp, replace_table
from mlc_pipeline.staging.supplier_tables import supplier_reads
from mlc_pipeline.staging.tables import CIN7, writes
from mlc_pipeline.sync import pusher
from mlc_pipeline.sync.ledger import OPEN, Ledger
from mlc_pipeline.sync.mapped import NO_MAPPINGS, mapped_context
from mlc_pipeline.sync.plan import PlanContext
from mlc_pipeline.sync.pusher import Desk, Results
from mlc_pipeline.sync.references import read_references, reference_rows
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.supplier_decisions import SupplierDecisions
from mlc_pipeline.sync.supplier_planner import BothWays, plan_both_ways
from mlc_pipeline.sync.supplier_push import Cin7SupplierPush, SysproSupplierPush
from mlc_pipeline.sync.supplier_reading import stage_cin7_suppliers
from mlc_pipeline.sync.supplier_records import SupplierRecords
from mlc_pipeline.sync.vocabulary import Outcome
from mlc_pipeline_tests.e2e.companies import DAY
from mlc_pipeline_tests.e2e.pair import Pair

Record = dict[str, Any]

CHECKED, WRITTEN = "ValidateOnly>Y", "ValidateOnly>N"
"""What a document that SYSPRO only checks says, and one that it writes."""


@dataclass
class Synced:
    """What one sync did."""

    plan: BothWays
    to_syspro: Results
    to_cin7: Results

    def outcomes(self) -> Counter[Outcome]:
        """Return how many documents of either side had each outcome."""
        return Counter(r.pushed.outcome for r in [*self.to_syspro.rows, *self.to_cin7.rows])

    def reasons(self) -> dict[str, str | None]:
        """Return the reason of everything that was stopped, by source key."""
        return {
            r.source_key: r.pushed.reason_code
            for r in [*self.to_syspro.rows, *self.to_cin7.rows]
            if r.pushed.reason_code
        }


class Died(Exception):  # noqa: N818 - a process that is no more
    """The process ended here."""


@dataclass
class Masters:
    """Both masters and what keeps them in step.

    Attributes:
        pair: the stand-ins and their connection.
        die_after: how many documents of a push are finished before the process ends.
        meanwhile: what somebody does between plan and push.
    """

    pair: Pair
    die_after: int | None = None
    meanwhile: Callable[[], object] | None = None
    _runtime: Runtime | None = None
    _mappings: tuple[Connection, Mappings] | None = None
    _runs: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def site(self) -> Site:
        """The connection as the assets see it."""
        return Site(self.pair.connection, self.pair.folder)

    def sync(self) -> Synced:
        """Read both sides, plan, and push both ways; sessions end with it, come what may."""
        runtime = self._runtime or Runtime(self.pair.environ)
        self._runtime = runtime
        try:
            return self._sync(runtime, f"run-{next(self._runs)}")
        except BaseException:
            self._runtime = None
            runtime.close()
            raise
        finally:
            runtime.close_syspro(self.pair.connection)

    def _sync(self, runtime: Runtime, run_id: str) -> Synced:
        site, engine = self.site, runtime.engine
        connection, stamp = site.connection, Stamp(site.name, run_id)
        extraction = runtime.extraction(connection, run_id)
        for name in ("suppliers", "supplier_addresses"):
            extraction.snapshot(name)
        client = runtime.cin7(connection)
        if run_id == "run-1":
            self._read_books(runtime, stamp)
        stage_cin7_suppliers(engine, stamp, connection.suppliers, client.suppliers)
        window = Window(site.name, DAY, DAY)
        ledger, records = (
            Ledger(engine, site.name, run_id),
            SupplierRecords(engine, site.name, run_id),
        )
        plan = plan_both_ways(engine, stamp, window, self._context(runtime), ledger)
        if self.meanwhile is not None:
            self.meanwhile()
            self.meanwhile = None
        maintenance = runtime.supplier_maintenance(connection, run_id)

        def push(kind: str, desk: Desk) -> Results:
            return pusher.push_window(
                engine, stamp, window, kind, self._mortal(desk), sleep=lambda _seconds: None
            )

        to_syspro = push(
            "syspro_suppliers", SysproSupplierPush(maintenance, ledger, connection, records)
        )
        runtime.close_syspro(connection)
        to_cin7 = push("suppliers", Cin7SupplierPush(client, ledger, connection, records))
        return Synced(plan, to_syspro, to_cin7)

    def _context(self, runtime: Runtime) -> PlanContext:
        """Return what planning looks at; mapping files are read when they may have changed."""
        site = self.site
        if self._mappings is None or self._mappings[0] != site.connection:
            self._mappings = (site.connection, read_mappings(site.folder))
        with runtime.engine.connect() as connection:
            references = read_references(connection, site.name)
        unmapped = PlanContext(site.connection, references, NO_MAPPINGS, {})
        return mapped_context(unmapped, self._mappings[1])

    def _mortal(self, desk: Desk) -> Desk:
        """Let the process end after some documents, when a test says so."""
        left = self.die_after
        if left is None:
            return desk

        class Mortal:
            done = 0

            def push(self, wanted: Any) -> Any:
                if self.done == left:
                    raise KeyboardInterrupt  # nothing of the product catches it
                self.done += 1
                return desk.push(wanted)

        return Mortal()

    def _read_books(self, runtime: Runtime, stamp: Stamp) -> None:
        client = runtime.cin7(self.pair.connection)
        books: dict[str, Callable[[], Any]] = {
            "settings": lambda: [client.me()],
            "accounts": client.accounts,
            "tax_rules": client.tax_rules,
            "payment_terms": client.payment_terms,
            "locations": client.locations,
            "products": client.products,
        }
        for name, read in books.items():
            replace_table(runtime.engine, CIN7[name], stamp, reference_rows(name, read()))

    def time_passes(self) -> None:
        """Let answers that were lost rest long enough to be looked up."""
        with Runtime(self.pair.environ).engine.begin() as connection:
            earlier = writes.c.state_since - timedelta(hours=1)
            connection.execute(writes.update().values(state_since=earlier))

    def open_writes(self) -> int:
        """Return how many calls of ours have no known outcome."""
        with Runtime(self.pair.environ).engine.connect() as connection:
            query = sa.select(sa.func.count()).where(writes.c.state.in_(OPEN))
            return int(connection.scalar(query) or 0)

    def lose(self, kind: str, system: str, **order: Any) -> None:
        """Order a fault of the next call that writes to a system."""
        if system == "cin7":
            self.pair.fault(kind, **order)
        else:
            order = {"path": WRITTEN, "kind": kind, **order}
            self.pair.syspro.control("faults", order)

    def calm(self) -> None:
        """Cancel every fault."""
        self.pair.cin7.control("faults", method="DELETE")
        self.pair.syspro.control("faults", method="DELETE")

    # --- what people do in either system ------------------------------------------------

    def in_syspro(self) -> dict[str, Record]:
        """Return SYSPRO's suppliers with their addresses by stored code."""
        store = self.pair.syspro.state.store
        found = {str(r["Supplier"]): dict(r) for r in store.rows("ApSupplier")}
        for row in store.rows("ApSupplierAddr"):
            found.setdefault(str(row["Supplier"]), {}).update(row)
        return found

    def edit_syspro(self, code: str, **changes: str) -> None:
        """Change a supplier as a person in SYSPRO does."""
        address = {n: v for n, v in changes.items() if n.startswith(("SupAddr", "SupPostal"))}
        master = {n: v for n, v in changes.items() if n not in address}
        if master:
            self.pair.put("ApSupplier", {"Supplier": code, **master})
        if address:
            self.pair.put("ApSupplierAddr", {"Supplier": code, **address})

    def in_cin7(self) -> dict[str, Record]:
        """Return Cin7's suppliers by id, deprecated ones included."""
        listed = self.pair.get("supplier", Limit=1000, IncludeDeprecated="true")
        return {s["ID"]: s for s in listed["SupplierList"]}

    def add_to_cin7(self, name: str, **more: Any) -> Record:
        """Make a supplier as a person in Cin7 does."""
        some = next(iter(self.in_cin7().values()), {})
        body = {
            "Name": name,
            "Currency": "GBP",
            "PaymentTerm": some.get("PaymentTerm") or "30 days",
            "AccountPayable": some.get("AccountPayable") or "800",
            "TaxRule": some.get("TaxRule") or "20% (VAT on Expenses)",
            "Status": "Active",
            **more,
        }
        return self._call("POST", body)

    def edit_cin7(self, supplier_id: str, **changes: Any) -> Record:
        """Change a supplier as a person in Cin7 does."""
        current = self.in_cin7()[supplier_id]
        needed = (
            "ID",
            "Name",
            "Currency",
            "PaymentTerm",
            "AccountPayable",
            "TaxRule",
            "Status",
        )
        return self._call("PUT", {**{n: current[n] for n in needed}, **changes})

    def _call(self, method: str, body: Mapping[str, Any]) -> Record:
        cin7 = self.pair.cin7
        answer = cin7.client.request(
            method, f"{cin7.base_url}/supplier", json=body, headers=cin7.headers()
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["SupplierList"][0])

    @property
    def engine(self) -> sa.Engine:
        """Our database."""
        return Runtime(self.pair.environ).engine

    def desk(self) -> SupplierDecisions:
        """Return where a person decides."""
        engine = Runtime(self.pair.environ).engine
        links = read_supplier_links(self.pair.folder)
        return SupplierDecisions(engine, self.pair.connection, "finance", links)

    def forget_readings(self) -> None:
        """Let the time for a whole reading of Cin7 come."""
        with Runtime(self.pair.environ).engine.begin() as connection:
            connection.execute(supplier_reads.delete())

    def map_term(self, code: str, term: str) -> None:
        """Add a row to payment_terms.csv as finance does."""
        with (self.pair.folder / "payment_terms.csv").open("a", encoding="utf-8") as file:
            file.write(f"{code},{term},\n")
        self._mappings = None

    def decide(self, *rows: str) -> None:
        """Write supplier_links.csv as finance does, with these rows and no others."""
        header = "syspro_supplier,cin7_supplier,decision,note"
        self.write_links("\n".join([header, *rows]) + "\n")

    def write_links(self, text: str) -> None:
        """Write supplier_links.csv, whatever stands in it."""
        (self.pair.folder / "supplier_links.csv").write_text(text, encoding="utf-8")
        self._mappings = None

    def links(self) -> dict[str, str]:
        """Return the Cin7 id of each linked SYSPRO code."""
        engine = Runtime(self.pair.environ).engine
        ids = Ledger(engine, self.pair.name, "test").supplier_links()
        return {code: cin7_id for cin7_id, code in ids.items()}

    def writes(self) -> int:
        """Return how many calls that write were sent to either system, checks left out."""
        to_cin7 = sum(1 for r in self.pair.traffic() if r["method"] != "GET")
        return to_cin7 + len(self.syspro_writes())

    def syspro_writes(self) -> list[str]:
        """Return the setup calls that were no checks, as SYSPRO got them."""
        traffic = self.pair.syspro.control("traffic")
        queries = [r["query"] for r in traffic if "/setup/" in r["path"].lower()]
        documents = [{name.casefold(): text for name, text in q.items()} for q in queries]
        return [d["xmlin"] for d in documents if CHECKED not in d["xmlparameters"]]


def fetched(engine: sa.Engine, table: sa.Table) -> list[Record]:
    """Return the rows of one of our tables."""
    with engine.connect() as connection:
        return [dict(r._mapping) for r in connection.execute(sa.select(table))]
