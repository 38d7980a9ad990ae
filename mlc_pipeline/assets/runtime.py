"""What a run holds open: database, vault, the SYSPRO session, the Cin7 client.

One `Runtime` lives as long as the process of a run: with the in-process executor that is
the whole cycle, so SYSPRO is logged on once. Secrets are opened here, at execution, and
nowhere earlier.

What must not come in: asset definitions, business rules.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dagster as dg
import sqlalchemy as sa
from pydantic import SecretStr

from mlc_pipeline import database
from mlc_pipeline.cin7.budget import DatabasePacer
from mlc_pipeline.cin7.client import Cin7Client
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.staging.extract import Extraction
from mlc_pipeline.staging.load import Stamp, upsert
from mlc_pipeline.staging.tables import cycle_steps, secrets
from mlc_pipeline.syspro.apsssp import SupplierMaintenance
from mlc_pipeline.syspro.comfnd import ComfndReader
from mlc_pipeline.syspro.enet import EnetClient
from mlc_pipeline.syspro.errors import OperatorBusy, SysproError
from mlc_pipeline.syspro.odata import BasicAuth, ODataReader, SessionAuth
from mlc_pipeline.syspro.reader import Reader
from mlc_pipeline.syspro.session import Credentials, Session
from mlc_pipeline.vault import SESSION_NAME, KeyRing, SealedSessionStore, Vault, find_secret

Progress = Callable[[str, int, int], None]
"""Called with a step's name, what is done and what there is in all (0: not known)."""


@dataclass
class StepCost:
    """What a step cost; written to `control.cycle_steps` at its end."""

    rows: int = 0
    syspro_calls: int = 0
    cin7_calls: int = 0
    cin7_writes: int = 0
    waited_seconds: float = 0.0
    cin7_retried: int = 0
    cin7_throttled: int = 0
    seconds: float = 0.0


@dataclass
class _Syspro:
    """The open side of SYSPRO for one connection."""

    session: Session
    enet: EnetClient
    reader: Reader
    absent: frozenset[str]
    held: ExitStack

    @property
    def calls(self) -> int:
        """Requests sent, of both services."""
        own = 0 if isinstance(self.reader, ComfndReader) else self.reader.calls
        return self.enet.calls + own

    def close(self) -> None:
        """Log off, close the connections."""
        self.held.close()


