"""The `mlc` command.

Thin: each command reads arguments, calls one function, prints what came of it.

What must not come in: business rules; importing the sandbox (it runs as a process).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mlc_pipeline.commands import backfill, plan, suppliers
from mlc_pipeline.commands.audit import audit_app
from mlc_pipeline.commands.close import close
from mlc_pipeline.commands.map import map_app
from mlc_pipeline.commands.replay import accept, replay
from mlc_pipeline.commands.shared import (
    ConnectionName,
    chosen_days,
    err,
    open_connection,
    out,
    print_summary,
    progress_bars,
)
from mlc_pipeline.commands.verify import verify
from mlc_pipeline.commands.where import where
from mlc_pipeline.connection.files import connections_directory, load_connections
from mlc_pipeline.connection.model import Connection

# Dagster stores one event for each asset and day; together they cost a tenth of the time.
os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")

app = typer.Typer(
    name="mlc",
    help="Keeps SYSPRO and Cin7 Core in step.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)
secret_app = typer.Typer(help="Credentials, sealed in the database.", no_args_is_help=True)
app.add_typer(secret_app, name="secret")
app.add_typer(audit_app, name="audit")
app.command(
    epilog="Examples: `mlc where INV-12513` · `mlc where 020001` · "
    "`mlc where '100100 INV-12513'` · `mlc where PO-00042 --connection acme`"
)(where)
app.command(
    epilog="Examples: `mlc replay acme` · "
    "`mlc replay acme --from 2026-10-01 --to 2026-10-31` · "
    "`mlc replay acme --document INV-12513` · `mlc replay acme --held unmapped_account` · "
    "`mlc replay acme --failed-since 2026-10-15`"
)(replay)
app.command(
    epilog="Examples: `mlc accept acme INV-12513 --note 'corrected in Cin7'` · "
    "`mlc accept acme INV-12513 --note 'agreed with the auditor' --differs`"
)(accept)
app.command(
    epilog="Examples: `mlc verify acme` · `mlc verify acme --partition 2026-10-15` · "
    "`mlc verify acme --repair adopt` · `mlc verify acme --repair recreate --document 020001`"
)(verify)
app.add_typer(map_app, name="map")
app.command(
    epilog="Examples: `mlc close acme 2026-10` · `mlc close acme 2026-10 --full` · "
    "`mlc close acme 2026-10 --record`"
)(close)
app.add_typer(suppliers.app, name="suppliers")
backfill.register(app)
plan.register(app)


def main() -> None:
    """Run the command line; expected errors are one message, not a stack trace."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        app()
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "mlc_pipeline":
            raise
        err.print(f"[red]{type(error).__name__}[/red]", end=": ")
        err.print(str(error), markup=False, highlight=False)
        sys.exit(1)


# --- sync ------------------------------------------------------------------------------


