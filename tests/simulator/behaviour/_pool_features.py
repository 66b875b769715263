# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Licence features: the pool's restrictions decide (X/pool_features.ml, X/features.ml)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.failure import Failure

if TYPE_CHECKING:
    from ..engine.core import Engine

# Feature, as LICENCE_RESTRICTION names it → its key in pool.restrictions; `enable_` keys grant, all others forbid.
KEYS = {
    "VIF_locking": "restrict_vif_locking",
    "Guest_ip_setting": "restrict_guest_ip_setting",
    "Network_sriov": "restrict_network_sriov",
    "Pooling": "restrict_pooling",
    "Pool_size": "restrict_pool_size",
    "Pool_secret_rotation": "restrict_pool_secret_rotation",
    "HA": "enable_xha",
    "Checkpoint": "restrict_checkpoint",
    "DMC": "restrict_dmc",
    "Storage_motion": "restrict_storage_xen_motion",
    "Xen_motion": "restrict_xen_motion",
    "CBT": "restrict_cbt",
    "DR": "restrict_dr",
    "VTPM": "restrict_vtpm",
    "VM_groups": "restrict_vm_groups",
    "GPU": "restrict_gpu",
    "VGPU": "restrict_vgpu",
    "Integrated_GPU": "restrict_integrated_gpu_passthrough",
    "RBAC": "restrict_rbac",
    "AD": "restrict_ad",
    "WLB": "restrict_wlb",
    "VMSS": "restrict_vmss",
    "VSS": "restrict_vss",
    "Live_set_vcpus": "restrict_set_vcpus_number_live",
    "USB_passthrough": "restrict_usb_passthrough",
    "Zstd_export": "restrict_zstd_export",
}


def enabled(engine: Engine, feature: str) -> bool:
    key = KEYS[feature]
    value = engine.db.get("pool", engine.pool, "restrictions").get(key)
    if value is None:
        return feature in ("Xen_motion", "AD")  # restricted lately: allowed where the licence does not know them
    return bool((value == "true") == key.startswith("enable_"))


def require(engine: Engine, feature: str) -> None:
    if not enabled(engine, feature):
        raise Failure("LICENCE_RESTRICTION", feature)
