"""What the routes of one running stand-in share.

What must not come in: HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mlc_pipeline.sandbox.syspro.faults import Faults
from mlc_pipeline.sandbox.syspro.sessions import Session, Sessions
from mlc_pipeline.sandbox.syspro.settings import Settings
from mlc_pipeline.sandbox.syspro.store import Store
from mlc_pipeline.sandbox.syspro.tables import Table, visible
from mlc_pipeline.sandbox.syspro.traffic import Traffic

_LOST = {
    # Recorded for a token that the service does not know.
    "base_directory": (
        "ERROR: Unable to read the SYSPRO base directory registry string BaseDir8"
    ),
    # No published wording; ours.
    "expired": "ERROR: The session of this user id has expired or was removed",
}


@dataclass
class State:
    """Settings (replaced as a whole), company database, sessions, faults, traffic."""

    store: Store
    settings: Settings
    sessions: Sessions = field(default_factory=Sessions)
    faults: Faults = field(default_factory=Faults)
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def tables(self) -> dict[str, Table]:
        """The tables and columns that callers see."""
        return visible(self.settings.absent)

    @property
    def lost_session_text(self) -> str:
        """The answer to a token that is not, or no longer, valid."""
        return _LOST[self.settings.lost_session]

    def session(self, token: str) -> Session | None:
        """Return the open session of a token and mark it used."""
        return self.sessions.use(token, idle_seconds=self.settings.idle_seconds)
