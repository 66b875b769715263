#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_image_export
short_description: Write a disk or snapshot to an image file
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Writes a disk or snapshot (VDI) to a local file as a raw disk, VHD, qcow2, or VHD in a packed archive. Zeros do not go over the network.
  - A file that holds the disk as it is already is left alone. What a file was made from is kept beside it, in a file of its name and C(.export.json).
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.timeout
attributes:
  idempotent:
    support: partial
    details: A disk that a running VM writes to counts as changed each time. Export a snapshot of it instead.
options:
  dest:
    description:
      - File to write on the machine where the module runs. Readable by its owner only; it appears when it is complete.
      - A file that this module did not write is an error unless O(force=true).
    type: path
    required: true
  format:
    description:
      - V(raw) is the disk byte by byte, with holes where it has zeros.
      - V(vhd) is a dynamic VHD without parent.
      - V(qcow2) is of version 3, compressed when O(compression_level) is given.
      - V(tgz) is the VHD as C(0.vhd) in a tar archive packed with gzip, as image services take it.
    type: str
    choices: [raw, vhd, qcow2, tgz]
    default: raw
  compression_level:
    description: How hard to compress, from 1 (fast) to 9 (small), with V(tgz) and V(qcow2) of O(format). V(tgz) takes 6 when it is left out.
    type: int
  vdi:
    description:
      - Name or uuid of the disk. A snapshot is named by uuid.
      - One of O(vdi), O(vm) and O(vm_uuid) is needed.
    type: str
  sr:
    description: Name or uuid of the storage repository on which the disk called O(vdi) lies.
    type: str
  vm:
    description: Name of the VM whose disk is written. Templates and snapshots are not looked at.
    type: str
  vm_uuid:
    description: Uuid of the VM whose disk is written; that of a snapshot of a VM will do.
    type: str
  userdevice:
    description: Number or name of the device at the VM, as V(0) or V(xvda).
    type: str
    default: "0"
  properties:
    description: Properties of the image, such as V(os_type). Kept in the file beside the image, and returned.
    type: dict
  force:
    description: Replace a file that this module did not write.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that one operation of the pool, or the transfer of the disk, may take.
      - The operation is cancelled then, and the module fails and says what it waited for.
    default: 3600
notes:
  - A snapshot never changes, so its file is known again without reading it. Any other disk is read and compared by fingerprint, in check mode too.
  - When a V(raw) file holds an earlier snapshot of the same disk which still exists, only what differs from it is transferred, and written in place.
    An interruption there is made good by a whole export on the next run.
  - A disk that a running VM writes to is read from a snapshot, which is removed again.
seealso:
  - module: xapi.xenserver.xen_image
  - module: xapi.xenserver.xen_vdi
"""

EXAMPLES = r"""
- name: Image of the root disk is there
  xapi.xenserver.xen_image_export:
    vm: web1
    dest: /srv/images/web1.qcow2
    format: qcow2
    compression_level: 6

- name: Archive for the image service holds the snapshot
  xapi.xenserver.xen_image_export:
    vdi: 5a9c2f0e-6d0a-4d6b-8f8a-2f4d5e8c7b1a
    dest: /srv/images/web1.vhd.tgz
    format: tgz
    properties:
      os_type: linux
"""

RETURN = r"""
image:
  description: The file. In check mode without what only the export tells.
  returned: always
  type: dict
  contains:
    path: {description: The file., type: str, returned: always, sample: /srv/images/web1.qcow2}
    vdi: {description: Uuid of the disk., type: str, returned: always, sample: 5a9c2f0e-6d0a-4d6b-8f8a-2f4d5e8c7b1a}
    format: {description: Format of the file., type: str, returned: always, sample: qcow2}
    compression_level: {description: As asked for; null when it was left out., type: int, returned: always, sample: 6}
    properties: {description: Properties of the image., type: dict, returned: always, sample: {}}
    disk_size: {description: Bytes of the disk., type: int, returned: always, sample: 21474836480}
    size: {description: Bytes of the file., type: int, returned: when it is there, sample: 734003200}
    checksum: {description: Checksum of the file., type: str, returned: when it is there, sample: "sha256:9f86d081884c7d65"}
transfer:
  description: What went over the network.
  returned: when the file was written
  type: dict
  contains:
    bytes_sent: {description: "Bytes that went over the network, from the pool.", type: int, returned: when it is done, sample: 1073741824}
    bytes_total: {description: Bytes of the disk., type: int, returned: always, sample: 21474836480}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 9.213}
"""

from ..module_utils import _options
from ..module_utils._export_job import EXPORT_OPTIONS
from ..module_utils._image_export import plan_export
from ..module_utils._module import run


def main() -> None:
    run(plan_export, {**EXPORT_OPTIONS, **_options.timeout(3600)}, mutually_exclusive=[("vdi", "vm", "vm_uuid")])


if __name__ == "__main__":
    main()
