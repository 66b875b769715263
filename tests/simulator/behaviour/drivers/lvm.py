# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VHDs in logical volumes, thick: on a local device, an iSCSI LUN, a Fibre Channel LUN (SM LVHDSR.py, LVHDoISCSISR.py)."""

from __future__ import annotations

from typing import ClassVar

from ...engine.failure import Failure
from ...storage import Volume
from ...storage.sizes import EXTENT, deflated, logical_volume, round_up
from . import network
from .base import Config
from .errors import sm_error
from .plain import check_target
from .vhd import VhdDriver


class LvmDriver(VhdDriver):
    kind = "lv"
    required: ClassVar[tuple[tuple[str, str], ...]] = (("device", "ConfigDeviceMissing"),)
    tags: ClassVar[dict[str, str]] = {"vdi_type": "vhd"}
    raw: ClassVar[dict[str, str]] = {"type": "raw", "vdi_type": "aio"}
    grows_raw: ClassVar[bool] = True

    def create(self, sr: str, config: Config, size: int) -> None:
        super().create(sr, config, size)
        self.db.put("SR", sr, "sm_config", "use_vhd", "true")

    def probe(self, config: Config, sm_config: Config) -> str:
        self.check_config(config)
        return self._groups(config, "device")

    def _groups(self, config: Config, key: str) -> str:
        """The volume groups on a device, as lvutil prints them."""
        rows = []
        for uuid in self.known(config, key):
            size = self.db.get("SR", self.db.by_uuid("SR", uuid), "physical_size")
            rows.append({"UUID": uuid, "Devlist": config[key], "size": str(size)})
        return network.document("SRlist", "SR", rows)

    def raw_size(self, size: int) -> int:
        """A logical volume of whole extents (LVHDVDI.create, resize)."""
        return round_up(self.rounded(size), EXTENT)

    def bad_type(self, wanted: str) -> Failure:
        return sm_error("VDICreate", "bad type")

    def sm_config_of(self, volume: Volume, given: Config) -> dict[str, str]:
        return {**given, **(self.raw if volume.kind == "raw" else self.tags)}

    def room_to_branch(self, source: Volume, *, snapshot: bool) -> int:
        full, thin = logical_volume(source.size), deflated(0)
        base = deflated(source.layer.blocks)
        return full + (thin if snapshot else full) - (source.utilisation() - base)

    def after_branch(self, source: Volume, new: Volume, shared: Volume | None, *, snapshot: bool, was_snapshot: bool) -> None:
        source.inflated = not was_snapshot
        new.inflated = not snapshot
        if shared is not None:
            shared.inflated = False
        for volume in (source, new, *([shared] if shared else [])):
            volume.on_change(volume)

    def utilisation_of_base(self, shared: Volume, before: int) -> int:
        return shared.utilisation()

    def remembered(self, volume: Volume) -> dict[str, str]:
        return {"name_label": volume.label, "name_description": volume.description}

    def vdi_update(self, vdi: str) -> None:
        super().vdi_update(vdi)
        row = self.db.row("VDI", vdi)
        volume = self.repository(row["SR"]).volumes.get(row["location"])
        if volume is not None:
            # Names are in the metadata volume beside the disks.
            volume.rename(row["name_label"], row["name_description"])


class LvmOverIscsiDriver(LvmDriver):
    def check_config(self, config: Config) -> None:
        check_target(config)
        if not config.get("SCSIid"):
            raise sm_error("ConfigSCSIid", text=network.luns(config))

    def size_of(self, config: Config) -> int:
        return network.size_of_lun(config) or super().size_of(config)

    def probe(self, config: Config, sm_config: Config) -> str:
        self.check_config(config)
        return self._groups(config, "SCSIid")


class LvmOverHbaDriver(LvmDriver):
    required: ClassVar[tuple[tuple[str, str], ...]] = (("SCSIid", "ConfigSCSIid"),)

    def probe(self, config: Config, sm_config: Config) -> str:
        self.check_config(config)
        return self._groups(config, "SCSIid")
