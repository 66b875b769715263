# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of hosts to storage repositories (PBDs): made, plugged, unplugged (facts §3.7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ._codec import text_of
from ._errors import XenError
from ._lookup import Record
from ._sr_job import NOUN, SrJob
from ._task import run_task
from ._vdi_find import names_of

# Keys that end so hold secrets; xapi keeps each under another key, as the uuid of a secret (xapi_secret.ml).
SECRET_ENDING = "password"  # noqa: S105


def device_config(params: Mapping[str, Any]) -> dict[str, str]:
    """How a host reaches the storage, secrets included."""
    plain, secret = params["device_config"] or {}, params["device_secrets"] or {}
    exposed = [key for key in plain if key.endswith(SECRET_ENDING)]
    if exposed:
        raise XenError(f"device_config holds {', '.join(sorted(exposed))}, which would be logged; give it in device_secrets")
    return {str(key): text_of(value) for key, value in {**plain, **secret}.items()}


def wanted_hosts(job: SrJob, shared: bool) -> list[str]:
    """The hosts that shall be connected, the coordinator first: a shared repository is worked on there."""
    hosts, coordinator = job.view.load("host"), job.view.pool()["master"]
    if shared:
        return sorted(hosts, key=lambda ref: (ref != coordinator, hosts[ref]["name_label"]))
    if job.params["host"] is not None:
        return [job.host()[0]]
    if len(hosts) > 1:
        names = ", ".join(sorted(record["name_label"] for record in hosts.values()))
        raise XenError(f"a {NOUN} that is not shared belongs to one host; give host ({names})")
    return list(hosts)


def plan_connections(job: SrJob, name: str, pbds: Mapping[str, Record]) -> list[str]:
    """Connect or disconnect hosts as asked for; returns the names of those whose connection changes."""
    attached, config = job.params["attached"], device_config(job.params)
    changed: list[str] = []
    if job.params["device_config"] is not None:
        _refuse_other_config(job, name, pbds)
        record = job.view.record("SR", job.ref) if job.ref else None
        shared = record["shared"] if record else job.shared
        known = {pbd["host"] for pbd in pbds.values()}
        # A local repository stays with the host it has.
        missing = [host for host in wanted_hosts(job, shared) if host not in known] if shared or not known else []
        for host in missing:
            changed.append(_add_connection(job, name, host, config, plug=attached is not False))
    if attached is False:
        if any(pbd["currently_attached"] for pbd in pbds.values()):
            refuse_used(job, job.ref, name)
        return changed + plan_disconnection(job, name, pbds)
    if attached or job.params["device_config"] is not None:
        for ref, pbd in _coordinator_first(job, pbds):
            if not pbd["currently_attached"]:
                changed.append(_add_plug(job, name, pbd["host"], partial(str, ref)))
    return changed


def plan_disconnection(job: SrJob, name: str, pbds: Mapping[str, Record]) -> list[str]:
    """Unplug all, the coordinator last."""
    changed = []
    for ref, pbd in reversed(_coordinator_first(job, pbds)):
        if pbd["currently_attached"]:
            host = _host_name(job, pbd["host"])
            changed.append(host)
            job.plan.add(f"disconnect host {host!r} from {NOUN} {name!r}", _run(job, "PBD.unplug", ref), _run(job, "PBD.plug", ref))
    return changed


def disconnect(job: SrJob, ref: str) -> None:
    """Unplug all that there are now."""
    for pbd in job.session.call("SR.get_PBDs", ref):
        _run(job, "PBD.unplug", pbd)()


def refuse_used(job: SrJob, ref: str, name: str) -> None:
    """Refuse while VMs have disks of the repository plugged, and name them."""
    disks = job.view.load("VDI", {"SR": ref})
    used = [vbd for vbd in job.view.load("VBD", {"currently_attached": True}).values() if vbd["VDI"] in disks]
    if used:
        raise XenError(f"{NOUN} {name!r} is in use by {names_of(job.view, used)}; halt them, or detach their disks first")


def _add_connection(job: SrJob, name: str, host: str, config: dict[str, str], *, plug: bool) -> str:
    made: list[str] = []
    shown = _host_name(job, host)

    def create() -> None:
        made.append(job.session.call("PBD.create", {"host": host, "SR": job.ref, "device_config": config, "other_config": {}}))

    job.plan.add(f"tell host {shown!r} of {NOUN} {name!r}", create, lambda: job.session.call("PBD.destroy", made[0]))
    if plug:
        _add_plug(job, name, host, lambda: made[0])
    return shown


def _add_plug(job: SrJob, name: str, host: str, ref: Callable[[], str]) -> str:
    shown = _host_name(job, host)

    # The reference is known when the step is taken, not when it is planned.
    def connect() -> None:
        _run(job, "PBD.plug", ref())()

    def disconnect() -> None:
        _run(job, "PBD.unplug", ref())()

    job.plan.add(f"connect host {shown!r} to {NOUN} {name!r}", connect, disconnect)
    return shown


def _run(job: SrJob, method: str, ref: str) -> Callable[[], None]:
    what = f"a host to be {'connected' if method == 'PBD.plug' else 'disconnected'}"

    def apply() -> None:
        run_task(job.session, method, ref, timeout=job.timeout, what=what)

    return apply


def _refuse_other_config(job: SrJob, name: str, pbds: Mapping[str, Record]) -> None:
    """How storage is reached is said when it is connected; only the storage manager may change it (PBD.set_device_config)."""
    for pbd in pbds.values():
        for key, wanted in (job.params["device_config"] or {}).items():
            current = pbd["device_config"].get(key)
            if text_of(wanted) != current:
                what = f"host {_host_name(job, pbd['host'])!r} reaches {NOUN} {name!r} with {key} {current!r}, which cannot become {text_of(wanted)!r}"
                raise XenError(f"{what}; forget it and introduce it again (state forgotten, then present with uuid)")


def _coordinator_first(job: SrJob, pbds: Mapping[str, Record]) -> list[tuple[str, Record]]:
    coordinator = job.view.pool()["master"]
    return sorted(pbds.items(), key=lambda item: (item[1]["host"] != coordinator, _host_name(job, item[1]["host"])))


def _host_name(job: SrJob, host: str) -> str:
    record = job.view.record("host", host)
    return str(record["name_label"]) if record else host
