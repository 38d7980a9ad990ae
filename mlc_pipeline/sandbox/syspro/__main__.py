"""Command line of the stand-in: `python -m mlc_pipeline.sandbox.syspro`.

What must not come in: routes; passwords as arguments, which every process list shows.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from mlc_pipeline.sandbox.syspro.server import HOST, build_server
from mlc_pipeline.sandbox.syspro.settings import Settings
from mlc_pipeline.sandbox.syspro.state import State
from mlc_pipeline.sandbox.syspro.store import RowError, Store

_EXAMPLE = """
example:
  python -m mlc_pipeline.sandbox.syspro --port 8471 --state company.sqlite \\
      --set odata_auth=basic --set next_link=true

passwords come from the environment, with the sandbox's defaults:
  MLC_SANDBOX_SYSPRO_OPERATOR_PASSWORD   MLC_SANDBOX_SYSPRO_COMPANY_PASSWORD
  MLC_SANDBOX_SYSPRO_ODATA_PASSWORD
"""


def _parser() -> argparse.ArgumentParser:
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m mlc_pipeline.sandbox.syspro",
        description="A stand-in SYSPRO (e.net and OData) on 127.0.0.1.",
        epilog=_EXAMPLE
        + "\nsettings for --set:\n  "
        + "\n  ".join(f"{name}={json.dumps(value)}" for name, value in _settable().items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8471, help="default %(default)s")
    parser.add_argument(
        "--state", default=":memory:", metavar="FILE", help="SQLite file; default in memory"
    )
    parser.add_argument("--company", default=defaults.company, help="default %(default)s")
    parser.add_argument(
        "--operator", default=next(iter(defaults.operators)), help="default %(default)s"
    )
    parser.add_argument("--odata-user", default=defaults.odata_user, help="default %(default)s")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any other setting"
    )
    return parser


def _settable() -> dict[str, object]:
    """Return the settings without an option of their own, with their defaults."""
    apart = {"operators", "company_password", "odata_password", "company", "odata_user"}
    return Settings().model_dump(mode="json", exclude=apart)


def _settings(options: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """Return the settings of a command line; passwords come from the environment."""
    given: dict[str, object] = {"company": options.company, "odata_user": options.odata_user}
    for item in options.set:
        name, _, value = item.partition("=")
        if name not in _settable():
            raise ValueError(f"--set {name}: known are {', '.join(_settable())}")
        given[name] = json.loads(value) if value[:1] in ("[", "{") else value
    defaults = Settings()
    operator_password = environment.get(
        "MLC_SANDBOX_SYSPRO_OPERATOR_PASSWORD",
        next(iter(defaults.operators.values())).get_secret_value(),
    )
    given["operators"] = {options.operator: operator_password}
    for name in ("company_password", "odata_password"):
        value = environment.get(f"MLC_SANDBOX_SYSPRO_{name.upper()}")
        if value is not None:
            given[name] = value
    return Settings.model_validate(given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        state = State(Store(options.state), _settings(options, os.environ))
        listener = socket.create_server((HOST, options.port))
    except (ValidationError, RowError, OSError, ValueError) as error:
        sys.stderr.write(f"the stand-in SYSPRO cannot start: {error}\n")
        return 2
    with listener:
        build_server(state, options.port).run([listener])
    state.store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
