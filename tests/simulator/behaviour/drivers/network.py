# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage servers as hosts see them: any name is one, but for the names and addresses that RFC 2606 and 5737 keep free for examples of failure.

What a server offers is made of its name, so that a probe finds the same again: one target with two LUNs, one NFS export.
"""

from __future__ import annotations

import hashlib
from xml.dom.minidom import Document

from .base import Config
from .errors import sm_error

UNRESOLVED = ".invalid"
UNREACHABLE = "192.0.2."
LUN_SIZES = (100 * 1024**3, 1024**4)
ISCSI_PORT = 3260


def reach(server: str, error: str) -> None:
    """DNSError for a name that does not resolve, `error` for a server that does not answer."""
    for name in server.split(","):
        if name.strip().endswith(UNRESOLVED):
            raise sm_error("DNSError")
        if name.strip().startswith(UNREACHABLE):
            raise sm_error(error)


def document(root: str, entry: str, rows: list[dict[str, str]]) -> str:
    """The XML that the storage manager prints: `toprettyxml` of one level of rows."""
    dom = Document()
    top = dom.appendChild(dom.createElement(root))
    for row in rows:
        element = top.appendChild(dom.createElement(entry))
        for name, value in row.items():
            element.appendChild(dom.createElement(name)).appendChild(dom.createTextNode(value))
    return dom.toprettyxml()


def exports(config: Config) -> str:
    return document("nfs-exports", "Export", [{"Target": config["server"], "Path": "/export/vm", "Accesslist": "(everyone)"}])


def targets(config: Config) -> str:
    rows = []
    for number, address in enumerate(config["target"].split(",")):
        port = config.get("port", str(ISCSI_PORT))
        extra = {"Port": port} if port != str(ISCSI_PORT) else {}
        rows.append({"Index": str(number), "IPAddress": address, **extra, "TargetIQN": iqn(config["target"])})
    return document("iscsi-target-iqns", "TGT", rows)


def iqn(target: str) -> str:
    return "iqn.2026-11.simulator:" + hashlib.md5(target.encode(), usedforsecurity=False).hexdigest()[:12]


def luns(config: Config) -> str:
    rows = []
    for number, size in enumerate(LUN_SIZES):
        identity = {"serial": scsi_id(config, number)[:8], "LUNid": str(number), "size": str(size), "SCSIid": scsi_id(config, number)}
        rows.append({"vendor": "SIMULATE", **identity})
    return document("iscsi-target", "LUN", rows)


def scsi_id(config: Config, number: int) -> str:
    """The identity of a LUN behind a target."""
    seed = f"{config.get('target', '')} {config.get('targetIQN', '')} {number}"
    return "3600" + hashlib.md5(seed.encode(), usedforsecurity=False).hexdigest()[:29]


def size_of_lun(config: Config) -> int | None:
    """The size of the LUN that `SCSIid` names, when it is one of those that a probe shows."""
    for number, size in enumerate(LUN_SIZES):
        if config.get("SCSIid") == scsi_id(config, number):
            return size
    return None
