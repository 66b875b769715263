# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PCI: whether dom0 may use a device, now and after the host's next boot (X/xapi_pci_helpers.ml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..engine.behaviour import Behaviour

if TYPE_CHECKING:
    from ..engine.core import Engine

# Hidden from dom0 now, hidden after the next boot → the name for it.
STATUS = {
    (True, True): "disabled",
    (True, False): "enable_on_reboot",
    (False, False): "enabled",
    (False, True): "disable_on_reboot",
}
HIDDEN = {name: both for both, name in STATUS.items()}


class Pci(Behaviour):
    cls = "PCI"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        # Device → its status, where that is not what a fresh pool has.
        self._status: dict[str, str] = {}
        # Host → when it booted, as long as a device of it waits for a reboot.
        self._booted: dict[str, str] = {}

    def loaded(self, extra: Mapping[str, Any]) -> None:
        self._status = {row["PCI"]: row["dom0_access"] for _unused, row in self.db.items("PGPU") if "dom0_access" in row}
        self.db.watchers.append(self._changed)

    def get_dom0_access_status(self, ref: str) -> str:
        return self._status.get(ref, "enabled")

    def enable_dom0_access(self, ref: str) -> str:
        return self._hide(ref, hidden=False)

    def disable_dom0_access(self, ref: str) -> str:
        return self._hide(ref, hidden=True)

    def _hide(self, ref: str, *, hidden: bool) -> str:
        host = self.row(ref)["host"]
        self._booted[host] = self._boot_time(host)
        return self._set(ref, STATUS[HIDDEN[self.get_dom0_access_status(ref)][0], hidden])

    def _set(self, ref: str, status: str) -> str:
        self._status[ref] = status
        for pgpu in self.db.where("PGPU", PCI=ref):
            self.db.set("PGPU", pgpu, "dom0_access", status)
        return status

    def _boot_time(self, host: str) -> str:
        return str(self.db.get("host", host, "other_config").get("boot_time", ""))

    def _changed(self, cls: str, ref: str) -> None:
        """A host that booted has what waited for that."""
        if cls != "host" or ref not in self._booted or not self.db.exists("host", ref) or self._boot_time(ref) == self._booted[ref]:
            return
        del self._booted[ref]
        for pci in self.db.get("host", ref, "PCIs"):
            after = HIDDEN[self.get_dom0_access_status(pci)][1]
            self._set(pci, STATUS[after, after])
