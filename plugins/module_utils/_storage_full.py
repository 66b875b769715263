# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a transfer or a copy failed that the pool only calls an I/O error: its tools do not know why a write failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._codec import format_bytes
from ._errors import ApiError, XenError
from ._lookup import Caller, Record, record_or_none

# Storage hands out room in blocks, so a full repository still has a little.
MARGIN = 16 * 1024 * 1024
# What it is called when the storage itself says so, and when only the writing failed.
FULL, IO_ERROR = "SR_BACKEND_FAILURE_44", "VDI_IO_ERROR"


class StorageFull(XenError):
    """The storage repository is full; the code of the pool rides along."""

    def __init__(self, sr: Record, what: str, asked: int, error: ApiError) -> None:
        free = max(sr["physical_size"] - sr["physical_utilisation"], 0)
        super().__init__(
            f"storage repository {sr['name_label']!r} is full: {what} of {format_bytes(asked)} does not fit, "
            f"{format_bytes(free)} are free; free space, or choose another sr"
        )
        self._error = error

    def facts(self) -> dict[str, Any]:
        return self._error.facts()


@contextmanager
def explained(session: Caller, sr: str, what: str, asked: int) -> Iterator[None]:
    """Say so, with what was asked for and what is free, when the block fails because the repository (a reference) is full."""
    try:
        yield
    except ApiError as error:
        record = _full(session, sr, error.code) if error.code in (FULL, IO_ERROR) else None
        if record is None:
            raise
        raise StorageFull(record, what, asked, error) from error


def _full(session: Caller, sr: str, code: str) -> Record | None:
    """The record of a repository that is full."""
    try:
        record = record_or_none(session, "SR", sr)
    except XenError:
        return None
    if record is None or record["physical_size"] <= 0:
        return None
    size, used = record["physical_size"], record["physical_utilisation"]
    return record if code == FULL or size <= used + MARGIN else None
