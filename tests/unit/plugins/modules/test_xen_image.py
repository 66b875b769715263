# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _image_cache, _image_clone, _lock, _transfer, xenapi_session
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError
from simulator import Rule, Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Run
from ..scenario import Do, Scenario
from .generated import dying
from .images import DISK, MIB, SIZE, content_of, disk, image, run_served, vhd
from .machines import MACHINES, named, new_disk, start, the

__all__ = ["image", "run_served"]

CHECKSUM = "sha256:" + "ab" * 32
KEY = "xen_ansible:content"
# Nothing reads this file: the checksum alone tells that the image is cached.
CACHED = {"image": "/no/such/file", "checksum": CHECKSUM}


def cached_image(session: MemorySession) -> None:
    """An image as an earlier run left it on the default repository."""
    sr = session.pool.get_default_SR(session.pool.get_all()[0])
    keys = {KEY: f"image {CHECKSUM}", "image-id": CHECKSUM, "cached-time": "1700000000", "nova_disk_type": "root"}
    new_disk(session, sr, f"Glance Image {CHECKSUM}", SIZE, name_description="root", other_config=keys)


SCENARIO = Scenario(
    Do({**CACHED, "name": "first"}),
    Do({**CACHED, "name": "first", "size": "16MiB", "owner": "me"}),
    Do({**CACHED, "vm": "web1", "userdevice": "xvdb", "size": "12MiB", "properties": {"os_type": "linux"}}),
    Do({**CACHED, "vm": "web1", "userdevice": 1, "name": "renamed"}),
    Do({**CACHED, "vm": "web2", "userdevice": 1, "full_copy": True}),
    Do({**CACHED, "vm": "web2", "userdevice": 0, "force": True, "name": "new root"}),
    Do({"vm": "web2", "state": "absent"}),
    Do({"name": "first", "state": "absent"}),
    world=MACHINES,
    prepare=cached_image,
)
pytestmark = pytest.mark.world(MACHINES)
Write = Callable[..., str]


def imports(simulator: Simulator) -> int:
    return sum(call.method == "PUT /import_raw_vdi" for call in simulator.calls)


def test_first_run_uploads_and_clones_the_second_vm_only_clones(run_served: Run, simulator: Simulator, image: Write) -> None:
    path = image()
    first = run_served("xen_image", image=path, vm="web1", userdevice=1)
    assert first.writes == [
        "Async.VDI.create",
        "PUT /import_raw_vdi",
        "VDI.set_other_config",
        "VDI.clone",
        "VDI.add_to_other_config",  # claims the clone
        "VDI.set_name_label",
        "VDI.set_other_config",
        "VBD.create",
    ]
    assert first["transfer"]["bytes_total"] == SIZE
    assert first["transfer"]["bytes_sent"] < 200_000, "zeros went over the network"
    second = run_served("xen_image", image=path, vm="web2", userdevice=1)
    assert second.writes == first.writes[3:]
    assert "transfer" not in second.result
    assert imports(simulator) == 1
    for name in ("web1", "web2"):
        assert content_of(simulator, the(simulator, "VDI", name)["ref"]) == DISK
    again = run_served("xen_image", image=path, vm="web1", userdevice=1)
    assert (again.changed, again.writes) == (False, [])


def test_cached_image_is_marked_as_the_old_driver_did(run_served: Run, simulator: Simulator, image: Write) -> None:
    run_served("xen_image", image=image(), name="root", image_id="5f1a", checksum=f"sha256:{hashlib.sha256(DISK).hexdigest()}", properties={"os_type": "linux"})
    cached = the(simulator, "VDI", "Glance Image 5f1a")
    keys = cached["other_config"]
    assert cached["name_description"] == "root"
    assert int(keys.pop("cached-time")) > 1_700_000_000
    assert keys == {
        "image-id": "5f1a",
        "nova_disk_type": "root",
        "image_property:os_type": "linux",
        "xen_ansible:cached": cached["uuid"],
        KEY: f"image sha256:{hashlib.sha256(DISK).hexdigest()}",
    }
    clone = the(simulator, "VDI", "root")["other_config"]
    assert not {"image-id", "cached-time", "xen_ansible:cached", "xen_ansible:run"} & clone.keys()
    assert clone["image_property:os_type"] == "linux"


