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
# What is no disk either, but may be the beginning of one: told only when nobody said that it is raw.
UNLIKELY = (
    (b"%PDF-", "a PDF"),
    (b"\x7fELF", "a program"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"LZIP", "packed with lzip"),
    (b"\x04\x22\x4d\x18", "packed with lz4"),
)
# A text, in ASCII or any encoding that extends it: none of the control characters that the first sector of a disk has, zero before all.
TEXT = bytes({*b"\t\n\r\f\x1b", *range(32, 127), *range(128, 256)})
SECTOR = 512
PAGES = (b"<!doctype html", b"<html", b"<?xml")


def kind_of(head: bytes, wanted: str, tail: bytes = b"", size: int | None = None) -> str:
    """raw, vhd (sparse), fixed, qcow2, tar, ami or iso. A ``wanted`` format that the content contradicts is an error.

    A raw disk has no mark, so any file could be one: ``auto`` takes none that surely is something else.
    """
    found = _found(head, tail)
    if wanted == "auto" and found == "raw":
        _refuse_unlikely(head, len(head) if len(head) < SECTOR else size)
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


def looks_bare(head: bytes) -> bool:
    """Whether a footer at the end may tell that it is a fixed VHD."""
    return _found(head, b"") in BARE


def _refuse_unlikely(head: bytes, size: int | None) -> None:
    what = next((what for magic, what in UNLIKELY if head.startswith(magic)), None)
    if what is None and head and not head[:SECTOR].translate(None, TEXT):
        what = "a text"
    if what:
        raise XenError(f"this image looks like {what} and no disk; give the image of a disk, or set format to raw if this is one")
    if size is not None and size % SECTOR:
        raise XenError(
            f"this image has {size} bytes, and a disk has sectors of {SECTOR}; fetch it anew if it was cut short, or set format to raw if it is whole"
        )


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
    from ._partition import PartitionError, parse_mbr  # only where the head of an image is looked at

    try:
        return bool(parse_mbr(head[:SECTOR]))
    except PartitionError:
        return False
