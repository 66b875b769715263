# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images for tests, and a pool behind real sockets: bytes of disks do not travel through memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _partition, _vhd, _vhd_writer
from simulator import Simulator

from ..conftest import Outcome, Run, run_on

MIB = 1024 * 1024
SIZE = 8 * MIB


def disk(seed: int = 1, size: int = SIZE) -> bytes:
    """A partitioned disk with some data in the middle and at the very end."""
    content = bytearray(size)
    content[:512] = _partition.mbr(size, 0x83)
    content[3 * MIB : 3 * MIB + 100_000] = random.Random(seed).randbytes(100_000)
    content[-512:] = b"e" * 512
    return bytes(content)


DISK = disk()


def vhd(content: bytes) -> bytes:
    def block(number: int) -> bytes:
        return content[number * _vhd.VHD_BLOCK :][: _vhd.VHD_BLOCK]

    used = [number for number in range(-(-len(content) // _vhd.VHD_BLOCK)) if block(number).strip(b"\0")]
    return b"".join(_vhd_writer.sparse_file(len(content), used, block))


@pytest.fixture
def run_served(simulator: Simulator) -> Run:
    """As ``run_module``, over HTTP."""
    server = simulator.serve(tls=False, http=True)

    def run(module: str, *, check: bool = False, diff: bool = True, **params: Any) -> Outcome:
        return run_on(simulator, module, {"hostname": server.url, **params}, check=check, diff=diff)

    return run


@pytest.fixture
def image(tmp_path: Path) -> Callable[..., str]:
    """``image(data)`` is the path of a new file with this content."""

    def write(data: bytes = DISK, name: str = "image") -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


def content_of(simulator: Simulator, vdi: str) -> bytes:
    """What a guest would read from a disk, by its reference."""

    async def read() -> bytes:
        volume = simulator.engine.behaviours["VDI"].volume(vdi)
        return bytes(volume.read(0, volume.size))

    return simulator.run(read())
