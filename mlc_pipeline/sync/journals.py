"""What each SYSPRO AP journal type becomes in Cin7: one table, and nothing outside it.

What must not come in: SQL, HTTP, rules of a single document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlc_pipeline.sync.rows import PostingRow
from mlc_pipeline.sync.vocabulary import REASONS

Representation = Literal["document", "excluded", "held"]


@dataclass(frozen=True)
class JournalType:
    """One AP journal type and its representation.

    Attributes:
        code: the type as the posting carries it; None when it carries none.
        name: what SYSPRO calls it.
        representation: a part of its invoice's document, excluded, or held.
        becomes: what there is to see of it, for people.
        reason: code of the reason for what is excluded or held; None for documents.
    """

    code: str | None
    name: str
    representation: Representation
    becomes: str
    reason: str | None = None


_TYPES = (
    JournalType(
        None,
        "Not stated",
        "document",
        "A line of its invoice: the posting view has no types, so all are distributions.",
    ),
    JournalType(
        "I", "Invoice", "document", "A line or charge of its invoice, on the mapped account."
    ),
    JournalType(
        "C",
        "Credit note",
        "document",
        "A charge of the credit note on the invoice it names; by policy a negative charge.",
    ),
    JournalType(
        "D", "Debit note", "document", "A line or charge of its document, as of an invoice."
    ),
    JournalType(
        "A",
        "Adjustment",
        "held",
        "Nothing by itself: an authorised document is not edited without a person.",
        "adjustment",
    ),
    JournalType(
        "P",
        "Payment",
        "excluded",
        "Nothing: payments stay in SYSPRO, with the bank.",
        "payment",
    ),
    JournalType(
        "V",
        "Revaluation",
        "excluded",
        "Nothing: Cin7 revalues foreign balances by itself.",
        "revaluation",
    ),
    JournalType(
        "T",
        "Tax relief",
        "held",
        "Nothing by itself: it moves tax of an invoice that may be settled.",
        "tax_relief",
    ),
)

JOURNAL_TYPES: dict[str | None, JournalType] = {each.code: each for each in _TYPES}
"""Every declared AP journal type by its code."""

UNKNOWN_TYPE = "unknown_journal_type"
"""Reason of a posting whose type is not declared: it is held with its money."""


def is_distribution(posting: PostingRow) -> bool:
    """Tell whether a posting belongs to the distribution of its invoice's document."""
    declared = JOURNAL_TYPES.get(posting.posting_type)
    return declared is not None and declared.representation == "document"


def stray_reason(posting: PostingRow) -> str:
    """Return the reason code of a posting that is no part of a document."""
    declared = JOURNAL_TYPES.get(posting.posting_type)
    return (declared.reason if declared else None) or UNKNOWN_TYPE


def journals_table() -> str:
    """Return the journal types as a Markdown table, for the documentation."""
    rows = [
        "| type | SYSPRO calls it | representation | in Cin7 | reason |",
        "|---|---|---|---|---|",
    ]
    for each in _TYPES:
        code = f"`{each.code}`" if each.code else "(blank)"
        reason = f"`{each.reason}`" if each.reason else ""
        rows.append(
            f"| {code} | {each.name} | {each.representation} | {each.becomes} | {reason} |"
        )
    other = REASONS[UNKNOWN_TYPE]
    rows.append(f"| any other | ? | {other.verdict} | {other.remedy} | `{other.code}` |")
    return "\n".join(rows)