def test_a_disk_is_attached_bootable_at_device_0(run_served: Run, simulator: Simulator, image: Write) -> None:
    session = simulator.session()
    vm = the(simulator, "VM", "web1")
    (old,) = (ref for ref in vm["VBDs"] if session.VBD.get_type(ref) == "Disk")
    session.VBD.destroy(old)
    run_served("xen_image", image=image(), vm="web1")
    (vbd,) = (record for record in simulator.records("VBD").values() if record["VM"] == vm["ref"])
    assert {key: vbd[key] for key in ("userdevice", "bootable", "mode", "type", "empty")} == {
        "userdevice": "0",
        "bootable": True,
        "mode": "RW",
        "type": "Disk",
        "empty": False,
    }


def test_a_running_vm_gets_its_disk_plugged(run_served: Run, simulator: Simulator, image: Write) -> None:
    start(simulator, "web1")
    outcome = run_served("xen_image", image=image(), vm="web1", userdevice=1)
    assert outcome["vdi"]["attachments"][0]["plugged"]


@pytest.mark.parametrize(
    ("pack", "name"),
    [pytest.param(vhd, "x.vhd", id="VHD"), pytest.param(gzip.compress, "x.gz", id="gz"), pytest.param(bytes, "x.raw", id="raw")],
)
@pytest.mark.parametrize("cache", [True, False], ids=["cached", "direct"])
def test_every_way_gives_the_same_disk(pack: Callable[[bytes], bytes], name: str, cache: bool, run_served: Run, simulator: Simulator, image: Write) -> None:
    outcome = run_served("xen_image", image=image(pack(DISK), name), name="root", cache=cache)
    assert not outcome.failed, outcome.result
    assert content_of(simulator, the(simulator, "VDI", "root")["ref"]) == DISK
    assert len([record for record in simulator.records("VDI").values() if "image-id" in record["other_config"]]) == cache


def test_an_image_of_odd_size_keeps_its_content_exactly(run_served: Run, simulator: Simulator, image: Write) -> None:
    odd = disk()[: 5 * MIB] + b"tail"
    outcome = run_served("xen_image", image=image(odd), name="odd", format="raw")
    assert not outcome.failed, outcome.result
    assert outcome["vdi"]["size"] == 6 * MIB
    assert content_of(simulator, the(simulator, "VDI", "odd")["ref"]) == odd + bytes(MIB - 4)


def test_a_larger_disk_grows_after_cloning(run_served: Run, simulator: Simulator, image: Write) -> None:
    path = image()
    outcome = run_served("xen_image", image=path, name="root", size="64MiB")
    assert outcome["vdi"]["size"] == 64 * MIB
    assert content_of(simulator, the(simulator, "VDI", "root")["ref"]) == DISK + bytes(56 * MIB)
    assert run_served("xen_image", image=path, name="root", size="128MiB").writes == ["VDI.resize"]
    smaller = run_served("xen_image", image=path, name="root", size="64MiB")
    assert smaller.failed
    assert "cannot shrink" in smaller.msg


def test_full_copy_stands_alone(run_served: Run, simulator: Simulator, image: Write) -> None:
    outcome = run_served("xen_image", image=image(), name="copy", full_copy=True)
    assert outcome["vdi"]["parent"] is None
    assert content_of(simulator, the(simulator, "VDI", "copy")["ref"]) == DISK


def test_an_iso_becomes_a_cd_and_is_not_cached(run_served: Run, simulator: Simulator, image: Write) -> None:
    iso = bytearray(4 * MIB)
    iso[32768:32775] = b"\1CD001\1"
    path = image(bytes(iso))
    outcome = run_served("xen_image", image=path, vm="web1", userdevice=2, name="installer.iso")
    assert not outcome.failed, outcome.result
    assert outcome["vdi"]["disk_type"] == "iso"
    record = the(simulator, "VDI", "installer.iso")
    vbd = simulator.records("VBD")[record["VBDs"][0]]
    assert (vbd["type"], vbd["mode"]) == ("CD", "RO")
    assert not [record for record in simulator.records("VDI").values() if "image-id" in record["other_config"]]
    assert not run_served("xen_image", image=path, vm="web1", userdevice=2).changed


