# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role checks of the dispatcher (facts 1.7)."""

from __future__ import annotations

from typing import Any

from .failure import Failure
from .schema import ROLES
from .specs import MessageSpec

# The order in which xapi's generated table has the roles, and so every list of them (I/ocaml_backend/gen_rbac.ml).
LISTED = ("vm-power-admin", "vm-admin", "vm-operator", "read-only", "client-cert", "pool-admin", "pool-operator")


def may(role: str, lowest: Any) -> bool:
    """Whether `role` includes a permission whose least powerful holder is `lowest`."""
    if isinstance(lowest, list):
        return role in lowest
    return lowest in ROLES and ROLES.index(role) <= ROLES.index(lowest)


def holders(lowest: Any) -> list[str]:
    """The roles that include a permission."""
    return [role for role in LISTED if may(role, lowest)]


def check(role: str, spec: MessageSpec, arguments: list[Any]) -> None:
    """RBAC_PERMISSION_DENIED unless `role` may send the message with these arguments."""
    permission, lowest = spec.wire.lower(), spec.role
    if spec.kind in ("map_add", "map_remove"):
        pattern = next((pattern for pattern in spec.key_roles if _matches(pattern, str(arguments[1]))), None)
        if pattern is not None:
            permission, lowest = f"{permission}/key:{pattern.lower()}", spec.key_roles[pattern]
    require(role, permission, lowest)


def require(role: str, permission: str, lowest: Any) -> None:
    """RBAC_PERMISSION_DENIED unless `role` has the permission."""
    if role != "pool-admin" and not may(role, lowest):
        names = ", ".join(holders(lowest))
        raise Failure("RBAC_PERMISSION_DENIED", permission, f"No permission in user session. (Roles with this permission: {names})")


def _matches(pattern: str, key: str) -> bool:
    """A star at the end of a pattern stands for anything."""
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern
