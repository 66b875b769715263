# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks: which one is meant, how large it is, which keys it carries, and whether there is room for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._codec import format_bytes, merged, parse_bytes
from ._errors import XenError
from ._lookup import Found, Record, View
from ._plan import Plan
from ._render import FILE_TYPES
from ._render_devices import CONTENT, DISK_TYPE, OWNER
from ._settings import Setting
from ._vdi_find import BY_NAME, get_sr, one_or_none, sr_or_default

if TYPE_CHECKING:
    from ._raw_file import RawFile

VDI_OPTIONS: dict[str, dict[str, Any]] = {
    "uuids": {"type": "list", "elements": "str"},
    "sr": {"type": "str"},
    "size": {"type": "str"},
    "disk_type": {"type": "str"},
    "owner": {"type": "str"},
    "other_config": {"type": "dict"},
    "sm_config": {"type": "dict"},
    "sm_config_absent": {"type": "list", "elements": "str"},
    "clone_of": {"type": "str"},
    "copy_of": {"type": "str"},
    "content": {"type": "path"},
    "overwrite": {"type": "bool", "default": False},
    "dest": {"type": "path"},
    "ignore_errors": {"type": "bool", "default": False},
}
# Of a new disk nobody knows these before it exists; a transfer or resize changes what it takes.
UNBORN = {"uuid": "", "managed": True, "missing": False, "is_a_snapshot": False, "snapshot_of": "", "VBDs": [], "physical_utilisation": 0}
# Of what a copy was made, set when it is complete (driver-operations §5.3).
SOURCE = "xen_ansible:source"
MIB = 1024 * 1024
# What storage rounds sizes up to: VHDs have blocks of 2 MiB, raw volumes extents of 4 MiB (facts §3.6).
ROUNDED_TO = 2 * MIB
RAW_ROUNDED_TO = 4 * MIB


@dataclass
class VdiJob:
    """One disk on its way. ``ref`` is set by the step that creates it, ``raw`` is the file for its content."""

    session: Any
    params: dict[str, Any]
    view: View
    fields: tuple[Setting, ...]
    plan: Plan = field(default_factory=Plan)
    ref: str = ""
    raw: RawFile | None = None
    sr: Found | None = None
    transfer: dict[str, Any] | None = None

    @property
    def size(self) -> int | None:
        """The size that is asked for."""
        return None if self.params["size"] is None else disk_size(self.params["size"])

    @property
    def timeout(self) -> float:
        return float(self.params["timeout"])

    def place(self) -> Found:
        """The storage repository for a new disk: the one asked for, or the default."""
        if self.sr is None:
            self.sr = sr_or_default(self.session, self.view, self.params["sr"])
        return self.sr


def disk_size(text: str) -> int:
    """A size in bytes. A small number without its unit is taken for the slip that it is: storage would make 2 MiB of 8 bytes."""
    size = parse_bytes(text)
    if size <= 0:
        raise XenError(f"size {text!r} is none that a disk can have; write a number of bytes or something like 8GiB")
    if size < MIB and text.strip().isdigit():
        raise XenError(f"size {text!r} is {size} bytes, too few for a disk; write its unit, such as 8GiB")
    return size


def find_disk(job: VdiJob) -> Found | None:
    """By uuid, else by name on the repository, among the disks of the owner; a disk named ``new_name`` was renamed before."""
    params = job.params
    if params["uuid"] is not None:
        return one_or_none(job.view.load("VDI", {"uuid": params["uuid"]}), "disk", params["uuid"])
    found = _named(job, params["name"])
    if params["state"] != "present" or params["new_name"] in (None, params["name"]):
        return found
    renamed = _named(job, params["new_name"])
    if found and renamed:
        raise XenError(f"there is another disk named {params['new_name']!r} already; choose another new_name")
    return found or renamed


