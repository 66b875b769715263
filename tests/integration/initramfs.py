# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Linux that fits into a test: an installed Debian kernel, busybox, the modules it needs, and a script as its init."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

# crc32c_generic: libcrc32c asks for it by another way than depending on it.
MODULES = ("crc32c_generic", "virtio_pci", "virtio_blk", "ext4", "xfs", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1", "isofs")
SECONDS = 300


def installed_kernel() -> tuple[Path, Path]:
    """The newest kernel that can be read, and the folder of its modules; the test is skipped without one."""
    for kernel in sorted(Path("/boot").glob("vmlinuz-*"), reverse=True):
        modules = Path("/lib/modules", kernel.name.removeprefix("vmlinuz-"))
        if (modules / "modules.dep").is_file() and os.access(kernel, os.R_OK):
            return kernel, modules
    pytest.skip("there is no kernel in /boot with its modules (Debian package linux-image-cloud-amd64)")


def program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return path


def busybox() -> str:
    """One that needs no libraries: its headers name no dynamic linker."""
    path = program("busybox", "busybox-static")
    with open(path, "rb") as file:
        if b"/ld-linux" in file.read(4096):
            pytest.skip("busybox is not the static one (Debian package busybox-static)")
    return path


def needed_modules(folder: Path) -> list[Path]:
    """The files of MODULES and what they depend on, in the order in which they can be loaded; what is built in has none."""
    lines = (line.partition(":") for line in (folder / "modules.dep").read_text().splitlines())
    depends = {path: rest.split() for path, _colon, rest in lines}
    by_name = {Path(path).name.partition(".")[0].replace("-", "_"): path for path in depends}
    order: dict[str, None] = {}
    for name in MODULES:
        path = by_name.get(name.replace("-", "_"))
        if path:
            order |= dict.fromkeys([*reversed(depends[path]), path])
    return [folder / path for path in order]


def initramfs(script: str, modules: list[Path]) -> bytes:
    """A packed archive (cpio, newc) in which ``script`` is /init; devices need no root to be written down."""
    loads = "".join(f"insmod /modules/{path.name}\n" for path in modules)
    head = "#!/bin/busybox sh\n/bin/busybox --install -s /bin\nmount -t proc proc /proc\nmount -t sysfs sys /sys\nmount -t devtmpfs dev /dev\n"
    entries: list[tuple[str, int, bytes, tuple[int, int]]] = [
        (name, stat.S_IFDIR | 0o755, b"", (0, 0)) for name in ("bin", "dev", "proc", "sys", "modules", "mnt")
    ]
    entries += [("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)), ("bin/busybox", stat.S_IFREG | 0o755, Path(busybox()).read_bytes(), (0, 0))]
    entries += [(f"modules/{path.name}", stat.S_IFREG | 0o644, path.read_bytes(), (0, 0)) for path in modules]
    entries += [("init", stat.S_IFREG | 0o755, (head + loads + script + "\nsync\npoweroff -f\n").encode(), (0, 0)), ("TRAILER!!!", 0, b"", (0, 0))]
    return gzip.compress(b"".join(_entry(number, *entry) for number, entry in enumerate(entries, 1)), 1)


def _entry(number: int, name: str, mode: int, data: bytes, device: tuple[int, int]) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(f"{value:08x}".encode() for value in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def boot(folder: Path, script: str, disks: Iterable[Path]) -> str:
    """What the script says on the serial port, with the disks as /dev/vda, /dev/vdb and so on; they stay as they are."""
    qemu = program("qemu-system-x86_64", "qemu-system-x86")
    kernel, modules = installed_kernel()
    image = folder / "initramfs"
    image.write_bytes(initramfs(script, needed_modules(modules)))
    command = [qemu, "-accel", "tcg", "-m", "512", "-nographic", "-no-reboot", "-nic", "none", "-kernel", str(kernel), "-initrd", str(image)]
    command += ["-append", "console=ttyS0 panic=-1 quiet"]
    for disk in disks:
        command += ["-drive", f"file={disk},format=raw,if=virtio,snapshot=on"]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"the machine did not end within {SECONDS} seconds; it said:\n{(error.stdout or b'').decode(errors='replace')}") from None
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(errors="replace").replace("\r", "")
