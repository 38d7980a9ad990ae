"""A connection file that is right in every line; tests break one line of it at a time."""

from __future__ import annotations

from mlc_pipeline.connection.files import read_connection
from mlc_pipeline.connection.model import Connection

FILE = "connections/acme/connection.yaml"

GOOD = """\
description: Acme, live
syspro:
  enet_url: https://erp.acme.example/SYSPROWCFService/Rest
  odata_url: https://erp.acme.example/SYSPRO8Odata/SYSPROOData
  company: ACME
  operator: MLCSYNC
  page_size: 5000
  timeout_seconds: 60
  local_currency: GBP
  gl_code: {separator: ".", account_section: 2, cost_centre_section: 1}
  entities:
    postings:
      entity_set: ApDistribution
      columns: {amount: DistrAmount}
cin7:
  base_url: https://inventory.dearsystems.com/ExternalApi/v2
  applications: [main]
  calls_per_minute: 50
  settle_seconds: 150
  line_total_decimals: 2
defaults:
  location: Main Warehouse
  tax_rule: 20% (VAT on Expenses)
  tax_rule_exempt: No VAT
  payment_term: 30 days
  accounts_payable: "800"
  country: United Kingdom
policies:
  supplier_scope: used
  authorise_orders: true
start_date: 2016-04-04
schedule: {cron: "*/30 6-20 * * *", enabled: true, look_back_days: 7}
time_zone: Europe/London
"""


def with_line(old: str, new: str) -> str:
    """Return the good file with one piece of text replaced; it must be there once."""
    assert GOOD.count(old) == 1, f"{old!r} is {GOOD.count(old)} times in the example"
    return GOOD.replace(old, new)


def line_of(text: str, piece: str) -> int:
    """Return the line on which a piece of text first stands."""
    return text[: text.index(piece)].count("\n") + 1


def connection(**sections: dict[str, object]) -> Connection:
    """Return the good connection with some values of its sections replaced."""
    values = read_connection("acme", GOOD.encode(), FILE).model_dump()
    for section, changes in sections.items():
        values[section] |= changes
    return Connection.model_validate(values)
