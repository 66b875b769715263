# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenStack's agent inside a running VM: requests in xenstore, answers likewise, and how it misbehaves (driver-operations 15)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from simulator import Simulator, VirtualClock
from simulator.guests.agent import BASE, PRIME, SCRIPTS, script, unseal

from ._asking import fixtures
from ._consistency import StandingSimulator
from ._guest import Domain
from ._machines import machine

# On a clock that never goes on by itself: between two calls nobody answers.
simulator, session = fixtures(lambda: StandingSimulator("one_host"), "module")


@pytest.fixture
def boot(simulator: Simulator, session: Any) -> Iterator[Callable[..., str]]:
    """Start a VM with that agent inside; its memory is free again after the test."""
    started = []

    def boot(agent: Any = "new", **settings: Any) -> str:
        text = agent if isinstance(agent, str) else json.dumps(agent)
        started.append(machine(session, other_config={"simulator-agent": text}, start=True, **settings))
        return started[-1]

    yield boot
    for vm in started:
        session.VM.hard_shutdown(vm)
        session.VM.destroy(vm)


@pytest.fixture
def domain(simulator: Simulator, boot: Callable[..., str]) -> Callable[..., Domain]:
    return lambda agent="new": Domain(simulator, boot(agent))


def inside(simulator: Simulator, vm: str) -> Any:
    behaviour: Any = simulator.engine.behaviours["VM"]
    return behaviour.inside(vm)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def sealed(secret: int, text: str, digest: str) -> str:
    """As `openssl enc -aes-128-cbc -a -A -nosalt -pass pass:SECRET -md DIGEST` does it."""
    material = last = b""
    while len(material) < 32:
        last = hashlib.new(digest, last + str(secret).encode()).digest()
        material += last
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(material[:16]), modes.CBC(material[16:32])).encryptor()
    return base64.b64encode(encryptor.update(padder.update(text.encode()) + padder.finalize()) + encryptor.finalize()).decode()


# What it does


@pytest.mark.parametrize(("agent", "version"), [("new", "1.39.1"), ("old", "0.0.1.37"), ({"version": "2.5"}, "2.5")])
def test_its_version(domain: Callable[..., Domain], agent: Any, version: str) -> None:
    assert domain(agent).ask("version", "agent") == ("0", version)


@pytest.mark.parametrize(("agent", "has"), [("new", True), ("old", False), ({"features": ["features", "file_inject"]}, True)])
def test_its_features(domain: Callable[..., Domain], agent: Any, has: bool) -> None:
    vm = domain(agent)
    code, message = vm.ask("features") or ("", "")
    assert (code, "file_inject" in message.split(",")) == ("0", has)
    # What it says it knows is what it does.
    assert vm.ask("file_inject", json.dumps({"b64_path": b64("/a"), "b64_file": b64("x")})) == (
        ("0", "") if has else ("404", "No such agent command 'file_inject'")
    )


@pytest.mark.parametrize("digest", ["md5", "sha256"])
def test_a_password(simulator: Simulator, boot: Callable[..., str], digest: str) -> None:
    vm = boot({"digest": digest})
    domain = Domain(simulator, vm)
    private = 0x0123456789ABCDEF0123
    code, public = domain.ask("keyinit", str(pow(BASE, private, PRIME))) or ("", "")
    assert code == "D0"
    secret = pow(int(public), private, PRIME)
    assert domain.ask("password", sealed(secret, "sw0rdfish\n", digest)) == ("0", "")
    assert inside(simulator, vm).password == "sw0rdfish"
    # The key was for once.
    assert domain.ask("password", sealed(secret, "another\n", digest)) == ("500", "Password without key exchange")
    assert inside(simulator, vm).password == "sw0rdfish"


