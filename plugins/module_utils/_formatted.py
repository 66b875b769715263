# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of one partition: swap areas, ephemeral disks and blank roots (driver-operations §6.2 to §6.4)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from . import _partition
from ._codec import format_bytes, parse_bytes
from ._device_job import Job
from ._device_names import number_or_none
from ._device_steps import Wanted
from ._disk_build import FILESYSTEMS, filesystem_disk, swap_disk, swap_page
from ._disk_content import Content, identity_of, kind_of
from ._errors import XenError
from ._extent import Extent
from ._generated import check_filesystem, partition_type, size_of, vm_name
from ._image_types import LARGE_PIECE, ephemeral_sizes

GIB = 1024**3
FIRST_EPHEMERAL = 4
FILESYSTEM_CHOICES = ("none", *FILESYSTEMS)
PARTITION_OPTION: dict[str, dict[str, Any]] = {"partition_type": {"type": "str"}}
SWAP_OPTIONS: dict[str, dict[str, Any]] = {
    "size": {"type": "str"},
    "filesystem": {"type": "str", "choices": ["swap", "vfat"], "default": "swap"},
    **PARTITION_OPTION,
}
FILESYSTEM_OPTIONS: dict[str, dict[str, Any]] = {
    "size": {"type": "str"},
    "filesystem": {"type": "str", "choices": list(FILESYSTEM_CHOICES), "default": "ext4"},
    "label": {"type": "str"},
    **PARTITION_OPTION,
}
EPHEMERAL_OPTIONS: dict[str, dict[str, Any]] = {**FILESYSTEM_OPTIONS, "total_gb": {"type": "int"}, "size_gb": {"type": "int"}}
EPHEMERAL_SIZES = ("size", "total_gb", "size_gb")
EPHEMERAL_RULES: dict[str, Any] = {"mutually_exclusive": [EPHEMERAL_SIZES, ("total_gb", "userdevice")], "required_by": {"size_gb": ("userdevice",)}}


def swap_disks(job: Job) -> list[Wanted]:
    """One swap disk, or none of size 0 as flavours without swap have it."""
    size, filesystem = size_of(job), job.params["filesystem"]
    if not size:
        return []
    kind = partition_type(job)
    type_ = _partition.TYPES[filesystem] if kind is None else kind
    if filesystem == "swap":
        swap_page(size - _partition.START * _partition.SECTOR, uuid.UUID(int=0))  # Too small for a swap area?

    def extents() -> Iterable[Extent]:
        return swap_disk(size, type_=type_) if filesystem == "swap" else filesystem_disk(size, filesystem, type_=type_)

    check_filesystem(filesystem, "")
    inputs = {"size": size, "filesystem": filesystem, "type": type_}
    content = Content("swap", identity_of(inputs), size, extents, disposable=True)
    return [Wanted(job.params["userdevice"], vm_name(job), "swap", content)]


def blank_disks(job: Job) -> list[Wanted]:
    """One disk with an empty filesystem, such as the root for an ISO install."""
    size = size_of(job)
    if not size:
        return []
    content = filesystem_content("blank", job, size, job.params["label"] or "")
    return [Wanted(job.params["userdevice"], vm_name(job), "user", content)]


def ephemeral_disks(job: Job) -> list[Wanted]:
    """All ephemeral disks of the total size, or the one at ``userdevice``."""
    if job.params["userdevice"] is not None:
        sizes, first = ([size] if (size := size_of(job, _asked(job))) else []), job.params["userdevice"]
    else:
        sizes, first = split(parse_bytes(_asked(job))), FIRST_EPHEMERAL
        _refuse_more(job, first + len(sizes))
    wanted = []
    for number, size in enumerate(sizes, first):
        label = numbered(job.params["label"] or "ephemeral", number, "{}{}")
        content = filesystem_content("ephemeral", job, size, label)
        wanted.append(Wanted(number, ephemeral_name(job, number), "ephemeral", content))
    return wanted


def _asked(job: Job) -> str:
    """The size as text, whichever option has it."""
    gib = next((job.params[name] for name in ("total_gb", "size_gb") if job.params[name] is not None), None)
    return str(job.params["size"]) if gib is None else f"{gib}GiB"


def split(total: int) -> list[int]:
    """Sizes in bytes; the rule that splits them counts in GiB, so what needs splitting has to be whole GiB."""
    if total % GIB and total > LARGE_PIECE * GIB:
        raise XenError(f"{total} bytes are more than one ephemeral disk can have, and no whole GiB; give a size in GiB")
    return [total] if total % GIB else [size * GIB for size in ephemeral_sizes(total // GIB)]


def ephemeral_name(job: Job, number: int) -> str:
    """``web1 ephemeral``, then ``web1 ephemeral (1)`` and so on, by device."""
    return numbered(f"{vm_name(job)} ephemeral", number, "{} ({})")


def numbered(text: str, number: int, form: str) -> str:
    return form.format(text, number - FIRST_EPHEMERAL) if number > FIRST_EPHEMERAL else text


def ephemeral_numbers(job: Job) -> list[int]:
    """Where ephemeral disks are: at the device that is named, else wherever this VM has some, and where the first one goes."""
    if job.params["userdevice"] is not None:
        return [job.params["userdevice"]]
    return sorted({FIRST_EPHEMERAL, *_present(job)})


def _present(job: Job) -> list[int]:
    found = []
    for vbd in job.devices.values():
        record, number = job.view.record("VDI", vbd["VDI"]), number_or_none(vbd["userdevice"])
        if record and number is not None and kind_of(record) == "ephemeral":
            found.append(number)
    return found


def _refuse_more(job: Job, end: int) -> None:
    more = [number for number in _present(job) if number >= end]
    if more:
        devices = ", ".join(str(number) for number in sorted(more))
        raise XenError(f"VM {job.vm['name_label']!r} has more ephemeral disks than its size asks for, at device {devices}; remove them with state absent first")


def filesystem_content(kind: str, job: Job, size: int, label: str) -> Content:
    """One partition with a filesystem, or with nothing."""
    chosen = job.params["filesystem"]
    filesystem = None if chosen == "none" else chosen
    check_filesystem(filesystem, label)
    asked = partition_type(job)
    type_ = _partition.TYPES[filesystem or "linux"] if asked is None else asked
    _partition.mbr(size, type_)  # Room for a partition?
    inputs = {"size": format_bytes(size), "filesystem": chosen, "label": label, "type": type_}
    return Content(kind, identity_of(inputs), size, lambda: filesystem_disk(size, filesystem, label=label, type_=type_))
