# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks: which one is meant, how large it is, which keys it carries, and whether there is room for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._codec import merged
from ._errors import XenError
from ._lookup import Found, Record, View
from ._plan import Plan
from ._render_devices import CONTENT, DISK_TYPE, OWNER
from ._run import run_of
from ._settings import Setting
from ._vdi_find import BY_NAME, get_sr, one_or_none, sr_or_default
from ._vdi_size import disk_size

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
# Of what a copy was made, set when it is complete (driver-operations §5.3).
SOURCE = "xen_ansible:source"


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
        # Disks of several VMs may share a name, as all config drives do; one without an owner may be adopted, but not by a run,
        # which builds what it needs: a stranger's disk would go with its VM.
        owned = _with_keys(records, params["owner"], params["disk_type"])
        free = {} if run_of(job.session) else {ref: record for ref, record in records.items() if OWNER not in record["other_config"]}
        records = owned or free
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


def refuse_too_large(raw: RawFile | None, size: int) -> None:
    """Refuse a file that does not fit on the disk."""
    if raw and raw.size > size:
        raise XenError(f"content {raw.path!r} has {raw.size} bytes and does not fit on a disk of {size}; give a larger size, or leave size out")
