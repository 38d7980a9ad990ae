from __future__ import annotations

import base64
import copy
import json
import logging
import os
import pickle
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlc_pipeline.staging.tables import secrets
from mlc_pipeline.syspro.errors import OperatorBusy
from mlc_pipeline.syspro.session import StoredSession
from mlc_pipeline.vault import (
    SESSION_NAME,
    KeyRing,
    KeyUnusable,
    MissingSecret,
    SealedSessionStore,
    Secret,
    SecretUnreadable,
    Vault,
    environment_variable,
    find_secret,
)

A_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
SERVER = "http://127.0.0.1:8471/SYSPROWCFService/Rest"

# The database is emptied once a test, not once an example: the examples write over each other.
with_database = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def fresh_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def ring(*keys: str) -> KeyRing:
    return KeyRing.parse(",".join(keys), "the test")


@pytest.fixture
def vault(database: sa.Engine) -> Vault:
    return Vault(database, ring(fresh_key()))


@pytest.fixture
def store(vault: Vault) -> SealedSessionStore:
    return SealedSessionStore(vault, vault.engine, "acme", SERVER, "MLCSYNC")


def stored_row(vault: Vault, connection: str, name: str) -> sa.Row:
    query = sa.select(secrets).where(secrets.c.connection == connection, secrets.c.name == name)
    with vault.engine.connect() as database:
        return database.execute(query).one()


def overwrite(vault: Vault, connection: str, name: str, **columns: object) -> None:
    """Change a row behind the vault's back."""
    where = (secrets.c.connection == connection, secrets.c.name == name)
    with vault.engine.begin() as database:
        database.execute(sa.update(secrets).where(*where).values(**columns))


# --- the secret itself


@given(st.text(min_size=4))
def test_a_secret_shows_only_to_who_asks(text):
    secret = Secret(f"<{text}>")
    shown = f"{secret!r} {secret} {secret:>20} {[secret]} {(secret,)}"
    assert secret.reveal() == f"<{text}>"
    assert secret.reveal() not in shown


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_a_secret_is_neither_pickled_nor_copied_nor_serialised(take):
    with pytest.raises(TypeError) as caught:
        take(Secret("hunter2"))
    assert "hunter2" not in str(caught.value)


# --- keys


def test_the_first_of_several_keys_seals_and_every_one_is_found(tmp_path: Path):
    first, second = fresh_key(), fresh_key()
    given_keys = f" {first} ,{second.rstrip('=')}"
    keys = KeyRing.from_environment({"MLC_SECRET_KEY": given_keys}, tmp_path)
    assert keys.first == ring(first).first
    assert keys.find(ring(second).first.id) == ring(second).first
    assert keys.find("0" * 16) is None
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_not_shown_by_its_ring():
    key = fresh_key()
    shown = repr(ring(key))
    assert key not in shown
    assert repr(base64.urlsafe_b64decode(key)) not in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not base64 at all!", "key 1 of 1 is not urlsafe base64"),
        ("short", "key 1 of 1 is not urlsafe base64"),
        (base64.urlsafe_b64encode(b"x" * 31).decode(), "key 1 of 1 is 31 bytes, expected 32"),
        (f"{A_KEY},", "key 2 of 2 is 0 bytes, expected 32"),
        (f"{A_KEY},hunter2", "key 2 of 2 is 5 bytes, expected 32"),
        ("clé", "key 1 of 1 is not urlsafe base64"),
    ],
)
def test_a_malformed_key_is_told_without_being_shown(text, said, tmp_path: Path):
    with pytest.raises(KeyUnusable) as caught:
        KeyRing.from_environment({"MLC_SECRET_KEY": text}, tmp_path)
    assert f"MLC_SECRET_KEY: {said}" in str(caught.value)
    assert "make one with: openssl rand" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path):
    first = KeyRing.from_environment({}, tmp_path)
    path = tmp_path / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyRing.from_environment({"MLC_SECRET_KEY": ""}, tmp_path) == first
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]


