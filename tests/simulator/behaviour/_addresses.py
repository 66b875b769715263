# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""MAC and IP addresses as xapi checks and makes them (X/helpers.ml, X/xapi_vif_helpers.ml)."""

from __future__ import annotations

import hashlib
import ipaddress
import re

from ..engine.failure import Failure

MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


def is_mac(text: str) -> bool:
    return MAC.fullmatch(text) is not None


# Far more than a VM can have.
DEVICES_MOST = 4096


def mac_of_seed(device: int, seed: str) -> str:
    """The address of NIC number `device` of a VM with this other_config:mac_seed: always the same one."""
    digest = seed.encode()
    # A client may call a device 10^20, for which xapi would count for years.
    for _unused in range(min(device, DEVICES_MOST) * 2 + 1):
        digest = hashlib.md5(digest, usedforsecurity=False).digest()
    second = hashlib.md5(digest, usedforsecurity=False).digest()
    first = (digest[0] | 0x02) & ~0x01  # locally administered, of one machine
    return ":".join(f"{byte:02x}" for byte in (first, *digest[1:4], *second[1:3]))


def is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def network_part(text: str, version: int) -> tuple[str, int] | None:
    """(address, prefix length) of `address/length`, or None."""
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        return None
    if "/" not in text or interface.version != version:
        return None
    return str(interface.ip), interface.network.prefixlen


def require_address(text: str, version: int, field: str) -> None:
    if not is_address(text, version):
        raise Failure("INVALID_IP_ADDRESS_SPECIFIED", field)


def require_address_or_network(text: str, version: int, field: str) -> None:
    if network_part(text, version) is None:
        require_address(text, version, field)


def require_network(text: str, version: int, field: str) -> None:
    if network_part(text, version) is None:
        raise Failure("INVALID_CIDR_ADDRESS_SPECIFIED", field)


def of_version(text: str, version: int) -> list[str]:
    """Those of some addresses, separated by commas, that are of one version."""
    return [address for address in text.split(",") if is_address(address, version)]
