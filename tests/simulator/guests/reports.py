# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What XenServer's guest tools write into xenstore, and what xapi makes of it (facts 5.1, X/xapi_guest_agent.ml)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

FEATURES = ("feature-poweroff", "feature-reboot", "feature-shutdown", "feature-suspend", "feature-vcpu-hotplug")
PLATFORM = {"control/platform-feature-multiprocessor-suspend": "1"}

COMMON = {
    **PLATFORM,
    **{f"control/{feature}": "1" for feature in FEATURES},
    "feature/hotplug/vbd": "1",
    "feature/hotplug/vif": "1",
}
# Keys that the tools of a guest write, NICs apart. `none` writes nothing: no tools, no kernel that knows Xen.
GUESTS: dict[str, dict[str, str] | None] = {
    "linux": {
        **COMMON,
        "attr/PVAddons/MajorVersion": "8",
        "attr/PVAddons/MinorVersion": "4",
        "attr/PVAddons/MicroVersion": "0",
        "attr/PVAddons/BuildVersion": "1",
        "data/os_name": "Debian GNU/Linux 12 (bookworm)",
        "data/os_uname": "6.1.0-28-amd64",
        "data/os_distro": "debian",
        "data/os_majorver": "12",
        "data/os_minorver": "8",
    },
    "windows": {
        **COMMON,
        "attr/PVAddons/MajorVersion": "9",
        "attr/PVAddons/MinorVersion": "4",
        "attr/PVAddons/MicroVersion": "0",
        "attr/PVAddons/BuildVersion": "146",
        "attr/os/spmajor": "0",
        "attr/os/spminor": "0",
        "control/feature-ts2": "1",
        "control/feature-xs-batcmd": "1",
        "data/os_name": "Microsoft Windows Server 2022 Standard|C:\\Windows|\\Device\\Harddisk0\\Partition2",
        "data/os_distro": "windows",
        "data/os_majorver": "10",
        "data/os_minorver": "0",
        "data/ts": "0",
    },
    "none": None,
}


