"""A first contact with both systems: what fits the connection and what does not.

Logs on, reads one row of each entity, reads Cin7's account and reference books, checks
mappings and defaults. Writes nothing to either system.

What must not come in: printing, arguments.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from mlc_pipeline.assets.checks import default_problems
from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.cin7.client import Cin7Client
from mlc_pipeline.cin7.errors import Cin7Error
from mlc_pipeline.connection.mappings import read_mappings
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.connection.targets import (
    Books,
    check_against_cin7,
    check_against_connection,
)
from mlc_pipeline.staging.extract import Extraction
from mlc_pipeline.sync.mapped import NO_MAPPINGS, mapped_context
from mlc_pipeline.sync.plan import PlanContext, References
from mlc_pipeline.sync.references import books_of, references_of
from mlc_pipeline.syspro.errors import SysproError
from mlc_pipeline.syspro.reader import Everything
from mlc_pipeline.vault import VaultError


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: where, what was found, whether it fits."""

    area: str
    subject: str
    found: str
    fits: bool = True


def ping(
    connection: Connection, folder: Path, environ: Mapping[str, str] = os.environ
) -> Iterator[Finding]:
    """Yield findings as they are made; a system that cannot be reached ends its part."""
    runtime = Runtime(environ=environ)
    try:
        yield from _syspro(runtime, connection)
        yield from _cin7(runtime, connection, folder)
    finally:
        runtime.close()


def _syspro(runtime: Runtime, connection: Connection) -> Iterator[Finding]:
    try:
        extraction = runtime.extraction(connection, f"ping-{uuid4()}")
        yield Finding("SYSPRO", "logon", f"operator {connection.syspro.operator}")
        yield from _entities(extraction)
    except (SysproError, VaultError) as error:
        yield Finding("SYSPRO", type(error).__name__, str(error), fits=False)
    finally:
        runtime.close_syspro(connection)


def _entities(extraction: Extraction) -> Iterator[Finding]:
    for name, entity in extraction.entities.items():
        if name in extraction.absent:
            yield Finding("SYSPRO", name, f"no {entity.entity_set}; the product works without")
            continue
        # A page of one row is enough to see that it can be read and understood.
        rows = next(iter(extraction.reader.read(replace(entity), Everything())), [])
        key = ", ".join(f"{k} {rows[0][k]}" for k in entity.key) if rows else "no rows"
        yield Finding("SYSPRO", name, f"{entity.entity_set}: {key}")
    for bad in extraction.reader.rejected[:5]:
        yield Finding("SYSPRO", bad.entity, bad.message, fits=False)


def _cin7(runtime: Runtime, connection: Connection, folder: Path) -> Iterator[Finding]:
    try:
        client = runtime.cin7(connection)
        me = client.me()
        yield Finding("Cin7", "account", f"{me.get('Company')}, {me.get('Currency')}")
        answers = _answers(client, me)
    except (Cin7Error, VaultError) as error:
        yield Finding("Cin7", type(error).__name__, str(error), fits=False)
        return
    references = references_of(answers)
    yield Finding("Cin7", "accounts", f"{len(references.accounts)} accounts")
    books = books_of({book: rows for book, rows in answers.items() if book in _NAMED})
    yield from _fit(connection, folder, references, books)


_NAMED = ("accounts", "tax_rules", "payment_terms", "locations")


def _answers(
    client: Cin7Client, me: Mapping[str, object]
) -> dict[str, list[Mapping[str, object]]]:
    return {
        "settings": [me],
        "accounts": list(client.accounts()),
        "tax_rules": list(client.tax_rules()),
        "payment_terms": list(client.payment_terms()),
        "locations": list(client.locations()),
        "products": [],
    }


def _fit(
    connection: Connection, folder: Path, references: References, books: Books
) -> Iterator[Finding]:
    read = read_mappings(folder)
    problems = [
        *read.problems,
        *check_against_connection(read, connection),
        *check_against_cin7(read, books, connection),
    ]
    for problem in problems:
        yield Finding("mapping", problem.column or "file", str(problem), fits=False)
    for name, table in read.tables.items():
        yield Finding("mapping", name, f"{len(table)} good rows")
    context = mapped_context(PlanContext(connection, references, NO_MAPPINGS, {}), read)
    for text in default_problems(context):
        yield Finding("defaults", "connection.yaml", text, fits=False)
