# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""subject: users and groups of the directory that may log in, and their roles (X/xapi_subject.ml)."""

from __future__ import annotations

from typing import Any

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from . import _pool_features


class Subject(Behaviour):
    cls = "subject"

    def create(self, args: dict[str, Any]) -> str:
        identifier = args["subject_identifier"]
        if any(row["subject_identifier"] == identifier for _unused, row in self.db.items("subject")):
            raise Failure("SUBJECT_ALREADY_EXISTS")
        restricted = not _pool_features.enabled(self.engine, "RBAC")
        roles = self.other("role").get_by_name_label("pool-admin") if restricted else []
        information = self.other("auth").get_subject_information_from_identifier(identifier)
        return self.db.create("subject", {"subject_identifier": identifier, "other_config": information, "roles": roles})

    def add_to_roles(self, ref: str, role: str) -> None:
        _pool_features.require(self.engine, "RBAC")
        if not self.other("role").exists(role):
            raise Failure("ROLE_NOT_FOUND")
        roles = self.row(ref)["roles"]
        if role in roles:
            raise Failure("ROLE_ALREADY_EXISTS")
        self.db.set("subject", ref, "roles", [role, *roles])

    def remove_from_roles(self, ref: str, role: str) -> None:
        _pool_features.require(self.engine, "RBAC")
        roles = self.row(ref)["roles"]
        if role not in roles:
            raise Failure("ROLE_NOT_FOUND")
        self.db.set("subject", ref, "roles", [other for other in roles if other != role])

    def get_permissions_name_label(self, ref: str) -> list[str]:
        names = [name for role in self.row(ref)["roles"] for name in self.other("role").get_permissions_name_label(role)]
        return list(dict.fromkeys(names))
