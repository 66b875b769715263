# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a disk shall go: a storage repository of this pool or another, of the whole pool or of one host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import Ambiguous, NotFound, XenError
from ._lookup import Caller, Found, View, default_sr
from ._vdi_find import SR, get_sr, one_or_none

PLACE_OPTIONS: dict[str, dict[str, Any]] = {
    "dest_sr": {"type": "str"},
    "dest_host": {"type": "str"},
    "dest_name": {"type": "str"},
}


def destination(session: Caller, view: View, params: Mapping[str, Any]) -> Found:
    """``dest_sr``, looked for on ``dest_host`` when that is given; without it the host's own repository, or the default of the pool."""
    text, host = params["dest_sr"], params["dest_host"]
    if host is None:
        return default_sr(session) if text is None else _of_pool(view, text)
    hosts = {ref: record for ref, record in view.load("host").items() if host in (record["uuid"], record["name_label"])}
    place = one_or_none(hosts, "host", host)
    if place is None:
        raise NotFound("host", host)
    here = {pbd["SR"] for pbd in view.load("PBD", {"host": place[0], "currently_attached": True}).values()}
    records = {ref: record for ref, record in view.load("SR").items() if ref in here}
    if text is not None:
        records = {ref: record for ref, record in records.items() if text in (record["uuid"], record["name_label"])}
    else:
        records = {ref: record for ref, record in records.items() if not record["shared"] and record["content_type"] == "user"}
    if not records:
        raise XenError(f"host {host!r} has no {SR} {text!r} attached" if text else f"host {host!r} has no {SR} of its own; give dest_sr")
    if len(records) > 1:
        raise Ambiguous(SR, text or f"of host {host}", [record["uuid"] for record in records.values()])
    return next(iter(records.items()))


def _of_pool(view: View, text: str) -> Found:
    try:
        return get_sr(view, text)
    except Ambiguous as error:
        raise XenError(f"{error}, or name its host in dest_host") from None
