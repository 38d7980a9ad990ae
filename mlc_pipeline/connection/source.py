"""YAML read as a person wrote it: values, and for each its line and its spelling.

A narrower YAML than the standard's: one document, no anchors, aliases and tags (a value
that begins with `&`, `*` or `!` was meant as text), no key twice, keys are always text.

What must not come in: what the keys mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml
from yaml.composer import ComposerError
from yaml.constructor import SafeConstructor
from yaml.reader import ReaderError

from mlc_pipeline.connection.errors import ConnectionFileError, FileProblem, Place

_HINTS = (
    # (what PyYAML says, what the person should know)
    (
        "found character '\\t'",
        "found a tab, expected blanks: YAML is indented with blanks only",
    ),
    ("cannot start any token", "a value begins with a sign that YAML keeps; quote the value"),
    ("alphabetic or numeric", "a value begins with &, * or !; quote the value"),
    (
        "mapping values are not allowed",
        "found ': ' in a value, or a line indented too far; quote the value or move the line",
    ),
    ("could not find expected ':'", "found a line without ':'; write it as key: value"),
)


@dataclass
class Source:
    """A parsed file: values, and by place their line (from 1) and how they are written."""

    file: str
    values: dict[str, object] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    written: dict[Place, str] = field(default_factory=dict)
    problems: list[FileProblem] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """Return the line of a value, or of the nearest section around it when absent."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def complain(self, place: Place, message: str, line: int | None = None) -> None:
        """Add a problem at the value of that place."""
        key = ".".join(str(part) for part in place)
        self.problems.append(FileProblem(self.file, line or self.line(place), key, message))


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor or getattr(event, "tag", None):
            raise ComposerError(None, None, "expected alphabetic or numeric", event.start_mark)
        return super().compose_node(parent, index)


def parse(content: bytes, file: str) -> Source:
    """Parse a file's content; keys given twice are in `problems`.

    Raises:
        ConnectionFileError: it is not UTF-8, not YAML, or not a mapping of keys.
    """
    text = _decode(content, file)
    root = _compose(text, file)
    if not isinstance(root, yaml.MappingNode):
        found = "nothing" if root is None else "a list or a text"
        raise _refused(file, 1, f"found {found}, expected keys such as `syspro:`")
    source = Source(file)
    source.values = _Reader(source).mapping(root, ())
    return source


def _refused(file: str, line: int, message: str) -> ConnectionFileError:
    return ConnectionFileError([FileProblem(file, line, "", message)])


def _decode(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(file, line, "is not UTF-8; save the file as UTF-8") from None


def _compose(text: str, file: str) -> yaml.Node | None:
    # Errors are raised without their cause: PyYAML's own show the line, secrets and all.
    try:
        return yaml.compose(text, Loader=_PlainLoader)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _refused(
            file, line, "holds a character that cannot be printed; remove it"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _refused(file, mark.line + 1 if mark else 1, _hint(error.problem)) from None
    except RecursionError:
        raise _refused(file, 1, "is nested too deeply; three levels are enough") from None


def _hint(problem: str | None) -> str:
    said = problem or "it cannot be read"
    for sign, hint in _HINTS:
        if sign in said:
            return hint
    return f"is not YAML: {said}; check indentation, quotes and brackets from here upwards"


class _Reader:
    """Turns composed nodes into plain values, noting where each stands."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._constructor = SafeConstructor()

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._source.complain(place, "found a key that is not text", line)
                continue
            key = key_node.value
            inner = (*place, key)
            if key in values:
                first = self._source.lines[inner]
                self._source.complain(
                    inner, f"found again, first on line {first}; keep one", line
                )
                continue
            self._source.lines[inner] = line
            values[key] = self._value(value_node, inner)
        return values

    def _value(self, node: yaml.Node, place: Place) -> object:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*place, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _item(self, node: yaml.Node, place: Place) -> object:
        self._source.lines[place] = node.start_mark.line + 1
        return self._value(node, place)

    def _scalar(self, node: yaml.Node, place: Place) -> object:
        self._source.written[place] = node.value
        try:
            return self._constructor.construct_object(node)
        except ValueError:  # looks like a date or number, and is none: 2016-02-30
            # The text itself: the model then says what it expects in this place.
            return node.value
