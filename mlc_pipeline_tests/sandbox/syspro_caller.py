"""What the tests of the stand-in SYSPRO share: a small company and a caller of its wires."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import httpx

from mlc_pipeline.sandbox.syspro import TABLES, delete, load
from mlc_pipeline.sandbox.syspro.faults import Faults
from mlc_pipeline.sandbox.syspro.running import RunningSyspro, running_syspro
from mlc_pipeline.sandbox.syspro.sessions import Sessions
from mlc_pipeline.sandbox.syspro.settings import Settings
from mlc_pipeline.sandbox.syspro.traffic import Traffic


def supplier_code(number: int) -> str:
    return f"{number:015d}"


def small_company() -> dict[str, list[dict[str, object]]]:
    return {
        "ApSupplier": [
            {"Supplier": supplier_code(1), "SupplierName": "O'Hara & Söhne", "TermsCode": "30"},
            {"Supplier": supplier_code(2), "SupplierName": "zebra ltd", "State": "NY"},
            {"Supplier": supplier_code(3), "SupplierName": "Acme [UK] + Co"},
        ],
        "ApBranch": [{"Branch": "10", "Description": "Head office"}],
        "TblApTerms": [{"TermsCode": "30", "Description": "30 days"}],
        "ApInvoice": [
            {
                "Supplier": supplier_code(1 + number % 3),
                "Invoice": f"INV{number:03d}",
                "InvoiceDate": date(2016, 4, 1 + number % 28) if number % 5 else None,
                "OrigInvValue": Decimal(number * 7 - 50) / 4,
                "ExchangeRate": 1,
                "Journal": number,
            }
            for number in range(60)
        ],
    }


class Caller:
    """Calls the wires of a running stand-in as an integration would."""

    def __init__(self, syspro: RunningSyspro) -> None:
        self.syspro = syspro
        self.http = httpx.Client(timeout=10)

    def reset(self, **settings: Any) -> None:
        """Make the stand-in as new: the small company, nobody logged on."""
        store = self.syspro.state.store
        for name, table in TABLES.items():
            keys = [[row[c.name] for c in table.key] for row in store.rows(name)]
            delete(store, name, keys)
        load(store, small_company())
        state = self.syspro.state
        state.settings = Settings(**settings)
        state.sessions, state.faults, state.traffic = Sessions(), Faults(), Traffic()

    def enet(self, path: str, **parameters: str) -> httpx.Response:
        return self.http.get(f"{self.syspro.enet_url}{path}", params=parameters)

    def log_on(self, **changes: str) -> str:
        credentials = {
            "Operator": self.syspro.operator,
            "OperatorPassword": self.syspro.operator_password,
            "CompanyId": self.syspro.company,
            "CompanyPassword": self.syspro.company_password,
        }
        return self.enet("/Logon", **{**credentials, **changes}).text

    def query(self, token: str, xml_in: str, business_object: str = "COMFND") -> httpx.Response:
        return self.enet(
            "/Query/Query", UserId=token, BusinessObject=business_object, XmlIn=xml_in
        )

    def found(self, token: str, xml_in: str) -> list[dict[str, str | None]]:
        root = ET.fromstring(self.query(token, xml_in).content)
        return [{cell.tag: cell.text for cell in row} for row in root.findall("Row")]

    def odata(self, path: str, token: str, /, **options: object) -> httpx.Response:
        """Read `path` with `$` options, spaces sent as %20."""
        pairs = {"UserId": token, **{f"${name}": str(value) for name, value in options.items()}}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items())
        return self.http.get(f"{self.syspro.odata_url}/{self.syspro.company}/{path}?{query}")

    def values(self, path: str, token: str, /, **options: object) -> list[dict[str, Any]]:
        answer = self.odata(path, token, **options)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json(parse_float=Decimal)["value"]
        return rows


@contextmanager
def calling() -> Iterator[Caller]:
    """A caller of a stand-in of its own."""
    with running_syspro(small_company()) as syspro:
        caller = Caller(syspro)
        with caller.http:
            yield caller
