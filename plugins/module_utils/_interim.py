# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What networks and interfaces share: networks that were made for one virtual port, how they are known again, and sizes of packets."""

from __future__ import annotations

from typing import Any

from ._errors import XenError
from ._lookup import Record

# The name of an interim network keeps ten characters of the port's id, so ports may share a name: the whole id
# is stored and matched (driver-operations §12.1).
PORT_ID = "xen_ansible:port_id"

# Names that the old driver gave the network of one virtual port (driver-operations §12.1).
INTERIM_PREFIX = "net-"
# What IPv4 needs at least (RFC 791), and what Linux takes at most.
SMALLEST_MTU, LARGEST_MTU = 68, 65535


def is_interim(network: Record) -> bool:
    """Whether a network was made for one virtual port, by us or by the old driver."""
    marks = network["other_config"]
    return PORT_ID in marks or (network["name_label"].startswith(INTERIM_PREFIX) and marks.get("assume_network_is_shared") == "true")


def refuse_mtu(params: dict[str, Any]) -> None:
    """xapi stores any number (facts §3.5), with which the network card of a guest then does not come up."""
    mtu = params["mtu"]
    if mtu is not None and not SMALLEST_MTU <= mtu <= LARGEST_MTU:
        raise XenError(f"mtu {mtu} is no size of a packet; write bytes from {SMALLEST_MTU} to {LARGEST_MTU}, usually 1500")
