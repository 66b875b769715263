#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_swap
short_description: Give VMs of a XenServer or XCP-ng pool a swap disk
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Creates a disk with one partition that is a swap area, ready for C(swapon), and attaches it to a VM; also changes and removes it.
  - The content is made on the machine where the module runs, and only a few KiB go over the network, however large the disk is.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
  - xapi.xenserver.generated_disk
requirements:
  - mkfs.vfat of dosfstools, for O(filesystem=vfat) only
options:
  state:
    description:
      - V(present) creates the disk, or makes it anew when it was made with other options.
      - V(absent) detaches and removes it. Another disk at O(userdevice) is left alone.
    type: str
    choices: [present, absent]
    default: present
  size:
    description:
      - Size of the disk, as V(2GiB), V(512MiB) or a number of bytes. Needed for O(state=present).
      - V(0) makes no disk. One that exists stays, as nothing is removed but by O(state=absent).
    type: str
  userdevice:
    description: Number of the device, 0 to 254, or its name, such as V(xvdc) for number 2.
    type: str
    default: "2"
    aliases: [device]
  filesystem:
    description: V(swap) for Linux. V(vfat) makes an empty FAT filesystem instead, where Windows can put its page file.
    type: str
    choices: [swap, vfat]
    default: swap
  partition_type:
    description:
      - Type of the partition in the MBR, as V("0x83"), the one that the OpenStack driver wrote.
      - It follows O(filesystem) when it is left out, V(0x82) for swap and V(0x0c) for vfat.
    type: str
  name:
    description: Name of the disk. It is the name of the VM when it is left out.
seealso:
  - module: xapi.xenserver.xen_ephemeral
  - module: xapi.xenserver.xen_vbd
"""

EXAMPLES = r"""
- name: Web server has 2 GiB of swap on xvdc
  xapi.xenserver.xen_swap:
    vm: web1
    size: 2GiB

- name: Swap disk has 4 GiB and the partition type of the OpenStack driver
  xapi.xenserver.xen_swap:
    vm: web1
    size: 4GiB
    partition_type: "0x83"

- name: Web server has no swap disk
  xapi.xenserver.xen_swap:
    vm: web1
    state: absent
"""

RETURN = r"""
vdi:
  description:
    - The disk as it is now; null for a size of 0. In check mode, what is known of one that would be made.
    - The keys are those of RV(xapi.xenserver.xen_vdi#module:vdi).
  returned: when O(state=present)
  type: dict
  sample:
    name: web1
    size: 2147483648
    disk_type: swap
    content: swap sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
vbd:
  description:
    - Its attachment as it is now; null for a size of 0. In check mode, what is known of one that would be made.
    - The keys are those of RV(xapi.xenserver.xen_vbd#module:vbd).
  returned: when O(state=present)
  type: dict
  sample:
    userdevice: 2
    mode: rw
    plugged: false
transfer:
  description: What went over the network.
  returned: when a disk was made
  type: dict
  contains:
    bytes_sent: {description: Bytes of the content that went over the network., type: int, returned: when it is done, sample: 8192}
    bytes_total: {description: Size of the disk., type: int, returned: always, sample: 2147483648}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 0.041}
"""

from ..module_utils._formatted import SWAP_OPTIONS, swap_disks
from ..module_utils._generated import Generated, one_number, vm_name
from ..module_utils._module import run

SWAP = Generated(kind="swap", device="2", disks=swap_disks, names=vm_name, numbers=one_number, options=SWAP_OPTIONS, needed=("size",))


def main() -> None:
    run(SWAP.plan, SWAP.spec(), **SWAP.rules)


if __name__ == "__main__":
    main()
