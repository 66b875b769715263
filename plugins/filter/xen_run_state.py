# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: xen_run_state
short_description: Whether a run is still alive
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi-xenserver)
description:
  - Tells by the id of a run whether the process that it ends with is still there.
positional: own
options:
    _input:
      description: Id of a run, as O(own) and as the lookup xapi.xenserver.xen_run_id makes it.
      type: str
      required: true
    own:
      description: Id of the run that asks.
      type: str
      required: true
"""

EXAMPLES = r"""
- name: Nobody else builds the VM
  ansible.builtin.assert:
    that: vm.other_config['xen_ansible:run'] | xapi.xenserver.xen_run_state(run) in ['own', 'dead']
"""

RETURN = r"""
  _value:
    description:
      - V(own) for the run that asks, V(alive) or V(dead) for another run of the same machine.
      - V(unknown) for a run of another machine or container, whose processes cannot be seen.
    type: str
    choices: [own, alive, dead, unknown]
    sample: dead
"""

from typing import Any

from ansible_collections.xapi.xenserver.plugins.module_utils import _run_id
from ansible_collections.xapi.xenserver.plugins.plugin_utils import _filters


@_filters.named
def run_state(run: Any, own: Any) -> str:
    return _run_id.state_of(str(run), str(own))


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"xen_run_state": run_state}
