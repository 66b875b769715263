# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks on the wire: how much of a disk is sent, how fast against curl, with how much memory and room on the controller.

Each module runs as a process of its own, as Ansible runs it, against a simulator over TLS; its whole time counts, the start of
Python too. What was sent is counted by the server. Fast and slow parts of a run are compared with each other only.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from simulator import Simulator
from simulator.server import Server

ROOT = Path(__file__).resolve().parents[2]
KIB, MIB, GIB = 2**10, 2**20, 2**30
CODE = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
name, params = json.load(sys.stdin)
with patch_module_args(params):
    importlib.import_module("ansible_collections.xapi.xenserver.plugins.modules." + name).main()
"""
WORLD = json.loads((ROOT / "tests/simulator/worlds/one_host.json").read_text(encoding="utf-8"))
WORLD["machines"] = [{"name": "web1", "disks": []}]
# What is said to last seconds; Python and TLS have started by then.
SECONDS = 10.0
ROUNDS = 2


@dataclass
class Run:
    """What one process took: seconds, bytes that the server got, bytes of memory, most bytes in its temporary folder."""

    seconds: float
    sent: int
    memory: int
    scratch: int
    result: dict[str, Any]


class Bench:
    """A simulator, a folder for images, and the table."""

    def __init__(self, simulator: Simulator, server: Server, folder: Path) -> None:
        self.simulator, self.server, self.folder = simulator, server, folder
        self.session = simulator.session()
        self.good = True

    def module(self, module: str, **params: Any) -> Run:
        login = {"hostname": self.server.url, "username": self.server.username, "password": self.server.password, "ca_path": str(self.server.ca_path)}
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / ".build"), "TMPDIR": str(scratch)}
        earlier, began = len(self.simulator.calls), time.monotonic()
        with _Watched(scratch) as watched:
            process = subprocess.Popen([sys.executable, "-c", CODE], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            output, memory = _talk(process, [module, {**login, **params}])
        seconds = time.monotonic() - began
        result = json.loads(output)
        if result.get("failed"):
            raise SystemExit(f"{module}: {result['msg']}")
        sent = sum(call.result or 0 for call in self.simulator.calls[earlier:] if call.method.startswith("PUT "))
        return Run(seconds, sent, memory, watched.most, result)

    def curl(self, path: Path) -> float:
        """Seconds that curl takes to upload a file to a new disk of its size."""
        disk = self.new_disk(path.stat().st_size)
        task = self.session.task.create("curl", "")
        query = f"session_id={self.session.ref}&task_id={task}&vdi={disk}&format=raw"
        command = ["curl", "-sS", "--fail", "--cacert", str(self.server.ca_path), "-H", "Expect:", "-T", str(path), f"{self.server.url}/import_raw_vdi?{query}"]
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        if self.session.task.get_status(task) != "success":
            raise SystemExit(f"curl: {self.session.task.get_error_info(task)}")
        self.session.VDI.destroy(disk)
        return seconds

    def new_disk(self, size: int) -> str:
        sr = self.session.pool.get_default_SR(self.session.pool.get_all()[0])
        plain = {"name_label": "curl", "name_description": "", "type": "user", "sharable": False, "read_only": False, "SR": sr, "virtual_size": size}
        ref: str = self.session.VDI.create({**plain, "other_config": {}, "xenstore_data": {}, "sm_config": {}, "tags": []})
        return ref

    def uploaded(self, image: Path, name: str) -> Run:
        """A disk from an image, which goes again."""
        run = self.module("xen_image", image=str(image), name=name, cache=False)
        self.session.VDI.destroy(self.session.VDI.get_by_uuid(run.result["vdi"]["uuid"]))
        return run

    def row(self, what: str, value: float, bound: float, shown: Callable[[float], str], *, least: bool = False) -> None:
        """A line of the table: a value that is at most its bound, or at ``least``."""
        good = value >= bound if least else value <= bound
        self.good &= good
        print(f"  {'ok  ' if good else 'MISS'} {what:<58} {shown(value):>12}   {'≥' if least else '≤'} {shown(bound)}", flush=True)


def _talk(process: subprocess.Popen[str], words: list[Any]) -> tuple[str, int]:
    """What a process says, and the most memory that it had."""
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        process.stdin.write(json.dumps(words))
        process.stdin.close()
        output = process.stdout.read()
        _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return output, usage.ru_maxrss * KIB


class _Watched:
    """How much a folder held at most, looked at all the time."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._over = folder, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = 0

    def __enter__(self) -> _Watched:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            held = 0
            for path in self._folder.rglob("*"):
                try:
                    held += path.stat().st_blocks * 512
                except FileNotFoundError:
                    continue
            self.most = max(self.most, held)


