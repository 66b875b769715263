# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules keep on the controller while they transfer a disk: for its owner only, and gone when SIGTERM ends them."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from simulator import Rule, Simulator
from simulator.transport.flow import Flow

from .images import DISK
from .machines import MACHINES
from .transfers import data, shown

__all__ = ["data"]
pytestmark = pytest.mark.world(MACHINES)
SCRIPT = """
import importlib, json, os, sys
from ansible.module_utils.testing import patch_module_args
os.umask(0)
module = importlib.import_module("ansible_collections.xapi.xenserver.plugins.modules." + sys.argv[1])
with patch_module_args(json.loads(sys.argv[2])):
    module.main()
"""
PUT, GET = "PUT /import_raw_vdi", "GET /export_raw_vdi"
# Module, parameters, the request of which SIGTERM comes in the middle, and whose turn it is.
CASES: list[tuple[str, dict[str, Any], str, int]] = [
    ("xen_image", {"name": "root", "cache": False}, PUT, 1),
    ("xen_ephemeral", {"vm": "web2", "size": "100GiB", "filesystem": "ext4"}, PUT, 1),
    ("xen_configdrive", {"vm": "web2", "filesystem": "vfat", "attach_as": "disk"}, PUT, 1),
    ("xen_disk_inject", {"name": "data", "files": [{"path": "/x", "content": "x"}]}, PUT, 1),
    ("xen_disk_inject", {"name": "data", "files": [{"path": "/x", "content": "x"}]}, GET, 2),
    ("xen_disk_resize", {"name": "data", "mode": "auto_configure", "size": "1GiB"}, PUT, 1),
    ("xen_disk_resize", {"name": "data", "mode": "shrink_copy", "size": "32MiB", "copy_name": "small"}, PUT, 1),
    *(("xen_image_export", {"vdi": "data", "format": form}, GET, 1) for form in ("raw", "vhd", "qcow2", "tgz")),
    ("xen_vdi", {"name": "data", "state": "exported"}, GET, 1),
]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a packed disk, which has to be kept on the controller."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "image.gz").write_bytes(gzip.compress(DISK))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/image.gz"
        server.shutdown()


@pytest.mark.parametrize(("module", "params", "request_", "nth"), CASES, ids=[f"{number} {case[0]}" for number, case in enumerate(CASES)])
def test_are_private_and_go_on_sigterm(
    simulator: Simulator, data: str, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, params: dict[str, Any], request_: str, nth: int
) -> None:
    temporary, before = tmp_path / "temporary", shown(simulator).keys()
    temporary.mkdir()
    server = simulator.serve(tls=False, http=True)
    given = {"hostname": server.url, "password": simulator.password, **params}
    if module == "xen_image":
        given["image"] = served
    if module == "xen_configdrive":
        # More than the sockets hold: the module is still sending.
        (tmp_path / "large").write_bytes(bytes(range(256)) * 128 * 1024)
        given["files"] = [{"path": "/large", "src": str(tmp_path / "large")}]
    if module == "xen_image_export" or params.get("state") == "exported":
        given["dest"] = str(temporary / "dest")
    started = threading.Event()
    modes: dict[str, int] = {}
    processes: list[subprocess.Popen[str]] = []

    async def strike(_flow: Flow, _rule: Rule) -> None:
        assert started.wait(30)
        modes.update({path.name: path.stat().st_mode & 0o777 for path in files(temporary)})
        processes[0].terminate()

    simulator.faults.add(Rule(request_, stall=1, at=3000, nth=nth))
    monkeypatch.setattr(Flow, "_strike", strike)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", SCRIPT, module, json.dumps(given)]
    processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    started.set()
    said = processes[0].communicate(timeout=60)[0]
    assert processes[0].returncode == -signal.SIGTERM, said
    assert modes, "nothing was kept"
    assert set(modes.values()) == {0o600}, modes
    assert files(temporary) == []
    assert not [path for path in temporary.iterdir() if not path.name.startswith("xen_ansible-")]
    # Not where they are attached: the pool still lets go of a disk that it was sending.
    assert shown(simulator).keys() == before


def files(folder: Path) -> list[Path]:
    """All but the locks, which are empty and stay."""
    return [path for path in folder.rglob("*") if path.is_file() and "xen_ansible-" not in str(path.parent)]
