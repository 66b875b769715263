# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct
from typing import Any

import pytest
from conformance.bodies import BLOCK, DISK, Disks, chunk, vhd


def step(**fields: Any) -> dict[str, Any]:
    return {"path": "/import_raw_vdi", "query": {"vdi": "@VDI/1"}, **fields}


def test_the_vhd_has_the_length_that_was_recorded_and_true_checksums() -> None:
    image = vhd(DISK, b"\xab" * BLOCK)
    assert len(image) == 2100224
    for start, length, at in ((0, 512, 64), (512, 1024, 36)):
        sector = image[start : start + length]
        (stored,) = struct.unpack_from(">I", sector, at)
        assert stored == ~sum(sector[:at] + sector[at + 4 :]) & 0xFFFFFFFF
    assert image[:512] == image[-512:]


@pytest.mark.parametrize(("label", "length"), [("", 4120), ("two chunks out of order", 8228), ("beyond the end", 4120), ("no end mark", 4108)])
def test_chunked_bodies_have_the_recorded_length(label: str, length: int) -> None:
    body = Disks().request_body(step(query={"chunked": "1"}, request_body_bytes=length), label)
    assert body is not None
    assert len(body) == length


def test_an_export_must_hold_what_was_imported() -> None:
    disks = Disks()
    body = disks.request_body(step(request_body_bytes=DISK), "")
    assert body is not None
    disks.imported(step(), body)
    disks.imported(step(query={"vdi": "@VDI/1", "chunked": "1"}), chunk(1024, b"XYZ") + bytes(12))
    wanted = body[:1024] + b"XYZ" + body[1027:]
    export = {"path": "/export_raw_vdi", "query": {"vdi": "@VDI/1", "format": "raw"}}
    assert disks.exported(export, wanted) is None
    assert disks.exported(export, body) == "differs from what was imported, first at byte 1024"
    assert disks.exported(export, wanted[:-1]) is not None
