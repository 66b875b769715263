# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data sources: what is measured of a host and of a VM, and its value at any moment (facts 4.4; rrdd/xcp_rrdd.ml).

Nothing is stored: a value follows from the source and the time, so that a reader of an archive and a later reader see the same past.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..engine.core import Engine

INFINITY = math.inf
KIB = 1024
GAUGE, DERIVE = "GAUGE", "DERIVE"
RUNSTATES = {
    "runstate_blocked": "Fraction of time that all VCPUs are blocked or offline",
    "runstate_concurrency_hazard": "Fraction of time that some VCPUs are running and some are runnable",
    "runstate_full_contention": "Fraction of time that all VCPUs are runnable (i.e., waiting for CPU)",
    "runstate_fullrun": "Fraction of time that all VCPUs are running",
    "runstate_partial_contention": "Fraction of time that some VCPUs are runnable and some are blocked",
    "runstate_partial_run": "Fraction of time that some VCPUs are running, and some are blocked",
}
HOSTLOAD = "Host load per physical cpu, where load refers to the number of vCPU(s) in running or runnable status."
# What xapi reports of itself: name → description, units, lowest and highest value.
DAEMON = {
    "pool_session_creation_rate": ("Number of sessions created per second", "sessions/s", 0.0, 4.0),
    "xapi_allocation_kib": ("Memory allocation done by the xapi daemon", "KiB", 15000.0, 30000.0),
    "xapi_free_memory_kib": ("Free memory available to the xapi daemon", "KiB", 6000.0, 7000.0),
    "xapi_live_memory_kib": ("Live memory used by xapi daemon", "KiB", 5500.0, 6500.0),
    "xapi_memory_usage_kib": ("Total memory allocated used by xapi daemon", "KiB", 12000.0, 13000.0),
    "xapi_open_fds": ("Number of open file descriptors held by xapi", "file descriptors", 50.0, 70.0),
}
Value = Callable[[float], float]


@dataclass(frozen=True)
class Source:
    name: str
    description: str
    units: str
    value: Value
    standard: bool = True  # archived without being asked for
    kind: str = GAUGE
    least: float = 0.0
    most: float = INFINITY

    def record(self, *, enabled: bool) -> dict[str, Any]:
        """As the API shows it; the value is there only to be asked for."""
        fields = {"name_label": self.name, "name_description": self.description, "enabled": enabled, "standard": self.standard}
        return {**fields, "units": self.units, "min": self.least, "max": self.most, "value": 0.0}


def constant(value: float) -> Value:
    return lambda _time: value


def wave(seed: str, low: float, high: float) -> Value:
    """A value that wanders between two bounds, slowly and a little from moment to moment."""
    digest = hashlib.sha256(seed.encode()).digest()
    phase, period = digest[0] / 256 * math.tau, 60 + digest[1]

    def at(time: float) -> float:
        slow = math.sin(time / period * math.tau + phase)
        quick = math.sin(time / 7.3 * math.tau + phase * 3)
        return low + (high - low) * (0.5 + 0.4 * slow + 0.1 * quick)

    return at


