# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: xen_image_role
short_description: Role of the disk made of an image type
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi-xenserver)
description:
  - Gives what the disk made of an image is for, by the number of the image's type; an unknown number gives none.
options:
    _input:
      description: Number of the image type.
      type: int
      required: true
"""

EXAMPLES = r"""
- name: The role of a VHD is known
  ansible.builtin.debug:
    msg: "{{ 4 | xapi.xenserver.xen_image_role }}"
"""

RETURN = r"""
  _value:
    description: One of C(kernel), C(ramdisk), C(root), C(iso) and C(configdrive), or none.
    type: str
    sample: root
"""

from typing import Any

from ansible_collections.xapi.xenserver.plugins.plugin_utils import _filters


@_filters.named
def image_role(image_type: Any) -> str | None:
    kind = _filters.kind(image_type)
    return kind.role if kind else None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"xen_image_role": image_role}
