# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk whose content is worked on, for modules that do so on the controller. The options are ``_disk_job.DISK_OPTIONS``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the disk. Snapshots are not looked at. A name that several disks have is an error; use O(sr), O(uuid) or O(vm) then.
      - Exactly one of O(name), O(uuid), O(vm) and O(vm_uuid) is needed.
    type: str
  uuid:
    description: Uuid of the disk.
    type: str
  sr:
    description: Name or uuid of the storage repository on which the disk called O(name) lies.
    type: str
  vm:
    description: Name of the VM whose disk at O(userdevice) is meant.
    type: str
  vm_uuid:
    description: Uuid of the VM whose disk at O(userdevice) is meant.
    type: str
  userdevice:
    description: Device of the VM, as a number or a name such as V(xvdb). The first one, which is the root disk, unless told otherwise.
    type: str
    default: "0"
  work_dir:
    description:
      - Folder on the machine where the module runs for a sparse file with what is in use on the disk. It is gone when the module ends.
      - The usual folder for temporary files unless told otherwise.
    type: path
"""

    DISK = r"""
options:
  name:
    description:
      - Name of the disk. Snapshots are not looked at. A name that several disks have is an error; use O(sr), O(uuid) or O(vm) then.
      - Exactly one of O(name), O(uuid), O(vm) and O(vm_uuid) is needed.
    type: str
  uuid:
    description: Uuid of the disk.
    type: str
  sr:
    description: Name or uuid of the storage repository on which the disk called O(name) lies.
    type: str
  vm:
    description: Name of the VM whose disk at O(userdevice) is meant.
    type: str
  vm_uuid:
    description: Uuid of the VM whose disk at O(userdevice) is meant.
    type: str
  userdevice:
    description: Device of the VM, as a number or a name such as V(xvdb). The first one, which is the root disk, unless told otherwise.
    type: str
    default: "0"
"""
