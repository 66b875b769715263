# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are kept on the controller for a moment: for their owner only, and gone at the end of the block, whatever ends it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder in the place for temporary files."""
    path = new_folder(None)
    try:
        yield path
    finally:
        remove(path)


def new_folder(place: str | None) -> Path:
    """A folder that its owner removes."""
    return Path(tempfile.mkdtemp(prefix="xenserver-", dir=place))


def remove(folder: Path) -> None:
    """All of it, also when SIGTERM comes in the middle of removing it; there is no second one (see ``xenapi_session``)."""
    try:
        shutil.rmtree(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def new_file(path: Path) -> BinaryIO:
    """To be read and written. What a program makes later keeps the mode of the file that is there."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b")


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """All of it: one call may write less than it was given, as when the disk is nearly full, and says so only by a number."""
    view = memoryview(data)
    while view:
        done = os.pwrite(descriptor, view, offset)
        view, offset = view[done:], offset + done
