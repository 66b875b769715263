# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written into a guest before it boots: keys, network, metadata, files (driver-operations §16)."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ._debugfs import Filesystem, GuestFile, check_path
from ._device_names import mac_address
from ._errors import XenError

NIC = {
    "mac": {"type": "str"},
    "dhcp": {"type": "bool", "default": False},
    "address": {"type": "str"},
    "gateway": {"type": "str"},
    "address6": {"type": "str"},
    "gateway6": {"type": "str"},
    "dns": {"type": "list", "elements": "str", "default": []},
}
FILE = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str", "required": True, "no_log": True},
    "mode": {"type": "str", "default": "0644"},
    "uid": {"type": "int", "default": 0},
    "gid": {"type": "int", "default": 0},
}
INJECT_OPTIONS: dict[str, dict[str, Any]] = {
    "partition": {"type": "int", "default": 1},
    "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
    "interfaces": {"type": "list", "elements": "dict", "options": NIC},
    "metadata": {"type": "dict"},
    "files": {"type": "list", "elements": "dict", "options": FILE},
}
INPUTS = ("ssh_keys", "interfaces", "metadata", "files")
KEYS, INTERFACES, METADATA = "/root/.ssh/authorized_keys", "/etc/network/interfaces", "/meta.js"
COMMENT = "# The following ssh key was injected by Ansible"
RC_LOCAL = ("/etc/rc.d/rc.local", "/etc/rc.local")
RESTORE = "restorecon -RF /root/.ssh"


def check_inputs(params: Mapping[str, Any]) -> None:
    """Refuse what cannot be written, before anything is read."""
    if all(params[name] is None for name in INPUTS):
        raise XenError(f"there is nothing to write into the disk; give {', '.join(INPUTS[:-1])} or {INPUTS[-1]}")
    if any("\n" in key.strip() for key in params["ssh_keys"] or []):
        raise XenError("an entry of ssh_keys has several lines; give each key on its own")
    for key in params["ssh_keys"] or []:
        if len(key.split()) < 2:
            raise XenError(f"ssh_keys: {key!r} is no public SSH key; write one line such as 'ssh-ed25519 AAAA… name'")
    for file in params["files"] or []:
        check_path(file["path"])
        _mode(file["mode"])
    interfaces_text(params["interfaces"] or [])


def add_files(filesystem: Filesystem, params: Mapping[str, Any]) -> None:
    """Write all of it."""
    for file in _files(filesystem, params):
        filesystem.write(file)


def _files(filesystem: Filesystem, params: Mapping[str, Any]) -> Iterable[GuestFile]:
    if params["ssh_keys"]:
        yield from _keys(filesystem, [key.strip() for key in params["ssh_keys"]])
    if params["interfaces"] is not None:
        yield GuestFile(INTERFACES, interfaces_text(params["interfaces"]).encode(), folder_mode=0o744)
    if params["metadata"] is not None:
        yield GuestFile(METADATA, json.dumps(params["metadata"], sort_keys=True).encode())
    for file in params["files"] or []:
        yield GuestFile(file["path"], file["content"].encode(), _mode(file["mode"]), file["uid"], file["gid"])


def _keys(filesystem: Filesystem, keys: list[str]) -> Iterable[GuestFile]:
    """Keys are added to those that are there; a guest with SELinux labels the file when it boots."""
    lines = (filesystem.read(KEYS) or b"").decode(errors="surrogateescape").splitlines()
    missing = [key for key in dict.fromkeys(keys) if key not in lines]
    text = "\n".join([*lines, *(line for key in missing for line in (COMMENT, key))]) + "\n"
    yield GuestFile(KEYS, text.encode(errors="surrogateescape"), 0o600, folder_mode=0o700, owned_folder=True)
    if filesystem.kind("/etc/selinux"):
        path = next((path for path in RC_LOCAL if filesystem.kind(path)), RC_LOCAL[1])
        script = (filesystem.read(path) or b"#!/bin/sh\n").decode(errors="surrogateescape")
        if RESTORE not in script:
            added = f"# Label the key that Ansible put there\n{RESTORE}\n"
            yield GuestFile(path, f"{script.rstrip()}\n{added}".encode(errors="surrogateescape"), 0o700)


def interfaces_text(nics: Iterable[Mapping[str, Any]]) -> str:
    """The file of Debian. An interface with DHCP is left to the guest, but keeps its number."""
    lines = ["# Written by Ansible before the first boot", "auto lo", "iface lo inet loopback"]
    for number, nic in enumerate(nics):
        if not nic["dhcp"]:
            lines += ["", f"auto eth{number}", *_static(number, nic)]
    return "\n".join(lines) + "\n"


def _static(number: int, nic: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    if nic["address"] is None and nic["address6"] is None:
        raise XenError(f"interface eth{number} has no address; give address or address6, or set dhcp")
    for family, address, gateway in (("inet", nic["address"], nic["gateway"]), ("inet6", nic["address6"], nic["gateway6"])):
        if address is None:
            continue
        here = _interface(number, address, 4 if family == "inet" else 6)
        lines.append(f"iface eth{number} {family} static")
        if nic["mac"] is not None and len(lines) == 1:
            lines.append(f"    hwaddress ether {mac_address(nic['mac'])}")
        lines.append(f"    address {here.ip}")
        lines.append(f"    netmask {here.netmask if family == 'inet' else here.network.prefixlen}")
        if family == "inet":
            lines.append(f"    broadcast {here.network.broadcast_address}")
        if gateway is not None:
            lines.append(f"    gateway {_interface(number, gateway, here.version).ip}")
        if nic["dns"] and len([line for line in lines if "dns-nameservers" in line]) == 0:
            lines.append(f"    dns-nameservers {' '.join(str(_interface(number, server, None).ip) for server in nic['dns'])}")
    return lines


def _interface(number: int, text: str, version: int | None) -> Any:
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        found = None
    if found is None or version not in (None, found.version):
        kind = f"IPv{version} " if version else ""
        raise XenError(f"{text!r} of interface eth{number} is no {kind}address; write it as {'2001:db8::5/64' if version == 6 else '192.0.2.5/24'}")
    return found


def _mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise XenError(f"mode {text!r} is none of a file; write it in octal, as '0644'")
    return mode
