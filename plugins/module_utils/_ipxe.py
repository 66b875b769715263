# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An iPXE image made for one VM: with its static address and the menu that it shall load (driver-operations §8.6)."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from ._device_job import Job
from ._device_steps import Wanted
from ._disk_content import Content, identity_of
from ._errors import XenError
from ._extent import Extent, trimmed
from ._iso_image import Boot, iso_image, read_iso

IPXE_OPTIONS: dict[str, dict[str, Any]] = {
    "src": {"type": "path"},
    "boot_menu_url": {"type": "str"},
    "address": {"type": "str"},
    "netmask": {"type": "str"},
    "gateway": {"type": "str"},
    "dns": {"type": "str"},
}
LOADER, CATALOGUE, CONFIG, SCRIPT = "isolinux.bin", "boot.cat", "isolinux.cfg", "netcfg.ipxe"
# What the build of iPXE calls its kernel, in the order in which they are looked for.
KERNELS = ("ipxe.krn", "ipxe.lkrn")
SCHEMES = {"http", "https", "tftp", "ftp", "nfs"}
MIB = 1024**2
# The static address of the first card, the menu from the network, and else the local disk.
NETWORK = """\
#!ipxe
:start
imgfree
ifclose net0
set net0/ip {address}
set net0/netmask {netmask}
set net0/gateway {gateway}
{dns}ifopen net0
goto menu

:menu
chain {url}
goto boot

:boot
sanboot --no-describe --drive 0x80
"""
MENU = """\
SAY iPXE ISO boot image
TIMEOUT 30
DEFAULT {kernel}
LABEL {kernel}
 KERNEL {kernel}
 INITRD netcfg.ipxe
"""


def ipxe_isos(job: Job) -> list[Wanted]:
    """The image for the VM; without a menu to load there is nothing that a plain image would not do."""
    params = job.params
    if not params["boot_menu_url"]:
        job.plan.warnings.append("boot_menu_url is missing, so no iPXE image is made; boot a plain one by xen_cd, or say which menu to load")
        return []
    script = _script(params)
    files = read_iso(params["src"])
    kernel = next((name for name in KERNELS if name in files), None)
    missing = [name for name, there in ((LOADER, LOADER in files), (KERNELS[0], kernel)) if not there]
    if kernel is None or missing:
        raise XenError(f"src {params['src']!r} is no iPXE image: it has no {' and no '.join(missing)}; give an ipxe.iso as the build of iPXE makes it")
    files = {name: data for name, data in files.items() if name not in (CATALOGUE, CONFIG, SCRIPT)}
    files |= {SCRIPT: script.encode(), CONFIG: MENU.format(kernel=kernel).encode()}
    needed = sum(len(data) + 4096 for data in files.values()) + MIB
    size = needed + -needed % (4 * MIB)

    def extents() -> Iterable[Extent]:
        return trimmed(0, iso_image(files, "ipxe", Boot(LOADER, CATALOGUE)))

    inputs = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    content = Content("ipxe", identity_of(inputs), size, extents, disposable=True)
    number = params["userdevice"]
    return [Wanted(number, ipxe_name(job, number), "iso", content, cd=True, read_only=True, bootable=True)]


def ipxe_name(job: Job, _number: int) -> str:
    return str(job.params["name"] or f"{job.vm['name_label']} ipxe")


def _script(params: dict[str, Any]) -> str:
    """The script, of values that can be nothing but what they shall be: it has no quoting."""
    url = params["boot_menu_url"]
    if urlsplit(url).scheme not in SCHEMES or not urlsplit(url).netloc or not url.isprintable() or " " in url:
        raise XenError(f"boot_menu_url {url!r} is no address that iPXE can load; write it as http://server/menu.ipxe")
    missing = [name for name in ("address", "gateway") if params[name] is None]
    if missing:
        raise XenError(f"there is no {' and no '.join(missing)}, but iPXE is to have a static address; give {'it' if len(missing) == 1 else 'both'}")
    address, _slash, prefix = params["address"].partition("/")
    if bool(prefix) == (params["netmask"] is not None):
        raise XenError("address needs its netmask in one way: as 192.0.2.7/24, or by the option netmask")
    try:
        interface = ipaddress.IPv4Interface(f"{address}/{prefix or params['netmask']}")
    except ValueError as error:
        raise XenError(f"address {params['address']!r} with netmask {prefix or params['netmask']!r} is no IPv4 address: {error}") from None
    gateway = _server(params["gateway"], "gateway")
    if ipaddress.IPv4Address(gateway) not in interface.network:
        raise XenError(f"gateway {gateway} is not in the network of the address, {interface.network}; iPXE could not reach it")
    dns = "" if params["dns"] is None else f"set dns {_server(params['dns'], 'dns')}\n"
    return NETWORK.format(address=interface.ip, netmask=interface.netmask, gateway=gateway, dns=dns, url=url)


def _server(text: str, option: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise XenError(f"{option} {text!r} is no IPv4 address: {error}") from None
