# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _iso_image
from simulator import Failure, Rule, Simulator

from ..conftest import Outcome, Run
from ..scenario import Do, Scenario
from .generated import CONTENT, address, at_device, blkid, disk_file, dying, run_tool, streaming, tool
from .machines import MACHINES, MIB, attach, named, new_disk, start, the

SENT = ("transfer",)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvAC3E6bBHOhsTt2x1g2jTTCM6zjXYrXEZ6vBJ2xk3F admin"
SCENARIO = Scenario(
    Do(streaming(vm="web1", public_keys={"admin": KEY}, admin_password="secret of web1"), told=SENT),
    Do(streaming(vm="web1", public_keys={"admin": KEY}, admin_password="another secret"), told=SENT),
    Do(streaming(vm="web1", user_data="#!/bin/sh\n", format="nocloud"), told=SENT),
    Do(streaming(vm="web2", filesystem="vfat", attach_as="disk", userdevice="xvde", meta={"a": 1}), told=SENT),
    Do({"vm": "web2", "userdevice": 4, "state": "absent"}),
    Do({"vm": "web1", "state": "absent"}),
    world=MACHINES,
)
pytestmark = pytest.mark.world(MACHINES)
WRITTEN = ["VDI.create", "PUT /import_raw_vdi", "VDI.set_other_config"]
# Versions of the layout and what each has, from driver-operations §6.5.
VERSIONS = ["2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27", "latest"]
SINCE = {"meta_data.json": "2012-08-10", "user_data": "2012-08-10", "vendor_data.json": "2013-10-17", "network_data.json": "2015-10-15"}
SINCE["vendor_data2.json"] = "2016-10-06"
KEYS_SINCE = {"random_seed": "2013-04-04", "project_id": "2015-10-15", "devices": "2016-06-30"}
OPENSTACK_NETWORK: dict[str, Any] = {
    "links": [{"id": "tap0", "type": "vif", "ethernet_mac_address": "02:16:3e:00:00:01", "mtu": 1450}],
    "networks": [
        {
            "id": "network0",
            "type": "ipv4",
            "link": "tap0",
            "ip_address": "192.0.2.7",
            "netmask": "255.255.255.0",
            "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"}],
        }
    ],
    "services": [{"type": "dns", "address": "192.0.2.53"}],
}
VERSION_2 = {
    "version": 2,
    "ethernets": {
        "tap0": {
            "match": {"macaddress": "02:16:3e:00:00:01"},
            "mtu": 1450,
            "addresses": ["192.0.2.7/24"],
            "routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1"}],
            "nameservers": {"addresses": ["192.0.2.53"]},
        }
    },
}
EVERYTHING = {
    "user_data": "#cloud-config\npackages: [nginx]\n# Grüße\n",
    "public_keys": {"admin": KEY},
    "meta": {"role": "web", "number": 7},
    "admin_password": "s3cret of web1",
    "files": [{"path": "/etc/motd", "content": "hello\n"}, {"path": "/etc/b", "content": "b"}],
    "network": OPENSTACK_NETWORK,
    "guest_hostname": "web1.example.com",
    "instance_id": "3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2",
}


@pytest.fixture
def drive(run_module: Run, simulator: Simulator) -> Run:
    return lambda **params: run_module("xen_configdrive", **{"hostname": address(simulator), "vm": "web1", **params})


def extracted(simulator: Simulator, folder: Path, number: int = 3) -> Path:
    """The files of the drive at a device, unpacked by xorriso or mcopy."""
    disk = disk_file(simulator, at_device(simulator, "web1", number)[1]["ref"], folder / "drive.img")
    target = folder / "files"
    target.mkdir()
    if blkid(disk)["TYPE"] == "vfat":
        run_tool(tool("mcopy", "mtools"), "-s", "-i", disk, "::/", target)
    else:
        run_tool(tool("xorriso", "xorriso"), "-osirrox", "on", "-indev", disk, "-extract", "/", target)
    return target


def cloud_init(folder: Path, kind: str) -> dict[str, Any]:
    """What cloud-init's own data source makes of the files."""
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import cloudinit.sources"], capture_output=True, check=False).returncode:
        pytest.skip("cloud-init is not installed (Debian package cloud-init)")
    found: dict[str, Any] = json.loads(run_tool(python, Path(__file__).with_name("cloud_init_reader.py"), folder, kind))
    assert found["found"] is True
    return found


