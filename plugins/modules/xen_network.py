#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_network
short_description: Manage networks of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Creates, changes, renames and removes networks.
  - A network is private to the VMs on it, or carries a VLAN of a physical interface of the hosts, or is the interim network of one virtual port.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.selector
options:
  state:
    description:
      - Whether the network exists. A network on which running VMs have interfaces cannot be removed.
      - A VLAN is removed together with its network. The network of a physical interface cannot be removed.
    type: str
    choices: [present, absent]
    default: present
  port_id:
    description:
      - Identifier of a virtual port whose interim network this is, instead of O(name) and O(uuid).
      - The network is found by the whole identifier in its C(other_config), under C(xen_ansible:port_id).
        A new one is named after the first ten characters, as C(net-0123456789), described as the network of that port,
        and marked as shared between hosts, so that VMs on it can migrate.
    type: str
  description:
    description: Description of the network.
    type: str
  mtu:
    description: Largest packet in bytes, 68 to 65535. A new network has 1500 unless told otherwise.
    type: int
  tags:
    description: Tags of the network, all of them. An empty list removes them.
    type: list
    elements: str
  other_config:
    description: Keys to set. A key whose value is null is removed, and keys that are not named stay.
    type: dict
  bridge:
    description:
      - Name of the bridge on the hosts, of at most 15 characters. It can be chosen only when the network is created.
      - The pool chooses one when it is left out. It refuses names that start with xen, xapi, vif, tap or eth.
    type: str
  vlan:
    description:
      - VLAN tag, 1 to 4094, that the network carries on O(device) of every host.
      - A network that carries another tag already is an error.
    type: int
  device:
    description: Interface of the hosts that carries O(vlan), as V(eth0) or V(bond0).
    type: str
seealso:
  - module: xapi.xenserver.xen_network_info
"""

EXAMPLES = r"""
- name: Storage network with jumbo frames exists
  xapi.xenserver.xen_network:
    name: storage
    description: NFS traffic
    mtu: 9000
    tags: [nfs]

- name: VLAN 42 is available on all hosts
  xapi.xenserver.xen_network:
    name: office
    vlan: 42
    device: eth0

- name: Interim network of a virtual port exists
  xapi.xenserver.xen_network:
    port_id: 3f0e5a9c-7f1e-4f0c-9d35-a6b1f4a1f7e2

- name: Network has a new name
  xapi.xenserver.xen_network:
    name: office
    new_name: office-old

- name: Retired network is gone
  xapi.xenserver.xen_network:
    name: office-old
    state: absent
"""

RETURN = r"""
network:
  description: The network as it is now. In check mode, what is known of a network that would be created.
  returned: when O(state=present)
  type: dict
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

from ..module_utils._codec import INT, MAP, SET, TEXT
from ..module_utils._entity import Entity, Field
from ..module_utils._module import run_entity
from ..module_utils._network import VLAN_OPTIONS, find_interim, plan_vlan, plan_vlan_removal, prepare_network
from ..module_utils._render import network

NETWORK = Entity(
    xen_class="network",
    render=network,
    fields=(
        Field("description", "name_description", TEXT, initial=""),
        Field("mtu", "MTU", INT, initial=1500),
        Field("tags", "tags", SET, initial=[]),
        Field("other_config", "other_config", MAP, initial={}, merge=True),
        Field("bridge", "bridge", TEXT, immutable=True),
    ),
    options={"port_id": {"type": "str"}, **VLAN_OPTIONS},
    selectors=("name", "uuid", "port_id"),
    prepare=prepare_network,
    find=find_interim,
    on_present=plan_vlan,
    on_absent=plan_vlan_removal,
)


def main() -> None:
    run_entity(NETWORK, required_together=[("vlan", "device")])


if __name__ == "__main__":
    main()
