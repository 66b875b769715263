# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: xen_image_type_name
short_description: Name of an image type
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi-xenserver)
description:
  - Gives the name of an image type by its number; an unknown number gives none.
options:
    _input:
      description: Number of the image type.
      type: int
      required: true
"""

EXAMPLES = r"""
- name: The name of type 3 is known
  ansible.builtin.debug:
    msg: "{{ 3 | xapi.xenserver.xen_image_type_name }}"
"""

RETURN = r"""
  _value:
    description: Name of the type, or none.
    type: str
    sample: os_raw
"""

from typing import Any

from ansible_collections.xapi.xenserver.plugins.plugin_utils import _filters


@_filters.named
def image_type_name(image_type: Any) -> str | None:
    kind = _filters.kind(image_type)
    return kind.name if kind else None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"xen_image_type_name": image_type_name}
