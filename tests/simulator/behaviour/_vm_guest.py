# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest inside a VM: its tools report a while after boot, or never (facts 5.1); it may stop and boot by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..engine.failure import EPOCH, NULL
from ..guests import reports
from ..guests.xenstore import Xenstore
from ._vm_xenstore import Domains

if TYPE_CHECKING:
    from ..engine.core import Engine

# VM.other_config key that says what runs inside: one of reports.GUESTS, or JSON (reports.guest).
GUEST_KEY = "simulator-guest"
# What xapi's message forwarding would have told the guest to do, it did by itself: seconds until its domain is gone.
STOPS_AFTER = 1.0
# A guest that reboots this soon after its start has to wait (xenopsd, minimum_reboot_delay).
SOON, SOON_DELAY = 120.0, 15.0
# Field of the record that says what follows.
ACTIONS = {"poweroff": "actions_after_shutdown", "reboot": "actions_after_reboot", "crash": "actions_after_crash"}
RESTARTS = ("restart", "coredump_and_restart", "rename_restart")


class Guests(Domains):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.default_guest = "linux"
        # VM → number of its present boot, so that a report of an earlier one is not believed.
        self._boots: dict[str, int] = {}
        # VM → when it booted.
        self._booted: dict[str, float] = {}
        self._reported: set[str] = set()

    def loaded(self, extra: Mapping[str, Any]) -> None:
        super().loaded(extra)
        self.default_guest = reports.guest(extra.get("guest", "linux"), "linux").name
        self._reported = {ref for ref, row in self.db.items("VM") if row["power_state"] == "Running" and row["guest_metrics"] != NULL}

    def guest(self, ref: str) -> reports.Guest:
        row = self.row(ref)
        default = "windows" if self.default_guest == "linux" and row["platform"].get("device_id") == "0002" else self.default_guest
        try:
            return reports.guest(row["other_config"].get(GUEST_KEY, default), default)
        except (ValueError, TypeError) as error:
            self.engine.problems.append(f"other_config:{GUEST_KEY} of VM {row['name_label']!r}: {error}")
            return reports.Guest(default)

    def guest_keys(self, ref: str) -> dict[str, str] | None:
        """What the tools of this guest write into xenstore; None when it has none."""
        return self.guest(ref).writes([self.db.row("VIF", vif) for vif in self.row(ref)["VIFs"]])

    def guest_obeys(self, ref: str) -> bool:
        return ref in self._reported and self.row(ref)["power_state"] == "Running"

    # From the domain

    def guest_booted(self, ref: str, *, fresh: bool) -> None:
        """A new domain has new metrics. A guest that went on sleeping or moved keeps what its agent had said."""
        awake = not fresh and ref in self._reported
        if fresh:
            self._reported.discard(ref)
            self._booted[ref] = self.engine.clock.time()
        self._renew_metrics(ref)
        boot = self._boots[ref] = self._boots.get(ref, 0) + 1
        if awake:
            self.agent_reports(ref)
        else:
            self.engine.later(self.guest(ref).after, lambda: self._agent_starts(ref, boot))

    def guest_stopped(self, ref: str) -> None:
        self._boots[ref] = self._boots.get(ref, 0) + 1
        self._booted.pop(ref, None)

    def guest_unpaused(self, ref: str) -> None:
        """A guest that was paused before its agent came up goes on booting."""
        if ref not in self._reported:
            boot = self._boots.get(ref, 0)
            self.engine.later(self.guest(ref).after, lambda: self._agent_starts(ref, boot))

    def _agent_starts(self, ref: str, boot: int) -> None:
        if self.db.exists("VM", ref) and self._boots.get(ref) == boot and self.row(ref)["power_state"] == "Running" and ref not in self._reported:
            self.agent_reports(ref)

    # Guest metrics

    def _renew_metrics(self, ref: str) -> None:
        self.delete_guest_metrics(ref)
        values = {"last_updated": self.engine.clock.now(), "live": True}
        self.db.set("VM", ref, "guest_metrics", self.db.create("VM_guest_metrics", values))

    def delete_guest_metrics(self, ref: str) -> None:
        metrics = self.row(ref)["guest_metrics"]
        self.db.set("VM", ref, "guest_metrics", NULL)
        if self.db.exists("VM_guest_metrics", metrics):
            self.db.delete("VM_guest_metrics", metrics)

    def agent_reports(self, ref: str) -> None:
        """What the tools know appears in VM_guest_metrics, and with it what the VM allows."""
        keys = self.guest_keys(ref)
        metrics = self.row(ref)["guest_metrics"]
        if keys is None or not self.db.exists("VM_guest_metrics", metrics):
            return
        self._reported.add(ref)
        place = self.live(ref)
        if place is not None:
            self.guest_writes(ref, *place)
        self.db.update("VM_guest_metrics", metrics, PV_drivers_detected=True, PV_drivers_up_to_date=True)
        self.tools_updated(ref, {**self.domain_keys(ref), **keys})
        self.update_devices(ref)
        self.update_operations(ref)

    def guest_writes(self, ref: str, store: Xenstore, place: str) -> None:
        """The tools' keys, once they are up."""
        keys = self.guest_keys(ref) if ref in self._reported else None
        if keys is not None:
            before, self._writing = self._writing, True
            store.write_all(place, keys)
            self._writing = before

    def tools_updated(self, ref: str, keys: Mapping[str, str]) -> None:
        metrics = self.row(ref)["guest_metrics"]
        if self.db.exists("VM_guest_metrics", metrics):
            self.db.update("VM_guest_metrics", metrics, **reports.metrics(keys), last_updated=self.engine.clock.now(), live=True)

    # What it does by itself

    def guest_does(self, ref: str, what: str) -> None:
        """The guest powers off, reboots or crashes (keys of ACTIONS), and the toolstack does what the record says about that."""
        boot = self._boots.get(ref)
        self.engine.later(STOPS_AFTER, lambda: self._guest_stopped_itself(ref, what, boot))

    async def _guest_stopped_itself(self, ref: str, what: str, boot: int | None) -> None:
        if not self.db.exists("VM", ref) or self._boots.get(ref) != boot or self.row(ref)["power_state"] != "Running":
            return
        action = self.row(ref)[ACTIONS[what]]
        if action == "preserve":
            self.reset(ref, "Paused")
            return
        ran = self.engine.clock.time() - self._booted.get(ref, 0.0)
        if action not in RESTARTS or (what == "crash" and ran < SOON):
            self.discard(ref, "Halted")
            return
        if ran < SOON:
            await self.engine.clock.sleep(SOON_DELAY)
        if self.db.exists("VM", ref) and self._boots.get(ref) == boot and self.row(ref)["power_state"] == "Running":
            self.reboot(ref)

    def reboot(self, ref: str) -> None:
        raise NotImplementedError

    # Copies

    def copy_metrics(self, ref: str) -> str:
        """VM_metrics for a copy of the VM; a template has none to copy."""
        old = self.db.table("VM_metrics").rows.get(self.row(ref)["metrics"])
        values = {name: old[name] for name in old if name != "uuid"} if old else {"VCPUs_utilisation": {"0": 0.0}}
        return self.db.create("VM_metrics", values)

    def copy_guest_metrics(self, ref: str) -> str:
        old = self.db.table("VM_guest_metrics").rows.get(self.row(ref)["guest_metrics"])
        if old is None:
            return NULL
        return self.db.create("VM_guest_metrics", {name: old[name] for name in old if name != "uuid"})

    def fresh_metrics(self) -> str:
        return self.db.create("VM_metrics", {"VCPUs_utilisation": {"0": 0.0}, "start_time": EPOCH, "install_time": EPOCH, "last_updated": EPOCH})
