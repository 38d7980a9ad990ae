"""Supplier maintenance (APSSSP) over real HTTP: what is written, what is refused, and how."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest

from mlc_pipeline.sandbox.syspro.running import RunningSyspro
from mlc_pipeline_tests.sandbox.syspro_caller import Caller, calling, supplier_code


@pytest.fixture(scope="module")
def server() -> Iterator[Caller]:
    with calling() as caller:
        yield caller


@pytest.fixture
def caller(server: Caller) -> Caller:
    server.reset(system_date="2016-04-04")
    return server


@pytest.fixture
def token(caller: Caller) -> str:
    return caller.log_on()


def item(supplier: str, fields: str = "") -> str:
    return f"<Item><Key><Supplier>{supplier}</Supplier></Key>{fields}</Item>"


def name(text: str) -> str:
    return f"<SupplierName>{text}</SupplierName>"


def maintain(
    caller: Caller, token: str, action: str, items: str, **parameters: str
) -> ET.Element:
    given = "".join(f"<{key}>{value}</{key}>" for key, value in parameters.items())
    answer = caller.enet(
        f"/Setup/{action}",
        UserId=token,
        BusinessObject="APSSSP",
        XmlParameters=f"<SetupApSupplier><Parameters>{given}</Parameters></SetupApSupplier>",
        XmlIn=f"<SetupApSupplier>{items}</SetupApSupplier>",
    )
    assert answer.status_code == 200
    return ET.fromstring(answer.content)


def stored(syspro: RunningSyspro, table: str, supplier: str) -> dict[str, object] | None:
    rows = {row["Supplier"]: row for row in syspro.state.store.rows(table)}
    return rows.get(supplier)  # type: ignore[return-value]


def counts(root: ET.Element) -> tuple[str | None, str | None]:
    return (
        root.findtext("StatusOfItems/RecordsRead"),
        root.findtext("StatusOfItems/RecordsInvalid"),
    )


def error(root: ET.Element, path: str) -> tuple[str | None, str | None]:
    return root.findtext(f"{path}/Value"), root.findtext(f"{path}/ErrorNumber")


def test_an_added_supplier_is_stored_zero_filled_and_answered_as_presented(
    caller: Caller, token: str
) -> None:
    fields = (
        name("Neu &amp; Söhne") + "<Telephone>0114</Telephone><SupAddr1>1 High St</SupAddr1>"
    )
    root = maintain(caller, token, "Add", item("42", fields))
    assert root.tag == "setupapsupplier"
    assert root.findtext("item/key/supplier") == "0000042"
    assert counts(root) == ("1", "0")
    supplier = stored(caller.syspro, "ApSupplier", supplier_code(42))
    assert supplier
    assert supplier["SupplierName"] == "Neu & Söhne"
    assert str(supplier["DateSuppAdded"]) == "2016-04-04"
    assert [supplier[c] for c in ("Currency", "OnHold", "GrnMatchReqd")] == ["GBP", "N", "Y"]
    address = stored(caller.syspro, "ApSupplierAddr", supplier_code(42))
    assert address
    assert address["SupAddr1"] == "1 High St"


def test_an_update_changes_only_what_is_sent(caller: Caller, token: str) -> None:
    root = maintain(caller, token, "Update", item("0000001", "<Email>a@b.example</Email>"))
    assert counts(root) == ("1", "0")
    supplier = stored(caller.syspro, "ApSupplier", supplier_code(1))
    assert supplier
    assert supplier["Email"] == "a@b.example"
    assert supplier["SupplierName"] == "O'Hara & Söhne"
    assert supplier["TermsCode"] == "30"


def test_an_existing_key_is_refused_on_add_and_a_missing_one_on_update(
    caller: Caller, token: str
) -> None:
    added = maintain(caller, token, "Add", item("1", name("Other")))
    assert error(added, "item/key/supplier") == ("1", "900001")
    updated = maintain(caller, token, "Update", item("9", name("Other")))
    assert error(updated, "item/key/supplier") == ("9", "900002")
    assert counts(added) == counts(updated) == ("1", "1")
    assert caller.syspro.control("summary")["rows"]["ApSupplier"] == 3


def test_the_same_key_twice_in_a_document_is_added_once(caller: Caller, token: str) -> None:
    items = item("5", name("Five")) + item("0000005", name("Also five"))
    root = maintain(caller, token, "Add", items, ApplyIfEntireDocumentValid="N")
    assert counts(root) == ("2", "1")
    supplier = stored(caller.syspro, "ApSupplier", supplier_code(5))
    assert supplier
    assert supplier["SupplierName"] == "Five"


@pytest.mark.parametrize(
    ("key", "fields", "path", "expected"),
    [
        ("", name("x"), "item/key/supplier", ("", "100030")),
        ("12345678", name("x"), "item/key/supplier", ("12345678", "900003")),
        (supplier_code(7), name("x"), "item/key/supplier", (supplier_code(7), "900003")),
        ("A1", name("x"), "item/key/supplier", ("A1", "900003")),
        ("7", "", "item/suppliername", ("", "100030")),
        ("7", name("x" * 51), "item/suppliername", ("x" * 51, "900004")),
        (
            "7",
            name("x") + "<DateSuppAdded>31/12/2016</DateSuppAdded>",
            "item/datesuppadded",
            ("31/12/2016", "100028"),
        ),
        ("7", name("x") + "<OnHold>?</OnHold>", "item/onhold", ("?", "900004")),
        ("7", name("x") + "<MinPoVal>1,0</MinPoVal>", "item/minpoval", ("1,0", "900004")),
        ("7", name("x") + "<TermsCode>99</TermsCode>", "item/termscode", ("99", "900005")),
        ("7", name("x") + "<Branch>99</Branch>", "item/branch", ("99", "900005")),
        (
            "7",
            name("x") + "<SupAddr2>" + "y" * 41 + "</SupAddr2>",
            "item/supaddr2",
            ("y" * 41, "900004"),
        ),
    ],
)
def test_an_invalid_field_is_reported_with_value_number_and_text(
    caller: Caller,
    token: str,
    key: str,
    fields: str,
    path: str,
    expected: tuple[str, str],
) -> None:
    root = maintain(caller, token, "Add", item(key, fields))
    assert error(root, path) == expected
    assert root.findtext(f"{path}/ErrorDescription")
    assert counts(root) == ("1", "1")
    assert caller.syspro.control("summary")["rows"]["ApSupplier"] == 3


def test_one_invalid_item_stops_the_document_unless_told_otherwise(
    caller: Caller, token: str
) -> None:
    items = item("11", name("Good")) + item("12", name(""))
    assert counts(maintain(caller, token, "Add", items)) == ("2", "1")
    assert caller.syspro.control("summary")["rows"]["ApSupplier"] == 3
    root = maintain(caller, token, "Add", items, ApplyIfEntireDocumentValid="N")
    assert counts(root) == ("2", "1")
    assert stored(caller.syspro, "ApSupplier", supplier_code(11))
    assert stored(caller.syspro, "ApSupplier", supplier_code(12)) is None


def test_validate_only_writes_nothing(caller: Caller, token: str) -> None:
    root = maintain(caller, token, "Add", item("11", name("Good")), ValidateOnly="Y")
    assert counts(root) == ("1", "0")
    assert caller.syspro.control("summary")["rows"]["ApSupplier"] == 3


def test_a_warning_rejects_unless_warnings_are_ignored(caller: Caller, token: str) -> None:
    twin = item("11", name("zebra ltd"))
    root = maintain(caller, token, "Add", twin)
    assert error(root, "item/suppliername") == ("zebra ltd", "900006")
    root = maintain(caller, token, "Add", twin, IgnoreWarnings="Y")
    assert root.find(".//ErrorNumber") is None
    assert stored(caller.syspro, "ApSupplier", supplier_code(11))


def test_unknown_elements_are_dropped_without_a_word(caller: Caller, token: str) -> None:
    fields = name("Good") + "<Telefone>1</Telefone><CurrentBalance>5</CurrentBalance>"
    root = maintain(caller, token, "Add", item("11", fields))
    assert counts(root) == ("1", "0")
    supplier = stored(caller.syspro, "ApSupplier", supplier_code(11))
    assert supplier
    assert supplier["Telephone"] == ""
    assert supplier["CurrentBalance"] == 0


def test_an_alpha_key_is_stored_as_typed(caller: Caller, token: str) -> None:
    caller.syspro.control("settings", {"supplier_key": "alpha"})
    root = maintain(caller, token, "Add", item("007", name("Bond")))
    assert root.findtext("item/key/supplier") == "007"
    assert stored(caller.syspro, "ApSupplier", "007")


def test_an_empty_number_is_zero_and_an_empty_date_none(caller: Caller, token: str) -> None:
    fields = name("Good") + "<MinPoVal/><DateSuppAdded/>"
    assert counts(maintain(caller, token, "Add", item("11", fields))) == ("1", "0")
    supplier = stored(caller.syspro, "ApSupplier", supplier_code(11))
    assert supplier
    assert (str(supplier["MinPoVal"]), supplier["DateSuppAdded"]) == ("0.00", None)


def test_another_root_or_object_or_no_session_is_an_error_text(
    caller: Caller, token: str
) -> None:
    given = {"BusinessObject": "APSSSP", "XmlParameters": "", "XmlIn": "<Other/>"}
    text = caller.enet("/Setup/Add", UserId=token, **given).text
    assert text == "ERROR: XmlIn has the root 'Other', expected 'SetupApSupplier'"
    other = {**given, "BusinessObject": "APSSUP"}
    text = caller.enet("/Setup/Add", UserId=token, **other).text
    assert text.startswith("ERROR: e.net exception 100000")
    assert caller.enet("/Setup/Add", UserId="x", **given).text.startswith("ERROR: Unable")
