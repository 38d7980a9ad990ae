"""Business object APSSSP, supplier maintenance: Setup/Add and Setup/Update.

Elements are column names of the supplier and its address; what is no such element is
dropped without a word, as the original does. Answers use lower-case element names. The
error numbers 100028 and 100030 are recorded; the others are the stand-in's own, above
900000, because SYSPRO publishes none.

What must not come in: HTTP, sessions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from xml.etree.ElementTree import Element

from mlc_pipeline.sandbox.syspro import enet_xml
from mlc_pipeline.sandbox.syspro.enet_xml import EnetError, document, element, parse, text_of
from mlc_pipeline.sandbox.syspro.predicate import Sql
from mlc_pipeline.sandbox.syspro.settings import Settings
from mlc_pipeline.sandbox.syspro.store import Store, upsert
from mlc_pipeline.sandbox.syspro.tables import TABLES, Column
from mlc_pipeline.sandbox.syspro.values import blank, is_date, to_stored

_ELEMENTS = {
    "ApSupplier": """
        SupplierName SupShortName SupplierChName LanguageCode Telephone Fax Contact Branch
        TermsCode Bank Currency DateSuppAdded SupplierClass LineDiscCode InvDiscCode Area
        UserField1 UserField2 DefTaxCode TaxRegnNum DefaultChequeDay PoDefaultDoc OnHold
        SupplierType NumMthsBeforDel MerchGlCode FreightGlCode PayByEft BankBranch BankAccount
        EftBankAccType ChLanguage PurchOrdAllowed MinPoVal Contracts GrnMatchReqd LctRequired
        EdiTypeFlag EdiReceiverCode FaxContact Email Nationality TransactionNature
        DeliveryTerms
    """,
    "ApSupplierAddr": """
        SupAddr1 SupAddr2 SupAddr3 SupAddr3Loc SupAddr4 SupAddr5 SupPostalCode RemitName
        RemitAddr1 RemitAddr2 RemitAddr3 RemitAddr4 RemitAddr5 RemitPostalCode
    """,
}
_FLAGS = {"OnHold", "PurchOrdAllowed", "GrnMatchReqd", "LctRequired", "PayByEft"}
# Reference data must exist before a supplier may name it.
_REFERENCES = {
    "Branch": "ApBranch",
    "TermsCode": "TblApTerms",
    "Currency": "TblCurrency",
    "DefTaxCode": "AdmTax",
}
_STORED_LENGTH = 15
_ADDED = {"OnHold": "N", "PurchOrdAllowed": "Y", "GrnMatchReqd": "Y"}

BAD_DATE, BLANK = 100028, 100030
EXISTS, NOT_FOUND, BAD_KEY, BAD_VALUE, NO_REFERENCE, SAME_NAME = range(900001, 900007)


@dataclass
class _Finding:
    """What is wrong with one element; a warning may be ignored."""

    name: str
    value: str
    number: int
    text: str
    warning: bool = False


@dataclass
class _Item:
    """One supplier of the document: its stored key, elements given by table, findings."""

    shown: str
    key: str
    given: dict[str, dict[str, str]] = field(default_factory=dict)
    findings: list[_Finding] = field(default_factory=list)

    def reject(self, name: str, value: str, number: int, text: str) -> None:
        self.findings.append(_Finding(name, value, number, text))


def maintain(
    store: Store,
    settings: Settings,
    action: Literal["Add", "Update"],
    xml_parameters: str,
    xml_in: str,
) -> bytes:
    """Answer Setup/Add or Setup/Update and write what is valid.

    Nothing is written when ValidateOnly is Y, or when one item is invalid and
    ApplyIfEntireDocumentValid is Y (the default).

    Raises:
        EnetError: a document is not well-formed or has another root.
    """
    parameters = _parameters(xml_parameters)
    root = parse(xml_in, "XmlIn")
    if root.tag != "SetupApSupplier":
        raise EnetError(f"XmlIn has the root '{root.tag}', expected 'SetupApSupplier'")
    check = _Checks(store, settings, action)
    items = [check.item(item) for item in root.findall("Item")]
    if parameters["IgnoreWarnings"]:
        for item in items:
            item.findings = [finding for finding in item.findings if not finding.warning]
    valid = [item for item in items if not item.findings]
    whole = len(valid) == len(items) or not parameters["ApplyIfEntireDocumentValid"]
    if whole and not parameters["ValidateOnly"]:
        for item in valid:
            _write(store, item)
    return _answer(items, len(items) - len(valid))


def _parameters(xml: str) -> dict[str, bool]:
    """Read the three Y/N parameters; what is missing has the default of the sample."""
    root = parse(xml, "XmlParameters") if xml.strip() else Element("SetupApSupplier")
    defaults = {"IgnoreWarnings": "N", "ApplyIfEntireDocumentValid": "Y", "ValidateOnly": "N"}
    return {
        name: (text_of(root, f"Parameters/{name}").strip() or default) == "Y"
        for name, default in defaults.items()
    }


class _Checks:
    """Reads items and finds what is wrong with them, against the company's data."""

    def __init__(self, store: Store, settings: Settings, action: Literal["Add", "Update"]):
        self._store = store
        self._settings = settings
        self._action = action
        self._seen: set[str] = set()
        counts = store.counts()
        self._references = {name: table for name, table in _REFERENCES.items() if counts[table]}

    def item(self, xml: Element) -> _Item:
        """Return an item with its findings."""
        given = text_of(xml, "Key/Supplier").strip()
        item = _Item(given, given)
        self._key(item)
        for table, names in _ELEMENTS.items():
            present = [name for name in names.split() if xml.find(name) is not None]
            item.given[table] = {name: text_of(xml, name) for name in present}
        if self._action == "Add":
            item.given["ApSupplier"] = self._defaults() | item.given["ApSupplier"]
        self._name(item)
        for table, values in item.given.items():
            for name, value in values.items():
                self._value(item, TABLES[table].by_name[name], value)
        return item

    def _defaults(self) -> dict[str, str]:
        settings = self._settings
        return {
            **_ADDED,
            "Currency": settings.local_currency,
            "DateSuppAdded": settings.today,
        }

    def _key(self, item: _Item) -> None:
        """Find the stored key; numeric codes are stored zero-filled to 15 digits."""
        given = item.shown
        if not given:
            text = "XML element '{Key}{Supplier}' cannot be spaces"
            return item.reject("Supplier", given, BLANK, text)
        numeric = self._settings.supplier_key == "numeric"
        length = self._settings.supplier_key_length if numeric else _STORED_LENGTH
        if len(given) > length or (numeric and not (given.isascii() and given.isdigit())):
            text = f"Supplier '{given}' is not a {self._settings.supplier_key} key of {length}"
            return item.reject("Supplier", given, BAD_KEY, text)
        if numeric:
            item.shown, item.key = given.zfill(length), given.zfill(_STORED_LENGTH)
        exists = item.key in self._seen or self._store.has("ApSupplier", item.key)
        self._seen.add(item.key)
        if exists and self._action == "Add":
            item.reject("Supplier", given, EXISTS, f"Supplier '{given}' already exists")
        if not exists and self._action == "Update":
            item.reject("Supplier", given, NOT_FOUND, f"Supplier '{given}' not found")
        return None

    def _name(self, item: _Item) -> None:
        name = item.given["ApSupplier"].get("SupplierName")
        if not (name or "").strip() and (self._action == "Add" or name is not None):
            text = "XML element '{Item}{SupplierName}' cannot be spaces"
            item.reject("SupplierName", "", BLANK, text)
        elif name:
            table = TABLES["ApSupplier"]
            same = Sql('"SupplierName" = ? AND "Supplier" <> ?', (name, item.key))
            if self._store.select(table, table.key, same, limit=1):
                text = f"Another supplier has the name '{name}'"
                item.findings.append(_Finding("SupplierName", name, SAME_NAME, text, True))

    def _value(self, item: _Item, column: Column, value: str) -> None:
        name = column.name
        if column.kind == "date" and value and not is_date(value):
            text = f"Date '{value}' is invalid. The format must be CCYY-MM-DD"
            return item.reject(name, value, BAD_DATE, text)
        if column.kind == "number" and not value.strip():
            return None
        try:
            to_stored(column, value)
        except ValueError as error:
            return item.reject(name, value, BAD_VALUE, f"{name}: {error}")
        if name in _FLAGS and value not in ("Y", "N", ""):
            return item.reject(name, value, BAD_VALUE, f"{name} '{value}' must be Y or N")
        reference = self._references.get(name)
        if reference and value.strip() and not self._store.has(reference, value):
            item.reject(name, value, NO_REFERENCE, f"{name} '{value}' not found")
        return None


