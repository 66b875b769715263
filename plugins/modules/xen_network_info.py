#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_network_info
short_description: List networks of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Returns the networks of a pool, all of them or those asked for.
  - Each comes with its VLAN tag and the interfaces of hosts that carry it.
extends_documentation_fragment:
  - xapi.xenserver.attributes.info
  - xapi.xenserver.connection
  - xapi.xenserver.selector.info
options:
  bridge:
    description: Return only the network with this bridge.
    type: str
  port_id:
    description: Return only the interim network of this virtual port, see M(xapi.xenserver.xen_network).
    type: str
seealso:
  - module: xapi.xenserver.xen_network
"""

EXAMPLES = r"""
- name: All networks are known
  xapi.xenserver.xen_network_info:
  register: all

- name: The storage network is known
  xapi.xenserver.xen_network_info:
    name: storage
  register: storage

- name: It carries jumbo frames
  ansible.builtin.assert:
    that: storage.networks[0].mtu == 9000
"""

RETURN = r"""
networks:
  description: Networks, sorted by name.
  returned: always
  type: list
  elements: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 9a1c5c1f-5e0a-4d2b-8b3e-2f6a7a0c9d11}
    name: {description: Name., type: str, returned: always, sample: storage}
    description: {description: Description., type: str, returned: always, sample: NFS traffic}
    bridge: {description: Bridge on the hosts., type: str, returned: always, sample: xapi1}
    mtu: {description: Largest packet in bytes., type: int, returned: always, sample: 9000}
    tags: {description: "Tags, sorted.", type: list, elements: str, returned: always, sample: [nfs]}
    other_config: {description: Further keys., type: dict, returned: always, sample: {}}
    default_locking_mode: {description: Locking mode of interfaces without their own., type: str, returned: always, sample: unlocked}
    managed: {description: Whether the toolstack manages the bridge., type: bool, returned: always, sample: true}
    vlan: {description: VLAN tag; null without one., type: int, returned: always, sample: 42}
    vif_count: {description: Number of interfaces of VMs on the network., type: int, returned: always, sample: 3}
    pifs:
      description: Interfaces of hosts that carry the network.
      type: list
      elements: dict
      returned: always
      contains:
        uuid: {description: Uuid., type: str, returned: always}
        host: {description: Uuid of the host., type: str, returned: always}
        device: {description: Device on the host., type: str, returned: always, sample: eth0}
        vlan: {description: VLAN tag; null when untagged., type: int, returned: always, sample: 42}
        physical: {description: Whether it is a physical interface., type: bool, returned: always, sample: false}
        attached: {description: Whether it is up., type: bool, returned: always, sample: true}
"""

from ..module_utils._info import Info
from ..module_utils._module import run_info
from ..module_utils._network import select_networks
from ..module_utils._render import network

NETWORKS = Info(
    xen_class="network",
    key="networks",
    render=network,
    preload=("PIF", "host"),
    options={"bridge": {"type": "str"}, "port_id": {"type": "str"}},
    select=select_networks,
)


def main() -> None:
    run_info(NETWORKS)


if __name__ == "__main__":
    main()
