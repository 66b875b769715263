# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each kind of storage has to be told, and what a storage offers where that is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import unescape

from ._errors import ApiError, XenError
from ._sr_job import SrJob

# Keys of device_config by type, in the order in which the storage manager misses them (its drivers' ``load``). A key that may
# be said in another way is followed by that.
NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "ext": (("device",),),
    "file": (("location",),),
    "iscsi": (("target",), ("targetIQN",)),
    "iso": (("location",),),
    "lvm": (("device",),),
    "lvmohba": (("SCSIid",),),
    "lvmoiscsi": (("target",), ("targetIQN",), ("SCSIid", "LUNid")),
    "nfs": (("server",), ("serverpath",)),
    "smb": (("server",),),
    "udev": (("location",),),
}
# Where the answer to an incomplete probe has the values that a key can have: XML of the storage manager.
OFFERED = {"serverpath": "Path", "targetIQN": "TargetIQN", "SCSIid": "SCSIid"}


def refuse_incomplete(job: SrJob, host: str, config: Mapping[str, str]) -> None:
    """An error that names the key that is missing, with what the storage has for it, before anything is made."""
    kind = job.params["type"]
    for key, *instead in NEEDED.get(kind, ()):
        if not any(config.get(name) for name in (key, *instead)):
            choices = _offers(job, host, config, key)
            offer = f"; choose one of {', '.join(choices)}" if choices else f"; give it, as storage of type {kind} needs it"
            raise XenError(f"device_config lacks {key}{offer}")


def _offers(job: SrJob, host: str, config: Mapping[str, str], key: str) -> list[str]:
    """A probe that lacks a key fails, and tells what the storage has. It changes nothing."""
    tag = OFFERED.get(key)
    if tag is None:
        return []
    try:
        job.session.call("SR.probe", host, dict(config), job.params["type"], {})
    except ApiError as error:
        if not error.code.startswith("SR_BACKEND_FAILURE"):
            raise
        found = re.findall(rf"<{tag}>\s*([^<]*?)\s*</{tag}>", " ".join(error.arguments))
        return list(dict.fromkeys(unescape(text) for text in found))
    return []