def _write(store: Store, item: _Item) -> None:
    for name, values in item.given.items():
        columns = TABLES[name].by_name
        # A number that is given empty is zero.
        row = {n: v if v.strip() else blank(columns[n]) for n, v in values.items()}
        if row or not store.has(name, item.key):
            upsert(store, name, [{"Supplier": item.key, **row}])


def _answer(items: list[_Item], invalid: int) -> bytes:
    status = enet_xml.field("RecordsRead", str(len(items)))
    status += enet_xml.field("RecordsInvalid", str(invalid))
    body = "".join(_item_xml(item) for item in items)
    return document("setupapsupplier", f"{body}\n{element('StatusOfItems', status)}\n")


def _item_xml(item: _Item) -> str:
    in_key = "".join(_finding(f) for f in item.findings if f.name == "Supplier")
    key = element("key", in_key or enet_xml.field("supplier", item.shown))
    others = "".join(_finding(f) for f in item.findings if f.name != "Supplier")
    return element("item", key + others)


def _finding(finding: _Finding) -> str:
    parts = {
        "Value": finding.value,
        "ErrorNumber": str(finding.number),
        "ErrorDescription": finding.text,
    }
    content = "".join(enet_xml.field(name, text) for name, text in parts.items())
    return element(finding.name.lower(), content)
