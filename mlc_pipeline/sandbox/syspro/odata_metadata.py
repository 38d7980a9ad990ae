"""`$metadata` of the stand-in: EDMX of OData 4.0, keys, Edm types, lengths and scales.

What must not come in: HTTP, rows.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlc_pipeline.sandbox.syspro.odata_filter import edm_type
from mlc_pipeline.sandbox.syspro.tables import Column, Table

NAMESPACE = "SYSPROOData"


def metadata(tables: Mapping[str, Table], date_type: str) -> str:
    """Return the EDMX document of the tables."""
    types = "".join(_entity_type(table, date_type) for table in tables.values())
    sets = "".join(
        f'<EntitySet Name="{name}" EntityType="{NAMESPACE}.{name}"/>' for name in tables
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
        "<edmx:DataServices>"
        f'<Schema Namespace="{NAMESPACE}" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
        f'{types}<EntityContainer Name="Container">{sets}</EntityContainer>'
        "</Schema></edmx:DataServices></edmx:Edmx>"
    )


def _entity_type(table: Table, date_type: str) -> str:
    key = "".join(f'<PropertyRef Name="{column.name}"/>' for column in table.key)
    properties = "".join(_property(column, date_type) for column in table.columns)
    return f'<EntityType Name="{table.name}"><Key>{key}</Key>{properties}</EntityType>'


def _property(column: Column, date_type: str) -> str:
    facets = {
        "text": f' Nullable="false" MaxLength="{column.length}"',
        "number": f' Nullable="false" Precision="{column.length}" Scale="{column.scale}"',
        "date": "",
        "rowversion": ' MaxLength="8"',
    }[column.kind]
    return f'<Property Name="{column.name}" Type="{edm_type(column, date_type)}"{facets}/>'
