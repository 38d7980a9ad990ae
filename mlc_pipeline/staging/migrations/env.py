"""Alembic environment: runs on the connection that `database.migrate` hands over."""

from __future__ import annotations

from alembic import context

from mlc_pipeline.staging.tables import SCHEMAS, metadata


def _is_ours(name: str | None, kind: str, _parent: object) -> bool:
    return kind != "schema" or name in SCHEMAS


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_schemas=True,
    include_name=_is_ours,
    # Dagster keeps its own alembic_version in the default schema of the same database.
    version_table="mlc_migrations",
)
context.run_migrations()
