# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest is told through its xenstore: keys of ``VM.xenstore_data`` below ``vm-data`` (driver-operations §14).

The whole map is set at once. The toolstack then tells a running guest as well, which setting single keys does not
(facts §3.2); a halted one is told when it starts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ._device_job import load_vm
from ._errors import XenError
from ._lookup import Caller, Found, Record, View
from ._plan import Plan, Values

ROOT = "vm-data/"
METADATA = f"{ROOT}user-metadata/"
HOSTNAME = f"{ROOT}hostname"
AUTO_DISK_CONFIG = f"{ROOT}auto-disk-config"
NETWORKING = f"{ROOT}networking/"
# Everything else in a key of the metadata becomes an underscore.
UNFIT = re.compile(r"[^A-Za-z0-9_@-]")
WINDOWS_HOSTNAME = 15
RESCUE_PREFIX = "RESCUE-"

METADATA_OPTIONS: dict[str, dict[str, Any]] = {
    "metadata": {"type": "dict"},
    "keys": {"type": "list", "elements": "str", "no_log": False},
    "guest_hostname": {"type": "str"},
    "os_type": {"type": "str"},
    "rescue": {"type": "bool", "default": False},
    "auto_disk_config": {"type": "bool"},
}
METADATA_STATES = ("merged", "replaced", "absent")


def plan_metadata(session: Caller, params: dict[str, Any]) -> Plan:
    """Metadata, host name and automatic disk configuration. A VM that is gone needs to be told nothing."""
    wanted = {_metadata_key(key): None if value is None else _metadata_text(value) for key, value in (params["metadata"] or {}).items()}
    _refuse_collisions([*(params["metadata"] or {}), *(params["keys"] or [])])
    found = _vm_or_none(session, params)
    if found is None:
        name = params["vm"] or params["vm_uuid"]
        return Plan(result=_metadata_result({}), warnings=[f"there is no VM {name!r} to be told anything"])
    data = found[1]["xenstore_data"]
    if params["state"] == "replaced":
        wanted = {**{key: None for key in data if key.startswith(METADATA)}, **wanted}
    if params["state"] == "absent":
        wanted = {_metadata_key(key): None for key in params["keys"]}
    if params["guest_hostname"] is not None:
        wanted[HOSTNAME] = _hostname(params)
    if params["auto_disk_config"] is not None:
        wanted[AUTO_DISK_CONFIG] = str(params["auto_disk_config"])
    return plan_keys(session, found, wanted, _metadata_result)


def plan_keys(session: Caller, found: Found, wanted: Mapping[str, str | None], shown: Any) -> Plan:
    """Set these keys, remove those whose text is None, and leave all others. Texts that are JSON compare by what they mean."""
    ref, record = found
    data = record["xenstore_data"]
    changes = {key: text for key, text in wanted.items() if not _same(data.get(key), text)}
    plan = Plan(shown(data), shown(_edited(data, changes)), result=shown(_edited(data, changes)))
    if changes:
        plan.add(f"tell the guest of VM {record['name_label']!r}", lambda: _write(session, ref, record, changes))
        plan.read = lambda: shown(session.call("VM.get_xenstore_data", ref))
    return plan


def _write(session: Caller, ref: str, record: Record, changes: Mapping[str, str | None]) -> None:
    # A running guest may have written keys of its own, which the whole map would drop.
    data = record["xenstore_data"] if record["power_state"] == "Halted" else session.call("VM.get_xenstore_data", ref)
    session.call("VM.set_xenstore_data", ref, _edited(data, changes))


def _edited(data: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    kept = {key: text for key, text in data.items() if key not in changes}
    return kept | {key: text for key, text in changes.items() if text is not None}


def _same(current: str | None, wanted: str | None) -> bool:
    if current is None or wanted is None:
        return current is wanted
    return current == wanted or decoded(current) == decoded(wanted)


def decoded(text: str) -> Any:
    """What a text means: JSON, or itself when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _vm_or_none(session: Caller, params: Mapping[str, Any]) -> Found | None:
    view = View(session)
    asked = {"uuid": params["vm_uuid"]} if params["vm_uuid"] else {"name_label": params["vm"], "is_a_template": False}
    return load_vm(view, params) if view.load("VM", asked) else None


def _metadata_key(key: str) -> str:
    return METADATA + UNFIT.sub("_", key)


def _metadata_text(value: Any) -> str:
    # Empty values become JSON's empty text, as the old driver wrote them; 0 and false say something.
    return json.dumps("" if value in ([], {}) else value)


def _refuse_collisions(keys: list[str]) -> None:
    names: dict[str, str] = {}
    for key in keys:
        other = names.setdefault(_metadata_key(key), key)
        if other != key:
            raise XenError(f"keys {other!r} and {key!r} of the metadata would both be {_metadata_key(key)!r} in the guest; rename one of them")


def _hostname(params: Mapping[str, Any]) -> str | None:
    """An empty one removes the key, as after the first start, so that it is not applied again."""
    text = params["guest_hostname"]
    if not text:
        return None
    text = f"{RESCUE_PREFIX}{text}" if params["rescue"] else text
    return str(text[:WINDOWS_HOSTNAME] if params["os_type"] == "windows" else text)


def _metadata_result(data: Mapping[str, str]) -> Values:
    return {
        "metadata": {key.removeprefix(METADATA): decoded(text) for key, text in sorted(data.items()) if key.startswith(METADATA)},
        "guest_hostname": data.get(HOSTNAME),
        "auto_disk_config": {"True": True, "False": False}.get(data.get(AUTO_DISK_CONFIG, "")),
    }
