#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_vm
short_description: Manage VMs of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Makes VMs from nothing or of a template, a VM or a snapshot, changes them, renames them and removes them.
  - A VM is made halted. Its disks, drives and interfaces are those of its source; others are added with
    M(xapi.xenserver.xen_vdi), M(xapi.xenserver.xen_vbd), M(xapi.xenserver.xen_cd) and M(xapi.xenserver.xen_vif), and
    M(xapi.xenserver.xen_power) starts it.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.selector
  - xapi.xenserver.timeout
options:
  state:
    description:
      - Whether the VM exists. Templates, snapshots and control domains are not looked at.
      - A VM is removed with its drives and interfaces, and with its own disks when O(destroy_disks=true).
    type: str
    choices: [present, absent]
    default: present
  template:
    description:
      - Name or uuid of the template to make the VM of. Looked at only when the VM does not exist.
      - The new VM has the settings of the template but for those that are options here.
    type: str
  source_vm:
    description: Name or uuid of the halted VM to make the VM of. Looked at only when the VM does not exist.
    type: str
  source_snapshot:
    description: Name or uuid of the snapshot to make the VM of. Looked at only when the VM does not exist.
    type: str
  full_copy:
    description:
      - Whether the disks of the source are copied whole. Otherwise they are cloned, which is quick where the storage can do it, and the
        new disks share what both have in common.
    type: bool
    default: false
  sr:
    description:
      - Name or uuid of the storage repository for the disks of a new VM. Disks of the source are copied there whole.
      - Left out, they stay where those of the source are, and disks that a template describes are made on the default repository of the pool.
    type: str
  template_disks:
    description: Whether disks that a template of the product describes are made. The template then says how many and how large.
    type: bool
    default: true
  description:
    description: Description of the VM.
    type: str
  tags:
    description: Tags of the VM, all of them. An empty list removes them.
    type: list
    elements: str
  memory:
    description:
      - Memory, as V(2GiB) or a number of bytes. It sets O(memory_static_max), O(memory_dynamic_min) and O(memory_dynamic_max) unless they are given too.
      - Required, or O(memory_static_max), for a VM made from nothing. Changing it needs a halted VM.
    type: str
  memory_static_min:
    description: Least memory that the VM can have. A VM made from nothing has 0. Changing it needs a halted VM.
    type: str
  memory_dynamic_min:
    description: Least memory that the VM is given while it runs. Can change while it runs.
    type: str
  memory_dynamic_max:
    description: Most memory that the VM is given while it runs. Can change while it runs.
    type: str
  memory_static_max:
    description: Most memory that the VM can have. Changing it needs a halted VM.
    type: str
  check_memory:
    description:
      - Whether a new VM is made only when a host has enough free memory for it, the one of O(check_memory_on) or O(affinity) if that is given.
      - What other VMs in the making will need is not counted.
    type: bool
    default: false
  check_memory_on:
    description: Name or uuid of the host that the VM will be started on, for O(check_memory).
    type: str
  vcpus:
    description:
      - Number of virtual CPUs at start. A VM made from nothing has 1 unless told otherwise.
      - On a running VM they are plugged as well, which the guest must support, up to O(vcpus_max).
    type: int
  vcpus_max:
    description: Most virtual CPUs. Raised to O(vcpus) when it is lower, and otherwise left as it is. Changing it needs a halted VM.
    type: int
  vcpu_weight:
    description: Share of CPU time in relation to other VMs, 1 to 65535. A VM without weight counts as 256. Works from the next start.
    type: int
  vcpu_mask:
    description: Numbers of the CPUs of the host that the VM may use. An empty list allows all. Works from the next start.
    type: list
    elements: int
  vcpus_params:
    description: Further keys for the scheduling of virtual CPUs, as V(cap). A key whose value is null is removed, and keys that are not named stay.
    type: dict
  cores_per_socket:
    description: Cores of each virtual socket. Must divide O(vcpus_max).
    type: int
  boot_mode:
    description:
      - How the VM boots. V(hvm) as a machine does, V(pygrub) with a kernel from its disk, V(pv_kernel) with O(pv_kernel).
      - V(auto) leaves an existing VM and one made of a source alone. For one made from nothing it means V(pv_kernel) if that option is
        given, or else V(pygrub) or V(hvm) by O(os_type) and O(image_format).
      - Current hosts run V(hvm) only and refuse to start others. Changing it needs a halted VM.
    type: str
    choices: [auto, hvm, pygrub, pv_kernel]
    default: auto
  os_type:
    description:
      - Operating system of a VM made from nothing. V(windows) sets up the platform for Windows.
      - With O(boot_mode=auto), V(linux) means V(pygrub) and V(windows) means V(hvm). Other names mean nothing.
    type: str
  image_format:
    description: Format of the image whose disk the VM gets. With O(boot_mode=auto) and no O(os_type), V(ami) and V(vhd) mean V(pygrub), and others V(hvm).
    type: str
    choices: [aki, ari, ami, raw, vhd, iso, qcow2]
  pv_kernel:
    description: Path of the kernel in dom0, for O(boot_mode=pv_kernel).
    type: str
  pv_ramdisk:
    description: Path of the ramdisk in dom0, for O(boot_mode=pv_kernel).
    type: str
  pv_args:
    description: Arguments of the kernel. A VM made from nothing with O(boot_mode=pv_kernel) has V(root=/dev/xvda1) unless told otherwise.
    type: str
  boot_order:
    description:
      - Order of the boot devices, of the letters V(c) disk, V(d) CD, V(n) network, each at most once. A VM made from nothing has V(dc).
      - Works from the next start.
    type: str
  firmware:
    description: Firmware of an V(hvm) VM. A VM without one has V(bios). Works from the next start.
    type: str
    choices: [bios, uefi]
  secure_boot:
    description: Whether the firmware checks what it boots, which needs O(firmware=uefi). V(auto) leaves it to the pool. Works from the next start.
    type: str
    choices: [enabled, disabled, auto]
  platform:
    description: Keys of the virtual platform to set. A key whose value is null is removed, and keys that are not named stay. Works from the next start.
    type: dict
  platform_device_id:
    description: Revision of the platform device by which a guest finds its drivers, V(2) for Windows with current ones. Needs hosts of release 6.1.
    type: int
  xenstore_data:
    description:
      - Keys that the guest can read, below V(vm-data/). A key whose value is null is removed, and keys that are not named stay.
      - A running guest sees them at once.
      - A VM made from nothing has C(vm-data/allowvssprovider=false) unless this is given.
    type: dict
  other_config:
    description: Keys to set. A key whose value is null is removed, and keys that are not named stay.
    type: dict
  affinity:
    description: Name or uuid of the host that the VM prefers to start on. Empty for none.
    type: str
  suspend_sr:
    description: Name or uuid of the storage repository that keeps the memory of the VM when it is suspended. Empty for the one of the pool.
    type: str
  actions_after_shutdown:
    description: What happens when the guest shuts down. A VM made from nothing has V(destroy), which ends it.
    type: str
    choices: [destroy, restart]
  actions_after_reboot:
    description: What happens when the guest reboots. A VM made from nothing has V(restart).
    type: str
    choices: [destroy, restart]
  actions_after_crash:
    description: What happens when the guest crashes. A VM made from nothing has V(destroy).
    type: str
    choices: [destroy, coredump_and_destroy, restart, coredump_and_restart, preserve, rename_restart]
  ha_restart_priority:
    description: What high availability does when the host of the VM fails. Empty for nothing.
    type: str
    choices: ["", best-effort, restart]
  start_order:
    description: Turn of the VM when several are started, low numbers first.
    type: int
  start_delay:
    description: Seconds to wait after the start of the VM before the next.
    type: int
  shutdown_delay:
    description: Seconds to wait after the shutdown of the VM before the next.
    type: int
  has_vendor_device:
    description: Whether the VM has the device for which Windows Update installs drivers. A VM made from nothing has none. Changing it needs a halted VM.
    type: bool
  pci_bus:
    description: PCI bus path.
    type: str
  user_version:
    description: Version number for your own use.
    type: int
  bootable:
    description:
      - Whether the VM may be started. V(false) blocks its start, whoever tries it; V(true) takes such a block away.
      - Blocks of other operations stay.
    type: bool
  blocked_operations:
    description: Operations to block, as C(destroy), and the reason for each. One whose reason is null is allowed again, and those that are not named stay.
    type: dict
  destroy_disks:
    description:
      - With O(state=absent), whether the own disks of the VM are removed too.
      - Media in CD drives, attached network volumes and disks that another VM has as well are never removed.
    type: bool
    default: false
  destroy_owned:
    description:
      - With O(state=absent), whether disks are removed too that are attached to nothing and carry the uuid of the VM as their owner, such as
        those that an interrupted run left.
    type: bool
    default: false
  purge_networks:
    description: With O(state=absent), whether the interim networks of the VM are removed on which no other VM is, see M(xapi.xenserver.xen_network).
    type: bool
    default: false
  force:
    description: With O(state=absent), whether a VM that is not halted is powered off first. Otherwise it is not removed.
    type: bool
    default: false
