# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils._private import new_file, private_folder, write_at


def test_a_write_that_is_cut_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is nearly full, where what is left is written and told only as a number."""
    original = os.pwrite
    with new_file(tmp_path / "x") as file:
        monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: original(descriptor, data[:3], offset))
        write_at(file.fileno(), b"0123456789", 2)
    assert (tmp_path / "x").read_bytes() == b"\0\0" + b"0123456789"


def test_removing_that_is_interrupted_is_done_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = shutil.rmtree, []

    def rmtree(path: Path, ignore_errors: bool = False) -> None:
        calls.append(ignore_errors)
        if len(calls) == 1:
            raise KeyboardInterrupt
        original(path, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with pytest.raises(KeyboardInterrupt), private_folder() as folder:
        (folder / "x").write_text("secret")
    assert not folder.exists()
    assert calls == [False, True]
