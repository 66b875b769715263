# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The external directory that a pool may authenticate users against: who is there, with which password, in which groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Entry:
    """A user, or a group (without a password)."""

    name: str
    sid: str
    password: str = ""
    groups: list[str] = field(default_factory=list)  # names

    @property
    def information(self) -> dict[str, str]:
        """What subject.other_config holds."""
        return {
            "subject-name": self.name,
            "subject-displayname": self.name,
            "subject-is-group": str(not self.password).lower(),
            "subject-sid": self.sid,
            "subject-account-disabled": "false",
            "subject-account-expired": "false",
            "subject-account-locked": "false",
            "subject-password-expired": "false",
        }


class Directory:
    def __init__(self, description: Mapping[str, Any] | None) -> None:
        """`{"service": "example.com", "users": {name: {"sid": …, "password": …, "groups": […]}}, "groups": {name: {"sid": …}}}`."""
        description = description or {}
        self.service = str(description.get("service", ""))
        rows = {**description.get("groups", {}), **description.get("users", {})}
        self.entries = {name: Entry(name, **{"sid": f"S-1-5-21-{number}", **row}) for number, (name, row) in enumerate(rows.items(), start=1000)}

    def named(self, name: str) -> Entry | None:
        """A user by its name, with or without the domain."""
        short = name.rpartition("\\")[2].partition("@")[0]
        return self.entries.get(name) or self.entries.get(short)

    def accepts(self, name: str, password: str) -> bool:
        """A user with that password."""
        entry = self.named(name)
        return entry is not None and bool(password) and entry.password == password

    def with_sid(self, sid: str) -> Entry | None:
        return next((entry for entry in self.entries.values() if entry.sid == sid), None)

    def groups_of(self, entry: Entry) -> list[str]:
        """The sids of the groups that a user is in, directly or through other groups."""
        found: dict[str, None] = {}
        waiting = list(entry.groups)
        while waiting:
            group = self.entries.get(waiting.pop())
            if group is not None and group.sid not in found:
                found[group.sid] = None
                waiting += group.groups
        return list(found)
