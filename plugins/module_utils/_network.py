# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What networks know beyond their fields: VLANs on the hosts, and interim networks of virtual ports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ._errors import Ambiguous, Immutable, XenError
from ._interim import PORT_ID, refuse_mtu
from ._lookup import Caller, Found, Record, View, records_by_ref
from ._plan import Plan

VLAN_OPTIONS = {"vlan": {"type": "int"}, "device": {"type": "str"}}
NAME_LENGTH = 14
UNTAGGED = -1


class Context(Protocol):
    """What is needed of an entity's context."""

    @property
    def session(self) -> Caller: ...
    @property
    def params(self) -> dict[str, Any]: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def ref(self) -> Any: ...
    @property
    def record(self) -> Record | None: ...
    @property
    def view(self) -> View: ...


def prepare_network(params: dict[str, Any]) -> dict[str, Any]:
    """Refuse what is no network before the pool is asked, and complete the others."""
    refuse_mtu(params)
    return _complete_interim(params)


def _complete_interim(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with what makes a network the interim network of ``port_id``."""
    port = params["port_id"]
    if port is None:
        return params
    # Without the mark xapi takes a network without host interface for local to one host and refuses migration.
    marks = {"assume_network_is_shared": "true", PORT_ID: port}
    return {
        **params,
        "name": f"net-{port}"[:NAME_LENGTH],
        "description": params["description"] if params["description"] is not None else f"Network of port {port}",
        "other_config": {**(params["other_config"] or {}), **marks},
    }


def find_interim(session: Caller, params: dict[str, Any]) -> Found | Any | None:
    """The network of ``port_id``; NotImplemented without one."""
    port = params["port_id"]
    if port is None:
        return NotImplemented
    networks = records_by_ref(session, "network")
    found = [(ref, record) for ref, record in networks.items() if record["other_config"].get(PORT_ID) == port]
    if len(found) > 1:
        raise Ambiguous("network", f"{PORT_ID}={port}", [record["uuid"] for _ref, record in found])
    return found[0] if found else None


def select_networks(_view: View, params: dict[str, Any], records: dict[str, Record]) -> dict[str, Record]:
    """The networks that have the bridge and belong to the port that are asked for."""
    bridge, port = params["bridge"], params["port_id"]
    return {ref: record for ref, record in records.items() if bridge in (None, record["bridge"]) and port in (None, record["other_config"].get(PORT_ID))}


def plan_vlan(context: Context) -> None:
    """Carry the network as a VLAN of ``device`` on every host that has the device and not the VLAN yet."""
    tag, device = context.params["vlan"], context.params["device"]
    if tag is None:
        return
    if not 1 <= tag <= 4094:
        raise XenError(f"vlan {tag} is no VLAN tag; use 1 to 4094")
    plan, session, network = context.plan, context.session, context.ref
    carried = _carried(context)
    _refuse_another(context, carried, tag, device)
    trunks = _trunks(session, device)
    missing = {host: pif for host, pif in trunks.items() if host not in {pif["host"] for pif in carried}}
    if not missing:
        return
    _refuse_taken(session, missing, tag, device)
    if carried:  # Hosts that joined since.
        for pif in missing.values():
            plan.add(f"add VLAN {tag} to {device} of another host", _vlan_create(session, pif["ref"], tag, network))
    else:
        # One call for all hosts; xapi rolls back by itself when one of them refuses.
        plan.add(f"carry it as VLAN {tag} of {device}", lambda: session.call("pool.create_VLAN", device, network.value, tag))
    plan.before = {**plan.before, "vlan_hosts": len(carried)}
    plan.after = {**plan.after, "vlan": tag, "vlan_hosts": len(carried) + len(missing)}
    plan.result["network"]["vlan"] = tag
    plan.result["network"].pop("pifs", None)  # Their uuids are the pool's choice.


def plan_vlan_removal(context: Context) -> None:
    """Take the VLANs away before the network goes; refuse for a physical interface."""
    for pif in _carried(context):
        if pif["VLAN"] == UNTAGGED:
            name = (context.record or {})["name_label"]
            raise XenError(f"network {name!r} belongs to interface {pif['device']} of a host and cannot be removed")
        context.plan.add(f"remove VLAN {pif['VLAN']} of {pif['device']}", _vlan_destroy(context.session, pif["VLAN_master_of"]))


def _carried(context: Context) -> list[Record]:
    refs = context.record["PIFs"] if context.record else []
    return [pif for pif in (context.view.record("PIF", ref) for ref in refs) if pif]


def _refuse_another(context: Context, carried: list[Record], tag: int, device: str) -> None:
    name = (context.record or {}).get("name_label", "")
    for pif in carried:
        if pif["VLAN"] != tag:
            current = "untagged" if pif["VLAN"] == UNTAGGED else pif["VLAN"]
            raise Immutable("network", name, "vlan", current, tag)
        if pif["device"] != device:
            raise Immutable("network", name, "device", pif["device"], device)


def _trunks(session: Caller, device: str) -> dict[str, Record]:
    """By host, the untagged interface of this device, its reference added."""
    untagged = records_by_ref(session, "PIF", {"VLAN": UNTAGGED})
    trunks = {pif["host"]: {**pif, "ref": ref} for ref, pif in untagged.items() if pif["device"] == device}
    if not trunks:
        devices = ", ".join(sorted({pif["device"] for pif in untagged.values()}))
        raise XenError(f"no host has an interface {device!r}; the hosts have {devices}")
    return trunks


def _refuse_taken(session: Caller, missing: dict[str, Record], tag: int, device: str) -> None:
    for pif in records_by_ref(session, "PIF", {"VLAN": tag, "device": device}).values():
        if pif["host"] in missing:
            raise XenError(f"VLAN {tag} of {device} carries another network already; use that one, see xen_network_info")


def _vlan_create(session: Caller, pif: str, tag: int, network: Any) -> Callable[[], Any]:
    return lambda: session.call("VLAN.create", pif, tag, network.value)


def _vlan_destroy(session: Caller, vlan: str) -> Callable[[], Any]:
    return lambda: session.call("VLAN.destroy", vlan)
