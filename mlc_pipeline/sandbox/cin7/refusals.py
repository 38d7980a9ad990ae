"""How a request is refused: the error list of the API, at most three problems at a time.

What must not come in: the rules themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlc_pipeline.sandbox.cin7.wire import Document

MOST_PROBLEMS = 3
"""Only a handful of problems is reported per request; fixing them reveals others
(measured by client authors; the exact number is ours)."""


@dataclass(frozen=True)
class Problem:
    """One entry of the error list.

    `code` may differ from the HTTP status: an unknown location is 404 on a 400 answer.
    """

    text: str
    code: int = 400

    def body(self) -> Document:
        """The entry as it travels."""
        return {"ErrorCode": self.code, "Exception": self.text}


class RefusedError(Exception):
    """The request is not carried out; nothing has changed."""

    def __init__(self, *problems: Problem | str, status: int = 400) -> None:
        self.problems: Sequence[Problem] = [
            p if isinstance(p, Problem) else Problem(p) for p in problems
        ]
        self.status = status
        super().__init__("; ".join(p.text for p in self.problems))

    def body(self) -> list[Document]:
        """The error list as it travels."""
        return [problem.body() for problem in self.problems[:MOST_PROBLEMS]]
