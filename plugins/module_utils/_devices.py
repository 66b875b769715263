# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of a VM, declared: each found by its key (a number, a MAC, a disk), never by its position in a list.

::

    NIC = Device(
        xen_class="VIF",
        key="vif",
        noun="network interface",
        fields=(Field("locking_mode", "locking_mode", LOCKING, initial="network_default"),),
        find=find_vif,
        create=vif_record,
        render=render.vif,
    )

    def main() -> None:
        run(NIC.plan, NIC.spec(), **NIC.rules)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._device_job import Job, start
from ._errors import XenError
from ._lookup import Found, Record, View
from ._options import Spec, one_of_vm, state, timeout, vm_selector
from ._plan import Plan, Values
from ._plug import hotplug
from ._settings import Setting, changes, first_values, refuse_immutable, spec_of
from ._task import Session

HOTPLUG_OPTIONS: Spec = {"plugged": {"type": "bool"}, "retries": {"type": "int", "default": 10}}
# What every record of a device has and only the pool can choose; a predicted record starts with it.
UNBORN = {"uuid": "", "device": "", "currently_attached": False}


@dataclass(frozen=True)
class Device:
    """A class of devices. The hooks get the ``Job``.

    ``prepare`` completes and checks the parameters before the pool is asked. ``find`` picks the device among those of
    the VM, ``create`` gives the fields of a new one that are not in ``fields``, ``check`` refuses what an existing one
    cannot become, ``change`` adds steps beyond setting fields and alters the predicted record, ``on_absent`` adds steps
    after the removal. ``halted_only`` are options that can change only while the VM is halted; ``unknown`` are keys of
    the result that nobody knows before a device is created, or plugged, ``chosen`` those that the pool fills in when
    they are left empty.
    """

    xen_class: str
    key: str
    noun: str
    fields: tuple[Setting, ...]
    render: Callable[[Record, View], Values]
    find: Callable[[Job], Found | None]
    create: Callable[[Job], Record]
    prepare: Callable[[dict[str, Any]], dict[str, Any]] = dict
    check: Callable[[Job, Record], None] | None = None
    change: Callable[[Job, Record], None] | None = None
    on_absent: Callable[[Job, Record | None], None] | None = None
    options: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    halted_only: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ("uuid",)
    chosen: tuple[str, ...] = ()

    @property
    def rules(self) -> dict[str, Any]:
        """Keywords of AnsibleModule."""
        return one_of_vm()

    def spec(self) -> Spec:
        """The whole argument spec but the connection."""
        return {**state(), **vm_selector(), **timeout(), **HOTPLUG_OPTIONS, **spec_of(self.fields), **self.options}

    def plan(self, session: Session, params: dict[str, Any]) -> Plan:
        """Compare what is wanted with what is."""
        if params["retries"] < 0:
            raise XenError(f"retries must be 0 or more, not {params['retries']}")
        job = start(session, self.prepare(params), self.xen_class)
        found = self.find(job)
        if params["state"] == "absent":
            _plan_absent(self, job, found)
        elif found is None:
            _plan_create(self, job)
        else:
            _plan_update(self, job, *found)
        return job.plan


def _plan_absent(device: Device, job: Job, found: Found | None) -> None:
    job.plan.before = job.plan.after = {"state": "absent"}
    if found:
        job.ref, record = found
        job.plan.before = {"state": "present", **device.render(record, job.view)}
        if record["currently_attached"] and job.vm["power_state"] != "Halted":
            _add_unplug(device, job)
        job.plan.add(f"remove {device.noun} {job.of_vm}", lambda: job.session.call(f"{device.xen_class}.destroy", job.ref))
    if device.on_absent:
        device.on_absent(job, found[1] if found else None)


def _plan_create(device: Device, job: Job) -> None:
    record = {**first_values(device.fields, job.session, job.params), **device.create(job), "VM": job.vm_ref}
    predicted = {**UNBORN, **record}

    def create() -> None:
        job.ref = job.session.call(f"{device.xen_class}.create", record)

    job.plan.add(f"add {device.noun} {job.of_vm}", create, lambda: job.session.call(f"{device.xen_class}.destroy", job.ref))
    _plan_plug(device, job, predicted, wanted=job.params["plugged"] is not False)
    shown = device.render(predicted, job.view)
    shown = {key: value for key, value in shown.items() if key not in device.unknown and (value or key not in device.chosen)}
    job.plan.before, job.plan.after = {"state": "absent"}, {"state": "present", **shown}
    _results(device, job, shown)


def _plan_update(device: Device, job: Job, ref: str, record: Record) -> None:
    job.ref = ref
    if device.check:
        device.check(job, record)
    predicted = dict(record)
    for item, wanted in changes(device.fields, job.session, job.params, record):
        _refuse_fixed(device, job, item, record)
        predicted[item.field] = wanted
        _add_set(device, job, item, wanted)
    if device.change:
        device.change(job, predicted)
    _plan_plug(device, job, predicted, wanted=job.params["plugged"])
    before, shown = device.render(record, job.view), device.render(predicted, job.view)
    job.plan.before, job.plan.after = {"state": "present", **before}, {"state": "present", **shown}
    if before["plugged"] != shown["plugged"]:
        shown = {key: value for key, value in shown.items() if key not in device.unknown or key == "uuid"}
    _results(device, job, shown)


def _refuse_fixed(device: Device, job: Job, item: Setting, record: Record) -> None:
    refuse_immutable(item, f"{device.noun} {job.of_vm}", job.params, record)
    if item.option in device.halted_only and job.vm["power_state"] != "Halted":
        state_now = job.vm["power_state"].lower()
        raise XenError(f"{item.option} of a {device.noun} changes only while its VM is halted, but VM {job.vm['name_label']!r} is {state_now}; halt it first")


def _add_set(device: Device, job: Job, item: Setting, wanted: Any) -> None:
    method = f"{device.xen_class}.set_{item.field}"
    job.plan.add(f"set {item.option} of {device.noun} {job.of_vm}", lambda: job.session.call(method, job.ref, wanted))


def _plan_plug(device: Device, job: Job, predicted: Record, wanted: bool | None) -> None:
    """Plug or unplug while the VM runs. A halted VM gets its devices when it starts, so nothing is to be done."""
    if wanted in (None, predicted["currently_attached"]) or job.vm["power_state"] == "Halted":
        return
    if not job.running:
        if job.params["plugged"] is None:
            return
        power = job.vm["power_state"].lower()
        raise XenError(f"a {device.noun} can be plugged and unplugged only while its VM runs, but VM {job.vm['name_label']!r} is {power}")
    predicted["currently_attached"] = wanted
    if wanted:
        job.plan.add(f"plug {device.noun} {job.of_vm}", lambda: _hotplug(device, job, "plug"), lambda: _hotplug(device, job, "unplug"))
    else:
        _add_unplug(device, job)


def _add_unplug(device: Device, job: Job) -> None:
    job.plan.add(f"unplug {device.noun} {job.of_vm}", lambda: _hotplug(device, job, "unplug"))


def _hotplug(device: Device, job: Job, verb: str) -> None:
    timeout, retries = job.params["timeout"], job.params["retries"]
    what = f"{device.noun} {job.of_vm} to be {verb}ged"
    hotplug(job.session, device.xen_class, verb, job.ref, job.vm_ref, timeout=timeout, retries=retries, what=what)


def _results(device: Device, job: Job, shown: Values) -> None:
    job.plan.result = {device.key: shown}

    def read() -> Values:
        return {device.key: device.render(job.session.call(f"{device.xen_class}.get_record", job.ref), job.view)}

    job.plan.read = read
