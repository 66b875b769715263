# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach the pool. The options are ``_options.connection()``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  hostname:
    description:
      - Address of the pool, as V(host), V(host:port), V(https://host) or V(http://host).
      - HTTPS is used unless the address says V(http://).
      - Give the coordinator. Given another member of the pool, the module logs in to the coordinator that the member names.
      - Required, here or in the environment variable E(XENSERVER_HOST).
    type: str
  username:
    description:
      - User to log in as.
      - The environment variable E(XENSERVER_USER) is used when the option is left out.
    type: str
    default: root
  password:
    description:
      - Password of O(username). Required unless O(session_id) is given.
      - The environment variable E(XENSERVER_PASSWORD) is used when the option is left out.
    type: str
  session_id:
    description:
      - Session to use instead of logging in, as M(xapi.xenserver.xen_session) returns it. It is left open.
      - Give the O(hostname) of the coordinator with it.
      - The environment variable E(XENSERVER_SESSION_ID) is used when the option is left out.
    type: str
  validate_certs:
    description:
      - Whether to check the certificate of the host against the trusted authorities and against O(hostname).
      - The environment variable E(XENSERVER_VALIDATE_CERTS) is used when the option is left out.
    type: bool
    default: true
  ca_path:
    description:
      - File with the certificates of the trusted authorities in PEM form, or directory of such files prepared by C(openssl rehash).
      - The authorities of the system are trusted when it is left out.
      - The environment variable E(XENSERVER_CA_PATH) is used when the option is left out.
    type: path
  fingerprint:
    description:
      - SHA-256 fingerprints of the certificates to accept, for the self-signed certificates that hosts come with.
        Upper or lower case, with or without colons.
      - The comparison replaces the check against authorities and O(hostname), and is made before anything is sent.
      - One host has one certificate, so a pool that is used beyond its coordinator (disk transfers) needs those of its members as well.
      - The environment variable E(XENSERVER_FINGERPRINT) is used when the option is left out, with commas between several.
    type: list
    elements: str
  api_protocol:
    description:
      - How to speak to the pool. JSON-RPC is faster; a server that has only XML-RPC is recognised by itself.
      - The environment variable E(XENSERVER_API_PROTOCOL) is used when the option is left out.
    type: str
    choices: [jsonrpc, xmlrpc]
    default: jsonrpc
  connect_timeout:
    description:
      - Seconds to wait for a connection.
      - The environment variable E(XENSERVER_CONNECT_TIMEOUT) is used when the option is left out.
    type: float
    default: 10
  request_timeout:
    description:
      - Seconds to wait for the answer to one call. Long operations run as tasks of the pool and are not bound by it.
      - The environment variable E(XENSERVER_REQUEST_TIMEOUT) is used when the option is left out.
    type: float
    default: 120
  run_id:
    description:
      - Id of the run that the task is part of. Whatever the module creates is marked with it, in C(other_config) as C(xen_ansible:run),
        so that M(xapi.xenserver.xen_run) can take it back. The role P(xapi.xenserver.spawn#role) sets it.
      - The environment variable E(XENSERVER_RUN_ID) is used when the option is left out.
    type: str
requirements:
  - XenAPI (Python package, on the machine where the module runs)
notes:
  - An environment variable that is empty counts as left out.
  - The module runs where the task runs and speaks to the pool over the network; use C(connection=local) or C(delegate_to=localhost).
"""
