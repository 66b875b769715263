# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records around VMs (disks, interfaces, guest metrics …), read in a number of calls that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable

from ._lookup import Record, View, is_null

# Classes read whole when more than one record of them is needed: a call a class, however many VMs there are.
DEVICES = ("VBD", "VIF")


def load_neighbours(view: View, vms: dict[str, Record]) -> None:
    """Put into the view whatever ``_render_vm.vm`` will ask it for."""
    if len(vms) == 1:
        _fetch_neighbours(view, next(iter(vms.values())))
        return
    devices = {kind: view.load(kind) for kind in DEVICES}
    drives = [drive for drive in devices["VBD"].values() if drive["VM"] in vms]
    nics = [nic for nic in devices["VIF"].values() if nic["VM"] in vms]
    disks = load(view, "VDI", (drive["VDI"] for drive in drives))
    load(view, "SR", [disk["SR"] for disk in disks] + [vm["suspend_SR"] for vm in vms.values()])
    load(view, "network", (nic["network"] for nic in nics))
    load(view, "host", (ref for vm in vms.values() for ref in (vm["resident_on"], vm["affinity"])))
    load(view, "VM_guest_metrics", (vm["guest_metrics"] for vm in vms.values()))
    load(view, "VM", (ref for vm in vms.values() for ref in (*vm["snapshots"], vm["snapshot_of"])))


def _fetch_neighbours(view: View, vm: Record) -> None:
    """Those of one VM, in a call for each step away from it."""
    view.fetch(
        {
            **{kind: vm[f"{kind}s"] for kind in DEVICES},
            "VM_guest_metrics": [vm["guest_metrics"]],
            "host": [vm["resident_on"], vm["affinity"]],
            "SR": [vm["suspend_SR"]],
            "VM": [*vm["snapshots"], vm["snapshot_of"]],
        }
    )
    drives, nics = ([record for ref in vm[f"{kind}s"] if (record := view.record(kind, ref))] for kind in DEVICES)
    view.fetch({"VDI": [drive["VDI"] for drive in drives], "network": [nic["network"] for nic in nics]})
    view.fetch({"SR": [disk["SR"] for drive in drives if (disk := view.record("VDI", drive["VDI"]))]})


def load(view: View, xen_class: str, refs: Iterable[str]) -> list[Record]:
    """The records of these references, by one call: one alone is read by itself, several with all of their class."""
    wanted = sorted({ref for ref in refs if not is_null(ref)})
    if len(view.unread(xen_class, wanted)) > 1:
        view.load(xen_class)
    return [record for record in (view.record(xen_class, ref) for ref in wanted) if record]
