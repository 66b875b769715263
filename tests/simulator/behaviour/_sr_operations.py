# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which operations an SR and its disks allow by what the storage driver can do (ocaml/xapi/xapi_sr_operations.ml)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..engine.failure import Failure
from ..engine.registry import Registry
from . import _versions
from ._progress import other_operation
from ._words import words

if TYPE_CHECKING:
    from ..engine.core import Engine

# Operation → the feature that the driver must have; None: xapi can do it with any driver.
FEATURES: dict[str, str | None] = {
    "scan": None,
    "destroy": None,
    "forget": None,
    "plug": None,
    "unplug": None,
    "vdi_create": "VDI_CREATE",
    "vdi_destroy": "VDI_DELETE",
    "vdi_resize": "VDI_RESIZE",
    "vdi_clone": None,  # xapi copies where the driver cannot
    "vdi_snapshot": "VDI_SNAPSHOT",
    "vdi_mirror": "VDI_MIRROR",
    "vdi_enable_cbt": "VDI_CONFIG_CBT",
    "vdi_disable_cbt": "VDI_CONFIG_CBT",
    "vdi_data_destroy": "VDI_CONFIG_CBT",
    "vdi_list_changed_blocks": "VDI_CONFIG_CBT",
    "vdi_set_on_boot": "VDI_RESET_ON_BOOT",
    "vdi_introduce": "VDI_INTRODUCE",
    "vdi_revert": "VDI_REVERT",
    "update": "SR_UPDATE",
    "pbd_create": None,
    "pbd_destroy": None,
}
# What runs while the pool's hosts are of different versions (all_rpu_ops).
WHILE_UPGRADING = frozenset(
    words("scan destroy forget plug unplug vdi_create vdi_destroy vdi_resize vdi_clone vdi_snapshot vdi_introduce update pbd_create pbd_destroy")
)

# Features by SR type, and the state of the table of drivers that they were read from.
_known: WeakKeyDictionary[Registry, tuple[tuple[int, int], dict[str, frozenset[str]]]] = WeakKeyDictionary()


def features(engine: Engine, sr: str) -> frozenset[str]:
    """Features of the driver that serves the SR."""
    return _by_type(engine.db).get(engine.db.get("SR", sr, "type"), frozenset())


def _by_type(db: Registry) -> dict[str, frozenset[str]]:
    """Asked for every operation of every disk, so the answer is kept until a driver changes."""
    drivers = db.table("SM")
    state = (len(drivers.rows), drivers.modified[next(reversed(drivers.modified))] if drivers.rows else 0)
    known = _known.get(db)
    if known is None or known[0] != state:
        known = state, {row["type"]: frozenset(row["features"]) for row in reversed(drivers.rows.values())}
        _known[db] = known
    return known[1]


def is_plugged(engine: Engine, sr: str) -> bool:
    """Whether any host is connected to the SR."""
    return any(engine.db.get("PBD", pbd, "currently_attached") for pbd in engine.db.get("SR", sr, "PBDs"))


def check(engine: Engine, sr: str, op: str) -> None:
    """Raise the refusal of `op`, in xapi's order."""
    db, row = engine.db, engine.db.row("SR", sr)
    if op not in WHILE_UPGRADING:
        _versions.require_no_upgrade(engine)
    needed = FEATURES.get(op)
    if needed is not None:
        withheld = ("VDI_CREATE", "VDI_DELETE") if row["is_tools_sr"] else ()
        if needed in withheld or needed not in features(engine, sr):
            raise Failure("SR_OPERATION_NOT_SUPPORTED", sr)
    if op in ("destroy", "forget") and is_plugged(engine, sr):
        raise Failure("SR_HAS_PBD", sr)
    if op == "destroy":
        if not row["PBDs"]:
            raise Failure("SR_HAS_NO_PBDS", sr)
        disks = (db.row("VDI", vdi) for vdi in row["VDIs"])
        if any(disk["managed"] and disk["type"] != "rrd" for disk in disks):
            raise Failure("SR_NOT_EMPTY")
    running = row["current_operations"]
    if op == "plug":
        # PBDs may be plugged side by side, but beside nothing else.
        running = {task: other for task, other in running.items() if other != "plug"}
    if running:
        raise other_operation(engine, "SR", sr, running)
