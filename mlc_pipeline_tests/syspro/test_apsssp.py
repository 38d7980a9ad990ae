"""Supplier maintenance: what may be sent, and how the documents look."""

from __future__ import annotations

import pytest

from mlc_pipeline.sandbox.syspro.apsssp import maintain
from mlc_pipeline.sandbox.syspro.settings import Settings
from mlc_pipeline.sandbox.syspro.store import Store
from mlc_pipeline.syspro.apsssp import ELEMENTS, SupplierSetup, parameters

CODE = "000000000000123"


@pytest.mark.parametrize("element", ["Bank", "BankAccount", "EftBankAccType", "CurrentBalance"])
def test_bank_and_balance_fields_can_not_be_sent(element: str) -> None:
    with pytest.raises(ValueError, match=f"{element} may not be sent"):
        SupplierSetup("Update", CODE, "0000123", {element: "1"})
    assert element not in ELEMENTS


def test_a_document_holds_the_key_as_shown_and_only_what_is_given() -> None:
    setup = SupplierSetup(
        "Update", CODE, "0000123", {"Telephone": "", "SupplierName": "Smith & <Söhne>"}
    )
    assert setup.to_xml() == (
        '<?xml version="1.0" encoding="Windows-1252"?><SetupApSupplier><Item><Key>'
        "<Supplier>0000123</Supplier></Key><SupplierName>Smith &amp; &lt;Söhne&gt;"
        "</SupplierName><Telephone /></Item></SetupApSupplier>"
    )
    assert setup.to_wire()["Supplier"] == "0000123"


def test_a_letter_that_windows_1252_lacks_is_never_sent() -> None:
    with pytest.raises(UnicodeEncodeError):
        SupplierSetup("Add", CODE, "0000123", {"SupplierName": "Łódź"}).to_xml()


def test_the_business_object_checks_without_writing_and_then_writes() -> None:
    store = Store()
    setup = SupplierSetup("Add", CODE, "0000123", {"SupplierName": "Acme", "SupAddr1": "1 Hay"})
    for validate_only, rows in ((True, 0), (False, 1)):
        given = parameters(validate_only=validate_only)
        answer = maintain(store, Settings(), "Add", given, setup.to_xml())
        assert b"<RecordsInvalid>0" in answer
        assert len(store.rows("ApSupplier")) == rows
    assert store.rows("ApSupplierAddr")[0]["SupAddr1"] == "1 Hay"
    store.close()
