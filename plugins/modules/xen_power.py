#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_power
short_description: Change the power state of a VM of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Starts, shuts down, suspends, resumes, pauses and reboots a VM, and allows or forbids that it is started.
  - A shutdown asks the guest, which needs its tools or a current kernel. It is powered off only when O(force) or O(shutdown_timeout) say so.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.timeout
attributes:
  idempotent:
    support: partial
    details: V(rebooted) reboots each time.
options:
  name:
    description:
      - Name of the VM. A name that several VMs have is an error; use O(uuid) then.
      - Exactly one of O(name) and O(uuid) is needed.
    type: str
  uuid:
    description:
      - Uuid of the VM.
      - Exactly one of O(name) and O(uuid) is needed.
    type: str
  state:
    description:
      - V(running) starts a halted VM, resumes a suspended one and lets a paused one go on.
      - V(halted) shuts it down. A VM that does not exist is an error, unless O(boot_allowed=false), when it is a warning.
      - V(suspended) writes its memory to storage. It is then kept from being started without that memory until it leaves this state.
      - V(paused) stops its CPUs; a halted or suspended VM is started so.
      - V(rebooted) reboots it, each time. A halted VM is started.
    type: str
    choices: [running, halted, suspended, paused, rebooted]
    required: true
  force:
    description:
      - Whether V(halted) and V(rebooted) come about without asking the guest, which may cost data.
      - A suspended VM that is halted so loses its memory. Without this option it is resumed and asked.
    type: bool
    default: false
  shutdown_timeout:
    description:
      - Seconds that the guest may take to shut down or reboot when it is asked. After that, or when it cannot be asked, it is done without
        asking, and a warning says so.
      - Left out, the guest may take O(timeout), and what it does not do is an error.
    type: float
  host:
    description: Name or uuid of the host to start or resume the VM on. A VM that runs on another host is an error.
    type: str
  boot_allowed:
    description:
      - Whether the VM may be started from now on, by whoever tries it. V(false) blocks its start, V(true) takes such a block away.
      - Left out, a block stays, and starting a blocked VM is an error.
    type: bool
  detach_bad_volumes:
    description:
      - Whether attached network volumes whose storage does not answer are detached when they keep the VM from starting.
      - A dead storage takes about two minutes to be recognised.
    type: bool
    default: false
  wait_for:
    description:
      - What to wait for when the VM runs. V(tools) until the tools in the guest report, V(address) until the guest has an address that
        is more than link-local.
    type: str
    choices: [nothing, tools, address]
    default: nothing
  wait_timeout:
    description: Seconds to wait for O(wait_for). A guest that is not ready by then is an error, and the VM stays as it is.
    type: float
    default: 300
  wait_device:
    description: Device number of the interface whose address is waited for with O(wait_for=address). Any interface when it is left out.
    type: int
  wait_network:
    description:
      - Network in which the address has to be that is waited for with O(wait_for=address), as V(192.0.2.0/24) or V(2001:db8::/32).
      - Any address but a link-local one counts when it is left out.
    type: str
notes:
  - After a start, the number of the domain is noted in C(other_config) as C(last_dom_id), by which dom0 names the console log.
seealso:
  - module: xapi.xenserver.xen_vm
"""

EXAMPLES = r"""
- name: VM runs on a host of choice and has an address
  xapi.xenserver.xen_power:
    name: web1
    state: running
    host: xs1
    wait_for: address
    wait_timeout: 120

- name: VM is rebooted, hard if the guest takes longer than a minute, and up again
  xapi.xenserver.xen_power:
    name: web1
    state: rebooted
    shutdown_timeout: 60
    wait_for: tools

- name: VM is suspended
  xapi.xenserver.xen_power:
    name: web1
    state: suspended

- name: VM goes on
  xapi.xenserver.xen_power:
    name: web1
    state: running

- name: VM is off and cannot be started
  xapi.xenserver.xen_power:
    name: web1
    state: halted
    force: true
    boot_allowed: false

- name: VM is back
  xapi.xenserver.xen_power:
    name: web1
    state: running
    boot_allowed: true
"""

RETURN = r"""
vm:
  description:
    - The VM as it is now. In check mode, what can be known before.
    - Null when it does not exist and O(boot_allowed=false).
  returned: success
  type: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 0f2f6a4c-5c8e-4b5c-9a1e-7d1f5a3c2b10}
    name: {description: Name., type: str, returned: always, sample: web1}
    power_state: {description: "V(running), V(halted), V(suspended) or V(paused).", type: str, returned: always, sample: running}
    host: {description: Uuid of the host that it runs on; null when it runs on none., type: str, returned: always, sample: 5b3d2f0e-1c4a-4e0e-9d57-2f4f6a1b8c3d}
    domid: {description: Number of its domain on that host; null when it has none., type: int, returned: always, sample: 7}
    usage: {description: MiB of memory that it takes of its host; null unless it is running or paused., type: int, returned: always, sample: 2048}
    bootable: {description: Whether nothing blocks its start., type: bool, returned: always, sample: true}
    addresses: {description: "Addresses that the guest reports, of all its interfaces.", type: list, elements: str, returned: always, sample: [192.0.2.17]}
    guest:
      description: What the tools in the guest report.
      type: dict
      returned: always
      contains:
        tools: {description: Whether the tools report., type: bool, returned: always, sample: true}
        os_name: {description: Operating system; null when unknown., type: str, returned: always, sample: Debian GNU/Linux 12}
        os_version: {description: Operating system in parts., type: dict, returned: always, sample: {distro: debian, major: "12"}}
        drivers_version: {description: Version of the drivers in parts., type: dict, returned: always, sample: {major: "7", minor: "30"}}
"""

from ..module_utils import _options
from ..module_utils._module import run
from ..module_utils._power_plan import OPTIONS, plan_power


def main() -> None:
    run(plan_power, {**_options.timeout(), **OPTIONS}, **_options.one_of_selector())


if __name__ == "__main__":
    main()
