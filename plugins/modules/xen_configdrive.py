#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_configdrive
short_description: Give VMs of a XenServer or XCP-ng pool a config drive
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Creates a config drive, from which cloud-init or cloudbase-init configures the guest when it starts,
    and puts it into a CD drive of the VM or attaches it as a disk; also changes and removes it.
  - The image is made on the machine where the module runs.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
  - xapi.xenserver.generated_disk
requirements:
  - pycdlib for O(filesystem=iso9660)
  - mkfs.vfat of dosfstools, and mtools, for O(filesystem=vfat)
options:
  state:
    description:
      - V(present) creates the drive, or makes it anew when it was made of something else. A repeated run finds the same and changes nothing.
      - V(absent) removes it. Another disk at O(userdevice) is left alone.
    type: str
    choices: [present, absent]
    default: present
  userdevice:
    description: Number of the device, 0 to 254, or its name, such as V(xvdd) for number 3.
    type: str
    default: "3"
    aliases: [device]
  format:
    description:
      - V(openstack) for the layout of OpenStack, all its versions and the paths of EC2, on a volume called C(config-2).
      - V(nocloud) for that of cloud-init's NoCloud, on a volume called C(cidata).
        It has no place for O(files) and O(admin_password), so cloud-init gets these as vendor data.
    type: str
    choices: [openstack, nocloud]
    default: openstack
  filesystem:
    description: V(iso9660) with Rock Ridge and Joliet, or V(vfat) with O(attach_as=disk).
    type: str
    choices: [iso9660, vfat]
    default: iso9660
  attach_as:
    description:
      - V(cd) puts the drive into a CD drive, which is added when there is none. The medium of a drive can be changed while the VM runs.
      - V(disk) attaches it as a read-only disk. A VM that runs sees it only after its next start, of which the module warns,
        as the pool refuses to plug a read-only disk into an HVM guest.
    type: str
    choices: [cd, disk]
    default: cd
  instance_id:
    description: What the guest takes for its identity. With another one it runs all that is to be run once again. It is O(owner) when it is left out.
    type: str
  guest_hostname:
    description: Host name of the guest. It is the name of the VM when it is left out.
    type: str
  meta:
    description: Keys and values for the guest, under C(meta) in OpenStack's C(meta_data.json), or at the top of NoCloud's C(meta-data).
    type: dict
  user_data:
    description:
      - What the guest shall run or do at its first start, as the text of a script or of a C(#cloud-config).
      - What is no text is an error. A mapping becomes a text by the filter P(ansible.builtin.to_nice_yaml#filter) behind a line C(#cloud-config).
    type: raw
  vendor_data:
    description: Content of C(vendor_data.json). With O(format=nocloud) it is a cloud-config.
    type: dict
  vendor_data2:
    description: Content of C(vendor_data2.json). Only with O(format=openstack).
    type: dict
  network:
    description:
      - Network configuration, as OpenStack's C(network_data) with C(links) and C(networks), or as cloud-init's with C(version) 1 or 2.
      - Each is turned into the one that O(format) needs. That works for network cards with a MAC address, their addresses, routes and name servers;
        bonds, VLANs and others have to be written in the form of the layout itself.
    type: dict
  network_template:
    description: Text for C(/etc/network/interfaces), the way before O(network). Only with O(format=openstack).
    type: str
  public_keys:
    description: Public SSH keys by name.
    type: dict
  admin_password:
    description: Password for the administrator of the guest. It is written to the drive in the clear.
    type: str
  files:
    description: Files that the guest shall write to its own disk.
    type: list
    elements: dict
    suboptions:
      path:
        description: Absolute path in the guest.
        type: str
        required: true
      content:
        description: Text of the file. Exactly one of O(files[].content) and O(files[].src) is needed.
        type: str
      src:
        description: Local file with the content.
        type: path
  availability_zone:
    description: Where the instance is. Only with O(format=openstack).
    type: str
  project_id:
    description: Whose the instance is. Only with O(format=openstack).
    type: str
  launch_index:
    description: Number of the instance among those launched together.
    type: int
    default: 0
  devices:
    description: Tagged devices, as OpenStack describes them in C(meta_data.json). Only with O(format=openstack).
    type: list
    elements: dict
  name:
    description: Name of the disk. It is V(config-2), or V(cidata) for O(format=nocloud), when it is left out.
seealso:
  - module: xapi.xenserver.xen_cd
  - module: xapi.xenserver.xen_vbd
notes:
  - The random seed of OpenStack's layout is made once. A drive on ISO 9660 that is made anew gets the seed of the one before, which is read back for it.
  - Passwords and user data are shown neither in results nor in the records of the pool, but on the drive they are readable, to the guest too.
  - What is on the drive is known by a hash in C(other_config) that is slow to compute, so that a weak password cannot be guessed from it quickly.
"""

EXAMPLES = r"""
- name: Guest knows its name and its administrator
  xapi.xenserver.xen_configdrive:
    vm: web1
    public_keys:
      admin: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvAC3E6bBHOhsTt2x1g2jTTCM6zjXYrXEZ6vBJ2xk3F admin@example.com
    network:
      version: 2
      ethernets:
        eth0:
          match: {macaddress: "02:16:3e:00:00:01"}
          addresses: [192.0.2.7/24]
          gateway4: 192.0.2.1
          nameservers: {addresses: [192.0.2.53]}

- name: Guest installs a web server at its first start
  xapi.xenserver.xen_configdrive:
    vm: web1
    user_data: |
      #cloud-config
      packages: [nginx]

- name: Guest does at its first start what a variable says
  xapi.xenserver.xen_configdrive:
    vm: web1
    user_data: "#cloud-config\n{{ web_setup | to_nice_yaml }}"

- name: Guest of another VM reads the same from NoCloud
  xapi.xenserver.xen_configdrive:
    vm: web2
    format: nocloud
    meta: {role: web}
    user_data: |
      #cloud-config
      packages: [nginx]

- name: Web server has no config drive
  xapi.xenserver.xen_configdrive:
    vm: web1
    state: absent
"""

RETURN = r"""
vdi:
  description:
    - The disk as it is now. In check mode, what is known of one that would be made.
    - The keys are those of RV(xapi.xenserver.xen_vdi#module:vdi).
  returned: when O(state=present)
  type: dict
  sample:
    name: config-2
    size: 67108864
    disk_type: configdrive
    content: configdrive scrypt:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
vbd:
  description:
    - Its attachment as it is now. In check mode, what is known of one that would be made.
    - The keys are those of RV(xapi.xenserver.xen_vbd#module:vbd).
  returned: when O(state=present)
  type: dict
  sample:
    userdevice: 3
    type: cd
    mode: ro
transfer:
  description: What went over the network.
  returned: when a disk was made
  type: dict
  contains:
    bytes_sent: {description: Bytes of the content that went over the network., type: int, returned: when it is done, sample: 143360}
    bytes_total: {description: Size of the disk., type: int, returned: always, sample: 67108864}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 0.041}
"""

from ..module_utils._config_drive_disk import CONFIG_DRIVE_OPTIONS, config_drives, drive_name
from ..module_utils._generated import Generated, one_number
from ..module_utils._module import run

CONFIG_DRIVE = Generated(kind="configdrive", device="3", disks=config_drives, names=drive_name, numbers=one_number, options=CONFIG_DRIVE_OPTIONS)


def main() -> None:
    run(CONFIG_DRIVE.plan, CONFIG_DRIVE.spec(), **CONFIG_DRIVE.rules)


if __name__ == "__main__":
    main()
