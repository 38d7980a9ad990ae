"""What can be wrong with a mapping row: every kind, with what was expected and what to do.

What must not come in: reading files, looking anything up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]

KINDS: dict[str, tuple[str, str]] = {
    # The file.
    "no_file": ("this file", "without it no posting has a Cin7 account; write it"),
    "unknown_file": ("a mapping table's name", "{other}"),
    "encoding": ("UTF-8", "save the file as 'CSV UTF-8'"),
    "quotes": ("closed quotes, doubled inside a value", "rows from here are not read"),
    "header": ("{other} in the first line", "write the names of the columns there"),
    "separator": ("{other} in the first line", "separate the columns with commas"),
    "unknown_column": ("a column of the table", "{other}"),
    "doubled_column": ("each column once", "the column is there twice; remove one"),
    "missing_column": ("{other} in the first line", "no row is read until then"),
    "too_few_values": ("{other} values, as in the first line", "add the missing commas"),
    "too_many_values": (
        "{other} values, as in the first line",
        "quote a value with a comma",
    ),
    # The cells.
    "blank_code": ("a SYSPRO code", "fill it in or delete the row"),
    "blank_target": ("what Cin7 calls it", "fill it in or delete the row"),
    "blank_match": ("exact, section or prefix", "say what the code is"),
    "unknown_match": ("exact, section or prefix", "correct what the code is"),
    "unknown_role": ("expense, tax, payable or nothing (expense)", "correct or clear it"),
    "blanks_around": ("no blanks at either end", "remove them"),
    "hidden_character": (
        "characters that can be seen",
        "type the value anew: a hidden character was pasted with it",
    ),
    "spreadsheet_number": (
        "the code as it is in SYSPRO",
        "make the column text in the spreadsheet and type the code anew",
    ),
    "spreadsheet_error": (
        "a value",
        "correct the formula in the spreadsheet, then save its values",
    ),
    "formula": ("a value, not a formula", "save the spreadsheet's values, not its formulas"),
    "too_long": ("at most {other} characters, as Cin7 takes", "shorten it"),
    "iso_code": ("an ISO 4217 code of three capital letters: GBP", "write the ISO code"),
    "from_unreadable": ("a date YYYY-MM-DD or nothing", "write the first day it is valid"),
    "to_unreadable": ("a date YYYY-MM-DD or nothing", "write the last day it is valid"),
    "period_backwards": (
        "a last day not before the first ({other})",
        "exchange or correct the two dates",
    ),
    "unknown_decision": ("link, unlink or ignore", "say what is decided, or delete the row"),
    "blank_supplier": ("the code of a SYSPRO supplier", "fill it in or delete the row"),
    "blank_id": (
        "the id of a Cin7 supplier",
        "copy it from mlc suppliers list or delete the row",
    ),
    # Rows against each other.
    "repeated": ("each code once; line {other} says the same", "delete one of the two"),
    "contradicting": (
        "each code once; line {other} says otherwise",
        "keep one, or give both their dates",
    ),
    "overlapping": (
        "periods that do not overlap; line {other} is valid on the same days",
        "end the earlier row (valid_to) the day before the later begins",
    ),
    "decided_twice": (
        "each decision once; line {other} says the same",
        "delete one of the two",
    ),
    "disagreeing": (
        "decisions that can both hold; line {other} decides otherwise",
        "keep the row that is right",
    ),
    # Rows against the connection.
    "section_with_separator": (
        "one section of the code, without {other!r}",
        "use match exact or prefix, or write the account section alone",
    ),
    "local_currency": (
        "{other}, the connection's local currency, for its own code",
        "correct the row, or syspro.local_currency",
    ),
    "no_cost_centre_section": (
        "no rows: GL codes of this connection have no cost centre",
        "set syspro.gl_code.cost_centre_section, or remove the file",
    ),
    "not_in_pattern": (
        "a value that makes account codes of Cin7",
        "{other}",
    ),
    "one_way": (
        "no rows: this connection sends suppliers from SYSPRO to Cin7 only",
        "set suppliers.direction to both, or remove the file",
    ),
    # Decisions against both supplier masters.
    "no_syspro_supplier": (
        "a supplier that SYSPRO had when it was last read",
        "give the code as SYSPRO shows it",
    ),
    "no_cin7_supplier": (
        "the id of a supplier that Cin7 had when it was last read",
        "copy it from mlc suppliers list",
    ),
    "not_decided": ("a decision that can be carried out", "{other}"),
    # Targets against Cin7.
    "no_account": ("an account of Cin7", "{other}"),
    "account_not_active": (
        "an active account, Cin7 has it {other}",
        "activate it or map another",
    ),
    "account_class": (
        "an account that a purchase may use, Cin7 has it {other}",
        "map another, or name the class in policies.purchase_account_classes",
    ),
    "account_is_bank": (
        "an account of costs, Cin7 has it as a bank account",
        "map another; payments do not travel",
    ),
    "account_is_payable": (
        "another account: this is Cin7's accounts payable",
        "set role payable if the code is trade creditors, else map another",
    ),
    "payable_class": (
        "a LIABILITY account for role payable, Cin7 has it {other}",
        "correct the account or the role",
    ),
    "tax_account": (
        "an account that a purchase tax rule books to ({other})",
        "map the tax rule's account, or clear the role",
    ),
    "no_tax_rule": ("a tax rule of Cin7", "{other}"),
    "tax_rule_not_active": ("an active tax rule", "activate it in Cin7 or map another"),
    "tax_rule_for_sales": ("a tax rule for purchases, Cin7 has it for sales", "map another"),
    "no_payment_term": ("a payment term of Cin7", "{other}"),
    "payment_term_not_active": ("an active payment term", "activate it in Cin7 or map another"),
    "no_location": ("a location of Cin7", "{other}"),
    "location_deprecated": ("a location in use, Cin7 has it deprecated", "map another"),
    # Codes against the rows.
    "unmapped": ("a row for it: {other}", "add one; the next run posts what it holds"),
    "outside_period": (
        "a row that is valid then: {other}",
        "change its dates or add a row; the next run posts what it holds",
    ),
    "unused": ("a code that occurs: nothing staged has it", "delete the row if it is over"),
    "not_in_chart": ("a code of SYSPRO's chart of accounts", "correct or delete the row"),
}
"""Expectation and remedy of each kind; `{other}` is what the row is held against."""

UNREAD = frozenset(
    {"encoding", "quotes", "header", "separator", "doubled_column", "missing_column"}
)
"""Kinds that keep rows from being read, so that nobody knows what they say."""

WARNINGS = frozenset({"unused", "not_in_chart"})
"""Kinds that stop nothing."""


@dataclass(frozen=True)
class MappingProblem:
    """One thing to correct.

    Attributes:
        file: the mapping file.
        line: line in it, counted from 1; 0 when it is about a row that is not there.
        column: column of the cell; blank when it is about the line or the file.
        found: what stands there.
        kind: one of `KINDS`.
        other: what it is held against; part of the wording.
    """

    file: str
    line: int
    column: str
    found: str
    kind: str
    other: str = ""

    @property
    def expected(self) -> str:
        """What should stand there."""
        return KINDS[self.kind][0].format(other=self.other)

    @property
    def remedy(self) -> str:
        """What to do."""
        return KINDS[self.kind][1].format(other=self.other)

    @property
    def message(self) -> str:
        """Expectation and remedy as one text."""
        return f"expected {self.expected}; {self.remedy}"

    @property
    def severity(self) -> Severity:
        """Whether it maps nothing, or is only worth a look."""
        return "warning" if self.kind in WARNINGS else "error"

    def __str__(self) -> str:
        line = f":{self.line}" if self.line else ""
        column = f"{self.column}: " if self.column else ""
        return f"{self.file}{line}: {column}found {self.found!r}, {self.message}"