def test_processes_that_start_at_once_agree_on_one_key_file(tmp_path: Path):
    rings: list[KeyRing] = []
    start = threading.Barrier(8)

    def read() -> None:
        start.wait()
        rings.append(KeyRing.from_environment({}, tmp_path))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rings) == 8
    assert len({ring.first.id for ring in rings}) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_can_read_is_refused(mode, tmp_path: Path):
    KeyRing.from_environment({}, tmp_path)
    path = tmp_path / "secret.key"
    path.chmod(mode)
    with pytest.raises(KeyUnusable, match=f"chmod 600 {path}"):
        KeyRing.from_environment({}, tmp_path)


def test_a_malformed_key_file_is_named(tmp_path: Path):
    path = tmp_path / "secret.key"
    path.write_bytes(b"\xff\xfe hunter2")
    path.chmod(0o600)
    with pytest.raises(KeyUnusable) as caught:
        KeyRing.from_environment({}, tmp_path)
    assert str(caught.value).startswith(f"{path}: key 1 of 1 is not urlsafe base64")
    assert "hunter2" not in str(caught.value)


# --- the vault


@with_database
@given(value=st.text())
def test_any_text_comes_back_as_it_was_put(vault: Vault, value: str):
    vault.put("acme", "syspro_operator_password", value)
    found = vault.get("acme", "syspro_operator_password")
    assert found is not None
    assert found.reveal() == value


def test_what_is_stored_tells_nothing_and_differs_each_time(vault: Vault):
    vault.put("acme", "cin7_account_id", "hunter2")
    first = stored_row(vault, "acme", "cin7_account_id")
    vault.put("acme", "cin7_account_id", "hunter2")
    second = stored_row(vault, "acme", "cin7_account_id")
    assert b"hunter2" not in first.ciphertext
    assert len(first.nonce) == 12
    assert first.nonce != second.nonce
    assert first.ciphertext != second.ciphertext
    assert second.updated_at > first.updated_at


@with_database
@given(data=st.data())
def test_a_change_of_any_byte_is_detected(vault: Vault, data: st.DataObject):
    vault.put("acme", "cin7_account_id", "hunter2")
    row = stored_row(vault, "acme", "cin7_account_id")
    column = data.draw(st.sampled_from(["nonce", "ciphertext"]))
    content = bytearray(getattr(row, column))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    overwrite(vault, "acme", "cin7_account_id", **{column: bytes(content)})
    with pytest.raises(SecretUnreadable) as caught:
        vault.get("acme", "cin7_account_id")
    assert "connection acme: secret cin7_account_id does not open" in str(caught.value)
    assert "mlc secret set acme cin7_account_id" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("column", ["nonce", "ciphertext"])
@pytest.mark.parametrize("content", [b"", b"x"])
def test_a_shortened_row_is_detected(vault: Vault, column: str, content: bytes):
    vault.put("acme", "cin7_account_id", "hunter2")
    overwrite(vault, "acme", "cin7_account_id", **{column: content})
    with pytest.raises(SecretUnreadable):
        vault.get("acme", "cin7_account_id")


@pytest.mark.parametrize(
    "other", [("acme", "cin7_account_id"), ("beta", "syspro_operator_password")]
)
def test_a_row_moved_to_another_name_or_connection_does_not_open(vault: Vault, other):
    vault.put("acme", "syspro_operator_password", "hunter2")
    vault.put(*other, "something else")
    row = stored_row(vault, "acme", "syspro_operator_password")
    overwrite(vault, *other, nonce=row.nonce, ciphertext=row.ciphertext)
    with pytest.raises(SecretUnreadable):
        vault.get(*other)


def test_without_the_key_that_sealed_it_is_told_which_one_is_wanted(vault: Vault):
    vault.put("acme", "cin7_account_id", "hunter2")
    stranger = Vault(vault.engine, ring(fresh_key()))
    with pytest.raises(SecretUnreadable) as caught:
        stranger.get("acme", "cin7_account_id")
    assert f"sealed with key {vault.keys.first.id}" in str(caught.value)
    assert f"given is {stranger.keys.first.id}; add that key" in str(caught.value)


