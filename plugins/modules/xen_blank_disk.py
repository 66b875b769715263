#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_blank_disk
short_description: Give VMs of a XenServer or XCP-ng pool a formatted empty disk
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Creates a disk with one partition and an empty filesystem, such as the root disk for an installation from an ISO, and attaches it to a VM; also removes it.
  - The filesystem is made on the machine where the module runs, in a sparse temporary file, and only what is not zero goes over the network.
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
      - V(present) creates the disk.
      - V(absent) detaches and removes it. Another disk at O(userdevice) is left alone.
    type: str
    choices: [present, absent]
    default: present
  size:
    description:
      - Size of the disk, as V(8GiB), V(512MiB) or a number of bytes. Needed for O(state=present). V(0) makes no disk.
      - A disk that was made with another size, O(filesystem) or O(label) is an error unless O(force=true), as what a VM keeps there would be lost.
        To let it grow with what is on it, use M(xapi.xenserver.xen_vdi).
    type: str
  userdevice:
    description: Number of the device, 0 to 254, or its name, such as V(xvda) for number 0.
    type: str
    default: "0"
    aliases: [device]
  filesystem:
    description:
      - The filesystem on the partition of the disk, V(none) for a partition with nothing in it.
      - The tool that makes it has to be on the machine where the module runs, C(mke2fs), C(mkfs.xfs), C(mkfs.vfat) or C(mkfs.ntfs).
    type: str
    choices: [none, ext2, ext3, ext4, xfs, vfat, ntfs]
    default: ext4
  label:
    description: Label of the filesystem. It has none when this is left out.
    type: str
  partition_type:
    description:
      - Type of the partition in the MBR, as V("0x83").
      - It follows O(filesystem) when it is left out, V(0x83) for those of Linux, V(0x0c) for vfat and V(0x07) for ntfs.
    type: str
  name:
    description: Name of the disk. It is the name of the VM when it is left out.
seealso:
  - module: xapi.xenserver.xen_vdi
  - module: xapi.xenserver.xen_cd
  - module: xapi.xenserver.xen_ephemeral
"""

EXAMPLES = r"""
- name: Root disk of web1 is ready for the installer in its CD drive
  xapi.xenserver.xen_blank_disk:
    vm: web1
    size: 8GiB

- name: Second disk of web1 holds an empty XFS with a label
  xapi.xenserver.xen_blank_disk:
    vm: web1
    userdevice: 1
    name: web1 data
    size: 1GiB
    filesystem: xfs
    label: data

- name: Second disk of web1 is gone
  xapi.xenserver.xen_blank_disk:
    vm: web1
    userdevice: 1
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
    size: 8589934592
    disk_type: user
    content: blank sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
vbd:
  description:
    - Its attachment as it is now; null for a size of 0. In check mode, what is known of one that would be made.
    - The keys are those of RV(xapi.xenserver.xen_vbd#module:vbd).
  returned: when O(state=present)
  type: dict
  sample:
    userdevice: 0
    mode: rw
    plugged: false
transfer:
  description: What went over the network.
  returned: when a disk was made
  type: dict
  contains:
    bytes_sent: {description: Bytes of the content that went over the network., type: int, returned: when it is done, sample: 1654784}
    bytes_total: {description: Size of the disk., type: int, returned: always, sample: 8589934592}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 0.041}
"""

from ..module_utils._formatted import FILESYSTEM_OPTIONS, blank_disks
from ..module_utils._generated import Generated, one_number, vm_name
from ..module_utils._module import run

BLANK = Generated(kind="blank", device="0", disks=blank_disks, names=vm_name, numbers=one_number, options=FILESYSTEM_OPTIONS, needed=("size",))


def main() -> None:
    run(BLANK.plan, BLANK.spec(), **BLANK.rules)


if __name__ == "__main__":
    main()
