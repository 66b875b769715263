# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""role: the fixed roles, and a role for every message that may be sent: a permission (X/xapi_role.ml, I/datamodel_roles.ml).

None of them is in the database; their references never change.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..engine.access import LISTED, holders
from ..engine.behaviour import Behaviour, unchecked
from ..engine.failure import Failure, handle_invalid
from ..engine.schema import ROLES

NAMESPACE = uuid.UUID("5f6a2a2e-0b57-4e5a-9d5c-6f0c7d1a4b11")
DESCRIPTIONS = {
    "pool-admin": (
        "The Pool Administrator role has full access to all features and settings, including accessing Dom0 and managing subjects, roles and "
        "external authentication"
    ),
    "pool-operator": (
        "The Pool Operator role manages host- and pool-wide resources, including setting up storage, creating resource pools and managing "
        "patches, high availability (HA) and workload balancing (WLB)"
    ),
    "vm-power-admin": (
        "The VM Power Administrator role has full access to VM and template management and can choose where to start VMs and use the dynamic "
        "memory control and VM snapshot features"
    ),
    "vm-admin": "The VM Administrator role can manage VMs and templates",
    "vm-operator": "The VM Operator role can use VMs and interact with VM consoles",
    "client-cert": "The Client Certificate role has access to functionality granted to those who authenticate using a client certificate",
    "read-only": "The Read-Only role can log in with basic read-only access",
}
# The two expressions that role.get_all_records_where knows; any other gets everything.
ONLY_ROLES, ONLY_PERMISSIONS = "subroles<>[]", "subroles=[]"


@dataclass
class Node:
    """A role, or a permission: a role without others in it."""

    name: str
    description: str
    subroles: list[str]
    internal: bool = False

    @property
    def uuid(self) -> str:
        return str(uuid.uuid5(NAMESPACE, self.name))

    @property
    def ref(self) -> str:
        return f"OpaqueRef:{self.uuid}"

    @property
    def record(self) -> dict[str, Any]:
        fields = {"uuid": self.uuid, "name_label": self.name, "name_description": self.description}
        return {**fields, "subroles": self.subroles, "is_internal": self.internal}


class Role(Behaviour):
    cls = "role"

    @cached_property
    def _nodes(self) -> dict[str, Node]:
        """All roles and permissions by reference."""
        permissions: dict[str, list[str]] = {role: [] for role in DESCRIPTIONS}
        nodes = {}
        for name, lowest in self._declared():
            node = Node(name, "", [])
            nodes[node.ref] = node
            for role in holders(lowest):
                permissions[role].append(node.ref)
        for name in LISTED:
            node = Node(name, DESCRIPTIONS[name], permissions[name], internal=name == "client-cert")
            nodes[node.ref] = node
        return nodes

    def _declared(self) -> Iterator[tuple[str, Any]]:
        """Every permission and its least powerful holder."""
        for cls in self.engine.schema.classes.values():
            for message in cls.messages.values():
                yield message.wire.lower(), message.role
                for key, role in message.key_roles.items():
                    yield f"{message.wire.lower()}/key:{key.lower()}", role
        for name, _method, _path, role in self.engine.schema.actions:
            yield f"http/{name}", role

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self._nodes.values()}

    def _node(self, ref: str) -> Node:
        if ref not in self._nodes:
            raise handle_invalid("role", ref)
        return self._nodes[ref]

    def exists(self, ref: str) -> bool:
        return ref in self._nodes

    def name_of(self, ref: str) -> str:
        return self._node(ref).name

    def permissions_of(self, name: str) -> list[str]:
        return [self._nodes[ref].name for ref in self._by_name[name].subroles]

    # The getters, of what is in no table

    def get_all(self) -> list[str]:
        return list(self._nodes)

    def get_all_records(self) -> dict[str, Any]:
        return {ref: self._record(node) for ref, node in self._nodes.items()}

    def _record(self, node: Node) -> dict[str, Any]:
        known = self.engine.schema.classes["role"].fields
        return {name: value for name, value in node.record.items() if name in known}

    def get_all_records_where(self, expr: str) -> dict[str, Any]:
        wanted = {ONLY_ROLES: True, ONLY_PERMISSIONS: False}.get(expr)
        return {ref: self._record(node) for ref, node in self._nodes.items() if wanted is None or (node.name in ROLES) == wanted}

    def get_by_uuid(self, uuid: str) -> str:
        ref = f"OpaqueRef:{uuid}"
        if ref not in self._nodes:
            raise Failure("UUID_INVALID", "role", uuid)
        return ref

    def get_by_name_label(self, label: str) -> list[str]:
        return [self._by_name[label].ref] if label in self._by_name else []

    @unchecked
    def get_record(self, ref: str) -> dict[str, Any]:
        return self._record(self._node(ref))

    @unchecked
    def get_uuid(self, ref: str) -> str:
        return self._node(ref).uuid

    @unchecked
    def get_name_label(self, ref: str) -> str:
        return self._node(ref).name

    @unchecked
    def get_name_description(self, ref: str) -> str:
        return self._node(ref).description

    @unchecked
    def get_subroles(self, ref: str) -> list[str]:
        return self._node(ref).subroles

    @unchecked
    def get_is_internal(self, ref: str) -> bool:
        return self._node(ref).internal

    @unchecked
    def get_permissions(self, ref: str) -> list[str]:
        node = self._node(ref)
        return node.subroles or [ref]

    @unchecked
    def get_permissions_name_label(self, ref: str) -> list[str]:
        return [self._nodes[permission].name for permission in self.get_permissions(ref)]

    @unchecked
    def get_by_permission(self, permission: str) -> list[str]:
        return [ref for ref, node in self._nodes.items() if permission in node.subroles]

    def get_by_permission_name_label(self, label: str) -> list[str]:
        found = self.get_by_name_label(label)
        return self.get_by_permission(found[0]) if found else []
