# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""auth: questions to the external directory (X/xapi_auth.ml)."""

from __future__ import annotations

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from ._directory import Directory, Entry


class Auth(Behaviour):
    cls = "auth"

    @property
    def directory(self) -> Directory:
        """AUTH_IS_DISABLED while the coordinator knows no directory."""
        if not self.db.get("host", self.engine.coordinator, "external_auth_type"):
            raise Failure("AUTH_IS_DISABLED")
        directory: Directory = self.other("session").directory
        return directory

    def _with_sid(self, identifier: str) -> Entry:
        entry = self.directory.with_sid(identifier)
        if entry is None:
            raise Failure("SUBJECT_CANNOT_BE_RESOLVED")
        return entry

    def get_subject_identifier(self, name: str) -> str:
        entry = self.directory.named(name)
        if entry is None:
            raise Failure("SUBJECT_CANNOT_BE_RESOLVED")
        return entry.sid

    def get_subject_information_from_identifier(self, identifier: str) -> dict[str, str]:
        return self._with_sid(identifier).information

    def get_group_membership(self, identifier: str) -> list[str]:
        return self.directory.groups_of(self._with_sid(identifier))
