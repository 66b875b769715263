# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guest itself reports through its tools: addresses, operating system, whether the tools run at all."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from ._lookup import Record

# Keys are <n>/ip, <n>/ipv4/<m>, <n>/ipv6/<m>; n is the device of the interface and need not begin at 0 (peers §2).
ADDRESS = re.compile(r"(?P<device>\d+)/(?:ip|ipv4/\d+|ipv6/\d+)")


def addresses(metrics: Record | None) -> dict[str, list[str]]:
    """The addresses of each interface by its device number, IPv4 before IPv6, none twice."""
    found: dict[str, set[str]] = {}
    for key, text in (metrics or {}).get("networks", {}).items():
        if (match := ADDRESS.fullmatch(key)) and text:
            found.setdefault(match["device"], set()).update(text.split())
    return {device: sorted(found[device], key=_rank) for device in sorted(found, key=int)}


def _rank(text: str) -> tuple[int, str]:
    try:
        return ipaddress.ip_address(text).version, text
    except ValueError:
        return 99, text


def reported(metrics: Record | None) -> str:
    """What the guest has told of itself, for a message of somebody who waited for more."""
    if found := [f"{', '.join(known)} on interface {device}" for device, known in addresses(metrics).items()]:
        return f"its tools report {' and '.join(found)}"
    return "its tools report no address" if tools_running(metrics) else "its tools have not reported"


def has_address(metrics: Record | None, device: int | None = None, network: str | None = None) -> bool:
    """Whether an interface, or the one that is meant, has an address in the network, or else one that others can reach.

    A link-local address counts only when it is asked for.
    """
    found = addresses(metrics)
    texts = [text for number, known in found.items() for text in known if device in (None, int(number))]
    return any(_fits(text, network) for text in texts)


def _fits(text: str, network: str | None) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not address.is_link_local if network is None else address in ipaddress.ip_network(network)


def tools_running(metrics: Record | None) -> bool:
    """Whether the tools in the guest report: then a version of its drivers is known (facts §3.2, 9)."""
    return bool(metrics and metrics.get("PV_drivers_version"))


def guest(metrics: Record | None) -> dict[str, Any]:
    """What the tools say of the operating system."""
    metrics = metrics or {}
    return {
        "tools": tools_running(metrics),
        "os_name": metrics.get("os_version", {}).get("name"),
        "os_version": metrics.get("os_version", {}),
        "drivers_version": metrics.get("PV_drivers_version", {}),
    }
