# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An XML document as a sequence of tokens, read as Xmlm reads it, and failing in its words.

No entity but the five of XML and character references is known, so nothing can be expanded or fetched.
"""

from __future__ import annotations

import re
import sys

BLANK = " \t\r\n"
ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
NAME = re.compile(r"[^\W\d][\w.:-]*")
ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
REFERENCE = re.compile(r"#(?:x([0-9A-Fa-f]+)|([0-9]+))", re.ASCII)
DOCTYPE_MARK = re.compile("<!--|[<>\"']")
LONGEST_REFERENCE = 7  # digits of the last letter there is, in decimal
DEEPEST = 500  # the calls of a client nest less than ten deep; the parser recurses


class Unreadable(Exception):
    """No call; the text is what xapi's page says of it."""


class Tokens:
    """A document as a sequence of ("open", tag), ("close", ""), ("data", text)."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.position = 0
        self.open: list[str] = []
        self._peeked: tuple[str, str] | None = None
        self._queued: tuple[str, str] | None = None  # the end of an empty element
        found = ILLEGAL.search(self.text)
        self.illegal = found.start() if found else len(self.text)
        self._prolog()

    def fail(self, reason: str, at: int | None = None) -> Unreadable:
        where = self.position if at is None else at
        line = self.text.count("\n", 0, where) + 1
        column = where - (self.text.rfind("\n", 0, where) + 1) + 1
        escaped = reason.replace("\\", "\\\\").replace('"', '\\"')
        return Unreadable(f'Xmlm.Error({line}:{column}, "{escaped}")')

    def end(self) -> Unreadable:
        return self.fail("unexpected end of input", len(self.text))

    def _prolog(self) -> None:
        self._skip_blank()
        while True:
            if self.text.startswith("<?", self.position):
                self._skip_past("?>")
            elif self.text.startswith("<!--", self.position):
                self._skip_past("-->")
            elif self.text.startswith("<!DOCTYPE", self.position):
                self._skip_doctype()
            else:
                break
            self._skip_blank()
        if self.position >= len(self.text):
            # Xmlm counts the end of an empty document as its first character.
            raise self.end()
        if self.text[self.position] != "<":
            raise self.fail("expected root element")

    def _skip_doctype(self) -> None:
        """Past the document type with what it declares, of which nothing is believed."""
        depth = 0
        while True:
            found = DOCTYPE_MARK.search(self.text, self.position)
            if found is None:
                raise self.end()
            mark, self.position = found[0], found.end()
            if mark == "<!--":
                self._skip_past("-->")
            elif mark in "\"'":
                self._skip_past(mark)
            else:
                depth += 1 if mark == "<" else -1
            if depth == 0:
                return

    def _skip_blank(self) -> None:
        while self.position < len(self.text) and self.text[self.position] in BLANK:
            self.position += 1

    def _skip_past(self, mark: str) -> None:
        found = self.text.find(mark, self.position)
        if found < 0:
            raise self.end()
        self.position = found + len(mark)

    def peek(self) -> tuple[str, str]:
        if self._peeked is None:
            self._peeked = self._read()
        return self._peeked

    def next(self) -> tuple[str, str]:
        token = self.peek()
        self._peeked = None
        return token

    def _read(self) -> tuple[str, str]:
        if self._queued is not None:
            queued, self._queued = self._queued, None
            return queued
        while self.text.startswith(("<!--", "<?"), self.position) and self.position < self.illegal:
            self._skip_past("-->" if self.text[self.position + 1] == "!" else "?>")
        if self.position >= len(self.text):
            raise self.end()
        if self.position >= self.illegal:
            raise self.fail("malformed character stream", self.illegal)
        if self.text.startswith("</", self.position):
            return self._close()
        if self.text[self.position] == "<" and not self.text.startswith("<![CDATA[", self.position):
            return self._open()
        return self._data()

    def _name(self) -> str:
        found = NAME.match(self.text, self.position)
        if found is None:
            if self.position >= len(self.text):
                raise self.end()
            raise self.fail(f'character sequence illegal here ("{self.text[self.position]}")')
        self.position = found.end()
        return found[0]

    def _open(self) -> tuple[str, str]:
        if len(self.open) > DEEPEST:
            raise Unreadable("Stack_overflow")
        self.position += 1
        tag = self._name()
        end = self.text.find(">", self.position)
        if end < 0:
            raise self.end()
        local = tag.rpartition(":")[2]
        if self.text[end - 1] == "/":
            self._queued = ("close", "")
        else:
            self.open.append(tag)
        self.position = end + 1
        return "open", local

    def _close(self) -> tuple[str, str]:
        at = self.position
        self.position += 2
        tag = self._name()
        self._skip_blank()
        if self.position >= len(self.text):
            raise self.end()
        expected = self.open.pop() if self.open else ""
        if tag != expected or self.text[self.position] != ">":
            raise self.fail(f'expected one of these character sequence: "</{expected}>", found "</{tag}"', at)
        self.position += 1
        return "close", ""

    def _data(self) -> tuple[str, str]:
        parts = []
        while self.position < len(self.text):
            if self.text.startswith("<![CDATA[", self.position):
                start = self.position + 9
                self._skip_past("]]>")
                parts.append(self.text[start : self.position - 3])
                continue
            if self.text[self.position] == "<":
                break
            end = self.text.find("<", self.position)
            end = len(self.text) if end < 0 else end
            parts.append(self._plain(self.position, min(end, self.illegal)))
            self.position = end
        if self.position >= len(self.text):
            raise self.end()
        return "data", "".join(parts)

    def _plain(self, start: int, end: int) -> str:
        """Text with its references replaced."""

        def replace(found: re.Match[str]) -> str:
            name = found[1]
            if name.startswith("#"):
                letter = _referred(name)
                if not letter:
                    raise self.fail(f'character reference illegal here ("{name}")', start + found.start())
                return letter
            if name not in ENTITIES:
                raise self.fail(f'unknown entity reference ("{name}")', start + found.start())
            return ENTITIES[name]

        text = self.text[start:end]
        if "&" not in text:
            return text
        return re.sub(r"&([^;&]*);?", replace, text)


def _referred(name: str) -> str:
    """The letter that a character reference stands for; empty for what is no letter of XML."""
    match = REFERENCE.fullmatch(name)
    digits = (match[1] or match[2]).lstrip("0") if match else ""
    number = int(digits or "0", 16 if match and match[1] else 10) if len(digits) <= LONGEST_REFERENCE else 0
    letter = chr(number) if number <= sys.maxunicode else "\0"
    return "" if ILLEGAL.match(letter) else letter
