"""What was asked of the stand-in: calls counted by route, requests kept when recording.

Passwords and tokens are masked before anything is kept.

What must not come in: answers' bodies.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any
from urllib.parse import parse_qsl

_SECRET = {"operatorpassword", "companypassword", "userid"}
_MOST = 20_000


def _masked(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    return {name: "***" if name.casefold() in _SECRET else value for name, value in pairs}


def route_of(path: str, query: str) -> str:
    """Name the route of a request: `/query/query COMFND`, `OData ApSupplier`."""
    segments = path.strip("/").split("/")
    if segments[0].casefold() == "sysprowcfservice":
        names = {name.casefold(): value for name, value in parse_qsl(query)}
        route = "/" + "/".join(segments[2:]).lower()
        return f"{route} {names.get('businessobject', '').upper()}".rstrip()
    if segments[0] == "SYSPRO8Odata":
        return f"OData {'/'.join(segments[3:])}".rstrip()
    return path


class Traffic:
    """Counts and the last requests."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.requests: deque[dict[str, Any]] = deque(maxlen=_MOST)

    def record(
        self, *, method: str, path: str, query: str, status: int | None, fault: str | None
    ) -> None:
        """Keep one request; status None means that no answer was sent."""
        self.requests.append(
            {
                "method": method,
                "path": path,
                "query": _masked(query),
                "status": status,
                "fault": fault,
            }
        )
