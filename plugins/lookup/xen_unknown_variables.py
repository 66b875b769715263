# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: xen_unknown_variables
short_description: Mistyped variables of a role
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi-xenserver)
description:
  - Finds variables whose names begin as those of the role that asks, and that are neither in its C(meta/argument_specs.yml) nor set in its
    C(vars) and C(tasks).
  - Gives a sentence for each that is spelled nearly as one of the role. Of others it only warns, as they may be helpers of a playbook.
options:
  _terms:
    description: How the names of the variables of the role begin, as V(spawn_).
    required: true
  options:
    description: Further names that may be set, such as those of a playbook that uses the role.
    type: list
    elements: str
    default: []
  strict:
    description: Whether there is a sentence for every unknown name, and no warning.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: All variables are known to the role
  ansible.builtin.assert:
    that: query('xapi.xenserver.xen_unknown_variables', 'spawn_') | length == 0
"""

RETURN = r"""
_raw:
  description: Sentences on what is wrong. Empty when all names are known.
  type: list
  elements: str
  sample: ["spawn_memroy is no variable of the role; did you mean spawn_memory?"]
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

# How much of two names has to be the same: cpu is taken for vcpus, and plan for nothing.
NEAR = 0.75


class LookupModule(LookupBase):  # type: ignore[misc]
    """The lookup of this file."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        given = variables or {}
        role = given.get("role_path")
        if not role:
            raise AnsibleLookupError("xapi.xenserver.xen_unknown_variables: there is no role here; use it in the tasks or variables of a role")
        self.role = given.get("ansible_role_name", Path(role).name)
        problems = []
        for prefix in map(str, terms):
            options = [*_names(str(role), "meta", prefix), *self.get_option("options")]
            own = _names(str(role), "vars", prefix) | _names(str(role), "tasks", prefix)
            unknown = {name for name in given if name.startswith(prefix)}.difference(options, own)
            problems += [text for name in sorted(unknown) if (text := self._told(name, prefix, options))]
        return problems

    def _told(self, name: str, prefix: str, options: Iterable[str]) -> str:
        import difflib  # only when there is something to tell

        text = f"{name} is no variable of the role"
        # The prefix is left out: it is the same in all, and would make all of them near.
        near = difflib.get_close_matches(name.removeprefix(prefix), [option.removeprefix(prefix) for option in options], n=1, cutoff=NEAR)
        if near:
            return f"{text}; did you mean {prefix}{near[0]}?"
        advice = f"'ansible-doc -t role {self.role}' tells those it has, and names of your own had better begin otherwise than with {prefix}"
        if self.get_option("strict"):
            return f"{text}; {advice}"
        Display().warning(f"{text}, and has no effect on it; {advice}")
        return ""


@lru_cache
def _names(role: str, folder: str, prefix: str) -> frozenset[str]:
    """Names that files of the role define or register. They are looked for as text: to parse the files as YAML takes twenty times as long.

    Loop variables are not among them, they are gone with their loop.
    """
    defined = re.compile(rf"^\s*(?:register: )?({re.escape(prefix)}\w+)(?::|$)", re.MULTILINE)
    return frozenset(name for path in Path(role, folder).glob("*.yml") for name in defined.findall(path.read_text(encoding="utf-8")))
