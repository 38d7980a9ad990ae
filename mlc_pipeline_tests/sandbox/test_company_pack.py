"""The neutral form: what is read is what was written, and what is wrong is named."""

from __future__ import annotations

import gzip
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from mlc_pipeline.sandbox.company import PackError, generate, read_pack, write_pack
from mlc_pipeline.sandbox.company.model import TABLES

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "neutral-form.md"

OWN_LEDGER = {
    "manifest.json": '{"pack": "own", "tables": {"invoices": {"rows": 1}},'
    ' "control_totals": {"invoices.net": 70000.5}}',
    "suppliers.csv": "supplier_id,name\n00042,Ünal & Söhne\n",
    "gl_accounts.csv": "account,description\n8550,OTHER SERVICES\n",
    "cost_centres.csv": "cost_centre,description\n17023,GRANTS\n",
    "invoices.csv": "document_no,supplier_id,invoice_no,gl_date,net,currency\n"
    "3992849,00042,0012 A,2016-04-04,70000.5,EUR\n",
    "gl_distributions.csv": "document_no,line,cost_centre,account,amount\n"
    "3992849,1,17023,8550,70000.5\n",
}


def _folder(base: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (base / name).write_text(text, encoding="utf-8")
    return base


@pytest.mark.parametrize("compressed", [True, False])
def test_a_written_company_is_read_back_equal(tmp_path: Path, compressed: bool) -> None:
    company = generate(5, 80)
    write_pack(company, tmp_path, compressed=compressed)
    assert read_pack(tmp_path) == company


def test_the_same_company_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_pack(generate(5, 80), tmp_path / name)
    files = sorted(each.name for each in (tmp_path / "one").iterdir())
    assert len(files) == len(TABLES) + 1
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_ledger_of_ones_own_is_read_typed_with_its_zeros(tmp_path: Path) -> None:
    company = read_pack(_folder(tmp_path, OWN_LEDGER))
    assert (company.name, company.local_currency) == ("own", "EUR")
    assert company.suppliers[0].supplier_id == "00042"
    invoice = company.invoices[0]
    assert (invoice.invoice_no, invoice.net) == ("0012 A", Decimal("70000.5"))
    assert invoice.invoice_date == date(2016, 4, 4)
    assert company.gl_distributions[0].code == "17023.8550"


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    rows = OWN_LEDGER["suppliers.csv"].replace("\n", "\r\n") + "\r\n"
    _folder(tmp_path, OWN_LEDGER | {"suppliers.csv": "\ufeff" + rows})
    assert read_pack(tmp_path).suppliers[0].name == "Ünal & Söhne"


INVOICE_HEADINGS = "document_no,supplier_id,invoice_no,invoice_date,net"
WRONG = [
    # file, its text, what the message must say
    ("invoices.csv", "5,00042,A,2016-04-04,1.234,50", r"line 2: found 6 cells, expected 5"),
    (
        "invoices.csv",
        '5,00042,A,2016-04-04,"1,5"',
        r"line 2, column net: found '1,5', expected a n",
    ),
    ("invoices.csv", "5,00042,A,2016-04-04,NaN", r"column net: found 'NaN'"),
    ("invoices.csv", "5,00042,A,2016-04-04,", r"column net: found '', expected a number"),
    ("invoices.csv", "5,00042,A,04/04/2016,1", r"column invoice_date: found '04/04/2016'"),
    ("invoices.csv", "5,00042,A,2016-02-30,1", r"column invoice_date: found '2016-02-30'"),
    (
        "invoices.csv",
        "5,42,A,2016-04-04,1",
        r"column supplier_id: found '42', expected a row of",
    ),
    (
        "invoices.csv",
        "007,00042,A,2016-04-04,1",
        r"column document_no: found '007', expected a wh",
    ),
    (
        "invoices.csv",
        "5,00042,A,2016-04-04,1\n5,00042,B,2016-04-05,2",
        r"line 3, column document_no: found '5', expected a key that line 2 does not have",
    ),
    (
        "gl_accounts.csv",
        "account,description,account_type\n8550,X,Q",
        r"'Q', expected one of 'A'",
    ),
    (
        "gl_accounts.csv",
        "account,description,mapped\n8550,X,no",
        r"'no', expected True or False",
    ),
    (
        "suppliers.csv",
        "supplier_id,name\n,Nobody",
        r"column supplier_id: found '', expected a val",
    ),
    (
        "suppliers.csv",
        "supplier_id,name,vat_no\n00042,X,1",
        r"found column 'vat_no', expected one",
    ),
    ("suppliers.csv", "supplier_id\n00042", r"found no column name, which is required"),
    ("suppliers.csv", "supplier_id,name,name\n00042,X,Y", r"column name: found twice"),
    ("suppliers.csv", 'supplier_id,name\n00042,"X', r"line 2: unexpected end of data"),
    ("suppliers.csv", "supplier_id,name\n", r"found no suppliers.csv"),
    ("manifest.json", '{"tables": {"invoices": {"rows": 2}}}', r"found 1 rows, expected 2"),
    (
        "manifest.json",
        '{"tables": {"bills": {"rows": 2}}}',
        r"found table 'bills', expected one",
    ),
    (
        "manifest.json",
        '{"control_totals": {"invoices.net": 1}}',
        r"a total of 70000.5, expected 1",
    ),
    (
        "manifest.json",
        '{"control_totals": {"invoices.nett": 1}}',
        r"found control total 'invoices",
    ),
    ("manifest.json", '{"control_totals": {"invoices.net": "x"}}', r"found control total 'x'"),
    ("manifest.json", '{"tables": []}', r"found \[\], expected an object"),
    ("manifest.json", "{", r"manifest.json, line 1: "),
]


@pytest.mark.parametrize(("file", "text", "message"), WRONG)
def test_a_wrong_cell_is_named_with_file_line_and_column(
    tmp_path: Path, file: str, text: str, message: str
) -> None:
    if file == "invoices.csv":
        text = f"{INVOICE_HEADINGS}\n{text}\n"
    _folder(
        tmp_path, OWN_LEDGER | {"gl_distributions.csv": "document_no,line,account,amount\n"}
    )
    (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(PackError, match=message) as caught:
        read_pack(tmp_path)
    assert file in str(caught.value)


def test_a_folder_without_a_manifest_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"found no manifest\.json; a pack needs one"):
        read_pack(tmp_path)


def test_a_table_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    _folder(tmp_path, OWN_LEDGER)
    packed = gzip.compress(OWN_LEDGER["suppliers.csv"].encode())
    (tmp_path / "suppliers.csv.gz").write_bytes(packed)
    with pytest.raises(
        PackError, match=r"both suppliers\.csv and suppliers\.csv\.gz, expected one"
    ):
        read_pack(tmp_path)


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    _folder(tmp_path, OWN_LEDGER)
    packed = gzip.compress(OWN_LEDGER["suppliers.csv"].encode())
    (tmp_path / "suppliers.csv").unlink()
    (tmp_path / "suppliers.csv.gz").write_bytes(packed[:-6])
    with pytest.raises(PackError, match=r"suppliers.csv.gz: .*expected a gzip file"):
        read_pack(tmp_path)


def test_a_table_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    _folder(tmp_path, OWN_LEDGER)
    (tmp_path / "suppliers.csv").write_bytes("supplier_id,name\n00042,Ünal\n".encode("cp1252"))
    with pytest.raises(PackError, match=r"suppliers.csv, line 2: found .*expected UTF-8 text"):
        read_pack(tmp_path)


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_documented_with_its_table(table: str) -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    section = re.search(rf"^### {table}\n(.*?)^#", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"docs/neutral-form.md has no section {table}"
    words = set(re.findall(r"\w+", section[1]))
    missing = {*TABLES[table].columns, *TABLES[table].aliases} - words
    assert not missing, f"docs/neutral-form.md, {table}: not documented: {missing}"