@dataclass(frozen=True)
class Guest:
    """What runs inside a VM, as far as its tools tell."""

    name: str
    # Seconds from boot to the tools' first report.
    after: float = 2.0
    # Keys that they write besides those of GUESTS, and in place of them; one without a text is left out.
    keys: Mapping[str, str] = field(default_factory=dict)

    def writes(self, nics: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
        """The keys in xenstore; None when there are no tools."""
        usual = GUESTS[self.name]
        return None if usual is None else {key: text for key, text in {**usual, **addresses(nics), **self.keys}.items() if text}


def guest(source: Any, default: str) -> Guest:
    """A guest by name, as JSON text, or as a mapping; ValueError says what is wrong with it."""
    if isinstance(source, str) and not source.lstrip().startswith("{"):
        options: dict[str, Any] = {"like": source}
    else:
        options = dict(json.loads(source) if isinstance(source, str) else source)
    name, after, keys = options.pop("like", default), options.pop("after", 2.0), options.pop("keys", {})
    if options:
        raise ValueError(f"a guest has no option {min(options)!r}; it has like, after, keys")
    if name not in GUESTS:
        raise ValueError(f"no guest is called {name!r}; there are {', '.join(GUESTS)}")
    if isinstance(after, bool) or not isinstance(after, (int, float)) or not after >= 0:
        raise ValueError(f"'after' is a number of seconds, not {after!r}")
    if not isinstance(keys, dict) or not all(isinstance(part, str) for pair in keys.items() for part in pair):
        raise ValueError(f"'keys' maps paths in xenstore to text, not {keys!r}")
    return Guest(name, after, keys)


DRIVERS = {
    "drivers/xenevtchn": "xenevtchn",
    "drivers/xenvbd": "xenvbd",
    "drivers/xennet": "xennet",
    "attr/PVAddons/MajorVersion": "major",
    "attr/PVAddons/MinorVersion": "minor",
    "attr/PVAddons/MicroVersion": "micro",
    "attr/PVAddons/BuildVersion": "build",
    "attr/PVAddons/Application": "application",
}
SYSTEM = {
    "data/os_name": "name",
    "data/os_uname": "uname",
    "data/os_distro": "distro",
    "data/os_majorver": "major",
    "data/os_minorver": "minor",
    "attr/os/spmajor": "spmajor",
    "attr/os/spminor": "spminor",
}
TRISTATE = {"0": "no", "1": "yes"}
# Names of NICs in the older of the two protocols; what follows is the number of the device.
OLD_NICS = ("eth", "xenbr", "eno", "ens", "emp", "enx")


def addresses(nics: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Keys for an address of every NIC, made of its MAC: the guest asked a DHCP server on that network."""
    keys = {}
    for nic in nics:
        octets = [int(part, 16) for part in nic["MAC"].split(":")]
        keys[f"attr/vif/{nic['device']}/ipv4/0"] = f"10.{octets[3]}.{octets[4]}.{max(1, octets[5] % 255)}"
        head = f"{octets[0] ^ 2:02x}{octets[1]:02x}:{octets[2]:02x}ff:fe{octets[3]:02x}:{octets[4]:02x}{octets[5]:02x}"
        keys[f"attr/vif/{nic['device']}/ipv6/0"] = f"fe80::{head}"
    return keys


def metrics(keys: Mapping[str, str]) -> dict[str, Any]:
    """Fields of VM_guest_metrics for what is in the domain's part of xenstore. Directories do not count."""
    version = _named(keys, DRIVERS)
    return {
        "PV_drivers_version": {"micro": "-1", **version} if version else {},
        "os_version": _named(keys, SYSTEM),
        "networks": _networks(keys),
        "other": _other(keys),
        "can_use_hotplug_vbd": TRISTATE.get(keys.get("feature/hotplug/vbd", ""), "unspecified"),
        "can_use_hotplug_vif": TRISTATE.get(keys.get("feature/hotplug/vif", ""), "unspecified"),
    }


def _named(keys: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {name: keys[path] for path, name in names.items() if path in keys}


def _other(keys: Mapping[str, str]) -> dict[str, str]:
    found = {path.removeprefix("control/"): text for path, text in keys.items() if path.startswith("control/") and path.count("/") == 1}
    if "feature-suspend" in found and "data/cant_suspend_reason" in keys:
        del found["feature-suspend"]
        found["data-cant-suspend-reason"] = keys["data/cant_suspend_reason"]
    if "data/ts" in keys:
        found["data-ts"] = keys["data/ts"]
    return found


def _networks(keys: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for top in ("attr/vif/", "xenserver/attr/net-sriov-vf/"):
        found.update(_of_devices({path.removeprefix(top): text for path, text in keys.items() if path.startswith(top)}))
    if not any(path.startswith("attr/vif/") for path in keys):
        found.update(_of_interfaces(keys))
    return found


def _of_devices(keys: Mapping[str, str]) -> dict[str, str]:
    """The protocol of today: `<device>/ipv4/<n>`. The lowest one is the NIC's `ip` as well."""
    found: dict[str, str] = {}
    parts = [path.split("/") for path in keys]
    order: Callable[[list[str]], int] = lambda path: int(path[2])  # noqa: E731
    wanted = [path for path in parts if len(path) == 3 and path[1] in ("ipv4", "ipv6") and path[2].isdigit()]
    for device, kind, number in sorted(wanted, key=order):
        text = keys[f"{device}/{kind}/{number}"]
        found[f"{device}/{kind}/{number}"] = text
        if kind == "ipv4":
            found.setdefault(f"{device}/ip", text)
    return found


def _of_interfaces(keys: Mapping[str, str]) -> dict[str, str]:
    """The older protocol: `attr/eth<device>/ip` and `attr/eth<device>/ipv6/<n>/addr`."""
    found: dict[str, str] = {}
    for path, text in keys.items():
        parts = path.split("/")
        name = next((prefix for prefix in OLD_NICS if len(parts) > 2 and parts[0] == "attr" and parts[1].startswith(prefix)), None)
        if name is None:
            continue
        device = parts[1].removeprefix(name)
        if parts[2:] == ["ip"]:
            found[f"{device}/ip"] = found[f"{device}/ipv4/0"] = text
        elif len(parts) == 5 and parts[2] == "ipv6" and parts[4] == "addr":
            found[f"{device}/ipv6/{parts[3]}"] = text
    return found
