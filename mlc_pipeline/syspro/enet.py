"""SYSPRO e.net over its REST service: log on and off, query and set up business objects.

Routes, parameters and answers: the recorded exchanges of the public syspro-ruby client and
SYSPRO's sample documents. Everything is a GET whose parameters travel in the query string,
and every answer is HTTP 200: errors are texts that start with ERROR, or elements inside an
otherwise successful document.

What must not come in: when to log on (module `session`), entities, rules of the sync.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Final, Literal, Self
from xml.etree.ElementTree import Element

import defusedxml.ElementTree as SafeXml
import httpx

from mlc_pipeline.syspro.errors import (
    BusinessError,
    Call,
    LogonRefused,
    SysproError,
    SysproRefused,
    SysproUnavailable,
)
from mlc_pipeline.syspro.wire import (
    ATTEMPTS,
    BACKOFF_SECONDS,
    Wire,
    plain_text,
    query_string,
    refusal,
)

SetupAction = Literal["Add", "Update", "Delete"]

_SECRET: Final = ("OperatorPassword", "CompanyPassword", "UserId")
_INVALID_COUNTS: Final = ("recordsinvalid", "itemsinvalid")


class EnetClient:
    """Speaks to one e.net service; a context manager. It holds no session itself.

    Reads, `logoff` and `version` are tried again when SYSPRO is unavailable; `logon` and
    `setup` are sent once, because a lost answer may have taken effect.

    Args:
        enet_url: address of the REST service, such as `https://host/SYSPROWCFService/Rest`.
        logon_path: path of the logon below it.
        timeout_seconds: for each wait for bytes; a quarter for each step of the way there.
        transport: what carries the requests; None for the network.
        attempts: how often a read is sent at most.
        backoff_seconds: upper bound of the first wait between two tries.
    """

    def __init__(
        self,
        enet_url: str,
        logon_path: str = "/Logon",
        timeout_seconds: float = 60,
        transport: httpx.BaseTransport | None = None,
        *,
        attempts: int = ATTEMPTS,
        backoff_seconds: float = BACKOFF_SECONDS,
    ) -> None:
        self._url = enet_url.rstrip("/")
        self._logon_path = "/" + logon_path.strip("/")
        self._wire = Wire(
            timeout_seconds, transport, attempts=attempts, backoff_seconds=backoff_seconds
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a session stays open in SYSPRO."""
        self._wire.close()

    @property
    def calls(self) -> int:
        """How many requests were sent."""
        return self._wire.calls

    def logon(
        self, operator: str, operator_password: str, company: str, company_password: str
    ) -> str:
        """Log on and return the session token: opaque text, not empty.

        A logon ends any other session of the same operator (SYSPRO help).

        Raises:
            LogonRefused: any ERROR text: there is no session yet that could be lost.
            SysproUnavailable: no usable answer.
        """
        call = Call("e.net", self._logon_path)
        parameters = {
            "Operator": operator,
            "OperatorPassword": operator_password,
            "CompanyId": company,
            "CompanyPassword": company_password,
        }
        try:
            token = self._text(call, parameters)
        except SysproError as error:
            if isinstance(error, SysproUnavailable):
                raise
            raise LogonRefused(error.problem, call) from None
        if not token or token.startswith("<") or len(token.split()) > 1:
            raise SysproUnavailable("answers the logon without a session token", call)
        return token

    def logoff(self, token: str) -> None:
        """End a session and give its licence seat back.

        Raises:
            SessionLost: there is no such session.
            SysproRefused, SysproUnavailable: the session may still be open.
        """
        call = Call("e.net", "/Logoff")
        result = self._wire.repeated(lambda: self._text(call, {"UserId": token}))
        if result != "0":
            raise SysproRefused("answers the logoff with something other than 0", call)

    def version(self) -> str:
        """Return the version of the e.net service, such as `7.0.0.6`; needs no session.

        Raises:
            SysproUnavailable: no usable answer.
        """
        call = Call("e.net", "/getversion")
        version = self._wire.repeated(lambda: self._text(call, {}))
        if not version:
            raise SysproUnavailable("answers without a version", call)
        return version

    def profile(self, token: str) -> dict[str, str]:
        """Return the logon profile, such as `CompanyName`, as text by element name.

        Raises:
            SessionLost: log on again.
            SysproRefused, SysproUnavailable: as for `query`.
        """
        call = Call("e.net", "/GetLogonProfile")
        root = self._wire.repeated(lambda: self._document(call, {"UserId": token}))
        return {leaf.tag: (leaf.text or "").strip() for leaf in root.iter() if not len(leaf)}

    def query(self, token: str, business_object: str, xml: str, *, entity: str = "") -> Element:
        """Run a query business object and return the root of its answer.

        `entity` is the logical entity being read, for messages only.

        Raises:
            SessionLost: log on again.
            SysproRefused: an ERROR text, or errors named inside the answer.
            SysproUnavailable: no usable answer.
        """
        call = Call("e.net", "/Query/Query", business_object, entity)
        parameters = {"UserId": token, "BusinessObject": business_object, "XmlIn": xml}
        return self._wire.repeated(lambda: self._document(call, parameters))

    def setup(
        self,
        token: str,
        action: SetupAction,
        business_object: str,
        parameters_xml: str,
        xml: str,
    ) -> Element:
        """Run a setup business object once and return the root of its answer.

        Elements that SYSPRO does not know are ignored silently: read back what was written.

        Raises:
            SessionLost: nothing was written; log on again.
            SysproRefused: an ERROR text, or errors named inside the answer.
            SysproUnavailable: unless its `may_have_arrived` is False, it may be written.
        """
        call = Call("e.net", f"/Setup/{action}", business_object)
        parameters = {
            "UserId": token,
            "BusinessObject": business_object,
            "XmlParameters": parameters_xml,
            "XmlIn": xml,
        }
        return self._document(call, parameters)

    def _body(self, call: Call, parameters: Mapping[str, str]) -> bytes:
        query = query_string(parameters)
        answer = self._wire.get(f"{self._url}{call.route}" + (query and f"?{query}"), call)
        if answer.status != 200:
            raise SysproUnavailable(f"answers HTTP {answer.status}", call, transient=False)
        return answer.body

    def _text(self, call: Call, parameters: Mapping[str, str]) -> str:
        text = plain_text(self._body(call, parameters))
        if error := refusal(text, call, _secrets(parameters)):
            raise error
        return text

    def _document(self, call: Call, parameters: Mapping[str, str]) -> Element:
        body = self._body(call, parameters)
        text = plain_text(body)
        if error := refusal(text, call, _secrets(parameters)):
            raise error
        # Bytes, so that the parser honours the declared Windows-1252; text only when the
        # document came wrapped, and was decoded with its wrapping.
        source = body.strip() if body.lstrip().startswith(b"<?xml") else text
        try:
            root: Element = SafeXml.fromstring(source)
        except (SafeXml.ParseError, ValueError):
            raise SysproUnavailable("answers with something that is not XML", call) from None
        if errors := list(_business_errors(root)):
            raise SysproRefused("; ".join(map(str, errors)), call, errors)
        return root


def _secrets(parameters: Mapping[str, str]) -> list[str]:
    return [parameters[name] for name in _SECRET if name in parameters]


def _business_errors(root: Element) -> Iterator[BusinessError]:
    """Find the errors inside an answer: ErrorNumber or ErrorDescription, invalid counts.

    Shape: recorded answer of INVSWS to an unknown stock code.
    """
    for element in root.iter():
        children = {child.tag.casefold(): (child.text or "").strip() for child in element}
        number = children.get("errornumber", "").lstrip("0")
        text = children.get("errordescription", "")
        if number or text:
            value = children.get("value", "")
            yield BusinessError(number, text, element.tag + (value and f" {value!r}"))
        for name in _INVALID_COUNTS:
            if children.get(name, "").strip("0"):
                yield BusinessError("", f"{children[name].lstrip('0')} invalid", name)
