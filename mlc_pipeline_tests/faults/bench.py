"""The bench: a company of so many documents, and a stage for each scenario.

A stage is a pair of stand-ins with the company and a database of its own. Runs are made on
it until nothing is left to do, as a schedule would; then it is judged.
What must not come in: which faults there are.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from mlc_pipeline import database
from mlc_pipeline.cycle import ALL_DONE, SOMETHING_HELD, Summary
from mlc_pipeline.instance import DAGSTER_YAML
from mlc_pipeline.sandbox.company import (
    DEFAULT_END,
    Company,
    first_date,
    generate,
    slice_company,
)
from mlc_pipeline.sandbox.company.generate import SMALLEST
from mlc_pipeline_tests.e2e.pair import Pair, merged, running_pair
from mlc_pipeline_tests.faults import processes
from mlc_pipeline_tests.faults.judge import End, Faults, compare, read_end
from mlc_pipeline_tests.faults.processes import Order
from mlc_pipeline_tests.faults.server import DatabaseServer

TIMEOUT_SECONDS, SETTLE_SECONDS = 1, 3
"""Of the connection under test: a lost answer may be looked for once no call can still be
under way."""

_NO_LOGS = """
# Two processes a run less: nobody reads here what a run prints.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""

MOST_RUNS = 100
"""A scenario that is not at rest after so many runs never will be.

A run stops calling a Cin7 that loses eight answers in a row: one that loses all needs many.
"""

_INVOICES_A_DOCUMENT = 0.62  # of the generated company, measured


def company_of(documents: int, seed: int) -> Company:
    """Return a generated company that brings about so many documents into Cin7."""
    size = math.ceil(documents * _INVOICES_A_DOCUMENT)
    if size >= SMALLEST:
        return generate(seed, size)
    whole = generate(seed, SMALLEST)
    for days in range(1, 61):
        cut = slice_company(whole, DEFAULT_END - timedelta(days=days), DEFAULT_END)
        parts = (cut.suppliers, cut.purchase_orders, cut.receipts, cut.invoices)
        if sum(map(len, parts)) >= documents * 1.2:
            return cut
    return whole


