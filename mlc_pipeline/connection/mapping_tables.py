"""The mapping tables and the supplier links as files: pandera schemas, reading one of them.

Every cell is text (leading zeros stay); a bad row is left out and told, the good rows go on.
`valid_from`, `valid_to` (both included, blank is open) and `note` may be left out.

What must not come in: the network, the database, what a row means for a document.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import combinations

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from mlc_pipeline.connection.errors import suggestion
from mlc_pipeline.connection.mapping_problems import MappingProblem
from mlc_pipeline.connection.supplier_links import DECISIONS, IGNORE, Decision

MATCHES = ("exact", "section", "prefix")
ROLES = ("expense", "tax", "payable")
LINKS = "supplier_links"
"""The one file that maps nothing: what people decided about suppliers."""
OPTIONAL_COLUMNS = ("valid_from", "valid_to", "note")
LONGEST_COST_CENTRE = 256
"""Characters of a charge's reference and of a line's comment in Cin7."""

_BETWEEN_ROWS = ("repeated", "contradicting", "overlapping")
_BETWEEN_DECISIONS = ("decided_twice", "disagreeing")
_DAY = r"\d{4}-\d{2}-\d{2}"


def _key_columns(columns: Collection[str]) -> list[str]:
    """Return the columns whose values together name a row."""
    return [name for name in columns if name == "match" or name.startswith("syspro_")]


def _target_columns(columns: Collection[str]) -> list[str]:
    return [name for name in columns if name.startswith(("cin7_", "iso_")) or name == "role"]


def _day(text: str) -> dt.date | None:
    """Return a date of the calendar written YYYY-MM-DD, else None."""
    if not re.fullmatch(_DAY, text):
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _is_day_or_open(text: str) -> bool:
    return text == "" or _day(text) is not None


def _is_backwards(valid_from: str, valid_to: str) -> bool:
    first, last = _day(valid_from), _day(valid_to)
    return first is not None and last is not None and last < first


def _first(text: str) -> str:
    return text or dt.date.min.isoformat()


def _last(text: str) -> str:
    return text or dt.date.max.isoformat()


def _is_visible(text: str) -> bool:
    """Tell whether all characters within a text can be seen; blanks at its ends aside."""
    return all(c.isprintable() for c in text.strip())


Cells = dict[str, str]
"""A row by column."""


def _conflicts(table: pd.DataFrame) -> dict[int, tuple[str, int]]:
    """Return the lines that another line stands against: kind, other line."""
    if "decision" in table:
        return _decision_conflicts(table)
    keys = _key_columns(list(table.columns))
    if not table.duplicated(keys).any():
        return {}
    targets = _target_columns(list(table.columns))
    groups: dict[tuple[str, ...], list[tuple[int, Cells]]] = {}
    for line, row in cells_of(table):
        groups.setdefault(tuple(row[key] for key in keys), []).append((line, row))
    found: dict[int, tuple[str, int]] = {}
    for rows in groups.values():
        for (one, first), (other, second) in combinations(rows, 2):
            kind = _conflict(first, second, targets)
            if kind:
                found.setdefault(one, (kind, other))
                found.setdefault(other, (kind, one))
    return found


def cells_of(table: pd.DataFrame) -> Iterator[tuple[int, Cells]]:
    """Yield each row of a table with its line in the file."""
    for line, row in zip(table.index, table.to_dict("records"), strict=True):
        yield int(line), {str(column): str(value) for column, value in row.items()}


def _conflict(one: Cells, other: Cells, targets: list[str]) -> str | None:
    """Return how two rows of one code contradict each other, None when they do not."""
    periods = [(row["valid_from"], row["valid_to"]) for row in (one, other)]
    if not all(_is_day_or_open(day) for period in periods for day in period):
        return None  # told already; nothing more is known of the row
    (from_one, to_one), (from_other, to_other) = periods
    if _last(to_one) < _first(from_other) or _last(to_other) < _first(from_one):
        return None
    if periods[0] != periods[1]:
        return "overlapping"
    return "repeated" if all(one[t] == other[t] for t in targets) else "contradicting"


def decisions_of(table: pd.DataFrame) -> tuple[Decision, ...]:
    """Return the rows of a table of supplier links."""
    return tuple(
        Decision(
            row["decision"].strip(),
            row["syspro_supplier"].strip(),
            row["cin7_supplier"].strip(),
            row["note"],
            line,
        )
        for line, row in cells_of(table)
    )


def _decision_conflicts(table: pd.DataFrame) -> dict[int, tuple[str, int]]:
    """Return the decisions that stand twice or cannot both hold: kind, other line."""
    groups: dict[tuple[str, str], list[Decision]] = {}
    for row in decisions_of(table):
        if row.decision in DECISIONS:  # else told already
            for side, key in zip(("syspro", "cin7"), row.pair, strict=True):
                groups.setdefault((side, key), []).append(row)
    found: dict[int, tuple[str, int]] = {}
    for (_side, key), rows in groups.items():
        for one, other in combinations(rows, 2) if key else ():
            is_twice = (one.decision, one.pair) == (other.decision, other.pair)
            if is_twice or one.disagrees(other):
                kind = _BETWEEN_DECISIONS[0 if is_twice else 1]
                found.setdefault(one.line, (kind, other.line))
                found.setdefault(other.line, (kind, one.line))
    return found


class _Table(pa.DataFrameModel):
    """What all files have in common; the name of a check is the kind of problem."""

    note: str

    @pa.check("^(?!note)", regex=True, error="blanks_around")
    def _tidy(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        stripped = column.str.strip()
        return (column == stripped) | (stripped == "")

    @pa.check("^(?!note)", regex=True, error="hidden_character")
    def _visible(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.map(_is_visible).astype(bool)

    @pa.check("^(syspro|cin7)_", regex=True, error="spreadsheet_number")
    def _no_number(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return ~column.str.fullmatch(r"\s*\d([.,]\d+)?[Ee]\+\d+\s*")

    @pa.check("^(syspro|cin7|iso)_", regex=True, error="spreadsheet_error")
    def _no_error(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return ~column.str.fullmatch(r"#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!)")

    @pa.check("^(syspro|cin7|iso)_", regex=True, error="formula")
    def _no_formula(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return ~column.str.startswith("=")

    class Config:
        """Closed: no column that is not named."""

        strict = True


def _without(table: pd.DataFrame, kind: str) -> pd.Series[bool]:
    """Return the rows that are in no conflict of a kind."""
    lines = {line for line, (found, _) in _conflicts(table).items() if found == kind}
    return pd.Series(~table.index.isin(lines), index=table.index)


class _MappingTable(_Table):
    """What the six mapping tables have in common."""

    valid_from: str
    valid_to: str

    @pa.check("^syspro_", regex=True, error="blank_code")
    def _has_code(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip() != ""

    @pa.check("^(cin7|iso)_", regex=True, error="blank_target")
    def _has_target(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip() != ""

    @pa.check("valid_from", error="from_unreadable")
    def _from_readable(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip().map(_is_day_or_open).astype(bool)

    @pa.check("valid_to", error="to_unreadable")
    def _to_readable(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip().map(_is_day_or_open).astype(bool)

    @pa.dataframe_check(error="period_backwards")
    def _forwards(cls, table: pd.DataFrame) -> pd.Series[bool]:  # noqa: N805
        periods = zip(table["valid_from"], table["valid_to"], strict=True)
        return pd.Series([not _is_backwards(*p) for p in periods], table.index, dtype=bool)

    @pa.dataframe_check(error=_BETWEEN_ROWS[0])
    def _not_repeated(cls, table: pd.DataFrame) -> pd.Series[bool]:  # noqa: N805
        return _without(table, _BETWEEN_ROWS[0])

    @pa.dataframe_check(error=_BETWEEN_ROWS[1])
    def _not_contradicting(cls, table: pd.DataFrame) -> pd.Series[bool]:  # noqa: N805
        return _without(table, _BETWEEN_ROWS[1])

    @pa.dataframe_check(error=_BETWEEN_ROWS[2])
    def _not_overlapping(cls, table: pd.DataFrame) -> pd.Series[bool]:  # noqa: N805
        return _without(table, _BETWEEN_ROWS[2])


class GlAccounts(_MappingTable):
    """SYSPRO GL codes, whole, by account section or by beginning, to Cin7 accounts."""

    match: str
    syspro_code: str
    cin7_account: str
    role: str

    @pa.check("match", error="blank_match")
    def _has_match(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip() != ""

    @pa.check("match", error="unknown_match")
    def _known_match(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip().isin(["", *MATCHES])

    @pa.check("role", error="unknown_role")
    def _known_role(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip().isin(["", *ROLES])


class CostCentres(_MappingTable):
    """SYSPRO cost centres to the text that Cin7 shows."""

    syspro_cost_centre: str
    cin7_value: str

    @pa.check("cin7_value", error="too_long")
    def _fits(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.len() <= LONGEST_COST_CENTRE


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

    @pa.check("iso_code", error="iso_code")
    def _iso(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        stripped = column.str.strip()
        return stripped.str.fullmatch("[A-Z]{3}") | (stripped == "")


class Warehouses(_MappingTable):
    """SYSPRO warehouses to Cin7 locations."""

    syspro_warehouse: str
    cin7_location: str


class SupplierLinksTable(_Table):
    """What people decided about SYSPRO suppliers and Cin7 suppliers."""

    syspro_supplier: str
    cin7_supplier: str
    decision: str

    @pa.check("decision", error="unknown_decision")
    def _known_decision(cls, column: pd.Series[str]) -> pd.Series[bool]:  # noqa: N805
        return column.str.strip().isin(DECISIONS)

    @pa.dataframe_check(error="blank_supplier")
    def _has_supplier(cls, table: pd.DataFrame) -> pd.Series[bool]:  # noqa: N805
        is_there, other = _is_filled(table["syspro_supplier"]), table["cin7_supplier"]
        return is_there | (table["decision"].str.strip().eq(IGNORE) & _is_filled(other))

    @pa.dataframe_check(error="blank_id")
    def _has_id(cls, table: pd.DataFrame) -> pd.Series[bool]:  # noqa: N805
        needs_none = ~table["decision"].str.strip().isin([d for d in DECISIONS if d != IGNORE])
        return needs_none | _is_filled(table["cin7_supplier"])

    @pa.dataframe_check(error=_BETWEEN_DECISIONS[0])
    def _decided_once(cls, table: pd.DataFrame) -> pd.Series[bool]:  # noqa: N805
        return _without(table, _BETWEEN_DECISIONS[0])

    @pa.dataframe_check(error=_BETWEEN_DECISIONS[1])
    def _agreeing(cls, table: pd.DataFrame) -> pd.Series[bool]:  # noqa: N805
        return _without(table, _BETWEEN_DECISIONS[1])


def _is_filled(column: pd.Series[str]) -> pd.Series[bool]:
    return column.str.strip() != ""


SCHEMAS: dict[str, type[_Table]] = {
    "gl_accounts": GlAccounts,
    "cost_centres": CostCentres,
    "tax_codes": TaxCodes,
    "payment_terms": PaymentTerms,
    "currencies": Currencies,
    "warehouses": Warehouses,
    LINKS: SupplierLinksTable,
}
"""The pandera schema of each file; its name is `<name>.csv`."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "gl_accounts": ("match", "syspro_code", "cin7_account", "role", *OPTIONAL_COLUMNS),
    "cost_centres": ("syspro_cost_centre", "cin7_value", *OPTIONAL_COLUMNS),
    "tax_codes": ("syspro_tax_code", "cin7_tax_rule", *OPTIONAL_COLUMNS),
    "payment_terms": ("syspro_terms_code", "cin7_payment_term", *OPTIONAL_COLUMNS),
    "currencies": ("syspro_currency", "iso_code", *OPTIONAL_COLUMNS),
    "warehouses": ("syspro_warehouse", "cin7_location", *OPTIONAL_COLUMNS),
    LINKS: ("syspro_supplier", "cin7_supplier", "decision", "note"),
}
"""The columns of each file; those of `OPTIONAL_COLUMNS` may be left out."""


