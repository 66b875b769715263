# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several modules share, as functions that return fresh dictionaries.

Each one is documented in the fragment of the same name under ``plugins/doc_fragments``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleFallbackNotFound

from ._errors import XenError

# What is longer than a few decades, no clock of Python waits for.
LONGEST = 10**9
Spec = dict[str, dict[str, Any]]


def filled_env(name: str) -> str:
    """The variable of the environment. An empty one is not there: AWX sets also those whose field was left empty."""
    value = os.environ.get(name)
    if not value:
        raise AnsibleFallbackNotFound
    return value


def _env(name: str, **option: Any) -> dict[str, Any]:
    return {**option, "fallback": (filled_env, [name])}


def connection() -> Spec:
    """How to reach the pool; the runner adds these to every module (fragment ``connection``)."""
    return {
        "hostname": _env("XENSERVER_HOST", type="str"),
        "username": _env("XENSERVER_USER", type="str", default="root"),
        "password": _env("XENSERVER_PASSWORD", type="str", no_log=True),
        "session_id": _env("XENSERVER_SESSION_ID", type="str", no_log=True),
        "validate_certs": _env("XENSERVER_VALIDATE_CERTS", type="bool", default=True),
        "ca_path": _env("XENSERVER_CA_PATH", type="path"),
        "fingerprint": _env("XENSERVER_FINGERPRINT", type="list", elements="str"),
        "api_protocol": _env("XENSERVER_API_PROTOCOL", type="str", choices=["jsonrpc", "xmlrpc"], default="jsonrpc"),
        "connect_timeout": _env("XENSERVER_CONNECT_TIMEOUT", type="float", default=10),
        "request_timeout": _env("XENSERVER_REQUEST_TIMEOUT", type="float", default=120),
        "run_id": _env("XENSERVER_RUN_ID", type="str"),
    }


def state(*choices: str) -> Spec:
    """``state`` with the first choice as default (``present`` and ``absent`` unless told otherwise)."""
    choices = choices or ("present", "absent")
    return {"state": {"type": "str", "choices": list(choices), "default": choices[0]}}


def timeout(seconds: float = 300) -> Spec:
    """``timeout``: how long one operation of the pool may take (fragment ``timeout``; other defaults document it)."""
    return {"timeout": {"type": "float", "default": seconds}}


def refuse_no_time(params: Mapping[str, Any]) -> None:
    """Refuse a time in which nothing can be done. Only a guest may be given none at all (``shutdown_timeout``)."""
    for name, seconds in params.items():
        if not name.endswith("timeout") or seconds is None or (name == "shutdown_timeout" and seconds == 0):
            continue
        if not 0 < seconds <= LONGEST:  # Also true of what is no number.
            raise XenError(f"{name} {seconds:g} is no time to wait; write seconds, more than 0, such as 300")


def selector() -> Spec:
    """``name`` or ``uuid`` of the object itself (fragment ``selector``). Use with ``one_of_selector()``."""
    return {"name": {"type": "str"}, "uuid": {"type": "str"}}


def rename() -> Spec:
    """``new_name``, for modules that create and change (fragment ``selector``)."""
    return {"new_name": {"type": "str"}}


def one_of_selector() -> dict[str, Any]:
    """The rule that exactly one of ``name`` and ``uuid`` is given, as keywords for the runner."""
    return {"required_one_of": [("name", "uuid")], "mutually_exclusive": [("name", "uuid")]}


def vm_selector() -> Spec:
    """``vm`` or ``vm_uuid``: the VM a device belongs to (fragment ``vm``). Use with ``one_of_vm()``."""
    return {"vm": {"type": "str"}, "vm_uuid": {"type": "str"}}


def one_of_vm() -> dict[str, Any]:
    """The rule that exactly one of ``vm`` and ``vm_uuid`` is given, as keywords for the runner."""
    return {"required_one_of": [("vm", "vm_uuid")], "mutually_exclusive": [("vm", "vm_uuid")]}


def second_connection() -> dict[str, Any]:
    """How to reach another pool, as one option. Nothing of it comes from the environment, which tells of the first."""
    options = {name: {key: value for key, value in option.items() if key != "fallback"} for name, option in connection().items()}
    options["hostname"]["required"] = True
    return {"type": "dict", "options": options}
