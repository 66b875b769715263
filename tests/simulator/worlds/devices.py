# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs and USB devices of hosts, grouped as xapi groups them (X/xapi_gpu_group.ml, X/xapi_pusb_helpers.ml find_or_create)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .blueprint import Builder

# What xapi takes the size of any GPU for: the sizes of VGPU types are parts of it (pgpu_default_size in X/constants.ml).
WHOLE = 1 << 20
# No address of a GPU is below this one: bridges and NICs have those.
FIRST_BUS = 0x3B
PASSTHROUGH = {"vendor_name": "", "model_name": "passthrough", "implementation": "passthrough", "identifier": "0001:passthrough"}


def of_host(builder: Builder, host: str, row: dict[str, Any]) -> None:
    for number, gpu in enumerate(row.get("gpus", ())):
        _gpu(builder, host, number, gpu)
    for usb in row.get("usbs", ()):
        _usb(builder, host, usb)


def _gpu(builder: Builder, host: str, number: int, row: dict[str, Any]) -> None:
    vendor, ids = row.get("vendor", "NVIDIA Corporation"), row.get("ids", "10de/1eb8")
    vendor_id, _unused, device_id = ids.partition("/")
    pci = builder.add(
        "PCI",
        class_id="0300",
        class_name="VGA compatible controller",
        vendor_id=vendor_id,
        vendor_name=vendor,
        device_id=device_id,
        device_name=row["name"],
        host=host,
        pci_id=f"0000:{FIRST_BUS + number:02x}:00.0",
        driver_name="nvidia" if row.get("types") else "pciback",
        subsystem_vendor_name=vendor,
        subsystem_device_name=row["name"],
    )
    most = {_type(builder, vendor, device_id, name, count): count for name, count in {"": 1, **row.get("types", {})}.items()}
    builder.add(
        "PGPU",
        PCI=pci,
        host=host,
        GPU_group=_group(builder, "GPU_group", f"Group of {vendor} {row['name']} GPUs", GPU_types=[ids], allocation_algorithm="depth_first"),
        size=WHOLE,
        supported_VGPU_types=list(most),
        enabled_VGPU_types=list(most),
        supported_VGPU_max_capacities=most,
        compatibility_metadata={"nvidia": "simulated"} if row.get("types") else {},
    )
    group = builder.records["GPU_group"][builder.find("GPU_group", f"Group of {vendor} {row['name']} GPUs")]
    for field in ("supported_VGPU_types", "enabled_VGPU_types"):
        group[field] = list(dict.fromkeys([*group.get(field, []), *most]))


def _type(builder: Builder, vendor: str, device_id: str, name: str, most: int) -> str:
    """The VGPU type of that name, of which `most` fit a GPU; the one without a name is the whole GPU."""
    known = builder.records.setdefault("VGPU_type", {})
    for ref, record in known.items():
        if record["model_name"] == (name or PASSTHROUGH["model_name"]):
            return ref
    if not name:
        return builder.add("VGPU_type", PASSTHROUGH)
    identifier = f"0001:nvidia,{device_id},,{device_id},{len(known):04x}"
    ref = builder.add("VGPU_type", vendor_name=vendor, model_name=name, implementation="nvidia", identifier=identifier, size=WHOLE // most)
    known[ref].update(compatible_types_in_vm=[ref], compatible_types_on_pgpu=[ref])
    return ref


def _group(builder: Builder, xen_class: str, name: str, **fields: Any) -> str:
    for ref, record in builder.records.get(xen_class, {}).items():
        if record["name_label"] == name:
            return ref
    return builder.add(xen_class, name_label=name, **fields)


def _usb(builder: Builder, host: str, row: dict[str, Any]) -> None:
    """Every device has a group of its own, as only one of a group can be passed through."""
    vendor_id, _unused, product_id = row.get("ids", "0781/5583").partition("/")
    vendor = row.get("vendor", "SanDisk Corp.")
    builder.add(
        "PUSB",
        host=host,
        USB_group=builder.add("USB_group", name_label=f"Group of {vendor_id} {product_id} USBs"),
        path=row["path"],
        vendor_id=vendor_id,
        vendor_desc=vendor,
        product_id=product_id,
        product_desc=row["name"],
        serial=row.get("serial", ""),
        version="2.10",
        description=f"{vendor}_{row['name']}_{row.get('serial', '')}",
        speed=480.0,
    )
