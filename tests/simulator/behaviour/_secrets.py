# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords of storage, kept out of device_config (ocaml/xapi/xapi_secret.ml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..engine.registry import Registry

PASSWORD, SECRET = "password", "password_secret"  # endings of keys


def _stored(db: Registry, value: str) -> str:
    return str(db.get("secret", db.create("secret", {"value": value}), "uuid"))


def moved(db: Registry, config: Mapping[str, str]) -> dict[str, str]:
    """The same settings with every password replaced by the uuid of a new secret."""
    result = {}
    for key, value in config.items():
        if key.endswith(PASSWORD):
            result[f"{key}_secret"] = _stored(db, value)
        else:
            result[key] = value
    return result


def duplicated(db: Registry, config: Mapping[str, str]) -> dict[str, str]:
    """The same settings with secrets of their own: each PBD has its copies."""
    result = dict(config)
    for key, value in config.items():
        if key.endswith(SECRET):
            result[key] = _stored(db, db.get("secret", db.by_uuid("secret", value), "value"))
    return result


def destroyed(db: Registry, config: Mapping[str, str]) -> None:
    """Remove the secrets that settings refer to."""
    for key, value in config.items():
        ref = db.tables["secret"].by_uuid.get(value)
        if key.endswith(SECRET) and ref is not None:
            db.delete("secret", ref)