@pytest.mark.parametrize(("digest", "text"), [("md5", "uCbZpONhmcXS4q3vUsX8tw=="), ("sha256", "y977KEyquFsbK9iFjEWFFQ==")])
def test_passwords_are_opened_as_openssl_sealed_them(digest: str, text: str) -> None:
    """Printed by openssl 3: printf 'sw0rdfish\\n' | openssl enc -aes-128-cbc -a -A -nosalt -pass pass:1234567890 -md DIGEST."""
    assert unseal(b"1234567890", base64.b64decode(text), digest) == b"sw0rdfish\n"
    assert sealed(1234567890, "sw0rdfish\n", digest) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [("not base64!", "Couldn't decode base64 data"), (b64("no block"), "Invalid password data received"), ("", "Invalid password data received")],
)
def test_passwords_that_are_none(domain: Callable[..., Domain], value: str, message: str) -> None:
    vm = domain()
    assert (vm.ask("keyinit", str(pow(BASE, 7, PRIME))) or ("", ""))[0] == "D0"
    assert vm.ask("password", value) == ("500", message)


def test_files(simulator: Simulator, boot: Callable[..., str]) -> None:
    vm = boot()
    domain = Domain(simulator, vm)
    assert domain.ask("injectfile", b64("/etc/one,1,2\n")) == ("0", "")
    assert domain.ask("file_inject", json.dumps({"b64_path": b64("/etc/two"), "b64_file": b64("ü")})) == ("0", "")
    assert inside(simulator, vm).files == {"/etc/one": b"1,2\n", "/etc/two": "ü".encode()}
    assert (domain.ask("injectfile", b64("/etc/three")) or ("", ""))[0] == "500"
    assert (domain.ask("file_inject", json.dumps({"b64_path": b64("/x")})) or ("", ""))[0] == "500"


@pytest.mark.parametrize(("agent", "code"), [("new", "0"), ("bsd", "500")])
def test_its_network_is_reset(simulator: Simulator, boot: Callable[..., str], agent: str, code: str) -> None:
    vm = boot(agent)
    assert Domain(simulator, vm).ask("resetnetwork") == (code, "")
    assert inside(simulator, vm).network_resets == (code == "0")
    assert inside(simulator, vm).requests == [("resetnetwork", "")]


def test_its_update(simulator: Simulator, boot: Callable[..., str]) -> None:
    vm = boot()
    assert Domain(simulator, vm).ask("agentupdate", "http://192.0.2.1/agent.tgz,d41d8cd9") == ("0", "")
    assert Domain(simulator, vm).ask("agentupdate", "http://192.0.2.1/agent.tgz") == ("500", "Invalid arguments")
    assert inside(simulator, vm).updates == [("http://192.0.2.1/agent.tgz", "d41d8cd9")]


def test_messages_of_the_one_for_windows_end_in_a_written_line_break(domain: Callable[..., Domain]) -> None:
    assert domain("windows").ask("version", "agent") == ("0", "1.3.0.1\\r\\n")


@pytest.mark.parametrize("text", ['{"name": "dance"}', "no JSON", '["version"]', "7"])
def test_what_it_does_not_know(domain: Callable[..., Domain], text: str) -> None:
    vm = domain()
    key = vm.request_text(text)
    vm.wait()
    assert (vm.answer(key) or ("", ""))[0] == "404"


# How it misbehaves


def test_an_answer_that_was_given_beforehand(domain: Callable[..., Domain]) -> None:
    assert domain({"answers": {"password": [3, "no"]}}).ask("password", "x") == ("3", "no")


def times(simulator: Simulator, vm: Domain) -> dict[str, float]:
    """When which key below data was written or removed first."""
    seen: dict[str, float] = {}
    vm.store.watchers.append(lambda path: seen.setdefault(path.removeprefix(f"{vm.top}/data/"), simulator.clock.time()))
    return seen


