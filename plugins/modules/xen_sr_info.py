#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_sr_info
short_description: List storage repositories of a XenServer or XCP-ng pool
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Returns the storage repositories of a pool, all of them or those asked for.
  - Finds the default repository, repositories marked in their C(other_config), and those that hold ISO images.
extends_documentation_fragment:
  - xapi.xenserver.attributes.info
  - xapi.xenserver.connection
  - xapi.xenserver.selector.info
options:
  filter:
    description:
      - V(default-sr:true) for the default repository of the pool, or V(other-config:key=value) for those marked so.
      - A filter that no repository meets is an error.
    type: str
  content_type:
    description: Return only repositories with this content, V(iso) for those that hold ISO images, V(user) for most others.
    type: str
  host:
    description: Name or uuid of a host. Return only the repositories that it is attached to.
    type: str
"""

EXAMPLES = r"""
- name: The default storage repository is known
  xapi.xenserver.xen_sr_info:
    filter: default-sr:true
  register: default

- name: It has room for 20 GiB
  ansible.builtin.assert:
    that: default.srs[0].free >= 20 * 1024 ** 3

- name: Repositories with ISO images are known
  xapi.xenserver.xen_sr_info:
    content_type: iso
  register: iso

- name: Fast storage of one host is known
  xapi.xenserver.xen_sr_info:
    filter: other-config:tier=fast
    host: xen1
"""

RETURN = r"""
srs:
  description: Storage repositories, sorted by name.
  returned: always
  type: list
  elements: dict
  contains:
    uuid: {description: Uuid., type: str, returned: always, sample: 0c5f0a5e-8f8b-4b44-9bb1-5b9d84f1d1e9}
    name: {description: Name., type: str, returned: always, sample: Local storage}
    description: {description: Description., type: str, returned: always, sample: ""}
    type: {description: Type of the storage., type: str, returned: always, sample: ext}
    content_type: {description: What it holds., type: str, returned: always, sample: user}
    shared: {description: Whether several hosts share it., type: bool, returned: always, sample: false}
    default: {description: Whether it is the default of the pool., type: bool, returned: always, sample: true}
    size: {description: Size in bytes. -1 while it was never attached., type: int, returned: always, sample: 214748364800}
    used: {description: Bytes in use., type: int, returned: always, sample: 10737418240}
    free: {description: Bytes not in use., type: int, returned: always, sample: 204010946560}
    allocated: {description: Sum of the virtual sizes of its disks in bytes., type: int, returned: always, sample: 21474836480}
    tags: {description: "Tags, sorted.", type: list, elements: str, returned: always, sample: []}
    other_config: {description: Further keys., type: dict, returned: always, sample: {tier: fast}}
    vdi_count: {description: Number of disks., type: int, returned: always, sample: 4}
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

from ..module_utils._info import Info
from ..module_utils._module import run_info
from ..module_utils._render import sr
from ..module_utils._sr import SR_OPTIONS, select_srs

SRS = Info(xen_class="SR", key="srs", render=sr, preload=("PBD", "host"), options=SR_OPTIONS, select=select_srs)


def main() -> None:
    run_info(SRS)


if __name__ == "__main__":
    main()
