"""The types that SYSPRO's AP journals and payments carry, as far as they are known.

From SYSPRO's own look-ups of transaction types; a customer's posting view may know more.

What must not come in: what becomes of a type in Cin7.
"""

AP_JOURNAL_TYPES: dict[str, str] = {
    "I": "Invoice",
    "C": "Credit note",
    "D": "Debit note",
    "A": "Adjustment",
    "P": "Payment",
    "V": "Revaluation",
    "T": "Tax relief",
}
"""What each letter of a transaction type stands for."""
