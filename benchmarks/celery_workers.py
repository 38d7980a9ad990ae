"""How the cycles of many connections spread over two Celery workers.

    python benchmarks/celery_workers.py

Needs redis-server. Prints who did how many, and whether a document is there twice.

What must not come in: assertions; speed is no test.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import dagster as dg
from rich.console import Console

from mlc_pipeline.database import database_url
from mlc_pipeline_tests.deploy import celery_park as park
from mlc_pipeline_tests.e2e.companies import DAY

CONNECTIONS, WORKERS = 20, 2


def main() -> None:
    """Run each connection's cycle twice and print what came of it."""
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # else workers would stay
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        home = folder / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text(park.queueless(park.SETTINGS.read_text()))
        os.environ |= {
            "MLC_HOME": place,
            "MLC_DATABASE_URL": database_url({"MLC_HOME": place}),
            "MLC_CONNECTIONS_DIR": str(folder / "connections"),
            "DAGSTER_HOME": str(home),
            "DAGSTER_EVENT_BATCH_SIZE": "1000",
        }
        with (
            park.running_redis(folder) as broker,
            park.running_pairs(CONNECTIONS, folder / "connections", os.environ) as pairs,
        ):
            os.environ["MLC_CELERY_BROKER"] = broker
            os.environ |= {k: v for pair in pairs for k, v in pair.environ.items()}
            with (
                park.running_workers(WORKERS, folder, os.environ),
                dg.DagsterInstance.from_config(str(home)) as instance,
            ):
                names = [pair.name for pair in pairs]
                for cycle in ("first", "second"):
                    started = time.monotonic()
                    runs = park.launch(instance, names, DAY, folder)
                    queued = time.monotonic() - started
                    done = park.wait(instance, runs, folder)
                    console.print(
                        f"{cycle} cycle of {len(runs)} connections: launched in {queued:.0f} s,"
                        f" done in {time.monotonic() - started:.0f} s;"
                        f" by worker {dict(Counter(d.worker for d in done))},"
                        f" ended {dict(Counter(d.status.value for d in done))}"
                    )
            booked = Counter(len(pair.booked()) for pair in pairs)
            for pair in pairs:
                pair.assert_clean()
            console.print(f"invoices in Cin7 by connection: {dict(booked)}; none twice")


if __name__ == "__main__":
    main()
