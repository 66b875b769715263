# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that put a generated disk in its place: attached as a disk or a CD, in the place of another or not, and taken away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ._device_job import Job
from ._disk_content import Content
from ._errors import XenError
from ._lookup import Found, Record, is_null
from ._plan import Values
from ._plug import hotplug
from ._render_devices import CREATED, is_volume, vbd, vdi
from ._task import run_task
from ._transfer import Transfer
from ._vdi_find import names_of

# What VBD.create takes beside what is decided here.
NEW_VBD: Record = {"uuid": "", "device": "", "unpluggable": True, "qos_algorithm_type": "", "qos_algorithm_params": {}, "other_config": {}}
RETRIES = 10


class Wanted(NamedTuple):
    """A disk that shall be there. ``cd``: as a CD in a drive; else ``read_only`` is how it is attached."""

    number: int
    name: str
    disk_type: str
    content: Content
    cd: bool = False
    read_only: bool = False
    bootable: bool = False


@dataclass
class Disk:
    """A disk on its way: references are set by the steps that make them; ``shown`` is what is known beforehand."""

    job: Job
    wanted: Wanted
    vdi: str = ""
    vbd: str = ""
    before: Values = field(default_factory=dict)
    shown: Values = field(default_factory=dict)
    transfer: Transfer | None = None
    is_new: bool = False

    @property
    def attachment(self) -> Record:
        """The fields of the attachment that are decided here."""
        kind, mode = ("CD", "RO") if self.wanted.cd else ("Disk", "RO" if self.wanted.read_only else "RW")
        fields = {"VM": self.job.vm_ref, "userdevice": str(self.wanted.number), "type": kind, "mode": mode, "empty": False}
        return {**fields, "bootable": self.wanted.bootable, "unpluggable": not self.wanted.cd}

    def read(self) -> Values:
        """The truth, after the steps."""
        view = self.job.view
        return {"vdi": vdi(view.get("VDI", self.vdi), view), "vbd": vbd(view.get("VBD", self.vbd), view)}


def goes_live(disk: Disk) -> bool:
    """Whether the running VM gets the disk at once: xapi plugs neither new CD drives nor read-only disks into HVM guests (facts §3.4)."""
    return disk.job.running and disk.attachment["type"] == "Disk" and disk.attachment["mode"] == "RW"


def add_attach(disk: Disk) -> None:
    """A new attachment, plugged when the VM runs."""
    job, name = disk.job, disk.wanted.name

    def attach() -> None:
        disk.vbd = _create(job, {**NEW_VBD, **disk.attachment, "VDI": disk.vdi})

    job.plan.add(f"attach disk {name!r} as device {disk.wanted.number} {job.of_vm}", attach, lambda: job.session.call("VBD.destroy", disk.vbd))
    if goes_live(disk):
        job.plan.add(f"plug disk {name!r} {job.of_vm}", lambda: _hotplug(job, "plug", disk.vbd, name), lambda: _hotplug(job, "unplug", disk.vbd, name))
    elif job.vm["power_state"] != "Halted":
        job.plan.warnings.append(f"VM {job.vm['name_label']!r} is not halted: it sees disk {name!r} after its next start")


def add_detach(job: Job, found: Found) -> None:
    """Remove an attachment that is not plugged. The undo attaches the same disk again."""
    ref, record = found
    what = f"detach device {record['userdevice']} {job.of_vm}"
    job.plan.add(what, lambda: job.session.call("VBD.destroy", ref), lambda: _create(job, record))


def add_medium(disk: Disk, drive: Found, current: Found | None) -> None:
    """Put the disk into a drive that is there, in place of another medium."""
    job = disk.job
    if job.vm["power_state"] == "Suspended":
        raise XenError(f"the medium of a suspended VM cannot change; resume VM {job.vm['name_label']!r}, or halt it")
    if current:
        _add_eject(job, drive[0], current)
    name = disk.wanted.name
    job.plan.add(f"insert disk {name!r} {job.of_vm}", lambda: _insert(job, drive[0], disk.vdi), lambda: _eject(job, drive[0]))


def add_removal(job: Job, found: Found, current: Found) -> None:
    """Take a disk away for good: unplugged first, or ejected from a drive that the VM cannot lose while it runs."""
    ref, record = found
    name, power = current[1]["name_label"], job.vm["power_state"]
    if record["currently_attached"] and power != "Halted":
        if power == "Suspended":
            raise XenError(f"a suspended VM keeps its disks; resume VM {job.vm['name_label']!r}, or halt it")
        if record["type"] == "CD":
            _add_eject(job, ref, current)
            return
        job.plan.add(f"unplug disk {name!r} {job.of_vm}", lambda: _hotplug(job, "unplug", ref, name), lambda: _hotplug(job, "plug", ref, name))
    add_detach(job, found)


def refuse_not_ours_alone(job: Job, found: Found, current: Found) -> None:
    """Refuse to replace or to remove a network volume, or a disk that another VM has too; media of drives are only ejected."""
    if found[1]["type"] == "CD":
        return
    device = f"device {found[1]['userdevice']} {job.of_vm}"
    if is_volume(found[1]):
        raise XenError(f"{device} is a network volume, which is never replaced or removed; detach it by xen_vbd, or choose another userdevice")
    others = [vbd for vbd in (job.view.record("VBD", ref) for ref in current[1]["VBDs"]) if vbd and vbd["VM"] != job.vm_ref]
    if others:
        raise XenError(
            f"{device} is disk {current[1]['name_label']!r}, which {names_of(job.view, others)} has too; detach it there, or choose another userdevice"
        )


def _create(job: Job, record: Record) -> str:
    return str(job.session.call("VBD.create", {key: record[key] for key in CREATED}))


def _add_eject(job: Job, drive: str, current: Found) -> None:
    job.plan.add(f"eject {current[1]['name_label']!r} {job.of_vm}", lambda: _eject(job, drive), lambda: _insert(job, drive, current[0]))


def _insert(job: Job, drive: str, vdi_ref: str) -> None:
    run_task(job.session, "VBD.insert", drive, vdi_ref, timeout=job.params["timeout"], what=f"the CD {job.of_vm} to be inserted")


def _eject(job: Job, drive: str) -> None:
    if not is_null(job.session.call("VBD.get_VDI", drive)):
        run_task(job.session, "VBD.eject", drive, timeout=job.params["timeout"], what=f"the CD {job.of_vm} to be ejected")


def _hotplug(job: Job, verb: str, ref: str, name: str) -> None:
    what = f"disk {name!r} {job.of_vm} to be {verb}ged"
    hotplug(job.session, "VBD", verb, ref, job.vm_ref, timeout=job.params["timeout"], retries=RETRIES, what=what)


def bytes_sent(disks: list[Disk]) -> dict[str, Any]:
    """What all of them took together."""
    done = [disk.transfer for disk in disks if disk.transfer]
    return {"bytes_sent": sum(item.bytes_sent for item in done), "seconds": round(sum(item.seconds for item in done), 3)}
