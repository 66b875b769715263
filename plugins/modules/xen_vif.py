#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_vif
short_description: Manage network interfaces of VMs of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Adds network interfaces (VIFs) to VMs, changes, moves and removes them, and plugs and unplugs them while the VM runs.
  - An interface is known by its MAC address or by its device number, never by its place in a list.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.vm
  - xapi.xenserver.timeout
options:
  state:
    description: Whether the VM has the interface. A plugged one is unplugged before it is removed.
    type: str
    choices: [present, absent]
    default: present
  device:
    description:
      - Device number of the interface, from 0. A new interface with O(mac) gets the first number that the VM allows when it is left out.
      - At least one of O(device) and O(mac) is needed.
    type: int
  mac:
    description:
      - MAC address, upper or lower case. It can be chosen only for a new interface.
      - The pool makes one up when it is left out.
    type: str
  network:
    description:
      - Name or uuid of the network. Needed for a new interface.
      - An existing interface is moved to it, also while the VM runs, and keeps its MAC address.
    type: str
  mtu:
    description: Largest packet in bytes, 68 to 65535. A new interface has 1500 unless told otherwise, and it cannot change afterwards.
    type: int
  locking_mode:
    description:
      - V(locked) lets only traffic of the MAC address and of O(ipv4_allowed) and O(ipv6_allowed) pass, V(unlocked) all, V(disabled) none.
        V(network_default) does as the network says, and is what a new interface has.
      - It protects from forged addresses and is no firewall.
    type: str
    choices: [network_default, locked, unlocked, disabled]
  ipv4_allowed:
    description: IPv4 addresses that a locked interface may use, all of them, without prefix length. An empty list removes them.
    type: list
    elements: str
  ipv6_allowed:
    description: IPv6 addresses that a locked interface may use, all of them, without prefix length. An empty list removes them.
    type: list
    elements: str
  rate_limit:
    description: Limit of what the VM sends, in kilobits per second. V(0) removes the limit. It takes effect when the interface is plugged.
    type: int
  other_config:
    description: Keys to set. A key whose value is null is removed, and keys that are not named stay.
    type: dict
  plugged:
    description:
      - Whether the running VM has the interface now.
      - When it is left out, an interface that is new to a running VM is plugged, and others stay as they are.
      - A halted VM gets its interfaces when it starts, so it makes no difference there.
    type: bool
  retries:
    description:
      - How often to ask the guest again when it refuses to take or to give up the interface, after at most a second each.
      - A guest refuses until its drivers are loaded.
    type: int
    default: 10
  purge_network:
    description:
      - With O(state=absent), whether to remove the network too when it is the interim network of one virtual port
        (see O(xapi.xenserver.xen_network#module:port_id)) and no other interface is on it. Other networks are never removed.
      - Give O(network) as well to have it removed when the interface is gone already.
    type: bool
    default: false
seealso:
  - module: xapi.xenserver.xen_network
  - module: xapi.xenserver.xen_vm_info
"""

EXAMPLES = r"""
- name: Web server is on the private network
  xapi.xenserver.xen_vif:
    vm: web1
    mac: 02:16:3e:00:00:01
    network: Private

- name: It may use one address only
  xapi.xenserver.xen_vif:
    vm: web1
    mac: 02:16:3e:00:00:01
    locking_mode: locked
    ipv4_allowed: [192.0.2.10]

- name: It is on another network
  xapi.xenserver.xen_vif:
    vm: web1
    mac: 02:16:3e:00:00:01
    network: Pool-wide network associated with eth1

- name: Second interface has a MAC of the pool's choice
  xapi.xenserver.xen_vif:
    vm: web1
    device: 1
    network: Private

- name: Second interface is gone
  xapi.xenserver.xen_vif:
    vm: web1
    device: 1
    state: absent
"""

RETURN = r"""
vif:
  description: The interface as it is now. In check mode, what is known of one that would be added.
  returned: when O(state=present)
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 3b0a3a55-0a52-4a43-8d6b-0f4bb1a9b5b0}
    vm: {description: Uuid of the VM., type: str, returned: always, sample: 7c9e6679-7425-40de-944b-e07fc1f90ae7}
    device: {description: Device number., type: int, returned: always, sample: 0}
    mac: {description: MAC address., type: str, returned: always, sample: "02:16:3e:00:00:01"}
    mac_autogenerated: {description: Whether the pool made the MAC address up., type: bool, returned: always, sample: false}
    network: {description: Uuid of the network., type: str, returned: always, sample: 9a1c5c1f-5e0a-4d2b-8b3e-2f6a7a0c9d11}
    network_name: {description: Name of the network., type: str, returned: always, sample: Private}
    mtu: {description: Largest packet in bytes., type: int, returned: always, sample: 1500}
    plugged: {description: Whether a running VM has it now., type: bool, returned: always, sample: true}
    locking_mode: {description: Whether traffic of other addresses passes., type: str, returned: always, sample: locked}
    ipv4_allowed: {description: "IPv4 addresses that may be used when locked, sorted.", type: list, elements: str, returned: always, sample: [192.0.2.10]}
    ipv6_allowed: {description: "IPv6 addresses that may be used when locked, sorted.", type: list, elements: str, returned: always, sample: []}
    rate_limit: {description: Limit in kilobits per second; null without one., type: int, returned: always, sample: 10240}
    other_config: {description: Further keys., type: dict, returned: always, sample: {}}
"""

from ..module_utils._codec import INT, MAP, SET, enum
from ..module_utils._devices import Device
from ..module_utils._entity import Field
from ..module_utils._module import run
from ..module_utils._render_devices import vif
from ..module_utils._vif import KBPS, VIF_OPTIONS, change_vif, find_vif, prepare_vif, purge_network, vif_record

NIC = Device(
    xen_class="VIF",
    key="vif",
    noun="network interface",
    fields=(
        Field("mtu", "MTU", INT, initial=1500, immutable=True),
        Field("locking_mode", "locking_mode", enum("network_default", "locked", "unlocked", "disabled"), initial="network_default"),
        Field("ipv4_allowed", "ipv4_allowed", SET, initial=[]),
        Field("ipv6_allowed", "ipv6_allowed", SET, initial=[]),
        Field("rate_limit", "qos_algorithm_params", KBPS, initial={}),
        Field("other_config", "other_config", MAP, initial={}, merge=True),
    ),
    render=vif,
    prepare=prepare_vif,
    find=find_vif,
    create=vif_record,
    change=change_vif,
    on_absent=purge_network,
    options=VIF_OPTIONS,
    chosen=("mac",),
)


def main() -> None:
    run(NIC.plan, NIC.spec(), **NIC.rules)


if __name__ == "__main__":
    main()
