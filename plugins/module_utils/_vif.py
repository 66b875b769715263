# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network interfaces of VMs: found by MAC or device, moved between networks, and the networks left empty behind them."""

from __future__ import annotations

import ipaddress
from typing import Any

from ._codec import Codec
from ._device_job import Job, only_one
from ._device_names import mac_address, number_or_none
from ._errors import XenError
from ._interim import is_interim, refuse_mtu
from ._lookup import Found, Record, looks_like_uuid
from ._task import run_task

VIF_OPTIONS: dict[str, dict[str, Any]] = {
    "device": {"type": "int"},
    "mac": {"type": "str"},
    "network": {"type": "str"},
    "purge_network": {"type": "bool", "default": False},
}
# The rate of the algorithm "ratelimit"; 0 is no limit.
KBPS = Codec({"type": "int"}, encode=lambda kbps: {"kbps": str(kbps)} if kbps else {}, decode=lambda params: int(params.get("kbps", 0)))


def prepare_vif(params: dict[str, Any]) -> dict[str, Any]:
    """Refuse what is no interface before the pool is asked."""
    device, mac, rate = params["device"], params["mac"], params["rate_limit"]
    if device is None and mac is None:
        raise XenError("it is not said which interface is meant; give device or mac")
    if device is not None and device < 0:
        raise XenError(f"device {device} is no device number of an interface; write a number from 0")
    if rate is not None and rate < 0:
        raise XenError(f"rate_limit {rate} is no rate; write kilobits per second, or 0 for no limit")
    refuse_mtu(params)
    for option, version in (("ipv4_allowed", 4), ("ipv6_allowed", 6)):
        _check_addresses(option, version, params[option] or [])
    return {**params, "mac": None if mac is None else mac_address(mac)}


def _check_addresses(option: str, version: int, addresses: list[str]) -> None:
    for text in addresses:
        try:
            right = ipaddress.ip_address(text).version == version
        except ValueError:
            right = False
        if not right:
            raise XenError(f"{option} {text!r} is no IPv{version} address; write bare addresses without a prefix length")


def find_vif(job: Job) -> Found | None:
    """By MAC, compared without case, else by device; both must mean the same interface."""
    device, mac = job.params["device"], job.params["mac"]
    by_mac = {ref: record for ref, record in job.devices.items() if mac is not None and record["MAC"].lower() == mac}
    at_device = next((item for item in job.devices.items() if device is not None and number_or_none(item[1]["device"]) == device), None)
    if mac is None:
        return at_device
    # xapi lets a VM have one MAC twice; the device tells them apart then.
    found = at_device if at_device and at_device[0] in by_mac else None
    if found is None and by_mac:
        found = only_one(by_mac, "network interface", mac)
    if job.params["state"] == "absent":
        return found if device is None or found is at_device else None
    _refuse_mismatch(job, found, at_device)
    return found


def _refuse_mismatch(job: Job, found: Found | None, at_device: Found | None) -> None:
    device, mac = job.params["device"], job.params["mac"]
    if device is None or found is at_device:
        return
    if at_device:
        raise XenError(f"device {device} {job.of_vm} is in use by an interface with MAC {at_device[1]['MAC']}; choose another device, or remove that first")
    if found:
        raise XenError(
            f"the network interface with MAC {mac} {job.of_vm} is device {found[1]['device']} and cannot become {device}; remove it first, or leave device out"
        )


def vif_record(job: Job) -> Record:
    """The fields of a new VIF that are no options of their own."""
    network, device, mac = job.params["network"], job.params["device"], job.params["mac"]
    if network is None:
        which = f"device {device}" if mac is None else f"MAC {mac}"
        raise XenError(f"there is no network interface with {which} {job.of_vm}; give network to add one")
    ref = network_of(job, network)[0]
    number = _free_device(job) if device is None else device
    # An empty MAC is one that the pool makes up, the same each time for a VM and device (facts §3.5).
    return {"device": str(number), "MAC": mac or "", "network": ref, "qos_algorithm_type": _algorithm(job)}


def network_of(job: Job, text: str) -> Found:
    """A network by uuid or name."""
    records = job.view.load("network", {"uuid": text}) if looks_like_uuid(text) else {}
    return only_one(records or job.view.load("network", {"name_label": text}), "network", text, "see xen_network_info for what there is")


def change_vif(job: Job, predicted: Record) -> None:
    """Move to another network, without a replug; keep algorithm and rate together."""
    if job.params["network"] is not None:
        ref, network = network_of(job, job.params["network"])
        if ref != predicted["network"]:
            job.plan.add(f"move network interface {job.of_vm} to {network['name_label']!r}", lambda: _move(job, ref))
            predicted["network"] = ref
    algorithm = predicted["qos_algorithm_type"] if job.params["rate_limit"] is None else _algorithm(job)
    if algorithm != predicted["qos_algorithm_type"]:
        job.plan.add(f"set the algorithm of rate_limit {job.of_vm}", lambda: job.session.call("VIF.set_qos_algorithm_type", job.ref, algorithm))
        predicted["qos_algorithm_type"] = algorithm


def _move(job: Job, network: str) -> None:
    run_task(job.session, "VIF.move", job.ref, network, timeout=job.params["timeout"], what=f"network interface {job.of_vm} to move")


def _algorithm(job: Job) -> str:
    return "ratelimit" if job.params["rate_limit"] else ""


def _free_device(job: Job) -> int:
    free = sorted(int(number) for number in job.session.call("VM.get_allowed_VIF_devices", job.vm_ref))
    if not free:
        raise XenError(f"VM {job.vm['name_label']!r} has no device free for another network interface; remove one first")
    return free[0]


def purge_network(job: Job, vif: Record | None) -> None:
    """Remove the interim network that the interface was the last one on. A shared network is never touched."""
    if not job.params["purge_network"]:
        return
    found = _network_left(job, vif)
    if found is None:
        return
    ref, network = found
    others = [other for other in network["VIFs"] if vif is None or other != job.ref]
    if is_interim(network) and not others and not network["PIFs"]:
        job.plan.before = {**job.plan.before, "interim_network": network["name_label"]}
        job.plan.after = {**job.plan.after, "interim_network": None}
        job.plan.add(f"remove interim network {network['name_label']!r}", lambda: job.session.call("network.destroy", ref))


def _network_left(job: Job, vif: Record | None) -> Found | None:
    """The network of the interface; when that is gone already, the one named by the option."""
    if vif is not None:
        record = job.view.record("network", vif["network"])
        return (vif["network"], record) if record else None
    text = job.params["network"]
    if text is None:
        return None
    records = job.view.load("network", {"uuid": text}) if looks_like_uuid(text) else {}
    records = records or job.view.load("network", {"name_label": text})
    return next(iter(records.items())) if len(records) == 1 else None
