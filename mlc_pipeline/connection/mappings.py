"""The mapping tables of a connection: read, validated, checked against Cin7, looked up.

Six CSV files stand beside `connection.yaml`. Every cell is text (leading zeros stay), a bad
row is left out and listed with its line, the good rows go on. Only `gl_accounts.csv` must
be there: without `cost_centres.csv` a cost centre stands for itself, without
`currencies.csv` a code of three capital letters does, without the others the connection's
default holds for every code. A file that is there speaks for itself alone, even when empty.

What must not come in: the network, the database, Dagster.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, cast

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from mlc_pipeline.connection.errors import GlCodeError, suggestion
from mlc_pipeline.connection.model import Connection, GlCode

Role = Literal["expense", "tax", "payable"]
MATCHES = ("exact", "section", "prefix")
ROLES: tuple[Role, ...] = ("expense", "tax", "payable")

_DUPLICATE = "expected each key once: two rows disagree or repeat; keep one of them"
_OPTIONAL_COLUMN = "note"


def _key_columns(columns: Collection[str]) -> list[str]:
    """Return the columns whose values together name a row."""
    return [name for name in columns if name == "match" or name.startswith("syspro_")]


class _MappingTable(pa.DataFrameModel):
    """What all six tables have in common; the error texts are what a person reads."""

    note: str

    @pa.check(
        "^(syspro|cin7|iso)_",
        regex=True,
        error="expected a value; fill it in or delete the row",
    )
    def _filled(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip() != ""

    @pa.check("^(?!note)", regex=True, error="expected no blanks at either end; remove them")
    def _tidy(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        stripped = column.str.strip()
        return (column == stripped) | (stripped == "")

    @pa.dataframe_check(error=_DUPLICATE)
    def _distinct(cls, table: pd.DataFrame) -> pd.Series[bool]:  # noqa: N805
        return ~table.duplicated(_key_columns(list(table.columns)), keep=False)

    class Config:
        """Closed: no column that is not named."""

        strict = True


class GlAccounts(_MappingTable):
    """SYSPRO GL codes, whole, by account section or by beginning, to Cin7 accounts."""

    match: str
    syspro_code: str
    cin7_account: str
    role: str

    @pa.check("match", error="expected exact, section or prefix")
    def _known_match(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip().isin(MATCHES)

    @pa.check("role", error="expected expense, tax, payable or nothing (expense)")
    def _known_role(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip().isin(["", *ROLES])


class CostCentres(_MappingTable):
    """SYSPRO cost centres to the text that Cin7 shows."""

    syspro_cost_centre: str
    cin7_value: str


class TaxCodes(_MappingTable):
    """SYSPRO tax codes to Cin7 tax rules."""

    syspro_tax_code: str
    cin7_tax_rule: str


class PaymentTerms(_MappingTable):
    """SYSPRO terms codes to Cin7 payment terms."""

    syspro_terms_code: str
    cin7_payment_term: str


class Currencies(_MappingTable):
    """SYSPRO currencies to ISO codes."""

    syspro_currency: str
    iso_code: str

    @pa.check("iso_code", error="expected an ISO 4217 code of three capital letters: GBP")
    def _iso(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        stripped = column.str.strip()
        return stripped.str.fullmatch("[A-Z]{3}") | (stripped == "")


class Warehouses(_MappingTable):
    """SYSPRO warehouses to Cin7 locations."""

    syspro_warehouse: str
    cin7_location: str


SCHEMAS: dict[str, type[_MappingTable]] = {
    "gl_accounts": GlAccounts,
    "cost_centres": CostCentres,
    "tax_codes": TaxCodes,
    "payment_terms": PaymentTerms,
    "currencies": Currencies,
    "warehouses": Warehouses,
}
"""The pandera schema of each mapping table; its file is `<name>.csv`."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "gl_accounts": ("match", "syspro_code", "cin7_account", "role", "note"),
    "cost_centres": ("syspro_cost_centre", "cin7_value", "note"),
    "tax_codes": ("syspro_tax_code", "cin7_tax_rule", "note"),
    "payment_terms": ("syspro_terms_code", "cin7_payment_term", "note"),
    "currencies": ("syspro_currency", "iso_code", "note"),
    "warehouses": ("syspro_warehouse", "cin7_location", "note"),
}
"""The columns of each mapping table as its file has them; `note` may be left out."""


