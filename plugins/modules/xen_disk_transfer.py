#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_disk_transfer
short_description: Copy a disk to another storage repository, host or pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Copies a disk to another storage repository of the same pool or of another one, at once, or most of it while its VM runs and the rest
    when the VM is halted.
  - The content goes through the machine where the module runs, which keeps nothing of it. What is not in use on the disk is not sent.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.surgery.disk
  - xapi.xenserver.timeout
options:
  phase:
    description:
      - V(full) copies the disk at once, while no VM writes to it.
      - V(send) copies a snapshot of the disk, while its VM goes on. The new disk stays marked as unfinished, and keeps what it got;
        a repeated run changes nothing. With O(base), what was written since that snapshot is sent on to the same new disk,
        which leaves less to do while the VM is halted.
      - V(import) sends what was written since, when the VM is halted, which takes little time. The new disk gets the keys of its
        source, is complete, and the snapshot is removed.
      - A complete copy is made once. It is known by the uuid of its source in C(other_config), under C(xen_ansible:transferred).
        What an interrupted transfer left is removed in the next one, or taken on by it.
      - A copy has the owner of its disk. So in the same pool, the role P(xapi.xenserver.destroy#role) removes it together with the VM.
    type: str
    choices: [full, send, import]
    default: full
  base:
    description:
      - Uuid of the snapshot that the new disk holds, from RV(source.snapshot) of an earlier run.
      - With O(phase=send), only what differs from it is sent, from a new snapshot. When the new disk went on from it already, nothing is to be done.
      - With O(phase=import) it need not be given, and an error is made of another one than the new disk holds.
    type: str
  dest_sr:
    description:
      - Name or uuid of the storage repository to copy to.
      - When it is left out, the one of O(dest_host), or else the default one of the pool.
    type: str
  dest_host:
    description: Name or uuid of a host to which the storage repository is attached. Needed where those of several hosts have the same name.
    type: str
  dest_name:
    description: Name of the new disk. That of the disk unless told otherwise.
    type: str
  dest_pool:
    description: Another pool to copy to. The same pool when it is left out. The environment is not looked at for these.
    type: dict
    suboptions:
      hostname: {description: Address of the coordinator, type: str, required: true}
      username: {description: User., type: str, default: root}
      password: {description: Password of the user. Needed unless O(dest_pool.session_id) is given., type: str}
      session_id: {description: Reference of a session that is open and stays open., type: str}
      validate_certs: {description: Whether its certificate has to be valid., type: bool, default: true}
      ca_path: {description: File or folder with the certificates of the CAs to trust., type: path}
      fingerprint: {description: SHA-256 fingerprints of certificates to trust., type: list, elements: str}
      api_protocol: {description: How calls are sent., type: str, choices: [jsonrpc, xmlrpc], default: jsonrpc}
      connect_timeout: {description: Seconds until a connection has to be there., type: float, default: 10}
      request_timeout: {description: Seconds until an answer has to come., type: float, default: 120}
      run_id: {description: Id of the run for the other pool., type: str}
  timeout:
    default: 3600
seealso:
  - module: xapi.xenserver.xen_vdi
"""

EXAMPLES = r"""
- name: Root disk has a copy on local storage of a host
  xapi.xenserver.xen_disk_transfer:
    vm: web1
    dest_host: xs1
    dest_sr: Local storage

- name: Most of the data disk is in the other pool
  xapi.xenserver.xen_disk_transfer:
    name: data
    phase: send
    dest_pool:
      hostname: pool2.example.com
      password: "{{ pool2_password }}"
  register: sent

- name: What was written to it meanwhile is there as well
  xapi.xenserver.xen_disk_transfer:
    name: data
    phase: send
    base: "{{ sent.source.snapshot }}"
    dest_pool:
      hostname: pool2.example.com
      password: "{{ pool2_password }}"
  when: sent is changed

- name: VM of the data disk is halted
  xapi.xenserver.xen_power:
    name: web1
    state: halted

- name: Data disk is in the other pool, complete
  xapi.xenserver.xen_disk_transfer:
    name: data
    phase: import
    dest_pool:
      hostname: pool2.example.com
      password: "{{ pool2_password }}"

- name: Root and ephemeral disks of a halted VM are in the other pool
  xapi.xenserver.xen_disk_transfer:
    vm: web1
    userdevice: "{{ item }}"
    dest_pool:
      hostname: pool2.example.com
      password: "{{ pool2_password }}"
  loop: [0, 4, 5]
"""

RETURN = r"""
vdi:
  description: The new disk in its pool. The keys are those of M(xapi.xenserver.xen_vdi). In check mode, what is known of it.
  returned: always
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10}
    name: {description: Name., type: str, returned: always, sample: web1 root}
    size: {description: Size in bytes that a guest sees., type: int, returned: always, sample: 21474836480}
source:
  description: What the new disk was made of, in the pool of the task.
  returned: always
  type: dict
  contains:
    uuid: {description: Uuid of the disk., type: str, returned: always, sample: 7c9d3d61-1b43-4f0e-8a6c-6a4f2b1f9f3e}
    snapshot:
      description: Uuid of its snapshot that the new disk holds, for O(base).
      type: str
      returned: while the new disk is not complete
      sample: 5a9c2f0e-6d0a-4d6b-8f8a-2f4d5e8c7b1a
transfer:
  description: What went over the network.
  returned: when something was sent
  type: dict
  contains:
    bytes_sent: {description: Bytes of the content that went over the network., type: int, returned: when it is done, sample: 2097152}
    bytes_total: {description: Bytes of the disk., type: int, returned: when it is done, sample: 21474836480}
    seconds: {description: How long it took., type: float, returned: when it is done, sample: 0.213}
"""

from ..module_utils import _options
from ..module_utils._disk_job import SELECTORS, SOURCE_OPTIONS
from ..module_utils._disk_transfer import TRANSFER_OPTIONS, plan_transfer
from ..module_utils._module import run
from ..module_utils._transfer_place import PLACE_OPTIONS


def main() -> None:
    run(
        plan_transfer,
        {**SOURCE_OPTIONS, **PLACE_OPTIONS, **TRANSFER_OPTIONS, "dest_pool": _options.second_connection(), **_options.timeout(3600)},
        second="dest_pool",
        required_one_of=[SELECTORS],
        mutually_exclusive=[SELECTORS],
    )


if __name__ == "__main__":
    main()
