#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_pci_passthrough
short_description: Hand PCI devices of a host to VMs of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Sets the list of PCI devices that a VM gets from its host when it starts.
  - The devices have to be hidden from the host (pciback), and the VM has to start on the host that has them.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
options:
  state:
    description: V(present) sets the list to O(devices). V(absent) removes the list.
    type: str
    choices: [present, absent]
    default: present
  devices:
    description:
      - Addresses of all PCI devices that the VM gets, in the order in which it gets them, as V(0000:87:00.0). The domain V(0000) may be left out.
      - Needed for O(state=present).
    type: list
    elements: str
seealso:
  - module: xapi.xenserver.xen_vgpu
"""

EXAMPLES = r"""
- name: Database server has two network cards of its own
  xapi.xenserver.xen_pci_passthrough:
    vm: web1
    devices: ["0000:87:00.0", "87:00.1"]

- name: Database server has no PCI devices
  xapi.xenserver.xen_pci_passthrough:
    vm: web1
    state: absent
"""

RETURN = r"""
devices:
  description: The addresses, with their domain.
  returned: always
  type: list
  elements: str
  sample: ["0000:87:00.0", "0000:87:00.1"]
"""

from ..module_utils import _options
from ..module_utils._module import run
from ..module_utils._passthrough import PCI_OPTIONS, plan_pci


def main() -> None:
    options = {**_options.state(), **_options.vm_selector(), **PCI_OPTIONS}
    run(plan_pci, options, required_if=[("state", "present", ("devices",))], **_options.one_of_vm())


if __name__ == "__main__":
    main()
