#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_sr
short_description: Manage storage repositories of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Creates storage repositories, introduces those that lie on the storage already, connects them to hosts, and changes, scans, forgets and destroys them.
  - Nothing is ever removed from a storage that still holds disks.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.selector
  - xapi.xenserver.timeout
options:
  state:
    description:
      - V(present) creates, introduces or changes the repository. With O(name), one that does not exist is created, empty.
        With O(uuid), one that does not exist is introduced together with the disks on it, and called O(new_name).
      - V(forgotten) disconnects it from the hosts and makes the pool forget it. What is on the storage stays, and can be introduced again.
      - V(absent) removes it from the storage. One that holds disks is not removed.
      - V(scanned) makes the pool look at what is on the storage. This is never reported as a change. A storage that cannot be scanned at the moment
        is scanned again after 2, 4 and 8 seconds.
      - A repository of which running VMs have disks is neither forgotten nor removed, and the module names the VMs.
    type: str
    choices: [present, absent, forgotten, scanned]
    default: present
  name:
    description:
      - Name of the repository. A name that several repositories have is an error; use O(uuid) or O(host) then.
      - Exactly one of O(name) and O(uuid) is needed. With O(state=scanned) both can be left out, for the default repository of the pool.
    type: str
  uuid:
    description:
      - Uuid of a repository, one of the pool or one to be introduced.
      - Exactly one of O(name) and O(uuid) is needed, but for O(state=scanned).
    type: str
  description:
    description: Description of the repository.
    type: str
  tags:
    description: Tags of the repository, all of them. An empty list removes them.
    type: list
    elements: str
  other_config:
    description: Keys to set. A key whose value is null is removed, and keys that are not named stay.
    type: dict
  type:
    description:
      - Kind of storage, as V(nfs), V(ext), V(lvm), V(lvmoiscsi), V(iso) or V(smb). Needed to create or introduce a repository.
      - It cannot change later, nor can O(content_type) and O(shared).
    type: str
  content_type:
    description: What the repository holds. A new one of type V(iso) holds V(iso), any other V(user), unless told otherwise.
    type: str
  shared:
    description:
      - Whether all hosts of the pool are connected to it, those that join later included.
      - A new repository is shared when its storage is reached over a network, unless told otherwise.
    type: bool
  host:
    description:
      - Name or uuid of the host that a repository belongs to which is not shared.
      - With O(name), only repositories that this host knows are looked at, as the local ones of several hosts may have the same name.
    type: str
  device_config:
    description:
      - How hosts reach the storage, as V(server) and V(serverpath) for V(nfs), V(device) for V(ext) and V(lvm), V(location) for V(iso),
        V(target), V(targetIQN) and V(SCSIid) for V(lvmoiscsi). Needed to create or introduce a repository.
      - For an existing repository, hosts that are not connected get connected this way. Another value than the present one is an error.
    type: dict
  device_secrets:
    description: Further keys of O(device_config) that are secrets, as V(password), V(cifspassword) or V(chappassword). They are not compared later.
    type: dict
  sm_config:
    description: Keys for the storage driver, at creation and introduction only.
    type: dict
  default:
    description: Whether it is the default repository of the pool. With V(false), a pool whose default it is has none any more.
    type: bool
  attached:
    description:
      - Whether the hosts are connected to it. A new repository is connected unless told otherwise.
      - When it is left out, the connections of an existing repository stay as they are, unless O(device_config) is given.
    type: bool
seealso:
  - module: xapi.xenserver.xen_sr_info
"""

EXAMPLES = r"""
- name: Storage on NFS exists and is the default
  xapi.xenserver.xen_sr:
    name: VM storage
    type: nfs
    device_config:
      server: nfs.example.com
      serverpath: /export/machines
    tags: [fast]
    default: true

- name: Library of ISO images exists
  xapi.xenserver.xen_sr:
    name: ISO images
    type: iso
    device_config:
      location: nfs.example.com:/export/images
      type: nfs_iso

- name: Second disk of a host is storage
  xapi.xenserver.xen_sr:
    name: Second disk
    type: ext
    host: xs1
    device_config:
      device: /dev/sdb

- name: New files on the library are known
  xapi.xenserver.xen_sr:
    name: ISO images
    state: scanned

- name: Second disk is removed
  xapi.xenserver.xen_sr:
    name: Second disk
    state: absent

- name: Library is forgotten, with its images left on the server
  xapi.xenserver.xen_sr:
    name: ISO images
    state: forgotten

- name: Storage with its disks is known again
  xapi.xenserver.xen_sr:
    uuid: 0c5f0a5e-8f8b-4b44-9bb1-5b9d84f1d1e9
    new_name: Old storage
    type: nfs
    device_config:
      server: nfs.example.com
      serverpath: /export/old
"""

RETURN = r"""
sr:
  description: The repository as it is now. In check mode, what is known of one that would be made.
  returned: when O(state=present) or O(state=scanned)
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 0c5f0a5e-8f8b-4b44-9bb1-5b9d84f1d1e9}
    name: {description: Name., type: str, returned: always, sample: VM storage}
    description: {description: Description., type: str, returned: always, sample: ""}
    type: {description: Type of the storage., type: str, returned: always, sample: nfs}
    content_type: {description: What it holds., type: str, returned: always, sample: user}
    shared: {description: Whether several hosts share it., type: bool, returned: always, sample: true}
    default: {description: Whether it is the default of the pool., type: bool, returned: always, sample: true}
    size: {description: Size in bytes. -1 while it was never attached., type: int, returned: always, sample: 1099511627776}
    used: {description: Bytes in use., type: int, returned: always, sample: 0}
    free: {description: Bytes not in use., type: int, returned: always, sample: 1099511627776}
    allocated: {description: Sum of the virtual sizes of its disks in bytes., type: int, returned: always, sample: 0}
    tags: {description: "Tags, sorted.", type: list, elements: str, returned: always, sample: [fast]}
    other_config: {description: Further keys., type: dict, returned: always, sample: {}}
    vdi_count: {description: Number of disks., type: int, returned: always, sample: 0}
    pbds:
      description: Its attachments to hosts.
      type: list
      elements: dict
      returned: always
      contains:
        uuid: {description: Uuid., type: str, returned: always}
        host: {description: Uuid of the host., type: str, returned: always}
        attached: {description: Whether it is attached now., type: bool, returned: always, sample: true}
        path:
          description: Directory in the control domain of the host, for storage that keeps disks as files; null otherwise.
          type: str
          returned: always
          sample: /var/run/sr-mount/0c5f0a5e-8f8b-4b44-9bb1-5b9d84f1d1e9
"""

from ..module_utils import _options
from ..module_utils._codec import MAP, SET, TEXT
from ..module_utils._entity import Field
from ..module_utils._module import run
from ..module_utils._sr_job import SR_OPTIONS, SR_STATES
from ..module_utils._sr_plan import planner

FIELDS = (
    Field("description", "name_description", TEXT, initial=""),
    Field("tags", "tags", SET, initial=[]),
    Field("other_config", "other_config", MAP, initial={}, merge=True),
)
OPTIONS = {
    **_options.state(*SR_STATES),
    **_options.selector(),
    **_options.rename(),
    **_options.timeout(),
    **SR_OPTIONS,
    **{item.option: {**item.codec.option} for item in FIELDS},
}


def main() -> None:
    run(
        planner(FIELDS),
        OPTIONS,
        mutually_exclusive=[("name", "uuid")],
        required_if=[("state", state, ("name", "uuid"), True) for state in SR_STATES if state != "scanned"],
    )


if __name__ == "__main__":
    main()
