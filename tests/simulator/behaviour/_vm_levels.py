# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: messages that only some API levels have, or that nobody but the toolstack itself sends."""

from __future__ import annotations

from ..engine.behaviour import locks_itself
from ..engine.failure import Failure
from ._vm_cross_pool import CrossPool
from ._vm_import_objects import Wanted

# update_secureboot_certificates_on_boot: (mark, state) → state afterwards.
MARKS = {
    (True, "update_available"): "update_on_boot",
    (True, "update_on_boot"): "update_on_boot",
    (False, "update_on_boot"): "update_available",
    (False, "update_available"): "update_available",
}
LONGEST_ANSWERS = 32 * 1024


class Levels(CrossPool):
    # 8.2

    def set_protection_policy(self, ref: str, value: str) -> None:
        raise Failure("MESSAGE_REMOVED")

    # 26

    @locks_itself
    async def call_host_plugin(self, ref: str, plugin: str, fn: str, args: dict[str, str]) -> str:
        state = self.row(ref)["power_state"]
        if state != "Running":
            raise Failure("VM_BAD_POWER_STATE", ref, "Running", state)
        self.check(ref, "call_plugin")
        async with self.engine.operations.hold("VM", ref, "call_plugin", 0.0):
            return str(await self.call("host", "call_plugin", self.row(ref)["resident_on"], plugin, fn, args))

    def update_secureboot_certificates_on_boot(self, ref: str, mark: bool) -> None:
        now = self.row(ref)["secureboot_certificates_state"]
        if (mark, now) not in MARKS:
            verb = "set" if mark else "clear"
            raise Failure("OPERATION_NOT_ALLOWED", f"Cannot {verb} update_on_boot: VM.secureboot_certificates_state is not in a valid state")
        self.db.set("VM", ref, "secureboot_certificates_state", MARKS[mark, now])

    def sysprep(self, ref: str, unattend: str, timeout: float) -> None:
        """Answers for Windows' own installer. No guest here has the driver for it."""
        self.check(ref, "sysprep")
        if timeout < 0:
            raise Failure("INVALID_VALUE", "timeout", f"{timeout:.12g}." if timeout == int(timeout) else f"{timeout:.12g}")
        if len(unattend.encode()) > LONGEST_ANSWERS:
            raise Failure("SYSPREP", self.row(ref)["uuid"], "unattend.xml file too large")
        raise Failure("SYSPREP", self.row(ref)["uuid"], "VM driver does not support sysprep")

    # All levels

    async def import_(self, url: str, sr: str, full_restore: bool, force: bool) -> list[str]:
        """VMs of an archive that the host itself gets from a web server."""
        from ..transport.pull import pull  # Late: all else that is HTTP stands on behaviour, not the other way round.

        self.existing("SR", sr)
        host = self.choose_any_host_seeing([sr])
        return await pull(self.engine, host, url, Wanted(sr=sr, restore=full_restore, force=force))

    # For the toolstack itself

    async def hard_reboot_internal(self, ref: str) -> None:
        async with self.devices_marked(ref):
            self.reboot(ref)