@dataclass(frozen=True)
class MappingProblem:
    """One thing to correct: `line` of the file from 1, what was `found`, and what to do."""

    file: str
    line: int
    column: str
    found: str
    message: str

    def __str__(self) -> str:
        column = f"{self.column}: " if self.column else ""
        return f"{self.file}:{self.line}: {column}found {self.found!r}, {self.message}"


@dataclass(frozen=True)
class Mappings:
    """The good rows of each table that has a file, and everything to correct.

    A table has the columns of `COLUMNS`, all text, and the line of the file as its index;
    a blank role reads `expense`. A table whose file is absent is absent.
    """

    tables: dict[str, pd.DataFrame]
    problems: tuple[MappingProblem, ...]
    folder: Path = Path()

    def account_mapping(self, connection: Connection) -> AccountMapping:
        """Return the look-up of GL codes; empty when `gl_accounts.csv` is absent."""
        table = self.tables.get("gl_accounts")
        if table is None:
            return AccountMapping({}, connection.syspro.gl_code)
        return AccountMapping.from_table(table, connection.syspro.gl_code)

    def code_mapping(self, name: str, connection: Connection) -> CodeMapping:
        """Return the look-up of another table, or what holds when its file is absent."""
        table = self.tables.get(name)
        if table is not None:
            return CodeMapping.from_table(table)
        defaults = connection.defaults
        absent = {
            "cost_centres": CodeMapping({}, lambda code: code),
            "currencies": CodeMapping({}, _iso_or_none),
            "tax_codes": CodeMapping({}, lambda _code: defaults.tax_rule),
            "payment_terms": CodeMapping({}, lambda _code: defaults.payment_term),
            "warehouses": CodeMapping({}, lambda _code: defaults.location),
        }
        return absent[name]


@dataclass(frozen=True)
class MappedAccount:
    """Where a GL code goes: the Cin7 account, its role, and the row that says so."""

    cin7_account: str
    role: Role
    rule: str


@dataclass(frozen=True)
class AccountMapping:
    """GL codes to Cin7 accounts: exact before account section before the longest prefix."""

    rules: Mapping[tuple[str, str], MappedAccount]
    gl_code: GlCode

    @classmethod
    def from_table(cls, table: pd.DataFrame, gl_code: GlCode) -> Self:
        """Return the look-up of a validated `gl_accounts` table."""
        columns = (table[name] for name in ("match", "syspro_code", "cin7_account", "role"))
        rules = {
            (match, code): MappedAccount(account, cast("Role", role), f"{match} {code}")
            for match, code, account, role in zip(*columns, strict=True)
        }
        return cls(rules, gl_code)

    def lookup(self, gl_code: str) -> MappedAccount | None:
        """Return the account of a GL code, None when no row speaks of it."""
        exact = self.rules.get(("exact", gl_code))
        return exact or self._by_section(gl_code) or self._by_prefix(gl_code)

    def _by_section(self, code: str) -> MappedAccount | None:
        try:
            account, _cost_centre = self.gl_code.split(code)
        except GlCodeError:
            return None  # a code of another shape has no account section to go by
        return self.rules.get(("section", account))

    def _by_prefix(self, code: str) -> MappedAccount | None:
        beginnings = (("prefix", code[:length]) for length in range(len(code), 0, -1))
        return next((self.rules[key] for key in beginnings if key in self.rules), None)


def _nothing(_code: str) -> None:
    return None


