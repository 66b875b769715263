# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of a world that hold something from the start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulator import Simulator, worlds

MIB = 1024 * 1024
WORLDS = Path(worlds.__file__).parent


def world(*disks: dict[str, Any]) -> dict[str, Any]:
    blueprint: dict[str, Any] = json.loads((WORLDS / "one_host.json").read_text(encoding="utf-8"))
    return {**blueprint, "machines": [{"name": "web1", "disks": [{"sr": "Local storage", **disk} for disk in disks]}]}


def read(simulator: Simulator, name: str, length: int) -> bytes:
    vdi = simulator.session().VDI.get_by_name_label(name)[0]

    async def work() -> bytes:
        return simulator.engine.behaviours["VDI"].volume(vdi).read(0, length)

    return simulator.run(work())


def test_a_disk_begins_with_a_file_or_a_text(tmp_path: Path) -> None:
    image = tmp_path / "root.raw"
    image.write_bytes(bytes(range(256)) * (3 * MIB // 256))
    with Simulator(world({"size": "4MiB", "content": {"file": str(image)}}, {"size": "2MiB", "content": {"text": "hällo"}})) as simulator:
        assert read(simulator, "web1 0", 4 * MIB) == image.read_bytes() + bytes(MIB)
        assert read(simulator, "web1 1", 7) == "hällo".encode() + b"\0"
        session = simulator.session()
        assert session.VDI.get_record(session.VDI.get_by_name_label("web1 0")[0])["physical_utilisation"] > 4 * MIB
        snapshot = session.VDI.snapshot(session.VDI.get_by_name_label("web1 1")[0])
        session.VDI.set_name_label(snapshot, "snapshot")
        assert read(simulator, "snapshot", 6) == "hällo".encode()


def test_it_is_poured_once(tmp_path: Path) -> None:
    image = tmp_path / "root.raw"
    image.write_bytes(b"first")
    with Simulator(world({"size": "2MiB", "content": {"file": str(image)}}), state=tmp_path / "state"):
        image.write_bytes(b"other")
    with Simulator("one_host", state=tmp_path / "state") as simulator:
        assert read(simulator, "web1 0", 5) == b"first"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"file": "/nowhere/root.raw"}, "there is no file /nowhere/root.raw"),
        ({"text": "x" * (2 * MIB + 1)}, "2097153 bytes do not fit on a disk of 2097152"),
        ({"bytes": "x"}, "a disk has no 'bytes'"),
        ("x", "'x' does not tell what is on a disk"),
    ],
)
def test_what_cannot_be_poured_is_told(content: Any, sentence: str) -> None:
    with pytest.raises(worlds.WorldError, match="contents of web1 0: " + sentence):
        Simulator(world({"size": "2MiB", "content": content}))


def test_a_disk_that_is_not_there_is_told() -> None:
    start = worlds.load(world())
    start.extra["contents"]["OpaqueRef:nothing"] = {"text": "x"}
    records = {"name": "odd", "records": start.records, "extra": start.extra}
    with pytest.raises(worlds.WorldError, match="contents of OpaqueRef:nothing: there is no such disk"):
        Simulator(records)
