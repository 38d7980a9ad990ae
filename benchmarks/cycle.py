"""How a cycle's cost grows with the documents, and what a second cycle costs.

    python benchmarks/cycle.py

Prints ratios of one run on this machine; seconds alone say more about the machine.

What must not come in: assertions; speed is no test.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mlc_pipeline.cycle import Summary
from mlc_pipeline.database import database_url
from mlc_pipeline.sandbox.company import DEFAULT_END, first_date, generate
from mlc_pipeline_tests.e2e.pair import running_pair

SIZES = (100, 400)


def timed(cycle: Callable[[], Summary]) -> tuple[float, Summary]:
    """Return how long a cycle took, in seconds, and what came of it."""
    started = time.monotonic()
    summary = cycle()
    return time.monotonic() - started, summary


def main() -> None:
    """Run both sizes twice and print the ratios."""
    table = Table("invoices", "documents", "writes", "ms a write", "second / first cycle")
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLC_HOME"] = folder
        os.environ["MLC_DATABASE_URL"] = database_url({"MLC_HOME": folder})
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")
        for size in SIZES:
            company = generate(1, size)
            place = Path(folder) / f"company_{size}"
            place.mkdir()
            with running_pair(company, place, dict(os.environ)) as pair:
                days = (first_date(company), DEFAULT_END)
                first, summary = timed(lambda: pair.run(*days))  # noqa: B023 - called at once
                second, _ = timed(lambda: pair.run(*days))  # noqa: B023
            documents = sum(kind.read for kind in summary.kinds.values())
            costs.append(first / summary.cin7_writes)
            table.add_row(
                str(size),
                str(documents),
                str(summary.cin7_writes),
                f"{1000 * costs[-1]:.1f}",
                f"{second / first:.2f}",
            )
    console = Console()
    console.print(table)
    console.print(
        f"cost of a write, {SIZES[1]} invoices / {SIZES[0]}: {costs[1] / costs[0]:.2f}"
    )


if __name__ == "__main__":
    main()