def test_names_are_listed_without_their_content(vault: Vault):
    for connection, name in (("acme", "b"), ("acme", "a"), ("beta", "c")):
        vault.put(connection, name, "hunter2")
    names = vault.names("acme")
    assert [sealed.name for sealed in names] == ["a", "b"]
    assert {sealed.key_id for sealed in names} == {vault.keys.first.id}
    assert all(sealed.updated_at.tzinfo is not None for sealed in names)
    assert "hunter2" not in str(names)


def test_a_deleted_secret_is_gone_and_others_stay(vault: Vault):
    vault.put("acme", "a", "1")
    vault.put("beta", "a", "2")
    assert vault.delete("acme", "a")
    assert not vault.delete("acme", "a")
    assert vault.get("acme", "a") is None
    assert vault.get("beta", "a") is not None


def test_rotation_seals_all_anew_and_the_old_key_may_go(database: sa.Engine):
    old, new = fresh_key(), fresh_key()
    before = Vault(database, ring(old))
    for name in ("a", "b", "c"):
        before.put("acme", name, f"value of {name}")
    dated = {sealed.name: sealed.updated_at for sealed in before.names("acme")}
    during = Vault(database, ring(new, old))
    during.put("acme", "c", "newer value of c")
    assert during.rotate() == 2
    assert during.rotate() == 0
    after = Vault(database, ring(new))
    values = {name: after.get("acme", name) for name in "abc"}
    assert {name: secret and secret.reveal() for name, secret in values.items()} == {
        "a": "value of a",
        "b": "value of b",
        "c": "newer value of c",
    }
    assert {s.name: s.updated_at for s in after.names("acme")}["a"] == dated["a"]


def test_rotation_changes_nothing_when_one_secret_does_not_open(database: sa.Engine):
    old, new = fresh_key(), fresh_key()
    Vault(database, ring(old)).put("acme", "a", "1")
    Vault(database, ring(fresh_key())).put("acme", "lost", "2")
    during = Vault(database, ring(new, old))
    with pytest.raises(SecretUnreadable, match="secret lost"):
        during.rotate()
    assert stored_row(during, "acme", "a").key_id == ring(old).first.id


# --- finding a secret


def test_the_environment_comes_before_the_vault(vault: Vault):
    vault.put("acme", "cin7_account_id", "sealed")
    environ = {"MLC_SECRET_ACME_CIN7_ACCOUNT_ID": "given"}
    assert find_secret(vault, environ, "acme", "cin7_account_id").reveal() == "given"
    assert find_secret(vault, {}, "acme", "cin7_account_id").reveal() == "sealed"


def test_an_empty_variable_is_not_set_but_a_blank_password_may_be_sealed(vault: Vault):
    vault.put("acme", "syspro_company_password", "")
    environ = {"MLC_SECRET_ACME_SYSPRO_COMPANY_PASSWORD": ""}
    assert find_secret(vault, environ, "acme", "syspro_company_password").reveal() == ""


def test_a_missing_secret_says_both_ways_to_set_it(vault: Vault):
    with pytest.raises(MissingSecret) as caught:
        find_secret(vault, {}, "acme_uk", "cin7_application_key_main")
    said = str(caught.value)
    assert "mlc secret set acme_uk cin7_application_key_main" in said
    assert "MLC_SECRET_ACME_UK_CIN7_APPLICATION_KEY_MAIN" in said


def test_a_variable_has_upper_case_letters_digits_and_underscores_only():
    assert environment_variable("acme", "a-b.c1") == "MLC_SECRET_ACME_A_B_C1"


# --- the SYSPRO session


def a_session(token: str = "3EA613166FE4BF47925DF1CEA14E910100") -> StoredSession:
    opened = datetime(2016, 4, 4, 6, 30, 0, 123456, tzinfo=UTC)
    return StoredSession(token=token, cycle_id="cycle-1", opened_at=opened)


def test_a_session_is_shared_sealed_and_cleared(store: SealedSessionStore):
    assert store.load() is None
    store.save(a_session("hunter2"))
    assert store.load() == a_session("hunter2")
    assert b"hunter2" not in stored_row(store.vault, "acme", SESSION_NAME).ciphertext
    store.save(a_session())
    assert store.load() == a_session()
    store.clear()
    store.clear()
    assert store.load() is None


