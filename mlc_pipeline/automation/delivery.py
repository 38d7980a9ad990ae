"""What an alert says, whichever way it goes, and the error of one that did not arrive.

What must not come in: HTTP, SMTP, the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class NotDelivered(Exception):  # noqa: N818 - says what happened, not what is wrong
    """An alert did not arrive; says why, without addresses or secrets."""


@dataclass(frozen=True)
class Alert:
    """An alert as it is told.

    Attributes:
        connection: whose.
        what: raised or recovered.
        title: one line.
        detail: what was found; empty when it is over.
        remedy: what to do; empty when it is over.
        link: the run in the Dagster UI; empty when there is none.
    """

    connection: str
    what: str
    title: str
    detail: str = ""
    remedy: str = ""
    link: str = ""

    @property
    def subject(self) -> str:
        """The line that is seen first."""
        word = "Solved" if self.what == "recovered" else "Alert"
        return f"[{self.connection}] {word}: {self.title}"

    def text(self) -> str:
        """Return the alert as plain text."""
        parts = [
            self.subject,
            self.detail,
            f"What to do: {self.remedy}" if self.remedy else "",
            f"Run: {self.link}" if self.link else "",
        ]
        return "\n\n".join(part for part in parts if part)

    def slack(self) -> Mapping[str, Any]:
        """Return the alert as a Slack message: a text for the notification, and blocks."""
        lines = [f"*{_escaped(self.subject)}*"]
        lines += [_escaped(self.detail)] if self.detail else []
        lines += [f"*What to do:* {_escaped(self.remedy)}"] if self.remedy else []
        lines += [f"<{self.link}|The run>"] if self.link else []
        section = {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "\n".join(lines)[:2900]},
        }
        return {"text": _escaped(self.subject), "blocks": [section]}


def _escaped(text: str) -> str:
    """Return a text in which nothing is taken for Slack's markup of links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
