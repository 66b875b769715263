# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two controllers need the same image. They share no lock, as each has a folder of its own for temporary files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _image_cache, _image_claim, _image_upload, _run_id, xenapi_session
from simulator import Rule, Simulator

from ..conftest import Run
from .images import DISK, SIZE, content_of, image, run_served
from .machines import MACHINES, named, new_disk, the
from .test_xen_image import KEY, SCRIPT, imports

__all__ = ["image", "run_served"]
pytestmark = pytest.mark.world(MACHINES)
Write = Callable[..., str]
DIGEST = f"sha256:{hashlib.sha256(DISK).hexdigest()}"
LABEL = f"Glance Image {DIGEST}"
# A process of another machine, which nobody here can see.
STRANGER = "0123456789ab.another.4711.815.0a0b0c"


def claim(simulator: Simulator, uploader: str = STRANGER, **more: Any) -> str:
    """The half-made image of another controller."""
    sr = the(simulator, "SR", "NFS storage")["ref"]
    keys = {KEY: f"unfinished image {DIGEST}", "image-id": DIGEST, "cached-time": "1700000000", "nova_disk_type": "root", "xen_ansible:uploader": uploader}
    return new_disk(simulator.session(), sr, LABEL, SIZE, other_config=keys, **more)


def cached(simulator: Simulator) -> list[dict[str, Any]]:
    return named(simulator, "VDI", LABEL)


def test_controllers_at_the_same_time_upload_once(simulator: Simulator, image: Write, tmp_path: Path) -> None:
    """Four at once; each has the image in the end, and only one of them sent it."""
    simulator.faults.add(Rule("PUT /import_raw_vdi", stall=0.5))  # long enough for the others to find it half made
    server = simulator.serve(tls=False, http=True)
    path, processes = image(), []
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)}
        params = {"hostname": server.url, "password": simulator.password, "image": path, "checksum": DIGEST, "name": f"disk {number}"}
        command = [sys.executable, "-c", SCRIPT, json.dumps(params)]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    assert imports(simulator) == 1
    (only,) = cached(simulator)
    assert "xen_ansible:uploader" not in only["other_config"], "a complete image is nobody's"
    for number in range(4):
        assert content_of(simulator, the(simulator, "VDI", f"disk {number}")["ref"]) == DISK


