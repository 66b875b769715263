# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM (facts 3.2, 3.3). Each part of it is a file of its own: `_vm_operations` has the table of what is allowed when,
`_vm_lifecycle` starts and stops, `_vm_copy` clones and takes snapshots, and so on."""

from __future__ import annotations

from ..engine.failure import Failure
from ._vm_firmware import Firmware
from ._vm_levels import Levels
from ._vm_measurements import Measurements
from ._vm_misc import Miscellany
from ._vm_recovery import Recovery

# High-water marks, whatever the guest (facts 3.5).
HIGHEST_NIC, HIGHEST_NIC_LATELY = 6, 15
HIGHEST_DISK, HIGHEST_DISK_OF_DOM0 = 254, 255


class VM(Firmware, Levels, Recovery, Measurements, Miscellany):
    cls = "VM"

    def get_allowed_VBD_devices(self, ref: str) -> list[str]:
        used = {number for bus, number, _unused in self.other("VBD").used_devices(ref) if bus in ("xen", "ide")}
        highest = HIGHEST_DISK_OF_DOM0 if self.row(ref)["is_control_domain"] else HIGHEST_DISK
        return [str(number) for number in range(highest + 1) if number not in used]

    def get_allowed_VIF_devices(self, ref: str) -> list[str]:
        used = {self.db.get("VIF", vif, "device") for vif in self.row(ref)["VIFs"]}
        highest = HIGHEST_NIC_LATELY if self.engine.schema.level == "26" else HIGHEST_NIC
        return [device for device in map(str, range(highest + 1)) if device not in used]

    def get_boot_record(self, ref: str) -> dict[str, object]:
        self.check(ref, "get_boot_record")
        return self.db.record("VM", ref)

    def send_sysrq(self, ref: str, key: str) -> None:
        self.check(ref, "send_sysrq")
        raise Failure("NOT_IMPLEMENTED", "send_sysrq")

    def send_trigger(self, ref: str, trigger: str) -> None:
        self.check(ref, "send_trigger")
        raise Failure("NOT_IMPLEMENTED", "send_trigger")

    def query_services(self, ref: str) -> None:
        self.check(ref, "query_services")
        raise Failure("NOT_IMPLEMENTED", "query_services")