@dataclass(frozen=True)
class CodeMapping:
    """SYSPRO codes to what Cin7 calls them; `otherwise` answers for codes not in `known`."""

    known: Mapping[str, str]
    otherwise: Callable[[str], str | None] = _nothing

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> Self:
        """Return the look-up of a validated table: its first column to its second."""
        return cls(dict(zip(table.iloc[:, 0], table.iloc[:, 1], strict=True)))

    def lookup(self, code: str) -> str | None:
        """Return what Cin7 calls a SYSPRO code, None when nothing says so."""
        found = self.known.get(code)
        return self.otherwise(code) if found is None else found


def _iso_or_none(code: str) -> str | None:
    return code if re.fullmatch("[A-Z]{3}", code) else None


def read_mappings(folder: Path) -> Mappings:
    """Read and validate the mapping tables of a connection's folder."""
    tables: dict[str, pd.DataFrame] = {}
    problems = list(_unknown_files(folder))
    for name in SCHEMAS:
        path = folder / f"{name}.csv"
        if path.is_file():
            tables[name], found = read_table(name, path.read_bytes(), path.as_posix())
            problems += found
        elif name == "gl_accounts":
            message = "expected this file: without it no posting has a Cin7 account; write it"
            problems.append(MappingProblem(path.as_posix(), 1, "", "no file", message))
    return Mappings(tables, tuple(problems), folder)


def _unknown_files(folder: Path) -> Iterator[MappingProblem]:
    """Yield the CSV files that nothing reads: a misspelt optional file must not look absent."""
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in SCHEMAS:
            message = f"expected a mapping table's name; {suggestion(path.stem, SCHEMAS)}"
            yield MappingProblem(path.as_posix(), 1, "", path.name, message)


def read_table(
    name: str, content: bytes, file: str
) -> tuple[pd.DataFrame, list[MappingProblem]]:
    """Return the good rows of a mapping file's content, and what is wrong with the others."""
    table, problems = _read_csv(content, file, COLUMNS[name])
    order = {column: place for place, column in enumerate(table.columns)}
    try:
        SCHEMAS[name].validate(table, lazy=True)
    except SchemaErrors as errors:
        found = _schema_problems(errors, table, file)
        problems += found
        table = table.drop(index=[*{problem.line for problem in found}])
    if "role" in table:
        table = table.assign(role=table["role"].replace("", "expense"))
    problems.sort(key=lambda problem: (problem.line, order.get(problem.column, -1)))
    return table, problems


def _schema_problems(
    errors: SchemaErrors, raw: pd.DataFrame, file: str
) -> list[MappingProblem]:
    """Return a problem for each cell that a check refused; a duplicate shows at its key."""
    key = _key_columns(list(raw.columns))[-1]
    cases = errors.failure_cases
    return [
        MappingProblem(file, int(line), column, str(found), check)
        for column, check, found, line in zip(
            cases["column"], cases["check"], cases["failure_case"], cases["index"], strict=True
        )
        if check != _DUPLICATE or column == key
    ]


def _read_csv(
    content: bytes, file: str, expected: tuple[str, ...]
) -> tuple[pd.DataFrame, list[MappingProblem]]:
    """Return the rows that have every expected column, as text, indexed by line."""
    records, problems = _records(content, file)
    header_line, header = records[0] if records else (1, [])
    if header or not problems:
        problems += _header_problems(header, file, header_line, expected)
    usable = {*expected} <= {*header, _OPTIONAL_COLUMN} and len({*header}) == len(header)
    rows, lines = [], []
    for line, cells in records[1:] if usable else []:
        if len(cells) != len(header):
            message = (
                f"expected {len(header)}, as in the first line; quote a value with a comma"
            )
            problems.append(MappingProblem(file, line, "", f"{len(cells)} values", message))
            continue
        row = dict(zip(header, cells, strict=True))
        rows.append([row.get(column, "") for column in expected])
        lines.append(line)
    index = pd.Index(lines, dtype="int64", name="line")
    return pd.DataFrame(rows, index=index, columns=list(expected), dtype="str"), problems


