# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories in the ledger: what their volumes are called and hang on; the bytes lie in files that are named there."""

from __future__ import annotations

from typing import Any

from . import map_file
from .changes import ChangeLog
from .layer import Layer
from .ledger import Ledger
from .repository import Repository
from .volume import Volume

PLAIN = ("size", "kind", "hidden", "inflated", "unexplained", "label", "description")
REPOSITORY, VOLUME, LOG = "repository", "volume", "log"


def save(name: str, repository: Repository, ledger: Ledger) -> None:
    """Write what changed since the last time."""
    sizes = {"size": repository.size, "others": repository.others}
    if sizes != repository.saved_sizes:
        ledger.put(REPOSITORY, name, sizes)
        repository.saved_sizes = sizes
    volumes = {key: _of_volume(repository.volumes[key]) for key in repository.unsaved if key in repository.volumes}
    logs = {key: _of_log(repository.logs[key]) for key in repository.unsaved_logs if key in repository.logs}
    for kind, unsaved, descriptions in ((VOLUME, repository.unsaved, volumes), (LOG, repository.unsaved_logs, logs)):
        for key in unsaved:
            if key in descriptions:
                ledger.put(kind, f"{name}/{key}", descriptions[key])
            else:
                ledger.drop(kind, f"{name}/{key}")
        unsaved.clear()


def forget(name: str, repository: Repository, ledger: Ledger) -> None:
    """The repository is gone."""
    ledger.drop(REPOSITORY, name)
    for key in (*repository.volumes, *repository.unsaved):
        ledger.drop(VOLUME, f"{name}/{key}")
    for key in (*repository.logs, *repository.unsaved_logs):
        ledger.drop(LOG, f"{name}/{key}")


def _of_volume(volume: Volume) -> dict[str, Any]:
    plain = {field: getattr(volume, field) for field in PLAIN}
    parent = volume.parent.name if volume.parent else None
    return {**plain, "layer": volume.layer.path.name, "parent": parent, "tracked": volume.changes is not None}


def _of_log(log: ChangeLog) -> dict[str, Any]:
    return {"size": log.size, "before": log.before, "after": log.after, "file": log.path.name if log.path else None}


def restore(repositories: dict[str, Repository], ledger: Ledger) -> None:
    """Fill empty repositories with what the ledger knows, and remove the files that it does not."""
    for name, sizes in ledger.entries(REPOSITORY):
        repositories[name].size, repositories[name].others = sizes["size"], sizes["others"]
        repositories[name].saved_sizes = sizes
    for key, value in ledger.entries(LOG):
        name, _unused, log_name = key.partition("/")
        repositories[name].logs[log_name] = _log(repositories[name], value)
    values = dict(ledger.entries(VOLUME))
    for key, value in values.items():
        name, _unused, volume_name = key.partition("/")
        _restore_volume(repositories[name], volume_name, value)
    for key, value in values.items():
        name, _unused, volume_name = key.partition("/")
        if value["parent"] is not None:
            volumes = repositories[name].volumes
            volumes[volume_name].move_to(volumes[value["parent"]])
    for repository in repositories.values():
        repository.unsaved.clear()
        repository.unsaved_logs.clear()
        _sweep(repository)


def _log(repository: Repository, value: dict[str, Any]) -> ChangeLog:
    path = repository.directory / value["file"]
    log = ChangeLog(value["size"], path)
    log.units, log.before, log.after = map_file.read(path), value["before"], value["after"]
    return log


def _restore_volume(repository: Repository, name: str, value: dict[str, Any]) -> None:
    volume = Volume(name, value["size"], Layer.restored(repository.directory / value["layer"]), kind=value["kind"])
    for field in PLAIN:
        setattr(volume, field, value[field])
    volume.changes = repository.logs[name] if value["tracked"] else None
    repository.keep_volume(volume)


def _sweep(repository: Repository) -> None:
    """Files of volumes whose making or end was not committed."""
    known = {path for volume in repository.volumes.values() for path in (volume.layer.path, volume.layer.map_path)}
    known |= {log.path for log in repository.logs.values() if log.path}
    if repository.directory.exists():
        for path in repository.directory.iterdir():
            if path not in known:
                path.unlink()
