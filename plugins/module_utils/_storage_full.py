# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a transfer failed that the pool only calls an I/O error: its vhd-tool does not know why a write failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._errors import ApiError, XenError
from ._lookup import Caller

# Storage hands out room in blocks, so a full repository still has a little.
MARGIN = 16 * 1024 * 1024


class StorageFull(XenError):
    """The storage repository is full; the code of the pool rides along."""

    def __init__(self, sr: str, what: str, error: ApiError) -> None:
        super().__init__(f"storage repository {sr!r} is full: {what} does not fit; free space, or choose another sr")
        self._error = error

    def facts(self) -> dict[str, Any]:
        return self._error.facts()


@contextmanager
def explained(session: Caller, sr: str, what: str) -> Iterator[None]:
    """Say so when the block fails with an I/O error and the storage repository (a reference) has no room left."""
    try:
        yield
    except ApiError as error:
        name = _full(session, sr) if error.code == "VDI_IO_ERROR" else None
        if name is None:
            raise
        raise StorageFull(name, what, error) from error


def _full(session: Caller, sr: str) -> str | None:
    """The name of a repository that is full."""
    try:
        record = session.call("SR.get_record", sr)
    except XenError:
        return None
    size, used = record["physical_size"], record["physical_utilisation"]
    return str(record["name_label"]) if 0 < size <= used + MARGIN else None