def read_table(
    name: str, content: bytes, file: str
) -> tuple[pd.DataFrame, list[MappingProblem]]:
    """Return the good rows of a mapping file's content, and what is wrong with the others.

    Args:
        name: one of `SCHEMAS`.
        content: the file's bytes.
        file: its path, as problems show it.

    Returns:
        A frame with the columns of `COLUMNS`, all text, indexed by the line in the file (a
        blank role reads `expense`); and the problems in the order of the file.
    """
    table, _refused, problems = _read(name, content, file)
    return table.copy(), list(problems)


def refused_rows(name: str, content: bytes, file: str) -> pd.DataFrame:
    """Return the bad rows of a file's content as they stand there, cells that lack blank."""
    return _read(name, content, file)[1].copy()


# A cycle looks at the files at each of its borders, and they are the same each time.
@lru_cache(maxsize=256)
def _read(
    name: str, content: bytes, file: str
) -> tuple[pd.DataFrame, pd.DataFrame, list[MappingProblem]]:
    """Return the good rows, the bad rows, and what is wrong with them."""
    table, refused, problems = _read_csv(content, file, COLUMNS[name])
    order = {column: place for place, column in enumerate(table.columns)}
    try:
        SCHEMAS[name].validate(table, lazy=True)
    except SchemaErrors as errors:
        found = list(_schema_problems(errors, table, file))
        problems += found
        is_bad = table.index.isin([problem.line for problem in found])
        refused = pd.concat([refused, table[is_bad]]).sort_index()
        table = table[~is_bad]
    if "role" in table:
        table = table.assign(role=table["role"].replace("", "expense"))
    problems.sort(key=lambda problem: (problem.line, order.get(problem.column, -1)))
    return table, refused, problems


