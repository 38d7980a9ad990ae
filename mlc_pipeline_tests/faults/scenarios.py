"""The scenarios of the bench: what is done to the product, one by one.

What must not come in: how an end is judged, how a table is printed.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from mlc_pipeline.cycle import ALL_DONE, SOMETHING_HELD, Summary
from mlc_pipeline_tests.e2e.gate import Gate, Moment, is_write, open_gate
from mlc_pipeline_tests.faults import processes
from mlc_pipeline_tests.faults.bench import (
    MOST_RUNS,
    Bench,
    Row,
    Stage,
    stopped_of,
    without_sabotage,
)
from mlc_pipeline_tests.faults.judge import End, against_syspro, read_end
from mlc_pipeline_tests.faults.server import Stop

FIFTH = 0.2
SLOW_SECONDS = 2.5
"""After how long a slow write is applied: the client has given up, the settle wait runs."""


@dataclass(frozen=True)
class Scenario:
    """A scenario.

    Attributes:
        name: by which it is chosen.
        about: what happens, in a line.
        play: does it to a stage, up to the moment when all should be done.
        settings: of the connection, where it needs others.
    """

    name: str
    about: str
    play: Callable[[Stage], None]
    settings: Mapping[str, Any] = field(default_factory=dict)


# --- Cin7 ---------------------------------------------------------------------------------


def _cin7(*faults: Mapping[str, Any]) -> Callable[[Stage], None]:
    """Return a play under faults of Cin7 that stay on order until all is done."""

    def play(stage: Stage) -> None:
        for number, fault in enumerate(faults):
            order = {"method": "WRITE", "times": 0, "seed": stage.bench.seed + number, **fault}
            stage.pair.cin7.control("faults", order)
        stage.run_to_the_end()
        stage.row.hits = stage.fault_hits()

    return play


def _fifth(kind: str, **more: Any) -> Mapping[str, Any]:
    return {"kind": kind, "share": FIFTH, **more}


_STORM = [
    _fifth("throttle", share=share, shape=shape, seconds=1)
    for shape, share in (("429", 0.08), ("503", 0.08), ("400", 0.08))
]
_MIXED = [
    _fifth("drop_before", share=0.04),
    _fifth("drop_after", share=0.05),
    _fifth("error_after", share=0.05),
    _fifth("slow_commit", share=0.04, seconds=SLOW_SECONDS),
    _fifth("error_list_200", share=0.04, once=True),
    _fifth("garbage", share=0.04),
    _fifth("html_200", share=0.04),
    _fifth("throttle", share=0.02, shape="503", seconds=1),
]
_LOOKUPS = [
    _fifth("drop_after"),
    _fifth("drop_before", method="GET", path="advanced-purchase", share=0.3),
    _fifth("error_after", method="GET", path="purchaselist", share=0.3),
]

# --- SYSPRO -------------------------------------------------------------------------------

_SMALL_PAGES = {"syspro": {"page_size": 25}}
"""So that every table is many pages, and a fault can hit the middle of one."""


def _syspro(*faults: Mapping[str, Any]) -> Callable[[Stage], None]:
    """Return a play under faults of SYSPRO, each of which comes once."""

    def play(stage: Stage) -> None:
        for fault in faults:
            stage.pair.syspro.control("faults", fault)
        stage.run_to_the_end()
        left = stage.pair.syspro.control("faults")
        stage.row.hits = len(faults) - len(left)

    return play


def _at_pages(kind: str, *tables: str) -> list[Mapping[str, Any]]:
    return [{"kind": kind, "path": f"/{table}?", "skip": 1} for table in tables]


_PAGED = ("ApInvoice", "ApPosting", "PorMasterDetail", "GrnDetails")

# --- PostgreSQL ---------------------------------------------------------------------------


def _database_restarts(stage: Stage) -> None:
    """Restart PostgreSQL while the answer to a write is on its way, five times."""
    writes = max(stage.bench.writes, 5)
    stops: tuple[Stop, ...] = ("fast", "immediate")
    at = {1 + writes * part // 5: stops[part % 2] for part in range(5)}

    def between(number: int) -> None:
        if number in at:
            stage.bench.server.restart(at[number])
            stage.row.hits += 1

    with _gate(stage) as gate:
        gate.between = between
        stage.run_to_the_end()


# --- kills --------------------------------------------------------------------------------

_WRITES_A_WINDOW = 110
"""A kill costs a walk through the window's documents, a window a few whole runs."""
KILLS_A_RUN = 60
"""How often a run is killed at its push before a whole new one begins."""


