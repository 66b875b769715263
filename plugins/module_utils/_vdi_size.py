# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of disks: what storage makes of them, what a disk can grow to, and whether there is room for it."""

from __future__ import annotations

from ._codec import format_bytes, parse_bytes
from ._errors import XenError
from ._lookup import Record, View

# Types whose disks are files below a mount point in dom0 (driver-operations §5.6; file types of the sm project).
FILE_TYPES = {"ext", "nfs", "smb", "cephfs", "glusterfs", "xfs", "zfs", "file"}
MIB = 1024 * 1024

# What storage rounds sizes up to: VHDs have blocks of 2 MiB, raw volumes extents of 4 MiB (facts §3.6).
ROUNDED_TO = 2 * MIB
RAW_ROUNDED_TO = 4 * MIB


def disk_size(text: str) -> int:
    """A size in bytes. A small number without its unit is taken for the slip that it is: storage would make 2 MiB of 8 bytes."""
    size = parse_bytes(text)
    if size <= 0:
        raise XenError(f"size {text!r} is none that a disk can have; write a number of bytes or something like 8GiB")
    if size < MIB and text.strip().isdigit():
        raise XenError(f"size {text!r} is {size} bytes, too few for a disk; write its unit, such as 8GiB")
    return size


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
