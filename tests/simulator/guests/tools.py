# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""dom0's `xenstore-read`, `-write`, `-list`, `-ls`, `-rm` and `-exists`: a script beside a socket of this process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .xenstore import Refused, Xenstore

COMMANDS = ("read", "write", "list", "ls", "rm", "exists")
# Where dom0's relative paths begin.
HOME = "/local/domain/0/"
LONGEST_REQUEST = 1 << 20


class Server:
    """Answers the tools of one host. A request is a line of JSON: one transaction."""

    def __init__(self, store: Xenstore, socket: Path) -> None:
        self.store = store
        self.socket = socket
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.socket, limit=LONGEST_REQUEST)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                writer.write(json.dumps(self.answer(json.loads(line))).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            # The tool was killed, or is none.
            pass
        finally:
            writer.close()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """`done` lists what each operation gave; with an error at `failed`, nothing has been done."""
        command, items = request["command"], [(_absolute(path), text) for path, text in request["items"]]
        done: list[Any] = []
        for number, (path, text) in enumerate(items):
            try:
                done.append(self._try(command, path, text))
            except Refused as refused:
                return {"done": done, "failed": number, "error": str(refused)}
        for path, text in items:
            self._do(command, path, text, tidy=request.get("tidy", False))
        return {"done": done}

    def _try(self, command: str, path: str, text: str) -> Any:
        if command == "write":
            return self.store.check_write(path, text)
        if command == "rm":
            return self.store.check_remove(path)
        if command == "ls":
            return _needed([[one, value] for one, value in self.store.walk(path)] or None)
        return _needed(self.store.directory(path) if command == "list" else self.store.read(path))

    def _do(self, command: str, path: str, text: str, *, tidy: bool) -> None:
        if command == "write":
            self.store.write(path, text)
        elif command == "rm":
            (self.store.tidy if tidy else self.store.remove)(path)


def _absolute(path: str) -> str:
    return path if path.startswith("/") else HOME + path


def _needed(found: Any) -> Any:
    if found is None:
        raise Refused("ENOENT")
    return found


def install(folder: Path) -> Callable[[str], Path]:
    """The tools in a folder of PATH; gives where each is."""
    text = Path(__file__).with_name("xenstore_tool.py").read_text(encoding="utf-8")
    for command in COMMANDS:
        path = folder / f"xenstore-{command}"
        path.write_text(f"#!{sys.executable} -IS\n{text}", encoding="utf-8")
        path.chmod(0o755)
    return lambda command: folder / f"xenstore-{command}"
