# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a VM: what a new one is made of, and what the options want an existing one to be."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from . import _boot, _memory, _vcpus
from ._blocked import with_lock
from ._codec import BOOL, INT, MAP, SET, TEXT, Codec, enum, merged
from ._errors import XenError
from ._lookup import NULL, Caller, Record, get_by_name_or_uuid


class Setting(NamedTuple):
    """An option that is one field of the record.

    ``initial`` is the value for a VM made from nothing. ``merge`` keeps the keys of a map that are not named.
    ``refers_to`` names the class of a reference: the option takes a name or uuid, or empty for none.
    """

    option: str
    field: str
    codec: Codec
    initial: Any = None
    merge: bool = False
    refers_to: str | None = None

    def wire(self, session: Caller, value: Any, current: Any) -> Any:
        """What xapi stores for the option's value."""
        if self.refers_to:
            return get_by_name_or_uuid(session, self.refers_to, value)[0] if value else NULL
        return merged(current, value) if self.merge else self.codec.encode(value)


ON_EXIT = ("destroy", "restart")
ON_CRASH = ("destroy", "coredump_and_destroy", "restart", "coredump_and_restart", "preserve", "rename_restart")
# Initial values are those of driver-operations §3.2.
FIELDS = (
    Setting("description", "name_description", TEXT, initial=""),
    Setting("tags", "tags", SET, initial=[]),
    Setting("other_config", "other_config", MAP, initial={}, merge=True),
    # Stops the Windows service that would take snapshots by itself inside the guest.
    Setting("xenstore_data", "xenstore_data", MAP, initial={"vm-data/allowvssprovider": "false"}, merge=True),
    Setting("platform", "platform", MAP, merge=True),
    Setting("affinity", "affinity", TEXT, initial=NULL, refers_to="host"),
    Setting("suspend_sr", "suspend_SR", TEXT, initial=NULL, refers_to="SR"),
    Setting("actions_after_shutdown", "actions_after_shutdown", enum(*ON_EXIT), initial="destroy"),
    Setting("actions_after_reboot", "actions_after_reboot", enum(*ON_EXIT), initial="restart"),
    Setting("actions_after_crash", "actions_after_crash", enum(*ON_CRASH), initial="destroy"),
    Setting("ha_restart_priority", "ha_restart_priority", enum("", "best-effort", "restart"), initial=""),
    Setting("start_order", "order", INT, initial=0),
    Setting("start_delay", "start_delay", INT, initial=0),
    Setting("shutdown_delay", "shutdown_delay", INT, initial=0),
    # xapi's own default is true, which gives Windows guests a device that installs drivers from Windows Update.
    Setting("has_vendor_device", "has_vendor_device", BOOL, initial=False),
    Setting("pci_bus", "PCI_bus", TEXT, initial=""),
    Setting("user_version", "user_version", INT, initial=0),
)
OPTIONS: dict[str, dict[str, Any]] = {
    **{item.option: dict(item.codec.option) for item in FIELDS},
    "platform_device_id": {"type": "int"},
    "bootable": {"type": "bool"},
    "blocked_operations": {"type": "dict"},
    **_memory.OPTIONS,
    **_vcpus.OPTIONS,
    **_boot.OPTIONS,
}
# Fields that the current datamodel still demands and that no option sets.
CONSTANT = {"is_a_template": False, "PV_bootloader_args": "", "PV_legacy_args": "", "recommendations": "", "ha_always_run": False}
NON_NEGATIVE = ("start_order", "start_delay", "shutdown_delay")
DEVICE_ID_RELEASE = (6, 1)


def new_record(session: Caller, name: str, params: dict[str, Any]) -> Record:
    """The whole record for ``VM.create`` of a VM made from nothing, without its blocks, which ``VM.create`` ignores."""
    if params["memory"] is None and params["memory_static_max"] is None:
        raise XenError(f"VM {name!r} does not exist, and making one from nothing needs memory, as 2GiB; or name a template")
    # What is not given follows what is.
    memory = params["memory_static_max"] if params["memory"] is None else params["memory"]
    vcpus = next(number for number in (params["vcpus"], params["vcpus_max"], 1) if number is not None)
    params = {**params, "memory": memory, "vcpus": vcpus}
    blank: Record = {
        "name_label": name,
        **CONSTANT,
        **{item.field: copy.deepcopy(item.initial) for item in FIELDS if item.initial is not None},
        **dict.fromkeys(_memory.LIMITS, 0),
        "VCPUs_params": {},
        "VCPUs_max": 0,
        "VCPUs_at_startup": 0,
        "blocked_operations": {},
        **_boot.initial_fields(params),
    }
    record = wanted_record(session, {**params, "boot_mode": _boot.chosen_mode(params)}, blank)
    return {**record, "memory_target": record["memory_dynamic_max"]}


def wanted_record(session: Caller, params: dict[str, Any], current: Record) -> Record:
    """``current`` as the options want it. Options that are left out leave their fields alone."""
    record = copy.deepcopy(current)
    for item in FIELDS:
        value = params[item.option]
        if value is None:
            continue
        if item.option in NON_NEGATIVE and value < 0:
            raise XenError(f"{item.option} {value} is impossible; give 0 or more")
        record[item.field] = item.wire(session, value, record[item.field])
    record |= _boot.wanted_fields(params, record)
    record |= _vcpus.wanted_fields(params, record)
    _boot.edit_maps(params, record)
    _vcpus.edit_platform(params, record["platform"])
    _edit_device_id(session, params, record["platform"])
    if any(record[field] != current[field] for field in ("platform", "VCPUs_max")):
        _vcpus.refuse_uneven_sockets(record)
    record |= _memory.wanted_limits(params, record)
    blocked = merged(record["blocked_operations"], params["blocked_operations"] or {})
    record["blocked_operations"] = with_lock(blocked, params["bootable"])
    return record


def _edit_device_id(session: Caller, params: dict[str, Any], platform: dict[str, str]) -> None:
    """The revision of the device by which guests find their drivers: 2 for Windows with the newer ones."""
    if params["platform_device_id"] is None:
        return
    device_id = str(params["platform_device_id"]).zfill(4)
    if platform.get("device_id") == device_id:
        return
    release = _release(session)
    if release < DEVICE_ID_RELEASE:
        raise XenError(f"platform_device_id needs a host of release {_dotted(DEVICE_ID_RELEASE)} or newer, and this pool has {_dotted(release)}; leave it out")
    platform["device_id"] = device_id


def _release(session: Caller) -> tuple[int, ...]:
    """Release of the product the coordinator runs, or of the platform when it is no product."""
    pool = next(iter(session.call("pool.get_all_records").values()))
    software = session.call("host.get_software_version", pool["master"])
    text = software.get("product_version") or software.get("platform_version") or "0.0.0"
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _dotted(release: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in release)
