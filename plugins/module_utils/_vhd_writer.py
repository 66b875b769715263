# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""VHD files written front to back, with the blocks that hold data and no others."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterable, Iterator

from ._vhd import DYNAMIC, FOOTER, HEADER, SECTOR, UNUSED, VHD_BLOCK, Footer, Header


def sparse_file(size: int, used: Iterable[int], block: Callable[[int], bytes], *, identity: uuid.UUID | None = None) -> Iterator[bytes]:
    """A dynamic VHD of ``size`` bytes, piece by piece. ``used`` are the numbers of the 2 MiB blocks that hold data,
    ascending; ``block(number)`` gives the bytes of one."""
    entries = -(-size // VHD_BLOCK)
    numbers = sorted(set(used))
    footer = Footer(size, DYNAMIC, FOOTER.size, identity or uuid.uuid4()).pack()
    table_offset = FOOTER.size + HEADER.size
    table_size = -(-4 * entries // SECTOR) * SECTOR
    bitmap = b"\xff" * SECTOR
    first = (table_offset + table_size) // SECTOR
    step = (len(bitmap) + VHD_BLOCK) // SECTOR
    table = [UNUSED] * entries
    for position, number in enumerate(numbers):
        table[number] = first + position * step
    yield footer + Header(table_offset, entries, VHD_BLOCK, uuid.UUID(int=0)).pack()
    yield struct.pack(f">{entries}I", *table).ljust(table_size, b"\xff")
    for number in numbers:
        yield bitmap + block(number).ljust(VHD_BLOCK, b"\0")
    yield footer


def sparse_file_size(size: int, used: int) -> int:
    """Bytes of the file that ``sparse_file`` makes for ``used`` blocks."""
    entries = -(-size // VHD_BLOCK)
    return 2 * FOOTER.size + HEADER.size + -(-4 * entries // SECTOR) * SECTOR + used * (SECTOR + VHD_BLOCK)
