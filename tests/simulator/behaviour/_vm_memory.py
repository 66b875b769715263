# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a VM and a host need (ocaml/xapi-idl/memory/memory.ml, X/memory_check.ml)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..engine.failure import NULL

if TYPE_CHECKING:
    from ..engine.core import Engine

KIB, MIB = 1024, 1 << 20
PAGES_PER_MIB = 256


@dataclass(frozen=True)
class Model:
    """What a kind of domain needs beside the memory of its guest, in MiB."""

    internal: int
    external: int
    shim: bool = False

    def shim_mib(self, static_max: int) -> int:
        return 23 + static_max // 90 if self.shim else 0

    def overhead_mib(self, static_max: int, vcpus: int, multiplier: float) -> int:
        pages = PAGES_PER_MIB * vcpus + 2 * static_max
        product = _up(pages, PAGES_PER_MIB) * multiplier
        # What fits in no number of 64 bits is the least one to OCaml; a client may send infinity.
        shadow = max(1, int(product)) if abs(product) < 1 << 63 else 1
        return self.internal + self.external + shadow + self.shim_mib(static_max)


HVM = Model(internal=1, external=1)
MODELS = {"hvm": HVM, "pvh": HVM, "pv": Model(internal=0, external=1), "pv_in_pvh": Model(internal=1, external=1, shim=True)}


def _up(value: int, unit: int) -> int:
    return -(-value // unit)


def kind_of(vm: dict[str, Any]) -> str:
    """The domain type the VM asks for; an old client may have set only the boot policy."""
    if vm["domain_type"] != "unspecified":
        return str(vm["domain_type"])
    return "hvm" if vm["HVM_boot_policy"] else "pv"


def overhead(vm: dict[str, Any]) -> int:
    """memory_overhead of a VM with this record, in bytes."""
    return MODELS[kind_of(vm)].overhead_mib(_up(vm["memory_static_max"], MIB), vm["VCPUs_max"], vm["HVM_shadow_multiplier"]) * MIB


def needed(vm: dict[str, Any], amount: int) -> int:
    """Bytes that a host needs free for this VM with `amount` of guest memory."""
    # PV guests have no shadow memory to multiply.
    multiplier = 1.0 if kind_of(vm) == "pv" else vm["HVM_shadow_multiplier"]
    target = _up(_up(amount, KIB), KIB)
    return (target + MODELS[kind_of(vm)].overhead_mib(_up(vm["memory_static_max"], MIB), vm["VCPUs_max"], multiplier)) * MIB


def to_start(vm: dict[str, Any]) -> int:
    """Bytes needed to start: most kinds of guest start ballooned down."""
    return needed(vm, vm["memory_static_max"] if kind_of(vm) == "pv_in_pvh" else vm["memory_dynamic_min"])


def free(engine: Engine, host: str, *, without: str = NULL) -> int:
    """What the pool believes to be free on a host when every guest there balloons down; `without`: a VM whose reservation does not count."""
    db = engine.db
    row = db.row("host", host)
    total = db.get("host_metrics", row["metrics"], "memory_total") if row["metrics"] != NULL else 0
    used = 0
    for ref, vm in db.items("VM"):
        count = (vm["resident_on"] == host) + (vm["scheduled_to_be_resident_on"] == host and ref != without)
        used += count * (vm["memory_dynamic_min"] + vm["memory_overhead"])
    return max(0, int(total) - int(row["memory_overhead"]) - used)


def largest(vm: dict[str, Any], total: int, *, approximate: bool) -> int:
    """The largest static_max with which the VM fits into `total` bytes, in whole MiB; `approximate` leaves room for 64 VCPUs."""
    trial = {**vm, "VCPUs_max": 64} if approximate else dict(vm)
    low, high = 0, total
    while high - low > 1:
        trial["memory_static_max"] = (low + high) // 2
        if needed(trial, trial["memory_static_max"]) <= total:
            low = trial["memory_static_max"]
        else:
            high = trial["memory_static_max"]
    return low // MIB * MIB


def in_order(static_min: int, dynamic_min: int, dynamic_max: int, static_max: int) -> bool:
    return static_min <= dynamic_min <= dynamic_max <= static_max


def can_be_ordered(vm: dict[str, Any]) -> bool:
    """Whether moving only the dynamic bounds can make the VM's memory settings valid: what a start asks for."""
    return bool(vm["memory_static_max"] >= vm["memory_static_min"] and vm["memory_dynamic_max"] >= vm["memory_dynamic_min"])
