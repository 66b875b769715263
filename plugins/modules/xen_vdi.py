#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_vdi
short_description: Manage disks of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Creates disks (VDIs), empty, from a local raw file or from another disk, and grows, renames, exports and removes them.
  - Contents go over the network between the machine where the module runs and the host that has the disk. Zeros are not sent to a new disk.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.selector
  - xapi.xenserver.timeout
options:
  state:
    description:
      - V(present) creates or changes the disk.
      - V(absent) removes it. A disk that a VM has plugged is not removed, and the module fails and names the VM.
      - V(exported) writes what is on it to the local file O(dest), and changes nothing else.
    type: str
    choices: [present, absent, exported]
    default: present
  name:
    description:
      - Name of the disk. Snapshots are not looked at. A name that several disks have is an error; use O(sr), O(owner) or O(uuid) then.
      - Exactly one of O(name), O(uuid) and O(uuids) is needed.
    type: str
  uuid:
    description:
      - Uuid of an existing disk.
      - Exactly one of O(name), O(uuid) and O(uuids) is needed.
    type: str
  uuids:
    description:
      - Uuids of disks to be removed, with O(state=absent). Those that are gone are no error.
      - Exactly one of O(name), O(uuid) and O(uuids) is needed.
    type: list
    elements: str
  sr:
    description:
      - Name or uuid of the storage repository on which the disk called O(name) lies.
      - A new disk is put on the default storage repository of the pool when it is left out, a clone or copy beside its source.
    type: str
  size:
    description:
      - Size that a guest sees, as V(10GiB), V(512MiB) or a number of bytes. Needed for a new disk without O(content), O(clone_of) or O(copy_of).
      - A smaller disk grows, while no VM has it plugged. A larger one is an error, as disks never shrink.
      - Storage rounds sizes up, mostly to 2 MiB, so a disk that is larger by less than that has the size.
    type: str
  description:
    description: Description of the disk. A new disk has its O(disk_type) as description unless told otherwise.
    type: str
  tags:
    description: Tags of the disk, all of them. An empty list removes them.
    type: list
    elements: str
  type:
    description: What the toolstack uses the disk for. It can be chosen only when the disk is created, and is V(user) unless told otherwise.
    type: str
    choices: [user, system, ephemeral, suspend, crashdump]
  sharable:
    description: Whether several VMs may write to the disk at a time. It can be chosen only when the disk is created, and is V(false) unless told otherwise.
    type: bool
  read_only:
    description: Whether nobody may write to the disk. It can be chosen only when the disk is created, and is V(false) unless told otherwise.
    type: bool
  disk_type:
    description: Role of the disk, as V(root), V(swap), V(ephemeral) or V(configdrive). Kept in C(other_config) as C(nova_disk_type).
    type: str
  owner:
    description:
      - Whose disk it is, such as the uuid of an instance. Kept in C(other_config) as C(nova_instance_uuid).
      - Only disks of this owner, and of O(disk_type) when that is given, are found by O(name), or else those that have no owner,
        unless O(run_id) is given.
        So the disks of several VMs may have the same name.
    type: str
  other_config:
    description: Keys to set. A key whose value is null is removed, and keys that are not named stay.
    type: dict
  sm_config:
    description: Keys for the storage driver, at creation only, as V(type=raw) for a volume without VHD on LVM.
    type: dict
  sm_config_absent:
    description: Keys to remove from C(sm_config), such as C(base_mirror), which a migration may leave behind.
    type: list
    elements: str
  clone_of:
    description:
      - Name or uuid of the disk to clone when the disk does not exist. A clone shares the blocks of its source, on the same storage repository.
      - The source may be in use meanwhile. A larger O(size) lets the clone grow.
    type: str
  copy_of:
    description:
      - Name or uuid of the disk to copy when the disk does not exist. A copy may lie on another storage repository, and takes its time.
      - No VM may write to the source meanwhile. A larger O(size) lets the copy grow.
    type: str
  content:
    description:
      - Local raw image whose content the disk shall have. What lies behind it on a larger disk is zero.
      - A fingerprint in C(other_config) says what was written, set when it was written to its end.
        The file is read in each run, but not written again to a disk with its fingerprint, whatever a VM did to the disk since.
        A disk whose writing was interrupted is made anew, or written again when it is attached or selected by O(uuid).
      - A disk with another fingerprint or none is an error unless O(overwrite=true).
    type: path
  overwrite:
    description:
      - Replace what is on the disk by O(content) if it is something else, while no VM has the disk plugged.
      - With O(state=exported), replace the file O(dest).
    type: bool
    default: false
  dest:
    description:
      - Local file to write with O(state=exported), raw and with holes where the disk has zeros, readable by its owner only.
        It appears when it is complete.
      - A file that exists is taken for the export and left alone, unless O(overwrite=true).
      - A disk that a running VM writes to is read from a snapshot, which is removed again.
    type: path
  ignore_errors:
    description: With O(state=absent), warn of a disk that cannot be removed instead of failing, and go on with the others.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that one operation of the pool, or the transfer of a disk, may take.
      - The operation is cancelled then, and the module fails and says what it waited for.
    default: 3600
seealso:
  - module: xapi.xenserver.xen_vdi_info
  - module: xapi.xenserver.xen_vbd
"""

EXAMPLES = r"""
- name: Data disk of 10 GiB exists on the default storage repository
  xapi.xenserver.xen_vdi:
    name: data
    size: 10GiB
    description: Data of web1
    tags: [web]

