# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One storage repository on its way: its options, and which one is meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._errors import NotFound, XenError
from ._lookup import Found, Record, View, default_sr
from ._plan import Plan, Values
from ._render import sr
from ._settings import Setting
from ._vdi_find import one_or_none

NOUN = "storage repository"
SR_STATES = ("present", "absent", "forgotten", "scanned")
SR_OPTIONS: dict[str, dict[str, Any]] = {
    "type": {"type": "str"},
    "content_type": {"type": "str"},
    "shared": {"type": "bool"},
    "host": {"type": "str"},
    "device_config": {"type": "dict"},
    "device_secrets": {"type": "dict", "no_log": True},
    "sm_config": {"type": "dict"},
    "default": {"type": "bool"},
    "attached": {"type": "bool"},
}
# Types whose storage is reached over a network, so that all hosts can use it (names of the sm project's drivers).
NETWORKED = {"nfs", "smb", "cifs", "iso", "iscsi", "lvmoiscsi", "lvmohba", "lvmofcoe", "cephfs", "glusterfs", "gfs2", "moosefs"}


@dataclass
class SrJob:
    """``ref`` is set by the step that creates or introduces the repository."""

    session: Any
    params: dict[str, Any]
    view: View
    fields: tuple[Setting, ...]
    plan: Plan
    ref: str = ""
    _pbds: dict[str, Record] | None = field(default=None, repr=False)

    @property
    def timeout(self) -> float:
        return float(self.params["timeout"])

    @property
    def shared(self) -> bool:
        """As asked for, else by the type."""
        wanted: bool | None = self.params["shared"]
        return self.params["type"] in NETWORKED if wanted is None else wanted

    def connections(self, ref: str) -> dict[str, Record]:
        """The connections (PBDs) of a repository to hosts; read once."""
        if self._pbds is None:
            self._pbds = self.view.load("PBD", {"SR": ref})
        return self._pbds

    def refuse_unknown_type(self) -> None:
        known = self.session.call("SR.get_supported_types")
        if self.params["type"] not in known:
            raise XenError(f"type {self.params['type']!r} is none that this pool knows; it knows {', '.join(sorted(known))}")

    def host(self) -> Found:
        """The host asked for."""
        text = self.params["host"]
        hosts = {ref: record for ref, record in self.view.load("host").items() if text in (record["uuid"], record["name_label"])}
        found = one_or_none(hosts, "host", text)
        if found is None:
            raise NotFound("host", text)
        return found


def find_sr(job: SrJob) -> Found | None:
    """By uuid, else by name, among those of the host when one is given; the default one when nothing is said.

    One named ``new_name`` counts as renamed before.
    """
    params = job.params
    if params["uuid"] is not None:
        return one_or_none(job.view.load("SR", {"uuid": params["uuid"]}), NOUN, params["uuid"])
    if params["name"] is None:
        return default_sr(job.session)
    found = _named(job, params["name"])
    if params["state"] != "present" or params["new_name"] in (None, params["name"]):
        return found
    renamed = _named(job, params["new_name"])
    if found and renamed:
        raise XenError(f"there is another {NOUN} named {params['new_name']!r} already; choose another new_name")
    return found or renamed


def _named(job: SrJob, name: str) -> Found | None:
    records = job.view.load("SR", {"name_label": name})
    if job.params["host"] is not None and records:
        here = {pbd["SR"] for pbd in job.view.load("PBD", {"host": job.host()[0]}).values()}
        records = {ref: record for ref, record in records.items() if ref in here}
    return one_or_none(records, NOUN, name)


def read(job: SrJob) -> Values:
    """The repository as it is, after the steps."""
    job.view.forget()
    return {"sr": sr(job.session.call("SR.get_record", job.ref), job.view)}
