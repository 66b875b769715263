# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of an XML-RPC call, read as ocaml-rpc reads it.

A body that is no call fails in the words of xapi's libraries, because they stand in the page that the client gets.
"""

from __future__ import annotations

from typing import Any

from ..engine.types import DateTime, double, int64
from .xml_tokens import BLANK, Tokens, Unreadable

__all__ = ["Unreadable", "read"]


def _wrong(got: str, expected: str) -> Unreadable:
    return Unreadable(f'Xmlrpc.Parse_error("{got}", "{expected}", _)')


class Reader:
    """ocaml-rpc's parser of calls and values."""

    def __init__(self, text: str) -> None:
        self.tokens = Tokens(text)

    def call(self) -> tuple[str, list[Any]]:
        self._open("methodCall")
        self._open("methodName")
        name = self._text()
        self._close("methodName")
        self._open("params")
        self._skip_blank()
        params = []
        while self.tokens.peek()[0] != "close":
            self._open("param")
            params.append(self.value())
            self._close("param")
            self._skip_blank()
        self._close("params")
        self._close("methodCall")
        return name, params

    def _any_open(self) -> str:
        while True:
            kind, text = self.tokens.next()
            if kind == "open":
                return text
            if kind == "close":
                raise _wrong("close_tag", "open_tag")
            if text.strip(BLANK):
                raise _wrong(f"data({text})", "open_tag")

    def _open(self, tag: str) -> None:
        found = self._any_open()
        if found != tag:
            raise _wrong(f"open_tag({found})", f"open_tag({tag})")

    def _close(self, tag: str) -> None:
        while True:
            kind, text = self.tokens.next()
            if kind == "close":
                return
            if kind == "open":
                raise _wrong(f"open_tag({text})", f"close_tag({tag})")
            if text.strip(BLANK):
                raise _wrong(f"data({text})", f"close_tag({tag})")

    def _text(self) -> str:
        kind, text = self.tokens.peek()
        if kind == "open":
            raise _wrong(f"open_tag({text})", "data")
        if kind == "data":
            self.tokens.next()
            return text
        return ""

    def _skip_blank(self) -> None:
        while self.tokens.peek()[0] == "data" and not self.tokens.peek()[1].strip(BLANK):
            self.tokens.next()

    def value(self) -> Any:
        self._open("value")
        kind, text = self.tokens.peek()
        if kind == "close":
            result: Any = ""
        elif kind == "data":
            self.tokens.next()
            result = text
            if not text.strip(BLANK) and self.tokens.peek()[0] == "open":
                result = self._typed()
        else:
            result = self._typed()
        self._close("value")
        return result

    def _typed(self) -> Any:
        tag = self._any_open()
        if self.tokens.peek()[0] == "close":
            result = _empty(tag)
        elif tag == "array":
            result = self._array()
        elif tag == "struct":
            result = self._struct()
        elif tag == "nil":
            result = None
        elif tag in SCALARS:
            result = SCALARS[tag](self._text())
        else:
            raise _wrong(f"open_tag({tag})", "open_tag(int/i8/i4/boolean/double/string/dateTime.iso8601/array/struct/nil)")
        self._close(tag)
        return result

    def _array(self) -> list[Any]:
        self._open("data")
        self._skip_blank()
        items = []
        while self.tokens.peek()[0] != "close":
            items.append(self.value())
            self._skip_blank()
        self._close("data")
        return items

    def _struct(self) -> dict[str, Any]:
        members = {}
        self._skip_blank()
        while self.tokens.peek()[0] != "close":
            self._open("member")
            self._open("name")
            name = self._text()
            self._close("name")
            members[name] = self.value()
            self._close("member")
            self._skip_blank()
        return members


def _empty(tag: str) -> Any:
    empty: dict[str, Any] = {"string": "", "array": [], "struct": {}, "nil": None, "value": ""}
    if tag not in empty:
        raise _wrong(f"empty_{tag}", tag)
    return empty[tag]


def _int(text: str) -> int:
    try:
        return int64(text)
    except ValueError:
        raise Unreadable('Failure("Int64.of_string")') from None


def _float(text: str) -> float:
    try:
        return double(text)
    except (ValueError, OverflowError):
        raise Unreadable('Failure("float_of_string")') from None


SCALARS: dict[str, Any] = {
    "int": _int,
    "i4": _int,
    "i8": _int,
    "boolean": lambda text: text == "1",
    "double": _float,
    "string": str,
    "base64": str,
    "dateTime.iso8601": DateTime,
}


def read(body: bytes) -> tuple[str, list[Any]]:
    """Method and parameters of a methodCall."""
    return Reader(body.decode("utf-8", "surrogateescape")).call()
