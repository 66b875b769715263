# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the command line, and the pool that they speak of."""

from __future__ import annotations

import argparse
import getpass
import os
from pathlib import Path

from .pool_target import COORDINATOR, MEMBER, OTHER, Pool
from .trust import Trust


def replay_parser(recordings: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conformance", description="Replay recordings of a real xapi against the simulator, or with --url against a pool; 'record' makes new ones."
    )
    parser.add_argument("recordings", nargs="*", type=Path, default=[recordings], help="files or folders; the project's own by default")
    parser.add_argument("--only", default="", help="names of recordings, separated by commas")
    parser.add_argument("--verbose", action="store_true", help="show every failing step, not the first five of a file")
    _add_pool(parser, required=False)
    return parser


def recorder_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="conformance record", description="Play the steps of a script on a pool, and write its answers as a recording.")
    parser.add_argument("script", type=Path, metavar="SCRIPT", help="a recording, or a file with steps of which only what they ask counts")
    parser.add_argument("--out", required=True, type=Path, metavar="F", help="the recording to write")
    parser.add_argument("--name", help="its name (default: that of the file)")
    parser.add_argument("--remark", default="", help="what a reader must know of the pool, such as 'hypervisor simulated'")
    _add_pool(parser, required=True)
    return parser


def _add_pool(parser: argparse.ArgumentParser, *, required: bool) -> None:
    pool = parser.add_argument_group("a pool", "It is changed by what is played on it: take one that is there for tests.")
    pool.add_argument("--url", required=required, help="its coordinator: https://xs1.example.com")
    pool.add_argument("--member", metavar="URL", help="a member of the pool, for the steps that go there")
    pool.add_argument("--other", metavar="URL", help="the coordinator of a second pool, for the steps that go there")
    pool.add_argument("--username", default=os.environ.get("XENSERVER_USER", "root"), help="default: XENSERVER_USER, or root")
    pool.add_argument("--password-file", type=Path, metavar="F", help="default: XENSERVER_PASSWORD, or asked for")
    pool.add_argument("--ca", type=Path, metavar="F", help="certificates to trust instead of the system's")
    pool.add_argument("--fingerprint", default="", metavar="SHA256", help="the certificate to accept, whoever signed it")


def pool_of(arguments: argparse.Namespace) -> Pool:
    urls = {COORDINATOR: arguments.url, MEMBER: arguments.member, OTHER: arguments.other}
    trust = Trust(arguments.ca, arguments.fingerprint)
    return Pool({at: url.rstrip("/") for at, url in urls.items() if url}, arguments.username, _password(arguments.password_file), trust)


def _password(path: Path | None) -> str:
    if path is not None:
        return path.read_text(encoding="utf-8").rstrip("\n")
    return os.environ.get("XENSERVER_PASSWORD") or getpass.getpass("Password: ")
