"""Business object APSSSP, supplier maintenance: what we send, and the calls that send it.

A document holds one supplier and only the elements that change. SYSPRO drops elements that
it does not know without a word, so what was written is read back. Bank, EFT and balance
fields are not among the elements that can be sent.

What must not come in: which values are wanted and why, the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from mlc_pipeline.syspro.enet import EnetClient
from mlc_pipeline.syspro.entities import Entity
from mlc_pipeline.syspro.errors import SessionLost, SysproError, SysproUnavailable
from mlc_pipeline.syspro.reader import Keys, Reader, Row
from mlc_pipeline.syspro.session import Session

ELEMENTS: Final = (
    "SupplierName",
    "SupShortName",
    "Telephone",
    "Fax",
    "Contact",
    "Branch",
    "TermsCode",
    "Currency",
    "SupplierClass",
    "Area",
    "SupAddr1",
    "SupAddr2",
    "SupAddr3",
    "SupAddr4",
    "SupAddr5",
    "SupPostalCode",
    "DefTaxCode",
    "TaxRegnNum",
    "OnHold",
    "Email",
    "Nationality",
)
"""Every element that may be sent, in the order of SYSPRO's sample document."""

BUSINESS_OBJECT: Final = "APSSSP"
_ROOT: Final = "SetupApSupplier"
_DECLARATION: Final = '<?xml version="1.0" encoding="Windows-1252"?>'


@dataclass(frozen=True)
class SupplierSetup:
    """One supplier to add or to change.

    Attributes:
        action: Add or Update.
        supplier: code as stored, by which it is read back.
        presented: code as the business object takes it.
        elements: text by element; blank clears.
    """

    action: Literal["Add", "Update"]
    supplier: str
    presented: str
    elements: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(self.elements.keys() - set(ELEMENTS))
        if unknown:
            raise ValueError(
                f"supplier {self.supplier}: {', '.join(unknown)} may not be sent; expected "
                f"some of {', '.join(ELEMENTS)}"
            )

    def to_wire(self) -> dict[str, Any]:
        """Return what is sent, as the ledger takes its digest."""
        return {"Action": self.action, "Supplier": self.presented, **self.elements}

    def to_xml(self) -> str:
        """Return the document `XmlIn`.

        Raises:
            UnicodeEncodeError: a letter that Windows-1252 lacks.
        """
        root = Element(_ROOT)
        item = SubElement(root, "Item")
        SubElement(SubElement(item, "Key"), "Supplier").text = self.presented
        for name in ELEMENTS:
            if name in self.elements:
                text = self.elements[name]
                text.encode("cp1252")
                SubElement(item, name).text = text
        return _DECLARATION + tostring(root, encoding="unicode")


def parameters(*, validate_only: bool) -> str:
    """Return `XmlParameters`: all or nothing, and a warning (a namesake) is a refusal."""
    root = Element(_ROOT)
    given = SubElement(root, "Parameters")
    for name, value in (
        ("IgnoreWarnings", "N"),
        ("ApplyIfEntireDocumentValid", "Y"),
        ("ValidateOnly", "Y" if validate_only else "N"),
    ):
        SubElement(given, name).text = value
    return tostring(root, encoding="unicode")


class SupplierMaintenance:
    """Reads, checks and writes single suppliers of one company, over one session."""

    def __init__(
        self,
        client: EnetClient,
        session: Session,
        reader: Reader,
        entities: Mapping[str, Entity],
    ) -> None:
        """Take the services; the session must be open."""
        self._client = client
        self._session = session
        self._reader = reader
        self._master = entities["suppliers"]
        self._addresses = entities["supplier_addresses"]

    def supplier(self, code: str, /) -> Row | None:
        """Read a supplier with its address by stored code; None when there is none.

        Raises:
            SysproError: it could not be read.
        """
        found = self._one(self._master, code)
        if found is None:
            return None
        return {**(self._one(self._addresses, code) or {}), **found}

    def _one(self, entity: Entity, code: str) -> Row | None:
        before = len(self._reader.rejected)
        rows = [
            row
            for page in self._reader.read(entity, Keys(("supplier",), [(code,)]))
            for row in page
        ]
        rejected = self._reader.rejected[before:]
        if rejected:
            raise SysproUnavailable(rejected[0].message, transient=False)
        return rows[0] if rows else None

    def validate(self, setup: SupplierSetup, /) -> None:
        """Let SYSPRO check a document and write nothing.

        Raises:
            SysproRefused: what is wrong, field by field.
            SysproUnavailable: no usable answer; nothing was written.
        """
        try:
            self._set_up(setup, validate_only=True)
        except SysproUnavailable as error:
            # A check that was not answered has written nothing, whatever became of it.
            error.may_have_arrived = False
            raise

    def write(self, setup: SupplierSetup, /) -> Row:
        """Write a supplier once and return it as read back.

        Raises:
            SysproRefused: nothing was written.
            SysproUnavailable: unless its `may_have_arrived` is False, it may be written.
        """
        self._set_up(setup, validate_only=False)
        try:
            stored = self.supplier(setup.supplier)
        except SysproError as error:
            # Whatever the reading could not do: the writing is done.
            raise SysproUnavailable(f"written, not read back: {error.problem}") from error
        if stored is None:
            raise SysproUnavailable(
                f"said that supplier {setup.presented} was written and does not show it"
            )
        return stored

    def _set_up(self, setup: SupplierSetup, *, validate_only: bool) -> None:
        document = setup.to_xml()
        given = parameters(validate_only=validate_only)

        def send(token: str) -> Element:
            return self._client.setup(token, setup.action, BUSINESS_OBJECT, given, document)

        token = self._session.token()
        try:
            send(token)
        except SessionLost:
            # A session that is lost has written nothing, so it is safe to send once more.
            send(self._session.renew(token))
