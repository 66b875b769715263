#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_run
short_description: End a run of tasks on a XenServer or XCP-ng pool, or take it back
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Takes back all that the tasks of a run made, and nothing else, or says that the run has ended well.
  - Whatever the modules create with O(run_id) is marked in the very call that creates it. So also things are found whose module never heard that they
    were made, because the connection broke or the module was killed.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
  - xapi.xenserver.timeout
options:
  state:
    description:
      - V(undone) removes the VMs that the run made, with the disks that came with them, and the disks, cached images, attachments, network interfaces,
        networks and virtual GPUs. What it attached or changed, but did not make, is left as it is.
      - V(finished) takes the mark off the VM O(vm_uuid), which counts as built from then on.
    type: str
    choices: [undone, finished]
    required: true
  run_id:
    description:
      - Id of the run.
      - A run that has ended well must not be taken back, as the disks it made keep their mark.
    required: true
  vm_uuid:
    description: Uuid of the VM that the run built. Needed for O(state=finished).
    type: str
notes:
  - Operations of the run that are under way are waited for, as they may make something yet.
  - What cannot be removed is told when everything else is gone, and the task can be run again.
seealso:
  - plugin: xapi.xenserver.xen_run_id
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: What the run made is gone
  xapi.xenserver.xen_run:
    run_id: 8d3f6e0c1a2b.5c0e8a7f1d22.4711.8812345.9f86d081884c
    state: undone
"""

RETURN = r"""
removed:
  description: What was removed, or would be removed in check mode.
  returned: always
  type: list
  elements: str
  sample: ["VM 'web1' (8a3c9d3e-3c44-4b0e-9a64-1f1d5b3f7e02)", "disk 'web1' (0b5a2d0c-6c0b-4a86-9c37-5c6c3c1c5a10)"]
vm:
  description: The VM, as RV(xapi.xenserver.xen_vm_info#module:vms) has it.
  returned: when O(state=finished)
  type: dict
  sample:
    name: web1
    power_state: running
"""

from ..module_utils import _options
from ..module_utils._module import run
from ..module_utils._rollback import RUN_OPTIONS, plan_run


def main() -> None:
    state = {"state": {"type": "str", "choices": ["undone", "finished"], "required": True}}
    run_id = {"run_id": {**_options.connection()["run_id"], "required": True}}
    run(plan_run, {**state, **run_id, **RUN_OPTIONS, **_options.timeout()}, required_if=[("state", "finished", ("vm_uuid",))])


if __name__ == "__main__":
    main()
