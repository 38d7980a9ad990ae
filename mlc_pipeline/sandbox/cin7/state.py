"""What one running stand-in holds, and what one call to it is.

What must not come in: HTTP, rules.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from mlc_pipeline.sandbox.cin7.faults import Faults
from mlc_pipeline.sandbox.cin7.limits import Limiter
from mlc_pipeline.sandbox.cin7.settings import ACCOUNT_ID, APPLICATION_KEYS, Settings
from mlc_pipeline.sandbox.cin7.store import Store
from mlc_pipeline.sandbox.cin7.wire import Document, day_of

Result = TypeVar("Result")

ListRow = tuple[Document, str]
"""A row of `/purchaseList` and the lower-case text that `Search` looks in."""


class Sandbox:
    """One Cin7 account with everything around it.

    Attributes:
        store: its documents.
        settings: choices that may change while it runs; `first_settings` as it started.
        account_id: the id a caller must send.
        application_keys: the keys a caller may send; each has its own rate limit.
        limiter: counts calls per key.
        faults: faults on order.
        traffic: recorded requests, oldest first.
        first_seed: what the account was filled with, for a reset.
        list_rows: rows of `/purchaseList` by purchase id, made when first needed.
    """

    def __init__(self, state: Path | None = None, settings: Settings | None = None) -> None:
        self.store = Store(state)
        self.first_settings = settings or Settings()
        self.settings = self.first_settings
        self.account_id = ACCOUNT_ID
        self.application_keys: tuple[str, ...] = APPLICATION_KEYS
        self.limiter = Limiter()
        self.faults = Faults()
        self.traffic: list[Document] = []
        self.first_seed: Document = {}
        self.list_rows: dict[str, ListRow] = {}
        self._derived: dict[tuple[str, Callable[..., Any]], tuple[int, Any]] = {}

    @property
    def me(self) -> Document:
        """The account's own settings, as `/me` answers them."""
        me = self.store.get("me", "me")
        if me is None:
            raise LookupError("the stand-in has no account yet: start it with a seed")
        return me

    @property
    def lock_date(self) -> date | None:
        """The day before which nothing may be dated, if the period is locked."""
        given = self.me["LockDate"]
        return day_of(given) if given else None

    def derived(self, kind: str, make: Callable[[Collection[Document]], Result]) -> Result:
        """What `make` makes of every document of a kind; made again when one changes."""
        version = self.store.versions.get(kind, 0)
        made = self._derived.get((kind, make))
        if made is None or made[0] != version:
            made = (version, make(self.store.all(kind)))
            self._derived[kind, make] = made
        result: Result = made[1]
        return result

    def clear(self) -> None:
        """Forget every document, call, fault, recorded request and changed setting."""
        self.settings = self.first_settings
        self.store.clear()
        self.limiter.clear()
        self.faults.waiting.clear()
        self.traffic.clear()
        self.list_rows.clear()


@dataclass
class Call:
    """One request below the base path, after its checks.

    Attributes:
        query: declared query parameters that were given, by their documented names.
        body: the checked body of a POST or PUT.
    """

    query: dict[str, str] = field(default_factory=dict)
    body: Document = field(default_factory=dict)

    def flag(self, name: str) -> bool | None:
        """A boolean parameter; None when it was not given."""
        given = self.query.get(name)
        return None if given is None else given.strip().lower() in ("true", "1")
