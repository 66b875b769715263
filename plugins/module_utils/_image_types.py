# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of images, the role each plays, the boot mode that fits it, and the sizes derived from a flavour.

The numbers and texts are those of the old driver's ``ImageType`` (driver-operations §3.3, §3.4, §6.3).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ._errors import XenError


class ImageType(NamedTuple):
    """A kind of image: its historic number, its name, and what the disk made of it is for."""

    id: int
    name: str
    role: str


KERNEL = ImageType(0, "kernel", "kernel")
RAMDISK = ImageType(1, "ramdisk", "ramdisk")
DISK = ImageType(2, "root", "root")  # a bare filesystem; a partition table is put in front of it
DISK_RAW = ImageType(3, "os_raw", "root")
DISK_VHD = ImageType(4, "vhd", "root")
DISK_ISO = ImageType(5, "iso", "iso")
DISK_CONFIGDRIVE = ImageType(6, "configdrive", "configdrive")
TYPES = {kind.id: kind for kind in (KERNEL, RAMDISK, DISK, DISK_RAW, DISK_VHD, DISK_ISO, DISK_CONFIGDRIVE)}

FORMATS = {
    "aki": KERNEL,
    "ari": RAMDISK,
    "ami": DISK,
    "raw": DISK_RAW,
    "vhd": DISK_VHD,
    "iso": DISK_ISO,
    # The old driver had no qcow2; here it is converted on the way, so the disk is a raw one.
    "qcow2": DISK_RAW,
}
# An instance mode as images and flavours name it → the mode.
PARAVIRTUAL, HVM = "xen", "hvm"
MODES = {PARAVIRTUAL, HVM}
MODE_OF_OS = {"linux": PARAVIRTUAL, "windows": HVM}
PARAVIRTUAL_TYPES = {DISK, DISK_VHD}

# A VHD tops out near 2043 GiB, so a large total is split (driver-operations §6.3).
LARGE_PIECE, EVEN_PIECE = 2000, 1024


def image_type(disk_format: str | None) -> ImageType | None:
    """The kind of image of a ``disk_format``; None without one (a VM that boots from a volume)."""
    if not disk_format:
        return None
    try:
        return FORMATS[disk_format]
    except KeyError:
        raise XenError(f"{disk_format!r} is no disk format; choose one of {', '.join(FORMATS)}") from None


def vm_mode(mode: str | None, os_type: str | None, image: ImageType | None) -> str:
    """``xen`` (paravirtual) or ``hvm``: the asked mode, else by operating system, else by image."""
    if mode:
        if mode not in MODES:
            raise XenError(f"{mode!r} is no VM mode; choose one of {', '.join(sorted(MODES))}")
        return mode
    if os_type in MODE_OF_OS:
        return MODE_OF_OS[os_type]
    return PARAVIRTUAL if image in PARAVIRTUAL_TYPES else HVM


def ephemeral_sizes(total: int) -> list[int]:
    """Sizes of the disks, in GiB, that together make ``total`` GiB: full pieces, then the rest."""
    if total < 0:
        raise XenError(f"{total} GiB is no size; give 0 or more")
    piece = EVEN_PIECE if total % EVEN_PIECE == 0 else LARGE_PIECE
    full, rest = divmod(total, piece)
    return [piece] * full + ([rest] if rest else [])


def memory_overhead(memory: float, vcpus: int | None = None) -> int:
    """MiB that a VM of ``memory`` MiB costs its host beside its own memory."""
    return math.ceil(memory * 0.00781 + (vcpus or 1) * 1.5 + 3)
