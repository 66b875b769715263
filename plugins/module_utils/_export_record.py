# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image file was made from: a small file beside it, written before the image takes its name."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from ._errors import XenError

SUFFIX = ".export.json"
MOST = 1024 * 1024


def record_path(dest: str) -> str:
    return dest + SUFFIX


def read_record(dest: str) -> dict[str, Any] | None:
    """What is known of the file, None when nothing is or it is no longer the same file."""
    record = _parsed(dest)
    if record is None or record.get("unfinished"):
        return None
    try:
        status = os.stat(dest)
    except OSError:
        return None
    return record if [status.st_size, status.st_mtime_ns] == record.get("file") else None


def is_ours(dest: str) -> bool:
    """Whether the file is an export of this module, be it finished or not."""
    return _parsed(dest) is not None


def _parsed(dest: str) -> dict[str, Any] | None:
    try:
        with open(record_path(dest), "rb") as file:
            record = json.loads(file.read(MOST))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def write_record(dest: str, path: str, facts: Mapping[str, Any]) -> None:
    """Remember facts of the file at ``path``, which is or becomes ``dest``."""
    status = os.stat(path)
    _put(dest, {**facts, "file": [status.st_size, status.st_mtime_ns]})


def mark_unfinished(dest: str) -> None:
    """Before a file is changed in its place: an interrupted change is made good by a whole export."""
    _put(dest, {"unfinished": True})


def _put(dest: str, record: Mapping[str, Any]) -> None:
    with replacing(record_path(dest)) as (file, _path):
        file.write(json.dumps(record, indent=1, sort_keys=True).encode())


@contextmanager
def replacing(dest: str) -> Iterator[tuple[BinaryIO, str]]:
    """A new file beside ``dest``, readable by its owner only, that takes its name when the block ends well."""
    folder, name = os.path.split(os.path.abspath(dest))
    path = ""
    try:
        handle, path = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
        with os.fdopen(handle, "w+b", buffering=0) as file:
            yield file, path
            os.fsync(file.fileno())
        os.replace(path, dest)
    except OSError as error:
        _discard(path)
        raise XenError(f"dest {dest!r} cannot be written: {error.strerror or error}; free space, or choose another place") from error
    except BaseException:
        _discard(path)
        raise


def _discard(path: str) -> None:
    if path:
        with suppress(OSError):
            os.unlink(path)