@dataclass
class Runtime:
    """Opens what a run needs on first use and closes it at the run's end."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    progress: Progress = lambda _step, _done, _all: None
    _syspro: dict[str, _Syspro] = field(default_factory=dict)
    _cin7: dict[str, Cin7Client] = field(default_factory=dict)
    _syspro_refused: dict[str, SysproError] = field(default_factory=dict)
    _syspro_calls: dict[str, int] = field(default_factory=dict)

    @property
    def engine(self) -> sa.Engine:
        """Our database, its tables migrated."""
        return database.engine(self.environ)

    @property
    def vault(self) -> Vault:
        """The sealed secrets."""
        home = database.home_directory(self.environ)
        return Vault(self.engine, KeyRing.from_environment(self.environ, home))

    def secret(self, connection: Connection, name: str) -> str:
        """Open a secret of a connection.

        Raises:
            MissingSecret: it is neither in the environment nor in the vault.
        """
        return find_secret(self.vault, self.environ, connection.name, name).reveal()

    def extraction(self, connection: Connection, run_id: str) -> Extraction:
        """Return what reads SYSPRO in this run; logs on and checks the metadata once.

        Raises:
            MetadataMismatch: SYSPRO does not have what the connection expects.
            OperatorBusy: another cycle holds the operator.
        """
        if connection.name in self._syspro_refused:
            # Each asset that reads would log on again, and SYSPRO locks an operator out
            # after a few wrong passwords.
            raise self._syspro_refused[connection.name]
        if connection.name not in self._syspro:
            try:
                self._syspro[connection.name] = self._open_syspro(connection, run_id)
            except SysproError as error:
                self._syspro_refused[connection.name] = error
                raise
        opened = self._syspro[connection.name]
        return Extraction(
            self.engine,
            opened.reader,
            connection.entities(),
            Stamp(connection.name, run_id),
            opened.absent,
        )

    def supplier_maintenance(self, connection: Connection, run_id: str) -> SupplierMaintenance:
        """Return what writes suppliers to SYSPRO, over the run's one session."""
        self.extraction(connection, run_id)  # logs on, unless the run has already
        opened = self._syspro[connection.name]
        return SupplierMaintenance(
            opened.enet, opened.session, opened.reader, connection.entities()
        )

    def _open_syspro(self, connection: Connection, run_id: str) -> _Syspro:
        with ExitStack() as opened:
            enet, session = self._session(connection, opened)
            session.open(run_id)
            opened.callback(session.close)
            reader = self._reader(connection, session, enet, opened)
            absent = frozenset(reader.check(connection.entities().values()))
            return _Syspro(session, enet, reader, absent, opened.pop_all())

    def _session(self, connection: Connection, opened: ExitStack) -> tuple[EnetClient, Session]:
        settings = connection.syspro
        enet = EnetClient(settings.enet_url, settings.logon_path, settings.timeout_seconds)
        opened.callback(enet.close)
        credentials = Credentials(
            operator=settings.operator,
            operator_password=self.secret(connection, "syspro_operator_password"),
            company=settings.company,
            company_password=self.secret(connection, "syspro_company_password"),
        )
        store = self._session_store(connection)
        return enet, Session(enet, credentials, store, settings.session_wait_seconds)

    def _session_store(self, connection: Connection) -> SealedSessionStore:
        settings = connection.syspro
        return SealedSessionStore(
            self.vault, self.engine, connection.name, settings.enet_url, settings.operator
        )

    def session_left_since(self, connection: Connection) -> datetime | None:
        """Return since when a SYSPRO session is left open by nobody; None when none is.

        Asks our database alone: a stored session whose operator no process holds.
        """
        stored = sa.select(secrets.c.updated_at).where(
            secrets.c.connection == connection.name, secrets.c.name == SESSION_NAME
        )
        with self.engine.connect() as reading:
            since: datetime | None = reading.execute(stored).scalar_one_or_none()
        if since is None:
            return None
        try:
            with self._session_store(connection).lock(0):
                return since
        except OperatorBusy:
            return None

    def discard_session(self, connection: Connection) -> bool:
        """Log off a SYSPRO session that a dead run left; False when there was none.

        Raises:
            OperatorBusy: a live run holds the operator, so nothing is left over.
        """
        with ExitStack() as opened:
            return self._session(connection, opened)[1].discard_leftover()

    def _reader(
        self, connection: Connection, session: Session, enet: EnetClient, opened: ExitStack
    ) -> Reader:
        settings = connection.syspro
        if settings.reader == "comfnd":
            return ComfndReader(enet, session, settings.page_size)
        return opened.enter_context(
            ODataReader(
                settings.odata_url,
                settings.company,
                self._odata_auth(connection, session),
                settings.page_size,
                settings.timeout_seconds,
            )
        )

    def _odata_auth(self, connection: Connection, session: Session) -> Any:
        if connection.syspro.odata_auth == "session":
            return SessionAuth(session)
        return BasicAuth(
            self.secret(connection, "syspro_odata_user"),
            self.secret(connection, "syspro_odata_password"),
        )

    def close_syspro(self, connection: Connection) -> None:
        """Log off: nothing of SYSPRO is read after this in the run."""
        opened = self._syspro.pop(connection.name, None)
        if opened is not None:
            self._syspro_calls[connection.name] = opened.calls
            opened.close()

    def cin7(self, connection: Connection, priority: str = "live") -> Cin7Client:
        """Return the run's Cin7 client; every call is paced by the shared budget.

        Raises:
            MissingSecret: a credential is neither in the environment nor in the vault.
        """
        if connection.name not in self._cin7:
            self._cin7[connection.name] = self._open_cin7(connection, priority)
        return self._cin7[connection.name]

    def _open_cin7(self, connection: Connection, priority: str) -> Cin7Client:
        settings = connection.cin7
        account = SecretStr(self.secret(connection, "cin7_account_id"))
        keys = {
            name: SecretStr(self.secret(connection, f"cin7_application_key_{name}"))
            for name in settings.applications
        }
        pacers = {
            name: DatabasePacer(
                self.engine,
                account,
                key,
                settings.calls_per_minute,
                "backfill" if priority == "backfill" else "live",
            )
            for name, key in keys.items()
        }
        return Cin7Client(settings.base_url, account, keys, pacers, settings.timeout_seconds)

    @contextmanager
    def step(self, connection: Connection, run_id: str, asset: str) -> Iterator[StepCost]:
        """Measure a step and record what it cost, whatever its end."""
        cost, started = StepCost(), time.monotonic()
        before_reads = self._reads(connection)
        before = self._counted(connection)
        self.progress(asset, 0, 0)
        try:
            yield cost
        finally:
            after = self._counted(connection)
            cost.syspro_calls += self._reads(connection) - before_reads
            cost.cin7_calls += after[0] - before[0]
            cost.waited_seconds += after[1] - before[1]
            cost.cin7_retried += after[2] - before[2]
            cost.cin7_throttled += after[3] - before[3]
            cost.seconds = time.monotonic() - started
            row = {
                "run_id": run_id,
                "connection": connection.name,
                "asset": asset,
                "rows": cost.rows,
                "syspro_calls": cost.syspro_calls,
                "cin7_calls": cost.cin7_calls,
                "cin7_writes": cost.cin7_writes,
                "waited_seconds": round(cost.waited_seconds, 3),
                "seconds": round(cost.seconds, 3),
            }
            with self.engine.begin() as database_connection:
                upsert(database_connection, cycle_steps, [row])

    def _counted(self, connection: Connection) -> tuple[int, float, int, int]:
        """Return calls, seconds waited, calls made again, and throttlings so far."""
        client = self._cin7.get(connection.name)
        if client is None:
            return 0, 0.0, 0, 0
        counter = client.counter
        return counter.calls, counter.waited_seconds, counter.retried, counter.throttled

    def _reads(self, connection: Connection) -> int:
        opened = self._syspro.get(connection.name)
        return opened.calls if opened else self._syspro_calls.get(connection.name, 0)

    def close(self) -> None:
        """Log off and close everything; safe to call twice."""
        for opened in self._syspro.values():
            opened.close()
        self._syspro.clear()
        for client in self._cin7.values():
            client.close()
        self._cin7.clear()


def runtime_resource(
    environ: Mapping[str, str] | None = None, progress: Progress | None = None
) -> dg.ResourceDefinition:
    """Return the Dagster resource that holds a `Runtime` for the length of a run."""

    @dg.resource(description="Database, vault, SYSPRO session and Cin7 client of a run.")
    def runtime(_context: dg.InitResourceContext) -> Iterator[Runtime]:
        opened = Runtime()
        if environ is not None:
            opened.environ = environ
        if progress is not None:
            opened.progress = progress
        try:
            yield opened
        finally:
            opened.close()

    return runtime
