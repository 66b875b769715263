#!/usr/bin/python
# Copyright: (c) 2026, the xapi.xenserver authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_session
short_description: Log in to a XenServer or XCP-ng pool once for several tasks
version_added: 0.1.0
author: the xapi.xenserver authors (@xapi)
description:
  - Logs in and returns a session, which other modules use by their option O(session_id), or ends such a session.
  - A login costs the pool far more than most calls. Without this module every task makes one of its own.
extends_documentation_fragment:
  - xapi.xenserver.attributes
  - xapi.xenserver.connection
attributes:
  check_mode:
    details: A session is no part of the pool. It is opened and closed in check mode too, so that the tasks that use it can be checked.
  diff_mode:
    support: N/A
    details: This action does not modify state.
options:
  state:
    description:
      - V(present) returns a session that works, the one of O(session_id) if that still does, or else a new one.
      - V(absent) ends the session of O(session_id). One that has ended before is no error.
    type: str
    choices: [present, absent]
    default: present
notes:
  - The session is as good as the password until it ends, so keep it out of the output with C(no_log) on the task.
  - The module never reports a change.
"""

EXAMPLES = r"""
- name: All tasks of the play share one session
  hosts: localhost
  module_defaults:
    group/xapi.xenserver.xenserver:
      hostname: "{{ login.url | default('xen1.example.com') }}"
      ca_path: /etc/ssl/xen-pool.pem
      session_id: "{{ login.session_id | default(omit) }}"
  tasks:
    - name: Session is open
      xapi.xenserver.xen_session:
        username: root
        password: "{{ vault_xen_password }}"
      register: login
      no_log: true

    - name: Storage network exists
      xapi.xenserver.xen_network:
        name: storage

    - name: Session is closed
      xapi.xenserver.xen_session:
        state: absent
"""

RETURN = r"""
session_id:
  description: The session, for the option O(session_id) of the other modules.
  returned: when O(state=present)
  type: str
  sample: OpaqueRef:5f4c1a0e-5c11-4d5e-8a0a-0a4ff0b4d2b6
opened:
  description: Whether the session is a new one. Whoever opened it closes it.
  returned: when O(state=present)
  type: bool
  sample: true
url:
  description: Address of the coordinator that was logged in to, for the option O(hostname) of the other modules.
  returned: when O(state=present)
  type: str
  sample: https://192.0.2.10
"""

from ..module_utils import _options
from ..module_utils._module import run
from ..module_utils._session import plan_session


def main() -> None:
    run(plan_session, _options.state(), required_if=[("state", "absent", ("session_id",))])


if __name__ == "__main__":
    main()