class TestOpenStack:
    def test_label_and_tree_of_all_versions(self, drive: Run, simulator: Simulator, tmp_path: Path) -> None:
        assert drive(**EVERYTHING).changed
        files = extracted(simulator, tmp_path)
        found = blkid(tmp_path / "drive.img")
        assert (found["TYPE"], found["LABEL"]) == ("iso9660", "config-2")
        assert sorted(path.name for path in (files / "openstack").iterdir()) == sorted([*VERSIONS, "content"])
        for version in VERSIONS:
            expected = {name for name, since in SINCE.items() if version >= since}
            assert {path.name for path in (files / "openstack" / version).iterdir()} == expected, version
            meta = json.loads((files / "openstack" / version / "meta_data.json").read_text())
            assert KEYS_SINCE.keys() & meta.keys() == {name for name, since in KEYS_SINCE.items() if version >= since}, version
        assert sorted(str(path.relative_to(files)) for path in files.glob("ec2/*/*")) == [
            "ec2/2009-04-04/meta-data.json",
            "ec2/2009-04-04/user-data",
            "ec2/latest/meta-data.json",
            "ec2/latest/user-data",
        ]

    def test_cloud_init_reads_what_was_put_in(self, drive: Run, simulator: Simulator, tmp_path: Path) -> None:
        drive(**EVERYTHING)
        found = cloud_init(extracted(simulator, tmp_path), "ConfigDrive")
        assert found["instance_id"] == EVERYTHING["instance_id"]
        assert found["hostname"] == "web1"
        assert found["keys"] == [KEY]
        assert base64.b64decode(found["user_data"]).decode() == EVERYTHING["user_data"]
        assert found["metadata"]["admin_pass"] == "s3cret of web1"
        assert found["metadata"]["meta"] == {"role": "web", "number": "7"}
        assert found["network_json"] == OPENSTACK_NETWORK
        (card, *_servers) = found["network_config"]["config"]
        assert (card["name"], card["mac_address"]) == ("eth0", "02:16:3e:00:00:01")
        assert (card["subnets"][0]["address"], card["subnets"][0]["netmask"]) == ("192.0.2.7", "255.255.255.0")
        assert {path: base64.b64decode(data) for path, data in found["files"].items()} == {"/etc/motd": b"hello\n", "/etc/b": b"b"}
        assert len(base64.b64decode(found["metadata"]["random_seed"])) == 512

    @pytest.mark.parametrize("wrapped", [False, True])
    def test_version_2_becomes_network_data(self, drive: Run, simulator: Simulator, tmp_path: Path, wrapped: bool) -> None:
        drive(network={"network": VERSION_2} if wrapped else VERSION_2)
        data = json.loads((extracted(simulator, tmp_path) / "openstack/latest/network_data.json").read_text())
        assert data == {**OPENSTACK_NETWORK, "links": [{**OPENSTACK_NETWORK["links"][0], "type": "phy"}]}

    def test_version_1_becomes_network_data(self, drive: Run, simulator: Simulator, tmp_path: Path) -> None:
        subnet = {"type": "static", "address": "192.0.2.7", "netmask": "255.255.255.0", "gateway": "192.0.2.1", "dns_nameservers": ["192.0.2.53"]}
        drive(network={"version": 1, "config": [{"type": "physical", "name": "tap0", "mac_address": "02:16:3E:00:00:01", "mtu": 1450, "subnets": [subnet]}]})
        data = json.loads((extracted(simulator, tmp_path) / "openstack/latest/network_data.json").read_text())
        assert data == {**OPENSTACK_NETWORK, "links": [{**OPENSTACK_NETWORK["links"][0], "type": "phy"}]}

    def test_template_of_the_network_is_the_first_content(self, drive: Run, simulator: Simulator, tmp_path: Path) -> None:
        drive(network_template="auto lo\n", files=[{"path": "/a", "content": "a"}])
        files = extracted(simulator, tmp_path)
        assert [(files / f"openstack/content/{number:04d}").read_text() for number in (0, 1)] == ["auto lo\n", "a"]
        meta = json.loads((files / "openstack/latest/meta_data.json").read_text())
        assert meta["network_config"]["content_path"] == "/content/0000"
        assert meta["files"] == [{"path": "/a", "content_path": "/content/0001"}]

    def test_defaults_come_from_the_vm(self, drive: Run, simulator: Simulator, tmp_path: Path) -> None:
        drive()
        meta = json.loads((extracted(simulator, tmp_path) / "openstack/latest/meta_data.json").read_text())
        assert (meta["uuid"], meta["hostname"], meta["name"]) == (the(simulator, "VM", "web1")["uuid"], "web1", "web1")
        assert "admin_pass" not in meta

    def test_seed_is_made_once_and_kept_by_the_drive_that_comes_after(self, drive: Run, simulator: Simulator, tmp_path: Path) -> None:
        seeds = []
        for number, key in enumerate(({}, {"admin": KEY})):
            (tmp_path / str(number)).mkdir()
            assert drive(public_keys=key).changed
            files = extracted(simulator, tmp_path / str(number))
            seeds.append(json.loads((files / "openstack/latest/meta_data.json").read_text())["random_seed"])
        assert seeds[0] == seeds[1]
        drive(vm="web2")
        other = disk_file(simulator, at_device(simulator, "web2", 3)[1]["ref"], tmp_path / "other")
        assert json.loads(_iso_image.read_iso(str(other))["openstack/latest/meta_data.json"])["random_seed"] != seeds[0]

    def test_vfat(self, drive: Run, simulator: Simulator, tmp_path: Path) -> None:
        drive(filesystem="vfat", attach_as="disk", **EVERYTHING)
        files = extracted(simulator, tmp_path)
        assert blkid(tmp_path / "drive.img")["LABEL"] == "config-2"
        run_tool(tool("fsck.vfat", "dosfstools"), "-n", tmp_path / "drive.img")
        assert cloud_init(files, "ConfigDrive")["keys"] == [KEY]


