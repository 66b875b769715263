# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks whose content is generated. The options are ``DISK_OPTIONS`` of ``_disk_at_device``, and ``_options.timeout(3600)``.

A module says itself what ``name`` is when it is left out.
"""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description: Name of the disk.
    type: str
  owner:
    description:
      - Whose disk it is, such as the uuid of an instance. Kept in C(other_config) as C(nova_instance_uuid).
      - It is the uuid of the VM when it is left out.
    type: str
  sr:
    description: Name or uuid of the storage repository for a new disk, the default one of the pool when it is left out. A disk that exists does not move.
    type: str
  force:
    description:
      - Replace what is at the device even when it may be worth keeping. The disk that was there is removed, and B(everything on it is lost).
      - Without it a disk that somebody else made is never touched. What this module made is known by a fingerprint in C(other_config),
        written last, so that a disk whose making was interrupted is made anew, and a repeated run reads and writes no disk.
      - A network volume and a disk that another VM has too are not replaced even so.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that one operation of the pool, or the transfer of a disk, may take.
      - The operation is cancelled then, and the module fails and says what it waited for.
    type: float
    default: 3600
"""
