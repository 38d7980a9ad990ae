"""The fault bench on the command line: `python -m mlc_pipeline_tests.faults`.

What must not come in: scenarios, how an end is judged.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from mlc_pipeline import database
from mlc_pipeline_tests.faults import certificate, scenarios
from mlc_pipeline_tests.faults.bench import Bench, Row, open_bench
from mlc_pipeline_tests.faults.sabotage import FOUND_BY, SABOTAGES

_EXAMPLES = """
examples:
  python -m mlc_pipeline_tests.faults                          every scenario, 300 documents
  python -m mlc_pipeline_tests.faults --documents 60 --scenario kill-before-call
  python -m mlc_pipeline_tests.faults --sabotage no-settle-wait    must end red
  python -m mlc_pipeline_tests.faults --list
exit code: 0 when every row has 0 duplicates, 0 lost, 0 half-made, 0 wrong totals; else 1
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlc_pipeline_tests.faults",
        description="Runs the product under every fault and shows that nothing is lost, "
        "nothing there twice.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--documents", type=int, default=300, help="at least so many: 300")
    parser.add_argument("--seed", type=int, default=1, help="of company and chances: 1")
    parser.add_argument(
        "--scenario", action="append", metavar="NAME", help="only this one; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    parser.add_argument(
        "--sabotage", choices=sorted(SABOTAGES), help="break the product: must end red"
    )
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="FOLDER",
        help="where the certificate goes: faults in MLC_HOME",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; return the exit code."""
    options = _parser().parse_args(arguments)
    out = Console(width=None if sys.stdout.isatty() else 150)
    if options.list:
        for scenario in scenarios.SCENARIOS:
            out.print(f"{scenario.name:26} {scenario.about}", highlight=False)
        return 0
    try:
        chosen = _chosen(options)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    # Told to end, it ends its server and its runs too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    logging.getLogger("mlc_pipeline.sandbox").setLevel(logging.ERROR)
    with (
        home_of_a_bench() as home,
        open_bench(home, options.documents, options.seed, options.sabotage) as bench,
    ):
        made_of = certificate.origin(
            options.documents, options.seed, options.sabotage, bench.server.version()
        )
        folder = options.certificate or database.home_directory() / "faults"
        rows: list[Row] = []
        for row in _play(bench, chosen):
            rows.append(row)
            _tell(out, row)
            # After each row: a bench that is stopped leaves what it has found.
            path = certificate.write(folder, rows, made_of)
    out.print(certificate.table(rows))
    for row in rows:
        for text in certificate.what_is_wrong(row):
            out.print(f"{row.name}: {text}", style="red", markup=False, highlight=False)
    out.print(f"certificate: {path}", markup=False, highlight=False, soft_wrap=True)
    return 0 if all(row.is_good for row in rows) else 1


def _chosen(options: argparse.Namespace) -> list[scenarios.Scenario]:
    names = options.scenario or (FOUND_BY[options.sabotage] if options.sabotage else None)
    return [scenarios.find(name) for name in names] if names else list(scenarios.SCENARIOS)


def _play(bench: Bench, chosen: list[scenarios.Scenario]) -> Iterator[Row]:
    yield scenarios.undisturbed(bench)
    if bench.undisturbed is not None:
        for scenario in chosen:
            yield scenarios.play(bench, scenario)


def _tell(out: Console, row: Row) -> None:
    faults = "/".join(str(count) for count in row.faults.counts())
    text = f"{row.name}: {faults}, {row.hits} hits, {row.runs} runs, {row.seconds:.0f} s"
    out.print(text if row.is_good else f"{text}, RED", highlight=False)
    if not row.is_good:
        for line in certificate.what_is_wrong(row):
            out.print(f"    {line}", markup=False, highlight=False)


@contextmanager
def home_of_a_bench() -> Iterator[Path]:
    """Make a folder that the database's own user may enter; it goes when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="mlc-faults-", dir=os.environ.get("TMPDIR")))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
