"""Sealed secrets: credentials and session tokens, unreadable without the key.

Each value is sealed with AES-256-GCM under a fresh nonce; connection and name are
authenticated with it, so a row that is changed or moved to another name does not open. The
key comes from `MLC_SECRET_KEY` or from a file that only its owner can read.

What must not come in: prompts, HTTP, a secret in a message, log or repr.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, NoReturn, Self

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.dialects import postgresql

from mlc_pipeline.staging.tables import secrets
from mlc_pipeline.syspro.errors import OperatorBusy
from mlc_pipeline.syspro.session import StoredSession

SESSION_NAME = "syspro_session"
"""Name under which a connection's open SYSPRO session is sealed."""

_KEY_BYTES = 32
_NONCE_BYTES = 12  # what AES-GCM is made for; random ones are safe for 2**32 values a key
_POLL_SECONDS = 0.2
# A machine that dies says no goodbye; the server would otherwise hold its lock for hours.
_KEEPALIVE = sa.text(
    "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; "
    "SET tcp_keepalives_count = 3"
)
_HIDDEN = "••••••"
_NEW_KEY = "make one with: openssl rand -base64 32 | tr '+/' '-_'"

_log = logging.getLogger(__name__)


class VaultError(Exception):
    """Something about secrets that a person must put right."""


class KeyUnusable(VaultError):  # noqa: N818 - named as the person meets it
    """The sealing key is malformed, or others can read its file."""


class SecretUnreadable(VaultError):  # noqa: N818
    """A sealed secret does not open: its key is not given, or its row was changed."""


class MissingSecret(VaultError):  # noqa: N818
    """A secret is neither in the environment nor in the vault."""