def test_one_that_finds_it_half_made_waits_by_events_and_takes_it(run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = claim(simulator)
    session, waits = simulator.session(), threading.Event()
    real = _image_claim.wait_for_others

    def noted(*arguments: Any) -> Any:
        waits.set()
        return real(*arguments)

    def other() -> None:
        assert waits.wait(10)
        keys = {key: value for key, value in session.VDI.get_other_config(ref).items() if key != "xen_ansible:uploader"}
        session.VDI.set_other_config(ref, {**keys, KEY: f"image {DIGEST}"})

    monkeypatch.setattr(_image_cache, "wait_for_others", noted)
    thread = threading.Thread(target=other)
    thread.start()
    outcome = run_served("xen_image", image=image(), checksum=DIGEST, name="root")
    thread.join()
    assert not outcome.failed, outcome.result
    assert imports(simulator) == 0
    assert [record["ref"] for record in cached(simulator)] == [ref]


def test_what_another_machine_left_is_taken_over_when_nothing_happens_to_it(
    run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = claim(simulator)
    monkeypatch.setattr(_image_claim, "IDLE", 0.2)
    outcome = run_served("xen_image", image=image(), checksum=DIGEST, name="root", timeout=30)
    assert not outcome.failed, outcome.result
    assert imports(simulator) == 1
    (only,) = cached(simulator)
    assert only["ref"] != ref


def test_what_a_dead_process_of_this_machine_left_is_taken_over_at_once(run_served: Run, simulator: Simulator, image: Write) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = _run_id.parse(_run_id.new_id("x", os.getpid()))
    assert mine is not None
    ref = claim(simulator, str(mine._replace(process=str(dead.pid))))
    outcome = run_served("xen_image", image=image(), checksum=DIGEST, name="root", timeout=5)
    assert not outcome.failed, outcome.result
    assert ref not in simulator.records("VDI")


def test_one_that_is_being_written_stays_and_waiting_for_it_ends(run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = claim(simulator)
    monkeypatch.setattr(_image_claim, "IDLE", 0.1)
    simulator.faults.add(Rule("*VDI.destroy", error=("VDI_IN_USE", ref, "destroy")))
    outcome = run_served("xen_image", image=image(), checksum=DIGEST, name="root", timeout=1)
    assert outcome.failed
    assert "gave up waiting for another controller to upload image" in outcome.msg
    assert imports(simulator) == 0
    assert ref in simulator.records("VDI")


@pytest.mark.parametrize("ours", ["lower", "higher"])
def test_of_two_claims_made_at_once_one_is_left(ours: str, run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other controller looks, sees none, makes its claim and goes on, all between our look and our claim. It keeps it."""
    monkeypatch.setattr(_image_claim, "PATIENCE", 0.2)
    real = _image_upload.create
    theirs: list[Any] = []
    session = simulator.session()

    def create(job: Any, *arguments: Any) -> str:
        ref = real(job, *arguments)
        if not theirs:
            theirs.append(claim(simulator))
            uuids = sorted([session.VDI.get_uuid(ref), session.VDI.get_uuid(theirs[0])], reverse=ours == "higher")
            for disk, uuid in zip((ref, theirs[0]), uuids, strict=True):
                simulator.run(set_uuid(disk, uuid))
        return ref

    async def set_uuid(ref: str, uuid: str) -> None:
        simulator.engine.db.set("VDI", ref, "uuid", uuid)

    monkeypatch.setattr(_image_upload, "create", create)
    monkeypatch.setattr(_image_cache, "wait_for_others", lambda _job, _others, _deadline: done())

    def done() -> dict[str, Any]:
        session.VDI.set_other_config(theirs[0], {**session.VDI.get_other_config(theirs[0]), KEY: f"image {DIGEST}"})
        return {}

    outcome = run_served("xen_image", image=image(), checksum=DIGEST, name="root")
    assert not outcome.failed, outcome.result
    assert imports(simulator) == 0
    assert [record["ref"] for record in cached(simulator)] == theirs


def test_the_lower_of_two_goes_on_when_the_other_gives_way(run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _image_upload.create
    theirs: list[Any] = []
    session = simulator.session()

    def create(job: Any, *arguments: Any) -> str:
        ref = real(job, *arguments)
        theirs.append(claim(simulator))
        simulator.run(last(theirs[0]))
        threading.Timer(0.3, session.VDI.destroy, (theirs[0],)).start()
        return ref

    async def last(ref: str) -> None:
        simulator.engine.db.set("VDI", ref, "uuid", "ffffffff-ffff-4fff-bfff-ffffffffffff")

    monkeypatch.setattr(_image_upload, "create", create)
    outcome = run_served("xen_image", image=image(), checksum=DIGEST, name="root")
    assert not outcome.failed, outcome.result
    assert imports(simulator) == 1
    assert len(theirs) == 1
    assert len(cached(simulator)) == 1


def test_a_clone_that_its_maker_finished_meanwhile_is_not_taken(run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """We read of a clone that nobody has claimed; before we claim it, its maker claims it, finishes it and needs no claim any more."""
    path = image()
    assert run_served("xen_image", image=path, checksum=DIGEST, name="first").changed
    session = simulator.session()
    (original,) = cached(simulator)
    theirs = session.VDI.clone(original["ref"], {})
    real = xenapi_session.Session.call

    def call(self: Any, method: str, *arguments: Any) -> Any:
        if method == "VDI.add_to_other_config" and arguments[0] == theirs:
            session.VDI.set_name_label(theirs, "theirs")
            session.VDI.set_other_config(theirs, {KEY: f"image {DIGEST}"})
        return real(self, method, *arguments)

    monkeypatch.setattr(xenapi_session.Session, "call", call)
    outcome = run_served("xen_image", image=path, checksum=DIGEST, name="ours")
    assert not outcome.failed, outcome.result
    assert the(simulator, "VDI", "theirs")["ref"] == theirs
    assert the(simulator, "VDI", "theirs")["other_config"] == {KEY: f"image {DIGEST}"}
    assert content_of(simulator, the(simulator, "VDI", "ours")["ref"]) == DISK