def random_file(path: Path, size: int, pieces: list[tuple[int, int]]) -> Path:
    """A sparse file with random bytes at some places."""
    source = random.Random(1)
    with path.open("wb") as file:
        file.truncate(size)
        for offset, length in pieces:
            file.seek(offset)
            for _unused in range(length // MIB):
                file.write(source.randbytes(MIB))
    return path


def in_bytes(value: float) -> str:
    return f"{value / GIB:.3f} GiB" if value >= GIB else f"{value / MIB:.1f} MiB" if value >= MIB else f"{value / KIB:.1f} KiB"


def in_seconds(value: float) -> str:
    return f"{value:.1f} s"


def as_ratio(value: float) -> str:
    return f"{value:.2f}"


def blank_disks(bench: Bench) -> None:
    swap = bench.module("xen_swap", vm="web1", size="10GiB")
    bench.row("10 GiB of swap: bytes on the wire", swap.sent, 64 * KIB, in_bytes)
    bench.row("10 GiB of swap: time", swap.seconds, SECONDS, in_seconds)
    ephemeral = bench.module("xen_ephemeral", vm="web1", size="200GiB", filesystem="ext4")
    bench.row("200 GiB of ext4: bytes on the wire", ephemeral.sent, 32 * MIB, in_bytes)
    bench.row("200 GiB of ext4: temporary disk", ephemeral.scratch, 64 * MIB, in_bytes)
    bench.row("200 GiB of ext4: time", ephemeral.seconds, SECONDS, in_seconds)
    bench.row("200 GiB of ext4: memory", ephemeral.memory, 128 * MIB, in_bytes)


def full_image(bench: Bench) -> None:
    image = random_file(bench.folder / "full.raw", 2 * GIB, [(0, 2 * GIB)])
    curls, runs = [], []
    for number in range(ROUNDS):  # In turn, so that whatever else the machine does meets both.
        curls.append(bench.curl(image))
        runs.append(bench.uploaded(image, f"full {number}"))
    ours, theirs = min(run.seconds for run in runs), min(curls)
    print(f"       2 GiB of random bytes: curl {in_seconds(theirs)}, xen_image {in_seconds(ours)}")
    bench.row("2 GiB of random bytes: speed against curl -T", theirs / ours, 0.9, as_ratio, least=True)
    bench.row("2 GiB of random bytes: memory", max(run.memory for run in runs), 128 * MIB, in_bytes)
    image.unlink()


def sparse_images(bench: Bench) -> None:
    image = random_file(bench.folder / "sparse.raw", 20 * GIB, [(number * GIB + 5 * MIB, 64 * MIB) for number in range(1, 17)])
    run = bench.uploaded(image, "sparse")
    bench.row("20 GiB with 1 GiB of data: bytes on the wire", run.sent, 1.05 * GIB, in_bytes)
    bench.row("20 GiB with 1 GiB of data: memory", run.memory, 128 * MIB, in_bytes)
    if shutil.which("qemu-img") is None:
        print("       qcow2 is not measured: qemu-img is missing (Debian package qemu-utils)")
        return
    qcow2, raw = bench.folder / "sparse.qcow2", bench.folder / "converted.raw"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", image, qcow2], check=True)
    data = random_file(bench.folder / "data.raw", GIB, [(0, GIB)])
    image.unlink()
    theirs, runs = [], []
    for number in range(ROUNDS):
        began = time.monotonic()
        subprocess.run(["qemu-img", "convert", "-O", "raw", qcow2, raw], check=True)
        theirs.append(time.monotonic() - began + bench.curl(data))
        raw.unlink()
        runs.append(bench.uploaded(qcow2, f"qcow2 {number}"))
    ours = min(run.seconds for run in runs)
    print(f"       The same as qcow2: qemu-img and curl {in_seconds(min(theirs))}, xen_image {in_seconds(ours)}")
    bench.row("The same as qcow2: time against qemu-img and curl -T", ours / min(theirs), 1.2, as_ratio)
    bench.row("The same as qcow2: bytes on the wire", max(run.sent for run in runs), 1.05 * GIB, in_bytes)
    bench.row("The same as qcow2: memory", max(run.memory for run in runs), 128 * MIB, in_bytes)
    bench.row("The same as qcow2: temporary disk", max(run.scratch for run in runs), 64 * MIB, in_bytes)


def main() -> bool:
    if shutil.which("curl") is None:
        print("       not measured: curl is missing (Debian package curl)")
        return False
    with TemporaryDirectory(prefix="bench-") as folder, Simulator(WORLD) as simulator:
        bench = Bench(simulator, simulator.serve(), Path(folder))
        for measure in (blank_disks, full_image, sparse_images):
            measure(bench)
        return bench.good
