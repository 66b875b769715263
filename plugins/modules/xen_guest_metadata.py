#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_guest_metadata
short_description: Tell guests of a XenServer or XCP-ng pool their metadata and host name
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Keeps metadata, the host name and whether the guest configures its own disk in the xenstore of a VM, where the agent in the guest looks for them.
  - The guest finds them when it starts. A guest that runs is told at once.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
options:
  state:
    description:
      - V(merged) sets the keys of O(metadata) and leaves others.
      - V(replaced) removes all keys that are not in O(metadata).
      - V(absent) removes O(keys).
    type: str
    choices: [merged, replaced, absent]
    default: merged
  metadata:
    description:
      - Keys and values. A key whose value is null is removed.
      - Whatever is no letter, digit, C(-), C(_) or C(@) in a key becomes C(_). Keys that would become the same are an error.
      - A value is kept as JSON, as C(vm-data/user-metadata/<key>).
    type: dict
  keys:
    description: Keys of the metadata to remove, with O(state=absent).
    type: list
    elements: str
  guest_hostname:
    description:
      - Host name for the guest, as C(vm-data/hostname). An empty one is removed, so that it is not applied again at a later start.
      - The name that is there stays when it is left out.
    type: str
  os_type:
    description: Operating system of the guest. V(windows) cuts O(guest_hostname) to 15 characters.
    type: str
  rescue:
    description: Whether the VM rescues another one. It puts C(RESCUE-) in front of O(guest_hostname).
    type: bool
    default: false
  auto_disk_config:
    description: Whether the agent in the guest lets its filesystem grow with the disk, as C(vm-data/auto-disk-config). What is there stays when it is left out.
    type: bool
notes:
  - A VM that does not exist is a warning and no error.
seealso:
  - module: xapi.xenserver.xen_guest_network
  - module: xapi.xenserver.xen_configdrive
"""

EXAMPLES = r"""
- name: Guest knows its role, its name, and that its disk may grow
  xapi.xenserver.xen_guest_metadata:
    vm: web1
    metadata:
      role: frontend
      site: north
    guest_hostname: web1
    auto_disk_config: true

- name: Guest has no other metadata than its role
  xapi.xenserver.xen_guest_metadata:
    vm: web1
    state: replaced
    metadata:
      role: backend

- name: Guest has no role any more
  xapi.xenserver.xen_guest_metadata:
    vm: web1
    state: absent
    keys: [role]

- name: Host name is not applied at the next start
  xapi.xenserver.xen_guest_metadata:
    vm: web1
    guest_hostname: ""
"""

RETURN = r"""
metadata:
  description: All metadata that the guest is told, by the keys as they are in the guest.
  returned: always
  type: dict
  sample: {role: frontend, site: north}
guest_hostname:
  description: The host name that the guest is told; null when it is told none.
  returned: always
  type: str
  sample: web1
auto_disk_config:
  description: Whether the guest lets its filesystem grow; null when it is not told.
  returned: always
  type: bool
  sample: true
"""

from ..module_utils import _options
from ..module_utils._guest_data import METADATA_OPTIONS, METADATA_STATES, plan_metadata
from ..module_utils._module import run


def main() -> None:
    options = {**_options.state(*METADATA_STATES), **_options.vm_selector(), **METADATA_OPTIONS}
    run(plan_metadata, options, required_if=[("state", "absent", ("keys",))], **_options.one_of_vm())


if __name__ == "__main__":
    main()