class TestNoCloud:
    def test_cloud_init_reads_what_was_put_in(self, drive: Run, simulator: Simulator, tmp_path: Path) -> None:
        outcome = drive(format="nocloud", **EVERYTHING)
        assert outcome["vdi"]["name"] == "cidata"
        files = extracted(simulator, tmp_path)
        assert blkid(tmp_path / "drive.img")["LABEL"] == "cidata"
        found = cloud_init(files, "NoCloud")
        assert found["instance_id"] == EVERYTHING["instance_id"]
        assert found["hostname"] == "web1"
        assert found["keys"] == [KEY]
        assert found["metadata"]["role"] == "web"
        assert base64.b64decode(found["user_data"]).decode() == EVERYTHING["user_data"]
        assert found["network_config"] == VERSION_2
        vendor = base64.b64decode(found["vendor_data"]).decode()
        assert vendor.startswith("#cloud-config\n")
        config = json.loads(vendor.partition("\n")[2])
        assert (config["password"], config["chpasswd"]) == ("s3cret of web1", {"expire": False})
        assert [(item["path"], base64.b64decode(item["content"])) for item in config["write_files"]] == [("/etc/motd", b"hello\n"), ("/etc/b", b"b")]


class TestAttachment:
    def test_as_a_cd(self, drive: Run, simulator: Simulator) -> None:
        outcome = drive()
        assert outcome.writes == ["VDI.create", "PUT /import_raw_vdi", "VDI.set_other_config", "VBD.create"]
        vbd, vdi = at_device(simulator, "web1", 3)
        assert (vbd["type"], vbd["mode"], vbd["empty"], vbd["bootable"]) == ("CD", "RO", False, False)
        assert (vdi["name_label"], vdi["name_description"], vdi["virtual_size"]) == ("config-2", "configdrive", 64 * MIB)
        assert vdi["other_config"]["nova_disk_type"] == "configdrive"

    def test_as_a_read_only_disk(self, drive: Run, simulator: Simulator) -> None:
        """driver-rows 24."""
        drive(attach_as="disk")
        vbd, _vdi = at_device(simulator, "web1", 3)
        assert (vbd["type"], vbd["mode"], vbd["bootable"]) == ("Disk", "RO", False)

    def test_from_one_to_the_other_without_another_disk(self, drive: Run, simulator: Simulator) -> None:
        uuid = drive(attach_as="disk")["vdi"]["uuid"]
        outcome = drive(attach_as="cd")
        assert outcome.writes == ["VBD.destroy", "VBD.create"]
        assert (outcome["vdi"]["uuid"], outcome["vbd"]["type"]) == (uuid, "cd")
        assert not drive(attach_as="cd").changed

    def test_empty_drive_that_is_there_is_used(self, drive: Run, simulator: Simulator) -> None:
        empty_drive(simulator)
        assert drive().writes == ["VDI.create", "PUT /import_raw_vdi", "VDI.set_other_config", "Async.VBD.insert"]
        assert not drive().changed

    def test_medium_of_others_is_only_ejected_and_only_by_force(self, drive: Run, simulator: Simulator) -> None:
        session = simulator.session()
        iso = new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "installer")
        session.VBD.insert(empty_drive(simulator), iso)
        refused = drive()
        assert (refused.failed, refused.writes) == (True, [])
        assert "device 3 of VM 'web1' is in use by disk 'installer' of 1GiB, which this module did not make" in refused.msg
        assert drive(force=True).writes[-2:] == ["Async.VBD.eject", "Async.VBD.insert"]
        assert iso in simulator.records("VDI")

    def test_running_vm_gets_another_medium(self, drive: Run, simulator: Simulator) -> None:
        drive()
        start(simulator, "web1")
        old = at_device(simulator, "web1", 3)[1]["uuid"]
        outcome = drive(public_keys={"admin": KEY})
        assert outcome.writes == [*WRITTEN, "Async.VBD.eject", "Async.VBD.insert", "Async.VDI.destroy", "VDI.remove_from_other_config"]
        assert at_device(simulator, "web1", 3)[1]["uuid"] != old
        assert len(named(simulator, "VDI", "config-2")) == 1
        assert drive(state="absent").writes == ["Async.VBD.eject", "Async.VDI.destroy"]
        assert at_device(simulator, "web1", 3)[0]["empty"] is True

    @pytest.mark.parametrize("other", [False, True], ids=["same", "other"])
    @pytest.mark.parametrize("method", ["VDI.set_other_config", "Async.VBD.eject", "Async.VBD.insert", "Async.VDI.destroy"])
    def test_killed_run_leaves_no_old_drive_with_its_secrets(
        self, drive: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, method: str, other: bool
    ) -> None:
        drive(admin_password="first")
        start(simulator, "web1")
        with dying(monkeypatch, method):
            assert drive(admin_password="second").failed
        password = "third" if other else "second"
        assert not drive(admin_password=password).failed
        (left,) = named(simulator, "VDI", "config-2")
        assert left["uuid"] == at_device(simulator, "web1", 3)[1]["uuid"]
        assert not drive(admin_password=password).changed

    def test_running_vm_sees_a_new_drive_later(self, drive: Run, simulator: Simulator) -> None:
        start(simulator, "web1")
        for attach_as in ("cd", "disk"):
            outcome = drive(attach_as=attach_as, userdevice={"cd": 3, "disk": 4}[attach_as])
            assert "VM 'web1' is not halted: it sees disk 'config-2' after its next start" in str(outcome["warnings"])
            assert outcome["vbd"]["plugged"] is False

    def test_read_only_disk_is_not_plugged_into_a_running_vm(self, drive: Run, simulator: Simulator) -> None:
        """The pool refuses that of an HVM guest (recording images): attached now, seen at the next start; check mode says the same."""
        session = start(simulator, "web1")
        checked, real = drive(attach_as="disk", check=True), drive(attach_as="disk")
        assert "VM 'web1' is not halted: it sees disk 'config-2' after its next start" in str(checked["warnings"])
        assert checked["warnings"] == real["warnings"]
        assert checked["vbd"].items() <= real["vbd"].items()
        assert (real["vbd"]["plugged"], real["vbd"]["mode"], real["vbd"]["userdevice"]) == (False, "ro", 3)
        assert not [method for method in real.methods if method.endswith("plug")]
        vbd, vm = session.VBD.get_by_uuid(real["vbd"]["uuid"]), the(simulator, "VM", "web1")["ref"]
        with pytest.raises(Failure, match="DISK_VBD_MUST_BE_READWRITE_FOR_HVM"):
            session.VBD.plug(vbd)
        assert not drive(attach_as="disk").changed
        session.VM.hard_reboot(vm)
        assert session.VBD.get_currently_attached(vbd) is True

    def test_old_medium_is_back_when_the_new_one_does_not_go_in(self, drive: Run, simulator: Simulator) -> None:
        drive()
        old = at_device(simulator, "web1", 3)[1]["uuid"]
        simulator.faults.add(Rule("VBD.insert", error=("INTERNAL_ERROR", "no"), times=1))
        assert drive(public_keys={"admin": KEY}).failed
        assert at_device(simulator, "web1", 3)[1]["uuid"] == old

    def test_it_goes_with_its_vm(self, drive: Run, run_module: Run, simulator: Simulator) -> None:
        drive()
        run_module("xen_vm", name="web1", state="absent", destroy_disks=True)
        assert named(simulator, "VDI", "config-2") == []


