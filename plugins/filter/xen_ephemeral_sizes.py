# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: xen_ephemeral_sizes
short_description: Split a total into the sizes of ephemeral disks
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi-xenserver)
description:
  - A disk of a VHD storage repository ends near 2043 GiB, so a large total becomes several disks.
  - They have 2000 GiB each, or 1024 GiB when the total is a multiple of that.
options:
    _input:
      description: Total size in GiB.
      type: int
      required: true
"""

EXAMPLES = r"""
- name: The sizes of 4030 GiB are known
  ansible.builtin.debug:
    msg: "{{ 4030 | xapi.xenserver.xen_ephemeral_sizes }}"
"""

RETURN = r"""
  _value:
    description: Sizes of the disks in GiB, in the order of their devices.
    type: list
    elements: int
    sample: [2000, 2000, 30]
"""

from typing import Any

from ansible_collections.xapi.xenserver.plugins.module_utils import _image_types
from ansible_collections.xapi.xenserver.plugins.plugin_utils import _filters


@_filters.named
def ephemeral_sizes(total: Any) -> list[int]:
    return _image_types.ephemeral_sizes(_filters.number(total))


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"xen_ephemeral_sizes": ephemeral_sizes}
