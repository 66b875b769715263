# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plugin script printed, read as strictly as xapi reads it (X/xapi_plugins.ml, H/xMLRPC.ml, xml-light2/xml.ml)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.parsers import expat

from ..engine.failure import Failure, internal_error

# expat's reason → the words of the parser that xapi uses.
PARSER_WORDS = {
    "no element found": "unexpected end of input",
    "unclosed token": "unexpected end of input",
    "unclosed CDATA section": "unexpected end of input",
}
# A number of 32 bits.
DECIMAL, MOST = re.compile(r"[-+]?[0-9]{1,12}"), (1 << 31) - 1


@dataclass
class Element:
    tag: str
    children: list[Element | str]
    # xapi takes no element with attributes for one that it knows.
    has_attributes: bool = False

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

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, [], bool(attributes))
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
        raise _fault(_structure(_only(answer, "fault")))
    raise _wrong("response")


def _fault(members: dict[str, Element | str]) -> Failure:
    """The refusal that a fault becomes; one without its members is an OCaml exception that nobody catches."""
    try:
        # OCaml evaluates a pair from its end: of two that are wrong the text is what xapi complains of.
        reason = _text(members["faultString"])
        return Failure("XENAPI_PLUGIN_FAILURE", "fault", str(_int32(members["faultCode"])), reason)
    except KeyError:
        return internal_error("Not_found")


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
    if not isinstance(node, Element) or node.has_attributes or node.tag not in tags:
        raise _wrong(f"unbox: {_named(node)} should contain '{tags[0]}'")
    return node.children


def _only(node: Element | str, *tags: str) -> Element | str:
    children = _unbox(node, *tags)
    if len(children) != 1:
        names = ", ".join(map(_named, children))
        raise _wrong(f"singleton: {{{names}}} should be the singleton {{{tags[0]}}}")
    return children[0]


def _structure(value: Element | str) -> dict[str, Element | str]:
    members: dict[str, Element | str] = {}
    for member in _unbox(_only(value, "value"), "struct"):
        parts = _unbox(member, "member")
        if len(parts) != 2:
            raise _wrong("pair ")
        # Of two members of one name the first is found.
        members.setdefault(_name(parts[0]), parts[1])
    return members


def _name(node: Element | str) -> str:
    match _unbox(node, "name"):
        case []:
            return ""
        case [str(text)]:
            return text
    raise _wrong("From.name: should contain PCData")


def _array(value: Element | str) -> list[Element | str]:
    return _unbox(_only(_only(value, "value"), "array"), "data")


def _int32(value: Element | str) -> int:
    text = _only(_only(value, "value"), "i4", "int")
    if isinstance(text, Element):
        raise _wrong("pcdata")
    number = int(text) if DECIMAL.fullmatch(text) else MOST + 1
    if not -MOST - 1 <= number <= MOST:
        raise internal_error('Failure("Int32.of_string")')
    return number


def _text(value: Element | str) -> str:
    """A string: bare in its value, or tagged as one."""
    if isinstance(value, Element) and value.tag == "value" and not value.has_attributes:
        match value.children:
            case []:
                return ""
            case [str(text)]:
                return text
            case [Element("string", [], False)]:
                return ""
    inner = _only(_only(value, "value"), "string")
    if isinstance(inner, Element):
        raise _wrong("pcdata")
    return inner