_SHOWN_AT = {
    **dict.fromkeys(_BETWEEN_ROWS, ""),
    **dict.fromkeys(_BETWEEN_DECISIONS, "decision"),
    "period_backwards": "valid_to",
    "blank_supplier": "syspro_supplier",
    "blank_id": "cin7_supplier",
}
"""Where a check of whole rows shows; blank is the code."""


def _schema_problems(
    errors: SchemaErrors, raw: pd.DataFrame, file: str
) -> Iterator[MappingProblem]:
    """Yield a problem for each cell that a check refused."""
    code = _key_columns(list(raw.columns))[-1]
    conflicts = _conflicts(raw)
    cases = errors.failure_cases
    for column, kind, found, index in zip(
        cases["column"], cases["check"], cases["failure_case"], cases["index"], strict=True
    ):
        line, other = int(index), ""
        if kind in _SHOWN_AT and column != (_SHOWN_AT[kind] or code):
            continue  # pandera names every cell of the row
        if kind in (*_BETWEEN_ROWS, *_BETWEEN_DECISIONS):
            other = str(conflicts[line][1])
        elif kind == "period_backwards":
            other = str(raw["valid_from"][line])
        elif kind == "too_long":
            other = str(LONGEST_COST_CENTRE)
        yield MappingProblem(file, line, column, str(found), kind, other)