notes:
  - A VM is never shut down in order to change it. What needs a halted VM is an error that names those options.
seealso:
  - module: xapi.xenserver.xen_vm_info
  - module: xapi.xenserver.xen_power
"""

EXAMPLES = r"""
- name: VM that boots as a machine does exists
  xapi.xenserver.xen_vm:
    name: web1
    memory: 2GiB
    vcpus: 2
    boot_mode: hvm
    tags: [web]

- name: VM made of a template exists
  xapi.xenserver.xen_vm:
    name: db1
    template: Debian 12 (cloud image)
    memory: 4GiB
    vcpus: 2

- name: VM for an installation exists, with the disk that its template describes on shared storage
  xapi.xenserver.xen_vm:
    name: install1
    template: Debian Bookworm 12
    sr: NFS storage
    firmware: uefi

- name: Full copy of a VM exists
  xapi.xenserver.xen_vm:
    name: db1-copy
    source_vm: db1
    full_copy: true

- name: VM has more memory and CPUs
  xapi.xenserver.xen_vm:
    name: web1
    memory: 4GiB
    vcpus: 4

- name: VM may not be started
  xapi.xenserver.xen_vm:
    name: web1
    bootable: false

- name: VM has a new name
  xapi.xenserver.xen_vm:
    name: web1
    new_name: web1-old

