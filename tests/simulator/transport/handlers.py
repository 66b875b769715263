# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""xapi's HTTP handlers beside RPC: method → path prefix → handler."""

from __future__ import annotations

from . import blobs, console, disks, exports, imports, rrd
from .http import Handler

HANDLERS: dict[str, dict[str, Handler]] = {
    "CONNECT": {
        "/console": console.connect,
    },
    "GET": {
        "/blob": blobs.get,
        "/console": console.upgrade,
        "/export": exports.export,
        "/export_metadata": exports.export_metadata,
        "/export_raw_vdi": disks.export_raw_vdi,
        "/host_rrd": rrd.host_rrd,
        "/rrd_updates": rrd.rrd_updates,
        "/vm_rrd": rrd.vm_rrd,
        "/vncsnapshot": console.snapshot,
    },
    "PUT": {
        "/blob": blobs.put,
        "/import": imports.import_,
        "/import_metadata": imports.import_metadata,
        "/import_raw_vdi": disks.import_raw_vdi,
    },
}
