# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input ends in one clear sentence (what, which, what to do next) and changes nothing, over TLS as a user's would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.tests.unit.plugins.conftest import Outcome, run_on
from ansible_collections.xapi.xenserver.tests.unit.plugins.modules.machines import MACHINES, MIB, the
from simulator import Simulator
from simulator.transport.tls import Authority

NETWORK = "Pool-wide network associated with eth0"
FULL = "Thick storage"
LEFT = 64 * MIB
WORLD = {**MACHINES, "machines": [*MACHINES["machines"], {"name": "twin"}, {"name": "twin"}, *2 * [{"name": "twin template", "template": True}]]}
# What the clock moves, or looking does.
MOVING = {"session": set(), "host_metrics": {"last_updated"}, "VM_metrics": {"last_updated"}}


@dataclass
class Pool:
    """A simulated pool with what is ambiguous, full and in use, and images to build from."""

    simulator: Simulator
    places: dict[str, Any]

    def filled(self, value: Any) -> Any:
        """A parameter with the places in its text filled in."""
        return value.format(**self.places) if isinstance(value, str) else value

    def run(self, module: str, params: dict[str, Any], *, check: bool) -> Outcome:
        login = {"hostname": self.places["url"], "ca_path": self.places["ca_path"]}
        return run_on(self.simulator, module, {**login, **{key: self.filled(value) for key, value in params.items()}}, check=check)

    def content(self) -> dict[str, Any]:
        """The whole database, every class with every field; sessions by number, each login has its own."""
        return {cls: self.rows(cls) for cls in self.simulator.engine.db.tables}

    def rows(self, cls: str) -> Any:
        records = self.simulator.records(cls)
        if cls == "session":
            return len(records)
        return {ref: {key: value for key, value in record.items() if key not in MOVING.get(cls, ())} for ref, record in records.items()}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("images")
    with Simulator(WORLD) as simulator:
        session = simulator.session()
        for _once in range(2):
            session.network.create({"name_label": "twin network", "name_description": "", "MTU": 1500, "other_config": {}})
        for name in ("NFS storage", "Local storage"):
            session.SR.set_name_label(the(simulator, "SR", name)["ref"], "twin storage")
        session.session.logout()
        simulator.fill(the(simulator, "SR", FULL)["ref"], LEFT)
        good, expired = simulator.serve(), simulator.serve(authority=Authority("expired"))
        (folder / "empty.raw").touch()
        (folder / "large.raw").write_bytes(b"\1" * 2 * MIB)
        (folder / "text").write_bytes(b"a text\n" * 512)
        (folder / "cut.raw").write_bytes(b"\1" * 1023)
        yield Pool(
            simulator,
            {
                "url": good.url,
                "address": good.url.removeprefix("https://"),
                "ca_path": str(good.ca_path),
                "expired_url": expired.url,
                "expired_address": expired.url.removeprefix("https://"),
                "expired_ca": str(expired.ca_path),
                "images": str(folder),
            },
        )
        assert simulator.problems == []