def _killed(moment: Moment) -> Callable[[Stage], None]:
    """Return a play in which a run is killed at that moment of every single write."""

    def play(stage: Stage) -> None:
        covered: set[tuple[str, str, str]] = set()
        pid_file = str(stage.bench.home / f"{stage.row.name}.pid")

        def choose(method: str, path: str, body: bytes) -> Moment | None:
            write = (method, path, hashlib.sha256(body).hexdigest())
            if write in covered:
                return None
            covered.add(write)
            return moment

        with _gate(stage, keeps_alive=False) as gate:
            gate.kill_by(choose, lambda: processes.kill_fork(pid_file))
            for first, last in dict.fromkeys((*_windows(stage), (stage.first, stage.last))):
                _run_through(stage, first, last, pid_file)
            gate.choose = None
            stage.run_to_the_end()
        stage.row.hits = len(covered)
        if len(covered) < stage.bench.writes:
            stage.row.trouble.append(
                f"only {len(covered)} of {stage.bench.writes} writes were killed"
            )

    return play


def _windows(stage: Stage) -> Iterator[tuple[date, date]]:
    """Yield windows that together are all days, each of not too many writes."""
    days = (stage.last - stage.first).days + 1
    length = timedelta(days=math.ceil(days / max(1, stage.bench.writes // _WRITES_A_WINDOW)))
    first = stage.first
    while first <= stage.last:
        yield first, min(first + length - timedelta(days=1), stage.last)
        first += length


def _run_through(stage: Stage, first: date, last: date, pid_file: str) -> None:
    """Run some days, killed again and again, until a run ends by itself with all done.

    A run that ends because an answer is still lost leaves writes to be made, and killed.
    """
    order = stage.order(first, last, kills=KILLS_A_RUN, pid_file=pid_file)
    ended = 0
    while ended < (1 if stage.bench.sabotage else MOST_RUNS):
        with processes.running(order) as run:
            said = run.result()
        if said == processes.AGAIN:
            continue
        ended += 1
        stage.row.runs += 1
        if isinstance(said, Summary) and _is_through(said):
            return


_TO_COME = {"answer_lost", "being_written", "cin7_unavailable"}


def _is_through(said: Summary) -> bool:
    """Whether a run has made every write of its days that can be made."""
    is_done = said.exit_code in (ALL_DONE, SOMETHING_HELD)
    return is_done and not {row["reason_code"] for row in said.stopped} & _TO_COME


# --- several at once ----------------------------------------------------------------------


def _two_runs(stage: Stage) -> None:
    """Run the same days in two processes at once."""
    with ExitStack() as opened:
        runs = [opened.enter_context(processes.running(stage.order())) for _ in range(2)]
        for run in runs:
            run.result()
    stage.row.hits, stage.row.runs = 2, 2
    stage.run_to_the_end()


def _backfill_beside_the_schedule(stage: Stage) -> None:
    """Run all days in one process, and the last ones again and again in another."""
    recent = stage.last - timedelta(days=8)
    with processes.running(stage.order()) as backfill:
        for _ in range(3):
            stage.run(recent, stage.last)
        backfill.result()
    stage.row.hits = 4
    stage.row.runs += 1
    stage.run_to_the_end()


# --- the target is wiped ------------------------------------------------------------------


def _wiped(stage: Stage) -> None:
    """Bring everything over, wipe Cin7, keep the ledger: a run must tell all that vanished."""
    stage.run_to_the_end()
    before = read_end(stage.pair)
    stage.pair.cin7.control("reset", {})
    said = stage.run()
    stage.wants_rest, stage.row.hits = False, 1
    # An invoice of its own and the purchase it stands on are one document.
    vanished = (before.documents - read_end(stage.pair).documents).elements()
    gone = [key for key in vanished if not (key[0] == "purchase" and ":AP:" in key[1])]
    stage.row.documents = len(gone)
    if isinstance(said, str):
        stage.row.trouble.append(f"the run said nothing of what vanished, but: {said[:300]}")
        return
    if said.exit_code in (ALL_DONE, SOMETHING_HELD):
        stage.row.trouble.append("the run claims success although everything vanished")
    told = max(len(stopped_of(said) - (stage.bench.stopped or set())), _counted(said.problems))
    stage.row.faults.lost += [f"{' '.join(key)}, untold" for key in gone[told:]]


def _counted(problems: list[str]) -> int:
    """Return how many documents a run's problems speak of."""
    found = [int(n) for text in problems for n in re.findall(r"(\d+) documents", text)]
    return max(found, default=0)


# --- undisturbed --------------------------------------------------------------------------


def undisturbed(bench: Bench) -> Row:
    """Play the undisturbed stage, the measure of all others; the product is whole in it."""
    with without_sabotage(bench).stage("undisturbed") as stage:
        said = stage.run_to_the_end()
        stage.needs_hits = False
        writes = sum(stage.pair.writes().values())
        end = stage.judge()
        if said is not None:
            stage.row.faults = against_syspro(end, stage.pair, said)
            _take_as_measure(bench, stage, end, said)
            bench.writes = writes
    return stage.row


def _take_as_measure(bench: Bench, stage: Stage, end: End, said: Summary) -> None:
    bench.undisturbed, bench.stopped = end, stopped_of(said)
    bench.calls = stage.row.calls
    stage.row.documents = end.ours


def play(bench: Bench, scenario: Scenario) -> Row:
    """Play a scenario; what breaks in it is told by the row."""
    with bench.stage(scenario.name, scenario.settings) as stage:
        try:
            scenario.play(stage)
            stage.judge()
        except Exception as error:
            stage.row.trouble.append(f"broke off: {type(error).__name__}: {error}")
    return stage.row


@contextmanager
def _gate(stage: Stage, *, keeps_alive: bool = True) -> Iterator[Gate]:
    """Put a gate before Cin7 for as long as the block lasts."""
    settings = stage.connection_settings
    with open_gate(stage.pair.cin7.address, is_write) as gate:
        gate.keeps_alive = keeps_alive
        address = {"base_url": f"{gate.url}/ExternalApi/v2"}
        stage.pair.configure(**{**settings, "cin7": {**settings["cin7"], **address}})
        yield gate
    stage.pair.configure(**settings)


SCENARIOS = (
    Scenario(
        "cin7-dropped-before",
        "a fifth of the writes: the connection closes, nothing is applied",
        _cin7(_fifth("drop_before")),
    ),
    Scenario(
        "cin7-dropped-after",
        "a fifth of the writes: applied, the connection closes without an answer",
        _cin7(_fifth("drop_after")),
    ),
    Scenario(
        "cin7-error-after",
        "a fifth of the writes: applied, answered with 500",
        _cin7(_fifth("error_after")),
    ),
    Scenario(
        "cin7-slow-commit",
        "a fifth of the writes: applied after the client has given up",
        _cin7(_fifth("slow_commit", seconds=SLOW_SECONDS)),
    ),
    Scenario(
        "cin7-error-list",
        "a fifth of the writes: not applied, an error list with status 200",
        _cin7(_fifth("error_list_200", once=True)),
    ),
    Scenario(
        "cin7-garbage",
        "a fifth of the writes: applied, the answer breaks off",
        _cin7(_fifth("garbage")),
    ),
    Scenario(
        "cin7-html",
        "a fifth of the writes: not applied, an HTML page with status 200",
        _cin7(_fifth("html_200")),
    ),
    Scenario(
        "cin7-throttling",
        "a quarter of the writes refused for speed: 429, 503, or the body's text",
        _cin7(*_STORM),
    ),
    Scenario("cin7-mixed", "a third of the writes: each of the faults above", _cin7(*_MIXED)),
    Scenario(
        "cin7-lookups",
        "a fifth of the writes lost, and a third of the reads that look for them",
        _cin7(*_LOOKUPS),
    ),
    Scenario(
        "cin7-all-dropped-after",
        "every write: applied, its answer lost",
        _cin7({"kind": "drop_after"}),
    ),
    Scenario(
        "cin7-all-dropped-before",
        "every write: the first time it is sent nothing arrives",
        _cin7({"kind": "drop_before", "once": True}),
    ),
    Scenario(
        "syspro-expired",
        "the session expires at the second page of four tables",
        _syspro(*_at_pages("expire_session", *_PAGED)),
        _SMALL_PAGES,
    ),
    Scenario(
        "syspro-evicted",
        "another takes the operator's session at the second page of four tables",
        _syspro(*_at_pages("evict_session", *_PAGED)),
        _SMALL_PAGES,
    ),
    Scenario(
        "syspro-page-fails",
        "a page of four tables: 500, broken off, garbage, an HTML page",
        _syspro(
            *_at_pages("error_500", "ApInvoice"),
            *_at_pages("drop_after", "ApPosting"),
            *_at_pages("garbage", "PorMasterDetail"),
            *_at_pages("html", "GrnDetails"),
        ),
        _SMALL_PAGES,
    ),
    Scenario(
        "postgres-restarted",
        "PostgreSQL stopped and started at five writes, their answers on the way",
        _database_restarts,
    ),
    Scenario(
        "kill-before-call",
        "killed at every write, before the call leaves",
        _killed("before"),
    ),
    Scenario(
        "kill-after-applying",
        "killed at every write, after it was applied and before the answer",
        _killed("unanswered"),
    ),
    Scenario(
        "kill-after-answer",
        "killed at every write, once it was answered and before the next call",
        _killed("answered"),
    ),
    Scenario("two-runs", "the same days in two processes at once", _two_runs),
    Scenario(
        "backfill-and-schedule",
        "all days in one process, the last ones again and again in another",
        _backfill_beside_the_schedule,
    ),
    Scenario(
        "target-wiped", "Cin7 wiped, the ledger kept: a run tells all that vanished", _wiped
    ),
)
"""Every scenario, in the order it is played."""


def find(name: str) -> Scenario:
    """Return a scenario by its name.

    Raises:
        ValueError: there is none; the text names those there are.
    """
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    raise ValueError(f"there is no scenario {name!r}; there are {names}")
