"""Connection folders read from disk: every mistake with its file, line and key.

All mistakes of a file are reported at once, and a broken folder never takes the others
down. What is wrong is told from what pydantic found and where the YAML has it.

What must not come in: what a connection may say (that is the model), the vault, Dagster.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mlc_pipeline.connection.errors import (
    ConnectionFileError,
    ConnectionsFolderError,
    Place,
    suggestion,
)
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.connection.source import Source, parse

CONNECTION_FILE = "connection.yaml"

_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|pwd|secret|token|api_?key|application_?key|account_?id|credential",
    re.IGNORECASE,
)
_SECRET_NAMES = {
    "syspro": "syspro_operator_password, syspro_company_password, syspro_odata_user, "
    "syspro_odata_password",
    "cin7": "cin7_account_id, cin7_application_key_<application>",
}
_READ_AS = {bool: "true or false", int: "a number", float: "a number"}


@dataclass(frozen=True)
class BrokenConnection:
    """A folder that could not be read; `message` has one line a mistake."""

    name: str
    folder: Path
    message: str


@dataclass(frozen=True)
class LoadedConnections:
    """Every connection of a root folder, by name, and the folders that are broken."""

    connections: tuple[Connection, ...]
    broken: tuple[BrokenConnection, ...]


def connections_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the connections: `MLC_CONNECTIONS_DIR`, else `connections` here."""
    return Path(environ.get("MLC_CONNECTIONS_DIR") or "connections").expanduser()


def load_connections(root: Path) -> LoadedConnections:
    """Load every folder below `root`; names that begin with `.` or `_` are passed over.

    Raises:
        ConnectionsFolderError: there is no such folder.
    """
    if not root.is_dir():
        raise ConnectionsFolderError(
            f"{root.as_posix()}: no such folder, expected one folder a connection in it; "
            "create it or set MLC_CONNECTIONS_DIR"
        )
    connections: list[Connection] = []
    broken: list[BrokenConnection] = []
    for folder in sorted(root.iterdir()):
        if not folder.is_dir() or folder.name.startswith((".", "_")):
            continue
        try:
            connections.append(load_connection(folder))
        except (ConnectionFileError, OSError) as error:
            broken.append(BrokenConnection(folder.name, folder, str(error)))
    return LoadedConnections(tuple(connections), tuple(broken))


def load_connection(folder: Path) -> Connection:
    """Load the connection of a folder, which gives it its name.

    Raises:
        ConnectionFileError: with every mistake in `connection.yaml`.
        OSError: the file cannot be read.
    """
    file = folder / CONNECTION_FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"{file.as_posix()}: no such file; write one, or move the folder {folder.name} away"
        )
    return read_connection(folder.name, file.read_bytes(), file.as_posix())


def read_connection(name: str, content: bytes, file: str) -> Connection:
    """Read the content of a connection file; `file` is what messages call it.

    Raises:
        ConnectionFileError: with every mistake.
    """
    source = parse(content, file)
    if "name" in source.values:
        source.complain(("name",), "the connection is named as its folder; remove this line")
    connection = None
    try:
        connection = Connection.model_validate({**source.values, "name": name})
    except ValidationError as error:
        for mistake in error.errors(include_url=False):
            place = mistake["loc"]
            source.complain(place, _explain(mistake, place, source, name))
    if source.problems or connection is None:
        # Without its cause: pydantic's error holds the values, among them a misplaced secret.
        problems = sorted(source.problems, key=lambda problem: problem.line)
        raise ConnectionFileError(problems) from None
    return connection


def _explain(mistake: Mapping[str, Any], place: Place, source: Source, name: str) -> str:
    """Return what is wrong at a place and what to do, in our words."""
    kind: str = mistake["type"]
    if kind == "connection":
        return str(mistake["ctx"]["message"])
    if kind == "extra_forbidden":
        return _unknown_key(place, name)
    if kind == "missing":
        return f"missing; add it: {_described(place)}"
    if mistake["input"] is None:
        return f"is empty; expected: {_described(place)}"
    if kind == "string_type":
        return _not_text(mistake["input"], place, source)
    return f"found {_found(mistake['input'], place, source)}, expected {_expected(mistake)}"


def _unknown_key(place: Place, name: str) -> str:
    key, section = str(place[-1]), place[:-1]
    if _SECRET_KEY.search(key):
        area = str(place[0])
        names = _SECRET_NAMES.get(area) or "; ".join(_SECRET_NAMES.values())
        return (
            "a secret must not stand in this file; remove the line, renew the secret if others "
            f"could read it, and run: mlc secret set {name} NAME, NAME being one of {names}"
        )
    elsewhere = [
        ".".join(path) for path in _sections() if key in _fields(path) and path != section
    ]
    known = _fields(section)
    if elsewhere and suggestion(key, known).startswith("known"):
        return (
            f"unknown key here; it belongs in {' or '.join(elsewhere)}: check the indentation"
        )
    return f"unknown key; {suggestion(key, known.keys() - {'name'})}"


def _not_text(value: object, place: Place, source: Source) -> str:
    if isinstance(value, (dict, list)):
        return f"found {_found(value, place, source)}, expected a text"
    written = source.written.get(place, "")
    kind = _READ_AS.get(type(value), "a date")
    return f'found {written} (to YAML: {kind}), expected a text; quote it: "{written}"'


def _found(value: object, place: Place, source: Source) -> str:
    if isinstance(value, dict):
        return "a section of keys"
    if isinstance(value, list):
        return "a list"
    return repr(source.written.get(place, ""))


def _expected(mistake: Mapping[str, Any]) -> str:
    """Return in words what pydantic wanted, by its error type."""
    limits = mistake.get("ctx", {})
    words = {
        "literal_error": f"one of {limits.get('expected')}",
        "greater_than_equal": f"{limits.get('ge')} or more",
        "less_than_equal": f"{limits.get('le')} or less",
        "int_type": "a whole number, not quoted",
        "bool_type": "true or false, not quoted",
        "tuple_type": "a list such as [main]",
        "too_short": f"at least {limits.get('min_length')} of them",
        "string_too_long": f"at most {limits.get('max_length')} characters",
        "model_type": "a section of keys",
        "dict_type": "a section of keys",
    }
    return words.get(mistake["type"], str(mistake["msg"]))


def _sections() -> list[tuple[str, ...]]:
    """Return the places of every section of the file with fixed keys, the top included."""
    places: list[tuple[str, ...]] = [()]
    for place in places:
        places.extend((*place, key) for key in _fields(place) if _fields((*place, key)))
    return places


def _fields(place: Place) -> Mapping[str, Any]:
    """Return the fields of the section at a place, none when it is no section."""
    model = _model_at(place)
    return model.model_fields if model else {}


def _model_at(place: Place) -> type[BaseModel] | None:
    annotation: Any = Connection
    for part in place:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            annotation = _bare(field.annotation) if field else None
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        else:
            return None
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_model else None


def _bare(annotation: Any) -> Any:
    """Return what `X | None` is when it is given."""
    if get_origin(annotation) in (Union, UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _described(place: Place) -> str:
    field = _fields(place[:-1]).get(str(place[-1]))
    if field is None or not field.description:
        return "a value, or no such line"
    return str(field.description)
