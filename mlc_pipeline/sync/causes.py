"""Why SYSPRO's and Cin7's figures of a period differ: every cause, what it means, what to do.

What must not come in: finding the cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why an amount stands on one side of the tie-out and not, or otherwise, on the other."""

    HELD = "held"
    WAITING = "waiting"
    EXCLUDED = "excluded"
    DRAFT = "draft"
    POSTED_LATER = "posted_later"
    DATED_DIFFERENTLY = "dated_differently"
    ROUNDING = "rounding"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    UNACCOUNTED = "unaccounted"
    CHANGED_IN_SYSPRO = "changed_in_syspro"
    VANISHED_IN_SYSPRO = "vanished_in_syspro"
    DELETED = "deleted"
    VOIDED = "voided"
    UNDONE = "undone"
    AMOUNT = "amount_edited"
    ACCOUNT = "account_edited"
    COST_CENTRE = "cost_centre_edited"
    LINE_DROPPED = "line_dropped"
    LINE_ADDED = "line_added"
    TAX = "tax"
    RATE = "rate_edited"
    DATE = "date_edited"
    NUMBER = "number_edited"
    SUPPLIER = "supplier_edited"
    DUPLICATED = "duplicated"
    ENTERED_IN_CIN7 = "entered_in_cin7"
    JOURNAL = "manual_journal"
    LEDGER = "ledger"


@dataclass(frozen=True)
class Meaning:
    """What a cause means, and what to do about it.

    `blocks` says whether a period with such a difference is not ready to close.
    """

    cause: Cause
    blocks: bool
    meaning: str
    remedy: str


_MEANINGS = (
    Meaning(
        Cause.HELD,
        False,
        "Held for a person; it is not in Cin7.",
        "See the reason; it is sent when the reason is gone.",
    ),
    Meaning(
        Cause.WAITING,
        False,
        "Waits for its counterpart; it is not in Cin7 yet.",
        "Nothing, if the counterpart is still to come.",
    ),
    Meaning(
        Cause.EXCLUDED,
        False,
        "Left out by a declared rule.",
        "Nothing.",
    ),
    Meaning(
        Cause.DRAFT,
        False,
        "In Cin7 as a draft, which books nothing.",
        "Authorise it in Cin7.",
    ),
    Meaning(
        Cause.POSTED_LATER,
        False,
        "Posted in SYSPRO in a later period than the one it is dated in, in Cin7.",
        "Nothing; the other period shows it the other way round.",
    ),
    Meaning(
        Cause.DATED_DIFFERENTLY,
        False,
        "Posted in SYSPRO in an earlier period than the one it is dated in, in Cin7.",
        "Nothing; the other period shows it the other way round.",
    ),
    Meaning(
        Cause.ROUNDING,
        False,
        "What converting a foreign document line by line moves, at most match.rate_percent.",
        "Nothing.",
    ),
    Meaning(
        Cause.FAILED,
        True,
        "The last run failed on it.",
        "See the run; then run the day again.",
    ),
    Meaning(
        Cause.UNCERTAIN,
        True,
        "Whether, or in which version, Cin7 has it is not known.",
        "Run the day again: it is looked for in Cin7.",
    ),
    Meaning(
        Cause.UNACCOUNTED,
        True,
        "SYSPRO shows it, and no run has said what becomes of it.",
        "Run the day again.",
    ),
    Meaning(
        Cause.CHANGED_IN_SYSPRO,
        True,
        "SYSPRO's postings are not those that were sent.",
        "Correct the document in Cin7, or the postings in SYSPRO.",
    ),
    Meaning(
        Cause.VANISHED_IN_SYSPRO,
        True,
        "In Cin7, and SYSPRO does not show it any more.",
        "Void it in Cin7 if it was deleted.",
    ),
    Meaning(
        Cause.DELETED,
        True,
        "Cin7 does not have the purchase any more.",
        "Find out who deleted it; enter it again in Cin7.",
    ),
    Meaning(
        Cause.VOIDED,
        True,
        "Voided in Cin7.",
        "Void it in SYSPRO too, or enter it again in Cin7.",
    ),
    Meaning(
        Cause.UNDONE,
        True,
        "Taken back to a draft in Cin7.",
        "Authorise it in Cin7.",
    ),
    Meaning(
        Cause.AMOUNT,
        True,
        "The amount of a line was edited in Cin7.",
        "Correct it in Cin7.",
    ),
    Meaning(
        Cause.ACCOUNT,
        True,
        "The account of a line was edited in Cin7.",
        "Correct it in Cin7, or the mapping if Cin7 is right.",
    ),
    Meaning(
        Cause.COST_CENTRE,
        True,
        "The cost centre of a line was edited in Cin7.",
        "Correct it in Cin7, or the mapping if Cin7 is right.",
    ),
    Meaning(
        Cause.LINE_DROPPED,
        True,
        "A line that was sent is not there in Cin7.",
        "Add the line in Cin7.",
    ),
    Meaning(
        Cause.LINE_ADDED,
        True,
        "Cin7 has a line that was not sent.",
        "Remove the line in Cin7, or post it in SYSPRO.",
    ),
    Meaning(
        Cause.TAX,
        True,
        "The tax of a line is another in Cin7.",
        "Correct it in Cin7.",
    ),
    Meaning(
        Cause.RATE,
        True,
        "The exchange rate is another in Cin7.",
        "Correct the rate in Cin7.",
    ),
    Meaning(
        Cause.DATE,
        True,
        "The date was edited in Cin7.",
        "Correct the date in Cin7.",
    ),
    Meaning(
        Cause.NUMBER,
        True,
        "The document's number was edited in Cin7.",
        "Correct the number in Cin7.",
    ),
    Meaning(
        Cause.SUPPLIER,
        True,
        "The supplier was edited in Cin7.",
        "Correct the supplier in Cin7.",
    ),
    Meaning(
        Cause.DUPLICATED,
        True,
        "Cin7 has the document a second time.",
        "Void the copy in Cin7.",
    ),
    Meaning(
        Cause.ENTERED_IN_CIN7,
        True,
        "A purchase that was entered in Cin7 and is not in SYSPRO.",
        "Enter it in SYSPRO, or agree with finance to leave it.",
    ),
    Meaning(
        Cause.JOURNAL,
        True,
        "A journal entered by hand in Cin7 on an account that SYSPRO posts to.",
        "Post it in SYSPRO too, or reverse it in Cin7.",
    ),
    Meaning(
        Cause.LEDGER,
        True,
        "Cin7's ledger says something else than Cin7's own document.",
        "Ask Cin7's support; undo and authorise the document again.",
    ),
)

MEANINGS: dict[Cause, Meaning] = {meaning.cause: meaning for meaning in _MEANINGS}
"""Every cause with its meaning."""


def causes_table() -> str:
    """Return the causes as a Markdown table, for the documentation."""
    rows = ["| cause | closes | what it means | what to do |", "|---|---|---|---|"]
    rows += [
        f"| `{m.cause}` | {'no' if m.blocks else 'yes'} | {m.meaning} | {m.remedy} |"
        for m in _MEANINGS
    ]
    return "\n".join(rows)
