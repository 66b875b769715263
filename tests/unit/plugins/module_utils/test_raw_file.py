# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import random
import struct
from pathlib import Path

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._raw_file import BLOCK, WINDOW, Span, read_at, refuse_changed, scan, write_sparse


def made(path: Path, size: int, pieces: dict[int, bytes]) -> Path:
    """A file with holes and some bytes."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces.items():
            file.seek(offset)
            file.write(data)
    return path


@pytest.mark.parametrize(
    ("size", "pieces", "spans"),
    [
        pytest.param(1, {0: b"x"}, [Span(0, 1)], id="one byte"),
        pytest.param(BLOCK, {}, [], id="a hole"),
        pytest.param(3 * BLOCK, {BLOCK: b"x"}, [Span(BLOCK, BLOCK)], id="a block in the middle"),
        pytest.param(2 * BLOCK, {BLOCK - 1: b"xx"}, [Span(0, 2 * BLOCK)], id="neighbours are one"),
        pytest.param(2 * BLOCK + 7, {2 * BLOCK + 6: b"x"}, [Span(2 * BLOCK, 7)], id="an odd end"),
        pytest.param(3 * WINDOW, {WINDOW - 1: b"xx"}, [Span(WINDOW - BLOCK, 2 * BLOCK)], id="across windows"),
        pytest.param(4 * WINDOW, {0: bytes(2 * WINDOW)}, [], id="zeros that are stored"),
    ],
)
def test_spans_are_the_blocks_that_hold_something(tmp_path: Path, size: int, pieces: dict[int, bytes], spans: list[Span]) -> None:
    path = made(tmp_path / "disk.raw", size, pieces)
    raw = scan(str(path), "content")
    assert raw.spans == spans
    assert raw.size == size
    assert raw.data_size == sum(span.length for span in spans)
    assert raw.fingerprint == fingerprint_of(path.read_bytes())


def fingerprint_of(content: bytes) -> str:
    """By the definition: blocks that are not zero, then where they are joined, then the size."""
    digest = hashlib.sha256()
    spans: list[tuple[int, int]] = []
    for offset in range(0, len(content), 4096):
        block = content[offset : offset + 4096]
        if any(block):
            digest.update(block)
            if spans and sum(spans[-1]) == offset:
                spans[-1] = (spans[-1][0], spans[-1][1] + len(block))
            else:
                spans.append((offset, len(block)))
    for number in (number for span in spans for number in span):
        digest.update(struct.pack("<Q", number))
    digest.update(struct.pack("<Q", len(content)))
    return "sparse-sha256:" + digest.hexdigest()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(b"x" + bytes(8191), bytes(4096) + b"x" + bytes(4095), id="moved"),
        pytest.param(b"x", b"x\0", id="longer"),
        pytest.param(bytes(4096), bytes(8192), id="zeros only"),
        pytest.param(b"x" * 8192, b"x" * 4096 + bytes(4096) + b"x" * 4096, id="torn apart"),
    ],
)
def test_other_contents_have_other_fingerprints(tmp_path: Path, one: bytes, other: bytes) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes(one)
    first = scan(str(path), "content").fingerprint
    path.write_bytes(other)
    assert scan(str(path), "content").fingerprint != first


def test_random_files_come_back_whole(tmp_path: Path) -> None:
    """Spans and zeros elsewhere are the file; and so is what is written with holes."""
    chance = random.Random(7)
    for number in range(20):
        size = chance.randrange(1, 3 * WINDOW)
        pieces = {offset: chance.randbytes(min(chance.randrange(1, 9000), size - offset)) for offset in (chance.randrange(size) for _unused in range(5))}
        path = made(tmp_path / f"{number}.raw", size, pieces)
        assert scan(str(path), "content").fingerprint == fingerprint_of(path.read_bytes())
        rebuilt = bytearray(size)
        with path.open("rb") as file:
            for span in scan(str(path), "content").spans:
                rebuilt[span.offset : span.offset + span.length] = read_at(file, *span)
        assert bytes(rebuilt) == path.read_bytes()

        copy = tmp_path / f"{number}.copy"
        with copy.open("wb") as file:
            write_sparse(file, path.read_bytes())
            file.truncate(size)
        assert copy.read_bytes() == path.read_bytes()


def test_fingerprint_does_not_depend_on_holes(tmp_path: Path) -> None:
    path = made(tmp_path / "holes.raw", 5 * WINDOW + 5, {WINDOW - 9: b"some bytes", 3 * WINDOW: b"x" * 9000})
    full = tmp_path / "full.raw"
    full.write_bytes(path.read_bytes())
    assert path.stat().st_blocks < full.stat().st_blocks
    assert scan(str(path), "content").fingerprint == scan(str(full), "content").fingerprint


def test_file_system_that_knows_no_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "disk.raw", 3 * WINDOW, {WINDOW: b"x"})
    expected = scan(str(path), "content")

    def refuse(*_arguments: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("os.lseek", refuse)
    assert scan(str(path), "content") == expected


def test_what_lies_behind_the_file_is_zero(tmp_path: Path) -> None:
    path = made(tmp_path / "disk.raw", 3, {0: b"abc"})
    with path.open("rb") as file:
        assert read_at(file, 1, 5) == b"bc\0\0\0"


def test_a_file_that_changes_is_no_longer_what_was_scanned(tmp_path: Path) -> None:
    path = made(tmp_path / "disk.raw", 10, {0: b"abc"})
    raw = scan(str(path), "content")
    refuse_changed(raw)
    os.utime(path, ns=(1, 1))
    with pytest.raises(XenError, match="changed while it was read; run the task again"):
        refuse_changed(raw)
    path.unlink()
    with pytest.raises(XenError, match="changed while it was read"):
        refuse_changed(raw)


def test_refuses_what_is_no_image(tmp_path: Path) -> None:
    empty = tmp_path / "empty.raw"
    empty.touch()
    for path, message in ((empty, "is empty; give the raw image of a disk"), (tmp_path, "is no file"), (tmp_path / "none", "does not exist on the machine")):
        with pytest.raises(XenError, match=f"^content '{path}' {message}"):
            scan(str(path), "content")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_refuses_what_may_not_be_read(tmp_path: Path) -> None:
    path = made(tmp_path / "disk.raw", 10, {})
    path.chmod(0)
    with pytest.raises(XenError, match="cannot be read: Permission denied"):
        scan(str(path), "content")
