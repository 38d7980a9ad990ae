"""What many connections in one code location cost: time to load, memory, snapshot.

    python benchmarks/connections.py [200]

Seconds are of the processor, so that a busy machine changes little. Each count is measured
in a process of its own.

What must not come in: assertions; speed is no test.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from mlc_pipeline.sandbox.company import cin7_account, generate, write_connection

COUNTS = (1, 50, 200)


def measure(count: int) -> str:
    """Load the folder of MLC_CONNECTIONS_DIR as a code server does; return the figures."""
    started = time.process_time()
    import dagster as dg
    from dagster._core.remote_representation.external_data import RepositorySnap
    from dagster._serdes import serialize_value

    from mlc_pipeline.connection.files import connections_directory
    from mlc_pipeline.definitions import build_definitions, load_sites

    imported = time.process_time()
    definitions = build_definitions(load_sites(connections_directory()))
    repository = definitions.get_repository_def()
    built = time.process_time()
    snapshot = serialize_value(RepositorySnap.from_def(repository))
    shown = time.process_time()
    assets = len(repository.asset_graph.get_all_asset_keys())
    memory = psutil.Process().memory_info().rss / 2**20
    assert isinstance(definitions, dg.Definitions)
    return (
        f"{count}|{assets}|{imported - started:.1f}|{built - imported:.1f}|"
        f"{shown - built:.1f}|{len(snapshot) / 2**20:.1f}|{memory:.0f}"
    )


def main() -> None:
    """Write the folders, measure each count, print a table."""
    counts = [int(text) for text in sys.argv[1:]] or list(COUNTS)
    table = Table(
        "connections", "assets", "import s", "build s", "snapshot s", "snapshot MB", "memory MB"
    )
    company = generate(1, 50)
    with tempfile.TemporaryDirectory() as place:
        written = 0
        for count in sorted(counts):
            for number in range(written, count):
                write_connection(
                    company,
                    cin7_account(company),
                    Path(place) / f"customer_{number:03}",
                    enet_url="http://127.0.0.1:1/SYSPROWCFService/Rest",
                    odata_url="http://127.0.0.1:1/SYSPRO8Odata/SYSPROOData",
                    base_url="http://127.0.0.1:1/ExternalApi/v2",
                )
            written = count
            environ = {**os.environ, "MLC_CONNECTIONS_DIR": place, "PYTHONWARNINGS": "ignore"}
            program = f"from benchmarks.connections import measure; print(measure({count}))"
            row = subprocess.run(
                [sys.executable, "-c", program],
                env=environ,
                cwd=Path(__file__).parents[1],
                check=True,
                capture_output=True,
                text=True,
            )
            table.add_row(*row.stdout.strip().splitlines()[-1].split("|"))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
