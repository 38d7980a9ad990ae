"""What the check of the ledger says: green only for what was looked at."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from mlc_pipeline.assets.common import Site
from mlc_pipeline.assets.proof import verdict
from mlc_pipeline.sync.comparison import Comparison, Finding, Found
from mlc_pipeline.sync.vocabulary import Kind
from mlc_pipeline_tests.connection.examples import connection

GONE = Found(Finding.VANISHED, Kind.INVOICE, "100100|INV-1", "gone", "id", "PO-1", None)
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@pytest.mark.parametrize(
    ("result", "passed", "severity", "said"),
    [
        (Comparison(documents=7), True, WARN, "7 documents are where"),
        (Comparison(documents=7, left=40), False, WARN, "40 purchases in Cin7 were not"),
        (Comparison(left=40, found=[GONE]), False, ERROR, "40 purchases in Cin7 were not"),
        (Comparison(found=[GONE]), False, ERROR, "vanished invoice 100100|INV-1"),
    ],
)
def test_what_was_not_looked_at_is_not_green(
    result: Comparison, passed: bool, severity: dg.AssetCheckSeverity, said: str
) -> None:
    check = verdict(Site(connection(), Path("acme")), result)
    assert (check.passed, check.severity) == (passed, severity)
    assert said in (check.description or "")
