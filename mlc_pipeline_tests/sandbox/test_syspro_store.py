"""The company database: what goes in, what is refused, what is fast."""

from __future__ import annotations

import time
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from mlc_pipeline.sandbox.syspro import TABLES, RowError, Store, delete, load, upsert
from mlc_pipeline.sandbox.syspro.predicate import Sql, after
from mlc_pipeline.sandbox.syspro.tables import visible
from mlc_pipeline.syspro.entities import ENTITIES

KINDS = {"key": "text", "text": "text", "date": "date"}


@pytest.fixture
def store() -> Store:
    return Store()


def test_every_column_an_entity_names_is_there_in_its_kind() -> None:
    for entity in ENTITIES.values():
        columns = TABLES[entity.entity_set].by_name
        for column in entity.columns:
            found = columns[column.source]
            assert found.kind == KINDS.get(column.kind, "number"), (entity.name, column)


def test_every_entity_has_the_primary_key_of_its_table() -> None:
    for entity in ENTITIES.values():
        physical = [entity.column(name).source for name in entity.key]
        assert physical == [column.name for column in TABLES[entity.entity_set].key]


def test_omitted_columns_are_blank_or_zero_and_dates_null(store: Store) -> None:
    load(store, {"ApInvoice": [{"Supplier": "S1", "Invoice": "1"}]})
    (row,) = store.rows("ApInvoice")
    assert (row["Reference"], row["InvoiceDate"]) == ("", None)
    assert str(row["OrigInvValue"]) == "0.00"
    assert str(row["ExchangeRate"]) == "0.000000"


def test_values_come_back_exactly_as_they_went_in(store: Store) -> None:
    given = {
        "PurchaseOrder": " 00001",
        "Line": 1,
        "MStockDes": "½ Söhne – €",
        "MOrderQty": Decimal("-123456789012.123456"),
        "MPrice": "0.00001",
        "MLatestDueDate": date(2016, 2, 29),
    }
    load(store, {"PorMasterDetail": [given]})
    (row,) = store.rows("PorMasterDetail")
    assert row | given | {"MPrice": Decimal("0.00001")} == row
    assert str(row["MOrderQty"]) == "-123456789012.123456"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x" * 31, "Reference.*31 characters, the column holds 30"),
        ("Łódź", "'Ł', which is not in Windows-1252"),
        ("a\x01b", "control character 1"),
        (5, "expected text, found int"),
    ],
)
def test_a_text_that_does_not_fit_names_table_key_and_column(
    store: Store, value: object, words: str
) -> None:
    row = {"Supplier": "S1", "Invoice": "7", "Reference": value}
    with pytest.raises(RowError, match=rf"ApInvoice \(Supplier='S1', Invoice='7'\).*{words}"):
        load(store, {"ApInvoice": [row]})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.5, "found float"),
        (True, "found bool"),
        ("1.005", "more decimals than the column's 2"),
        (Decimal("1.5000000000000000000000000000000001"), "more decimals"),
        (Decimal("1000000000000"), r"does not fit decimal\(14,2\)"),
        ("12,5", "'12,5' is not a number"),
        (Decimal("NaN"), "is not a number"),
    ],
)
def test_a_number_that_does_not_fit_is_refused(store: Store, value: object, words: str) -> None:
    row = {"Supplier": "S1", "Invoice": "7", "OrigInvValue": value}
    with pytest.raises(RowError, match=f"OrigInvValue: .*{words}"):
        load(store, {"ApInvoice": [row]})


@pytest.mark.parametrize("value", ["2016-13-01", "20160101", "2016-1-1", datetime(2016, 1, 1)])  # noqa: DTZ001
def test_a_date_that_is_none_is_refused(store: Store, value: object) -> None:
    row = {"Supplier": "S1", "Invoice": "7", "InvoiceDate": value}
    with pytest.raises(RowError, match="InvoiceDate: "):
        load(store, {"ApInvoice": [row]})


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"Nothing": []}, "no table 'Nothing'"),
        ({"ApSupplier": [{"Supplier": "S1", "Naem": "x"}]}, "no column 'Naem'"),
        ({"ApInvoice": [{"Supplier": "S1"}]}, "key column Invoice is missing"),
        ({"ApSupplier": [{"Supplier": "S1", "TimeStamp": 1}]}, "set by SYSPRO itself"),
    ],
)
def test_unknown_names_and_missing_keys_are_refused(
    store: Store, tables: dict[str, list[dict[str, object]]], words: str
) -> None:
    with pytest.raises(RowError, match=words):
        load(store, tables)


