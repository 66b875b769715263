# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each module that sends the content of a disk over the network tells how much it was, of how much, and how long it took."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator import Simulator

from ..conftest import Run
from .machines import MACHINES, MIB
from .test_xen_ipxe_iso import NETWORK, plain_image
from .transfers import CASES, data, run, with_image

__all__ = ["data", "run"]
pytestmark = pytest.mark.world(MACHINES)
MODULES = Path(__file__).parents[4] / "plugins/modules"
PACKAGE = "ansible_collections.xapi.xenserver.plugins.modules"
# Module, parameters, how many MiB bytes_total are.
TOLD: list[tuple[str, dict[str, Any], int]] = [
    *((module, params, total) for (module, _sr, _asked, params), total in zip(CASES, [256, 8192, 64, 8, 8, 8, 64, 64, 32, 32 * 1024, 64], strict=True)),
    ("xen_ephemeral", {"vm": "web2", "size": "3GiB", "filesystem": "ext4"}, 3 * 1024),
    ("xen_ipxe_iso", {"vm": "web2", **NETWORK}, 4),
    ("xen_vdi", {"name": "data", "state": "exported"}, 64),
    *(("xen_image_export", {"vdi": "data", "format": form}, 64) for form in ("raw", "vhd", "qcow2", "tgz")),
]


@pytest.mark.parametrize(("module", "params", "total"), TOLD, ids=[f"{number} {case[0]}" for number, case in enumerate(TOLD)])
def test_what_was_sent_is_told(run: Run, simulator: Simulator, data: str, tmp_path: Path, module: str, params: dict[str, Any], total: int) -> None:
    given = with_image(module, params, tmp_path) if params.get("state") != "exported" else dict(params)
    if module == "xen_ipxe_iso":
        given["src"] = plain_image(tmp_path)
    if module == "xen_image_export" or "state" in params:
        given["dest"] = str(tmp_path / "exported")
    foretold = run(module, check=True, **given)["transfer"]
    outcome = run(module, **given)
    assert not outcome.failed, outcome.result
    transfer = outcome["transfer"]
    assert transfer.keys() == {"bytes_sent", "bytes_total", "seconds"}
    assert transfer["bytes_total"] == total * MIB == foretold.get("bytes_total", total * MIB)
    assert 0 < transfer["bytes_sent"] <= total * MIB
    assert isinstance(transfer["seconds"], float)
    assert transfer["seconds"] > 0
    assert "transfer" not in run(module, **given).result or module == "xen_vdi"


def test_each_module_that_documents_a_transfer_is_tried() -> None:
    documented = {}
    for path in MODULES.glob("xen_*.py"):
        returned = yaml.safe_load(importlib.import_module(f"{PACKAGE}.{path.stem}").RETURN) or {}
        if "transfer" in returned:
            documented[path.stem] = returned["transfer"]["contains"].keys()
    assert documented.keys() == {module for module, _params, _total in TOLD}
    assert {tuple(sorted(keys)) for keys in documented.values()} == {("bytes_sent", "bytes_total", "seconds")}
