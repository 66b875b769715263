# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks read as they are written down elsewhere: the bytes of a disk, as a raw one or as a sparse VHD."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ._extent import Extent, trimmed
from ._task import client_task, wait_for_task
from ._transfer import Deadline, Request, Session
from ._vhd import VhdError


@contextmanager
def exported(session: Session, vdi: str, format_: str, *, label: str, timeout: float, base: str | None = None) -> Iterator[Callable[[int], bytes]]:
    """The bytes of a disk as a function that reads some of them. With ``base`` (format vhd) only what differs from it.

    xapi sends no length: the block has to know by the format where the end is. It ends well only if the task does.
    """
    deadline = Deadline(timeout, f"{label} to be read")
    with client_task(session, f"Export of {label}") as task:
        query = {"vdi": vdi, "format": format_, **({"base": base} if base else {})}
        with Request(session, "GET", "/export_raw_vdi", query, task) as request:
            pieces = request.receive(deadline)
            try:
                yield _Pieces(pieces, deadline)
            except VhdError as error:  # A task that failed sends a page instead of the disk, and knows why.
                request.fail(str(error))
            for _rest in pieces:
                deadline.check()
        wait_for_task(session, task, timeout=deadline.left, what=deadline.what)


class _Pieces:
    """An iterator of bytes as a function ``read(most)``."""

    def __init__(self, pieces: Iterator[bytes], deadline: Deadline) -> None:
        self._pieces, self._deadline = pieces, deadline
        self._piece = memoryview(b"")

    def __call__(self, most: int) -> bytes:
        if not self._piece:
            self._deadline.check()
            self._piece = memoryview(next(self._pieces, b""))
        data, self._piece = self._piece[:most], self._piece[most:]
        return bytes(data)


def sparse(extents: Iterable[Extent]) -> Iterator[Extent]:
    """The same without the pages that are zero."""
    for offset, data in extents:
        yield from trimmed(offset, data)
