# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The framing in which disks travel (facts §4.1), as a reader of the test's own finds it, and the limits of what is sent."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.xapi.xenserver.plugins.module_utils import _disk_extents, _disk_stream
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import TimedOut, XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._extent import Extent
from ansible_collections.xapi.xenserver.plugins.module_utils._raw_file import scan

MIB = 2**20
SIZE = 16 * MIB
HEAD = struct.Struct("<QI")


class Wire:
    """The place of a request: keeps what is sent, and how much was said to come."""

    body = bytearray()
    announced = 0

    def __init__(self, _session: Any, _method: str, _path: str, _query: Any, _task: str, length: int) -> None:
        Wire.body, Wire.announced = bytearray(), length

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def send(self, data: bytes) -> None:
        Wire.body += data


class Task:
    def __enter__(self) -> str:
        return "OpaqueRef:task"

    def __exit__(self, *_error: object) -> None:
        pass


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_disk_extents, _disk_stream):
        monkeypatch.setattr(module, "Request", Wire)
        monkeypatch.setattr(module, "client_task", lambda *_arguments: Task())
        monkeypatch.setattr(module, "wait_for_task", lambda *_arguments, **_keywords: None)


def received(body: bytearray, size: int) -> bytearray:
    """The disk that the framing describes; every rule that xapi has for it is asserted."""
    disk, position = bytearray(size), 0
    while True:
        offset, length = HEAD.unpack_from(body, position)
        position += HEAD.size
        if not offset and not length:
            assert position == len(body), "something follows the end mark"
            return disk
        assert 0 < length < 2**31, "xapi reads a signed number"
        assert offset % 512 == 0
        assert length % 512 == 0
        assert offset + length <= size
        data = body[position : position + length]
        assert len(data) == length
        disk[offset : offset + length] = data
        position += length


def send(extents: Iterator[Extent], size: int = SIZE) -> Any:
    session: Any = None
    return _disk_extents.import_extents(session, "vdi", extents, size, label="disk 'x'", timeout=60)


EXTENTS = st.lists(st.tuples(st.integers(0, SIZE // 512 - 1), st.integers(0, 20_000), st.integers(1, 255)), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EXTENTS)
def test_extents_arrive_whole(pieces: list[tuple[int, int, int]]) -> None:
    disk, extents = bytearray(SIZE), []
    for sector, length, byte in pieces:
        data = bytes([byte]) * min(length, SIZE - sector * 512)
        extents.append(Extent(sector * 512, data))
        padded = data.ljust(len(data) + -len(data) % 512, b"\0")
        disk[sector * 512 : sector * 512 + len(padded)] = padded
    done = send(iter(extents))
    assert received(Wire.body, SIZE) == disk
    assert done.bytes_sent == sum(len(item.data) + -len(item.data) % 512 for item in extents)
    assert len(Wire.body) <= Wire.announced, "more is sent than was said"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 6 * MIB), st.binary(min_size=1, max_size=300)), max_size=4), st.integers(1, 7 * MIB), st.booleans())
def test_file_arrives_whole(tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, bytes]], size: int, whole: bool) -> None:
    path: Path = tmp_path_factory.mktemp("raw") / "disk"
    with path.open("wb") as file:
        for offset, data in pieces:
            file.seek(min(offset, size))
            file.write(data[: max(size - offset, 0)])
        file.truncate(size)
    session: Any = None
    disk_size = 8 * MIB
    done = _disk_stream.import_raw(session, "vdi", scan(str(path), "content"), disk_size, whole=whole, timeout=60)
    assert received(Wire.body, disk_size) == path.read_bytes().ljust(disk_size, b"\0")
    assert len(Wire.body) == Wire.announced
    assert (done.bytes_sent == disk_size) or not whole


def test_large_extent_is_cut() -> None:
    send(iter([Extent(MIB, b"x" * (9 * MIB))]))
    assert received(Wire.body, SIZE)[MIB : 10 * MIB] == b"x" * (9 * MIB)
    assert HEAD.unpack_from(Wire.body)[1] == 4 * MIB


@pytest.mark.parametrize(
    ("extent", "message"),
    [
        pytest.param(Extent(SIZE, b"x"), "is larger than the disk of", id="behind"),
        pytest.param(Extent(SIZE - 512, b"x" * 513), "is larger than the disk of", id="over the end"),
        pytest.param(Extent(2**63, b"x"), "is larger than the disk of", id="absurd"),
        pytest.param(Extent(100, b"x"), "at byte 100, which is no whole sector", id="odd"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_sent(extent: Extent, message: str) -> None:
    with pytest.raises(XenError, match=message):
        send(iter([extent]))
    assert Wire.body == b""


def test_source_that_fails_leaves_no_end_mark() -> None:
    """The end mark says that all has come; without it xapi ends the task in an error (recording http)."""

    def extents() -> Iterator[Extent]:
        yield Extent(0, b"x" * 512)
        raise XenError("the image ends in the middle")

    with pytest.raises(XenError, match="ends in the middle"):
        send(extents())
    assert len(Wire.body) == HEAD.size + 512


def test_time_is_limited_while_nothing_is_to_be_sent() -> None:
    def zeros() -> Iterator[Extent]:
        while True:
            yield Extent(0, b"")

    session: Any = None
    with pytest.raises(TimedOut, match="disk 'x' to be written to the disk"):
        _disk_extents.import_extents(session, "vdi", zeros(), SIZE, label="disk 'x'", timeout=0.05)
