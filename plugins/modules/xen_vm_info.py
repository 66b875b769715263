#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_vm_info
short_description: List VMs of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Returns the VMs of a pool, all of them or those asked for, with their settings, state, disks, interfaces and addresses.
  - Templates, snapshots and control domains are returned instead when they are asked for.
extends_documentation_fragment:
  - xapi.xenserver.attributes.info
  - xapi.xenserver.connection
  - xapi.xenserver.selector.info
options:
  scope:
    description:
      - V(pool) for all VMs, or with O(host) for those that run there or prefer to.
      - V(resident) for VMs that run or are paused, on O(host) if that is given. A halted VM is resident nowhere.
      - V(affinity) for VMs that prefer O(host).
    type: str
    choices: [pool, resident, affinity]
    default: pool
  host:
    description: Name or uuid of the host that O(scope) means.
    type: str
  power_state:
    description: Return only VMs in this power state.
    type: str
    choices: [running, halted, suspended, paused]
  tags:
    description: Return only VMs that have all of these tags.
    type: list
    elements: str
  is_template:
    description: Return templates. Several of O(is_template), O(is_snapshot) and O(control_domain) return all of those kinds.
    type: bool
  is_snapshot:
    description: Return snapshots.
    type: bool
  control_domain:
    description: Return the control domains of the hosts (dom0).
    type: bool
notes:
  - The number of calls to the pool does not depend on the number of VMs.
  - With O(uuid) alone, the object is returned whatever kind it is.
seealso:
  - module: xapi.xenserver.xen_vm
"""

EXAMPLES = r"""
- name: All VMs are known
  xapi.xenserver.xen_vm_info:
  register: all

- name: Running VMs of a host are known
  xapi.xenserver.xen_vm_info:
    scope: resident
    host: xs1
    power_state: running

- name: It is known whether a VM exists
  xapi.xenserver.xen_vm_info:
    name: web1
  register: web

- name: There is no such VM yet
  ansible.builtin.assert:
    that: not web.exists

- name: Templates are known
  xapi.xenserver.xen_vm_info:
    is_template: true

- name: Control domain of a host is known
  xapi.xenserver.xen_vm_info:
    control_domain: true
    scope: resident
    host: xs1
"""

RETURN = r"""
exists:
  description: Whether there is a VM that was asked for.
  returned: always
  type: bool
  sample: true
vms:
  description: VMs, sorted by name.
  returned: always
  type: list
  elements: dict
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
from ..module_utils._vm_list import OPTIONS, RULES, plan_vms


def main() -> None:
    run(plan_vms, {**_options.selector(), **OPTIONS}, **RULES)


if __name__ == "__main__":
    main()
