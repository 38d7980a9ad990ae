"""Both stand-ins with a company's data, the connection to them, and what a test asks of them.

What the product did is read from the stand-ins alone; its own tables are never believed.
What must not come in: tests, expectations.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg

from mlc_pipeline.connection.files import load_connection
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.cycle import Summary, run_cycle
from mlc_pipeline.instance import dagster_home
from mlc_pipeline.sandbox.cin7.running import RunningCin7, running_cin7
from mlc_pipeline.sandbox.cin7.wire import decode
from mlc_pipeline.sandbox.company import (
    Company,
    cin7_account,
    syspro_tables,
    write_connection,
)
from mlc_pipeline.sandbox.syspro.running import RunningSyspro, running_syspro
from mlc_pipeline.sync.vocabulary import Kind, Outcome
from mlc_pipeline.vault import environment_variable

QUICK: dict[str, Any] = {
    "syspro": {"timeout_seconds": 10, "session_wait_seconds": 60},
    # The settle wait must be longer than any call can take.
    "cin7": {"timeout_seconds": 1, "settle_seconds": 2},
}
"""Settings of a connection under test: answers that are lost are looked for soon."""

Rows = list[dict[str, Any]]

WRITES = {
    "supplier": ("POST", "/supplier"),
    "changed supplier": ("PUT", "/supplier"),
    "header": ("POST", "/advanced-purchase"),
    "changed header": ("PUT", "/advanced-purchase"),
    "order": ("POST", "/purchase/order"),
    "receipt": ("POST", "/advanced-purchase/stock"),
    "invoice": ("POST", "/advanced-purchase/invoice"),
    "credit note": ("POST", "/advanced-purchase/creditnote"),
    "product": ("POST", "/product"),
    "void": ("DELETE", "/advanced-purchase"),
}
"""Each call that writes, by a name of ours."""


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay settings over settings, mapping by mapping."""
    laid = dict(below)
    for name, value in above.items():
        under = laid.get(name)
        is_nested = isinstance(under, Mapping) and isinstance(value, Mapping)
        laid[name] = merged(under, value) if is_nested else value
    return laid


