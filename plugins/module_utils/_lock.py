# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock between the processes of one user on one machine, such as the forks of Ansible. The kernel frees it when its holder ends."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ._errors import TimedOut, XenError


@contextmanager
def locked(name: str, *, timeout: float, what: str) -> Iterator[None]:
    """Hold the lock called so during the block; ``what`` completes "gave up waiting for …"."""
    descriptor = os.open(_path(name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if not _acquired(descriptor, timeout):
            raise TimedOut(what, timeout, "another task of this machine works on it; run the task again when that is done")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked_if_free(name: str) -> Iterator[bool]:
    """Whether nobody else holds the lock; then it is held during the block."""
    descriptor = os.open(_path(name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _acquired(descriptor: int, timeout: float) -> bool:
    """Whether the lock came in time. A thread waits, as the kernel's own wait has no end."""
    mine = os.dup(descriptor)  # the same lock; closed by the thread, which may be left waiting
    held = threading.Event()

    def wait() -> None:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX)
            held.set()
        finally:
            os.close(mine)

    threading.Thread(target=wait, daemon=True).start()
    return held.wait(timeout)


def _path(name: str) -> str:
    """A file in a folder that only this user can write to, as names in the common folder could be links of somebody else."""
    folder = os.path.join(tempfile.gettempdir(), f"xen_ansible-{os.getuid()}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    status = os.lstat(folder)
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise XenError(f"{folder} is not a folder of this user alone; remove it, or set TMPDIR to another place")
    return os.path.join(folder, hashlib.sha256(name.encode()).hexdigest()[:32] + ".lock")
