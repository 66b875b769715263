# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small real disk image: a partition table and an ext4 filesystem with files in it, made without root."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

SECTOR = 512
MIB = 1024 * 1024
START = 2048  # sectors: the first partition begins at 1 MiB, as everywhere today
LINUX = 0x83

FILES = {
    "etc/hostname": "web1\n",
    "etc/issue": "This machine was built by xapi.xenserver.\n",
    "srv/www/index.html": "<h1>It works</h1>\n",
}


class ToolMissing(Exception):
    """A system tool is not there; the text names it and its package."""


def tool(name: str, package: str) -> str:
    """The path of a system tool, also where a user's PATH leaves /sbin out."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if path is None:
        raise ToolMissing(f"{name} is missing: apt-get install {package}")
    return path


def partition_table(sectors: int) -> bytes:
    """A master boot record with one active Linux partition from `START` to the end."""
    # Addresses by cylinder are not used any more; 0xfe 0xff 0xff says so.
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", LINUX, b"\xfe\xff\xff", START, sectors - START)
    return b"\0" * 440 + b"XENS" + b"\0\0" + entry + b"\0" * 48 + b"\x55\xaa"


def build(path: Path, mebibytes: int = 48) -> None:
    """Write the image; blocks that hold nothing stay holes."""
    mke2fs = tool("mke2fs", "e2fsprogs")
    size = mebibytes * MIB
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary, "tree")
        for name, text in FILES.items():
            file = tree / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        (tree / "srv" / "payload.bin").write_bytes(os.urandom(4 * MIB))
        filesystem = Path(temporary, "filesystem")
        blocks = (size - START * SECTOR) // 1024
        subprocess.run([mke2fs, "-q", "-t", "ext4", "-L", "root", "-d", str(tree), str(filesystem), f"{blocks}k"], check=True, capture_output=True)
        with path.open("wb") as image:
            image.truncate(size)
            image.write(partition_table(size // SECTOR))
            image.seek(START * SECTOR)
            copy_data(filesystem, image.fileno(), START * SECTOR)


def copy_data(source: Path, target: int, offset: int) -> None:
    """Copy the blocks that hold data to `offset` of an open file."""
    with source.open("rb") as stream:
        position = 0
        while chunk := stream.read(MIB):
            if chunk.strip(b"\0"):
                os.pwrite(target, chunk, offset + position)
            position += len(chunk)
