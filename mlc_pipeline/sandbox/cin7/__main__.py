"""The command line of the stand-in: `python -m mlc_pipeline.sandbox.cin7`.

What must not come in: anything but reading arguments and starting the server.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from mlc_pipeline.sandbox.cin7.running import make_server, open_sandbox
from mlc_pipeline.sandbox.cin7.settings import THROTTLE_SHAPES, Settings
from mlc_pipeline.sandbox.cin7.wire import decode

EXAMPLE = """\
example:
  python -m mlc_pipeline.sandbox.cin7 --port 8472 --state cin7.sqlite --seed account.json
  then: curl http://127.0.0.1:8472/_sandbox/health
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments; ends the process with a message when they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m mlc_pipeline.sandbox.cin7",
        description="A stand-in Cin7 Core on 127.0.0.1.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8472, help="TCP port (default 8472)")
    parser.add_argument("--state", type=Path, help="SQLite file that keeps the state")
    parser.add_argument("--seed", type=Path, help="JSON file that fills the account")
    parser.add_argument(
        "--limit", type=int, default=60, help="calls per minute and key; 0: none (default 60)"
    )
    parser.add_argument(
        "--throttle-shape",
        choices=THROTTLE_SHAPES,
        default="429",
        help="status of the answer over the limit (default 429)",
    )
    parser.add_argument(
        "--record", action="store_true", help="keep requests for /_sandbox/traffic"
    )
    return parser.parse_args(arguments)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    given = parse(arguments)
    # uvicorn winds down by itself and then raises the signal again, for these.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    sandbox = open_sandbox(
        decode(given.seed.read_bytes()) if given.seed else {},
        given.state,
        Settings(limit=given.limit, throttle_shape=given.throttle_shape, record=given.record),
    )
    try:
        make_server(sandbox, given.port).run()
    finally:
        sandbox.store.close()


if __name__ == "__main__":
    main(sys.argv[1:])
