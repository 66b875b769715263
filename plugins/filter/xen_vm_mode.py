# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: xen_vm_mode
short_description: Paravirtual or HVM, from what is known of a VM
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi-xenserver)
description:
  - Chooses the mode in the order the old driver did, which is the asked mode, the operating system, and the type of the image.
positional: os_type, image_type
options:
    _input:
      description: The mode asked for, V(xen) or V(hvm); none or empty to choose by the rest.
      type: str
      required: true
    os_type:
      description: Operating system, V(linux) or V(windows) decide.
      type: str
    image_type:
      description:
        - Number of the image type; 2 (AMI disk) and 4 (VHD) are paravirtual. P(xapi.xenserver.xen_image_type#filter) makes it of a disk format.
      type: int
"""

EXAMPLES = r"""
- name: The mode of a Windows VM is known
  ansible.builtin.debug:
    msg: "{{ none | xapi.xenserver.xen_vm_mode(os_type='windows') }}"

- name: The mode that fits an image is known
  ansible.builtin.debug:
    msg: "{{ none | xapi.xenserver.xen_vm_mode(image_type=('vhd' | xapi.xenserver.xen_image_type)) }}"
"""

RETURN = r"""
  _value:
    description: V(xen) for paravirtual, or V(hvm).
    type: str
    sample: hvm
"""

from typing import Any

from ansible_collections.xapi.xenserver.plugins.module_utils import _image_types
from ansible_collections.xapi.xenserver.plugins.plugin_utils import _filters


@_filters.named
def vm_mode(mode: Any, os_type: Any = None, image_type: Any = None) -> str:
    return _image_types.vm_mode(mode, os_type, _filters.kind(image_type))


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"xen_vm_mode": vm_mode}
