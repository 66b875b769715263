#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_guest_network
short_description: Tell guests of a XenServer or XCP-ng pool how their network interfaces are set up
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Keeps addresses, routes and name servers for each network interface in the xenstore of a VM, where the agent in the guest looks for them.
  - The guest finds them when it starts. A guest that runs is told at once, but sets its interfaces only when its agent is asked to.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
options:
  state:
    description:
      - V(present) tells of O(nics).
      - V(absent) tells no more of O(nics), or of any interface when none are given.
    type: str
    choices: [present, absent]
    default: present
  nics:
    description: The interfaces to tell of. Others stay as they are, unless O(purge=true).
    type: list
    elements: dict
    suboptions:
      mac:
        description: MAC address of the interface. Exactly one of O(nics[].mac) and O(nics[].device) is needed.
        type: str
      device:
        description: Device number of an interface of the VM, whose MAC address is looked up.
        type: int
      label:
        description: Name of the network.
        type: str
        default: ""
      subnets:
        description: What is on the interface. The gateway of the first subnet of a version is that of the interface.
        type: list
        elements: dict
        default: []
        suboptions:
          addresses:
            description: Addresses of one version with their prefix, as V(192.0.2.10/24) or V(2001:db8::10/64).
            type: list
            elements: str
            required: true
          gateway:
            description: Address of the gateway. None when it is left out.
            type: str
          dns:
            description: Addresses of name servers.
            type: list
            elements: str
            default: []
          routes:
            description: Further routes.
            type: list
            elements: dict
            default: []
            suboptions:
              network:
                description: Where to, as V(198.51.100.0/24).
                type: str
                required: true
              gateway:
                description: Address of the gateway.
                type: str
                required: true
  purge:
    description: Whether to tell no more of interfaces that are not among O(nics).
    type: bool
    default: false
seealso:
  - module: xapi.xenserver.xen_guest_metadata
  - module: xapi.xenserver.xen_vif
"""

EXAMPLES = r"""
- name: Guest knows the addresses of its first interface
  xapi.xenserver.xen_guest_network:
    vm: web1
    nics:
      - device: 0
        label: public
        subnets:
          - addresses: [192.0.2.10/24]
            gateway: 192.0.2.1
            dns: [192.0.2.53]
          - addresses: ["2001:db8::10/64"]
            gateway: "2001:db8::1"

- name: Guest knows of one interface only, which is not plugged yet
  xapi.xenserver.xen_guest_network:
    vm: web1
    purge: true
    nics:
      - mac: 02:16:3e:00:00:01
        label: storage
        subnets:
          - addresses: [198.51.100.10/24]
            routes:
              - network: 203.0.113.0/24
                gateway: 198.51.100.1

- name: Guest is told nothing of its network
  xapi.xenserver.xen_guest_network:
    vm: web1
    state: absent
"""

RETURN = r"""
nics:
  description: What the guest is told, an object for each interface, in the order of their MAC addresses.
  returned: always
  type: list
  elements: dict
  sample:
    - label: public
      mac: 02:16:3e:00:00:01
      gateway: 192.0.2.1
      broadcast: 192.0.2.255
      ips:
        - {ip: 192.0.2.10, enabled: "1", netmask: 255.255.255.0, gateway: 192.0.2.1}
      dns: [192.0.2.53]
"""

from ..module_utils import _options
from ..module_utils._guest_network import NETWORK_OPTIONS, plan_network
from ..module_utils._module import run


def main() -> None:
    options = {**_options.state(), **_options.vm_selector(), **NETWORK_OPTIONS}
    run(plan_network, options, required_if=[("state", "present", ("nics",))], **_options.one_of_vm())


if __name__ == "__main__":
    main()
