# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._iso_image import Boot, iso_image
from simulator import Simulator
from simulator.transport.memory import MemorySession

from ..conftest import Run
from ..scenario import Do, Scenario
from .generated import address, at_device, disk_file, run_tool, streaming, tool
from .machines import MACHINES, named

SENT = ("transfer",)
REAL = Path("/usr/lib/ipxe/ipxe.iso")
NETWORK = {"address": "192.0.2.7/24", "gateway": "192.0.2.1", "dns": "192.0.2.53", "boot_menu_url": "http://192.0.2.1/menu.ipxe"}
FILES = {"isolinux.bin": b"L" * 24576, "ipxe.krn": b"K" * 300_000, "isolinux.cfg": b"old", "boot.cat": b"old", "ldlinux.c32": b"C" * 100}


def plain_image(folder: Path) -> str:
    path = folder / "plain.iso"
    folder.mkdir(exist_ok=True)
    path.write_bytes(iso_image({name: data for name, data in FILES.items() if name != "boot.cat"}, "ISOIMAGE", Boot("isolinux.bin", "boot.cat")))
    return str(path)


def with_image(**params: Any) -> Callable[[MemorySession], dict[str, Any]]:
    """A step with a plain image, kept where the simulator keeps its disks."""
    return lambda session: {**streaming(**params)(session), "src": plain_image(session.client.simulator.store.directory)}


SCENARIO = Scenario(
    Do(with_image(vm="web1"), changes=False),
    Do(with_image(vm="web1", **NETWORK), told=SENT),
    Do(with_image(vm="web1", **{**NETWORK, "address": "192.0.2.8/24"}), told=SENT),
    Do({"vm": "web1", "state": "absent"}),
    world=MACHINES,
)
pytestmark = pytest.mark.world(MACHINES)


@pytest.fixture
def ipxe(run_module: Run, simulator: Simulator, tmp_path: Path) -> Run:
    src = plain_image(tmp_path)
    return lambda **params: run_module("xen_ipxe_iso", **{"hostname": address(simulator), "vm": "web1", "src": src, **params})


def image_of(simulator: Simulator, path: Path) -> Path:
    return disk_file(simulator, at_device(simulator, "web1", 1)[1]["ref"], path)


def test_network_and_menu_are_in_the_image(ipxe: Run, simulator: Simulator, tmp_path: Path) -> None:
    """driver-rows 38."""
    outcome = ipxe(**NETWORK)
    assert outcome.changed
    vbd, vdi = at_device(simulator, "web1", 1)
    assert (vbd["type"], vbd["mode"], vbd["bootable"]) == ("CD", "RO", True)
    assert (vdi["name_label"], vdi["other_config"]["nova_disk_type"]) == ("web1 ipxe", "iso")
    target = tmp_path / "files"
    target.mkdir()
    run_tool(tool("xorriso", "xorriso"), "-osirrox", "on", "-indev", image_of(simulator, tmp_path / "iso"), "-extract", "/", target)
    script = (target / "netcfg.ipxe").read_text().splitlines()
    assert script[0] == "#!ipxe"
    wanted = ["set net0/ip 192.0.2.7", "set net0/netmask 255.255.255.0", "set net0/gateway 192.0.2.1", "set dns 192.0.2.53", "chain http://192.0.2.1/menu.ipxe"]
    assert [line for line in script if line in wanted] == wanted
    assert script[-1] == "sanboot --no-describe --drive 0x80"
    menu = (target / "isolinux.cfg").read_text()
    assert "KERNEL ipxe.krn" in menu
    assert "INITRD netcfg.ipxe" in menu
    assert (target / "ipxe.krn").read_bytes() == FILES["ipxe.krn"]
    assert (target / "ldlinux.c32").read_bytes() == FILES["ldlinux.c32"]


def test_image_boots_to_others(ipxe: Run, simulator: Simulator, tmp_path: Path) -> None:
    ipxe(**NETWORK)
    told = run_tool(tool("isoinfo", "genisoimage"), "-d", "-i", image_of(simulator, tmp_path / "iso"))
    for line in (
        "Bootid 88 (bootable)",
        "Boot media 0 (No Emulation Boot)",
        "Nsect 4",
        "Joliet with UCS level 3 found",
        "Rock Ridge signatures version 1 found",
    ):
        assert line in told