- name: Retired VM is gone with its disks, running or not
  xapi.xenserver.xen_vm:
    name: web1-old
    state: absent
    force: true
    destroy_disks: true
"""

RETURN = r"""
removed:
  description: Uuids of the disks that went with the VM.
  returned: when O(state=absent)
  type: list
  elements: str
  sample: [9d0d6a4c-1f6e-4e0a-8e53-6a6b3f0c7a11]
left:
  description: What stays although it belonged to the VM, such as network volumes, disks that another VM has too, and snapshots. Warnings tell the same.
  returned: when O(state=absent)
  type: list
  elements: dict
  contains:
    uuid:
      description: Uuid of the disk, or of the VM for its snapshots.
      type: str
      returned: always
      sample: 1f7b6c9e-4a1d-4d27-9a53-0c6de3a5b4f2
    text:
      description: What stays and why.
      type: str
      returned: always
      sample: "disk 'data' of VM 'web1' stays: it is a network volume"
vm:
  description: The VM as it is now. In check mode, what is known of a VM that would be made.
  returned: when O(state=present)
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 0f2f6a4c-5c8e-4b5c-9a1e-7d1f5a3c2b10}
    name: {description: Name., type: str, returned: always, sample: web1}
    description: {description: Description., type: str, returned: always, sample: Shop front}
    power_state: {description: "V(running), V(halted), V(suspended) or V(paused).", type: str, returned: always, sample: running}
    host: {description: Uuid of the host that it runs on; null when it runs on none., type: str, returned: always, sample: 5b3d2f0e-1c4a-4e0e-9d57-2f4f6a1b8c3d}
    affinity: {description: Uuid of the host that it prefers; null without one., type: str, returned: always, sample: null}
    domid: {description: Number of its domain on that host; null when it has none., type: int, returned: always, sample: 7}
    usage: {description: MiB of memory that it takes of its host; null unless it is running or paused., type: int, returned: always, sample: 2048}
    tags: {description: "Tags, sorted.", type: list, elements: str, returned: always, sample: [web]}
    memory: {description: "Most memory that it can have, in bytes. The same as RV(ignore:memory_static_max).", type: int, returned: always, sample: 2147483648}
    memory_static_min: {description: Least memory that it can be configured to have in bytes., type: int, returned: always, sample: 0}
    memory_dynamic_min: {description: Least memory that it is given while it runs in bytes., type: int, returned: always, sample: 2147483648}
    memory_dynamic_max: {description: Most memory that it is given while it runs in bytes., type: int, returned: always, sample: 2147483648}
    memory_static_max: {description: Most memory that it can be configured to have in bytes., type: int, returned: always, sample: 2147483648}
    vcpus: {description: Virtual CPUs that it starts with., type: int, returned: always, sample: 2}
    vcpus_max: {description: Virtual CPUs that it can have., type: int, returned: always, sample: 2}
    vcpus_params: {description: "Scheduling of its virtual CPUs: weight, cap, mask.", type: dict, returned: always, sample: {weight: "512", cap: "0"}}
    cores_per_socket: {description: Cores of each of its sockets; null when it does not say., type: int, returned: always, sample: 2}
    boot_mode: {description: "V(hvm), V(pygrub) or V(pv_kernel); null for a kind of guest that is none of these.", type: str, returned: always, sample: hvm}
    boot_order: {description: "Order of its boot devices: c disk, d CD, n network.", type: str, returned: always, sample: dc}
    firmware: {description: "V(bios) or V(uefi); null unless it boots as RV(ignore:boot_mode=hvm).", type: str, returned: always, sample: uefi}
    secure_boot: {description: "V(enabled), V(disabled) or V(auto); null when it does not say.", type: str, returned: always, sample: auto}
    pv_kernel: {description: Path of its kernel in dom0; empty without one., type: str, returned: always, sample: ""}
    pv_ramdisk: {description: Path of its ramdisk in dom0; empty without one., type: str, returned: always, sample: ""}
    pv_args: {description: Arguments of its kernel., type: str, returned: always, sample: ""}
    platform: {description: Keys of the virtual platform., type: dict, returned: always, sample: {acpi: "true", nx: "true"}}
    platform_device_id: {description: Revision of its platform device; null when it does not say., type: int, returned: always, sample: 2}
    xenstore_data: {description: Keys of its xenstore., type: dict, returned: always, sample: {vm-data/allowvssprovider: "false"}}
    other_config: {description: Further keys., type: dict, returned: always, sample: {mac_seed: 3c1b0a0e-9a55-4a2b-bd33-0e2a6f4f7b21}}
    blocked_operations: {description: Operations that are blocked and why., type: dict, returned: always, sample: {}}
    bootable: {description: Whether nothing blocks its start., type: bool, returned: always, sample: true}
    actions_after_shutdown: {description: What happens when the guest shuts down., type: str, returned: always, sample: destroy}
    actions_after_reboot: {description: What happens when the guest reboots., type: str, returned: always, sample: restart}
    actions_after_crash: {description: What happens when the guest crashes., type: str, returned: always, sample: destroy}
    ha_restart_priority: {description: What high availability does when its host fails., type: str, returned: always, sample: ""}
    start_order: {description: Its turn when several are started., type: int, returned: always, sample: 0}
    start_delay: {description: Seconds to wait after its start., type: int, returned: always, sample: 0}
    shutdown_delay: {description: Seconds to wait after its shutdown., type: int, returned: always, sample: 0}
    has_vendor_device: {description: Whether Windows Update gives it drivers., type: bool, returned: always, sample: false}
    suspend_sr: {description: Uuid of the repository for its memory when it is suspended; null when it does not say., type: str, returned: always, sample: null}
    pci_bus: {description: PCI bus path., type: str, returned: always, sample: ""}
    user_version: {description: Version that a user gave it., type: int, returned: always, sample: 0}
    is_template: {description: Whether it is a template; snapshots are templates too., type: bool, returned: always, sample: false}
    is_default_template: {description: Whether it is a template of the product., type: bool, returned: always, sample: false}
    is_snapshot: {description: Whether it is a snapshot., type: bool, returned: always, sample: false}
    is_control_domain: {description: Whether it is the control domain of a host (dom0)., type: bool, returned: always, sample: false}
    snapshot_of: {description: Uuid of the VM that it is a snapshot of; null otherwise., type: str, returned: always, sample: null}
    snapshots: {description: "Uuids of its snapshots, sorted.", type: list, elements: str, returned: always, sample: []}
    addresses: {description: "Addresses that the guest reports, of all its interfaces.", type: list, elements: str, returned: always, sample: [192.0.2.17]}
    guest:
      description: What the tools in the guest report.
      type: dict
      returned: always
      contains:
        tools: {description: Whether the tools report., type: bool, returned: always, sample: true}
        os_name: {description: Operating system; null when unknown., type: str, returned: always, sample: Debian GNU/Linux 12}
        os_version: {description: Operating system in parts., type: dict, returned: always, sample: {distro: debian, major: "12"}}
        drivers_version: {description: Version of the drivers in parts., type: dict, returned: always, sample: {major: "7", minor: "30"}}
    disks:
      description: Disks and drives, by device number, as M(xapi.xenserver.xen_vbd) returns them.
      type: list
      elements: dict
      returned: always
      contains:
        uuid: {description: Uuid of the attachment (VBD)., type: str, returned: always, sample: 1f0c4d2e-9f0b-4a5e-8a53-0f4ed1c6b0a7}
        userdevice: {description: Number of the device., type: int, returned: always, sample: 0}
        device: {description: Name that Linux guests see; null before the first plug., type: str, returned: always, sample: xvda}
        type: {description: "V(disk), V(cd) or V(floppy).", type: str, returned: always, sample: disk}
        vdi: {description: Uuid of the disk; null for an empty drive., type: str, returned: always, sample: 0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10}
        vdi_name: {description: Name of the disk; null for an empty drive., type: str, returned: always, sample: web1 root}
        size: {description: Size of the disk in bytes; null for an empty drive., type: int, returned: always, sample: 10737418240}
        mode: {description: "V(rw) or V(ro).", type: str, returned: always, sample: rw}
        bootable: {description: Whether a paravirtualised VM may boot from it., type: bool, returned: always, sample: false}
        unpluggable: {description: Whether it may be unplugged from a running VM., type: bool, returned: always, sample: true}
        empty: {description: Whether it is a drive without medium., type: bool, returned: always, sample: false}
        plugged: {description: Whether a running VM has it now., type: bool, returned: always, sample: true}
        volume: {description: Whether it is a network volume., type: bool, returned: always, sample: false}
        qos_type: {description: Algorithm that shares the storage., type: str, returned: always, sample: ""}
        qos_params: {description: Its parameters., type: dict, returned: always, sample: {}}
        other_config: {description: Further keys., type: dict, returned: always, sample: {}}
        sr: {description: Uuid of its storage repository; null for an empty drive., type: str, returned: always, sample: 5c1d7a38-8b0e-4f43-9a53-3f6f6c0d2f5e}
    nics:
      description: Network interfaces, by device number, as M(xapi.xenserver.xen_vif) returns them.
      type: list
      elements: dict
      returned: always
      contains:
        uuid: {description: Uuid of the interface (VIF)., type: str, returned: always, sample: 3b0a3a55-0a52-4a43-8d6b-0f4bb1a9b5b0}
        device: {description: Device number., type: int, returned: always, sample: 0}
        mac: {description: MAC address., type: str, returned: always, sample: "02:16:3e:00:00:01"}
        mac_autogenerated: {description: Whether the pool made the MAC address up., type: bool, returned: always, sample: false}
        network: {description: Uuid of the network., type: str, returned: always, sample: 9a1c5c1f-5e0a-4d2b-8b3e-2f6a7a0c9d11}
        network_name: {description: Name of the network., type: str, returned: always, sample: Private}
        mtu: {description: Largest packet in bytes., type: int, returned: always, sample: 1500}
        plugged: {description: Whether a running VM has it now., type: bool, returned: always, sample: true}
        locking_mode: {description: Whether traffic of other addresses passes., type: str, returned: always, sample: locked}
        ipv4_allowed: {description: "IPv4 addresses that may be used when locked, sorted.", type: list, elements: str, returned: always, sample: [192.0.2.10]}
        ipv6_allowed: {description: "IPv6 addresses that may be used when locked, sorted.", type: list, elements: str, returned: always, sample: []}
        rate_limit: {description: Limit in kilobits per second; null without one., type: int, returned: always, sample: 10240}
        other_config: {description: Further keys., type: dict, returned: always, sample: {}}
        addresses: {description: Addresses that the guest reports for it., type: list, elements: str, returned: always, sample: [192.0.2.17]}
"""

from ..module_utils import _options
from ..module_utils._module import run
from ..module_utils._vm_plan import OPTIONS, RULES, plan_vm


def main() -> None:
    run(plan_vm, {**_options.state(), **_options.selector(), **_options.rename(), **_options.timeout(), **OPTIONS}, **RULES)


if __name__ == "__main__":
    main()
