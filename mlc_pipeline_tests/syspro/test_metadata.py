"""What `$metadata` must have, and how a mismatch is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlc_pipeline.syspro import metadata
from mlc_pipeline.syspro.entities import ENTITIES, INVOICES, POSTINGS, RECEIPT_MATCHES, Entity
from mlc_pipeline.syspro.errors import MetadataMismatch
from mlc_pipeline_tests.syspro.services import PLACE_TYPES, PLACES, csdl


def types_of(entity: Entity) -> dict[str, str]:
    return {c.source: metadata.suitable_types(c)[0] for c in entity.columns}


def test_entity_sets_columns_and_types_are_read() -> None:
    sets = metadata.parse(csdl({"Place": PLACE_TYPES, "Other": {"A": "Edm.Int32"}}).encode())

    assert sets == {"Place": PLACE_TYPES, "Other": {"A": "Edm.Int32"}}


@pytest.mark.parametrize("document", [b"", b"{}", b"<html/>", b"<a>", b"\xff\xfe"])
def test_what_is_no_metadata_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"not XML|no entity set"):
        metadata.parse(document)


def test_a_complete_company_has_nothing_absent() -> None:
    sets = {entity.entity_set: types_of(entity) for entity in ENTITIES.values()}

    assert metadata.absent_optional(sets, ENTITIES.values()) == []


def test_absent_optional_entities_are_named_and_optional_columns_left_out() -> None:
    sets = {entity.entity_set: types_of(entity) for entity in ENTITIES.values()}
    del sets["GrnMatching"]
    del sets["ApSupplier"]["State"]

    assert metadata.absent_optional(sets, ENTITIES.values()) == ["receipt_matches"]


def test_a_mismatch_lists_everything_at_once_with_its_remedy() -> None:
    sets = {
        "ApPostings": {},
        "ApInvoice": types_of(INVOICES)
        | {"OrigInvValue": "Edm.Double", "Reference": "Edm.Date"},
        "GrnMatching": types_of(RECEIPT_MATCHES),
    }
    del sets["ApInvoice"]["JournalDate"]
    del sets["GrnMatching"]["Invoice"]

    with pytest.raises(MetadataMismatch) as caught:
        metadata.absent_optional(sets, [POSTINGS, INVOICES, RECEIPT_MATCHES])

    problems = (
        (
            "postings: found no entity set ApPosting (similar: ApPostings)",
            "postings.entity_set",
        ),
        (
            "invoices: found no column JournalDate in ApInvoice (similar: Journal, "
            "DiscountDate)",
            "invoices.columns.journal_date",
        ),
        (
            "invoices: found column Reference in ApInvoice as Edm.Date, expected Edm.String",
            "invoices.columns.reference",
        ),
        (
            "invoices: found column OrigInvValue in ApInvoice as Edm.Double, expected "
            "Edm.Decimal or Edm.Int16 or Edm.Int32 or Edm.Int64 or Edm.Byte or Edm.SByte",
            "invoices.columns.value",
        ),
        (
            "receipt_matches: found no column Invoice in GrnMatching",
            "receipt_matches.columns.invoice",
        ),
    )
    lines = str(caught.value).split("\n- ")[1:]
    assert sorted(lines) == sorted(
        f"{found}: set syspro.entities.{setting} in connection.yaml"
        for found, setting in problems
    )


def test_an_optional_column_that_is_a_key_or_the_date_is_required() -> None:
    entity = replace(PLACES, key=("area", "note"), date_column="note")

    with pytest.raises(MetadataMismatch, match="found no column Note"):
        metadata.absent_optional({"Place": PLACE_TYPES}, [entity])


def test_names_that_differ_in_case_are_pointed_out() -> None:
    sets = {
        "Place": {("OPENDATE" if c == "OpenDate" else c): t for c, t in PLACE_TYPES.items()}
    }

    with pytest.raises(MetadataMismatch, match=r"no column OpenDate in Place \(similar: OPEND"):
        metadata.absent_optional(sets, [PLACES])
