"""What a company's OData service has: entity sets, columns and Edm types of `$metadata`.

Shape: OData 4.0 CSDL XML.

What must not come in: HTTP, rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final
from xml.etree.ElementTree import Element

import defusedxml.ElementTree as SafeXml

from mlc_pipeline.syspro.entities import SCALES, Column, Entity
from mlc_pipeline.syspro.errors import MetadataMismatch

EntitySets = Mapping[str, Mapping[str, str]]
"""Edm type by column by entity set."""

TEXT: Final = "Edm.String"
DATE: Final = "Edm.Date"
INSTANT: Final = "Edm.DateTimeOffset"

# Binary floating point is not among them: it cannot hold a cent exactly.
_NUMBERS: Final = (
    "Edm.Decimal",
    "Edm.Int16",
    "Edm.Int32",
    "Edm.Int64",
    "Edm.Byte",
    "Edm.SByte",
)


def parse(document: bytes) -> EntitySets:
    """Read a `$metadata` document.

    Raises:
        ValueError: it is no CSDL document.
    """
    try:
        root = SafeXml.fromstring(document)
    except SafeXml.ParseError:
        raise ValueError("not XML") from None
    types = {
        element.get("Name", ""): {
            child.get("Name", ""): child.get("Type", "")
            for child in element
            if _local_name(child) == "Property"
        }
        for element in root.iter()
        if _local_name(element) == "EntityType"
    }
    sets = [element for element in root.iter() if _local_name(element) == "EntitySet"]
    if not sets:
        raise ValueError("no entity set")
    return {
        element.get("Name", ""): types.get(element.get("EntityType", "").rpartition(".")[2], {})
        for element in sets
    }


def _local_name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def absent_optional(sets: EntitySets, entities: Iterable[Entity]) -> list[str]:
    """Return the names of the optional entities that are not there.

    Raises:
        MetadataMismatch: everything required that is missing or unsuitable.
    """
    absent = []
    problems: list[str] = []
    for entity in entities:
        if entity.optional and entity.entity_set not in sets:
            absent.append(entity.name)
        else:
            problems.extend(_problems(sets, entity))
    if problems:
        raise MetadataMismatch(problems)
    return absent


def _problems(sets: EntitySets, entity: Entity) -> Iterator[str]:
    columns = sets.get(entity.entity_set)
    if columns is None:
        yield (
            f"{entity.name}: found no entity set {entity.entity_set}"
            f"{_similar(entity.entity_set, sets)}: set syspro.entities.{entity.name}."
            "entity_set in connection.yaml"
        )
        return
    for column in entity.columns:
        found = columns.get(column.source)
        if found is None and _may_be_absent(column, entity):
            continue
        where = f"set syspro.entities.{entity.name}.columns.{column.name} in connection.yaml"
        if found is None:
            yield (
                f"{entity.name}: found no column {column.source} in {entity.entity_set}"
                f"{_similar(column.source, columns)}: {where}"
            )
        elif found not in suitable_types(column):
            yield (
                f"{entity.name}: found column {column.source} in {entity.entity_set} as "
                f"{found}, expected {' or '.join(suitable_types(column))}: {where}"
            )


def _may_be_absent(column: Column, entity: Entity) -> bool:
    return column.optional and column.name not in (*entity.key, entity.date_column)


def _similar(name: str, known: Iterable[str]) -> str:
    by_folded = {other.casefold(): other for other in known}
    close = get_close_matches(name.casefold(), by_folded, n=3)
    return f" (similar: {', '.join(by_folded[match] for match in close)})" if close else ""


def suitable_types(column: Column) -> tuple[str, ...]:
    """Return the Edm types that hold a column without loss."""
    if column.kind in SCALES:
        return _NUMBERS
    return (DATE, INSTANT) if column.kind == "date" else (TEXT,)
