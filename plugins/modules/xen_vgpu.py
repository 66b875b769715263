#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_vgpu
short_description: Give VMs of a XenServer or XCP-ng pool a virtual GPU
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Adds a virtual GPU to a halted VM, and removes it.
  - The VM then starts only on a host that has a GPU of the group with room for it.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
options:
  state:
    description:
      - V(present) adds a virtual GPU unless the VM has one of O(type) and O(group).
      - V(absent) removes the one of O(type) and O(group). Without them it removes the only one that the VM has.
    type: str
    choices: [present, absent]
    default: present
  type:
    description: Type of the virtual GPU, by model name or uuid. Needed for a new one.
    type: str
  group:
    description: Name or uuid of the GPU group. The first group that has room for O(type) when it is left out.
    type: str
  owner:
    description:
      - Whose virtual GPU a new one is, such as the uuid of an instance. Kept in C(other_config) as C(nova-instance-uuid).
      - It is the uuid of the VM when it is left out.
    type: str
seealso:
  - module: xapi.xenserver.xen_pci_passthrough
"""

EXAMPLES = r"""
- name: Workstation has a virtual GPU
  xapi.xenserver.xen_vgpu:
    vm: web1
    type: GRID T4-2Q

- name: Workstation has no virtual GPU
  xapi.xenserver.xen_vgpu:
    vm: web1
    state: absent
"""

RETURN = r"""
vgpu:
  description: The virtual GPU. In check mode, what is known of one that would be added.
  returned: when O(state=present)
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10}
    vm: {description: Uuid of the VM., type: str, returned: always, sample: 8a3c9d3e-3c44-4b0e-9a64-1f1d5b3f7e02}
    device: {description: Device number., type: str, returned: always, sample: "0"}
    type: {description: Uuid of the type., type: str, returned: always, sample: 2b1f5a7e-6d6a-4f53-a1a2-90b7b1d7c0de}
    type_name: {description: Model name of the type., type: str, returned: always, sample: GRID T4-2Q}
    group: {description: Uuid of the GPU group., type: str, returned: always, sample: 5a9c2f0e-6d0a-4d6b-8f8a-2f4d5e8c7b1a}
    group_name: {description: Name of the GPU group., type: str, returned: always, sample: Group of NVIDIA T4 GPUs}
    attached: {description: Whether a running VM has it now., type: bool, returned: always, sample: false}
    owner: {description: Whose virtual GPU it is., type: str, returned: always, sample: 8a3c9d3e-3c44-4b0e-9a64-1f1d5b3f7e02}
"""

from ..module_utils import _options
from ..module_utils._module import run
from ..module_utils._passthrough import VGPU_OPTIONS, plan_vgpu


def main() -> None:
    run(plan_vgpu, {**_options.state(), **_options.vm_selector(), **VGPU_OPTIONS}, **_options.one_of_vm())


if __name__ == "__main__":
    main()
