"""Both stand-ins with one company's data: `python -m mlc_pipeline.sandbox`.

Prepares the data once (a generated company, or a pack in the neutral form), writes the
connection folder that goes with it, and serves until it is stopped. What the stand-ins
hold stays on disk, so that a second start finds it.

What must not come in: the product's own code.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from mlc_pipeline.sandbox import company as data
from mlc_pipeline.sandbox.cin7.wire import encode
from mlc_pipeline.sandbox.syspro.store import Store, load

_EXAMPLE = """
examples:
  python -m mlc_pipeline.sandbox --home .mlc/sandbox --connections .mlc/connections
  python -m mlc_pipeline.sandbox --home .mlc/sandbox --connections .mlc/connections \\
      --data path/to/pack --days 14
"""
_SLICE_DAYS = (31, 366)
_SLICE_DOCUMENTS = (100, 1000)


@dataclass(frozen=True)
class Prepared:
    """A company ready to be served: its name, where it is kept, the days to synchronise."""

    name: str
    folder: Path
    first: date
    last: date


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlc_pipeline.sandbox",
        description="A stand-in SYSPRO and a stand-in Cin7 Core on 127.0.0.1, with data.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", type=Path, required=True, help="where the data is kept")
    parser.add_argument(
        "--connections", type=Path, required=True, help="where the connection folder goes"
    )
    parser.add_argument("--data", type=Path, help="pack in the neutral form; else generated")
    parser.add_argument("--name", help="name of the connection; else the pack's, or sandbox")
    parser.add_argument("--seed", type=int, default=1, help="of the generated company")
    parser.add_argument("--size", type=int, default=300, help="invoices of the generated one")
    parser.add_argument("--days", type=int, help="days of the pack from its first date on")
    parser.add_argument("--whole", action="store_true", help="the whole pack, not a slice")
    for name, port in (("syspro", 8471), ("cin7", 8472)):
        variable = f"MLC_SANDBOX_{name.upper()}_PORT"
        parser.add_argument(
            f"--{name}-port",
            type=int,
            default=int(os.environ.get(variable, port)),
            help=f"else {variable}, else {port}",
        )
    parser.add_argument(
        "--calls-per-minute", type=int, default=30_000, help="limit of the stand-in Cin7"
    )
    parser.add_argument("--prepare-only", action="store_true", help="do not serve")
    return parser


def _company(options: argparse.Namespace) -> data.Company:
    if options.data is None:
        return data.generate(options.seed, options.size)
    whole = data.read_pack(options.data)
    if options.whole:
        return whole
    first = data.first_date(whole)
    return data.slice_company(whole, first, _slice_end(whole, first, options.days))


def _slice_end(company: data.Company, first: date, days: int | None) -> date:
    """Return the last day of a slice that a demo gets through in a minute or two."""
    if days is not None:
        return first + timedelta(days=days - 1)
    per_day = Counter(invoice.invoice_date for invoice in company.invoices)
    per_day.update(o.order_date for o in company.purchase_orders if o.order_date)
    few, many = _SLICE_DOCUMENTS
    month, year = _SLICE_DAYS
    end, documents, length = first, per_day[first], 1
    while documents < many and length < year and (length < month or documents < few):
        end += timedelta(days=1)
        documents, length = documents + per_day[end], length + 1
    return end


def prepare(options: argparse.Namespace) -> Prepared:
    """Make the company's files, unless the same were made before."""
    pack = options.data.name if options.data else "sandbox"
    name = options.name or re.sub(r"[^a-z0-9_]", "_", pack.lower())
    choice = {
        "data": str(options.data.resolve()) if options.data else None,
        "seed": options.seed,
        "size": options.size,
        "days": options.days,
        "whole": options.whole,
        "ports": [options.syspro_port, options.cin7_port],
        "calls_per_minute": options.calls_per_minute,
    }
    folder = options.home / name
    note = folder / "prepared.json"
    if note.exists():
        known = json.loads(note.read_text())
        if known["choice"] == choice and (options.connections / name).is_dir():
            days = (date.fromisoformat(known[key]) for key in ("first", "last"))
            return Prepared(name, folder, *days)
        # Other data is another company: its SYSPRO is made anew, its Cin7 is kept apart.
        _set_aside(folder)
    folder.mkdir(parents=True, exist_ok=True)
    prepared = _make(options, name, folder)
    note.write_text(
        json.dumps({"choice": choice, "first": str(prepared.first), "last": str(prepared.last)})
    )
    return prepared


