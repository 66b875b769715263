# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that generate disks, declared: what each puts where, and the one planner of them all.

::

    SWAP = Generated(kind="swap", device="2", disks=swap_disks, options=SWAP_OPTIONS)

    def main() -> None:
        run(SWAP.plan, SWAP.spec(), **SWAP.rules)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._codec import format_bytes, parse_bytes
from ._device_job import Job, start
from ._device_names import device_number
from ._device_steps import Wanted, bytes_sent
from ._disk_at_device import DISK_OPTIONS, plan_absent, plan_disk
from ._disk_build import FILESYSTEMS, check_tools
from ._errors import XenError
from ._options import Spec, one_of_vm, state, timeout, vm_selector
from ._plan import Plan, Values
from ._task import Session

# A VHD, and an MBR, end near 2 TiB (facts §3.6).
LARGEST = 2040 * 1024**3
SMALLEST = 2 * 1024**2


@dataclass(frozen=True)
class Generated:
    """Disks of one kind. ``disks`` gives those that shall be there, ``names`` what leftovers of a removed one are called.

    ``listed``: the result is a list, as there may be several.
    """

    kind: str
    device: str | None
    disks: Callable[[Job], list[Wanted]]
    names: Callable[[Job, int], str]
    numbers: Callable[[Job], list[int]]
    options: Mapping[str, dict[str, Any]]
    needed: tuple[str, ...] = ()
    more_rules: Mapping[str, Any] = field(default_factory=dict)
    listed: bool = False

    @property
    def rules(self) -> dict[str, Any]:
        """Keywords of AnsibleModule."""
        # Any one of what is needed will do; disks that several options can size say so.
        required = {"required_if": [("state", "present", self.needed, len(self.needed) > 1)]} if self.needed else {}
        rules = {**one_of_vm(), **required, **self.more_rules}
        return {**rules, "mutually_exclusive": [*one_of_vm()["mutually_exclusive"], *self.more_rules.get("mutually_exclusive", [])]}

    def spec(self) -> Spec:
        """The whole argument spec but the connection."""
        userdevice = {"type": "str", "aliases": ["device"], **({"default": self.device} if self.device else {})}
        return {**state(), **vm_selector(), **timeout(3600), **DISK_OPTIONS, "userdevice": userdevice, **self.options}

    def plan(self, session: Session, params: dict[str, Any]) -> Plan:
        """Compare what is wanted with what is."""
        text = params["userdevice"]
        job = start(session, {**params, "userdevice": None if text is None else device_number(text)}, "VBD")
        if params["state"] == "absent":
            self._plan_absent(job)
        else:
            self._plan_present(job)
        return job.plan

    def _plan_absent(self, job: Job) -> None:
        gone = [plan_absent(job, number, self.names(job, number), self.kind) for number in self.numbers(job)]
        job.plan.before = {"disks": [item["name"] for item in gone if item]}
        job.plan.after = {"disks": []}
        if job.plan.changed and not any(gone):
            job.plan.before = {"disks": ["unfinished"]}

    def _plan_present(self, job: Job) -> None:
        disks = [plan_disk(job, wanted) for wanted in self.disks(job)]
        plan = job.plan
        plan.before, plan.after = self._shape([disk.before for disk in disks]), self._shape([disk.shown for disk in disks])
        written = sum(disk.wanted.content.size for disk in disks if disk.is_new)
        plan.result = {**plan.after, **({"transfer": {"bytes_total": written}} if written else {})}

        def read() -> Values:
            job.view.forget("VDI", "VBD")
            job.view.fetch({"VDI": [disk.vdi for disk in disks], "VBD": [disk.vbd for disk in disks]})
            transfer = {"transfer": {**bytes_sent(disks), "bytes_total": written}} if written else {}
            return {**self._shape([disk.read() for disk in disks]), **transfer}

        plan.read = read

    def _shape(self, disks: list[Values]) -> Values:
        if self.listed:
            return {"disks": disks}
        return disks[0] if disks else {"vdi": None, "vbd": None}


def size_of(job: Job, asked: str | None = None) -> int:
    """The size of the disk, in bytes; 0 for none."""
    text = asked or job.params["size"]
    size = parse_bytes(text)
    if size and not SMALLEST <= size <= LARGEST:
        raise XenError(f"size {text!r} is none that such a disk can have; give {format_bytes(SMALLEST)} to {format_bytes(LARGEST)}, or 0 for none")
    return size


def partition_type(job: Job) -> int | None:
    """The number of ``partition_type``, None when the usual one shall be taken."""
    text = job.params["partition_type"]
    if text is None:
        return None
    try:
        number = int(text, 0)
    except ValueError:
        number = 0
    if not 0 < number < 256:
        raise XenError(f"partition_type {text!r} is none; write a number such as 0x82 or 0x83")
    return number


def check_filesystem(filesystem: str | None, label: str) -> None:
    """Refuse what its tool would refuse later, and a tool that is missing, before anything is created."""
    check_tools(filesystem)
    if filesystem in FILESYSTEMS and len(label.encode()) > (longest := FILESYSTEMS[filesystem][3]):
        raise XenError(f"{filesystem} takes a label of {longest} bytes at most, not {label!r}")


def one_number(job: Job) -> list[int]:
    """The device of the only disk."""
    return [job.params["userdevice"]]


def vm_name(job: Job, _number: int = 0) -> str:
    """Disks are called as their VM unless told otherwise."""
    return str(job.params["name"] or job.vm["name_label"])
