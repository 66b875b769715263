# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: xen_memory_overhead
short_description: Memory a VM costs its host beside its own
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi-xenserver)
description:
  - Estimates the memory that the hypervisor needs for a VM, by its memory and its virtual CPUs.
positional: vcpus
options:
    _input:
      description: Memory of the VM in MiB.
      type: int
      required: true
    vcpus:
      description: Number of virtual CPUs.
      type: int
      default: 1
"""

EXAMPLES = r"""
- name: The overhead of a large VM is known
  ansible.builtin.debug:
    msg: "{{ 30720 | xapi.xenserver.xen_memory_overhead(4) }} MiB"
"""

RETURN = r"""
  _value:
    description: Overhead in MiB, rounded up.
    type: int
    sample: 249
"""

from typing import Any

from ansible_collections.xapi.xenserver.plugins.module_utils import _image_types
from ansible_collections.xapi.xenserver.plugins.plugin_utils import _filters


@_filters.named
def memory_overhead(memory: Any, vcpus: Any = 1) -> int:
    return _image_types.memory_overhead(_filters.number(memory), _filters.number(vcpus))


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"xen_memory_overhead": memory_overhead}
