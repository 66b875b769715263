# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a disk from an image shall be: at a device of a VM, or only under its name on a storage repository."""

from __future__ import annotations

from ._device_job import load_vm
from ._device_names import device_number, number_or_none
from ._errors import XenError
from ._image_upload import ImageJob
from ._lookup import Found
from ._plan import Values
from ._plug import hotplug
from ._render_devices import CREATED
from ._vdi_size import disk_size


class Target:
    """Where the disk shall be: at a device of a VM, or only under its name on the repository."""

    def __init__(self, job: ImageJob) -> None:
        params = job.params
        self.vm: Found | None = load_vm(job.view, params) if params["vm"] or params["vm_uuid"] else None
        self.device = device_number(params["userdevice"])
        if self.vm is None and params["name"] is None:
            raise XenError("it is not said what the disk is for; give vm or vm_uuid, or the name of the disk")
        self.name = str(params["name"] or (self.vm[1]["name_label"] if self.vm else ""))
        self.size = disk_size(params["size"]) if params["size"] is not None else None
        self.vbd: Found | None = None
        self.vdi: Found | None = None
        if self.vm is not None:
            vbds = job.view.load("VBD", {"VM": self.vm[0]}) if self.vm[1]["VBDs"] else {}
            self.vbd = next((item for item in vbds.items() if number_or_none(item[1]["userdevice"]) == self.device), None)
        if self.vbd is not None and (record := job.view.record("VDI", self.vbd[1]["VDI"])):
            self.vdi = (self.vbd[1]["VDI"], record)

    @property
    def place(self) -> str:
        return f"device {self.device} of VM {self.vm[1]['name_label']!r}" if self.vm else f"name {self.name!r}"


def plan_attachment(job: ImageJob, target: Target, shown: Values) -> None:
    """The attachment, when the disk has none yet. It comes after the content: an unfinished disk is never attached."""
    if target.vm is None or (target.vbd and target.vdi and job.ref == target.vdi[0]):
        return
    vm, old = target.vm, target.vbd
    running = vm[1]["power_state"] == "Running"
    iso = job.disk_type == "iso"
    record = {
        "VM": vm[0],
        "userdevice": str(target.device),
        "bootable": target.device == 0 or iso,
        "mode": "RO" if iso else "RW",
        "type": "CD" if iso else "Disk",
        "unpluggable": target.device != 0,
        "empty": False,
        "other_config": {},
        "qos_algorithm_type": "",
        "qos_algorithm_params": {},
    }

    def attach() -> None:
        job.vbd = job.session.call("VBD.create", {**record, "VDI": job.ref})

    def plug() -> None:
        hotplug(job.session, "VBD", "plug", job.vbd, vm[0], timeout=job.timeout, retries=10, what=f"disk {target.name!r} to be plugged")

    if old is not None:
        ref, former = old
        # A step of its own, so that the old disk is back when the new one cannot be attached.
        again = {key: former[key] for key in CREATED}
        job.plan.add(f"detach {target.place}", lambda: job.session.call("VBD.destroy", ref), lambda: job.session.call("VBD.create", again))
    job.plan.add(f"attach disk {target.name!r} as {target.place}", attach, lambda: job.session.call("VBD.destroy", job.vbd))
    if running and not iso:
        job.plan.add(f"plug disk {target.name!r}", plug)
    place = {"vm": vm[1]["uuid"], "vm_name": vm[1]["name_label"], "userdevice": target.device, "mode": "ro" if iso else "rw", "plugged": running and not iso}
    shown["attachments"] = [{**place, "volume": False}]