class TestSecrets:
    def test_password_is_shown_nowhere_but_on_the_drive(self, drive: Run, simulator: Simulator) -> None:
        secret, told = "hunter2-of-web1", "#!/bin/sh\necho token-of-web1\n"
        outcome = drive(admin_password=secret, user_data=told, files=[{"path": "/a", "content": "private-of-web1"}])
        records = [simulator.records(cls) for cls in ("VDI", "VBD", "VM", "task")]
        for place in (outcome.result, records, [call.params for call in outcome.calls]):
            text = json.dumps(place, default=str)
            assert "hunter2" not in text
            assert "token-of-web1" not in text
            assert "private-of-web1" not in text

    def test_mark_is_slow_to_guess(self, drive: Run, simulator: Simulator) -> None:
        drive(admin_password="hunter2")
        assert at_device(simulator, "web1", 3)[1]["other_config"][CONTENT].startswith("configdrive scrypt:")

    def test_same_content_on_two_vms_has_two_marks(self, drive: Run, simulator: Simulator) -> None:
        marks = {drive(vm=name, instance_id="same", guest_hostname="same", admin_password="x")["vdi"]["content"] for name in ("web1", "web2")}
        assert len(marks) == 2

    def test_another_password_is_another_drive(self, drive: Run) -> None:
        drive(admin_password="one")
        assert drive(admin_password="two", check=True).changed