def _named(job: VdiJob, name: str) -> Found | None:
    params = job.params
    if params["sr"] is not None and job.sr is None:
        job.sr = get_sr(job.view, params["sr"])
    records = job.view.load("VDI", {"name_label": name, **BY_NAME, **({"SR": job.sr[0]} if job.sr else {})})
    if params["owner"] is not None:
        # Disks of several VMs may share a name, as all config drives do; one without an owner may be adopted.
        owned = _with_keys(records, params["owner"], params["disk_type"])
        records = owned or {ref: record for ref, record in records.items() if OWNER not in record["other_config"]}
    source = params["clone_of"] or params["copy_of"]
    if source is not None and params["sr"] is None and source == name:
        raise XenError(f"the copy of disk {name!r} has the same name; give sr, or another name")
    return one_or_none(records, "disk", name)


def _with_keys(records: Mapping[str, Record], owner: str, disk_type: str | None) -> dict[str, Record]:
    def matches(keys: Mapping[str, str]) -> bool:
        return keys.get(OWNER) == owner and disk_type in (None, keys.get(DISK_TYPE))

    return {ref: record for ref, record in records.items() if matches(record["other_config"])}


def other_config(params: Mapping[str, Any], current: Mapping[str, str]) -> dict[str, str]:
    """The keys that a disk shall have: what it has, what is asked for, type and owner."""
    keys = {DISK_TYPE: params["disk_type"], OWNER: params["owner"]}
    wanted = {**(params["other_config"] or {}), **{key: value for key, value in keys.items() if value is not None}}
    if CONTENT in wanted or SOURCE in wanted:
        raise XenError(f"other_config may not hold {CONTENT} or {SOURCE}; they say what is on a disk and are kept by xen_vdi")
    return merged(current, wanted)


def rounding(record: Record) -> int:
    """What the storage of a disk rounds sizes up to."""
    kind = record["sm_config"].get("vdi_type") or record["sm_config"].get("type")
    return RAW_ROUNDED_TO if kind in ("raw", "aio") else ROUNDED_TO


def is_exact(size: int) -> bool:
    """Whether any storage takes the size as it is, so that it can be foretold."""
    return size % RAW_ROUNDED_TO == 0


def grows_to(record: Record, wanted: int | None) -> int | None:
    """The size to resize a disk to, None when it has it. Storage rounds up, so a little larger is the same."""
    current, name = record["virtual_size"], record["name_label"]
    if wanted is None or current - rounding(record) < wanted <= current:
        return None
    if wanted < current:
        hint = "ask for what it has or more, or make a smaller copy with mode shrink_copy of xen_disk_resize"
        raise XenError(f"disk {name!r} has {format_bytes(current)} and cannot shrink to {format_bytes(wanted)}; {hint}")
    return wanted


def refuse_without_room(sr: Record, name: str, size: int, data: int) -> None:
    """Refuse what cannot fit. On thin storage a disk takes only the data in it, on thick storage its whole size."""
    total, used = sr["physical_size"], sr["physical_utilisation"]
    if total <= 0:  # Never plugged, or of a kind that does not tell.
        return
    needed = data if sr["type"] in FILE_TYPES else size
    free = max(total - used, 0)
    if needed > free:
        where = f"storage repository {sr['name_label']!r}"
        raise XenError(f"{where} has {format_bytes(free)} free, but disk {name!r} needs {format_bytes(needed)}; free space, or choose another sr")


def data_at_least(view: View, record: Record) -> int:
    """What a full copy of a disk takes at least on thin storage: a clone shares its data with parents, of which the largest counts."""
    least, seen = 0, set()
    size: int = record["virtual_size"]
    disk: Record | None = record
    while disk and disk["uuid"] not in seen:
        seen.add(disk["uuid"])
        least = max(least, disk["physical_utilisation"])
        parent = disk["sm_config"].get("vhd-parent")
        disk = next(iter(view.load("VDI", {"uuid": parent}).values()), None) if parent else None
    return min(least, size)


def refuse_too_large(raw: RawFile | None, size: int) -> None:
    """Refuse a file that does not fit on the disk."""
    if raw and raw.size > size:
        raise XenError(f"content {raw.path!r} has {raw.size} bytes and does not fit on a disk of {size}; give a larger size, or leave size out")
