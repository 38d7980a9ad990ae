"""XML as e.net reads and writes it.

Answers declare Windows-1252 and are encoded so; the root carries the attributes that the
recorded answers show; numbers are padded with blanks on the left.

What must not come in: business objects, HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

import defusedxml.ElementTree as SafeTree
from defusedxml.common import DefusedXmlException

from mlc_pipeline.sandbox.syspro.tables import Column
from mlc_pipeline.sandbox.syspro.values import number_text

_ATTRIBUTES = (
    "Language='05' Language2='EN' CssStyle='' DecFormat='1' DateFormat='01' Role='01' "
    "Version='8.0.022' OperatorPrimaryRole='   '"
)


class EnetError(Exception):
    """A call that e.net refuses; the text follows `ERROR: ` in the answer."""


def element(name: str, content: str) -> str:
    """Return an element around content that is XML already."""
    return f"<{name}>{content}</{name}>"


def field(name: str, text: str) -> str:
    """Return an element around plain text."""
    return f"<{name}>{escape(text)}</{name}>"


def document(root: str, content: str) -> bytes:
    """Return the answer with that root element, encoded as declared."""
    declaration = '<?xml version="1.0" encoding="Windows-1252"?>'
    text = f"{declaration}\n<{root} {_ATTRIBUTES}>\n{content}</{root}>"
    return text.encode("cp1252", "xmlcharrefreplace")


def parse(text: str, what: str) -> Element:
    """Return the root of an input document.

    Raises:
        EnetError: it is not well-formed, or declares entities.
    """
    try:
        root: Element = SafeTree.fromstring(text.strip())
    except (ParseError, DefusedXmlException):
        raise EnetError(f"The {what} document is not well-formed XML") from None
    return root


def text_of(parent: Element, path: str) -> str:
    """Return the text at a path, '' when the element is missing or empty."""
    return parent.findtext(path) or ""


def writer(column: Column, empty_date: str) -> Callable[[Any], str]:
    """Return the function that writes a stored value of the column as XML text."""
    if column.kind == "text":
        return escape
    if column.kind == "date":
        return lambda day: day or empty_date
    if column.kind == "rowversion":
        return lambda version: f"0x{version:016X}"
    write = number_text(column)
    # Room for every digit, the point and the sign.
    width = column.length + (2 if column.scale else 1)
    return lambda number: write(number).rjust(width)
