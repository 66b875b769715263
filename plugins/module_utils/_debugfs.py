# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files written into an ext filesystem in a plain file by debugfs: without mounting it, so a hostile one meets no kernel.

debugfs reads commands line by line and reports trouble in words, with exit status 0: so paths are plain, and what was
written is read back and compared.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ._errors import XenError
from ._private import new_file
from ._tool import Tool, find_tool

DEBUGFS = Tool("debugfs", "e2fsprogs", "e2fsprogs")
# What needs no quoting in a command of debugfs.
PLAIN = re.compile(r"/[A-Za-z0-9._@+/-]*")
LARGEST = 64 * 1024 * 1024
REGULAR, FOLDER = 0o100000, 0o040000


class GuestFile(NamedTuple):
    """A file of the guest. ``folder_mode`` is that of its folder when that is new, or always when ``owned_folder``."""

    path: str
    content: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    folder_mode: int = 0o755
    owned_folder: bool = False


def check_path(path: str) -> str:
    """The path when it can be written to; it names a file from the root of the filesystem."""
    if not PLAIN.fullmatch(path) or path.endswith("/") or ".." in path.split("/") or "//" in path:
        raise XenError(f"{path!r} is no path of a file in the guest; write it from the root, as /etc/motd, with letters, digits and . _ - @ + / only")
    return path


class Filesystem:
    """A filesystem in a file; the scratch files lie beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._program = find_tool(DEBUGFS)

    def kind(self, path: str) -> str | None:
        """``regular``, ``directory``, ``symlink`` and so on; None for what is not there."""
        found = re.search(r"Type: (\w+)", self._ask(f"stat {path}"))
        return found[1] if found else None

    def read(self, path: str) -> bytes | None:
        """The content of a file; None when there is none."""
        kind = self.kind(path)
        if kind is None:
            return None
        if kind == "symlink":
            raise XenError(f"{path!r} in the guest is a link; name the file that it leads to")
        if kind != "regular":
            raise XenError(f"{path!r} in the guest is a {kind} and no file; choose another path")
        size = int((re.search(r"Size: (\d+)", self._ask(f"stat {path}")) or [0, 0])[1])
        if size > LARGEST:
            raise XenError(f"{path!r} in the guest has {size} bytes, more than is looked at")
        copy = self._beside("read", b"")
        self._ask(f"dump {path} {copy}")
        return copy.read_bytes()

    def write(self, file: GuestFile) -> None:
        """A file in place of what there is, with its folders."""
        if self.read(file.path) is not None:
            self._do(f"rm {file.path}")
        folder = PurePosixPath(file.path).parent
        self._make_folders(folder, file)
        source = self._beside("write", file.content)
        self._do(f"cd {folder}", f"write {source} {PurePosixPath(file.path).name}", *_owned(file.path, REGULAR | file.mode, file.uid, file.gid))
        if self.read(file.path) != file.content:
            raise XenError(f"{file.path!r} could not be written into the filesystem; it may be full, or lack inodes")

    def _make_folders(self, folder: PurePosixPath, file: GuestFile) -> None:
        for path in [*reversed(folder.parents), folder]:
            kind = self.kind(str(path))
            if kind is None:
                self._do(f"mkdir {path}", *_owned(str(path), FOLDER | (file.folder_mode if path == folder else 0o755), file.uid, file.gid))
            elif kind not in ("directory", "symlink"):
                raise XenError(f"{str(path)!r} in the guest is a {kind} and no folder, so {file.path!r} cannot be there")
            elif path == folder and file.owned_folder and kind == "directory":
                self._do(*_owned(str(path), FOLDER | file.folder_mode, file.uid, file.gid))

    def _beside(self, name: str, content: bytes) -> Path:
        """A file beside the filesystem, for its owner only: it may be a private key."""
        path = self._path.with_name(name)
        path.unlink(missing_ok=True)
        with new_file(path) as file:
            file.write(content)
        return path

    def _ask(self, command: str) -> str:
        return _run([self._program, "-R", command, str(self._path)]).stdout

    def _do(self, *commands: str) -> None:
        script = self._beside("commands", ("\n".join(commands) + "\n").encode("ascii"))
        done = _run([self._program, "-w", "-f", str(script), str(self._path)])
        # The first line is its version, every further one a complaint.
        complaints = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("debugfs ")]
        if done.returncode or complaints:
            raise XenError(f"debugfs could not change the filesystem: {complaints[0] if complaints else f'exit {done.returncode}'}")


def _owned(path: str, mode: int, uid: int, gid: int) -> list[str]:
    return [f"set_inode_field {path} mode 0{mode:o}", f"set_inode_field {path} uid {uid}", f"set_inode_field {path} gid {gid}"]


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env={"LC_ALL": "C", "DEBUGFS_PAGER": "cat"})  # noqa: S603  # no shell, our own path