def _read_csv(
    content: bytes, file: str, expected: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame, list[MappingProblem]]:
    """Return the rows with a value for each column, as text by line, and those without."""
    records, problems = _records(content, file)
    header_line, header = records[0] if records else (1, [])
    if header or not problems:
        problems += _header_problems(header, file, header_line, expected)
    usable = {*expected} <= {*header, *OPTIONAL_COLUMNS} and len({*header}) == len(header)
    rows: dict[int, list[str]] = {}
    odd: dict[int, list[str]] = {}
    for line, cells in records[1:] if usable else []:
        row = dict(zip(header, cells, strict=False))
        values = [row.get(column, "") for column in expected]
        if len(cells) == len(header):
            rows[line] = values
            continue
        odd[line] = values
        kind = "too_few_values" if len(cells) < len(header) else "too_many_values"
        found = f"{len(cells)} values"
        problems.append(MappingProblem(file, line, "", found, kind, str(len(header))))
    return _frame(rows, expected), _frame(odd, expected), problems


def _frame(rows: dict[int, list[str]], columns: tuple[str, ...]) -> pd.DataFrame:
    """Return rows of text by their line."""
    index = pd.Index([*rows], dtype="int64", name="line")
    return pd.DataFrame([*rows.values()], index=index, columns=[*columns], dtype="str")


def _records(
    content: bytes, file: str
) -> tuple[list[tuple[int, list[str]]], list[MappingProblem]]:
    """Return each record that is not blank, with the line it begins on."""
    try:
        text = content.replace(b"\0", b"\xff").decode("utf-8-sig")  # NUL: UTF-16, or no text
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [], [MappingProblem(file, line, "", "another encoding", "encoding")]
    records: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begin = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                records.append((begin, cells))
            begin = reader.line_num + 1
    except csv.Error as error:
        return records, [MappingProblem(file, begin, "", str(error), "quotes")]
    return records, []


def _header_problems(
    header: list[str], file: str, line: int, expected: tuple[str, ...]
) -> list[MappingProblem]:
    wanted = ",".join(expected)
    if len(header) < 2:
        text = header[0] if header else "nothing"
        kind = "separator" if ";" in text or "\t" in text else "header"
        return [MappingProblem(file, line, "", text, kind, wanted)]
    problems = []
    for column in dict.fromkeys(header):
        if column not in expected:
            other = suggestion(column, expected)
            problems.append(MappingProblem(file, line, column, column, "unknown_column", other))
        elif header.count(column) > 1:
            problems.append(MappingProblem(file, line, column, column, "doubled_column"))
    for column in expected:
        if column not in header and column not in OPTIONAL_COLUMNS:
            found = ",".join(header)
            problems.append(MappingProblem(file, line, column, found, "missing_column", wanted))
    return problems
