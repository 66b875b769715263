# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plugin script printed, read as strictly as xapi reads it (X/xapi_plugins.ml, H/xMLRPC.ml, xml-light2/xml.ml)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from ..engine.failure import Failure, internal_error

# expat's reason → the words of the parser that xapi uses.
PARSER_WORDS = {
    "no element found": "unexpected end of input",
    "unclosed token": "unexpected end of input",
    "unclosed CDATA section": "unexpected end of input",
}


@dataclass
class Element:
    tag: str
    children: list[Element | str]

    @property
    def name(self) -> str:
        return f"Element={self.tag}"


def _named(node: Element | str) -> str:
    return node.name if isinstance(node, Element) else f"PCData={node}"


def _wrong(what: str) -> Failure:
    return internal_error(f'XMLRPC.RunTimeTypeError("{what}", _)')


def parse(text: str) -> Element:
    """The document as a tree, without the blanks between elements."""
    if not text.strip():
        raise _unparseable(text, "unexpected end of input", 1)
    if not text.lstrip().startswith("<"):
        raise _unparseable(text, "expected root element", 1)
    root = Element("", [])
    stack = [root]

    def start(tag: str, _attributes: Any) -> None:
        element = Element(tag, [])
        stack[-1].children.append(element)
        stack.append(element)

    def end(_tag: str) -> None:
        element = stack.pop()
        element.children = [child for child in element.children if isinstance(child, Element) or child.strip(" \t\n")]

    def data(characters: str) -> None:
        children = stack[-1].children
        if children and isinstance(children[-1], str):
            children[-1] += characters
        else:
            children.append(characters)

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        reason = expat.errors.messages.get(error.code, "malformed")
        raise _unparseable(text, PARSER_WORDS.get(reason, reason), error.lineno) from None
    return next(child for child in root.children if isinstance(child, Element))


def _unparseable(output: str, reason: str, line: int) -> Failure:
    return Failure("XENAPI_PLUGIN_FAILURE", "failed to parse plugin output", output, f"{reason} line {line}")


def result(output: str) -> str:
    """The text that the plugin answered; its failure, its fault and every other answer are refusals."""
    answer = _only(parse(output), "methodResponse")
    if isinstance(answer, Element) and answer.tag == "params":
        parameters = [_only(child, "param") for child in answer.children]
        if len(parameters) != 1:
            raise _wrong("Expected single return value (struct status)")
        return _status(parameters[0])
    if isinstance(answer, Element) and answer.tag == "fault":
        members = _structure(_only(answer, "fault"))
        raise Failure("XENAPI_PLUGIN_FAILURE", "fault", _int(members["faultCode"]), _text(members["faultString"]))
    raise _wrong("response")


def _status(value: Element | str) -> str:
    members = _structure(value)
    status = _text(members["Status"]) if "Status" in members else ""
    if status == "Success" and "Value" in members:
        return _text(members["Value"])
    if status == "Failure" and "ErrorDescription" in members:
        description = [_text(item) for item in _array(members["ErrorDescription"])]
        if not description:
            raise _wrong("Empty array of error strings")
        raise Failure(*description)
    raise _wrong("Status")


def _unbox(node: Element | str, *tags: str) -> list[Element | str]:
    if not isinstance(node, Element) or node.tag not in tags:
        raise _wrong(f"unbox: {_named(node)} should contain '{tags[0]}'")
    return node.children


def _only(node: Element | str, *tags: str) -> Element | str:
    children = _unbox(node, *tags)
    if len(children) != 1:
        names = ", ".join(map(_named, children))
        raise _wrong(f"singleton: {{{names}}} should be the singleton {{{tags[0]}}}")
    return children[0]


def _structure(value: Element | str) -> dict[str, Element | str]:
    members = {}
    for member in _unbox(_only(value, "value"), "struct"):
        parts = _unbox(member, "member")
        if len(parts) != 2:
            raise _wrong("pair ")
        name = _unbox(parts[0], "name")
        members["".join(part for part in name if isinstance(part, str))] = parts[1]
    return members


def _array(value: Element | str) -> list[Element | str]:
    return _unbox(_only(_only(value, "value"), "array"), "data")


def _int(value: Element | str) -> str:
    number = _only(_only(value, "value"), "i4", "int")
    if isinstance(number, Element):
        raise _wrong("pcdata")
    return number


def _text(value: Element | str) -> str:
    """A string: bare in its value, or tagged as one."""
    if isinstance(value, Element) and value.tag == "value" and (not value.children or isinstance(value.children[0], str)):
        return "".join(child for child in value.children if isinstance(child, str))
    inner = _only(value, "value")
    if isinstance(inner, Element) and inner.tag == "string" and not inner.children:
        return ""
    text = _only(inner, "string")
    if isinstance(text, Element):
        raise _wrong("pcdata")
    return text
