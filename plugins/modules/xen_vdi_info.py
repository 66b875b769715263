#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_vdi_info
short_description: List disks of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Returns the disks (VDIs) of a pool, of a storage repository or of a VM, all of them or those asked for.
  - Tells which disks are a VM's own, and the chain of parents that a disk of VHD storage consists of.
extends_documentation_fragment:
  - xapi.xenserver.attributes.info
  - xapi.xenserver.connection
  - xapi.xenserver.selector.info
options:
  vm:
    description:
      - Return only the disks of the VM with this name, CDs in its drives included. No such VM is an error.
    type: str
  vm_uuid:
    description: Return only the disks of the VM with this uuid, CDs in its drives included. No such VM is an error.
    type: str
  sr:
    description: Return only the disks on the storage repository with this name or uuid. No such repository is an error.
    type: str
  userdevice:
    description:
      - Return only the disk that the VM has at this device, a number or a name such as V(xvda). Its root disk is at V(0).
      - A device with nothing at it is an error.
    type: str
    aliases: [device]
  min_userdevice:
    description: Return only the disks that the VM has at this device number or a higher one.
    type: int
  owned:
    description:
      - Return only the disks that are the VM's own, or with V(false) only the others.
      - Its own are no network volumes, no CDs and no disks that are attached to another VM too.
    type: bool
  is_snapshot:
    description: Return only snapshots, or with V(false) only what is none.
    type: bool
  chain:
    description: Whether to return the chain of each disk as well, which reads all disks of its storage repository.
    type: bool
    default: false
seealso:
  - module: xapi.xenserver.xen_vdi
  - module: xapi.xenserver.xen_vm_info
"""

EXAMPLES = r"""
- name: Images for CD drives are known
  xapi.xenserver.xen_vdi_info:
    sr: ISO library
  register: images

- name: Disks named data are known
  xapi.xenserver.xen_vdi_info:
    name: data
    is_snapshot: false
  register: data

- name: Root disk of the web server is known, with its chain
  xapi.xenserver.xen_vdi_info:
    vm: web1
    userdevice: 0
    chain: true
  register: root

- name: Disks on device 4 and above are known
  xapi.xenserver.xen_vdi_info:
    vm: web1
    min_userdevice: 4
  register: ephemeral

- name: Disks that would go with the web server are known
  xapi.xenserver.xen_vdi_info:
    vm: web1
    owned: true
  register: own
"""

RETURN = r"""
vdis:
  description:
    - Disks, sorted by name.
    - The keys are those of RV(xapi.xenserver.xen_vdi#module:vdi).
    - With O(chain=true), C(chain) is the list of uuids from the disk to its oldest parent.
  returned: always
  type: list
  elements: dict
  sample:
    - uuid: 0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10
      name: web1
      description: root
      sr: 8a3c9d3e-3c44-4b0e-9a64-1f1d5b3f7e02
      size: 4294967296
      used: 941621760
      type: user
      sharable: false
      read_only: false
      tags: []
      disk_type: root
      owner: 3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2
      content: null
      other_config: {}
      sm_config: {}
      managed: true
      missing: false
      is_snapshot: false
      snapshot_of: null
      parent: null
      attachments: []
      chain: [0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10]
"""

from ..module_utils import _options
from ..module_utils._module import run
from ..module_utils._vdi_list import VDI_INFO_OPTIONS, plan_vdis


def main() -> None:
    run(plan_vdis, {**_options.selector(), **VDI_INFO_OPTIONS}, mutually_exclusive=[("name", "uuid"), ("vm", "vm_uuid")])


if __name__ == "__main__":
    main()
