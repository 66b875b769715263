# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host comes into the pool, with its storage, its interfaces and its VMs (X/xapi_pool.ml update_non_vm_metadata, X/dbsync_slave.ml)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..engine.behaviour import Behaviour
from ..engine.failure import NULL, Failure
from ._vm_import_objects import Wanted

if TYPE_CHECKING:
    from ..engine.types import Type

INTERNAL_NETWORK = "is_host_internal_management_network"


@dataclass
class Newcomer:
    """What a host brings along: records by class and reference, as its own pool has them."""

    CLASSES: ClassVar[tuple[str, ...]] = (
        *("host", "host_metrics", "host_cpu", "PCI", "Certificate", "Feature"),
        # Secrets stay behind, as in xapi (unless the management interface is a VLAN).
        *("SR", "PBD", "VDI", "network", "PIF_metrics", "PIF", "VM_metrics"),
    )
    host: str
    tables: dict[str, dict[str, dict[str, Any]]]
    control_domain: dict[str, dict[str, Any]]
    guests: list[dict[str, Any]]
    store: Any
    endpoint: str
    known: dict[str, str] = field(default_factory=dict)  # reference there → reference here


class Welcome(Behaviour):
    """The part of pool that takes in a host."""

    async def welcome(self, new: Newcomer) -> str:
        host = self._take_host(new)
        self._take_storage(new)
        for cls in ("host_cpu", "PCI", "Certificate", "Feature"):
            for ref, row in new.tables.get(cls, {}).items():
                if row["host"] == new.host:
                    self._take(new, cls, ref, row)
        self._take_networks(new)
        self._take_control_domain(new, host)
        await self._take_guests(new, host)
        self.engine.set_down(host, True)
        return host

    # One object

    def _take(self, new: Newcomer, cls: str, ref: str, row: dict[str, Any], **changes: Any) -> str:
        """The same object here: its uuid, its fields, references to what has come along."""
        table = self.db.table(cls)
        if row.get("uuid") in table.by_uuid:
            new.known[ref] = table.by_uuid[row["uuid"]]
            return new.known[ref]
        fields = table.spec.fields
        values = {name: _translated(value, fields[name].type, new.known) for name, value in row.items() if not self.db.is_derived(cls, name)}
        for name in ("allowed_operations", "current_operations"):
            values.pop(name, None)
        new.known[ref] = self.db.create(cls, {**values, **changes})
        return new.known[ref]

    # The host

    def _take_host(self, new: Newcomer) -> str:
        """The constructor of hosts gives all the same description, and xapi copies the crash dump SR into both fields."""
        row = new.tables["host"][new.host]
        metrics = self._take(new, "host_metrics", row["metrics"], new.tables["host_metrics"][row["metrics"]], live=False)
        fields = {"name_description": "Default install", "enabled": False, "metrics": metrics, "tags": [], "logging": {}, "control_domain": NULL}
        return self._take(new, "host", new.host, row, **fields)

    def _take_control_domain(self, new: Newcomer, host: str) -> None:
        for ref, row in new.control_domain.items():
            metrics = new.tables["VM_metrics"].get(row["metrics"])
            if metrics is not None:
                self._take(new, "VM_metrics", row["metrics"], metrics)
            self.db.set("host", host, "control_domain", self._take(new, "VM", ref, row, resident_on=host))

    # Storage

    def _take_storage(self, new: Newcomer) -> None:
        tools = [ref for ref, row in self.db.items("SR") if row["is_tools_sr"]]
        for ref, row in new.tables["SR"].items():
            if row["is_tools_sr"] and tools:
                new.known[ref] = tools[0]
            else:
                self._take(new, "SR", ref, row, shared=False)
                self.engine.store.take_over(row["uuid"], new.store)
        host = new.tables["host"][new.host]
        sr = new.known.get(host["crash_dump_sr"], NULL)
        self.db.update("host", new.known[new.host], crash_dump_sr=sr, suspend_image_sr=sr, local_cache_sr=new.known.get(host["local_cache_sr"], NULL))
        for ref, row in new.tables["PBD"].items():
            self._take(new, "PBD", ref, row, currently_attached=False)
        disks = {ref: row for ref, row in new.tables["VDI"].items() if not new.tables["SR"][row["SR"]]["is_tools_sr"]}
        for ref, row in disks.items():
            self._take(new, "VDI", ref, row)
        for ref, row in disks.items():  # a source may have come after its snapshot
            self.db.update("VDI", new.known[ref], **{name: new.known.get(row[name], NULL) for name in ("snapshot_of", "parent")})

    # Networks

    def _take_networks(self, new: Newcomer) -> None:
        interfaces = {ref: row for ref, row in new.tables["PIF"].items() if row["physical"]}
        bridges = {row["bridge"]: ref for ref, row in self.db.items("network")}
        wired = {row["network"] for row in interfaces.values()}
        for ref, row in new.tables["network"].items():
            shared = ref in wired or row["other_config"].get(INTERNAL_NETWORK) == "true"
            if shared and row["bridge"] in bridges:
                # NICs of one name are taken to be on one wire.
                new.known[ref] = bridges[row["bridge"]]
            elif shared:
                self._take(new, "network", ref, {**row, "uuid": ""})
            else:
                new.known[ref] = self.other("network").create({**row, "bridge": ""})
        for ref, row in interfaces.items():
            metrics = new.tables["PIF_metrics"].get(row["metrics"])
            if metrics is not None:
                self._take(new, "PIF_metrics", row["metrics"], metrics)
            self.other("PIF").remember_nic(self._take(new, "PIF", ref, row))

    # VMs

    async def _take_guests(self, new: Newcomer, host: str) -> None:
        """As good as can be: what stands against one VM leaves all behind, and the host comes all the same."""
        context = self.context
        context.task = self.engine.tasks.create("VM.import_metadata", host=host)
        vms = self.other("VM")
        try:
            with contextlib.suppress(Failure):
                vms.finish_import(await vms.import_objects(new.guests, Wanted(restore=True)))
        finally:
            self.db.delete("task", context.task)

    # The toolstack of the new member starts

    def arrive(self, host: str, endpoint: str) -> None:
        """It takes over the coordinator's networks and sees the pool's storage."""
        for listener in self.engine.on_arrival:
            listener(host, endpoint)
        self._see_shared_storage(host)
        for share in (self._share_bonds, self._share_vlans, self._share_tunnels):
            with contextlib.suppress(Failure):
                share(host)
        self.other("host").come_back(host)
        self.other("pool").hosts_changed()

    def _see_shared_storage(self, host: str) -> None:
        for sr, row in self.db.items("SR"):
            seen_by = {self.db.get("PBD", pbd, "host"): pbd for pbd in row["PBDs"]}
            if row["shared"] and host not in seen_by and self.engine.coordinator in seen_by:
                config = self.db.get("PBD", seen_by[self.engine.coordinator], "device_config")
                values = {"host": host, "SR": sr, "device_config": {key: value for key, value in config.items() if key != "SRmaster"}}
                self.db.create("PBD", values)

    def _interfaces(self, host: str) -> list[str]:
        return list(self.db.get("host", host, "PIFs"))

    def _on_network_of(self, pif: str, host: str) -> str | None:
        """The host's interface that is on the network of one of the coordinator's."""
        network = self.db.get("PIF", pif, "network")
        return next((own for own in self._interfaces(host) if self.db.get("PIF", own, "network") == network), None)

    def _share_bonds(self, host: str) -> None:
        for pif in self._interfaces(self.engine.coordinator):
            for bond in self.db.get("PIF", pif, "bond_master_of"):
                row = self.db.row("Bond", bond)
                devices = [self.db.get("PIF", member, "device") for member in row["slaves"]]
                own = {self.db.get("PIF", one, "device"): one for one in self._interfaces(host) if self.db.get("PIF", one, "physical")}
                members = [own[device] for device in devices if device in own]
                if members and self._on_network_of(pif, host) is None:
                    self.other("Bond").create(self.db.get("PIF", pif, "network"), members, "", row["mode"], row["properties"])

    def _share_vlans(self, host: str) -> None:
        for pif in self._interfaces(self.engine.coordinator):
            vlan = self.db.get("PIF", pif, "VLAN_master_of")
            if vlan == NULL or self._on_network_of(pif, host) is not None:
                continue
            below = self._on_network_of(self.db.get("VLAN", vlan, "tagged_PIF"), host)
            if below is not None:
                self.other("VLAN").create(below, self.db.get("VLAN", vlan, "tag"), self.db.get("PIF", pif, "network"))

    def _share_tunnels(self, host: str) -> None:
        for pif in self._interfaces(self.engine.coordinator):
            for tunnel in self.db.get("PIF", pif, "tunnel_access_PIF_of"):
                row = self.db.row("tunnel", tunnel)
                below = self._on_network_of(row["transport_PIF"], host)
                if below is not None and self._on_network_of(pif, host) is None:
                    self.other("tunnel").create(below, self.db.get("PIF", pif, "network"), row.get("protocol", "gre"))


def _translated(value: Any, kind: Type, known: dict[str, str]) -> Any:
    """References become those of this pool; NULL where the object has not come along."""
    if kind.kind == "ref":
        return known.get(value, NULL)
    if kind.kind == "set" and kind.value is not None and kind.value.kind == "ref":
        return [known[ref] for ref in value if ref in known]
    return value
