#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_disk_resize
short_description: Grow a disk with its partition and filesystem, or make a smaller copy of it
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Grows a disk, and if wanted the one partition and the ext filesystem on it as well, or makes a smaller copy of a disk.
  - What is in a disk is changed in a file on the machine where the module runs, by the ordinary tools and without privileges. Only what is in use
    comes over the network, and only what changed goes back.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.surgery
  - xapi.xenserver.timeout
options:
  mode:
    description:
      - V(grow) makes the disk larger, and leaves what is in it to the guest.
      - V(auto_configure) makes the disk larger, and then its partition and filesystem. The disk needs exactly one partition, number 1, with an ext2,
        ext3 or ext4 filesystem, in a partition table of type MBR or GPT. Any other disk only grows, and the module warns and says why.
        A filesystem of type xfs grows only while it is mounted, in the guest.
      - With V(auto_configure) a clone of the disk is changed, and takes its place as soon as it is complete. So the disk has another uuid afterwards,
        and never holds half of a change.
      - V(shrink_copy) makes a smaller copy called O(copy_name), and leaves the disk as it is. What V(auto_configure) warns of are errors here.
    type: str
    choices: [grow, auto_configure, shrink_copy]
    default: grow
  size:
    description:
      - Size of the disk, or of the smaller copy, as V(20GiB) or a number of bytes.
      - A disk that is larger already is an error, except for V(shrink_copy), where it is needed. Storage rounds sizes up, mostly to 2 MiB.
    type: str
    required: true
  copy_name:
    description: Name of the smaller copy. A copy of this name that was made from the same disk and size stays as it is.
    type: str
  copy_sr:
    description: Name or uuid of the storage repository for the smaller copy. It lies beside the disk when this is left out.
    type: str
  timeout:
    default: 3600
notes:
  - Needs e2fsck and resize2fs (package e2fsprogs) on the machine where the module runs, but for O(mode=grow).
  - Every VM that has the disk has to be halted, as no pool can resize a disk in use.
seealso:
  - module: xapi.xenserver.xen_vdi
"""

EXAMPLES = r"""
- name: Data disk of 4 GiB exists
  xapi.xenserver.xen_vdi:
    name: data
    size: 4GiB

- name: Data disk has 8 GiB
  xapi.xenserver.xen_disk_resize:
    name: data
    size: 8GiB

- name: Filesystem of the root disk takes 20 GiB
  xapi.xenserver.xen_disk_resize:
    vm: web1
    size: 20GiB
    mode: auto_configure

- name: Root disk has a smaller copy
  xapi.xenserver.xen_disk_resize:
    vm: web1
    size: 4GiB
    mode: shrink_copy
    copy_name: web1 small
"""

RETURN = r"""
vdi:
  description: The disk as it is now, or its smaller copy. The keys are those of M(xapi.xenserver.xen_vdi). In check mode, what is known of it.
  returned: always
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10}
    name: {description: Name., type: str, returned: always, sample: web1 root}
    size: {description: Size in bytes that a guest sees., type: int, returned: always, sample: 21474836480}
filesystem:
  description: Filesystem that was resized, V(ext2), V(ext3) or V(ext4).
  returned: when one was
  type: str
  sample: ext4
transfer:
  description: What went to the pool over the network.
  returned: when a filesystem was resized
  type: dict
  contains:
    bytes_sent: {description: Bytes of the content that went over the network., type: int, returned: when it is done, sample: 2097152}
    bytes_total: {description: Bytes of the disk., type: int, returned: when it is done, sample: 21474836480}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 0.213}
"""

from ..module_utils import _options
from ..module_utils._disk_job import DISK_OPTIONS, SELECTORS
from ..module_utils._disk_resize import RESIZE_OPTIONS, plan_resize
from ..module_utils._module import run


def main() -> None:
    run(
        plan_resize,
        {**DISK_OPTIONS, **RESIZE_OPTIONS, **_options.timeout(3600)},
        required_one_of=[SELECTORS],
        mutually_exclusive=[SELECTORS],
        required_if=[("mode", "shrink_copy", ("copy_name",))],
    )


if __name__ == "__main__":
    main()
