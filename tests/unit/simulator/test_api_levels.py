# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages whose parameters differ between API levels: every behaviour takes what its level declares (facts 7)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from simulator import NULL, Simulator

from ._consistency import StandingSimulator
from ._machines import add_nic, gone, host_named, machine, only, refusal

LEVELS = ("8.2", "8.3", "26")


@pytest.fixture(scope="module", params=LEVELS)
def pool(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator("one_host", api=request.param) as simulator:
        yield simulator
        assert simulator.problems == []


@pytest.fixture
def session(pool: Simulator) -> Any:
    return pool.session()


def level(pool: Simulator) -> str:
    return pool.engine.schema.level


def refused_arguments(pool: Simulator) -> tuple[int, list[str]]:
    """How many messages have a behaviour, and which of them would break on the arguments that the data model gives them."""
    dispatcher, wrong, number = pool.engine.dispatcher, [], 0
    for cls in pool.engine.schema.classes.values():
        for spec in cls.messages.values():
            if dispatcher.kind_of(spec) != "behaviour":
                continue
            number += 1
            body = dispatcher.body(spec)
            before = getattr(body, "before", "")
            for taker in [body, *([getattr(pool.engine.behaviours[spec.cls], before)] if before else [])]:
                try:
                    inspect.signature(taker).bind(*spec.params)
                except TypeError as error:
                    wrong.append(f"{spec.wire}{tuple(parameter.name for parameter in spec.params)}: {error}")
    return number, wrong


def test_every_behaviour_takes_what_its_level_declares(pool: Simulator) -> None:
    number, wrong = refused_arguments(pool)
    assert number > 400
    assert wrong == []


def test_a_behaviour_that_does_not_is_found(pool: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(pool.engine.behaviours["VM"]), "start", lambda self, ref: None)
    assert [line.partition("(")[0] for line in refused_arguments(pool)[1]] == ["VM.start"]


def test_disks_left_out_of_a_snapshot(pool: Simulator, session: Any) -> None:
    vm = machine(session)
    snapshot = session.VM.snapshot(vm, "all")
    assert session.VM.get_VBDs(snapshot)
    disks = [session.VBD.get_VDI(vbd) for vbd in session.VM.get_VBDs(vm)]
    if level(pool) == "8.2":
        assert refusal(session.VM.snapshot, vm, "none", disks) == ["MESSAGE_PARAMETER_COUNT_MISMATCH", "VM.snapshot", "2", "3"]
    else:
        assert session.VM.get_VBDs(session.VM.snapshot(vm, "none", disks)) == []


def test_a_host_that_is_to_stay_disabled(pool: Simulator, session: Any) -> None:
    host = only(session.host.get_all())
    session.host.disable(host)
    if level(pool) != "26":
        assert refusal(session.host.disable, host, False) == ["MESSAGE_PARAMETER_COUNT_MISMATCH", "host.disable", "1", "2"]
    session.host.enable(host)


def test_disabled_for_good() -> None:
    with Simulator("three_hosts", api="26") as pool:
        session = pool.session()
        for stays in (False, True):
            host = host_named(session, "xs2")
            session.host.disable(host, not stays)
            pool.run(_back(pool, host))
            assert session.host.get_enabled(host) is not stays
        session.host.enable(host)
        assert session.host.get_enabled(host) is True
        pool.run(_back(pool, host))
        assert session.host.get_enabled(host) is True
        assert pool.problems == []


async def _back(pool: Simulator, host: str) -> None:
    """The machine was switched off and on."""
    pool.engine.behaviours["host"].come_back(host)


@pytest.mark.parametrize("auto_enable", [True, False])
def test_a_toolstack_that_restarts_enables_who_may_be(auto_enable: bool) -> None:
    pool = StandingSimulator("one_host", api="26")
    session = pool.session()
    session.host.disable(only(session.host.get_all()), auto_enable)
    pool.restart_toolstack()
    pool.let_pass(120.0)
    session = pool.session()
    assert session.host.get_enabled(only(session.host.get_all())) is auto_enable
    pool.close()


def test_firmware_keeps_its_variables(pool: Simulator, session: Any) -> None:
    vm = machine(session)
    session.VM.set_NVRAM_EFI_variables(vm, "AAAA")
    if level(pool) == "26":
        session.VM.set_NVRAM_EFI_variables(vm, "BBBB", "yes")
    assert session.VM.get_NVRAM(vm)["EFI-variables"] == ("BBBB" if level(pool) == "26" else "AAAA")


def test_a_trusted_platform_module(pool: Simulator, session: Any) -> None:
    vm = machine(session)
    if level(pool) == "8.2":
        # Api_server of v1.249: declared, and no more than that.
        assert refusal(session.VTPM.create, {"VM": vm, "backend": NULL}) == ["NOT_IMPLEMENTED", "VTPM.create"]
        return
    vtpm = session.VTPM.create(vm, True)
    assert session.VTPM.get_VM(vtpm) == vm
    assert session.VM.get_VTPMs(vm) == [vtpm]
    session.VM.clone(vm, "with one as well")
    session.VM.destroy(vm)
    assert gone(session, "VTPM", vtpm)


def test_a_nic_of_every_level(session: Any) -> None:
    """VIF.create takes one record, whose fields differ."""
    vm = machine(session)
    nic = add_nic(session, vm, session.network.get_all()[0], device="5")
    assert session.VIF.get_device(nic) == "5"
