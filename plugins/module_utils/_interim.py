# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks that were made for one virtual port, and how they are known again."""

from __future__ import annotations

from ._lookup import Record

# The name of an interim network keeps ten characters of the port's id, so ports may share a name: the whole id
# is stored and matched (driver-operations §12.1).
PORT_ID = "xen_ansible:port_id"

# Names that the old driver gave the network of one virtual port (driver-operations §12.1).
INTERIM_PREFIX = "net-"


def is_interim(network: Record) -> bool:
    """Whether a network was made for one virtual port, by us or by the old driver."""
    marks = network["other_config"]
    return PORT_ID in marks or (network["name_label"].startswith(INTERIM_PREFIX) and marks.get("assume_network_is_shared") == "true")
