"""Edits, faults, crashes and replays in any order: nothing is twice, nothing lost at the end.

`MLC_FAULT_EXAMPLES` sets how many sequences are tried, `MLC_FAULT_STEPS` how long one is.
"""

from __future__ import annotations

import itertools
import os
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from mlc_pipeline.sandbox.company import syspro_tables
from mlc_pipeline.sync.vocabulary import Outcome
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, KEY
from mlc_pipeline_tests.e2e.gate import Moment, open_gate
from mlc_pipeline_tests.e2e.pair import Pair, counted, running_pair
from mlc_pipeline_tests.faults import processes
from mlc_pipeline_tests.faults.judge import read_end
from mlc_pipeline_tests.faults.processes import Order

pytestmark = [pytest.mark.e2e, pytest.mark.proof]

EXAMPLES = int(os.environ.get("MLC_FAULT_EXAMPLES", "2"))
STEPS = int(os.environ.get("MLC_FAULT_STEPS", "4"))
MOST_RUNS = 6

FAULTS = ("drop_before", "drop_after", "error_after", "garbage", "html_200", "error_list_200")
ROUTES = ("supplier", "header", "order", "receipt", "invoice", "credit note")
MOMENTS: tuple[Moment, ...] = ("before", "unanswered", "answered")

nets = st.integers(1, 99_999).map(lambda cents: f"{Decimal(cents) / 100:.2f}")


class AnyOrder(RuleBasedStateMachine):
    """A company that is edited while it is brought over under faults and crashes."""

    environ: dict[str, str]
    root: Path
    numbers = itertools.count(1)

    @initialize()
    def open(self) -> None:
        """Start with six documents; each sequence is a connection of its own."""
        self.opened = ExitStack()
        self.company = companies.six_documents()
        self.added = itertools.count(1)
        self.totals: dict[str, set[Decimal]] = {}
        self.pair: Pair = self.opened.enter_context(
            running_pair(
                self.company,
                self.root,
                self.environ,
                name=f"order{next(AnyOrder.numbers)}",
                cin7_stand_in={"window_seconds": 1},
            )
        )
        self._note_totals()

    # --- edits ----------------------------------------------------------------------------

    @rule(net=nets)
    def an_invoice_is_added(self, net: str) -> None:
        number = next(self.added)
        document = companies.invoice(f"ADDED-{number}", net, document_no=str(6000 + number))
        self._change(
            invoices=(*self.company.invoices, document),
            gl_distributions=(
                *self.company.gl_distributions,
                *companies.postings(document, {"110.7010": net}),
            ),
        )

    @rule(net=nets)
    def the_amount_of_an_invoice_changes(self, net: str) -> None:
        """Spend that is credited elsewhere is left alone; the last one added changes."""
        last = self.company.invoices[-1]
        if not last.invoice_no.startswith("ADDED"):
            return
        changed = companies.invoice(last.invoice_no, net, document_no=last.document_no)
        others = [p for p in self.company.gl_distributions if p.document_no != last.document_no]
        self._change(
            invoices=(*self.company.invoices[:-1], changed),
            gl_distributions=(*others, *companies.postings(changed, {"110.7010": net})),
        )

    @rule(digits=st.integers(0, 999))
    def the_supplier_gets_another_number(self, digits: int) -> None:
        (supplier,) = self.company.suppliers
        self._change(suppliers=(replace(supplier, phone=f"01632 960{digits:03}"),))

    # --- faults, runs, crashes --------------------------------------------------------------

    @rule(kind=st.sampled_from(FAULTS), route=st.sampled_from(ROUTES), skip=st.integers(0, 2))
    def a_call_will_go_wrong(self, kind: str, route: str, skip: int) -> None:
        self.pair.fault(kind, route, skip=skip)

    @rule()
    def a_run_is_made(self) -> None:
        self.pair.run(DAY)

    @rule(number=st.integers(1, 6), moment=st.sampled_from(MOMENTS))
    def a_run_is_killed(self, number: int, moment: Moment) -> None:
        pair = self.pair
        with open_gate(pair.cin7.address) as gate:
            pair.configure(cin7={"base_url": f"{gate.url}/ExternalApi/v2"})
            order = Order(pair.environ, str(pair.folder), DAY, DAY, os.devnull)
            with processes.running(order) as run:
                gate.kill_at(number, moment, run.kill)
                run.result()  # it may have had less to write: then nothing was killed
        pair.configure()

    # --- what must hold ---------------------------------------------------------------------

    def teardown(self) -> None:
        """Run until all is done; then everything is there once, and a run writes nothing."""
        if not hasattr(self, "opened"):
            return
        try:
            self._finish()
        finally:
            self.opened.close()

    def _finish(self) -> None:
        pair = self.pair
        pair.cin7.control("faults", method="DELETE")
        for _ in range(MOST_RUNS):
            last = pair.run(DAY)
            if not counted(last, Outcome.WAITING, Outcome.FAILED) and last.succeeded:
                break
        else:
            raise AssertionError(f"not at rest after {MOST_RUNS} runs: {last.stopped}")
        pair.assert_clean()
        self._assert_all_there({row["source_key"]: row for row in last.stopped})
        assert pair.suppliers()[0]["Contacts"][0]["Phone"] == self.company.suppliers[0].phone
        pair.forget_traffic()
        pair.run(DAY)
        assert pair.writes() == {}

    def _assert_all_there(self, stopped: dict[str, Any]) -> None:
        """Every document is in Cin7 once, as it is in SYSPRO or as a held one was before."""
        booked = self.pair.booked()
        assert {number for _, number in booked} == set(self.totals)
        for document in self.company.invoices:
            total = booked[KEY, document.invoice_no]["Total"]
            if total == abs(document.value):
                continue
            reason = stopped.get(f"{KEY}|{document.invoice_no}", {}).get("reason_code")
            assert reason == "changed_after_posting", (document, total, stopped)
            assert total in self.totals[document.invoice_no]
        end = read_end(self.pair)
        assert end.half_made == []
        assert (end.of("purchase"), end.of("receipt")) == (len(booked) - 1, 1)

    # --- inside -----------------------------------------------------------------------------

    def _change(self, **parts: Any) -> None:
        """Change the company, and SYSPRO's rows with it."""
        before = self.pair.tables
        self.company = replace(self.company, **parts)
        self.pair.company = self.company
        self.pair.tables = syspro_tables(self.company)
        for table, rows in self.pair.tables.items():
            known = before.get(table, [])
            if changed := [row for row in rows if row not in known]:
                self.pair.put(table, *changed)
        self._note_totals()

    def _note_totals(self) -> None:
        for document in self.company.invoices:
            self.totals.setdefault(document.invoice_no, set()).add(abs(document.value))


def test_any_order_of_edits_faults_crashes_and_replays_ends_whole(
    environ: dict[str, str], tmp_path: Path
) -> None:
    AnyOrder.environ, AnyOrder.root = environ, tmp_path
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # The same few in the suite each time; as many new ones as are asked for.
            derandomize="MLC_FAULT_EXAMPLES" not in os.environ,
            database=None,
            # An example takes seconds: finding a shorter one would take the suite's time.
            phases=[Phase.generate] if EXAMPLES <= 10 else list(Phase),
        ),
    )
