# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The object itself, by name or uuid. The options are ``_options.selector()`` and ``_options.rename()``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the object. A name that several objects have is an error; use O(uuid) then.
      - Exactly one of O(name) and O(uuid) is needed.
    type: str
  uuid:
    description:
      - Uuid of an existing object.
      - Exactly one of O(name) and O(uuid) is needed.
    type: str
  new_name:
    description:
      - Name that the object shall have. When only an object of this name exists, it counts as renamed before.
    type: str
"""

    INFO = r"""
options:
  name:
    description:
      - Return only the objects of this name. None is an empty list and no error.
    type: str
  uuid:
    description:
      - Return only the object with this uuid. None is an empty list and no error.
    type: str
"""
