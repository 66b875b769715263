# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._iso_image import Boot, iso_image, read_iso

from ..modules.generated import tool

FILES = {"a/deeper/b.txt": b"x" * 5000, "isolinux.bin": b"y" * 3000, "empty": b""}
IMAGE = iso_image(FILES, "label")
FIRST_DESCRIPTOR = 16 * 2048


def test_names_that_iso_9660_cannot_have_come_back(tmp_path: Path) -> None:
    """Leading dots, lower case, several dots, long names, and names that are the same in capitals."""
    names = [".hidden", "meta_data.json", "a.b.c.d", "x" * 60, "Same", "same", "SAME.TXT", "same.txt", "user-data", "2009-04-04/meta-data.json", "..two"]
    files = {name: name.encode() for name in names}
    path = tmp_path / "image.iso"
    path.write_bytes(iso_image(files, "names"))
    assert read_iso(str(path)) == files
    target = tmp_path / "files"
    target.mkdir()
    done = subprocess.run([tool("xorriso", "xorriso"), "-osirrox", "on", "-indev", path, "-extract", "/", target], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {str(found.relative_to(target)): found.read_bytes() for found in target.rglob("*") if found.is_file()} == files


def test_read_back() -> None:
    assert read_iso(IMAGE) == FILES


def test_boot_catalogue_is_there() -> None:
    assert {"boot.cat", "isolinux.bin"} <= read_iso(iso_image(FILES, "boot", Boot("isolinux.bin", "boot.cat"))).keys()


@pytest.mark.parametrize("size", range(0, len(IMAGE), 2048))
def test_truncated_image_is_told(size: int) -> None:
    """pycdlib alone reads the files of a cut image as shorter ones."""
    with pytest.raises(XenError, match=r"cannot be read as an ISO image|is a broken ISO image"):
        read_iso(IMAGE[:size])


@settings(max_examples=60, deadline=5000)
@given(st.lists(st.tuples(st.integers(FIRST_DESCRIPTOR, len(IMAGE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_image_ends_in_files_or_a_clear_error(changes: list[tuple[int, int]]) -> None:
    image = bytearray(IMAGE)
    for position, value in changes:
        image[position] = value
    with suppress(XenError):
        assert isinstance(read_iso(bytes(image)), dict)