@dataclass
class Row:
    """A line of the table.

    Attributes:
        name: the scenario.
        documents: how many there are in Cin7 when nothing is disturbed.
        faults: what is wrong at the end.
        calls: calls of both systems until everything was done.
        extra_calls: how many more than undisturbed.
        runs: runs that were needed, killed ones not counted.
        hits: how many faults hit, processes were killed, or servers restarted.
        seconds: how long it took.
        trouble: what else keeps the row from being good.
    """

    name: str
    documents: int = 0
    faults: Faults = field(default_factory=Faults)
    calls: int = 0
    extra_calls: int = 0
    runs: int = 0
    hits: int = 0
    seconds: float = 0.0
    trouble: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing is there twice, lost, half made or wrong, and it came to rest."""
        return not self.faults and not self.trouble


@dataclass
class Stage:
    """Where a scenario plays.

    Attributes:
        bench: the bench.
        pair: both stand-ins and the connection.
        first: first day of the company.
        last: last day on which anything is dated.
        row: what is found out.
        connection_settings: what is laid over the usual settings of a connection.
        needs_hits: whether the scenario proves nothing unless a fault hit.
        wants_rest: whether the end is to be that of the undisturbed stage.
    """

    bench: Bench
    pair: Pair
    first: date
    last: date
    row: Row
    connection_settings: dict[str, Any]
    needs_hits: bool = True
    wants_rest: bool = True

    def order(self, first: date | None = None, last: date | None = None, **more: Any) -> Order:
        """Return the order of a run over some days, by default all of them."""
        return Order(
            environ=self.pair.environ,
            folder=str(self.pair.folder),
            first=first or self.first,
            last=last or self.last,
            log=str(self.bench.home / f"{self.row.name}.log"),
            sabotage=self.bench.sabotage,
            **more,
        )

    def run(self, first: date | None = None, last: date | None = None) -> Summary | str:
        """Make a run in a process of its own; return what came of it, or what it died of."""
        self.row.runs += 1
        with processes.running(self.order(first, last)) as run:
            return run.result()

    def run_to_the_end(self) -> Summary | None:
        """Run all days until nothing is left to do; return the last run.

        A broken product may never get there: it gets one run. One that leaves the same
        undone twice without a write in between is stuck.
        """
        most, before = 1 if self.bench.sabotage else MOST_RUNS, None
        for _ in range(most):
            said = self.run()
            if isinstance(said, Summary):
                if self.is_at_rest(said):
                    return said
                left = (stopped_of(said), said.problems, sum(self.pair.writes().values()))
                if left == before:
                    break
                before = left
        text = said if isinstance(said, str) else "; ".join(said.problems) or str(said.stopped)
        self.row.trouble.append(f"not at rest after {self.row.runs} runs: {text[:500]}")
        return None

    def is_at_rest(self, said: Summary | str) -> bool:
        """Whether a run leaves no more undone than an undisturbed one."""
        if isinstance(said, str) or said.exit_code not in (ALL_DONE, SOMETHING_HELD):
            return False
        usual = self.bench.stopped
        return usual is None or stopped_of(said) == usual

    def calls(self) -> int:
        """Return how many calls both systems got."""
        syspro = self.pair.syspro.control("summary")["calls"]
        return len(self.pair.traffic()) + sum(syspro.values())

    def fault_hits(self) -> int:
        """Return how many calls of Cin7 a fault has hit."""
        return sum(1 for call in self.pair.traffic() if call["fault"])

    def calm(self) -> None:
        """Cancel every fault that is still on order."""
        self.pair.cin7.control("faults", method="DELETE")
        self.pair.syspro.control("faults", method="DELETE")

    def judge(self) -> End:
        """Finish the row: calls, faults, and a further run that must write nothing."""
        row, undisturbed = self.row, self.bench.undisturbed
        self.calm()  # the judge reads what stands there, not what a fault makes of it
        row.calls = self.calls()
        row.extra_calls = row.calls - self.bench.calls if undisturbed is not None else 0
        end = read_end(self.pair)
        if self.needs_hits and not row.hits:
            row.trouble.append("no fault hit: the scenario proves nothing")
        if undisturbed is not None and self.wants_rest:
            row.faults = compare(undisturbed, end)
            row.documents = undisturbed.ours
        if self.wants_rest and row.is_good:
            self._see_that_it_rests()
        return end

    def _see_that_it_rests(self) -> None:
        self.calm()
        self.pair.forget_traffic()
        with processes.running(self.order()) as run:
            said = run.result()
        writes = sum(self.pair.writes().values())
        if writes:
            self.row.trouble.append(f"a further run made {writes} writes")
        if isinstance(said, str):
            self.row.trouble.append(f"a further run failed: {said[:500]}")


def stopped_of(said: Summary) -> set[tuple[str, str, str]]:
    """Return what a run left undone: kind, source key and reason of each document."""
    return {
        (str(row["kind"]), str(row["source_key"]), str(row["reason_code"]))
        for row in said.stopped
    }


@dataclass
class Bench:
    """What all scenarios share.

    Attributes:
        home: folder of everything the bench keeps.
        server: its PostgreSQL.
        company: what both stand-ins are filled from.
        seed: of the company and of every chance.
        sabotage: name of the sabotage that every run is under.
        undisturbed: what Cin7 holds when nothing is disturbed; None until it is known.
        stopped: what an undisturbed run leaves undone.
        calls: calls of an undisturbed run.
        writes: those of them that write to Cin7.
    """

    home: Path
    server: DatabaseServer
    company: Company
    seed: int
    sabotage: str | None = None
    undisturbed: End | None = None
    stopped: set[tuple[str, str, str]] | None = None
    calls: int = 0
    writes: int = 0
    _template: str = ""

    @contextmanager
    def stage(self, name: str, settings: Mapping[str, Any] | None = None) -> Iterator[Stage]:
        """Open a stage for a scenario.

        Args:
            name: of the scenario.
            settings: of the connection, laid over the bench's.
        """
        place = name.replace("-", "_")
        url = self.server.create(f"faults_{place}", self._migrated())
        environ = {
            "MLC_HOME": str(self.home),
            "MLC_DATABASE_URL": url,
            "DAGSTER_EVENT_BATCH_SIZE": "1000",
        }
        cin7 = {"timeout_seconds": TIMEOUT_SECONDS, "settle_seconds": SETTLE_SECONDS}
        # On a busy machine one run may wait long for another's session.
        syspro = {"session_wait_seconds": 600}
        given = merged({"cin7": cin7, "syspro": syspro}, settings or {})
        row, started = Row(name), time.monotonic()
        with running_pair(
            self.company,
            self.home / "connections" / place,
            environ,
            name="faults",
            cin7_stand_in={"window_seconds": 1},
            **given,
        ) as pair:
            yield Stage(self, pair, first_date(self.company), last_date(pair), row, given)
            row.seconds = time.monotonic() - started

    def _migrated(self) -> str:
        """Return the name of a database with our tables, to be copied."""
        if not self._template:
            engine = database.connect(self.server.create("faults_template"))
            database.migrate(engine)
            engine.dispose()
            self._template = "faults_template"
        return self._template


def last_date(pair: Pair) -> date:
    """Return the last day on which anything is dated."""
    columns = {
        "ApInvoice": "InvoiceDate",
        "ApPosting": "PostDate",
        "PorMasterHdr": "OrderEntryDate",
        "GrnDetails": "OrigReceiptDate",
        "GrnMatching": "MatchedDate",
    }
    return max(
        row[column]
        for table, column in columns.items()
        for row in pair.tables[table]
        if row[column] is not None
    )


@contextmanager
def open_bench(
    home: Path, documents: int, seed: int, sabotage: str | None = None
) -> Iterator[Bench]:
    """Open a bench below a folder, with a server of its own.

    Args:
        home: where it keeps everything; another user may have to enter it.
        documents: how many documents the company brings into Cin7, about.
        seed: of the company and of every chance.
        sabotage: name of the sabotage that every run is under.
    """
    home.mkdir(parents=True, exist_ok=True)
    # Dagster's storage reads its folder from the process.
    os.environ.pop("DAGSTER_HOME", None)
    (home / "dagster").mkdir(exist_ok=True)
    (home / "dagster" / "dagster.yaml").write_text(DAGSTER_YAML + _NO_LOGS, encoding="utf-8")
    server = DatabaseServer(home / "postgresql")
    try:
        yield Bench(home, server, company_of(documents, seed), seed, sabotage)
    finally:
        server.close()


def without_sabotage(bench: Bench) -> Bench:
    """Return the bench as the undisturbed stage needs it: with the product whole."""
    return replace(bench, sabotage=None)