def _records(
    content: bytes, file: str
) -> tuple[list[tuple[int, list[str]]], list[MappingProblem]]:
    """Return each record that is not blank, with the line it begins on."""
    try:
        text = content.replace(b"\0", b"\xff").decode("utf-8-sig")  # NUL: UTF-16, or no text
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = "expected UTF-8; save the file as 'CSV UTF-8'"
        return [], [MappingProblem(file, line, "", "another encoding", message)]
    records: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begin = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                records.append((begin, cells))
            begin = reader.line_num + 1
    except csv.Error as error:
        message = "expected closed quotes, doubled inside a value; rows from here are not read"
        return records, [MappingProblem(file, begin, "", str(error), message)]
    return records, []


def _header_problems(
    header: list[str], file: str, line: int, expected: tuple[str, ...]
) -> list[MappingProblem]:
    wanted = f"expected {','.join(expected)}"
    if len(header) < 2:
        text = header[0] if header else "nothing"
        separated = "; separate the columns with commas" if ";" in text or "\t" in text else ""
        return [MappingProblem(file, line, "", text, f"{wanted} in the first line{separated}")]
    problems = []
    for column in dict.fromkeys(header):
        if column not in expected:
            message = f"unknown column; {suggestion(column, expected)}"
            problems.append(MappingProblem(file, line, column, column, message))
        elif header.count(column) > 1:
            message = "the column is there twice; remove one"
            problems.append(MappingProblem(file, line, column, column, message))
    for column in expected:
        if column not in header and column != _OPTIONAL_COLUMN:
            message = f"missing column: {wanted} in the first line; no row is read until then"
            problems.append(MappingProblem(file, line, column, ",".join(header), message))
    return problems


def check_against_cin7(
    mappings: Mappings,
    accounts: Mapping[str, tuple[str, str]],
    tax_rules: Collection[str],
    payment_terms: Collection[str],
    locations: Collection[str],
) -> tuple[MappingProblem, ...]:
    """Return every mapped target that Cin7 does not have or no longer uses.

    Args:
        mappings: the connection's tables.
        accounts: status and class of every Cin7 account by code.
        tax_rules: names of the active tax rules.
        payment_terms: names of the active payment terms.
        locations: names of the locations that are not deprecated.
    """
    problems = list(_account_problems(mappings, accounts))
    for name, kind, known in (
        ("tax_codes", "tax rule", tax_rules),
        ("payment_terms", "payment term", payment_terms),
        ("warehouses", "location", locations),
    ):
        problems += _target_problems(mappings, name, kind, frozenset(known))
    return tuple(problems)


def _account_problems(
    mappings: Mappings, accounts: Mapping[str, tuple[str, str]]
) -> Iterator[MappingProblem]:
    table = mappings.tables.get("gl_accounts")
    if table is None:
        return
    file = (mappings.folder / "gl_accounts.csv").as_posix()
    for line, code, role in zip(table.index, table["cin7_account"], table["role"], strict=True):
        message = _account_problem(code, role, accounts)
        if message:
            yield MappingProblem(file, int(line), "cin7_account", code, message)


def _account_problem(
    code: str, role: str, accounts: Mapping[str, tuple[str, str]]
) -> str | None:
    if code not in accounts:
        return f"expected an account of Cin7; {suggestion(code, accounts)}"
    status, account_class = accounts[code]
    if status.upper() != "ACTIVE":
        return f"expected an active account, Cin7 has it {status}; activate it or map another"
    if role == "payable" and account_class.upper() != "LIABILITY":
        return f"expected a LIABILITY account for role payable, Cin7 has it {account_class}"
    return None


def _target_problems(
    mappings: Mappings, name: str, kind: str, known: frozenset[str]
) -> Iterator[MappingProblem]:
    table = mappings.tables.get(name)
    if table is None:
        return
    file, column = (mappings.folder / f"{name}.csv").as_posix(), str(table.columns[1])
    for line, target in zip(table.index, table[column], strict=True):
        if target not in known:
            message = f"expected an active {kind} of Cin7; {suggestion(target, known)}"
            yield MappingProblem(file, int(line), column, target, message)
