# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operations a host allows, and the refusal for the others (valid_operations in X/xapi_host_helpers.ml, facts 3.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure
from . import _versions
from ._progress import other_operation

MAKING_VMS = ("provision", "vm_resume", "vm_migrate")
REMOVING_VMS = ("evacuate", "reboot", "shutdown")
# Running operation → the ones that it excludes.
EXCLUDES = {
    "reboot": ("shutdown", "apply_updates"),
    "shutdown": ("reboot", "apply_updates"),
    "apply_updates": ("reboot", "shutdown", "enable"),
    "provision": ("provision",),
}
NEED_DISABLED = ("reboot", "shutdown", "apply_updates")
# All that other hosts are told of while the pool is being upgraded (Xapi_globs.host_operations_miami) …
KNOWN_TO_ALL = ("evacuate", "provision")
# … and what VMs write there themselves.
OF_VMS = ("vm_start", "vm_resume", "vm_migrate")
# How refusals spell an operation, where that is not its name (host_operation_to_string in record_util.ml).
SPELLINGS = {"vm_start": "VM.start", "vm_resume": "VM.resume", "vm_migrate": "VM.migrate"}


class HostOperations(Behaviour):
    """The part of host that knows what it may be asked for."""

    is_live: Callable[[str], bool]

    def _known(self) -> Iterable[str]:
        return self.engine.schema.enums["host_allowed_operations"]

    def advertised(self, ref: str) -> Iterable[str]:
        return [name for name in self._known() if name in KNOWN_TO_ALL] if _versions.is_upgrading(self.engine) else self._known()

    def shows(self, ref: str, op: str) -> bool:
        if op in KNOWN_TO_ALL or op in OF_VMS:
            return True
        # To 8.2 enabling a host is no operation.
        return op in self._known() and not _versions.is_upgrading(self.engine)

    def check(self, ref: str, op: str) -> None:
        row = self.row(ref)
        running: dict[str, str] = row["current_operations"]
        self._require_not_crossing(ref, op, running)
        for task, current in running.items():
            if op in EXCLUDES.get(current, ()):
                raise self._in_the_way(ref, {task: current})
        if op in NEED_DISABLED and row["enabled"]:
            raise Failure("HOST_NOT_DISABLED")
        if op == "power_on":
            if self.is_live(ref):
                raise Failure("HOST_IS_LIVE", ref)
            if not row["power_on_mode"]:
                raise Failure("HOST_POWER_ON_MODE_DISABLED")

    def _require_not_crossing(self, ref: str, op: str, running: dict[str, str]) -> None:
        """What makes VMs and what removes them exclude each other; before 25.27 the refusal names the first operation, crossing or not."""
        others = REMOVING_VMS if op in MAKING_VMS else MAKING_VMS if op in REMOVING_VMS else ()
        crossing = {task: current for task, current in running.items() if current in others}
        if crossing:
            raise self._in_the_way(ref, crossing if self.engine.schema.level == "26" else running)

    def _in_the_way(self, ref: str, running: dict[str, str]) -> Failure:
        return other_operation(self.engine, "host", ref, {task: SPELLINGS.get(op, op) for task, op in running.items()})
