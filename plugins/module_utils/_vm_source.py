# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM made of a template, a VM or a snapshot: clone or copy, settings, and the disks a template of the product asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from . import _vm
from ._errors import XenError
from ._lookup import NULL, Caller, Record, default_sr, get_by_name_or_uuid, is_null, record_or_none, records_by_ref
from ._run import RUN, marked, run_of, unfinished
from ._run_id import state_of
from ._task import Session, run_task
from ._vm_change import change_steps, changed_fields
from ._vm_record import wanted_record

KINDS = {
    "template": (_vm.TEMPLATE, "template"),
    "source_vm": (_vm.VM, "VM"),
    "source_snapshot": (_vm.SNAPSHOT, "snapshot"),
}
OPTIONS: dict[str, dict[str, Any]] = {
    **{option: {"type": "str"} for option in KINDS},
    "full_copy": {"type": "bool", "default": False},
    "sr": {"type": "str"},
    "template_disks": {"type": "bool", "default": True},
}
# Where a template of the product says which disks its VMs get; VM.provision makes them (facts §3.3).
DISKS = "disks"
# Seconds within which a run that is alive goes on with what it just made.
MOMENTS = 3.0


class Source(NamedTuple):
    """What a VM is made of. ``provisions``: whether the result is born a template and has to become a VM."""

    ref: str
    record: Record
    provisions: bool
    copies_to: str | None
    disks: str | None


def find_source(session: Session, params: dict[str, Any]) -> Source | None:
    """The source the options name; None when the VM is made from nothing."""
    option = next((option for option in KINDS if params[option]), None)
    if option is None:
        return None
    only, noun = KINDS[option]
    ref, record = _vm.get_source(session, params[option], only, noun)
    _refuse_unless_halted(record, noun)
    sr = get_by_name_or_uuid(session, "SR", params["sr"], noun="storage repository")[0] if params["sr"] else None
    copies_to = (sr or NULL) if sr or params["full_copy"] else None
    # A VM must not be provisioned: xapi refuses it (PROVISION_ONLY_ALLOWED_ON_TEMPLATE).
    return Source(ref, record, bool(record["is_a_template"]), copies_to, _disks(session, params, record, sr))


def _refuse_unless_halted(record: Record, noun: str) -> None:
    """A live VM cannot be cloned; of a suspended one, and of a snapshot with memory, the clone would be suspended too."""
    if record["power_state"] == "Halted":
        return
    name = record["name_label"]
    if record["is_a_snapshot"]:
        raise XenError(f"snapshot {name!r} holds the memory of a running VM as well, and no other VM can go on from there; name a snapshot without memory")
    raise XenError(
        f"{noun} {name!r} is {_vm.word(record['power_state'])}, and only a halted VM can be cloned; "
        "shut it down, or take a snapshot and name that as source_snapshot"
    )


def _disks(session: Session, params: dict[str, Any], record: Record, sr: str | None) -> str | None:
    """The description of disks to make, with the repository filled in; None when none are to be made."""
    text = record["other_config"].get(DISKS)
    if not text or not record["is_a_template"] or not params["template_disks"]:
        return None
    from xml.etree import ElementTree  # only templates of the product describe disks

    root = ElementTree.fromstring(text)  # noqa: S314  # from the pool that we administer
    for disk in root.iter("disk"):
        if sr or not disk.get("sr"):
            # Templates of the product leave it empty, which VM.provision refuses (recording provision).
            disk.set("sr", _uuid_of_sr(session, sr))
    return ElementTree.tostring(root, encoding="unicode")


def _uuid_of_sr(session: Session, sr: str | None) -> str:
    uuid: str = session.call("SR.get_uuid", sr) if sr else default_sr(session)[1]["uuid"]
    return uuid


def predicted(source: Source, name: str) -> Record:
    """The record that a clone will have, as far as it is known before (facts §3.3)."""
    config = {key: value for key, value in source.record["other_config"].items() if key not in ("default_template", "xensource_internal", DISKS)}
    return {
        **source.record,
        "name_label": name,
        "other_config": config,
        "power_state": "Halted",
        "blocked_operations": {},
        "is_a_template": False,
        "order": 0,
        "start_delay": 0,
        "shutdown_delay": 0,
        # High availability is not inherited by what it protects.
        "ha_always_run": False,
    }


def make(session: Session, source: Source, name: str, timeout: float) -> str:
    """Clone or copy, and return the new reference. Until it is complete its name says so."""
    what = f"VM {name!r} to be made of {source.record['name_label']!r}"
    if source.copies_to is None:
        return str(run_task(session, "VM.clone", source.ref, unfinished(name), timeout=timeout, what=what))
    return str(run_task(session, "VM.copy", source.ref, unfinished(name), source.copies_to, timeout=timeout, what=what))


def leftovers(session: Session, name: str) -> dict[str, Record]:
    """What interrupted runs left of the VM. One that another run is making at this moment is an error."""
    found = records_by_ref(session, "VM", {"name_label": unfinished(name), "is_a_snapshot": False})
    own = str(run_of(session))
    for ref in list(found):
        record = found[ref]
        if RUN not in record["other_config"] and _changes(session, ref, record):
            raise XenError(f"another run makes VM {name!r} at this moment; run the task again when it is done")
        if state_of(record["other_config"].get(RUN, ""), own) == "alive":
            raise XenError(f"another run of this machine makes VM {name!r}; run the task again when it is done")
    return found


def _changes(session: Session, ref: str, record: Record) -> bool:
    """Whether somebody works on it: the run that makes it does its next step within moments."""
    from ._plug import wait_for_news

    wait_for_news(session, [f"VM/{ref}"], MOMENTS)
    now = record_or_none(session, "VM", ref)
    return now != record


def set_up(session: Session, ref: str, source: Source, params: dict[str, Any]) -> None:
    """Give the new VM its settings. They are worked out on its own record, which the pool has changed on the way."""
    current = session.call("VM.get_record", ref)
    # The name comes when all else is done.
    wanted = {**wanted_record(session, params, current), "name_label": current["name_label"]}
    config = {key: value for key, value in wanted["other_config"].items() if key != DISKS}
    wanted["other_config"] = marked(config | ({DISKS: source.disks} if source.disks else {}), run_of(session))
    for step in change_steps(session, ref, current, wanted, changed_fields(current, wanted)):
        step.apply()


def provision(session: Session, ref: str, name: str, timeout: float) -> None:
    """Turn what was cloned from a template into a VM, and make the disks that it describes."""
    run_task(session, "VM.provision", ref, timeout=timeout, what=f"the disks of VM {name!r} to be made")


def discard(session: Caller, ref: Callable[[], str]) -> Callable[[], None]:
    """Undo: remove the new VM and its disks, which nobody else has."""

    def undo() -> None:
        drives = records_by_ref(session, "VBD", {"VM": ref()})
        session.call("VM.destroy", ref())
        for drive in drives.values():
            if drive["type"] == "Disk" and not is_null(drive["VDI"]):
                session.call("VDI.destroy", drive["VDI"])

    return undo
