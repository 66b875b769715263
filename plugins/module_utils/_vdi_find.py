# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding disks and their places, and knowing who uses them."""

from __future__ import annotations

from collections.abc import Iterable

from ._errors import Ambiguous, NotFound, XenError
from ._lookup import Caller, Found, Record, View, default_sr, looks_like_uuid

SR = "storage repository"
# By name only what a user works with: a snapshot has the name of its disk, and internal parents are "base copy".
BY_NAME = {"is_a_snapshot": False, "managed": True}


def find_vdi(view: View, text: str, sr: str | None = None) -> Found | None:
    """The disk with this uuid, or else of this name (on storage repository ``sr``, a reference); None without one."""
    if looks_like_uuid(text):
        records = view.load("VDI", {"uuid": text})
        if records:
            return next(iter(records.items()))
    records = view.load("VDI", {"name_label": text, **BY_NAME, **({"SR": sr} if sr else {})})
    return one_or_none(records, "disk", text)


def get_vdi(view: View, text: str, sr: str | None = None, hint: str = "") -> Found:
    """As ``find_vdi``, but none is an error."""
    found = find_vdi(view, text, sr)
    if found is None:
        raise NotFound("disk", text, hint or "see xen_vdi_info for what there is")
    return found


def one_or_none(records: dict[str, Record], noun: str, text: str) -> Found | None:
    """The one record, or None; many are an error."""
    if len(records) > 1:
        raise Ambiguous(noun, text, [record["uuid"] for record in records.values()])
    return next(iter(records.items()), None)


def get_sr(view: View, text: str) -> Found:
    """A storage repository by uuid or name."""
    found = view.load("SR", {"uuid": text}) if looks_like_uuid(text) else {}
    found = found or view.load("SR", {"name_label": text})
    record = one_or_none(found, SR, text)
    if record is None:
        raise NotFound(SR, text, "see xen_sr_info for what there is")
    return record


def sr_or_default(session: Caller, view: View, text: str | None) -> Found:
    """The storage repository asked for, or the pool's default."""
    return default_sr(session, view) if text is None else get_sr(view, text)


def users(view: View, vdi: Record) -> list[Record]:
    """The attachments (VBDs) of a disk that are plugged now."""
    vbds = (view.record("VBD", ref) for ref in vdi["VBDs"])
    return [vbd for vbd in vbds if vbd and vbd["currently_attached"]]


def names_of(view: View, vbds: Iterable[Record]) -> str:
    """The VMs of attachments, as ``VM 'web1' and VM 'web2'``."""
    machines = (view.record("VM", vbd["VM"]) for vbd in vbds)
    return " and ".join(sorted({f"VM {machine['name_label']!r}" for machine in machines if machine})) or "a VM"


def refuse_in_use(view: View, vdi: Record, purpose: str, remedy: str) -> None:
    """Refuse while a VM has the disk plugged, and name the VM."""
    plugged = users(view, vdi)
    if plugged:
        raise XenError(f"disk {vdi['name_label']!r} is in use by {names_of(view, plugged)} and cannot be {purpose}; {remedy}")