@app.command(
    epilog="Examples: `mlc sync acme` · `mlc sync acme --from 2026-10-01 --to 2026-10-31` · "
    "`mlc sync acme --json | jq .kinds`"
)
def sync(
    connection: ConnectionName,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day; else the look-back."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], help="Last day; else today."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Run one sync cycle here, without a daemon.

    Exit code 0: all done or unchanged; 3: something is held; 1: something failed.
    """
    settings, folder = open_connection(connection)
    days = chosen_days(settings, first, last)
    raise typer.Exit(_sync(settings, folder, *days, as_json=as_json))


def _sync(
    connection: Connection, folder: Path, first: date, last: date, *, as_json: bool
) -> int:
    from mlc_pipeline.cycle import run_cycle

    with progress_bars(shown=not as_json) as progress:
        summary = run_cycle(connection, folder, first, last, progress=progress)
    if as_json:
        sys.stdout.write(json.dumps(summary.to_json(), indent=2) + "\n")
    else:
        print_summary(summary)
    return summary.exit_code


# --- looking -----------------------------------------------------------------------------


@app.command(epilog="Example: `mlc ping acme`")
def ping(connection: ConnectionName) -> None:
    """Try both systems: log on, read one row of each entity, check references and mappings."""
    from mlc_pipeline.ping import ping as look

    settings, folder = open_connection(connection)
    misfits = 0
    table = Table("", "where", "what", "found", title=f"{connection}: first contact")
    with err.status("asking both systems"):
        for finding in look(settings, folder):
            misfits += not finding.fits
            mark = "[green]fits[/green]" if finding.fits else "[red]does not[/red]"
            table.add_row(mark, finding.area, escape(finding.subject), escape(finding.found))
    out.print(table)
    out.print(
        "Everything fits." if not misfits else f"{misfits} thing(s) to correct, see above."
    )
    raise typer.Exit(1 if misfits else 0)


@app.command(epilog="Examples: `mlc status` · `mlc status acme`")
def status(
    connection: Annotated[str | None, typer.Argument(help="One connection; else all.")] = None,
) -> None:
    """Show what the ledger holds, what is held, and what broken connection files say."""
    from mlc_pipeline.console import status_tables

    loaded = load_connections(connections_directory())
    for broken in loaded.broken:
        err.print(f"[red]{broken.name} is left out[/red]")
        err.print(broken.message, markup=False, highlight=False)
    names = [c.name for c in loaded.connections if connection in (None, c.name)]
    if not names:
        out.print("No connection to show.")
        raise typer.Exit(1)
    for table in status_tables(names):
        out.print(table)


# --- secrets -----------------------------------------------------------------------------


@secret_app.command(
    "set",
    epilog="Examples: `mlc secret set acme cin7_account_id` · "
    "`pass show cin7/key | mlc secret set acme cin7_application_key_main`",
)
def secret_set(
    connection: ConnectionName,
    name: Annotated[str, typer.Argument(help="Name of the secret; see `mlc secret list`.")],
) -> None:
    """Seal a secret; it is asked for without echo, or read from standard input."""
    from mlc_pipeline.assets.runtime import Runtime

    settings, _folder = open_connection(connection)
    if name not in settings.secret_names():
        raise typer.BadParameter(
            f"{connection} has no secret {name!r}; it has {', '.join(settings.secret_names())}"
        )
    if sys.stdin.isatty():
        value = typer.prompt(f"{connection} {name}", hide_input=True)
    else:
        value = sys.stdin.read().rstrip("\r\n")
    Runtime().vault.put(connection, name, value)
    out.print(f"{connection}: {name} is sealed.")


@secret_app.command("list", epilog="Example: `mlc secret list acme`")
def secret_list(connection: ConnectionName) -> None:
    """Show which secrets a connection needs and which are set; never their values."""
    from mlc_pipeline.assets.runtime import Runtime
    from mlc_pipeline.vault import environment_variable

    settings, _folder = open_connection(connection)
    sealed = {entry.name: entry for entry in Runtime().vault.names(connection)}
    table = Table("secret", "set", "or by the environment variable", title=connection)
    for name in settings.secret_names():
        variable = environment_variable(connection, name)
        state = f"sealed {sealed[name].updated_at:%Y-%m-%d %H:%M}" if name in sealed else "no"
        if os.environ.get(variable):
            unused = " (the sealed one is not used)" if name in sealed else ""
            state = f"in the environment{unused}"
        table.add_row(name, state, variable)
    out.print(table)


@secret_app.command(
    "rotate",
    epilog="Example: put the new key first in MLC_SECRET_KEY "
    "(`new,old`), run `mlc secret rotate`, then drop the old one.",
)
def secret_rotate() -> None:
    """Seal everything again under the first key."""
    from mlc_pipeline.assets.runtime import Runtime

    out.print(f"{Runtime().vault.rotate()} secrets sealed again.")


# --- sandbox, demo, dev ------------------------------------------------------------------

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Pack in the neutral form; else a made-up company."),
]
WholeOption = Annotated[bool, typer.Option("--whole", help="The whole pack, not a slice.")]
DaysOption = Annotated[int | None, typer.Option("--days", help="Days of the pack to take.")]
LimitOption = Annotated[
    int, typer.Option("--calls-per-minute", help="Limit of the stand-in Cin7.")
]
_LIMIT = 30_000


@app.command(epilog="Examples: `mlc sandbox` · `mlc sandbox --data path/to/pack --whole`")
def sandbox(
    data: DataOption = None,
    whole: WholeOption = False,
    days: DaysOption = None,
    calls_per_minute: LimitOption = _LIMIT,
) -> None:
    """Run the stand-in SYSPRO and Cin7 Core until Ctrl-C, and seal their credentials."""
    with _sandbox(data, whole=whole, days=days, limit=calls_per_minute) as started:
        out.print(
            f"The sandbox runs. Try: mlc sync {started['connection']} --from "
            f"{started['first']} --to {started['last']}"
        )
        _wait_for_interrupt()


@app.command(epilog="Examples: `mlc demo` · `mlc demo --data path/to/pack`")
def demo(
    data: DataOption = None,
    whole: WholeOption = False,
    days: DaysOption = None,
    calls_per_minute: LimitOption = _LIMIT,
) -> None:
    """Run the main job on the sandbox: from SYSPRO through Dagster into Cin7 Core, once."""
    with _sandbox(data, whole=whole, days=days, limit=calls_per_minute) as started:
        settings, folder = open_connection(started["connection"])
        first, last = (date.fromisoformat(started[k]) for k in ("first", "last"))
        out.print(f"{started['connection']}: {first} to {last}", highlight=False)
        code = _sync(settings, folder, first, last, as_json=False)
    again = f" DATA={data}" if data else ""
    out.print(
        f"\nRun it again: nothing is written twice. See it in the Dagster UI: make dev{again}",
        highlight=False,
    )
    raise typer.Exit(1 if code == 1 else 0)


@app.command(epilog="Example: `mlc dev`, then open the address it prints.")
def dev(
    data: DataOption = None,
    whole: WholeOption = False,
    days: DaysOption = None,
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    calls_per_minute: LimitOption = _LIMIT,
) -> None:
    """Run the Dagster UI, its daemon and the sandbox; Ctrl-C stops them all."""
    from mlc_pipeline.database import engine
    from mlc_pipeline.instance import WORKSPACE_YAML, dagster_home

    # In a script's background Ctrl-C is ignored, and so would be every child's.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    engine()  # starts the embedded PostgreSQL, which lives as long as this process
    with _sandbox(data, whole=whole, days=days, limit=calls_per_minute) as started:
        home = dagster_home()
        workspace = home / "workspace.yaml"
        workspace.write_text(WORKSPACE_YAML, encoding="utf-8")
        connections = connections_directory().resolve()
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "MLC_CONNECTIONS_DIR": str(connections),
            # Its own notes that a newer command exists say nothing to our users.
            "PYTHONWARNINGS": "ignore",
        }
        command = ["-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)]
        command += ["-w", str(workspace), "--log-level", "warning"]
        dagster = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, *command], env=environment, cwd=home, start_new_session=True
        )
        try:
            out.print(
                f"Dagster UI: http://127.0.0.1:{port} (ready in some seconds)\n"
                f"Materialise {started['connection']}_sync for {started['first']} to "
                f"{started['last']}; Ctrl-C stops everything.",
                highlight=False,
            )
            _wait_for_interrupt(dagster)
        finally:
            _stop_group(dagster)


@contextmanager
def _sandbox(
    data: Path | None, *, whole: bool, days: int | None, limit: int
) -> Iterator[dict[str, str]]:
    """Run the sandbox as a process; yield its connection's name and days."""
    from mlc_pipeline.assets.runtime import Runtime
    from mlc_pipeline.database import home_directory

    home = home_directory()
    connections = Path(os.environ.setdefault("MLC_CONNECTIONS_DIR", str(home / "connections")))
    command = [sys.executable, "-m", "mlc_pipeline.sandbox"]
    command += ["--home", str(home / "sandbox"), "--connections", str(connections)]
    command += ["--calls-per-minute", str(limit)]
    command += ["--data", str(data)] if data else []
    command += ["--whole"] if whole else []
    command += ["--days", str(days)] if days else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        with err.status("starting the sandbox"):
            line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise typer.Exit(process.wait() or 1)
        started: dict[str, str] = json.loads(line)
        vault = Runtime().vault
        for name, value in _SANDBOX_SECRETS.items():
            vault.put(started["connection"], name, value)
        yield started
    finally:
        _stop(process)


_SANDBOX_SECRETS = {
    # What the stand-ins take; they are no secrets of anybody.
    "syspro_operator_password": "sandbox-operator",
    "syspro_company_password": "sandbox-company",
    "cin7_account_id": "5a4db0c5-0000-4000-8000-000000000001",
    "cin7_application_key_main": "5a4db0c5-0000-4000-8000-00000000a001",
}


def _wait_for_interrupt(process: subprocess.Popen[bytes] | None = None) -> None:
    """Sleep until Ctrl-C or SIGTERM, or until a process ends by itself."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        while process is None or process.poll() is None:
            time.sleep(0.3)
    except KeyboardInterrupt:
        out.print("stopping")


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and everything it started: it leads a session of its own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _stop(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT if process.stdout is None else signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
