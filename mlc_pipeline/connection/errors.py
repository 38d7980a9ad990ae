"""What can be wrong with what a customer wrote, and how it is said.

Every message names the file, the line, the key, what was found, what was expected and
what to do.

What must not come in: reading files, values of secrets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

Place = tuple[str | int, ...]
"""Where a value stands in a file: keys and list positions from the top."""


@dataclass(frozen=True)
class FileProblem:
    """One thing to correct in a file: `line` counts from 1, `key` is dotted, may be blank."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: "
        return place + (f"{self.key}: {self.message}" if self.key else self.message)


class ConnectionFileError(ValueError):
    """A connection's file cannot be used; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: Iterable[FileProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConnectionsFolderError(FileNotFoundError):
    """The folder that should hold the connections is not there."""


class GlCodeError(ValueError):
    """A SYSPRO GL code does not have the sections that the connection speaks of."""


def suggestion(found: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?`, or what is known when nothing comes near."""
    names = sorted(known)
    # Case first: difflib takes 'main warehouse' and 'Main Warehouse' for rather different.
    near = [name for name in names if name.casefold() == found.strip().casefold()]
    near = near or get_close_matches(found, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"known are {shown}" if names else "none is known"
