# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs in the xenstore of their host (facts 5.1). A host has none until a script in its dom0 may look at it: then its domains are written there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..guests import tools
from ..guests.xenstore import Xenstore
from ._vm_domain import GUEST_KEYS, Domain

if TYPE_CHECKING:
    from ..engine.core import Engine
    from ..engine.dom0 import Dom0

SHARED = tuple(key.rstrip("/") for key in GUEST_KEYS)
# Directories that a new domain finds (xenopsd, Domain.make).
EMPTY = ("device", "device/vbd", "device/vif", "feature", "error", "drivers", "control", "attr", "xenserver/attr", "data", "messages", "vm-data", "rrd")
CONTROL = {"platform-feature-multiprocessor-suspend": "1", "platform-feature-xs_reset_watches": "1"}
CONNECTED = "4"
# Keys that make xapi look at what the guest's tools say (xenopsd, interesting_paths_for_domain).
INTERESTING = ("attr", "data/updated", "data/ts", "control", "feature", "xenserver/attr")
# What dom0 writes into control/shutdown → what the guest then does.
SHUTDOWNS = {"poweroff": "poweroff", "halt": "poweroff", "reboot": "reboot"}


class Domains(Domain):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._xenstores: dict[str, Xenstore] = {}
        # Set while the toolstack itself writes: that is no news to it.
        self._writing = False

    # For scripts in dom0

    async def serve_xenstore(self, host: str, dom0: Dom0) -> None:
        """Let the xenstore tools of this dom0 reach the host's xenstore."""
        if "XENSTORED_PATH" not in dom0.variables:
            server = tools.Server(self.xenstore(host), dom0.root / "run" / "xenstored")
            dom0.variables["XENSTORED_PATH"] = str(server.socket)
            dom0.closers.append(server.close)
            tools.install(dom0.root / "bin")
            await server.start()

    def xenstore(self, host: str) -> Xenstore:
        if host not in self._xenstores:
            store = self._xenstores[host] = Xenstore()
            for ref in self.db.get("host", host, "resident_VMs"):
                self._write_domain(store, ref)
            store.watchers.append(lambda path: self._noticed(host, path))
        return self._xenstores[host]

    def live(self, ref: str) -> tuple[Xenstore, str] | None:
        """The xenstore that has this VM, and its place there; None when nobody looks at it."""
        row = self.row(ref)
        store = self._xenstores.get(row["resident_on"])
        return None if store is None or row["domid"] < 0 else (store, f"/local/domain/{row['domid']}")

    # Kept up by the domain's life

    def build(self, ref: str, host: str, *, paused: bool, fresh: bool) -> None:
        self._remove_domain(ref)
        super().build(ref, host, paused=paused, fresh=fresh)
        if host in self._xenstores:
            self._write_domain(self._xenstores[host], ref)

    def reset(self, ref: str, state: str) -> None:
        if state in ("Halted", "Suspended"):
            self._remove_domain(ref)
        super().reset(ref, state)

    def _remove_domain(self, ref: str) -> None:
        place = self.live(ref)
        if place is not None:
            place[0].remove(place[1])
            place[0].remove(f"/vm/{self.row(ref)['uuid']}")

    def _write_domain(self, store: Xenstore, ref: str) -> None:
        row = self.row(ref)
        place = f"/local/domain/{row['domid']}"
        self._writing = True
        try:
            store.write_all(f"/vm/{row['uuid']}", {"uuid": row["uuid"], "name": row["name_label"], f"domains/{row['domid']}": place})
            store.write_all(place, {"vm": f"/vm/{row['uuid']}", "name": row["name_label"], "domid": str(row["domid"])})
            if row["is_control_domain"]:
                return
            store.write_all(place, dict.fromkeys(EMPTY, ""))
            store.write_all(f"{place}/control", CONTROL)
            store.write_all(f"{place}/memory", {"static-max": str(row["memory_static_max"] >> 10), "target": str(row["memory_target"] >> 10)})
            store.write_all(f"{place}/platform", {key: text for key, text in row["platform"].items() if key.replace("-", "").replace("_", "").isalnum()})
            for number in range(row["VCPUs_max"]):
                store.write(f"{place}/cpu/{number}/availability", "online" if number < row["VCPUs_at_startup"] else "offline")
            for vif in row["VIFs"]:
                nic = self.db.row("VIF", vif)
                store.write_all(f"{place}/device/vif/{nic['device']}", {"mac": nic["MAC"], "state": CONNECTED})
            self._write_shared(store, place, row["xenstore_data"])
            self.guest_writes(ref, store, place)
        finally:
            self._writing = False

    def _write_shared(self, store: Xenstore, place: str, data: Mapping[str, str]) -> None:
        for key, text in data.items():
            if key.startswith(GUEST_KEYS):
                store.write(f"{place}/{key}", text)

    def push_xenstore_data(self, ref: str) -> None:
        """set_xenstore_data of a running VM: both subtrees are dropped and written anew from the record, which then says what is there."""
        super().push_xenstore_data(ref)
        place = self.live(ref)
        if place is not None:
            self._writing = True
            try:
                for top in SHARED:
                    place[0].remove(f"{place[1]}/{top}")
                self._write_shared(*place, self.row(ref)["xenstore_data"])
            finally:
                self._writing = False

    # News

    def _noticed(self, host: str, path: str) -> None:
        """Somebody wrote or removed something."""
        parts = path.split("/", 4)
        if self._writing or parts[1:3] != ["local", "domain"] or len(parts) < 5:
            return
        number, key = parts[3], parts[4]
        ref = next((vm for vm in self.db.get("host", host, "resident_VMs") if str(self.row(vm)["domid"]) == number), None)
        if ref is None:
            return
        if key.startswith(SHARED) and not self.bare_hypervisor:
            self._mirror(ref)
        elif key == "control/shutdown":
            self._told_to_stop(ref)
        elif key.startswith(INTERESTING):
            self.tools_updated(ref, self.domain_keys(ref))
        elif key.startswith("data/host/"):
            self.agent_asked(ref, key.removeprefix("data/host/"))

    def _mirror(self, ref: str) -> None:
        place = self.live(ref)
        if place is not None:
            head = len(place[1]) + 1
            self.db.set("VM", ref, "xenstore_data", {path[head:]: text for top in SHARED for path, text in place[0].walk(f"{place[1]}/{top}")})

    def domain_keys(self, ref: str) -> dict[str, str]:
        """What the domain's part of xenstore holds, directories apart."""
        place = self.live(ref)
        if place is None:
            return {}
        head = len(place[1]) + 1
        return {path[head:]: text for path, text in place[0].walk(place[1]) if text or not place[0].directory(path)}

    def _told_to_stop(self, ref: str) -> None:
        """A guest that knows Xen acknowledges by removing the key, and then obeys."""
        place = self.live(ref)
        request = place[0].read(f"{place[1]}/control/shutdown") if place else None
        if place and request in SHUTDOWNS and self.guest_obeys(ref):
            place[0].write(f"{place[1]}/control/shutdown", "")
            self.guest_does(ref, SHUTDOWNS[request])

    # What the guest part does with it

    def guest_writes(self, ref: str, store: Xenstore, place: str) -> None:
        raise NotImplementedError

    def tools_updated(self, ref: str, keys: Mapping[str, str]) -> None:
        raise NotImplementedError

    def agent_asked(self, ref: str, key: str) -> None:
        raise NotImplementedError

    def guest_obeys(self, ref: str) -> bool:
        raise NotImplementedError

    def guest_does(self, ref: str, what: str) -> Any:
        raise NotImplementedError