class TestRefusals:
    @pytest.mark.parametrize("check", [True, False])
    @pytest.mark.parametrize(
        ("params", "message"),
        [
            pytest.param({"image": "/no/such"}, "image '/no/such' does not exist on the machine where the module runs", id="missing"),
            pytest.param({"image": "/"}, "cannot be read", id="folder"),
            pytest.param({"checksum": "sha256:12"}, "is none; write sha256:", id="checksum"),
            pytest.param({"size": "1MiB"}, "holds a disk of 8MiB, which does not fit into size 1MiB", id="too large"),
            pytest.param({"size": "wide"}, "is no size", id="size"),
            pytest.param({"size": "8"}, "size '8' is 8 bytes, too few for a disk; write its unit", id="no unit"),
            pytest.param({"sr": "nowhere"}, "there is no storage repository 'nowhere'", id="sr"),
            pytest.param({"name": None}, "give vm or vm_uuid, or the name", id="no place"),
            pytest.param({"vm": "nobody"}, "there is no VM 'nobody'", id="vm"),
            pytest.param({"vm": "web1", "userdevice": "xyz"}, "is no device of a VM", id="device"),
            pytest.param({"format": "qcow2"}, "is no qcow2, it looks like raw", id="format"),
            pytest.param({"vm": "web1"}, "content of unknown origin and not that of", id="foreign disk"),
        ],
    )
    def test_before_anything_is_made(self, params: dict[str, Any], message: str, check: bool, run_served: Run, image: Write) -> None:
        outcome = run_served("xen_image", check=check, **{"image": image(), "name": "root", **params})
        assert outcome.failed
        assert message in outcome.msg
        assert outcome.writes == []

    def test_no_room_on_thick_storage(self, run_served: Run, image: Write) -> None:
        outcome = run_served("xen_image", image=image(), name="root", sr="Thick storage", size="30GiB")
        assert outcome.failed
        assert "has 16GiB free, but disk 'root' needs 30GiB" in outcome.msg
        assert outcome.writes == []

    def test_a_wrong_checksum_leaves_nothing(self, run_served: Run, simulator: Simulator, image: Write) -> None:
        before = set(simulator.records("VDI"))
        outcome = run_served("xen_image", image=image(), name="root", checksum=CHECKSUM)
        assert outcome.failed
        assert f"has the checksum sha256:{hashlib.sha256(DISK).hexdigest()}, not {CHECKSUM}" in outcome.msg
        assert set(simulator.records("VDI")) == before

    def test_an_image_in_use_is_not_replaced(self, run_served: Run, simulator: Simulator, image: Write) -> None:
        start(simulator, "web1")
        outcome = run_served("xen_image", image=image(), vm="web1", userdevice=0, force=True)
        assert outcome.failed
        assert "disk 'web1 root' is in use by VM 'web1' and cannot be replaced" in outcome.msg
        assert outcome.writes == []

    def test_a_disk_of_another_vm_is_not_replaced(self, run_served: Run, simulator: Simulator, image: Write) -> None:
        outcome = run_served("xen_image", image=image(), name="web1 root", force=True)
        assert outcome.failed
        assert "belongs to VM 'web1' and is not replaced" in outcome.msg


