# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records as the documented results: snake_case keys, uuids rather than references, sizes in bytes.

Used by ``xen_x`` and by ``xen_x_info``, so that both return the same shape. A renderer takes the record and a
``View``, which knows the other records; a key here that is also an option holds what the option would.
"""

from __future__ import annotations

from typing import Any

from ._lookup import Record, View
from ._vdi_size import FILE_TYPES


def network(record: Record, view: View) -> dict[str, Any]:
    """A network with the host interfaces (PIFs) that carry it. ``vlan`` is null when it is untagged or private."""
    pifs = [pif for pif in (view.record("PIF", ref) for ref in record["PIFs"]) if pif]
    tags = {pif["VLAN"] for pif in pifs if pif["VLAN"] >= 0}  # -1 is untagged.
    return {
        "uuid": record["uuid"],
        "name": record["name_label"],
        "description": record["name_description"],
        "bridge": record["bridge"],
        "mtu": record["MTU"],
        "tags": sorted(record["tags"]),
        "other_config": record["other_config"],
        "default_locking_mode": record["default_locking_mode"],
        "managed": record["managed"],
        "vlan": min(tags) if tags else None,
        "pifs": sorted((_pif(pif, view) for pif in pifs), key=lambda pif: (pif["host"] or "", pif["device"])),
        "vif_count": len(record["VIFs"]),
    }


def _pif(record: Record, view: View) -> dict[str, Any]:
    return {
        "uuid": record["uuid"],
        "host": view.uuid("host", record["host"]),
        "device": record["device"],
        "vlan": record["VLAN"] if record["VLAN"] >= 0 else None,
        "physical": record["physical"],
        "attached": record["currently_attached"],
    }


def sr(record: Record, view: View) -> dict[str, Any]:
    """A storage repository. ``free`` is what is left physically; sizes are -1 while it was never plugged."""
    pbds = [pbd for pbd in (view.record("PBD", ref) for ref in record["PBDs"]) if pbd]
    return {
        "uuid": record["uuid"],
        "name": record["name_label"],
        "description": record["name_description"],
        "type": record["type"],
        "content_type": record["content_type"],
        "shared": record["shared"],
        "default": record["uuid"] == view.uuid("SR", view.pool()["default_SR"]),
        "size": record["physical_size"],
        "used": record["physical_utilisation"],
        "free": max(record["physical_size"] - record["physical_utilisation"], 0),
        "allocated": record["virtual_allocation"],
        "tags": sorted(record["tags"]),
        "other_config": record["other_config"],
        "vdi_count": len(record["VDIs"]),
        "pbds": sorted((_pbd(pbd, view, record) for pbd in pbds), key=lambda pbd: pbd["host"] or ""),
    }


def _pbd(record: Record, view: View, repository: Record) -> dict[str, Any]:
    return {
        "uuid": record["uuid"],
        "host": view.uuid("host", record["host"]),
        "attached": record["currently_attached"],
        "path": sr_path(repository, record),
    }


def sr_path(repository: Record, pbd: Record) -> str | None:
    """Where a host mounts a file-based repository; null for others."""
    path = pbd["device_config"].get("path")
    if path:
        return str(path)
    return f"/var/run/sr-mount/{repository['uuid']}" if repository["type"] in FILE_TYPES else None
