# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, as exceptions, and the sentences a user reads for the codes of XenAPI.

Libraries raise these; only the runner (``_module``) turns one into a failed module. Every message says what,
which, and what to do next. The raw code of the pool rides along as ``xenapi_error``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class XenError(Exception):
    """The task cannot be done; the message is for the user."""

    def facts(self) -> dict[str, Any]:
        """Values for the failed result, beside the message."""
        return {}


# What to do about a name that is not there: the module that lists what is, where one does.
REMEDY = "check the name; capitals count"
REMEDIES = {
    "VM": "see xen_vm_info for what there is",
    "disk": "see xen_vdi_info for what there is",
    "network": "see xen_network_info for what there is",
    "snapshot": "see xen_vm_info with is_snapshot for what there is",
    "storage repository": "see xen_sr_info for what there is",
    "template": "see xen_vm_info with is_template for what there is",
}


class NotFound(XenError):
    """Nothing is called like this; the hint says what to do when the noun's own remedy is none."""

    def __init__(self, noun: str, name: str, hint: str = "") -> None:
        super().__init__(f"there is no {noun} {name!r} in this pool; {hint or REMEDIES.get(noun, REMEDY)}")


class Ambiguous(XenError):
    """Several objects are called like this."""

    def __init__(self, noun: str, name: str, uuids: Sequence[str]) -> None:
        some = ", ".join(sorted(uuids)[:5])
        nouns = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
        super().__init__(f"{len(uuids)} {nouns} are named {name!r}; select one by uuid ({some})")


class Immutable(XenError):
    """This can be said only when the object is created."""

    def __init__(self, noun: str, name: str, option: str, current: Any, wanted: Any) -> None:
        super().__init__(
            f"{option} of {noun} {name!r} is {current!r} and cannot become {wanted!r} after creation; "
            f"leave {option} out, or remove the {noun} and create it again"
        )


class TimedOut(XenError):
    """A wait ended before what it waited for happened."""

    def __init__(self, what: str, seconds: float, hint: str = "") -> None:
        super().__init__(f"gave up waiting for {what} after {seconds:g} seconds" + (f"; {hint}" if hint else ""))


class ApiError(XenError):
    """The pool refused a call. ``code`` and ``arguments`` are those of XenAPI, ``details`` is both in one list.

    What a session raises is also a ``XenAPI.Failure`` (see ``xenapi_session``), so ``except ApiError`` and
    ``except XenAPI.Failure`` catch the same thing.
    """

    def __init__(self, details: Sequence[Any]) -> None:
        self.details = [str(detail) for detail in details] or ["INTERNAL_ERROR"]
        self.code = self.details[0]
        self.arguments = self.details[1:]
        # Not super().__init__(): in a session's refusal XenAPI.Failure comes next and would take the text for its details.
        self.args = (sentence(self.code, self.arguments),)

    def __str__(self) -> str:
        return str(self.args[0])

    def facts(self) -> dict[str, Any]:
        return {"xenapi_error": {"code": self.code, "arguments": self.arguments}}


