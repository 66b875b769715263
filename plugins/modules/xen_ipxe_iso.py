#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_ipxe_iso
short_description: Give VMs of a XenServer or XCP-ng pool an iPXE CD with their network
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Makes an iPXE image for a VM of a plain one, with the static address of the VM and the menu that it shall load.
    Puts it into a CD drive, and removes it again.
  - The image is made on the machine where the module runs, and lies on an ordinary storage repository. It boots VMs with BIOS firmware.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
  - xapi.xenserver.generated_disk
requirements:
  - pycdlib
options:
  state:
    description:
      - V(present) makes the image and puts it into the drive, or makes it anew when it was made of something else.
      - V(absent) removes it. Another medium in the drive is left alone.
    type: str
    choices: [present, absent]
    default: present
  userdevice:
    description: Number of the device, 0 to 254, or its name, such as V(xvdb) for number 1.
    type: str
    default: "1"
    aliases: [device]
  src:
    description: Local ISO image of iPXE, with C(isolinux.bin) and C(ipxe.krn) or C(ipxe.lkrn), as the build of iPXE makes it. Needed for O(state=present).
    type: path
  boot_menu_url:
    description:
      - Address of the script that iPXE shall load, as V(http://192.0.2.1/menu.ipxe). When that fails, the VM boots from its first disk.
      - Without it there is a warning, and nothing is changed.
    type: str
  address:
    description: IPv4 address of the VM on its first network card, as V(192.0.2.7/24), or without a prefix and with O(netmask).
    type: str
  netmask:
    description: Netmask, as V(255.255.255.0), when O(address) has no prefix.
    type: str
  gateway:
    description: IPv4 address of the router.
    type: str
  dns:
    description: IPv4 address of a name server. Without one, O(boot_menu_url) has to have an address instead of a name.
    type: str
  name:
    description: Name of the disk. It is the name of the VM and C(ipxe) when it is left out.
seealso:
  - module: xapi.xenserver.xen_cd
  - module: xapi.xenserver.xen_blank_disk
"""

EXAMPLES = r"""
- name: Web server boots the menu of the network
  xapi.xenserver.xen_ipxe_iso:
    vm: web1
    src: /usr/lib/ipxe/ipxe.iso
    boot_menu_url: http://192.0.2.1/menu.ipxe
    address: 192.0.2.7/24
    gateway: 192.0.2.1
  when: "'/usr/lib/ipxe/ipxe.iso' is file"

- name: Web server has no iPXE CD
  xapi.xenserver.xen_ipxe_iso:
    vm: web1
    state: absent
"""

RETURN = r"""
vdi:
  description:
    - The disk as it is now; null without O(boot_menu_url). In check mode, what is known of one that would be made.
    - The keys are those of RV(xapi.xenserver.xen_vdi#module:vdi).
  returned: when O(state=present)
  type: dict
  sample:
    name: web1 ipxe
    size: 4194304
    disk_type: iso
    content: ipxe sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
vbd:
  description:
    - Its attachment as it is now; null without O(boot_menu_url). In check mode, what is known of one that would be made.
    - The keys are those of RV(xapi.xenserver.xen_vbd#module:vbd).
  returned: when O(state=present)
  type: dict
  sample:
    userdevice: 1
    type: cd
    mode: ro
transfer:
  description: What went over the network.
  returned: when a disk was made
  type: dict
  contains:
    bytes_sent: {description: Bytes of the content that went over the network., type: int, returned: when it is done, sample: 1732608}
    bytes_total: {description: Size of the disk., type: int, returned: always, sample: 4194304}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 0.041}
"""

from ..module_utils._generated import Generated, one_number
from ..module_utils._ipxe import IPXE_OPTIONS, ipxe_isos, ipxe_name
from ..module_utils._module import run

IPXE = Generated(kind="ipxe", device="1", disks=ipxe_isos, names=ipxe_name, numbers=one_number, options=IPXE_OPTIONS, needed=("src",))


def main() -> None:
    run(IPXE.plan, IPXE.spec(), **IPXE.rules)


if __name__ == "__main__":
    main()