def test_a_session_that_does_not_open_counts_as_none_and_is_logged(
    store: SealedSessionStore, caplog: pytest.LogCaptureFixture
):
    store.save(a_session("hunter2"))
    overwrite(store.vault, "acme", SESSION_NAME, ciphertext=b"x" * 40)
    with caplog.at_level(logging.WARNING):
        assert store.load() is None
    assert "secret syspro_session does not open" in caplog.text
    assert "hunter2" not in caplog.text


def other_store(store: SealedSessionStore, server: str, operator: str) -> SealedSessionStore:
    return SealedSessionStore(store.vault, store.engine, "beta", server, operator)


@pytest.mark.parametrize(
    ("server", "operator"), [(SERVER, "MLCSYNC"), (SERVER.lower() + "/", "mlcsync")]
)
def test_an_operator_is_held_by_one_at_a_time(store: SealedSessionStore, server, operator):
    rival = other_store(store, server, operator)
    with store.lock(0):
        with pytest.raises(OperatorBusy) as caught, rival.lock(0.05):
            pass
        said = str(caught.value)
        assert f"connection beta: SYSPRO operator {operator} at {server} is held" in said
        assert "waited 0.05 s" in said
        assert "raise syspro.session_wait_seconds" in said
    with rival.lock(0):
        pass


@pytest.mark.parametrize(
    ("server", "operator"), [(SERVER, "OTHER"), (SERVER.replace("8471", "8571"), "MLCSYNC")]
)
def test_another_operator_or_server_is_free(store: SealedSessionStore, server, operator):
    with store.lock(0), other_store(store, server, operator).lock(0):
        pass


def test_who_waits_gets_the_operator_as_soon_as_it_is_free(store: SealedSessionStore):
    held, release, got = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        with store.lock(0):
            held.set()
            release.wait(10)

    def wait() -> None:
        with other_store(store, SERVER, "MLCSYNC").lock(10):
            got.set()

    threads = [threading.Thread(target=hold), threading.Thread(target=wait)]
    threads[0].start()
    assert held.wait(10)
    threads[1].start()
    assert not got.wait(0.1)
    release.set()
    assert got.wait(5)
    for thread in threads:
        thread.join()


def test_the_operator_is_free_again_when_the_cycle_fails(store: SealedSessionStore):
    with pytest.raises(RuntimeError, match="the cycle failed"), store.lock(0):
        raise RuntimeError("the cycle failed")
    with store.lock(0):
        pass


def test_a_lock_lost_with_its_connection_is_logged_and_the_cycle_goes_on(
    store: SealedSessionStore, caplog: pytest.LogCaptureFixture
):
    end_holder = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_locks "
        "WHERE locktype = 'advisory' AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with caplog.at_level(logging.WARNING), store.lock(0):
        with store.engine.connect() as database:
            assert database.execute(end_holder).all() == [(True,)]
        with other_store(store, SERVER, "MLCSYNC").lock(5):
            pass
    assert "the lock on SYSPRO operator MLCSYNC was lost" in caplog.text


def test_a_held_operator_takes_no_place_in_the_pool(store: SealedSessionStore):
    before = store.engine.pool.checkedout()
    with store.lock(0):
        assert store.engine.pool.checkedout() == before


HOLDER = """
import sys, time
from mlc_pipeline import database
from mlc_pipeline.vault import KeyRing, SealedSessionStore, Vault
engine = database.connect(sys.argv[1])
vault = Vault(engine, KeyRing(()))
with SealedSessionStore(vault, engine, "acme", sys.argv[2], "MLCSYNC").lock(0):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_dead_process_does_not_hold_the_operator(
    store: SealedSessionStore, database_address: str
):
    arguments = [sys.executable, "-c", HOLDER, database_address, SERVER]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OperatorBusy), store.lock(0):
            pass
        holder.kill()
    with store.lock(5):
        pass
