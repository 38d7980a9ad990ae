"""Any interleaving of edits, syncs, faults and crashes on both sides of the real stand-ins."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlc_pipeline.sync.ledger import Ledger
from mlc_pipeline.sync.supplier_records import SupplierRecords
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.companies import DAY, SUPPLIER
from mlc_pipeline_tests.e2e.conftest import Start
from mlc_pipeline_tests.e2e.masters import Masters

pytestmark = [pytest.mark.e2e, pytest.mark.proof]

EXAMPLES = int(os.environ.get("MLC_FAULT_EXAMPLES", "4"))

_MOMENTS: dict[str, tuple[type, str]] = {
    # The process ends before an intent, after an answer, after the outcome is committed.
    "before the intent": (Ledger, "intend"),
    "after the answer": (Ledger, "close"),
    "after the outcome": (SupplierRecords, "note"),
}
_FAULTS = ("drop_before", "drop_after", "garbage")

_ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("syspro"), st.sampled_from(["Telephone", "TaxRegnNum", "SupAddr1"])),
        st.tuples(st.just("cin7"), st.sampled_from(["Phone", "TaxNumber", "Line1"])),
        st.tuples(st.just("new"), st.just("")),
        st.tuples(st.just("sync"), st.just("")),
        st.tuples(st.sampled_from(_FAULTS), st.sampled_from(["syspro", "cin7"])),
        st.tuples(st.just("crash"), st.sampled_from([*_MOMENTS])),
    ),
    min_size=3,
    max_size=7,
)


def _unlike_any(number: int) -> str:
    """Return a name that resembles no other: what resembles one waits for a person."""
    letters = hashlib.sha256(str(number).encode()).digest()[:12]
    return "".join(chr(ord("A") + byte % 26) for byte in letters).title()


class _Play:
    """What is done to one pair of masters; it goes on from example to example."""

    def __init__(self, masters: Masters) -> None:
        self.masters = masters
        self._numbers = itertools.count(1)

    def act(self, what: str, detail: str) -> None:
        """Do one thing."""
        number = next(self._numbers)
        deeds: dict[str, Callable[[], object]] = {
            "syspro": lambda: self._edit_syspro(detail, number),
            "cin7": lambda: self._edit_cin7(detail, number),
            "new": lambda: self.masters.add_to_cin7(f"{_unlike_any(number)} Ltd"),
            "sync": self.masters.sync,
            "crash": lambda: self._crash(detail),
        }
        if what in deeds:
            deeds[what]()
            return
        # Something must go there, or the fault would wait for a call of ours.
        if detail == "syspro":
            self._edit_cin7("TaxNumber", number)
            self.masters.lose(what, detail)
        else:
            self._edit_syspro("TaxRegnNum", number)
            self.masters.lose(what, detail, method="PUT")
        self.masters.sync()
        self.masters.calm()

    def _linked(self, number: int) -> tuple[str, str]:
        links = sorted(self.masters.links().items())
        here = self.masters.in_syspro()
        made = [pair for pair in links if pair[0] in here]
        return made[number % len(made)]

    def _edit_syspro(self, element: str, number: int) -> None:
        code, _ = self._linked(number)
        self.masters.edit_syspro(code, **{element: f"S{number}"})

    def _edit_cin7(self, name: str, number: int) -> None:
        _, cin7_id = self._linked(number)
        current = self.masters.in_cin7()[cin7_id]
        change: dict[str, Any] = {name: f"C{number}"}
        if name == "Phone":
            contact = next(iter(current["Contacts"]), {"Name": current["Name"]})
            change = {"Contacts": [{**contact, **change, "Default": True}]}
        if name == "Line1":
            place = next(iter(current["Addresses"]), {"Country": "United Kingdom"})
            place = {"Type": "Business", "DefaultForType": True, **place}
            change = {"Addresses": [{**place, **change}]}
        self.masters.edit_cin7(cin7_id, **change)

    def _crash(self, moment: str) -> None:
        owner, name = _MOMENTS[moment]

        def end(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with patch.object(owner, name, end):
            try:
                self.masters.sync()
            except KeyboardInterrupt:
                return

    def settle(self) -> None:
        """Let faults end and time pass, until nothing is under way."""
        self.masters.calm()
        for _ in range(4):
            self.masters.time_passes()
            self.masters.sync()

    def assert_whole(self) -> None:
        """Hold that both sides agree where nothing is in conflict, and nobody is twice."""
        syspro, cin7 = self.masters.in_syspro(), self.masters.in_cin7()
        links = self.masters.links()
        assert sorted(links) == sorted(syspro)
        assert sorted(links.values()) == sorted(cin7)
        open_ = {(c["supplier"], c["attribute"]) for c in self.masters.desk().open().conflicts}
        for code, cin7_id in links.items():
            left, right = syspro[code], cin7[cin7_id]
            pairs = {
                "name": (left["SupplierName"], right["Name"]),
                "tax_number": (left["TaxRegnNum"], right["TaxNumber"]),
                "phone": (
                    left["Telephone"],
                    next(iter(right["Contacts"]), {}).get("Phone", ""),
                ),
                "address": (
                    left["SupAddr1"],
                    next(iter(right["Addresses"]), {}).get("Line1", ""),
                ),
            }
            differ = {a for a, (one, other) in pairs.items() if one != (other or "")}
            assert {a for a in differ if (code, a) not in open_} == set(), (code, pairs)
        assert self.masters.open_writes() == 0


def test_any_interleaving_ends_in_two_masters_that_agree(start: Start) -> None:
    pair = start(
        companies.company(suppliers=(SUPPLIER,)),
        start_date=DAY,
        suppliers={"direction": "both", "code_first": 100200, "owners": {"phone": "cin7"}},
        policies={"supplier_scope": "all"},
        syspro={"timeout_seconds": 1},
    )
    play = _Play(Masters(pair))
    play.settle()

    @settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.nested_given],
    )
    @given(actions=_ACTIONS)
    def run(actions: list[tuple[str, str]]) -> None:
        for what, detail in actions:
            play.act(what, detail)
        play.settle()
        play.assert_whole()
        written = play.masters.writes()
        play.masters.sync()
        assert play.masters.writes() == written

    run()
