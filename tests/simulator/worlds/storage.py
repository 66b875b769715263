# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage drivers, repositories, their connections to hosts, and disks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..storage import sizes
from .sizes import size

if TYPE_CHECKING:
    from .blueprint import Builder

# xapi makes this repository itself on every pool (create_tools_sr in xapi/create_storage.ml of xen-api).
TOOLS = {
    "name_label": "XenServer Tools",
    "name_description": "XenServer Tools ISOs",
    "is_tools_sr": True,
    "other_config": {
        "xenserver_tools_sr": "true",
        "i18n-key": "xenserver-tools",
        "i18n-original-value-name_label": "XenServer Tools",
        "i18n-original-value-name_description": "XenServer Tools ISOs",
    },
}
THICK = ("lvm", "lvmoiscsi", "lvmohba")


def repositories(builder: Builder) -> None:
    """One SR a row; `each_host` makes one per host, `tools` the repository of the guest tools."""
    for driver in builder.prototypes["SM"]:
        builder.add("SM", driver)
    hosts = list(builder.records["host"])
    for row in builder.blueprint["srs"]:
        for group in [[host] for host in hosts] if row.get("each_host") else [hosts]:
            _repository(builder, row, group)


def _repository(builder: Builder, row: dict[str, Any], hosts: list[str]) -> None:
    allowed = builder.prototypes["SR_allowed_operations"]
    is_iso = row["type"] == "iso"
    sr = builder.add(
        "SR",
        TOOLS if row.get("tools") else {"name_label": row["name"], "name_description": row.get("description", "")},
        type=row["type"],
        content_type="iso" if is_iso else "user",
        shared=not row.get("each_host", False),
        # ext, lvm and nfs share the VHD code of `file`, and with it what an SR of theirs allows.
        allowed_operations=allowed.get(row["type"], allowed["file"]),
        physical_size=size(row["size"]),
        physical_utilisation=size(row.get("used", 0)),
    )
    for host in hosts:
        pbd = builder.add("PBD", host=host, SR=sr, device_config=row.get("device_config", {}))
        builder.records["PBD"][pbd]["other_config"] = {"storage_driver_domain": builder.records["host"][host]["control_domain"]}
    for iso in row.get("isos", ()):
        _iso(builder, sr, iso, tools=bool(row.get("tools")))


def _iso(builder: Builder, sr: str, row: dict[str, Any], *, tools: bool) -> None:
    length = size(row["size"])
    vdi = builder.add("VDI", builder.prototypes["iso"], SR=sr, name_label=row["name"], location=row["name"], virtual_size=length)
    record = builder.records["VDI"][vdi]
    record.update(physical_utilisation=length, is_tools_iso=tools, name_description=row.get("description", ""))
    if tools:
        # VDI.destroy of the tools ISO is refused with SR_OPERATION_NOT_SUPPORTED.
        record["allowed_operations"].remove("destroy")
    _account(builder, sr, length, length)
    if "content" in row:
        builder.extra["contents"][vdi] = row["content"]


def disk(builder: Builder, sr: str, name: str, length: int) -> str:
    """An empty disk in a repository of VHDs."""
    thick = builder.records["SR"][sr]["type"] in THICK
    used = sizes.logical_volume(length) if thick else sizes.vhd_file(length, 0, differencing=False)
    vdi = builder.add("VDI", SR=sr, name_label=name, name_description="", virtual_size=length, physical_utilisation=used)
    record = builder.records["VDI"][vdi]
    record["location"] = record["uuid"]
    _account(builder, sr, length, used)
    return vdi


def _account(builder: Builder, sr: str, virtual: int, physical: int) -> None:
    record = builder.records["SR"][sr]
    record["virtual_allocation"] += virtual
    record["physical_utilisation"] += physical
