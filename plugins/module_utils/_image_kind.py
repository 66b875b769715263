# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image is, by its first and last bytes."""

from __future__ import annotations

from ._errors import XenError

# Enough for what lies deepest: the mark of ISO 9660 at 32769.
HEAD = 64 * 1024
FORMATS = ("auto", "raw", "vhd", "qcow2", "ami", "iso")
MAGICS = ((0, b"conectix", "vhd"), (0, b"QFI\xfb", "qcow2"), (257, b"ustar", "tar"), (32769, b"CD001", "iso"))
BARE = {"raw", "ami", "iso"}
# Whole filesystems, as AMI images are: the mark of ext2, ext3 and ext4 at 1080, of XFS at 0.
FILESYSTEMS = ((1080, b"\x53\xef"), (0, b"XFSB"))
QEMU_IMG = "convert it with 'qemu-img convert -O qcow2'"
OTHERS = (
    (0, b"KDMV", f"a VMDK; {QEMU_IMG}"),
    (0, b"COWD", f"a VMDK; {QEMU_IMG}"),
    (0, b"# Disk DescriptorFile", f"the description of a VMDK; {QEMU_IMG}"),
    (0, b"vhdxfile", f"a VHDX; {QEMU_IMG}"),
    (64, b"\x7f\x10\xda\xbe", f"a VDI of VirtualBox; {QEMU_IMG}"),
    (0, b"QED\0", f"a QED image; {QEMU_IMG}"),
    (0, b"BZh", "packed with bzip2; pack it with gzip, xz or zstd"),
    (0, b"PK\3\4", "a ZIP archive; unpack it first"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
)
PAGES = (b"<!doctype html", b"<html", b"<?xml")


def kind_of(head: bytes, wanted: str, tail: bytes = b"") -> str:
    """raw, vhd (sparse), fixed, qcow2, tar, ami or iso. A ``wanted`` format that the content contradicts is an error."""
    found = _found(head, tail)
    if wanted == "auto" or found == wanted or (wanted == "vhd" and found == "fixed"):
        return found
    if found == "tar" and wanted in ("raw", "vhd", "ami"):
        return found
    if wanted == "raw" and found in BARE:
        return wanted
    if wanted == "ami" and found == "raw":
        return _ami(head)
    if wanted == "vhd" and found in BARE and not tail:
        return "fixed"  # its footer is at the end, and is looked at there
    raise XenError(f"this image is no {wanted}, it looks like {found}; leave format out, or give the right one")


def _found(head: bytes, tail: bytes) -> str:
    for position, magic, kind in MAGICS:
        if head[position : position + len(magic)] == magic:
            return kind
    for position, magic, what in OTHERS:
        if head[position : position + len(magic)] == magic:
            raise XenError(f"this image is {what}")
    if head[:64].lstrip().lower().startswith(PAGES):
        raise XenError("this is a page for browsers and no image; check the address")
    if tail.startswith(b"conectix"):
        return "fixed"
    filesystem = any(head[position : position + len(magic)] == magic for position, magic in FILESYSTEMS)
    return "ami" if filesystem and not _has_partitions(head) else "raw"


def _ami(head: bytes) -> str:
    if _has_partitions(head):
        raise XenError("this image is no ami: it has a partition table already; leave format out")
    return "ami"


def _has_partitions(head: bytes) -> bool:
    from ._partition import SECTOR, PartitionError, parse_mbr  # only where the head of an image is looked at

    try:
        return bool(parse_mbr(head[:SECTOR]))
    except PartitionError:
        return False
