# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage drivers by SR type: what the storage manager does under SR, PBD and VDI."""

from __future__ import annotations

from .base import Driver
from .files import ExtDriver, FileDriver, NfsDriver, SmbDriver
from .lvm import LvmDriver, LvmOverHbaDriver, LvmOverIscsiDriver
from .plain import DummyDriver, IsoDriver, LunDriver, RawDriver, UdevDriver

DRIVERS: dict[str, type[Driver]] = {
    "dummy": DummyDriver,
    "ext": ExtDriver,
    "file": FileDriver,
    "iscsi": LunDriver,
    "iso": IsoDriver,
    "lvm": LvmDriver,
    "lvmohba": LvmOverHbaDriver,
    "lvmoiscsi": LvmOverIscsiDriver,
    "nfs": NfsDriver,
    "smb": SmbDriver,
    "udev": UdevDriver,
}

__all__ = ["DRIVERS", "Driver", "RawDriver"]
