# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator

from ..conftest import Run
from ..scenario import reads

SCENARIO = reads({}, {"filter": "default-sr:true"}, {"content_type": "iso"}, {"host": "xs1"}, world="three_hosts")

pytestmark = pytest.mark.world("three_hosts")


def srs(simulator: Simulator) -> dict[str, dict[str, Any]]:
    return simulator.records("SR")


def mark(simulator: Simulator, name: str, key: str, value: str) -> list[str]:
    """Mark the repositories of this name; their uuids."""
    session = simulator.session()
    marked = [ref for ref, record in srs(simulator).items() if record["name_label"] == name]
    for ref in marked:
        session.SR.add_to_other_config(ref, key, value)
    return sorted(srs(simulator)[ref]["uuid"] for ref in marked)


def test_lists_all_repositories(run_module: Run, simulator: Simulator) -> None:
    outcome = run_module("xen_sr_info")
    assert sorted(sr["uuid"] for sr in outcome["srs"]) == sorted(record["uuid"] for record in srs(simulator).values())
    assert "OpaqueRef" not in str(outcome.result)
    assert len(outcome.methods) <= 4


def test_default_repository(run_module: Run, simulator: Simulator) -> None:
    (pool,) = simulator.records("pool").values()
    (found,) = run_module("xen_sr_info", filter="default-sr:true")["srs"]
    assert found["uuid"] == srs(simulator)[pool["default_SR"]]["uuid"]
    assert [sr["uuid"] for sr in run_module("xen_sr_info")["srs"] if sr["default"]] == [found["uuid"]]


def test_no_default_repository_is_an_error(run_module: Run, simulator: Simulator) -> None:
    (pool,) = simulator.records("pool")
    simulator.session().pool.set_default_SR(pool, "OpaqueRef:NULL")
    outcome = run_module("xen_sr_info", filter="default-sr:true")
    assert outcome.failed
    assert "there is no storage repository for filter 'default-sr:true'" in outcome.msg


def test_sizes_are_bytes(run_module: Run, simulator: Simulator) -> None:
    (found,) = run_module("xen_sr_info", name="NFS storage")["srs"]
    (record,) = [record for record in srs(simulator).values() if record["name_label"] == "NFS storage"]
    assert (found["size"], found["used"]) == (record["physical_size"], record["physical_utilisation"])
    assert found["free"] == found["size"] - found["used"]


def test_filter_by_other_config(run_module: Run, simulator: Simulator) -> None:
    marked = mark(simulator, "Local storage", "tier", "fast")
    found = run_module("xen_sr_info", filter="other-config:tier=fast")["srs"]
    assert sorted(sr["uuid"] for sr in found) == marked
    assert len(marked) == 3


def test_filter_and_host_leave_the_local_one(run_module: Run, simulator: Simulator) -> None:
    mark(simulator, "Local storage", "tier", "fast")
    (host,) = [record for record in simulator.records("host").values() if record["name_label"] == "xs2"]
    for name in ("xs2", host["uuid"]):
        (found,) = run_module("xen_sr_info", filter="other-config:tier=fast", host=name)["srs"]
        assert [pbd["host"] for pbd in found["pbds"]] == [host["uuid"]]


def test_a_repository_that_is_not_attached_is_not_of_the_host(run_module: Run, simulator: Simulator) -> None:
    session = simulator.session()
    before = len(run_module("xen_sr_info", host="xs2")["srs"])
    (host,) = [ref for ref, record in simulator.records("host").items() if record["name_label"] == "xs2"]
    (nfs,) = [ref for ref, record in srs(simulator).items() if record["name_label"] == "NFS storage"]
    (pbd,) = [ref for ref, record in simulator.records("PBD").items() if (record["host"], record["SR"]) == (host, nfs)]
    session.PBD.unplug(pbd)
    assert len(run_module("xen_sr_info", host="xs2")["srs"]) == before - 1


def test_iso_repositories(run_module: Run, simulator: Simulator) -> None:
    found = run_module("xen_sr_info", content_type="iso")["srs"]
    assert {sr["name"] for sr in found} == {"ISO library", "XenServer Tools"}


def test_path_of_file_based_storage(run_module: Run) -> None:
    (nfs,) = run_module("xen_sr_info", name="NFS storage")["srs"]
    assert {pbd["path"] for pbd in nfs["pbds"]} == {f"/var/run/sr-mount/{nfs['uuid']}"}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        pytest.param({"filter": "fast"}, "filter 'fast' is none; write default-sr:true or other-config:key=value", id="malformed"),
        pytest.param({"filter": "other-config:tier"}, "filter 'other-config:tier' is none", id="no value"),
        pytest.param({"filter": "default-sr:false"}, "filter 'default-sr:false' is none", id="default false"),
        pytest.param({"filter": "other-config:tier=fast"}, "no storage repository for filter 'other-config:tier=fast'", id="none"),
        pytest.param({"host": "xs9"}, "there is no host 'xs9' in this pool", id="unknown host"),
    ],
)
def test_refuses(run_module: Run, params: dict[str, Any], message: str) -> None:
    outcome = run_module("xen_sr_info", **params)
    assert outcome.failed
    assert message in outcome.msg
