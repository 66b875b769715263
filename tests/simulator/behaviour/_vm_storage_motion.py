# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM: migration together with its disks (facts 3.3, X/xapi_vm_migrate.ml)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ..engine.behaviour import locks_itself
from ..engine.failure import NULL, Failure, internal_error
from . import _pool_features, _versions
from ._vm_destination import Destination
from ._vm_migrate import Migration

if TYPE_CHECKING:
    from ..engine.core import Engine

MOST_AT_ONCE = 3
NEEDED_OF_STORAGE = ("VDI_MIRROR", "VDI_SNAPSHOT")
NO_VIF_MAP = "VIF mapping is not allowed for intra-pool migration -all VIFs must be on the same network"
NO_COPY = "Copy mode is disallowed on intra pool storage migration, try efficient alternatives e.g. VM.copy/clone."


class StorageMotion(Migration):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        # Host → disk migrations that it is sending.
        self._sending: Counter[str] = Counter()

    # What stands against it

    async def assert_can_migrate(
        self,
        ref: str,
        dest: dict[str, str],
        live: bool,
        vdi_map: dict[str, str],
        vif_map: dict[str, str],
        options: dict[str, str],
        vgpu_map: dict[str, str],
        vdi_format_map: dict[str, str] | None = None,
    ) -> None:
        _pool_features.require(self.engine, "Storage_motion")
        destination = Destination(self.engine, dest)
        self._require_mapped(ref, vdi_map)
        self._require_not_older(ref, destination)
        if destination.is_local:
            await self._require_storage_motion(vdi_map, destination)
            self.require_bootable(ref, destination.host, check_storage=False, check_cpu=options.get("force") != "true")
            if vif_map:
                raise Failure("OPERATION_NOT_ALLOWED", NO_VIF_MAP)
        else:
            await self.require_receivable(ref, destination, vdi_map, vif_map, options)
        self._require_movable(vdi_map)

    def _require_not_older(self, ref: str, destination: Destination) -> None:
        """No VM goes to an older host, upgrade or not; one without a domain leaves from the coordinator."""
        resident = self.row(ref)["resident_on"]
        own = _versions.software(self.engine, resident if resident != NULL else self.engine.coordinator)
        if not _versions.may_migrate(self.engine, own, _versions.software(destination.engine, destination.host)):
            if destination.is_local:
                raise Failure("NOT_SUPPORTED_DURING_UPGRADE")
            raise Failure("VM_HOST_INCOMPATIBLE_VERSION_MIGRATE", ref, destination.host)

    async def require_receivable(self, ref: str, destination: Destination, vdi_map: dict[str, str], vif_map: dict[str, str], options: dict[str, str]) -> None:
        raise NotImplementedError

    async def send_to_other_pool(self, ref: str, destination: Destination, places: dict[str, str], vif_map: dict[str, str], *, copy: bool) -> str:
        raise NotImplementedError

    async def assert_can_migrate_sender(self, ref: str, dest: dict[str, str], *_unused: Any) -> None:
        Destination(self.engine, dest)

    def _require_mapped(self, ref: str, vdi_map: dict[str, str]) -> None:
        disks = self.hard_disks(ref)
        for vdi in disks:
            if vdi not in vdi_map:
                raise Failure("VDI_NOT_IN_MAP", vdi)
        for vdi in disks:
            if self.db.get("VDI", vdi, "cbt_enabled"):
                raise Failure("VDI_CBT_ENABLED", vdi)

    async def _require_storage_motion(self, vdi_map: dict[str, str], destination: Destination) -> None:
        """Both ends of a disk's way must be able to mirror and to take snapshots."""
        for vdi, sr in vdi_map.items():
            source = self.db.get("VDI", vdi, "SR")
            if source != sr:
                self.require_features(source)
                await destination.ask(partial(destination.vms.require_features, sr))

    def require_features(self, sr: str) -> None:
        offers = self.features_of(sr)
        missing = [name for name in NEEDED_OF_STORAGE if name not in offers]
        if missing:
            extra = [";".join(missing)] if self.engine.schema.level == "26" else []
            raise Failure("SR_DOES_NOT_SUPPORT_MIGRATION", sr, *extra)

    def _require_movable(self, vdi_map: dict[str, str]) -> None:
        for vdi, sr in vdi_map.items():
            row = self.db.row("VDI", vdi)
            if row["SR"] != sr and row["cbt_enabled"]:
                raise Failure("VDI_CBT_ENABLED", vdi)
            if row["SR"] != sr and "key_hash" in row["sm_config"]:
                raise Failure("VDI_IS_ENCRYPTED", vdi)

    # The way

    @locks_itself
    async def migrate_send(
        self,
        ref: str,
        dest: dict[str, str],
        live: bool,
        vdi_map: dict[str, str],
        vif_map: dict[str, str],
        options: dict[str, str],
        vgpu_map: dict[str, str],
        vdi_format_map: dict[str, str] | None = None,
    ) -> str:
        is_live = self.row(ref)["power_state"] in ("Running", "Paused")
        if is_live and "host" not in dest:
            raise internal_error("Not_found")
        async with self.operating(ref, "migrate_send"):
            await self.engine.pass_time("VM.migrate_send")
            await self.assert_can_migrate(ref, dest, live, vdi_map, vif_map, options, vgpu_map)
            destination = Destination(self.engine, dest)
            return await self._send(ref, destination, vdi_map, vif_map, options, is_live=is_live)

    async def _send(
        self, ref: str, destination: Destination, vdi_map: dict[str, str], vif_map: dict[str, str], options: dict[str, str], *, is_live: bool
    ) -> str:
        copy = options.get("copy") == "true"
        if copy and destination.is_local:
            raise Failure("OPERATION_NOT_ALLOWED", NO_COPY)
        sender = self.row(ref)["resident_on"] if is_live else self.choose_host(ref)
        with self._counted(sender):
            for vdi in self.hard_disks(ref):
                if self.db.get("VDI", vdi, "on_boot") == "reset":
                    raise Failure("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION", vdi)
            complete = {**vdi_map, **await self._places_of_the_rest(ref, destination, vdi_map)}
            self._require_movable(complete)
            await self._eject_moving_cds(ref, complete)
            if destination.is_local:
                await self._send_within_pool(ref, sender, destination.host, complete, is_live=is_live)
                return ref
            return await self.send_to_other_pool(ref, destination, complete, vif_map, copy=copy)

    @contextmanager
    def _counted(self, host: str) -> Iterator[None]:
        """At most three at a time from one host (facts 3.3)."""
        if self._sending[host] >= MOST_AT_ONCE:
            raise Failure("TOO_MANY_STORAGE_MIGRATES", str(MOST_AT_ONCE))
        self._sending[host] += 1
        try:
            yield
        finally:
            self._sending[host] -= 1

    def with_snapshots(self, ref: str) -> list[str]:
        return [ref, *self.row(ref)["snapshots"]]

    async def _places_of_the_rest(self, ref: str, destination: Destination, vdi_map: dict[str, str]) -> dict[str, str]:
        """Where disks go that the caller did not map: those of snapshots after their source, images to the suspend SR, all else to the default SR."""
        default, suspend = await destination.ask(lambda: destination.vms.receiving_srs(destination.host))
        places: dict[str, str] = {}
        for image in self._images_to_move(ref, destination):
            places[image] = vdi_map.get(image) or vdi_map.get(self.db.get("VDI", image, "snapshot_of")) or suspend or default
        for snapshot in self.row(ref)["snapshots"]:
            for vdi in self.hard_disks(snapshot):
                places[vdi] = vdi_map.get(vdi) or vdi_map.get(self.db.get("VDI", vdi, "snapshot_of")) or default
        for vdi, sr in places.items():
            if not sr:
                raise Failure("VDI_NOT_IN_MAP", vdi)
        return places

    def receiving_srs(self, host: str) -> tuple[str, str]:
        """The default SR and the SR for suspend images, as text that is empty when there is none."""
        pool = self.db.row("pool", self.engine.pool)
        suspend = pool["suspend_image_SR"] if pool["suspend_image_SR"] != NULL else self.db.get("host", host, "suspend_image_sr")
        return "" if pool["default_SR"] == NULL else pool["default_SR"], "" if suspend == NULL else suspend

    def _images_to_move(self, ref: str, destination: Destination) -> list[str]:
        images = [self.row(vm)["suspend_VDI"] for vm in self.with_snapshots(ref) if self.row(vm)["power_state"] == "Suspended"]
        return [vdi for vdi in images if not (destination.is_local and self.sees(destination.host, self.db.get("VDI", vdi, "SR")))]

    async def _eject_moving_cds(self, ref: str, places: dict[str, str]) -> None:
        """An image in a CD drive stays where it is, so that the drive is emptied."""
        if self.row(ref)["power_state"] == "Suspended":
            return
        for vbd in list(self.row(ref)["VBDs"]):
            drive = self.db.row("VBD", vbd)
            if drive["type"] == "CD" and self.is_set("VDI", drive["VDI"]) and places.get(drive["VDI"]) != self.db.get("VDI", drive["VDI"], "SR"):
                await self.call("VBD", "eject", vbd)

    async def _send_within_pool(self, ref: str, sender: str, host: str, places: dict[str, str], *, is_live: bool) -> None:
        moving = {vdi: sr for vdi, sr in places.items() if self.db.get("VDI", vdi, "SR") != sr}
        for number, (vdi, sr) in enumerate(moving.items()):
            await self._plug_for(sr, host)
            await self._move_disk(ref, vdi, sr)
            self.engine.tasks.progress((number + 1) / len(moving))
        if is_live:
            await self.move_domain(ref, host)
            self.report_migrated(ref, sender, host)
        for vm in self.with_snapshots(ref):
            wanted = self.row(vm)["suspend_SR"]
            if wanted != NULL and not (self.is_set("SR", wanted) and self.sees(host, wanted)):
                self.db.set("VM", vm, "suspend_SR", NULL)

    async def _move_disk(self, ref: str, vdi: str, sr: str) -> None:
        new = await self.call("VDI", "move", vdi, sr)
        for vm in self.with_snapshots(ref):
            if self.row(vm)["suspend_VDI"] == vdi:
                self.db.set("VM", vm, "suspend_VDI", new)

    async def _plug_for(self, sr: str, host: str) -> None:
        """The receiving host and its coordinator need the SR."""
        for pbd in self.db.get("SR", sr, "PBDs"):
            row = self.db.row("PBD", pbd)
            wanted = row["host"] in (host, self.engine.coordinator) and self.db.get("host", row["host"], "enabled")
            if wanted and not row["currently_attached"]:
                await self.call("PBD", "plug", pbd)
