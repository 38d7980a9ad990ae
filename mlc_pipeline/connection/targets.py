"""Mapping rows held against the connection's settings and against Cin7's reference books.

What must not come in: the network, the database, reading files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from mlc_pipeline.connection.errors import suggestion
from mlc_pipeline.connection.mapping_problems import MappingProblem
from mlc_pipeline.connection.mapping_tables import Cells, cells_of
from mlc_pipeline.connection.mappings import Mappings
from mlc_pipeline.connection.model import Connection

ACTIVE = "ACTIVE"
_BANK = "BANK"
_ACCOUNTS_PAYABLE = "accounts payable"


@dataclass(frozen=True)
class BookAccount:
    """An account of Cin7: name, status, class, type, and what the system uses it for."""

    status: str
    account_class: str
    name: str = ""
    account_type: str = ""
    system_account: str = ""

    @property
    def is_active(self) -> bool:
        """Whether Cin7 lets it be used."""
        return self.status.upper() == ACTIVE

    @property
    def is_payable(self) -> bool:
        """Whether it is the accounts payable account, the other side of every invoice."""
        return self.system_account.casefold() == _ACCOUNTS_PAYABLE


@dataclass(frozen=True)
class BookTaxRule:
    """A tax rule of Cin7: the account it books to, and whether purchases may use it."""

    account: str
    is_active: bool = True
    is_for_purchase: bool = True


@dataclass(frozen=True)
class Books:
    """What of Cin7's reference books mapping rows may name, retired entries included.

    Attributes:
        accounts: by code.
        tax_rules: by name.
        payment_terms: name to whether it is active.
        locations: name to whether it is in use.
    """

    accounts: Mapping[str, BookAccount] = field(default_factory=dict)
    tax_rules: Mapping[str, BookTaxRule] = field(default_factory=dict)
    payment_terms: Mapping[str, bool] = field(default_factory=dict)
    locations: Mapping[str, bool] = field(default_factory=dict)

    def tax_accounts(self) -> set[str]:
        """Return the accounts that usable purchase tax rules book to."""
        rules = self.tax_rules.values()
        return {r.account for r in rules if r.is_active and r.is_for_purchase}


def account_problem(
    account: BookAccount, role: str, classes: Collection[str]
) -> tuple[str, str] | None:
    """Return why an account may not be used in a role: kind and what it is, None if it may.

    Args:
        account: the account as Cin7 has it.
        role: expense, tax or payable.
        classes: the classes that a purchase may use.
    """
    cls = account.account_class.upper()
    if not account.is_active:
        return "account_not_active", account.status
    if role == "payable":
        return ("payable_class", account.account_class) if cls != "LIABILITY" else None
    if cls not in classes:
        return "account_class", account.account_class
    if role == "expense" and account.account_type.upper() == _BANK:
        return "account_is_bank", ""
    if role == "expense" and account.is_payable:
        return "account_is_payable", ""
    return None


def check_against_connection(
    mappings: Mappings, connection: Connection
) -> Iterator[MappingProblem]:
    """Yield the rows that say nothing, or the wrong thing, under the connection's settings."""
    gl_code = connection.syspro.gl_code
    for line, row in _rows(mappings, "gl_accounts"):
        separator = gl_code.separator
        if row["match"] == "section" and separator and separator in row["syspro_code"]:
            yield MappingProblem(
                mappings.file("gl_accounts"),
                line,
                "syspro_code",
                row["syspro_code"],
                "section_with_separator",
                separator,
            )
    local = connection.syspro.local_currency
    for line, row in _rows(mappings, "currencies"):
        if row["syspro_currency"] == local != row["iso_code"]:
            yield MappingProblem(
                mappings.file("currencies"),
                line,
                "iso_code",
                row["iso_code"],
                "local_currency",
                local,
            )
    if gl_code.cost_centre_section is None:
        for line, row in _rows(mappings, "cost_centres"):
            yield MappingProblem(
                mappings.file("cost_centres"),
                line,
                "syspro_cost_centre",
                row["syspro_cost_centre"],
                "no_cost_centre_section",
            )
    links = mappings.supplier_links
    for decided in () if connection.suppliers.both_ways else links.rows:
        yield MappingProblem(links.file, decided.line, "decision", decided.decision, "one_way")


def check_against_cin7(
    mappings: Mappings, books: Books, connection: Connection
) -> Iterator[MappingProblem]:
    """Yield every mapped target that Cin7 does not have, has retired, or will not take."""
    yield from _account_problems(mappings, books, connection)
    checks: dict[str, Callable[[str], tuple[str, str] | None]] = {
        "tax_codes": lambda name: _tax_rule_problem(name, books),
        "payment_terms": lambda name: _state_problem(
            name, books.payment_terms, "no_payment_term", "payment_term_not_active"
        ),
        "warehouses": lambda name: _state_problem(
            name, books.locations, "no_location", "location_deprecated"
        ),
    }
    for table, check in checks.items():
        for line, row in _rows(mappings, table):
            column = next(c for c in row if c.startswith("cin7_"))
            found = check(row[column])
            if found:
                yield MappingProblem(
                    mappings.file(table), line, column, row[column], found[0], found[1]
                )


def _rows(mappings: Mappings, name: str) -> Iterator[tuple[int, Cells]]:
    table = mappings.tables.get(name)
    if table is not None:
        yield from cells_of(table)


def _account_problems(
    mappings: Mappings, books: Books, connection: Connection
) -> Iterator[MappingProblem]:
    pattern = connection.policies.account_pattern
    for line, row in _rows(mappings, "gl_accounts"):
        code, role = row["cin7_account"], row["role"]
        if pattern and role == "expense" and row["match"] != "exact":
            # The cost centre completes it: held against the chart where postings occur.
            found = _pattern_problem(code, pattern, books)
        else:
            found = _account_row_problem(code, role, books, connection)
        if found:
            file = mappings.file("gl_accounts")
            yield MappingProblem(file, line, "cin7_account", code, found[0], found[1])


def _pattern_problem(code: str, pattern: str, books: Books) -> tuple[str, str] | None:
    before, _, after = pattern.format(account=code, cost_centre="\0").partition("\0")
    made = any(
        known.startswith(before) and known.endswith(after) and len(known) > len(before + after)
        for known in books.accounts
    )
    shown = pattern.format(account=code, cost_centre="…")
    return None if made else ("not_in_pattern", f"Cin7 has no account {shown}; make them there")


def _account_row_problem(
    code: str, role: str, books: Books, connection: Connection
) -> tuple[str, str] | None:
    account = books.accounts.get(code)
    if account is None:
        return "no_account", suggestion(code, books.accounts)
    found = account_problem(account, role, connection.policies.purchase_account_classes)
    if found is None and role == "tax" and code not in books.tax_accounts():
        return "tax_account", ", ".join(sorted(books.tax_accounts())) or "none"
    return found


def _tax_rule_problem(name: str, books: Books) -> tuple[str, str] | None:
    rule = books.tax_rules.get(name)
    if rule is None:
        return "no_tax_rule", suggestion(name, books.tax_rules)
    if not rule.is_active:
        return "tax_rule_not_active", ""
    return None if rule.is_for_purchase else ("tax_rule_for_sales", "")


def _state_problem(
    name: str, known: Mapping[str, bool], absent: str, retired: str
) -> tuple[str, str] | None:
    if name not in known:
        return absent, suggestion(name, known)
    return None if known[name] else (retired, "")
