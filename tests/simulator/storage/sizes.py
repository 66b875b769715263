# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the files and logical volumes behind a VHD are (SM vhdutil.py, lvhdutil.py; the small ones as recorded)."""

from __future__ import annotations

from .layer import BLOCK

SECTOR = 512
PAGE = 4096
MIB = 1024 * 1024
EXTENT = 4 * MIB  # LVM_SIZE_INCREMENT
SMALLEST, LARGEST = 2 * MIB, 2040 * 1024 * MIB
# LVs have their metadata laid out for the largest VHD, so that they grow fast (MSIZE in lvhdutil.py).
LAID_OUT_FOR = 2 * 1024 * 1024 * MIB


def round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def vhd_file(size: int, blocks: int, *, differencing: bool) -> int:
    """Footer copy, header, three parent locators if any, block table, its bitmap, the blocks, footer.

    An empty one of 16 MiB is 3584 bytes, a differencing one 5120 (recording `vdis`); tapdisk aligns the data of a block to a page.
    """
    entries = -(-size // BLOCK)
    metadata = 3 * SECTOR + (3 * SECTOR if differencing else 0)
    metadata += round_up(4 * entries, SECTOR) + SECTOR + round_up(-(-entries // 8), SECTOR)
    if blocks:
        metadata = round_up(metadata + SECTOR, PAGE) - PAGE + blocks * (BLOCK + PAGE)
    return metadata + SECTOR


def _overhead_empty(size: int) -> int:
    entries = size // BLOCK
    return round_up(round_up(3 * 1024 + entries * 4, SECTOR) + entries // 8, PAGE)


def logical_volume(size: int) -> int:
    """An LV with room for every block of the VHD (calcSizeVHDLV)."""
    return round_up(size + _overhead_empty(LAID_OUT_FOR) + -(-size // BLOCK) * PAGE, EXTENT)


def deflated(blocks: int) -> int:
    """An LV that holds its blocks and no more: snapshots and base copies."""
    return round_up(_overhead_empty(LAID_OUT_FOR) + blocks * (BLOCK + PAGE), EXTENT)
