"""The settings of a connection as a Markdown table, from the model's own descriptions.

What must not come in: settings themselves, prose of the manual.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mlc_pipeline.connection.model import Connection

_WORDS: dict[Any, str] = {
    bool: "true, false",
    int: "whole number",
    str: "text",
    dt.date: "date",
    Decimal: "number",
}


def reference_table() -> str:
    """Return the settings of `connection.yaml`: name, values, default, meaning."""
    head = ["| setting | values | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*head, *(_row(*setting) for setting in _settings(Connection, ""))]) + "\n"


def _settings(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if model is Connection and name == "name":
            continue  # the folder gives it
        key, kind = f"{prefix}{name}", field.annotation
        if get_origin(kind) is dict and _is_section(get_args(kind)[1]):
            key, kind = f"{key}.<name>", get_args(kind)[1]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _settings(kind, f"{key}.")
        else:
            yield key, field


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _row(name: str, field: FieldInfo) -> str:
    cells = (f"`{name}`", _values(field), _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _plain(kind: Any) -> Any:
    """Return the type within `Annotated[X, …]` and `X | None`."""
    within = [part for part in get_args(kind) if part is not type(None)]
    optional = type(None) in get_args(kind)
    return _plain(within[0]) if optional or get_origin(kind) is Annotated else kind


def _values(field: FieldInfo) -> str:
    kind = _plain(field.annotation)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{option}`" for option in get_args(kind))
    low = [limit.ge for limit in field.metadata if isinstance(limit, Ge)]
    high = [limit.le for limit in field.metadata if isinstance(limit, Le)]
    if low and high:
        return f"{low[0]} to {high[0]}"
    if get_origin(kind) is dict:
        return "key: text"
    return _WORDS.get(kind, "list of text")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return f"`{_as_yaml(value)}`" if value not in (None, {}, "") else ""


def _as_yaml(value: object) -> str:
    """Return a default as it would stand in the file."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=200)
    return text.removesuffix("\n").removesuffix("\n...")
