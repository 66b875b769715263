# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a VM can run: the checks of VM.assert_can_boot_here and the choice of VM.start (facts 3.3, X/xapi_vm_helpers.ml)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..engine.failure import NULL, Failure
from . import _cpu_features as cpu
from . import _versions
from . import _vm_memory as memory
from ._ha_plan import require_room_for
from ._vm_hardware import Hardware
from ._vm_platform import is_true

NO_COREDUMP = "cannot invoke a coredump of an HVM, PVH or PV-in-PVH domain"
LEAKS_DOMAIN = "option would leak a domain; VMs and not domains are managed by this API"
ELSEWHERE = "Cannot boot a control domain on a host different from its affinity"


class Placement(Hardware):
    def assert_can_boot_here(self, ref: str, host: str) -> None:
        if _versions.is_upgrading(self.engine) and not _versions.is_like_coordinator(self.engine, host):
            raise Failure("VM_HOST_INCOMPATIBLE_VERSION", host, ref)
        self.require_bootable(ref, host, check_cpu=True)

    @asynccontextmanager
    async def reserved(self, ref: str, host: str, op: str) -> AsyncIterator[None]:
        """A place for the VM on this host; who asks for one while the host does something else does not wait (allocate_vm_to_host)."""
        require_room_for(self.engine, ref, host)
        async with self.engine.operations.hold("host", host, op, 0.0):
            yield

    def require_bootable(self, ref: str, host: str, *, check_storage: bool = True, check_cpu: bool = False) -> None:
        """Refuse with the reason why this VM cannot run on this host; one that does not exist is not live."""
        row = self.row(ref)
        self._require_valid(row)
        self.require_live(host)
        self.require_control_domain_at_home(ref, host)
        stays = row["power_state"] == "Running" and row["resident_on"] == host
        if not row["is_control_domain"] and not stays and not self.db.get("host", host, "enabled"):
            raise Failure("HOST_DISABLED", host)
        self._require_platform(ref, host)
        if check_cpu:
            self.require_compatible(ref, host)
        if check_storage:
            self.require_storage(ref, host, self._needed_disks(ref))
        self.other("network").require_available(ref, host, [self.db.get("VIF", vif, "network") for vif in row["VIFs"]])
        self.require_hardware(ref, host)
        if memory.kind_of(row) != "pv" and not any(c.startswith("hvm-") for c in self.db.get("host", host, "capabilities")):
            raise Failure("VM_HVM_REQUIRED", ref)
        needed, free = memory.to_start(row), memory.free(self.engine, host, without=ref)
        if free < needed:
            raise Failure("HOST_NOT_ENOUGH_FREE_MEMORY", str(needed), str(free))
        self._require_cpus(row, host)

    def _require_valid(self, row: dict[str, Any]) -> None:
        """Settings that VM.create took without a look."""
        most, at_startup = row["VCPUs_max"], row["VCPUs_at_startup"]
        if most < 1:
            raise Failure("INVALID_VALUE", "VCPUs_max", str(most))
        if at_startup < 1:
            raise Failure("INVALID_VALUE", "VCPUs-at-startup", str(at_startup))
        if at_startup > most:
            raise Failure("VALUE_NOT_SUPPORTED", "VCPUs-at-startup", str(at_startup), "value greater than VCPUs-max")
        if not memory.can_be_ordered(row):
            raise Failure("MEMORY_CONSTRAINT_VIOLATION")
        if row["HVM_shadow_multiplier"] < 1.0:
            raise Failure("INVALID_VALUE", "HVM_shadow_multiplier", f"{row['HVM_shadow_multiplier']:.12g}")
        action = row["actions_after_crash"]
        if action == "rename_restart":
            raise Failure("VALUE_NOT_SUPPORTED", "VM.actions_after_crash", action, LEAKS_DOMAIN)
        if action.startswith("coredump") and memory.kind_of(row) != "pv":
            raise Failure("VALUE_NOT_SUPPORTED", "VM.actions_after_crash", action, NO_COREDUMP)

    def is_live(self, host: str) -> bool:
        if not self.db.exists("host", host):
            return False
        metrics = self.db.table("host_metrics").rows.get(self.db.get("host", host, "metrics"))
        return bool(metrics and metrics["live"])

    def require_live(self, host: str) -> None:
        if not self.is_live(host):
            raise Failure("HOST_NOT_LIVE")

    def require_control_domain_at_home(self, ref: str, host: str) -> None:
        row = self.row(ref)
        if row["is_control_domain"] and row["affinity"] not in (NULL, host):
            raise Failure("OPERATION_NOT_ALLOWED", ELSEWHERE)

    def _require_platform(self, ref: str, host: str) -> None:
        wanted = self.row(ref)["hardware_platform_version"]
        offered = self.db.get("host", host, "virtual_hardware_platform_versions")
        if wanted not in offered:
            listed = "[" + "; ".join(map(str, offered)) + "]"
            raise Failure("VM_HOST_INCOMPATIBLE_VIRTUAL_HARDWARE_PLATFORM_VERSION", host, listed, ref, str(wanted))

    def require_compatible(self, ref: str, host: str) -> None:
        """A VM that has booted goes on only where the processor has all that it was shown."""
        row = self.row(ref)
        if row["power_state"] == "Halted":
            return
        objection = cpu.objection(row["last_boot_CPU_flags"], self.domain_type_now(row), self.db.get("host", host, "cpu_info"))
        if objection:
            raise Failure("VM_INCOMPATIBLE_WITH_THIS_HOST", ref, host, objection)

    def domain_type_now(self, row: dict[str, Any]) -> str:
        """Of its domain, or of the one that it would get (Helpers.domain_type)."""
        metrics = self.db.table("VM_metrics").rows.get(row["metrics"], {})
        current = metrics.get("current_domain_type", "unspecified")
        return memory.kind_of(row) if row["power_state"] == "Halted" or current == "unspecified" else str(current)

    def _needed_disks(self, ref: str) -> list[str]:
        row = self.row(ref)
        sleeping = row["power_state"] == "Suspended" and row["suspend_VDI"] != NULL
        return self.disks_of(ref) + ([row["suspend_VDI"]] if sleeping else [])

    def sees(self, host: str, sr: str) -> bool:
        """Whether the SR is plugged on this host."""
        return any(self.db.get("PBD", pbd, "currently_attached") and self.db.get("PBD", pbd, "host") == host for pbd in self.db.get("SR", sr, "PBDs"))

    def features_of(self, sr: str) -> list[str]:
        """What the storage manager of the SR's type can do."""
        kind = self.db.get("SR", sr, "type")
        return next((list(row["features"]) for row in self.db.table("SM").rows.values() if row["type"] == kind), [])

    def require_storage(self, ref: str, host: str, vdis: list[str]) -> None:
        for vdi in vdis:
            sr = self.db.get("VDI", vdi, "SR")
            if not self.sees(host, sr):
                raise Failure("VM_REQUIRES_SR", ref, sr)

    def _require_cpus(self, row: dict[str, Any], host: str) -> None:
        present = int(self.db.get("host", host, "cpu_info")["cpu_count"])
        if row["VCPUs_max"] > present and not is_true(row["platform"].get("vcpu-unrestricted")):
            raise Failure("HOST_NOT_ENOUGH_PCPUS", str(row["VCPUs_max"]), str(present))

    # Choosing

    def get_possible_hosts(self, ref: str) -> list[str]:
        reserved = self.row(ref)["scheduled_to_be_resident_on"]
        return [reserved] if reserved != NULL else [host for host in self.db.refs("host") if self._fits(ref, host, check_cpu=False)]

    def _fits(self, ref: str, host: str, *, check_cpu: bool) -> bool:
        try:
            self.require_bootable(ref, host, check_cpu=check_cpu)
        except Failure:
            return False
        return True

    def choose_host(self, ref: str) -> str:
        """The host VM.start takes, or NO_HOSTS_AVAILABLE, whatever the reason: also when it is memory (seen in recordings)."""
        row = self.row(ref)
        if row["scheduled_to_be_resident_on"] != NULL:
            return str(row["scheduled_to_be_resident_on"])
        fitting = [host for host in self.db.refs("host") if self._accepts(row, host) and self._fits(ref, host, check_cpu=True)]
        if not fitting:
            raise Failure("NO_HOSTS_AVAILABLE")
        if row["affinity"] in fitting:
            return str(row["affinity"])
        return min(fitting, key=lambda host: self._rank(row, host))

    def _accepts(self, vm: dict[str, Any], host: str) -> bool:
        row = self.db.row("host", host)
        if _versions.is_upgrading(self.engine) and not _versions.is_newest(self.engine, host):
            return False
        enabled = row["enabled"] or vm["is_control_domain"]
        return bool(enabled and self.is_live(host) and "evacuate" not in row["current_operations"].values())

    def _rank(self, row: dict[str, Any], host: str) -> tuple[int, bool, int]:
        """The lower the better: away from VMs of the same anti-affinity group, from the coordinator, and where most memory is free.

        xapi weighs by chance among hosts that fit equally well; here the same pool always gives the same choice.
        """
        groups = [group for group in row.get("groups", ()) if self.db.get("VM_group", group, "placement") == "anti_affinity"]
        here = set(self.db.get("host", host, "resident_VMs"))
        neighbours = sum(len(here.intersection(self.db.get("VM_group", group, "VMs"))) for group in groups)
        biased = self.db.row("pool", self.engine.pool).get("coordinator_bias", True)
        return neighbours, biased and host == self.engine.coordinator, -memory.free(self.engine, host)

    def choose_any_host_seeing(self, srs: list[str]) -> str:
        """A live host on which all of these SRs are plugged; NO_HOSTS_AVAILABLE when there is none."""
        for host in self.db.refs("host"):
            if self.is_live(host) and all(self.sees(host, sr) for sr in srs):
                return host
        raise Failure("NO_HOSTS_AVAILABLE")