def test_it_takes_its_time(simulator: Simulator, domain: Callable[..., Domain]) -> None:
    vm = domain({"delay": 25, "starts_after": 100})
    seen = times(simulator, vm)
    vm.wait(200)
    key = vm.request("version")
    vm.wait(60)
    assert seen[f"guest/{key}"] - seen[f"host/{key}"] == pytest.approx(25)
    assert vm.read(f"data/host/{key}") is None


def test_it_listens_a_while_after_boot(simulator: Simulator, session: Any, boot: Callable[..., str]) -> None:
    vm = boot({"starts_after": 300})
    session.VM.hard_reboot(vm)
    booted = simulator.engine.behaviours["VM"]._booted[vm]
    domain = Domain(simulator, vm)
    seen = times(simulator, domain)
    key = domain.request("version")
    domain.wait(400)
    assert seen[f"guest/{key}"] - booted == pytest.approx(300)


@pytest.mark.parametrize(("agent", "heard"), [({"silent": ["password"]}, True), ("none", False), ({"silent": ["*"]}, False)])
def test_silence(domain: Callable[..., Domain], agent: Any, heard: bool) -> None:
    vm = domain(agent)
    key = vm.request("password", "x")
    vm.wait()
    assert vm.answer(key) is None
    assert vm.read(f"data/host/{key}") is not None
    assert (vm.ask("version") is not None) == heard


def test_who_gave_up_is_not_answered(domain: Callable[..., Domain]) -> None:
    vm = domain({"delay": 1e6})
    key = vm.request("version")
    vm.remove(f"data/host/{key}")
    vm.wait(2e6)
    assert vm.answer(key) is None


def test_a_reboot_in_the_middle(simulator: Simulator, boot: Callable[..., str]) -> None:
    vm = boot({"reboots": ["password"]})
    before = Domain(simulator, vm)
    private = 11
    assert (before.ask("keyinit", str(pow(BASE, private, PRIME))) or ("", ""))[0] == "D0"
    assert before.ask("password", "x") is None
    # The domain is gone with all that was in it: that is how who asked finds out.
    assert before.read("name") is None
    after = Domain(simulator, vm)
    assert after.top != before.top
    assert after.ask("version") == ("0", SCRIPTS["new"].version)
    assert after.ask("password", "x") is not None, "it reboots once for each request"
    assert inside(simulator, vm).secret is None


def test_a_key_does_not_outlive_the_reboot(simulator: Simulator, session: Any, boot: Callable[..., str]) -> None:
    vm = boot()
    assert (Domain(simulator, vm).ask("keyinit", "5") or ("", ""))[0] == "D0"
    session.VM.hard_reboot(vm)
    assert Domain(simulator, vm).ask("password", b64("x" * 16)) == ("500", "Password without key exchange")


def test_a_paused_guest_answers_when_it_goes_on(session: Any, simulator: Simulator, boot: Callable[..., str]) -> None:
    vm = boot()
    domain = Domain(simulator, vm)
    domain.wait()
    session.VM.pause(vm)
    key = domain.request("version")
    domain.wait()
    assert domain.answer(key) is None
    session.VM.unpause(vm)
    domain.wait()
    assert domain.answer(key) == ("0", SCRIPTS["new"].version)


# Scripts


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nobody", "no agent is called 'nobody'; there are new, old, windows, bsd, none"),
        ({"speed": 3}, "no option 'speed'"),
        ({"like": "x"}, "'x'"),
        ("{", "Expecting"),
    ],
)
def test_scripts_that_are_none(source: Any, words: str) -> None:
    with pytest.raises((ValueError, KeyError), match=words):
        script(source)


def test_a_vm_with_a_script_that_is_none_is_silent_and_a_problem() -> None:
    with Simulator("one_host", clock=VirtualClock()) as simulator:
        vm = machine(simulator.session(), other_config={"simulator-agent": "nobody"}, start=True, name="web")
        assert Domain(simulator, vm).ask("version") is None
        assert simulator.problems
        assert "'web': no agent is called 'nobody'" in simulator.problems[0]
