# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator import Simulator

from ..conftest import Run
from ..scenario import Do, Scenario
from .machines import MACHINES, the
from .vms import run_examples

MAC = "02:16:3e:00:00:01"
V4 = {"addresses": ["192.0.2.10/24"], "gateway": "192.0.2.1", "dns": ["192.0.2.53", "192.0.2.52"]}
V6 = {"addresses": ["2001:db8::10/64"], "gateway": "2001:db8::1", "dns": ["192.0.2.53"], "routes": [{"network": "2001:db8:1::/48", "gateway": "2001:db8::2"}]}
SCENARIO = Scenario(
    Do({"vm": "web1", "nics": [{"mac": MAC.upper(), "label": "public", "subnets": [V4, V6]}, {"device": 0}]}),
    Do({"vm": "web1", "nics": [{"mac": MAC, "label": "public", "subnets": [V4]}]}),
    Do({"vm": "web1", "nics": [{"device": 0}], "purge": True}),
    Do({"vm": "web1", "nics": [{"mac": MAC, "subnets": [V4]}]}),
    Do({"vm": "web1", "nics": [{"mac": MAC}], "state": "absent"}),
    Do({"vm": "web1", "state": "absent"}),
    world=MACHINES,
)
pytestmark = pytest.mark.world(MACHINES)


def test_text_is_that_of_the_old_driver(run_module: Run, simulator: Simulator) -> None:
    """The table of driver-operations §14.4; name servers sorted and once."""
    outcome = run_module("xen_guest_network", vm="web1", nics=[{"mac": MAC, "label": "public", "subnets": [V4, V6]}])
    assert outcome.writes == ["VM.set_xenstore_data"]
    data = the(simulator, "VM", "web1")["xenstore_data"]
    assert json.loads(data["vm-data/networking/02163e000001"]) == {
        "label": "public",
        "mac": MAC,
        "gateway": "192.0.2.1",
        "broadcast": "192.0.2.255",
        "ips": [{"ip": "192.0.2.10", "enabled": "1", "netmask": "255.255.255.0", "gateway": "192.0.2.1"}],
        "gateway_v6": "2001:db8::1",
        "ip6s": [{"ip": "2001:db8::10", "enabled": "1", "netmask": 64, "gateway": "2001:db8::1"}],
        "routes": [{"route": "2001:db8:1::", "netmask": "ffff:ffff:ffff::", "gateway": "2001:db8::2"}],
        "dns": ["192.0.2.52", "192.0.2.53"],
    }


def test_interface_known_by_its_device(run_module: Run, simulator: Simulator) -> None:
    vm = the(simulator, "VM", "web1")
    (mac,) = [record["MAC"] for record in simulator.records("VIF").values() if record["VM"] == vm["ref"]]
    outcome = run_module("xen_guest_network", vm="web1", nics=[{"device": 0, "label": "x"}])
    assert outcome["nics"] == [{"label": "x", "mac": mac}]
    assert f"vm-data/networking/{mac.replace(':', '')}" in the(simulator, "VM", "web1")["xenstore_data"]


def test_other_order_in_the_text_is_no_change(run_module: Run, simulator: Simulator) -> None:
    text = json.dumps({"mac": MAC, "label": "x"})
    simulator.session().VM.add_to_xenstore_data(the(simulator, "VM", "web1")["ref"], "vm-data/networking/02163e000001", text)
    assert not run_module("xen_guest_network", vm="web1", nics=[{"mac": MAC, "label": "x"}]).changed


def nic(**subnet: Any) -> list[dict[str, Any]]:
    return [{"mac": MAC, "subnets": [{"addresses": ["192.0.2.10/24"], **subnet}]}]


@pytest.mark.parametrize(
    ("nics", "message"),
    [
        ([{"mac": "02:16"}], "no MAC address"),
        ([{"device": 7}], "no network interface 7"),
        ([{"mac": MAC}, {"mac": MAC.upper()}], "described twice"),
        (nic(addresses=["192.0.2.300/24"]), "192.0.2.300/24"),
        (nic(addresses=["192.0.2.10"]), "need their prefix"),
        (nic(addresses=["192.0.2.10/24", "2001:db8::1/64"]), "one version"),
        (nic(gateway="2001:db8::1"), "no IPv4 address"),
        (nic(gateway="nowhere"), "gateway"),
        (nic(dns=["ns1.example.com"]), "name server"),
        (nic(routes=[{"network": "198.51.100.1/24", "gateway": "192.0.2.1"}]), "198.51.100.1/24"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_refused(run_module: Run, nics: list[dict[str, Any]], message: str) -> None:
    outcome = run_module("xen_guest_network", vm="web1", nics=nics)
    assert outcome.failed
    assert message in outcome.msg
    assert outcome.writes == []


def test_examples_run(run_module: Run, simulator: Simulator) -> None:
    outcomes = run_examples(simulator, "xen_guest_network")
    assert [len(outcome["nics"]) for outcome in outcomes] == [1, 1, 0]
