"""The stand-in's memory: documents by kind and id, written through to one SQLite file.

Reads never touch the file. Every change is in the file when the call is answered (not
synced to disk: a restart keeps everything, a power cut may not).
What must not come in: rules; what a document means beyond the keys it is found by.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlc_pipeline.sandbox.cin7.wire import Document, decode, encode


def _field(name: str) -> Callable[[Document], Iterable[str]]:
    return lambda document: (document[name],)


def _task_ids(purchase: Document) -> Iterable[str]:
    for block in ("StockReceived", "Invoice", "CreditNote"):
        for part in purchase[block]:
            yield part["TaskID"]


def _invoice_numbers(purchase: Document) -> Iterable[str]:
    return (invoice["InvoiceNumber"] or "" for invoice in purchase["Invoice"])


def _credit_note_numbers(purchase: Document) -> Iterable[str]:
    return (note["CreditNoteNumber"] or "" for note in purchase["CreditNote"])


KEYS: dict[str, dict[str, Callable[[Document], Iterable[str]]]] = {
    "account": {"Code": _field("Code")},
    "tax_rule": {"Name": _field("Name")},
    "payment_term": {"Name": _field("Name")},
    "location": {"Name": _field("Name")},
    "attribute_set": {"Name": _field("Name")},
    "product": {"SKU": _field("SKU")},
    "supplier": {"Name": _field("Name")},
    "purchase": {
        "OrderNumber": _field("OrderNumber"),
        "TaskID": _task_ids,
        "InvoiceNumber": _invoice_numbers,
        "CreditNoteNumber": _credit_note_numbers,
    },
}
"""By what else than its id a document is found, without regard to case."""


class Store:
    """Documents by kind and id, in the order they were first put."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or create the file; without a path nothing outlives the process."""
        self._database = sqlite3.connect(
            str(path or ":memory:"), isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS documents "
            "(kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (kind, id))"
        )
        self._kinds: dict[str, dict[str, Document]] = {}
        self._found: dict[tuple[str, str, str], dict[str, None]] = {}
        self._keys: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
        self.versions: dict[str, int] = {}
        self._load()

    def get(self, kind: str, id_: str) -> Document | None:
        """The document of that id, or None."""
        return self._kinds.get(kind, {}).get(id_)

    def all(self, kind: str) -> Collection[Document]:
        """Every document of a kind."""
        return self._kinds.get(kind, {}).values()

    def find(self, kind: str, key: str, value: str) -> list[Document]:
        """The documents whose key (see `KEYS`) equals the value, whatever its case."""
        ids = self._found.get((kind, key, value.casefold()), {})
        return [self._kinds[kind][id_] for id_ in ids]

    def put(self, kind: str, id_: str, document: Document) -> None:
        """Keep a new or changed document."""
        self._remember(kind, id_, document)
        self._database.execute(
            "INSERT INTO documents VALUES (?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, id_, encode(document).decode("ascii")),
        )

    def remove(self, kind: str, id_: str) -> None:
        """Forget a document; an unknown one is no error."""
        if self._kinds.get(kind, {}).pop(id_, None) is not None:
            self._forget_keys(kind, id_)
            self._changed(kind)
            self._database.execute(
                "DELETE FROM documents WHERE kind = ? AND id = ?", (kind, id_)
            )

    def clear(self) -> None:
        """Forget everything."""
        for kind in self._kinds:
            self._changed(kind)
        self._kinds.clear()
        self._found.clear()
        self._keys.clear()
        self._database.execute("DELETE FROM documents")

    @contextmanager
    def together(self) -> Iterator[None]:
        """The changes made inside reach the file as one.

        They do so even when the body raises: the file says what the memory says.
        """
        self._database.execute("BEGIN")
        try:
            yield
        finally:
            self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _load(self) -> None:
        found = self._database.execute("SELECT kind, id, body FROM documents ORDER BY rowid")
        # Read a thousand at a time as one JSON array: the parser then keeps each field name
        # once for all of them, which halves the memory of a large account.
        while rows := found.fetchmany(1000):
            documents = decode(f"[{','.join(body for _, _, body in rows)}]")
            for (kind, id_, _), document in zip(rows, documents, strict=True):
                self._remember(kind, id_, document)

    def _remember(self, kind: str, id_: str, document: Document) -> None:
        self._kinds.setdefault(kind, {})[id_] = document
        self._forget_keys(kind, id_)
        keys = [
            (kind, key, value.casefold())
            for key, values in KEYS.get(kind, {}).items()
            for value in values(document)
        ]
        for found in keys:
            self._found.setdefault(found, {})[id_] = None
        self._keys[kind, id_] = keys
        self._changed(kind)

    def _forget_keys(self, kind: str, id_: str) -> None:
        for found in self._keys.pop((kind, id_), ()):
            ids = self._found.get(found, {})
            ids.pop(id_, None)
            if not ids:
                self._found.pop(found, None)

    def _changed(self, kind: str) -> None:
        self.versions[kind] = self.versions.get(kind, 0) + 1
