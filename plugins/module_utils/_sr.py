# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing storage repositories: by filter, by host, by content (driver-operations §5.6)."""

from __future__ import annotations

from typing import Any

from ._errors import NotFound, XenError
from ._lookup import Record, View

SR_OPTIONS = {
    "filter": {"type": "str"},
    "content_type": {"type": "str"},
    "host": {"type": "str"},
}


def select_srs(view: View, params: dict[str, Any], records: dict[str, Record]) -> dict[str, Record]:
    """The repositories that meet the options; a ``filter`` that nothing meets is an error, as a disk needs a place."""
    content, host, wanted = params["content_type"], params["host"], params["filter"]
    if content is not None:
        records = {ref: record for ref, record in records.items() if record["content_type"] == content}
    if host is not None:
        reachable = _attached_to(view, host)
        records = {ref: record for ref, record in records.items() if ref in reachable}
    if wanted is None:
        return records
    records = _filtered(view, wanted, records)
    if not records:
        raise NotFound("storage repository for filter", wanted, "see xen_sr_info without filter for what there is")
    return records


def _filtered(view: View, wanted: str, records: dict[str, Record]) -> dict[str, Record]:
    """``default-sr:true`` or ``other-config:key=value``."""
    kind, _colon, rest = wanted.partition(":")
    key, equals, value = rest.partition("=")
    if wanted == "default-sr:true":
        default = view.pool()["default_SR"]
        return {ref: record for ref, record in records.items() if ref == default}
    if kind == "other-config" and key and equals:
        return {ref: record for ref, record in records.items() if record["other_config"].get(key) == value}
    raise XenError(f"filter {wanted!r} is none; write default-sr:true or other-config:key=value")


def _attached_to(view: View, host: str) -> set[str]:
    """References of the repositories that a host, given by name or uuid, can use now."""
    hosts = [ref for ref, record in view.load("host").items() if host in (record["uuid"], record["name_label"])]
    if not hosts:
        raise NotFound("host", host)
    return {pbd["SR"] for pbd in view.load("PBD", {"currently_attached": True}).values() if pbd["host"] in hosts}
