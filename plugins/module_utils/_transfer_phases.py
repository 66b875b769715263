# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each phase of a transfer does: all of the disk at once; or sent while its VM runs, from one snapshot to the next,
and imported with what is left when the VM is halted.

A write of what changed since a snapshot may be cut anywhere: it is repeated from that snapshot, which stays until the
new disk is known to hold the next one.
"""

from __future__ import annotations

from collections.abc import Callable

from ._errors import XenError
from ._lookup import Found, Record
from ._render_devices import UNBORN, vdi
from ._transfer_steps import (
    TransferJob,
    add_base_mark,
    add_changes,
    add_copy,
    add_create,
    add_destroy,
    add_finish,
    add_leftover,
    add_removal_of_snapshots,
    add_snapshot,
    bases_of,
    new_record,
    snapshots,
)
from ._vdi_find import names_of, users
from ._vdi_size import is_exact

UNTOLD = ("used", "other_config")


def _plan_full(job: TransferJob, found: Found, sr: Found, target: Found | None) -> None:
    _refuse_written(job, found[1], "use phase send while the VM runs, and phase import when it is halted")
    add_leftover(job, target)
    add_create(job, found, sr)
    add_copy(job, found[1]["name_label"], lambda: found[0], sr)
    add_finish(job, found[1])
    add_removal_of_snapshots(job, found)
    _foretell_new(job, found[1], sr, complete=True)


def _plan_send(job: TransferJob, found: Found, sr: Found, target: Found | None) -> None:
    """All of a snapshot, or what changed from one that is there to a new one. The VM goes on meanwhile."""
    source, base = found[1], job.params["base"]
    held = _held(job, found, target)
    _refuse_other_base(job, source, held, *(bases_of(target) if held else []))
    if target and held and base != held[1]["uuid"]:
        nothing_to_do(job, source["uuid"], target, held)
        return
    if not target or not held:
        add_leftover(job, target)
        add_removal_of_snapshots(job, found)
        add_snapshot(job, found)
        add_create(job, found, sr)
        add_copy(job, source["name_label"], lambda: job.snapshot, sr)
        add_base_mark(job)
        _foretell_new(job, source, sr, complete=False)
        return
    _refuse_resized(source, held, target)
    job.ref = target[0]
    add_snapshot(job, found)
    add_changes(job, source["name_label"], lambda: job.snapshot, held[1]["uuid"], sr)
    add_base_mark(job)
    add_destroy(job, job.session, held[0], f"remove the snapshot of disk {source['name_label']!r} before")
    job.plan.before, job.plan.after = {"base": held[1]["uuid"]}, {"base": "a snapshot of now"}
    _foretell(job, source, target[1])


def _plan_import(job: TransferJob, found: Found, sr: Found, target: Found | None) -> None:
    """What changed since the snapshot that the new disk holds, which completes it."""
    ref, source = found
    held = _held(job, found, target)
    if not target or not held:
        raise XenError(f"disk {source['name_label']!r} was not sent to {sr[1]['name_label']!r} yet; run phase send first, or phase full")
    _refuse_other_base(job, source, held, held[1]["uuid"])
    _refuse_written(job, source, "halt the VM first")
    _refuse_resized(source, held, target)
    job.ref = target[0]
    add_changes(job, source["name_label"], lambda: ref, held[1]["uuid"], sr)
    add_finish(job, source)
    add_removal_of_snapshots(job, found)
    job.plan.before, job.plan.after = {**job.plan.before, "state": "sent"}, {**job.plan.after, "state": "transferred"}
    _foretell(job, source, {**target[1], "other_config": new_record(job, source, sr[0], complete=True)["other_config"]})


PHASES: dict[str, Callable[[TransferJob, Found, Found, Found | None], None]] = {"full": _plan_full, "send": _plan_send, "import": _plan_import}


def nothing_to_do(job: TransferJob, source: str, target: Found, held: Found | None = None) -> None:
    """The new disk is what the phase makes already."""
    job.ref = target[0]
    job.origin = {"uuid": source, **({"snapshot": held[1]["uuid"]} if held else {})}
    job.plan.result = {"vdi": vdi(target[1], job.there_view), "source": job.origin}
    job.plan.before = job.plan.after = {"state": "sent" if held else "transferred"}


def _held(job: TransferJob, found: Found, target: Found | None) -> Found | None:
    """The snapshot that the new disk holds, when it is there still."""
    current = bases_of(target)[:1]
    return next((item for item in snapshots(job, found[0]).items() if item[1]["uuid"] in current), None)


def _refuse_other_base(job: TransferJob, source: Record, held: Found | None, *known: str) -> None:
    base = job.params["base"]
    if base is None or base in known:
        return
    what = f"holds snapshot {held[1]['uuid']}" if held else "holds no snapshot of it that is still there"
    remedy = "give that one" if held else "leave base out to send all of it"
    raise XenError(f"base {base!r} is not what the new disk has: that of disk {source['name_label']!r} {what}; {remedy}")


def _refuse_written(job: TransferJob, record: Record, remedy: str) -> None:
    writers = [vbd for vbd in users(job.view, record) if vbd["mode"] == "RW"]
    if writers:
        raise XenError(f"disk {record['name_label']!r} is in use by {names_of(job.view, writers)} and would change meanwhile; {remedy}")


def _refuse_resized(source: Record, held: Found, target: Found) -> None:
    if source["virtual_size"] != held[1]["virtual_size"]:
        raise XenError(
            f"disk {source['name_label']!r} was resized since it was sent; remove the new disk {target[1]['uuid']}, and run phase send or phase full"
        )


def _foretell_new(job: TransferJob, source: Record, sr: Found, *, complete: bool) -> None:
    record = {**UNBORN, **new_record(job, source, sr[0], complete=complete)}
    unknown = {"uuid", "sm_config", "parent", *UNTOLD, *(() if is_exact(source["virtual_size"]) else ("size",))}
    shown = {key: value for key, value in vdi(record, job.there_view).items() if key not in unknown}
    state = "transferred" if complete else "sent"
    job.plan.before, job.plan.after = {**job.plan.before, "state": "absent"}, {**job.plan.after, "state": state, **shown}
    job.origin = {"uuid": source["uuid"]}
    job.plan.result = {"vdi": shown, "source": job.origin, "transfer": {}}


def _foretell(job: TransferJob, source: Record, record: Record) -> None:
    job.origin = {"uuid": source["uuid"]}
    shown = {key: value for key, value in vdi(record, job.there_view).items() if key not in UNTOLD}
    job.plan.result = {"vdi": shown, "source": job.origin, "transfer": {}}