def test_a_second_row_with_the_same_key_is_an_error_and_nothing_is_loaded(store: Store) -> None:
    rows = [{"Supplier": "S1", "Invoice": "7"}, {"Supplier": "S1", "Invoice": "7"}]
    words = r"ApInvoice \(Supplier='S1', Invoice='7'\): .*primary key is already there"
    with pytest.raises(RowError, match=words):
        load(store, {"ApSupplier": [{"Supplier": "S1"}], "ApInvoice": rows})
    assert not any(store.counts().values())


def test_keys_that_differ_in_case_or_zeros_are_different_keys(store: Store) -> None:
    keys = ["7", "07", "a", "A"]
    load(store, {"ApSupplier": [{"Supplier": key} for key in keys]})
    assert [row["Supplier"] for row in store.rows("ApSupplier")] == ["07", "7", "A", "a"]


def test_upsert_changes_only_the_given_columns(store: Store) -> None:
    load(store, {"ApSupplier": [{"Supplier": "S1", "SupplierName": "Old", "Fax": "1"}]})
    changed = [{"Supplier": "S1", "SupplierName": "New"}, {"Supplier": "S2", "Fax": "2"}]
    assert upsert(store, "ApSupplier", changed) == 2
    first, second = store.rows("ApSupplier")
    assert (first["SupplierName"], first["Fax"]) == ("New", "1")
    assert (second["SupplierName"], second["Fax"]) == ("", "2")


def test_every_write_gives_a_row_a_greater_rowversion(store: Store) -> None:
    load(store, {"ApSupplier": [{"Supplier": "S1"}, {"Supplier": "S2"}]})
    before = [row["TimeStamp"] for row in store.rows("ApSupplier")]
    upsert(store, "ApSupplier", [{"Supplier": "S1"}])
    after_it = [row["TimeStamp"] for row in store.rows("ApSupplier")]
    assert after_it[0] > max(before)
    assert after_it[1] == before[1]


def test_delete_counts_only_rows_that_were_there(store: Store) -> None:
    load(
        store,
        {
            "ApSupplier": [{"Supplier": "S1"}],
            "ApInvoice": [
                {"Supplier": "S1", "Invoice": "7"},
                {"Supplier": "S1", "Invoice": "8"},
            ],
        },
    )
    assert delete(store, "ApSupplier", ["S1", "S2"]) == 1
    assert delete(store, "ApInvoice", [["S1", "7"]]) == 1
    assert store.counts()["ApInvoice"] == 1
    with pytest.raises(RowError, match="needs the values of Supplier, Invoice"):
        delete(store, "ApInvoice", [["S1"]])


def test_a_company_outlives_its_process_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "company.sqlite"
    store = Store(path)
    load(store, {"ApSupplier": [{"Supplier": "S1"}]})
    rowversion = store.rows("ApSupplier")[0]["TimeStamp"]
    store.close()
    again = Store(path)
    assert again.counts()["ApSupplier"] == 1
    assert again.next_rowversion() > rowversion
    again.close()


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "company.sqlite"
    store = Store(path)
    with store.transaction() as database:
        database.execute('ALTER TABLE "ApBranch" ADD COLUMN "Extra" TEXT')
    store.close()
    with pytest.raises(RowError, match=r"ApBranch has other columns.*delete the file"):
        Store(path)


def test_absent_tables_and_columns_are_not_visible() -> None:
    tables = visible(["ApPosting", "ApSupplier.State"])
    assert "ApPosting" not in tables
    assert "State" not in tables["ApSupplier"].by_name
    assert "State" in TABLES["ApSupplier"].by_name


def test_pages_by_key_of_a_large_table_take_less_than_a_tenth_of_a_second(store: Store) -> None:
    rows = [
        {"Supplier": f"{number % 700:015d}", "Invoice": f"INV{number}", "OrigInvValue": number}
        for number in range(30_000)
    ]
    load(store, {"ApInvoice": rows})
    table = TABLES["ApInvoice"]
    order = [(column, False) for column in table.key]
    last: tuple[object, ...] | None = None
    seen, slowest = 0, 0.0
    for _ in range(7):
        where = after(order, last) if last else Sql("1")  # type: ignore[arg-type]
        start = time.process_time()
        page = store.select(table, table.columns, where, order, limit=5000)
        slowest = max(slowest, time.process_time() - start)
        seen += len(page)
        if page:
            last = page[-1][:2]
    assert seen == 30_000
    assert slowest < 0.1