def test_large_files_make_a_larger_image(drive: Run, simulator: Simulator, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 4 * 1024 * 70)
    outcome = drive(files=[{"path": "/srv/large", "src": str(large)}])
    assert outcome["vdi"]["size"] > 64 * MIB
    assert (extracted(simulator, tmp_path) / "openstack/content/0000").read_bytes() == large.read_bytes()
    assert not drive(files=[{"path": "/srv/large", "src": str(large)}]).changed
    large.write_bytes(b"other")
    assert drive(files=[{"path": "/srv/large", "src": str(large)}], check=True).changed
    large.write_bytes(bytes(70 * MIB))
    assert "a vfat drive has 67108864" in drive(files=[{"path": "/l", "src": str(large)}], filesystem="vfat", attach_as="disk").msg


def test_missing_library_is_told_before_anything_is_made(drive: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_iso_image, "MISSING", "ImportError")
    outcome: Outcome = drive()
    assert (outcome.failed, outcome.writes) == (True, [])
    assert "Failed to import the required Python library (pycdlib)" in outcome.msg
    assert "python3-pycdlib" in outcome.msg


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"filesystem": "vfat"}, "a CD holds ISO 9660, not vfat; set attach_as to disk", id="vfat cd"),
        pytest.param({"public_keys": {"a": "nonsense"}}, "public_keys 'a' is no public SSH key", id="key"),
        pytest.param({"files": [{"path": "etc/motd", "content": ""}]}, "files: path 'etc/motd' is not absolute", id="relative"),
        pytest.param({"files": [{"path": "/a", "src": "/no/such"}]}, "files: src '/no/such' cannot be read: No such file", id="src"),
        pytest.param({"files": [{"path": "/a"}]}, "one of the following is required: content, src", id="nothing"),
        pytest.param({"format": "nocloud", "vendor_data2": {"a": 1}}, "vendor_data2 cannot be told by format nocloud", id="vendor_data2"),
        pytest.param({"network": {"eth0": "dhcp"}}, "network is no network configuration", id="network"),
        pytest.param({"network": {"version": 2, "bonds": {}}}, "network: bonds of network cannot be turned into OpenStack's network_data", id="bonds"),
        pytest.param({"network": {"version": 2, "ethernets": {"eth0": {"dhcp4": True}}}}, "ethernets eth0 has no MAC address", id="no mac"),
        pytest.param({"network": {"version": 1, "config": [{"type": "bond", "name": "b"}]}}, "network: a bond cannot be turned", id="bond"),
    ],
)
def test_refuses(drive: Run, params: dict[str, Any], message: str) -> None:
    for check in (True, False):
        outcome = drive(check=check, **params)
        assert outcome.failed
        assert message in outcome.msg
        assert outcome.writes == []


def empty_drive(simulator: Simulator) -> str:
    vm = the(simulator, "VM", "web1")["ref"]
    return attach(simulator.session(), vm, "OpaqueRef:NULL", "3", type="CD", mode="RO", empty=True, unpluggable=False)
