"""What every test may use: a real PostgreSQL, migrated, one database a test process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings

from mlc_pipeline import database as db
from mlc_pipeline.staging.tables import metadata

# How long an example takes says something about the machine, not about the code.
settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")


@pytest.fixture(scope="session")
def database_address() -> str:
    """URL of an empty database of this test process, on one embedded server for all."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    # Not below pytest's own folder: as root the server runs as another user, who may not
    # enter it.
    base = db.database_url({"MLC_HOME": str(Path(tempfile.gettempdir()) / f"mlc-tests-{run}")})
    name = f"tests_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    admin = sa.create_engine(base, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        # A test's server need not survive a power cut; waiting for the disk is most of a
        # write's time. Processes that are killed lose nothing by it.
        connection.execute(sa.text("ALTER SYSTEM SET fsync TO off"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return sa.make_url(base).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def engine(database_address: str) -> Iterator[sa.Engine]:
    """Engine on the migrated database; tables keep what tests of this process wrote."""
    engine = db.connect(database_address)
    db.migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def database(engine: sa.Engine) -> sa.Engine:
    """The same engine with every table emptied first."""
    names = ", ".join(f'"{t.schema}"."{t.name}"' for t in metadata.sorted_tables)
    with engine.begin() as connection:
        # The audit trail refuses to be emptied; a superuser may go past its trigger.
        connection.execute(sa.text("SET LOCAL session_replication_role TO replica"))
        connection.execute(sa.text(f"TRUNCATE {names}"))
    return engine


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the published data packs."""
    given = os.environ.get("MLC_REAL_DATA")
    folder = Path(given) if given else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data packs at {folder}; set MLC_REAL_DATA to their folder")
    return folder
