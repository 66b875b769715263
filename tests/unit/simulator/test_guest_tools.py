# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""XenServer's tools in a running VM: what they report and when, what a guest without them is refused (facts 3.2, 5.1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator import Simulator, VirtualClock
from simulator.guests.reports import guest

from ._guest import LONG, Domain
from ._machines import add_nic, machine, refusal


@pytest.fixture
def boot(session: Any) -> Iterator[Callable[..., str]]:
    """Start a VM with that guest inside, with a NIC; its memory is free again after the test."""
    made = []

    def boot(source: Any = "linux", **other: str) -> str:
        vm = machine(session, other_config={"simulator-guest": source if isinstance(source, str) else json.dumps(source), **other})
        made.append(vm)
        for vif in session.VM.get_VIFs(vm):
            session.VIF.destroy(vif)
        add_nic(session, vm, session.network.get_all()[0], mac="00:16:3e:01:02:03")
        session.VM.start(vm, False, False)
        return vm

    yield boot
    for vm in made:
        if session.VM.get_power_state(vm) != "Halted":
            session.VM.hard_shutdown(vm)
        session.VM.destroy(vm)


def wait(simulator: Simulator, seconds: float = LONG) -> None:
    simulator.run(simulator.clock.sleep(seconds))


def metrics(session: Any, vm: str) -> dict[str, Any]:
    record: dict[str, Any] = session.VM_guest_metrics.get_record(session.VM.get_guest_metrics(vm))
    return record


# Reports


@pytest.mark.parametrize(("name", "distro", "version", "flag"), [("linux", "debian", "8", False), ("windows", "windows", "9", True)])
def test_what_tools_report(simulator: Simulator, session: Any, boot: Callable[..., str], name: str, distro: str, version: str, flag: bool) -> None:
    vm = boot(name)
    wait(simulator)
    told = metrics(session, vm)
    assert told["networks"] == {"0/ip": "10.1.2.3", "0/ipv4/0": "10.1.2.3", "0/ipv6/0": "fe80::0216:3eff:fe01:0203"}
    assert (told["os_version"]["distro"], told["PV_drivers_version"]["major"]) == (distro, version)
    assert (told["PV_drivers_detected"], told["PV_drivers_up_to_date"], told["live"]) == (True, True, True)
    assert (told["can_use_hotplug_vbd"], told["can_use_hotplug_vif"]) == ("yes", "yes")
    assert {key: told["other"][key] for key in ("feature-shutdown", "feature-suspend")} == {"feature-shutdown": "1", "feature-suspend": "1"}
    assert ("feature-xs-batcmd" in told["other"]) == flag


@pytest.mark.parametrize(("source", "after"), [("linux", 2.0), ({"after": 90}, 90.0), ({"like": "windows", "after": 0.5}, 0.5)])
def test_when_they_report(simulator: Simulator, session: Any, boot: Callable[..., str], source: Any, after: float) -> None:
    vm = boot(source)
    behaviour: Any = simulator.engine.behaviours["VM"]
    reported, told = behaviour.agent_reports, []

    def note(ref: str) -> None:
        told.append((ref, simulator.clock.time()))
        reported(ref)

    behaviour.agent_reports = note
    try:
        session.VM.hard_reboot(vm)
        # A new boot knows nothing yet.
        booted = behaviour._booted[vm]
        wait(simulator)
    finally:
        del behaviour.agent_reports
    assert [(ref, round(moment - booted, 3)) for ref, moment in told] == [(vm, after)]
    assert metrics(session, vm)["PV_drivers_detected"] is True


def test_what_else_they_say(simulator: Simulator, session: Any, boot: Callable[..., str]) -> None:
    keys = {"attr/vif/0/ipv4/0": "192.0.2.7", "attr/vif/0/ipv6/0": "", "data/os_name": "Plan 9", "feature/hotplug/vif": "0", "control/feature-suspend": ""}
    vm = boot({"like": "linux", "keys": keys})
    wait(simulator)
    told = metrics(session, vm)
    assert told["networks"] == {"0/ip": "192.0.2.7", "0/ipv4/0": "192.0.2.7"}
    assert (told["os_version"]["name"], told["can_use_hotplug_vif"]) == ("Plan 9", "no")
    assert "feature-suspend" not in told["other"]


def test_what_is_written_later_is_reported_too(simulator: Simulator, session: Any, boot: Callable[..., str]) -> None:
    vm = boot()
    wait(simulator)
    domain = Domain(simulator, vm)
    domain.write(attr__vif__0__ipv4__1="192.0.2.8", data__updated="1")
    assert metrics(session, vm)["networks"]["0/ipv4/1"] == "192.0.2.8"
    # Tools of old speak of interfaces, which counts when they say nothing of devices.
    domain.remove("attr/vif")
    domain.write(attr__eth0__ip="192.0.2.9", data__ts="1")
    assert metrics(session, vm)["networks"] == {"0/ip": "192.0.2.9", "0/ipv4/0": "192.0.2.9"}
    assert metrics(session, vm)["other"]["data-ts"] == "1"


# None


