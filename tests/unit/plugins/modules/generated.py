# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of generated disks share: bytes over a real socket, and what programs nobody here wrote say of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError
from ansible_collections.xapi.xenserver.plugins.module_utils.xenapi_session import Session
from simulator import Simulator
from simulator.transport.memory import MemorySession

from .machines import MIB, the

PATHS = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
CONTENT = "xen_ansible:content"
START = 2048 * 512
PIECE = 65536


def streaming(**params: Any) -> Callable[[MemorySession], dict[str, Any]]:
    """Parameters of a scenario's step whose disk contents go over plain HTTP on the loopback interface."""

    def reach(session: MemorySession) -> dict[str, Any]:
        return {"hostname": address(session.client.simulator), **params}

    return reach


def address(simulator: Simulator) -> str:
    """Where a simulator listens; it starts to when it is asked first."""
    url: str = getattr(simulator, "_address_of_tests", None) or simulator.serve(tls=False, http=True).http_url
    simulator._address_of_tests = url  # type: ignore[attr-defined]
    return url


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, method: str, nth: int = 1) -> Iterator[None]:
    """As if the process was killed before the nth call of a method: nothing of it runs any more, so nothing is undone."""
    original, seen = Session.call, [0]

    def call(self: Session, name: str, *arguments: Any) -> Any:
        seen[0] += name == method
        if seen[0] >= nth:
            raise XenError("the process is dead")
        return original(self, name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "call", call)
        yield
    assert seen[0] >= nth, f"{method} was never called so often"


def tool(name: str, package: str) -> str:
    path = shutil.which(name, path=PATHS)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return path


def run_tool(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def disk_file(simulator: Simulator, vdi_ref: str, path: Path) -> Path:
    """A disk as a sparse file, as the storage has it."""

    async def read() -> None:
        disks: Any = simulator.engine.behaviours["VDI"]
        volume = disks.volume(vdi_ref)
        with path.open("wb") as file:
            file.truncate(volume.size)
            for offset, length, layer in volume.runs(0, volume.size):
                for start in range(offset, offset + length if layer else offset, 4 * MIB):
                    os.pwrite(file.fileno(), layer.read(start, min(4 * MIB, offset + length - start)), start)

    simulator.run(read())
    return path


def sparse(path: Path, size: int, content: Iterable[tuple[int, bytes]]) -> Path:
    """A file of that size, all holes but for the content."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in content:
            os.pwrite(file.fileno(), data, offset)
    return path


def pieces(path: Path, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of what a file holds, without holes and without long runs of zeros."""
    with path.open("rb") as file:
        position, end = start, path.stat().st_size if end is None else end
        while position < end:
            try:
                position = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:  # nothing but a hole until the end
                return
            hole = min(os.lseek(file.fileno(), position, os.SEEK_HOLE), end)
            while position < hole:
                data = os.pread(file.fileno(), min(PIECE, hole - position), position)
                if data.count(0) != len(data):
                    yield position, data
                position += len(data)


def bytes_at(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), length, offset)


def same(one: Path, other: Path, size: int | None = None) -> bool:
    """Whether two files hold the same, the second one with zeros up to `size`."""
    if one.stat().st_size != (size or other.stat().st_size):
        return False
    return all(_within(pieces(near), far) for near, far in ((one, other), (other, one)))


def _within(content: Iterable[tuple[int, bytes]], path: Path) -> bool:
    return all(bytes_at(path, offset, len(data)).ljust(len(data), b"\0") == data for offset, data in content)


def partition_file(disk: Path, end: int | None = None, *, start: int = START) -> Path:
    """The first partition of a disk as a sparse file of its own, to the end of the disk unless told."""
    end = end or disk.stat().st_size
    return sparse(disk.with_suffix(".part"), end - start, ((offset - start, data) for offset, data in pieces(disk, start, end)))


def blkid(path: Path, *options: str) -> dict[str, str]:
    lines = run_tool(tool("blkid", "util-linux"), "-p", "-o", "export", *options, path).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def at_device(simulator: Simulator, vm: str, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one attachment at a device, and its disk with its reference."""
    ref = the(simulator, "VM", vm)["ref"]
    (vbd,) = [record for record in simulator.records("VBD").values() if record["VM"] == ref and record["userdevice"] == str(number)]
    return vbd, {**simulator.records("VDI").get(vbd["VDI"], {}), "ref": vbd["VDI"]}
