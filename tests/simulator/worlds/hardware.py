# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts, their control domains, NICs and networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import devices
from .sizes import size
from .symbols import TIME

if TYPE_CHECKING:
    from .blueprint import Builder

# A host boots a while before the world starts; host.other_config holds seconds since 1970 with a trailing dot.
BOOT_TIME = 1795130000
NO_ADDRESS = {"ip_configuration_mode": "None", "IP": "", "netmask": "", "management": False}


def hosts(builder: Builder) -> None:
    """The first host of the blueprint is the coordinator."""
    for number, row in enumerate(builder.blueprint["hosts"]):
        host = _host(builder, row)
        _control_domain(builder, host, row)
        for nic in range(row.get("nics", 2)):
            _nic(builder, host, row, number, nic)
        if number == 0:
            for pool in builder.records["pool"].values():
                pool["master"] = host
                pool["cpu_info"].update(cpu_count=str(row["cpus"] * len(builder.blueprint["hosts"])))


def _host(builder: Builder, row: dict[str, Any]) -> str:
    name, memory, cpus = row["name"], size(row["memory"]), row["cpus"]
    overhead = size(row.get("memory_overhead", "1GiB"))
    free = memory - overhead - size(row.get("dom0_memory", "4GiB"))
    iqn = f"iqn.2026-11.com.example:{name}"
    metrics = builder.add("host_metrics", memory_total=memory, memory_free=free, last_updated=TIME)
    host = builder.add("host", name_label=name, hostname=name, address=row["address"], memory_overhead=overhead, metrics=metrics, iscsi_iqn=iqn)
    record = builder.records["host"][host]
    record["other_config"] = {"iscsi_iqn": iqn, "agent_start_time": f"{BOOT_TIME + 60}.", "boot_time": f"{BOOT_TIME}."}
    record["cpu_info"]["cpu_count"] = str(cpus)
    record["software_version"].update(date="2026-11-20", hostname=name, linux="4.19.0+1")
    for number in range(cpus):
        builder.add("host_cpu", host=host, number=number)
    builder.add("PCI", host=host)
    devices.of_host(builder, host, row)
    for kind in ("host", "host_internal"):
        builder.add("Certificate", host=host, type=kind, not_before=TIME, not_after="20361120T00:00:00Z")
    return host


def _control_domain(builder: Builder, host: str, row: dict[str, Any]) -> None:
    memory = size(row.get("dom0_memory", "4GiB"))
    vcpus = min(row["cpus"], 8)
    every_kind = {f"memory_{kind}": memory for kind in ("target", "static_max", "static_min", "dynamic_max", "dynamic_min")}
    metrics = builder.add(
        "VM_metrics", memory_actual=memory, VCPUs_number=vcpus, state=["running"], start_time=TIME, last_updated=TIME, current_domain_type="pv"
    )
    name = f"Control domain on host: {row['name']}"
    dom0 = builder.add(
        "VM",
        builder.prototypes["dom0"],
        every_kind,
        name_label=name,
        resident_on=host,
        affinity=host,
        metrics=metrics,
        VCPUs_max=vcpus,
        VCPUs_at_startup=vcpus,
        other_config={"is_system_domain": "true"},
    )
    builder.records["host"][host]["control_domain"] = dom0
    for protocol in ("vt100", "rfb"):
        console = builder.add("console", protocol=protocol, VM=dom0)
        builder.records["console"][console]["location"] = f"https://{row['address']}/console?ref={console}"


def _nic(builder: Builder, host: str, row: dict[str, Any], number: int, nic: int) -> None:
    management = {"IP": row["address"], "management": True} if nic == 0 else NO_ADDRESS
    metrics = builder.add("PIF_metrics", pci_bus_path=f"0000:{nic + 2:02x}:00.0", last_updated=TIME)
    # 00:16:3e is the prefix the Xen project may hand out.
    mac = f"00:16:3e:5a:{number:02x}:{nic:02x}"
    builder.add("PIF", management, device=f"eth{nic}", host=host, MAC=mac, metrics=metrics)


def networks(builder: Builder) -> None:
    """Join the PIFs to their networks, and make a VLAN PIF per host where a network has a tag."""
    for number, row in enumerate(builder.blueprint["networks"]):
        fields = {key: row[key] for key in ("other_config", "MTU", "tags") if key in row}
        bridge = row.get("bridge", f"xapi{number}")
        network = builder.add("network", fields, name_label=row["name"], name_description=row.get("description", ""), bridge=bridge)
        physical = {ref: pif for ref, pif in builder.records["PIF"].items() if pif["physical"] and pif["device"] == row.get("device")}
        for reference, pif in physical.items():
            if "vlan" in row:
                _vlan(builder, network, reference, pif, row["vlan"])
            else:
                pif["network"] = network


def _vlan(builder: Builder, network: str, below: str, pif: dict[str, Any], tag: int) -> None:
    # The fields of a VLAN's PIF are those that PIF.get_record answered in the recording `networks`.
    upper = builder.add(
        "PIF",
        NO_ADDRESS,
        device=pif["device"],
        host=pif["host"],
        network=network,
        MAC="fe:ff:ff:ff:ff:ff",
        VLAN=tag,
        physical=False,
        metrics=pif["metrics"],
        properties={},
        igmp_snooping_status="unknown",
        IPv6=[""],
    )
    builder.records["PIF"][upper]["VLAN_master_of"] = builder.add("VLAN", tagged_PIF=below, untagged_PIF=upper, tag=tag)
