#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_vbd
short_description: Attach disks to VMs of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Attaches disks to VMs, changes and removes attachments (VBDs), and plugs and unplugs them while the VM runs.
  - The disk itself is made and removed by M(xapi.xenserver.xen_vdi). CD drives belong to M(xapi.xenserver.xen_cd).
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
  - xapi.xenserver.timeout
options:
  state:
    description:
      - Whether the disk is attached to the VM. A plugged disk is unplugged before its attachment is removed. The disk stays.
    type: str
    choices: [present, absent]
    default: present
  userdevice:
    description:
      - Number of the device, 0 to 254, or its name, such as V(xvdb), V(sdb) or V(/dev/sdb) for number 1.
      - The attachment of O(vdi) is meant when it is left out, and a new one gets the first free number.
      - At least one of O(userdevice) and O(vdi) is needed.
    type: str
    aliases: [device]
  vdi:
    description:
      - Name or uuid of the disk. Needed to attach one.
      - Another disk at O(userdevice) is an error, it is never replaced.
    type: str
  sr:
    description: Name or uuid of the storage repository on which the disk called O(vdi) lies, when several have the name.
    type: str
  mode:
    description:
      - V(rw) to read and write, V(ro) to read only. A new attachment has V(rw) unless told otherwise. It changes only while the VM is halted.
      - An HVM guest takes a read-only disk only when it starts. Plug read-only content as a CD with M(xapi.xenserver.xen_cd).
    type: str
    choices: [rw, ro]
  bootable:
    description: Whether a paravirtualised VM may boot from the disk. A new attachment is not bootable unless told otherwise.
    type: bool
  unpluggable:
    description: Whether the disk may be unplugged while the VM runs. A new attachment may unless told otherwise.
    type: bool
  volume:
    description:
      - Whether the disk is a network volume, which stays when the VM is removed with its disks. Marked by C(osvol) in C(other_config).
      - A new attachment is none unless told otherwise.
    type: bool
  qos_type:
    description: Algorithm that shares the storage between disks, V(ionice), or an empty text for none.
    type: str
  qos_params:
    description: Parameters of O(qos_type), all of them.
    type: dict
  other_config:
    description: Keys to set. A key whose value is null is removed, and keys that are not named stay.
    type: dict
  plugged:
    description:
      - Whether the running VM has the disk now.
      - When it is left out, a disk that is new to a running VM is plugged, and others stay as they are.
      - A halted VM gets its disks when it starts, so it makes no difference there.
    type: bool
  retries:
    description:
      - How often to ask the guest again when it refuses to take or to give up the disk, after at most a second each.
      - A guest refuses until its drivers are loaded, and to give up a disk while that is mounted.
    type: int
    default: 10
seealso:
  - module: xapi.xenserver.xen_vdi
  - module: xapi.xenserver.xen_vdi_info
  - module: xapi.xenserver.xen_cd
"""

EXAMPLES = r"""
- name: Web server has its root disk
  xapi.xenserver.xen_vbd:
    vm: web1
    userdevice: 0
    vdi: web1
    bootable: true

- name: Database volume is attached as xvdb and stays when the VM goes
  xapi.xenserver.xen_vbd:
    vm: web1
    userdevice: /dev/xvdb
    vdi: database
    volume: true

- name: Volume is unplugged
  xapi.xenserver.xen_vbd:
    vm: web1
    vdi: database
    plugged: false
    retries: 30

- name: Volume is detached
  xapi.xenserver.xen_vbd:
    vm: web1
    vdi: database
    state: absent
"""

RETURN = r"""
vbd:
  description: The attachment as it is now. In check mode, what is known of one that would be made.
  returned: when O(state=present)
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 1f0c4d2e-9f0b-4a5e-8a53-0f4ed1c6b0a7}
    vm: {description: Uuid of the VM., type: str, returned: always, sample: 7c9e6679-7425-40de-944b-e07fc1f90ae7}
    userdevice: {description: Number of the device., type: int, returned: always, sample: 1}
    device: {description: Name that Linux guests see; null before the first plug., type: str, returned: always, sample: xvdb}
    type: {description: "V(disk), V(cd) or V(floppy).", type: str, returned: always, sample: disk}
    vdi: {description: Uuid of the disk; null for an empty drive., type: str, returned: always, sample: 0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10}
    vdi_name: {description: Name of the disk., type: str, returned: always, sample: database}
    size: {description: Size of the disk in bytes., type: int, returned: always, sample: 10737418240}
    mode: {description: "V(rw) or V(ro).", type: str, returned: always, sample: rw}
    bootable: {description: Whether a paravirtualised VM may boot from it., type: bool, returned: always, sample: false}
    unpluggable: {description: Whether it may be unplugged from a running VM., type: bool, returned: always, sample: true}
    empty: {description: Whether it is a drive without medium., type: bool, returned: always, sample: false}
    plugged: {description: Whether a running VM has it now., type: bool, returned: always, sample: true}
    volume: {description: Whether it is a network volume., type: bool, returned: always, sample: true}
    qos_type: {description: Algorithm that shares the storage., type: str, returned: always, sample: ""}
    qos_params: {description: Its parameters., type: dict, returned: always, sample: {}}
    other_config: {description: Further keys., type: dict, returned: always, sample: {osvol: "True"}}
"""

from ..module_utils._codec import BOOL, MAP, TEXT, vocabulary
from ..module_utils._devices import Device
from ..module_utils._entity import Field
from ..module_utils._module import run
from ..module_utils._render_devices import vbd
from ..module_utils._vbd import VBD_OPTIONS, find_vbd, prepare_vbd, vbd_record

DISK = Device(
    xen_class="VBD",
    key="vbd",
    noun="disk",
    fields=(
        Field("mode", "mode", vocabulary({"rw": "RW", "ro": "RO"}), initial="RW"),
        Field("bootable", "bootable", BOOL, initial=False),
        Field("unpluggable", "unpluggable", BOOL, initial=True),
        Field("qos_type", "qos_algorithm_type", TEXT, initial=""),
        Field("qos_params", "qos_algorithm_params", MAP, initial={}),
        Field("other_config", "other_config", MAP, initial={}, merge=True),
    ),
    render=vbd,
    prepare=prepare_vbd,
    find=find_vbd,
    create=vbd_record,
    options=VBD_OPTIONS,
    halted_only=frozenset({"mode"}),
    unknown=("uuid", "device"),
)


def main() -> None:
    run(DISK.plan, DISK.spec(), **DISK.rules)


if __name__ == "__main__":
    main()
