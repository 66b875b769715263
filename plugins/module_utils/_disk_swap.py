# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One disk in the place of another at every VM that has it, also when the run that began with it was killed.

xapi has no call that exchanges the disk of an attachment: the old one is destroyed and a new one is created, and between
the two the VM has no disk. So the places are written on the disk before the first of them is taken, and a later run
finds them there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ._device_names import number_or_none
from ._errors import XenError
from ._lookup import Caller, Found, Record, View
from ._plan import Plan
from ._render_devices import REPLACES, VBD_FIELDS

# On the source and its clone: the uuid of the source.
REWRITES = "xen_ansible:rewrites"
# On both: the attachments of the source, as JSON, the VM by its uuid.
PLACES = "xen_ansible:places"
# A copy of a disk is not on its way to a place.
ON_THE_WAY = {REWRITES, REPLACES, PLACES}
# A disk may not exist yet when the step is planned that needs it.
Reference = Callable[[], str]


@dataclass
class Place:
    """A device of a VM that a disk has or had. ``vbd`` is its attachment there, empty while it has none."""

    fields: Record
    vm: Record
    vbd: str = ""

    @property
    def text(self) -> str:
        return f"device {self.fields['userdevice']} of VM {self.vm['name_label']!r}"


def places_of(view: View, disk: Record) -> list[Place]:
    """Where a disk is attached."""
    vbds = [(ref, view.record("VBD", ref)) for ref in disk["VBDs"]]
    return [Place({key: vbd[key] for key in VBD_FIELDS}, view.get("VM", vbd["VM"]), ref) for ref, vbd in vbds if vbd]


def written(places: Iterable[Place]) -> str:
    """Places as they are kept on a disk."""
    return json.dumps([{**place.fields, "VM": place.vm["uuid"]} for place in places], separators=(",", ":"))


def missing_places(view: View, disk: Record) -> list[Place]:
    """Places that a disk had when it was written on it, and where its VM has nothing now."""
    missing = []
    for fields in _kept(disk):
        for ref, vm in view.load("VM", {"uuid": fields["VM"]}).items():
            taken = {number_or_none(vbd["userdevice"]) for vbd in view.load("VBD", {"VM": ref}).values()}
            if number_or_none(fields["userdevice"]) not in taken:
                missing.append(Place({**fields, "VM": ref}, vm))
    return missing


def lost_disk(disks: Mapping[str, Record], vm: Record, number: int) -> Found | None:
    """The disk that an interrupted run took from this device and did not bring back: the new one, else the source."""
    uuids = {record["uuid"] for record in disks.values()}
    at_place = [
        (ref, record)
        for ref, record in disks.items()
        if any(fields["VM"] == vm["uuid"] and number_or_none(fields["userdevice"]) == number for fields in _kept(record))
    ]
    new = [item for item in at_place if REWRITES not in item[1]["other_config"] and item[1]["other_config"].get(REPLACES) in uuids]
    old = [item for item in at_place if item[1]["other_config"].get(REWRITES) == item[1]["uuid"] and not item[1]["VBDs"]]
    return next(iter([*new, *old]), None)


def has_begun(view: View, new: Record, source: Record) -> bool:
    """Whether a complete disk is already on its way into the place of its source: then it is the disk, and its source is not.

    Before, the VM may have written to the source again, so the new one is of no use.
    """
    return not source["VBDs"] or bool(new["VBDs"]) or bool(missing_places(view, new))


def add_swap(plan: Plan, session: Caller, place: Place, name: str, source: Reference, new: Reference) -> None:
    """Steps that detach a disk and attach another one in its place."""
    plan.add(f"detach disk {name!r}, {place.text}", lambda: _detach(session, place), lambda: _attach(session, place, source()))
    plan.add(f"attach the new disk {name!r} as {place.text}", lambda: _attach(session, place, new()), lambda: _detach(session, place))


def add_return(plan: Plan, session: Caller, place: Place, name: str, disk: Reference) -> None:
    """A step that gives a VM the disk that an interrupted run took from it."""
    refuse_awake(place, name)
    what = f"attach disk {name!r}, which an interrupted run detached, as {place.text}"
    plan.add(what, lambda: _attach(session, place, disk()), lambda: _detach(session, place))


def refuse_awake(place: Place, name: str) -> None:
    """What an interrupted run left can be made good while the VM is halted."""
    if place.vm["power_state"] != "Halted":
        raise XenError(f"an interrupted run took disk {name!r} from {place.text}, which gets it back while the VM is halted; halt it first")


def _attach(session: Caller, place: Place, disk: str) -> None:
    place.vbd = session.call("VBD.create", {**place.fields, "VDI": disk})


def _detach(session: Caller, place: Place) -> None:
    session.call("VBD.destroy", place.vbd)


def _kept(disk: Record) -> list[Record]:
    try:
        kept = json.loads(disk["other_config"].get(PLACES, "[]"))
    except ValueError:
        return []
    return [fields for fields in kept if isinstance(fields, dict) and fields.keys() >= set(VBD_FIELDS)] if isinstance(kept, list) else []