def test_without_a_menu_there_is_a_warning_and_no_change(ipxe: Run, simulator: Simulator) -> None:
    outcome = ipxe(address="192.0.2.7/24", gateway="192.0.2.1")
    assert (outcome.changed, outcome.writes, outcome["vdi"]) == (False, [], None)
    assert "boot_menu_url is missing, so no iPXE image is made" in str(outcome["warnings"])


def test_name_server_is_optional(ipxe: Run, simulator: Simulator, tmp_path: Path) -> None:
    """The old driver crashed without one."""
    ipxe(**{**NETWORK, "dns": None})
    assert b"set dns" not in image_of(simulator, tmp_path / "iso").read_bytes()


def test_netmask_by_itself_is_the_same(ipxe: Run) -> None:
    ipxe(**NETWORK)
    assert not ipxe(**{**NETWORK, "address": "192.0.2.7", "netmask": "255.255.255.0"}).changed


def test_another_image_of_ipxe_is_another_content(ipxe: Run, simulator: Simulator, tmp_path: Path) -> None:
    ipxe(**NETWORK)
    newer = tmp_path / "newer.iso"
    newer.write_bytes(iso_image({**FILES, "ipxe.krn": b"N" * 1000}, "ISOIMAGE"))
    assert ipxe(**NETWORK, src=str(newer)).changed
    assert len(named(simulator, "VDI", "web1 ipxe")) == 1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"src": "/no/such.iso"}, "'/no/such.iso' cannot be read as an ISO image: No such file or directory", id="src"),
        pytest.param({"src": __file__}, "cannot be read as an ISO image", id="no iso"),
        pytest.param({"boot_menu_url": "menu.ipxe"}, "boot_menu_url 'menu.ipxe' is no address that iPXE can load", id="url"),
        pytest.param({"boot_menu_url": "http://x/\nshell"}, "is no address that iPXE can load", id="url with a line"),
        pytest.param({"address": None}, "there is no address, but iPXE is to have a static address; give it", id="no address"),
        pytest.param({"address": "192.0.2.7"}, "address needs its netmask in one way", id="no netmask"),
        pytest.param({"netmask": "255.255.255.0"}, "address needs its netmask in one way", id="two netmasks"),
        pytest.param({"address": "192.0.2.700/24"}, "is no IPv4 address", id="address"),
        pytest.param({"gateway": "192.0.3.1"}, "gateway 192.0.3.1 is not in the network of the address, 192.0.2.0/24", id="gateway"),
        pytest.param({"dns": "dns.example"}, "dns 'dns.example' is no IPv4 address", id="dns"),
    ],
)
def test_refuses(ipxe: Run, params: dict[str, Any], message: str) -> None:
    for check in (True, False):
        outcome = ipxe(check=check, **{**NETWORK, **params})
        assert outcome.failed
        assert message in outcome.msg
        assert outcome.writes == []


def test_iso_that_is_no_ipxe(ipxe: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.iso"
    other.write_bytes(iso_image({"readme.txt": b"hello"}, "OTHER"))
    assert ipxe(**NETWORK, src=str(other)).msg.endswith(
        "is no iPXE image: it has no isolinux.bin and no ipxe.krn; give an ipxe.iso as the build of iPXE makes it"
    )


@pytest.fixture
def menu() -> Iterator[tuple[int, list[str]]]:
    """A web server that has the menu, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('User-Agent', '')}")
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], asked
    server.shutdown()


def test_real_ipxe_loads_the_menu_with_its_static_address(ipxe: Run, simulator: Simulator, tmp_path: Path, menu: tuple[int, list[str]]) -> None:
    """A PC in qemu boots the image and asks for the menu, from an address that no DHCP gave it."""
    qemu = tool("qemu-system-x86_64", "qemu-system-x86")
    if not REAL.exists():
        pytest.skip(f"{REAL} is not there (Debian package ipxe)")
    port, asked = menu
    ipxe(src=str(REAL), address="10.0.2.77/24", gateway="10.0.2.2", boot_menu_url=f"http://10.0.2.2:{port}/menu.ipxe")
    image = image_of(simulator, tmp_path / "iso")
    command = [qemu, "-accel", "tcg", "-m", "128", "-display", "none", "-boot", "d", "-cdrom", str(image), "-nic", "user,model=e1000"]
    machine = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 90
        while not asked and time.monotonic() < deadline and machine.poll() is None:
            time.sleep(0.2)
    finally:
        machine.kill()
        machine.wait()
    assert asked, "nobody asked for the menu"
    assert asked[0].startswith("/menu.ipxe iPXE/")
