# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the simulator."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from . import Simulator, StateError, fault_effects, messages, saving, worlds
from .call_file import CallFile
from .control import Control
from .engine.faults import parsed
from .engine.schema import LEVELS
from .transport.tls import FAULTS, Authority
from .worlds.sizes import size

DESCRIPTION = "A simulated XenServer / XCP-ng pool that speaks XenAPI."
OTHERS = "Other commands, each with its own --help: messages (what is simulated), save (a pool, real or simulated, as a world)."


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="simulator", description=DESCRIPTION, epilog=OTHERS)
    text = f"a world by name ({', '.join(worlds.names())}) or a JSON file; once for every pool (default one_host)"
    result.add_argument("--world", action="append", metavar="W", help=text)
    result.add_argument("--api", choices=LEVELS, help="API level (default: that of the world, or 8.3: XCP-ng 8.3, XenServer 8)")
    result.add_argument("--port", type=int, default=8443, help="port of the TLS listeners, 0 for any free one (default 8443)")
    result.add_argument("--http", action="store_true", help="listen without TLS too, on another port")
    result.add_argument("--vms", type=int, default=0, metavar="N", help="add N typical VMs to the world")
    result.add_argument("--plugin-dir", type=Path, metavar="DIR", help="scripts that host.call_plugin runs")
    result.add_argument("--ready-file", type=Path, metavar="F", help="write url, credentials and certificate there when ready")
    result.add_argument("--latency", default="", metavar="M=T,…", help="durations: VM.start=2s,session.login_with_password=400ms")
    result.add_argument("--state", type=Path, metavar="DIR", help="keep the pools there, a folder each; those that are there already go on")
    result.add_argument("--certificate", choices=FAULTS, default="", help="certificates that a client must not accept")
    result.add_argument("--faults", type=Path, metavar="F", help="fault rules to begin with: a JSON list; more come through the control endpoint")
    result.add_argument("--log", type=Path, metavar="F", help="append every call to this file, a JSON object a line, secrets masked")
    result.add_argument("--rate", default="", metavar="M=R,…", help="speeds, a second: VDI.copy=200MiB,PUT /import_raw_vdi=50MiB")
    return result


def seconds(text: str) -> float:
    """`2s`, `400ms` or a bare number of seconds."""
    for unit, factor in (("ms", 0.001), ("s", 1.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for item in text.split(","):
        if item:
            name, _unused, value = item.partition("=")
            yield name.strip(), value.strip()


def latencies(text: str) -> dict[str, float]:
    return {name: seconds(value) for name, value in _pairs(text)}


def rates(text: str) -> dict[str, float]:
    return {name: float(size(value)) for name, value in _pairs(text)}


def pools(arguments: argparse.Namespace) -> Iterator[Simulator]:
    """A simulator for every world; the same world again is another pool of its kind, with identities of its own."""
    latency, speed = latencies(arguments.latency), rates(arguments.rate)
    sources = arguments.world or ["one_host"]
    for number, source in enumerate(sources):
        name, data = worlds.read(source)
        again = sources[:number].count(source)
        world = {**data, "name": f"{name}-{again + 1}" if again else name}
        state = arguments.state / world["name"] if arguments.state else None
        yield Simulator(world, api=arguments.api, vms=arguments.vms, latency=latency, rates=speed, plugin_dir=arguments.plugin_dir, state=state)


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["messages"]:
        return messages.main(words[1:])
    if words[:1] == ["save"]:
        return saving.main(words[1:])
    arguments = parser().parse_args(words)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_unused: stop.set())
    with contextlib.ExitStack() as stack:
        gc.disable()
        try:
            description = serve(arguments, stack)
            # What is there now stays; looking through millions of objects for garbage would halt every call for a second.
            gc.freeze()
            gc.enable()
        except (worlds.WorldError, StateError, RulesError) as error:
            parser().error(str(error))
        announce(description, arguments.ready_file)
        stop.wait()
    return 0


def serve(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> dict[str, object]:
    """Start all pools and the control endpoint; what a client must know of them."""
    descriptions: list[dict[str, object]] = []
    simulators: list[Simulator] = []
    authority, port = Authority(arguments.certificate), arguments.port
    log = stack.enter_context(contextlib.closing(CallFile(arguments.log))) if arguments.log else None
    for simulator in pools(arguments):
        simulators.append(stack.enter_context(simulator))
        if log is not None:
            simulator.engine.log.on_end.append(partial(log.write, simulator.world.name))
        begin_with_faults(simulator, arguments.faults)
        server = simulator.serve(port=port, http=arguments.http, authority=authority)
        port = server.port
        descriptions.append(server.description())
    control = stack.enter_context(contextlib.closing(Control(simulators)))
    control.open()
    return {**descriptions[0], "pools": descriptions, "control": control.description()}


class RulesError(ValueError):
    """The file holds no fault rules; the message says which and why."""


def begin_with_faults(simulator: Simulator, path: Path | None) -> None:
    """The rules of a file: each pool has its own account of them."""
    if path is None:
        return
    try:
        rules = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(rules, list):
            raise ValueError("a JSON list is wanted")
        for rule in rules:
            simulator.faults.add(fault_effects.check(simulator.engine, parsed(rule)))
    except (OSError, ValueError) as error:
        raise RulesError(f"fault rules {path}: {error}") from None


def exports(description: dict[str, object]) -> str:
    """What to paste into a shell, so that the modules of the collection find the pool."""
    variables = {"HOST": "url", "USER": "username", "PASSWORD": "password", "CA_PATH": "ca_path"}
    return "export " + " ".join(f"XENSERVER_{name}={shlex.quote(str(description[key]))}" for name, key in variables.items())


def announce(description: dict[str, object], ready_file: Path | None) -> None:
    """Tell how to reach the pool; the ready file appears whole, readable by its owner only."""
    if ready_file is None:
        print(json.dumps(description, indent=2), flush=True)
        # For who reads it on a terminal; standard output stays JSON.
        print(f"\n{exports(description)}", file=sys.stderr, flush=True)
        return
    partial = ready_file.with_name(ready_file.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(description, stream)
    partial.replace(ready_file)
