# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual CPUs: how many at start and at most, their scheduling, their sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._codec import merged
from ._errors import XenError
from ._lookup import Caller, Record

OPTIONS: dict[str, dict[str, Any]] = {
    "vcpus": {"type": "int"},
    "vcpus_max": {"type": "int"},
    "vcpu_weight": {"type": "int"},
    "vcpu_mask": {"type": "list", "elements": "int"},
    "vcpus_params": {"type": "dict"},
    "cores_per_socket": {"type": "int"},
}


def wanted_fields(params: dict[str, Any], current: Record) -> dict[str, Any]:
    """Numbers and scheduling as the options want them. The maximum rises with ``vcpus`` and never falls by itself."""
    at_start = params["vcpus"] if params["vcpus"] is not None else int(current["VCPUs_at_startup"])
    most = params["vcpus_max"] if params["vcpus_max"] is not None else max(int(current["VCPUs_max"]), at_start)
    if not 1 <= at_start <= most:
        raise XenError(f"{at_start} vcpus of at most {most} (vcpus_max) is impossible; give at least 1 and at most vcpus_max")
    wanted: dict[str, Any] = {"VCPUs_at_startup": at_start, "VCPUs_max": most}
    wanted["VCPUs_params"] = _scheduling(params, current["VCPUs_params"])
    return wanted


def _scheduling(params: dict[str, Any], current: dict[str, str]) -> dict[str, str]:
    scheduling = merged(current, params["vcpus_params"] or {})
    if params["vcpu_weight"] is not None:
        if not 1 <= params["vcpu_weight"] <= 65535:
            raise XenError(f"vcpu_weight {params['vcpu_weight']} is no weight; use 1 to 65535 (256 is usual)")
        # Old releases ignore a weight without a cap (driver-operations §3.2); 0 is none.
        scheduling = {"cap": "0"} | scheduling | {"weight": str(params["vcpu_weight"])}
    if params["vcpu_mask"] is not None:
        # Ranges are not understood, so each CPU is named. An empty list takes the mask away.
        cpus = ",".join(str(cpu) for cpu in sorted(set(params["vcpu_mask"])))
        scheduling = merged(scheduling, {"mask": cpus or None})
    return scheduling


def edit_platform(params: dict[str, Any], platform: dict[str, str]) -> None:
    """The sockets are a key of the platform."""
    if params["cores_per_socket"] is not None:
        platform["cores-per-socket"] = str(params["cores_per_socket"])


def refuse_uneven_sockets(record: Record) -> None:
    """A socket that is not full keeps the VM from starting, so it is refused here."""
    cores = int(record["platform"].get("cores-per-socket") or 1)
    if cores < 1 or int(record["VCPUs_max"]) % cores:
        raise XenError(f"cores_per_socket {cores} does not divide vcpus_max {record['VCPUs_max']}; choose numbers that fill the sockets")


def setters(session: Caller, ref: Callable[[], str], current: Record, wanted: dict[str, Any], *, live: bool) -> list[tuple[str, Callable[[], Any]]]:
    """The calls from one pair of numbers to another, in an order in which at_startup never exceeds max."""
    most, at_start = wanted["VCPUs_max"], wanted["VCPUs_at_startup"]
    calls: list[tuple[str, Callable[[], Any]]] = []
    if most != current["VCPUs_max"]:
        calls.append((f"set vcpus_max to {most}", lambda: session.call("VM.set_VCPUs_max", ref(), most)))
    if at_start != current["VCPUs_at_startup"]:
        start: list[tuple[str, Callable[[], Any]]] = []
        if live:
            start.append((f"plug vcpus until there are {at_start}", lambda: session.call("VM.set_VCPUs_number_live", ref(), at_start)))
        start.append((f"set vcpus to {at_start}", lambda: session.call("VM.set_VCPUs_at_startup", ref(), at_start)))
        # Shrinking: at_startup first, xapi refuses max < at_startup.
        calls = start + calls if most < current["VCPUs_at_startup"] else calls + start
    return calls
