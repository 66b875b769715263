# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of the disks: repositories of volumes, kept in sparse files. Knows nothing of XenAPI."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import saved
from .ledger import Ledger
from .repository import Repository
from .volume import Volume

BLOBS = "blobs"
PLAIN_NAME = re.compile("[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
__all__ = ["Ledger", "Repository", "Store", "Volume"]


def _nobody() -> None:
    """Nobody keeps a store that goes with its simulator."""


class Store:
    """All repositories of one simulator, in a directory of their own that goes with it; with a ledger both outlive it."""

    def __init__(self, directory: Path | None = None, ledger: Ledger | None = None) -> None:
        self._directory = directory
        self._temporary = directory is None
        self._ledger = ledger
        self._dropped: list[tuple[str, Repository]] = []
        self.on_change: Callable[[], None] = _nobody
        self.settle: Callable[[], None] = _nobody  # commits what has changed
        self.repositories: dict[str, Repository] = {}
        self.restored = False  # whether the disks are there already
        if ledger is not None:
            for name, _unused in ledger.entries(saved.REPOSITORY):
                self.repository(name)
            saved.restore(self.repositories, ledger)
            self.restored = bool(self.repositories)
            self._sweep()

    @property
    def directory(self) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="simulator-disks-"))
        return self._directory

    def repository(self, name: str) -> Repository:
        """The storage of the SR with this uuid; empty when new."""
        name = folder(name)
        if name not in self.repositories:
            kept = self._ledger is not None
            self.repositories[name] = Repository(self.directory / name, kept=kept, on_change=self._changed, settle=self._settle)
        return self.repositories[name]

    def take_over(self, name: str, other: Store) -> None:
        """The storage of an SR goes from another simulator to this one: the host that has it joined the other's pool."""
        name = folder(name)
        repository = other.repositories.pop(name, None)
        if repository is not None:
            repository.move(self.directory / name)
            repository.on_change, repository.settle = self._changed, self._settle
            self.repositories[name] = repository
            if self._ledger is not None:
                repository.keep()

    def blob(self, name: str) -> Path:
        """Where the bytes of a blob are kept."""
        return self.directory / BLOBS / folder(name)

    def drop(self, name: str) -> None:
        """The storage is wiped: SR.destroy."""
        name = folder(name)
        repository = self.repositories.pop(name, None)
        if repository is not None:
            self._dropped.append((name, repository))
            self._changed()
            if self._ledger is None:
                self.clean()

    # What outlives the process

    def _sweep(self) -> None:
        """Remove folders of repositories whose making or end was cut short."""
        for path in self.directory.iterdir() if self.directory.exists() else ():
            if path.name not in self.repositories and path.name != BLOBS:
                shutil.rmtree(path, ignore_errors=True)

    def _changed(self) -> None:
        self.on_change()

    def _settle(self) -> None:
        self.settle()

    def save(self, ledger: Ledger) -> None:
        """Write what changed; `clean` once that is committed."""
        for name, repository in self._dropped:
            saved.forget(name, repository, ledger)
        for name, repository in self.repositories.items():
            saved.save(name, repository, ledger)

    def clean(self) -> None:
        """Remove files that nothing needs any more."""
        for _unused, repository in self._dropped:
            repository.close()
            shutil.rmtree(repository.directory, ignore_errors=True)
        self._dropped.clear()
        for repository in self.repositories.values():
            repository.clean()

    def close(self) -> None:
        """Let go of everything; what is not kept is removed."""
        for repository in self.repositories.values():
            repository.close()
        self.repositories.clear()
        if self._temporary and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None


def folder(name: str) -> str:
    """The name of a file or folder for what somebody else has named: a uuid is text that a client or a world chose, and may be a path."""
    if PLAIN_NAME.fullmatch(name) and name != BLOBS:
        return name
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
