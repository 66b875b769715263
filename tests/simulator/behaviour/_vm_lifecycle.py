# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: start, pause, reboot, shut down (facts 3.3)."""

from __future__ import annotations

from typing import Any

from ..engine.behaviour import operation
from ..engine.failure import NULL, Failure
from . import _versions
from . import _vm_memory as memory
from ._vm_platform import is_true
from ._vm_sleep import Sleep
from ._vm_strings import GENERIC_BIOS_STRINGS

DEVICE_MODELS = {"bios": "qemu-upstream-compat", "uefi": "qemu-upstream-uefi"}
# What VMs of long ago may say; it is replaced.
OLD_DEVICE_MODEL = "qemu-trad"
# What a hard shutdown or reboot cancels first.
GIVES_WAY_TO_REBOOT = ("clean_shutdown", "clean_reboot", "pool_migrate", "call_plugin", "suspend")
GIVES_WAY_TO_SHUTDOWN = (*GIVES_WAY_TO_REBOOT, "hard_reboot", "shutdown")


class Lifecycle(Sleep):
    # Start

    @operation("start")
    async def start(self, ref: str, start_paused: bool, force: bool) -> None:
        async with self.devices_marked(ref):
            self._prepare(ref)
            await self._boot(ref, self.choose_host(ref), "vm_start", paused=start_paused)
        self._report_started(ref)

    def before_start_on(self, ref: str, host: str, *_unused: bool) -> None:
        self.existing("host", host)
        _versions.require_newest(self.engine, host)
        self.require_control_domain_at_home(ref, host)
        if "evacuate" in self.db.get("host", host, "current_operations").values():
            raise Failure("HOST_EVACUATE_IN_PROGRESS", host)

    @operation("start_on", before="before_start_on")
    async def start_on(self, ref: str, host: str, start_paused: bool, force: bool) -> None:
        async with self.devices_marked(ref):
            self._prepare(ref)
            self.require_bootable(ref, host)
            await self._boot(ref, host, "vm_start", paused=start_paused)
        self._report_started(ref)

    def _report_started(self, ref: str) -> None:
        host = self.db.row("host", self.row(ref)["resident_on"])
        self.report("VM_STARTED", ref, f"started on host: {host['name_label']} (uuid: {host['uuid']})")

    def _prepare(self, ref: str) -> None:
        """What every start settles in the record first."""
        row = self.row(ref)
        self.db.set("VM", ref, "domain_type", memory.kind_of(row))
        self.update_overhead(ref)
        if not row["bios_strings"]:
            self.db.set("VM", ref, "bios_strings", GENERIC_BIOS_STRINGS)

    def _platform(self, row: dict[str, Any]) -> dict[str, str]:
        """The platform flags with what a start fills in."""
        platform = dict(row["platform"])
        firmware = row["HVM_boot_params"].get("firmware", "bios")
        if firmware not in DEVICE_MODELS:
            raise Failure("INVALID_VALUE", "HVM-boot-params['firmware']", firmware)
        if memory.kind_of(row) == "hvm":
            platform = {"device-model": DEVICE_MODELS[firmware], **platform} if "device-model" not in platform else platform
        if platform.get("device-model") == OLD_DEVICE_MODEL:
            platform["device-model"] = DEVICE_MODELS[firmware]
        if platform.get("secureboot") == "auto":
            certificates = self.db.row("pool", self.engine.pool).get("uefi_certificates", "")
            platform["secureboot"] = "true" if certificates else "false"
        return platform

    async def _boot(self, ref: str, host: str, operation: str, *, paused: bool) -> None:
        async with self.reserved(ref, host, operation):
            self.db.set("VM", ref, "scheduled_to_be_resident_on", host)
            try:
                self.reserve_hardware(ref, host)
                await self._boot_here(ref, host, paused=paused)
            finally:
                if self.db.exists("VM", ref):
                    self.db.set("VM", ref, "scheduled_to_be_resident_on", NULL)
                    self.drop_reservations(ref)

    async def _boot_here(self, ref: str, host: str, *, paused: bool) -> None:
        row = self.row(ref)
        if row["ha_restart_priority"] == "restart":
            self.db.set("VM", ref, "ha_always_run", True)
        self.db.set("VM", ref, "platform", self._platform(row))
        if is_true(row["platform"].get("nested-virt")):
            self._require_pinned(row)
        self.delete_guest_metrics(ref)
        self.other("network").attach_for_vm(host, ref)
        self._begin_epoch(ref)
        self.attach_devices(ref)
        self.build(ref, host, paused=paused, fresh=True)
        await self._delay(row["start_delay"])

    def _begin_epoch(self, ref: str) -> None:
        """A boot throws away what was written to disks that are reset on boot."""
        for vdi in self.hard_disks(ref):
            self.other("VDI").begin_epoch(vdi)

    def _require_pinned(self, row: dict[str, Any]) -> None:
        """A guest that is a hypervisor itself cannot balloon."""
        if not row["memory_static_min"] <= row["memory_dynamic_min"] == row["memory_dynamic_max"] == row["memory_static_max"]:
            raise Failure("MEMORY_CONSTRAINT_VIOLATION_MAXPIN", "nested virt")

    async def _delay(self, seconds: int) -> None:
        if seconds > 0:
            await self.engine.clock.sleep(float(seconds))

    # Pause

    @operation("pause")
    def pause(self, ref: str) -> None:
        self.reset(ref, "Paused")
        self.report("VM_PAUSED", ref, "paused")

    @operation("unpause")
    def unpause(self, ref: str) -> None:
        self.reset(ref, "Running")
        self.guest_unpaused(ref)
        self.report("VM_UNPAUSED", ref, "unpaused")

    # Reboot

    @operation("clean_reboot")
    async def clean_reboot(self, ref: str) -> None:
        async with self.devices_marked(ref):
            self.reboot(ref)
        self.report("VM_REBOOTED", ref, "rebooted cleanly")

    @operation("hard_reboot")
    async def hard_reboot(self, ref: str) -> None:
        await self._cancel(ref, GIVES_WAY_TO_REBOOT)
        async with self.devices_marked(ref):
            # What was cancelled may have ended in a shutdown.
            if self.row(ref)["power_state"] == "Halted":
                self._prepare(ref)
                await self._boot(ref, self.choose_host(ref), "vm_start", paused=False)
            else:
                self.reboot(ref)
        self.report("VM_REBOOTED", ref, "rebooted forcibly")

    def reboot(self, ref: str) -> None:
        """A new domain on the same host."""
        host = self.row(ref)["resident_on"]
        self._close_consoles(ref)
        self._begin_epoch(ref)
        self.attach_devices(ref)
        self.build(ref, host, paused=False, fresh=True)
        self.db.set("VM", ref, "requires_reboot", False)

    # Shutdown

    @operation("clean_shutdown")
    async def clean_shutdown(self, ref: str) -> None:
        await self.halt(ref)
        self.report("VM_SHUTDOWN", ref, "shutdown")

    @operation("shutdown")
    async def shutdown(self, ref: str) -> None:
        await self.power_off(ref)
        self.report("VM_SHUTDOWN", ref, "shutdown")

    @operation("hard_shutdown")
    async def hard_shutdown(self, ref: str) -> None:
        await self._cancel(ref, GIVES_WAY_TO_SHUTDOWN)
        await self.power_off(ref)
        self.report("VM_SHUTDOWN", ref, "shutdown forcibly")

    async def power_off(self, ref: str) -> None:
        """Whatever the VM does, it is Halted afterwards."""
        self.db.set("VM", ref, "ha_always_run", False)
        state = self.row(ref)["power_state"]
        if state == "Suspended":
            self.choose_any_host_seeing([self.db.get("VDI", vdi, "SR") for vdi in self.disks_of(ref)])
            await self.drop_image(ref)
            self.reset(ref, "Halted")
        elif state != "Halted":
            await self.halt(ref)

    async def halt(self, ref: str) -> None:
        self.db.set("VM", ref, "ha_always_run", False)
        self.discard(ref, "Halted")
        await self._delay(self.row(ref)["shutdown_delay"])

    async def _cancel(self, ref: str, ops: tuple[str, ...]) -> None:
        """Cancel operations that run on the VM, and wait for their ends."""
        own = self.context.task
        tasks = [task for task, op in self.row(ref)["current_operations"].items() if op in ops and task != own]
        for task in tasks:
            if self.db.exists("task", task):
                self.engine.tasks.cancel(task)
        while self.db.exists("VM", ref) and any(task in self.row(ref)["current_operations"] for task in tasks):
            await self.engine.clock.sleep(0.05)

    def power_state_reset(self, ref: str) -> None:
        row = self.row(ref)
        if row["is_control_domain"]:
            raise Failure("CANNOT_RESET_CONTROL_DOMAIN", ref)
        if row["power_state"] in ("Running", "Paused"):
            if row["resident_on"] == self.context.host:
                # A paused domain does not count: the hypervisor is asked for running ones.
                if row["power_state"] == "Running":
                    raise Failure("DOMAIN_EXISTS", ref)
            elif self.is_live(row["resident_on"]):
                raise Failure("HOST_IS_LIVE", row["resident_on"])
        self.force_halted(ref)

    def force_halted(self, ref: str) -> None:
        """The VM is Halted in the database, whatever runs: its host is gone."""
        self.db.set("VM", ref, "current_operations", {})
        if self.row(ref)["power_state"] in ("Running", "Paused"):
            self._close_consoles(ref)
            self.guest_stopped(ref)
        self.reset(ref, "Halted")