class _Arguments(list[str]):
    """Format arguments of which any number may be missing: releases of xapi differ in how many they send."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index) if index < len(self) else "?"


def sentence(code: str, arguments: Sequence[str]) -> str:
    """The sentence for a code: the row of the table, or the bare code with what came along."""
    template = SENTENCES.get(code)
    if template is None and code.startswith("SR_BACKEND_FAILURE"):
        template = "the storage refused: {1}; see /var/log/SMlog on the host"
    if template is None:
        return f"the pool refused with {code}" + (f" ({', '.join(arguments)})" if any(arguments) else "")
    return f"{template.format(_Arguments(arguments), ', '.join(filter(None, arguments)))} [{code}]"


# {0[n]} is the n-th argument of the code as datamodel_errors.ml declares it; {1} is all that say something.
SENTENCES = {
    "AUTH_ALREADY_ENABLED": "external authentication is already enabled on this host",
    "BRIDGE_NAME_EXISTS": "a network with bridge {0[0]!r} exists already; choose another bridge or leave it out",
    "CANNOT_ADD_VLAN_TO_BOND_SLAVE": "interface {0[0]} is part of a bond; put the VLAN on the bond",
    "CANNOT_DESTROY_SYSTEM_NETWORK": "network {0[0]} belongs to the host itself and cannot be removed",
    "CANNOT_PLUG_VIF": "the network interface {0[0]} cannot be plugged now; look at the state of its network",
    "DEVICE_ALREADY_ATTACHED": "device {0[0]} is attached already",
    "DEVICE_ALREADY_DETACHED": "device {0[0]} is detached already",
    "DEVICE_ALREADY_EXISTS": "device number {0[0]} is in use on this VM; choose another, or leave it out",
    "DEVICE_DETACH_REJECTED": "the guest refused to give up {0[0]} {0[1]}: {0[2]}; unmount it in the guest first",
    "DEVICE_DETACH_TIMEOUT": "the guest did not give up {0[0]} {0[1]} in time; unmount it in the guest first",
    "DEVICE_NOT_ATTACHED": "device {0[0]} is not attached",
    "DISK_VBD_MUST_BE_READWRITE_FOR_HVM": "a disk of an HVM guest must be writable; attach read-only content as CD",
    "DOMAIN_EXISTS": "the VM {0[0]} still has a domain ({0[1]}) on a host; shut it down instead of resetting it",
    "HANDLE_INVALID": "the {0[0]} this task worked on is gone ({0[1]}); somebody else removed it, run the task again",
    "HOST_CANNOT_ATTACH_NETWORK": "host {0[0]} cannot reach network {0[1]}; choose another host or network",
    "HOST_DISABLED": "host {0[0]} is disabled (maintenance); enable it or choose another host",
    "HOST_IS_SLAVE": "this host is a member of a pool, not its coordinator; set hostname to {0[0]}",
    "HOST_NOT_ENOUGH_FREE_MEMORY": "the host has too little free memory: {0[0]} needed, {0[1]} available; "
    "free some, lower the memory of the VM, or choose another host",
    "HOST_NOT_ENOUGH_PCPUS": "the VM wants {0[0]} virtual CPUs but the host has only {0[1]} CPUs",
    "HOST_NOT_LIVE": "the host is not running; start it or choose another host",
    "HOST_OFFLINE": "host {0[0]} is offline; start it or choose another host",
    "HOST_STILL_BOOTING": "the host is still starting its toolstack; run the task again in a minute",
    "INTERNAL_ERROR": "the pool met an internal error: {0[0]}; see /var/log/xensource.log on the coordinator",
    "INVALID_DEVICE": "{0[0]!r} is no device number a VM can have",
    "INVALID_IP_ADDRESS_SPECIFIED": "{0[0]} holds something that is no IP address",
    "INVALID_VALUE": "the pool does not accept {0[1]!r} for {0[0]}",
    "LICENCE_RESTRICTION": "the licence of this pool does not include {0[0]}",
    "LICENSE_RESTRICTION": "the licence of this pool does not include {0[0]}",
    "MAC_INVALID": "{0[0]!r} is no MAC address",
    "MAC_STILL_EXISTS": "MAC address {0[0]} is in use",
    "MAP_DUPLICATE_KEY": "key {0[3]!r} was added to {0[1]} of this {0[0]} by somebody else; run the task again",
    "MEMORY_CONSTRAINT_VIOLATION": "the memory limits are out of order; they must rise: static_min, dynamic_min, dynamic_max, static_max",
    "MEMORY_CONSTRAINT_VIOLATION_MAXPIN": "this VM cannot have dynamic memory ({0[0]}); make dynamic_min, dynamic_max and static_max equal",
    "MEMORY_CONSTRAINT_VIOLATION_ORDER": "the memory limits are out of order; they must rise: static_min, dynamic_min, dynamic_max, static_max",
    "MESSAGE_METHOD_UNKNOWN": "this release of the toolstack does not know {0[0]}; update the hosts",
    "MESSAGE_PARAMETER_COUNT_MISMATCH": "this release of the toolstack calls {0[0]} differently ({0[1]} parameters expected, {0[2]} sent)",
    "MESSAGE_REMOVED": "this release of the toolstack no longer offers this call",
    "NETWORK_ALREADY_CONNECTED": "the network already has an interface on host {0[0]}; use another network",
    "NETWORK_CONTAINS_PIF": "the network carries interfaces of hosts ({0[0]}); remove the VLAN or bond first",
    "NETWORK_CONTAINS_VIF": "running VMs use the network ({0[0]}); detach their interfaces first",
    "NO_HOSTS_AVAILABLE": "no host of the pool can run this VM now; "
    "name a host to hear its reason (memory, storage or network that it cannot reach, maintenance)",
    "NOT_IMPLEMENTED": "this release of the toolstack does not implement {0[0]}",
    "NOT_SUPPORTED_DURING_UPGRADE": "the pool is being upgraded; run the task again when that is done",
    "OPERATION_NOT_ALLOWED": "the pool does not allow this: {0[0]}",
    "OPERATION_BLOCKED": "this operation is blocked on {0[0]} ({0[1]}); lift the block first",
    "OTHER_OPERATION_IN_PROGRESS": "another operation runs on {0[0]} {0[1]}; run the task again when it is done",
    "PIF_IS_PHYSICAL": "this is a physical interface of a host and cannot be removed",
    "PIF_VLAN_EXISTS": "interface {0[0]} carries a VLAN with this tag already; use that network",
    "PROVISION_ONLY_ALLOWED_ON_TEMPLATE": "only a template can be provisioned",
    "RBAC_PERMISSION_DENIED": "the user may not do {0[0]}; give the user a role that may, or log in as another",
    "SESSION_AUTHENTICATION_FAILED": "wrong user name or password for {0[0]!r}; check username and password",
    "SESSION_AUTHORIZATION_FAILED": "{0[0]!r} may not use this pool; give the user a role in the pool",
    "SESSION_INVALID": "the session has ended; log in again (xen_session), or leave session_id out",
    "SR_BACKEND_FAILURE_44": "the storage repository is full; free space or choose another ({1})",
    "SR_BACKEND_FAILURE_46": "the disk is in use by the storage ({1}); run the task again in a minute",
    "SR_FULL": "the storage repository is full: {0[0]} needed, {0[1]} available; free space or choose another",
    "SR_HAS_NO_PBDS": "storage repository {0[0]} is connected to no host; plug it first",
    "SR_HAS_PBD": "storage repository {0[0]} is still connected to hosts; unplug it first",
    "SR_NOT_EMPTY": "the storage repository still holds disks; remove them first",
    "SR_OPERATION_NOT_SUPPORTED": "storage repository {0[0]} cannot do this; its type lacks the operation",
    "SR_UNKNOWN_DRIVER": "no host knows storage of type {0[0]!r}",
    "TASK_CANCELLED": "somebody cancelled the task on the pool",
    "TOO_MANY_STORAGE_MIGRATES": "the host already moves {0[0]} VMs with their disks; wait for one to end",
    "UUID_INVALID": "there is no {0[0]} with uuid {0[1]}",
    "VALUE_NOT_SUPPORTED": "{0[0]} cannot be {0[1]!r}: {0[2]}",
    "VBD_CDS_MUST_BE_READONLY": "a CD drive is read-only; leave the mode out, or attach a disk",
    "VBD_IS_EMPTY": "the drive is empty",
    "VBD_NOT_EMPTY": "the drive holds a medium; eject it first",
    "VBD_NOT_REMOVABLE_MEDIA": "this is a disk and not a drive for media",
    "VBD_NOT_UNPLUGGABLE": "the disk cannot be unplugged while the VM runs; shut it down first",
    "VDI_CBT_ENABLED": "disk {0[0]} has changed-block tracking enabled; disable that first",
    "VDI_IN_USE": "disk {0[0]} is in use; detach it or shut its VM down first",
    "VDI_INCOMPATIBLE_TYPE": "disk {0[0]} is of type {0[1]}, which cannot do this",
    "VDI_IO_ERROR": "the disk could not be read or written: {0[0]}",
    "VDI_IS_A_PHYSICAL_DEVICE": "{0[0]} is a physical device and no disk in the storage",
    "VDI_IS_NOT_ISO": "{0[0]} is no ISO image ({0[1]}); choose one from an ISO repository",
    "VDI_MISSING": "disk {0[1]} is no longer on storage repository {0[0]}; scan the repository",
    "VDI_NOT_MANAGED": "disk {0[0]} is an internal part of a chain and cannot be used by itself",
    "VDI_READONLY": "disk {0[0]} is read-only",
    "VDI_TOO_SMALL": "disk {0[0]} is too small ({0[1]} bytes at least)",
    "VIF_IN_USE": "network interface {0[1]} is in use",
    "VLAN_TAG_INVALID": "{0[0]} is no VLAN tag; use 1 to 4094",
    "VM_BAD_POWER_STATE": "the VM must be {0[1]} for this, but it is {0[2]}; use xen_power first",
    "VM_BIOS_STRINGS_ALREADY_SET": "the BIOS strings of a VM can be set only once",
    "VM_CANNOT_DELETE_DEFAULT_TEMPLATE": "{0[0]} is a template of the product and cannot be removed",
    "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT": "the guest did not react to the shutdown request; shut it down from inside, or power it off hard",
    "VM_HVM_REQUIRED": "the VM needs hardware virtualisation, which the host lacks",
    "VM_INCOMPATIBLE_WITH_THIS_HOST": "the VM cannot run on host {0[1]}: {0[2]}",
    "VM_IS_IMMOBILE": "VM {0[0]} may not be moved or suspended (nomigrate or nested virtualisation is set)",
    "VM_IS_PROTECTED": "VM {0[0]} is protected by high availability; lift its protection first",
    "VM_IS_SNAPSHOT": "{0[0]} is a snapshot, which cannot do {0[1]}; create a VM from it first",
    "VM_IS_TEMPLATE": "{0[0]} is a template, which cannot do {0[1]}; create a VM from it first",
    "VM_LACKS_FEATURE": "the guest does not support this now; install its guest tools, or use the hard variant",
    "VM_MIGRATE_FAILED": "the migration failed: {0[3]}",
    "VM_MISSING_PV_DRIVERS": "the guest has no PV drivers; install its guest tools",
    "VM_NON_SUSPENDABLE": "the guest cannot be suspended now: {0[1]}",
    "VM_NO_SUSPEND_SR": "no storage repository is set for suspend images; set one in the pool or the host",
    "VM_OLD_PV_DRIVERS": "the PV drivers of the guest are too old; update its guest tools",
    "VM_REQUIRES_NETWORK": "the host cannot reach network {0[1]}, which the VM needs; choose another host",
    "VM_REQUIRES_SR": "the host cannot reach storage repository {0[1]}, which the VM needs (a CD counts too); choose another host, or eject the CD",
    "VM_SHUTDOWN_TIMEOUT": "the guest did not shut down within {0[1]} seconds; power it off hard",
    "XENAPI_MISSING_PLUGIN": "the host has no plugin {0[0]!r}",
    "XENAPI_PLUGIN_FAILURE": "plugin function {0[0]} failed: {0[2]}",
}
