# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenStack's agent inside a VM: hears requests in xenstore and answers there, as its script says (see guests/agent.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..engine.failure import Failure
from ..guests.agent import Agent, Inside, Script, name_and_value, script
from ._vm_guest import Guests

if TYPE_CHECKING:
    from ..engine.core import Engine

# VM.other_config keys: how the agent behaves (a name of agent.SCRIPTS or JSON), and what scripts that XenServer's own tools run for
# `VM.call_plugin` print (JSON: script → {rc, stdout, stderr}).
AGENT_KEY, SCRIPTS_KEY = "simulator-agent", "simulator-scripts"
LONGEST_OUTPUT, MARK = 1024, " (truncated)"
# Seconds that a script takes to run.
RUNS = 0.1


class Agents(Guests):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.default_agent: Any = None
        self._inside: dict[str, Inside] = {}

    def loaded(self, extra: Mapping[str, Any]) -> None:
        super().loaded(extra)
        self.default_agent = extra.get("agent")
        if self.default_agent is not None:
            script(self.default_agent)

    def inside(self, ref: str) -> Inside:
        """What has been done to the guest of a VM through its agent."""
        return self._inside.setdefault(ref, Inside())

    def agent_of(self, ref: str) -> Agent:
        guest = self.guest(ref).name
        default = self.default_agent or {"none": "none", "windows": "windows"}.get(guest, "new")
        source = self.row(ref)["other_config"].get(AGENT_KEY, default)
        try:
            rules = script(source)
        except (ValueError, TypeError, KeyError) as error:
            self.engine.problems.append(f"other_config:{AGENT_KEY} of VM {self.row(ref)['name_label']!r}: {error}")
            rules = Script(silent=("*",))
        return Agent(rules, self.inside(ref))

    def agent_asked(self, ref: str, key: str) -> None:
        """A request was written; the agent looks at it after a while, when it is up."""
        place = self.live(ref)
        if place is None or place[0].read(f"{place[1]}/data/host/{key}") is None:
            return
        rules = self.agent_of(ref).rules
        wait = max(rules.delay, self._booted.get(ref, 0.0) + rules.starts_after - self.engine.clock.time())
        boot = self._boots.get(ref)
        self.engine.later(wait, lambda: self._agent_answers(ref, key, boot))

    def _agent_answers(self, ref: str, key: str, boot: int | None) -> None:
        place = self.live(ref) if self.db.exists("VM", ref) else None
        if place is None or self._boots.get(ref) != boot or self.row(ref)["power_state"] != "Running":
            return
        store, top = place
        text = store.read(f"{top}/data/host/{key}")
        if text is None:
            # Whoever asked has given up.
            return
        agent, name = self.agent_of(ref), name_and_value(text)[0]
        if not agent.hears(name):
            return
        if agent.reboots(name):
            self.reboot(ref)
            return
        answer = agent.answer(text)
        store.remove(f"{top}/data/host/{key}")
        store.write(f"{top}/data/guest/{key}", answer)

    def guest_unpaused(self, ref: str) -> None:
        """What was asked of it meanwhile it hears now."""
        super().guest_unpaused(ref)
        place = self.live(ref)
        if place is not None:
            for key in place[0].directory(f"{place[1]}/data/host") or ():
                self.agent_asked(ref, key)

    def guest_booted(self, ref: str, *, fresh: bool) -> None:
        super().guest_booted(ref, fresh=fresh)
        if fresh and ref in self._inside:
            # Keys that were agreed on are in the memory of what ran.
            self._inside[ref].secret = None

    # XenServer's own tools

    async def run_script(self, ref: str, text: str) -> str:
        """Let the guest's tools run a script (xenopsd, VM.run_script). What it prints is given beforehand: nothing is run here."""
        guest = self.db.table("VM_guest_metrics").rows.get(self.row(ref)["guest_metrics"], {})
        if "feature-xs-batcmd" not in guest.get("other", {}):
            raise Failure("NOT_IMPLEMENTED", "run-script is not supported on the given VM (or it is still booting)")
        await self.engine.clock.sleep(RUNS)
        known = json.loads(self.row(ref)["other_config"].get(SCRIPTS_KEY, "{}"))
        if text not in known:
            # A shell that finds no such thing.
            return json.dumps({"rc": 1, "stdout": "", "stderr": f"{text}: not known to this simulated guest"}, separators=(",", ":"))
        told = {"rc": int(known[text].get("rc", 0)), **{name: _cut(str(known[text].get(name, ""))) for name in ("stdout", "stderr")}}
        return json.dumps(told, separators=(",", ":"))


def _cut(text: str) -> str:
    return text if len(text) < LONGEST_OUTPUT else text[: LONGEST_OUTPUT - len(MARK)] + MARK
