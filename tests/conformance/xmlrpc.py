# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""XML-RPC documents as plain values, so that two of them compare by structure and not by the order of members."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree


def method(document: str) -> str:
    """The method that a request names, "" when it is none."""
    found = re.search(r"<methodName>([^<]*)</methodName>", document)
    return found[1] if found else ""


def parse(document: str) -> Any:
    """A ``methodResponse`` or a bare ``value`` as plain values; each scalar keeps its tag, because clients depend on it."""
    # The recorder wrote <time> in place of text, which is no XML.
    root = ElementTree.fromstring(document.replace("<time>", "@time"))
    value = root if root.tag == "value" else root.find("params/param/value")
    if value is None:
        raise ValueError("no value in the document")
    return _value(value)


def _value(element: ElementTree.Element) -> Any:
    if len(element) == 0:
        return _text(element)
    inner = element[0]
    if inner.tag == "struct":
        return {_text(member[0]): _value(member[1]) for member in inner}
    if inner.tag == "array":
        return [_value(item) for item in inner[0]]
    return f"<{inner.tag}>{_text(inner)}"


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").replace("@time", "<time>")
