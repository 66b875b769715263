#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_cd
short_description: Insert and eject CDs of VMs of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Inserts ISO images into the CD drives of VMs, changes and ejects them, and adds and removes the drives.
  - Works while the VM runs, except that a running VM sees a new drive after its next start and cannot lose one.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
  - xapi.xenserver.timeout
options:
  state:
    description:
      - V(inserted) puts O(iso) into the drive, in place of another medium. A drive is added when there is none.
      - V(ejected) empties the drive. Having no drive is as good.
      - V(absent) removes the drive with what is in it.
    type: str
    choices: [inserted, ejected, absent]
    default: inserted
  userdevice:
    description:
      - Number of the drive, 0 to 254, or its name, such as V(xvdd) or V(hdd) for number 3.
      - The only drive of the VM is meant when it is left out, not counting one with a config drive or an iPXE image that was made for this VM.
      - A new drive gets number 3, or the first free one when that is taken.
    type: str
    aliases: [device]
  iso:
    description:
      - Name of an image in one of the ISO repositories, or uuid of any disk. Needed for O(state=inserted).
    type: str
  sr:
    description: Name or uuid of the storage repository on which O(iso) lies, when several have the name or it lies on an ordinary one.
    type: str
  bootable:
    description: Whether a paravirtualised VM may boot from the drive. A new drive is bootable unless told otherwise.
    type: bool
seealso:
  - module: xapi.xenserver.xen_vbd
  - module: xapi.xenserver.xen_vdi_info
  - module: xapi.xenserver.xen_sr_info
"""

EXAMPLES = r"""
- name: Installer is in the drive
  xapi.xenserver.xen_cd:
    vm: web1
    iso: debian-12.iso

- name: Guest tools are in the drive
  xapi.xenserver.xen_cd:
    vm: web1
    iso: guest-tools.iso

- name: Drive is empty
  xapi.xenserver.xen_cd:
    vm: web1
    state: ejected

- name: Drive is gone
  xapi.xenserver.xen_cd:
    vm: web1
    state: absent
"""

RETURN = r"""
vbd:
  description:
    - The drive as it is now, or null when there is none to eject from. In check mode, what is known of one that would be added.
    - The keys are those of RV(xapi.xenserver.xen_vbd#module:vbd).
  returned: when O(state=inserted) or O(state=ejected)
  type: dict
  sample:
    uuid: 1f0c4d2e-9f0b-4a5e-8a53-0f4ed1c6b0a7
    vm: 7c9e6679-7425-40de-944b-e07fc1f90ae7
    userdevice: 3
    device: xvdd
    type: cd
    vdi: 0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10
    vdi_name: debian-12.iso
    size: 8388608
    mode: ro
    bootable: true
    unpluggable: false
    empty: false
    plugged: true
    volume: false
    qos_type: ""
    qos_params: {}
    other_config: {}
"""

from ..module_utils import _options
from ..module_utils._cd import CD_OPTIONS, plan_cd
from ..module_utils._module import run

OPTIONS = {**_options.state("inserted", "ejected", "absent"), **_options.vm_selector(), **_options.timeout(), **CD_OPTIONS}


def main() -> None:
    run(plan_cd, OPTIONS, **_options.one_of_vm(), required_if=[("state", "inserted", ("iso",))])


if __name__ == "__main__":
    main()
