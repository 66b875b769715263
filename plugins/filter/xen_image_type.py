# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: xen_image_type
short_description: Number of the image type of a disk format
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi-xenserver)
description:
  - Turns the C(disk_format) of an image into the number of its type, as the old driver had them; no format at all gives none.
options:
    _input:
      description: Disk format C(aki), C(ari), C(ami), C(raw), C(vhd), C(iso) or C(qcow2).
      type: str
      required: true
"""

EXAMPLES = r"""
- name: The type of a VHD is known
  ansible.builtin.debug:
    msg: "{{ 'vhd' | xapi.xenserver.xen_image_type }}"
"""

RETURN = r"""
  _value:
    description: Number of the type, or none.
    type: int
    sample: 4
"""

from typing import Any

from ansible_collections.xapi.xenserver.plugins.module_utils import _image_types
from ansible_collections.xapi.xenserver.plugins.plugin_utils import _filters


@_filters.named
def image_type(disk_format: Any) -> int | None:
    kind = _image_types.image_type(disk_format)
    return kind.id if kind else None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"xen_image_type": image_type}
