# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM as the documented result. ``_neighbours.load_neighbours`` reads what is needed beside the record."""

from __future__ import annotations

from typing import Any

from ._blocked import bootable
from ._boot import boot_mode, secure_boot
from ._guest import addresses, guest
from ._lookup import Record, View
from ._memory import usage_mib
from ._render_devices import drive, nic
from ._vm import word


def vm(record: Record, view: View) -> dict[str, Any]:
    """Everything: how it is set up, how it is, and its disks and interfaces."""
    return {**settings(record, view), **standing(record, view), **devices(record, view)}


def settings(record: Record, view: View) -> dict[str, Any]:
    """What options set. A key here that is an option holds what the option would."""
    return {
        "name": record["name_label"],
        "description": record["name_description"],
        "tags": sorted(record["tags"]),
        "memory_static_min": record["memory_static_min"],
        "memory_dynamic_min": record["memory_dynamic_min"],
        "memory_dynamic_max": record["memory_dynamic_max"],
        "memory_static_max": record["memory_static_max"],
        "memory": record["memory_static_max"],
        "vcpus": record["VCPUs_at_startup"],
        "vcpus_max": record["VCPUs_max"],
        "vcpus_params": record["VCPUs_params"],
        "cores_per_socket": _number(record["platform"].get("cores-per-socket")),
        "boot_mode": boot_mode(record),
        "boot_order": record["HVM_boot_params"].get("order"),
        "firmware": record["HVM_boot_params"].get("firmware", "bios") if boot_mode(record) == "hvm" else None,
        "secure_boot": secure_boot(record),
        "pv_kernel": record["PV_kernel"],
        "pv_ramdisk": record["PV_ramdisk"],
        "pv_args": record["PV_args"],
        "platform": record["platform"],
        "platform_device_id": _number(record["platform"].get("device_id")),
        "xenstore_data": record["xenstore_data"],
        "other_config": record["other_config"],
        "affinity": view.uuid("host", record["affinity"]),
        "suspend_sr": view.uuid("SR", record["suspend_SR"]),
        "actions_after_shutdown": record["actions_after_shutdown"],
        "actions_after_reboot": record["actions_after_reboot"],
        "actions_after_crash": record["actions_after_crash"],
        "ha_restart_priority": record["ha_restart_priority"],
        "start_order": record["order"],
        "start_delay": record["start_delay"],
        "shutdown_delay": record["shutdown_delay"],
        "has_vendor_device": record["has_vendor_device"],
        "pci_bus": record["PCI_bus"],
        "user_version": record["user_version"],
        "blocked_operations": record["blocked_operations"],
        "bootable": bootable(record["blocked_operations"]),
    }


def power(record: Record, view: View) -> dict[str, Any]:
    """What a change of power changes."""
    metrics = view.record("VM_guest_metrics", record["guest_metrics"])
    found = addresses(metrics)
    return {
        "uuid": record["uuid"],
        "name": record["name_label"],
        "power_state": word(record["power_state"]),
        "bootable": bootable(record["blocked_operations"]),
        "host": view.uuid("host", record["resident_on"]),
        "domid": record["domid"] if record["domid"] >= 0 else None,
        "usage": usage_mib(record),
        "guest": guest(metrics),
        "addresses": [text for texts in found.values() for text in texts],
    }


def standing(record: Record, view: View) -> dict[str, Any]:
    """What the VM is and how it fares."""
    return {
        **power(record, view),
        "is_template": record["is_a_template"],
        "is_default_template": record["is_default_template"],
        "is_snapshot": record["is_a_snapshot"] and record["is_a_template"],
        "is_control_domain": record["is_control_domain"],
        "snapshot_of": view.uuid("VM", record["snapshot_of"]),
        "snapshots": sorted(filter(None, (view.uuid("VM", ref) for ref in record["snapshots"]))),
    }


def devices(record: Record, view: View) -> dict[str, Any]:
    """Disks and drives by device number, interfaces by device number."""
    drives = filter(None, (view.record("VBD", ref) for ref in record["VBDs"]))
    nics = filter(None, (view.record("VIF", ref) for ref in record["VIFs"]))
    found = addresses(view.record("VM_guest_metrics", record["guest_metrics"]))
    return {
        "disks": sorted((_disk(item, view) for item in drives), key=lambda disk: _place(disk["userdevice"])),
        "nics": sorted(({**nic(item, view), "addresses": found.get(item["device"], [])} for item in nics), key=lambda item: _place(item["device"])),
    }


def _disk(record: Record, view: View) -> dict[str, Any]:
    medium = view.record("VDI", record["VDI"])
    return {**drive(record, view), "sr": view.uuid("SR", medium["SR"]) if medium else None}


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _place(number: int | None) -> int:
    return 2**31 if number is None else number
