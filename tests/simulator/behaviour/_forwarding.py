# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""To which host the coordinator hands a call, and what comes of it when that host is not there (X/message_forwarding.ml).

Calls that name a host are marked where they are (`_host_forwarding`); these are about an object that is on one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engine.context import CURRENT
from ..engine.failure import NULL, Failure

if TYPE_CHECKING:
    from ..engine.core import Engine

AWAKE = ("Running", "Paused")


def _of_awake_vm(engine: Engine, vm: str) -> str:
    row = engine.db.row("VM", vm)
    return str(row["resident_on"]) if row["power_state"] in AWAKE else NULL


def _of_vm_of(cls: str) -> Callable[[Engine, str], str]:
    return lambda engine, ref: str(engine.db.tables["VM"].rows.get(engine.db.get(cls, ref, "VM"), {}).get("resident_on", NULL))


def _of_pif(engine: Engine, pif: str) -> str:
    return str(engine.db.tables["PIF"].rows.get(pif, {}).get("host", NULL))


def _of_sr(engine: Engine, sr: str) -> str:
    """Shared storage is the coordinator's business; else the host that has it."""
    row = engine.db.tables["SR"].rows.get(sr)
    if row is None or row["shared"]:
        return NULL
    plugged = [engine.db.get("PBD", pbd, "host") for pbd in row["PBDs"] if engine.db.get("PBD", pbd, "currently_attached")]
    return str(plugged[0]) if plugged else NULL


def _of_vdi(engine: Engine, vdi: str) -> str:
    return _of_sr(engine, engine.db.get("VDI", vdi, "SR"))


def _of_new_vdi(engine: Engine, record: dict[str, Any]) -> str:
    return _of_sr(engine, record["SR"])


def _of_pif_in(cls: str, field: str) -> Callable[[Engine, str], str]:
    return lambda engine, ref: _of_pif(engine, engine.db.get(cls, ref, field))


def _of_members(engine: Engine, _network: str, members: list[str]) -> str:
    return _of_pif(engine, members[0]) if members else NULL


# Messages that name the host they are for; its place among their parameters.
NAMED = {
    **dict.fromkeys(("SR.create", "SR.probe", "SR.probe_ext", "PIF.scan", "PIF.introduce"), 0),
    "PIF.create_VLAN": 2,
    "network.attach": 1,
    **dict.fromkeys(("network.attach_for_vm", "network.detach_for_vm"), 0),
}


# Where SR.create is told that the SR is shared: then the coordinator makes it, whatever host was named.
SHARED = 7


def _table() -> dict[str, Callable[..., str]]:
    """Message → what finds the host by the first parameters of the call."""
    vm = (
        "pause unpause clean_shutdown clean_reboot hard_shutdown hard_reboot suspend checkpoint pool_migrate migrate_send assert_can_migrate_sender "
        "call_plugin send_sysrq send_trigger set_VCPUs_number_live add_to_VCPUs_params_live set_memory_dynamic_range set_memory_limits set_memory "
        "set_memory_target_live wait_memory_target_live set_shadow_multiplier_live get_data_sources record_data_source query_data_source "
        "forget_data_source_archives s3_suspend s3_resume"
    )
    vif = (
        "plug unplug unplug_force move set_locking_mode set_ipv4_allowed add_ipv4_allowed remove_ipv4_allowed set_ipv6_allowed add_ipv6_allowed "
        "remove_ipv6_allowed configure_ipv4 configure_ipv6"
    )
    pif = "destroy unplug plug reconfigure_ip reconfigure_ipv6 set_primary_address_type set_property forget"
    vdi = "set_name_label set_name_description set_on_boot update destroy snapshot clone copy resize data_destroy enable_cbt disable_cbt list_changed_blocks"
    sr = "update scan destroy set_name_label set_name_description get_data_sources record_data_source query_data_source"
    groups: list[tuple[str, str, Callable[..., str]]] = [
        ("VM", vm, _of_awake_vm),
        ("VBD", "insert eject plug unplug unplug_force unplug_force_no_safety_check", _of_vm_of("VBD")),
        ("VIF", vif, _of_vm_of("VIF")),
        ("PIF", pif, _of_pif),
        ("VLAN", "create", _of_pif),
        ("VLAN", "destroy", _of_pif_in("VLAN", "untagged_PIF")),
        ("tunnel", "create", _of_pif),
        ("tunnel", "destroy", _of_pif_in("tunnel", "transport_PIF")),
        ("Bond", "create", _of_members),
        ("Bond", "destroy set_mode set_property", _of_pif_in("Bond", "master")),
        ("SR", sr, _of_sr),
        ("PBD", "plug unplug", lambda engine, pbd: str(engine.db.get("PBD", pbd, "host"))),
        ("VDI", vdi, _of_vdi),
        ("VDI", "create", _of_new_vdi),
    ]
    return {f"{cls}.{name}": finder for cls, names, finder in groups for name in names.split()}


FINDERS = _table()
TWO_PARAMETERS = ("Bond.create",)


def forward(engine: Engine, message: str, arguments: list[Any]) -> None:
    """HOST_OFFLINE or CANNOT_CONTACT_HOST when the host that the call is handed to is not there; the task moves to it."""
    if message in NAMED:
        if not (message == "SR.create" and arguments[SHARED]):
            _reach(engine, arguments[NAMED[message]])
        return
    finder = FINDERS.get(message)
    if finder is None or not arguments:
        return
    host = finder(engine, *arguments[: 2 if message in TWO_PARAMETERS else 1])
    if host != NULL and engine.db.exists("host", host):
        _reach(engine, host)


def _reach(engine: Engine, host: str) -> None:
    """One that does not exist is not live either (check_live)."""
    if not engine.db.exists("host", host):
        raise Failure("HOST_OFFLINE", host)
    if host == CURRENT.get().host:
        return
    engine.behaviours["host"].reach(host)
    task = CURRENT.get().task
    if engine.db.exists("task", task):
        engine.db.set("task", task, "resident_on", host)
