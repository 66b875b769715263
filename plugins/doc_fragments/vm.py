# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VM that a device belongs to. The options are ``_options.vm_selector()``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  vm:
    description:
      - Name of the VM. Templates and snapshots are not looked at. A name that several VMs have is an error.
      - Exactly one of O(vm) and O(vm_uuid) is needed.
    type: str
  vm_uuid:
    description:
      - Uuid of the VM.
      - Exactly one of O(vm) and O(vm_uuid) is needed.
    type: str
"""
