# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The domain under a VM: what booting, sleeping and stopping leave in the database (facts 3.3, X/xapi_xenops.ml update_vm)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..engine.failure import EPOCH, NULL, Failure
from . import _cpu_features as cpu
from . import _vm_memory as memory
from ._vm_hardware import Hardware
from ._vm_platform import is_true

if TYPE_CHECKING:
    from ..engine.core import Engine

# Keys of VM.xenstore_data that a hypervisor hands to the guest and reads back (xenopsd, allowed_xsdata_prefixes).
GUEST_KEYS = ("vm-data/", "FIST/")
CONSOLES = ("rfb", "vt100")


def as_read_back(data: Mapping[str, str]) -> dict[str, str]:
    """What xenopsd finds below vm-data and FIST after writing this: every directory on the way is a key too, with an empty text."""
    kept = {key: text for key, text in data.items() if key.startswith(GUEST_KEYS)}
    parts = [key.split("/") for key in kept]
    return {**{"/".join(part[:depth]): "" for part in parts for depth in range(1, len(part))}, **kept}


class Domain(Hardware):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._last_domid: dict[str, int] = {}
        # Recordings were made on xenopsd's own simulator, which has no xenstore and measures nothing.
        self.bare_hypervisor = False

    def loaded(self, extra: Mapping[str, Any]) -> None:
        super().loaded(extra)
        self.bare_hypervisor = extra.get("hypervisor") == "simulated"
        for _unused, row in self.db.items("VM"):
            host = row["resident_on"]
            self._last_domid[host] = max(self._last_domid.get(host, 0), row["domid"])

    def _next_domid(self, host: str) -> int:
        self._last_domid[host] = self._last_domid.get(host, 0) + 1
        return self._last_domid[host]

    # Life

    def build(self, ref: str, host: str, *, paused: bool, fresh: bool) -> None:
        """A domain for the VM on this host. `fresh`: it boots; otherwise its memory came from an image or from another host."""
        row, now = self.row(ref), self.engine.clock.now()
        if not self.is_set("VM_metrics", row["metrics"]):
            self._build_unseen(ref, host, paused=paused)
            return
        if fresh:
            self._hand_over_xenstore_data(row, ref)
        kind = memory.kind_of(row)
        # A domain that goes on elsewhere sees the processor that it saw before.
        features = self._features(kind) if fresh else row["last_boot_CPU_flags"].get("features", "")
        self.db.update(
            "VM",
            ref,
            domid=self._next_domid(host),
            memory_target=self._memory_at_first(ref, host),
            last_boot_CPU_flags={"vendor": self.db.get("host", host, "cpu_info").get("vendor", ""), "features": features},
            power_state="Paused" if paused else "Running",
            resident_on=host,
            scheduled_to_be_resident_on=NULL,
        )
        self.plug_hardware(ref, host)
        self._open_consoles(ref, host)
        self._measure(ref, kind, now)
        self.update_devices(ref)
        self.guest_booted(ref, fresh=fresh)

    def _build_unseen(self, ref: str, host: str, *, paused: bool) -> None:
        """A VM that was a template once has no metrics: xapi fails to note the kind of its domain there, and with that to note anything of it.

        Only where the VM is gets written; that it runs is seen by nobody (update_vm in X/xapi_xenops.ml).
        """
        self.db.update("VM", ref, resident_on=host, scheduled_to_be_resident_on=NULL)
        if paused:
            text = "VM not in expected power state after completing operation"
            told = [f"{text}: {ref}, paused, halted"] if self.engine.schema.level == "26" else [text, ref, "paused", "halted"]
            raise Failure("INTERNAL_ERROR", *told)

    def _memory_at_first(self, ref: str, host: str) -> int:
        """A new domain gets its dynamic maximum when the host has that to spare."""
        row = self.row(ref)
        fits = memory.needed(row, row["memory_dynamic_max"]) <= memory.free(self.engine, host, without=ref)
        return int(row["memory_dynamic_max"] if fits else row["memory_dynamic_min"])

    def _features(self, kind: str) -> str:
        """What every host of the pool has, so that the guest may go to any of them."""
        if self.bare_hypervisor:
            return ""
        return str(self.db.get("pool", self.engine.pool, "cpu_info").get(cpu.level_key(kind), ""))

    def push_xenstore_data(self, ref: str) -> None:
        """Into the xenstore of the running domain, and back."""
        if not self.bare_hypervisor:
            self.db.set("VM", ref, "xenstore_data", as_read_back(self.row(ref)["xenstore_data"]))

    def _hand_over_xenstore_data(self, row: dict[str, Any], ref: str) -> None:
        """xapi writes what a new domain's xenstore holds back into the record: other keys are lost, directories are added.

        Without a xenstore that happens once, at the start: a reboot brings no news.
        """
        if not self.bare_hypervisor:
            self.db.set("VM", ref, "xenstore_data", {"vm-data": "", **as_read_back(row["xenstore_data"])})
        elif row["domid"] == -1:
            self.db.set("VM", ref, "xenstore_data", {})

    def _open_consoles(self, ref: str, host: str) -> None:
        address = self.db.get("host", host, "address")
        for protocol in CONSOLES:
            console = self.db.create("console", {"protocol": protocol, "VM": ref})
            uuid = self.db.get("console", console, "uuid")
            self.db.set("console", console, "location", f"https://{address}/console?uuid={uuid}")

    def _close_consoles(self, ref: str) -> None:
        for console in list(self.row(ref)["consoles"]):
            self.db.delete("console", console)

    def _measure(self, ref: str, kind: str, now: str) -> None:
        row = self.row(ref)
        values = {
            "VCPUs_number": row["VCPUs_at_startup"],
            "start_time": now,
            "hvm": kind == "hvm",
            "current_domain_type": kind,
            "nomigrate": is_true(row["platform"].get("nomigrate")),
            "nested_virt": is_true(row["platform"].get("nested-virt")),
            "memory_actual": 0 if self.bare_hypervisor else row["memory_dynamic_min"],
        }
        fields = self.engine.schema.classes["VM_metrics"].fields
        self.db.update("VM_metrics", row["metrics"], **{name: value for name, value in values.items() if name in fields})

    def attach_devices(self, ref: str) -> None:
        """What a booting VM attaches: all its drives and NICs, but no empty drives when it has no QEMU."""
        row = self.row(ref)
        for vbd in row["VBDs"]:
            if memory.kind_of(row) == "hvm" or not self.db.get("VBD", vbd, "empty"):
                self.other("VBD").attach(vbd)
        for vif in row["VIFs"]:
            self.db.set("VIF", vif, "currently_attached", True)
        for vusb in row["VUSBs"]:
            self.db.set("VUSB", vusb, "currently_attached", True)

    def discard(self, ref: str, state: str) -> None:
        """The domain is gone: the VM is Halted or Suspended."""
        self.db.set("VM", ref, "memory_target", 0)
        metrics = self.row(ref)["metrics"]
        if self.db.exists("VM_metrics", metrics):
            self.db.update("VM_metrics", metrics, VCPUs_number=0, hvm=False, start_time=EPOCH, memory_actual=0)
            if state == "Halted":
                self._forget_kind(metrics)
        self._close_consoles(ref)
        self.guest_stopped(ref)
        self.reset(ref, state)
        self.update_devices(ref)

    def _forget_kind(self, metrics: str) -> None:
        """A halted VM has no kind any more; a sleeping one resumes as what it was."""
        fields = self.engine.schema.classes["VM_metrics"].fields
        values = {"current_domain_type": "unspecified", "nomigrate": False, "nested_virt": False}
        self.db.update("VM_metrics", metrics, **{name: value for name, value in values.items() if name in fields})

    def reset(self, ref: str, state: str) -> None:
        """The power state, and what goes with it (Xapi_vm_lifecycle.force_state_reset_keep_current_operations)."""
        self.db.set("VM", ref, "power_state", state)
        if state == "Halted":
            self._detach_devices(ref)
            self.db.set("VM", ref, "requires_reboot", False)
        if state in ("Halted", "Suspended"):
            keeps_host = state == "Suspended" and "checkpoint" in self.busy_with(ref)
            if not keeps_host:
                self.db.update("VM", ref, resident_on=NULL, scheduled_to_be_resident_on=NULL, domid=-1)
                self.release_hardware(ref)
        self.update_operations(ref)

    def _detach_devices(self, ref: str) -> None:
        row = self.row(ref)
        for vbd in row["VBDs"]:
            self.db.update("VBD", vbd, currently_attached=False, reserved=False)
        for vif in row["VIFs"]:
            self.db.update("VIF", vif, currently_attached=False, reserved=False)
        for cls, devices in (("VGPU", row["VGPUs"]), ("VUSB", row["VUSBs"])):
            for device in devices:
                self.db.set(cls, device, "currently_attached", False)

    # What the guest part does with it

    def guest_booted(self, ref: str, *, fresh: bool) -> None:
        raise NotImplementedError

    def guest_stopped(self, ref: str) -> None:
        raise NotImplementedError
