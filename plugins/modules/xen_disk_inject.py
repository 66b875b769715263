#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_disk_inject
short_description: Write keys, network settings and files into a disk before its VM boots
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Writes SSH keys, the network settings of Debian, metadata and any files into an ext2, ext3 or ext4 filesystem of a disk, while its VM is halted.
  - This is meant for guests that read no config drive, as what is in use of the partition travels over the network for it. The filesystem is changed
    in a file on the machine where the module runs, without mounting it and without privileges, and only what changed goes back.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.surgery
  - xapi.xenserver.timeout
options:
  partition:
    description: Number of the partition that holds the filesystem.
    type: int
    default: 1
  ssh_keys:
    description:
      - Public keys to add to C(/root/.ssh/authorized_keys). Keys that are there stay, and none is added twice.
      - In a guest with SELinux the file gets its label at the next boot, by a line in C(rc.local).
    type: list
    elements: str
  interfaces:
    description:
      - Interfaces of the guest, in order, for C(/etc/network/interfaces), which is replaced. The first one is C(eth0).
    type: list
    elements: dict
    suboptions:
      mac: {description: MAC address., type: str}
      dhcp: {description: Whether the interface is left out because it uses DHCP. It keeps its number., type: bool, default: false}
      address: {description: IPv4 address with its prefix., type: str}
      gateway: {description: IPv4 address of the gateway., type: str}
      address6: {description: IPv6 address with its prefix., type: str}
      gateway6: {description: IPv6 address of the gateway., type: str}
      dns: {description: Addresses of name servers., type: list, elements: str, default: []}
  metadata:
    description: Metadata, written to C(/meta.js) as JSON.
    type: dict
  files:
    description: Further files. One that is there is replaced, and folders are made where needed.
    type: list
    elements: dict
    suboptions:
      path: {description: Path from the root of the filesystem., type: str, required: true}
      content: {description: What the file holds., type: str, required: true}
      mode: {description: "Mode in octal.", type: str, default: "0644"}
      uid: {description: Number of the user who owns it., type: int, default: 0}
      gid: {description: Number of the group that owns it., type: int, default: 0}
  timeout:
    default: 3600
notes:
  - A clone of the disk is changed, and takes its place as soon as it is complete. So the disk has another uuid afterwards, and never holds half of a change.
  - What was written is remembered in C(other_config) as a salted hash, under C(xen_ansible:injected). The same is not written again,
    whatever the guest did to it since.
  - Needs debugfs, e2fsck and resize2fs (package e2fsprogs) on the machine where the module runs.
seealso:
  - module: xapi.xenserver.xen_configdrive
"""

EXAMPLES = r"""
- name: Administrator can log in to the first boot
  xapi.xenserver.xen_disk_inject:
    vm: web1
    ssh_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample admin@example.com
    interfaces:
      - address: 192.0.2.5/24
        gateway: 192.0.2.1
        dns: [192.0.2.2]
    files:
      - path: /etc/motd
        content: |
          Made by Ansible
"""

RETURN = r"""
vdi:
  description: The disk as it is now. The keys are those of M(xapi.xenserver.xen_vdi). In check mode, what is known of it.
  returned: always
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10}
    name: {description: Name., type: str, returned: always, sample: web1 root}
    size: {description: Size in bytes that a guest sees., type: int, returned: always, sample: 21474836480}
filesystem:
  description: Filesystem that was written into, V(ext2), V(ext3) or V(ext4).
  returned: when something was written
  type: str
  sample: ext4
transfer:
  description: What went to the pool over the network.
  returned: when something was written
  type: dict
  contains:
    bytes_sent: {description: Bytes of the content that went over the network., type: int, returned: when it is done, sample: 2097152}
    bytes_total: {description: Bytes of the disk., type: int, returned: when it is done, sample: 21474836480}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 0.213}
"""

from ..module_utils import _options
from ..module_utils._disk_inject import plan_inject
from ..module_utils._disk_job import DISK_OPTIONS, SELECTORS
from ..module_utils._guest_files import INJECT_OPTIONS
from ..module_utils._module import run


def main() -> None:
    run(
        plan_inject,
        {**DISK_OPTIONS, **INJECT_OPTIONS, **_options.timeout(3600)},
        required_one_of=[SELECTORS],
        mutually_exclusive=[SELECTORS],
    )


if __name__ == "__main__":
    main()
