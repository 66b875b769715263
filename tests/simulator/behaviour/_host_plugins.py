# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts in dom0 that clients call: plugins and extensions (facts 3.9; X/xapi_plugins.ml, X/xapi_extensions.ml)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from pathlib import Path
from xml.sax.saxutils import escape

from ..engine.behaviour import Behaviour
from ..engine.failure import Failure, internal_error
from . import _plugin_answer
from ._host_forwarding import at_host

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class Plugins(Behaviour):
    """The part of host that runs scripts."""

    @at_host
    async def call_plugin(self, host: str, plugin: str, fn: str, args: dict[str, str]) -> str:
        path = self._find(self.engine.plugin_dir, plugin)
        if path is None:
            raise Failure("XENAPI_MISSING_PLUGIN", plugin)
        output = await self._execute(host, path, _method_call(fn, self.context.session, args))
        return _plugin_answer.result(output)

    @staticmethod
    def _find(folder: Path | None, name: str) -> Path | None:
        """The script of that name in the folder itself: a name is no path."""
        if folder is None or not folder.is_dir():
            return None
        return next((path for path in folder.iterdir() if path.name == name), None)

    async def _execute(self, host: str, path: Path, argument: str) -> str:
        """Run a script with one argument in the host's own folder; how it ended decides what the client hears."""
        dom0 = self.engine.dom0(host)
        await self.other("VM").serve_xenstore(host, dom0)
        try:
            process = await asyncio.create_subprocess_exec(
                str(path),
                argument,
                cwd=dom0.root,
                env=dom0.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError:
            # Not executable: xapi's helper process starts and then fails without a word (recording plugins).
            raise Failure("XENAPI_PLUGIN_FAILURE", "non-zero exit", "", "") from None
        try:
            stdout, stderr = await process.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        output, errors = stdout.decode(errors="replace"), stderr.decode(errors="replace")
        code = process.returncode or 0
        if code < 0:
            raise Failure("XENAPI_PLUGIN_FAILURE", f"signal: {_signal(-code)}", output, errors)
        if code > 0:
            raise Failure("XENAPI_PLUGIN_FAILURE", "non-zero exit", output, errors)
        return output

    @at_host
    def call_extension(self, host: str, call: str) -> str:
        """There are no extensions; a call that is no JSON-RPC is refused in the parser's words."""
        try:
            method = json.loads(call)["method"]
        except (ValueError, TypeError, KeyError):
            raise internal_error(f"Yojson.Json_error(\"Line 1, bytes 0-{len(call)}:\\nInvalid token '{call}'\")") from None
        raise Failure("MESSAGE_METHOD_UNKNOWN", str(method))

    @at_host
    def has_extension(self, host: str, name: str) -> bool:
        return False


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"unknown signal ({number})"


def _method_call(fn: str, session: str, args: dict[str, str]) -> str:
    """The call as the XML that is the script's only argument."""

    def value(text: str) -> str:
        return f"<value>{_escaped(text)}</value>" if text else "<value/>"

    members = "".join(f"<member><name>{_escaped(name)}</name>{value(text)}</member>" for name, text in args.items())
    params = f"<param>{value(session)}</param><param><value><struct>{members}</struct></value></param>"
    return f"<methodCall><methodName>{_escaped(fn)}</methodName><params>{params}</params></methodCall>"


def _escaped(text: str) -> str:
    """Control characters are not written: XML has none, and a program's argument no NUL (ocaml/libs/xml-light2/xml.ml, esc_pcdata)."""
    return escape(CONTROL.sub("", text), {'"': "&quot;"})
