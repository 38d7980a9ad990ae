"""Read and write a folder of the neutral form: CSV tables, gzipped or not, and manifest.json.

Everything is text; what a cell must hold follows from the row classes of `model`. A pack
with one wrong cell is refused whole, naming file, line, column, found and expected.

What must not come in: SYSPRO's or Cin7's names, rules that make up values.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, replace
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mlc_pipeline.sandbox.company.model import TABLES, Company, Table

MANIFEST = "manifest.json"


class PackError(ValueError):
    """A folder that is not a pack; the message says where, what was found, what to put."""


def read_pack(folder: Path) -> Company:
    """Read a pack and hold it against its own keys, references, row counts and totals.

    Raises:
        PackError: naming file, line, column, what was found and what was expected.
    """
    manifest = _read_manifest(folder)
    loaded = {name: _read_table(folder, name) for name in TABLES}
    if not loaded["suppliers"].rows:
        raise PackError(f"{folder}: found no suppliers.csv or suppliers.csv.gz with rows")
    for name, found in loaded.items():
        _check_keys(TABLES[name], found)
        _check_references(TABLES[name], found, loaded)
    _check_journals(loaded["invoices"])
    _check_manifest(folder, manifest, loaded)
    tables: dict[str, Any] = {name: tuple(found.rows) for name, found in loaded.items()}
    company = Company(name=str(manifest.get("pack") or folder.name), **tables)
    local = manifest.get("local_currency") or _commonest_currency(company)
    return replace(company, local_currency=str(local))


def write_pack(company: Company, folder: Path, *, compressed: bool = True) -> None:
    """Write a company as a pack; the same company gives the same bytes.

    Columns that hold nothing in any row, and tables without rows, are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {
        "pack": company.name,
        "local_currency": company.local_currency,
        "tables": {},
        "control_totals": {},
    }
    for name, table in TABLES.items():
        rows = company.rows(name)
        if not rows:
            continue
        columns = _columns_in_use(table, rows)
        data = _csv_bytes(columns, rows)
        if compressed:
            data = gzip.compress(data, mtime=0)
        suffix = ".csv.gz" if compressed else ".csv"
        (folder / f"{name}{suffix}").write_bytes(data)
        manifest["tables"][name] = {
            "rows": len(rows),
            "columns": columns,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for column in _TOTALS.get(name, ()):
            total = sum((getattr(row, column) for row in rows), Decimal(0))
            manifest["control_totals"][f"{name}.{column}"] = str(total)
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


_TOTALS = {
    "invoices": ("net", "tax"),
    "gl_distributions": ("amount",),
    "receipts": ("value",),
    "payments": ("amount",),
}


@dataclass(frozen=True)
class _Loaded:
    """A table as read: its file, its rows and the line each row ended on."""

    file: str
    rows: list[Any]
    lines: list[int]


@dataclass(frozen=True)
class _Cell:
    """How a cell of a column becomes a value."""

    parse: Callable[[str], Any]
    expected: str
    blank_allowed: bool
    blank_value: Any


def _text(value: str) -> str:
    return value


def _integer(value: str) -> int:
    if not re.fullmatch(r"-?[0-9]+", value):
        raise ValueError(value)
    return int(value)


def _decimal(value: str) -> Decimal:
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        raise ValueError(value)
    return Decimal(value)


def _date(value: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError(value)
    return date.fromisoformat(value)


def _boolean(value: str) -> bool:
    return {"true": True, "false": False}[value.lower()]


_PARSERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    str: (_text, "text"),
    int: (_integer, "a whole number"),
    Decimal: (_decimal, "a number such as 1234.50, without separators"),
    date: (_date, "a date such as 2026-10-31"),
    bool: (_boolean, "True or False"),
}


@cache
def _cells(row: type) -> dict[str, _Cell]:
    hints = get_type_hints(row)
    return {each.name: _cell(hints[each.name], each) for each in fields(row)}


def _cell(hint: Any, column: Field[Any]) -> _Cell:
    """Derive from the field's type what its cells may hold."""
    default = None if column.default is MISSING else column.default
    if get_origin(hint) is Literal:
        allowed = get_args(hint)
        names = ", ".join(repr(each) for each in allowed if each)
        return _Cell(
            {each: each for each in allowed}.__getitem__, f"one of {names}", True, default
        )
    options = [each for each in get_args(hint) if each is not type(None)] or [hint]
    parse, expected = _PARSERS[options[0]]
    if options[0] is str:
        return _Cell(parse, expected, True, "")
    blank_allowed = column.default is not MISSING or options[0] is not hint
    return _Cell(parse, expected, blank_allowed, default)


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PackError(
            f'{folder}: found no {MANIFEST}; a pack needs one, at least {{"pack": "<name>"}}'
        ) from None
    try:
        manifest = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise PackError(f"{folder / MANIFEST}, line {error.lineno}: {error.msg}") from error
    checked = _object(folder, manifest)
    for table in _object(folder, checked.setdefault("tables", {})).values():
        _object(folder, table)
    _object(folder, checked.setdefault("control_totals", {}))
    return checked


def _object(folder: Path, found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise PackError(f"{folder / MANIFEST}: found {found!r}, expected an object in braces")
    return found


def _open_table(folder: Path, name: str) -> tuple[str, str] | None:
    """File name and text of a table; None when the folder has none."""
    plain, packed = folder / f"{name}.csv", folder / f"{name}.csv.gz"
    if plain.exists() and packed.exists():
        raise PackError(f"{folder}: found both {plain.name} and {packed.name}, expected one")
    if plain.exists():
        return str(plain), _decoded(plain, plain.read_bytes())
    if not packed.exists():
        return None
    try:
        data = gzip.decompress(packed.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise PackError(f"{packed}: {error}; expected a gzip file") from error
    return str(packed), _decoded(packed, data)


def _decoded(file: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        found = data[error.start : error.end]
        raise PackError(f"{file}, line {line}: found {found!r}, expected UTF-8 text") from error


def _read_table(folder: Path, name: str) -> _Loaded:
    opened = _open_table(folder, name)
    if opened is None:
        return _Loaded(str(folder / f"{name}.csv"), [], [])
    file, text = opened
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, lines = [], []
    try:
        columns = _header(file, TABLES[name], next(reader, []))
        for values in filter(None, reader):
            rows.append(_row(file, reader.line_num, TABLES[name].row, columns, values))
            lines.append(reader.line_num)
    except csv.Error as error:
        raise PackError(f"{file}, line {reader.line_num}: {error}") from error
    return _Loaded(file, rows, lines)


def _header(file: str, table: Table, headings: list[str]) -> list[str]:
    """Column names of a heading line, aliases resolved."""
    columns = [table.aliases.get(heading, heading) for heading in headings]
    known = set(table.columns)
    for heading, column in zip(headings, columns, strict=True):
        if column not in known:
            names = ", ".join(sorted(known | set(table.aliases)))
            raise PackError(
                f"{file}, line 1: found column {heading!r}, expected one of {names}"
            )
        if columns.count(column) > 1:
            raise PackError(f"{file}, line 1, column {column}: found twice, expected once")
    for each in fields(table.row):
        if each.default is MISSING and each.name not in columns:
            also = [alias for alias, name in table.aliases.items() if name == each.name]
            names = " or ".join([each.name, *also])
            raise PackError(f"{file}, line 1: found no column {names}, which is required")
    return columns


def _row(file: str, line: int, row: type, columns: list[str], values: list[str]) -> Any:
    if len(values) != len(columns):
        raise PackError(
            f"{file}, line {line}: found {len(values)} cells, expected {len(columns)}"
        )
    cells = _cells(row)
    made = {}
    for column, value in zip(columns, values, strict=True):
        cell = cells[column]
        try:
            if value or not cell.blank_allowed:
                made[column] = cell.parse(value)
            else:
                made[column] = cell.blank_value
        except (ValueError, KeyError):
            raise _wrong(file, line, column, value, cell.expected) from None
    return row(**made)


def _wrong(file: str, line: int, column: str, found: object, expected: str) -> PackError:
    return PackError(
        f"{file}, line {line}, column {column}: found {found!r}, expected {expected}"
    )


def _values(row: Any, columns: Iterable[str]) -> tuple[Any, ...]:
    return tuple(getattr(row, column) for column in columns)


def _check_keys(table: Table, found: _Loaded) -> None:
    """Refuse a blank or repeated key."""
    seen: dict[tuple[Any, ...], int] = {}
    for row, line in zip(found.rows, found.lines, strict=True) if table.key else ():
        key = _values(row, table.key)
        if "" in key:
            column = table.key[key.index("")]
            raise _wrong(found.file, line, column, "", "a value: it is part of the key")
        if key in seen:
            shown = " + ".join(map(str, key))
            raise _wrong(
                found.file,
                line,
                "+".join(table.key),
                shown,
                f"a key that line {seen[key]} does not have already",
            )
        seen[key] = line


def _check_references(table: Table, found: _Loaded, loaded: dict[str, _Loaded]) -> None:
    """Refuse a row that names one that is not there."""
    for reference in table.references:
        target = loaded[reference.table]
        known = {_values(row, reference.target) for row in target.rows}
        optional = all(_has_default(table.row, column) for column in reference.columns)
        for row, line in zip(found.rows, found.lines, strict=True):
            named = _values(row, reference.columns)
            if named not in known and not (optional and "" in named):
                raise _wrong(
                    found.file,
                    line,
                    "+".join(reference.columns),
                    " + ".join(map(str, named)),
                    f"a row of {target.file}",
                )


def _has_default(row: type, column: str) -> bool:
    return next(each for each in fields(row) if each.name == column).default is not MISSING


def _check_journals(invoices: _Loaded) -> None:
    """A document number becomes SYSPRO's journal number, which is a number of ten digits."""
    for row, line in zip(invoices.rows, invoices.lines, strict=True):
        if not re.fullmatch(r"[1-9][0-9]{0,9}", row.document_no):
            expected = "a whole number of 1 to 10 digits without leading zeros"
            raise _wrong(invoices.file, line, "document_no", row.document_no, expected)


def _check_manifest(folder: Path, manifest: dict[str, Any], loaded: dict[str, _Loaded]) -> None:
    """Hold row counts and control totals, where stated, against what was read."""
    for name, stated in manifest["tables"].items():
        if name not in loaded:
            names = ", ".join(TABLES)
            raise PackError(
                f"{folder / MANIFEST}: found table {name!r}, expected one of {names}"
            )
        rows = len(loaded[name].rows)
        if stated.get("rows", rows) != rows:
            raise PackError(
                f"{loaded[name].file}: found {rows} rows, expected {stated['rows']} "
                f"as {MANIFEST} states"
            )
    for name, total in _stated_totals(folder, manifest):
        table, _, column = name.partition(".")
        if table not in loaded or column not in TABLES[table].columns:
            raise PackError(
                f"{folder / MANIFEST}: found control total {name!r}, expected <table>.<column>"
            )
        values = (getattr(row, column) for row in loaded[table].rows)
        read = sum((value for value in values if value is not None), Decimal(0))
        if read != total:
            raise PackError(
                f"{loaded[table].file}, column {column}: found a total of {read}, "
                f"expected {total} as {MANIFEST} states"
            )


def _stated_totals(folder: Path, manifest: dict[str, Any]) -> Iterator[tuple[str, Decimal]]:
    for name, total in manifest["control_totals"].items():
        try:
            yield name, _decimal(str(total))
        except ValueError:
            raise PackError(
                f"{folder / MANIFEST}, {name}: found control total {total!r}, expected a number"
            ) from None


def _commonest_currency(company: Company) -> str:
    """The currency most documents are in: a pack that states none is in one currency."""
    stated = [each.currency for each in company.invoices]
    stated += [each.currency for each in company.purchase_orders]
    counts = Counter(filter(None, stated))
    return counts.most_common(1)[0][0] if counts else company.local_currency


def _columns_in_use(table: Table, rows: tuple[Any, ...]) -> list[str]:
    defaults = {each.name: each.default for each in fields(table.row)}
    return [
        column
        for column, default in defaults.items()
        if default is MISSING or any(getattr(row, column) != default for row in rows)
    ]


def _csv_bytes(columns: list[str], rows: tuple[Any, ...]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_as_text(getattr(row, column)) for column in columns] for row in rows)
    return buffer.getvalue().encode("utf-8")


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else str(value)