class Sources:
    """The data sources of one pool. `idle`: no guest does anything, since there is no hypervisor to run it."""

    def __init__(self, engine: Engine, *, idle: bool) -> None:
        self.engine = engine
        self.db = engine.db
        self.idle = idle

    def of_host(self, host: str) -> list[Source]:
        return sorted([*self._cpus(host), *self._nics(host), *self._totals(host), *self._daemon()], key=lambda source: source.name)

    def _cpus(self, host: str) -> Iterator[Source]:
        row = self.db.row("host", host)
        number = int(row["cpu_info"].get("cpu_count", len(row["host_CPUs"])))
        waves = [wave(f"{row['uuid']} cpu{n}", 0.02, 0.3) for n in range(number)]
        for n, value in enumerate(waves):
            yield Source(f"cpu{n}", f"Physical cpu usage for cpu {n}", "(fraction)", value, kind=DERIVE, most=1.0)
        average = _mean(waves)
        yield Source("cpu_avg", "Average physical cpu usage", "(fraction)", average, kind=DERIVE, most=1.0)
        load = constant(0.0) if self.idle else wave(f"{row['uuid']} hostload", 0.0, 0.5)
        yield Source("hostload", HOSTLOAD, "(fraction)", load)
        yield Source("loadavg", "Domain0 loadavg", "(fraction)", wave(f"{row['uuid']} loadavg", 0.05, 0.8), least=-INFINITY)

    def _nics(self, host: str) -> Iterator[Source]:
        row = self.db.row("host", host)
        devices = sorted(self.db.get("PIF", pif, "device") for pif in row["PIFs"] if self.db.get("PIF", pif, "physical"))
        for way, verb, error in (("rx", "received", "Receive"), ("tx", "sent", "Transmit")):
            waves = [wave(f"{row['uuid']} {device} {way}", 100.0, 50000.0) for device in devices]
            for device, value in zip(devices, waves, strict=True):
                text = f"Bytes per second {verb} on physical interface {device}"
                yield Source(f"pif_{device}_{way}", text, "B/s", value, kind=DERIVE)
                text = f"{error} errors per second on physical interface {device}"
                yield Source(f"pif_{device}_{way}_errors", text, "err/s", constant(0.0), standard=False, kind=DERIVE)
            total = _sum(waves)
            yield Source(f"pif_aggr_{way}", f"Bytes per second {verb} on all physical interfaces", "B/s", total, kind=DERIVE)

    def _totals(self, host: str) -> Iterator[Source]:
        row = self.db.row("host", host)
        total = float(self.db.get("host_metrics", row["metrics"], "memory_total")) / KIB
        used = sum(float(self.db.get("VM", vm, "memory_dynamic_max")) for vm in row["resident_VMs"]) / KIB
        yield Source("memory_total_kib", "Total amount of memory in the host", "KiB", constant(total))
        yield Source("memory_free_kib", "Total amount of free memory", "KiB", constant(max(0.0, total - used)))
        running = [self.db.row("VM", vm) for vm in row["resident_VMs"]]
        yield Source("running_domains", "The total number of running domains per host", "count", constant(float(len(running))))
        vcpus = 0.0 if self.idle else float(sum(vm["VCPUs_at_startup"] for vm in running))
        yield Source("running_vcpus", "The total number of running vCPUs per host", "count", constant(vcpus))

    def _daemon(self) -> Iterator[Source]:
        for name, what, cls in (("pool_session_count", "sessions", "session"), ("pool_task_count", "tasks", "task")):
            number = float(len(self.db.tables[cls].rows))
            yield Source(name, f"Number of {what}", what, constant(number))
        for name, (text, units, low, high) in DAEMON.items():
            yield Source(name, text, units, wave(name, low, high))

    def of_vm(self, vm: str) -> list[Source]:
        return sorted([*self._vcpus(vm), *self._memory(vm), *self._devices(vm)], key=lambda source: source.name)

    def _vcpus(self, vm: str) -> Iterator[Source]:
        row = self.db.row("VM", vm)
        number = row["VCPUs_max"]  # the domain's highest VCPU, whether it is plugged or not
        still = self.idle and not row["is_control_domain"]
        waves = [constant(0.0) if still else wave(f"{row['uuid']} cpu{n}", 0.01, 0.4) for n in range(number)]
        for n, value in enumerate(waves):
            yield Source(f"cpu{n}", f"CPU{n} usage", "(fraction)", value, kind=DERIVE, most=1.0)
        yield Source("cpu_usage", "Domain CPU usage", "(fraction)", _mean(waves), kind=DERIVE, most=1.0)
        for name, text in RUNSTATES.items():
            yield Source(name, text, "(fraction)", constant(0.0) if still else wave(f"{row['uuid']} {name}", 0.0, 0.3), standard=False)

    def _memory(self, vm: str) -> Iterator[Source]:
        row = self.db.row("VM", vm)
        memory = float(row["memory_target"] or row["memory_dynamic_max"])
        yield Source("memory", "Memory currently allocated to VM", "B", constant(memory))
        if row["is_control_domain"]:
            free = wave(f"{row['uuid']} free", memory * 0.1, memory * 0.5)
            yield Source("memory_internal_free", "Dom0 current free memory", "B", free)
            return
        yield Source("memory_target", "Target of VM balloon driver", "B", constant(memory))
        if not self.idle and row["guest_metrics"] in self.db.tables["VM_guest_metrics"].rows:
            free = wave(f"{row['uuid']} free", memory / KIB * 0.2, memory / KIB * 0.7)
            yield Source("memory_internal_free", "Memory used as reported by the guest agent", "KiB", free)

    def _devices(self, vm: str) -> Iterator[Source]:
        if self.idle:
            return
        row = self.db.row("VM", vm)
        for vif in row["VIFs"]:
            if self.db.get("VIF", vif, "currently_attached"):
                number = self.db.get("VIF", vif, "device")
                for way, verb in (("rx", "received"), ("tx", "transmitted")):
                    text = f"Bytes per second {verb} on virtual interface number '{number}'"
                    value = wave(f"{row['uuid']} vif{number}{way}", 50.0, 90000.0)
                    yield Source(f"vif_{number}_{way}", text, "B/s", value, kind=DERIVE)
        for vbd in row["VBDs"]:
            device = self.db.get("VBD", vbd, "device")
            if self.db.get("VBD", vbd, "currently_attached") and device:
                for way, verb in (("read", "Reads from"), ("write", "Writes to")):
                    value = wave(f"{row['uuid']} {device}{way}", 0.0, 4e6)
                    yield Source(f"vbd_{device}_{way}", f"{verb} device {device} in B/s", "B/s", value, kind=DERIVE)


def _mean(values: list[Value]) -> Value:
    return lambda time: sum(value(time) for value in values) / len(values) if values else 0.0


def _sum(values: list[Value]) -> Value:
    return lambda time: sum(value(time) for value in values)