class TestReplacing:
    def test_another_image_replaces_only_with_force(self, run_served: Run, simulator: Simulator, image: Write) -> None:
        first, second = image(DISK, "first"), image(disk(2), "second")
        run_served("xen_image", image=first, vm="web1", userdevice=1)
        refused = run_served("xen_image", image=second, vm="web1", userdevice=1)
        assert refused.failed
        assert "set force to replace it" in refused.msg
        assert content_of(simulator, the(simulator, "VDI", "web1")["ref"]) == DISK
        assert run_served("xen_image", image=second, vm="web1", userdevice=1, force=True).changed
        assert content_of(simulator, the(simulator, "VDI", "web1")["ref"]) == disk(2)

    @pytest.mark.parametrize("cache", [True, False], ids=["cached", "direct"])
    def test_the_old_disk_is_back_when_the_new_one_cannot_be_attached(self, cache: bool, run_served: Run, simulator: Simulator, image: Write) -> None:
        run_served("xen_image", image=image(DISK, "first"), vm="web1", userdevice=1)
        before = the(simulator, "VDI", "web1")
        simulator.faults.add(Rule("VBD.create", error=("INTERNAL_ERROR", "no"), nth=1))
        outcome = run_served("xen_image", image=image(disk(2), "second"), vm="web1", userdevice=1, force=True, cache=cache)
        assert outcome.failed
        assert the(simulator, "VDI", "web1")["uuid"] == before["uuid"]
        (vbd,) = the(simulator, "VDI", "web1")["VBDs"]
        assert simulator.records("VBD")[vbd]["userdevice"] == "1"

    @pytest.mark.parametrize("cache", [True, False], ids=["cached", "direct"])
    @pytest.mark.parametrize(
        "method", ["task.create", "VDI.set_other_config", "VBD.destroy", "VBD.create", "Async.VDI.destroy", "VDI.remove_from_other_config"]
    )
    def test_killed_on_the_way_one_disk_is_left_in_the_end(
        self, method: str, cache: bool, run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_served("xen_image", image=image(DISK, "first"), vm="web1", userdevice=1)
        params = {"image": image(disk(2), "second"), "vm": "web1", "userdevice": 1, "force": True, "cache": cache}
        with dying(monkeypatch, method):
            assert run_served("xen_image", **params).failed
        predicted = run_served("xen_image", **params, check=True)
        outcome = run_served("xen_image", **params)
        assert not outcome.failed, outcome.result
        assert {**predicted["vdi"], "attachments": []} == {**{key: outcome["vdi"][key] for key in predicted["vdi"]}, "attachments": []}
        left = the(simulator, "VDI", "web1")
        assert [simulator.records("VBD")[vbd]["userdevice"] for vbd in left["VBDs"]] == ["1"]
        assert content_of(simulator, left["ref"]) == disk(2)
        assert not run_served("xen_image", **params).changed

    def test_a_new_version_under_the_same_id_is_uploaded(self, run_served: Run, simulator: Simulator, image: Write) -> None:
        run_served("xen_image", image=image(DISK, "one"), name="one", image_id="debian")
        run_served("xen_image", image=image(disk(2), "two"), name="two", image_id="debian")
        assert len(named(simulator, "VDI", "Glance Image debian")) == 2
        assert content_of(simulator, the(simulator, "VDI", "two")["ref"]) == disk(2)


class TestAbsent:
    def test_detached_and_removed_but_the_cached_image_stays(self, run_served: Run, simulator: Simulator, image: Write) -> None:
        run_served("xen_image", image=image(), vm="web1", userdevice=1)
        outcome = run_served("xen_image", vm="web1", userdevice=1, state="absent")
        assert outcome.writes == ["VBD.destroy", "Async.VDI.destroy"]
        assert named(simulator, "VDI", "web1") == []
        assert len([record for record in simulator.records("VDI").values() if "image-id" in record["other_config"]]) == 1

    def test_a_foreign_disk_goes_only_with_force(self, run_served: Run, simulator: Simulator) -> None:
        outcome = run_served("xen_image", vm="web1", state="absent")
        assert outcome.failed
        assert "the disk 'web1 root' at device 0 of VM 'web1' was not made from an image; set force" in outcome.msg
        assert run_served("xen_image", vm="web1", state="absent", force=True).changed
        assert named(simulator, "VDI", "web1 root") == []

    def test_one_in_use_stays(self, run_served: Run, simulator: Simulator, image: Write) -> None:
        run_served("xen_image", image=image(), vm="web1", userdevice=1)
        start(simulator, "web1")
        outcome = run_served("xen_image", vm="web1", userdevice=1, state="absent")
        assert outcome.failed
        assert "is in use by VM 'web1' and cannot be removed; halt the VM first" in outcome.msg


class TestInterruptions:
    """Whatever breaks, no unfinished disk is attached, and the next run succeeds and leaves none behind."""

    def leftovers(self, simulator: Simulator) -> list[str]:
        return [record["name_label"] for record in simulator.records("VDI").values() if record["other_config"].get(KEY, "").startswith("unfinished")]

    @pytest.mark.parametrize("cache", [True, False], ids=["cached", "direct"])
    def test_a_connection_that_breaks(self, cache: bool, run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        path = image()
        before = set(simulator.records("VDI"))
        original = _transfer.Request.send
        sent: list[int] = []

        def breaks(self: Any, data: bytes) -> None:
            sent.append(len(data))
            if len(sent) == 4:
                self._connection.sock.shutdown(socket.SHUT_RDWR)
            original(self, data)

        with monkeypatch.context() as patch:
            patch.setattr(_transfer.Request, "send", breaks)
            outcome = run_served("xen_image", image=path, vm="web1", userdevice=1, cache=cache)
        assert outcome.failed
        assert "VDI_IO_ERROR" in outcome.msg or "the connection broke" in outcome.msg
        assert set(simulator.records("VDI")) == before
        assert run_served("xen_image", image=path, vm="web1", userdevice=1, cache=cache).changed
        assert content_of(simulator, the(simulator, "VDI", "web1")["ref"]) == DISK

    @pytest.mark.parametrize(
        ("cache", "dies_at"),
        [(True, "upload"), (True, "fingerprint"), (True, "clone"), (True, "attach"), (False, "upload"), (False, "fingerprint"), (False, "attach")],
    )
    def test_a_controller_that_is_killed(
        self, cache: bool, dies_at: str, run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As if the process ended there: nothing of ours runs any more, so nothing is cleaned up."""
        path = image()
        points = {"upload": "task.create", "fingerprint": "VDI.set_other_config", "clone": "VDI.set_name_label", "attach": "VBD.create"}
        dead: list[bool] = []
        original = xenapi_session.Session.call

        def call(self: Any, method: str, *arguments: Any) -> Any:
            if dead or method == points[dies_at]:
                dead.append(True)
                raise XenError("the process is dead")
            return original(self, method, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(xenapi_session.Session, "call", call)
            run_served("xen_image", image=path, vm="web1", userdevice=1, cache=cache)
        attached = [record for record in simulator.records("VBD").values() if record["userdevice"] == "1" and record["type"] == "Disk"]
        assert attached == []
        outcome = run_served("xen_image", image=path, vm="web1", userdevice=1, cache=cache)
        assert not outcome.failed, outcome.result
        assert self.leftovers(simulator) == []
        assert content_of(simulator, the(simulator, "VDI", "web1")["ref"]) == DISK
        assert not run_served("xen_image", image=path, vm="web1", userdevice=1, cache=cache).changed

    def test_a_full_repository_says_so_and_keeps_nothing(self, run_served: Run, simulator: Simulator, image: Write) -> None:
        before = set(simulator.records("VDI"))
        sr = the(simulator, "SR", "NFS storage")

        async def fill() -> None:
            repository = simulator.engine.behaviours["SR"].repository(sr["ref"])
            repository.size = repository.used + MIB // 16
            simulator.engine.db.set("SR", sr["ref"], "physical_size", repository.size)

        simulator.run(fill())
        outcome = run_served("xen_image", image=image(), name="root")
        assert outcome.failed
        assert "storage repository 'NFS storage' is full" in outcome.msg
        assert set(simulator.records("VDI")) == before

    def test_a_failed_attachment_takes_the_clone_back_but_keeps_the_cache(self, run_served: Run, simulator: Simulator, image: Write) -> None:
        simulator.faults.add(Rule("VBD.create", error=("DEVICE_ALREADY_EXISTS", "1")))
        outcome = run_served("xen_image", image=image(), vm="web1", userdevice=1)
        assert outcome.failed
        assert named(simulator, "VDI", "web1") == []
        assert len([record for record in simulator.records("VDI").values() if "image-id" in record["other_config"]]) == 1


SCRIPT = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.xapi.xenserver.plugins.modules import xen_image
with patch_module_args(json.loads(sys.argv[1])):
    xen_image.main()
"""


def test_a_run_takes_up_its_own_disk_only(run_served: Run, simulator: Simulator, image: Write) -> None:
    """A disk that stayed of a VM that was removed holds what its guest wrote, whatever it was made of."""
    path = image()

    def detached(owner: str, **more: str) -> str:
        vdi = run_served("xen_image", image=path, vm="web1", userdevice=1, name="disk", owner=owner, **more)["vdi"]
        session = simulator.session()
        for drive in session.VDI.get_VBDs(session.VDI.get_by_uuid(vdi["uuid"])):
            session.VBD.destroy(drive)
        return str(vdi["uuid"])

    stayed = detached("gone")
    ours = detached("ours", run_id="run-1")
    assert ours != stayed
    assert detached("ours", run_id="run-2") == ours


def test_a_clone_that_found_its_owner_meanwhile_is_left_to_it(run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lay there unclaimed when it was looked at; its maker, outside of a run, was done with it when it was claimed."""
    path = image()
    run_served("xen_image", image=path, vm="web1", userdevice=1)
    session = simulator.session()
    (cached,) = [ref for ref, record in simulator.records("VDI").items() if record["name_label"].startswith("Glance Image") and record["managed"]]
    clone = session.VDI.clone(cached, {})
    real = _image_clone._spare

    def late(job: Any) -> str:
        if simulator.records("VDI")[clone]["name_label"] != "of another":
            session.VDI.set_name_label(clone, "of another")
            session.VDI.set_other_config(clone, {"nova_disk_type": "root"})
        return real(job)

    monkeypatch.setattr(_image_clone, "_spare", late)
    outcome = run_served("xen_image", image=path, vm="web2", userdevice=1)
    assert outcome["vdi"]["uuid"] != session.VDI.get_uuid(clone)
    assert simulator.records("VDI")[clone]["name_label"] == "of another"
    assert simulator.records("VDI")[clone]["other_config"] == {"nova_disk_type": "root"}


class TestForks:
    def test_processes_at_the_same_time_upload_once(self, simulator: Simulator, image: Write, tmp_path: Path) -> None:
        server = simulator.serve(tls=False, http=True)
        path = image()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
        processes = []
        for number in range(4):
            params = {"hostname": server.url, "password": simulator.password, "image": path, "name": f"disk {number}"}
            command = [sys.executable, "-c", SCRIPT, json.dumps(params)]
            processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        for process in processes:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, out + err
        assert imports(simulator) == 1
        for number in range(4):
            assert content_of(simulator, the(simulator, "VDI", f"disk {number}")["ref"]) == DISK

    def test_a_second_task_waits_and_uses_what_the_first_uploaded(
        self, run_served: Run, simulator: Simulator, image: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first task is played by one that holds the lock; while the second waits, the image appears."""
        path = image()
        real = _lock._acquired
        waiting = threading.Event()

        def acquired(descriptor: int, timeout: float) -> bool:
            waiting.set()
            return real(descriptor, timeout)

        sr = the(simulator, "SR", "NFS storage")
        digest = f"sha256:{hashlib.sha256(DISK).hexdigest()}"
        holder = os.open(_lock._path(_image_cache.lock_name(sr, digest)), os.O_RDWR | os.O_CREAT)
        fcntl.flock(holder, fcntl.LOCK_EX)

        def first() -> None:
            assert waiting.wait(10)
            session = simulator.session()
            keys = {KEY: f"image {digest}", "image-id": digest, "cached-time": "1700000000", "nova_disk_type": "root"}
            new_disk(session, sr["ref"], f"Glance Image {digest}", SIZE, other_config=keys)
            os.close(holder)

        monkeypatch.setattr(_lock, "_acquired", acquired)
        thread = threading.Thread(target=first)
        thread.start()
        outcome = run_served("xen_image", image=path, checksum=digest, name="root")
        thread.join()
        assert not outcome.failed, outcome.result
        assert outcome["transfer"] == {}
        assert imports(simulator) == 0
        assert len(named(simulator, "VDI", f"Glance Image {digest}")) == 1

    def test_waiting_ends(self, run_served: Run, simulator: Simulator, image: Write) -> None:
        sr = the(simulator, "SR", "NFS storage")
        digest = f"sha256:{hashlib.sha256(DISK).hexdigest()}"
        holder = os.open(_lock._path(_image_cache.lock_name(sr, digest)), os.O_RDWR | os.O_CREAT)
        fcntl.flock(holder, fcntl.LOCK_EX)
        try:
            outcome = run_served("xen_image", image=image(), checksum=digest, name="root", timeout=0.2)
        finally:
            os.close(holder)
        assert outcome.failed
        assert "gave up waiting for another task to upload image image after 0.2 seconds" in outcome.msg
        assert outcome.writes == []

    def test_the_lock_of_another_user_is_not_trusted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        (tmp_path / f"xen_ansible-{os.getuid()}").mkdir(mode=0o777)
        (tmp_path / f"xen_ansible-{os.getuid()}").chmod(0o777)
        with pytest.raises(XenError, match="not a folder of this user alone"), _lock.locked("x", timeout=1, what="x"):
            pass


def test_memory_stays_small_whatever_the_size(tmp_path: Path) -> None:
    """The stages between file and wire, in a process of their own: 1 GiB of data in at most 64 MiB more than at the start."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        for number in range(1024):
            file.write(bytes([number % 255 + 1]) * MIB)
    script = (
        "import resource, sys\n"
        "from ansible_collections.xapi.xenserver.plugins.module_utils._image_bytes import Origin\n"
        "from ansible_collections.xapi.xenserver.plugins.module_utils._image_source import opened\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "with opened(Origin(sys.argv[1], 'sha256:' + '0' * 64), 'auto') as image:\n"
        "    try:\n"
        "        print(sum(len(extent.data) for extent in image.extents()))\n"
        "    except Exception as error:\n"
        "        assert 'checksum' in str(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, env=environment)
    path.unlink()
    assert int(done.stdout) < 64 * 1024
