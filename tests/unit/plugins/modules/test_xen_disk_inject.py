# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from simulator import Rule, Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Run
from ..scenario import Do, Scenario
from .filesystems import DATA, attached, file_in, filesystem_disk, load, looked_at
from .generated import address, at_device, streaming, tool
from .machines import MACHINES, MIB, named, new_disk, start, the

SIZE = 48 * MIB
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample admin@example.com"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOther ops@example.com"


def one_disk(session: MemorySession, folder: Path | None = None, **made: Any) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        ref = load(session, filesystem_disk((folder or Path(scratch)) / "made", SIZE, **made), "data")
    attached(session, "web1", ref)
    return ref


SCENARIO = Scenario(
    Do(streaming(vm="web1", userdevice="4", ssh_keys=[KEY]), told=("transfer", "filesystem")),
    Do(streaming(vm="web1", userdevice="4", ssh_keys=[KEY], files=[{"path": "/etc/motd", "content": "hello"}]), told=("transfer", "filesystem")),
    world=MACHINES,
    prepare=one_disk,
)
pytestmark = pytest.mark.world(MACHINES)


@pytest.fixture
def inject(run_module: Run, simulator: Simulator) -> Run:
    return lambda **params: run_module("xen_disk_inject", **{"hostname": address(simulator), "vm": "web1", "userdevice": "4", **params})


def part(simulator: Simulator, tmp_path: Path) -> Path:
    return looked_at(simulator, at_device(simulator, "web1", 4)[1]["ref"], tmp_path / "seen")[1]


def stat(part: Path, path: str) -> tuple[str, int, int, int]:
    """Type, mode, user and group of a file, as debugfs sees them."""
    done = subprocess.run([tool("debugfs", "e2fsprogs"), "-R", f"stat {path}", str(part)], capture_output=True, text=True, check=True)
    found = re.search(r"Type: (\w+)\s+Mode:\s+(\d+).*?User:\s+(\d+)\s+Group:\s+(\d+)", done.stdout, re.DOTALL)
    assert found, done.stdout + done.stderr
    return found[1], int(found[2], 8), int(found[3]), int(found[4])


@pytest.mark.parametrize("kind", ["ext3", "ext4", "ext2"])
def test_key_is_there_for_root_alone(inject: Run, simulator: Simulator, tmp_path: Path, kind: str) -> None:
    one_disk(simulator.session(), tmp_path, kind=kind)
    outcome = inject(ssh_keys=[KEY])
    assert not outcome.failed, outcome.result
    seen = part(simulator, tmp_path)
    assert KEY in file_in(seen, "/root/.ssh/authorized_keys").decode().splitlines()
    assert stat(seen, "/root/.ssh/authorized_keys") == ("regular", 0o600, 0, 0)
    assert stat(seen, "/root/.ssh") == ("directory", 0o700, 0, 0)
    assert file_in(seen, "/data") == DATA
    assert outcome["filesystem"] == kind
    assert outcome["transfer"]["bytes_sent"] < 8 * MIB


def test_keys_are_added_once(inject: Run, simulator: Simulator, tmp_path: Path) -> None:
    one_disk(simulator.session(), tmp_path)
    inject(ssh_keys=[KEY])
    inject(ssh_keys=[OTHER_KEY, KEY, OTHER_KEY])
    lines = file_in(part(simulator, tmp_path), "/root/.ssh/authorized_keys").decode().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [KEY, OTHER_KEY]


def test_network_metadata_and_files(inject: Run, simulator: Simulator, tmp_path: Path) -> None:
    one_disk(simulator.session(), tmp_path)
    nics = [
        {"dhcp": True},
        {"mac": "02:16:3E:00:00:01", "address": "192.0.2.5/24", "gateway": "192.0.2.1", "dns": ["192.0.2.2", "192.0.2.3"], "address6": "2001:db8::5/64"},
    ]
    file: dict[str, Any] = {"path": "/opt/app/config.d/one.conf", "content": "näme=1\n", "mode": "0640", "uid": 1000, "gid": 100}
    outcome = inject(interfaces=nics, metadata={"role": "web"}, files=[file, {"path": "/etc/hostname", "content": "web1\n"}])
    assert not outcome.failed, outcome.result
    seen = part(simulator, tmp_path)
    assert file_in(seen, "/etc/network/interfaces").decode().splitlines()[1:] == [
        "auto lo",
        "iface lo inet loopback",
        "",
        "auto eth1",
        "iface eth1 inet static",
        "    hwaddress ether 02:16:3e:00:00:01",
        "    address 192.0.2.5",
        "    netmask 255.255.255.0",
        "    broadcast 192.0.2.255",
        "    gateway 192.0.2.1",
        "    dns-nameservers 192.0.2.2 192.0.2.3",
        "iface eth1 inet6 static",
        "    address 2001:db8::5",
        "    netmask 64",
    ]
    assert stat(seen, "/etc/network") == ("directory", 0o744, 0, 0)
    assert json.loads(file_in(seen, "/meta.js")) == {"role": "web"}
    assert file_in(seen, file["path"]).decode() == file["content"]
    assert stat(seen, file["path"]) == ("regular", 0o640, 1000, 100)
    assert file_in(seen, "/etc/hostname") == b"web1\n"


