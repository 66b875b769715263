#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_image
short_description: Make a disk from an image
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Makes a disk (VDI) from an image of any usual format, and attaches it to a VM when one is named. The image is kept on the storage
    repository, so that the next disk from it is only a clone.
  - The image is read, converted and sent piece by piece by the machine where the module runs. Nothing of it is unpacked to its disk, and
    zeros are not sent.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.timeout
options:
  state:
    description:
      - V(present) makes the disk where it is not there, and lets it grow.
      - V(absent) detaches and removes it. A disk that was not made from an image goes only with O(force=true). The cached image stays.
    type: str
    choices: [present, absent]
    default: present
  image:
    description:
      - Path of the image, or its address as V(http://…) or V(https://…).
      - Raw disks, VHD (fixed and dynamic), qcow2 (versions 2 and 3, compressed with zlib or not), ISO 9660, and bare filesystems as AMI
        images are. Raw disks and VHDs may be packed with gzip, xz or zstd, or lie in a tar archive that is packed so or not.
      - A chain of VHDs lies in an archive with the newest first, as V(0.vhd), V(1.vhd) and so on.
      - qcow2 images and packed raw disks behind a URL are fetched to a temporary file first, as large as the file that is fetched; all other
        are passed on while they come. E(TMPDIR) says where.
      - Required when O(state=present).
    type: str
  checksum:
    description:
      - Checksum of the file, as V(sha256:) or V(sha512:) and hexadecimal digits. A file with another one leaves no disk behind.
      - An image is known again by it, so a disk or cached image that is there needs no look at the file.
      - When it is left out, a local file is known by its size, its time of change and its first and last MiB, a file behind a URL by what the
        server says of it (ETag, time of change, size).
    type: str
  format:
    description:
      - Format of the disk in the file. V(auto) looks at the content. What contradicts another value is an error.
      - V(auto) takes no raw disk that looks like something else, such as a text or a PDF, or that has no whole number of sectors of 512 bytes.
      - V(raw) takes such a file as it is, and a bare filesystem as a whole disk, where V(auto) and V(ami) put a partition table in front of it
        (partition at sector 63).
      - V(vhd) is needed for a fixed VHD behind a URL whose server cannot send the end of a file alone.
    type: str
    choices: [auto, raw, vhd, qcow2, ami, iso]
    default: auto
  url_headers:
    description: Headers to send to the server of a URL, such as C(X-Auth-Token). They are not sent on when the server redirects.
    type: dict
  url_ca_path:
    description: File with the certificates of the authorities to trust for a URL, in PEM form. Those of the system when it is left out.
    type: path
  image_id:
    description: Id of the image. Kept on the cached image as C(image-id). What the image is known by when it is left out.
    type: str
  cache:
    description:
      - Whether the image is kept on the storage repository for further disks. ISO images never are.
      - Several tasks that need the same image at a time upload it once when they run on the same machine.
      - See M(xapi.xenserver.xen_image_cache) for removing what is no longer used.
    type: bool
    default: true
  full_copy:
    description: Whether the disk is a full copy of the cached image instead of a clone that shares its blocks.
    type: bool
    default: false
  name:
    description: Name of the disk. That of the VM when it is left out. Needed without a VM.
    type: str
  sr:
    description: Name or uuid of the storage repository. The default one of the pool when it is left out.
    type: str
  size:
    description:
      - Size of the disk, as V(20GiB), V(512MiB) or a number of bytes; that of the image when it is left out.
      - An image that is larger is an error before anything is sent. A disk that exists grows, while no VM has it plugged.
    type: str
  vm:
    description:
      - Name of the VM to attach the disk to. Templates and snapshots are not looked at. A name that several VMs have is an error.
      - At most one of O(vm) and O(vm_uuid) may be given.
    type: str
  vm_uuid:
    description:
      - Uuid of the VM to attach the disk to.
      - At most one of O(vm) and O(vm_uuid) may be given.
    type: str
  userdevice:
    description: Number or name of the device at the VM, as V(0) or V(xvda). The disk at V(0) is marked as bootable. An ISO image becomes a CD.
    type: str
    default: "0"
  disk_type:
    description: Role of the disk. Kept in C(other_config) as C(nova_disk_type). V(root) when it is left out, V(iso) for an ISO image.
    type: str
  owner:
    description: Whose disk it is, such as the uuid of an instance. Kept in C(other_config) as C(nova_instance_uuid).
    type: str
  properties:
    description: Properties of the image, such as V(os_type). Kept in C(other_config) of the disk and of the cached image, as C(image_property:) and the name.
    type: dict
  force:
    description:
      - Replace a disk at the place that has another content, while no VM has it plugged. It is removed when the new disk is in its place.
      - With O(state=absent), remove a disk that was not made from an image.
      - A disk whose writing was interrupted is replaced without it.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that one operation of the pool, or the transfer of the image, may take.
      - The operation is cancelled then, and the module fails and says what it waited for.
    default: 3600
requirements:
  - zstd (the program, for images packed with zstd)
notes:
  - The content is remembered as a fingerprint in C(other_config), written when the disk is complete. A disk with the fingerprint of the image is
    left as it is, whatever a VM did to it since.
seealso:
  - module: xapi.xenserver.xen_image_cache
  - module: xapi.xenserver.xen_image_export
  - module: xapi.xenserver.xen_vdi
"""

EXAMPLES = r"""
- name: Web server has its root disk from the cloud image
  xapi.xenserver.xen_image:
    image: https://cloud.example.com/debian-13-genericcloud-amd64.qcow2
    checksum: sha256:1f3870be274f6c49b3e31a0c6728957f7b5b0c5d5f6f3f0e4bc1a2d3e4f50617
    vm: web1
    size: 20GiB

- name: Disk without a VM is a full copy of the image
  xapi.xenserver.xen_image:
    image: /srv/images/appliance.vhd.tar.gz
    name: appliance root
    sr: NFS storage
    full_copy: true

- name: Installer is in the drive of the VM
  xapi.xenserver.xen_image:
    image: /srv/images/netinst.iso
    vm: web1
    userdevice: 1
    name: netinst.iso

- name: Second disk of the VM is gone
  xapi.xenserver.xen_image:
    vm: web1
    userdevice: 1
    state: absent
"""

RETURN = r"""
vdi:
  description: The disk as M(xapi.xenserver.xen_vdi_info) tells it; null when O(state=absent). In check mode without what only the pool can choose, as its uuid.
  returned: always
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 5a9c2f0e-6d0a-4d6b-8f8a-2f4d5e8c7b1a}
    name: {description: Name., type: str, returned: always, sample: web1}
    sr: {description: Uuid of the storage repository., type: str, returned: always, sample: 8c5f2f0e-6d0a-4d6b-8f8a-2f4d5e8c7b1a}
    size: {description: Bytes that a guest sees., type: int, returned: always, sample: 21474836480}
    content: {description: Fingerprint of the image., type: str, returned: always, sample: "image sha256:1f3870be274f6c49"}
    disk_type: {description: Role., type: str, returned: always, sample: root}
    owner: {description: Whose disk it is; null when nobody is named., type: str, returned: always, sample: null}
    other_config: {description: Further keys., type: dict, returned: always, sample: {}}
    attachments: {description: VMs that the disk is attached to., type: list, elements: dict, returned: always, sample: []}
transfer:
  description: What went over the network. Empty when another task uploaded the image meanwhile.
  returned: when the image was neither at its place nor cached
  type: dict
  contains:
    bytes_sent: {description: Bytes that went over the network., type: int, returned: when it is done, sample: 1073741824}
    bytes_total: {description: Bytes of the disk in the image., type: int, returned: always but in check mode for a packed raw disk, sample: 2147483648}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 9.213}
"""

from ..module_utils import _options
from ..module_utils._image_plan import IMAGE_OPTIONS, plan_image
from ..module_utils._module import run


def main() -> None:
    options = {**_options.state(), **IMAGE_OPTIONS, **_options.timeout(3600)}
    run(plan_image, options, mutually_exclusive=[("vm", "vm_uuid")], required_if=[("state", "present", ("image",))])


if __name__ == "__main__":
    main()
