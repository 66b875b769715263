# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The xenstore of one host: a tree of texts, in which every directory has a text too (an empty one, mostly)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

LONGEST_PATH = 3072
# A message of xenstore's protocol; path, a NUL and the text share it.
LARGEST_MESSAGE = 4096
VALID = re.compile(r"(/[A-Za-z0-9_@-]+)+")


class Refused(Exception):
    """An operation that xenstored refuses: its errno by name."""


class Node:
    __slots__ = ("children", "text")

    def __init__(self) -> None:
        self.text = ""
        self.children: dict[str, Node] = {}


class Xenstore:
    def __init__(self) -> None:
        self._root = Node()
        # Told of every path that is written or removed, afterwards.
        self.watchers: list[Callable[[str], None]] = []

    # Reading: None for what is not there

    def read(self, path: str) -> str | None:
        node = self._find(path)
        return None if node is None else node.text

    def directory(self, path: str) -> list[str] | None:
        node = self._find(path)
        return None if node is None else list(node.children)

    def walk(self, path: str) -> Iterator[tuple[str, str]]:
        """Every node at and below a path, with its text; paths are absolute."""
        node = self._find(path)
        if node is not None:
            yield path, node.text
            for name in list(node.children):
                yield from self.walk(f"{path.rstrip('/')}/{name}")

    # Writing

    def write(self, path: str, text: str) -> None:
        self.check_write(path, text)
        node = self._root
        for name in path.split("/")[1:]:
            node = node.children.setdefault(name, Node())
        node.text = text
        self._tell(path)

    def write_all(self, path: str, texts: Mapping[str, str]) -> None:
        for key, text in texts.items():
            self.write(f"{path}/{key}", text)

    def remove(self, path: str) -> None:
        """What is not there is removed as well, when the directory for it is there."""
        self.check_remove(path)
        head, _unused, name = path.rpartition("/")
        parent = self._find(head or "/")
        if parent is not None and parent.children.pop(name, None) is not None:
            self._tell(path)

    def tidy(self, path: str) -> None:
        """Remove, and the directories above as far as that leaves them empty."""
        self.remove(path)
        head = path.rpartition("/")[0]
        node = self._find(head or "/")
        if head and node is not None and not node.text and not node.children:
            self.tidy(head)

    # Refusals

    def check_write(self, path: str, text: str) -> None:
        self._check(path)
        if len(path) + 1 + len(text.encode("utf-8", "surrogateescape")) > LARGEST_MESSAGE:
            raise Refused("E2BIG")

    def check_remove(self, path: str) -> None:
        self._check(path)
        if self._find(path.rpartition("/")[0] or "/") is None:
            raise Refused("ENOENT")

    @staticmethod
    def _check(path: str) -> None:
        if len(path) > LONGEST_PATH or not VALID.fullmatch(path):
            raise Refused("EINVAL")

    # Inside

    def _find(self, path: str) -> Node | None:
        node: Node | None = self._root
        for name in path.split("/")[1:] if path != "/" else ():
            node = node.children.get(name) if node is not None else None
        return node

    def _tell(self, path: str) -> None:
        for watcher in list(self.watchers):
            watcher(path)
