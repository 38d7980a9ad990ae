"""e.net Communications Service of the stand-in: `/SYSPROWCFService/Rest`.

As recorded: every answer has status 200 and content type application/octet-stream, errors
are text that starts with `ERROR:`, credentials and documents travel in the query string.

What must not come in: business objects' own rules, OData.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mlc_pipeline.sandbox.syspro import apsssp, comfnd
from mlc_pipeline.sandbox.syspro.enet_xml import EnetError, document, field
from mlc_pipeline.sandbox.syspro.sessions import Session
from mlc_pipeline.sandbox.syspro.state import State

# Segments match in any case: the application lower-cases the path before routing.
ROOT = "/sysprowcfservice/rest"
VERSION = "8.0.0.6"

Parameters = Mapping[str, str]


class Enet:
    """The e.net routes of one stand-in."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Return the routes; what is none of them is WCF's own 404 page."""
        answers: dict[str, Callable[[Parameters], str | bytes]] = {
            "/getversion": self._version,
            "/logon": self._log_on,
            "/utilities/logon": self._utilities_log_on,
            "/logoff": self._log_off,
            "/getlogonprofile": self._profile,
            "/query/query": self._query,
            "/setup/add": self._add,
            "/setup/update": self._update,
        }
        return [
            *(Route(ROOT + path, self._endpoint(answer)) for path, answer in answers.items()),
            Route(ROOT + "/{rest:path}", _no_endpoint),
        ]

    def _endpoint(
        self, answer: Callable[[Parameters], str | bytes]
    ) -> Callable[[Request], object]:
        async def endpoint(request: Request) -> Response:
            given = {name.casefold(): value for name, value in request.query_params.items()}
            try:
                content = answer(given)
            except EnetError as error:
                content = f"ERROR: {error}"
            except _LostSessionError:
                content = self._state.lost_session_text
            except _NoEndpointError:
                return await _no_endpoint(request)
            return Response(content, media_type="application/octet-stream")

        return endpoint

    def _version(self, given: Parameters) -> str:
        return VERSION

    def _utilities_log_on(self, given: Parameters) -> str:
        if not self._state.settings.utilities_logon:
            raise _NoEndpointError
        return self._log_on(given)

    def _log_on(self, given: Parameters) -> str:
        settings = self._state.settings
        for name in ("Operator", "OperatorPassword", "CompanyId", "CompanyPassword"):
            _required(given, name)
        password = settings.operators.get(given["operator"])
        if password is None:
            raise EnetError("Invalid operator")
        if given["operatorpassword"] != password.get_secret_value():
            raise EnetError("Invalid operator password")
        if given["companyid"] != settings.company:
            raise EnetError("Invalid company")
        if given["companypassword"] != settings.company_password.get_secret_value():
            raise EnetError("Invalid company password")
        token = self._state.sessions.log_on(
            given["operator"], seats=settings.seats, idle_seconds=settings.idle_seconds
        )
        if token is None:
            raise EnetError("No e.net license is available; every seat is taken")
        return _shaped(token + "  ", settings.token_shape)

    def _log_off(self, given: Parameters) -> str:
        self._state.sessions.log_off(self._session(given))
        return "0"

    def _session(self, given: Parameters) -> Session:
        session = self._state.session(_required(given, "UserId"))
        if session is None:
            raise _LostSessionError
        return session

    def _profile(self, given: Parameters) -> bytes:
        session = self._session(given)
        settings = self._state.settings
        fields = {
            "CompanyName": settings.company_name,
            "OperatorCode": session.operator,
            "OperatorLanguageCode": "05",
            "CompanyDate": settings.today,
            "AccountingDate": settings.today,
            "LocalCurrencyCode": settings.local_currency,
            "DecimalFormat": "1",
            "DateFormat": "01",
            "DatabaseType": "SQL Server",
            "SysproVersion": VERSION,
            "EnetVersion": VERSION,
        }
        content = "".join(f"{field(name, text)}\n" for name, text in fields.items())
        return document("UserProfile", content)

    def _query(self, given: Parameters) -> bytes:
        self._session(given)
        _business_object(given, "COMFND")
        state = self._state
        xml_in = _required(given, "XmlIn")
        return comfnd.find(state.store, state.tables, xml_in, state.settings.empty_date)

    def _add(self, given: Parameters) -> bytes:
        return self._set_up("Add", given)

    def _update(self, given: Parameters) -> bytes:
        return self._set_up("Update", given)

    def _set_up(self, action: Literal["Add", "Update"], given: Parameters) -> bytes:
        self._session(given)
        _business_object(given, "APSSSP")
        return apsssp.maintain(
            self._state.store,
            self._state.settings,
            action,
            _required(given, "XmlParameters"),
            _required(given, "XmlIn"),
        )


class _LostSessionError(Exception):
    """The token is unknown, evicted or expired."""


class _NoEndpointError(Exception):
    """The service does not have this route."""


async def _no_endpoint(request: Request) -> Response:
    return HTMLResponse("<html><body><p>Endpoint not found.</p></body></html>", 404)


def _required(given: Parameters, name: str) -> str:
    """Return a parameter, which may be empty but not missing."""
    if name.casefold() not in given:
        raise EnetError(f"Parameter {name} is missing")
    return given[name.casefold()]


def _business_object(given: Parameters, served: str) -> None:
    name = _required(given, "BusinessObject")
    if name.upper() != served:
        raise EnetError(f"e.net exception 100000 - business object '{name}' is not available")


def _shaped(token: str, shape: str) -> str:
    """Return the token as some builds of the service dress it."""
    return {
        "plain": token,
        "json": f'"{token}"',
        "string": (
            '<string xmlns="http://schemas.microsoft.com/2003/10/Serialization/">'
            f"{token}</string>"
        ),
    }[shape]