def _set_aside(folder: Path) -> None:
    folder.rename(folder.with_name(f"{folder.name}.{int(time.time())}"))


def _make(options: argparse.Namespace, name: str, folder: Path) -> Prepared:
    company = _company(options)
    tables = data.syspro_tables(company)
    account = data.cin7_account(company)
    (folder / "account.json").write_bytes(encode(account))
    store = Store(folder / "syspro.sqlite")
    try:
        load(store, tables)
    finally:
        store.close()
    syspro = f"http://127.0.0.1:{options.syspro_port}"
    data.write_connection(
        company,
        account,
        options.connections / name,
        enet_url=f"{syspro}/SYSPROWCFService/Rest",
        odata_url=f"{syspro}/SYSPRO8Odata/SYSPROOData",
        base_url=f"http://127.0.0.1:{options.cin7_port}/ExternalApi/v2",
        calls_per_minute=options.calls_per_minute,
        overrides={
            "cin7": {"timeout_seconds": 15, "settle_seconds": 30},
            "schedule": {"enabled": False},
        },
    )
    return Prepared(name, folder, data.first_date(company), _last_date(tables))


def _last_date(tables: dict[str, list[dict[str, Any]]]) -> date:
    """Return the last day on which anything is dated: postings come after their invoices."""
    columns = {
        "ApInvoice": "InvoiceDate",
        "ApPosting": "PostDate",
        "PorMasterHdr": "OrderEntryDate",
        "GrnDetails": "OrigReceiptDate",
    }
    dates: list[date] = [
        row[column]
        for table, column in columns.items()
        for row in tables[table]
        if row[column] is not None
    ]
    return max(dates)


def serve(options: argparse.Namespace, prepared: Prepared) -> int:
    """Run both stand-ins until this process is told to stop; return the exit code."""
    for port in (options.syspro_port, options.cin7_port):
        _check_free(port)
    limit = str(options.calls_per_minute)
    folder = prepared.folder
    syspro = ["--port", str(options.syspro_port), "--state", str(folder / "syspro.sqlite")]
    cin7 = ["--port", str(options.cin7_port), "--state", str(folder / "cin7.sqlite")]
    cin7 += ["--seed", str(folder / "account.json"), "--limit", limit]
    commands = {"mlc_pipeline.sandbox.syspro": syspro, "mlc_pipeline.sandbox.cin7": cin7}
    children = [
        subprocess.Popen([sys.executable, "-m", module, *rest])  # noqa: S603 - our own
        for module, rest in commands.items()
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        for port in (options.syspro_port, options.cin7_port):
            _await_health(port, children)
        sys.stdout.write(
            json.dumps(
                {
                    "connection": prepared.name,
                    "first": str(prepared.first),
                    "last": str(prepared.last),
                }
            )
            + "\n"
        )
        sys.stdout.flush()
        while all(child.poll() is None for child in children):
            time.sleep(0.2)
    except KeyboardInterrupt:
        return 0
    else:
        return 1
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(timeout=10)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SystemExit(
                f"port {port} of this machine is taken, perhaps by another sandbox; end what "
                "uses it, or choose others with MLC_SANDBOX_SYSPRO_PORT and "
                "MLC_SANDBOX_CIN7_PORT"
            ) from None


def _await_health(port: int, children: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if any(child.poll() is not None for child in children):
            raise SystemExit(
                f"a stand-in could not start; is port {port} taken? See the message above"
            )
        try:
            with urlopen(f"http://127.0.0.1:{port}/_sandbox/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"the stand-in on port {port} did not answer within 30 s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare and serve; return the exit code."""
    options = _parser().parse_args(arguments)
    options.home.mkdir(parents=True, exist_ok=True)
    try:
        prepared = prepare(options)
    except (data.PackError, ValueError) as error:
        sys.stderr.write(f"the sandbox cannot start: {error}\n")
        return 2
    return 0 if options.prepare_only else serve(options, prepared)


if __name__ == "__main__":
    sys.exit(main())
