#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_ephemeral
short_description: Give VMs of a XenServer or XCP-ng pool their ephemeral disks
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Creates the ephemeral disks of a VM, each with one partition and a filesystem, and attaches them as devices 4, 5 and so on; also removes them.
  - The filesystems are made on the machine where the module runs, in sparse temporary files, and only what is not zero goes over the network.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
  - xapi.xenserver.generated_disk
requirements:
  - mke2fs of e2fsprogs, mkfs.xfs of xfsprogs, mkfs.vfat of dosfstools or mkfs.ntfs of ntfs-3g (RPM ntfsprogs), whichever O(filesystem) needs
options:
  state:
    description:
      - V(present) creates the disks that are missing. When one of them cannot be made, none is.
      - V(absent) detaches and removes all ephemeral disks that this module made for the VM, or the one at O(userdevice).
    type: str
    choices: [present, absent]
    default: present
  size:
    description:
      - Total size, as V(20GiB). It, O(total_gb) or O(size_gb) is needed for O(state=present). V(0) makes no disk.
      - A disk of a VHD storage repository ends near 2043 GiB, so a large total becomes several disks of 2000 GiB each,
        or of 1024 GiB when the total is a multiple of that, and one with the rest; see the filter P(xapi.xenserver.xen_ephemeral_sizes#filter).
      - A disk that was made with another size, O(filesystem) or O(label) is an error unless O(force=true), as what a VM keeps there would be lost.
        Disks beyond the total are an error too.
    type: str
  total_gb:
    description: O(size) as a number of GiB, as flavours have it.
    type: int
  size_gb:
    description: Size in GiB of the one disk at O(userdevice).
    type: int
  userdevice:
    description:
      - Number of the device, 0 to 254, or its name, such as V(xvdf) for number 5, for one disk of O(size) there instead of all of them.
      - Its name and label are those that the disk at this device has among all of them.
    type: str
    aliases: [device]
  filesystem:
    description:
      - The filesystem on the partition of the disk, V(none) for a partition with nothing in it.
      - The tool that makes it has to be on the machine where the module runs, C(mke2fs), C(mkfs.xfs), C(mkfs.vfat) or C(mkfs.ntfs).
    type: str
    choices: [none, ext2, ext3, ext4, xfs, vfat, ntfs]
    default: ext4
  label:
    description:
      - Label of the first filesystem. Those after it have the number of their disk at the end, as V(ephemeral1).
      - It is V(ephemeral) when it is left out.
    type: str
  partition_type:
    description:
      - Type of the partition in the MBR, as V("0x83").
      - It follows O(filesystem) when it is left out, V(0x83) for those of Linux, V(0x0c) for vfat and V(0x07) for ntfs.
    type: str
  name:
    description: First part of the names, which end in C(ephemeral), C(ephemeral (1)) and so on. It is the name of the VM when it is left out.
seealso:
  - module: xapi.xenserver.xen_swap
  - module: xapi.xenserver.xen_blank_disk
  - plugin: xapi.xenserver.xen_ephemeral_sizes
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Web server has 20 GiB of ephemeral disk
  xapi.xenserver.xen_ephemeral:
    vm: web1
    size: 20GiB

- name: Second ephemeral disk has 1 GiB, with XFS
  xapi.xenserver.xen_ephemeral:
    vm: web1
    userdevice: 5
    size: 1GiB
    filesystem: xfs

- name: Web server has no ephemeral disk
  xapi.xenserver.xen_ephemeral:
    vm: web1
    state: absent
"""

RETURN = r"""
disks:
  description: The disks in the order of their devices.
  returned: when O(state=present)
  type: list
  elements: dict
  contains:
    vdi:
      description:
        - The disk as it is now. In check mode, what is known of one that would be made.
        - The keys are those of RV(xapi.xenserver.xen_vdi#module:vdi).
      type: dict
      returned: always
      sample: {name: web1 ephemeral, size: 21474836480, disk_type: ephemeral}
    vbd:
      description:
        - Its attachment as it is now. In check mode, what is known of one that would be made.
        - The keys are those of RV(xapi.xenserver.xen_vbd#module:vbd).
      type: dict
      returned: always
      sample: {userdevice: 4, mode: rw, plugged: false}
transfer:
  description: What went over the network.
  returned: when disks were made
  type: dict
  contains:
    bytes_sent: {description: Bytes of the content that went over the network., type: int, returned: when it is done, sample: 8192}
    bytes_total: {description: Size of the disks that were made., type: int, returned: always, sample: 2147483648}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 0.041}
"""

from ..module_utils._formatted import EPHEMERAL_OPTIONS, EPHEMERAL_RULES, EPHEMERAL_SIZES, ephemeral_disks, ephemeral_name, ephemeral_numbers
from ..module_utils._generated import Generated
from ..module_utils._module import run

EPHEMERAL = Generated(
    kind="ephemeral",
    device=None,
    disks=ephemeral_disks,
    names=ephemeral_name,
    numbers=ephemeral_numbers,
    options=EPHEMERAL_OPTIONS,
    needed=EPHEMERAL_SIZES,
    more_rules=EPHEMERAL_RULES,
    listed=True,
)


def main() -> None:
    run(EPHEMERAL.plan, EPHEMERAL.spec(), **EPHEMERAL.rules)


if __name__ == "__main__":
    main()
