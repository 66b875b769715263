# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a VM boots: the three modes (driver-operations §3.2), firmware, secure boot, boot order."""

from __future__ import annotations

from typing import Any

from ._errors import XenError
from ._image_types import FORMATS, HVM, image_type, vm_mode
from ._lookup import Record

MODES = ("hvm", "pygrub", "pv_kernel")
BIOS_ORDER = "BIOS order"
# What each mode sets. pv_kernel boots a kernel that lies in dom0, pygrub one inside the disk, hvm as a machine does.
MODE_FIELDS: dict[str, dict[str, Any]] = {
    "hvm": {"HVM_boot_policy": BIOS_ORDER, "PV_bootloader": "", "PV_kernel": "", "PV_ramdisk": "", "PV_args": ""},
    "pygrub": {"HVM_boot_policy": "", "PV_bootloader": "pygrub", "PV_kernel": "", "PV_ramdisk": "", "PV_args": ""},
    "pv_kernel": {"HVM_boot_policy": "", "PV_bootloader": ""},
}
KERNEL_ARGS = "root=/dev/xvda1"
DEFAULT_ORDER = "dc"
BOOT_DEVICES = "cdn"
DEVICE_MODELS = {"uefi": "qemu-upstream-uefi", "bios": "qemu-upstream-compat"}
SECURE_BOOT = {"enabled": "true", "disabled": "false", "auto": "auto"}
KERNEL_OPTIONS = {"pv_kernel": "PV_kernel", "pv_ramdisk": "PV_ramdisk", "pv_args": "PV_args"}

OPTIONS: dict[str, dict[str, Any]] = {
    "boot_mode": {"type": "str", "choices": ["auto", *MODES], "default": "auto"},
    "os_type": {"type": "str"},
    "image_format": {"type": "str", "choices": list(FORMATS)},
    **{name: {"type": "str"} for name in KERNEL_OPTIONS},
    "boot_order": {"type": "str"},
    "firmware": {"type": "str", "choices": ["bios", "uefi"]},
    "secure_boot": {"type": "str", "choices": list(SECURE_BOOT)},
}


def boot_mode(record: Record) -> str | None:
    """The mode of a record; null for one that fits none of the three (PVH)."""
    if record["HVM_boot_policy"]:
        return "hvm"
    if record["PV_bootloader"]:
        return "pygrub"
    return "pv_kernel" if record["PV_kernel"] else None


def chosen_mode(params: dict[str, Any]) -> str:
    """The mode of a VM made from nothing: as told, or by kernel, operating system and image (§3.3)."""
    if params["boot_mode"] != "auto":
        return str(params["boot_mode"])
    if params["pv_kernel"]:
        return "pv_kernel"
    mode = vm_mode(None, params["os_type"], image_type(params["image_format"]))
    return "hvm" if mode == HVM else "pygrub"


def initial_fields(params: dict[str, Any]) -> dict[str, Any]:
    """The boot fields of a VM made from nothing. ``nx`` protects HVM guests only, ``viridian`` is for Windows."""
    mode = chosen_mode(params)
    windows = params["os_type"] == "windows"
    platform = {"acpi": "true", "apic": "true", "pae": "true", "timeoffset": "0"}
    fields: dict[str, Any] = {
        "PV_kernel": "",
        "PV_ramdisk": "",
        "PV_args": KERNEL_ARGS if mode == "pv_kernel" else "",
        "HVM_boot_params": {"order": DEFAULT_ORDER} if mode == "hvm" else {},
        "platform": platform | {"viridian": str(windows).lower(), "nx": str(mode == "hvm").lower()},
        **MODE_FIELDS[mode],
    }
    if params["firmware"] == "uefi":
        # An old xapi would fill in the model of BIOS guests at start, with which UEFI guests do not boot.
        fields["platform"]["device-model"] = DEVICE_MODELS["uefi"]
    return fields


def wanted_fields(params: dict[str, Any], current: Record) -> dict[str, Any]:
    """The boot fields as the options want them; fields they do not touch are left out. Changes the maps in ``current``."""
    wanted: dict[str, Any] = {}
    mode = params["boot_mode"]
    if mode not in ("auto", boot_mode(current)):
        wanted |= MODE_FIELDS[mode]
    wanted |= {field: params[option] for option, field in KERNEL_OPTIONS.items() if params[option] is not None}
    if mode == "pv_kernel" and not (current | wanted)["PV_kernel"]:
        raise XenError("boot_mode pv_kernel needs pv_kernel: the path of a kernel in dom0, as /boot/guest/vmlinuz")
    _refuse_unfit_kernel(current | wanted)
    return wanted


def edit_maps(params: dict[str, Any], record: Record) -> None:
    """Order, firmware and secure boot are keys of maps: set them in ``record``, whose maps are the caller's own."""
    order, platform = record["HVM_boot_params"], record["platform"]
    if params["boot_mode"] == "hvm":
        order.setdefault("order", DEFAULT_ORDER)
    if params["boot_order"] is not None:
        _refuse_order(params["boot_order"])
        order["order"] = params["boot_order"]
    firmware = params["firmware"]
    if firmware is not None:
        order["firmware"] = firmware
        if platform.get("device-model") in set(DEVICE_MODELS.values()) - {DEVICE_MODELS[firmware]}:
            platform["device-model"] = DEVICE_MODELS[firmware]
    if params["secure_boot"] is not None:
        platform["secureboot"] = SECURE_BOOT[params["secure_boot"]]
        if params["secure_boot"] == "enabled" and order.get("firmware") != "uefi":
            raise XenError("secure_boot enabled needs firmware uefi; a BIOS cannot check what it boots")


def secure_boot(record: Record) -> str | None:
    """Our word for the platform's ``secureboot``; null when it says nothing."""
    words = {value: word for word, value in SECURE_BOOT.items()}
    return words.get(record["platform"].get("secureboot", ""))


def _refuse_order(order: str) -> None:
    """xapi stores any text; the device model refuses another letter, and one that comes twice, when the VM starts."""
    if not order or set(order) - set(BOOT_DEVICES) or len(set(order)) < len(order):
        raise XenError(f"boot_order {order!r} is none; write some of the letters c (disk), d (CD) and n (network), each once, such as dc")


def _refuse_unfit_kernel(record: Record) -> None:
    mode = boot_mode(record)
    if record["PV_kernel"] and mode != "pv_kernel":
        raise XenError(f"pv_kernel {record['PV_kernel']!r} would not be used in boot_mode {mode}; set boot_mode to pv_kernel")