class Secret:
    """A text that shows only to who asks for it with `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN})"

    def __str__(self) -> str:
        return _HIDDEN

    def __format__(self, spec: str) -> str:
        return _HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled or copied; open it where it is used")


@dataclass(frozen=True)
class SealingKey:
    """One AES-256 key and the id that rows name it by, which tells nothing about it."""

    id: str
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, key: bytes) -> Self:
        """Return the key with its id."""
        return cls(hashlib.sha256(b"mlc_pipeline key id\0" + key).hexdigest()[:16], key)


@dataclass(frozen=True)
class KeyRing:
    """The keys of an installation: the first seals, every one opens."""

    keys: tuple[SealingKey, ...]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], home: Path) -> Self:
        """Return the keys of `MLC_SECRET_KEY`, else of `<home>/secret.key`, made if absent.

        Raises:
            KeyUnusable: a key is malformed, or the file can be read by others.
        """
        given = environ.get("MLC_SECRET_KEY")
        if given:
            return cls.parse(given, "MLC_SECRET_KEY")
        path = home / "secret.key"
        if not path.exists():
            _create_key_file(path)
        if path.stat().st_mode & 0o077:
            raise KeyUnusable(
                f"{path}: others than its owner can read this key; run: chmod 600 {path}"
            )
        return cls.parse(path.read_text(encoding="ascii", errors="replace"), str(path))

    @classmethod
    def parse(cls, text: str, origin: str) -> Self:
        """Return the keys of a text, several separated by commas; `origin` is for messages.

        Raises:
            KeyUnusable: a key is not 32 bytes in urlsafe base64.
        """
        parts = text.split(",")
        return cls(
            tuple(
                SealingKey.of(_decoded(part.strip(), f"{origin}: key {place} of {len(parts)}"))
                for place, part in enumerate(parts, 1)
            )
        )

    @property
    def first(self) -> SealingKey:
        """The key that seals."""
        return self.keys[0]

    def find(self, key_id: str) -> SealingKey | None:
        """Return the key of that id, None when it is not given."""
        return next((key for key in self.keys if key.id == key_id), None)


def _decoded(text: str, origin: str) -> bytes:
    padded = text + "=" * (-len(text) % 4)
    try:
        key = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        # Without its cause and without the text: it may be nearly the key.
        raise KeyUnusable(f"{origin} is not urlsafe base64; {_NEW_KEY}") from None
    if len(key) != _KEY_BYTES:
        raise KeyUnusable(
            f"{origin} is {len(key)} bytes, expected {_KEY_BYTES} in urlsafe base64; {_NEW_KEY}"
        )
    return key


def _create_key_file(path: Path) -> None:
    """Write a fresh key, whole or not at all: two processes may start at once."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # mode 0600
    temporary = Path(name)
    with os.fdopen(handle, "wb") as file:
        file.write(base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(temporary)
        _log.info("a new sealing key was made at %s; keep a copy in a safe place", path)
    except FileExistsError:
        _log.debug("another process made the sealing key first")
    finally:
        temporary.unlink()


class SealedName(NamedTuple):
    """What may be shown of a sealed secret; `updated_at` is aware, rotation keeps it."""

    name: str
    updated_at: datetime
    key_id: str


@dataclass(frozen=True)
class _Sealed:
    key_id: str
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True)
class Vault:
    """The sealed secrets of every connection, in the database."""

    engine: sa.Engine
    keys: KeyRing

    def put(self, connection: str, name: str, value: str) -> None:
        """Seal a value, replacing what was there; a blank one is a value too."""
        sealed = vars(self._seal(connection, name, value))
        insert = postgresql.insert(secrets).values(connection=connection, name=name, **sealed)
        with self.engine.begin() as database:
            database.execute(
                insert.on_conflict_do_update(
                    index_elements=["connection", "name"],
                    set_={**sealed, "updated_at": sa.func.now()},
                )
            )

    def get(self, connection: str, name: str) -> Secret | None:
        """Open a secret; None when there is none.

        Raises:
            SecretUnreadable: its key is not given, or its row was changed.
        """
        query = sa.select(secrets).where(_is(connection, name))
        with self.engine.connect() as database:
            row = database.execute(query).one_or_none()
        return None if row is None else Secret(self._open(row))

    def delete(self, connection: str, name: str) -> bool:
        """Remove a secret; False when there was none."""
        with self.engine.begin() as database:
            return (
                database.execute(sa.delete(secrets).where(_is(connection, name))).rowcount > 0
            )

    def names(self, connection: str) -> list[SealedName]:
        """Return what a connection has sealed, by name."""
        columns = secrets.c.name, secrets.c.updated_at, secrets.c.key_id
        query = sa.select(*columns).where(secrets.c.connection == connection)
        with self.engine.connect() as database:
            return [
                SealedName(*row) for row in database.execute(query.order_by(secrets.c.name))
            ]

    def rotate(self) -> int:
        """Seal anew what another than the first key sealed; return how many there were.

        All or none: once it returns, the other keys are no longer needed.

        Raises:
            SecretUnreadable: one does not open; nothing is changed then.
        """
        query = sa.select(secrets).where(secrets.c.key_id != self.keys.first.id)
        with self.engine.begin() as database:
            rows = database.execute(query.with_for_update()).all()
            for row in rows:
                sealed = self._seal(row.connection, row.name, self._open(row))
                database.execute(
                    sa.update(secrets)
                    .where(_is(row.connection, row.name))
                    .values(**vars(sealed))
                )
        return len(rows)

    def _seal(self, connection: str, name: str, value: str) -> _Sealed:
        key, nonce = self.keys.first, os.urandom(_NONCE_BYTES)
        plain = value.encode("utf-8", "surrogatepass")
        ciphertext = AESGCM(key.key).encrypt(nonce, plain, _associated(connection, name))
        return _Sealed(key.id, nonce, ciphertext)

    def _open(self, row: sa.Row[tuple[object, ...]]) -> str:
        said = f"connection {row.connection}: secret {row.name}"
        again = f"set it again with: mlc secret set {row.connection} {row.name}"
        key = self.keys.find(row.key_id)
        if key is None:
            given = ", ".join(key.id for key in self.keys.keys)
            raise SecretUnreadable(
                f"{said} was sealed with key {row.key_id}, given is {given}; add that key to "
                f"MLC_SECRET_KEY, or {again}"
            )
        try:
            plain = AESGCM(key.key).decrypt(
                row.nonce, row.ciphertext, _associated(row.connection, row.name)
            )
        except (InvalidTag, ValueError):
            raise SecretUnreadable(
                f"{said} does not open with its key {row.key_id}: the row was changed in the "
                f"database; {again}"
            ) from None
        return plain.decode("utf-8", "surrogatepass")


