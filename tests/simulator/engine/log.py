# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The call log: what was asked, by whom, and how it ended; no password is in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import implicit
from .context import Call
from .schema import Schema
from .specs import MessageSpec

READING_PREFIXES = ("get_", "assert_", "compute_", "has_", "list_", "retrieve_", "query_", "probe", "is_")
READING = {"session", "event", "auth"}
# Parameters whose value is hidden, and those that only are in one class.
SECRETS = {"pwd", "password", "new_pwd", "old_pwd", "master_password", "wlb_password", "private_key", "token"}
SECRETS_OF = {"secret": {"value"}}
# Keys of maps (device_config of a PBD, configuration of a directory) whose value is hidden; one that ends in _secret only names a secret.
SECRET_KEY = re.compile(r"passw|(^|[-_])pwd|chap.*pass|private.?key", re.IGNORECASE)
HIDDEN = "***"


def masked(value: Any) -> Any:
    """A copy of the value without what is secret in its maps."""
    if isinstance(value, dict):
        return {key: HIDDEN if isinstance(item, str) and is_secret(str(key)) else masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, (list, tuple)) else value


def is_secret(key: str) -> bool:
    """Whether the value under this key of a map is a password or the like."""
    return SECRET_KEY.search(key) is not None and not key.endswith("_secret")


class Log:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.calls: list[Call] = []
        self.on_end: list[Callable[[Call], None]] = []  # told of every call that ended

    def open(self, name: str, params: list[Any], at: str, started: float, protocol: str) -> Call:
        """An entry for a call that begins."""
        entry = Call(len(self.calls) + 1, name, self._masked(name, params), "", at, started, True, protocol)
        self.calls.append(entry)
        return entry

    def close(self, entry: Call, moment: float) -> None:
        """The call has ended."""
        entry.ended = moment
        for listener in self.on_end:
            listener(entry)

    def _masked(self, name: str, params: list[Any]) -> list[Any]:
        spec = self.schema.message(name.removeprefix("Async."))
        if spec is None:
            return [masked(param) for param in params[1:]]
        own = 1 if spec.needs_session else 0
        names = [parameter.name for parameter in spec.params]
        hidden = SECRETS | SECRETS_OF.get(spec.cls, set())
        if spec.kind == "create" and spec.cls in SECRETS_OF:
            hidden = hidden | {"args"}
        return [HIDDEN if n < len(names) and names[n] in hidden else masked(p) for n, p in enumerate(params[own:])]


def writes(spec: MessageSpec) -> bool:
    """Whether the message can change the pool: what a repeated run must not send."""
    if spec.kind != "custom":
        return spec.kind in implicit.WRITING
    return spec.cls not in READING and not spec.name.startswith(READING_PREFIXES)
