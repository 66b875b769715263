# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: xen_run_id
short_description: A new id for a run
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi-xenserver)
description:
  - Makes an id for the option C(run_id) of all modules, another one each time. It tells what is built, and by which process of which machine,
    so that a later run knows whether this one is still alive.
options:
  _terms:
    description: What the run builds, such as the name of a VM. On one machine, tasks of runs that build the same wait for each other.
    required: true
seealso:
  - plugin: xapi.xenserver.xen_run_state
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Run has an id
  ansible.builtin.set_fact:
    run: "{{ lookup('xapi.xenserver.xen_run_id', 'web1') }}"
"""

RETURN = r"""
_raw:
  description: The id.
  type: list
  elements: str
  sample: [8d3f6e0c1a2b.5c0e8a7f1d22.4711.8812345.9f86d081884c]
"""

import multiprocessing
import os
from typing import Any

from ansible.plugins.lookup import LookupBase

from ansible_collections.xapi.xenserver.plugins.module_utils._run_id import new_id


class LookupModule(LookupBase):  # type: ignore[misc]
    """The lookup of this file."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        # Tasks are worked on by forks, which end with their task.
        parent = multiprocessing.parent_process()
        process = (parent.pid if parent else None) or os.getpid()
        return [new_id(str(term), process) for term in terms]
