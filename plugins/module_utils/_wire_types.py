# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the values of XenAPI are, beyond what the wire tells: integers and datetimes, by class and field.

XML-RPC sends integers as bare text and JSON-RPC sends datetimes as bare text, so neither can be told from a string
without the data model. Derived from the data models of xapi 1.249 (8.2), 24.19 (8.3) and 26.16; a field that holds
integers inside a set or a map counts too. void stays "", as xapi sends it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

INTEGERS = {
    "Bond": "links_up",
    "Cluster": "cluster_stack_version expected_hosts live_hosts quorum",
    "PCI": "functions",
    "PGPU": "size supported_VGPU_max_capacities",
    "PIF": "MTU VLAN",
    "PIF_metrics": "speed",
    "PVS_cache_storage": "size",
    "PVS_server": "first_port last_port",
    "SDN_controller": "port",
    "SM": "features",
    "SR": "physical_size physical_utilisation virtual_allocation",
    "VBD": "status_code",
    "VDI": "physical_utilisation virtual_size",
    "VGPU_type": "framebuffer_size max_heads max_resolution_x max_resolution_y size",
    "VIF": "MTU status_code trunks",
    "VLAN": "tag",
    "VM": "VCPUs_at_startup VCPUs_max domid hardware_platform_version memory_dynamic_max memory_dynamic_min "
    "memory_overhead memory_static_max memory_static_min memory_target order shutdown_delay start_delay "
    "user_version version",
    "VMPP": "backup_retention_value",
    "VMSS": "retained_snapshots",
    "VM_metrics": "VCPUs_CPU VCPUs_number memory_actual numa_node_memory numa_nodes",
    "blob": "size",
    "console": "port",
    "host": "API_version_major API_version_minor boot_free_mem console_idle_timeout memory_overhead ssh_enabled_timeout virtual_hardware_platform_versions",
    "host_cpu": "family model number speed",
    "host_crashdump": "size",
    "host_metrics": "memory_free memory_total",
    "host_patch": "size",
    "message": "priority",
    "network": "MTU",
    "pool": "ext_auth_cache_expiry ext_auth_cache_size ext_auth_max_threads ha_host_failures_to_tolerate "
    "ha_plan_exists_for local_auth_max_threads update_sync_day vm_console_idle_timeout",
    "pool_patch": "size",
    "pool_update": "installation_size",
    "sr_stat": "free_space total_space",
    "task": "externalpid stunnelpid",
    "vdi_nbd_server_info": "port",
}
DATETIMES = {
    "Caller": "last_access",
    "Certificate": "not_after not_before",
    "Cluster_host": "last_update_live",
    "PIF_metrics": "last_updated",
    "VBD_metrics": "last_updated",
    "VDI": "snapshot_time",
    "VIF_metrics": "last_updated",
    "VM": "snapshot_time",
    "VMPP": "archive_last_run_time backup_last_run_time",
    "VMSS": "last_run_time",
    "VM_guest_metrics": "last_updated",
    "VM_metrics": "install_time last_updated start_time",
    "blob": "last_updated",
    "host": "last_software_update ssh_expiry",
    "host_crashdump": "timestamp",
    "host_metrics": "last_updated",
    "host_patch": "timestamp_applied",
    "message": "timestamp",
    "pool": "last_update_sync telemetry_next_collection",
    "session": "last_active validation_time",
    "task": "created finished",
}


def integers(value: Any) -> Any:
    """Integers where text is, also inside a set or the values of a map."""
    if isinstance(value, list):
        return [integers(item) for item in value]
    if isinstance(value, dict):
        return {key: integers(item) for key, item in value.items()}
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d+", value) else value


def iso_time(value: Any) -> Any:
    """``20261120T12:00:00Z`` of xapi as ``2026-11-20T12:00:00Z``."""
    text = str(value)
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if re.match(r"\d{8}T", text) else text


Convert = Callable[[Any], Any]
FIELDS: dict[str, dict[str, Convert]] = {}
for _table, _convert in ((INTEGERS, integers), (DATETIMES, iso_time)):
    for _class, _names in _table.items():
        FIELDS.setdefault(_class, {}).update(dict.fromkeys(_names.split(), _convert))
# Events name classes in lower case (facts §1.9).
FIELDS.update({name.lower(): fields for name, fields in list(FIELDS.items())})

# Messages that are no getter of a field and still return such a value.
RESULTS: dict[str, Convert] = {
    "GPU_group.get_remaining_capacity": integers,
    "PGPU.get_remaining_capacity": integers,
    "VM.compute_memory_overhead": integers,
    "VM.maximise_memory": integers,
    "event.get_current_id": integers,
    "host.compute_free_memory": integers,
    "host.compute_memory_overhead": integers,
    "host.get_server_localtime": iso_time,
    "host.get_servertime": iso_time,
    "network_sriov.get_remaining_capacity": integers,
    "pool.ha_compute_hypothetical_max_host_failures_to_tolerate": integers,
    "pool.ha_compute_max_host_failures_to_tolerate": integers,
}
RECORD_MESSAGES = {"get_record", "get_boot_record"}
RECORDS_MESSAGES = {"get_all_records", "get_all_records_where", "get_since"}


def decode(method: str, value: Any) -> Any:
    """The result of a call as plain Python, the same for both protocols."""
    class_name, _dot, message = method.removeprefix("Async.").rpartition(".")
    if method in RESULTS:
        return RESULTS[method](value)
    if message in RECORD_MESSAGES:
        return _record(class_name, value)
    if message in RECORDS_MESSAGES or method == "message.get":
        return {ref: _record(class_name, record) for ref, record in value.items()}
    if method == "VDI.get_nbd_info":
        return [_record("vdi_nbd_server_info", record) for record in value]
    if method == "event.from":
        return {**value, "events": [_event(event) for event in value["events"]]}
    convert = FIELDS.get(class_name, {}).get(message.removeprefix("get_")) if message.startswith("get_") else None
    return convert(value) if convert else value


def _record(class_name: str, record: Any) -> Any:
    fields = FIELDS.get(class_name)
    if fields and isinstance(record, dict):
        for name in fields.keys() & record.keys():
            record[name] = fields[name](record[name])
    return record


def _event(event: dict[str, Any]) -> dict[str, Any]:
    if "snapshot" in event:
        event["snapshot"] = _record(event["class"], event["snapshot"])
    return event
