"""The words of the sync: stages, verdicts, outcomes, and every reason with its remedy.

What must not come in: logic. The reasons are the one place where a held document gets its
wording, so that the plan, the Dagster UI, the command line and the README say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far a purchase has come in SYSPRO."""

    ORDER = "ORDER"
    INVOICE = "INVOICE"
    RECEIVE = "RECEIVE"


class Kind(StrEnum):
    """What kind of document a plan row is about."""

    SUPPLIER = "supplier"
    SYSPRO_SUPPLIER = "syspro_supplier"
    PRODUCT = "product"
    PURCHASE_ORDER = "purchase_order"
    RECEIPT = "receipt"
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    POSTING = "posting"


class Verdict(StrEnum):
    """What the plan wants for a document. Only the first three are ever pushed."""

    CREATE = "create"
    UPDATE = "update"
    VOID = "void"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    HELD = "held"
    EXCLUDED = "excluded"


READY = frozenset({Verdict.CREATE, Verdict.UPDATE, Verdict.VOID})
"""Verdicts that the push acts upon."""


class Outcome(StrEnum):
    """What became of a document in a push. The eight add up to what was read."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    ADOPTED = "adopted"
    WAITING = "waiting"
    HELD = "held"
    EXCLUDED = "excluded"
    FAILED = "failed"


@dataclass(frozen=True)
class Reason:
    """Why a document was not written: a stable code, what it means, what to do."""

    code: str
    verdict: Verdict
    meaning: str
    remedy: str

    @property
    def who(self) -> str:
        """Who can do something about it."""
        if self.verdict is not Verdict.HELD:
            return "nobody needs to: it resolves by itself"
        return _WHO.get(self.code, "finance, in SYSPRO or Cin7")


_MAPPINGS = "finance, in the connection's mapping files"
_WHO = {
    "unmapped_account": _MAPPINGS,
    "account_unusable": "finance, in Cin7's chart of accounts or gl_accounts.csv",
    "tax_account_differs": _MAPPINGS,
    "terms_unmapped": _MAPPINGS,
    "tax_unmapped": _MAPPINGS,
    "currency_unmapped": _MAPPINGS,
    "location_unmapped": _MAPPINGS,
    "supplier_unknown": "procurement, in SYSPRO",
    "supplier_ambiguous": "procurement, in Cin7",
    "missing_product": "procurement, in Cin7",
    "quantity_not_accepted": "procurement, in SYSPRO",
    "locked_period": "finance, in Cin7's settings",
    "closed_period": "finance, with `mlc close`",
    "undated": "procurement, in SYSPRO",
    "no_order": "procurement, in SYSPRO",
    "line_missing": "procurement, in SYSPRO",
    "unreadable_row": "the integration engineer, with procurement",
    "refused": "finance, in Cin7; the integration engineer when its words do not help",
    "quarantined": "finance, in Cin7",
    "answer_differs": "finance, in Cin7",
    "changed_in_cin7": "finance, in Cin7",
    "already_in_cin7": "finance, in Cin7",
}
"""Who acts on a reason, where it is not finance in either system."""

_REASONS = (
    Reason(
        "unmapped_account",
        Verdict.HELD,
        "A posting of the invoice is on a GL code that gl_accounts.csv does not map.",
        "Add the code to gl_accounts.csv; the next replay of the day posts the invoice.",
    ),
    Reason(
        "account_unusable",
        Verdict.HELD,
        "The mapped account is absent from Cin7, not ACTIVE there, or not for purchases.",
        "Make the account in Cin7, or correct the row in gl_accounts.csv.",
    ),
    Reason(
        "tax_account_differs",
        Verdict.HELD,
        "The tax posting is mapped to another account than the tax rule books to in Cin7.",
        "Map the tax GL code to the tax rule's account, or choose another tax rule.",
    ),
    Reason(
        "supplier_unknown",
        Verdict.HELD,
        "The document names a supplier that SYSPRO's supplier table does not have.",
        "Look in SYSPRO whether the supplier was renamed or deleted.",
    ),
    Reason(
        "supplier_ambiguous",
        Verdict.HELD,
        "More than one Cin7 supplier fits this SYSPRO supplier, or the fit is contradicted.",
        "Put the marker shown into Additional attribute 1 of the right Cin7 supplier.",
    ),
    Reason(
        "supplier_held",
        Verdict.HELD,
        "The document's supplier is held itself.",
        "Resolve the supplier first; see the suppliers table.",
    ),
    Reason(
        "supplier_match_proposed",
        Verdict.HELD,
        "A supplier of the other system may be this one, and nothing proves it.",
        "Decide with mlc suppliers link or ignore, or in supplier_links.csv; mlc suppliers "
        "list shows score and reasons.",
    ),
    Reason(
        "supplier_unlinked",
        Verdict.HELD,
        "A supplier has no counterpart, and the connection or a person says to make none.",
        "Link it with mlc suppliers link, or let it be made: mlc suppliers ignore --undo, or "
        "suppliers.new_from_cin7.",
    ),
    Reason(
        "supplier_undecided",
        Verdict.HELD,
        "A row of supplier_links.csv cannot be carried out; what it names is left as it is.",
        "Correct the row shown; the next run carries it out.",
    ),
    Reason(
        "supplier_conflict",
        Verdict.HELD,
        "An attribute of the supplier changed on both sides, and nobody owns it.",
        "Decide with mlc suppliers resolve, or name an owner under suppliers.owners.",
    ),
    Reason(
        "supplier_unfit",
        Verdict.HELD,
        "A value of the supplier does not fit into the other system.",
        "Shorten or respell it where it was entered, or set suppliers.field_fit to cut.",
    ),
    Reason(
        "supplier_gone",
        Verdict.HELD,
        "A linked supplier is no longer in one of the systems; the other side is left alone.",
        "Find out whether it was renamed or deleted; then mlc suppliers unlink, and link anew.",
    ),
    Reason(
        "no_supplier_code",
        Verdict.HELD,
        "No code of the connection's range is free for a new SYSPRO supplier.",
        "Widen suppliers.code_first to suppliers.code_last, or change suppliers.code_rule.",
    ),
    Reason(
        "syspro_refused",
        Verdict.HELD,
        "SYSPRO refused the supplier; its own words are shown, field by field.",
        "Act on SYSPRO's message; the next run sends it again.",
    ),
    Reason(
        "supplier_moved",
        Verdict.WAITING,
        "The supplier was changed by somebody between the plan and the write.",
        "Nothing; the next run takes both changes into account.",
    ),
    Reason(
        "syspro_unavailable",
        Verdict.WAITING,
        "SYSPRO could not be reached, or its operator is in use; nothing was sent.",
        "Nothing; the next run sends it.",
    ),
    Reason(
        "terms_unmapped",
        Verdict.HELD,
        "The SYSPRO terms code is not in payment_terms.csv, or Cin7 does not have the term.",
        "Add the code to payment_terms.csv with an active Cin7 payment term.",
    ),
    Reason(
        "tax_unmapped",
        Verdict.HELD,
        "The SYSPRO tax code is not in tax_codes.csv, or Cin7 does not have the tax rule.",
        "Add the code to tax_codes.csv with an active Cin7 tax rule for purchases.",
    ),
    Reason(
        "currency_unmapped",
        Verdict.HELD,
        "The SYSPRO currency code has no ISO code.",
        "Add the code to currencies.csv.",
    ),
    Reason(
        "location_unmapped",
        Verdict.HELD,
        "The SYSPRO warehouse is not in warehouses.csv, or Cin7 does not have the location.",
        "Add the warehouse to warehouses.csv with an existing Cin7 location.",
    ),
    Reason(
        "missing_product",
        Verdict.HELD,
        "A stocked line's product does not exist in Cin7.",
        "Create the product in Cin7 with the SYSPRO stock code as SKU, or set "
        "policies.missing_product to create.",
    ),
    Reason(
        "quantity_not_accepted",
        Verdict.HELD,
        "A stocked line's quantity is below 1 or has more than 4 decimals; Cin7 takes neither.",
        "Change the unit of measure of the line in SYSPRO.",
    ),
    Reason(
        "too_long",
        Verdict.HELD,
        "A text is longer than Cin7 takes, and cutting it would lose its meaning.",
        "Shorten the text in SYSPRO.",
    ),
    Reason(
        "undated",
        Verdict.HELD,
        "The document has no date in SYSPRO, so it belongs to no day.",
        "Give it a date in SYSPRO; the next run over that date takes it.",
    ),
    Reason(
        "locked_period",
        Verdict.HELD,
        "The document is dated before the lock date set in Cin7.",
        "Move the lock date in Cin7, or set policies.locked_period to redate.",
    ),
    Reason(
        "closed_period",
        Verdict.HELD,
        "The document is dated in a period that was closed with `mlc close`.",
        "Reopen the period, or set policies.closed_period to post, or leave it out.",
    ),
    Reason(
        "several_orders",
        Verdict.HELD,
        "The invoice is matched to receipts of several purchase orders; Cin7 takes one.",
        "Enter it by hand in Cin7, or split the invoice in SYSPRO.",
    ),
    Reason(
        "match_unclear",
        Verdict.HELD,
        "The invoice is matched to a receipt that SYSPRO does not show.",
        "Look at the receipt in SYSPRO (purged, or not visible to the operator).",
    ),
    Reason(
        "quantity_variance",
        Verdict.HELD,
        "More is invoiced than was received or ordered, beyond the connection's tolerance.",
        "Settle it with the supplier, correct the match in SYSPRO, or widen "
        "match.quantity_percent.",
    ),
    Reason(
        "price_variance",
        Verdict.HELD,
        "The invoiced price is not the order's price, beyond the connection's tolerance.",
        "Settle it with the supplier, correct order or invoice, or widen match.price_percent.",
    ),
    Reason(
        "several_cost_centres",
        Verdict.HELD,
        "The invoice is over several cost centres, and each document may show only one.",
        "Split the invoice in SYSPRO, or choose another policies.cost_centre.",
    ),
    Reason(
        "currency_differs",
        Verdict.HELD,
        "The document is in another currency than its supplier has in Cin7.",
        "Make a supplier of that currency in both systems, or correct the document.",
    ),
    Reason(
        "rate_differs",
        Verdict.HELD,
        "At the exchange rate that Cin7 keeps, the document would come to other money than "
        "SYSPRO posted.",
        "Correct the rate in SYSPRO, enter the document by hand in Cin7, or widen "
        "match.rate_percent.",
    ),
    Reason(
        "unnamed_credit",
        Verdict.HELD,
        "The credit names no invoice, so Cin7 cannot take it as a credit note.",
        "Put the invoice number into the credit's reference in SYSPRO, or set "
        "policies.unnamed_credit to negative_charge.",
    ),
    Reason(
        "credit_too_large",
        Verdict.HELD,
        "A line of the credit is positive, or the credit exceeds the invoice it names.",
        "Look at both documents in SYSPRO.",
    ),
    Reason(
        "changed_after_posting",
        Verdict.HELD,
        "The document changed in SYSPRO after it was authorised in Cin7.",
        "Compare both versions (shown); correct it in Cin7 and record that with mlc accept.",
    ),
    Reason(
        "changed_in_cin7",
        Verdict.HELD,
        "What this is added to was changed or voided in Cin7 after it was written.",
        "Correct it in Cin7, or record with mlc accept that it is right as it is.",
    ),
    Reason(
        "already_in_cin7",
        Verdict.HELD,
        "Its purchase in Cin7 has a document of this number that says something else.",
        "Compare both; void the one in Cin7, or record with mlc accept that it is right.",
    ),
    Reason(
        "vanished_in_syspro",
        Verdict.HELD,
        "The document is in Cin7, but SYSPRO does not show it any more.",
        "Find out whether it was deleted, renamed or purged; void it in Cin7 if deleted.",
    ),
    Reason(
        "order_held",
        Verdict.HELD,
        "The purchase order that this belongs to is held.",
        "Resolve the order first.",
    ),
    Reason(
        "adjustment",
        Verdict.HELD,
        "An adjustment was posted to an invoice after the invoice.",
        "Book the adjustment in Cin7 by hand until it can be carried over.",
    ),
    Reason(
        "tax_relief",
        Verdict.HELD,
        "A tax relief posting: it moves tax of an invoice after the invoice.",
        "Book the relief in Cin7 by hand, against the document named.",
    ),
    Reason(
        "unknown_journal_type",
        Verdict.HELD,
        "The posting has an AP journal type that is not declared, so nobody knows what it is.",
        "Look at the journal in SYSPRO and name the type to who maintains the product.",
    ),
    Reason(
        "unreadable_row",
        Verdict.HELD,
        "The row could not be read from SYSPRO as what it should be.",
        "See the value and the expectation named; correct the record in SYSPRO.",
    ),
    Reason(
        "refused",
        Verdict.HELD,
        "Cin7 refused the document; its own words are shown.",
        "Act on Cin7's message; the next replay sends it again.",
    ),
    Reason(
        "quarantined",
        Verdict.HELD,
        "An answer was lost and two documents in Cin7 could be it.",
        "Void the wrong one in Cin7; the next replay adopts the other.",
    ),
    Reason(
        "answer_differs",
        Verdict.HELD,
        "Cin7 stored something else than was sent; the differences are shown.",
        "Correct the document in Cin7, or void it; then replay the day.",
    ),
    Reason(
        "postings_incomplete",
        Verdict.WAITING,
        "The postings do not (yet) add up to the invoice; both figures are shown.",
        "Nothing, if the posting is still to come; it goes through on the day it is posted.",
    ),
    Reason(
        "invoice_missing",
        Verdict.WAITING,
        "Postings are there, their invoice is not (yet).",
        "Nothing, if the invoice is still being entered; else look in SYSPRO.",
    ),
    Reason(
        "order_missing",
        Verdict.WAITING,
        "The purchase order that this belongs to is not in Cin7 yet.",
        "Nothing; it follows when the order is there.",
    ),
    Reason(
        "no_order",
        Verdict.HELD,
        "The receipt names no purchase order, and Cin7 takes goods only on one.",
        "Enter the receipt in Cin7 by hand, or on a purchase order in SYSPRO.",
    ),
    Reason(
        "line_missing",
        Verdict.HELD,
        "The receipt is of a line that SYSPRO does not show on the purchase order.",
        "Look at the order in SYSPRO (line deleted, or not visible to the operator).",
    ),
    Reason(
        "order_is_draft",
        Verdict.WAITING,
        "The purchase order is a draft in Cin7; Cin7 takes receipts and invoices only after "
        "it is authorised.",
        "Authorise the order in Cin7, or set policies.authorise_orders.",
    ),
    Reason(
        "credited_invoice_missing",
        Verdict.WAITING,
        "The invoice that this credit names is not posted in Cin7 yet.",
        "Nothing; it follows when the invoice is there.",
    ),
    Reason(
        "answer_lost",
        Verdict.WAITING,
        "Cin7's answer was lost; after the settle wait it is looked for, not sent again.",
        "Nothing; the next run resolves it.",
    ),
    Reason(
        "cin7_unavailable",
        Verdict.WAITING,
        "Cin7 could not be reached or throttled us for too long; nothing was sent.",
        "Nothing; the next run sends it.",
    ),
    Reason(
        "being_written",
        Verdict.WAITING,
        "Another run is writing this document at this moment.",
        "Nothing; that run finishes it, or the next one does.",
    ),
    Reason(
        "cancelled",
        Verdict.EXCLUDED,
        "The order was cancelled in SYSPRO before it was sent.",
        "Nothing.",
    ),
    Reason(
        "voided",
        Verdict.EXCLUDED,
        "The order was cancelled in SYSPRO and is void in Cin7.",
        "Nothing.",
    ),
    Reason(
        "empty",
        Verdict.EXCLUDED,
        "The document has no lines and no value.",
        "Nothing.",
    ),
    Reason(
        "before_start",
        Verdict.EXCLUDED,
        "The document is dated before the connection's start date.",
        "Nothing, if Cin7's opening balances hold it; else move start_date.",
    ),
    Reason(
        "not_stocked",
        Verdict.EXCLUDED,
        "The receipt is of non-stocked lines only; Cin7 keeps no stock for those.",
        "Nothing.",
    ),
    Reason(
        "no_receipt_step",
        Verdict.EXCLUDED,
        "The receipt's order has no stock in Cin7 (a service purchase).",
        "Nothing.",
    ),
    Reason(
        "payment",
        Verdict.EXCLUDED,
        "A payment posting; payments stay in SYSPRO.",
        "Nothing.",
    ),
    Reason(
        "revaluation",
        Verdict.EXCLUDED,
        "A currency revaluation posting; Cin7 revalues by itself.",
        "Nothing.",
    ),
)

REASONS: dict[str, Reason] = {reason.code: reason for reason in _REASONS}
"""Every reason by code."""

DOWN = frozenset({"cin7_unavailable", "syspro_unavailable"})
"""Reasons that say that a system could not be reached."""

UNDONE = frozenset({*DOWN, "answer_lost", "being_written"})
"""Reasons for which a day must be run again: nothing else is sure to bring the document."""


def reasons_table() -> str:
    """Return the reasons as a Markdown table, for the documentation."""
    rows = ["| reason | verdict | what it means | what to do |", "|---|---|---|---|"]
    rows += [f"| `{r.code}` | {r.verdict} | {r.meaning} | {r.remedy} |" for r in _REASONS]
    return "\n".join(rows)
