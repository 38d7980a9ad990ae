"""How often a real ledger breaks the rules, and how often the generated one does.

MEASURED shares come from the published packs (docs/neutral-form.md names them) and are
held against them by a test; CHOSEN ones are ours, for what no pack publishes.

What must not come in: what is done with them.
"""

from __future__ import annotations

# MEASURED: `sheffield`, 26,927 invoices and 3,729 suppliers of a city's year.
POSTINGS_PER_INVOICE = {1: 0.9541, 2: 0.0357, 3: 0.0063, 4: 0.0019, 5: 0.0020}
"""Share of invoices by number of postings; the last stands for five and more."""
LEADING_ZERO_NUMBER = 0.0203
SPACED_NUMBER = 0.2304
OVERLONG_NUMBER = 0.0045
BLANK_NUMBER = 0.0003
REPEATED_NUMBER = 0.0162
"""Invoices whose supplier already has one of that number."""
SHARED_NAME = 0.0477
"""Suppliers whose name stands under another code, too."""

# MEASURED: `scms`, 2,815 orders, 4,005 lines, 4,919 receipts of a supply chain.
LINES_PER_ORDER = {1: 0.8590, 2: 0.0845, 3: 0.0217, 4: 0.0096, 5: 0.0252}
"""Share of orders by number of lines; the last stands for five and more."""
DELIVERIES_PER_LINE = {1: 0.8926, 2: 0.0577, 3: 0.0182, 4: 0.0315}
"""Share of lines by number of receipts; the last stands for four and more."""
LONG_DESCRIPTION = 0.4067
"""Lines described in more than 50 characters."""
UNDATED_ORDER = 0.0430
TOP_FIVE_SUPPLIERS = 0.5591
"""Share of orders that go to the five busiest suppliers."""

# MEASURED: `wwi`, 2,074 orders of a wholesaler.
NOT_FULLY_RECEIVED_ORDER = 0.0010

# CHOSEN: no pack publishes them; high enough to be seen in 300 invoices.
ORDER_INVOICE = 0.40
"""Documents that bill an order."""
CREDIT_NOTE = 0.04
"""Documents that are credit notes; every second names the invoice it credits."""
CALL_OFF_ORDER = 0.05
SHORT_ORDER = 0.08
"""Orders of which less is delivered than ordered: too few in reality to be seen."""
CANCELLED_ORDER = 0.03
FREIGHT_LINE = 0.12
OTHER_CHARGE_LINE = 0.08
COMMENT_LINE = 0.12
NOT_STOCKED_LINE = 0.15
DISCOUNTED_LINE = 0.08
FOREIGN_SUPPLIER = 0.15
EXEMPT_SUPPLIER = 0.15
ALPHANUMERIC_SUPPLIER = 0.30
KNOWN_SUPPLIER = 0.20
"""Suppliers that stand in Cin7 already; every second under another spelling."""
PAID_INVOICE = 0.15
# CHOSEN flaws: what the product must hold or let wait.
MISSING_POSTING = 0.01
UNMAPPED_ACCOUNT = 0.01
MISSING_PRODUCT = 0.03


def quota(share: float, total: int) -> int:
    """How many of a total: the share, rounded, and at least one so that a demo shows it."""
    return max(1, round(share * total))