- name: Data disk has 20 GiB
  xapi.xenserver.xen_vdi:
    name: data
    size: 20GiB

- name: Root disk has the content of a local image
  xapi.xenserver.xen_vdi:
    name: web1
    size: 4GiB
    content: /srv/images/debian-12.raw
    disk_type: root

- name: Data disk has a clone
  xapi.xenserver.xen_vdi:
    name: data-test
    clone_of: data

- name: Data disk has a full copy
  xapi.xenserver.xen_vdi:
    name: data-backup
    copy_of: data
    sr: NFS storage

- name: What migration left behind is gone
  xapi.xenserver.xen_vdi:
    name: data
    sm_config_absent: [base_mirror]

- name: Content of the copy is in a local file
  xapi.xenserver.xen_vdi:
    name: data-backup
    state: exported
    dest: /tmp/data-backup.raw

- name: Clone is gone
  xapi.xenserver.xen_vdi:
    name: data-test
    state: absent
"""

RETURN = r"""
vdi:
  description: The disk as it is now. In check mode, what is known of one that would be made.
  returned: when O(state=present) or O(state=exported)
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10}
    name: {description: Name., type: str, returned: always, sample: data}
    description: {description: Description., type: str, returned: always, sample: Data of web1}
    sr: {description: Uuid of the storage repository., type: str, returned: always, sample: 8a3c9d3e-3c44-4b0e-9a64-1f1d5b3f7e02}
    size: {description: Size in bytes that a guest sees., type: int, returned: always, sample: 10737418240}
    used: {description: Bytes that it takes in the storage. May lag behind., type: int, returned: always, sample: 21504}
    type: {description: What the toolstack uses it for., type: str, returned: always, sample: user}
    sharable: {description: Whether several VMs may write to it., type: bool, returned: always, sample: false}
    read_only: {description: Whether nobody may write to it., type: bool, returned: always, sample: false}
    tags: {description: "Tags, sorted.", type: list, elements: str, returned: always, sample: [web]}
    disk_type: {description: Role of the disk., type: str, returned: always, sample: root}
    owner: {description: Whose disk it is., type: str, returned: always, sample: 3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2}
    content: {description: Fingerprint of what was written to it; null when nothing was., type: str, returned: always, sample: "sparse-sha256:9f86d081884c7d65"}
    other_config: {description: Further keys., type: dict, returned: always, sample: {}}
    sm_config: {description: Keys of the storage driver., type: dict, returned: always, sample: {}}
    managed: {description: Whether it is a disk and no internal part of a chain., type: bool, returned: always, sample: true}
    missing: {description: Whether the storage has lost it., type: bool, returned: always, sample: false}
    is_snapshot: {description: Whether it is a snapshot., type: bool, returned: always, sample: false}
    snapshot_of: {description: Uuid of the disk it is a snapshot of; null for others., type: str, returned: always, sample: null}
    parent: {description: Uuid of the next part of its chain; null without one., type: str, returned: always, sample: null}
    attachments:
      description: VMs that the disk is attached to.
      type: list
      elements: dict
      returned: always
      contains:
        vbd: {description: Uuid of the attachment., type: str, returned: always}
        vm: {description: Uuid of the VM., type: str, returned: always}
        vm_name: {description: Name of the VM., type: str, returned: always, sample: web1}
        userdevice: {description: Number of the device., type: int, returned: always, sample: 0}
        mode: {description: "V(rw) or V(ro).", type: str, returned: always, sample: rw}
        plugged: {description: Whether a running VM has it now., type: bool, returned: always, sample: true}
        volume: {description: Whether it is attached as a network volume., type: bool, returned: always, sample: false}
transfer:
  description: What went over the network.
  returned: when a content was written or exported
  type: dict
  contains:
    bytes_sent: {description: Bytes of the content that went over the network., type: int, returned: when it is done, sample: 21504}
    bytes_total: {description: Bytes of the content., type: int, returned: always, sample: 4294967296}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 0.213}
dest:
  description: The file that the disk was exported to.
  returned: when O(state=exported)
  type: str
  sample: /tmp/data-backup.raw
"""

from ..module_utils import _options
from ..module_utils._codec import BOOL, SET, TEXT, enum
from ..module_utils._entity import Field
from ..module_utils._module import run
from ..module_utils._vdi import VDI_OPTIONS
from ..module_utils._vdi_plan import planner

FIELDS = (
    Field("description", "name_description", TEXT, initial=""),
    Field("tags", "tags", SET, initial=[]),
    Field("type", "type", enum("user", "system", "ephemeral", "suspend", "crashdump"), initial="user", immutable=True),
    Field("sharable", "sharable", BOOL, initial=False, immutable=True),
    Field("read_only", "read_only", BOOL, initial=False, immutable=True),
)
OPTIONS = {
    **_options.state("present", "absent", "exported"),
    **_options.selector(),
    **_options.rename(),
    **_options.timeout(3600),
    **VDI_OPTIONS,
    **{item.option: {**item.codec.option} for item in FIELDS},
}
SELECTORS = ("name", "uuid", "uuids")


def main() -> None:
    run(
        planner(FIELDS),
        OPTIONS,
        required_one_of=[SELECTORS],
        mutually_exclusive=[SELECTORS, ("content", "clone_of", "copy_of")],
        required_if=[("state", "exported", ("dest",))],
    )


if __name__ == "__main__":
    main()
