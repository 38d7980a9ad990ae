"""The columns that the UI shows exist, and the way of every Cin7 field is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from mlc_pipeline.assets import columns
from mlc_pipeline.assets.columns import FIELDS, PUSHES, SET_BY_US, column_lineage, column_schema
from mlc_pipeline.cin7 import requests as wire
from mlc_pipeline.staging.tables import metadata
from mlc_pipeline.sync import content

CONTENTS = {
    "supplier": content.SupplierContent,
    "order": content.OrderContent,
    "receipt": content.ReceiptContent,
    "invoice": content.InvoiceContent,
    "credit": content.CreditContent,
}
BODIES: dict[str, tuple[type[BaseModel], ...]] = {
    "Supplier": (wire.SupplierPost, wire.SupplierPut),
    "Purchase": (wire.PurchasePost, wire.PurchasePut),
    "Order": (wire.OrderPost,),
    "Stock": (wire.StockPost,),
    "Invoice": (wire.InvoicePost,),
    "CreditNote": (wire.CreditNotePost,),
    "Product": (wire.ProductPost,),
}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a field's type names, in whatever it wraps them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def paths(model: type[BaseModel], *, wired: bool, before: str) -> Iterator[str]:
    """Yield the path of each field that holds no fields of its own."""
    for name, field in model.model_fields.items():
        path = f"{before}.{field.alias if wired else name}"
        inner = list(models_in(field.annotation))
        if not inner:
            yield path
        for found in inner:
            yield from paths(found, wired=wired, before=path)


def test_every_field_of_a_wanted_document_is_told_and_no_other() -> None:
    wanted = {p for n, model in CONTENTS.items() for p in paths(model, wired=False, before=n)}
    told = [field.plan for fields in FIELDS.values() for field in fields]
    assert len(told) == len(set(told))
    assert set(told) == wanted


def test_every_cin7_field_that_is_told_can_be_sent() -> None:
    sent = {
        p
        for name, models in BODIES.items()
        for model in models
        for p in paths(model, wired=True, before=name)
    }
    sent |= {"CreditNote.Lines", "CreditNote.Unstock"}
    told = {path for fields in FIELDS.values() for field in fields for path in field.cin7}
    assert told - sent == set()
    assert set(SET_BY_US) - sent == set()
    assert told & set(SET_BY_US) == set()


def test_every_source_is_a_column_of_its_table() -> None:
    sources = {s for fields in FIELDS.values() for field in fields for s in field.sources}
    sources |= set(columns._MAPPED_TO.values())
    unknown = []
    for source in sources:
        asset, _, column = source.partition(".")
        table = metadata.tables.get(asset.replace("/", "."))
        if table is None or column not in table.c:
            unknown.append(source)
    assert unknown == []


def test_every_column_of_a_table_that_is_shown_has_a_meaning() -> None:
    shown = ("syspro", "cin7", "mapping", "plan", "push", "tie_out")
    silent = [
        f"{table.schema}.{table.name}.{column.name}"
        for table in metadata.tables.values()
        if table.schema in shown and table.name != "rejected_rows"
        for column in column_schema(table.schema, table.name).columns
        if not column.description
    ]
    assert silent == []


@pytest.mark.parametrize(("stage", "names"), [("plan", list(FIELDS)), ("push", list(PUSHES))])
def test_lineage_leads_from_shown_columns_to_shown_columns(
    stage: str, names: list[str]
) -> None:
    for name in names:
        lineage = column_lineage("acme", stage, name)
        assert lineage is not None
        own = {column.name for column in column_schema(stage, name).columns}
        assert set(lineage.deps_by_column) <= own
        for deps in lineage.deps_by_column.values():
            for dep in deps:
                connection, upstream, entity = dep.asset_key.path
                above = {c.name for c in column_schema(upstream, entity).columns}
                assert connection == "acme"
                assert dep.column_name in above