def _is(connection: str, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(secrets.c.connection == connection, secrets.c.name == name)


def _associated(connection: str, name: str) -> bytes:
    """Return what is authenticated with a value; PostgreSQL keeps NUL out of both texts."""
    return f"{connection}\0{name}".encode()


def environment_variable(connection: str, name: str) -> str:
    """Return the environment variable of a secret: `MLC_SECRET_ACME_CIN7_ACCOUNT_ID`."""
    return "MLC_SECRET_" + re.sub(r"[^A-Z0-9]", "_", f"{connection}_{name}".upper())


def find_secret(vault: Vault, environ: Mapping[str, str], connection: str, name: str) -> Secret:
    """Return a secret from the environment, else from the vault.

    An empty variable counts as not set; a password that is really blank goes into the vault.

    Raises:
        MissingSecret: it is in neither.
        SecretUnreadable: it is in the vault and does not open.
    """
    variable = environment_variable(connection, name)
    given = environ.get(variable)
    secret = Secret(given) if given else vault.get(connection, name)
    if secret is None:
        raise MissingSecret(
            f"connection {connection}: secret {name} is not set; run: mlc secret set "
            f"{connection} {name}, or set the environment variable {variable}"
        )
    return secret


@dataclass(frozen=True)
class SealedSessionStore:
    """A connection's open SYSPRO session, sealed, and the lock on its operator.

    The processes of a cycle share the session through it. `server` is the address of the
    e.net service; server and operator together name what can be logged on once.
    """

    vault: Vault
    engine: sa.Engine
    connection: str
    server: str
    operator: str

    def load(self) -> StoredSession | None:
        """Return the session that was saved last, None when there is none that opens."""
        try:
            sealed = self.vault.get(self.connection, SESSION_NAME)
        except SecretUnreadable as error:
            # Only a cache: a new logon puts things right, a person need not.
            _log.warning("the stored SYSPRO session is not used: %s", error)
            return None
        if sealed is None:
            return None
        stored = json.loads(sealed.reveal())
        opened_at = datetime.fromisoformat(stored["opened_at"])
        return StoredSession(stored["token"], stored["cycle_id"], opened_at)

    def save(self, session: StoredSession) -> None:
        """Seal a session, replacing the one before."""
        content = {
            "token": session.token,
            "cycle_id": session.cycle_id,
            "opened_at": session.opened_at.isoformat(),
        }
        self.vault.put(self.connection, SESSION_NAME, json.dumps(content))

    def clear(self) -> None:
        """Forget the session."""
        self.vault.delete(self.connection, SESSION_NAME)

    @contextmanager
    def lock(self, wait_seconds: float) -> Iterator[None]:
        """Hold the operator; PostgreSQL lets go when this process or its connection dies.

        Raises:
            OperatorBusy: another process held it for all of `wait_seconds`.
        """
        with self.engine.connect() as database:
            database = database.execution_options(isolation_level="AUTOCOMMIT")
            # Out of the pool: closing it then ends it, and the lock with it.
            database.detach()
            database.execute(_KEEPALIVE)
            self._acquire(database, wait_seconds)
            try:
                yield
            finally:
                self._release(database)

    def _acquire(self, database: sa.Connection, wait_seconds: float) -> None:
        attempt = sa.select(sa.func.pg_try_advisory_lock(self._lock_key()))
        deadline = time.monotonic() + wait_seconds
        while not database.scalar(attempt):
            left = deadline - time.monotonic()
            if left <= 0:
                raise OperatorBusy(
                    f"connection {self.connection}: SYSPRO operator {self.operator} at "
                    f"{self.server} is held by another run, waited {wait_seconds:g} s; if that "
                    "happens often, give each connection an operator of its own or raise "
                    "syspro.session_wait_seconds"
                )
            time.sleep(min(_POLL_SECONDS, left))

    def _release(self, database: sa.Connection) -> None:
        try:
            database.execute(sa.select(sa.func.pg_advisory_unlock(self._lock_key())))
        except sa.exc.DBAPIError:
            _log.warning(
                "connection %s: the lock on SYSPRO operator %s was lost before it was given "
                "back; another run may have logged on meanwhile",
                self.connection,
                self.operator,
            )

    def _lock_key(self) -> int:
        """Return a stable signed 64-bit number; SYSPRO and hosts do not mind upper case."""
        holder = f"{self.server.rstrip('/')}\0{self.operator}".casefold()
        return int.from_bytes(hashlib.sha256(holder.encode()).digest()[:8], "big", signed=True)
