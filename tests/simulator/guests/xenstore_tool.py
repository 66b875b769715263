# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for xenstore's command line tools (tools/xenstore/xenstore_client.c of Xen). Its own name says which."""

from __future__ import annotations

import getopt
import json
import os
import re
import socket
import sys
from typing import Any, NoReturn

PROGRAM = sys.argv[0]
COMMAND = os.path.basename(PROGRAM).removeprefix("xenstore-")
USAGE = {
    "read": "[-h] [-p] [-s] [-R] key [...]",
    "write": "[-h] [-s] [-R] key value [...]",
    "rm": "[-h] [-s] [-t] key [...]",
    "exists": "[-h] [-p] [-s] key [...]",
    "list": "[-h] [-p] [-s] key [...]",
    "ls": "[-h] [-f] [-p] [-s] [path]",
}
FAILED = {"read": "couldn't read path {}", "write": "could not write path {}", "rm": "could not remove path {}", "list": "could not list path {}"}
SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"}
ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
MEANT = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}
WIDTH = 80


def main() -> int:
    flags, words = options()
    items = [[word, ""] for word in words]
    if COMMAND == "write":
        texts = words[1::2] if "-R" in flags else [plain(text) for text in words[1::2]]
        items = [list(pair) for pair in zip(words[::2], texts, strict=True)]
    answer = ask({"command": COMMAND, "items": items, "tidy": "-t" in flags})
    output = "".join(show(flags, path, found) for (path, unused_text), found in zip(items, answer["done"], strict=False))
    if "failed" in answer:
        # An operation that fails ends the transaction; what was read before it is printed all the same.
        sys.stdout.write(output)
        return refuse(items[answer["failed"]][0], answer["error"])
    sys.stdout.write(output)
    return 0


def options() -> tuple[dict[str, str], list[str]]:
    try:
        pairs, words = getopt.gnu_getopt(sys.argv[1:], "hfsptR", ["help", "flat", "socket", "prefix", "tidy", "raw"])
    except getopt.GetoptError:
        usage()
    flags = {"-" + name.lstrip("-")[0].replace("r", "R"): value for name, value in pairs}
    allowed = set(re.findall(r"\[(-\w)\]", USAGE[COMMAND]))
    if "-h" in flags or set(flags) - allowed or (not words and COMMAND != "ls") or (COMMAND == "write" and len(words) % 2):
        usage()
    return flags, words or ["/"]


def usage() -> NoReturn:
    sys.exit(f"{os.path.basename(PROGRAM)}: Usage: {PROGRAM} {USAGE[COMMAND]}")


def ask(request: dict[str, Any]) -> dict[str, Any]:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.environ["XENSTORED_PATH"])
        connection.sendall(json.dumps(request).encode() + b"\n")
        return dict(json.loads(connection.makefile().readline()))
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"{os.path.basename(PROGRAM)}: xs_open: {error}")


def refuse(path: str, error: str) -> int:
    name = os.path.basename(PROGRAM)
    if COMMAND == "ls":
        sys.stderr.write(f"{name}: xs_directory ({path}): {'No such file or directory' if error == 'ENOENT' else 'Invalid argument'}\n")
    elif COMMAND in FAILED:
        sys.stderr.write(f"{name}: {FAILED[COMMAND].format(path)}\n")
    return 1


def show(flags: dict[str, str], path: str, found: Any) -> str:
    prefix = "-p" in flags
    if COMMAND == "read":
        if "-R" in flags:
            return (f"{path}: " if prefix else "") + str(found)
        return (f"{path}: " if prefix else "") + escaped(found) + "\n"
    if COMMAND == "list":
        return "".join((f"{path}/" if prefix else "") + f"{name}\n" for name in found)
    if COMMAND == "ls":
        return "".join(line(found[0][0], node, text, flat="-f" in flags) for node, text in found[1:])
    return ""


def line(top: str, node: str, text: str, *, flat: bool) -> str:
    if flat:
        return f'{node} = "{escaped(text)}"\n'
    depth = node.removeprefix(top.rstrip("/")).count("/") - 1
    name = " " * depth + node.rpartition("/")[2]
    room = WIDTH - len(' = "..."') - len(name)
    return f'{name} = "{escaped(text)[:room]}\\..."\n' if len(text) > room else f'{name} = "{escaped(text)}"\n'


def escaped(text: str) -> str:
    """As xenstore's tools print it, so that a line stays a line."""
    return "".join(SHORT.get(char) or (char if " " <= char <= "~" else hexadecimal(char)) for char in text)


def hexadecimal(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def plain(text: str) -> str:
    """The other way round: a backslash before anything that means nothing special is dropped."""

    def one(match: re.Match[bytes]) -> bytes:
        code = match.group(1)
        if code[:1] == b"x" and len(code) > 1:
            return bytes([int(code[1:], 16)])
        return bytes([int(code, 8) & 255]) if code[:1] in b"01234567" else MEANT.get(code, code)

    return ESCAPE.sub(one, text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


if __name__ == "__main__":
    sys.exit(main())
