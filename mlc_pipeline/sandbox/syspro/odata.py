"""OData of the stand-in: `/SYSPRO8Odata/SYSPROOData/{company}/{table}`, read-only.

At most 5,000 rows an answer (SYSPRO help); whether a longer result carries
`@odata.nextLink`, how dates are typed and how callers prove themselves are settings,
because no public source settles them. Numbers are written with every decimal of their
column, from integers: no float on the way.

What must not come in: parsing of query options, SQL.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlc_pipeline.sandbox.syspro import odata_options
from mlc_pipeline.sandbox.syspro.odata_metadata import metadata
from mlc_pipeline.sandbox.syspro.odata_options import OptionError, Options
from mlc_pipeline.sandbox.syspro.state import State
from mlc_pipeline.sandbox.syspro.tables import Column, Table
from mlc_pipeline.sandbox.syspro.values import number_text

ROOT = "/SYSPRO8Odata/SYSPROOData"
_JSON = "application/json; odata.metadata=minimal; odata.streaming=true"
_HEADERS = {"OData-Version": "4.0"}


def _error(status: int, message: str) -> Response:
    body = json.dumps({"error": {"code": "", "message": message}})
    return Response(body, status, _HEADERS, media_type=_JSON)


class OData:
    """The OData routes of one stand-in."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Return the routes; every one asks who is calling first."""
        return [
            Route(ROOT + "/{company}", self._guarded(self._service)),
            Route(ROOT + "/{company}/", self._guarded(self._service)),
            Route(ROOT + "/{company}/$metadata", self._guarded(self._metadata)),
            Route(ROOT + "/{company}/{table}", self._guarded(self._entity_set)),
        ]

    def _guarded(
        self, answer: Callable[[Request, dict[str, str]], Response]
    ) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                options = odata_options.raw_options(request.url.query)
                refusal = self._refusal(request, options)
                return refusal or self._for_company(request, options, answer)
            except OptionError as error:
                return _error(400, str(error))

        return endpoint

    def _for_company(
        self,
        request: Request,
        options: dict[str, str],
        answer: Callable[[Request, dict[str, str]], Response],
    ) -> Response:
        company = request.path_params["company"]
        if company != self._state.settings.company:
            return _error(404, f"No company '{company}' is served here")
        return answer(request, options)

    def _refusal(self, request: Request, options: dict[str, str]) -> Response | None:
        """Return the answer to a caller who may not read, None for one who may."""
        settings = self._state.settings
        if settings.odata_auth == "basic":
            if self._is_user(request.headers.get("authorization", "")):
                return None
            refusal = _error(401, "Authorization has been denied for this request")
            refusal.headers["WWW-Authenticate"] = 'Basic realm="SYSPRO OData"'
            return refusal
        if self._state.session(options.get("UserId", "")):
            return None
        if settings.odata_lost_session == "error_text":
            text = self._state.lost_session_text
            return Response(text, media_type="application/octet-stream")
        return _error(401, "Authorization has been denied for this request")

    def _is_user(self, authorization: str) -> bool:
        scheme, _, credentials = authorization.partition(" ")
        settings = self._state.settings
        expected = f"{settings.odata_user}:{settings.odata_password.get_secret_value()}"
        try:
            given = base64.b64decode(credentials, validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme.casefold() == "basic" and given == expected.encode()

    def _service(self, request: Request, options: dict[str, str]) -> Response:
        sets = [{"name": name, "kind": "EntitySet", "url": name} for name in self._state.tables]
        body = {"@odata.context": f"{self._base(request)}/$metadata", "value": sets}
        return Response(json.dumps(body), headers=_HEADERS, media_type=_JSON)

    def _metadata(self, request: Request, options: dict[str, str]) -> Response:
        document = metadata(self._state.tables, self._state.settings.date_type)
        return Response(document, headers=_HEADERS, media_type="application/xml")

    def _base(self, request: Request) -> str:
        host = request.headers.get("host", "")
        return f"{request.url.scheme}://{host}{ROOT}/{self._state.settings.company}"

    def _entity_set(self, request: Request, raw: dict[str, str]) -> Response:
        name = request.path_params["table"]
        table = self._state.tables.get(name)
        if table is None:
            return _error(404, f"Resource not found for the segment '{name}'.")
        options = odata_options.read(raw, table, self._state.settings.date_type)
        page, last = self._page(table, options)
        selected = ",".join(column.name for column in options.columns)
        context = f"{self._base(request)}/$metadata#{name}"
        if "$select" in raw:
            context += f"({selected})"
        parts = [f'"@odata.context":{encode_basestring_ascii(context)}']
        parts.append(f'"value":[{_json_rows(page, options.columns, self._encoders())}]')
        if last is not None and self._state.settings.next_link:
            link = f"{self._base(request)}/{name}?{_next_query(raw, len(page), last)}"
            parts.append(f'"@odata.nextLink":{encode_basestring_ascii(link)}')
        return Response("{" + ",".join(parts) + "}", headers=_HEADERS, media_type=_JSON)

    def _page(
        self, table: Table, options: Options
    ) -> tuple[list[tuple[Any, ...]], tuple[Any, ...] | None]:
        """Return the rows of one answer, and the last row's order when it was cut off."""
        page_size = self._state.settings.page_size
        wanted = page_size + 1 if options.top is None else min(options.top, page_size + 1)
        ordering = tuple(column for column, _ in options.order)
        rows = self._state.store.select(
            table,
            (*options.columns, *ordering),
            options.where,
            options.order,
            limit=wanted,
            offset=options.skip,
        )
        if len(rows) <= page_size:
            return rows, None
        return rows[:page_size], rows[page_size - 1][len(options.columns) :]

    def _encoders(self) -> Callable[[Column], Callable[[Any], str]]:
        midnight = "" if self._state.settings.date_type == "Edm.Date" else "T00:00:00Z"

        def encoder(column: Column) -> Callable[[Any], str]:
            if column.kind == "text":
                return encode_basestring_ascii
            if column.kind == "number":
                return number_text(column)
            if column.kind == "date":
                return lambda day: "null" if day is None else f'"{day}{midnight}"'
            return _binary

        return encoder


def _binary(rowversion: int) -> str:
    return f'"{base64.urlsafe_b64encode(rowversion.to_bytes(8)).decode()}"'


def _json_rows(
    rows: list[tuple[Any, ...]],
    columns: Sequence[Column],
    encoders: Callable[[Column], Callable[[Any], str]],
) -> str:
    """Write rows as JSON objects; values beyond `columns` are left out."""
    writers = [(f'"{column.name}":', encoders(column)) for column in columns]
    return ",".join(
        "{"
        + ",".join(
            [
                f"{name}{write(value)}"
                for (name, write), value in zip(writers, row, strict=False)
            ]
        )
        + "}"
        for row in rows
    )


def _next_query(raw: dict[str, str], returned: int, last: Sequence[Any]) -> str:
    """Return the query of the next page: same options, after the last row of this one."""
    options = {k: v for k, v in raw.items() if k not in ("$skip", "$skiptoken")}
    if "$top" in options:
        options["$top"] = str(int(options["$top"]) - returned)
    options["$skiptoken"] = odata_options.skip_token(last)
    return "&".join(f"{quote(k, safe='$')}={quote(v, safe='')}" for k, v in options.items())
