"""Both charts of accounts read live, for the commands that help with mappings.

What must not come in: comparing, proposing, writing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from mlc_pipeline.assets.runtime import Runtime
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.connection.targets import Books
from mlc_pipeline.sync.references import books_of
from mlc_pipeline.syspro.reader import Everything


@contextmanager
def runtime() -> Iterator[Runtime]:
    """Open what a command needs, and close it at its end."""
    opened = Runtime()
    try:
        yield opened
    finally:
        opened.close()


def live_chart(opened: Runtime, connection: Connection) -> list[Mapping[str, Any]]:
    """Read SYSPRO's chart of accounts: gl_code, description, account_type; logs off again.

    Raises:
        SysproError: SYSPRO cannot be reached or read.
    """
    extraction = opened.extraction(connection, f"map-{uuid4()}")
    try:
        entity = extraction.entities["gl_accounts"]
        if entity.name in extraction.absent:
            return []
        pages = extraction.reader.read(entity, Everything())
        return [row for page in pages for row in page]
    finally:
        opened.close_syspro(connection)


def live_books(opened: Runtime, connection: Connection) -> Books:
    """Read the reference books of Cin7 that mapping rows name.

    Raises:
        Cin7Error: Cin7 cannot be reached or read.
    """
    client = opened.cin7(connection)
    return books_of(
        {
            "accounts": list(client.accounts()),
            "tax_rules": list(client.tax_rules()),
            "payment_terms": list(client.payment_terms()),
            "locations": list(client.locations()),
        }
    )