def test_selinux_labels_the_key_at_boot(inject: Run, simulator: Simulator, tmp_path: Path) -> None:
    one_disk(simulator.session(), tmp_path)
    inject(files=[{"path": "/etc/selinux/config", "content": "SELINUX=enforcing\n"}])
    inject(ssh_keys=[KEY])
    seen = part(simulator, tmp_path)
    assert "restorecon -RF /root/.ssh" in file_in(seen, "/etc/rc.local").decode()
    assert stat(seen, "/etc/rc.local")[:2] == ("regular", 0o700)


def test_again_is_known_without_reading(inject: Run, run_module: Run, simulator: Simulator, tmp_path: Path) -> None:
    one_disk(simulator.session(), tmp_path)
    secret = {"path": "/etc/secret", "content": "hunter2"}
    assert inject(files=[secret]).changed
    again = run_module("xen_disk_inject", vm="web1", userdevice="4", files=[secret])
    assert not again.failed, again.result
    assert (again.changed, again.writes) == (False, [])
    assert "hunter2" not in str(again.result)
    mark = at_device(simulator, "web1", 4)[1]["other_config"]["xen_ansible:injected"]
    assert re.fullmatch(r"[0-9a-f]{16}:scrypt:[0-9a-f]{64}", mark)


def test_partition_behind_others(inject: Run, simulator: Simulator, tmp_path: Path) -> None:
    """As in cloud images, which begin with partitions for the boot loader."""
    one_disk(simulator.session(), tmp_path, start=16384)
    assert not inject(ssh_keys=[KEY]).failed
    assert KEY in file_in(part(simulator, tmp_path), "/root/.ssh/authorized_keys").decode()


def test_failure_leaves_the_disk(inject: Run, simulator: Simulator, tmp_path: Path) -> None:
    ref = one_disk(simulator.session(), tmp_path)
    # /data is a file, so nothing can lie below it.
    outcome = inject(files=[{"path": "/data/x", "content": "y"}])
    assert "'/data' in the guest is a regular and no folder" in outcome.msg
    assert at_device(simulator, "web1", 4)[1]["ref"] == ref
    assert len(named(simulator, "VDI", "data")) == 1
    simulator.faults.add(Rule("VBD.create", error=("INTERNAL_ERROR", "no"), nth=1))
    assert inject(ssh_keys=[KEY]).failed
    assert at_device(simulator, "web1", 4)[1]["ref"] == ref


def test_full_filesystem_is_told(inject: Run, simulator: Simulator, tmp_path: Path) -> None:
    one_disk(simulator.session(), tmp_path)
    outcome = inject(files=[{"path": "/big", "content": "x" * (60 * MIB)}])
    assert outcome.failed
    assert "'/big'" in outcome.msg or "debugfs could not change the filesystem" in outcome.msg
    assert len(named(simulator, "VDI", "data")) == 1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({}, "there is nothing to write into the disk", id="nothing"),
        pytest.param({"files": [{"path": "etc/motd", "content": ""}]}, "'etc/motd' is no path of a file in the guest", id="relative"),
        pytest.param({"files": [{"path": "/etc/../x", "content": ""}]}, "is no path of a file", id="dots"),
        pytest.param({"files": [{"path": "/a b", "content": ""}]}, "is no path of a file", id="space"),
        pytest.param({"files": [{"path": "/a\nrm /etc/passwd", "content": ""}]}, "is no path of a file", id="command"),
        pytest.param({"files": [{"path": "/a", "content": "", "mode": "rw"}]}, "mode 'rw' is none of a file", id="mode"),
        pytest.param({"interfaces": [{"address": "192.0.2.999/24"}]}, "is no IPv4 address", id="address"),
        pytest.param({"interfaces": [{}]}, "interface eth0 has no address", id="no address"),
        pytest.param({"interfaces": [{"mac": "x", "address": "192.0.2.5/24"}]}, "mac 'x' is no MAC address", id="mac"),
        pytest.param({"ssh_keys": ["a\nb"]}, "has several lines", id="lines"),
        pytest.param({"ssh_keys": ["nonsense"]}, "ssh_keys: 'nonsense' is no public SSH key; write one line", id="key"),
        pytest.param({"ssh_keys": [KEY], "partition": 2}, "the disk has no partition 2; it has 1; use a config drive", id="partition"),
    ],
)
def test_refuses(inject: Run, simulator: Simulator, params: dict[str, Any], message: str) -> None:
    one_disk(simulator.session())
    outcome = inject(**params)
    assert outcome.failed
    assert message in outcome.msg
    assert outcome.writes == []


def test_blank_disk_and_disk_in_use_are_refused(inject: Run, simulator: Simulator) -> None:
    session = simulator.session()
    attached(session, "web1", new_disk(session, the(simulator, "SR", "NFS storage")["ref"], "blank", SIZE))
    assert "nothing can be written into disk 'blank': the disk has no partition table" in inject(ssh_keys=[KEY]).msg
    start(simulator, "web1")
    assert "is in use by VM 'web1'" in inject(ssh_keys=[KEY]).msg