VM = {"vm": "web1"}
NEW = {"name": "new", "sr": FULL}
NO_SIZE = "is no size; write a number of bytes or something like 8GiB"
NO_MTU = "is no size of a packet; write bytes from 68 to 65535, usually 1500"
NO_ORDER = "is none; write some of the letters c (disk), d (CD) and n (network), each once, such as dc"
NO_TIME = "is no time to wait; write seconds, more than 0, such as 300"
NO_TEXT = "and no text; write a text whose first line is #cloud-config, or make one with the filter to_nice_yaml"
# A name for it → module, options, what is told: what is wrong with which, and after the semicolon what to do next.
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown host": (
        "xen_vm_info",
        {"hostname": "xen1.invalid"},
        "the name 'xen1.invalid' cannot be resolved; check hostname and the name server",
    ),
    "wrong password": (
        "xen_vm_info",
        {"password": "guessed"},
        "{address}: wrong user name or password for 'root'; check username and password [SESSION_AUTHENTICATION_FAILED]",
    ),
    "expired certificate": (
        "xen_vm_info",
        {"hostname": "{expired_url}", "ca_path": "{expired_ca}"},
        "the certificate of {expired_address} has expired; renew it on the host, or pin it with fingerprint",
    ),
    "unknown VM": ("xen_power", {"name": "web9", "state": "running"}, "there is no VM 'web9' in this pool; see xen_vm_info for what there is"),
    "unknown VM of a disk": ("xen_vbd", {"vm": "web9", "vdi": "web2 root"}, "there is no VM 'web9' in this pool; see xen_vm_info for what there is"),
    "ambiguous VM": ("xen_power", {"name": "twin", "state": "running"}, "2 VMs are named 'twin'; select one by uuid ("),
    "ambiguous VM to remove": ("xen_vm", {"name": "twin", "state": "absent"}, "2 VMs are named 'twin'; select one by uuid ("),
    "ambiguous VM of a disk": ("xen_vbd", {"vm": "twin", "vdi": "web2 root"}, "2 VMs are named 'twin'; select one by uuid ("),
    "unknown SR": (
        "xen_vdi",
        {**NEW, "size": "1GiB", "sr": "nowhere"},
        "there is no storage repository 'nowhere' in this pool; see xen_sr_info for what there is",
    ),
    "unknown SR of an image": (
        "xen_image",
        {**NEW, "image": "{images}/large.raw", "sr": "nowhere"},
        "there is no storage repository 'nowhere' in this pool; see xen_sr_info for what there is",
    ),
    "ambiguous SR": (
        "xen_vdi",
        {**NEW, "size": "1GiB", "sr": "twin storage"},
        "2 storage repositories are named 'twin storage'; select one by uuid (",
    ),
    "unknown network": (
        "xen_vif",
        {**VM, "device": 3, "network": "nowhere"},
        "there is no network 'nowhere' in this pool; see xen_network_info for what there is",
    ),
    "ambiguous network": ("xen_vif", {**VM, "device": 3, "network": "twin network"}, "2 networks are named 'twin network'; select one by uuid ("),
    "ambiguous network to change": ("xen_network", {"name": "twin network", "mtu": 9000}, "2 networks are named 'twin network'; select one by uuid ("),
    "unknown template": (
        "xen_vm",
        {"name": "new", "template": "Debian 99"},
        "there is no template 'Debian 99' in this pool; see xen_vm_info with is_template for what there is",
    ),
    "ambiguous template": ("xen_vm", {"name": "new", "template": "twin template"}, "2 templates are named 'twin template'; select one by uuid ("),
    "size that is none": ("xen_vdi", {**NEW, "size": "8 apples"}, f"size '8 apples' {NO_SIZE}"),
    "size of nothing": ("xen_vdi", {**NEW, "size": "0"}, "size '0' is none that a disk can have; write a number of bytes or something like 8GiB"),
    "size below nothing": ("xen_vdi", {**NEW, "size": "-8GiB"}, f"size '-8GiB' {NO_SIZE}"),
    "memory that is none": ("xen_vm", {"name": "new", "memory": "much"}, f"memory 'much' {NO_SIZE}"),
    "shrinking a VDI": (
        "xen_vdi",
        {"name": "web1 root", "size": "1GiB"},
        "disk 'web1 root' has 4GiB and cannot shrink to 1GiB; ask for what it has or more, or make a smaller copy with mode shrink_copy of xen_disk_resize",
    ),
    "device in use": (
        "xen_vbd",
        {**VM, "userdevice": "0", "vdi": "web2 root"},
        "device 0 of VM 'web1' is in use by disk 'web1 root'; choose another device, or remove that first",
    ),
    "device in use for a CD": (
        "xen_cd",
        {**VM, "userdevice": "0", "iso": "guest-tools.iso"},
        "device 0 of VM 'web1' is disk 'web1 root' and no CD drive; choose another device",
    ),
    "device that is none": (
        "xen_vbd",
        {**VM, "userdevice": "first", "vdi": "web2 root"},
        "'first' is no device of a VM; write a number from 0 to 254 or a name such as xvda to xvdp",
    ),
    "image missing": (
        "xen_image",
        {**NEW, "image": "{images}/missing.raw"},
        "image '{images}/missing.raw' does not exist on the machine where the module runs; check the path, or copy it there",
    ),
    "image empty": ("xen_image", {**NEW, "image": "{images}/empty.raw"}, "image '{images}/empty.raw' is empty; fetch it anew"),
    "image that is a text": ("xen_image", {**NEW, "image": "{images}/text"}, "this image looks like a text and no disk; give the image of a disk, or set "),
    "image that was cut": ("xen_image", {**NEW, "image": "{images}/cut.raw"}, "this image has 1023 bytes, and a disk has sectors of 512; fetch it anew "),
    "image larger than the disk": (
        "xen_image",
        {**NEW, "image": "{images}/large.raw", "size": "1MiB"},
        "image {images}/large.raw holds a disk of 2MiB, which does not fit into size 1MiB; give a larger size",
    ),
    "content missing": (
        "xen_vdi",
        {**NEW, "content": "{images}/missing.raw"},
        "content '{images}/missing.raw' does not exist on the machine where the module runs; check the path, or copy it there",
    ),
    "content empty": ("xen_vdi", {**NEW, "content": "{images}/empty.raw"}, "content '{images}/empty.raw' is empty; give the raw image of a disk"),
    "content larger than the disk": (
        "xen_vdi",
        {**NEW, "size": "1MiB", "content": "{images}/large.raw"},
        "content '{images}/large.raw' has 2097152 bytes and does not fit on a disk of 1048576; give a larger size, or leave size out",
    ),
    "SR without space": (
        "xen_vdi",
        {**NEW, "size": "1GiB"},
        "storage repository 'Thick storage' has 64MiB free, but disk 'new' needs 1GiB; free space, or choose another sr",
    ),
    "SR without space for an image": (
        "xen_image",
        {**NEW, "image": "{images}/large.raw", "size": "1GiB"},
        "storage repository 'Thick storage' has 64MiB free, but disk 'new' needs 1GiB; free space, or choose another sr",
    ),
    "SR without space for swap": (
        "xen_swap",
        {**VM, "size": "1GiB", "sr": FULL},
        "storage repository 'Thick storage' has 64MiB free, but disk 'web1' needs 1GiB; free space, or choose another sr",
    ),
    "template started": (
        "xen_power",
        {"name": "golden", "state": "running"},
        "'golden' is a template and no VM; create a VM from it first (xen_vm with template: golden)",
    ),
    "MAC that is none": (
        "xen_vif",
        {**VM, "device": 3, "network": NETWORK, "mac": "00:16:3e:00:00:0g"},
        "mac '00:16:3e:00:00:0g' is no MAC address; write six pairs of hexadecimal digits such as 02:16:3e:00:00:01",
    ),
    "packet that is none": ("xen_vif", {**VM, "device": 3, "network": NETWORK, "mtu": 10}, f"mtu 10 {NO_MTU}"),
    "packet of a network that is none": ("xen_network", {"name": "new", "mtu": 67}, f"mtu 67 {NO_MTU}"),
    "packet that is too large": ("xen_network", {"name": "new", "mtu": 65536}, f"mtu 65536 {NO_MTU}"),
    **{
        f"boot order {order!r}": ("xen_vm", {"name": "new", "memory": "1GiB", "boot_order": order}, f"boot_order {order!r} {NO_ORDER}")
        for order in ("xyz", "cc", "DC", "")
    },
    "boot order of a VM that is there": ("xen_vm", {"name": "web2", "boot_order": "xyz"}, f"boot_order 'xyz' {NO_ORDER}"),
    **{f"timeout {text}": ("xen_vdi", {**NEW, "size": "8MiB", "timeout": text}, f"timeout {text} {NO_TIME}") for text in ("0", "-5", "nan", "inf")},
    "no time for a connection": ("xen_vm_info", {"connect_timeout": 0}, f"connect_timeout 0 {NO_TIME}"),
    "no time to wait": ("xen_power", {"name": "web2", "state": "running", "wait_for": "tools", "wait_timeout": 0}, f"wait_timeout 0 {NO_TIME}"),
    "no time for a guest": ("xen_power", {"name": "web1", "state": "halted", "shutdown_timeout": -1}, f"shutdown_timeout -1 {NO_TIME}"),
    "no time for another pool": (
        "xen_disk_transfer",
        {"name": "web1 root", "dest_pool": {"hostname": "xen2.invalid", "request_timeout": 0}},
        f"request_timeout 0 {NO_TIME}",
    ),
    "user data as a mapping": ("xen_configdrive", {**VM, "user_data": {"packages": ["nginx"]}}, f"user_data is a mapping {NO_TEXT}"),
    "user data as a list": ("xen_configdrive", {**VM, "user_data": ["nginx"]}, f"user_data is a list {NO_TEXT}"),
    "MAC of a group": (
        "xen_vif",
        {**VM, "device": 3, "network": NETWORK, "mac": "ff:ff:ff:ff:ff:ff"},
        "mac 'ff:ff:ff:ff:ff:ff' is the address of a group and of no interface; the first pair of digits must be even",
    ),
}


@pytest.mark.parametrize("check", [True, False], ids=["check", "real"])
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_told_and_changes_nothing(name: str, check: bool, pool: Pool) -> None:
    module, params, message = CASES[name]
    before = pool.content()
    outcome = pool.run(module, params, check=check)
    assert outcome.failed
    assert outcome.msg.startswith(pool.filled(message))
    assert "Traceback" not in json.dumps(outcome.result)
    assert not outcome.result.get("changed")
    assert outcome.writes == []
    assert pool.content() == before


def test_what_is_compared_is_all_that_changes(pool: Pool) -> None:
    """The same modules with good input are seen: what the tests above compare is not empty."""
    before = pool.content()
    assert not pool.run("xen_vdi", {"name": "seen", "size": "8MiB", "sr": FULL}, check=False).failed
    assert pool.content() != before
    assert not pool.run("xen_vdi", {"name": "seen", "sr": FULL, "state": "absent"}, check=False).failed
    assert pool.content() == before
    # A session that stays is seen too.
    session = pool.simulator.session()
    assert pool.content() != before
    session.session.logout()
