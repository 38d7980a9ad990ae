"""The data of the sandbox: a neutral purchase ledger, generated or read from a pack.

It is translated into SYSPRO tables, a Cin7 account and a connection folder.

What must not come in: servers, the product's own code apart from the entity names.
"""

from mlc_pipeline.sandbox.company.cin7_account import cin7_account
from mlc_pipeline.sandbox.company.connection_folder import write_connection
from mlc_pipeline.sandbox.company.generate import DEFAULT_END, generate
from mlc_pipeline.sandbox.company.model import Company
from mlc_pipeline.sandbox.company.pack import PackError, read_pack, write_pack
from mlc_pipeline.sandbox.company.rules import KeyChange, key_changes
from mlc_pipeline.sandbox.company.slices import first_date, slice_company
from mlc_pipeline.sandbox.company.syspro_rows import syspro_tables

__all__ = [
    "DEFAULT_END",
    "Company",
    "KeyChange",
    "PackError",
    "cin7_account",
    "first_date",
    "generate",
    "key_changes",
    "read_pack",
    "slice_company",
    "syspro_tables",
    "write_connection",
    "write_pack",
]