@dataclass
class Pair:
    """A company in a stand-in SYSPRO, its account in a stand-in Cin7, and their connection.

    Attributes:
        company: the neutral ledger that both were filled from.
        syspro: the running stand-in SYSPRO.
        cin7: the running stand-in Cin7.
        folder: the connection's folder, named as the connection.
        environ: what a cycle is given as its environment.
        tables: SYSPRO's tables as they were at the start.
    """

    company: Company
    syspro: RunningSyspro
    cin7: RunningCin7
    folder: Path
    environ: dict[str, str]
    tables: dict[str, Rows]
    _headers: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the connection."""
        return self.folder.name

    @property
    def connection(self) -> Connection:
        """The connection as its folder says now."""
        return load_connection(self.folder)

    def run(self, first: date, last: date | None = None) -> Summary:
        """Run a cycle over some days in this process."""
        return run_cycle(
            self.connection, self.folder, first, last or first, environ=self.environ
        )

    def configure(self, **overrides: Any) -> None:
        """Write the connection's folder anew with settings laid over the usual ones."""
        write_connection(
            self.company,
            cin7_account(self.company),
            self.folder,
            enet_url=self.syspro.enet_url,
            odata_url=self.syspro.odata_url,
            base_url=self.cin7.base_url,
            start_date=overrides.pop("start_date", None),
            calls_per_minute=1_000_000,
            overrides=merged(QUICK, overrides),
        )

    # --- what Dagster shows --------------------------------------------------------------

    @contextmanager
    def dagster(self) -> Iterator[dg.DagsterInstance]:
        """Open Dagster's storage as the UI sees it."""
        with dg.DagsterInstance.from_config(str(dagster_home(self.environ))) as instance:
            yield instance

    def metadata(self, stage: str, entity: str) -> dict[str, Any]:
        """Return what the UI shows beside an asset after its last materialisation."""
        key = dg.AssetKey([self.name, stage, entity])
        with self.dagster() as instance:
            event = instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        return {n: v.value for n, v in event.asset_materialization.metadata.items()}

    def check(self, stage: str, entity: str, name: str) -> dg.AssetCheckEvaluation:
        """Return the last evaluation of an asset check."""
        key = dg.AssetCheckKey(dg.AssetKey([self.name, stage, entity]), name)
        with self.dagster() as instance:
            (record,) = instance.event_log_storage.get_asset_check_execution_history(key, 1)
        assert record.event is not None
        evaluation = record.event.asset_check_evaluation
        assert evaluation is not None
        return evaluation

    # --- what is done to the two systems ----------------------------------------------

    def put(self, table: str, *rows: Mapping[str, Any]) -> None:
        """Add rows to a SYSPRO table, or change those with the same key."""
        self.syspro.control("rows", {"table": table, "upsert": list(rows)})

    def remove(self, table: str, *keys: Any) -> None:
        """Delete rows of a SYSPRO table by key."""
        self.syspro.control("rows", {"table": table, "delete": list(keys)})

    def rows(self, table: str, **values: Any) -> Rows:
        """Return the rows that a table had at the start and that have these values."""
        return [
            row
            for row in self.tables[table]
            if all(row[name] == value for name, value in values.items())
        ]

    def row(self, table: str, **values: Any) -> dict[str, Any]:
        """Return the one such row."""
        (found,) = self.rows(table, **values)
        return dict(found)

    def fault(self, kind: str, write: str | None = None, **order: Any) -> None:
        """Order a fault of Cin7 for a kind of write, or for every call."""
        method, path = WRITES[write] if write else (None, None)
        self.cin7.control("faults", {"kind": kind, "method": method, "path": path, **order})

    def map_account(self, section: str, cin7_account: str) -> None:
        """Add a row to gl_accounts.csv as finance does."""
        with (self.folder / "gl_accounts.csv").open("a", encoding="utf-8") as file:
            file.write(f"section,{section},{cin7_account},,added later\n")

    # --- what is asked of Cin7 ----------------------------------------------------------

    def traffic(self) -> list[dict[str, Any]]:
        """Return the calls that Cin7 got since the traffic was last forgotten."""
        return list(self.cin7.control("traffic")["requests"])

    def forget_traffic(self) -> None:
        """Forget the recorded calls of both stand-ins."""
        self.cin7.control("traffic", method="DELETE")
        self.syspro.control("traffic", method="DELETE")

    def writes(self) -> Counter[str]:
        """Return how many calls of each kind could change something, by our names."""
        names = {call: name for name, call in WRITES.items()}
        calls = [(r["method"], self._below(r["path"])) for r in self.traffic()]
        return Counter(names[call] for call in calls if call[0] != "GET")

    @staticmethod
    def _below(path: str) -> str:
        return path.lower().removeprefix("/externalapi/v2")

    def reads(self) -> Counter[str]:
        """Return how many calls only read, by path."""
        return Counter(self._below(r["path"]) for r in self.traffic() if r["method"] == "GET")

    def get(self, path: str, **query: Any) -> Any:
        """Read Cin7 as anybody with its key can."""
        answer = self.cin7.client.get(
            f"{self.cin7.base_url}/{path}", params=query, headers=self._headers
        )
        assert answer.status_code == 200, answer.text
        return decode(answer.content)

    def suppliers(self) -> list[dict[str, Any]]:
        """Return the suppliers in Cin7."""
        return list(self.get("supplier", Limit=1000)["SupplierList"])

    def purchases(self) -> list[dict[str, Any]]:
        """Return every purchase in Cin7, whole, void ones included."""
        listed = self.get("purchaseList", Limit=1000)["PurchaseList"]
        return [self.get("advanced-purchase", ID=row["ID"]) for row in listed]

    def purchase(self, marker: str) -> dict[str, Any]:
        """Return the one purchase that carries a marker."""
        (found,) = [p for p in self.purchases() if marker_of(p) == marker]
        return found

    def booked(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the invoices and credit notes in Cin7 by SYSPRO supplier and invoice.

        Raises:
            AssertionError: one of them is there twice.
        """
        supplier_of = {r["PurchaseOrder"]: r["Supplier"] for r in self.tables["PorMasterHdr"]}
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for purchase in self.purchases():
            kind, key = marker_of(purchase).split(":", 3)[2:]
            supplier = supplier_of[key] if kind == "PO" else key.split(":")[0]
            for part in documents_of(purchase):
                number = part.get("InvoiceNumber") or part["CreditNoteNumber"]
                assert (supplier, number) not in found, f"{supplier} {number} is there twice"
                found[supplier, number] = part
        return found

    def summary(self) -> dict[str, Any]:
        """Return what the stand-in says of itself."""
        summary: dict[str, Any] = self.cin7.control("summary")
        return summary

    def assert_clean(self) -> None:
        """Hold that nothing is there twice and nothing is half made."""
        summary = self.summary()
        assert summary["duplicates"] == []
        assert summary["doubled_suppliers"] == []
        assert summary["half_made"] == []
        self.booked()

    def totals(self) -> dict[str, Any]:
        """Return what a run leaves in Cin7, without ids: to compare one end with another."""
        summary = self.summary()
        kept = ("suppliers", "purchases", "invoices", "credit_notes", "accounts")
        return {
            **{name: summary[name] for name in kept},
            "documents": {
                key: (part["Status"], part["Total"]) for key, part in self.booked().items()
            },
            "receipts": sorted(
                (marker_of(p), line["SKU"], line["Quantity"], str(line["Date"])[:10])
                for p in self.purchases()
                for group in p["StockReceived"]
                for line in group["Lines"]
            ),
        }


def marker_of(purchase: Mapping[str, Any]) -> str:
    """Return the marker of a purchase."""
    return str(purchase["AdditionalAttributes"]["AdditionalAttribute1"])


def documents_of(purchase: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the invoices and credit notes of a purchase that say something."""
    parts = [*purchase["Invoice"], *purchase["CreditNote"]]
    return [p for p in parts if p["Lines"] or p["AdditionalCharges"]]


@contextmanager
def running_pair(
    company: Company,
    root: Path,
    environ: Mapping[str, str],
    *,
    name: str = "e2e",
    syspro_stand_in: Mapping[str, Any] | None = None,
    cin7_stand_in: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Iterator[Pair]:
    """Run both stand-ins with a company and write a connection between them.

    Args:
        company: what both are filled from.
        root: folder of the connections.
        environ: `MLC_HOME` and `MLC_DATABASE_URL`.
        name: the connection's name.
        syspro_stand_in: settings of the stand-in SYSPRO.
        cin7_stand_in: settings of the stand-in Cin7.
        overrides: settings of the connection laid over the usual ones.
    """
    tables = syspro_tables(company)
    with ExitStack() as opened:
        left = opened.enter_context(
            running_syspro(tables, **{"record_traffic": True, **(syspro_stand_in or {})})
        )
        right = opened.enter_context(
            running_cin7(cin7_account(company), **{"record": True, **(cin7_stand_in or {})})
        )
        secrets = {
            "syspro_operator_password": left.operator_password,
            "syspro_company_password": left.company_password,
            "syspro_odata_user": left.odata_user,
            "syspro_odata_password": left.odata_password,
            "cin7_account_id": right.account_id,
            "cin7_application_key_main": right.application_keys[0],
        }
        given = {environment_variable(name, key): value for key, value in secrets.items()}
        pair = Pair(
            company, left, right, root / name, {**environ, **given}, tables, right.headers()
        )
        pair.configure(**overrides)
        yield pair


def outcomes(summary: Summary, kind: Kind) -> dict[str, int]:
    """Return the outcomes of a kind of document that occurred."""
    found = summary.kinds.get(kind)
    return {str(o): n for o, n in found.outcomes.items() if n} if found else {}


def counted(summary: Summary, *wanted: Outcome) -> int:
    """Return how many documents had one of the outcomes."""
    return summary.count(*wanted)


def reasons(summary: Summary) -> dict[str, str]:
    """Return the reason of each document that was stopped, by source key."""
    return {row["source_key"]: row["reason_code"] for row in summary.stopped}


def read_csv(folder: Path, table: str) -> list[dict[str, str]]:
    """Return the rows of a mapping table."""
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def money(rows: Rows, column: str) -> Decimal:
    """Return the sum of a column."""
    return sum((Decimal(row[column]) for row in rows), Decimal(0))
