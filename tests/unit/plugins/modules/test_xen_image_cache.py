# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _image_cache, _lock
from ansible_collections.xapi.xenserver.plugins.module_utils._run_id import new_id
from simulator import Rule, Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Run
from ..scenario import Do, Scenario
from .images import SIZE
from .machines import MACHINES, attach, named, new_disk, the

DAY = 24 * 3600


def cached(session: MemorySession, name: str, *, days: float | None = 0.0, finished: bool = True, sr: str = "") -> str:
    """A cached image as ``xen_image`` leaves it, of an age in days (None: without its time)."""
    mark = f"image {name}" if finished else f"unfinished image {name}"
    keys = {"xen_ansible:content": mark, "image-id": name, "nova_disk_type": "root"}
    if days is not None:
        keys["cached-time"] = str(int(time.time() - days * DAY))
    ref = new_disk(session, sr or session.pool.get_default_SR(session.pool.get_all()[0]), f"Glance Image {name}", SIZE, other_config=keys)
    fill(session, ref)
    return ref


def fill(session: MemorySession, ref: str) -> None:
    """Something on the disk, so that a clone of it has a parent."""
    simulator = session.client.simulator

    async def write() -> None:
        simulator.engine.behaviours["VDI"].volume(ref).write(0, b"x" * 4096)

    simulator.run(write())


def cloned(session: MemorySession, ref: str, name: str) -> str:
    clone: str = session.VDI.clone(ref, {})
    session.VDI.set_name_label(clone, name)
    session.VDI.set_other_config(clone, {})
    return clone


def some_images(session: MemorySession) -> None:
    cached(session, "unused", days=3)
    cached(session, "fresh")
    cached(session, "without-time", days=None)
    cached(session, "unfinished", finished=False)
    cloned(session, cached(session, "used", days=30), "disk of used")


SCENARIO = Scenario(
    Do({"keep_days": 100}, told=("pruned",)),
    Do({"keep_days": 2}, told=("pruned",)),
    Do({}, told=("pruned",)),
    Do({}, changes=False),
    Do({"all": True}, told=("pruned",)),
    Do({"sr": "Local storage"}, changes=False),
    world=MACHINES,
    prepare=some_images,
)
pytestmark = pytest.mark.world(MACHINES)


def left(outcome: Any) -> dict[str, str]:
    return {image["image_id"]: image["state"] for image in outcome["images"]}


def test_what_is_used_stays_and_what_is_not_goes(run_module: Run, simulator: Simulator) -> None:
    some_images(simulator.session())
    expected = [the(simulator, "VDI", f"Glance Image {name}")["uuid"] for name in ("unused", "fresh", "unfinished")]
    checked = run_module("xen_image_cache", check=True)
    assert (checked["pruned"], checked.writes) == (sorted(expected), [])
    outcome = run_module("xen_image_cache")
    assert outcome["pruned"] == sorted(expected)
    assert outcome.writes == ["Async.VDI.destroy"] * 3
    assert left(outcome) == {"used": "used", "without-time": "unused"}
    assert named(simulator, "VDI", "disk of used"), "a disk made from an image is no image"


def test_days_to_keep(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    cached(session, "two-days", days=2.5)
    cached(session, "four-days", days=4.5)
    assert left(run_module("xen_image_cache", keep_days=3)) == {"two-days": "unused"}
    assert left(run_module("xen_image_cache", keep_days=2)) == {}


def test_all_takes_used_ones_too_and_their_disks_stay(run_module: Run, simulator: Simulator) -> None:
    some_images(simulator.session())
    outcome = run_module("xen_image_cache", all=True)
    assert (len(outcome["pruned"]), outcome["images"]) == (5, [])
    assert named(simulator, "VDI", "disk of used")


def test_an_image_whose_disks_are_gone_is_unused(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    clone = cloned(session, cached(session, "debian"), "disk")
    assert left(run_module("xen_image_cache")) == {"debian": "used"}
    session.VDI.destroy(clone)
    assert left(run_module("xen_image_cache")) == {}


def test_two_copies_of_an_image_do_not_hide_one_another(run_module: Run, simulator: Simulator) -> None:
    """The old driver kept them by image id, so one was never found (driver-operations §8.4)."""
    session = simulator.session()
    cached(session, "debian")
    cloned(session, cached(session, "debian"), "disk")
    outcome = run_module("xen_image_cache")
    assert len(outcome["pruned"]) == 1
    assert left(outcome) == {"debian": "used"}


def test_an_attached_image_stays_even_with_all(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref = cached(session, "debian")
    attach(session, the(simulator, "VM", "web1")["ref"], ref, "3")
    outcome = run_module("xen_image_cache", all=True)
    assert (left(outcome), outcome.changed) == ({"debian": "attached"}, False)


def test_snapshots_and_other_repositories_are_left(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    ref = cached(session, "debian", days=None)
    session.VDI.snapshot(ref, {})
    cached(session, "elsewhere", sr=the(simulator, "SR", "Local storage")["ref"])
    outcome = run_module("xen_image_cache")
    assert (outcome.changed, left(outcome)) == (False, {"debian": "used"})
    assert left(run_module("xen_image_cache", sr="Local storage")) == {}


def test_one_in_use_is_reported_and_the_others_go(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    cached(session, "a")
    cached(session, "b")
    first = min((record["uuid"], ref) for ref, record in simulator.records("VDI").items() if "image-id" in record["other_config"])
    simulator.faults.add(Rule("VDI.destroy", error=("VDI_IN_USE", first[1], "destroy"), times=1))
    outcome = run_module("xen_image_cache")
    assert not outcome.failed, outcome.result
    assert len(outcome["pruned"]) == 1
    assert first[0] not in outcome["pruned"]
    assert "could not be removed" in str(outcome["warnings"])


def test_one_that_another_task_uploads_is_left(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    cached(session, "debian", finished=False)
    holder = os.open(_lock._path(_image_cache.lock_name(the(simulator, "SR", "NFS storage"), "debian")), os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        outcome = run_module("xen_image_cache")
    finally:
        os.close(holder)
    assert (outcome["pruned"], left(outcome)) == ([], {"debian": "unfinished"})
    assert outcome.writes == []
    assert "is being uploaded by another task" in str(outcome["warnings"])
    assert left(run_module("xen_image_cache")) == {}


@pytest.mark.parametrize(
    ("uploader", "seconds", "state"),
    [
        pytest.param(lambda: new_id("debian", os.getpid()), 9000, "uploading", id="alive on this machine"),
        pytest.param(lambda: new_id("debian", 2**22 + 1), 0, "gone", id="dead on this machine"),
        pytest.param(lambda: "x.elsewhere.1.1.x", 10, "uploading", id="on another machine, begun just now"),
        pytest.param(lambda: "x.elsewhere.1.1.x", 9000, "gone", id="on another machine, begun long ago"),
    ],
)
def test_one_that_another_controller_uploads_is_left(run_module: Run, simulator: Simulator, uploader: Callable[[], str], seconds: int, state: str) -> None:
    session = simulator.session()
    ref = cached(session, "debian", days=seconds / DAY, finished=False)
    session.VDI.add_to_other_config(ref, "xen_ansible:uploader", uploader())
    outcome = run_module("xen_image_cache", all=True)
    assert left(outcome).get("debian", "gone") == state
    assert (ref in simulator.records("VDI")) == (state != "gone")


def test_bad_input(run_module: Run) -> None:
    assert "keep_days must be 0 or more, not -1" in run_module("xen_image_cache", keep_days=-1).msg
    assert "there is no storage repository 'nowhere'" in run_module("xen_image_cache", sr="nowhere").msg
