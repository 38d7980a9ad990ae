"""The mapping tables of a connection: its folder read, and the look-ups as of a day.

Six CSV files stand beside `connection.yaml`. Only `gl_accounts.csv` must be there: without
`cost_centres.csv` a cost centre stands for itself, without `currencies.csv` a code of three
capital letters does, without the others the connection's default holds for every code. A
file that is there speaks for itself alone, even when empty. A seventh file,
`supplier_links.csv`, maps nothing: it is what people decided about suppliers.

What must not come in: the network, the database, Dagster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, Self, cast

import pandas as pd

from mlc_pipeline.connection.errors import GlCodeError, suggestion
from mlc_pipeline.connection.mapping_problems import MappingProblem
from mlc_pipeline.connection.mapping_tables import (
    COLUMNS,
    LINKS,
    SCHEMAS,
    decisions_of,
    read_table,
    refused_rows,
)
from mlc_pipeline.connection.model import Connection, GlCode
from mlc_pipeline.connection.supplier_links import NO_LINKS, SupplierLinks

Role = Literal["expense", "tax", "payable"]


@dataclass(frozen=True)
class Mappings:
    """The good rows of each table that has a file, and everything to correct.

    A table has the columns of `COLUMNS`, all text, and the line of the file as its index;
    a blank role reads `expense`. A table whose file is absent is absent. What people decided
    about suppliers stands apart.
    """

    tables: dict[str, pd.DataFrame]
    problems: tuple[MappingProblem, ...]
    folder: Path = Path()
    supplier_links: SupplierLinks = NO_LINKS

    @property
    def is_dated(self) -> bool:
        """Whether any row is valid for some days only."""
        return any(
            bool(((table["valid_from"] != "") | (table["valid_to"] != "")).any())
            for table in self.tables.values()
        )

    def file(self, name: str) -> str:
        """Return the path of a table's file, as problems show it."""
        return (self.folder / f"{name}.csv").as_posix()

    def account_mapping(self, connection: Connection, on: date) -> AccountMapping:
        """Return the look-up of GL codes on a day; empty without `gl_accounts.csv`."""
        table = self.tables.get("gl_accounts")
        if table is None:
            return AccountMapping({}, connection.syspro.gl_code)
        return AccountMapping.from_table(valid_rows(table, on), connection.syspro.gl_code)

    def code_mapping(self, name: str, connection: Connection, on: date) -> CodeMapping:
        """Return the look-up of another table on a day, or what holds without its file."""
        table = self.tables.get(name)
        if table is not None:
            return CodeMapping.from_table(valid_rows(table, on))
        defaults = connection.defaults
        absent = {
            "cost_centres": CodeMapping({}, lambda code: code),
            "currencies": CodeMapping({}, _iso_or_none),
            "tax_codes": CodeMapping({}, lambda _code: defaults.tax_rule),
            "payment_terms": CodeMapping({}, lambda _code: defaults.payment_term),
            "warehouses": CodeMapping({}, lambda _code: defaults.location),
        }
        return absent[name]


def valid_rows(table: pd.DataFrame, on: date) -> pd.DataFrame:
    """Return the rows of a validated table that are valid on a day."""
    day = on.isoformat()  # dates written YYYY-MM-DD sort as text
    began = (table["valid_from"] == "") | (table["valid_from"] <= day)
    lasts = (table["valid_to"] == "") | (table["valid_to"] >= day)
    return table[began & lasts]


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
    links = NO_LINKS
    for name in SCHEMAS:
        path = folder / f"{name}.csv"
        if name == LINKS:
            links = read_supplier_links(folder)
            problems += links.problems
        elif path.is_file():
            tables[name], found = read_table(name, path.read_bytes(), path.as_posix())
            problems += found
        elif name == "gl_accounts":
            problems.append(MappingProblem(path.as_posix(), 1, "", "no file", "no_file"))
    return Mappings(tables, tuple(problems), folder, links)


def read_supplier_links(folder: Path) -> SupplierLinks:
    """Read and validate what people decided about suppliers in a connection's folder."""
    path = folder / f"{LINKS}.csv"
    if not path.is_file():
        return NO_LINKS
    said = (LINKS, path.read_bytes(), path.as_posix())
    table, problems = read_table(*said)
    refused = decisions_of(refused_rows(*said))
    return SupplierLinks(path.as_posix(), decisions_of(table), refused, tuple(problems))


def _unknown_files(folder: Path) -> Iterator[MappingProblem]:
    """Yield the CSV files that nothing reads: a misspelt optional file must not look absent."""
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in SCHEMAS:
            other = suggestion(path.stem, SCHEMAS)
            yield MappingProblem(path.as_posix(), 1, "", path.name, "unknown_file", other)


__all__ = [
    "COLUMNS",
    "SCHEMAS",
    "AccountMapping",
    "CodeMapping",
    "MappedAccount",
    "MappingProblem",
    "Mappings",
    "Role",
    "read_mappings",
    "read_supplier_links",
    "read_table",
    "valid_rows",
]
