"""What a snapshot of the supplier master costs: seconds and memory, at two sizes.

    python benchmarks/suppliers.py

The stand-ins run in a process of their own; what is measured is the process that reads the
snapshot through OData, stages it and plans both ways, first with nothing agreed, then with
every link settled. Prints figures of one run on this machine.

What must not come in: assertions; speed is no test.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from mlc_pipeline.assets.common import Site, plan_context
from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.connection.files import load_connection
from mlc_pipeline.database import database_url
from mlc_pipeline.sandbox.company.model import Company, Supplier
from mlc_pipeline.staging.load import Stamp, replace_table
from mlc_pipeline.staging.tables import CIN7, documents
from mlc_pipeline.sync.ledger import Ledger
from mlc_pipeline.sync.references import reference_rows
from mlc_pipeline.sync.staged import Window
from mlc_pipeline.sync.supplier_planner import plan_both_ways, supplier_pages
from mlc_pipeline_tests.e2e import companies
from mlc_pipeline_tests.e2e.pair import running_pair

SIZES = (10_000, 100_000)
DAY = date(2026, 3, 2)


def company(size: int) -> Company:
    """Return a company of that many suppliers."""
    return companies.company(
        suppliers=tuple(
            Supplier(
                supplier_id=str(100_000 + n),
                name=f"Fennimoor {n:06d} Trading Ltd",
                terms_code="14",
                tax_code="S20",
                tax_number=f"GB{n:09d}",
                phone=f"01632 {n:06d}",
                email=f"accounts@fennimoor{n}.example",
                postal1=f"{n} Kiln Lane",
                postal_postcode="ZA1 2XY",
            )
            for n in range(size)
        )
    )


def serve(size: int, folder: str, told: Connection) -> None:
    """Run both stand-ins until the other end says something."""
    place = Path(folder)
    with running_pair(
        company(size),
        place,
        dict(os.environ),
        name=f"master_{size}",
        start_date=DAY,
        suppliers={"direction": "both"},
    ) as pair:
        told.send(pair.environ)
        told.recv()


def measure(size: int, folder: str, environ: dict[str, str], told: Connection) -> None:
    """Read and plan, and tell seconds and peak memory after each step."""
    runtime = Runtime(environ)
    place = Path(folder) / f"master_{size}"
    site = Site(load_connection(place), place)
    engine, name = runtime.engine, site.name
    client = runtime.cin7(site.connection)
    for book, rows in (
        ("settings", [client.me()]),
        ("tax_rules", client.tax_rules()),
        ("payment_terms", client.payment_terms()),
    ):
        replace_table(engine, CIN7[book], Stamp(name, "0"), reference_rows(book, rows))
    extraction = runtime.extraction(site.connection, "1")
    found: dict[str, tuple[float, float]] = {"before": (0.0, _peak())}

    def timed(step: str, work: Callable[[], object]) -> None:
        started = time.monotonic()
        work()
        found[step] = (time.monotonic() - started, _peak())

    def snapshot() -> None:
        for entity in ("suppliers", "supplier_addresses"):
            extraction.snapshot(entity)

    timed("snapshot", snapshot)
    _link_all(engine, name)
    for step, run in (("first plan", "2"), ("settled plan", "3")):
        timed(
            step,
            lambda run=run: plan_both_ways(  # type: ignore[misc]
                engine,
                Stamp(name, run),
                Window(name, DAY, DAY),
                plan_context(runtime, site),
                Ledger(engine, name, run),
            ),
        )
    runtime.close()
    told.send(found)


def _link_all(engine: sa.Engine, name: str) -> None:
    """Give each supplier its counterpart, as if all had been made in Cin7 before."""
    with engine.connect() as reading, engine.begin() as writing:
        for page in supplier_pages(reading, name):
            made = [(row, _counterpart(row)) for row in page]
            writing.execute(
                CIN7["suppliers"].insert(),
                [
                    {
                        "connection": name,
                        "run_id": "1",
                        "id": raw["ID"],
                        "name": raw["Name"],
                        "normalised_name": raw["Name"].lower(),
                        "raw": raw,
                    }
                    for _, raw in made
                ],
            )
            writing.execute(
                documents.insert(),
                [
                    {
                        "connection": name,
                        "run_id": "1",
                        "kind": "supplier",
                        "source_key": row.supplier,
                        "state": "done",
                        "cin7_id": raw["ID"],
                        "amount": 0,
                    }
                    for row, raw in made
                ],
            )


def _counterpart(row: Any) -> dict[str, Any]:
    return {
        "ID": f"00000000-0000-4000-8000-{row.supplier[-12:]}",
        "Name": row.name,
        "Currency": "GBP",
        "PaymentTerm": "14 days",
        "TaxNumber": row.tax_number,
        "Status": "Active",
        "Contacts": [{"Name": row.name, "Phone": row.telephone, "Email": row.email}],
        "Addresses": [
            {
                "Line1": row.address1,
                "Postcode": row.postal_code,
                "Country": "United Kingdom",
                "Type": "Business",
            }
        ],
    }


def _peak() -> float:
    """Return the most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _runs(folder: str) -> Iterator[tuple[int, Mapping[str, tuple[float, float]]]]:
    spawn = multiprocessing.get_context("spawn")
    for size in SIZES:
        ours, theirs = spawn.Pipe()
        server = spawn.Process(target=serve, args=(size, folder, theirs))
        server.start()
        environ = ours.recv()
        here, there = spawn.Pipe()
        reader = spawn.Process(target=measure, args=(size, folder, environ, there))
        reader.start()
        there.close()
        yield size, here.recv()
        reader.join()
        ours.send("done")
        server.join()


def main() -> None:
    """Run both sizes and print them side by side."""
    table = Table("suppliers", "step", "seconds", "peak MB", "peak over 10,000")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLC_HOME"] = folder
        os.environ["MLC_DATABASE_URL"] = database_url({"MLC_HOME": folder})
        first: dict[str, float] = {}
        for size, found in _runs(folder):
            for step, (seconds, peak) in found.items():
                grown = peak / first.setdefault(step, peak)
                cells = (f"{size:,}", step, f"{seconds:.1f}", f"{peak:.0f}", f"{grown:.2f}")
                table.add_row(*cells)
    Console().print(table)


if __name__ == "__main__":
    main()
