# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One disk or snapshot on its way into an image file: which one is meant, and whether the file holds it already."""

from __future__ import annotations

import os
from typing import Any

from ._device_job import load_vm
from ._device_names import device_number, number_or_none
from ._disk_read import exported
from ._errors import NotFound, XenError
from ._export_record import read_record
from ._image_file import read_digest
from ._lookup import Found, View
from ._plan import Values
from ._vdi_find import get_sr, get_vdi, users

EXPORT_OPTIONS: dict[str, dict[str, Any]] = {
    "dest": {"type": "path", "required": True},
    "format": {"type": "str", "choices": ["raw", "vhd", "qcow2", "tgz"], "default": "raw"},
    "compression_level": {"type": "int"},
    "vdi": {"type": "str"},
    "sr": {"type": "str"},
    "vm": {"type": "str"},
    "vm_uuid": {"type": "str"},
    "userdevice": {"type": "str", "default": "0"},
    "properties": {"type": "dict"},
    "force": {"type": "bool", "default": False},
}


class Export:
    """One disk on its way into a file."""

    def __init__(self, session: Any, params: dict[str, Any]) -> None:
        self.session, self.params = session, params
        self.view = View(session)
        self.dest = os.path.abspath(params["dest"])
        self.ref, self.record = _source(self.view, params)
        self.source = self.ref  # or a snapshot of it
        self.size: int = self.record["virtual_size"]
        self.name: str = self.record["name_label"]
        self.known = read_record(self.dest)
        self.facts: Values = {}
        self.transfer: Values = {}

    @property
    def is_fixed(self) -> bool:
        """Whether the content of the disk cannot change any more."""
        return bool(self.record["is_a_snapshot"] or self.record["read_only"])

    @property
    def is_written(self) -> bool:
        """Whether a VM may write to the disk at this moment."""
        return any(vbd["mode"] == "RW" for vbd in users(self.view, self.record))

    @property
    def asked(self) -> Values:
        """What a file must have been made with to be the one that is asked for."""
        level, properties = self.params["compression_level"], self.params["properties"] or {}
        return {"format": self.params["format"], "compression_level": level, "properties": {key: str(value) for key, value in properties.items()}}

    @property
    def origin(self) -> Values:
        return {"vdi": self.record["uuid"], "disk_size": self.size}

    def stream(self, base: str | None = None) -> Any:
        return exported(self.session, self.source, "vhd", label=f"disk {self.name!r}", timeout=float(self.params["timeout"]), base=base)

    def is_current(self) -> bool:
        """Whether the file holds what the disk holds. A disk that can change is read for that, and compared by fingerprint."""
        known = self.known
        if known is None or any(known.get(key) != value for key, value in {**self.asked, **self.origin}.items()):
            return False
        if self.is_fixed:
            return True
        if self.is_written:
            return False
        with self.stream() as read:
            return read_digest(read, self.size) == known.get("content")

    def shown(self, facts: Values) -> Values:
        keys = ("vdi", "format", "compression_level", "properties", "disk_size", "checksum")
        return {"path": self.dest, **{key: facts[key] for key in keys if key in facts}, **({"size": facts["file"][0]} if "file" in facts else {})}


def _source(view: View, params: dict[str, Any]) -> Found:
    """The disk by uuid or name, or what is at a device of a VM."""
    if params["vdi"] is not None:
        sr = get_sr(view, params["sr"])[0] if params["sr"] is not None else None
        return get_vdi(view, params["vdi"], sr)
    if params["vm"] is None and params["vm_uuid"] is None:
        raise XenError("it is not said which disk is meant; give vdi, or vm or vm_uuid")
    vm, record = load_vm(view, params)
    number = device_number(params["userdevice"])
    for vbd in view.load("VBD", {"VM": vm}).values():
        disk = view.record("VDI", vbd["VDI"])
        if number_or_none(vbd["userdevice"]) == number and vbd["type"] == "Disk" and disk:
            return vbd["VDI"], disk
    raise NotFound(f"disk of VM {record['name_label']!r} at device", params["userdevice"], "see xen_vdi_info for what there is")
