"""The migrations make exactly the tables that the code speaks of."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mlc_pipeline import database as db
from mlc_pipeline.staging.tables import SCHEMAS, metadata


def test_the_migrated_database_equals_the_declared_tables(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "compare_type": True,
                "include_name": lambda name, kind, _: kind != "schema" or name in SCHEMAS,
                "version_table": "mlc_migrations",
            },
        )
        assert compare_metadata(context, metadata) == []


def test_migrating_twice_changes_nothing(engine: sa.Engine) -> None:
    db.migrate(engine)
    with engine.connect() as connection:
        versions = connection.scalars(sa.text("SELECT version_num FROM mlc_migrations")).all()
    assert len(versions) == 1


def test_another_database_product_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="mysql") as caught:
        db.database_url({"MLC_DATABASE_URL": "mysql://u:secret-word@h/d"})
    assert "secret-word" not in str(caught.value)


def test_where_the_embedded_server_is_refused_an_address_is_asked_for(tmp_path: Path) -> None:
    environ = {"MLC_EMBEDDED_DATABASE": "off", "MLC_HOME": str(tmp_path)}
    with pytest.raises(db.DatabaseAddressError, match="MLC_DATABASE_URL: found none"):
        db.database_url(environ)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://mlc:p@ss:w0rd@host/db",
        "postgresql://mlc:p@ss/w0rd@host/db",
        "p@ss w0rd",
    ],
)
def test_an_address_that_cannot_be_read_shows_no_part_of_its_password(address: str) -> None:
    with pytest.raises(db.DatabaseAddressError, match="percent-encode") as caught:
        db.database_url({"MLC_DATABASE_URL": address})
    shown = "".join(traceback.format_exception(caught.value))
    assert "w0rd" not in shown