def test_without_tools(simulator: Simulator, session: Any, boot: Callable[..., str]) -> None:
    vm = boot("none")
    wait(simulator)
    told = metrics(session, vm)
    assert (told["networks"], told["os_version"], told["PV_drivers_version"], told["PV_drivers_detected"]) == ({}, {}, {}, False)
    for call in (session.VM.clean_shutdown, session.VM.clean_reboot, session.VM.suspend):
        assert refusal(call, vm) == ["VM_LACKS_FEATURE", vm]
    assert session.VM.get_power_state(vm) == "Running"


def test_tools_that_were_installed_meanwhile(simulator: Simulator, session: Any, boot: Callable[..., str]) -> None:
    vm = boot("none")
    session.VM.set_other_config(vm, {"simulator-guest": "linux"})
    wait(simulator)
    session.VM.hard_reboot(vm)
    wait(simulator)
    session.VM.clean_shutdown(vm)
    assert session.VM.get_power_state(vm) == "Halted"


@pytest.mark.parametrize(("source", "state"), [("linux", "Halted"), ("none", "Running")])
def test_dom0_tells_it_to_stop(simulator: Simulator, session: Any, boot: Callable[..., str], source: str, state: str) -> None:
    """The kernel of a guest with tools acknowledges and obeys; one without does not know where to look."""
    vm = boot(source)
    wait(simulator)
    domain = Domain(simulator, vm)
    domain.write(control__shutdown="poweroff")
    assert domain.read("control/shutdown") == ("" if state == "Halted" else "poweroff")
    wait(simulator)
    assert session.VM.get_power_state(vm) == state


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("beos", "no guest is called 'beos'; there are linux, windows, none"),
        ('{"speed": 3}', "no option 'speed'; it has like, after, keys"),
        ('{"after": -1}', "'after' is a number of seconds"),
        ('{"after": true}', "'after' is a number of seconds"),
        ('{"keys": {"a": 1}}', "'keys' maps paths"),
        ("{", "Expecting"),
    ],
)
def test_guests_that_are_none(source: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        guest(source, "linux")


def test_a_vm_with_a_guest_that_is_none_is_a_problem() -> None:
    with Simulator("one_host", clock=VirtualClock()) as simulator:
        machine(simulator.session(), other_config={"simulator-guest": "beos"}, start=True, name="web")
        assert "'web': no guest is called 'beos'" in simulator.problems[0]


# Scripts that the tools run


@pytest.fixture
def scripts_are_allowed(session: Any) -> Iterator[None]:
    (pool,) = session.pool.get_all()
    session.pool.add_to_other_config(pool, "allow_guest_agent_run_script", "true")
    yield
    session.pool.remove_from_other_config(pool, "allow_guest_agent_run_script")


def run_script(session: Any, vm: str, text: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(session.VM.call_plugin(vm, "guest-agent-operation", "run-script", {"username": "u", "password": "p", "script": text}))
    return answer


@pytest.mark.usefixtures("scripts_are_allowed")
def test_scripts(simulator: Simulator, session: Any, boot: Callable[..., str]) -> None:
    scripts = {"hello": {"stdout": "hi"}, "long": {"rc": 3, "stderr": "x" * 2000}}
    vm = boot("windows", **{"simulator-scripts": json.dumps(scripts)})
    wait(simulator)
    assert run_script(session, vm, "hello") == {"rc": 0, "stdout": "hi", "stderr": ""}
    wait(simulator)
    told = run_script(session, vm, "long")
    assert (told["rc"], len(told["stderr"]), told["stderr"][-13:]) == (3, 1024, "x (truncated)")
    wait(simulator)
    assert run_script(session, vm, "unknown")["rc"] == 1


def test_scripts_need_the_pools_permission(simulator: Simulator, session: Any, boot: Callable[..., str]) -> None:
    vm = boot("windows")
    wait(simulator)
    assert refusal(run_script, session, vm, "hello") == ["FEATURE_RESTRICTED"]


@pytest.mark.usefixtures("scripts_are_allowed")
def test_scripts_need_tools_that_run_them(simulator: Simulator, session: Any, boot: Callable[..., str]) -> None:
    vm = boot("linux")
    wait(simulator)
    assert refusal(run_script, session, vm, "hello") == ["NOT_IMPLEMENTED", "run-script is not supported on the given VM (or it is still booting)"]


def test_scripts_are_not_run_at_any_rate() -> None:
    """On a real clock: a virtual one would let the ten seconds pass between the calls."""
    with Simulator("one_host") as simulator:
        session = simulator.session()
        vm = machine(session, start=True)
        assert refusal(session.VM.call_plugin, vm, "guest-agent-operation", "request-rdp-on", {})[0] == "XENAPI_PLUGIN_FAILURE"
        code, ref, interval, left = refusal(session.VM.call_plugin, vm, "guest-agent-operation", "request-rdp-on", {})
        assert (code, ref, interval, 0 < float(left) <= 10) == ("VM_CALL_PLUGIN_RATE_LIMIT", vm, "10.", True)
        assert simulator.problems == []
